//! A card follows tables: what is planned, and how it gets there.

use std::collections::HashSet;

use aorta_flow::table::{Change, FlowId, Tables};
use aorta_placement::{Device, Difference, Planner, Rule, Step, Steps, steps};
use tracing::warn;

use super::{Placing, is_trap};
use crate::ofproto::Moment;
use crate::reconcile::{Card, CardError, Refusal};

/// Placements that are tried one after the other because the card refuses something, at each change.
/// What many flows have in common is refused at the first attempt.
const MAX_ATTEMPTS: usize = 32;

/// What is known of how tables differ from those of before.
#[derive(Debug, Clone, Copy)]
pub enum Since<'c> {
    /// Not at all.
    Same,
    /// Nothing.
    Unknown,
    /// These changes.
    Changed(&'c [Change]),
}

impl<'c> Since<'c> {
    /// Changes, if they are known.
    pub fn of(changes: Option<&'c [Change]>) -> Since<'c> {
        changes.map_or(Since::Unknown, Since::Changed)
    }
}

/// What became of steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ran {
    All,
    Refused,
    Failed,
}

impl<C: Card> Placing<C> {
    /// Has the card do nothing that contradicts these tables, while software may still obey others.
    pub fn prepare(&mut self, tables: &Tables, since: Since<'_>, now: Moment) {
        if self.card.is_none() {
            return;
        }
        self.rest = None;
        self.displaced.clear();
        let difference = self.follow(tables, since);
        if self.fresh {
            self.adopt(now);
        }
        let mut steps = match (difference, &self.planner) {
            (Some(difference), Some(planner)) if self.settled => {
                planner.steps(&self.there, &difference)
            }
            _ => self.way(),
        };
        self.settled = false;
        for _ in 0..MAX_ATTEMPTS {
            match self.run(&steps.before, now) {
                Ran::All => {
                    self.rest = Some(steps.after);
                    return;
                }
                Ran::Failed => return,
                Ran::Refused => {}
            }
            self.plan_again(tables);
            steps = self.way();
        }
        self.give_up(now);
    }

    /// Plans for tables. What is different, if that is known.
    fn follow(&mut self, tables: &Tables, since: Since<'_>) -> Option<Difference> {
        let heard = self.hear(tables, since);
        let Some(planner) = &mut self.planner else {
            self.plan(tables);
            return None;
        };
        let mut difference = match since {
            Since::Same => Difference::default(),
            Since::Changed(changes) => planner.change(changes),
            Since::Unknown => {
                self.plan(tables);
                return None;
            }
        };
        if heard {
            let more = planner.tell(self.told.clone());
            difference.put.extend(more.put);
            difference.removed.extend(more.removed);
            difference.decisions.extend(more.decisions);
        }
        self.note(&difference);
        Some(difference)
    }

    fn note(&mut self, difference: &Difference) {
        for (flow, decision) in &difference.decisions {
            match decision {
                Some(decision) => drop(self.decisions.insert(*flow, decision.clone())),
                None => drop(self.decisions.remove(flow)),
            }
        }
    }

    /// Has the card do all that it can of these tables, which software obeys.
    pub fn finish(&mut self, tables: &Tables, since: Since<'_>, now: Moment) {
        match since {
            Since::Same => {}
            Since::Changed(changes) => {
                if changes.iter().any(counts_anew) {
                    self.count(now);
                }
                self.ledger.follow(changes);
                self.meters.follow(changes);
            }
            Since::Unknown => {
                self.count(now);
                let there: HashSet<FlowId> = tables.flows().map(|entry| entry.id).collect();
                self.ledger.retain(|flow| there.contains(&flow));
            }
        }
        if let Some(rest) = self.rest.take().filter(|_| self.card.is_some()) {
            match self.run(&rest, now) {
                Ran::All => return self.settled(),
                Ran::Refused => self.plan_again(tables),
                Ran::Failed => return,
            }
        }
        self.settle(tables, now);
    }

    /// Has the card do again what it did before it was prepared for tables that software won't obey.
    pub fn undo(&mut self, now: Moment) {
        self.planner = None;
        let mut before = self.there.clone();
        for (key, rule) in std::mem::take(&mut self.displaced) {
            match rule {
                Some(rule) => drop(before.insert(key, rule)),
                None => drop(before.remove(&key)),
            }
        }
        let before: Vec<Rule> = before.into_values().collect();
        self.go_to(&before, now);
    }

    /// Goes on until the card is as is planned. What it refuses is planned otherwise.
    fn settle(&mut self, tables: &Tables, now: Moment) {
        for attempt in 0..2 * MAX_ATTEMPTS {
            if self.card.is_none() {
                return;
            }
            if attempt == MAX_ATTEMPTS {
                self.do_without_the_rest();
                self.plan_again(tables);
            }
            let steps = self.way();
            let ran = match self.run(&steps.before, now) {
                Ran::All => self.run(&steps.after, now),
                other => other,
            };
            match ran {
                Ran::All => return self.settled(),
                Ran::Refused => self.plan_again(tables),
                Ran::Failed => return,
            }
        }
        self.give_up(now);
    }

