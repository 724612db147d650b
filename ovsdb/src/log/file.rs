//! A log on disk: opened under a lock, appended to, compacted, never overwritten unread.
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, fcntl_lock, flock};

use super::error::{LogError, io_error};
use super::read::read_log;
use super::record::{encode, transaction_record};
use crate::coverage;
use crate::db::{Db, Delta};
use crate::schema::DatabaseSchema;

/// A log opened for appending. The lock is let go when it is dropped.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
    _lock: File,
    /// Where the next record goes.
    end: u64,
    /// How long the file was when it was last compacted.
    compacted: u64,
}

/// Below this size no log is worth compacting.
const COMPACT_FROM: u64 = 10 << 20;

impl Log {
    /// Opens a database file, or makes an empty one (mode 0640), and reads it. An incomplete last
    /// record is cut off.
    ///
    /// # Errors
    /// If the file is in use, unreadable, damaged, or of another schema; it is not changed then.
    pub fn open(path: &Path, schema: &Arc<DatabaseSchema>) -> Result<(Self, Db), LogError> {
        // A link is followed, so that lock and rename are beside the file itself.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let lock = take_lock(&path)?;
        let size = match std::fs::metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
            metadata => metadata.map(|m| m.len()),
        };
        let size = size.map_err(io_error(&path, "look at it"))?;
        let mut file = if size == 0 {
            // At once in its place: a crash leaves no half of a database behind.
            replace(&path, &encode(schema.to_json()))?
        } else {
            let mut options = OpenOptions::new();
            options.read(true).write(true);
            options.open(&path).map_err(io_error(&path, "open it"))?
        };
        let mut bytes = Vec::new();
        let read = file.rewind().and_then(|()| file.read_to_end(&mut bytes));
        read.map_err(io_error(&path, "read it"))?;
        let mut log = Self {
            path,
            file,
            _lock: lock,
            end: 0,
            compacted: 0,
        };
        let contents = read_log(&log.path, &bytes, Some(schema))?;
        log.end = contents.end;
        if log.end < bytes.len() as u64 {
            let lost = bytes.len() as u64 - log.end;
            tracing::warn!(
                "{}: cut off an incomplete record of {lost} bytes at byte {}",
                log.path.display(),
                log.end
            );
            log.file
                .set_len(log.end)
                .map_err(io_error(&log.path, "cut off its torn end"))?;
            log.sync()?;
        }
        Ok((log, contents.db))
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a transaction at a time in milliseconds since 1970; false if there was nothing
    /// to write. The record is in the kernel's hands afterwards: it outlives this process, but
    /// not a power failure before [`Log::sync`].
    ///
    /// # Errors
    /// If the record can't be written completely; the file then ends where it did before.
    pub fn append(&mut self, delta: &Delta, date_ms: u64) -> Result<bool, LogError> {
        let Some(record) = transaction_record(delta, date_ms) else {
            return Ok(false);
        };
        self.append_bytes(&encode(&record))?;
        Ok(true)
    }

    fn append_bytes(&mut self, bytes: &[u8]) -> Result<(), LogError> {
        let seek = self.file.seek(SeekFrom::Start(self.end));
        let written = seek.and_then(|_| self.file.write_all(bytes));
        if let Err(error) = written {
            if let Err(e) = self.file.set_len(self.end) {
                tracing::error!(
                    "{}: can't cut off a partial record: {e}",
                    self.path.display()
                );
            }
            return Err(io_error(&self.path, "write to it")(error));
        }
        self.end += bytes.len() as u64;
        coverage::LOG_BYTES.add(bytes.len() as u64);
        Ok(())
    }

    /// Waits until everything appended is on stable storage.
    ///
    /// # Errors
    /// If the disk says no.
    pub fn sync(&self) -> Result<(), LogError> {
        self.file
            .sync_data()
            .map_err(io_error(&self.path, "flush it"))
    }

    /// A second handle on the file, to [`File::sync_data`] elsewhere than in the writing task.
    ///
    /// # Errors
    /// If the process has no file descriptor left.
    pub fn sync_handle(&self) -> Result<File, LogError> {
        self.file
            .try_clone()
            .map_err(io_error(&self.path, "duplicate its descriptor"))
    }

    /// Whether most of the log is history.
    pub fn wants_compaction(&self) -> bool {
        self.end > COMPACT_FROM && self.end > 2 * self.compacted
    }

    /// Rewrites the log as a schema and one record with the database's present contents, by way
    /// of a temporary file that replaces it at once.
    ///
    /// # Errors
    /// If the new file can't be written; the old one then stays in use.
    pub fn compact(&mut self, db: &Db, date_ms: u64) -> Result<(), LogError> {
        let mut bytes = encode(db.schema().to_json());
        let mut everything = db.as_delta();
        everything.comment = Some("history dropped".to_owned());
        let record = transaction_record(&everything, date_ms);
        bytes.extend(record.iter().flat_map(encode));
        self.file = replace(&self.path, &bytes)?;
        self.end = bytes.len() as u64;
        self.compacted = self.end;
        coverage::LOG_COMPACTED.hit();
        Ok(())
    }
}

/// Puts a file with new contents in the place of another, or of none, at once and durably.
fn replace(path: &Path, bytes: &[u8]) -> Result<File, LogError> {
    let temporary = with_suffix(path, ".tmp");
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o640);
    let mut file = options
        .open(&temporary)
        .map_err(io_error(&temporary, "make it"))?;
    let kept = match std::fs::metadata(path) {
        Ok(old) => file.set_permissions(old.permissions()),
        Err(_) => Ok(()),
    };
    let written = kept
        .and_then(|()| file.write_all(bytes))
        .and_then(|()| file.sync_all());
    if let Err(error) = written.and_then(|()| std::fs::rename(&temporary, path)) {
        // Only a scrap of what could not be written would stay behind.
        let _ = std::fs::remove_file(&temporary);
        return Err(io_error(&temporary, "write it")(error));
    }
    let synced = File::open(parent(path)).and_then(|directory| directory.sync_all());
    synced.map_err(io_error(path, "flush its directory"))?;
    Ok(file)
}

/// Takes the lock beside a database that OVS's tools look at (`.NAME.~lock~`).
fn take_lock(path: &Path) -> Result<File, LogError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let lock_path = parent(path).join(format!(".{name}.~lock~"));
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600);
    let file = options
        .open(&lock_path)
        .map_err(io_error(&lock_path, "open it"))?;
    // OVS's tools look at the first kind of lock; the second keeps a process from itself.
    let locked = fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive)
        .and_then(|()| flock(&file, FlockOperation::NonBlockingLockExclusive));
    locked.map_err(|_| LogError::Locked(path.to_owned()))?;
    Ok(file)
}

fn parent(path: &Path) -> &Path {
    path.parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
