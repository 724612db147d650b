//! From the bytes of a log to a database.
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use super::error::{LogError, io_error};
use super::record::{Fault, Reader};
use crate::db::Db;
use crate::schema::DatabaseSchema;

/// What is in a file.
pub(super) struct Contents {
    pub(super) db: Db,
    /// Offset behind the last intact record.
    pub(super) end: u64,
    /// Behind it is more than the beginning of one record.
    pub(super) has_more: bool,
}

pub(super) fn read_log(
    path: &Path,
    bytes: &[u8],
    known: Option<&Arc<DatabaseSchema>>,
) -> Result<Contents, LogError> {
    let mut reader = Reader::new(bytes);
    let mut db = Db::new(read_schema(path, bytes, &mut reader, known)?);
    let (mut intact, mut start) = (1, reader.offset());
    let mut has_more = false;
    let mut new_uuid = Uuid::new_v4;
    let unusable = |offset, intact, source| LogError::Unusable {
        source: Box::new(source),
        path: path.to_owned(),
        offset,
        intact,
    };
    while let Some(record) = reader.next() {
        match record {
            Ok(record) => db
                .replay(&record.json, &mut new_uuid)
                .map_err(|source| unusable(record.offset, intact, source))?,
            Err(Fault::Torn) => break,
            Err(Fault::Unwritten) => {
                has_more = true;
                break;
            }
            Err(source) => {
                let (path, offset) = (path.to_owned(), reader.offset());
                return Err(LogError::Damaged {
                    path,
                    offset,
                    intact,
                    source,
                });
            }
        }
        intact += 1;
        start = reader.offset();
    }
    db.finish_replay(&mut new_uuid)
        .map_err(|source| unusable(start, intact, source))?;
    Ok(Contents {
        db,
        end: start,
        has_more,
    })
}

fn read_schema(
    path: &Path,
    bytes: &[u8],
    reader: &mut Reader<'_>,
    known: Option<&Arc<DatabaseSchema>>,
) -> Result<Arc<DatabaseSchema>, LogError> {
    let json = match reader.next() {
        Some(Ok(record)) => record.json,
        Some(Err(source)) if bytes.starts_with(b"OVSDB JSON ") => {
            return Err(LogError::Damaged {
                path: path.to_owned(),
                offset: 0,
                intact: 0,
                source,
            });
        }
        _ => {
            return Err(LogError::NotADatabase {
                path: path.to_owned(),
                found: start_of(bytes),
            });
        }
    };
    let schema = DatabaseSchema::from_json(json).map_err(|source| LogError::Schema {
        path: path.to_owned(),
        source,
    })?;
    let known = known.filter(|known| {
        known.tables == schema.tables
            && known.name == schema.name
            && known.version == schema.version
    });
    // A schema that is in memory already needs no second copy.
    Ok(known.map_or_else(|| Arc::new(schema), Arc::clone))
}

/// What a file begins with, in words.
fn start_of(bytes: &[u8]) -> String {
    const SHOWN_BYTES: usize = 40;
    let line = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    let shown = &line[..line.len().min(SHOWN_BYTES)];
    let printable = |b: &u8| b.is_ascii_graphic() || *b == b' ';
    match std::str::from_utf8(shown) {
        _ if bytes.iter().all(u8::is_ascii_whitespace) => "it is empty".to_owned(),
        Ok(text) if shown.iter().all(printable) => format!("it begins with {text:?}"),
        _ => "it begins with bytes that are no text".to_owned(),
    }
}

/// Reads a whole log that is in memory; `path` is for errors alone.
///
/// # Errors
/// If it is damaged or doesn't fit its own schema.
pub fn parse_log(path: &Path, bytes: &[u8]) -> Result<Db, LogError> {
    read_log(path, bytes, None).map(|contents| contents.db)
}

/// Copies the records of `from` up to the first that can't be used to a new file `to`, and tells
/// how many there were and how many bytes were left behind.
///
/// # Errors
/// If `from` can't be read or has no schema, or if `to` exists or can't be written.
pub fn salvage(from: &Path, to: &Path) -> Result<(usize, u64), LogError> {
    let bytes = std::fs::read(from).map_err(io_error(from, "read it"))?;
    let mut reader = Reader::new(&bytes);
    let schema = read_schema(from, &bytes, &mut reader, None)?;
    let (mut db, mut count, mut end) = (Db::new(schema), 1, reader.offset());
    while let Some(Ok(record)) = reader.next() {
        if db.replay(&record.json, &mut Uuid::new_v4).is_err() {
            break;
        }
        (count, end) = (count + 1, reader.offset());
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o640);
    let mut file = options.open(to).map_err(io_error(to, "make it"))?;
    let intact = &bytes[..usize::try_from(end).unwrap_or(bytes.len())];
    let written = file.write_all(intact).and_then(|()| file.sync_all());
    written.map_err(io_error(to, "write it"))?;
    Ok((count, bytes.len() as u64 - end))
}
