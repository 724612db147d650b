//! Transactions for tests.
use serde_json::Value;
use uuid::Uuid;

use super::{Context, Db, Execution, Outcome};

/// Runs operations that neither wait nor need a lock.
pub(crate) fn transact(db: &mut Db, operations: &Value) -> Outcome {
    let mut context = Context {
        new_uuid: &mut Uuid::new_v4,
        holds_lock: &|_| false,
        waited_ms: 0,
        read_only: false,
    };
    match db.transact(operations.as_array().unwrap(), &mut context) {
        Execution::Done(outcome) => outcome,
        Execution::Blocked { .. } => panic!("blocked"),
    }
}
