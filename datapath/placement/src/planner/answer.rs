//! What is decided, and how that differs from what was before.

use std::collections::{BTreeMap, BTreeSet};

use aorta_flow::table::FlowId;

use aorta_flow::Match;

use super::known::Entry;
use super::{Difference, Place, Planner};
use crate::choose::{Chosen, Kept, Sorted, choose_by};
use crate::place::{Candidate, miss};
use crate::{Decision, Rule, RuleKey};

/// What was decided last.
#[derive(Default)]
pub(super) struct Answer {
    pub rules: BTreeMap<RuleKey, Rule>,
    pub decisions: BTreeMap<FlowId, Decision>,
    /// Later tables that the card has.
    tables: BTreeSet<u8>,
    /// Whether it had no room for all that it could take.
    was_full: bool,
}

impl Planner {
    /// Decides about all that something may have become of, and tells what is other than before.
    pub(super) fn settle(&mut self) -> Difference {
        self.look();
        let mut difference = Difference::default();
        for (key, decision) in std::mem::take(&mut self.apart) {
            self.decide(key, decision, None, &mut difference);
        }
        let tables = self.reached();
        let misses = match self.rules_of(&tables) <= self.device.capabilities.max_rules {
            true => self.take_all(tables, &mut difference),
            false => self.take_some(&mut difference),
        };
        self.settle_misses(&misses, &mut difference);
        difference
    }

    /// Later tables that flows of the card lead to.
    fn reached(&self) -> BTreeSet<u8> {
        let mut reached = BTreeSet::new();
        let mut open = vec![0];
        while let Some(table) = open.pop() {
            let gotos = self.tables.get(&table).map(|known| known.gotos.keys());
            for to in gotos.into_iter().flatten() {
                if reached.insert(*to) {
                    open.push(*to);
                }
            }
        }
        reached
    }

    /// How many rules it takes to have all flows that the card can have.
    fn rules_of(&self, later: &BTreeSet<u8>) -> usize {
        let known = |table: &u8| self.tables.get(table);
        let first = known(&0).map_or(0, |known| known.ables + known.needed_traps);
        let size = |table: &u8| known(table).map_or(0, |known| known.ables);
        let misses = later.iter().filter(|table| self.needs_miss(**table));
        first + later.iter().map(size).sum::<usize>() + misses.count()
    }

    fn needs_miss(&self, table: u8) -> bool {
        let known = self.tables.get(&table);
        known.is_none_or(|known| !known.catches_all())
    }

    /// The card has all that it can have. Gives the tables that need a rule for other packets.
    fn take_all(&mut self, tables: BTreeSet<u8>, difference: &mut Difference) -> BTreeSet<u8> {
        let mut touched = std::mem::take(&mut self.touched);
        let changed: Vec<u8> = match self.answer.was_full {
            true => self.tables.keys().copied().collect(),
            false => self
                .answer
                .tables
                .symmetric_difference(&tables)
                .copied()
                .collect(),
        };
        for table in changed {
            let entries = self.tables.get(&table).map(|known| known.entries.keys());
            touched.extend(entries.into_iter().flatten().map(|place| (table, *place)));
        }
        for (table, place) in touched {
            let Some(entry) = self.entry(table, place) else {
                continue;
            };
            let has_table = table == 0 || tables.contains(&table);
            let kept = match entry.candidate.is_able() {
                true if has_table => Kept::Whole,
                false if entry.needed > 0 => Kept::Trap,
                _ => Kept::Not,
            };
            self.take(table, place, kept, difference);
        }
        let misses = tables
            .iter()
            .copied()
            .filter(|table| self.needs_miss(*table));
        let misses = misses.collect();
        self.answer.was_full = false;
        self.answer.tables = tables;
        misses
    }

