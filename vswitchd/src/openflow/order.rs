//! What connections' tasks ask of the switch's task.

use std::fmt;

use tokio::sync::oneshot;

use super::{Envelope, Outbox, Version};

/// A connection, for as long as the daemon runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection {}", self.0)
    }
}

/// One order.
#[derive(Debug)]
pub enum Order {
    /// There is a connection, and its version is agreed on.
    Connected(Box<Connected>),
    /// What a connection has read.
    Messages(Batch),
    /// A connection is gone.
    Disconnected(ConnId),
    /// The controllers of a bridge that fails open (`fail_mode` is `standalone`) can't be reached,
    /// so that it is to switch by itself, or they can again.
    FailOpen {
        /// The bridge.
        bridge: String,
        /// Whether it is to switch by itself.
        open: bool,
    },
}

/// Who is on the other side, which decides what it is told without asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A controller that the switch connects to.
    Controller,
    /// A client that connects to the switch: `BRIDGE.mgmt` and listening controllers. It is told of
    /// nothing until it sets a length for packets (`miss_send_len`).
    Service,
}

/// A new connection.
#[derive(Debug)]
pub struct Connected {
    /// Its number.
    pub id: ConnId,
    /// Its bridge.
    pub bridge: String,
    /// The version that both sides speak.
    pub version: Version,
    /// Who is on the other side.
    pub kind: Kind,
    /// What it is called in the log: `br0<->tcp:192.0.2.1:6653`.
    pub name: String,
    /// Where what is for it goes.
    pub outbox: Outbox,
}

/// What a connection has read, in order.
#[derive(Debug)]
pub struct Batch {
    /// The connection.
    pub conn: ConnId,
    /// The messages.
    pub messages: Vec<Incoming>,
    /// Is dropped when all answers are in the outbox and all effects are visible to packets; the
    /// receiver wakes up then.
    pub done: oneshot::Sender<()>,
}

/// The first bytes of a request, which an error quotes: at least 64, or all.
pub type Quote = Box<[u8]>;

/// A message that came in.
#[derive(Debug)]
pub enum Incoming {
    /// One that could be read.
    Message(Envelope, Quote),
    /// One that couldn't: the error that is its answer.
    Unreadable(Envelope),
}
