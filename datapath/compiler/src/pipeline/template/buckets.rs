//! The hash array that all tuples of a table share.
//!
//! Each bucket is a u64: the low half is the offset of the first record, the high half has a bit
//! for each record of the chain, chosen by its hash, so that most lookups that find nothing read
//! nothing but the bucket. Chains fall by rank.
//!
//! Where a table is too large for the processor's caches, buckets tell which rule the first record is of
//! as well, so that its counters can be fetched while the record is.

use super::super::memory::Memory;
use super::super::record::NEXT;
use super::slab::Slab;

/// The array as the daemon knows it.
#[derive(Clone, Debug)]
pub(super) struct Buckets {
    /// Offset of the first bucket.
    pub at: u32,
    /// What buckets tell.
    pub form: Form,
    /// First record of each chain.
    heads: Vec<u32>,
}

/// What the word of a bucket tells: how it is read is in [`super::emit`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// The first record's offset in the low half, 32 bits of hashes above.
    Records,
    /// [`Told`].
    Rules,
}

/// Where things are in a bucket that tells of a rule.
pub(super) struct Told;

impl Told {
    /// Bits of the first record's offset, in units of [`Told::UNIT_BITS`].
    pub const OFFSET_BITS: u32 = 25;
    /// Offsets are multiples of 16, below 2²⁹.
    pub const UNIT_BITS: u32 = 4;
    /// Bits of its rule's number, from there on; what is greater is cut.
    pub const RULE_BITS: u32 = 23;
    /// First of the 16 bits of hashes.
    pub const HASHES_AT: u32 = Told::OFFSET_BITS + Told::RULE_BITS;

    fn word(first: u32, rule: u32) -> u64 {
        let rule = u64::from(rule) & ((1 << Told::RULE_BITS) - 1);
        u64::from(first >> Told::UNIT_BITS) | rule << Told::OFFSET_BITS
    }
}

/// Number of no record.
pub(super) const NONE: u32 = u32::MAX;

impl Buckets {
    /// `count` empty buckets, a power of two, from offset `at` on.
    pub fn new(at: u32, count: u32, form: Form) -> Buckets {
        Buckets {
            at,
            form,
            heads: vec![NONE; count as usize],
        }
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.heads.len() as u32
    }

    /// What a hash is masked with to be a byte offset in the array.
    pub fn offset_mask(count: u32) -> u32 {
        (count - 1) << 3
    }

    /// The bucket of a hash.
    pub fn of(&self, hash: u64) -> u32 {
        (hash as u32 & Buckets::offset_mask(self.count())) >> 3
    }

    /// Which bit of a bucket tells of records with this hash.
    pub fn bit(hash: u64) -> u8 {
        (hash >> 58) as u8 & 31
    }

    /// The records of a bucket, by falling rank.
    pub fn chain<'a>(&self, bucket: u32, slab: &'a Slab) -> impl Iterator<Item = u32> + 'a {
        let first = self.heads[bucket as usize];
        let next = |&record: &u32| Some(slab.info(record).next).filter(|next| *next != NONE);
        std::iter::successors(Some(first).filter(|first| *first != NONE), next)
    }

    /// Puts a record, which is written already, into its chain.
    pub fn link(&mut self, record: u32, slab: &mut Slab, memory: &mut dyn Memory) {
        let (bucket, rank) = (slab.info(record).place, slab.info(record).rank);
        let before = self
            .chain(bucket, slab)
            .take_while(|other| slab.info(*other).rank >= rank);
        let before = before.last();
        let after = match before {
            Some(before) => slab.info(before).next,
            None => self.heads[bucket as usize],
        };
        slab.set_next(record, after, memory);
        match before {
            Some(before) => slab.set_next(before, record, memory),
            None => self.heads[bucket as usize] = record,
        }
        self.write(bucket, slab, memory);
    }

    /// Takes a record out of its chain.
    pub fn unlink(&mut self, record: u32, slab: &mut Slab, memory: &mut dyn Memory) {
        let bucket = slab.info(record).place;
        let after = slab.info(record).next;
        let before = self
            .chain(bucket, slab)
            .take_while(|other| *other != record)
            .last();
        match before {
            Some(before) => slab.set_next(before, after, memory),
            None => self.heads[bucket as usize] = after,
        }
        self.write(bucket, slab, memory);
    }

    fn write(&self, bucket: u32, slab: &Slab, memory: &mut dyn Memory) {
        let head = self.heads[bucket as usize];
        let first = if head == NONE { 0 } else { slab.offset(head) };
        let chain = || self.chain(bucket, slab).map(|record| slab.info(record));
        let bits = |shift: u32| chain().fold(0u64, |bits, info| bits | 1 << (info.bit >> shift));
        let word = match self.form {
            Form::Records => u64::from(first) | bits(0) << 32,
            Form::Rules => {
                let rule = chain().next().map_or(0, |info| info.rule);
                Told::word(first, rule) | bits(1) << Told::HASHES_AT
            }
        };
        memory.set_u64(self.at + 8 * bucket, word);
    }
}

impl Slab {
    /// Sets which record follows another one in its chain.
    pub fn set_next(&mut self, record: u32, next: u32, memory: &mut dyn Memory) {
        self.info_mut(record).next = next;
        let offset = if next == NONE { 0 } else { self.offset(next) };
        memory.set_u32(self.offset(record) + NEXT as u32, offset);
    }
}
