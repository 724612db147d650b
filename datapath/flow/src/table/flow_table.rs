//! One flow table.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::identity::Identities;
use crate::{Flow, Match};

/// Which flow, as long as it is there: changes keep the number, a new flow gets a new one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FlowId(pub u64);

/// A flow in a table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableFlow {
    /// Its number.
    pub id: FlowId,
    /// What it is.
    pub flow: Arc<Flow>,
}

/// Place in the order of a lookup.
type Place = (Reverse<u16>, FlowId);

/// One flow table. The lookup is the plain one that all others are measured by: from the highest
/// priority, the first flow that matches. Among flows of the same priority that is the oldest.
#[derive(Clone, Default, Debug)]
pub struct FlowTable {
    order: BTreeMap<Place, TableFlow>,
    exact: Identities,
}

fn place(entry: &TableFlow) -> Place {
    (Reverse(entry.flow.priority), entry.id)
}

impl FlowTable {
    /// How many flows it has.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Its flows from the highest priority.
    pub fn entries(&self) -> impl Iterator<Item = &TableFlow> {
        self.order.values()
    }

    /// The flow of this priority and match.
    pub fn exact(&self, priority: u16, matching: &Match) -> Option<&TableFlow> {
        let id = self.exact.get(priority, matching)?;
        self.order.get(&(Reverse(priority), id))
    }

    /// The flow of a number. Costs a lookup for each priority that there is.
    pub fn entry(&self, id: FlowId) -> Option<&TableFlow> {
        let mut next = self.order.keys().next().map(|(priority, _)| *priority);
        while let Some(priority) = next {
            if let Some(entry) = self.order.get(&(priority, id)) {
                return Some(entry);
            }
            let behind = (
                Bound::Excluded((priority, FlowId(u64::MAX))),
                Bound::Unbounded,
            );
            let behind = self.order.range(behind).next();
            next = behind.map(|((priority, _), _)| *priority);
        }
        None
    }

    /// A flow of this priority that matches some packet which `matching` matches too.
    pub fn overlapping(&self, priority: u16, matching: &Match) -> Option<&TableFlow> {
        let same_priority = (Reverse(priority), FlowId(0))..=(Reverse(priority), FlowId(u64::MAX));
        self.order
            .range(same_priority)
            .map(|(_, entry)| entry)
            .find(|entry| entry.flow.matching.overlaps(matching))
    }

    pub(super) fn put(&mut self, entry: TableFlow) {
        self.exact.insert(&entry.flow, entry.id);
        self.order.insert(place(&entry), entry);
    }

    pub(super) fn take(&mut self, entry: &TableFlow) {
        self.exact.remove(&entry.flow);
        self.order.remove(&place(entry));
    }
}
