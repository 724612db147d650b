//! The kernel's tick counter, which programs stamp learned addresses with.

use aorta_ebpf::{Assembler, Helper};
use rustix::time::{ClockId, clock_getres};

use crate::error::LoadError;
use crate::loader::{Loaded, Loader};

/// Reads `jiffies_64`.
#[derive(Debug)]
pub struct TickClock {
    program: Loaded,
    hz: u32,
}

impl TickClock {
    /// Loads the program that reads it.
    pub fn new(loader: &mut Loader) -> Result<TickClock, LoadError> {
        let mut a = Assembler::new("ticks");
        a.call(Helper::Jiffies64);
        a.exit();
        let program = a.finish().map_err(|e| LoadError::Object {
            program: "ticks".into(),
            reason: e.to_string(),
        })?;
        Ok(TickClock {
            program: loader.load(&program, |_| None)?,
            hz: tick_rate_hz(),
        })
    }

    /// Ticks in a second.
    pub fn hz(&self) -> u32 {
        self.hz
    }

    /// Low 32 bits of the counter now.
    pub fn now(&self) -> std::io::Result<u32> {
        const SHORTEST_FRAME: [u8; 14] = [0; 14];
        Ok(self.program.test_run(&SHORTEST_FRAME, 1)?.verdict)
    }

    /// Whole seconds from `seen` to `now`, both low 32 bits of the counter.
    pub fn age_s(&self, now: u32, seen: u32) -> u64 {
        // A station may have been seen after `now` was read.
        let ticks = (now.wrapping_sub(seen) as i32).max(0) as u32;
        u64::from(ticks / self.hz)
    }
}

/// The coarse clock advances once a tick, so its resolution is the tick's length.
fn tick_rate_hz() -> u32 {
    let tick = clock_getres(ClockId::MonotonicCoarse);
    let ns = tick.tv_sec as i64 * 1_000_000_000 + tick.tv_nsec as i64;
    (1_000_000_000 / ns.max(1)) as u32
}
