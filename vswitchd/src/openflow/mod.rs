//! OpenFlow: connections have tasks of their own, which read, write, encode and decode; what
//! messages mean is decided by the switch's task.
//!
//! A connection's task tells the switch's task of the connection once it knows the version
//! ([`Order::Connected`]), gives it what it reads, one [`Batch`] after the other, and writes what it
//! finds in its [`Outbox`]. The session answers HELLO and ECHO itself; everything else goes to the
//! switch, errors of decoding included, because answers must leave in the order of the requests.
//! The next batch is sent when the one before is done and the outbox has room: a peer that doesn't
//! read isn't read from.

#![allow(dead_code, unused_imports)]

mod order;
mod outbox;

pub use order::{Batch, ConnId, Connected, Incoming, Kind, Order, Quote};
pub use outbox::{Cause, Outbox, Outgoing, Role, Spool};

pub use stand_in::{Envelope, Version};

/// Until there is a crate of messages.
mod stand_in {
    /// A message with its version and number.
    #[derive(Debug, Clone)]
    pub struct Envelope;

    /// A version of OpenFlow.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Version {
        /// 1.0.
        V10,
    }
}

#[cfg(test)]
fn test_envelope() -> Envelope {
    Envelope
}
