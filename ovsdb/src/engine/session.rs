//! What the engine keeps of its databases and clients.
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Outbox, SessionId, Text};
use crate::db::Db;
use crate::jsonrpc::Message;
use crate::log::Log;
use crate::monitor::{Monitor, MonitorVersion};
use crate::value::{write_uuid, write_value};

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
    /// When it was last sent what others did.
    pub(super) told: Option<Instant>,
    /// Whether more of that is held for it.
    pub(super) lingers: bool,
}

impl Session {
    pub(super) fn new(outbox: Outbox) -> Self {
        Self {
            outbox,
            monitors: Vec::new(),
            change_aware: false,
            told: None,
            lingers: false,
        }
    }
}

/// A monitor of a client.
pub(super) struct SessionMonitor {
    pub(super) id: Value,
    pub(super) database: usize,
    /// The same for all clients that watch the same.
    pub(super) monitor: Arc<Monitor>,
    /// Every update up to the changes.
    head: Arc<str>,
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
        self.session() == Some(wanted)
    }

    /// Who it is, unless it is in this process.
    pub(super) fn session(&self) -> Option<SessionId> {
        match self {
            Self::Session { session, .. } => Some(*session),
            Self::Internal(_) => None,
        }
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
    pub(super) fn new(id: Value, database: usize, monitor: Arc<Monitor>) -> Self {
        let (method, transaction) = match monitor.version() {
            MonitorVersion::V1 => ("update", None),
            MonitorVersion::V2 => ("update2", None),
            MonitorVersion::V3 => ("update3", Some(Uuid::nil())),
        };
        let mut head = format!("{{\"method\":\"{method}\",\"params\":[");
        write_value(&id, &mut head);
        head.push(',');
        if let Some(transaction) = transaction {
            write_uuid(transaction, &mut head);
            head.push(',');
        }
        Self {
            id,
            database,
            monitor,
            head: head.into(),
        }
    }

    /// The notification of some updates.
    pub(super) fn notification(&self, updates: &UpdateText) -> Text {
        Text::Update {
            head: Arc::clone(&self.head),
            body: Arc::clone(&updates.0),
        }
    }
}

/// Updates, and the end of the notification that tells of them.
#[derive(Clone)]
pub(super) struct UpdateText(Arc<str>);

impl UpdateText {
    pub(super) fn new(mut updates: String) -> Self {
        updates.push_str("],\"id\":null}");
        Self(updates.into())
    }
}

pub(super) fn notification(method: &str, params: Vec<Value>) -> Message {
    Message::Notification {
        method: method.to_owned(),
        params,
    }
}
