//! What is to be sent to a connection: filled by the switch's task, emptied by the connection's.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use aorta_openflow::OptionLengths;
use aorta_openflow::message::Role;

use super::Envelope;
use crate::coverage;

/// Packets for a controller that wait at most; more are dropped and counted.
const MAX_PACKET_INS: usize = 10_000;
/// Other messages nobody asked for that wait at most.
const MAX_UNASKED: usize = 50_000;

/// Why a packet goes to a controller, as rate limits tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// No flow matched it.
    NoMatch,
    /// An action sent it, or its time to live ended.
    Action,
}

/// Something for a connection.
#[derive(Debug)]
pub enum Outgoing {
    /// A message.
    Message(Envelope),
    /// A packet, to which rate limits apply.
    PacketIn(Envelope, Cause),
    /// The connection's role is another, for the database.
    Role(Role),
    /// How long the values of tunnel options are from now on, for reading and writing.
    TunnelOptions(Box<OptionLengths>),
    /// The connection is to be closed, for this reason.
    Close(String),
}

/// The queue of one connection; clones are the same queue.
#[derive(Debug, Clone, Default)]
pub struct Outbox(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    /// Each with whether nobody asked for it.
    waiting: VecDeque<(Outgoing, bool)>,
    packet_ins: usize,
    unasked: usize,
    /// Nothing is taken any more.
    closed: bool,
}

impl Outbox {
    /// An empty queue.
    pub fn new() -> Outbox {
        Outbox::default()
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // A queue is whole between any two statements that change it.
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the queue unless it is closed.
    fn change(&self, change: impl FnOnce(&mut Queue)) {
        let mut queue = self.queue();
        if !queue.closed {
            change(&mut queue);
        }
    }

    /// Changes the queue unless it is closed, and wakes whoever empties it.
    fn fill(&self, change: impl FnOnce(&mut Queue)) {
        self.change(change);
        self.wake();
    }

    /// Wakes whoever empties the queue.
    pub fn wake(&self) {
        self.0.filled.notify_one();
    }

    /// Adds answers, for which there is always room: only so many are asked for at once. They are
    /// found when the end of their batch is told, which wakes once for all.
    pub fn answer(&self, answers: impl IntoIterator<Item = Outgoing>) {
        let answers = answers.into_iter().map(|answer| (answer, false));
        self.change(|queue| queue.waiting.extend(answers));
    }

    /// Adds something that always has room.
    pub fn add(&self, outgoing: Outgoing) {
        self.fill(|queue| queue.waiting.push_back((outgoing, false)));
    }

    /// Adds a message that nobody asked for. If too many wait already, the connection is given up:
    /// it would miss some.
    pub fn tell(&self, message: Envelope) {
        self.fill(|queue| {
            if queue.unasked < MAX_UNASKED {
                queue.unasked += 1;
                queue.waiting.push_back((Outgoing::Message(message), true));
            } else {
                let why = format!("{MAX_UNASKED} messages wait to be read");
                queue.close(why);
            }
        });
    }

    /// Adds a packet, unless too many wait already; it is dropped and counted then.
    pub fn packet_in(&self, message: Envelope, cause: Cause) {
        self.fill(|queue| {
            if queue.packet_ins < MAX_PACKET_INS {
                queue.packet_ins += 1;
                let packet = Outgoing::PacketIn(message, cause);
                queue.waiting.push_back((packet, true));
            } else {
                coverage::PACKET_IN_DROPPED.add(1);
            }
        });
    }

    /// Takes what waits, so many at most, in order.
    pub fn take(&self, most: usize) -> Vec<Outgoing> {
        let mut queue = self.queue();
        let most = most.min(queue.waiting.len());
        let taken: Vec<_> = queue.waiting.drain(..most).collect();
        for (outgoing, unasked) in &taken {
            match outgoing {
                Outgoing::PacketIn(..) => queue.packet_ins -= 1,
                Outgoing::Message(_) if *unasked => queue.unasked -= 1,
                _ => {}
            }
        }
        taken.into_iter().map(|(outgoing, _)| outgoing).collect()
    }

    /// Waits until something may be there to be taken. One task waits at a time.
    pub async fn filled(&self) {
        self.0.filled.notified().await;
    }
}

impl Queue {
    fn close(&mut self, why: String) {
        *self = Queue {
            waiting: VecDeque::from([(Outgoing::Close(why), false)]),
            closed: true,
            ..Queue::default()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openflow::test_envelope;

    fn len(outbox: &Outbox) -> usize {
        outbox.queue().waiting.len()
    }

    fn kinds(taken: &[Outgoing]) -> Vec<&'static str> {
        let kind = |outgoing: &Outgoing| match outgoing {
            Outgoing::Message(_) => "message",
            Outgoing::PacketIn(..) => "packet",
            Outgoing::Close(_) => "close",
            _ => "other",
        };
        taken.iter().map(kind).collect()
    }

    #[tokio::test]
    async fn what_is_added_is_taken_in_order() {
        let outbox = Outbox::new();
        let other = outbox.clone();
        other.answer([Outgoing::Message(test_envelope())]);
        other.packet_in(test_envelope(), Cause::NoMatch);
        other.tell(test_envelope());
        outbox.filled().await;
        assert_eq!(kinds(&outbox.take(2)), ["message", "packet"]);
        assert_eq!(kinds(&outbox.take(9)), ["message"]);
        assert_eq!(len(&outbox), 0);
    }

    #[test]
    fn packets_are_dropped_before_anything_else() {
        let outbox = Outbox::new();
        for _ in 0..MAX_PACKET_INS + 3 {
            outbox.packet_in(test_envelope(), Cause::Action);
        }
        outbox.tell(test_envelope());
        assert_eq!(len(&outbox), MAX_PACKET_INS + 1);
        let _ = outbox.take(1);
        outbox.packet_in(test_envelope(), Cause::Action);
        assert_eq!(
            len(&outbox),
            MAX_PACKET_INS + 1,
            "there is room again for one"
        );
    }

    #[test]
    fn a_connection_that_does_not_read_is_given_up() {
        let outbox = Outbox::new();
        for _ in 0..=MAX_UNASKED {
            outbox.tell(test_envelope());
        }
        outbox.tell(test_envelope());
        assert_eq!(kinds(&outbox.take(9)), ["close"]);
        assert_eq!(len(&outbox), 0);
    }
}
