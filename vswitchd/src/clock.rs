//! The daemon's clock: the machine's, which tests of the sim datapath can stop and put forward.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::ofproto::Moment;

/// A clock that can be stopped and put forward.
#[derive(Debug)]
struct Clock {
    /// How far it has been put forward, in milliseconds.
    ahead_ms: AtomicU64,
    /// What it shows without [`Clock::ahead_ms`] while it is stopped; 0 while it runs.
    stopped_at_ms: AtomicU64,
    /// Tells those that sleep when it was stopped or put forward.
    changed: Notify,
}

static CLOCK: Clock = Clock::new();

/// Now.
pub fn now() -> Moment {
    CLOCK.read(machine_ms())
}

/// Stops the clock: from now on only [`warp`] puts it forward.
pub fn stop() {
    CLOCK.stop(machine_ms());
}

/// Puts the clock forward.
pub fn warp(by: Duration) {
    CLOCK.warp(by);
}

/// Sleeps until a moment, however it comes.
pub async fn sleep_until(at: Moment) {
    loop {
        let changed = CLOCK.changed.notified();
        let left = Duration::from_millis(at.since_ms(now()));
        if left.is_zero() {
            return;
        }
        match CLOCK.is_stopped() {
            true => changed.await,
            false => drop(timeout(left, changed).await),
        }
    }
}

/// What the machine's clock shows: milliseconds since the boot, time asleep included.
fn machine_ms() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    let (seconds, nanos) = (time.tv_sec.cast_unsigned(), time.tv_nsec.cast_unsigned());
    seconds * 1000 + nanos / 1_000_000
}

impl Clock {
    const fn new() -> Clock {
        Clock {
            ahead_ms: AtomicU64::new(0),
            stopped_at_ms: AtomicU64::new(0),
            changed: Notify::const_new(),
        }
    }

    fn read(&self, machine_ms: u64) -> Moment {
        let base = match self.stopped_at_ms.load(Ordering::SeqCst) {
            0 => machine_ms,
            stopped => stopped,
        };
        Moment(base + self.ahead_ms.load(Ordering::SeqCst))
    }

    fn is_stopped(&self) -> bool {
        self.stopped_at_ms.load(Ordering::SeqCst) != 0
    }

    fn stop(&self, machine_ms: u64) {
        let running = 0;
        // A clock that is stopped already goes on showing what it shows.
        let _ = self.stopped_at_ms.compare_exchange(
            running,
            machine_ms.max(1),
            Ordering::SeqCst,
            Ordering::SeqCst,
        );
        self.changed.notify_waiters();
    }

    fn warp(&self, by: Duration) {
        let ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.ahead_ms.fetch_add(ms, Ordering::SeqCst);
        self.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stopped_clock_goes_on_only_when_it_is_put_forward() {
        let clock = Clock::new();
        assert_eq!(clock.read(5), Moment(5));
        clock.warp(Duration::from_secs(1));
        assert_eq!(clock.read(6), Moment(1006));
        clock.stop(7);
        assert_eq!(clock.read(900), Moment(1007));
        clock.stop(800);
        clock.warp(Duration::from_millis(3));
        assert_eq!(clock.read(900), Moment(1010));
    }
}
