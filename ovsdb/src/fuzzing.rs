//! Entries for fuzzers. Each takes any bytes and panics if a promise of this crate is broken;
//! the corpora under `corpus/` are replayed by the tests.
#![allow(clippy::panic)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::db::{Context, Db, Execution};
use crate::jsonrpc::{Framer, Message, StreamError};
use crate::log::{Reader, Record, encode, encode_transaction, parse_log};
use crate::monitor::{Monitor, MonitorVersion};
use crate::schema::DatabaseSchema;
use crate::value::Datum;

/// A stream yields the same messages however it is cut, and what it yields has a text that
/// survives being read and written again.
pub fn json_stream(bytes: &[u8]) {
    let whole = messages(bytes, bytes.len().max(1));
    let pieces = messages(bytes, 1);
    assert_eq!(whole, pieces, "cutting a stream changes it");
    for message in whole.0 {
        let text = message.to_text();
        let (again, _) = messages(text.as_bytes(), 7);
        let texts: Vec<String> = again.iter().map(Message::to_text).collect();
        assert_eq!(texts, [text], "a message changes on its way");
    }
}

fn messages(bytes: &[u8], step: usize) -> (Vec<Message>, Option<StreamError>) {
    let (mut framer, mut messages) = (Framer::default(), Vec::new());
    for chunk in bytes.chunks(step) {
        framer.push(chunk);
        loop {
            match framer.next_message() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
    }
    (messages, None)
}

/// Transactions, one array of operations a line, leave references and indexes in order, can be
/// taken back, and are told by the log and by monitors as they are.
pub fn transact(bytes: &[u8]) {
    let mut db = small_database();
    let all: Value = db
        .schema()
        .tables
        .iter()
        .map(|t| (t.name.to_string(), json!({})))
        .collect();
    let monitor = match Monitor::from_json(&all, MonitorVersion::V1, &DatabaseSchema::vswitch()) {
        Ok(monitor) => monitor,
        Err(error) => panic!("a monitor of everything: {error}"),
    };
    let mut next = 1000;
    for line in bytes.split(|b| *b == b'\n') {
        let Ok(Value::Array(operations)) = serde_json::from_slice(line) else {
            continue;
        };
        let before = contents(&db);
        let mut logged = db.clone();
        let Execution::Done(outcome) = run(&mut db, &operations, &mut next) else {
            assert_eq!(contents(&db), before, "a blocked transaction has an effect");
            continue;
        };
        audit(&db);
        let failed = outcome.results.iter().any(|r| r.get("error").is_some());
        assert!(
            !failed || outcome.delta.is_empty(),
            "a failed transaction has an effect"
        );
        assert_eq!(
            monitor.update(&outcome.delta).is_none(),
            outcome.delta.is_empty()
        );
        let mut undone = db.clone();
        undone.revert(&outcome.delta);
        audit(&undone);
        assert_eq!(
            contents(&undone),
            before,
            "a transaction can't be taken back"
        );
        if let Some(bytes) = encode_transaction(&outcome.delta, 0) {
            let Some(Ok(Record { json: record, .. })) = Reader::new(&bytes).next() else {
                panic!("own record unreadable: {}", String::from_utf8_lossy(&bytes));
            };
            assert_eq!(encode(&record), bytes, "a record changes on its way");
            if let Err(error) = logged.replay(&record, &mut Uuid::new_v4) {
                panic!("own record refused: {error}: {record}");
            }
        }
        assert_eq!(
            lasting(&logged),
            lasting(&db),
            "the log tells another story"
        );
    }
}

/// A log is read, or refused with the place of the fault; what could be read can be written.
/// Bytes that don't start like a log are taken for the bodies of records, one a line, so that
/// checksums don't keep a fuzzer out.
pub fn log_file(bytes: &[u8]) {
    if !bytes.starts_with(b"OVSDB") {
        let bodies = bytes
            .split(|b| *b == b'\n')
            .map_while(|l| serde_json::from_slice(l).ok());
        let log: Vec<u8> = bodies.flat_map(|body: Value| encode(&body)).collect();
        if !log.is_empty() {
            log_file(&log);
        }
        return;
    }
    let mut reader = Reader::new(bytes);
    let records: Vec<_> = reader.by_ref().map_while(Result::ok).collect();
    let end = usize::try_from(reader.offset()).unwrap_or(usize::MAX);
    assert!(end <= bytes.len(), "the reader is beyond the end");
    let again: Vec<u8> = records
        .iter()
        .flat_map(|record| encode(&record.json))
        .collect();
    let reread: Vec<_> = Reader::new(&again)
        .map_while(Result::ok)
        .map(|r| r.json)
        .collect();
    let records: Vec<_> = records.into_iter().map(|r| r.json).collect();
    assert_eq!(reread, records, "records change on their way");
    if let Ok(db) = parse_log(Path::new("fuzz"), bytes) {
        audit(&db);
    }
}

/// A schema is read, or refused with the place of the fault; one that was read survives being
/// written and read again, and a database can be made of it.
pub fn schema(bytes: &[u8]) {
    let Ok(json) = serde_json::from_slice::<Value>(bytes) else {
        return;
    };
    let Ok(schema) = DatabaseSchema::from_json(json) else {
        return;
    };
    let written = schema.to_json().clone();
    match DatabaseSchema::from_json(written) {
        Ok(again) => assert_eq!(again, schema, "a schema changes on its way"),
        Err(error) => panic!("own schema refused: {error}"),
    }
    assert!(schema.covers(&schema), "a schema has less than itself");
    let mut db = Db::new(Arc::new(schema));
    let tables: Vec<Value> = db.schema().tables.iter().map(|t| json!(&*t.name)).collect();
    let insert = |table: &Value| json!([{"op": "insert", "table": table, "row": {}}]);
    let mut next = 0;
    for operations in tables.iter().map(insert) {
        let operations = operations.as_array().map_or(&[][..], Vec::as_slice);
        run(&mut db, operations, &mut next);
        audit(&db);
    }
}

type Contents = BTreeMap<(String, Uuid), Vec<Datum>>;

fn contents(db: &Db) -> Contents {
    let rows = db
        .tables()
        .flat_map(|t| t.rows().map(|r| (t.schema().name.to_string(), r)));
    rows.map(|(name, row)| ((name, row.uuid()), row.values().to_vec()))
        .collect()
}

/// The contents that are in the log.
fn lasting(db: &Db) -> Contents {
    let mut all = contents(db);
    for ((table, _), values) in &mut all {
        let Some(schema) = db.schema().table(table) else {
            continue;
        };
        let mut columns = schema.columns.iter();
        values.retain(|_| columns.next().is_some_and(|c| !c.ephemeral));
    }
    all
}

fn audit(db: &Db) {
    if let Err(problem) = db.audit() {
        panic!("{problem}");
    }
}

fn run(db: &mut Db, operations: &[Value], next: &mut u128) -> Execution {
    let mut context = Context {
        new_uuid: &mut || {
            *next += 1;
            Uuid::from_u128(*next)
        },
        holds_lock: &|_| false,
        waited_ms: 0,
        read_only: false,
    };
    db.transact(operations, &mut context)
}

/// A bridge with a port, a mirror and a queue.
fn small_database() -> Db {
    let mut db = Db::new(DatabaseSchema::vswitch());
    let operations = json!([
        {"op": "insert", "table": "Open_vSwitch", "row": {"bridges": ["named-uuid", "b"]}},
        {"op": "insert", "table": "Bridge", "uuid-name": "b", "row": {
            "name": "br0", "ports": ["named-uuid", "p"], "mirrors": ["named-uuid", "m"]}},
        {"op": "insert", "table": "Mirror", "uuid-name": "m", "row": {
            "name": "m0", "output_port": ["named-uuid", "p"]}},
        {"op": "insert", "table": "Port", "uuid-name": "p", "row": {
            "name": "p0", "interfaces": ["named-uuid", "i"], "qos": ["named-uuid", "q"]}},
        {"op": "insert", "table": "Interface", "uuid-name": "i", "row": {"name": "p0"}},
        {"op": "insert", "table": "QoS", "uuid-name": "q", "row": {
            "queues": ["map", [[0, ["named-uuid", "u"]]]]}},
        {"op": "insert", "table": "Queue", "uuid-name": "u", "row": {"dscp": 1}},
    ]);
    let operations = operations.as_array().map_or(&[][..], Vec::as_slice);
    run(&mut db, operations, &mut 0);
    audit(&db);
    db
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Replays every file of a corpus.
    fn replay(corpus: &str, entry: fn(&[u8])) {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("corpus")
            .join(corpus);
        let mut count = 0;
        for file in std::fs::read_dir(directory).unwrap() {
            entry(&std::fs::read(file.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(count > 0, "the corpus {corpus} is empty");
    }

    #[test]
    fn streams_of_the_corpus() {
        replay("json_stream", json_stream);
    }

    #[test]
    fn transactions_of_the_corpus() {
        replay("transact", transact);
    }

    #[test]
    fn logs_of_the_corpus() {
        replay("log_file", log_file);
    }

    #[test]
    fn schemas_of_the_corpus() {
        replay("schema", schema);
    }

    /// Mutates the files of a corpus a little, as a fuzzer would.
    /// `AORTA_FUZZ_ROUNDS` sets how often, for a long run without a fuzzer.
    fn smoke(corpus: &str, rounds: u64, entry: fn(&[u8])) {
        let wanted = std::env::var("AORTA_FUZZ_ROUNDS").ok();
        let rounds = wanted.map_or(rounds, |text| text.parse().unwrap());
        let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("corpus")
            .join(corpus);
        let mut files: Vec<_> = std::fs::read_dir(directory)
            .unwrap()
            .map(|f| f.unwrap().path())
            .collect();
        files.sort();
        let mut random = 0x9e37_79b9_7f4a_7c15u64;
        let mut draw = |below: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            usize::try_from(random % below as u64).unwrap()
        };
        for file in files {
            let original = std::fs::read(file).unwrap();
            for _ in 0..rounds {
                let mut bytes = original.clone();
                for _ in 0..=draw(4) {
                    if bytes.is_empty() {
                        break;
                    }
                    let at = draw(bytes.len());
                    match draw(4) {
                        0 => bytes[at] = u8::try_from(draw(256)).unwrap(),
                        1 => bytes[at] = b"0123456789[]{},\":eE-_abx"[draw(24)],
                        2 => drop(bytes.drain(at..(at + draw(20)).min(bytes.len()))),
                        _ => bytes.truncate(at.max(1)),
                    }
                }
                entry(&bytes);
            }
        }
    }

    #[test]
    fn mutated_streams() {
        smoke("json_stream", 300, json_stream);
    }

    #[test]
    fn mutated_transactions() {
        smoke("transact", 300, transact);
    }

    #[test]
    fn mutated_logs() {
        smoke("log_file", 200, log_file);
    }

    #[test]
    fn mutated_schemas() {
        smoke("schema", 1000, schema);
    }
}
