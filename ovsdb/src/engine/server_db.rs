//! The `_Server` database, which tells clients what a server has.
use serde_json::{Value, json};
use uuid::Uuid;

use crate::db::{Context, Db, Delta, Execution};
use crate::json::sorted_text;
use crate::schema::DatabaseSchema;

/// The `_Server` database of a server with one database and `_Server` itself.
pub(super) fn server_database(main: &Db) -> Db {
    let mut db = Db::new(DatabaseSchema::server());
    let own = DatabaseSchema::server();
    let schemas = [main.schema().to_json(), own.to_json()];
    let rows: Vec<Value> = schemas
        .iter()
        .map(|schema| {
            json!({"op": "insert", "table": "Database", "row": {
                "name": schema["name"], "model": "standalone", "connected": true, "leader": true,
                "schema": sorted_text(schema),
            }})
        })
        .collect();
    transact(&mut db, &rows);
    db
}

/// Tells that a database has another schema.
pub(super) fn set_schema(db: &mut Db, schema: &DatabaseSchema) -> Delta {
    let row = json!({"schema": sorted_text(schema.to_json())});
    let of_it = json!([["name", "==", &*schema.name]]);
    let update = json!({"op": "update", "table": "Database", "where": of_it, "row": row});
    transact(db, &[update])
}

fn transact(db: &mut Db, operations: &[Value]) -> Delta {
    let mut context = Context {
        new_uuid: &mut Uuid::new_v4,
        holds_lock: &|_| false,
        waited_ms: 0,
        read_only: false,
    };
    match db.transact(operations, &mut context) {
        Execution::Done(outcome) => outcome.delta,
        Execution::Blocked { .. } => Delta::default(),
    }
}
