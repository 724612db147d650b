//! Counters of groups and their buckets.

use std::collections::BTreeMap;

use aorta_compiler::pipeline::counted;
use aorta_flow::Group;
use aorta_flow::table::{Change, FlowId, Tables};

use super::{BridgeFlows, FlowCounters, Flows};
use crate::error::DatapathError;

/// What a group has counted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GroupCounters {
    /// Packets that came to it.
    pub all: FlowCounters,
    /// Packets of each bucket, in the order of the buckets. Those at the end that counted nothing can
    /// be missing.
    pub buckets: Vec<FlowCounters>,
}

/// Numbers that the groups of tables take at most.
pub(super) fn most(tables: &Tables) -> usize {
    tables.groups().map(|group| 1 + group.buckets.len()).sum()
}

/// Whether it stands for a group that there is, or for one of its buckets.
pub(super) fn stays(id: FlowId, tables: &Tables) -> bool {
    let group = counted::group_of(id).and_then(|group| tables.group(group));
    group.is_some_and(|group| {
        let position = id.0 - counted::group_id(group.id).0;
        position <= group.buckets.len() as u64
    })
}

/// What a change has begin anew: a group goes on counting when it changes, its buckets don't
/// (OpenFlow 1.3.5 §6.5).
pub(super) fn reset(change: &Change) -> Vec<FlowId> {
    let Change::Group { id, old, new } = change else {
        return Vec::new();
    };
    let buckets = |group: &Option<std::sync::Arc<Group>>| {
        let group = group.iter();
        group
            .flat_map(|group| counted::bucket_ids(group))
            .collect::<Vec<FlowId>>()
    };
    let (mut ids, others) = (buckets(old), buckets(new));
    if others.len() > ids.len() {
        ids = others;
    }
    ids.extend(new.is_none().then(|| counted::group_id(*id)));
    ids
}

impl Flows {
    /// Counters of the groups of a bridge that flows lead to. `now` is the tick counter, of which there
    /// are `hz` in a second.
    pub fn group_counters(
        &self,
        slot: u32,
        now: u64,
        hz: u32,
    ) -> Result<BTreeMap<u32, GroupCounters>, DatapathError> {
        let mut groups: BTreeMap<u32, GroupCounters> = BTreeMap::new();
        let flows = self.bridges.get(&slot).into_iter();
        let rules = flows.flat_map(|flows: &BridgeFlows| flows.rules.iter());
        for (id, rule) in rules {
            let Some(group) = counted::group_of(id) else {
                continue;
            };
            let words = self.stats.read_one(rule)?;
            let counters = FlowCounters::new(Some(&words), now, hz);
            let known = groups.entry(group).or_default();
            match (id.0 - counted::group_id(group).0).checked_sub(1) {
                None => known.all = counters,
                Some(position) => {
                    let needed = position as usize + 1;
                    let len = known.buckets.len().max(needed);
                    known.buckets.resize(len, FlowCounters::default());
                    known.buckets[needed - 1] = counters;
                }
            }
        }
        Ok(groups)
    }
}