    /// Tries nothing more that isn't there: the card has refused too much.
    fn do_without_the_rest(&mut self) {
        let planned = self.planner.as_ref().map(Planner::rules);
        let absent = planned
            .into_iter()
            .flatten()
            .filter(|(key, rule)| self.there.get(key) != Some(rule));
        let flows = absent.filter_map(|(key, _)| key.flow);
        let why = || "not tried, because it refused many others".to_owned();
        let refused: Vec<(FlowId, String)> = flows.map(|flow| (flow, why())).collect();
        for (flow, why) in refused {
            self.told.refused.entry(flow).or_insert(why);
        }
    }

    fn settled(&mut self) {
        self.settled = true;
        self.trouble = None;
    }

    /// Has the card have other rules, as far as it takes them, while software obeys the same tables.
    pub(super) fn go_to(&mut self, rules: &[Rule], now: Moment) {
        self.settled = false;
        if self.card.is_none() {
            return;
        }
        let steps = self.way_to(rules);
        if self.run(&steps.before, now) == Ran::All {
            self.run(&steps.after, now);
        }
    }

    /// Takes what is told of flows with a change. Whether that is something else than before.
    fn hear(&mut self, tables: &Tables, since: Since<'_>) -> bool {
        let mut other = std::mem::take(&mut self.news);
        let misses = crate::offload::misses_not_dropped(tables);
        other |= self.told.misses_not_dropped != misses;
        self.told.misses_not_dropped = misses;
        match since {
            Since::Same => {}
            Since::Unknown => {
                self.told.refused.clear();
                self.told.refused_traps.clear();
                self.told.refused_misses.clear();
            }
            Since::Changed(changes) => {
                for change in changes {
                    if let Change::FlowReplaced { new: entry, .. }
                    | Change::FlowRemoved { entry, .. } = change
                    {
                        other |= self.told.refused.remove(&entry.id).is_some();
                        other |= self.told.refused_traps.remove(&entry.id);
                    }
                }
            }
        }
        other
    }

    fn device(&self) -> Device {
        let mut capabilities = self.spec.capabilities.clone();
        if let Some(room) = self.room {
            capabilities.max_rules = capabilities.max_rules.min(room);
        }
        Device {
            ports: self.spec.ports.keys().copied().collect(),
            capabilities,
        }
    }

    fn plan(&mut self, tables: &Tables) {
        let planned = self.planner.take();
        if let Some(planner) = planned {
            self.told.placed.clone_from(&planner.told().placed);
        }
        let planner = Planner::of(tables, self.device(), self.told.clone());
        self.told.placed.clear();
        self.decisions = planner.placement().decisions;
        self.planner = Some(planner);
    }

    /// Plans without what the card has refused.
    fn plan_again(&mut self, tables: &Tables) {
        let device = self.device();
        match &mut self.planner {
            Some(planner) if *planner.device() == device => {
                let difference = planner.tell(self.told.clone());
                self.note(&difference);
            }
            _ => self.plan(tables),
        }
    }

    /// The way from what is there to what is planned.
    fn way(&self) -> Steps {
        let planned = self.planner.as_ref().map(Planner::rules);
        let rules: Vec<Rule> = planned
            .into_iter()
            .flatten()
            .map(|(_, rule)| rule.clone())
            .collect();
        self.way_to(&rules)
    }

    fn way_to(&self, rules: &[Rule]) -> Steps {
        let old: Vec<Rule> = self.there.values().cloned().collect();
        steps(&old, rules, &self.device().capabilities, &self.told)
    }

    /// Does batches of steps, until something is refused.
    fn run(&mut self, batches: &[Vec<Step>], now: Moment) -> Ran {
        for batch in batches {
            let Some(card) = &mut self.card else {
                return Ran::Failed;
            };
            let results = match card.apply(batch) {
                Ok(results) => results,
                Err(error) => {
                    self.fail(&error, now);
                    return Ran::Failed;
                }
            };
            let mut ran = Ran::All;
            for (step, result) in batch.iter().zip(results) {
                match result {
                    Ok(()) => self.did(step),
                    Err(refusal) => {
                        ran = Ran::Refused;
                        if !self.refused(step, &refusal, now) {
                            return Ran::Failed;
                        }
                    }
                }
            }
            if ran == Ran::Refused {
                return ran;
            }
        }
        Ran::All
    }

    fn did(&mut self, step: &Step) {
        let key = step.key();
        let before = || self.there.get(&key).cloned();
        self.displaced.entry(key).or_insert_with(before);
        step.note(&mut self.there);
    }

    /// Notes a refusal. False if the card is of no use then.
    fn refused(&mut self, step: &Step, refusal: &Refusal, now: Moment) -> bool {
        self.refusals += 1;
        match step {
            Step::Remove(_) => {
                let why = format!("a rule can't be removed: {refusal}");
                self.fail(&CardError(why), now);
                return false;
            }
            Step::Put(rule) if refusal.full && !is_trap(rule) => self.room = Some(self.there.len()),
            Step::Put(_) => self.told.refuse(step, &refusal.text),
        }
        true
    }

    fn give_up(&mut self, now: Moment) {
        let why = "it refuses one rule after the other; the log tells which".to_owned();
        for (flow, said) in self.told.refused.iter().take(10) {
            warn!("{}: flow {}: refused: {said}", self.spec.name, flow.0);
        }
        self.fail(&CardError(why), now);
    }
}

/// Whether what a flow or a meter has counted so far is forgotten with a change.
fn counts_anew(change: &Change) -> bool {
    matches!(
        change,
        Change::FlowReplaced {
            reset_counts: true,
            ..
        } | Change::Meter { new: None, .. }
    )
}
