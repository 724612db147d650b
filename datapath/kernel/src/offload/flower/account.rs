//! What a card has, as far as the switch knows, and what a step asks of it. Pure.

mod adopt;
mod buckets;
mod ports;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aorta_flow::IfIndex;
use aorta_placement::{Rule, RuleKey, Step, Verdict};
use rustix::io::Errno;

use super::cookie::{CardMark, Purpose, cookie};
use super::lower::{Lowering, Needs, is_shared, pref};
use super::{
    Filter, FilterCounters, Keys, OwnListed, Place, PoliceCounters, Refusal, Request, Running,
    TcAction,
};

pub use adopt::Ownerless;
use buckets::Buckets;

/// The first number that the switch gives to a filter; the kernel gives lower ones.
const FIRST_HANDLE: u32 = 0x0100_0000;

/// What packets did to a rule that the card decides.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct HwCounters {
    /// Packets that the card decided by it.
    pub packets: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Nanoseconds since the last one; none if there was none.
    pub used_ns_ago: Option<u64>,
}

impl HwCounters {
    pub(super) fn add(&mut self, counters: FilterCounters) {
        self.packets += counters.packets;
        self.bytes += counters.bytes;
        if counters.packets > 0 {
            let before = self.used_ns_ago.unwrap_or(u64::MAX);
            let ago = counters.used_ns_ago.unwrap_or(0);
            self.used_ns_ago = Some(before.min(ago));
        }
    }
}

/// A rule that the card has.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The rule.
    pub rule: Rule,
    /// Its filters.
    pub filters: Vec<Filter>,
}

impl Entry {
    /// Whether what its filters count is decided by the card.
    fn counts(&self) -> bool {
        matches!(self.rule.verdict, Verdict::Forward { .. })
    }
}

/// What is asked for a step, and what takes each of these back.
#[derive(Debug)]
pub struct Plan {
    /// Which rule it is about.
    pub key: RuleKey,
    /// In order. Who asks the card takes them.
    pub requests: Vec<Request>,
    /// One for each request.
    pub undo: Vec<Request>,
    /// What is there if all is done.
    after: Option<Entry>,
}

/// What a card has.
#[derive(Debug)]
pub struct Account {
    mark: CardMark,
    entries: BTreeMap<RuleKey, Entry>,
    /// What filters that are gone have counted of rules, until it is told.
    carried: BTreeMap<RuleKey, HwCounters>,
    buckets: Buckets,
    /// How many rules of each rank share a preference.
    ranks: BTreeMap<(u8, u16), BTreeMap<Option<u16>, usize>>,
    /// Rules that are planned, of preferences that rules of several ranks share.
    planned: Vec<Rule>,
    next_handle: u32,
    free_handles: BTreeSet<u32>,
}

impl Account {
    pub fn new(mark: CardMark) -> Account {
        Account {
            mark,
            entries: BTreeMap::new(),
            carried: BTreeMap::new(),
            buckets: Buckets::default(),
            ranks: BTreeMap::new(),
            planned: Vec::new(),
            next_handle: FIRST_HANDLE,
            free_handles: BTreeSet::new(),
        }
    }

