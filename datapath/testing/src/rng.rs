//! Random numbers that follow from a seed.

/// A source of random numbers (SplitMix64). Equal seeds give equal numbers on every machine.
#[derive(Clone, Debug)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// Numbers that follow from `seed`.
    pub fn new(seed: u64) -> Rng {
        Rng { state: seed }
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }

    /// A number below `n`, which must not be 0.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next_u64()) * n as u128) >> 64) as usize
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// True in so many of a hundred cases.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// So many random low bits.
    pub fn bits(&mut self, bits: u8) -> u128 {
        let all = u128::from(self.next_u64()) << 64 | u128::from(self.next_u64());
        all & aorta_flow::field::ones(bits)
    }

    /// One of a list that isn't empty.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// One of a list by weight; the weights' sum must not be 0.
    pub fn weighted<'a, T>(&mut self, from: &'a [(usize, T)]) -> &'a T {
        let total = from.iter().map(|(weight, _)| weight).sum();
        let mut at = self.below(total);
        for (weight, value) in from {
            if at < *weight {
                return value;
            }
            at -= weight;
        }
        &from[from.len() - 1].1
    }

    /// So many random bytes.
    pub fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| self.next_u64() as u8).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_numbers_within_bounds() {
        let numbers = |seed| {
            let mut rng = Rng::new(seed);
            (0..200).map(|_| rng.between(3, 7)).collect::<Vec<_>>()
        };
        assert_eq!(numbers(1), numbers(1));
        assert_ne!(numbers(1), numbers(2));
        let mut seen = numbers(3);
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, [3, 4, 5, 6, 7]);
    }

    #[test]
    fn weights_count() {
        let mut rng = Rng::new(1);
        let list = [(0, 'a'), (1, 'b'), (9, 'c')];
        let c = (0..1000).filter(|_| *rng.weighted(&list) == 'c').count();
        assert!((850..950).contains(&c), "{c}");
    }
}
