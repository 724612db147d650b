//! A connection to the database server (RFC 7047 §4), for a program that does one thing and
//! exits: blocking, with one deadline for everything.

mod transport;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aorta_ovsdb::TlsError;
use aorta_ovsdb::jsonrpc::{Framer, Message, StreamError};
use serde_json::{Value, json};
use thiserror::Error;

use crate::schema::Needs;
use crate::view::{View, ViewError};
pub use transport::{Transport, Ways};

/// Name of the database.
const DATABASE: &str = "Open_vSwitch";
/// How long to wait between attempts to connect.
pub const RETRY_DELAY: Duration = Duration::from_millis(100);
/// Tells monitor updates from others.
const MONITOR_ID: &str = "vsctl";

/// What ends a conversation with the server.
#[derive(Debug, Error)]
pub enum SessionError {
    /// The server can't be reached.
    #[error("{remote}: database connection failed ({cause})")]
    Connect {
        /// What was tried.
        remote: String,
        /// Why.
        cause: io::Error,
    },
    /// There is no socket where the switch should listen.
    #[error(
        "{remote}: database connection failed ({cause}); vswitchd must be running (with \
         OVS_RUNDIR={rundir}, or name another socket with --db)"
    )]
    NotRunning {
        /// What was tried.
        remote: String,
        /// Where vswitchd would have to keep its sockets.
        rundir: String,
        /// Why.
        cause: io::Error,
    },
    /// There is no encrypted connection to be had.
    #[error("{remote}: database connection failed")]
    Tls {
        /// What was tried.
        remote: String,
        /// Why.
        source: Arc<TlsError>,
    },
    /// The connection broke.
    #[error("connection to the database lost ({0})")]
    Lost(io::Error),
    /// The server sent what isn't the protocol.
    #[error("the database server doesn't keep to its protocol")]
    Protocol(#[from] StreamError),
    /// The server sent rows that don't fit.
    #[error(transparent)]
    View(#[from] ViewError),
    /// The server refused a request.
    #[error("the database server refused {method}: {error}")]
    Refused {
        /// The request.
        method: &'static str,
        /// The server's words.
        error: Value,
    },
    /// The deadline has passed, which was this many seconds after the start.
    #[error("timed out after {0} seconds")]
    TimedOut(u64),
}

/// When to give up.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    at: Option<Instant>,
    secs: u64,
}

impl Deadline {
    /// That many seconds from now.
    pub fn after(secs: u64) -> Deadline {
        Deadline {
            at: Instant::now().checked_add(Duration::from_secs(secs)),
            secs,
        }
    }

    /// The time that is left, never zero; `None` for as good as for ever.
    fn left(self) -> Result<Option<Duration>, SessionError> {
        match self
            .at
            .map(|at| at.saturating_duration_since(Instant::now()))
        {
            Some(left) if left.is_zero() => Err(SessionError::TimedOut(self.secs)),
            left => Ok(left),
        }
    }
}

/// A connection, and what it has told of the database.
#[derive(Debug)]
pub struct Session {
    stream: Box<dyn Transport>,
    framer: Framer,
    deadline: Option<Deadline>,
    next_id: u64,
    /// The rows known.
    pub view: View,
    updates: u64,
}

impl Session {
    /// Connects to the first of the remotes that answers, or waits for a connection from a server
    /// where a remote says so; with `retry`, again and again until the deadline.
    ///
    /// # Errors
    /// If none answers, with the last one's reason, or the deadline passes.
    pub fn connect(
        ways: &Ways,
        retry: bool,
        deadline: Option<Deadline>,
        view: View,
    ) -> Result<Session, SessionError> {
        loop {
            let mut refused = None;
            for way in ways.iter() {
                match way.connect(time_left(deadline)?) {
                    Ok(stream) => return Ok(Session::over(stream, deadline, view)),
                    Err(cause) => refused = Some(cause),
                }
            }
            let left = time_left(deadline)?;
            if let Some(cause) = refused.filter(|_| !retry) {
                return Err(cause);
            }
            std::thread::sleep(left.map_or(RETRY_DELAY, |left| left.min(RETRY_DELAY)));
        }
    }

