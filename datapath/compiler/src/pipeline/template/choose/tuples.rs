//! Which masks tuples hash.
//!
//! Each further tuple costs every packet a probe, each rule that shares its hashed bits with others
//! costs some packets a comparison. So tuples are chosen one after the other: from a mask with
//! many rules, bits are given up that other masks don't have, for as long as that brings in
//! more rules than it costs comparisons. What would make a chain too long is left to later tuples.

use std::collections::HashMap;

use super::super::lane::{Mask, Seed};
use super::{Candidate, LIST, Planned};

/// Rules with equal hashed bits in the first tuples; later ones take more.
const LIMIT: u32 = 16;
/// Tuples after which the limit doubles.
const PATIENCE: usize = 5;
/// Most tuples; the last one takes all that is left.
const MOST: usize = 24;
/// What a probe that finds nothing costs, and each record of a chain but the first: they stand one
/// behind the other in memory.
const PROBE_NS: f64 = 9.0;
const COMPARE_NS: f64 = 6.0;
/// How much of a chain a packet goes through on average: more than half, since some find nothing.
const OF_CHAIN: f64 = 0.75;
/// Numbers of tuples that a table is imagined to need, each tried as the price of rules that a tuple
/// leaves to others.
const TUPLES: [f64; 3] = [4.0, 10.0, 24.0];
/// Rules up to which planning takes its time: every price, and several masks to start from.
const FEW: usize = 8000;
/// Looks at rules that planning may take for each price.
const VISITS: usize = 8 << 20;
/// Masks that are considered to start from, where rules are few, and to be merged with.
const STARTS: usize = 3;
const MERGES: usize = 24;

