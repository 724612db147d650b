//! Transactions as clients see them.
use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::Uuid;

use super::*;

/// A database whose every transaction is audited, taken back, and done again.
struct Lab {
    db: Db,
    next: u128,
}

type Contents = BTreeMap<(String, Uuid), Vec<Datum>>;

fn contents(db: &Db) -> Contents {
    let rows = db
        .tables()
        .flat_map(|t| t.rows().map(|r| (t.schema().name.to_string(), r)));
    rows.map(|(name, row)| ((name, row.uuid()), row.values().to_vec()))
        .collect()
}

impl Lab {
    fn new() -> Self {
        let mut lab = Self {
            db: Db::new(DatabaseSchema::vswitch()),
            next: 0,
        };
        lab.ok(json!([{"op": "insert", "table": "Open_vSwitch", "row": {}}]));
        lab
    }

    /// With bridge br0, its port p0, and that one's interface.
    fn with_bridge() -> Self {
        let mut lab = Self::new();
        lab.ok(json!([
            {"op": "mutate", "table": "Open_vSwitch", "where": [],
             "mutations": [["bridges", "insert", ["named-uuid", "b"]]]},
            {"op": "insert", "table": "Bridge", "uuid-name": "b",
             "row": {"name": "br0", "ports": ["named-uuid", "p"]}},
            {"op": "insert", "table": "Port", "uuid-name": "p",
             "row": {"name": "p0", "interfaces": ["named-uuid", "i"]}},
            {"op": "insert", "table": "Interface", "uuid-name": "i", "row": {"name": "p0"}},
        ]));
        lab
    }

    fn execute(&mut self, operations: &Value, waited_ms: u64) -> Execution {
        let next = &mut self.next;
        let mut context = Context {
            new_uuid: &mut || {
                *next += 1;
                Uuid::from_u128(*next)
            },
            holds_lock: &|name| name == "mine",
            waited_ms,
            read_only: false,
        };
        self.db
            .transact(operations.as_array().unwrap(), &mut context)
    }

    fn run(&mut self, operations: Value) -> Vec<Value> {
        let before = contents(&self.db);
        let Execution::Done(outcome) = self.execute(&operations, 0) else {
            panic!("blocked")
        };
        self.db.audit().unwrap();
        let after = contents(&self.db);
        assert_eq!(outcome.delta.is_empty(), before == after);
        let mut undone = self.db.clone();
        undone.revert(&outcome.delta);
        undone.audit().unwrap();
        assert_eq!(contents(&undone), before);
        outcome.results
    }

    fn ok(&mut self, operations: Value) -> Vec<Value> {
        let results = self.run(operations);
        assert!(
            results.iter().all(|r| r.get("error").is_none()),
            "{results:?}"
        );
        results
    }

    /// The error that a transaction ends with, after which nothing has changed.
    fn error(&mut self, operations: Value) -> String {
        let results = self.run(operations);
        let error = results
            .iter()
            .find_map(|r| r.get("error"))
            .expect("an error");
        error.as_str().unwrap().to_owned()
    }

    fn names(&self, table: &str) -> Vec<String> {
        let mut names: Vec<String> = self
            .db
            .rows(table)
            .filter_map(|r| Some(r.str("name")?.to_owned()))
            .collect();
        names.sort();
        names
    }

    fn uuid(&self, table: &str, name: &str) -> Value {
        let row = self
            .db
            .rows(table)
            .find(|r| r.str("name") == Some(name))
            .unwrap();
        json!(["uuid", row.uuid().to_string()])
    }
}

fn delete(table: &str) -> Value {
    json!({"op": "delete", "table": table, "where": []})
}

#[test]
fn rows_appear_with_forward_references_and_go_with_the_last_one() {
    let mut lab = Lab::with_bridge();
    assert_eq!(lab.names("Interface"), ["p0"]);
    lab.ok(
        json!([{"op": "update", "table": "Open_vSwitch", "where": [],
                   "row": {"bridges": ["set", []]}}]),
    );
    for table in ["Bridge", "Port", "Interface"] {
        assert!(lab.names(table).is_empty(), "{table}");
    }
}

