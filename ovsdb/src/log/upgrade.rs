//! Opening the database of an earlier version.
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use uuid::Uuid;

use super::disk::with_suffix;
use super::error::{LogError, io_error};
use super::file::Log;
use crate::db::Db;
use crate::schema::DatabaseSchema;

/// The database with a schema that covers the one wanted: its own, if it does, else the wanted
/// one, if that is a later version. The log is rewritten then, and its `bytes` kept beside it.
pub(super) fn upgrade(
    log: &mut Log,
    db: Db,
    bytes: &[u8],
    wanted: &Arc<DatabaseSchema>,
) -> Result<Db, LogError> {
    let found = Arc::clone(db.schema());
    let Some(missing) = found.lacks(wanted) else {
        return Ok(db);
    };
    if found.name != wanted.name || found.version_numbers() >= wanted.version_numbers() {
        let words = |s: &DatabaseSchema| format!("{} {}", s.name, s.version);
        return Err(LogError::OtherSchema {
            path: log.path.clone(),
            found: words(&found),
            wanted: words(wanted),
            missing,
        });
    }
    let (from, to) = (found.version.to_string(), wanted.version.to_string());
    let new = db.convert(wanted, &mut Uuid::new_v4);
    let new = new.map_err(|source| LogError::Upgrade {
        path: log.path.clone(),
        from: from.clone(),
        to: to.clone(),
        source: Box::new(source),
    })?;
    let backup = back_up(log, &found, bytes)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now_ms = now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(0));
    log.rewrite(&new, now_ms)?;
    tracing::warn!(
        "{}: upgraded from schema version {from} to {to}; it is kept as it was in {}",
        log.path.display(),
        backup.display()
    );
    Ok(new)
}

/// Keeps the log under the name that OVS's scripts give it, and a number if that is taken.
fn back_up(log: &Log, schema: &DatabaseSchema, bytes: &[u8]) -> Result<PathBuf, LogError> {
    let checksum = schema.to_json()["cksum"].as_str().unwrap_or_default();
    let first = checksum.split(' ').next().unwrap_or_default();
    let name = with_suffix(&log.path, &format!(".backup{}-{first}", schema.version));
    let mut backup = name.clone();
    for number in 1.. {
        let there = log.disk.len(&backup);
        if there.map_err(io_error(&backup, "look at it"))?.is_none() {
            break;
        }
        backup = with_suffix(&name, &format!(".{number}"));
    }
    log.keep(&backup, bytes)?;
    Ok(backup)
}
