//! Every command of ovsdb-client against the running daemon, and against the real ovsdb-server
//! with the same contents: what it prints must be the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;

use common::eventually;
use common::pair::{Pair, client, documents, lines, plain, sort_rows};
use serde_json::{Value, json};

#[test]
fn schemas_are_told_alike() {
    let pair = Pair::new("schema");
    for words in [&[][..], &["Open_vSwitch"], &["_Server"], &["Nonsense"]] {
        for (command, order) in [
            ("get-schema", plain as fn(&str) -> String),
            ("get-schema-version", plain),
            ("get-schema-cksum", plain),
            ("list-tables", lines),
            ("list-columns", lines),
        ] {
            pair.same(&[], command, words, order);
        }
    }
    pair.same(&[], "list-dbs", &[], plain);
    pair.same(
        &["--format=json"],
        "list-columns",
        &["Open_vSwitch"],
        documents,
    );
    pair.same(&[], "list-columns", &["Open_vSwitch", "Mirror"], lines);
    pair.same(&["--pretty"], "get-schema", &["Open_vSwitch"], plain);
}

#[test]
fn contents_are_dumped_alike() {
    let pair = Pair::new("dump");
    for format in ["table", "list", "html", "csv"] {
        for data in ["string", "bare", "json"] {
            let options = [&*format!("--format={format}"), &*format!("--data={data}")];
            pair.same(&options, "dump", &[], lines);
        }
    }
    for option in ["--format=json", "--pretty"] {
        pair.same(
            &["--format=json", option],
            "dump",
            &["Open_vSwitch"],
            documents,
        );
    }
    pair.same(
        &["--bare"],
        "dump",
        &["Open_vSwitch", "Port", "name", "tag"],
        lines,
    );
    pair.same(&[], "dump", &["Open_vSwitch", "Interface"], lines);
    pair.same(&[], "dump", &["Open_vSwitch", "Nonsense"], plain);
    pair.same(&[], "dump", &["Nonsense"], plain);
}

/// The uuid with which a row is inserted on both servers.
fn row(number: u32) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

/// Transactions that end in each way that a transaction can, on tables that the switch only reads.
fn transactions() -> Vec<Value> {
    let [a, b] = [row(1), row(2)];
    let at = |uuid: &str| json!([["_uuid", "==", ["uuid", uuid]]]);
    let queue = |uuid: &str, ids: Value| {
        json!({"op": "insert", "table": "Queue", "uuid": uuid,
            "row": {"external_ids": ["map", ids]}})
    };
    let select = json!({"op": "select", "table": "Queue", "where": at(&a),
        "columns": ["dscp", "external_ids", "other_config"]});
    let on = |operations: Value| {
        let mut transaction = vec![json!("Open_vSwitch")];
        transaction.extend(operations.as_array().unwrap().iter().cloned());
        Value::Array(transaction)
    };
    let update =
        |row: Value| json!({"op": "update", "table": "Queue", "where": at(&a), "row": row});
    let mutate = |mutations: Value| json!({"op": "mutate", "table": "Queue", "where": at(&a), "mutations": mutations});
    vec![
        on(json!([])),
        on(json!([
            queue(&a, json!([["x", "y"]])),
            queue(&b, json!([]))
        ])),
        on(json!([queue(&a, json!([]))])),
        on(json!([update(json!({"dscp": 63})), select])),
        on(json!([update(json!({"dscp": 64}))])),
        on(json!([update(json!({"dscp": "x"}))])),
        on(json!([update(json!({"colour": 1}))])),
        on(json!([
            mutate(json!([["dscp", "-=", 60], ["dscp", "*=", 2]])),
            select
        ])),
        on(json!([mutate(json!([["dscp", "/=", 0]]))])),
        on(json!([
            mutate(json!([[
                "external_ids",
                "insert",
                ["map", [["x", "z"], ["k", "v"]]]
            ]])),
            select
        ])),
        on(json!([
            mutate(json!([["external_ids", "delete", ["set", ["x"]]]])),
            select
        ])),
        on(
            json!([{"op": "wait", "table": "Queue", "where": at(&b), "columns": ["dscp"],
            "until": "==", "rows": [{"dscp": ["set", []]}], "timeout": 0}]),
        ),
        on(
            json!([{"op": "wait", "table": "Queue", "where": at(&b), "columns": ["dscp"],
            "until": "!=", "rows": [{"dscp": ["set", []]}], "timeout": 0}, select]),
        ),
        on(json!([{"op": "comment", "comment": "a word"}, {"op": "commit", "durable": true}])),
        on(json!([update(json!({"dscp": 1})), {"op": "abort"}, select])),
        on(json!([{"op": "assert", "lock": "nobody"}])),
        on(
            json!([{"op": "insert", "table": "QoS", "uuid": row(3), "row": {"type": "linux-htb",
            "queues": ["map", [[0, ["uuid", b]], [1, ["named-uuid", "later"]]]]}},
            {"op": "insert", "table": "Queue", "uuid": row(4), "uuid-name": "later", "row": {}}]),
        ),
        on(json!([{"op": "delete", "table": "Queue", "where": at(&b)}])),
        on(
            json!([{"op": "delete", "table": "QoS", "where": [["_uuid", "==", ["uuid", row(3)]]]},
            {"op": "delete", "table": "Queue", "where": at(&b)}]),
        ),
        on(json!([{"op": "insert", "table": "Open_vSwitch", "uuid": row(5), "row": {}}])),
        on(json!([{"op": "dance"}])),
        on(json!([{"op": "select", "table": "Tables", "where": []}])),
        json!(["Nonsense"]),
        json!(["_Server", {"op": "delete", "table": "Database", "where": []}]),
        json!([]),
        json!([17]),
    ]
}