    /// The rules that are there.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.entries.values().map(|entry| &entry.rule)
    }

    /// All filters of rules.
    pub fn filters(&self) -> impl Iterator<Item = &Filter> {
        self.entries.values().flat_map(|entry| &entry.filters)
    }

    /// Forgets all rules; what they counted is told once more.
    pub fn forget(&mut self) {
        self.entries.clear();
        self.buckets.leave_all();
        self.ranks.clear();
        self.next_handle = FIRST_HANDLE;
        self.free_handles.clear();
    }

    /// A guard, numbered anew.
    pub fn guard(
        &mut self,
        place: Place,
        keys: Keys,
        actions: Vec<TcAction>,
        running: Running,
    ) -> Filter {
        let handle = self.take_handle();
        Filter {
            cookie: cookie(self.mark, Purpose::Guard, &keys, &actions),
            place: Place { handle, ..place },
            keys,
            actions,
            running,
        }
    }

    fn take_handle(&mut self) -> u32 {
        if let Some(handle) = self.free_handles.pop_first() {
            return handle;
        }
        let handle = self.next_handle;
        self.next_handle += 1;
        handle
    }

    /// Filters that count and that a step replaces or removes.
    pub fn ending(&self, step: &Step) -> Vec<Place> {
        let entry = self.entries.get(&step.key());
        let counting = entry.filter(|entry| entry.counts());
        let filters = counting.into_iter().flat_map(|entry| &entry.filters);
        filters.map(|filter| filter.place).collect()
    }

    /// What a step asks of the card.
    ///
    /// # Errors
    /// When the card needn't be asked, because it can't be told.
    pub fn plan(
        &mut self,
        step: &Step,
        lowering: &Lowering,
        unguarded: Needs,
    ) -> Result<Plan, Refusal> {
        let old = self
            .entries
            .get(&step.key())
            .map_or(Vec::new(), |entry| entry.filters.clone());
        let after = match step {
            Step::Remove(_) => None,
            Step::Put(rule) => Some(self.entry(rule, &old, lowering, unguarded)?),
        };
        let new = after.as_ref().map_or(&[][..], |entry| &entry.filters);
        let at = |place: Place, all: &[Filter]| all.iter().find(|f| f.place == place).cloned();
        let mut plan = Plan {
            key: step.key(),
            requests: Vec::new(),
            undo: Vec::new(),
            after: None,
        };
        for filter in new {
            let before = at(filter.place, &old);
            plan.requests.push(Request::Put(filter.clone()));
            plan.undo
                .push(before.map_or(Request::Delete(filter.place), Request::Put));
        }
        for filter in old {
            if at(filter.place, new).is_none() {
                plan.requests.push(Request::Delete(filter.place));
                plan.undo.push(Request::Put(filter));
            }
        }
        plan.after = after;
        Ok(plan)
    }

    /// A rule with its filters. Those that match what an old one matches take its place.
    fn entry(
        &mut self,
        rule: &Rule,
        old: &[Filter],
        lowering: &Lowering,
        unguarded: Needs,
    ) -> Result<Entry, Refusal> {
        let pref = pref(rule);
        self.check_rank(rule, pref)?;
        let lowered = lowering.lower(rule)?;
        for one in &lowered {
            one.needs.check(unguarded)?;
        }
        let purpose = rule.flow.map_or(Purpose::Miss, Purpose::Flow);
        let filters = lowered.into_iter().map(|one| {
            let place = |handle| Place {
                device: one.device,
                chain: rule.table.into(),
                pref,
                handle,
            };
            let same = old
                .iter()
                .find(|old| old.keys == one.keys && place(old.place.handle) == old.place);
            let handle = same.map_or_else(|| self.take_handle(), |old| old.place.handle);
            Filter {
                cookie: cookie(self.mark, purpose, &one.keys, &one.actions),
                place: place(handle),
                keys: one.keys,
                actions: one.actions,
                running: lowering.running,
            }
        });
        Ok(Entry {
            rule: rule.clone(),
            filters: filters.collect(),
        })
    }

    /// Forgets what was planned: each plan was done or undone.
    pub fn settled(&mut self) {
        self.planned.clear();
    }

    /// Rules of different rank that share a preference must not match the same packets.
    fn check_rank(&mut self, rule: &Rule, pref: u16) -> Result<(), Refusal> {
        if !is_shared(pref) {
            return Ok(());
        }
        let collides = |other: &Rule| {
            other.table == rule.table
                && self::pref(other) == pref
                && rank(other) != rank(rule)
                && other.matching.overlaps(&rule.matching)
        };
        let ranks = self.ranks.get(&(rule.table, pref));
        let mut others = ranks.into_iter().flat_map(BTreeMap::keys);
        let there = others.any(|other| *other != rank(rule)) && self.rules().any(collides);
        let collides = there || self.planned.iter().any(collides);
        match collides {
            false => {
                self.planned.push(rule.clone());
                Ok(())
            }
            true => Err(Refusal::new(
                Errno::EXIST.raw_os_error(),
                Some(
                    "TC has one preference for priorities 65533 to 65535, and one for priority 0 and \
                     packets that match no flow: an overlapping flow has another of these"
                        .to_owned(),
                ),
            )),
        }
    }

    /// Notes that a plan was done.
    pub fn done(&mut self, plan: Plan) {
        if let Some(entry) = &plan.after {
            self.buckets.join(&entry.rule, &entry.filters);
        }
        self.leave(&plan.key);
        if let Some(entry) = plan.after {
            let of = (entry.rule.table, pref(&entry.rule));
            let ranks = self.ranks.entry(of).or_default();
            *ranks.entry(rank(&entry.rule)).or_default() += 1;
            for filter in &entry.filters {
                self.free_handles.remove(&filter.place.handle);
            }
            self.entries.insert(plan.key, entry);
        }
    }

    /// Notes that nothing of a plan was done.
    pub fn undone(&mut self, plan: Plan) {
        let there = self.entries.get(&plan.key);
        let handles = |entry: &Entry| -> BTreeSet<u32> {
            entry
                .filters
                .iter()
                .map(|filter| filter.place.handle)
                .collect()
        };
        let kept = there.map(handles).unwrap_or_default();
        let planned = plan.after.as_ref().map(handles).unwrap_or_default();
        self.free_handles.extend(planned.difference(&kept));
    }

    fn leave(&mut self, key: &RuleKey) {
        let Some(old) = self.entries.remove(key) else {
            return;
        };
        self.buckets.leave(&old.filters);
        let of = (old.rule.table, pref(&old.rule));
        if let Some(ranks) = self.ranks.get_mut(&of) {
            let rank = rank(&old.rule);
            let left = ranks.get(&rank).map_or(0, |count| count - 1);
            match left {
                0 => drop(ranks.remove(&rank)),
                left => drop(ranks.insert(rank, left)),
            }
        }
        self.free_handles
            .extend(old.filters.iter().map(|filter| filter.place.handle));
    }

    /// Keeps what a filter of a rule has counted that is about to go.
    pub fn carry(&mut self, key: RuleKey, counters: FilterCounters) {
        self.buckets.note(counters.policed);
        self.carried.entry(key).or_default().add(counters);
    }

    /// What rules that are there have counted, of what their filters say.
    pub fn counters(&mut self, filters: &HashMap<Place, OwnListed>) -> Vec<(RuleKey, HwCounters)> {
        for listed in filters.values() {
            self.buckets.note(listed.counters.policed);
        }
        let entries = self.entries.iter().filter(|(_, entry)| entry.counts());
        let sum = |(key, entry): (&RuleKey, &Entry)| {
            let mut sum = HwCounters::default();
            let counted = entry.filters.iter().filter_map(|f| filters.get(&f.place));
            counted.for_each(|listed| sum.add(listed.counters));
            (*key, sum)
        };
        entries.map(sum).collect()
    }

    /// What filters that have gone had counted of rules, once.
    pub fn ended(&mut self) -> Vec<(RuleKey, HwCounters)> {
        std::mem::take(&mut self.carried).into_iter().collect()
    }
}

impl Account {
    /// Whether rules share buckets.
    pub fn has_buckets(&self) -> bool {
        !self.buckets.is_empty()
    }

    /// What meters have counted, when rules were last asked what they have.
    pub fn meters(&self) -> BTreeMap<u32, PoliceCounters> {
        self.buckets.meters()
    }
}

/// What orders a rule among those of its table; none for the last.
fn rank(rule: &Rule) -> Option<u16> {
    rule.flow.map(|_| rule.priority)
}

/// The devices of all filters.
pub fn devices(lowering: &Lowering) -> BTreeSet<IfIndex> {
    lowering.ports.values().copied().collect()
}
