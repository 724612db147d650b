//! What packets can reach of a bridge's tables, and what that uses.

use std::collections::BTreeSet;

use aorta_flow::field::FieldId;
use aorta_flow::table::AfterMiss;

use super::super::layout;
use super::super::limits::{Edge, Limits, Ways};
use super::super::record::MatchWord;
use super::super::shape::{Shape, Step};
use super::super::usage::fields_of;
use super::super::ways::{way, ways_of};
use super::Plan;

impl Plan {
    /// Keeps what packets can reach, and finds out what that uses.
    pub(super) fn restrict(&mut self) {
        let mut ways: Ways = self
            .tables
            .iter()
            .map(|(number, table)| {
                let extras = &self.extras;
                let of = |shape: &u32| {
                    let shape = self.shapes.get(*shape)?;
                    Some(ways_of(shape, *number, extras))
                };
                (*number, table.shapes.iter().filter_map(of).collect())
            })
            .collect();
        for (number, miss) in (0..).zip(&self.misses) {
            if let AfterMiss::Table(to) = *miss {
                let comes_back = false;
                let edge = Edge { to, comes_back };
                ways.entry(number).or_default().insert(vec![edge]);
            }
        }
        self.limits = Limits::of(&ways);
        self.framed = self.framed_by(&ways);
        let reachable = &self.limits.reachable;
        self.tables.retain(|number, _| reachable.contains(number));
        self.extras
            .groups
            .retain(|(_, table), _| reachable.contains(table));
        // Groups stand behind the tables in the code.
        let from_groups = self.extras.steps().filter_map(|(_, step)| way(step));
        let from_groups: Vec<u8> = from_groups.map(|edge| edge.to).collect();
        self.limits.loops.extend(from_groups);
        let mut words = BTreeSet::new();
        for table in self.tables.values_mut() {
            table.rules.sort_by_key(|rule| std::cmp::Reverse(rule.rank));
            words.extend(table.words.iter().copied());
        }
        let words: Vec<MatchWord> = words
            .into_iter()
            .map(|at| MatchWord {
                at,
                value: 0,
                mask: 0,
            })
            .collect();
        self.usage.add_match(fields_of(&words));
        for shape in self.used_shapes() {
            self.note(&shape);
        }
        self.note_groups();
        self.usage.reads.insert(FieldId::IN_PORT);
        if self.generic {
            self.usage.reads.extend(layout::header_fields());
        }
    }

    /// Tables to which control comes with frames on the stack: all but those that only the last
    /// steps of flows lead to.
    fn framed_by(&self, ways: &Ways) -> BTreeSet<u8> {
        let mut pending: Vec<u8> = Vec::new();
        for (number, table) in &self.tables {
            for shape in table.shapes.iter().filter_map(|n| self.shapes.get(*n)) {
                let mut ways = ways_of(shape, *number, &self.extras);
                if let Some(last) = shape.last_way() {
                    ways.retain(|edge| edge.to != last || shape.leads_often(last));
                }
                pending.extend(ways.iter().map(|edge| edge.to));
            }
        }
        let mut framed = BTreeSet::new();
        while let Some(table) = pending.pop() {
            if framed.insert(table) {
                let ways = ways.get(&table).into_iter().flatten().flatten();
                pending.extend(ways.map(|edge| edge.to));
            }
        }
        framed
    }

    fn note(&mut self, shape: &Shape) {
        self.usage.add_shape(shape);
        self.action_set |= !shape.writes.is_empty();
        for step in shape.all_steps() {
            self.note_step(step);
        }
    }

    fn note_step(&mut self, step: &Step) {
        match step {
            Step::Resubmit { in_port, table } => {
                self.resubmits = true;
                if in_port.is_some() {
                    self.overridden.insert(*table);
                }
            }
            Step::Clone(_) => self.copies = true,
            Step::SetQueue(_) | Step::Enqueue(..) => self.queues = true,
            _ => {}
        }
    }

    fn note_groups(&mut self) {
        let groups = std::mem::take(&mut self.extras.groups);
        for group in groups.values() {
            self.usage.add_hash(group);
            self.copies |= !group.buckets.is_empty();
            for bucket in &group.buckets {
                self.usage.add_steps(&bucket.steps);
                for step in bucket.steps.iter().flat_map(Step::with_inner) {
                    self.note_step(step);
                }
            }
        }
        self.extras.groups = groups;
        for meter in self.extras.meters.values() {
            self.usage.add_meter(meter);
        }
    }
}
