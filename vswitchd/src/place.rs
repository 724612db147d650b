//! The places of one instance: rundir, database, pin directory.

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::devices::instance_name;
use crate::options::Options;

/// A directory can't be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make the directory {path}")]
pub struct PlaceError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Where one instance lives. Instances with different rundirs share nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Sockets and pidfiles.
    pub rundir: PathBuf,
    /// The database file.
    pub db: PathBuf,
    /// The instance's name, from the rundir.
    pub instance: String,
    /// Pinned programs, maps and links.
    pub pin_dir: PathBuf,
}

impl Place {
    /// The places that the options name. Nothing is made.
    pub fn of(options: &Options) -> Place {
        let rundir = options.rundir();
        let instance = instance_name(&canonical(&rundir));
        let pin_dir = options.pin_dir(&instance);
        Place {
            rundir,
            db: options.db(),
            instance,
            pin_dir,
        }
    }

    /// Makes the directories that are missing.
    pub fn make(&self) -> Result<(), PlaceError> {
        make_dir(&self.rundir)?;
        self.db.parent().map_or(Ok(()), make_dir)
    }

    /// Removes control sockets that processes before this one left.
    pub fn remove_stale_sockets(&self, daemons: &[&str]) {
        let Ok(entries) = fs::read_dir(&self.rundir) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let pid = |daemon: &str| {
                name.strip_prefix(daemon)?
                    .strip_prefix('.')?
                    .strip_suffix(".ctl")
            };
            let numbered = |pid: &str| pid.bytes().all(|b| b.is_ascii_digit());
            if daemons
                .iter()
                .any(|daemon| pid(daemon).is_some_and(numbered))
            {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

fn make_dir(path: &Path) -> Result<(), PlaceError> {
    fs::create_dir_all(path).map_err(|source| PlaceError {
        path: path.to_owned(),
        source,
    })
}

/// The path without symbolic links, as far as it exists.
fn canonical(path: &Path) -> PathBuf {
    if let Ok(real) = fs::canonicalize(path) {
        return real;
    }
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => canonical(parent).join(name),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rundir_has_one_name_whether_it_exists_or_not() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path(), &link).unwrap();
        let before = canonical(&link.join("run"));
        fs::create_dir(dir.path().join("run")).unwrap();
        assert_eq!(canonical(&link.join("run")), before);
        assert_eq!(before, fs::canonicalize(dir.path()).unwrap().join("run"));
    }

    #[test]
    fn only_stale_control_sockets_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place {
            rundir: dir.path().to_owned(),
            db: dir.path().join("conf.db"),
            instance: "x".into(),
            pin_dir: dir.path().join("pins"),
        };
        for name in [
            "ovs-vswitchd.12.ctl",
            "ovs-vswitchd.x.ctl",
            "ovs-vswitchd.pid",
            "other.1.ctl",
        ] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        place.remove_stale_sockets(&["ovs-vswitchd"]);
        let mut left: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(
            left,
            ["other.1.ctl", "ovs-vswitchd.pid", "ovs-vswitchd.x.ctl"]
        );
    }
}
