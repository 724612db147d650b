//! A database server on a file and a socket of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use aorta_integration::lab::{LabError, wait_until};
use tempfile::TempDir;

use crate::error::TaskError;
use crate::proc::{output, root};

/// The reference.
pub const THEIRS: &str = "ovsdb-server";
/// This project's store, without a switch behind it.
pub const OURS: &str = "aorta";

/// How long a server may take until it answers.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server; dropped, it is killed and its files are removed.
pub struct Server {
    name: &'static str,
    files: TempDir,
    child: Option<Child>,
}

/// What a process has of memory, in KiB.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    pub resident_kib: u64,
    pub peak_kib: u64,
}

impl Server {
    /// Starts a server on a new database.
    pub fn start(name: &'static str) -> Result<Server, TaskError> {
        let disk = root().join("target/bench");
        std::fs::create_dir_all(&disk).map_err(TaskError::file("cannot make", &disk))?;
        let files = TempDir::new_in(&disk).map_err(TaskError::file("cannot write into", &disk))?;
        let mut server = Server {
            name,
            files,
            child: None,
        };
        let schema = root().join("ovsdb/schema/vswitch.ovsschema");
        output(
            Command::new("ovsdb-tool")
                .arg("create")
                .arg(server.database())
                .arg(schema),
        )?;
        server.restart()?;
        Ok(server)
    }

    /// Ends it, if it runs, and starts it on the file as it is.
    pub fn restart(&mut self) -> Result<(), TaskError> {
        self.end();
        let socket = self.socket();
        let mut command = match self.name {
            THEIRS => {
                let mut command = Command::new(THEIRS);
                command.arg(format!("--remote=punix:{socket}"));
                command.arg(format!("--unixctl={}", self.path("ctl").display()));
                command.args(["--log-file=/dev/null", "--verbose=off"]);
                command.arg(self.database());
                command
            }
            _ => {
                let mut command = Command::new(root().join("target/release/examples/serve"));
                command.arg(self.database()).arg(format!("punix:{socket}"));
                command
            }
        };
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|source| TaskError::Start {
                command: self.name.to_owned(),
                source,
            })?;
        self.child = Some(child);
        wait_until("the server answers", PATIENCE, || {
            std::os::unix::net::UnixStream::connect(&socket).is_ok()
        })?;
        Ok(())
    }

    /// Path of its socket.
    pub fn socket(&self) -> String {
        self.path("sock").display().to_string()
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// What it has of memory now.
    pub fn memory(&self) -> Result<Memory, TaskError> {
        let path = self.proc("status");
        let status =
            std::fs::read_to_string(&path).map_err(TaskError::file("cannot read", path))?;
        let member = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()?.parse().ok())
                .ok_or_else(|| LabError::Agent(format!("{name} is not in /proc/PID/status")))
        };
        Ok(Memory {
            resident_kib: member("VmRSS:")?,
            peak_kib: member("VmHWM:")?,
        })
    }

    /// What it has of memory; its peak is counted anew from now on.
    pub fn reset_peak(&self) -> Result<Memory, TaskError> {
        let memory = self.memory()?;
        let path = self.proc("clear_refs");
        // proc_pid_clear_refs(5): 5 resets the peak.
        std::fs::write(&path, "5").map_err(TaskError::file("cannot write", path))?;
        Ok(memory)
    }

    fn proc(&self, name: &str) -> PathBuf {
        Path::new("/proc").join(self.pid().to_string()).join(name)
    }

    fn database(&self) -> PathBuf {
        self.path("db")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
        // The next one must not be taken for ready because of this.
        let _ = std::fs::remove_file(self.path("sock"));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}
