//! Tuples: which rules one has, and how a record says what its rule matches.

use aorta_ebpf::Size;

use super::super::record::{self, Rule};
use super::lane::{Lane, Mask, Pair, Seed};

/// A set of rules that are found by one hash.
#[derive(Clone, Debug)]
pub(super) struct Tuple {
    /// What is hashed: bits that all of the rules ask for, in [`parts`](super::lane::parts).
    pub parts: Vec<Vec<Lane>>,
    /// What records are compared by.
    pub items: Vec<Item>,
    /// Start of the hash.
    pub start: u64,
    /// The same, to tell records of this tuple from others in the same chain.
    pub tag: u32,
    /// Rules with equal hashed bits that it takes.
    pub limit: u32,
    /// Whether its rules are clauses of conjunctions.
    pub clauses: bool,
}

/// A part of the key that records are compared by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Item {
    /// What is compared. If each record has a mask of its own, the lane's is not used.
    pub lane: Lane,
    /// Offset of the value in the record.
    pub value_at: i16,
    /// Offset of the mask in the record, if each has one of its own.
    pub mask_at: Option<i16>,
}

/// Where things stand in the records of a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct RecordLayout {
    /// Most parameters, words.
    pub params: u32,
    /// Bytes from one record to the next, a multiple of 16.
    pub stride: u32,
}

impl RecordLayout {
    /// Offset behind the parameters.
    pub fn items_at(params: u32) -> i16 {
        record::PARAMS + (4 * params).next_multiple_of(8) as i16
    }

    /// Bytes from one record to the next, for records that end there: cache lines are not crossed
    /// needlessly.
    pub fn stride(end: i16) -> u32 {
        let end = end as u32;
        if end <= 64 {
            end.next_power_of_two()
        } else {
            end.next_multiple_of(32)
        }
    }
}

/// The items for rules of these masks, behind `at`, and the offset behind them.
pub(super) fn items(masks: &[Mask], at: i16) -> (Vec<Item>, i16) {
    let all = masks.iter().fold(Mask::default(), |all, mask| all.or(mask));
    let mut lanes: Vec<(Lane, bool)> = all
        .0
        .iter()
        .map(|&(at, mask)| {
            let differs =
                |other: &Mask| other.and(&Mask(vec![(at, u64::MAX)])) != Mask(vec![(at, mask)]);
            (Lane::of(at, mask), masks.iter().any(differs))
        })
        .collect();
    // Eight-byte values first, so that all are aligned.
    lanes.sort_by_key(|(lane, _)| (lane.size != Size::Dw, lane.at));
    let mut next = at;
    let mut place = |size: Size| {
        let place = next;
        next += size.bytes() as i16;
        place
    };
    let items = lanes
        .into_iter()
        .map(|(lane, own)| Item {
            lane,
            value_at: place(lane.size),
            mask_at: own.then(|| place(lane.size)),
        })
        .collect();
    (items, next)
}

impl Tuple {
    /// All lanes that are hashed.
    pub fn lanes(&self) -> impl Iterator<Item = &Lane> {
        self.parts.iter().flatten()
    }

    /// Whether a rule can be among its rules.
    pub fn takes(&self, pairs: &[Pair], clauses: bool) -> bool {
        if self.clauses != clauses {
            return false;
        }
        let hashed = |lane: &Lane| lane.mask & !lane.of_pairs(pairs).1 == 0;
        let compared =
            |item: &Item| item.mask_at.is_some() || item.lane.of_pairs(pairs).1 == item.lane.mask;
        let seen = |pair: &Pair| {
            let covered = self
                .items
                .iter()
                .filter(|item| item.lane.at & !7 == pair.at);
            pair.mask & !covered.fold(0, |bits, item| bits | item.lane.covers()) == 0
        };
        self.lanes().all(hashed) && self.items.iter().all(compared) && pairs.iter().all(seen)
    }

    /// The hash that leads to a rule.
    pub fn hash(&self, seed: Seed, pairs: &[Pair]) -> u64 {
        let value = |lane: &Lane| lane.of_pairs(pairs).0 & lane.mask;
        let together = |part: &Vec<Lane>| match part.as_slice() {
            [low, high] => value(low) | value(high) << 32,
            lanes => lanes.first().map_or(0, value),
        };
        let parts = self.parts.iter().map(together);
        seed.hash(self.start, parts)
    }

    /// Writes what a rule matches into its record.
    pub fn write(&self, pairs: &[Pair], record: &mut [u8]) {
        put(record, record::NEXT + 4, Size::W, self.tag.into());
        for item in &self.items {
            let (value, mask) = item.lane.of_pairs(pairs);
            put(record, item.value_at, item.lane.size, value);
            if let Some(at) = item.mask_at {
                put(record, at, item.lane.size, mask);
            }
        }
    }
}

/// Puts a number into a record.
pub(super) fn put(record: &mut [u8], at: i16, size: Size, value: u64) {
    let at = at as usize;
    let bytes = value.to_le_bytes();
    record[at..at + size.bytes()].copy_from_slice(&bytes[..size.bytes()]);
}

/// The part of a record that every rule has.
pub(super) fn header(rule: &Rule, params: &[u32], born: u32, stride: u32) -> Vec<u8> {
    let mut bytes = vec![0; stride as usize];
    put(&mut bytes, record::RULE, Size::W, rule.id.0.into());
    put(&mut bytes, record::SHAPE, Size::W, rule.shape.into());
    put(&mut bytes, record::BORN, Size::W, born.into());
    put(&mut bytes, record::DIED, Size::W, record::NEVER.into());
    put(&mut bytes, record::RANK, Size::Dw, rule.rank);
    for (index, param) in params.iter().enumerate() {
        put(
            &mut bytes,
            record::PARAMS + 4 * index as i16,
            Size::W,
            (*param).into(),
        );
    }
    bytes
}
