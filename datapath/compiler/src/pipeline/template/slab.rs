//! The records of a table: their places, which rule is where, and when places are used again.

use std::collections::VecDeque;

use super::super::memory::Memory;
use super::super::record::{DIED, NEVER};

/// What the daemon knows of a record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Info {
    pub rank: u64,
    /// The next record of its chain, or [`NONE`].
    pub next: u32,
    /// Bucket, or node of its prefix.
    pub place: u32,
    /// Part of its hash, to tell rules of a tuple with other hashed bits.
    pub key: u32,
    /// Number of the rule.
    pub rule: u32,
    pub search: u8,
    /// Bit in its bucket.
    pub bit: u8,
    /// Not killed.
    pub alive: bool,
}

/// What was done for the newest version.
#[derive(Clone, Debug, Default)]
struct Newest {
    version: u32,
    inserted: Vec<u32>,
    /// Number of the first kill.
    first_kill: u32,
}

/// A record without a chain, on which packets may still stand.
#[derive(Clone, Copy, Debug)]
struct Resting {
    record: u32,
    /// The node that goes with it.
    node: Option<u32>,
    /// Number of the first kill after which none stands there.
    after: u32,
}

/// All records of a table.
#[derive(Clone, Debug)]
pub(super) struct Slab {
    /// Offset of the first record.
    pub at: u32,
    pub stride: u32,
    pub capacity: u32,
    infos: Vec<Info>,
    free: Vec<u32>,
    resting: VecDeque<Resting>,
    /// Records that were killed and not reclaimed, each with the number of its kill, ascending.
    dead: VecDeque<(u32, u32)>,
    kills: u32,
    newest: Newest,
}

impl Slab {
    pub fn new(at: u32, stride: u32, capacity: u32) -> Slab {
        Slab {
            at,
            stride,
            capacity,
            infos: Vec::new(),
            free: Vec::new(),
            resting: VecDeque::new(),
            dead: VecDeque::new(),
            kills: 0,
            newest: Newest::default(),
        }
    }

    pub fn info(&self, record: u32) -> &Info {
        &self.infos[record as usize]
    }

    pub fn info_mut(&mut self, record: u32) -> &mut Info {
        &mut self.infos[record as usize]
    }

    /// Offset of a record in the memory.
    pub fn offset(&self, record: u32) -> u32 {
        self.at + record * self.stride
    }

    /// The record at an offset.
    pub fn at_offset(&self, offset: u32) -> u32 {
        (offset - self.at) / self.stride
    }

    /// Offset of the last record that could be.
    pub fn last_offset(&self) -> u32 {
        self.at + self.capacity.saturating_sub(1) * self.stride
    }

    /// How many places are taken.
    pub fn used(&self) -> u32 {
        (self.infos.len() - self.free.len()) as u32
    }

    /// Whether there is a place for `count` more.
    pub fn has_room(&self, count: u32) -> bool {
        self.used() + count <= self.capacity
    }

    /// Makes room for so many records at once, no more.
    pub fn expect(&mut self, count: u32) {
        self.infos.reserve_exact(count as usize);
    }

    /// Takes a place for a record of `version` and later. There must be one, see
    /// [`Slab::has_room`].
    pub fn take(&mut self, info: Info, version: u32) -> u32 {
        let record = self.free.pop().unwrap_or(self.infos.len() as u32);
        if record as usize == self.infos.len() {
            self.infos.push(info);
        } else {
            self.infos[record as usize] = info;
        }
        self.begin(version);
        self.newest.inserted.push(record);
        record
    }

    fn begin(&mut self, version: u32) {
        if self.newest.version != version {
            self.newest = Newest {
                version,
                inserted: Vec::new(),
                first_kill: self.kills,
            };
        }
    }

    /// Makes the records of a rule invisible to packets of `died` and later; the number of the kill.
    pub fn kill(&mut self, records: &[u32], died: u32, memory: &mut dyn Memory) -> u32 {
        self.begin(died);
        let kill = self.kills;
        self.kills += 1;
        for record in records {
            self.info_mut(*record).alive = false;
            memory.set_u32(self.offset(*record) + DIED as u32, died);
            self.dead.push_back((kill, *record));
        }
        kill
    }

    /// The records of a kill, which the caller takes out of their chains, with [`Slab::rest`]. What
    /// rested before that kill becomes free; the nodes among it are put into `nodes`.
    pub fn reclaimed(&mut self, kill: u32, nodes: &mut Vec<u32>) -> Vec<u32> {
        let first = self.dead.partition_point(|(other, _)| *other < kill);
        let end = self.dead.partition_point(|(other, _)| *other <= kill);
        if first == end {
            return Vec::new();
        }
        let rested = self
            .resting
            .partition_point(|resting| resting.after <= kill);
        for resting in self.resting.drain(..rested) {
            self.free.push(resting.record);
            nodes.extend(resting.node);
        }
        let records = self.dead.drain(first..end);
        records.map(|(_, record)| record).collect()
    }

    /// A record has left its chain, for ever, and so has the node of its prefix if it is given.
    pub fn rest(&mut self, record: u32, node: Option<u32>) {
        let after = self.kills;
        self.resting.push_back(Resting {
            record,
            node,
            after,
        });
    }

    /// Gives up what was done for `version`: records that were killed live again; those that were
    /// inserted are returned, invisible, to be taken out of their chains and to [`Slab::rest`].
    pub fn rollback(&mut self, version: u32, memory: &mut dyn Memory) -> Vec<u32> {
        if self.newest.version != version {
            return Vec::new();
        }
        let Newest {
            inserted,
            first_kill,
            ..
        } = std::mem::take(&mut self.newest);
        let from = self.dead.partition_point(|(kill, _)| *kill < first_kill);
        for (_, record) in self.dead.split_off(from) {
            self.info_mut(record).alive = true;
            memory.set_u32(self.offset(record) + DIED as u32, NEVER);
        }
        for record in &inserted {
            self.info_mut(*record).alive = false;
            memory.set_u32(self.offset(*record) + DIED as u32, version);
        }
        inserted
    }

    /// Forgets what was done for the newest version: it can't be rolled back.
    pub fn settle(&mut self) {
        self.newest = Newest::default();
    }
}