#[test]
fn an_unreferenced_row_vanishes_without_an_error() {
    let mut lab = Lab::with_bridge();
    lab.ok(json!([{"op": "insert", "table": "Bridge", "row": {"name": "br0"}}]));
    assert_eq!(lab.names("Bridge"), ["br0"]);
}

#[test]
fn strong_references_must_resolve() {
    let mut lab = Lab::with_bridge();
    let dangling = json!([{"op": "mutate", "table": "Bridge", "where": [],
                           "mutations": [["ports", "insert", ["named-uuid", "nobody"]]]}]);
    assert_eq!(lab.error(dangling), "referential integrity violation");
    assert_eq!(
        lab.error(json!([delete("Port")])),
        "referential integrity violation"
    );
    // An unset column that needs a row refers to none.
    let port = json!([
        {"op": "insert", "table": "Port", "uuid-name": "p", "row": {"name": "p1"}},
        {"op": "mutate", "table": "Bridge", "where": [],
         "mutations": [["ports", "insert", ["named-uuid", "p"]]]},
    ]);
    assert_eq!(lab.error(port), "referential integrity violation");
}

#[test]
fn weak_references_go_with_their_rows() {
    let mut lab = Lab::with_bridge();
    let port = lab.uuid("Port", "p0");
    lab.ok(json!([
        {"op": "insert", "table": "Mirror", "uuid-name": "m",
         "row": {"name": "m0", "select_src_port": port, "output_port": port}},
        {"op": "mutate", "table": "Bridge", "where": [],
         "mutations": [["mirrors", "insert", ["named-uuid", "m"]]]},
    ]));
    assert_eq!(
        lab.db
            .rows("Mirror")
            .next()
            .unwrap()
            .uuids("output_port")
            .count(),
        1
    );
    lab.ok(json!([{"op": "update", "table": "Bridge", "where": [],
                   "row": {"ports": ["set", []]}}]));
    let mirror = lab.db.rows("Mirror").next().unwrap();
    assert_eq!(
        mirror
            .uuids("select_src_port")
            .chain(mirror.uuids("output_port"))
            .count(),
        0
    );
}

#[test]
fn a_weak_reference_goes_though_another_to_the_same_row_went_before() {
    let mut lab = Lab::with_bridge();
    let is_p0 = json!([["name", "==", "p0"]]);
    let select = json!({"op": "select", "table": "Port", "where": is_p0, "columns": ["_uuid"]});
    let port = lab.ok(json!([select]))[0]["rows"][0]["_uuid"].clone();
    lab.ok(json!([
        {"op": "mutate", "table": "Bridge", "where": [],
         "mutations": [["mirrors", "insert", ["named-uuid", "m"]]]},
        {"op": "insert", "table": "Mirror", "uuid-name": "m", "row": {
            "name": "m", "output_port": port, "select_src_port": port}},
    ]));
    let source = json!({"select_src_port": ["set", []]});
    lab.ok(json!([{"op": "update", "table": "Mirror", "where": [], "row": source}]));
    let ports = json!({"ports": ["set", []]});
    lab.ok(json!([{"op": "update", "table": "Bridge", "where": [], "row": ports}]));
    let mirror = lab.db.rows("Mirror").next().unwrap();
    assert!(mirror.datum("output_port").is_empty());
}

#[test]
fn a_weak_reference_to_nothing_is_dropped_at_once() {
    let mut lab = Lab::with_bridge();
    let ghost = json!(["uuid", "00000000-0000-0000-0000-0000000000ff"]);
    lab.ok(json!([
        {"op": "insert", "table": "Mirror", "uuid-name": "m",
         "row": {"name": "m0", "select_dst_port": ghost}},
        {"op": "mutate", "table": "Bridge", "where": [],
         "mutations": [["mirrors", "insert", ["named-uuid", "m"]]]},
    ]));
    assert_eq!(
        lab.db
            .rows("Mirror")
            .next()
            .unwrap()
            .uuids("select_dst_port")
            .count(),
        0
    );
}

