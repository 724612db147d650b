//! Which flow a packet gets: the plain lookup that all others are measured by.

use std::collections::BTreeMap;

use super::{FlowTable, TableFlow};
use crate::FlowKey;
use crate::action::Action;
use crate::field::FieldId;

impl FlowTable {
    /// The flow that a packet gets: the one of the highest priority that matches, and among
    /// several of the same priority the oldest.
    ///
    /// Flows that are clauses of a conjunction match together: where a packet matches all clauses
    /// at one priority, and no other flow of that or a higher one, `conj_id` is the conjunction's
    /// number in another lookup, in which clauses have no part.
    pub fn lookup(&self, key: &FlowKey) -> Option<&TableFlow> {
        let mut clauses = Clauses::default();
        let mut level = None;
        let matching = self.entries().filter(|e| e.flow.matching.matches(key));
        for entry in matching {
            if level != Some(entry.flow.priority) {
                if let Some(found) = self.conjunction(key, &clauses) {
                    return Some(found);
                }
                clauses = Clauses::default();
                level = Some(entry.flow.priority);
            }
            if !clauses.take(entry) {
                return Some(entry);
            }
        }
        self.conjunction(key, &clauses)
    }

    fn conjunction(&self, key: &FlowKey, clauses: &Clauses) -> Option<&TableFlow> {
        let mut key = key.clone();
        key.set(FieldId::CONJ_ID, clauses.complete()?.into());
        self.entries()
            .find(|entry| !is_clause(entry) && entry.flow.matching.matches(&key))
    }
}

fn is_clause(entry: &TableFlow) -> bool {
    let actions = &entry.flow.instructions.apply;
    actions
        .iter()
        .any(|action| matches!(action, Action::Conjunction { .. }))
}

/// The clauses that a packet matches at one priority: for each conjunction, a bit for each clause
/// that is still missing.
#[derive(Default)]
struct Clauses {
    missing: BTreeMap<u32, u64>,
}

impl Clauses {
    /// Notes the clauses that a flow is; false if it is none.
    fn take(&mut self, entry: &TableFlow) -> bool {
        for action in &entry.flow.instructions.apply {
            if let Action::Conjunction {
                id,
                clause,
                n_clauses,
            } = action
            {
                let all = u64::MAX >> (64 - u32::from(*n_clauses).clamp(1, 64));
                let missing = self.missing.entry(*id).or_insert(all);
                *missing &= !(1 << (clause.saturating_sub(1) % 64));
            }
        }
        is_clause(entry)
    }

    /// A conjunction of which none is missing, the one of the lowest number.
    fn complete(&self) -> Option<u32> {
        let complete = self.missing.iter().find(|(_, missing)| **missing == 0);
        complete.map(|(id, _)| *id)
    }
}
