//! From the rules that a card has to others, while packets come.
//!
//! Software obeys the old tables, then from one moment on the new ones. So does the card, without being
//! told at that moment:
//!
//! - *Before*, what decides otherwise in the new tables is made a trap, or is taken out where the card
//!   can't trap, the lowest first. So is what new rules come above, if they can't be there as traps
//!   already. Each packet that the card still decides is decided alike in both tables.
//! - *After*, rules of later tables change, to which nothing on the card leads; then rules of table 0 are
//!   put, each after those above it.
//!
//! A flow whose rule is in between is done by software.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::overlaps::Overlaps;
use crate::{Capabilities, Rule, RuleKey, Told, Verdict};

/// One thing that is asked of a card.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// This rule, in place of the one of its key if there is one: each packet meets one or the other.
    Put(Rule),
    /// The rule of this key is to go.
    Remove(RuleKey),
}

impl Step {
    /// Which rule it is about.
    pub fn key(&self) -> RuleKey {
        match self {
            Step::Put(rule) => rule.key(),
            Step::Remove(key) => *key,
        }
    }

    /// Does it to a list of what the card has.
    pub fn note(&self, there: &mut BTreeMap<RuleKey, Rule>) {
        match self {
            Step::Put(rule) => drop(there.insert(rule.key(), rule.clone())),
            Step::Remove(key) => drop(there.remove(key)),
        }
    }
}

/// How to get from one placement to another.
///
/// Steps of a batch can be given to the card together, in their order. Each packet obeys all of the old
/// tables or all of the new ones after every step, also where some steps of a batch are refused; but
/// the next batch may only be begun if none was. Otherwise [`Told::refuse`] notes it, and the way goes on
/// by another placement and by steps from what is there now.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Steps {
    /// What is done while software obeys the old tables.
    pub before: Vec<Vec<Step>>,
    /// What is done when software obeys the new ones.
    pub after: Vec<Vec<Step>>,
}

impl Steps {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.before.is_empty() && self.after.is_empty()
    }
}

/// What a card that has the rules `old` is asked to do to have the rules `new`. Both are right for
/// their tables: `old` is a placement, or what is there of one after some steps.
pub fn steps(old: &[Rule], new: &[Rule], capabilities: &Capabilities, told: &Told) -> Steps {
    let mut lines: BTreeMap<RuleKey, Line> = BTreeMap::new();
    for rule in old {
        lines.entry(rule.key()).or_default().old = Some(rule);
    }
    for rule in new {
        lines.entry(rule.key()).or_default().new = Some(rule);
    }
    steps_of(lines, old.len(), capabilities, told)
}

/// The steps of some rules, if nothing becomes of others: of those that change, of those of table 0 that
/// these overlap, and of those from which packets come to a later table that changes. The card has so
/// many rules, all in all.
pub(crate) fn steps_of(
    lines: BTreeMap<RuleKey, Line>,
    held: usize,
    capabilities: &Capabilities,
    told: &Told,
) -> Steps {
    let unsettled = unsettled(&lines);
    let (mut first, later): (Vec<Line>, Vec<Line>) =
        lines.into_values().partition(Line::is_of_table_0);
    first.sort_by_key(Line::order);
    let may_trap = |rule: &Rule| {
        let refused = rule
            .flow
            .is_none_or(|flow| told.refused_traps.contains(&flow));
        capabilities.traps && !refused
    };
    for line in &mut first {
        line.settle(&unsettled, &may_trap);
    }
    let room = capabilities.max_rules.saturating_sub(held);
    make_way(&mut first, room, &may_trap);
    Steps {
        before: before(&first),
        after: after(&first, &later),
    }
}

/// A rule as it is in the old and the new placement, and in between.
#[derive(Default)]
pub(crate) struct Line<'r> {
    pub old: Option<&'r Rule>,
    pub new: Option<&'r Rule>,
    between: Between,
}

