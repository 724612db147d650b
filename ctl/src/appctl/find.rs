//! Where a target listens.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rustix::process::{Flock, FlockType, fcntl_getlk};

use super::error::AppctlError;

/// The control socket of a target: itself if it is a path, otherwise that of the process that holds
/// the lock on `TARGET.pid`.
///
/// # Errors
/// If no such process is running.
pub fn socket(rundir: &Path, target: &str) -> Result<PathBuf, AppctlError> {
    if target.starts_with('/') {
        return Ok(PathBuf::from(target));
    }
    let pidfile = rundir.join(format!("{target}.pid"));
    let refused = |cause: io::Error, unopened| AppctlError::Pidfile {
        path: pidfile.display().to_string(),
        cause,
        unopened,
    };
    let file = File::open(&pidfile).map_err(|cause| refused(cause, true))?;
    let pid = holder(&file, &pidfile).map_err(|cause| refused(cause, false))?;
    Ok(rundir.join(format!("{target}.{pid}.ctl")))
}

/// The process that the file names, if it holds the lock: others have left the file behind.
fn holder(file: &File, path: &Path) -> io::Result<i32> {
    let gone = || io::Error::from_raw_os_error(rustix::io::Errno::SRCH.raw_os_error());
    let lock = fcntl_getlk(file, &Flock::from(FlockType::WriteLock))?;
    let Some(holder) = lock.and_then(|lock| lock.pid) else {
        return Err(gone());
    };
    let text = fs::read_to_string(path)?;
    let pid: i32 = text
        .trim()
        .parse()
        .map_err(|_| io::Error::from(ErrorKind::InvalidInput))?;
    if holder.as_raw_nonzero().get() == pid {
        Ok(pid)
    } else {
        Err(gone())
    }
}
