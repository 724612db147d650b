//! Numbers of rules: which flow counts where.

use std::collections::{BTreeSet, HashSet};

use aorta_compiler::pipeline::counted::group_of;
use aorta_compiler::pipeline::record::RuleId;
use aorta_flow::runs::Runs;
use aorta_flow::table::{Change, FlowId, Tables};

use super::group_counts;

/// Numbers that are free. No program counts there.
#[derive(Debug, Default)]
pub struct Pool {
    /// No number from here on is in use.
    end: u32,
    /// Free ones before it.
    free: BTreeSet<u32>,
}

impl Pool {
    /// The lowest free number.
    pub fn take(&mut self) -> u32 {
        self.free.pop_first().unwrap_or_else(|| {
            self.end += 1;
            self.end - 1
        })
    }

    /// Takes this number, if it is free.
    pub fn take_this(&mut self, id: u32) -> bool {
        if id < self.end {
            return self.free.remove(&id);
        }
        self.free.extend(self.end..id);
        self.end = id + 1;
        true
    }

    /// Gives numbers back.
    pub fn give_back(&mut self, ids: impl IntoIterator<Item = u32>) {
        self.free.extend(ids);
    }

    /// Where the numbers end once `more` of them are taken.
    pub fn end_with(&self, more: usize) -> u32 {
        self.end + more.saturating_sub(self.free.len()) as u32
    }
}

/// Numbers of one bridge's rules.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Rules {
    numbers: Runs<u32>,
    /// The flows by number.
    flows: Runs<FlowId>,
}

impl Rules {
    /// The number of a flow.
    pub fn get(&self, flow: FlowId) -> Option<u32> {
        self.numbers.get(flow)
    }

    /// The flow of a number.
    pub fn flow(&self, id: u32) -> Option<FlowId> {
        self.flows.get(FlowId(id.into()))
    }

    /// Gives a flow a number that no other has; the one that it had.
    pub fn insert(&mut self, flow: FlowId, id: u32) -> Option<u32> {
        let before = self.numbers.insert(flow, id);
        if let Some(before) = before {
            self.flows.remove(FlowId(before.into()));
        }
        self.flows.insert(FlowId(id.into()), flow);
        before
    }

    /// Takes a flow's number away.
    pub fn remove(&mut self, flow: FlowId) -> Option<u32> {
        let id = self.numbers.remove(flow)?;
        self.flows.remove(FlowId(id.into()));
        Some(id)
    }

    /// All flows with their numbers, by flow.
    pub fn iter(&self) -> impl Iterator<Item = (FlowId, u32)> + '_ {
        self.numbers.iter()
    }

    /// Those of flows from this one on.
    pub fn starting_at(&self, flow: FlowId) -> impl Iterator<Item = (FlowId, u32)> + '_ {
        self.numbers.starting_at(flow)
    }

    /// All numbers, ascending.
    pub fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        self.flows.iter().map(|(id, _)| id.0 as u32)
    }

    /// No number from here on is a flow's.
    pub fn end(&self) -> u32 {
        let ends = self
            .flows
            .runs()
            .map(|(first, len, _)| first.0 as u32 + len);
        ends.last().unwrap_or(0)
    }
}

impl FromIterator<(FlowId, u32)> for Rules {
    fn from_iter<I: IntoIterator<Item = (FlowId, u32)>>(all: I) -> Self {
        let mut rules = Rules::default();
        for (flow, id) in all {
            rules.insert(flow, id);
        }
        rules
    }
}

/// The numbers as they are to be after a change. Nothing holds before it is committed.
#[derive(Debug)]
pub struct Numbering<'p> {
    pool: &'p mut Pool,
    rules: &'p mut Rules,
    fresh: Runs<u32>,
    /// Flows whose counters start anew, so that they get other numbers.
    reset: BTreeSet<FlowId>,
    removed: Vec<FlowId>,
}

