//! Records of a log as bytes. Pure.
use std::fmt::Write;

use serde_json::Value;
use sha1::{Digest, Sha1};

use crate::db::{Change, Db, Delta};
use crate::row::Row;
use crate::schema::ColumnType;
use crate::value::{AtomType, write_string, write_uuid};

/// What every header starts with.
const MAGIC: &str = "OVSDB JSON ";
/// No header is longer: magic, 20 digits, a blank, 40 hexadecimal digits, a line feed.
const MAX_HEADER: usize = 80;

/// A record and where it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Offset of its header in bytes.
    pub offset: u64,
    /// Its contents.
    pub json: Value,
}

/// Why a log can't be read on from some offset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The file ends within its last record: a write that never finished.
    #[error("the last record is incomplete")]
    Torn,
    /// This is not a record's header.
    #[error("no record starts here")]
    Header,
    /// Blocks of this record were never written, as can happen when the power fails: the bytes
    /// there are NULs, which no record has.
    #[error("blocks of the record were never written")]
    Unwritten,
    /// The contents are not what was written.
    #[error("the record's checksum doesn't match its contents")]
    Checksum,
    /// The contents are not JSON.
    #[error("the record is not JSON: {0}")]
    Json(String),
}

/// Reads the records of a log one after the other.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
    failed: bool,
}

impl<'a> Reader<'a> {
    /// Reads a whole log.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            offset: 0,
            failed: false,
        }
    }

    /// Offset of the next record, or of the one that has a fault.
    pub fn offset(&self) -> u64 {
        self.offset as u64
    }

    fn read(&mut self) -> Result<Record, Fault> {
        let rest = self.bytes.get(self.offset..).unwrap_or_default();
        let head = &rest[..rest.len().min(MAX_HEADER)];
        let header = match head.iter().position(|b| *b == b'\n') {
            Some(end) => &head[..end],
            None if is_unwritten(rest) || rest.len() < MAX_HEADER && is_prefix(rest) => {
                return Err(Fault::Torn);
            }
            None => head,
        };
        let header_fault = || {
            if header.contains(&0) {
                Fault::Unwritten
            } else {
                Fault::Header
            }
        };
        let (length, sha1) = parse_header(header).ok_or_else(header_fault)?;
        let start = header.len() + 1;
        let end = start.checked_add(length).ok_or(Fault::Header)?;
        let Some(body) = rest.get(start..end) else {
            // A record is one line: with a second one in sight, it is the length that is wrong.
            let rest = rest.get(start..).unwrap_or_default();
            return Err(match rest.contains(&b'\n') {
                true if rest.contains(&0) => Fault::Unwritten,
                true => Fault::Header,
                false => Fault::Torn,
            });
        };
        if hex_sha1(body) != sha1 {
            return Err(match body.contains(&0) {
                true if end == rest.len() => Fault::Torn,
                true => Fault::Unwritten,
                false => Fault::Checksum,
            });
        }
        let json = serde_json::from_slice(body).map_err(|e| Fault::Json(e.to_string()))?;
        let offset = self.offset();
        self.offset += end;
        Ok(Record { offset, json })
    }
}

/// Ends at the end of the log, or with its first fault.
impl Iterator for Reader<'_> {
    type Item = Result<Record, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.offset >= self.bytes.len() {
            return None;
        }
        let record = self.read();
        self.failed = record.is_err();
        Some(record)
    }
}

/// Whether some header starts so.
fn is_prefix(bytes: &[u8]) -> bool {
    let magic = MAGIC.as_bytes();
    let rest = bytes.get(magic.len()..).unwrap_or_default();
    magic.starts_with(&bytes[..bytes.len().min(magic.len())])
        && rest.iter().all(|b| *b == b' ' || b.is_ascii_hexdigit())
}

fn is_unwritten(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| *b == 0)
}

fn parse_header(line: &[u8]) -> Option<(usize, &str)> {
    let (length, sha1) = std::str::from_utf8(line)
        .ok()?
        .strip_prefix(MAGIC)?
        .split_once(' ')?;
    (sha1.len() == 40).then_some((length.parse().ok()?, sha1))
}

