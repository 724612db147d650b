//! What clients see of a disk that fails, and that the store recovers with it.
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::faulty::{FaultyDisk, IO, Kind, NO_SPACE, READ_ONLY};
use super::{Reader, parse_log};
use crate::store::{Store, StoreError, StoreHandle};

const PATH: &str = "/d/conf.db";

struct Lab {
    disk: FaultyDisk,
    store: StoreHandle,
}

impl Lab {
    fn new() -> Self {
        let disk = FaultyDisk::default();
        let store = Store::open_on(Arc::new(disk.clone()), Path::new(PATH)).unwrap();
        Self { disk, store }
    }

    async fn insert(&self, dscp: i64, durable: bool) -> Result<(), String> {
        let row = json!({"op": "insert", "table": "Queue", "row": {"dscp": dscp}});
        let operations = json!([row, {"op": "commit", "durable": durable}]);
        let limit = Duration::from_secs(30);
        let done = tokio::time::timeout(limit, self.store.transact(operations));
        match done.await.expect("an answer") {
            Ok(_) => Ok(()),
            Err(StoreError::Refused { error, details }) => {
                assert_eq!(error, "I/O error");
                Err(details)
            }
            Err(other) => panic!("{other}"),
        }
    }

    /// Tries until the store has recovered.
    async fn insert_at_last(&self, dscp: i64) {
        let tries = async {
            while self.insert(dscp, true).await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let limit = Duration::from_secs(30);
        tokio::time::timeout(limit, tries)
            .await
            .expect("a recovery");
    }

    /// The refusal names the file and the reason.
    async fn refuses(&self, dscp: i64, durable: bool, words: &[&str]) {
        let why = self.insert(dscp, durable).await.unwrap_err();
        for word in [&[PATH], words].concat() {
            assert!(why.contains(word), "{word}: {why}");
        }
    }

    async fn dscps(&self) -> Vec<i64> {
        dscps(&self.store.snapshot().await.unwrap())
    }

    /// What is in the file after a power failure that takes everything that it can.
    fn after_power_failure(&self) -> Vec<i64> {
        let disk = self.disk.after_power_failure(self.disk.ops(), &mut |_| 0);
        dscps(&parse_log(Path::new(PATH), &disk.contents(Path::new(PATH))).unwrap())
    }
}

fn dscps(db: &crate::db::Db) -> Vec<i64> {
    let mut all: Vec<i64> = db.rows("Queue").filter_map(|r| r.int("dscp")).collect();
    all.sort_unstable();
    all
}

#[tokio::test]
async fn a_full_disk_refuses_changes_and_takes_them_when_there_is_room() {
    for room in [0, 1, 30, 100] {
        let lab = Lab::new();
        lab.insert(1, false).await.unwrap();
        lab.disk.leave_room(room);
        lab.refuses(2, false, &["No space left"]).await;
        lab.refuses(3, true, &["No space left"]).await;
        assert_eq!(lab.dscps().await, [1]);
        lab.disk.repair();
        lab.insert(4, true).await.unwrap();
        assert_eq!(
            (lab.dscps().await, lab.after_power_failure()),
            (vec![1, 4], vec![1, 4])
        );
    }
}

#[tokio::test]
async fn a_disk_gone_read_only_refuses_changes() {
    let lab = Lab::new();
    lab.insert(1, true).await.unwrap();
    for kind in [Kind::Write, Kind::SetLen, Kind::Create] {
        lab.disk.fail(kind, READ_ONLY);
    }
    lab.refuses(2, true, &["Read-only"]).await;
    let refused = lab.store.compact().await.unwrap_err().to_string();
    assert!(
        refused.contains("Read-only") && refused.contains(PATH),
        "{refused}"
    );
    assert_eq!(lab.dscps().await, [1]);
    lab.disk.repair();
    lab.insert(3, true).await.unwrap();
    assert_eq!(lab.after_power_failure(), [1, 3]);
}

#[tokio::test]
async fn what_does_not_last_is_taken_even_then() {
    let lab = Lab::new();
    let bridge = json!([
        {"op": "insert", "table": "Open_vSwitch", "row": {"bridges": ["named-uuid", "b"]}},
        {"op": "insert", "table": "Bridge", "uuid-name": "b", "row": {"name": "br0"}}]);
    lab.store.transact(bridge).await.unwrap();
    lab.disk.fail(Kind::Write, IO);
    let status = json!([{"op": "update", "table": "Bridge", "where": [], "row": {
        "status": ["map", [["a", "b"]]]}}]);
    lab.store.transact(status).await.unwrap();
}

/// The kernel drops what it could not flush and says so once: one failure, and no later flush of
/// the same file can be believed.
#[tokio::test]
async fn after_one_failed_flush_nothing_is_promised_until_the_log_is_written_anew() {
    for kind in [Kind::Sync, Kind::SyncDirectory] {
        let lab = Lab::new();
        lab.insert(1, true).await.unwrap();
        lab.store.compact().await.unwrap();
        lab.disk.fail_once(kind, IO);
        if kind == Kind::SyncDirectory {
            lab.store.compact().await.unwrap_err();
        }
        lab.insert_at_last(2).await;
        assert_eq!(lab.after_power_failure(), [1, 2], "{kind:?}");
    }
}

#[tokio::test]
async fn a_disk_that_flushes_nothing_is_waited_for() {
    let lab = Lab::new();
    lab.insert(1, true).await.unwrap();
    lab.disk.fail(Kind::Sync, IO);
    // In memory already when the disk refused: the answer says so.
    lab.refuses(2, true, &["Input/output error", "is in effect"])
        .await;
    for durable in [false, true] {
        lab.refuses(3, durable, &["Input/output error", "flush failed"])
            .await;
    }
    assert_eq!(
        (lab.dscps().await, lab.after_power_failure()),
        (vec![1, 2], vec![1])
    );
    lab.disk.repair();
    lab.insert_at_last(4).await;
    assert_eq!(lab.after_power_failure(), [1, 2, 4]);
    assert_eq!(lab.disk.files(), [PATH], "nothing is left behind");
}

#[tokio::test]
async fn a_compaction_that_fails_anywhere_leaves_the_log_in_use() {
    for kind in [Kind::Create, Kind::Write, Kind::Sync, Kind::Rename] {
        let lab = Lab::new();
        lab.insert(1, true).await.unwrap();
        lab.disk.fail_once(kind, NO_SPACE);
        let why = lab.store.compact().await.unwrap_err().to_string();
        assert!(why.contains("No space left"), "{why}");
        assert_eq!(lab.disk.files(), [PATH], "{kind:?}");
        lab.insert(2, true).await.unwrap();
        assert_eq!(lab.after_power_failure(), [1, 2], "{kind:?}");
        lab.store.compact().await.unwrap();
        assert_eq!(lab.after_power_failure(), [1, 2], "{kind:?}");
    }
}

#[tokio::test]
async fn commits_go_on_while_the_log_is_compacted() {
    let lab = Lab::new();
    for n in 0..20 {
        lab.insert(n, false).await.unwrap();
    }
    let compacted = tokio::spawn({
        let store = lab.store.clone();
        async move { store.compact().await }
    });
    let mut n = 20;
    while !compacted.is_finished() {
        lab.insert(n, n % 2 == 0).await.unwrap();
        n += 1;
    }
    compacted.await.unwrap().unwrap();
    lab.insert(n, true).await.unwrap();
    let all: Vec<i64> = (0..=n).collect();
    assert_eq!(
        (lab.dscps().await, lab.after_power_failure()),
        (all.clone(), all)
    );
    let bytes = lab.disk.contents(Path::new(PATH));
    let records: Vec<Value> = Reader::new(&bytes).map(|r| r.unwrap().json).collect();
    assert!(
        records.len() < usize::try_from(n).unwrap(),
        "{} records",
        records.len()
    );
    assert_eq!(records[1]["_comment"], "compacting database online");
}

#[tokio::test]
async fn a_conversion_that_the_disk_refuses_changes_nothing() {
    let directory = tempfile::TempDir::new().unwrap();
    let socket = directory.path().join("db.sock");
    let mut later = crate::schema::DatabaseSchema::vswitch().to_json().clone();
    later["version"] = json!("8.9.0");
    for kind in [
        Kind::Create,
        Kind::Write,
        Kind::Sync,
        Kind::Rename,
        Kind::SyncDirectory,
    ] {
        let lab = Lab::new();
        let remote = crate::Remote::ListenUnix(socket.clone());
        let _listener = lab.store.listen(&remote).await.unwrap();
        let address = format!("unix:{}", socket.display());
        let client = crate::Client::connect(&address).await.unwrap();
        let aware = client.request("set_db_change_aware", json!([true])).await;
        aware.unwrap();
        let convert = || client.request("convert", json!(["Open_vSwitch", later]));
        lab.insert(1, true).await.unwrap();
        lab.disk.fail_once(kind, IO);
        let error = aorta_stream::describe(&convert().await.unwrap_err());
        assert!(
            error.contains("I/O error") && error.contains(PATH),
            "{error}"
        );
        let version = |db: crate::Db| db.schema().version.to_string();
        assert_eq!(version(lab.store.snapshot().await.unwrap()), "8.3.1");
        lab.insert_at_last(2).await;
        assert_eq!(lab.after_power_failure(), [1, 2], "{kind:?}");
        convert().await.unwrap();
        assert_eq!(version(lab.store.snapshot().await.unwrap()), "8.9.0");
        assert_eq!(lab.after_power_failure(), [1, 2], "{kind:?}");
    }
}
