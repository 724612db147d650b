//! Logs on disk.
use std::fs::OpenOptions;

use super::*;
use crate::db::testing;
use crate::log::encode;
use crate::log::{Reader, salvage};
use serde_json::{Value, json};
use tempfile::TempDir;

struct Lab {
    directory: TempDir,
    log: Option<Log>,
    db: Db,
}

impl Lab {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let schema = DatabaseSchema::vswitch();
        let (log, db) = Log::open(&directory.path().join("conf.db"), &schema).unwrap();
        Self {
            directory,
            log: Some(log),
            db,
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("conf.db")
    }

    fn log(&mut self) -> &mut Log {
        self.log.as_mut().unwrap()
    }

    fn transact(&mut self, operations: Value) -> Delta {
        testing::transact(&mut self.db, &operations).delta
    }

    fn insert(&mut self, dscp: i64) {
        let op = json!([{"op": "insert", "table": "Queue", "row": {"dscp": dscp}}]);
        let delta = self.transact(op);
        assert!(self.log().append(&delta, 0).unwrap());
    }

    fn reopen(&mut self) -> Result<(), LogError> {
        self.log = None;
        let (log, db) = Log::open(&self.path(), &DatabaseSchema::vswitch())?;
        (self.log, self.db) = (Some(log), db);
        Ok(())
    }

    fn dscps(&self) -> Vec<i64> {
        let mut all: Vec<i64> = self
            .db
            .rows("Queue")
            .filter_map(|r| r.int("dscp"))
            .collect();
        all.sort_unstable();
        all
    }
}

#[test]
fn what_was_appended_is_there_after_reopening() {
    let mut lab = Lab::new();
    lab.insert(1);
    lab.insert(2);
    lab.reopen().unwrap();
    assert_eq!(lab.dscps(), [1, 2]);
    lab.insert(3);
    lab.reopen().unwrap();
    assert_eq!(lab.dscps(), [1, 2, 3]);
}

#[test]
fn a_torn_end_is_cut_off_and_written_over() {
    let mut lab = Lab::new();
    lab.insert(1);
    let whole = std::fs::metadata(lab.path()).unwrap().len();
    lab.insert(2);
    let torn = std::fs::metadata(lab.path()).unwrap().len() - 5;
    OpenOptions::new()
        .write(true)
        .open(lab.path())
        .unwrap()
        .set_len(torn)
        .unwrap();
    lab.reopen().unwrap();
    assert_eq!(
        (lab.dscps(), std::fs::metadata(lab.path()).unwrap().len()),
        (vec![1], whole)
    );
    lab.insert(3);
    lab.reopen().unwrap();
    assert_eq!(lab.dscps(), [1, 3]);
}

/// A file system may have written the later of two blocks only.
#[test]
fn what_is_behind_unwritten_blocks_is_kept_in_a_file_of_its_own() {
    let mut lab = Lab::new();
    lab.insert(1);
    let intact = usize::try_from(std::fs::metadata(lab.path()).unwrap().len()).unwrap();
    lab.insert(2);
    lab.insert(3);
    for holes in [intact..intact + 10, intact + 70..intact + 80] {
        let mut bytes = std::fs::read(lab.path()).unwrap();
        bytes[holes].fill(0);
        std::fs::write(lab.path(), &bytes).unwrap();
        lab.reopen().unwrap();
        assert_eq!(lab.dscps(), [1]);
        let kept = lab
            .directory
            .path()
            .join(format!("conf.db.cut-at-{intact}"));
        assert_eq!(std::fs::read(kept).unwrap(), bytes[intact..]);
        assert_eq!(std::fs::read(lab.path()).unwrap(), bytes[..intact]);
        lab.insert(2);
        lab.insert(3);
    }
}

