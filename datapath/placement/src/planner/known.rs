//! What is known of a table's flows.

use std::collections::BTreeMap;

use aorta_flow::Match;

use super::{Place, Turn};
use crate::choose::Kept;
use crate::overlaps::Overlaps;
use crate::place::Candidate;

/// A flow that packets of the card may match.
pub(super) struct Entry {
    pub candidate: Candidate,
    /// Whether others know it as one that can be on the card, if they know it.
    pub known_able: Option<bool>,
    /// Whether its trap matches more than it does.
    pub is_wide: bool,
    /// In which form it is kept, if that was said since it is here.
    pub kept: Option<Kept>,
    /// Of a trap of table 0, how many flows on the card below it match some of its packets.
    pub needed: usize,
}

/// A table.
#[derive(Default)]
pub(super) struct Known {
    pub entries: BTreeMap<Place, Entry>,
    /// All of them.
    pub all: Overlaps<Place>,
    /// Those that can be on the card.
    pub able: Overlaps<Place>,
    /// How many these are.
    pub ables: usize,
    /// Of these, how many match everything.
    pub catch_all: usize,
    /// Of these, how many lead to each table.
    pub gotos: BTreeMap<u8, usize>,
    /// Those that can't.
    pub software: Overlaps<Place>,
    /// Of these, in table 0, those that leave their packets to software, by what the trap matches.
    pub traps: Overlaps<Place>,
    /// How many of these are needed.
    pub needed_traps: usize,
    /// Those of which the trap matches more than they do.
    pub wide: Overlaps<Place>,
    /// Those that have no trap.
    pub blockers: Overlaps<Place>,
    /// Flows of other tables that lead here, by their packets as they come.
    pub leading: Overlaps<Turn>,
}

/// Counts one more or one less of a number, which isn't kept if there are none.
pub(super) fn count(counts: &mut BTreeMap<u8, usize>, of: u8, more: bool) {
    let number = counts.entry(of).or_default();
    *number = match more {
        true => *number + 1,
        false => number.saturating_sub(1),
    };
    if *number == 0 {
        counts.remove(&of);
    }
}

/// Puts a match into an index, or takes it out.
fn list(index: &mut Overlaps<Place>, matching: &Match, place: Place, more: bool) {
    match more {
        true => index.insert(matching, place),
        false => index.remove(matching, place),
    }
}

impl Known {
    /// Whether a table has a flow on the card for all packets.
    pub fn catches_all(&self) -> bool {
        self.catch_all > 0
    }

    /// Notes that a flow can be on the card, or no longer notes it.
    pub fn list_able(&mut self, place: Place, more: bool) {
        let Some(entry) = self.entries.get(&place) else {
            return;
        };
        let candidate = &entry.candidate;
        list(&mut self.able, &candidate.matching, place, more);
        if let Some(to) = candidate.form.as_ref().ok().and_then(|form| form.goto) {
            count(&mut self.gotos, to, more);
        }
        let all = usize::from(candidate.matching == Match::any());
        match more {
            true => (self.ables, self.catch_all) = (self.ables + 1, self.catch_all + all),
            false => (self.ables, self.catch_all) = (self.ables - 1, self.catch_all - all),
        }
    }

    /// Notes that a flow can't be on the card, or no longer notes it.
    pub fn list_software(&mut self, place: Place, more: bool) {
        let Some(entry) = self.entries.get(&place) else {
            return;
        };
        let Candidate { matching, trap, .. } = &entry.candidate;
        list(&mut self.software, matching, place, more);
        match trap {
            None => list(&mut self.blockers, matching, place, more),
            Some(trap) => {
                list(&mut self.traps, trap, place, more);
                if trap != matching {
                    list(&mut self.wide, trap, place, more);
                }
            }
        }
    }

    /// How many flows need the trap of one.
    pub fn need(&mut self, place: Place, needed: impl Fn(usize) -> usize) {
        if let Some(entry) = self.entries.get_mut(&place) {
            let old = entry.needed;
            entry.needed = needed(old);
            self.needed_traps -= usize::from(old > 0);
            self.needed_traps += usize::from(entry.needed > 0);
        }
    }

    /// Places that an index has for a match.
    pub fn among(index: &Overlaps<Place>, matching: &Match) -> Vec<Place> {
        let mut places = Vec::new();
        index.each(matching, &mut |place| places.push(place));
        places
    }
}
