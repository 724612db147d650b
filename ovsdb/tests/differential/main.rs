//! The same random transactions and monitors against the real ovsdb-server and against ours, on
//! random schemas: every reply and every notification must be equal, and so must the contents of
//! the files afterwards. Uuids chosen at random and the order of what has none don't count.
//!
//! Where the reference goes wrong, the generators keep away: see `docs/ovsdb-differences.md`.
//! `AORTA_OVSDB_TRANSACTIONS` sets how many transactions there are, `AORTA_SEED` the first of the
//! seeds, one for each thousand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;
mod compare;
mod conditions;
mod monitors;
mod operations;
mod random;
mod tally;

use std::path::Path;
use std::sync::Arc;

use aorta_ovsdb::DatabaseSchema;
use common::run;
use common::twin::{Twin, Wire, request};
use monitors::Monitors;
use operations::Operations;
use random::Random;
use serde_json::{Value, json};
use tally::Tally;

/// Transactions in the short form.
const FEW: usize = 5000;
/// Transactions on one pair of servers.
const SEGMENT: usize = 1000;
/// Transactions sent in one go.
const BATCH: usize = 25;

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_notifications_and_contents_equal_those_of_ovsdb_server() {
    let first = setting("AORTA_SEED", 1);
    let total = setting("AORTA_OVSDB_TRANSACTIONS", FEW);
    let mut tally = Tally::default();
    for seed in first..first + total.div_ceil(SEGMENT) {
        segment(seed, &mut tally).await;
    }
    println!("{tally}");
    tally.check(total);
}

/// Many transactions on one schema.
async fn segment(seed: usize, tally: &mut Tally) {
    let mut random = Random(seed as u64);
    let schema = match seed % 3 {
        0 => DatabaseSchema::vswitch(),
        _ => Arc::new(DatabaseSchema::from_json(random::schema(&mut random)).unwrap()),
    };
    tally.start(seed);
    let twin = Twin::start(&schema).await;
    let (mut ours, mut theirs) = twin.connect().await;
    let mut operations = Operations::new(&schema, random);
    let mut monitors = Monitors::default();
    let mut requests = vec![
        request(0, "lock", json!(["mine"])),
        request(0, "get_schema", json!([&*schema.name])),
    ];
    for batch in 0..SEGMENT / BATCH {
        operations.look(&twin.store.snapshot().await.unwrap());
        requests.extend(monitors.change(&mut operations));
        for n in 1..=BATCH {
            let mut params = vec![json!(&*schema.name)];
            params.extend(operations.transaction());
            requests.push(request(batch * BATCH + n, "transact", json!(params)));
        }
        if !both(&mut ours, &mut theirs, &requests, &schema, tally).await {
            return;
        }
        requests.clear();
    }
    let select = contents(&schema);
    let last = [request(SEGMENT + 1, "transact", select.clone())];
    if !both(&mut ours, &mut theirs, &last, &schema, tally).await {
        return;
    }
    let found = ours.exchange(&last).await.messages;
    drop((ours, theirs));
    let directory = twin.stop().await;
    let contents = &found[0][0]["result"];
    let select = select.to_string();
    let own = read_file(&directory.path().join("ours.db"), &select).await;
    let reference = read_file(&directory.path().join("theirs.db"), &select).await;
    let wanted = Some(compare::blind(contents));
    tally.files(own == wanted, reference == wanted);
}

/// A transaction that reads everything that is in the file.
fn contents(schema: &DatabaseSchema) -> Value {
    let mut params = vec![json!(&*schema.name)];
    for table in &schema.tables {
        let lasting = table.columns.iter().filter(|c| !c.ephemeral);
        let mut columns: Vec<&str> = lasting.map(|c| &*c.name).collect();
        columns.push("_uuid");
        params.push(json!({"op": "select", "table": &*table.name, "where": [],
                           "columns": columns}));
    }
    Value::Array(params)
}

/// What ovsdb-tool finds in a file; `None` if it can't read it.
async fn read_file(file: &Path, select: &str) -> Option<Value> {
    let output = run("ovsdb-tool", &["query", file.to_str().unwrap(), select]).await;
    let json = serde_json::from_slice(&output.stdout).ok()?;
    Some(compare::blind(&json))
}