    /// The card is full: which flows it has depends on all of them. Something else is said of those only
    /// that are kept otherwise than before, or of which something else is known.
    fn take_some(&mut self, difference: &mut Difference) -> BTreeSet<u8> {
        let touched = std::mem::take(&mut self.touched);
        let was_full = std::mem::replace(&mut self.answer.was_full, true);
        let entries = self.tables.iter().map(|(number, known)| {
            let candidates = known.entries.values().map(|entry| &entry.candidate);
            (*number, candidates.collect::<Vec<&Candidate>>())
        });
        let view = entries.filter(|(_, table)| !table.is_empty()).collect();
        let chosen = self.choose(&view);
        let mut other: Vec<(u8, Place, Kept)> = Vec::new();
        for (number, known) in &self.tables {
            for (position, (place, entry)) in known.entries.iter().enumerate() {
                let kept = chosen.kept(*number, position, entry.candidate.is_able());
                let same = was_full && entry.kept == Some(kept);
                if !same || touched.contains(&(*number, *place)) {
                    other.push((*number, *place, kept));
                }
            }
        }
        for (table, place, kept) in other {
            self.take(table, place, kept, difference);
        }
        self.answer.tables.clear();
        chosen.misses().collect()
    }

    fn choose(&self, view: &Sorted) -> Chosen {
        let places: Vec<Place> = match self.tables.get(&0) {
            Some(known) => known.entries.keys().copied().collect(),
            None => Vec::new(),
        };
        let overlapping = |matching: &Match, tell: &mut dyn FnMut(usize) -> bool| {
            let Some(known) = self.tables.get(&0) else {
                return;
            };
            let mut tell_place = |place: Place| match places.binary_search(&place) {
                Ok(position) => tell(position),
                Err(_) => true,
            };
            let mut more = true;
            known.wide.each_while(matching, &mut |place| {
                more = tell_place(place);
                more
            });
            let is_wide = |place| known.entries.get(&place).is_some_and(|entry| entry.is_wide);
            if more {
                let mut tell = |place| is_wide(place) || tell_place(place);
                known.all.each_while(matching, &mut tell);
            }
        };
        choose_by(view, &overlapping, &self.device.capabilities, &self.told)
    }

    fn entry(&self, table: u8, place: Place) -> Option<&Entry> {
        self.tables.get(&table)?.entries.get(&place)
    }

    fn take(&mut self, table: u8, place: Place, kept: Kept, difference: &mut Difference) {
        let known = self.tables.get_mut(&table);
        let Some(entry) = known.and_then(|known| known.entries.get_mut(&place)) else {
            return;
        };
        entry.kept = Some(kept);
        let max_rules = self.device.capabilities.max_rules;
        let (decision, rule) = entry.candidate.outcome(kept, max_rules);
        let flow = Some(entry.candidate.id);
        self.decide(RuleKey { table, flow }, Some(decision), rule, difference);
    }

    /// Notes what is decided about a flow, and its rule.
    fn decide(
        &mut self,
        key: RuleKey,
        decision: Option<Decision>,
        rule: Option<Rule>,
        difference: &mut Difference,
    ) {
        self.put(key, rule, difference);
        let Some(flow) = key.flow else {
            return;
        };
        if self.answer.decisions.get(&flow) == decision.as_ref() {
            return;
        }
        match decision {
            Some(Decision::Placed) => drop(self.told.placed.insert(flow)),
            _ => drop(self.told.placed.remove(&flow)),
        }
        match &decision {
            Some(decision) => drop(self.answer.decisions.insert(flow, decision.clone())),
            None => drop(self.answer.decisions.remove(&flow)),
        }
        difference.decisions.push((flow, decision));
    }

    fn put(&mut self, key: RuleKey, rule: Option<Rule>, difference: &mut Difference) {
        match rule {
            None => {
                if self.answer.rules.remove(&key).is_some() {
                    difference.removed.push(key);
                }
            }
            Some(rule) => {
                if self.answer.rules.get(&key) != Some(&rule) {
                    difference.put.push(rule.clone());
                    self.answer.rules.insert(key, rule);
                }
            }
        }
    }

    fn settle_misses(&mut self, misses: &BTreeSet<u8>, difference: &mut Difference) {
        let key = |table| RuleKey { table, flow: None };
        for table in 0..=u8::MAX {
            let needed = misses.contains(&table);
            if needed || self.answer.rules.contains_key(&key(table)) {
                self.put(key(table), needed.then(|| miss(table)), difference);
            }
        }
    }
}