/// What is there of a rule when software goes over to the new tables.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Between {
    #[default]
    Nothing,
    Old,
    OldTrapped,
    NewTrapped,
}

impl<'r> Line<'r> {
    fn any(&self) -> Option<&'r Rule> {
        self.new.or(self.old)
    }

    fn is_of_table_0(&self) -> bool {
        self.any().is_some_and(|rule| rule.table == 0)
    }

    fn order(&self) -> (Reverse<u16>, Option<RuleKey>) {
        let priority = self.any().map_or(0, |rule| rule.priority);
        (Reverse(priority), self.any().map(Rule::key))
    }

    /// What is there in between, if it depends on nothing but this rule and where it leads.
    fn settle(&mut self, unsettled: &BTreeSet<u8>, may_trap: &impl Fn(&Rule) -> bool) {
        let Some(old) = self.old else {
            return;
        };
        let leads_there = old.goto().is_some_and(|to| unsettled.contains(&to));
        match decides(old) && (self.new != Some(old) || leads_there) {
            true => self.give_way(may_trap),
            false => self.between = Between::Old,
        }
    }

    /// The old rule leaves its packets to software.
    fn give_way(&mut self, may_trap: &impl Fn(&Rule) -> bool) {
        self.between = match self.old.is_some_and(may_trap) {
            true => Between::OldTrapped,
            false => Between::Nothing,
        };
    }

    /// The old rule if it decides about packets in between, too.
    fn stays(&self) -> Option<&'r Rule> {
        let stays = self.between == Between::Old;
        self.old.filter(|old| stays && decides(old))
    }

    /// The old rule if it goes before software obeys the new tables.
    fn goes_before(&self) -> Option<&'r Rule> {
        self.old.filter(|_| self.between == Between::Nothing)
    }

    /// The new rule if its packets could meet others in between.
    fn fresh(&self) -> Option<&'r Rule> {
        let new = self.new?;
        let held = match self.between {
            Between::Nothing => false,
            Between::NewTrapped => true,
            Between::Old | Between::OldTrapped => self.old.is_some_and(|old| {
                old.priority == new.priority && old.matching.covers(&new.matching)
            }),
        };
        (!held).then_some(new)
    }

    /// What is asked for before software obeys the new tables.
    fn trap(&self) -> Option<Rule> {
        match self.between {
            Between::OldTrapped => self.old.map(Rule::trapping),
            Between::NewTrapped => self.new.map(Rule::trapping),
            Between::Nothing | Between::Old => None,
        }
    }

    /// The new rule if it has to be put.
    fn to_put(&self) -> Option<&'r Rule> {
        let is_there = |new: &Rule| match self.between {
            Between::Nothing => false,
            Between::Old => self.old == Some(new),
            Between::OldTrapped => self.old.is_some_and(|old| old.trapping() == *new),
            Between::NewTrapped => !decides(new),
        };
        self.new.filter(|new| !is_there(new))
    }
}

/// Later tables that change, or from which a packet can come to one that does.
fn unsettled(lines: &BTreeMap<RuleKey, Line>) -> BTreeSet<u8> {
    let mut unsettled = BTreeSet::new();
    // Packets go to tables of higher numbers only.
    for (key, line) in lines.iter().rev().filter(|(key, _)| key.table > 0) {
        let leads = |rule: &Rule| rule.goto().is_some_and(|to| unsettled.contains(&to));
        if line.old != line.new || line.old.is_some_and(leads) {
            unsettled.insert(key.table);
        }
    }
    unsettled
}

fn decides(rule: &Rule) -> bool {
    rule.verdict != Verdict::Trap
}