#[test]
fn names_are_unique_but_may_move_within_a_transaction() {
    let mut lab = Lab::with_bridge();
    let second = |port: &str| {
        json!([
            {"op": "insert", "table": "Port", "uuid-name": "p",
             "row": {"name": port, "interfaces": ["named-uuid", "i"]}},
            {"op": "insert", "table": "Interface", "uuid-name": "i", "row": {"name": "p0"}},
            {"op": "mutate", "table": "Bridge", "where": [],
             "mutations": [["ports", "insert", ["named-uuid", "p"]]]},
        ])
    };
    assert_eq!(lab.error(second("p1")), "constraint violation");
    let mut replace = second("p0");
    let old = lab.uuid("Port", "p0");
    replace.as_array_mut().unwrap().push(json!(
        {"op": "mutate", "table": "Bridge", "where": [], "mutations": [["ports", "delete", old]]}
    ));
    lab.ok(replace);
    assert_ne!(lab.uuid("Port", "p0"), old);
    assert_eq!(lab.names("Interface"), ["p0"]);
}

#[test]
fn there_is_one_root_row() {
    let insert = json!([{"op": "insert", "table": "Open_vSwitch", "row": {}}]);
    assert_eq!(Lab::new().error(insert.clone()), "constraint violation");
    let mut replace = insert;
    replace
        .as_array_mut()
        .unwrap()
        .insert(0, delete("Open_vSwitch"));
    Lab::with_bridge().ok(replace);
}

#[test]
fn a_transaction_sees_its_own_changes() {
    let mut lab = Lab::with_bridge();
    let results = lab.ok(json!([
        {"op": "mutate", "table": "Open_vSwitch", "where": [], "mutations": [["next_cfg", "+=", 1]]},
        {"op": "select", "table": "Open_vSwitch", "where": [], "columns": ["next_cfg"]},
        {"op": "insert", "table": "QoS", "row": {"type": "a"}},
        {"op": "insert", "table": "QoS", "row": {"type": "a"}},
        {"op": "select", "table": "QoS", "where": [["type", "==", "a"]], "columns": ["type"]},
        {"op": "delete", "table": "QoS", "where": [["type", "==", "a"]]},
        {"op": "select", "table": "Port", "where": [["name", "==", "p0"]], "columns": ["name"]},
    ]));
    assert_eq!(results[1], json!({"rows": [{"next_cfg": 1}]}));
    assert_eq!(results[4], json!({"rows": [{"type": "a"}]}));
    assert_eq!(results[5], json!({"count": 2}));
    assert_eq!(results[6], json!({"rows": [{"name": "p0"}]}));
}

#[test]
fn a_failing_operation_undoes_all_and_silences_the_rest() {
    let mut lab = Lab::with_bridge();
    let results = lab.run(json!([
        {"op": "mutate", "table": "Open_vSwitch", "where": [], "mutations": [["next_cfg", "+=", 1]]},
        {"op": "abort"},
        {"op": "comment", "comment": "never"},
    ]));
    assert_eq!(results[0], json!({"count": 1}));
    assert_eq!(results[1]["error"], "aborted");
    assert_eq!(results[2], Value::Null);
    let late = lab.run(json!([{"op": "insert", "table": "Open_vSwitch", "row": {}}]));
    assert_eq!(
        (late.len(), late[1]["error"].as_str()),
        (2, Some("constraint violation"))
    );
}

#[test]
fn a_change_to_the_same_value_is_none() {
    let mut lab = Lab::with_bridge();
    let version = lab.db.rows("Bridge").next().unwrap().version();
    let update = json!([{"op": "update", "table": "Bridge", "where": [],
                         "row": {"fail_mode": ["set", []]}}]);
    assert_eq!(lab.ok(update), [json!({"count": 1})]);
    assert_eq!(lab.db.rows("Bridge").next().unwrap().version(), version);
}

