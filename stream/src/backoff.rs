//! How long to wait before connecting again. Pure.
use std::time::Duration;

/// The shortest wait.
const MIN: Duration = Duration::from_secs(1);

/// Doubles from attempt to attempt, as Open vSwitch's clients do it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backoff {
    current: Duration,
}

impl Backoff {
    /// How long the next attempt may take.
    pub fn patience(&self) -> Duration {
        self.current.max(MIN)
    }

    /// An attempt failed: how long to wait before the next.
    pub fn failed(&mut self, max: Duration) -> Duration {
        self.current = (self.current * 2).clamp(MIN, max.max(MIN));
        self.current
    }

    /// A connection that was there for so long has ended: how long to wait before the next.
    pub fn ended(&mut self, lived: Duration, max: Duration) -> Duration {
        if lived >= self.current {
            self.current = Duration::ZERO;
        }
        self.failed(max)
    }

    /// Whether it can't become longer.
    pub fn is_longest(&self, max: Duration) -> bool {
        self.current >= max.max(MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_limit_and_start_anew_after_a_good_connection() {
        let (mut backoff, max) = (Backoff::default(), Duration::from_secs(8));
        let waits: Vec<u64> = (0..5).map(|_| backoff.failed(max).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 8]);
        assert!(backoff.is_longest(max));
        assert_eq!(backoff.patience(), max);
        assert_eq!(backoff.ended(Duration::from_secs(3), max), max);
        assert_eq!(backoff.ended(Duration::from_secs(9), max), MIN);
        assert_eq!(backoff.failed(Duration::from_secs(1)), MIN);
    }
}
