//! A switch in memory, for entries that need one.

use std::future::Future;
use std::path::Path;

use aorta_ovsdb::{Context, DatabaseSchema, Db, Execution, Uuid};
use serde_json::Value;
use tokio::runtime::Builder;

use crate::config::{Devices, Model};
use crate::reconcile::Actual;
use crate::sim::{SimDatapath, SimHost, SimNet};
use crate::switch::Switch;

/// A switch whose devices are in memory.
pub(super) type Lab = Switch<SimHost, SimDatapath>;

/// Bridge br0, which is secure, with devices p1 and p2, and br1, which isn't, behind a patch port.
const OPERATIONS: &str = r#"[
    {"op": "insert", "table": "Open_vSwitch", "row":
        {"bridges": ["set", [["named-uuid", "b0"], ["named-uuid", "b1"]]]}},
    {"op": "insert", "table": "Bridge", "uuid-name": "b0", "row": {"name": "br0",
        "fail_mode": "secure", "ports": ["set", [["named-uuid", "p1"], ["named-uuid", "p2"],
        ["named-uuid", "p3"]]]}},
    {"op": "insert", "table": "Bridge", "uuid-name": "b1", "row": {"name": "br1",
        "ports": ["set", [["named-uuid", "p4"], ["named-uuid", "p5"]]]}},
    {"op": "insert", "table": "Port", "uuid-name": "p1", "row":
        {"name": "p1", "interfaces": ["named-uuid", "i1"]}},
    {"op": "insert", "table": "Port", "uuid-name": "p2", "row":
        {"name": "p2", "interfaces": ["named-uuid", "i2"]}},
    {"op": "insert", "table": "Port", "uuid-name": "p3", "row":
        {"name": "p3", "interfaces": ["named-uuid", "i3"]}},
    {"op": "insert", "table": "Port", "uuid-name": "p4", "row":
        {"name": "p4", "interfaces": ["named-uuid", "i4"]}},
    {"op": "insert", "table": "Port", "uuid-name": "p5", "row":
        {"name": "p5", "interfaces": ["named-uuid", "i5"]}},
    {"op": "insert", "table": "Interface", "uuid-name": "i1", "row":
        {"name": "p1", "type": "dummy", "ofport_request": 1}},
    {"op": "insert", "table": "Interface", "uuid-name": "i2", "row":
        {"name": "p2", "type": "dummy", "ofport_request": 2}},
    {"op": "insert", "table": "Interface", "uuid-name": "i3", "row":
        {"name": "p3", "type": "patch", "options": ["map", [["peer", "p4"]]]}},
    {"op": "insert", "table": "Interface", "uuid-name": "i4", "row":
        {"name": "p4", "type": "patch", "options": ["map", [["peer", "p3"]]]}},
    {"op": "insert", "table": "Interface", "uuid-name": "i5", "row":
        {"name": "p5", "type": "dummy"}}
]"#;

/// A database after some operations; none if they are refused.
pub(super) fn database(operations: &[Value]) -> Option<Db> {
    let mut db = Db::new(DatabaseSchema::vswitch());
    let mut next = 0;
    let mut context = Context {
        new_uuid: &mut || {
            next += 1;
            Uuid::from_u128(next)
        },
        holds_lock: &|_| false,
        waited_ms: 0,
        read_only: false,
    };
    match db.transact(operations, &mut context) {
        Execution::Done(outcome) if !outcome.delta.is_empty() => Some(db),
        _ => None,
    }
}

/// The rows that a switch reads.
pub(super) fn model(db: &Db) -> Model {
    let mut model = Model {
        devices: Devices::Simulated { system: true },
        ..Model::default()
    };
    for table in Model::TABLES {
        for row in db.rows(table) {
            model.update(table, row.uuid(), Some(row));
        }
    }
    model
}

/// A switch that knows these rows and has done nothing yet.
pub(super) fn unconfigured(db: &Db) -> Option<Lab> {
    let net = SimNet::default();
    let datapath = SimDatapath::new(net.clone()).ok()?;
    let actual = Actual::new("fuzz".into());
    let mut switch = Switch::new(actual, SimHost::new(net), datapath);
    switch.use_devices(Devices::Simulated { system: true });
    for table in Model::TABLES {
        for row in db.rows(table) {
            switch.row(table, row.uuid(), Some(row));
        }
    }
    Some(switch)
}

/// A switch with two bridges.
pub(super) async fn switch() -> Option<Lab> {
    let operations: Value = serde_json::from_str(OPERATIONS).ok()?;
    let mut switch = unconfigured(&database(operations.as_array()?)?)?;
    switch.configure().await;
    Some(switch)
}

/// Where sockets would be.
pub(super) fn rundir() -> &'static Path {
    Path::new("/run/fuzz")
}

/// Does something to its end; nothing if the process can't have a runtime.
pub(super) fn block_on<T>(work: impl Future<Output = T>) -> Option<T> {
    let runtime = Builder::new_current_thread().enable_time().build().ok()?;
    Some(runtime.block_on(work))
}
