//! How many packets a second a controller gets. Pure.

use std::collections::VecDeque;
use std::time::Duration;

/// The limit of a controller's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Packets a second.
    pub packets_s: u32,
    /// Packets that may be sent at once after a pause.
    pub burst: u32,
    /// Packets that may wait.
    pub queue: u32,
}

/// The least that Open vSwitch takes for each of the two.
const LEAST: (i64, i64) = (100, 25);

impl RateLimit {
    /// From the columns `controller_rate_limit`, `controller_burst_limit` and
    /// `controller_queue_size`; none if the first has nothing.
    pub fn new(rate: Option<i64>, burst: Option<i64>, queue: Option<i64>) -> Option<RateLimit> {
        let rate = rate?.max(LEAST.0);
        let burst = burst.unwrap_or(rate / 4).max(LEAST.1);
        let count = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
        Some(RateLimit {
            packets_s: count(rate),
            burst: count(burst),
            queue: count(queue.unwrap_or(burst).max(1)),
        })
    }
}

/// Lets packets pass as a limit says; what is too early waits, what finds no room is dropped.
#[derive(Debug)]
pub struct Limiter<T> {
    /// Millionths of packets that may be sent now.
    credit: u64,
    /// Up to when credit was given.
    at: Duration,
    waiting: VecDeque<T>,
    dropped: u64,
}

/// Credit for a packet.
const PACKET: u64 = 1_000_000;

impl<T> Limiter<T> {
    /// One that has been idle for long.
    pub fn new(now: Duration) -> Self {
        Self {
            credit: u64::MAX,
            at: now,
            waiting: VecDeque::new(),
            dropped: 0,
        }
    }

    /// Takes a packet: `Some` if it may be sent at once.
    pub fn take(&mut self, packet: T, limit: Option<RateLimit>, now: Duration) -> Option<T> {
        let Some(limit) = limit else {
            return Some(packet);
        };
        self.earn(limit, now);
        if self.waiting.is_empty() && self.credit >= PACKET {
            self.credit -= PACKET;
            return Some(packet);
        }
        if self.waiting.len() < limit.queue as usize {
            self.waiting.push_back(packet);
        } else {
            self.dropped += 1;
        }
        None
    }

    /// Packets whose time has come.
    pub fn due(&mut self, limit: Option<RateLimit>, now: Duration) -> Vec<T> {
        let Some(limit) = limit else {
            return self.waiting.drain(..).collect();
        };
        self.earn(limit, now);
        let ready = (self.credit / PACKET).min(self.waiting.len() as u64);
        self.credit -= ready * PACKET;
        self.waiting.drain(..ready as usize).collect()
    }

    /// When the next packet's time comes; never if none waits.
    pub fn next_wake(&self, limit: Option<RateLimit>) -> Option<Duration> {
        if self.waiting.is_empty() {
            return None;
        }
        let Some(limit) = limit else {
            return Some(self.at);
        };
        let missing = PACKET.saturating_sub(self.credit);
        Some(self.at + Duration::from_micros(missing.div_ceil(u64::from(limit.packets_s))))
    }

    /// How many packets found no room since the last call.
    pub fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    fn earn(&mut self, limit: RateLimit, now: Duration) {
        let elapsed = now.saturating_sub(self.at).as_micros();
        let elapsed_us = u64::try_from(elapsed).unwrap_or(u64::MAX);
        let earned = elapsed_us.saturating_mul(limit.packets_s.into());
        let most = u64::from(limit.burst) * PACKET;
        self.credit = self.credit.saturating_add(earned).min(most);
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Option<RateLimit> = Some(RateLimit {
        packets_s: 100,
        burst: 25,
        queue: 10,
    });

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn columns_have_least_values() {
        let limit = |rate, burst| {
            let limit = RateLimit::new(rate, burst, None)?;
            Some((limit.packets_s, limit.burst, limit.queue))
        };
        assert_eq!(limit(None, Some(50)), None);
        assert_eq!(limit(Some(1000), None), Some((1000, 250, 250)));
        assert_eq!(limit(Some(1), Some(1)), Some((100, 25, 25)));
    }

    #[test]
    fn without_a_limit_everything_passes() {
        let mut limiter = Limiter::new(at(0));
        assert!((0..1000).all(|n| limiter.take(n, None, at(0)) == Some(n)));
        assert_eq!(limiter.next_wake(None), None);
    }

    #[test]
    fn a_burst_passes_then_some_wait_and_the_rest_is_dropped() {
        let mut limiter = Limiter::new(at(0));
        let passed = (0..100).filter(|n| limiter.take(*n, LIMIT, at(0)).is_some());
        assert_eq!(passed.count(), 25);
        assert_eq!(limiter.take_dropped(), 65);
        assert_eq!(limiter.next_wake(LIMIT), Some(at(10)));
        assert_eq!(limiter.due(LIMIT, at(9)), [0; 0]);
        assert_eq!(limiter.due(LIMIT, at(10)), [25]);
        assert_eq!(limiter.due(LIMIT, at(1000)), (26..35).collect::<Vec<_>>());
        assert_eq!(limiter.next_wake(LIMIT), None);
        let later = (0..100).filter(|n| limiter.take(*n, LIMIT, at(2000)).is_some());
        assert_eq!(later.count(), 25, "a pause gives no more than a burst");
    }

    #[test]
    fn those_that_wait_go_first_and_all_when_the_limit_goes() {
        let mut limiter = Limiter::new(at(0));
        for n in 0..28 {
            limiter.take(n, LIMIT, at(0));
        }
        assert_eq!(limiter.take(28, LIMIT, at(10)), None);
        assert_eq!(limiter.due(LIMIT, at(10)), [25]);
        assert_eq!(limiter.due(None, at(10)), [26, 27, 28]);
    }
}
