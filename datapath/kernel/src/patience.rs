//! An end to what takes the kernel too long: its verifier stops at the next instruction when a signal
//! waits for the thread that loads a program. What counts is the processor's time, so that a busy host
//! refuses nothing that an idle one takes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use crate::sys;

/// Between two signals: a call that was ended may be begun again by who made it.
const AGAIN: Duration = Duration::from_millis(10);

/// Work that gets so little of the processor that it isn't done in so many times its limit is ended, too.
const STARVED: u32 = 10;

/// Does some work, whose system calls are interrupted from when it has had the processor for so long
/// until it is done. True if that was so.
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
        let began = processor_time(thread);
        let watch = move || {
            let mut wait = limit;
            let mut rounds = 0;
            while done.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                rounds += 1;
                let had = processor_time(thread).zip(began);
                let left = had.and_then(|(now, began)| (limit + began).checked_sub(now));
                if let Some(left) = left.filter(|left| rounds < STARVED && !left.is_zero()) {
                    wait = left.max(AGAIN);
                    continue;
                }
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

/// For how long a thread of this process has had a processor, if the kernel says so.
fn processor_time(thread: rustix::thread::Pid) -> Option<Duration> {
    let path = format!("/proc/self/task/{}/schedstat", thread.as_raw_nonzero());
    let text = std::fs::read_to_string(path).ok()?;
    let time_ns = text.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(time_ns))
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

    #[test]
    fn time_counts_while_the_thread_has_the_processor() {
        let thread = rustix::thread::gettid();
        let began = processor_time(thread).unwrap();
        while processor_time(thread).unwrap() < began + Duration::from_millis(20) {
            std::hint::black_box(began);
        }
    }
}
