//! What can be wrong with a log.
use std::path::{Path, PathBuf};

use super::record::Fault;
use crate::db::{ConvertError, ReplayError};
use crate::schema::SchemaError;

/// What can be done about a log that has so many intact records in front of the damage.
fn salvage_advice(intact: usize) -> String {
    match intact {
        0 => {
            "No record in front of that can be saved: put a copy in its place, or move it away to \
              begin with an empty database"
                .to_owned()
        }
        _ => format!(
            "`vswitchd --salvage-db OUT` writes the intact {intact} records before it to a new file"
        ),
    }
}

/// A log that can't be used, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The operating system refused.
    #[error("{}: can't {action}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A flush has failed, and the log has not been written anew since.
    #[error(
        "{}: can't be relied on since a flush failed ({reason}); changes are refused until it \
         could be written anew, which is tried again every second",
        path.display()
    )]
    Untrusted {
        /// The file.
        path: PathBuf,
        /// What the operating system said of the flush.
        reason: String,
    },
    /// Another process has the database open.
    #[error(
        "{path}: another process has this database open: stop it (`fuser -v {path}` tells which), or \
         name another file with --db",
        path = .0.display()
    )]
    Locked(PathBuf),
    /// The file holds something else than a database.
    #[error(
        "{}: not a standalone OVSDB database: {found}. Name another file with --db, or move this one \
         away to begin with an empty database",
        path.display()
    )]
    NotADatabase {
        /// The file.
        path: PathBuf,
        /// How it starts.
        found: String,
    },
    /// A record within the file is damaged.
    #[error(
        "{}: damaged at byte {offset}; the file is left as it is. {}",
        path.display(),
        salvage_advice(*intact)
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the damaged record starts, in bytes.
        offset: u64,
        /// How many records before it are intact.
        intact: usize,
        /// What is wrong there.
        source: Fault,
    },
    /// A record is intact but doesn't fit the database.
    #[error(
        "{}: the record at byte {offset} doesn't fit the database; the file is left as it is. \
         `vswitchd --salvage-db OUT` writes the intact {intact} records before it to a new file",
        path.display()
    )]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Where the record starts, in bytes.
        offset: u64,
        /// How many records before it can be used.
        intact: usize,
        /// What doesn't fit.
        source: Box<ReplayError>,
    },
    /// The first record is no schema.
    #[error("{}: the schema can't be used", path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: SchemaError,
    },
    /// The file's schema is another than the one asked for.
    #[error(
        "{}: holds {found} where {wanted} is needed, and lacks {missing}; the file is left as it \
         is. `ovsdb-tool convert FILE SCHEMA` gives it another schema",
        path.display()
    )]
    OtherSchema {
        /// The file.
        path: PathBuf,
        /// Name and version of its schema.
        found: String,
        /// Name and version of the schema asked for.
        wanted: String,
        /// The first thing that is needed and not there.
        missing: String,
    },
    /// A database of an earlier schema has contents that the present one has no place for.
    #[error(
        "{}: can't be upgraded from {from} to {to}; the file is left as it is. Change what is named \
         with a switch of the earlier version, or start with another file (`--db`)",
        path.display()
    )]
    Upgrade {
        /// The file.
        path: PathBuf,
        /// Its version.
        from: String,
        /// The version needed.
        to: String,
        /// What has no place.
        source: Box<ConvertError>,
    },
}

pub(super) fn io_error(
    path: &Path,
    action: &'static str,
) -> impl FnOnce(std::io::Error) -> LogError {
    let path = path.to_owned();
    move |source| LogError::Io {
        path,
        action,
        source,
    }
}
