//! The task that owns the databases. Everyone else sends it commands; it executes transactions
//! one after the other, writes the log, and tells monitors and subscribers what changed.
mod batch;
mod compaction;
mod convert;
mod flush;
mod locks;
mod outbox;
mod publish;
mod requests;
mod server_db;
mod session;
mod usage;
mod uuids;

use aorta_stream::describe;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use uuid::Uuid;

use crate::coverage;
use crate::db::{Context, Db, Delta, Execution};
use crate::error::{ErrorKind, OpError};
use crate::jsonrpc::Message;
use crate::log::{Log, LogError};
use batch::{Executed, gather};
pub(crate) use compaction::CompactReply;
use compaction::Compactor;
use flush::Flush;
pub use locks::LockStatus;
use locks::Locks;
pub(crate) use outbox::{Outbox, Outgoing, SLOW, Text, outbox};
use publish::Audience;
use server_db::server_database;
use session::{Client, Database, Job, Session, SessionMonitor, notification};
pub use usage::Usage;
use uuids::Uuids;

/// Tells the clients of one engine apart.
pub(crate) type SessionId = u64;

/// What others ask of the engine.
pub(crate) enum Command {
    /// Run operations on the main database.
    Transact {
        operations: Vec<Value>,
        reply: oneshot::Sender<Vec<Value>>,
    },
    /// Hand out the main database and everything that changes in it from now on.
    Subscribe {
        reply: oneshot::Sender<(Db, mpsc::UnboundedReceiver<Arc<Delta>>)>,
    },
    /// Hand out the main database.
    Snapshot { reply: oneshot::Sender<Db> },
    /// Tell how much there is.
    Usage { reply: oneshot::Sender<Usage> },
    /// A client has connected.
    Connect { session: SessionId, outbox: Outbox },
    /// A client has sent a message.
    Message {
        session: SessionId,
        message: Message,
    },
    /// A client has gone.
    Disconnect { session: SessionId },
    /// Rewrite the log of the main database without its history.
    Compact { reply: CompactReply },
    /// Tell how a client's locks stand.
    Locks {
        session: SessionId,
        reply: oneshot::Sender<LockStatus>,
    },
    /// Flush the log, and stop.
    Close {
        reply: oneshot::Sender<Result<(), LogError>>,
    },
}

impl Command {
    /// Whether all it does is in the batch.
    fn is_transaction(&self) -> bool {
        match self {
            Self::Transact { .. } => true,
            Self::Message { message, .. } => {
                matches!(message, Message::Request { method, .. } if method == "transact")
            }
            _ => false,
        }
    }
}

/// The databases and their clients.
pub(crate) struct Engine {
    databases: Vec<Database>,
    sessions: HashMap<SessionId, Session>,
    locks: Locks,
    blocked: Vec<Job>,
    /// Whether a database has changed since the blocked transactions were last tried.
    changed: bool,
    subscribers: Vec<mpsc::UnboundedSender<Arc<Delta>>>,
    /// What was executed and not written.
    batch: Vec<Executed>,
    /// When the first of them began.
    batch_began: Option<Instant>,
    /// Room for their records.
    records: Vec<u8>,
    audience: Audience,
    flush: Flush,
    compactor: Compactor,
    uuids: Uuids,
    server_id: Uuid,
}

/// Position of the database that embedders use.
const MAIN: usize = 0;

impl Engine {
    /// Serves a database, with its log if it has one, and `_Server` beside it.
    pub(crate) fn new(db: Db, log: Option<Log>) -> Self {
        let main = Database {
            db,
            log,
            read_only: false,
        };
        let server = Database {
            db: server_database(&main.db),
            log: None,
            read_only: true,
        };
        Self {
            databases: vec![main, server],
            sessions: HashMap::new(),
            locks: Locks::default(),
            blocked: Vec::new(),
            changed: false,
            subscribers: Vec::new(),
            batch: Vec::new(),
            batch_began: None,
            records: Vec::new(),
            audience: Audience::default(),
            flush: Flush::new(),
            compactor: Compactor::new(),
            uuids: Uuids::default(),
            server_id: Uuid::new_v4(),
        }
    }

