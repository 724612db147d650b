//! Table 0: no packet is overtaken by a flow of lower priority.

use crate::Reason;
use crate::overlaps::Overlaps;
use crate::place::{Candidate, Table};

/// Takes flows back some of whose packets ought to go to a flow of higher priority that can neither
/// be on the card nor be trapped, and those all of whose packets a wider trap takes.
pub(crate) fn guard(table: &mut Table) {
    let mut blockers = Overlaps::default();
    let mut wide = Overlaps::default();
    for position in 0..table.len() {
        let (before, here) = table.split_at_mut(position);
        let candidate = &mut here[0];
        if candidate.is_able()
            && let Some(by) = overtakes(candidate, before, &blockers, &wide)
        {
            candidate.withdrawn = Some(Reason::Overtaken(before[by].id));
        }
        if candidate.is_able() {
            continue;
        }
        match &candidate.trap {
            None => blockers.insert(&candidate.matching, position),
            Some(trap) if *trap != candidate.matching => wide.insert(trap, position),
            Some(_) => {}
        }
    }
}

/// The flow of higher priority that keeps a flow from the card.
fn overtakes(
    candidate: &Candidate,
    before: &[Candidate],
    blockers: &Overlaps,
    wide: &Overlaps,
) -> Option<usize> {
    let covers = |position: usize| {
        let trap = before[position].trap.as_ref();
        trap.is_some_and(|trap| trap.covers(&candidate.matching))
    };
    let blocked = blockers.first(&candidate.matching, |_| true);
    blocked.or_else(|| wide.first(&candidate.matching, covers))
}
