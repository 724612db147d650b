//! The steps of a difference, at the cost of what it concerns.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use aorta_flow::Match;

use super::known::Known;
use super::{Difference, Planner};
use crate::steps::{Line, steps_of};
use crate::{Rule, RuleKey, Steps};

impl Planner {
    /// What a card is asked to do that has what was planned before this difference. Costs what depends on
    /// it, while [`steps`](crate::steps()) compares all rules; says the same.
    pub fn steps(&self, there: &BTreeMap<RuleKey, Rule>, difference: &Difference) -> Steps {
        let put = difference.put.iter().map(Rule::key);
        let changed: BTreeSet<RuleKey> = put.chain(difference.removed.iter().copied()).collect();
        let line = |key: RuleKey| {
            let mut line = Line::default();
            (line.old, line.new) = (there.get(&key), self.answer.rules.get(&key));
            (key, line)
        };
        let concerned = self.concerned_rules(there, changed);
        let lines = concerned.into_iter().map(line).collect();
        steps_of(lines, there.len(), &self.device.capabilities, &self.told)
    }

    fn concerned_rules(
        &self,
        there: &BTreeMap<RuleKey, Rule>,
        changed: BTreeSet<RuleKey>,
    ) -> BTreeSet<RuleKey> {
        let mut concerned = changed.clone();
        self.add_leading(&mut concerned);
        // What gives way without a trap bares what is below.
        let traps = self.device.capabilities.traps && self.told.refused_traps.is_empty();
        let of = if traps { &changed } else { &concerned };
        let mut open: Vec<RuleKey> = of.iter().filter(|key| key.table == 0).copied().collect();
        while let Some(key) = open.pop() {
            for rule in [there.get(&key), self.answer.rules.get(&key)] {
                for below in rule.map(|rule| self.below(rule)).unwrap_or_default() {
                    if concerned.insert(below) && !traps {
                        open.push(below);
                    }
                }
            }
        }
        concerned
    }

    /// Rules of table 0 of no higher priority that match some of a rule's packets.
    fn below(&self, rule: &Rule) -> Vec<RuleKey> {
        let Some(known) = self.tables.get(&0) else {
            return Vec::new();
        };
        let places = Known::among(&known.all, &rule.matching).into_iter();
        let below = places.filter(|(Reverse(priority), _)| *priority <= rule.priority);
        let key = |(_, flow)| RuleKey {
            table: 0,
            flow: Some(flow),
        };
        below.map(key).collect()
    }

    /// Adds rules from which packets come to a later table that changes.
    fn add_leading(&self, concerned: &mut BTreeSet<RuleKey>) {
        let mut open: BTreeSet<u8> = concerned.iter().map(|key| key.table).collect();
        while let Some(table) = open.pop_last().filter(|table| *table > 0) {
            let Some(known) = self.tables.get(&table) else {
                continue;
            };
            known
                .leading
                .each(&Match::any(), &mut |(Reverse(table), (_, flow))| {
                    let flow = Some(flow);
                    let key = RuleKey { table, flow };
                    if self.answer.rules.contains_key(&key) && concerned.insert(key) {
                        open.insert(table);
                    }
                });
        }
    }
}
