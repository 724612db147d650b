//! The same random transactions against the real ovsdb-server and against ours: the replies must
//! be equal but for uuids and the wording of errors, and so must the contents afterwards.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::process::Stdio;

use aorta_ovsdb::Client;
use common::{Lab, normal, ovsdb_tool, until};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

const ROUNDS: usize = 400;

/// A reference: to a row that may exist on both servers, or to one of this transaction.
fn reference(table: &'static str) -> impl Strategy<Value = Value> {
    prop_oneof![
        6 => (0..2u8).prop_map(move |n| json!(["named-uuid", format!("{table}{n}")])),
        3 => (0..2u8).prop_map(move |n| json!(["uuid", fixed(table, n)])),
    ]
}

/// Uuids that transactions choose themselves, so that later ones can refer to them. No uuid is
/// in two tables: the reference doesn't check references of a row to its own uuid elsewhere.
fn fixed(table: &str, n: u8) -> String {
    let table = table
        .bytes()
        .fold(0, |sum, byte| sum ^ (u32::from(byte) * 7));
    format!("00000000-0000-4000-8000-{table:06x}0000{n:02x}")
}

fn references(table: &'static str) -> impl Strategy<Value = Value> {
    prop_oneof![
        reference(table),
        prop::collection::vec(reference(table), 0..3).prop_map(|refs| json!(["set", refs])),
    ]
}

fn map() -> impl Strategy<Value = Value> {
    prop::collection::vec(("[ab]", "[xy]"), 0..3).prop_map(|pairs| json!(["map", pairs]))
}

fn integer() -> impl Strategy<Value = Value> {
    prop_oneof![
        8 => (-1i64..6).prop_map(|n| json!(n)),
        1 => Just(json!(i64::MAX)),
        1 => Just(json!(1.5)),
        1 => Just(json!("1")),
    ]
}

fn name() -> impl Strategy<Value = Value> {
    (0..3u8).prop_map(|n| json!(format!("x{n}")))
}

/// A table, one of its columns, and a value for it that mostly fits.
fn column() -> impl Strategy<Value = (&'static str, &'static str, Value)> {
    prop_oneof![
        references("Bridge").prop_map(|v| ("Open_vSwitch", "bridges", v)),
        integer().prop_map(|v| ("Open_vSwitch", "next_cfg", v)),
        map().prop_map(|v| ("Open_vSwitch", "external_ids", v)),
        name().prop_map(|v| ("Bridge", "name", v)),
        references("Port").prop_map(|v| ("Bridge", "ports", v)),
        references("Mirror").prop_map(|v| ("Bridge", "mirrors", v)),
        prop::collection::vec(0i64..4, 0..4).prop_map(|v| (
            "Bridge",
            "flood_vlans",
            json!(["set", v])
        )),
        prop_oneof![Just("secure"), Just("standalone"), Just("x")].prop_map(|v| (
            "Bridge",
            "fail_mode",
            json!(v)
        )),
        name().prop_map(|v| ("Port", "name", v)),
        references("Interface").prop_map(|v| ("Port", "interfaces", v)),
        prop_oneof![integer(), Just(json!(["set", []])), Just(json!(4095))]
            .prop_map(|v| ("Port", "tag", v)),
        name().prop_map(|v| ("Interface", "name", v)),
        map().prop_map(|v| ("Interface", "options", v)),
        integer().prop_map(|v| ("Interface", "mtu_request", v)),
        name().prop_map(|v| ("Mirror", "name", v)),
        references("Port").prop_map(|v| ("Mirror", "select_src_port", v)),
        references("Port").prop_map(|v| ("Mirror", "output_port", v)),
        map().prop_map(|v| ("QoS", "external_ids", v)),
        (0i64..3, reference("Queue")).prop_map(|(k, v)| (
            "QoS",
            "queues",
            json!(["map", [[k, v]]])
        )),
        integer().prop_map(|v| ("Queue", "dscp", v)),
    ]
}

fn condition() -> impl Strategy<Value = (&'static str, Value)> {
    let function = prop_oneof![
        4 => Just("=="), 1 => Just("!="), 1 => Just("includes"), 1 => Just("excludes"),
        1 => Just("<"), 1 => Just(">=")
    ];
    prop_oneof![
        2 => column().prop_map(|(table, _, _)| (table, json!([]))),
        3 => (column(), function).prop_map(|((t, c, v), f)| (t, json!([[c, f, v]]))),
        2 => (column(), 0..2u8)
            .prop_map(|((t, _, _), n)| (t, json!([["_uuid", "==", ["uuid", fixed(t, n)]]]))),
    ]
}

fn insert() -> impl Strategy<Value = Value> {
    let identity = prop::option::of(0..2u8);
    (
        prop::collection::vec(column(), 1..5),
        identity,
        prop::option::of(0..2u8),
    )
        .prop_map(|(columns, name, uuid)| {
            let table = columns[0].0;
            let of_table = columns.iter().filter(|(t, _, _)| *t == table);
            let row: serde_json::Map<_, _> = of_table
                .map(|(_, c, v)| ((*c).to_owned(), v.clone()))
                .collect();
            let mut op = json!({"op": "insert", "table": table, "row": row});
            match (name, uuid) {
                (Some(n), _) => op["uuid-name"] = json!(format!("{table}{n}")),
                (None, Some(n)) => op["uuid"] = json!(fixed(table, n)),
                (None, None) => {}
            }
            op
        })
}

