//! A table's memory as the daemon keeps it.

use super::super::memory::Memory;
use super::super::record::Rule;
use super::buckets::{Buckets, Form, NONE};
use super::clauses::Slots;
use super::lane::{Pair, Seed, pairs};
use super::lpm::Lpm;
use super::slab::{Info, Slab};
use super::tuple::{RecordLayout, Tuple, header};
use super::{Caps, Fit, Kill, Why, choose};
use crate::pipeline::record;
use std::collections::BTreeMap;

/// Offset of a u64: the highest rank of a clause.
pub(super) const CLAUSES_STOP_AT: u32 = 56;
/// Offset of the ranks at which code stops, a u64 for each search: the highest rank that it or a
/// later one has.
pub(super) const STOPS_AT: u32 = 64;
/// Most searches.
pub(super) const MAX_SEARCHES: usize = 64;
/// Bytes in front of everything else.
pub(super) const HEADER_BYTES: u32 = STOPS_AT + 8 * MAX_SEARCHES as u32;

/// One step of a lookup.
#[derive(Clone, Debug)]
pub(super) enum Search {
    Tuple(Tuple),
    Lpm(Box<Lpm>),
}

impl Search {
    pub fn is_clauses(&self) -> bool {
        matches!(self, Search::Tuple(tuple) if tuple.clauses)
    }
}

/// How many rules of each priority a search has, with the highest rank that there was.
type Ranks = BTreeMap<u16, (u32, u64)>;

/// A table's memory: what it is made of, and where each rule stands. See the [module](super).
#[derive(Clone, Debug)]
pub struct TableImage {
    pub(super) seed: Seed,
    pub(super) layout: RecordLayout,
    pub(super) bytes: u32,
    /// Not all of it is taken to be near the processor.
    pub(super) far: bool,
    pub(super) searches: Vec<Search>,
    pub(super) buckets: Buckets,
    pub(super) slab: Slab,
    pub(super) slots: Slots,
    /// In which order searches are tried for a new rule.
    pub(super) preference: Vec<usize>,
    /// Which search each of the rules gets that it was planned for, until they are there.
    assigned: Vec<u8>,
    pub(super) ranks: Vec<Ranks>,
    stops: Vec<u64>,
    clauses_stop: u64,
}

impl TableImage {
    /// Chooses the searches for these rules, and the memory that they need with room for more.
    /// Nothing is written yet.
    pub fn plan(rules: &[Rule], caps: &Caps) -> TableImage {
        choose::image(rules, caps, true)
    }

    /// As [`TableImage::plan`], with tuples alone.
    pub fn plan_tuples(rules: &[Rule], caps: &Caps) -> TableImage {
        choose::image(rules, caps, false)
    }

    /// Lays out the memory for searches, and room for `records` records. Of memories of more than
    /// `near_bytes`, lookups ask for several places at once.
    pub(super) fn new(
        seed: Seed,
        mut searches: Vec<Search>,
        (preference, assigned): (Vec<usize>, Vec<u8>),
        mut slots: Slots,
        layout: RecordLayout,
        (records, near_bytes): (u32, u32),
    ) -> TableImage {
        let bucket_count = (records + records / 2).next_power_of_two();
        let far = 8 * bucket_count + records * layout.stride > near_bytes;
        let form = if far { Form::Rules } else { Form::Records };
        let buckets = Buckets::new(HEADER_BYTES, bucket_count, form);
        slots.at = HEADER_BYTES + 8 * bucket_count;
        let mut at = slots.at + slots.bytes();
        for search in &mut searches {
            if let Search::Lpm(lpm) = search {
                lpm.entries_at = at;
                lpm.nodes_at = at + 4 * lpm.capacity;
                at += lpm.bytes();
            }
        }
        let at = at.next_multiple_of(64);
        let slab = Slab::new(at, layout.stride, records);
        let count = searches.len();
        TableImage {
            seed,
            layout,
            far,
            bytes: at + records * layout.stride,
            searches,
            buckets,
            slab,
            slots,
            preference,
            assigned,
            ranks: vec![Ranks::new(); count],
            stops: vec![0; count],
            clauses_stop: 0,
        }
    }

