//! A log on disk: opened under a lock, appended to, compacted, never overwritten unread.
use std::any::Any;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::compact::{Compaction, replace, temporary};
use super::disk::{Disk, RealDisk, parent, with_suffix};
use super::error::{LogError, io_error};
use super::read::{Contents, read_log};
use super::record::{encode_transaction, snapshot};
use super::target::{SyncHandle, Target};
use super::upgrade::upgrade;
use crate::coverage;
use crate::db::{Db, Delta};
use crate::schema::DatabaseSchema;

/// A log opened for appending. The lock is let go when it is dropped.
#[derive(Debug)]
pub struct Log {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) path: PathBuf,
    _lock: Box<dyn Any + Send + Sync>,
    current: Arc<Target>,
    /// Where the next record goes.
    pub(super) end: u64,
    /// Part of a record that was refused may be behind the end.
    has_scrap: bool,
    growth: Growth,
    pub(super) compaction: Option<Compaction>,
}

/// How much history a log has.
#[derive(Debug, Default)]
struct Growth {
    /// How long the file was when it was last compacted.
    base: u64,
    /// How many records were added since it was compacted or opened.
    records: u64,
    /// When that was, in milliseconds since 1970.
    since_ms: u64,
}

// When a log is compacted by itself, as ovsdb-server(1) has it.
/// Below this size none is for its size.
const COMPACT_FROM: u64 = 10 << 20;
/// None is with fewer new records.
const COMPACT_RECORDS: u64 = 100;
/// None is so soon after the last time.
const COMPACT_AFTER_MS: u64 = 10 * 60 * 1000;
/// After so long any is.
const COMPACT_DAILY_MS: u64 = 24 * 60 * 60 * 1000;

impl Growth {
    fn wants_compaction(&self, length: u64, now_ms: u64) -> bool {
        let age_ms = now_ms.saturating_sub(self.since_ms);
        let has_doubled = length > COMPACT_FROM && length / 2 > self.base;
        self.records >= COMPACT_RECORDS
            && (age_ms >= COMPACT_DAILY_MS || has_doubled && age_ms >= COMPACT_AFTER_MS)
    }
}

impl Log {
    /// Opens a database file, or makes an empty one (mode 0640), and reads it. An incomplete last
    /// record is cut off. A database of an earlier version of the schema is upgraded; what was in
    /// the file is kept beside it as `NAME.backupVERSION-CHECKSUM`, as OVS's scripts do it.
    ///
    /// # Errors
    /// If the file is in use, unreadable, damaged, or of another schema; it is not changed then.
    pub fn open(path: &Path, schema: &Arc<DatabaseSchema>) -> Result<(Self, Db), LogError> {
        // A link is followed, so that lock and rename are beside the file itself.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        Self::open_on(Arc::new(RealDisk), &path, schema)
    }

    /// As [`Log::open`], on another file system than the real one.
    ///
    /// # Errors
    /// As [`Log::open`].
    pub fn open_on(
        disk: Arc<dyn Disk>,
        path: &Path,
        schema: &Arc<DatabaseSchema>,
    ) -> Result<(Self, Db), LogError> {
        let lock = take_lock(&*disk, path)?;
        let removed = disk.remove(&temporary(path));
        removed.map_err(io_error(path, "remove what a compaction left beside it"))?;
        let length = disk.len(path).map_err(io_error(path, "look at it"))?;
        let start = |current, end| Self {
            disk: Arc::clone(&disk),
            path: path.to_owned(),
            _lock: lock,
            current,
            end,
            has_scrap: false,
            growth: Growth::default(),
            compaction: None,
        };
        if length.unwrap_or(0) == 0 {
            // At once in its place: a crash leaves no half of a database behind.
            let db = Db::new(Arc::clone(schema));
            let bytes = snapshot(&db, 0);
            let current = replace(&disk, path, &bytes)?;
            current.sync()?;
            return Ok((start(current, bytes.len() as u64), db));
        }
        let file = disk.open(path).map_err(io_error(path, "open it"))?;
        let current = Arc::new(Target::new(&disk, path, file));
        let bytes = current.read().map_err(io_error(path, "read it"))?;
        let contents = read_log(path, &bytes, Some(schema))?;
        let mut log = start(current, contents.end);
        log.cut_off(&contents, &bytes)?;
        let whole = usize::try_from(log.end).unwrap_or(bytes.len());
        let db = upgrade(
            &mut log,
            contents.db,
            bytes.get(..whole).unwrap_or_default(),
            schema,
        )?;
        Ok((log, db))
    }

