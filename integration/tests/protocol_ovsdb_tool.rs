//! ovsdb-tool on the daemon's database file, and the daemon on what ovsdb-tool left.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::process::Command;

use aorta_integration::lab::{Output, run};
use common::done;
use common::python::Served;
use serde_json::json;

/// The schema that the daemon works with.
const SCHEMA: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../ovsdb/schema/vswitch.ovsschema"
);

fn tool(words: &[&str]) -> Output {
    run(Command::new("ovsdb-tool").args(words)).unwrap()
}

/// Runs ovsdb-tool, which must succeed, and returns what it printed.
fn told(words: &[&str]) -> String {
    tool(words).ok().unwrap().stdout
}

#[test]
fn what_was_configured_is_in_the_file_as_ovs_has_it() {
    let mut served = Served::new("tool");
    let switch = &mut served.switch;
    done(switch, "add-br br0 -- add-port br0 tap0 tag=7");
    let file = switch.db();
    let file = file.to_str().unwrap();
    // Nobody changes it under a running daemon; whoever only reads may.
    let transaction = json!(["Open_vSwitch", {"op": "select", "table": "Port",
        "where": [["name", "==", "tap0"]], "columns": ["tag"]}]);
    let transaction = transaction.to_string();
    let query = ["query", file, &transaction];
    assert_eq!(told(&query).trim(), r#"[{"rows":[{"tag":7}]}]"#);
    for words in [&["compact", file][..], &["transact", file, &transaction]] {
        let output = tool(words);
        assert_ne!(output.status, 0, "{output:?}");
        assert!(output.stderr.contains("lock"), "{}", output.stderr);
    }
    switch.terminate().unwrap();
    assert_eq!(told(&["db-name", file]), "Open_vSwitch\n");
    assert_eq!(told(&["db-version", file]), "8.3.1\n");
    assert_eq!(told(&["db-cksum", file]), "3012963480 26720\n");
    assert_eq!(told(&["db-is-standalone", file]), "");
    assert_ne!(tool(&["db-is-clustered", file]).status, 0);
    assert_eq!(told(&["needs-conversion", file, SCHEMA]), "no\n");
    assert_eq!(told(&["schema-name", SCHEMA]), "Open_vSwitch\n");
    let log = told(&["show-log", file]);
    assert!(
        log.starts_with("record 0: \"Open_vSwitch\" schema"),
        "{log}"
    );
    let log = told(&["-mm", "show-log", file]);
    for words in [
        "table Port insert row \"tap0\"",
        "tag=7",
        "table Bridge insert row \"br0\"",
    ] {
        assert!(log.contains(words), "{words}: {log}");
    }
}

#[test]
fn the_daemon_goes_on_with_what_ovsdb_tool_left() {
    let mut served = Served::new("toolleft");
    let switch = &mut served.switch;
    done(switch, "add-br br0 -- add-port br0 tap0");
    let number = common::column(switch, "Interface", "tap0", "ofport");
    let file = switch.db();
    let file = file.to_str().unwrap();
    switch.terminate().unwrap();
    told(&["compact", file]);
    // A port that is added while no daemon runs.
    let add = json!(["Open_vSwitch",
        {"op": "insert", "table": "Interface", "uuid-name": "i", "row": {"name": "tap1"}},
        {"op": "insert", "table": "Port", "uuid-name": "p", "row":
            {"name": "tap1", "tag": 9, "interfaces": ["named-uuid", "i"]}},
        {"op": "mutate", "table": "Bridge", "where": [["name", "==", "br0"]],
            "mutations": [["ports", "insert", ["named-uuid", "p"]]]},
        {"op": "comment", "comment": "by hand"}]);
    let reply = told(&["transact", file, &add.to_string()]);
    assert!(!reply.contains("error"), "{reply}");
    switch.restart().unwrap();
    assert_eq!(done(switch, "list-ports br0"), "tap0\ntap1");
    assert_eq!(common::column(switch, "Port", "tap1", "tag"), "9");
    common::wait_interface(switch, "tap1", "error", "[]");
    assert_eq!(
        common::column(switch, "Interface", "tap0", "ofport"),
        number
    );
    // And once more, in the file as it is now.
    done(switch, "del-port tap0");
    switch.terminate().unwrap();
    told(&["convert", file, SCHEMA]);
    told(&["compact", file]);
    switch.restart().unwrap();
    assert_eq!(done(switch, "list-ports br0"), "tap1");
}
