//! Commits while a large log is compacted. `AORTA_STALL_PORTS` says how many ports there are.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::time::{Duration, Instant};

use aorta_ovsdb::{Datum, Store, StoreHandle, log, op};
use serde_json::{Value, json};

fn add_port(n: usize) -> Vec<Value> {
    let (name, port, interface) = (format!("tap{n}"), format!("p{n}"), format!("i{n}"));
    let ids = [
        ("iface-id", format!("port-{n}")),
        ("attached-mac", format!("02:00:00:{n}")),
    ];
    let row = op::Columns::new()
        .set("name", &*name)
        .set("external_ids", Datum::map(ids));
    let of_port = op::Columns::new()
        .set("name", &*name)
        .set_json("interfaces", op::named(&interface));
    vec![
        op::insert("Interface", Some(&interface), row),
        op::insert("Port", Some(&port), of_port),
        json!({"op": "mutate", "table": "Bridge", "where": [["name", "==", "br0"]],
            "mutations": [["ports", "insert", op::named(&port)]]}),
    ]
}

/// Commits until `end` holds. Returns how many there were, and how long the longest took.
async fn commits(store: &StoreHandle, from: usize, end: impl Fn() -> bool) -> (usize, Duration) {
    let (mut count, mut longest) = (0, Duration::ZERO);
    while !end() {
        let start = Instant::now();
        let operations = Value::Array(add_port(from + count));
        store.transact(operations).await.unwrap();
        longest = longest.max(start.elapsed());
        count += 1;
    }
    (count, longest)
}

/// Records, and rows of table Port.
fn contents(path: &Path) -> (usize, usize) {
    let bytes = std::fs::read(path).unwrap();
    let records = log::Reader::new(&bytes).map(Result::unwrap).count();
    let db = log::parse_log(path, &bytes).unwrap();
    (records, db.rows("Port").count())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_commit_waits_for_a_compaction() {
    let ports = std::env::var("AORTA_STALL_PORTS").map_or(1000, |n| n.parse().unwrap());
    let directory = tempfile::TempDir::new().unwrap();
    let path = directory.path().join("conf.db");
    let store = Store::open(&path).unwrap();
    let bridge = json!([
        op::insert(
            "Open_vSwitch",
            None,
            op::Columns::new().set_json("bridges", op::named("b"))
        ),
        op::insert("Bridge", Some("b"), op::Columns::new().set("name", "br0"))
    ]);
    store.transact(bridge).await.unwrap();
    for n in (0..ports).step_by(100) {
        let some: Vec<Value> = (n..n + 100).flat_map(add_port).collect();
        store.transact(Value::Array(some)).await.unwrap();
    }
    let quiet = Instant::now() + Duration::from_millis(200);
    let (_, usual) = commits(&store, ports, || Instant::now() > quiet).await;
    let before = contents(&path);

    let compaction = tokio::spawn({
        let (store, start) = (store.clone(), Instant::now());
        async move { store.compact().await.map(|()| start.elapsed()) }
    });
    let from = 10 * ports;
    let (count, longest) = commits(&store, from, || compaction.is_finished()).await;
    let took = compaction.await.unwrap().unwrap();
    println!(
        "{ports} ports: {count} commits while the log was compacted, which took {took:?}; the \
         longest took {longest:?}, without a compaction {usual:?}"
    );
    assert!(
        count > 1 && longest < took,
        "{count} commits, the longest {longest:?} of {took:?}"
    );
    store.close().await.unwrap();
    let after = contents(&path);
    assert!(after.0 <= count + 2, "{after:?} of {before:?}");
    assert_eq!(after.1, before.1 + count);
}