    /// How much memory it needs. Zero bytes there are an empty table.
    pub fn memory_bytes(&self) -> u32 {
        self.bytes
    }

    /// Bytes that programs can read behind the address of any record.
    pub fn record_bytes(&self) -> u32 {
        self.layout.stride
    }

    /// Writes all rules into new memory: those that it was planned for, in the same order. They are
    /// visible to packets of version `born` and later.
    pub fn fill(&mut self, rules: &[Rule], born: u32, memory: &mut dyn Memory) -> Fit {
        let assigned = std::mem::take(&mut self.assigned);
        self.slab.expect(rules.len() as u32);
        let place = |(rule, search): (&Rule, &u8)| self.order(rule, *search);
        let mut order: Vec<_> = rules.iter().zip(&assigned).map(place).zip(0..).collect();
        order.sort_unstable();
        for ((search, _, _), index) in order {
            let Some(rule) = rules.get(index) else {
                continue;
            };
            let mut fit = self.put(rule, born, Some(search), memory);
            if fit != Fit::InPlace {
                fit = self.put(rule, born, None, memory);
            }
            if fit != Fit::InPlace {
                return fit;
            }
        }
        self.slab.settle();
        self.write_stops(memory);
        Fit::InPlace
    }

    /// In which order rules are written: those of a chain one behind the other, so that records
    /// that packets read together are neighbours; short prefixes first, since each is then written
    /// where no longer one is in its way.
    fn order(&self, rule: &Rule, search: u8) -> (u8, u32, u64) {
        let place = match &self.searches[usize::from(search)] {
            Search::Tuple(tuple) => self.buckets.of(tuple.hash(self.seed, &pairs(&rule.words))),
            Search::Lpm(lpm) => {
                let word = rule.words.iter().find(|word| word.at == lpm.word);
                word.map_or(0, |word| word.mask.count_ones())
            }
        };
        (search, place, !rule.rank)
    }

    /// Adds a rule for packets of version `born` and later. If it doesn't fit, nothing has changed.
    pub fn insert(&mut self, rule: &Rule, born: u32, memory: &mut dyn Memory) -> Fit {
        let fit = self.put(rule, born, None, memory);
        self.write_stops(memory);
        fit
    }

    /// Makes the rule of this match and rank invisible to packets of version `died` and later;
    /// `None` if it isn't there. To be [reclaimed](Self::reclaim) later.
    pub fn kill(&mut self, rule: &Rule, died: u32, memory: &mut dyn Memory) -> Option<Kill> {
        let records = self.find(rule);
        let there = !records.is_empty();
        there.then(|| Kill(self.slab.kill(&records, died, memory)))
    }

    /// The records of a rule that are alive, by match and rank.
    fn find(&self, rule: &Rule) -> Vec<u32> {
        let (pairs, clauses) = (pairs(&rule.words), !rule.clauses.is_empty());
        let in_search = |index: &usize| {
            let same = |record: &u32| {
                let info = self.slab.info(*record);
                info.rank == rule.rank && info.alive && usize::from(info.search) == *index
            };
            let found: Vec<u32> = match &self.searches[*index] {
                Search::Tuple(tuple) if tuple.takes(&pairs, clauses) => {
                    let bucket = self.buckets.of(tuple.hash(self.seed, &pairs));
                    let chain = self.buckets.chain(bucket, &self.slab);
                    chain.filter(same).collect()
                }
                Search::Lpm(lpm) if !clauses => {
                    let prefix = lpm.takes(&pairs).into_iter();
                    let chain = prefix.flat_map(|prefix| lpm.chain(prefix, &self.slab));
                    chain.filter(same).collect()
                }
                _ => Vec::new(),
            };
            (!found.is_empty()).then_some(found)
        };
        let found = self.preference.iter().find_map(in_search);
        found.unwrap_or_default()
    }