/// Runs a transaction on both, and requires the same answer.
fn transacted_alike(pair: &Pair, command: &str, transaction: &Value) {
    let text = transaction.to_string();
    let [theirs, _] = pair.reference.remotes();
    let mut replies = [pair.ours.socket(), theirs].map(|remote| {
        let output = client(pair.ns(), &remote, &[], command, &[&text]);
        let reply = serde_json::from_str(&output.stdout).unwrap_or(Value::String(output.stderr));
        (output.status, reply)
    });
    for (_, reply) in &mut replies {
        sort_rows(reply);
        without_wording(reply);
    }
    let [ours, theirs] = replies;
    assert_eq!(ours, theirs, "{command} {transaction}");
}

/// Errors keep their names alone, and complaints of the client the name.
fn without_wording(value: &mut Value) {
    match value {
        Value::Object(members) if members.contains_key("error") => {
            members.retain(|name, _| name == "error");
        }
        Value::Object(members) => members.values_mut().for_each(without_wording),
        Value::Array(elements) => elements.iter_mut().for_each(without_wording),
        Value::String(text) if text.starts_with("ovsdb-client: ") => {
            if let Some((_, error)) = text.split_once("\"error\":\"") {
                *text = error.split('"').next().unwrap().to_owned();
            }
        }
        _ => {}
    }
}

#[test]
fn transactions_are_answered_alike() {
    let pair = Pair::new("transact");
    for transaction in transactions() {
        transacted_alike(&pair, "transact", &transaction);
    }
    let dump = ["Open_vSwitch", "Queue", "dscp", "external_ids"];
    pair.same(&[], "dump", &dump, lines);
}

#[test]
fn queries_are_answered_alike_and_change_nothing() {
    let pair = Pair::new("query");
    let before = fs::read(pair.ours.switch.db()).unwrap();
    for transaction in transactions() {
        transacted_alike(&pair, "query", &transaction);
    }
    assert_eq!(fs::read(pair.ours.switch.db()).unwrap(), before);
}

#[test]
fn states_of_databases_are_waited_for_alike() {
    let pair = Pair::new("wait");
    for (database, state, status) in [
        ("Open_vSwitch", "added", 0),
        ("Open_vSwitch", "connected", 0),
        ("Nonsense", "removed", 0),
        // These would wait for ever: the alarm ends them.
        ("Nonsense", "added", 142),
        ("Open_vSwitch", "removed", 142),
    ] {
        for output in pair.all(&["--timeout=1"], "wait", &[database, state]) {
            assert_eq!(output.status, status, "{output:?}");
        }
    }
}

#[test]
fn need_of_conversion_is_told_alike() {
    let pair = Pair::new("needs");
    let schema = client(pair.ns(), &pair.ours.socket(), &[], "get-schema", &[]);
    let schema: Value = serde_json::from_str(&schema.ok().unwrap().stdout).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let needs = |schema: &Value| {
        fs::write(file.path(), schema.to_string()).unwrap();
        pair.same(
            &[],
            "needs-conversion",
            &[file.path().to_str().unwrap()],
            plain,
        );
    };
    needs(&schema);
    let mut other = schema.clone();
    other["version"] = json!("8.9.0");
    needs(&other);
    let mut other = schema;
    other["name"] = json!("Nonsense");
    needs(&other);
}

