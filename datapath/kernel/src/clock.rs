//! The kernel's tick counter, which programs stamp learned addresses with.

use aorta_ebpf::{Assembler, Helper, Reg};
use rustix::time::{ClockId, clock_getres};

use crate::error::LoadError;
use crate::loader::{Loaded, Loader};

/// Reads `jiffies_64`.
#[derive(Debug)]
pub struct TickClock {
    low: Loaded,
    high: Loaded,
    hz: u32,
}

impl TickClock {
    /// Loads the program that reads it.
    pub fn new(loader: &mut Loader) -> Result<TickClock, LoadError> {
        Ok(TickClock {
            low: load(loader, 0)?,
            high: load(loader, 32)?,
            hz: tick_rate_hz(),
        })
    }

    /// Ticks in a second.
    pub fn hz(&self) -> u32 {
        self.hz
    }

    /// Low 32 bits of the counter now.
    pub fn now(&self) -> std::io::Result<u32> {
        run(&self.low)
    }

    /// The whole counter now.
    pub fn ticks(&self) -> std::io::Result<u64> {
        loop {
            let (high, low) = (run(&self.high)?, run(&self.low)?);
            if run(&self.high)? == high {
                return Ok(u64::from(high) << 32 | u64::from(low));
            }
        }
    }

    /// Whole seconds from `seen` to `now`, both low 32 bits of the counter.
    pub fn age_s(&self, now: u32, seen: u32) -> u64 {
        // A station may have been seen after `now` was read.
        let ticks = (now.wrapping_sub(seen) as i32).max(0) as u32;
        u64::from(ticks / self.hz)
    }
}

/// A program that returns 32 bits of the counter, `shift` up.
fn load(loader: &mut Loader, shift: i32) -> Result<Loaded, LoadError> {
    let mut a = Assembler::new("ticks");
    a.call(Helper::Jiffies64);
    if shift > 0 {
        a.rsh(Reg::R0, shift);
    }
    a.exit();
    let program = a.finish().map_err(|e| LoadError::Object {
        program: "ticks".into(),
        reason: e.to_string(),
    })?;
    loader.load(&program, |_| None)
}

fn run(program: &Loaded) -> std::io::Result<u32> {
    const SHORTEST_FRAME: [u8; 14] = [0; 14];
    Ok(program.test_run(&SHORTEST_FRAME, 1)?.verdict)
}

/// The coarse clock advances once a tick, so its resolution is the tick's length.
fn tick_rate_hz() -> u32 {
    let tick = clock_getres(ClockId::MonotonicCoarse);
    let ns = tick.tv_sec as i64 * 1_000_000_000 + tick.tv_nsec as i64;
    (1_000_000_000 / ns.max(1)) as u32
}
