//! Whether the switch's thread waits awake for the next message. Pure: the time is an argument.
//!
//! A client that sends the next message as soon as the last one is answered, as `ovs-ofctl
//! add-flows` does, has it here some microseconds later. A thread that has gone to sleep meanwhile
//! must be woken, on another processor, which costs both sides more than the message itself. So the
//! thread stays awake for a moment, if that would have been worth it the last time.

use std::time::{Duration, Instant};

/// How long it stays awake: some times what waking takes, and nothing that is felt.
const AWAKE: Duration = Duration::from_micros(40);
/// So long at most before everything else that may have come is looked at.
const TURN: Duration = Duration::from_millis(1);

/// When messages came, and until when the next one is waited for.
#[derive(Debug, Default)]
pub struct Awake {
    /// When the last message was done with.
    done: Option<Instant>,
    /// Until when the thread stays awake.
    until: Option<Instant>,
    /// By when everything else has its turn.
    turn: Option<Instant>,
}

impl Awake {
    /// Everything else has had its turn, and a message has come.
    pub fn begin(&mut self, now: Instant) {
        self.turn = Some(now + TURN);
        self.came(now);
    }

    /// A message has come.
    pub fn came(&mut self, now: Instant) {
        let quick = self.done.is_some_and(|done| now < done + AWAKE);
        self.until = quick.then_some(now);
    }

    /// A message is done with.
    pub fn done(&mut self, now: Instant) {
        self.done = Some(now);
        self.until = self.until.map(|_| now + AWAKE);
    }

    /// Whether to stay awake.
    pub fn stays(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until) && !self.is_over(now)
    }

    /// Whether it is everything else's turn.
    pub fn is_over(&self, now: Instant) -> bool {
        self.turn.is_some_and(|turn| now >= turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    #[test]
    fn a_single_message_is_not_waited_behind() {
        let (mut awake, start) = (Awake::default(), Instant::now());
        assert!(!awake.stays(start));
        awake.begin(start);
        awake.done(start + us(5));
        assert!(!awake.stays(start + us(5)));
        awake.begin(start + us(5) + AWAKE);
        awake.done(start + us(9) + AWAKE);
        assert!(!awake.stays(start + us(9) + AWAKE), "it came too late");
    }

    #[test]
    fn behind_quick_messages_the_next_is_waited_for() {
        let (mut awake, start) = (Awake::default(), Instant::now());
        awake.begin(start);
        awake.done(start + us(5));
        awake.begin(start + us(20));
        awake.done(start + us(25));
        assert!(awake.stays(start + us(64)));
        assert!(!awake.stays(start + us(65)), "it doesn't come");
        awake.came(start + us(30));
        awake.done(start + us(500));
        assert!(awake.stays(start + us(520)), "however long it took");
    }

    #[test]
    fn everything_else_has_its_turn() {
        let (mut awake, start) = (Awake::default(), Instant::now());
        awake.begin(start);
        let mut now = start;
        while now < start + TURN {
            awake.came(now);
            awake.done(now);
            now += us(10);
        }
        assert!(!awake.stays(now));
        awake.begin(now);
        awake.done(now);
        assert!(awake.stays(now));
    }
}
