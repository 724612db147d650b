//! The database as part of a daemon: open it, read it, change it, hear of changes, let clients in.
use std::path::Path;
use std::sync::Arc;

use aorta_stream::{Dialer, ListenError, Listener, Remote, Setup, dial, listen};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use crate::db::{Db, Delta};
use crate::engine::{Command, Engine, LockStatus, Usage};
use crate::error::ErrorKind;
use crate::log::{Log, LogError};
use crate::schema::DatabaseSchema;
use crate::server::Access;
use crate::session::{LocalSession, SessionError};

/// Opens databases.
#[derive(Debug)]
pub struct Store;

/// A running database. Clones are handles on the same one, which stops when the last handle,
/// listener and connection is gone, or by [`StoreHandle::close`].
#[derive(Debug, Clone)]
pub struct StoreHandle {
    engine: mpsc::Sender<Command>,
    access: Access,
}

/// A transaction that did not happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The database has been closed.
    #[error("the database is closed")]
    Closed,
    /// The operations were not an array.
    #[error("the operations of a transaction are an array")]
    NotOperations,
    /// An operation, or the transaction as a whole, was refused.
    #[error("{error}: {details}")]
    Refused {
        /// The error's name (RFC 7047 §5.2).
        error: String,
        /// What exactly.
        details: String,
    },
}

/// How many commands wait for the engine before their senders do.
const QUEUE: usize = 256;

impl Store {
    /// Opens the `Open_vSwitch` database in a file, or makes an empty one there. Must be called
    /// within a tokio runtime.
    ///
    /// # Errors
    /// If the file is in use, unreadable or damaged; it is not changed then.
    pub fn open(path: &Path) -> Result<StoreHandle, LogError> {
        Self::open_schema(path, &DatabaseSchema::vswitch())
    }

    /// Opens a database of any schema in a file, or makes an empty one there. Must be called
    /// within a tokio runtime.
    ///
    /// # Errors
    /// If the file is in use, unreadable or damaged; it is not changed then.
    pub fn open_schema(path: &Path, schema: &Arc<DatabaseSchema>) -> Result<StoreHandle, LogError> {
        let (log, db) = Log::open(path, schema)?;
        Ok(StoreHandle::start(Engine::new(db, Some(log))))
    }

    #[cfg(test)]
    pub(crate) fn open_on(
        disk: Arc<dyn crate::log::Disk>,
        path: &Path,
    ) -> Result<StoreHandle, LogError> {
        let (log, db) = Log::open_on(disk, path, &DatabaseSchema::vswitch())?;
        Ok(StoreHandle::start(Engine::new(db, Some(log))))
    }

    /// An empty `Open_vSwitch` database without a file. Must be called within a tokio runtime.
    pub fn in_memory() -> StoreHandle {
        StoreHandle::start(Engine::new(Db::new(DatabaseSchema::vswitch()), None))
    }
}

impl StoreHandle {
    fn start(engine: Engine) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        tokio::spawn(engine.run(receiver));
        Self {
            access: Access::new(sender.clone()),
            engine: sender,
        }
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, StoreError> {
        let (sender, receiver) = oneshot::channel();
        let sent = self.engine.send(command(sender)).await;
        sent.map_err(|_| StoreError::Closed)?;
        receiver.await.map_err(|_| StoreError::Closed)
    }

    /// Runs an array of operations (see [`crate::op`]) as one transaction and returns a result for
    /// each.
    ///
    /// # Errors
    /// If one was refused, or the whole; nothing has changed then.
    pub async fn transact(&self, operations: Value) -> Result<Vec<Value>, StoreError> {
        let Value::Array(operations) = operations else {
            return Err(StoreError::NotOperations);
        };
        let results = self
            .ask(|reply| Command::Transact { operations, reply })
            .await?;
        check_results(results)
    }

    /// The database as it is now. Holding on to it costs a copy of each table that changes.
    ///
    /// # Errors
    /// If the database is closed.
    pub async fn snapshot(&self) -> Result<Db, StoreError> {
        self.ask(|reply| Command::Snapshot { reply }).await
    }

    /// The database as it is now, and all changes from now on, the caller's own included. They
    /// pile up in memory until they are taken.
    ///
    /// # Errors
    /// If the database is closed.
    pub async fn subscribe(&self) -> Result<(Db, mpsc::UnboundedReceiver<Arc<Delta>>), StoreError> {
        self.ask(|reply| Command::Subscribe { reply }).await
    }

    /// Lets a part of this process be a client like those that connect.
    ///
    /// # Errors
    /// If the database is closed.
    pub async fn connect(&self) -> Result<LocalSession, SessionError> {
        let session = self.access.session();
        LocalSession::open(&self.engine, session).await
    }

    /// How much the store holds.
    ///
    /// # Errors
    /// If the database is closed.
    pub async fn usage(&self) -> Result<Usage, StoreError> {
        self.ask(|reply| Command::Usage { reply }).await
    }

    /// Lets clients connect, to a `punix:` socket (mode 0600) or by `ptcp:`, until the listener is
    /// dropped.
    ///
    /// # Errors
    /// If the socket can't be had.
    pub async fn listen(&self, remote: &Remote) -> Result<Listener, ListenError> {
        self.listen_with(remote, Setup::usual(remote)).await
    }

    /// Lets clients connect by `punix:`, `ptcp:` or `pssl:`, until the listener is dropped.
    /// Missing certificates don't keep it from listening, but clients from connecting.
    ///
    /// # Errors
    /// If the socket can't be had.
    pub async fn listen_with(
        &self,
        remote: &Remote,
        setup: Setup,
    ) -> Result<Listener, ListenError> {
        listen(remote, self.access.clone(), setup).await
    }

    /// Connects by `unix:`, `tcp:` or `ssl:`, again and again, and serves whoever answers, until
    /// the dialer is dropped.
    pub fn dial(&self, remote: &Remote, setup: Setup) -> Dialer {
        dial(remote, self.access.clone(), setup)
    }

    /// How the locks of a dialer's peer stand.
    ///
    /// # Errors
    /// If the database is closed.
    pub async fn locks(&self, dialer: &Dialer) -> Result<LockStatus, StoreError> {
        match dialer.peer() {
            Some(session) => self.ask(|reply| Command::Locks { session, reply }).await,
            None => Ok(LockStatus::default()),
        }
    }

    /// Rewrites the database file without its history, while clients go on. It happens by itself
    /// when the file has doubled and is over 10 MB. Without a file there is nothing to do.
    ///
    /// # Errors
    /// If the new file can't be written; the old one stays in use.
    pub async fn compact(&self) -> Result<(), StoreError> {
        let ended = self.ask(|reply| Command::Compact { reply }).await?;
        ended.map_err(|details| {
            let error = ErrorKind::Io.as_str().to_owned();
            StoreError::Refused { error, details }
        })
    }

    /// Puts everything on stable storage and stops; every handle is closed then.
    ///
    /// # Errors
    /// If the disk says no.
    pub async fn close(&self) -> Result<(), LogError> {
        // A database that is closed has been flushed.
        self.ask(|reply| Command::Close { reply })
            .await
            .unwrap_or(Ok(()))
    }
}

/// Turns the results of a transaction into an error if one of them is.
pub(crate) fn check_results(results: Vec<Value>) -> Result<Vec<Value>, StoreError> {
    let text = |json: &Value, member: &str| {
        json.get(member)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    match results.iter().find(|result| result.get("error").is_some()) {
        Some(json) => {
            let (error, details) = (text(json, "error"), text(json, "details"));
            Err(StoreError::Refused { error, details })
        }
        None => Ok(results),
    }
}
