//! Floods of equal lines are held back. Pure.

/// So many lines of one place in the code may come at once,
const BURST: u64 = 500;
/// and one more after each so many milliseconds.
const REFILL_MS: u64 = 1000;

/// What is left to one place in the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    lines: u64,
    since_ms: u64,
    left_out: u64,
}

impl Bucket {
    /// A place that logs for the first time.
    pub fn new(now_ms: u64) -> Bucket {
        Bucket {
            lines: BURST,
            since_ms: now_ms,
            left_out: 0,
        }
    }

    /// Whether a line may be written: then how many were left out before it.
    pub fn admit(&mut self, now_ms: u64) -> Option<u64> {
        let more = now_ms.saturating_sub(self.since_ms) / REFILL_MS;
        self.since_ms += more * REFILL_MS;
        self.lines = self.lines.saturating_add(more).min(BURST);
        if self.lines == 0 {
            self.left_out += 1;
            return None;
        }
        self.lines -= 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_told() {
        let mut bucket = Bucket::new(0);
        let written = (0..BURST + 7).filter(|_| bucket.admit(1).is_some()).count();
        assert_eq!(written as u64, BURST);
        assert_eq!(bucket.admit(REFILL_MS), Some(7));
        assert_eq!(bucket.admit(REFILL_MS + 1), None);
        assert_eq!(bucket.admit(REFILL_MS * 10 * BURST), Some(1));
        let again = (0..2 * BURST)
            .filter(|_| bucket.admit(REFILL_MS * 10 * BURST).is_some())
            .count();
        assert_eq!(
            again as u64,
            BURST - 1,
            "no more is saved up than one burst"
        );
    }
}