/// Sends requests to both servers and compares; false if the reference goes no further: it has
/// died of them, or broken its own rules.
async fn both(
    ours: &mut Wire,
    theirs: &mut Wire,
    requests: &[Value],
    schema: &DatabaseSchema,
    tally: &mut Tally,
) -> bool {
    let (found, expected) = tokio::join!(ours.exchange(requests), theirs.exchange(requests));
    assert_eq!(found.closed_at, None, "the connection was closed");
    let pairs = found.messages.iter().zip(&expected.messages);
    for (request, (found, expected)) in requests.iter().zip(pairs) {
        tally.compare(request, found, expected);
    }
    let first = tally.first_pending();
    let end = first.and_then(|id| requests.iter().position(|r| r["id"] == id));
    let mut until_first = requests[..end.map_or(0, |end| end + 1)].iter();
    let was_broken = tally.is_stale || until_first.any(|r| mixes_weak(r, schema));
    if let Some(request) = &expected.closed_at {
        let is_known = end.is_some() && was_broken;
        tally.settle(is_known);
        if !is_known {
            tally.died(request);
        }
        return false;
    }
    let query = request(0, "transact", contents(schema));
    let contents = theirs.exchange(std::slice::from_ref(&query)).await.messages;
    let Some(reply) = contents.first().and_then(|messages| messages.last()) else {
        tally.settle(end.is_some());
        tally.died(&query);
        return false;
    };
    tally.is_stale = has_stale_weak(&reply["result"], schema);
    let is_broken = end.is_some() && (was_broken || tally.is_stale);
    tally.settle(is_broken);
    !is_broken
}

/// Whether a transaction deletes rows and also changes rows with weak references to their table.
/// The reference may then leave such references, and goes wrong afterwards.
fn mixes_weak(request: &Value, schema: &DatabaseSchema) -> bool {
    let operations = request["params"].as_array().into_iter().flatten();
    let of = |kinds: &'static [&'static str]| {
        let operations = operations.clone();
        let matching =
            operations.filter(|o| o["op"].as_str().is_some_and(|op| kinds.contains(&op)));
        matching.filter_map(|o| schema.table(o["table"].as_str()?))
    };
    of(&["delete"]).any(|deleted| {
        let mut changed = of(&["insert", "update", "mutate"]);
        changed.any(|table| {
            let columns = table.columns.iter();
            let bases = columns.flat_map(|c| std::iter::once(&c.ty.key).chain(&c.ty.value));
            let mut references = bases.filter_map(|base| base.reference.as_ref());
            references.any(|r| !r.strong && r.table == deleted.name)
        })
    })
}

/// Whether a weak reference leads to no row.
fn has_stale_weak(results: &Value, schema: &DatabaseSchema) -> bool {
    let rows = |at: usize| results[at]["rows"].as_array().into_iter().flatten();
    let exists = |table: &str, uuid: &Value| {
        let at = schema.position(table).unwrap();
        rows(at).any(|row| row["_uuid"] == *uuid)
    };
    schema.tables.iter().enumerate().any(|(at, table)| {
        let columns = table.columns.iter().filter(|c| !c.ephemeral);
        columns.into_iter().any(|column| {
            let bases = [Some(&column.ty.key), column.ty.value.as_ref()];
            bases.into_iter().flatten().any(|base| {
                let Some(weak) = base.reference.as_ref().filter(|r| !r.strong) else {
                    return false;
                };
                let mut uuids = Vec::new();
                rows(at).for_each(|row| collect_uuids(&row[&*column.name], &mut uuids));
                // A map's other uuids lead elsewhere.
                let is_map = column
                    .ty
                    .value
                    .as_ref()
                    .is_some_and(|v| v.ty == column.ty.key.ty);
                !is_map && uuids.iter().any(|uuid| !exists(&weak.table, uuid))
            })
        })
    })
}

/// Every `["uuid", …]` in a value.
fn collect_uuids(json: &Value, uuids: &mut Vec<Value>) {
    match json.as_array().map(Vec::as_slice) {
        Some([Value::String(tag), Value::String(_)]) if tag == "uuid" => uuids.push(json.clone()),
        Some(elements) => elements.iter().for_each(|e| collect_uuids(e, uuids)),
        None => {}
    }
}
