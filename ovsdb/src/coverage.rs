//! Counters of what a daemon does, with the rates of the last seconds, minute and hour, as
//! `coverage/show` prints them. Counting costs a few atomic operations; while nothing happens,
//! nothing runs.
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Length of the shorter slots, in seconds.
const SHORT_S: u64 = 5;
/// Length of the longer slots, in seconds.
const LONG_S: u64 = 60;
/// Bits of a slot that count; those above tell which slot it is.
const COUNT_BITS: u32 = 40;
const COUNT: u64 = (1 << COUNT_BITS) - 1;

/// How often something has happened.
#[derive(Debug)]
pub struct Counter {
    name: &'static str,
    total: AtomicU64,
    short: [AtomicU64; 12],
    long: [AtomicU64; 60],
}

/// A counter as it is at a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// The counter's name.
    pub name: &'static str,
    /// Since the daemon started.
    pub total: u64,
    /// For each second, in the last whole slot of five seconds.
    pub five_seconds: f64,
    /// For each second, in the last minute.
    pub minute: f64,
    /// For each second, in the last hour.
    pub hour: f64,
}

impl Counter {
    /// A counter at zero.
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            total: AtomicU64::new(0),
            short: [const { AtomicU64::new(0) }; 12],
            long: [const { AtomicU64::new(0) }; 60],
        }
    }

    /// Counts once.
    pub fn hit(&self) {
        self.add(1);
    }

    /// Counts so many at once.
    pub fn add(&self, count: u64) {
        self.add_at(count, uptime_s());
    }

    /// The counter now.
    pub fn read(&self) -> Reading {
        self.read_at(uptime_s())
    }

    fn add_at(&self, count: u64, now_s: u64) {
        self.total.fetch_add(count, Ordering::Relaxed);
        add_to(&self.short, now_s / SHORT_S, count);
        add_to(&self.long, now_s / LONG_S, count);
    }

    fn read_at(&self, now_s: u64) -> Reading {
        let (short, long) = (now_s / SHORT_S, now_s / LONG_S);
        let last = short
            .checked_sub(1)
            .map_or(0, |slot| sum(&self.short, slot, 1));
        let rate = |count: u64, seconds: u64| count as f64 / seconds as f64;
        Reading {
            name: self.name,
            total: self.total.load(Ordering::Relaxed),
            five_seconds: rate(last, SHORT_S),
            minute: rate(sum(&self.short, short, 12), 12 * SHORT_S),
            hour: rate(sum(&self.long, long, 60), 60 * LONG_S),
        }
    }
}

/// Adds to a slot, which starts anew if what is in its place is an older one.
fn add_to(ring: &[AtomicU64], slot: u64, count: u64) {
    let Some(place) = place(ring, slot) else {
        return;
    };
    let tag = slot << COUNT_BITS;
    let add = |old: u64| {
        let before = if old & !COUNT == tag { old & COUNT } else { 0 };
        Some(tag | before.saturating_add(count).min(COUNT))
    };
    // It never refuses.
    let _ = place.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
}

/// What was counted in some slots, the newest of which is given.
fn sum(ring: &[AtomicU64], newest: u64, slots: u64) -> u64 {
    let oldest = newest.saturating_sub(slots - 1);
    let counts = (oldest..=newest).filter_map(|slot| {
        let value = place(ring, slot)?.load(Ordering::Relaxed);
        (value & !COUNT == slot << COUNT_BITS).then_some(value & COUNT)
    });
    counts.sum()
}

fn place(ring: &[AtomicU64], slot: u64) -> Option<&AtomicU64> {
    let at = slot % ring.len() as u64;
    ring.get(usize::try_from(at).ok()?)
}

fn uptime_s() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_secs()
}

macro_rules! counters {
    ($($(#[$doc:meta])* $constant:ident = $name:literal;)*) => {
        $($(#[$doc])* pub static $constant: Counter = Counter::new($name);)*

        /// All counters of this crate, by name.
        pub static COUNTERS: &[&Counter] = &[$(&$constant),*];
    };
}

counters! {
    /// Bytes appended to logs.
    LOG_BYTES = "ovsdb_log_bytes";
    /// Logs rewritten without their history.
    LOG_COMPACTED = "ovsdb_log_compacted";
    /// Flushes of a log to stable storage.
    LOG_FLUSHED = "ovsdb_log_flushed";
    /// Updates queued for monitors.
    MONITOR_UPDATE = "ovsdb_monitor_update";
    /// Messages taken from clients.
    REQUEST_RECEIVED = "ovsdb_request_received";
    /// Clients that have connected.
    SESSION_OPENED = "ovsdb_session_opened";
    /// Transactions that had no error and changed something or nothing.
    TXN_COMMITTED = "ovsdb_txn_committed";
    /// Transactions that were refused.
    TXN_FAILED = "ovsdb_txn_failed";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_their_spans() {
        let counter = Counter::new("x");
        counter.add_at(10, 3);
        let rates = |now_s| {
            let reading = counter.read_at(now_s);
            (
                reading.five_seconds * 5.0,
                reading.minute * 60.0,
                reading.hour * 3600.0,
            )
        };
        assert_eq!(rates(4), (0.0, 10.0, 10.0));
        assert_eq!(rates(5), (10.0, 10.0, 10.0));
        assert_eq!(rates(59), (0.0, 10.0, 10.0));
        assert_eq!(rates(60), (0.0, 0.0, 10.0));
        assert_eq!(rates(3599), (0.0, 0.0, 10.0));
        assert_eq!(rates(3600), (0.0, 0.0, 0.0));
        // A slot's place is taken by one that is a round later.
        counter.add_at(1, 3600);
        counter.add_at(2, 3604);
        assert_eq!(rates(3604), (0.0, 3.0, 3.0));
        assert_eq!(counter.read_at(99_999).total, 13);
    }

    #[test]
    fn counters_have_names_in_order() {
        assert!(COUNTERS.is_sorted_by_key(|counter| counter.name));
    }
}