fn hex_sha1(body: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or_default();
    let digest = Sha1::digest(body);
    let digits = digest.iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]);
    digits.collect()
}

/// A record's bytes. Reals have all their digits, other than on the wire: with fewer, two elements
/// of a set might become equal.
pub fn encode(json: &Value) -> Vec<u8> {
    record(&format!("{json}\n"))
}

fn record(body: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(MAX_HEADER + body.len());
    write_record(body, &mut bytes);
    bytes
}

fn write_record(body: &str, out: &mut Vec<u8>) {
    let head = format!("{MAGIC}{} {}\n", body.len(), hex_sha1(body.as_bytes()));
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(body.as_bytes());
}

/// The record of a transaction at a time in milliseconds since 1970, as bytes; `None` if it
/// changed nothing but ephemeral columns.
pub fn encode_transaction(delta: &Delta, date_ms: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    append_transaction(delta, date_ms, &mut bytes).then_some(bytes)
}

/// As [`encode_transaction`], behind other records; false if there is nothing to write.
pub(crate) fn append_transaction(delta: &Delta, date_ms: u64, out: &mut Vec<u8>) -> bool {
    let body = transaction_body(delta, date_ms);
    if let Some(body) = &body {
        write_record(body, out);
    }
    body.is_some()
}

fn transaction_body(delta: &Delta, date_ms: u64) -> Option<String> {
    let mut body = String::with_capacity(256);
    let mut open = None;
    let as_differences = delta.changes.iter().all(has_clear_differences);
    for change in &delta.changes {
        let mark = body.len();
        match open {
            Some(table) if table == change.table_at => body.push(','),
            _ => {
                body.push_str(if open.is_some() { "}," } else { "{" });
                write_string(&change.table, &mut body);
                body.push_str(":{");
            }
        }
        write_uuid(change.uuid, &mut body);
        body.push(':');
        if write_change(change, as_differences, &mut body) {
            open = Some(change.table_at);
        } else {
            body.truncate(mark);
        }
    }
    open?;
    body.push_str("},");
    if let Some(comment) = &delta.comment {
        body.push_str("\"_comment\":");
        write_string(comment, &mut body);
        body.push(',');
    }
    let _ = write!(body, "\"_date\":{date_ms}");
    body.push_str(if as_differences {
        ",\"_is_diff\":true}\n"
    } else {
        "}\n"
    });
    Some(body)
}

/// A whole log without history: the schema, and one record with everything that lasts.
pub(super) fn snapshot(db: &Db, date_ms: u64) -> Vec<u8> {
    let mut bytes = encode(db.schema().to_json());
    // One row after the other: a tree of all of them would take many times the space.
    let mut body = String::new();
    for table in db.tables().filter(|table| !table.is_empty()) {
        body.push(',');
        write_string(&table.schema().name, &mut body);
        body.push_str(":{");
        for (n, row) in table.rows().enumerate() {
            if n > 0 {
                body.push(',');
            }
            write_uuid(row.uuid(), &mut body);
            body.push(':');
            write_columns(row, None, false, &mut body);
        }
        body.push('}');
    }
    if !body.is_empty() {
        let comment = "\"_comment\":\"compacting database online\"";
        let head = format!("{{{comment},\"_date\":{date_ms},\"_is_diff\":true");
        bytes.extend(record(&format!("{head}{body}}}\n")));
    }
    bytes
}

/// Whether the programs of OVS 3.1 understand the differences of a row's columns. They refuse
/// those with more elements than the column may have, though they write them, and take a
/// difference from the default of a set that is never empty for the new value.
fn has_clear_differences(change: &Change) -> bool {
    let (Some(old), Some(new)) = (&change.old, &change.new) else {
        return true;
    };
    let mut columns = new.schema().columns.iter().enumerate();
    columns.all(|(at, column)| {
        let (old, new, ty) = (old.at(at), new.at(at), &column.ty);
        let is_many = ty.max > 1 && !column.ephemeral && old != new;
        let fits = || ty.max == usize::MAX || new.diff_from(old, ty).len() <= ty.max;
        !is_many || fits() && !(ty.min == 1 && old.is_default(ty))
    })
}