/// A whole bridge with a port, so that strong references often resolve.
fn bridge() -> impl Strategy<Value = Vec<Value>> {
    (name(), name(), 0..3u8).prop_map(|(bridge, port, n)| {
        vec![
            json!({"op": "mutate", "table": "Open_vSwitch", "where": [],
                   "mutations": [["bridges", "insert", ["named-uuid", "b"]]]}),
            json!({"op": "insert", "table": "Bridge", "uuid-name": "b",
                   "row": {"name": bridge, "ports": ["named-uuid", "p"]}}),
            json!({"op": "insert", "table": "Port", "uuid-name": "p",
                   "row": {"name": port, "interfaces": ["uuid", fixed("Interface", n)]}}),
            json!({"op": "insert", "table": "Interface", "uuid": fixed("Interface", n), "row": {"name": port}}),
        ]
    })
}

fn mutation() -> impl Strategy<Value = Value> {
    let mutator = prop_oneof![
        3 => Just("insert"), 3 => Just("delete"), 2 => Just("+="), 1 => Just("*="),
        1 => Just("/="), 1 => Just("%="), 1 => Just("-=")
    ];
    (column(), mutator, condition()).prop_map(|((table, column, value), mutator, (t, w))| {
        let condition = if t == table { w } else { json!([]) };
        json!({"op": "mutate", "table": table, "where": condition,
               "mutations": [[column, mutator, value]]})
    })
}

fn operation() -> impl Strategy<Value = Vec<Value>> {
    let one = |op: Value| vec![op];
    prop_oneof![
        4 => insert().prop_map(one),
        6 => bridge(),
        3 => mutation().prop_map(one),
        2 => (column(), condition()).prop_map(move |((table, column, value), (t, w))| {
            let condition = if t == table { w } else { json!([]) };
            one(json!({"op": "update", "table": table, "where": condition,
                       "row": {column: value}}))
        }),
        1 => condition().prop_map(move |(table, condition)| {
            one(json!({"op": "delete", "table": table, "where": condition}))
        }),
        1 => (column(), any::<bool>()).prop_map(move |((table, column, value), equal)| {
            let until = if equal { "==" } else { "!=" };
            one(json!({"op": "wait", "table": table, "where": [], "columns": [column],
                       "until": until, "rows": [{column: value}], "timeout": 0}))
        }),
        2 => (column(), condition()).prop_map(move |((table, column, _), (t, w))| {
            let condition = if t == table { w } else { json!([]) };
            one(json!({"op": "select", "table": table, "where": condition, "columns": [column]}))
        }),
    ]
}

fn transaction() -> impl Strategy<Value = Value> {
    prop::collection::vec(operation(), 1..4).prop_map(|parts| Value::Array(parts.concat()))
}

/// Every column of every row but its version, in an order that doesn't depend on random uuids.
async fn contents(client: &Client) -> Vec<String> {
    let tables = [
        "Open_vSwitch",
        "Bridge",
        "Port",
        "Interface",
        "Mirror",
        "QoS",
        "Queue",
    ];
    let mut rows = Vec::new();
    for table in tables {
        let select = json!(["Open_vSwitch", {"op": "select", "table": table, "where": []}]);
        let results = client.request("transact", select).await.unwrap();
        for row in results[0]["rows"].as_array().unwrap() {
            let mut row = row.clone();
            row.as_object_mut().unwrap().remove("_version");
            // Uuids chosen at random say nothing but that they are there.
            let mut text = normal(&blind(&row), &mut Vec::new()).to_string();
            text.insert_str(0, table);
            rows.push(text);
        }
    }
    rows.sort();
    rows
}

/// Replaces random uuids by a word, and sorts everything: objects become arrays of pairs.
fn blind(json: &Value) -> Value {
    match json {
        Value::String(s) if s.len() == 36 && !s.starts_with("00000000-0000-4000") => {
            json!("random")
        }
        Value::Array(elements) => {
            let mut elements: Vec<Value> = elements.iter().map(blind).collect();
            elements.sort_by_key(Value::to_string);
            Value::Array(elements)
        }
        Value::Object(members) => {
            let mut members: Vec<Value> = members
                .iter()
                .map(|(k, v)| json!([blind(&json!(k)), blind(v)]))
                .collect();
            members.sort_by_key(Value::to_string);
            Value::Array(members)
        }
        other => other.clone(),
    }
}

