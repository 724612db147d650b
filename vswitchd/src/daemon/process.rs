//! The process: what it may open, what ends it, and whether somebody else does its work.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::warn;

use super::DaemonError;

/// Lets clients have as many connections as the system grants.
pub fn raise_open_files() {
    let files = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: files.maximum,
        ..files
    };
    if let Err(error) = setrlimit(Resource::Nofile, all) {
        warn!("the number of open files stays limited: {error}");
    }
}

/// What ends the daemon from outside.
pub struct Signals {
    pub terminate: Signal,
    pub interrupt: Signal,
    pub hangup: Signal,
}

impl Signals {
    pub fn new() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

/// Refuses to start where a database server answers: this daemon is one itself.
pub fn no_other_database(socket: &Path) -> Result<(), DaemonError> {
    match UnixStream::connect(socket) {
        Ok(_) => Err(DaemonError::OtherDatabase(socket.to_owned())),
        Err(_) => Ok(()),
    }
}