/// Writes what a record says of a row; false if nothing that lasts has changed.
fn write_change(change: &Change, as_differences: bool, out: &mut String) -> bool {
    match &change.new {
        Some(new) => {
            let old = change.old.as_deref();
            write_columns(new, old, as_differences, out) || old.is_none()
        }
        None => {
            out.push_str("null");
            true
        }
    }
}

/// Whether values of a type have more digits than other texts show.
fn has_reals(ty: &ColumnType) -> bool {
    let bases = [Some(&ty.key), ty.value.as_ref()].into_iter().flatten();
    bases.into_iter().any(|base| base.ty == AtomType::Real)
}

/// Writes the columns of a row that last and are not at their default, or those that differ from
/// an older state, as differences or as they are; false if there are none.
fn write_columns(row: &Row, old: Option<&Row>, as_differences: bool, out: &mut String) -> bool {
    out.push('{');
    let start = out.len();
    let all = row.schema().columns.iter().enumerate();
    for (at, column) in all.filter(|(_, c)| !c.ephemeral) {
        let value = row.at(at);
        let unchanged = match old {
            None => value.is_default(&column.ty),
            Some(old) => old.at(at) == value,
        };
        if unchanged {
            continue;
        }
        if out.len() > start {
            out.push(',');
        }
        write_string(&column.name, out);
        out.push(':');
        match old {
            Some(old) if as_differences && !has_reals(&column.ty) => {
                value.write_difference(old.at(at), &column.ty, out);
            }
            Some(old) if as_differences => {
                value.diff_from(old.at(at), &column.ty).write_exact(out);
            }
            _ => value.write_exact(out),
        }
    }
    let any = out.len() > start;
    out.push('}');
    any
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn log() -> Vec<u8> {
        [json!({"name": "a"}), json!({"b": 1}), json!({"c": 2})]
            .iter()
            .flat_map(encode)
            .collect()
    }

    #[test]
    fn records_read_back() {
        let log = log();
        let records: Vec<Record> = Reader::new(&log).map(Result::unwrap).collect();
        assert_eq!(records.len(), 3);
        assert_eq!((records[0].offset, &records[2].json), (0, &json!({"c": 2})));
    }

    #[test]
    fn a_header_is_as_ovs_writes_it() {
        // Written by ovsdb-server 3.1.
        let body = r#"{"_date":1795352035334,"QoS":{"f9869a59-53b5-48f3-80dd-24713f729e20":{}},"_is_diff":true}"#;
        let text = format!("OVSDB JSON 90 03bf7e799a9b288ff5b6526f685c55bffedf854a\n{body}\n");
        let json: Value = serde_json::from_str(body).unwrap();
        assert_eq!(String::from_utf8(encode(&json)).unwrap(), text);
    }

    #[test]
    fn any_cut_within_the_last_record_is_torn_and_nothing_else_is() {
        let log = log();
        let last = log.len() - encode(&json!({"c": 2})).len();
        for cut in last + 1..log.len() {
            let mut reader = Reader::new(&log[..cut]);
            let faults: Vec<Fault> = reader.by_ref().filter_map(Result::err).collect();
            assert_eq!(
                (faults, reader.offset()),
                (vec![Fault::Torn], last as u64),
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn unwritten_blocks_at_the_end_are_torn() {
        let mut log = log();
        let end = log.len();
        log.extend([0; 100]);
        let mut reader = Reader::new(&log);
        assert_eq!(reader.nth(3), Some(Err(Fault::Torn)));
        assert_eq!(reader.offset(), end as u64);
    }

    #[test]
    fn a_flipped_bit_is_a_fault_at_its_record() {
        let second = encode(&json!({"name": "a"})).len();
        for at in second..second + encode(&json!({"b": 1})).len() - 1 {
            let mut log = log();
            log[at] ^= 1;
            let mut reader = Reader::new(&log);
            let fault = reader.by_ref().find_map(Result::err).expect("a fault");
            assert_ne!(fault, Fault::Torn, "bit in byte {at}");
            assert_eq!(reader.offset(), second as u64);
        }
    }
}
