//! Which searches a table gets.

mod prefixes;
mod tuples;

use super::super::record::Rule;
use super::Caps;
use super::clauses::{MOST_ENTRIES, Slots};
use super::image::{Search, TableImage};
use super::lane::{Lane, Mask, Pair, Seed, pairs, parts};
use super::lpm::Lpm;
use super::tuple::{Item, RecordLayout, Tuple, items};
use prefixes::Prefixes;

/// Rules in a list, at most, before a lookup that walks it costs more than another program.
const LIST: u32 = 8;
/// Rules of a tuple from which on it doesn't hash what all of them ask for alike.
const MANY: usize = 32;
/// Parameters that records always have room for.
const MIN_PARAMS: u32 = 2;
/// Bytes of buckets for each record, at most.
const BUCKETS_BYTES: u32 = 24;
/// Eighths of chunks for prefixes that are kept beyond the percentage, half as many.
const SPARE_CHUNKS: u32 = 64;

/// A rule as it is considered.
pub(super) struct Candidate<'a> {
    pub rule: &'a Rule,
    pub pairs: Vec<Pair>,
    pub mask: Mask,
}

/// A tuple to be: what is hashed, and which rules it gets.
pub(super) struct Planned {
    pub mask: Mask,
    /// Indices of candidates.
    pub members: Vec<u32>,
    pub limit: u32,
}

/// Chooses the searches for rules; without `lpm` there are tuples only.
pub(super) fn image(rules: &[Rule], caps: &Caps, lpm: bool) -> TableImage {
    let candidates: Vec<Candidate<'_>> = rules.iter().map(candidate).collect();
    let seed = Seed(caps.seed);
    let all = 0..candidates.len() as u32;
    let (mut hard, clauses): (Vec<u32>, Vec<u32>) =
        all.partition(|index| candidates[*index as usize].rule.clauses.is_empty());
    let prefixes = prefixes::choose(&candidates, &hard).filter(|_| lpm);
    if let Some(prefixes) = &prefixes {
        let taken: std::collections::HashSet<u32> = prefixes.members.iter().copied().collect();
        hard.retain(|index| !taken.contains(index));
    }
    let mut plan = Plan::new(&candidates, params(rules));
    if let Some(prefixes) = prefixes {
        plan.lpm(&prefixes, caps);
    }
    for planned in tuples::choose(&candidates, hard, seed) {
        plan.tuple(&planned, false);
    }
    let has_clauses = !clauses.is_empty();
    for planned in tuples::choose(&candidates, clauses, seed) {
        plan.tuple(&planned, true);
    }
    plan.list(false);
    if has_clauses {
        plan.list(true);
    }
    plan.finish(seed, caps)
}

fn candidate(rule: &Rule) -> Candidate<'_> {
    let pairs = pairs(&rule.words);
    let mask = Mask::of(&pairs);
    Candidate { rule, pairs, mask }
}

fn params(rules: &[Rule]) -> u32 {
    let words = rules.iter().map(|rule| match rule.clauses.len() {
        0 => rule.params.len(),
        clauses => clauses.min(MOST_ENTRIES) + 1,
    });
    let most = words.max().unwrap_or(0) as u32;
    most.max(MIN_PARAMS).next_multiple_of(2)
}

/// The searches so far, in the order in which rules try them.
struct Plan<'a> {
    candidates: &'a [Candidate<'a>],
    params: u32,
    /// With the highest rank of its rules.
    searches: Vec<(Search, u64)>,
    /// Which of them each candidate gets.
    assigned: Vec<u8>,
    /// Greatest offset behind what a record holds.
    end: i16,
}