    /// Serves commands until it is closed or nobody is left to send any.
    pub(crate) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut gathered = Vec::new();
        loop {
            let due = self.due();
            tokio::select! {
                command = commands.recv() => {
                    let Some(command) = command else { break };
                    gathered.push(command);
                    gather(&mut gathered, &mut commands).await;
                    if self.handle_all(&mut gathered).is_break() {
                        return;
                    }
                }
                flushed = self.flush.done() => self.flushed(&flushed),
                event = self.compactor.event() => self.compaction_event(event),
                () = sleep_until(due), if due.is_some() => self.time_passed(),
            }
            self.settle();
            self.retry_blocked();
        }
        if let Err(error) = self.sync() {
            tracing::error!("{error}");
        }
    }

    /// Breaks when it is closed.
    fn handle_all(&mut self, commands: &mut Vec<Command>) -> ControlFlow<()> {
        let is_request = |command: &&Command| matches!(command, Command::Message { .. });
        coverage::REQUEST_RECEIVED.add(commands.iter().filter(is_request).count() as u64);
        for command in commands.drain(..) {
            if !command.is_transaction() {
                self.settle();
                self.retry_blocked();
            }
            if let Command::Close { reply } = command {
                let flushed = self.sync();
                // The file's lock is free before anybody is told.
                self.databases.clear();
                // Whoever asked may have gone.
                let _ = reply.send(flushed);
                return ControlFlow::Break(());
            }
            self.handle(command);
        }
        ControlFlow::Continue(())
    }

    /// When something has to be done though nothing happens.
    fn due(&self) -> Option<Instant> {
        let deadlines = self.blocked.iter().filter_map(|job| job.deadline);
        deadlines.chain(self.audience.due).min()
    }

    fn time_passed(&mut self) {
        let now = Instant::now();
        let is_over = |deadline: Option<Instant>| deadline.is_some_and(|d| d <= now);
        if is_over(self.audience.due) {
            self.tell_lingering();
        }
        self.changed |= self.blocked.iter().any(|job| is_over(job.deadline));
    }

    fn sync(&mut self) -> Result<(), LogError> {
        self.databases
            .iter_mut()
            .filter_map(|d| d.log.as_mut())
            .try_for_each(Log::sync)
    }

    fn handle(&mut self, command: Command) {
        match command {
            Command::Transact { operations, reply } => {
                self.start(Client::Internal(reply), MAIN, operations);
            }
            Command::Subscribe { reply } => {
                let (sender, receiver) = mpsc::unbounded_channel();
                if let Some(main) = self.databases.get(MAIN)
                    && reply.send((main.db.clone(), receiver)).is_ok()
                {
                    self.subscribers.push(sender);
                }
            }
            Command::Snapshot { reply } => {
                if let Some(main) = self.databases.get(MAIN) {
                    // Whoever asked may have gone.
                    let _ = reply.send(main.db.clone());
                }
            }
            // Whoever asked may have gone.
            Command::Usage { reply } => drop(reply.send(self.usage())),
            Command::Connect { session, outbox } => {
                coverage::SESSION_OPENED.hit();
                self.sessions.insert(session, Session::new(outbox));
            }
            Command::Message { session, message } => self.message(session, message),
            Command::Disconnect { session } => self.disconnect(session),
            Command::Compact { reply } => self.compact(reply),
            Command::Locks { session, reply } => {
                // Whoever asked may have gone.
                let _ = reply.send(self.locks.status(session));
            }
            Command::Close { .. } => {}
        }
    }

    fn start(&mut self, client: Client, database: usize, operations: Vec<Value>) {
        let since = Instant::now();
        self.execute(Job {
            client,
            database,
            operations,
            since,
            deadline: None,
        });
    }

    fn execute(&mut self, mut job: Job) {
        self.batch_began.get_or_insert_with(Instant::now);
        let Some(database) = self.databases.get_mut(job.database) else {
            return;
        };
        let locks = &self.locks;
        let owner = job.client.session();
        let mut context = Context {
            new_uuid: &mut || self.uuids.next(),
            holds_lock: &|name| owner.is_some_and(|session| locks.holds(name, session)),
            waited_ms: u64::try_from(job.since.elapsed().as_millis()).unwrap_or(u64::MAX),
            read_only: database.read_only,
        };
        match database.db.transact(&job.operations, &mut context) {
            Execution::Done(outcome) => self.executed(job.client, job.database, outcome),
            Execution::Blocked { timeout_ms } => {
                // A limit beyond the clock's range is none.
                let limit = timeout_ms.map(Duration::from_millis);
                job.deadline = limit.and_then(|limit| job.since.checked_add(limit));
                self.blocked.push(job);
            }
        }
    }

    fn reply(&mut self, client: Client, results: Vec<Value>) {
        match client {
            // Whoever asked may have gone.
            Client::Internal(reply) => drop(reply.send(results)),
            Client::Session { session, id } => {
                let result = Value::Array(results);
                self.send(
                    session,
                    &Message::Reply {
                        id,
                        result,
                        error: Value::Null,
                    },
                );
            }
        }
    }

    fn send(&mut self, session: SessionId, message: &Message) {
        self.send_text(session, message.to_text());
    }

    fn send_text(&mut self, session: SessionId, text: impl Into<Text>) {
        let state = self.sessions.get(&session);
        if state.is_some_and(|state| !state.outbox.send(text)) {
            self.disconnect(session);
        }
    }

    fn flushed(&mut self, result: &Result<(), LogError>) {
        if let Err(error) = result {
            tracing::error!("{}", describe(error));
            self.flush.put_back();
            if let Some(log) = self.databases.get_mut(MAIN).and_then(|d| d.log.as_mut()) {
                log.flush_failed();
            }
        }
        for (client, results) in self.flush.take_done() {
            self.reply(client, results);
        }
        self.flush_or_cure();
    }

    /// Tells those who wait for the disk that it did not take their changes.
    fn refuse_held(&mut self, why: &str) {
        for (client, mut results) in self.flush.take_waiting() {
            let words = format!(
                "{why}; the change is in effect, and lost if the power fails or the switch ends \
                 before the disk works again"
            );
            results.push(OpError::new(ErrorKind::Io, words).to_json());
            self.reply(client, results);
        }
    }

    /// Tries blocked transactions again after each change, theirs included.
    fn retry_blocked(&mut self) {
        while std::mem::take(&mut self.changed) {
            for job in std::mem::take(&mut self.blocked) {
                self.execute(job);
            }
            self.settle();
        }
    }

    fn disconnect(&mut self, session: SessionId) {
        if let Some(state) = self.forget(session) {
            state.outbox.cut();
        }
    }

    /// Lets go of a client whose connection goes on.
    fn forget(&mut self, session: SessionId) -> Option<Session> {
        let state = self.sessions.remove(&session)?;
        self.blocked.retain(|job| !job.client.is(session));
        for lock in self.locks.of(session) {
            self.unlock(&lock, session);
        }
        Some(state)
    }

    fn unlock(&mut self, lock: &str, session: SessionId) {
        if let Some(next) = self.locks.unlock(lock, session) {
            self.send(next, &notification("locked", vec![json!(lock)]));
        }
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
