//! The real ovsdb-server, with the contents that our daemon holds.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Stdio};

use aorta_integration::lab::Netns;

use super::eventually;

/// A running ovsdb-server of Debian. It has a copy of a database, and ends with the value.
pub struct Reference {
    child: Child,
    dir: tempfile::TempDir,
}

impl Reference {
    /// Serves a copy of `database` on a socket, and on TCP port 6650 of the namespace.
    pub fn of(ns: &Netns, database: &Path) -> Reference {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("conf.db");
        std::fs::copy(database, &file).unwrap();
        let socket = dir.path().join("db.sock");
        let child = ns
            .command("ovsdb-server")
            .arg(format!("--remote=punix:{}", socket.display()))
            .arg("--remote=ptcp:6650:127.0.0.1")
            .arg(format!("--unixctl={}/ctl", dir.path().display()))
            .args(["--no-chdir", "-vconsole:off"])
            .arg(&file)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let reference = Reference { child, dir };
        eventually("ovsdb-server listens", || {
            UnixStream::connect(&socket).is_ok()
        });
        reference
    }

    /// How clients connect, by socket and by TCP.
    pub fn remotes(&self) -> [String; 2] {
        [
            format!("unix:{}/db.sock", self.dir.path().display()),
            "tcp:127.0.0.1:6650".to_owned(),
        ]
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
