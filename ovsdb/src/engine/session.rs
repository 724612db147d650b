//! What the engine keeps of its databases and clients.
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Outbox, SessionId};
use crate::db::Db;
use crate::jsonrpc::Message;
use crate::log::Log;
use crate::monitor::{Monitor, MonitorVersion};

/// A database that is served.
pub(super) struct Database {
    pub(super) db: Db,
    pub(super) log: Option<Log>,
    pub(super) read_only: bool,
}

/// A connected client.
pub(super) struct Session {
    pub(super) outbox: Outbox,
    pub(super) monitors: Vec<SessionMonitor>,
    pub(super) change_aware: bool,
}

pub(super) struct SessionMonitor {
    pub(super) id: Value,
    pub(super) database: usize,
    pub(super) monitor: Monitor,
}

/// Who waits for the results of a transaction.
pub(super) enum Client {
    Session { session: SessionId, id: Value },
    Internal(oneshot::Sender<Vec<Value>>),
}

/// A transaction on its way.
pub(super) struct Job {
    pub(super) client: Client,
    pub(super) database: usize,
    pub(super) operations: Vec<Value>,
    pub(super) since: Instant,
    pub(super) deadline: Option<Instant>,
}

impl Client {
    pub(super) fn is(&self, wanted: SessionId) -> bool {
        matches!(self, Self::Session { session, .. } if *session == wanted)
    }

    /// The id of a session's request.
    pub(super) fn id(&self) -> Option<&Value> {
        match self {
            Self::Session { id, .. } => Some(id),
            Self::Internal(_) => None,
        }
    }
}

impl SessionMonitor {
    pub(super) fn notification(&self, updates: Value) -> Message {
        let id = self.id.clone();
        match self.monitor.version() {
            MonitorVersion::V1 => notification("update", vec![id, updates]),
            MonitorVersion::V2 => notification("update2", vec![id, updates]),
            MonitorVersion::V3 => {
                notification("update3", vec![id, json!(Uuid::nil().to_string()), updates])
            }
        }
    }
}

pub(super) fn notification(method: &str, params: Vec<Value>) -> Message {
    Message::Notification {
        method: method.to_owned(),
        params,
    }
}