    fn over(stream: Box<dyn Transport>, deadline: Option<Deadline>, view: View) -> Session {
        Session {
            stream,
            framer: Framer::default(),
            deadline,
            next_id: 0,
            view,
            updates: 0,
        }
    }

    /// Fetches what is needed, and has the server report their changes.
    pub fn monitor(&mut self, needs: &Needs) -> Result<(), SessionError> {
        let params = vec![json!(DATABASE), json!(MONITOR_ID), needs.to_json()];
        let rows = self.call("monitor_cond", params)?;
        self.view.apply(&rows)?;
        Ok(())
    }

    /// Runs operations; answers one result for each, and perhaps one more.
    pub fn transact(&mut self, operations: &[Value]) -> Result<Vec<Value>, SessionError> {
        let mut params = vec![json!(DATABASE)];
        params.extend_from_slice(operations);
        match self.call("transact", params)? {
            Value::Array(results) => Ok(results),
            error => Err(SessionError::Refused {
                method: "transact",
                error,
            }),
        }
    }

    /// Waits until rows have changed.
    pub fn wait_for_update(&mut self) -> Result<(), SessionError> {
        let before = self.updates;
        while self.updates == before {
            let message = self.receive()?;
            self.handle(message)?;
        }
        Ok(())
    }

    /// How many updates have arrived.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    fn call(&mut self, method: &'static str, params: Vec<Value>) -> Result<Value, SessionError> {
        let id = json!(self.next_id);
        self.next_id += 1;
        self.send(&Message::Request {
            method: method.to_owned(),
            params,
            id: id.clone(),
        })?;
        loop {
            match self.receive()? {
                Message::Reply {
                    id: answered,
                    result,
                    error,
                } if answered == id => {
                    return if error.is_null() {
                        Ok(result)
                    } else {
                        Err(SessionError::Refused { method, error })
                    };
                }
                other => self.handle(other)?,
            }
        }
    }

    /// Takes in what isn't the reply that is waited for.
    fn handle(&mut self, message: Message) -> Result<(), SessionError> {
        match message {
            Message::Notification { method, params } if method == "update2" => {
                if let [id, updates] = params.as_slice()
                    && id == MONITOR_ID
                {
                    self.view.apply(updates)?;
                    self.updates += 1;
                }
                Ok(())
            }
            Message::Request { method, params, id } if method == "echo" => {
                let result = Value::Array(params);
                self.send(&Message::Reply {
                    id,
                    result,
                    error: Value::Null,
                })
            }
            _ => Ok(()),
        }
    }

    fn send(&mut self, message: &Message) -> Result<(), SessionError> {
        self.arm()?;
        let written = self.stream.write_all(message.to_text().as_bytes());
        written.map_err(|cause| self.lost(cause))
    }

    fn receive(&mut self) -> Result<Message, SessionError> {
        let mut buffer = [0; 65_536];
        loop {
            if let Some(message) = self.framer.next_message()? {
                return Ok(message);
            }
            self.arm()?;
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(SessionError::Lost(io::ErrorKind::UnexpectedEof.into())),
                Ok(n) => self.framer.push(&buffer[..n]),
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(self.lost(cause)),
            }
        }
    }

    /// Limits the next transfer to the time that is left.
    fn arm(&self) -> Result<(), SessionError> {
        match time_left(self.deadline)? {
            Some(left) => self
                .stream
                .set_timeout(Some(left))
                .map_err(SessionError::Lost),
            None => Ok(()),
        }
    }

    fn lost(&self, cause: io::Error) -> SessionError {
        match (cause.kind(), self.deadline) {
            (io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut, Some(deadline)) => {
                SessionError::TimedOut(deadline.secs)
            }
            _ => SessionError::Lost(cause),
        }
    }
}

fn time_left(deadline: Option<Deadline>) -> Result<Option<Duration>, SessionError> {
    deadline.map_or(Ok(None), Deadline::left)
}