    /// Cuts off what is behind the last record. More than the beginning of one record is kept in
    /// a file of its own.
    fn cut_off(&mut self, contents: &Contents, bytes: &[u8]) -> Result<(), LogError> {
        let lost = bytes.len() as u64 - contents.end;
        if lost == 0 {
            return Ok(());
        }
        let (path, end) = (self.path.display(), contents.end);
        if contents.has_more {
            let kept = with_suffix(&self.path, &format!(".cut-at-{end}"));
            let from = usize::try_from(end).unwrap_or(bytes.len());
            self.keep(&kept, bytes.get(from..).unwrap_or_default())?;
            tracing::warn!(
                "{path}: blocks from byte {end} on were never written, as after a power failure; \
                 cut off {lost} bytes and kept them in {}",
                kept.display()
            );
        } else {
            tracing::warn!("{path}: cut off an incomplete record of {lost} bytes at byte {end}");
        }
        let cut = self.current.set_len(end);
        cut.map_err(io_error(&self.path, "cut off its torn end"))?;
        self.current.sync()
    }

    /// Writes a file beside the log.
    pub(super) fn keep(&self, path: &Path, bytes: &[u8]) -> Result<(), LogError> {
        let file = self.disk.create(path, &self.path);
        let target = Target::new(&self.disk, path, file.map_err(io_error(path, "make it"))?);
        let written = target.write(bytes, 0);
        written.map_err(|failed| io_error(path, "write it")(failed.source))?;
        target.renamed();
        target.sync()
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
    /// If the record can't be written completely, or the log can't be relied on since a flush
    /// failed; the file then ends where it did before.
    pub fn append(&mut self, delta: &Delta, date_ms: u64) -> Result<bool, LogError> {
        let Some(record) = encode_transaction(delta, date_ms) else {
            return Ok(false);
        };
        self.append_records(&record, 1)?;
        Ok(true)
    }

    /// Appends records as [`encode_transaction`] makes them, in one write: all, or none.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub fn append_records(&mut self, bytes: &[u8], records: u64) -> Result<(), LogError> {
        self.check()?;
        self.clear_scrap()?;
        if let Err(failed) = self.current.write(bytes, self.end) {
            self.has_scrap = failed.written > 0;
            if let Err(error) = self.clear_scrap() {
                tracing::error!("{error}: {:?}", std::error::Error::source(&error));
            }
            return Err(io_error(&self.path, "write to it")(failed.source));
        }
        self.end += bytes.len() as u64;
        coverage::LOG_BYTES.add(bytes.len() as u64);
        self.growth.records += records;
        if let Some(compaction) = &mut self.compaction
            && let Err(failed) = compaction.record(bytes)
        {
            let temporary = temporary(&self.path);
            tracing::warn!("{}: can't write it: {}", temporary.display(), failed.source);
            self.abandon_compaction();
        }
        Ok(())
    }

    /// Cuts off what a write that failed has left behind the end. It is off the disk, too, before
    /// the next record takes its place: a mixture of both would look like damage.
    fn clear_scrap(&mut self) -> Result<(), LogError> {
        if !self.has_scrap {
            return Ok(());
        }
        let cut = self.current.set_len(self.end);
        cut.map_err(io_error(&self.path, "cut off a partial record"))?;
        self.current.sync()?;
        self.has_scrap = false;
        Ok(())
    }

