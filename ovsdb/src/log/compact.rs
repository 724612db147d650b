//! Compaction: the log's contents are written to a new file beside it, which then takes its
//! place, while transactions go on.
//!
//! 1. A snapshot goes to the new file, elsewhere than in the task that owns the log. Records that
//!    come meanwhile are kept in memory, too.
//! 2. These follow. From then on each record is written to both files, and a flush covers both.
//! 3. When the new file is flushed, it holds on stable storage all that was ever promised to be
//!    there: it is given the log's name.
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{Disk, with_suffix};
use super::error::{LogError, io_error};
use super::file::Log;
use super::record::snapshot;
use super::target::{Target, WriteFailed};
use crate::db::Db;

/// More bytes than these are not written in the task that owns the log.
const MUCH: usize = 256 << 10;

/// A compaction under way.
#[derive(Debug)]
pub(super) struct Compaction {
    target: Arc<Target>,
    /// Where the next record goes.
    end: u64,
    /// Records that are not in the new file yet.
    since: Vec<u8>,
    stage: Stage,
    /// How long the snapshot is.
    base: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The new file lags behind.
    Behind,
    /// Records are written to both files.
    Both,
    /// The new file has taken the old one's place.
    Settling,
}

/// Work for a thread that may block.
#[derive(Debug)]
pub struct CompactionJob {
    path: PathBuf,
    target: Arc<Target>,
    work: Work,
}

#[derive(Debug)]
enum Work {
    Snapshot {
        db: Box<Db>,
        date_ms: u64,
    },
    Append {
        bytes: Vec<u8>,
        offset: u64,
    },
    Flush,
    /// The old file is closed there as well: giving its space back takes time.
    Settle {
        _old: Arc<Target>,
    },
}

/// What came of a job.
#[derive(Debug)]
pub struct CompactionJobDone {
    target: Arc<Target>,
    result: Result<u64, LogError>,
}

/// What a compaction needs next.
#[derive(Debug)]
pub enum CompactionStep {
    /// A job to be run, and [`Log::compaction_step`] to be called with what came of it.
    Run(CompactionJob),
    /// The compacted log is in use and on stable storage.
    Done,
    /// The job belonged to a compaction that was given up.
    Stale,
}

impl CompactionJob {
    /// Does the work. Takes as long as the disk needs.
    pub fn run(self) -> CompactionJobDone {
        let result = self.work();
        let target = self.target;
        CompactionJobDone { target, result }
    }

    /// Returns how many bytes were written.
    fn work(&self) -> Result<u64, LogError> {
        let write = |bytes: &[u8], offset| {
            let written = self.target.write(bytes, offset);
            written.map_err(|failed| io_error(&self.path, "write it")(failed.source))?;
            Ok(bytes.len() as u64)
        };
        let length = match &self.work {
            Work::Snapshot { db, date_ms } => write(&snapshot(db, *date_ms), 0)?,
            Work::Append { bytes, offset } => write(bytes, *offset)?,
            Work::Flush | Work::Settle { .. } => 0,
        };
        self.target.sync()?;
        Ok(length)
    }
}

impl Compaction {
    /// Takes note of a record that was written to the log.
    pub(super) fn record(&mut self, bytes: &[u8]) -> Result<(), WriteFailed> {
        match self.stage {
            Stage::Behind => self.since.extend_from_slice(bytes),
            Stage::Both => {
                self.target.write(bytes, self.end)?;
                self.end += bytes.len() as u64;
            }
            Stage::Settling => {}
        }
        Ok(())
    }

    /// The new file, when a flush must cover it.
    pub(super) fn mirror(&self) -> Option<Arc<Target>> {
        (self.stage == Stage::Both).then(|| Arc::clone(&self.target))
    }
}

impl Log {
    /// Starts to rewrite the log with the database's present contents alone; `None` if that is
    /// under way already. The log can be used meanwhile.
    ///
    /// # Errors
    /// If no file can be made beside the log.
    pub fn begin_compaction(
        &mut self,
        db: &Db,
        date_ms: u64,
    ) -> Result<Option<CompactionJob>, LogError> {
        if self.compaction.is_some() {
            return Ok(None);
        }
        let target = Arc::new(self.new_target()?);
        self.compaction = Some(Compaction {
            target: Arc::clone(&target),
            end: 0,
            since: Vec::new(),
            stage: Stage::Behind,
            base: 0,
        });
        let (path, db) = (temporary(&self.path), Box::new(db.clone()));
        Ok(Some(CompactionJob {
            path,
            target,
            work: Work::Snapshot { db, date_ms },
        }))
    }

