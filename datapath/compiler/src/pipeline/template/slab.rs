//! The records of a table: their places, which rule is where, and when places are used again.

use std::collections::{HashMap, VecDeque};

use super::super::memory::Memory;
use super::super::record::{DIED, NEVER, RuleId};
use super::buckets::NONE;

/// What the daemon knows of a record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Info {
    pub rank: u64,
    pub rule: RuleId,
    /// The next record of its chain, or [`NONE`].
    pub next: u32,
    /// Bucket, or node of its prefix.
    pub place: u32,
    /// Part of its hash, to tell rules of a tuple with other hashed bits.
    pub key: u32,
    pub born: u32,
    pub died: u32,
    /// Number of the kill, if there was one.
    pub kill: u32,
    /// Another record of the same rule, or [`NONE`].
    pub same: u32,
    pub search: u8,
    /// Bit in its bucket.
    pub bit: u8,
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
    rules: HashMap<RuleId, u32>,
    kills: u32,
    /// The newest version that changed something, and the records.
    newest: (u32, Vec<u32>),
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
            rules: HashMap::new(),
            kills: 0,
            newest: (0, Vec::new()),
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

    /// Takes a place. There must be one, see [`Slab::has_room`].
    pub fn take(&mut self, mut info: Info) -> u32 {
        let record = self.free.pop().unwrap_or(self.infos.len() as u32);
        info.same = self.rules.insert(info.rule, record).unwrap_or(NONE);
        if record as usize == self.infos.len() {
            self.infos.push(info);
        } else {
            self.infos[record as usize] = info;
        }
        self.note(info.born, record);
        record
    }

    fn note(&mut self, version: u32, record: u32) {
        if self.newest.0 != version {
            self.newest = (version, Vec::new());
        }
        self.newest.1.push(record);
    }

    fn records_of(&self, rule: RuleId) -> Vec<u32> {
        let next = |record: &u32| Some(self.info(*record).same).filter(|next| *next != NONE);
        std::iter::successors(self.rules.get(&rule).copied(), next).collect()
    }

    /// Makes the records of a rule invisible to packets of `died` and later; whether there was one
    /// that was visible.
    pub fn kill(&mut self, rule: RuleId, died: u32, memory: &mut dyn Memory) -> bool {
        let records = self.records_of(rule);
        let alive = records
            .into_iter()
            .filter(|record| self.info(*record).died == NEVER);
        let alive: Vec<u32> = alive.collect();
        for record in &alive {
            let kill = self.kills;
            let info = self.info_mut(*record);
            (info.died, info.kill) = (died, kill);
            memory.set_u32(self.offset(*record) + DIED as u32, died);
            self.note(died, *record);
        }
        self.kills += u32::from(!alive.is_empty());
        !alive.is_empty()
    }

    /// The records of a rule's earliest kill that is not reclaimed yet, which the caller takes out of
    /// their chains, with [`Slab::rest`]. What rested before that kill becomes free; the nodes among
    /// it are put into `nodes`.
    pub fn reclaimed(&mut self, rule: RuleId, nodes: &mut Vec<u32>) -> Vec<u32> {
        let dead = self
            .records_of(rule)
            .into_iter()
            .filter(|r| self.info(*r).died != NEVER);
        let dead: Vec<u32> = dead.collect();
        let Some(kill) = dead.iter().map(|record| self.info(*record).kill).min() else {
            return Vec::new();
        };
        let rested = self
            .resting
            .partition_point(|resting| resting.after <= kill);
        for resting in self.resting.drain(..rested) {
            self.free.push(resting.record);
            nodes.extend(resting.node);
        }
        dead.into_iter()
            .filter(|record| self.info(*record).kill == kill)
            .collect()
    }

    /// A record has left its chain, for ever, and so has the node of its prefix if it is given.
    pub fn rest(&mut self, record: u32, node: Option<u32>) {
        let info = *self.info(record);
        let first = self.rules.get(&info.rule).copied();
        if first == Some(record) {
            match info.same {
                NONE => drop(self.rules.remove(&info.rule)),
                same => drop(self.rules.insert(info.rule, same)),
            }
        } else {
            let before = self.records_of(info.rule);
            if let Some(before) = before
                .into_iter()
                .find(|other| self.info(*other).same == record)
            {
                self.info_mut(before).same = info.same;
            }
        }
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
        if self.newest.0 != version {
            return Vec::new();
        }
        let mut inserted = Vec::new();
        for record in std::mem::take(&mut self.newest.1) {
            let born = self.info(record).born;
            let died = if born == version { version } else { NEVER };
            self.info_mut(record).died = died;
            memory.set_u32(self.offset(record) + DIED as u32, died);
            if born == version {
                inserted.push(record);
            }
        }
        inserted.sort_unstable();
        inserted.dedup();
        inserted
    }

    /// Forgets what was done for the newest version: it can't be rolled back.
    pub fn settle(&mut self) {
        self.newest = (0, Vec::new());
    }
}
