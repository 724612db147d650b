//! The `_Server` database, which tells clients what a server has.
use serde_json::{Value, json};
use uuid::Uuid;

use crate::db::{Context, Db};
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
                "schema": schema.to_string(),
            }})
        })
        .collect();
    let mut context = Context {
        new_uuid: &mut Uuid::new_v4,
        holds_lock: &|_| false,
        waited_ms: 0,
        read_only: false,
    };
    db.transact(&rows, &mut context);
    db
}