impl<'p> Numbering<'p> {
    /// Numbers for what `changes` leave.
    pub fn new(pool: &'p mut Pool, rules: &'p mut Rules, changes: &[Change]) -> Numbering<'p> {
        let (mut reset, mut removed) = (BTreeSet::new(), Vec::new());
        for change in changes {
            match change {
                Change::FlowReplaced {
                    new,
                    reset_counts: true,
                    ..
                } => {
                    reset.insert(new.id);
                }
                Change::FlowRemoved { entry, .. } => removed.push(entry.id),
                Change::Group { .. } => reset.extend(group_counts::reset(change)),
                _ => {}
            }
        }
        let fresh = Runs::default();
        Numbering {
            pool,
            rules,
            fresh,
            reset,
            removed,
        }
    }

    /// The number of a flow, a new one if it has none.
    pub fn rule_of(&mut self, flow: FlowId) -> RuleId {
        if let Some(id) = self.fresh.get(flow) {
            return RuleId(id);
        }
        match self.rules.get(flow) {
            Some(id) if !self.reset.contains(&flow) => RuleId(id),
            _ => {
                let id = self.pool.take();
                self.fresh.insert(flow, id);
                RuleId(id)
            }
        }
    }

    /// Gives all flows of tables their numbers, the new ones in the order in which they came: then
    /// it takes little memory to keep which is whose.
    pub fn give_all(&mut self, tables: &Tables) {
        let mut flows: Vec<FlowId> = tables.flows().map(|entry| entry.id).collect();
        flows.sort_unstable();
        for flow in flows {
            self.rule_of(flow);
        }
    }

    /// The new numbers, whose counters must be zero before they are used.
    pub fn fresh(&self) -> Vec<u32> {
        let mut ids: Vec<u32> = self.fresh.iter().map(|(_, id)| id).collect();
        ids.sort_unstable();
        ids
    }

    /// The new numbers hold. Those that it returns can be given back once no packet counts there.
    pub fn commit(self) -> Vec<u32> {
        let mut released = Vec::new();
        // A group that no flow leads to has counted for nothing.
        for id in self.reset.iter().filter(|id| group_of(**id).is_some()) {
            if self.fresh.get(*id).is_none() {
                released.extend(self.rules.remove(*id));
            }
        }
        for (flow, id) in self.fresh.iter() {
            released.extend(self.rules.insert(flow, id));
        }
        for flow in &self.removed {
            released.extend(self.rules.remove(*flow));
        }
        released
    }

    /// As [`Numbering::commit`], and what isn't in these tables has no number any more.
    pub fn commit_only(self, tables: &Tables) -> Vec<u32> {
        let there: HashSet<FlowId> = tables.flows().map(|entry| entry.id).collect();
        let stays = |id: FlowId| there.contains(&id) || group_counts::stays(id, tables);
        let all = self.rules.iter();
        let go: Vec<(FlowId, u32)> = all.filter(|(flow, _)| !stays(*flow)).collect();
        for (flow, _) in &go {
            self.rules.remove(*flow);
        }
        let mut released: Vec<u32> = go.into_iter().map(|(_, id)| id).collect();
        released.extend(self.commit());
        released
    }

    /// Nothing has changed.
    pub fn abort(self) {
        self.pool.give_back(self.fresh.iter().map(|(_, id)| id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aorta_flow::table::{RemovedReason, TableFlow};

    fn entry(id: u64) -> TableFlow {
        TableFlow {
            id: FlowId(id),
            flow: Default::default(),
        }
    }

    #[test]
    fn the_lowest_free_number_is_taken() {
        let mut pool = Pool::default();
        assert!(pool.take_this(2));
        assert!(!pool.take_this(2));
        assert_eq!((pool.take(), pool.take(), pool.take()), (0, 1, 3));
        pool.give_back([1]);
        assert_eq!((pool.end_with(1), pool.end_with(3)), (4, 6));
        assert_eq!(pool.take(), 1);
    }

    #[test]
    fn a_reset_flow_gets_another_number_and_a_removed_one_gives_its_back() {
        let (mut pool, mut rules) = (Pool::default(), Rules::default());
        let mut first = Numbering::new(&mut pool, &mut rules, &[]);
        assert_eq!(first.rule_of(FlowId(7)), RuleId(0));
        assert_eq!(first.rule_of(FlowId(8)), RuleId(1));
        assert_eq!(first.commit(), []);
        let changes = [
            Change::FlowReplaced {
                old: entry(7),
                new: entry(7),
                reset_counts: true,
                restarted: false,
            },
            Change::FlowRemoved {
                entry: entry(8),
                reason: RemovedReason::Deleted,
            },
        ];
        let mut aborted = Numbering::new(&mut pool, &mut rules, &changes);
        assert_eq!(aborted.rule_of(FlowId(7)), RuleId(2));
        aborted.abort();
        assert_eq!(rules.get(FlowId(7)), Some(0));
        let mut second = Numbering::new(&mut pool, &mut rules, &changes);
        assert_eq!(second.rule_of(FlowId(7)), RuleId(2));
        assert_eq!(second.fresh(), [2]);
        assert_eq!(second.commit(), [0, 1]);
        assert_eq!(rules, Rules::from_iter([(FlowId(7), 2)]));
        assert_eq!(
            (rules.flow(2), rules.flow(0), rules.end()),
            (Some(FlowId(7)), None, 3)
        );
    }
}