    /// Whether the log can be relied on: no flush of the file in use has failed.
    ///
    /// # Errors
    /// [`LogError::Untrusted`]. Only writing the log anew, by [`Log::begin_compaction`] or
    /// [`Log::rewrite`], makes it good.
    pub fn check(&self) -> Result<(), LogError> {
        self.current.check()
    }

    /// Waits until everything appended is on stable storage.
    ///
    /// # Errors
    /// If the disk says no.
    pub fn sync(&mut self) -> Result<(), LogError> {
        if self.sync_handle().sync().is_ok() {
            return Ok(());
        }
        self.flush_failed();
        self.current.sync()
    }

    /// Takes note that a flush failed. If it was the file of a compaction that could not be
    /// flushed, the compaction is given up.
    pub fn flush_failed(&mut self) {
        let target = self.compaction.as_ref().and_then(Compaction::mirror);
        if target.is_some_and(|target| target.check().is_err()) {
            self.abandon_compaction();
        }
    }

    /// What it takes to flush the log elsewhere than in the writing task.
    pub fn sync_handle(&self) -> SyncHandle {
        SyncHandle {
            current: Arc::clone(&self.current),
            next: self.compaction.as_ref().and_then(Compaction::mirror),
        }
    }

    /// Whether a compaction is under way.
    pub fn is_compacting(&self) -> bool {
        self.compaction.is_some()
    }

    /// Whether enough of the log is history: it has doubled since it was last compacted and is
    /// over 10 MB, or a day has gone by.
    pub fn wants_compaction(&mut self, now_ms: u64) -> bool {
        if self.growth.since_ms == 0 {
            self.growth.since_ms = now_ms;
        }
        self.compaction.is_none() && self.growth.wants_compaction(self.end, now_ms)
    }

    /// Puts the next compaction off, after one that failed.
    pub fn put_off_compaction(&mut self, now_ms: u64) {
        self.growth.since_ms = now_ms;
    }

    /// Goes on with another file; returns the one so far.
    pub(super) fn switched(&mut self, target: &Arc<Target>, end: u64, base: u64) -> Arc<Target> {
        let old = std::mem::replace(&mut self.current, Arc::clone(target));
        self.end = end;
        self.has_scrap = false;
        coverage::LOG_COMPACTED.hit();
        self.growth = Growth {
            base,
            ..Growth::default()
        };
        old
    }
}

/// Takes the lock beside a database that OVS's tools look at (`.NAME.~lock~`).
fn take_lock(disk: &dyn Disk, path: &Path) -> Result<Box<dyn Any + Send + Sync>, LogError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let lock_path = parent(path).join(format!(".{name}.~lock~"));
    disk.lock(&lock_path).map_err(|error| {
        if error.kind() == ErrorKind::WouldBlock {
            LogError::Locked(path.to_owned())
        } else {
            io_error(&lock_path, "open it")(error)
        }
    })
}

#[cfg(test)]
mod growth_tests {
    use super::*;

    /// As ovsdb-server(1) has it.
    #[test]
    fn a_log_is_compacted_when_it_has_doubled_or_daily() {
        let wants = |base, length, records, age_ms| {
            let growth = Growth {
                base,
                records,
                since_ms: 1,
            };
            growth.wants_compaction(length, 1 + age_ms)
        };
        let (mb, minute, day) = (1 << 20, 60_000, COMPACT_DAILY_MS);
        assert!(wants(0, 11 * mb, 100, 10 * minute));
        assert!(!wants(0, 11 * mb, 99, 10 * minute), "few records");
        assert!(!wants(0, 11 * mb, 100, 9 * minute), "a moment ago");
        assert!(!wants(0, 9 * mb, 100, 10 * minute), "small");
        assert!(!wants(6 * mb, 11 * mb, 100, 10 * minute), "not doubled");
        assert!(wants(5 * mb, 11 * mb, 100, 10 * minute));
        assert!(wants(mb, mb, 100, day) && !wants(mb, mb, 99, day));
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
