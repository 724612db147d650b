//! The Python library with which os-vif, Neutron and others follow the database.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::process::Command;

use aorta_integration::lab::run;
use common::client::Client;

/// Debian's Python: others don't see its packages.
const PYTHON: &str = "/usr/bin/python3";

/// Adds a port as os-vif does: one transaction with `next_cfg`, then waiting for `cur_cfg`; then
/// removes it. Arguments: the database, a file with its schema, the device.
const SCRIPT: &str = r#"
import sys, time
import ovs.db.idl as idl, ovs.poller
remote, schema, device = sys.argv[1:]
helper = idl.SchemaHelper(location=schema)
helper.register_all()
db = idl.Idl(remote, helper)

def wait(what, condition):
    end = time.time() + 20
    while not condition():
        db.run()
        if condition():
            return
        if time.time() > end:
            sys.exit("timeout: " + what)
        poller = ovs.poller.Poller()
        db.wait(poller)
        poller.timer_wait(100)
        poller.block()

def the(table, name):
    return next((r for r in db.tables[table].rows.values() if r.name == name), None)

def commit(change):
    txn = idl.Transaction(db)
    change(txn)
    root = next(iter(db.tables["Open_vSwitch"].rows.values()))
    root.increment("next_cfg")
    status = txn.commit_block()
    if status != idl.Transaction.SUCCESS:
        sys.exit("commit: " + status + " " + str(txn.get_error()))
    target = txn.get_increment_new_value()
    wait("cur_cfg", lambda: root.cur_cfg >= target)

def add(txn):
    interface = txn.insert(db.tables["Interface"])
    interface.name = device
    interface.external_ids = {"iface-id": "one", "vm-uuid": "two"}
    port = txn.insert(db.tables["Port"])
    port.name = device
    port.interfaces = [interface]
    port.tag = [42]
    the("Bridge", "br0").addvalue("ports", port)

def remove(txn):
    the("Bridge", "br0").delvalue("ports", the("Port", device))

wait("the bridge", lambda: the("Bridge", "br0") is not None)
commit(add)
row = the("Interface", device)
print("added", row.ofport[0], row.error, row.external_ids["iface-id"])
commit(remove)
wait("the row is gone", lambda: the("Interface", device) is None)
print("removed")
"#;

#[test]
fn a_python_client_adds_and_removes_a_port() {
    let client = Client::new("idl", true);
    client.done("add-br br0");
    let remote = format!("unix:{}", client.switch.rundir().join("db.sock").display());
    let schema = tempfile::NamedTempFile::new().unwrap();
    let text = client.switch.client("ovsdb-client", &["get-schema"]);
    std::fs::write(schema.path(), text.unwrap().ok().unwrap().stdout).unwrap();
    let mut python = Command::new(PYTHON);
    python.args(["-c", SCRIPT, &remote]).arg(schema.path());
    let printed = run(python.arg("tap0")).unwrap().ok().unwrap().stdout;
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines, ["added 1 [] one", "removed"], "{printed}");
    assert_eq!(client.done("list-ports br0"), "");
}
