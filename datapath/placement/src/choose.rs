//! Which of the flows that a card can do are there, if it has no room for all.

use std::cell::OnceCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use aorta_flow::Match;

use crate::overlaps::Overlaps;
use crate::place::Candidate;
use crate::{Capabilities, Told};

/// In which form the rule of a flow is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kept {
    /// As it is.
    Whole,
    /// As one that leaves its packets to software.
    Trap,
    /// Not at all.
    Not,
}

/// What is kept.
#[derive(Default)]
pub(crate) struct Chosen {
    /// Positions in table 0.
    whole: BTreeSet<usize>,
    /// Positions in table 0.
    traps: BTreeSet<usize>,
    /// Later tables, which are kept as a whole, and whether a rule for other packets comes with
    /// them.
    tables: BTreeMap<u8, bool>,
}

impl Chosen {
    /// How the rule at a position of a table is kept; `able` says whether the card can do it.
    pub fn kept(&self, table: u8, position: usize, able: bool) -> Kept {
        let whole = match table {
            0 => self.whole.contains(&position),
            _ => self.tables.contains_key(&table),
        };
        if whole && able {
            Kept::Whole
        } else if table == 0 && self.traps.contains(&position) {
            Kept::Trap
        } else {
            Kept::Not
        }
    }

    /// Tables that come with a rule for packets that match no flow.
    pub fn misses(&self) -> impl Iterator<Item = u8> {
        let tables = self.tables.iter();
        tables
            .filter(|(_, misses)| **misses)
            .map(|(table, _)| *table)
    }
}

/// Flows by table in the order of lookups.
pub(crate) type Sorted<'c> = BTreeMap<u8, Vec<&'c Candidate>>;

/// Calls for positions in table 0 of all flows whose rule could match some packet of a match, until it is
/// told that it is enough. The rule may be a trap, if there can be one.
pub(crate) type Overlapping<'o> = dyn Fn(&Match, &mut dyn FnMut(usize) -> bool) + 'o;

/// Chooses.
pub(crate) fn choose(sorted: &Sorted, capabilities: &Capabilities, told: &Told) -> Chosen {
    let first = sorted.get(&0).map_or(&[][..], Vec::as_slice);
    let index = OnceCell::new();
    let overlapping = |matching: &Match, tell: &mut dyn FnMut(usize) -> bool| {
        let overlaps: &Overlaps = index.get_or_init(|| known(first));
        overlaps.each_while(matching, &mut |position| tell(position));
    };
    choose_by(sorted, &overlapping, capabilities, told)
}

/// Chooses, where it is known already which flows overlap.
pub(crate) fn choose_by(
    sorted: &Sorted,
    overlapping: &Overlapping,
    capabilities: &Capabilities,
    told: &Told,
) -> Chosen {
    let Some(first) = sorted.get(&0) else {
        return Chosen::default();
    };
    let later = Later::new(sorted);
    let able = first.iter().filter(|candidate| candidate.is_able());
    if able.count() <= capabilities.max_rules {
        let all = everything(first, &later);
        let rules = all.whole.len() + all.traps.len() + later.rules(all.tables.keys());
        if rules <= capabilities.max_rules {
            return all;
        }
    }
    Choice {
        first,
        later: &later,
        overlapping,
        left: capabilities.max_rules,
        chosen: Chosen::default(),
    }
    .most_valuable(told)
}

/// Tables behind the first.
struct Later {
    /// What is to be kept of each: rules of flows, and whether there is one for other packets.
    sizes: BTreeMap<u8, (usize, bool)>,
    /// The tables that packets of a table come to, itself included.
    reach: BTreeMap<u8, BTreeSet<u8>>,
}

impl Later {
    fn new(sorted: &Sorted) -> Later {
        let mut later = Later {
            sizes: BTreeMap::new(),
            reach: BTreeMap::new(),
        };
        // A flow may lead to a table without flows.
        let candidates = sorted.values().flatten();
        let targets = candidates.filter_map(|candidate| candidate.goto());
        let numbers: BTreeSet<u8> = targets.chain(sorted.keys().copied()).collect();
        for number in numbers.into_iter().rev() {
            let table = sorted.get(&number).map_or(&[][..], Vec::as_slice);
            let flows = || table.iter().filter(|candidate| candidate.is_able());
            let misses = !flows().any(|candidate| candidate.matching.parts().next().is_none());
            let mut reach: BTreeSet<u8> = flows()
                .filter_map(|candidate| candidate.goto())
                .flat_map(|to| later.reach[&to].clone())
                .collect();
            reach.insert(number);
            later.reach.insert(number, reach);
            later.sizes.insert(number, (flows().count(), misses));
        }
        later
    }

