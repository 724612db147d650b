//! Locked pidfiles. OVS's tools believe a pidfile only if the process that it names holds a
//! write lock on it (fcntl, not flock).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process;

use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;

/// The pidfile can't be taken.
#[derive(Debug, thiserror::Error)]
pub enum PidfileError {
    /// Another process holds it.
    #[error("vswitchd already runs here: process {pid} holds {path}")]
    Taken {
        /// The file.
        path: PathBuf,
        /// What the file says.
        pid: String,
    },
    /// It can't be made, locked or written.
    #[error("cannot write the pidfile {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A pidfile that this process holds; removed with the value.
#[derive(Debug)]
pub struct Pidfile {
    path: PathBuf,
    /// Closing any descriptor of the file would end the lock: the file must not be opened again.
    _file: File,
}

impl Pidfile {
    /// Takes `DIR/NAME.pid`.
    pub fn take(dir: &Path, name: &str) -> Result<Pidfile, PidfileError> {
        let path = dir.join(format!("{name}.pid"));
        let failed = |source| PidfileError::Write {
            path: path.clone(),
            source,
        };
        loop {
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)
                .map_err(failed)?;
            match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::AGAIN | Errno::ACCESS) => {
                    let text = io::read_to_string(&file).unwrap_or_default();
                    let pid = text.trim().to_owned();
                    return Err(PidfileError::Taken { path, pid });
                }
                Err(e) => return Err(failed(e.into())),
            }
            // Another process may have removed the file between opening and locking.
            let same = fs::metadata(&path).is_ok_and(|there| {
                file.metadata()
                    .is_ok_and(|ours| (ours.dev(), ours.ino()) == (there.dev(), there.ino()))
            });
            if !same {
                continue;
            }
            let write = |file: &mut File| -> io::Result<()> {
                file.set_len(0)?;
                file.rewind()?;
                writeln!(file, "{}", process::id())
            };
            write(&mut file).map_err(failed)?;
            return Ok(Pidfile { path, _file: file });
        }
    }
}

impl Drop for Pidfile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_lock_names_this_process() {
        let dir = tempfile::tempdir().unwrap();
        let pidfile = Pidfile::take(dir.path(), "x").unwrap();
        let path = dir.path().join("x.pid");
        // The kernel's list of locks: POSIX, write, our pid, the file's inode.
        let inode = fs::metadata(&path).unwrap().ino();
        let locks = fs::read_to_string("/proc/locks").unwrap();
        let mine = format!(" {} ", process::id());
        let held = locks.lines().any(|l| {
            l.contains("POSIX")
                && l.contains("WRITE")
                && l.contains(&mine)
                && l.contains(&format!(":{inode} "))
        });
        assert!(held, "{locks}");
        // Reading it from another process doesn't end the lock.
        let output = Command::new("cat").arg(&path).output().unwrap();
        assert_eq!(
            String::from_utf8(output.stdout).unwrap(),
            format!("{}\n", process::id())
        );
        drop(pidfile);
        assert!(!path.exists());
    }

    #[test]
    fn a_stale_file_is_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("x.pid"), "4194304 a longer text").unwrap();
        let _pidfile = Pidfile::take(dir.path(), "x").unwrap();
        let output = Command::new("cat")
            .arg(dir.path().join("x.pid"))
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8(output.stdout).unwrap(),
            format!("{}\n", process::id())
        );
    }
}