#[test]
fn damage_is_located_kept_and_salvaged() {
    let mut lab = Lab::new();
    lab.insert(1);
    let intact = std::fs::metadata(lab.path()).unwrap().len();
    lab.insert(2);
    lab.insert(3);
    let mut bytes = std::fs::read(lab.path()).unwrap();
    bytes[usize::try_from(intact).unwrap() + 60] ^= 1;
    std::fs::write(lab.path(), &bytes).unwrap();
    let error = lab.reopen().unwrap_err();
    assert!(matches!(error, LogError::Damaged { offset, intact: 2, .. } if offset == intact));
    assert!(error.to_string().contains("--salvage-db"), "{error}");
    assert_eq!(std::fs::read(lab.path()).unwrap(), bytes);
    let out = lab.directory.path().join("out.db");
    let left = bytes.len() as u64 - intact;
    assert_eq!(salvage(&lab.path(), &out).unwrap(), (2, left));
    assert!(
        salvage(&lab.path(), &out).is_err(),
        "an existing file is not overwritten"
    );
    std::fs::rename(out, lab.path()).unwrap();
    lab.reopen().unwrap();
    assert_eq!(lab.dscps(), [1]);
}

#[test]
fn other_files_are_refused_and_kept() {
    for text in ["hello\n", "OVSDB CLUSTER 1 2\n", "{}"] {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("conf.db");
        std::fs::write(&path, text).unwrap();
        let error = Log::open(&path, &DatabaseSchema::vswitch()).unwrap_err();
        assert!(matches!(error, LogError::NotADatabase { .. }), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("conf.db");
    std::fs::write(&path, encode(DatabaseSchema::server().to_json())).unwrap();
    let error = Log::open(&path, &DatabaseSchema::vswitch()).unwrap_err();
    assert!(matches!(error, LogError::OtherSchema { .. }), "{error}");
}

#[test]
fn the_database_of_a_later_version_is_used_with_its_own_schema() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("conf.db");
    let mut json = DatabaseSchema::vswitch().to_json().clone();
    json["version"] = json!("8.9.0");
    json["tables"]["Queue"]["columns"]["novelty"] =
        json!({"type": {"key": "string", "min": 0, "max": 1}});
    let row = json!({"Queue": {"00000000-0000-4000-8000-000000000001": {"novelty": "kept"}}});
    std::fs::write(&path, [encode(&json), encode(&row)].concat()).unwrap();
    let (_log, db) = Log::open(&path, &DatabaseSchema::vswitch()).unwrap();
    assert_eq!(&*db.schema().version, "8.9.0");
    assert_eq!(
        db.rows("Queue").next().unwrap().str("novelty"),
        Some("kept")
    );
}

#[test]
fn a_new_database_is_made_whole_or_not_at_all() {
    let directory = TempDir::new().unwrap();
    let missing = directory.path().join("missing").join("conf.db");
    let error = Log::open(&missing, &DatabaseSchema::vswitch()).unwrap_err();
    assert!(matches!(error, LogError::Io { .. }), "{error}");
    let empty = directory.path().join("conf.db");
    std::fs::write(&empty, "").unwrap();
    let (log, _db) = Log::open(&empty, &DatabaseSchema::vswitch()).unwrap();
    assert_eq!(log.end, std::fs::metadata(&empty).unwrap().len());
    let left: Vec<_> = std::fs::read_dir(directory.path()).unwrap().collect();
    assert_eq!(left.len(), 2, "the database and its lock: {left:?}");
}

#[test]
fn a_database_is_open_once() {
    let lab = Lab::new();
    let again = Log::open(&lab.path(), &DatabaseSchema::vswitch());
    assert!(matches!(again, Err(LogError::Locked(_))));
}

#[test]
fn compaction_keeps_the_contents_and_drops_the_history() {
    let mut lab = Lab::new();
    lab.insert(1);
    for n in 0..100 {
        let ids = json!(["map", [["n", n.to_string()]]]);
        let delta = lab.transact(json!([
            {"op": "update", "table": "Queue", "where": [], "row": {"external_ids": ids}}
        ]));
        lab.log().append(&delta, 0).unwrap();
    }
    let before = std::fs::metadata(lab.path()).unwrap().len();
    let db = lab.db.clone();
    lab.log().rewrite(&db, 0).unwrap();
    let bytes = std::fs::read(lab.path()).unwrap();
    assert_eq!(Reader::new(&bytes).count(), 2);
    assert!((bytes.len() as u64) < before);
    lab.insert(2);
    lab.reopen().unwrap();
    assert_eq!(lab.dscps(), [1, 2]);
}
