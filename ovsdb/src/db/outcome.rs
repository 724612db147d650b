//! What a transaction takes and gives.
use serde_json::Value;
use uuid::Uuid;

use super::Delta;

/// What a transaction depends on besides the database.
pub struct Context<'a> {
    /// Makes uuids that were never used.
    pub new_uuid: &'a mut dyn FnMut() -> Uuid,
    /// Whether the client holds a lock.
    pub holds_lock: &'a dyn Fn(&str) -> bool,
    /// For how long the transaction has been waiting, in milliseconds.
    pub waited_ms: u64,
    /// Refuse every operation that could change the database.
    pub read_only: bool,
}

/// How a transaction went.
#[derive(Debug, Clone, PartialEq)]
pub enum Execution {
    /// It is over, whether it changed something, nothing, or failed.
    Done(Outcome),
    /// A `wait` doesn't hold yet; nothing was changed. Try again when the database has changed,
    /// or when the transaction has waited for `timeout_ms` altogether.
    Blocked {
        /// The wait's limit; `None` for no limit.
        timeout_ms: Option<u64>,
    },
}

/// A transaction's reply and effects.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The members of the reply's result array.
    pub results: Vec<Value>,
    /// What changed; empty for a transaction that failed.
    pub delta: Delta,
    /// Whether the changes must be on stable storage before the reply.
    pub durable: bool,
}

impl Outcome {
    /// A transaction without effect.
    pub(crate) fn failed(results: Vec<Value>) -> Self {
        Self {
            results,
            delta: Delta::default(),
            durable: false,
        }
    }
}