/// Monitors in every version, with and without conditions and selections.
fn monitors() -> Vec<(&'static str, &'static str, Value)> {
    let all = |table: &str| json!({table: {}});
    let condition = json!([
        ["flood_vlans", "includes", 1],
        ["fail_mode", "==", "secure"]
    ]);
    vec![
        ("monitor", "bridges", all("Bridge")),
        (
            "monitor",
            "ports",
            json!({"Port": {"columns": ["name", "tag", "interfaces"]}}),
        ),
        (
            "monitor",
            "gone",
            json!({"QoS": {"select": {"insert": false, "modify": false}},
                                   "Mirror": {"columns": ["output_port"]}}),
        ),
        (
            "monitor_cond",
            "bridges2",
            json!({"Bridge": [{"where": condition}]}),
        ),
        (
            "monitor_cond",
            "ports2",
            json!({"Port": [{"columns": ["name", "tag"]}],
                                          "Queue": [{"columns": ["dscp"],
                                                     "where": [["dscp", ">", 1]]}]}),
        ),
        (
            "monitor_cond",
            "rest2",
            json!({"Interface": {}, "QoS": {}, "Mirror": {},
                                         "Open_vSwitch": {"columns": ["bridges", "next_cfg",
                                                                      "external_ids"]}}),
        ),
        (
            "monitor_cond_since",
            "all3",
            json!({"Interface": [{"columns": ["options"]}],
                                              "Open_vSwitch": [{"columns": []}]}),
        ),
    ]
}

/// The notifications that have come: before the reply that told of the change.
async fn heard(client: &Client) -> Vec<String> {
    let mut heard = Vec::new();
    while let Ok(Some(n)) = tokio::time::timeout(Default::default(), client.notified()).await {
        heard.push(format!("{} {}", n.method, blind(&Value::Array(n.params))));
    }
    heard.sort();
    heard
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_and_contents_equal_those_of_ovsdb_server() {
    let lab = Lab::new().await;
    let path = |name: &str| lab.directory.path().join(name).to_str().unwrap().to_owned();
    let (file, socket) = (path("ovs.db"), path("ovs.sock"));
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/schema/vswitch.ovsschema");
    ovsdb_tool(&["create", &file, schema]).await;
    let _server = tokio::process::Command::new("ovsdb-server")
        .args([
            &format!("--remote=punix:{socket}"),
            &format!("--unixctl={}", path("ctl")),
            &file,
        ])
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("the package openvswitch-switch must be installed");
    let listens = || std::os::unix::net::UnixStream::connect(&socket).is_ok();
    until("ovsdb-server listens", listens).await;
    let theirs = Client::connect(&format!("unix:{socket}")).await.unwrap();
    let ours = lab.client().await;
    let seed = std::env::var("AORTA_SEED")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(1u64);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let (mut committed, mut refused, mut updates) = (0, 0, 0);
    for (method, id, requests) in monitors() {
        let mut params = json!(["Open_vSwitch", id, requests]);
        if method == "monitor_cond_since" {
            params
                .as_array_mut()
                .unwrap()
                .push(json!("00000000-0000-0000-0000-000000000000"));
        }
        let expected = theirs.request(method, params.clone()).await.unwrap();
        assert_eq!(ours.request(method, params).await.unwrap(), expected);
    }
    for round in 0..ROUNDS {
        let operations = match round {
            0 => json!([{"op": "insert", "table": "Open_vSwitch", "row": {}}]),
            _ => transaction().new_tree(&mut runner).unwrap().current(),
        };
        let mut params = operations.as_array().unwrap().clone();
        params.insert(0, json!("Open_vSwitch"));
        let params = Value::Array(params);
        let expected = theirs.request("transact", params.clone()).await.unwrap();
        let found = ours.request("transact", params).await.unwrap();
        let comparable = |results: &Value| blind(&normal_errors(&operations, results));
        assert_eq!(
            comparable(&found),
            comparable(&expected),
            "seed {seed}, round {round}: {operations:#}\nours {found:#}\ntheirs {expected:#}"
        );
        let failed = expected
            .as_array()
            .unwrap()
            .iter()
            .any(|r| r.get("error").is_some());
        if failed {
            refused += 1;
        } else {
            committed += 1;
            let (found, expected) = (heard(&ours).await, heard(&theirs).await);
            updates += found.len();
            assert_eq!(
                found, expected,
                "seed {seed}, round {round}: {operations:#}"
            );
            let (ours, theirs) = tokio::join!(contents(&ours), contents(&theirs));
            assert_eq!(ours, theirs, "seed {seed}, round {round}: {operations:#}");
        }
    }
    let least = committed.min(refused).min(2 * updates);
    assert!(least > ROUNDS / 10, "{committed}, {refused}, {updates}");
}

/// Errors by name alone: their words are each server's own. Where an operation has several
/// faults, which one is met first depends on the order of columns and rows, which is free.
fn normal_errors(operations: &Value, results: &Value) -> Value {
    let results = results.as_array().unwrap().iter().enumerate();
    let name = |(at, result): (usize, &Value)| {
        let Some(error) = result.get("error").and_then(Value::as_str) else {
            return result.clone();
        };
        match (operations[at]["op"].as_str(), error) {
            (Some("insert"), "syntax error" | "constraint violation" | "ovsdb error") => {
                json!("bad value")
            }
            (Some("mutate"), "constraint violation" | "range error") => json!("bad result"),
            _ => json!(error),
        }
    };
    results.map(name).collect()
}
