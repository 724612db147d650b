//! What ovsdb-client's monitors print of the same changes to our daemon and to the real
//! ovsdb-server, byte for byte.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Stdio};

use aorta_integration::lab::Netns;
use common::eventually;
use common::pair::{Pair, client, documents, lines};
use serde_json::{Value, json};

/// A word in the last change that a monitor is to see.
const LAST: &str = "the-last";

/// A running monitor, and the file that it prints into.
struct Monitor {
    child: Child,
    out: PathBuf,
    /// Holds the file.
    _dir: tempfile::TempDir,
}

impl Monitor {
    /// Starts a monitor, and waits for its first words.
    fn start(ns: &Netns, remote: &str, options: &[&str], command: &str, words: &[&str]) -> Monitor {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let file = File::create(&out).unwrap();
        let mut monitor = ns.command("ovsdb-client");
        monitor.args(options).arg(command).arg(remote).args(words);
        let child = monitor.stdout(file).stderr(Stdio::null()).spawn().unwrap();
        Monitor {
            child,
            out,
            _dir: dir,
        }
    }

    fn printed(&self) -> String {
        fs::read_to_string(&self.out).unwrap()
    }

    fn wait_printed(&self, word: &str) {
        eventually(word, || self.printed().contains(word));
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn row(number: u32) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

/// Runs a transaction on both servers; it must succeed.
fn on_both(pair: &Pair, operations: &[Value]) {
    let [theirs, _] = pair.reference.remotes();
    for remote in [pair.ours.socket(), theirs] {
        transact(pair.ns(), &remote, operations);
    }
}

fn transact(ns: &Netns, remote: &str, operations: &[Value]) -> Value {
    let transaction = [&[json!("Open_vSwitch")], operations].concat();
    let text = Value::Array(transaction).to_string();
    let output = client(ns, remote, &[], "transact", &[&text]).ok().unwrap();
    assert!(
        !output.stdout.contains("\"error\""),
        "{text}: {}",
        output.stdout
    );
    serde_json::from_str(&output.stdout).unwrap()
}

fn insert(number: u32, dscp: u32, ids: &Value) -> Value {
    json!({"op": "insert", "table": "Queue", "uuid": row(number),
        "row": {"dscp": dscp, "external_ids": ["map", ids]}})
}

fn at(number: u32) -> Value {
    json!([["_uuid", "==", ["uuid", row(number)]]])
}

/// Everything that can happen to a row, and two changes at once; the last one has [`LAST`].
fn changes() -> Vec<Vec<Value>> {
    let update = |number, row: Value| json!({"op": "update", "table": "Queue", "where": at(number), "row": row});
    let delete = |number| json!({"op": "delete", "table": "Queue", "where": at(number)});
    let mutate = |number, mutations: Value| json!({"op": "mutate", "table": "Queue", "where": at(number), "mutations": mutations});
    vec![
        vec![insert(
            1,
            5,
            &json!([["k", "v"], ["quote\"", "back\\slash <&> \u{e9}"]]),
        )],
        vec![insert(2, 7, &json!([]))],
        vec![update(1, json!({"dscp": 6}))],
        // No change at all.
        vec![update(1, json!({"dscp": 6}))],
        vec![mutate(
            1,
            json!([["external_ids", "insert", ["map", [["m", "n"]]]]]),
        )],
        vec![mutate(
            1,
            json!([["external_ids", "delete", ["set", ["k"]]]]),
        )],
        vec![
            update(1, json!({"dscp": ["set", []]})),
            update(1, json!({"dscp": 9})),
        ],
        // Into and out of a condition on dscp.
        vec![update(2, json!({"dscp": 9}))],
        vec![update(2, json!({"dscp": 3}))],
        // Another column than those that are watched.
        vec![update(
            2,
            json!({"other_config": ["map", [["max-rate", "9"]]]}),
        )],
        vec![
            json!({"op": "insert", "table": "QoS", "uuid": row(3), "row": {
            "type": "linux-htb", "queues": ["map", [[0, ["uuid", row(1)]], [1, ["uuid", row(2)]]]]}}),
        ],
        vec![json!({"op": "mutate", "table": "QoS", "where": at(3),
            "mutations": [["queues", "delete", ["set", [0]]]]})],
        vec![insert(4, 1, &json!([])), delete(4)],
        vec![delete(1)],
        vec![
            json!({"op": "delete", "table": "QoS", "where": at(3)}),
            delete(2),
        ],
        vec![insert(5, 9, &json!([[LAST, "x"]]))],
    ]
}

/// [`documents`] without the versions of rows, and in any order of tables.
fn unversioned(text: &str) -> String {
    let found = serde_json::Deserializer::from_str(text).into_iter();
    let mut found: Vec<Value> = found.map(Result::unwrap).collect();
    for document in &mut found {
        let headings = document["headings"].as_array_mut().unwrap();
        let Some(at) = headings.iter().position(|h| h == "_version") else {
            continue;
        };
        headings.remove(at);
        for row in document["data"].as_array_mut().unwrap() {
            row.as_array_mut().unwrap().remove(at);
        }
    }
    let text: String = found.iter().map(|d| format!("{d}\n")).collect();
    lines(&documents(&text))
}

/// Monitors both servers through [`changes`], and compares what is printed.
fn monitored_alike(options: &[&str], command: &str, words: &[&str], order: fn(&str) -> String) {
    let pair = Pair::new("monitor");
    let [by_socket, by_tcp] = pair.ours.remotes();
    let [theirs, _] = pair.reference.remotes();
    on_both(&pair, &[insert(6, 9, &json!([["before", "x"]]))]);
    let start = |remote: &String| Monitor::start(pair.ns(), remote, options, command, words);
    let monitors = [by_socket, by_tcp, theirs].map(|remote| start(&remote));
    let initial = !words.iter().any(|word| word.contains("!initial"));
    for monitor in monitors.iter().filter(|_| initial) {
        monitor.wait_printed(&row(6));
    }
    if !initial {
        // It says nothing yet: a change shows that it is there.
        eventually("all of them listen", || {
            on_both(&pair, &[insert(7, 9, &json!([]))]);
            on_both(
                &pair,
                &[json!({"op": "delete", "table": "Queue", "where": at(7)})],
            );
            monitors
                .iter()
                .all(|monitor| monitor.printed().contains(&row(7)))
        });
    }
    for change in changes() {
        on_both(&pair, &change);
    }
    let [by_socket, by_tcp, theirs] = monitors.map(|monitor| {
        monitor.wait_printed(LAST);
        let printed = monitor.printed();
        // Without what told that it listens.
        let first = printed.find(&row(1)).filter(|_| !initial);
        let from = first.and_then(|at| printed[..at].rfind('\n'));
        let from = from.map_or(0, |end| end + 1);
        order(&printed[from..])
    });
    for ours in [by_socket, by_tcp] {
        let mut pairs = ours.lines().zip(theirs.lines());
        if let Some((ours, theirs)) = pairs.find(|(ours, theirs)| ours != theirs) {
            panic!("{options:?} {command} {words:?}\nours:   {ours}\ntheirs: {theirs}");
        }
        assert_eq!(ours, theirs);
    }
}

const DB: &str = "Open_vSwitch";

#[test]
fn monitor_of_columns() {
    let words = [DB, "Queue", "dscp,external_ids"];
    monitored_alike(&["--format=json"], "monitor", &words, documents);
}

#[test]
fn monitor_of_tables() {
    let words = [DB, "Queue", "dscp", "external_ids", "other_config"];
    monitored_alike(&["--format=json"], "monitor", &words, documents);
    monitored_alike(&["--format=json"], "monitor", &[DB, "ALL"], unversioned);
}

#[test]
fn monitor_in_every_format() {
    for format in ["csv", "table", "list", "html"] {
        let option = format!("--format={format}");
        let words = [DB, "Queue", "dscp", "external_ids"];
        monitored_alike(&[&option, "--no-headings"], "monitor", &words, lines);
    }
}

#[test]
fn monitor_of_some_kinds_of_changes() {
    let words = [DB, "Queue", "dscp,external_ids,!modify"];
    monitored_alike(&["--format=json"], "monitor", &words, documents);
    let words = [DB, "Queue", "dscp,external_ids,!initial,!delete"];
    monitored_alike(&["--format=json"], "monitor", &words, documents);
}

#[test]
fn monitor_with_a_condition() {
    let condition = r#"[["dscp","==",9]]"#;
    let words = [DB, condition, "Queue", "dscp,external_ids"];
    monitored_alike(&["--format=json"], "monitor-cond", &words, documents);
    // This one also prints ids of transactions, as they are.
    monitored_alike(&["--format=json"], "monitor-cond-since", &words, lines);
    let last = "00000000-0000-4000-8000-000000000099";
    let words = [DB, last, condition, "Queue", "dscp,external_ids"];
    monitored_alike(&["--format=json"], "monitor-cond-since", &words, lines);
}

#[test]
fn monitor_with_conditions_of_every_kind() {
    for condition in [
        "[true]",
        r#"[["dscp",">",4]]"#,
        r#"[["external_ids","includes",["map",[["before","x"]]]],["dscp","==",9]]"#,
        r#"[["external_ids","excludes",["map",[["k","v"]]]]]"#,
    ] {
        let words = [DB, condition, "Queue", "dscp,external_ids"];
        monitored_alike(&["--format=json"], "monitor-cond", &words, documents);
    }
}

/// Where Neutron's agent listens for ports.
const POLL: [&str; 3] = ["monitor", "Interface", "name,ofport,external_ids"];

#[test]
fn neutron_sees_ports_come_and_go_as_with_ovs() {
    let pair = Pair::new("poll");
    let [_, tcp] = pair.ours.remotes();
    let [theirs, theirs_tcp] = pair.reference.remotes();
    let [command, table, columns] = POLL;
    let monitors = [tcp, theirs_tcp].map(|remote| {
        let options = ["--format=json"];
        Monitor::start(pair.ns(), &remote, &options, command, &[table, columns])
    });
    for monitor in &monitors {
        monitor.wait_printed("\"tap1\"");
    }
    let bridge = json!([["name", "==", "br0"]]);
    let interface = json!([["name", "==", "tap2"]]);
    let ids = json!([
        "map",
        [["attached-mac", "fa:16:3e:00:00:01"], ["iface-id", "one"]]
    ]);
    let plug = [
        json!({"op": "insert", "table": "Interface", "uuid": row(11), "uuid-name": "i",
            "row": {"name": "tap2", "external_ids": ids}}),
        json!({"op": "insert", "table": "Port", "uuid": row(12), "uuid-name": "p",
            "row": {"name": "tap2", "interfaces": ["named-uuid", "i"]}}),
        json!({"op": "mutate", "table": "Bridge", "where": bridge,
            "mutations": [["ports", "insert", ["named-uuid", "p"]]]}),
    ];
    let unplug = [json!({"op": "mutate", "table": "Bridge", "where": bridge,
        "mutations": [["ports", "delete", ["uuid", row(12)]]]})];
    let activate = [
        json!({"op": "mutate", "table": "Interface", "where": interface,
        "mutations": [["external_ids", "insert", ["map", [["iface-status", "active"]]]]]}),
    ];
    pair.ns().tap("tap2").unwrap();
    for round in 0..3 {
        // Our switch numbers the port by itself; there it is done by hand.
        on_both(&pair, &plug);
        let number = json!({"op": "select", "table": "Interface", "where": interface,
            "columns": ["ofport"]});
        let mut given = Value::Null;
        eventually("it has a number", || {
            let reply = transact(
                pair.ns(),
                &pair.ours.socket(),
                std::slice::from_ref(&number),
            );
            given = reply[0]["rows"][0]["ofport"].clone();
            given.is_i64()
        });
        let by_hand = json!({"op": "update", "table": "Interface", "where": interface,
            "row": {"ofport": given}});
        transact(pair.ns(), &theirs, &[by_hand]);
        on_both(&pair, &activate);
        on_both(&pair, &unplug);
        for monitor in &monitors {
            eventually("it is seen to go", || {
                monitor.printed().matches("\"delete\"").count() > round
            });
        }
    }
    let [ours, theirs] = monitors.map(|monitor| documents(&monitor.printed()));
    assert_eq!(ours, theirs);
    assert_eq!(ours.lines().count(), 1 + 3 * 4, "{ours}");
}

#[test]
fn a_monitor_in_the_background_goes_on_until_it_is_told_to_end() {
    let pair = Pair::new("detach");
    let [theirs, _] = pair.reference.remotes();
    let printed = [pair.ours.socket(), theirs].map(|remote| {
        let dir = tempfile::tempdir().unwrap();
        let [out, pidfile] = ["out", "ovsdb-client.pid"].map(|name| dir.path().join(name));
        let mut command = pair.ns().command("ovsdb-client");
        command.env("OVS_RUNDIR", dir.path());
        command.args(["--detach", "--no-chdir", "--pidfile", "--format=json"]);
        command.args(["monitor", &remote, DB, "Queue", "dscp,external_ids"]);
        let file = File::create(&out).unwrap();
        let started = command.stdout(file).stderr(Stdio::null()).status().unwrap();
        assert!(started.success());
        let text = || fs::read_to_string(&out).unwrap();
        // It is in the background once it has the first contents.
        assert!(
            text().contains("max-rate") || text().contains("initial"),
            "{}",
            text()
        );
        transact(pair.ns(), &remote, &[insert(1, 5, &json!([[LAST, "x"]]))]);
        eventually("the change", || text().contains(LAST));
        let mut end = pair.ns().command("ovs-appctl");
        let ended = end
            .env("OVS_RUNDIR", dir.path())
            .args(["-t", "ovsdb-client", "exit"])
            .status()
            .unwrap();
        assert!(ended.success());
        eventually("its end", || !pidfile.exists());
        documents(&text())
    });
    assert_eq!(printed[0], printed[1]);
}
