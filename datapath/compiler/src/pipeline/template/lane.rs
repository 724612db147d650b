//! Parts of the key as one load takes them, and what hashes make of them.

use aorta_ebpf::Size;

use super::super::record::MatchWord;

/// What a rule asks of 64 bits of the key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Pair {
    /// Byte offset in the key, a multiple of 8.
    pub at: i16,
    pub value: u64,
    pub mask: u64,
}

/// The words of a rule, two by two, by ascending place.
pub(super) fn pairs(words: &[MatchWord]) -> Vec<Pair> {
    let mut pairs: Vec<Pair> = Vec::with_capacity(words.len());
    for word in words {
        let at = word.at & !7;
        let shift = u32::from(word.at & 4 != 0) * 32;
        let value = u64::from(word.value & word.mask) << shift;
        let mask = u64::from(word.mask) << shift;
        match pairs.last_mut().filter(|last| last.at == at) {
            Some(last) => {
                last.value |= value;
                last.mask |= mask;
            }
            None => pairs.push(Pair { at, value, mask }),
        }
    }
    debug_assert!(
        pairs.is_sorted_by_key(|pair| pair.at),
        "words by ascending place"
    );
    pairs
}

/// Bits of the key, by ascending place; no mask is 0.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub(super) struct Mask(pub Vec<(i16, u64)>);

impl Mask {
    pub fn of(pairs: &[Pair]) -> Mask {
        Mask(pairs.iter().map(|pair| (pair.at, pair.mask)).collect())
    }

    fn at(&self, at: i16) -> u64 {
        let found = self.0.binary_search_by_key(&at, |entry| entry.0);
        found.map_or(0, |index| self.0[index].1)
    }

    /// The bits that both have.
    pub fn and(&self, other: &Mask) -> Mask {
        let both = |&(at, mask): &(i16, u64)| (at, mask & other.at(at));
        Mask(
            self.0
                .iter()
                .map(both)
                .filter(|entry| entry.1 != 0)
                .collect(),
        )
    }

    /// The bits that either has.
    pub fn or(&self, other: &Mask) -> Mask {
        let mut all: Vec<(i16, u64)> = self.0.clone();
        for &(at, mask) in &other.0 {
            match all.binary_search_by_key(&at, |entry| entry.0) {
                Ok(index) => all[index].1 |= mask,
                Err(index) => all.insert(index, (at, mask)),
            }
        }
        Mask(all)
    }

    /// Whether `other` has all of its bits.
    pub fn within(&self, other: &Mask) -> bool {
        self.0.iter().all(|&(at, mask)| mask & !other.at(at) == 0)
    }

    /// The loads that read them.
    pub fn lanes(&self) -> Vec<Lane> {
        self.0
            .iter()
            .map(|&(at, mask)| Lane::of(at, mask))
            .collect()
    }
}

/// One load from the key, and the bits of it that matter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Lane {
    /// Byte offset in the key.
    pub at: i16,
    /// Four or eight bytes.
    pub size: Size,
    /// Bits of what was loaded.
    pub mask: u64,
}

impl Lane {
    /// The smallest load of these bits of a pair.
    pub fn of(at: i16, mask: u64) -> Lane {
        let (at, size, mask) = match (mask as u32, mask >> 32) {
            (low, 0) => (at, Size::W, u64::from(low)),
            (0, high) => (at + 4, Size::W, high),
            _ => (at, Size::Dw, mask),
        };
        Lane { at, size, mask }
    }

    /// All bits that the load gives.
    pub fn full(&self) -> u64 {
        u64::MAX >> (64 - self.size.bits())
    }

    fn shift(&self) -> u32 {
        u32::from(self.at & 4 != 0) * 32
    }

    /// Value and mask that a rule has there, all of them.
    pub fn of_pairs(&self, pairs: &[Pair]) -> (u64, u64) {
        let found = pairs.iter().find(|pair| pair.at == self.at & !7);
        found.map_or((0, 0), |pair| {
            let cut = |bits: u64| bits >> self.shift() & self.full();
            (cut(pair.value), cut(pair.mask))
        })
    }

    /// The bits of a pair's mask that the load gives.
    pub fn covers(&self) -> u64 {
        self.full() << self.shift()
    }
}

/// A hash of masked parts of the key: the same in code ([`super::emit`]) and here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Seed(pub u64);

impl Seed {
    /// A number of the seed's own, one of many.
    pub fn number(self, index: u64) -> u64 {
        let mut x = self.0 ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ x >> 31
    }

    /// What the hash of tuple `number` starts with.
    pub fn start(self, number: usize) -> u64 {
        self.number(1000 + number as u64)
    }

    /// What part number `index` is multiplied with.
    pub fn factor(self, index: usize) -> u64 {
        self.number(index as u64) | 1
    }

    /// One step of the hash.
    pub fn step(self, hash: u64, index: usize, part: u64) -> u64 {
        let hash = (hash ^ part).wrapping_mul(self.factor(index));
        hash ^ hash >> 32
    }

    /// The hash of all parts.
    pub fn hash(self, start: u64, parts: impl Iterator<Item = u64>) -> u64 {
        parts
            .enumerate()
            .fold(start, |hash, (index, part)| self.step(hash, index, part))
    }
}

/// Lanes that are hashed together: one of eight bytes, or up to two of four, of which the second
/// goes into the upper half.
pub(super) fn parts(lanes: &[Lane]) -> Vec<Vec<Lane>> {
    let (wide, narrow): (Vec<Lane>, Vec<Lane>) =
        lanes.iter().partition(|lane| lane.size == Size::Dw);
    let wide = wide.into_iter().map(|lane| vec![lane]);
    wide.chain(narrow.chunks(2).map(<[Lane]>::to_vec)).collect()
}
