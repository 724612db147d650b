//! How long things take: counts of durations by size, which cost a few atomic operations each.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the sizes in microseconds, each included; longer ones come after the last.
pub const BOUNDS_US: [u64; 14] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000,
    5_000_000,
];

/// Durations by size.
#[derive(Debug)]
pub struct Histogram {
    counts: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

/// A histogram as it is at a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Distribution {
    /// How many durations are within each bound of [`BOUNDS_US`] and not within the one before;
    /// the last are longer than all bounds.
    pub counts: [u64; BOUNDS_US.len() + 1],
    /// Sum of all durations in microseconds.
    pub sum_us: u64,
}

/// Transactions of the databases, from their execution to answer and monitors, or, where the answer
/// waits for the disk, to the flush.
pub static COMMIT: Histogram = Histogram::new();
/// Flushes of the log to stable storage.
pub static FLUSH: Histogram = Histogram::new();

impl Histogram {
    /// One without durations.
    pub const fn new() -> Self {
        Histogram {
            counts: [const { AtomicU64::new(0) }; BOUNDS_US.len() + 1],
            sum_us: AtomicU64::new(0),
        }
    }

    /// Adds a duration.
    pub fn add(&self, duration: Duration) {
        self.add_all(duration, 1);
    }

    /// Adds a duration so many times.
    pub fn add_all(&self, duration: Duration, times: u64) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let place = BOUNDS_US.partition_point(|bound| *bound < us);
        if let Some(count) = self.counts.get(place) {
            count.fetch_add(times, Ordering::Relaxed);
            let sum = us.saturating_mul(times);
            self.sum_us.fetch_add(sum, Ordering::Relaxed);
        }
    }

    /// The histogram now.
    pub fn read(&self) -> Distribution {
        Distribution {
            counts: std::array::from_fn(|at| {
                let count = self.counts.get(at);
                count.map_or(0, |count| count.load(Ordering::Relaxed))
            }),
            sum_us: self.sum_us.load(Ordering::Relaxed),
        }
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_included_and_the_longest_have_a_place() {
        let histogram = Histogram::new();
        histogram.add(Duration::ZERO);
        histogram.add(Duration::from_micros(50));
        histogram.add_all(Duration::from_micros(51), 3);
        histogram.add(Duration::from_secs(60));
        let read = histogram.read();
        assert_eq!(read.counts[..3], [2, 3, 0]);
        assert_eq!(read.counts[BOUNDS_US.len()], 1);
        assert_eq!(read.counts.iter().sum::<u64>(), 6);
        assert_eq!(read.sum_us, 50 + 3 * 51 + 60_000_000);
        assert!(BOUNDS_US.is_sorted());
    }
}
