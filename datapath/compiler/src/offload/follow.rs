//! Changes of what is in hash maps, for which the program stays.

use aorta_placement::{Rule, RuleKey};

use super::compile::{check, entry_of, order};
use super::entries::{Entry, value_bytes, value_len};
use super::{CardProgram, Target};
use crate::pipeline::record::{self, RuleId};
use crate::pipeline::rules::plan_flow;

/// A rule in a map.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Standing {
    /// Where.
    pub entry: Entry,
    /// Which of several wins that stand there, the highest.
    pub rank: u64,
    /// What it is there.
    pub value: Vec<u8>,
}

/// What an entry of a map is to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EntryChange {
    /// Which.
    pub entry: Entry,
    /// Its value; none if it is to go.
    pub value: Option<Vec<u8>>,
}

/// How a program follows a change of a rule.
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use]
pub enum Followed {
    /// As it is: the rule is nothing to its port.
    AsIs,
    /// With another entry in a map.
    Entry(EntryChange),
    /// Not at all: it takes another program, and this one has taken over nothing.
    Exchange,
}

impl CardProgram {
    /// Takes over a rule with its number, in the place of the one of its key if there is one.
    pub fn put(&mut self, rule: &Rule, number: u32, target: &Target) -> Followed {
        let key = rule.key();
        if !target.is_for(rule) {
            let there = self.standing.contains_key(&key) || self.code.contains(&key);
            return match there {
                true => Followed::Exchange,
                false => Followed::AsIs,
            };
        }
        match self.standing_of(rule, number, target) {
            Some(standing) => Followed::Entry(self.stand(key, standing)),
            None => Followed::Exchange,
        }
    }

    /// Where a rule can stand in the maps that there are.
    fn standing_of(&self, rule: &Rule, number: u32, target: &Target) -> Option<Standing> {
        let key = rule.key();
        if self.code.contains(&key) {
            return None;
        }
        let there = self.standing.get(&key);
        let layout = self.tables.get(&rule.table)?;
        let flow = entry_of(rule);
        check(rule, &flow, target).ok()?;
        let planned = plan_flow(&flow, RuleId(number)).ok()?;
        let shape = self.shapes.find(&planned.shape)?;
        let entry = layout.place_of(&planned.rule.words)?;
        let fits = layout.has_shape(shape)
            && value_len(planned.rule.params.len()) <= layout.value_bytes
            && there.is_none_or(|there| there.entry == entry);
        let entries = self
            .entries
            .get(&entry.map)
            .map_or(0, |entries| entries.len());
        if !fits || there.is_none() && entries >= layout.room_of(entry.map) {
            return None;
        }
        let planned = record::Rule {
            shape,
            ..planned.rule
        };
        Some(Standing {
            entry,
            rank: planned.rank,
            value: value_bytes(&planned, order(rule), layout.value_bytes),
        })
    }

    /// Forgets a rule.
    pub fn remove(&mut self, key: RuleKey) -> Followed {
        if self.code.contains(&key) {
            return Followed::Exchange;
        }
        let Some(there) = self.standing.remove(&key) else {
            return Followed::AsIs;
        };
        if let Some(rivals) = self.rivals.get_mut(&there.entry) {
            rivals.remove(&(there.rank, key));
        }
        Followed::Entry(self.settle(there.entry))
    }

    /// Takes over a rule that is to stand in a map.
    pub(super) fn stand(&mut self, key: RuleKey, standing: Standing) -> EntryChange {
        let entry = standing.entry.clone();
        let rivals = self.rivals.entry(entry.clone()).or_default();
        if let Some(there) = self.standing.get(&key) {
            rivals.remove(&(there.rank, key));
        }
        rivals.insert((standing.rank, key));
        self.standing.insert(key, standing);
        self.settle(entry)
    }

    /// Of the rules that stand at an entry, the one that wins is there.
    fn settle(&mut self, entry: Entry) -> EntryChange {
        let winner = self.rivals.get(&entry).and_then(|rivals| rivals.last());
        let winner = winner.and_then(|(_, key)| self.standing.get(key));
        let value = winner.map(|standing| standing.value.clone());
        let entries = self.entries.entry(entry.map).or_default();
        match &value {
            Some(value) => drop(entries.insert(entry.key.clone(), value.clone())),
            None => {
                entries.remove(&entry.key);
                self.rivals.remove(&entry);
            }
        }
        EntryChange { entry, value }
    }
}