/// Sees to it that no rule that stays takes packets of one above it that goes or comes.
fn make_way(first: &mut [Line], room: usize, may_trap: &impl Fn(&Rule) -> bool) {
    let mut gone = Overlaps::default();
    let mut fresh = Overlaps::default();
    let mut room = room;
    for position in 0..first.len() {
        if let Some(rule) = first[position].stays() {
            let exposed = gone.first(&rule.matching, |_| true).is_some();
            if exposed || !hold(first, &fresh, rule, &mut room, may_trap) {
                first[position].give_way(may_trap);
            }
        }
        let line = &first[position];
        if let Some(old) = line.goes_before() {
            gone.insert(&old.matching, position);
        }
        if let Some(new) = line.fresh() {
            fresh.insert(&new.matching, position);
        }
    }
}

/// Has traps for all new rules above one that stays; false if that can't be.
fn hold(
    first: &mut [Line],
    fresh: &Overlaps,
    below: &Rule,
    room: &mut usize,
    may_trap: &impl Fn(&Rule) -> bool,
) -> bool {
    let mut above = Vec::new();
    fresh.each(&below.matching, &mut |position| above.push(position));
    above.retain(|position| first[*position].fresh().is_some());
    let can_hold = |position: &usize| {
        let line = &first[*position];
        line.old.is_none() && line.new.is_some_and(may_trap)
    };
    if above.len() > *room || !above.iter().all(can_hold) {
        return false;
    }
    *room -= above.len();
    for position in above {
        first[position].between = Between::NewTrapped;
    }
    true
}

fn before(first: &[Line]) -> Vec<Vec<Step>> {
    let mut batches = Batches::default();
    batches.add(0, first.iter().filter_map(Line::trap).map(Step::Put));
    // A rule goes after those below it.
    let mut levels = Levels::default();
    for rule in first.iter().rev().filter_map(Line::goes_before) {
        let level = levels.behind(rule);
        levels.add(rule, level);
        batches.add(level, [Step::Remove(rule.key())]);
    }
    batches.done()
}

fn after(first: &[Line], later: &[Line]) -> Vec<Vec<Step>> {
    let mut batches = Batches::default();
    // What goes makes room for what comes.
    let left = first.iter().filter(|line| line.goes_before().is_none());
    let gone = left.chain(later).filter(|line| line.new.is_none());
    let gone = gone.filter_map(|line| line.old).map(Rule::key);
    batches.add(0, gone.map(Step::Remove));
    let later_puts = later.iter().filter(|line| line.old != line.new);
    let later_puts = later_puts.filter_map(|line| line.new.cloned());
    batches.add(1, later_puts.map(Step::Put));
    // A rule comes after those above it.
    let mut levels = Levels::default();
    for line in first {
        let Some(rule) = line.to_put() else {
            continue;
        };
        let level = match decides(rule) {
            true => levels.behind(rule) + 1,
            false => 1,
        };
        if decides(rule) && line.fresh().is_some() {
            levels.add(rule, level - 1);
        }
        batches.add(level, [Step::Put(rule.clone())]);
    }
    batches.done()
}

/// Which batch a rule is in, if its packets must not meet it before others.
#[derive(Default)]
struct Levels {
    overlaps: Overlaps,
    levels: Vec<usize>,
}

impl Levels {
    /// The first batch behind those of all rules that overlap; 1 if there are none.
    fn behind(&self, rule: &Rule) -> usize {
        let mut level = 1;
        self.overlaps.each(&rule.matching, &mut |position| {
            level = level.max(self.levels[position] + 1);
        });
        level
    }

    fn add(&mut self, rule: &Rule, level: usize) {
        self.overlaps.insert(&rule.matching, self.levels.len());
        self.levels.push(level);
    }
}

#[derive(Default)]
struct Batches(Vec<Vec<Step>>);

impl Batches {
    fn add(&mut self, batch: usize, steps: impl IntoIterator<Item = Step>) {
        if self.0.len() <= batch {
            self.0.resize(batch + 1, Vec::new());
        }
        self.0[batch].extend(steps);
    }

    fn done(mut self) -> Vec<Vec<Step>> {
        self.0.retain(|batch| !batch.is_empty());
        self.0
    }
}
