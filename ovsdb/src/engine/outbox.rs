//! What is on its way to a client, with a bound.
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// With more than this unsent, in bytes, no further request of the client is read.
pub(crate) const SLOW: usize = 1 << 20;
/// With more than this unsent, in bytes, the client is cut off.
const TOO_SLOW: usize = 64 << 20;

/// How long a client may take to read the last that it is sent.
const FAREWELL: Duration = Duration::from_secs(1);

/// A message as it is sent. What many clients are told is in memory once.
#[derive(Debug, Clone)]
pub(crate) enum Text {
    Whole(String),
    Update { head: Arc<str>, body: Arc<str> },
}

impl Text {
    pub(crate) fn len(&self) -> usize {
        self.parts().iter().map(|part| part.len()).sum()
    }

    /// The message, in parts that follow each other.
    pub(crate) fn parts(&self) -> [&str; 2] {
        match self {
            Self::Whole(text) => [text, ""],
            Self::Update { head, body } => [head, body],
        }
    }
}

/// The engine's end.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    sender: Arc<Sender>,
    backlog: Arc<watch::Sender<usize>>,
}

/// The connection's end.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) texts: Texts,
    pub(crate) backlog: Arc<watch::Sender<usize>>,
}

/// Takes texts out; dropping it makes the outbox refuse more.
#[derive(Debug)]
pub(crate) struct Texts(Arc<Queue>);

/// Closes the queue when the last outbox is dropped.
#[derive(Debug)]
struct Sender(Arc<Queue>);

#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct State {
    texts: VecDeque<Text>,
    /// One of the ends is gone.
    closed: bool,
}

pub(crate) fn outbox() -> (Outbox, Outgoing) {
    let queue = Arc::new(Queue::default());
    let backlog = Arc::new(watch::Sender::new(0));
    let outbox = Outbox {
        sender: Arc::new(Sender(Arc::clone(&queue))),
        backlog: Arc::clone(&backlog),
    };
    let texts = Texts(queue);
    (outbox, Outgoing { texts, backlog })
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock panics, and a queue is whole at any time.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.state().closed = true;
        self.arrived.notify_one();
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Drop for Texts {
    fn drop(&mut self) {
        self.0.close();
        self.0.state().texts.clear();
    }
}

impl Texts {
    /// The next text; `None` when there won't be any.
    pub(crate) async fn recv(&mut self) -> Option<Text> {
        loop {
            {
                let mut state = self.0.state();
                if let Some(text) = state.texts.pop_front() {
                    return Some(text);
                }
                if state.closed {
                    return None;
                }
            }
            self.0.arrived.notified().await;
        }
    }

    /// The next text, if there is one already and it is no longer than this.
    pub(crate) fn next_within(&mut self, room: usize) -> Option<Text> {
        let texts = &mut self.0.state().texts;
        let fits = texts.front().is_some_and(|text| text.len() <= room);
        if fits { texts.pop_front() } else { None }
    }
}

impl Outgoing {
    /// Takes note that some bytes have been sent.
    pub(crate) fn sent(&self, length: usize) {
        self.backlog.send_if_modified(|backlog| {
            // A connection that was cut stays so.
            if *backlog == usize::MAX {
                return false;
            }
            let was_slow = *backlog > SLOW;
            *backlog = backlog.saturating_sub(length);
            // Nobody waits for anything else.
            was_slow && *backlog <= SLOW
        });
    }
}

impl Outbox {
    /// Queues a message; false if the client is gone or too slow to be served.
    pub(crate) fn send(&self, text: impl Into<Text>) -> bool {
        let taken = self.hold(text.into());
        self.wake();
        taken
    }

    /// Queues a message that is sent with the next one, or after [`Outbox::wake`]. False as with
    /// [`Outbox::send`].
    pub(crate) fn hold(&self, text: Text) -> bool {
        let mut room = true;
        self.backlog.send_if_modified(|backlog| {
            *backlog = backlog.saturating_add(text.len());
            room = *backlog <= TOO_SLOW;
            false
        });
        if !room {
            return false;
        }
        let mut state = self.sender.0.state();
        if !state.closed {
            state.texts.push_back(text);
        }
        !state.closed
    }

    /// Has everything sent that is held.
    pub(crate) fn wake(&self) {
        self.sender.0.arrived.notify_one();
    }

    /// Bytes that are unsent.
    pub(crate) fn backlog(&self) -> usize {
        *self.backlog.borrow()
    }

    /// Ends the connection once everything is sent, or the client has had time enough to read it.
    pub(crate) fn end(&self) {
        let outbox = self.clone();
        tokio::spawn(async move {
            let end = Instant::now() + FAREWELL;
            // So rare that it may be looked for.
            while outbox.backlog() > 0 && Instant::now() < end {
                tokio::time::sleep(FAREWELL / 100).await;
            }
            outbox.cut();
        });
    }

    /// Ends the connection, whatever is unsent.
    pub(crate) fn cut(&self) {
        self.backlog.send_replace(usize::MAX);
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::Whole(text)
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

    #[tokio::test(start_paused = true)]
    async fn what_is_held_goes_before_what_is_sent_and_the_end_comes_last() {
        let (outbox, mut outgoing) = outbox();
        let (head, body) = ("he".into(), "ad".into());
        assert!(outbox.hold(Text::Update { head, body }));
        let second = outbox.clone();
        assert!(second.send("next".to_owned()));
        assert_eq!(outgoing.texts.recv().await.unwrap().parts(), ["he", "ad"]);
        assert!(outgoing.texts.next_within(3).is_none());
        assert_eq!(outgoing.texts.next_within(4).unwrap().parts(), ["next", ""]);
        drop((outbox, second));
        assert!(outgoing.texts.recv().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_is_woken_and_a_reader_that_has_gone_is_noticed() {
        let (outbox, mut outgoing) = outbox();
        let reader = tokio::spawn(async move { outgoing.texts.recv().await.map(|t| t.len()) });
        tokio::task::yield_now().await;
        assert!(outbox.send("text".to_owned()));
        assert_eq!(reader.await.unwrap(), Some(4));
        assert!(!outbox.send("text".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_is_told_of_once_it_has_caught_up() {
        let (outbox, outgoing) = outbox();
        let mut backlog = outgoing.backlog.subscribe();
        outbox.send("x".repeat(SLOW + 1));
        let waits = tokio::spawn(async move { *backlog.wait_for(|b| *b <= SLOW).await.unwrap() });
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        outgoing.sent(1);
        assert_eq!(waits.await.unwrap(), SLOW);
        outbox.cut();
        outgoing.sent(SLOW);
        assert_eq!(*outgoing.backlog.borrow(), usize::MAX);
    }
}
