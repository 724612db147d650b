//! An end to what takes the kernel too long: its verifier stops at the next instruction when a signal
//! waits for the thread that loads a program.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use crate::sys;

/// Between two signals: a call that was ended may be begun again by who made it.
const AGAIN: Duration = Duration::from_millis(10);

/// Does some work, whose system calls are interrupted from when it has taken so long until it is
/// done. True if that was so.
pub fn at_most<T>(limit: Duration, work: impl FnOnce() -> T) -> (T, bool) {
    if sys::catch_interruptions().is_err() {
        // Without a handler a signal would have no effect.
        return (work(), false);
    }
    let thread = rustix::thread::gettid();
    let interrupted = AtomicBool::new(false);
    let noted = &interrupted;
    let result = std::thread::scope(|scope| {
        let (working, done) = channel::<()>();
        let watch = move || {
            let mut wait = limit;
            while done.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                noted.store(true, Ordering::Relaxed);
                sys::interrupt(thread);
                wait = AGAIN;
            }
        };
        // Without a thread to watch it, it takes as long as it takes.
        let watcher = std::thread::Builder::new().spawn_scoped(scope, watch);
        let result = work();
        drop(working);
        drop(watcher);
        result
    });
    (result, interrupted.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_in_time_is_left_alone() {
        assert_eq!(at_most(Duration::from_secs(60), || 7), (7, false));
    }

    #[test]
    fn a_call_that_waits_is_ended() {
        let wait = || {
            let long = rustix::time::Timespec {
                tv_sec: 600,
                tv_nsec: 0,
            };
            rustix::thread::nanosleep(&long)
        };
        let (ended, interrupted) = at_most(Duration::from_millis(1), wait);
        assert!(interrupted);
        assert!(matches!(
            ended,
            rustix::thread::NanosleepRelativeResult::Interrupted(_)
        ));
    }
}
