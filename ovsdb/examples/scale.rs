//! What a transaction costs with many ports: `scale [PORTS]`.
use std::time::Instant;

use aorta_ovsdb::{Context, DatabaseSchema, Datum, Db, Execution, Uuid, log, op};
use serde_json::{Value, json};

fn run(db: &mut Db, operations: &[Value]) -> Execution {
    let mut context = Context {
        new_uuid: &mut Uuid::new_v4,
        holds_lock: &|_| false,
        waited_ms: 0,
        read_only: false,
    };
    db.transact(operations, &mut context)
}

fn add_port(n: usize) -> Vec<Value> {
    let (name, port, interface) = (format!("tap{n}"), format!("p{n}"), format!("i{n}"));
    let row = op::Columns::new()
        .set("name", &*name)
        .set("type", "internal");
    vec![
        op::insert("Interface", Some(&interface), row),
        op::insert(
            "Port",
            Some(&port),
            op::Columns::new()
                .set("name", &*name)
                .set_json("interfaces", op::named(&interface)),
        ),
        json!({"op": "mutate", "table": "Bridge", "where": [["name", "==", "br0"]],
               "mutations": [["ports", "insert", op::named(&port)]]}),
    ]
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let ports: usize = std::env::args().nth(1).map_or(Ok(5000), |n| n.parse())?;
    let mut db = Db::new(DatabaseSchema::vswitch());
    run(
        &mut db,
        &[
            op::insert(
                "Open_vSwitch",
                None,
                op::Columns::new().set_json("bridges", op::named("b")),
            ),
            op::insert("Bridge", Some("b"), op::Columns::new().set("name", "br0")),
        ],
    );
    let start = Instant::now();
    let all: Vec<Value> = (0..ports).flat_map(add_port).collect();
    run(&mut db, &all);
    println!("{ports} ports in one transaction: {:?}", start.elapsed());
    let rounds = 200;
    let start = Instant::now();
    for n in ports..ports + rounds {
        let operations = add_port(n);
        run(&mut db, &operations);
    }
    println!(
        "one port more: {:?}",
        start.elapsed() / u32::try_from(rounds)?
    );
    let mut beside = Vec::new();
    for n in ports + rounds..ports + rounds + 21 {
        let (_snapshot, operations) = (db.clone(), add_port(n));
        let start = Instant::now();
        run(&mut db, &operations);
        beside.push(start.elapsed());
    }
    beside.sort_unstable();
    println!(
        "the first port after a snapshot: {:?} (median {:?})",
        beside.first(),
        beside.get(10)
    );
    let uuids: Vec<Uuid> = db.rows("Interface").map(|row| row.uuid()).collect();
    let start = Instant::now();
    for uuid in &uuids {
        let statistics = Datum::map([("rx_bytes", 7i64)]);
        run(
            &mut db,
            &[op::update(
                "Interface",
                *uuid,
                op::Columns::new().set("statistics", statistics),
            )],
        );
    }
    println!(
        "statistics of one port: {:?}",
        start.elapsed() / u32::try_from(uuids.len())?
    );
    let start = Instant::now();
    let text = log::encode_transaction(&db.as_delta(), 0).map(|bytes| bytes.len());
    println!(
        "everything as one record: {:?}, {text:?} bytes",
        start.elapsed()
    );
    Ok(())
}
