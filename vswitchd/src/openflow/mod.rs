//! OpenFlow: connections have tasks of their own, which read, write, encode and decode; what
//! messages mean is decided by the switch's task.
//!
//! A connection's task tells the switch's task of the connection once it knows the version
//! ([`Order::Connected`]), gives it what it reads, one [`Batch`] after the other, and writes what it
//! finds in its [`Outbox`]. The session answers HELLO and ECHO itself; everything else goes to the
//! switch, errors of decoding included, because answers must leave in the order of the requests.
//! The next batch is sent when the one before is done and the outbox has room: a peer that doesn't
//! read isn't read from.

pub mod connections;
mod order;
mod outbox;
pub mod state;

pub use order::{Batch, ConnId, Connected, Incoming, Kind, Order, Quote};
pub use outbox::{Cause, Outbox, Outgoing};

pub use aorta_openflow::{Envelope, Version};

#[cfg(test)]
fn test_envelope() -> Envelope {
    Envelope {
        version: Version::OpenFlow13,
        xid: 1,
        message: aorta_openflow::Message::BarrierReply,
    }
}
