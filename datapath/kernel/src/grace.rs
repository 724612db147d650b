//! When no program can still be reading what was taken out of its sight.
//!
//! A program runs within one RCU read-side section of the kernel, tail calls included. The kernel
//! waits for all such sections when the slot of an array of maps is replaced. That takes
//! milliseconds, so a thread of its own does it.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use aorta_compiler::abi::{MapKind, MapSpec};
use aorta_ebpf::MapId;

use crate::error::DatapathError;
use crate::map::Map;
use crate::sys::{self, ElementSize};

/// A moment, after which something is out of sight of all programs that start.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Moment(u64);

/// Waits for programs, in a thread of its own.
#[derive(Debug)]
pub struct Grace {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Number of the newest moment somebody waits for, and whether the thread is to end.
    wanted: Mutex<(u64, bool)>,
    more: Condvar,
    done: Condvar,
    /// Newest moment after which every program has begun.
    passed: AtomicU64,
}

impl Grace {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the kernel refuses the maps with which it waits.
    pub fn new() -> Result<Grace, DatapathError> {
        let wait = Wait::new()?;
        wait.for_programs()?;
        let shared = Arc::new(Shared::default());
        let theirs = shared.clone();
        let thread = std::thread::Builder::new()
            .name("grace".into())
            .spawn(move || run(&theirs, &wait))
            .map_err(|source| error("start the thread of", source))?;
        Ok(Grace {
            shared,
            thread: Some(thread),
        })
    }

    /// Now: what was taken out of sight before can be used again once this has [passed](Self::passed).
    pub fn now(&self) -> Moment {
        let mut wanted = lock(&self.shared.wanted);
        wanted.0 += 1;
        self.shared.more.notify_one();
        Moment(wanted.0)
    }

    /// Returns when `moment` has passed, some milliseconds after it.
    pub fn wait(&self, moment: Moment) {
        let mut wanted = lock(&self.shared.wanted);
        while !self.passed(moment) && !wanted.1 {
            wanted = self
                .shared
                .done
                .wait(wanted)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether every program that runs has begun after `moment`.
    pub fn passed(&self, moment: Moment) -> bool {
        self.shared.passed.load(Ordering::Acquire) >= moment.0
    }
}

impl Drop for Grace {
    fn drop(&mut self) {
        lock(&self.shared.wanted).1 = true;
        self.shared.more.notify_one();
        if let Some(thread) = self.thread.take() {
            // A thread that failed has nothing left to say.
            let _ = thread.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run(shared: &Shared, wait: &Wait) {
    loop {
        let mut wanted = lock(&shared.wanted);
        let passed = shared.passed.load(Ordering::Relaxed);
        while wanted.0 == passed && !wanted.1 {
            wanted = shared
                .more
                .wait(wanted)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let (until, end) = *wanted;
        drop(wanted);
        if end {
            return;
        }
        let ended = wait.for_programs();
        let mut wanted = lock(&shared.wanted);
        match ended {
            Ok(()) => shared.passed.store(until, Ordering::Release),
            Err(error) => {
                // Nothing is used again until the kernel can tell.
                let error = crate::error::chain(&error);
                tracing::error!(error, "can't wait for programs");
                wanted.1 = true;
            }
        }
        shared.done.notify_all();
    }
}

/// An array with one map, whose replacement makes the kernel wait.
#[derive(Debug)]
struct Wait {
    outer: OwnedFd,
    inner: Map,
}

impl Wait {
    fn new() -> Result<Wait, DatapathError> {
        let spec = MapSpec {
            id: MapId(u32::MAX),
            name: "grace",
            kind: MapKind::Array,
            key_bytes: 4,
            value_bytes: 4,
            max_entries: 1,
        };
        let inner = Map::create(&spec, spec.name)?;
        let outer = sys::create_array_of_maps(inner.fd()).map_err(|e| error("create", e))?;
        Ok(Wait { outer, inner })
    }

    /// Returns when every program that ran at the call has ended.
    fn for_programs(&self) -> Result<(), DatapathError> {
        let size = ElementSize { key: 4, value: 4 };
        let inner = self.inner.raw_fd().to_ne_bytes();
        sys::update(self.outer.as_fd(), size, &0u32.to_ne_bytes(), &inner, 0)
            .map_err(|e| error("replace", e))
    }
}

fn error(what: &'static str, source: std::io::Error) -> DatapathError {
    DatapathError::Map {
        what,
        name: "grace".into(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_passes_and_later_ones_do_not_with_it() {
        let grace = Grace::new().unwrap();
        let first = grace.now();
        grace.wait(first);
        assert!(grace.passed(first));
        let second = grace.now();
        assert!(second > first);
        drop(grace);
    }
}
