//! Where flows lead.

use std::collections::BTreeSet;

use aorta_flow::action::Action;

use super::extras::{Extras, GroupKey};
use super::limits::Edge;
use super::shape::{Shape, Step};

/// The ways out of a table that a shape has there.
pub fn ways_of(shape: &Shape, table: u8, extras: &Extras) -> Vec<Edge> {
    let mut ways = Vec::new();
    for step in shape.all_steps() {
        ways.extend(way(step));
        if let Some(id) = group_of(step) {
            ways_of_group((id, table), extras, &mut BTreeSet::new(), &mut ways);
        }
    }
    ways.extend(shape.goto.map(|to| Edge {
        to,
        comes_back: false,
    }));
    ways
}

/// Where a step by itself leads.
pub fn way(step: &Step) -> Option<Edge> {
    match step {
        Step::Resubmit { table, .. } => Some(Edge {
            to: *table,
            comes_back: true,
        }),
        _ => None,
    }
}

fn group_of(step: &Step) -> Option<u32> {
    match step {
        Step::Other(whole) => match whole.0 {
            Action::Group(id) => Some(id),
            _ => None,
        },
        _ => None,
    }
}

/// The ways out of a group and of those that it calls. None calls itself.
fn ways_of_group(
    key: GroupKey,
    extras: &Extras,
    open: &mut BTreeSet<GroupKey>,
    ways: &mut Vec<Edge>,
) {
    let Some(group) = extras.groups.get(&key).filter(|_| open.insert(key)) else {
        return;
    };
    let steps = group.buckets.iter().flat_map(|bucket| &bucket.steps);
    for step in steps.flat_map(Step::with_inner) {
        ways.extend(way(step));
        if let Some(id) = group_of(step) {
            ways_of_group((id, key.1), extras, open, ways);
        }
    }
    open.remove(&key);
}