#[test]
fn errors_have_the_names_that_clients_know() {
    let mut lab = Lab::with_bridge();
    for (operation, error) in [
        (json!("x"), "syntax error"),
        (json!({"op": "nonsense"}), "syntax error"),
        (
            json!({"op": "insert", "table": "Nope", "row": {}}),
            "syntax error",
        ),
        (
            json!({"op": "insert", "table": "QoS", "row": {"nope": 1}}),
            "unknown column",
        ),
        (
            json!({"op": "insert", "table": "QoS", "row": {}, "zzz": 1}),
            "syntax error",
        ),
        (
            json!({"op": "insert", "table": "QoS", "row": {}, "uuid-name": "1x"}),
            "syntax error",
        ),
        (
            json!({"op": "insert", "table": "QoS", "row": {}, "uuid": "1"}),
            "syntax error",
        ),
        (
            json!({"op": "select", "table": "QoS", "where": [["type", "~", 1]]}),
            "unknown function",
        ),
        (
            json!({"op": "select", "table": "QoS", "where": [], "columns": ["x"]}),
            "syntax error",
        ),
        (
            json!({"op": "update", "table": "Bridge", "where": [], "row": {"name": "x"}}),
            "constraint violation",
        ),
        (json!({"op": "delete", "table": "QoS"}), "syntax error"),
        (json!({"op": "assert", "lock": "other"}), "not owner"),
        (json!({"op": "comment"}), "syntax error"),
    ] {
        assert_eq!(lab.error(json!([operation.clone()])), error, "{operation}");
    }
    let twice = json!({"op": "insert", "table": "QoS", "row": {}, "uuid-name": "q"});
    assert_eq!(lab.error(json!([twice, twice])), "duplicate uuid-name");
    let uuid = "00000000-0000-0000-0000-0000000000aa";
    let chosen = json!({"op": "insert", "table": "QoS", "row": {}, "uuid": uuid});
    assert_eq!(lab.error(json!([chosen, chosen])), "duplicate uuid");
    lab.ok(json!([chosen, {"op": "assert", "lock": "mine"}]));
    assert_eq!(lab.error(json!([delete("QoS"), chosen])), "duplicate uuid");
}

#[test]
fn a_wait_holds_fails_or_blocks() {
    let mut lab = Lab::new();
    let wait = |until: &str, value: i64, timeout: Value| {
        json!([{"op": "wait", "table": "Open_vSwitch", "where": [], "columns": ["next_cfg"],
                "until": until, "rows": [{"next_cfg": value}], "timeout": timeout}])
    };
    assert_eq!(lab.ok(wait("==", 0, json!(0))), [json!({})]);
    assert_eq!(lab.ok(wait("!=", 5, json!(0))), [json!({})]);
    assert_eq!(lab.error(wait("==", 5, json!(0))), "timed out");
    let blocked = lab.execute(&wait("==", 5, json!(100)), 99);
    assert_eq!(
        blocked,
        Execution::Blocked {
            timeout_ms: Some(100)
        }
    );
    assert!(matches!(
        lab.execute(&wait("==", 5, json!(100)), 100),
        Execution::Done(_)
    ));
    let empty = json!([{"op": "wait", "table": "Bridge", "where": [], "until": "==", "rows": [],
                        "timeout": 0}]);
    assert_eq!(lab.ok(empty), [json!({})]);
}

#[test]
fn a_blocked_transaction_leaves_nothing_behind() {
    let mut lab = Lab::new();
    let before = contents(&lab.db);
    let blocked = lab.execute(
        &json!([
            {"op": "insert", "table": "QoS", "row": {}},
            {"op": "wait", "table": "Bridge", "where": [], "until": "!=", "rows": []},
        ]),
        0,
    );
    assert_eq!(blocked, Execution::Blocked { timeout_ms: None });
    assert_eq!(contents(&lab.db), before);
}