/// Tuples for the rules in `members`.
pub(super) fn choose(candidates: &[Candidate<'_>], members: Vec<u32>, seed: Seed) -> Vec<Planned> {
    let mut chooser = Chooser::new(candidates, &members, seed);
    let all = groups(candidates, &members);
    let quick = all.len() < 3 || members.len() > FEW;
    let tries = if quick { &TUPLES[1..2] } else { &TUPLES[..] };
    let plans = tries.iter().map(|tuples| {
        chooser.price_ns = tuples * PROBE_NS;
        chooser.plan(all.clone())
    });
    let best = plans.min_by(|a, b| a.0.total_cmp(&b.0));
    best.map(|plan| plan.1).unwrap_or_default()
}

/// The bits that all masks have.
fn common(groups: &[Group]) -> Mask {
    let masks = groups.iter().map(|group| group.mask.clone());
    masks.reduce(|a, b| a.and(&b)).unwrap_or_default()
}

/// Rules of the same mask.
#[derive(Clone)]
struct Group {
    mask: Mask,
    members: Vec<u32>,
}

/// The rules by mask, the largest groups first.
fn groups(candidates: &[Candidate<'_>], members: &[u32]) -> Vec<Group> {
    let mut by_mask: HashMap<&Mask, Vec<u32>> = HashMap::new();
    for index in members {
        by_mask
            .entry(&candidates[*index as usize].mask)
            .or_default()
            .push(*index);
    }
    let groups = by_mask.into_iter();
    let mut groups: Vec<Group> = groups
        .map(|(mask, members)| Group {
            mask: mask.clone(),
            members,
        })
        .collect();
    groups.sort_by(|a, b| (b.members.len(), &b.mask).cmp(&(a.members.len(), &a.mask)));
    groups
}

/// Rules by number of the pairs that any of them asks for, so that trying a mask is quick.
struct Chooser {
    seed: Seed,
    /// Places of the pairs.
    pairs: Vec<i16>,
    /// Values of each candidate's pairs.
    rows: Vec<u64>,
    /// Row of each candidate.
    row_of: Vec<u32>,
    /// How many rules have the same hash: open addressing by the hash, 0 is empty.
    counts: Vec<(u32, u32)>,
    visits_left: usize,
    /// Nanoseconds that all rules are imagined to cost if they are left to other tuples.
    price_ns: f64,
}

impl Chooser {
    fn new(candidates: &[Candidate<'_>], members: &[u32], seed: Seed) -> Chooser {
        let masks = groups(candidates, members);
        let all = masks
            .iter()
            .fold(Mask::default(), |all, group| all.or(&group.mask));
        let pairs: Vec<i16> = all.0.iter().map(|entry| entry.0).collect();
        let mut rows = Vec::with_capacity(members.len() * pairs.len());
        let mut row_of = vec![0; candidates.len()];
        for (row, index) in members.iter().enumerate() {
            row_of[*index as usize] = row as u32;
            let own = &candidates[*index as usize].pairs;
            let value = |at: &i16| {
                own.iter()
                    .find(|pair| pair.at == *at)
                    .map_or(0, |pair| pair.value)
            };
            rows.extend(pairs.iter().map(value));
        }
        let slots = (2 * members.len()).next_power_of_two();
        Chooser {
            seed,
            pairs,
            rows,
            row_of,
            counts: vec![(0, 0); slots],
            visits_left: 0,
            price_ns: 0.0,
        }
    }

    /// Tuples for all rules, with what they cost a packet in nanoseconds.
    fn plan(&mut self, mut left: Vec<Group>) -> (f64, Vec<Planned>) {
        self.visits_left = VISITS;
        let count = |left: &[Group]| left.iter().map(|group| group.members.len()).sum::<usize>();
        let all = count(&left);
        let (mut cost, mut planned) = (0.0, Vec::new());
        while !left.is_empty() {
            let mut limit = LIMIT << (planned.len() / PATIENCE).min(8);
            let mask = if planned.len() + 1 >= MOST || count(&left) <= LIST as usize / 2 {
                limit = u32::MAX;
                common(&left)
            } else {
                self.mask(&left, limit)
            };
            let (members, chain) = self.take(&mask, limit, &mut left);
            let share = members.len() as f64 / all as f64;
            cost += PROBE_NS + share * chain * OF_CHAIN * COMPARE_NS;
            let limit = if limit == u32::MAX {
                (2 * members.len() as u32).max(LIST)
            } else {
                2 * limit
            };
            planned.push(Planned {
                mask,
                members,
                limit,
            });
        }
        (cost, planned)
    }

    /// The mask that is worth most.
    fn mask(&mut self, groups: &[Group], limit: u32) -> Mask {
        let few = self.row_of.len() <= FEW;
        let starts = groups.iter().take(if few { STARTS } else { 1 });
        let from = starts
            .map(|group| self.merged(group, groups, limit))
            .collect::<Vec<_>>();
        let best = from.into_iter().max_by(|a, b| a.0.total_cmp(&b.0));
        best.map_or_else(|| groups[0].mask.clone(), |best| best.1)
    }

    /// The mask of a group, without bits that are worth less than what their lack brings in.
    fn merged(&mut self, start: &Group, groups: &[Group], limit: u32) -> (f64, Mask) {
        let mut best = start.mask.clone();
        let mut worth = self.worth(&best, limit, groups);
        for group in groups.iter().take(MERGES) {
            let less = best.and(&group.mask);
            if less == best || less.0.is_empty() || self.visits_left == 0 {
                continue;
            }
            let other = self.worth(&less, limit, groups);
            if other > worth {
                (best, worth) = (less, other);
            }
        }
        (worth, best)
    }

    /// Nanoseconds that a tuple with this mask saves.
    fn worth(&mut self, mask: &Mask, limit: u32, groups: &[Group]) -> f64 {
        self.counts.fill((0, 0));
        let steps = self.steps(mask);
        let (mut all, mut taken, mut squares) = (0, 0u64, 0u64);
        for group in groups {
            all += group.members.len();
            if !mask.within(&group.mask) {
                continue;
            }
            self.visits_left = self.visits_left.saturating_sub(group.members.len());
            for index in &group.members {
                let hash = self.hash(&steps, *index);
                let count = self.count(hash);
                if *count < limit {
                    *count += 1;
                    taken += 1;
                    squares += 2 * u64::from(*count) - 1;
                }
            }
        }
        let share = taken as f64 / all as f64;
        let chain = squares as f64 / taken.max(1) as f64;
        share * (self.price_ns - chain * OF_CHAIN * COMPARE_NS)
    }

    /// Takes the rules out of their groups that a tuple with this mask gets; how long the chains
    /// are that these are in.
    fn take(&mut self, mask: &Mask, limit: u32, groups: &mut Vec<Group>) -> (Vec<u32>, f64) {
        self.counts.fill((0, 0));
        let steps = self.steps(mask);
        let (mut taken, mut squares) = (Vec::new(), 0u64);
        for group in groups.iter_mut().filter(|group| mask.within(&group.mask)) {
            group.members.retain(|index| {
                let hash = self.hash(&steps, *index);
                let count = self.count(hash);
                let takes = *count < limit;
                if takes {
                    *count += 1;
                    squares += 2 * u64::from(*count) - 1;
                    taken.push(*index);
                }
                !takes
            });
        }
        groups.retain(|group| !group.members.is_empty());
        groups.sort_by_key(|group| std::cmp::Reverse(group.members.len()));
        let chain = squares as f64 / taken.len().max(1) as f64;
        (taken, chain)
    }

    /// Columns of the rows with their masks.
    fn steps(&self, mask: &Mask) -> Vec<(usize, u64)> {
        let column = |at: i16| self.pairs.iter().position(|pair| *pair == at);
        mask.0
            .iter()
            .filter_map(|&(at, mask)| Some((column(at)?, mask)))
            .collect()
    }

    fn hash(&self, steps: &[(usize, u64)], index: u32) -> u64 {
        let row = self.row_of[index as usize] as usize * self.pairs.len();
        let parts = steps
            .iter()
            .map(|&(column, mask)| self.rows[row + column] & mask);
        self.seed.hash(self.seed.0, parts)
    }

    fn count(&mut self, hash: u64) -> &mut u32 {
        let last = self.counts.len() - 1;
        let key = (hash >> 32) as u32 | 1;
        let mut slot = hash as usize & last;
        while self.counts[slot].1 != 0 && self.counts[slot].0 != key {
            slot = (slot + 1) & last;
        }
        self.counts[slot].0 = key;
        &mut self.counts[slot].1
    }
}
