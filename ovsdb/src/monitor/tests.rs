//! Monitors in all versions.
use super::*;
use crate::db::{Delta, testing};
use serde_json::json;

fn transact(db: &mut Db, operations: Value) -> Delta {
    testing::transact(db, &operations).delta
}

fn with_queue() -> (Db, String) {
    let mut db = Db::new(DatabaseSchema::vswitch());
    let row = json!({"dscp": 5, "external_ids": ["map", [["a", "1"], ["b", "2"]]]});
    transact(
        &mut db,
        json!([{"op": "insert", "table": "Queue", "row": row}]),
    );
    let uuid = db.rows("Queue").next().unwrap().uuid().to_string();
    (db, uuid)
}

fn monitor(version: MonitorVersion, request: Value) -> Monitor {
    let schema = DatabaseSchema::vswitch();
    Monitor::from_json(&json!({"Queue": request}), version, &schema).unwrap()
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn told(text: Option<String>) -> Option<Value> {
    text.as_deref().map(parsed)
}

fn update(row: Value) -> Value {
    json!([{"op": "update", "table": "Queue", "where": [], "row": row}])
}

#[test]
fn version_1_tells_whole_rows() {
    let (mut db, uuid) = with_queue();
    let request = json!({"columns": ["dscp", "other_config"]});
    let monitor = monitor(MonitorVersion::V1, request);
    let row = json!({"dscp": 5, "other_config": ["map", []]});
    assert_eq!(
        parsed(&monitor.initial(&db)),
        json!({"Queue": {&uuid: {"new": row}}})
    );
    let delta = transact(&mut db, update(json!({"dscp": 6})));
    let new = json!({"dscp": 6, "other_config": ["map", []]});
    let expected = json!({"Queue": {&uuid: {"old": {"dscp": 5}, "new": new}}});
    assert_eq!(told(monitor.update(&delta)), Some(expected));
    let delta = transact(&mut db, update(json!({"external_ids": ["map", []]})));
    assert_eq!(monitor.update(&delta), None);
    let delta = transact(
        &mut db,
        json!([{"op": "delete", "table": "Queue", "where": []}]),
    );
    assert_eq!(
        told(monitor.update(&delta)),
        Some(json!({"Queue": {&uuid: {"old": new}}}))
    );
}

#[test]
fn version_2_tells_differences() {
    let (mut db, uuid) = with_queue();
    let monitor = monitor(
        MonitorVersion::V2,
        json!([{"columns": ["dscp", "external_ids"]}]),
    );
    let row = json!({"dscp": 5, "external_ids": ["map", [["a", "1"], ["b", "2"]]]});
    assert_eq!(
        parsed(&monitor.initial(&db)),
        json!({"Queue": {&uuid: {"initial": row}}})
    );
    let ids = json!(["map", [["a", "3"], ["c", "4"]]]);
    let delta = transact(
        &mut db,
        update(json!({"dscp": ["set", []], "external_ids": ids})),
    );
    let difference = json!({"dscp": ["set", []],
        "external_ids": ["map", [["a", "3"], ["b", "2"], ["c", "4"]]]});
    let expected = json!({"Queue": {&uuid: {"modify": difference}}});
    assert_eq!(told(monitor.update(&delta)), Some(expected));
    let delta = transact(
        &mut db,
        json!([{"op": "delete", "table": "Queue", "where": []}]),
    );
    assert_eq!(
        told(monitor.update(&delta)),
        Some(json!({"Queue": {&uuid: {"delete": null}}}))
    );
}

#[test]
fn rows_come_and_go_with_a_condition() {
    let (mut db, uuid) = with_queue();
    let condition = json!([{"columns": ["dscp"], "where": [["dscp", "==", 7]]}]);
    let mut monitor = monitor(MonitorVersion::V3, condition);
    assert_eq!(monitor.initial(&db), "{}");
    let delta = transact(&mut db, update(json!({"dscp": 7})));
    let insert = json!({"Queue": {&uuid: {"insert": {"dscp": 7}}}});
    assert_eq!(told(monitor.update(&delta)), Some(insert.clone()));
    let delta = transact(&mut db, update(json!({"dscp": 8})));
    let delete = json!({"Queue": {&uuid: {"delete": null}}});
    assert_eq!(told(monitor.update(&delta)), Some(delete.clone()));
    let all = json!({"Queue": [{"where": [true]}]});
    let expected = json!({"Queue": {&uuid: {"insert": {"dscp": 8}}}});
    assert_eq!(
        told(monitor.change_conditions(&all, &db).unwrap()),
        Some(expected)
    );
    assert_eq!(monitor.change_conditions(&all, &db).unwrap(), None);
    let none = json!({"Queue": [{"where": [false]}]});
    assert_eq!(
        told(monitor.change_conditions(&none, &db).unwrap()),
        Some(delete)
    );
    let columns = json!({"Queue": [{"columns": ["dscp"]}]});
    assert!(monitor.change_conditions(&columns, &db).is_err());
}

#[test]
fn a_condition_may_test_a_column_that_is_not_shown() {
    let (mut db, uuid) = with_queue();
    let shown = json!([{"columns": ["dscp"]}]);
    let all = monitor(MonitorVersion::V2, shown.clone());
    let mut others = monitor(MonitorVersion::V2, shown);
    let condition = json!({"Queue": [{"where": [["_uuid", "!=", ["uuid", &uuid]]]}]});
    let delete = json!({"Queue": {&uuid: {"delete": null}}});
    let gone = others.change_conditions(&condition, &db).unwrap();
    assert_eq!(told(gone), Some(delete));
    let delta = transact(&mut db, update(json!({"dscp": 6})));
    let news = News::new(&delta);
    assert!(all.tell(&news).is_some());
    assert_eq!(others.tell(&news), None);
}

#[test]
fn only_selected_kinds_are_told() {
    let (mut db, uuid) = with_queue();
    let only = |kind: &str| {
        let mut select = json!({"initial": false, "insert": false, "delete": false,
                                "modify": false});
        select[kind] = json!(true);
        monitor(
            MonitorVersion::V1,
            json!({"columns": ["dscp"], "select": select}),
        )
    };
    let kinds = ["initial", "insert", "modify", "delete"];
    let [initial, insert, modify, delete] = kinds.map(only);
    assert_ne!(initial.initial(&db), "{}");
    assert_eq!(modify.initial(&db), "{}");
    let delta = transact(&mut db, update(json!({"dscp": 9})));
    assert!(modify.update(&delta).is_some());
    assert_eq!((insert.update(&delta), delete.update(&delta)), (None, None));
    let delta = transact(
        &mut db,
        json!([{"op": "delete", "table": "Queue", "where": []}]),
    );
    assert_eq!(
        told(delete.update(&delta)),
        Some(json!({"Queue": {uuid: {"old": {"dscp": 9}}}}))
    );
    assert_eq!(
        (modify.update(&delta), initial.update(&delta)),
        (None, None)
    );
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let schema = DatabaseSchema::vswitch();
    for requests in [
        json!([]),
        json!({"Nope": {}}),
        json!({"Queue": {"columns": ["nope"]}}),
        json!({"Queue": [{"columns": ["dscp"]}, {"columns": ["dscp"]}]}),
        json!({"Queue": {"select": {"insert": 1}}}),
        json!({"Queue": {"where": []}}),
    ] {
        let monitor = Monitor::from_json(&requests, MonitorVersion::V1, &schema);
        assert!(monitor.is_err(), "{requests}");
    }
}