    /// Goes on with a compaction.
    ///
    /// # Errors
    /// If something can't be written. The compaction is given up then, and the log goes on as it
    /// was.
    pub fn compaction_step(&mut self, done: CompactionJobDone) -> Result<CompactionStep, LogError> {
        let mut compaction = match self.compaction.take() {
            Some(compaction) if Arc::ptr_eq(&compaction.target, &done.target) => compaction,
            other => {
                self.compaction = other;
                return Ok(CompactionStep::Stale);
            }
        };
        let stepped = done
            .result
            .and_then(|length| self.step(&mut compaction, length));
        match stepped {
            Ok(Some(work)) => {
                let (path, target) = (temporary(&self.path), Arc::clone(&compaction.target));
                self.compaction = Some(compaction);
                Ok(CompactionStep::Run(CompactionJob { path, target, work }))
            }
            Ok(None) => Ok(CompactionStep::Done),
            Err(error) => {
                if compaction.stage != Stage::Settling {
                    self.forget_temporary();
                }
                Err(error)
            }
        }
    }

    fn step(&mut self, compaction: &mut Compaction, length: u64) -> Result<Option<Work>, LogError> {
        match compaction.stage {
            Stage::Behind => {
                compaction.end += length;
                if compaction.base == 0 {
                    compaction.base = length;
                }
                let (bytes, offset) = (std::mem::take(&mut compaction.since), compaction.end);
                if bytes.len() > MUCH {
                    return Ok(Some(Work::Append { bytes, offset }));
                }
                let written = compaction.target.write(&bytes, offset);
                let path = temporary(&self.path);
                written.map_err(|failed| io_error(&path, "write it")(failed.source))?;
                compaction.end += bytes.len() as u64;
                compaction.stage = Stage::Both;
                Ok(Some(Work::Flush))
            }
            Stage::Both => {
                // A flush of both files may have failed since.
                compaction.target.check()?;
                let _old = self.take_place(&compaction.target, compaction.end, compaction.base)?;
                compaction.stage = Stage::Settling;
                Ok(Some(Work::Settle { _old }))
            }
            Stage::Settling => Ok(None),
        }
    }

    /// Gives a compaction up, if one is under way.
    pub(super) fn abandon_compaction(&mut self) {
        if let Some(compaction) = self.compaction.take()
            && compaction.stage != Stage::Settling
        {
            self.forget_temporary();
        }
    }

    /// Rewrites the log at once, as [`Log::begin_compaction`] does beside the work; with a
    /// database of another schema, too. On return all of it is on stable storage.
    ///
    /// # Errors
    /// If the new file can't be written; the log then goes on as it was.
    pub fn rewrite(&mut self, db: &Db, date_ms: u64) -> Result<(), LogError> {
        self.abandon_compaction();
        let bytes = snapshot(db, date_ms);
        let target = replace(&self.disk, &self.path, &bytes)?;
        let length = bytes.len() as u64;
        self.switched(&target, length, length);
        target.sync()
    }

    fn new_target(&self) -> Result<Target, LogError> {
        let temporary = temporary(&self.path);
        let file = self
            .disk
            .create(&temporary, &self.path)
            .map_err(io_error(&temporary, "make it"))?;
        Ok(Target::new(&self.disk, &self.path, file))
    }

    /// Makes the new file the log, and returns the old one. The new one's name must still be put
    /// on stable storage, which the next flush does.
    fn take_place(
        &mut self,
        target: &Arc<Target>,
        end: u64,
        base: u64,
    ) -> Result<Arc<Target>, LogError> {
        let temporary = temporary(&self.path);
        self.disk
            .rename(&temporary, &self.path)
            .map_err(io_error(&temporary, "put it in the log's place"))?;
        target.renamed();
        Ok(self.switched(target, end, base))
    }

    fn forget_temporary(&self) {
        discard(&self.disk, &temporary(&self.path));
    }
}

/// Puts a file with new contents in the place of another, or of none, at once. All but its name
/// is on stable storage then.
pub(super) fn replace(
    disk: &Arc<dyn Disk>,
    path: &Path,
    bytes: &[u8],
) -> Result<Arc<Target>, LogError> {
    let temporary = temporary(path);
    let file = disk.create(&temporary, path);
    let file = file.map_err(io_error(&temporary, "make it"))?;
    let target = Arc::new(Target::new(disk, path, file));
    let written = target
        .write(bytes, 0)
        .map_err(|failed| io_error(&temporary, "write it")(failed.source))
        .and_then(|()| target.sync())
        .and_then(|()| {
            let renamed = disk.rename(&temporary, path);
            renamed.map_err(io_error(&temporary, "put it in the log's place"))
        });
    if let Err(error) = written {
        discard(disk, &temporary);
        return Err(error);
    }
    target.renamed();
    Ok(target)
}

/// Where a new file is written before it takes the place of the log.
pub(super) fn temporary(path: &Path) -> PathBuf {
    with_suffix(path, ".tmp")
}

fn discard(disk: &Arc<dyn Disk>, path: &Path) {
    if let Err(error) = disk.remove(path) {
        tracing::warn!("{}: can't remove it: {error}", path.display());
    }
}
