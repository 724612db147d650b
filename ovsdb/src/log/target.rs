//! A file that is being written, and what is known of its copy on stable storage.
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::disk::{Disk, DiskFile};
use super::error::{LogError, io_error};

/// A write that did not get through.
#[derive(Debug)]
pub(super) struct WriteFailed {
    /// How many bytes were written all the same.
    pub(super) written: usize,
    pub(super) source: io::Error,
}

/// A log file. The task that writes it and those that flush it share it.
#[derive(Debug)]
pub(super) struct Target {
    /// Its name; that of the database once it has taken its place.
    path: PathBuf,
    disk: Arc<dyn Disk>,
    file: Arc<dyn DiskFile>,
    /// Why the copy on stable storage can't be relied on any more. After a failed flush the kernel
    /// counts what it could not write as written: a later flush that succeeds proves nothing.
    failure: OnceLock<String>,
    /// Only one of several flushes is told of a failure: they go one after the other.
    flushing: Mutex<()>,
    /// The file's name may not have reached stable storage.
    name_is_new: AtomicBool,
}

impl Target {
    pub(super) fn new(disk: &Arc<dyn Disk>, path: &Path, file: Arc<dyn DiskFile>) -> Self {
        Self {
            path: path.to_owned(),
            disk: Arc::clone(disk),
            file,
            failure: OnceLock::new(),
            flushing: Mutex::new(()),
            name_is_new: AtomicBool::new(false),
        }
    }

    pub(super) fn read(&self) -> io::Result<Vec<u8>> {
        self.file.read()
    }

    /// Writes all of the bytes at an offset.
    pub(super) fn write(&self, bytes: &[u8], offset: u64) -> Result<(), WriteFailed> {
        let mut written = 0;
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            let source = match self.file.write_at(rest, offset + written as u64) {
                Ok(0) => ErrorKind::WriteZero.into(),
                Ok(n) => {
                    written += n;
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            return Err(WriteFailed { written, source });
        }
        Ok(())
    }

    pub(super) fn set_len(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    /// Takes note that a file has just been given this one's name.
    pub(super) fn renamed(&self) {
        self.name_is_new.store(true, Ordering::Release);
    }

    /// Whether everything that a flush promised is on stable storage.
    pub(super) fn check(&self) -> Result<(), LogError> {
        self.failure.get().map_or(Ok(()), |reason| {
            Err(LogError::Untrusted {
                path: self.path.clone(),
                reason: reason.clone(),
            })
        })
    }

    /// Puts everything written so far on stable storage, the name included.
    pub(super) fn sync(&self) -> Result<(), LogError> {
        let _alone = self.flushing.lock().unwrap_or_else(PoisonError::into_inner);
        self.check()?;
        let failed = |action| {
            move |error: io::Error| {
                // The first reason is the one to tell.
                let _ = self.failure.set(error.to_string());
                io_error(&self.path, action)(error)
            }
        };
        self.file.sync().map_err(failed("flush it"))?;
        if self.name_is_new.load(Ordering::Acquire) {
            self.disk
                .sync_directory(&self.path)
                .map_err(failed("flush its directory"))?;
            self.name_is_new.store(false, Ordering::Release);
        }
        Ok(())
    }
}

/// Flushes a log elsewhere than in the task that writes it. It covers everything that was
/// appended before the handle was made.
#[derive(Debug, Clone)]
pub struct SyncHandle {
    pub(super) current: Arc<Target>,
    pub(super) next: Option<Arc<Target>>,
}

impl SyncHandle {
    /// Waits until everything is on stable storage. After an error it may be all the same, if
    /// another file has taken the log's place meanwhile: another flush tells.
    ///
    /// # Errors
    /// If the disk says no.
    pub fn sync(&self) -> Result<(), LogError> {
        // Both, whatever becomes of the first: either may be the log after the next power failure.
        let current = self.current.sync();
        let next = self.next.as_ref().map_or(Ok(()), |next| next.sync());
        current.and(next)
    }
}