    /// Takes out what a [`TableImage::kill`] made invisible, once no packet is under way that may
    /// see it.
    pub fn reclaim(&mut self, kill: Kill, memory: &mut dyn Memory) {
        let mut nodes = Vec::new();
        for record in self.slab.reclaimed(kill.0, &mut nodes) {
            self.unlink(record, memory);
        }
        for search in &mut self.searches {
            if let Search::Lpm(lpm) = search {
                nodes.drain(..).for_each(|node| lpm.release(node));
            }
        }
        self.write_stops(memory);
    }

    /// Gives up all that was inserted and killed for `version`, the newest, which no packet had.
    pub fn rollback(&mut self, version: u32, memory: &mut dyn Memory) {
        for record in self.slab.rollback(version, memory) {
            self.unlink(record, memory);
        }
        self.write_stops(memory);
    }

    /// The highest rank that a search or a later one has.
    pub(super) fn stop(&self, search: usize) -> u64 {
        self.stops[search]
    }

    /// Number of records, those included that are on their way out.
    pub fn records(&self) -> u32 {
        self.slab.used()
    }

    /// Whether there are places for so many records more.
    pub fn has_places(&self, count: u32) -> bool {
        self.slab.has_room(count)
    }

    fn unlink(&mut self, record: u32, memory: &mut dyn Memory) {
        let info = *self.slab.info(record);
        let mut node = None;
        match &mut self.searches[usize::from(info.search)] {
            Search::Tuple(_) => self.buckets.unlink(record, &mut self.slab, memory),
            Search::Lpm(lpm) => {
                lpm.unlink(record, &mut self.slab, memory);
                node = lpm.is_gone(info.place).then_some(info.place);
            }
        }
        self.slab.rest(record, node);
        let ranks = &mut self.ranks[usize::from(info.search)];
        let priority = (info.rank >> 48) as u16;
        if let Some((count, _)) = ranks.get_mut(&priority) {
            *count -= 1;
            if *count == 0 {
                ranks.remove(&priority);
            }
        }
    }

    /// Puts a rule where it fits, or into the search that it is meant for.
    fn put(&mut self, rule: &Rule, born: u32, meant: Option<u8>, memory: &mut dyn Memory) -> Fit {
        if let Err(why) = self.has_room(rule) {
            return Fit::Rebuild(why);
        }
        let pairs = pairs(&rule.words);
        let mut info = Info {
            rank: rule.rank,
            next: NONE,
            place: 0,
            key: 0,
            rule: rule.id.0,
            search: 0,
            bit: 0,
            alive: true,
        };
        match self.place(&pairs, rule, &mut info, meant) {
            Err(why) => return Fit::Rebuild(why),
            Ok(search) => info.search = search as u8,
        }
        let what = (pairs.as_slice(), rule, born);
        if rule.clauses.is_empty() {
            self.write(what, &rule.params, info, memory);
        } else {
            for clauses in rule.clauses.chunks(self.entries()) {
                let entries = self.slots.entries(rule, clauses, memory);
                self.write(what, &entries, info, memory);
            }
        }
        Fit::InPlace
    }

    /// Clauses that a record has room for.
    fn entries(&self) -> usize {
        (self.layout.params as usize - 1).max(1)
    }

    fn has_room(&self, rule: &Rule) -> Result<(), Why> {
        let records = rule.clauses.len().div_ceil(self.entries()).max(1);
        if rule.clauses.is_empty() && rule.params.len() as u32 > self.layout.params {
            Err(Why::Params)
        } else if !self.slab.has_room(records as u32) || !self.slots.has_room(rule) {
            Err(Why::Full)
        } else {
            Ok(())
        }
    }