#[test]
fn comments_and_durability_come_out() {
    let mut lab = Lab::new();
    let Execution::Done(outcome) = lab.execute(
        &json!([
            {"op": "comment", "comment": "a"}, {"op": "comment", "comment": "b"},
            {"op": "commit", "durable": true},
            {"op": "mutate", "table": "Open_vSwitch", "where": [],
             "mutations": [["next_cfg", "+=", 1]]},
        ]),
        0,
    ) else {
        panic!("blocked")
    };
    assert_eq!(outcome.delta.comment.as_deref(), Some("a\nb"));
    assert!(outcome.durable);
    let change = &outcome.delta.changes[0];
    assert!(change.changed("next_cfg") && !change.changed("cur_cfg"));
}

#[test]
fn a_snapshot_stays_as_it_was() {
    let mut lab = Lab::with_bridge();
    let snapshot = lab.db.clone();
    let before = contents(&snapshot);
    lab.ok(json!([delete("Open_vSwitch")]));
    assert_eq!(contents(&snapshot), before);
    assert!(contents(&lab.db).is_empty());
}

#[test]
fn a_log_replays_to_the_same_contents() {
    let mut lab = Lab::with_bridge();
    let mut replayed = lab.db.clone();
    for operations in [
        json!([{"op": "update", "table": "Interface", "where": [],
                "row": {"ofport": 3, "mtu": 1500, "options": ["map", [["a", "1"], ["b", "2"]]]}}]),
        json!([{"op": "mutate", "table": "Interface", "where": [],
                "mutations": [["options", "delete", "a"], ["options", "insert",
                               ["map", [["c", "3"]]]]]}]),
        json!([{"op": "update", "table": "Interface", "where": [], "row": {"ofport": ["set", []]}}]),
        json!([{"op": "update", "table": "Bridge", "where": [], "row": {"ports": ["set", []]}}]),
    ] {
        let Execution::Done(outcome) = lab.execute(&operations, 0) else {
            panic!("blocked")
        };
        let bytes = crate::log::encode_transaction(&outcome.delta, 0).unwrap();
        let record = crate::log::Reader::new(&bytes)
            .next()
            .unwrap()
            .unwrap()
            .json;
        assert!(
            !record.to_string().contains("mtu"),
            "ephemeral columns don't last"
        );
        replayed.replay(&record, &mut Uuid::new_v4).unwrap();
        let durable = |db: &Db| {
            let rows = db.tables().flat_map(Table::rows);
            rows.map(|r| {
                let columns = r.schema().columns.iter().zip(r.values());
                let lasting = columns
                    .filter(|(c, _)| !c.ephemeral)
                    .map(|(_, v)| v.clone());
                (r.uuid(), lasting.collect::<Vec<_>>())
            })
            .collect::<BTreeMap<_, _>>()
        };
        assert_eq!(durable(&replayed), durable(&lab.db));
    }
    replayed.finish_replay(&mut Uuid::new_v4).unwrap();
    replayed.audit().unwrap();
}

#[test]
fn a_replay_that_makes_no_sense_is_refused() {
    let row = "00000000-0000-0000-0000-000000000001";
    for record in [
        json!([]),
        json!({"Nope": {}}),
        json!({"Bridge": {"x": {}}}),
        json!({"Bridge": {row: {"nope": 1}}}),
        json!({"Bridge": {row: {"name": 1}}}),
    ] {
        let mut db = Db::new(DatabaseSchema::vswitch());
        assert!(db.replay(&record, &mut Uuid::new_v4).is_err(), "{record}");
    }
    let mut db = Db::new(DatabaseSchema::vswitch());
    let dangling = json!({"Open_vSwitch": {row: {"bridges": ["uuid", row]}}});
    db.replay(&dangling, &mut Uuid::new_v4).unwrap();
    assert!(matches!(
        db.finish_replay(&mut Uuid::new_v4),
        Err(ReplayError::Inconsistent(_))
    ));
}