/// The records of a database file; dates are left out.
fn records(file: &str) -> Vec<Value> {
    let mut records = Vec::new();
    let mut rest = file;
    while let Some((header, body)) = rest.split_once('\n') {
        let length: usize = header.split(' ').nth(2).unwrap().parse().unwrap();
        let mut record: Value = serde_json::from_str(&body[..length]).unwrap();
        sort_rows(&mut record);
        record.as_object_mut().unwrap().remove("_date");
        records.push(record);
        rest = &body[length..];
    }
    records
}

#[test]
fn a_backup_is_the_same_and_either_server_restores_it() {
    let pair = Pair::new("backup");
    let [ours, _, theirs, _] = pair.all(&[], "backup", &[]);
    let (ours, theirs) = (ours.ok().unwrap(), theirs.ok().unwrap());
    assert_eq!(records(&ours.stdout), records(&theirs.stdout));
    // Each is given the other's, after something was lost.
    let lose = json!(["Open_vSwitch",
        {"op": "update", "table": "Port", "where": [], "row": {"qos": ["set", []]}},
        {"op": "delete", "table": "QoS", "where": []},
        {"op": "delete", "table": "Queue", "where": []}]);
    let number = || common::column(&pair.ours.switch, "Interface", "tap0", "ofport");
    let before = number();
    let socket = [pair.ours.socket(), pair.reference.remotes()[0].clone()];
    for (remote, backup) in socket.iter().zip([&theirs.stdout, &ours.stdout]) {
        let lost = client(pair.ns(), remote, &[], "transact", &[&lose.to_string()]);
        assert!(!lost.ok().unwrap().stdout.contains("error"));
        restore(&pair, remote, backup);
    }
    // Restored rows have new uuids.
    for columns in [
        ["Queue", "dscp", "external_ids", "other_config"].as_slice(),
        &["QoS", "type", "other_config"],
        &["Port", "name", "tag", "trunks", "vlan_mode"],
        &["Interface", "name", "external_ids", "mtu_request"],
        &["Bridge", "name", "fail_mode", "protocols", "other_config"],
    ] {
        pair.same(&[], "dump", &[&["Open_vSwitch"], columns].concat(), lines);
    }
    // The switch goes on with the ports that it had.
    eventually("the port has its number", || number() == before);
}

/// Gives ovsdb-client a backup to restore.
fn restore(pair: &Pair, remote: &str, backup: &str) {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), backup).unwrap();
    let mut command = pair.ns().command("ovsdb-client");
    command.args(["--timeout=20", "restore", remote]);
    let input = Stdio::from(File::open(file.path()).unwrap());
    let output = command.stdin(input).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{remote}: {errors}");
}

/// What clients print that want the same lock one after the other.
fn locks(pair: &Pair, remote: &str, dir: &Path) -> Vec<String> {
    let file = |name: &str| dir.join(name);
    let printed = |name: &str| fs::read_to_string(file(name)).unwrap();
    let start = |command: &str, name: &str, lock: &str| {
        let mut client = pair.ns().command("ovsdb-client");
        client.args([command, remote, lock]);
        let out = File::create(file(name)).unwrap();
        let child = client.stdout(out).stderr(Stdio::null()).spawn().unwrap();
        eventually("it has an answer", || printed(name).contains('\n'));
        child
    };
    let mut first = start("lock", "first", "x");
    let mut second = start("lock", "second", "x");
    let mut other = start("lock", "other", "y");
    let mut thief = start("steal", "thief", "x");
    eventually("it is stolen", || printed("first").contains("stolen"));
    thief.kill().unwrap();
    thief.wait().unwrap();
    eventually("it is returned", || printed("first").contains("locked\n"));
    first.kill().unwrap();
    first.wait().unwrap();
    eventually("the second's turn", || {
        printed("second").contains("locked\n")
    });
    for child in [&mut second, &mut other] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    ["first", "second", "other", "thief"].map(printed).to_vec()
}

#[test]
fn locks_go_round_alike() {
    let pair = Pair::new("locks");
    let [by_socket, by_tcp] = pair.ours.remotes();
    let [theirs, _] = pair.reference.remotes();
    let [by_socket, by_tcp, theirs] = [by_socket, by_tcp, theirs].map(|remote| {
        let dir = tempfile::tempdir().unwrap();
        locks(&pair, &remote, dir.path())
    });
    assert_eq!(by_socket, theirs);
    assert_eq!(by_tcp, theirs);
    // Nothing to give back is no error; the client stays until it is ended.
    for output in pair.all(&["--timeout=1"], "unlock", &["x"]) {
        assert_eq!((output.status, output.stdout.as_str()), (142, ""));
    }
}
