//! Flows that were learned, and go with the flow that learned them (`delete_learned`). Pure.

use std::collections::{HashMap, HashSet};

use aorta_flow::Flow;
use aorta_flow::action::{Action, Learn};
use aorta_flow::table::{Change, FlowMod, Modification, Tables};
use aorta_flow::text::Command;

/// Table and cookie of learned flows.
type Learned = (u8, u64);

/// How many `learn` actions with `delete_learned` make flows of each table and cookie. Learned
/// flows are known by these alone: they go when the last such action does.
#[derive(Debug, Default)]
pub struct Learners(HashMap<Learned, i64>);

impl Learners {
    /// Removes what was learned by flows that went, and what was learned by that, and so on.
    pub fn follow(&self, tables: &mut Tables, changes: &mut Vec<Change>) {
        let mut done = HashSet::new();
        loop {
            let lost = self.lost(changes);
            let lost: Vec<Learned> = lost.into_iter().filter(|l| done.insert(*l)).collect();
            if lost.is_empty() {
                return;
            }
            for (table, cookie) in lost {
                let delete = FlowMod {
                    command: Command::Delete,
                    table: Some(table),
                    cookie: Some((cookie, u64::MAX)),
                    ..FlowMod::default()
                };
                // A deletion is never refused, except in a table that can't have learned flows.
                if let Ok(removed) = tables.modify(&Modification::Flow(delete)) {
                    changes.extend(removed);
                }
            }
        }
    }

    /// What nobody learns any more after some changes.
    fn lost(&self, changes: &[Change]) -> Vec<Learned> {
        let difference = difference(changes);
        let lost = difference.into_iter().filter(|(learned, by)| {
            let before = self.0.get(learned).copied().unwrap_or(0);
            before > 0 && before + by <= 0
        });
        lost.map(|(learned, _)| learned).collect()
    }

    /// Makes changes last.
    pub fn commit(&mut self, changes: &[Change]) {
        for (learned, by) in difference(changes) {
            let count = self.0.entry(learned).or_insert(0);
            *count += by;
            if *count <= 0 {
                self.0.remove(&learned);
            }
        }
    }
}

fn difference(changes: &[Change]) -> HashMap<Learned, i64> {
    let mut difference = HashMap::new();
    let mut count = |flow: &Flow, by: i64| {
        for learn in learns(flow) {
            *difference.entry((learn.table, learn.cookie)).or_insert(0) += by;
        }
    };
    for change in changes {
        match change {
            Change::FlowAdded(entry) => count(&entry.flow, 1),
            Change::FlowReplaced { old, new, .. } => {
                count(&old.flow, -1);
                count(&new.flow, 1);
            }
            Change::FlowRemoved { entry, .. } => count(&entry.flow, -1),
            Change::Group { .. } | Change::Meter { .. } => {}
        }
    }
    difference
}

/// The actions of a flow whose learned flows go with it.
fn learns(flow: &Flow) -> Vec<&Learn> {
    let actions = flow.instructions.all_actions().into_iter();
    let learns = actions.filter_map(|action| match action {
        Action::Learn(learn) => Some(&**learn),
        _ => None,
    });
    learns.filter(|learn| learn.delete_learned).collect()
}
