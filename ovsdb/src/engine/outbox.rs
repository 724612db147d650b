//! What is on its way to a client, with a bound.
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

/// With more than this unsent, in bytes, no further request of the client is read.
pub(crate) const SLOW: usize = 1 << 20;
/// With more than this unsent, in bytes, the client is cut off.
const TOO_SLOW: usize = 64 << 20;

/// The engine's end.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    texts: mpsc::UnboundedSender<String>,
    backlog: Arc<watch::Sender<usize>>,
}

/// The connection's end.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) texts: mpsc::UnboundedReceiver<String>,
    pub(crate) backlog: Arc<watch::Sender<usize>>,
}

pub(crate) fn outbox() -> (Outbox, Outgoing) {
    let (sender, texts) = mpsc::unbounded_channel();
    let backlog = Arc::new(watch::Sender::new(0));
    (
        Outbox {
            texts: sender,
            backlog: Arc::clone(&backlog),
        },
        Outgoing { texts, backlog },
    )
}

impl Outgoing {
    /// Takes note that a message of some bytes has been sent.
    pub(crate) fn sent(&self, length: usize) {
        // A connection that was cut stays so.
        self.backlog
            .send_modify(|b| *b = if *b == usize::MAX { *b } else { *b - length });
    }
}

impl Outbox {
    /// Queues a message; false if the client is gone or too slow to be served.
    pub(crate) fn send(&self, text: String) -> bool {
        let length = text.len();
        self.backlog
            .send_modify(|backlog| *backlog = backlog.saturating_add(length));
        *self.backlog.borrow() <= TOO_SLOW && self.texts.send(text).is_ok()
    }

    /// Bytes that are unsent.
    pub(crate) fn backlog(&self) -> usize {
        *self.backlog.borrow()
    }

    /// Ends the connection, whatever is unsent.
    pub(crate) fn cut(&self) {
        self.backlog.send_replace(usize::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_reads_nothing_is_given_up() {
        let (outbox, _outgoing) = outbox();
        let megabyte = "x".repeat(1 << 20);
        let taken = (0..100)
            .take_while(|_| outbox.send(megabyte.clone()))
            .count();
        assert_eq!(taken, TOO_SLOW >> 20);
    }
}
