//! Where flows lead: what is begun on a card is ended there. And which of several of one priority a
//! card may have.

use std::collections::{BTreeMap, BTreeSet};

use aorta_flow::Match;
use aorta_flow::table::FlowId;

use crate::form::Form;
use crate::overlaps::Overlaps;
use crate::place::{Candidate, Table};
use crate::{Capabilities, Reason, Told};

/// What a packet on the card can meet in a table that the card can't do.
#[derive(Default)]
struct Open {
    /// Flows that aren't on the card.
    software: Overlaps,
    /// All flows, by position.
    ids: Vec<FlowId>,
    /// Whether there is a flow on the card that matches everything.
    catches_all: bool,
}

/// Takes flows back that lead to where software would be needed, from the last table to the first.
pub(crate) fn close(sorted: &mut BTreeMap<u8, Table>, capabilities: &Capabilities, told: &Told) {
    let most = capabilities.max_tables;
    // Table 0 is one of those that the card has.
    let within: BTreeSet<u8> = targets(sorted).into_iter().take(most.max(1) - 1).collect();
    let mut behind: BTreeMap<u8, Open> = BTreeMap::new();
    for (number, table) in sorted.iter_mut().rev() {
        let mut open = Open::default();
        let mut ties = Ties::default();
        let shared = shared(table);
        for (position, candidate) in table.iter_mut().enumerate() {
            if let Some(why) = leads_astray(candidate, &within, &mut behind, told) {
                candidate.withdrawn = Some(why.unwrap_or(Reason::TooManyTables { most }));
            }
            if shared[position] {
                ties.settle(*number, candidate);
            }
            if *number == 0 {
                continue;
            }
            open.ids.push(candidate.id);
            match candidate.is_able() {
                true => open.catches_all |= candidate.matching == Match::any(),
                false => open.software.insert(&candidate.matching, position),
            }
        }
        behind.insert(*number, open);
    }
}

/// Whether there is another flow of the priority of each.
fn shared(table: &Table) -> Vec<bool> {
    let same = |a: &Candidate, b: &Candidate| a.flow.priority == b.flow.priority;
    let levels = table.chunk_by(same);
    let shared = levels.flat_map(|level| level.iter().map(|_| level.len() > 1));
    shared.collect()
}

/// Flows of one priority.
#[derive(Default)]
struct Ties {
    priority: Option<u16>,
    older: Overlaps,
    ids: Vec<FlowId>,
}

impl Ties {
    /// Takes a flow back that an older one of the same priority comes before for some packets. Those of
    /// a later table only count if they are there: no packet of others comes to it.
    fn settle(&mut self, table: u8, candidate: &mut Candidate) {
        if self.priority != Some(candidate.flow.priority) {
            *self = Ties {
                priority: Some(candidate.flow.priority),
                ..Ties::default()
            };
        }
        if candidate.is_able()
            && let Some(older) = self.older.first(&candidate.matching, |_| true)
        {
            candidate.withdrawn = Some(Reason::Tie(self.ids[older]));
        }
        if table == 0 || candidate.is_able() {
            self.older.insert(&candidate.matching, self.ids.len());
            self.ids.push(candidate.id);
        }
    }
}

/// Tables that flows lead to.
fn targets(sorted: &BTreeMap<u8, Table>) -> BTreeSet<u8> {
    let forms = sorted.values().flatten();
    forms.filter_map(Candidate::goto).collect()
}

/// Whether a flow that the card can do leads to where packets can't be left to it: why, or nothing
/// if the card hasn't that table.
fn leads_astray(
    candidate: &Candidate,
    within: &BTreeSet<u8>,
    behind: &mut BTreeMap<u8, Open>,
    told: &Told,
) -> Option<Option<Reason>> {
    let form = candidate.fate().ok()?;
    let table = form.goto?;
    if !within.contains(&table) {
        return Some(None);
    }
    let open = behind.entry(table).or_default();
    let flow = match open.software.first(&there(candidate, form), |_| true) {
        Some(position) => Some(open.ids[position]),
        None if told.needs_software(table) && !open.catches_all => None,
        None => return None,
    };
    Some(Some(Reason::LeadsTo { table, flow }))
}

/// The packets of a flow as they come to the next table, or more.
pub(crate) fn there(candidate: &Candidate, form: &Form) -> Match {
    let changed = |field| form.changed.contains(&field);
    candidate.matching.without(changed)
}