    /// Chooses the search for a rule, and sets its place there.
    fn place(
        &mut self,
        pairs: &[Pair],
        rule: &Rule,
        info: &mut Info,
        meant: Option<u8>,
    ) -> Result<usize, Why> {
        let clauses = !rule.clauses.is_empty();
        let mut why = if clauses { Why::Clauses } else { Why::Mask };
        let only = meant.map(usize::from);
        for &index in &self.preference {
            if only.is_some_and(|only| only != index) {
                continue;
            }
            match &mut self.searches[index] {
                Search::Lpm(lpm) => {
                    let prefix = lpm.takes(pairs).filter(|_| !clauses);
                    if let Some(prefix) = prefix
                        && lpm.has_room(prefix, rule.rank, &self.slab)
                    {
                        info.place = lpm.node(prefix, &self.slab);
                        return Ok(index);
                    }
                }
                Search::Tuple(tuple) if tuple.takes(pairs, clauses) => {
                    let hash = tuple.hash(self.seed, pairs);
                    info.place = self.buckets.of(hash);
                    info.bit = Buckets::bit(hash);
                    info.key = key(hash);
                    let crowd = || equal(&self.buckets, &self.slab, index, info);
                    if meant.is_some() || crowd() < tuple.limit {
                        return Ok(index);
                    }
                    why = Why::Crowded;
                }
                Search::Tuple(_) => {}
            }
        }
        Err(why)
    }

    fn write(
        &mut self,
        (pairs, rule, born): (&[Pair], &Rule, u32),
        params: &[u32],
        info: Info,
        memory: &mut dyn Memory,
    ) {
        let record = self.slab.take(info, born);
        let mut bytes = header(rule, params, born, self.layout.stride);
        match &mut self.searches[usize::from(info.search)] {
            Search::Tuple(tuple) => {
                tuple.write(pairs, &mut bytes);
                memory.fill(self.slab.offset(record), &bytes);
                self.buckets.link(record, &mut self.slab, memory);
            }
            Search::Lpm(lpm) => {
                let node = info.place * super::lpm::NODE_BYTES;
                super::tuple::put(
                    &mut bytes,
                    record::NEXT + 4,
                    aorta_ebpf::Size::W,
                    node.into(),
                );
                memory.fill(self.slab.offset(record), &bytes);
                lpm.link(record, &mut self.slab, memory);
            }
        }
        let ranks = &mut self.ranks[usize::from(info.search)];
        let (count, highest) = ranks.entry((rule.rank >> 48) as u16).or_default();
        *count += 1;
        *highest = rule.rank.max(*highest);
    }

    /// Brings the ranks at which lookups stop up to date. Called before a version holds that has new
    /// rules, and after no packet sees those that go.
    fn write_stops(&mut self, memory: &mut dyn Memory) {
        let highest = |index: usize| {
            let last = self.ranks[index].last_key_value();
            last.map_or(0, |(_, (_, rank))| *rank)
        };
        let (mut stop, mut clauses) = (0, 0);
        for index in (0..self.searches.len()).rev() {
            if self.searches[index].is_clauses() {
                clauses = highest(index).max(clauses);
                continue;
            }
            stop = highest(index).max(stop);
            if self.stops[index] != stop {
                self.stops[index] = stop;
                memory.set_u64(STOPS_AT + 8 * index as u32, stop);
            }
        }
        if self.clauses_stop != clauses {
            self.clauses_stop = clauses;
            memory.set_u64(CLAUSES_STOP_AT, clauses);
        }
    }
}

fn key(hash: u64) -> u32 {
    (hash >> 26) as u32
}

/// How many rules of a tuple that are not on their way out have the same hash.
fn equal(buckets: &Buckets, slab: &Slab, search: usize, info: &Info) -> u32 {
    let same =
        |other: &Info| usize::from(other.search) == search && other.key == info.key && other.alive;
    let chain = buckets.chain(info.place, slab);
    chain.filter(|record| same(slab.info(*record))).count() as u32
}