impl<'a> Plan<'a> {
    fn new(candidates: &'a [Candidate<'a>], params: u32) -> Plan<'a> {
        let end = RecordLayout::items_at(params);
        Plan {
            candidates,
            params,
            searches: Vec::new(),
            assigned: vec![0; candidates.len()],
            end,
        }
    }

    fn highest(&self, members: &[u32]) -> u64 {
        let ranks = members
            .iter()
            .map(|index| self.candidates[*index as usize].rule.rank);
        ranks.max().unwrap_or(0)
    }

    /// The next search gets these rules.
    fn assign(&mut self, members: &[u32]) {
        let next = self.searches.len() as u8;
        members
            .iter()
            .for_each(|index| self.assigned[*index as usize] = next);
    }

    fn lpm(&mut self, prefixes: &Prefixes, caps: &Caps) {
        let entries = Lpm::entries_for(&prefixes.prefixes);
        let count = prefixes.prefixes.len() as u32;
        let nodes = count + caps.spare(count);
        let chunks = entries - super::lpm::ROOT;
        let more = u64::from(chunks) * u64::from(caps.spare_percent) / 100;
        let chunks = (chunks + more as u32).next_multiple_of(super::lpm::CHUNK);
        let entries = super::lpm::ROOT + chunks + 2 * SPARE_CHUNKS * super::lpm::CHUNK / 8;
        let fixed = prefixes.fixed.iter().map(|pair| {
            let lane = Lane::of(pair.at, pair.mask);
            (lane, lane.of_pairs(std::slice::from_ref(pair)).0)
        });
        let lpm = Lpm::new(prefixes.word, fixed.collect(), entries, nodes);
        let highest = self.highest(&prefixes.members);
        self.assign(&prefixes.members);
        self.searches.push((Search::Lpm(Box::new(lpm)), highest));
    }

    fn tuple(&mut self, planned: &Planned, clauses: bool) {
        let mut masks: Vec<Mask> = Vec::new();
        let members = planned
            .members
            .iter()
            .map(|index| &self.candidates[*index as usize].mask);
        let distinct: std::collections::HashSet<&Mask> = members.collect();
        masks.extend(distinct.into_iter().cloned());
        let (items, end) = items(&masks, RecordLayout::items_at(self.params));
        self.end = self.end.max(end);
        let highest = self.highest(&planned.members);
        let mask = self.telling(planned);
        self.assign(&planned.members);
        self.push(mask, items, planned.limit, clauses, highest);
    }

    /// The mask of a tuple without the words in which its rules don't differ, where they are many.
    fn telling(&self, planned: &Planned) -> Mask {
        if planned.members.len() < MANY {
            return planned.mask.clone();
        }
        let lane_tells = |lane: Lane| {
            let value =
                |index: &u32| lane.of_pairs(&self.candidates[*index as usize].pairs).0 & lane.mask;
            let first = value(&planned.members[0]);
            planned.members.iter().any(|index| value(index) != first)
        };
        let halves = |&(at, mask): &(i16, u64)| {
            let halves = [mask & 0xffff_ffff, mask & !0xffff_ffff].into_iter();
            let tells = halves.filter(|half| *half != 0 && lane_tells(Lane::of(at, *half)));
            (at, tells.fold(0, |mask, half| mask | half))
        };
        let mask = Mask(
            planned
                .mask
                .0
                .iter()
                .map(halves)
                .filter(|entry| entry.1 != 0)
                .collect(),
        );
        if mask.0.is_empty() {
            planned.mask.clone()
        } else {
            mask
        }
    }

    fn push(&mut self, mask: Mask, items: Vec<Item>, limit: u32, clauses: bool, highest: u64) {
        let parts = parts(&mask.lanes());
        let tuple = Tuple {
            parts,
            items,
            start: 0,
            tag: 0,
            limit,
            clauses,
        };
        self.searches.push((Search::Tuple(tuple), highest));
    }

    /// A list for rules that fit nowhere else, with as many parts of the key as records have room
    /// for anyway.
    fn list(&mut self, clauses: bool) {
        let all = self
            .candidates
            .iter()
            .fold(Mask::default(), |all, c| all.or(&c.mask));
        let start = RecordLayout::items_at(self.params);
        let room = RecordLayout::stride(self.end) as i16;
        let mut list: Vec<Item> = Vec::new();
        for width in (0..=all.0.len()).rev() {
            // Any mask beside the whole one makes each record have its own.
            let some = Mask(all.0[..width].to_vec());
            let (items, end) = items(&[some, Mask::default()], start);
            if end <= room {
                list = items;
                break;
            }
        }
        self.push(Mask::default(), list, LIST, clauses, 0);
    }

    fn finish(mut self, seed: Seed, caps: &Caps) -> TableImage {
        // The highest ranks first; clauses, which are searched apart, at the end.
        let mut order: Vec<usize> = (0..self.searches.len()).collect();
        order.sort_by_key(|index| {
            let (search, highest) = &self.searches[*index];
            (search.is_clauses(), std::cmp::Reverse(*highest))
        });
        let mut preference = vec![0; order.len()];
        for (position, index) in order.iter().enumerate() {
            preference[*index] = position;
        }
        self.assigned
            .iter_mut()
            .for_each(|search| *search = preference[usize::from(*search)] as u8);
        let mut searches: Vec<Option<Search>> =
            self.searches.into_iter().map(|s| Some(s.0)).collect();
        let searches = order.into_iter().filter_map(|index| searches[index].take());
        let searches = searches.enumerate().map(|(position, mut search)| {
            if let Search::Tuple(tuple) = &mut search {
                tuple.start = seed.start(position);
                tuple.tag = position as u32 + 1;
            }
            search
        });
        let layout = RecordLayout {
            params: self.params,
            stride: RecordLayout::stride(self.end),
        };
        let entries = (self.params as usize - 1).max(1);
        let records = |c: &Candidate<'_>| c.rule.clauses.len().div_ceil(entries).max(1) as u32;
        let count: u32 = self.candidates.iter().map(records).sum();
        let room = caps.max_bytes / (layout.stride + BUCKETS_BYTES);
        let records = (count + caps.spare(count)).min(room.max(count));
        let slots = Slots::for_rules(self.candidates.iter().map(|candidate| candidate.rule));
        TableImage::new(
            seed,
            searches.collect(),
            (preference, self.assigned),
            slots,
            layout,
            (records, caps.near_bytes),
        )
    }
}
