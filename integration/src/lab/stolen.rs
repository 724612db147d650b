//! Time in which the machine was denied its processors by what it runs on.

use std::fs;

/// Processor time since the boot, in the kernel's ticks (proc(5), `/proc/stat`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stolen {
    stolen: u64,
    all: u64,
}

impl Stolen {
    /// As it is now; nothing where the kernel doesn't tell.
    pub fn now() -> Stolen {
        Stolen::parse(&fs::read_to_string("/proc/stat").unwrap_or_default())
    }

    /// Of the text's first line: user, nice, system, idle, iowait, irq, softirq and steal.
    fn parse(text: &str) -> Stolen {
        let line = text.lines().next().unwrap_or_default();
        let ticks = line.split_whitespace().skip(1).take(8);
        let ticks: Vec<u64> = ticks.filter_map(|tick| tick.parse().ok()).collect();
        Stolen {
            stolen: ticks.get(7).copied().unwrap_or(0),
            all: ticks.iter().sum(),
        }
    }

    /// The share of the time since that was denied.
    pub fn share_since(self) -> f64 {
        self.share_until(Stolen::now())
    }

    fn share_until(self, now: Stolen) -> f64 {
        let all = now.all.saturating_sub(self.all).max(1);
        now.stolen.saturating_sub(self.stolen) as f64 / all as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_what_passed() {
        let before = Stolen::parse("cpu  10 0 10 70 0 0 0 10 0 0\ncpu0 1 1 1 1 1 1 1 1\n");
        let after = Stolen::parse("cpu  20 0 20 140 0 0 0 40 7 0\n");
        assert_eq!(before.share_until(after), 0.25);
        assert_eq!(before.share_until(before), 0.0);
        assert_eq!(Stolen::parse(""), Stolen { stolen: 0, all: 0 });
    }
}