    fn rules<'a>(&self, tables: impl Iterator<Item = &'a u8>) -> usize {
        let size = |table| {
            self.sizes
                .get(table)
                .map_or(0, |(flows, miss)| flows + usize::from(*miss))
        };
        tables.map(size).sum()
    }

    /// The tables that a flow leads to.
    fn behind(&self, candidate: &Candidate) -> impl Iterator<Item = u8> {
        let reach = candidate.goto().and_then(|to| self.reach.get(&to));
        reach.into_iter().flatten().copied()
    }

    fn add(&self, table: u8, to: &mut Chosen) {
        let misses = self.sizes.get(&table).is_some_and(|(_, misses)| *misses);
        to.tables.insert(table, misses);
    }
}

/// Every flow that the card can do, and the traps that these need.
fn everything(first: &[&Candidate], later: &Later) -> Chosen {
    let mut chosen = Chosen::default();
    let mut traps = Overlaps::default();
    let mut needed = vec![false; first.len()];
    for (position, candidate) in first.iter().enumerate() {
        match (candidate.fate(), &candidate.trap) {
            (Ok(_), _) => {
                chosen.whole.insert(position);
                traps.each(&candidate.matching, &mut |trap| needed[trap] = true);
                for table in later.behind(candidate) {
                    later.add(table, &mut chosen);
                }
            }
            (Err(_), Some(trap)) => traps.insert(trap, position),
            (Err(_), None) => {}
        }
    }
    chosen.traps = (0..first.len()).filter(|trap| needed[*trap]).collect();
    chosen
}

/// What a rule of each flow would match.
fn known(first: &[&Candidate]) -> Overlaps {
    let mut overlaps = Overlaps::default();
    for (position, candidate) in first.iter().enumerate() {
        overlaps.insert(
            candidate.trap.as_ref().unwrap_or(&candidate.matching),
            position,
        );
    }
    overlaps
}

/// A choice that goes on.
struct Choice<'s> {
    first: &'s [&'s Candidate],
    later: &'s Later,
    overlapping: &'s Overlapping<'s>,
    /// Rules that there is room for.
    left: usize,
    chosen: Chosen,
}

impl Choice<'_> {
    /// One flow after the other, the most valuable first, each with what it needs.
    fn most_valuable(mut self, told: &Told) -> Chosen {
        let able = |position: &usize| self.first[*position].is_able();
        let mut order: Vec<usize> = (0..self.first.len()).filter(able).collect();
        order.sort_by_cached_key(|position| Reverse(value(self.first[*position], told)));
        for position in order {
            if self.left == 0 {
                break;
            }
            self.try_flow(position);
        }
        self.chosen
    }

    /// Keeps a flow if there is room for it, for rules that keep others from being overtaken, and
    /// for the tables that all of these lead to.
    fn try_flow(&mut self, position: usize) {
        let mut whole = BTreeSet::new();
        let mut traps = BTreeSet::new();
        let mut open = vec![position];
        // Those of these that aren't there yet.
        let mut fresh = 0;
        while let Some(next) = open.pop() {
            if self.chosen.whole.contains(&next) || !whole.insert(next) {
                continue;
            }
            fresh += usize::from(!self.chosen.traps.contains(&next));
            let matching = &self.first[next].matching;
            (self.overlapping)(matching, &mut |before| {
                if before < next {
                    match self.first[before].trap {
                        Some(_) if self.chosen.traps.contains(&before) => {}
                        Some(_) if self.chosen.whole.contains(&before) => {}
                        Some(_) => fresh += usize::from(traps.insert(before)),
                        None => open.push(before),
                    }
                }
                fresh <= self.left
            });
            if fresh > self.left {
                return;
            }
        }
        let behind = whole
            .iter()
            .flat_map(|at| self.later.behind(self.first[*at]));
        let tables: BTreeSet<u8> = behind
            .filter(|table| !self.chosen.tables.contains_key(table))
            .collect();
        let needed = fresh + self.later.rules(tables.iter());
        if needed > self.left {
            return;
        }
        self.left -= needed;
        self.chosen.whole.extend(whole);
        self.chosen.traps.extend(traps);
        for table in tables {
            self.later.add(table, &mut self.chosen);
        }
    }
}

/// What is added to all rates: flows that are nearly idle don't take each other's places.
const IDLE_PPS: u64 = 20;

/// Pinned flows first, then the busiest, then those of the highest priority.
fn value(candidate: &Candidate, told: &Told) -> (bool, u64) {
    let rate = told.rates_pps.get(&candidate.id).copied().unwrap_or(0);
    // Half as much again keeps two flows of about the same rate from changing places all the time.
    let weight = match told.placed.contains(&candidate.id) {
        true => 3,
        false => 2,
    };
    let worth = rate.saturating_add(IDLE_PPS).saturating_mul(weight);
    (told.pins(&candidate.flow), worth)
}
