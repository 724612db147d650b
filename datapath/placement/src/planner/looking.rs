//! Looking at flows, and at those that depend on them.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use aorta_flow::Match;

use super::known::{Entry, Known, count};
use super::{Place, Planner};
use crate::Reason;
use crate::close::there;
use crate::form::Form;
use crate::place::Candidate;

impl Planner {
    /// A flow that packets of the card may match has come.
    pub(super) fn enter(&mut self, candidate: Candidate) {
        let (table, place) = at(&candidate);
        self.list_leading(&candidate, true);
        let known = self.tables.entry(table).or_default();
        known.all.insert(&candidate.matching, place);
        let matching = candidate.matching.clone();
        let trap = candidate.trap.as_ref();
        let entry = Entry {
            is_wide: trap.is_some_and(|trap| *trap != candidate.matching),
            kept: None,
            candidate,
            known_able: None,
            needed: 0,
        };
        known.entries.insert(place, entry);
        self.dirty.insert((Reverse(table), place));
        self.touched.insert((table, place));
        if table == 0 {
            self.look_at_ties(table, place, &matching);
        }
    }

    /// A flow has gone.
    pub(super) fn leave(&mut self, table: u8, place: Place) {
        self.make_known(table, place, None);
        self.dirty.remove(&(Reverse(table), place));
        self.touched.remove(&(table, place));
        let known = self.tables.entry(table).or_default();
        let Some(entry) = known.entries.remove(&place) else {
            return;
        };
        known.all.remove(&entry.candidate.matching, place);
        self.list_leading(&entry.candidate, false);
        if table == 0 {
            self.look_at_ties(table, place, &entry.candidate.matching);
        }
    }

    fn list_leading(&mut self, candidate: &Candidate, more: bool) {
        let Some((form, to)) = leads(candidate) else {
            return;
        };
        let (table, place) = at(candidate);
        let turn = (Reverse(table), place);
        count(&mut self.targets, to, more);
        let leading = &mut self.tables.entry(to).or_default().leading;
        match more {
            true => leading.insert(&there(candidate, form), turn),
            false => leading.remove(&there(candidate, form), turn),
        }
    }

    /// Looks at all flows that there is a reason to look at.
    pub(super) fn look(&mut self) {
        let most = self.device.capabilities.max_tables.max(1) - 1;
        let within: BTreeSet<u8> = self.targets.keys().copied().take(most).collect();
        let old = std::mem::replace(&mut self.within, within);
        let changed: Vec<u8> = old.symmetric_difference(&self.within).copied().collect();
        for table in changed {
            self.look_at_all_that_lead_to(table);
        }
        while let Some((Reverse(table), place)) = self.dirty.pop_first() {
            self.look_at(table, place);
        }
    }

    fn look_at(&mut self, table: u8, place: Place) {
        let withdrawn = self.withdrawn(table, place);
        let known = self.tables.get_mut(&table);
        let Some(entry) = known.and_then(|known| known.entries.get_mut(&place)) else {
            return;
        };
        if entry.candidate.withdrawn != withdrawn {
            entry.candidate.withdrawn = withdrawn;
            self.touched.insert((table, place));
        }
        let able = Some(entry.candidate.is_able());
        if entry.known_able != able {
            self.touched.insert((table, place));
            self.make_known(table, place, able);
        }
    }

    /// Why others keep a flow from the card.
    fn withdrawn(&self, table: u8, place: Place) -> Option<Reason> {
        let known = self.tables.get(&table)?;
        let candidate = &known.entries.get(&place)?.candidate;
        let form = candidate.form.as_ref().ok()?;
        let matching = &candidate.matching;
        if let Some(why) = self.leads_astray(candidate, form) {
            return Some(why);
        }
        let older = |other: Place| other.0 == place.0 && other < place;
        let rivals = if table == 0 { &known.all } else { &known.able };
        if let Some((_, flow)) = rivals.first(matching, older) {
            return Some(Reason::Tie(flow));
        }
        if table > 0 {
            return None;
        }
        let above = |other: Place| other < place;
        let covers = |other: Place| {
            let entry = known.entries.get(&other);
            let trap = entry.and_then(|entry| entry.candidate.trap.as_ref());
            above(other) && trap.is_some_and(|trap| trap.covers(matching))
        };
        let blocked = known.blockers.first(matching, above);
        let by = blocked.or_else(|| known.wide.first(matching, covers));
        by.map(|(_, flow)| Reason::Overtaken(flow))
    }

    fn leads_astray(&self, candidate: &Candidate, form: &Form) -> Option<Reason> {
        let table = form.goto?;
        if !self.within.contains(&table) {
            let most = self.device.capabilities.max_tables;
            return Some(Reason::TooManyTables { most });
        }
        let known = self.tables.get(&table);
        let met = known.and_then(|known| known.software.first(&there(candidate, form), |_| true));
        let catches_all = known.is_some_and(Known::catches_all);
        let flow = match met {
            Some((_, flow)) => Some(flow),
            None if self.told.needs_software(table) && !catches_all => None,
            None => return None,
        };
        Some(Reason::LeadsTo { table, flow })
    }

    /// Has others know a flow as one that can be on the card or not, or as gone.
    fn make_known(&mut self, table: u8, place: Place, able: Option<bool>) {
        let known = self.tables.entry(table).or_default();
        let Some(entry) = known.entries.get_mut(&place) else {
            return;
        };
        let old = std::mem::replace(&mut entry.known_able, able);
        let matching = entry.candidate.matching.clone();
        let trap = entry.candidate.trap.clone();
        for (able, more) in [(old, false), (able, true)] {
            match able {
                None => {}
                Some(true) => {
                    known.list_able(place, more);
                    need_traps(known, &matching, place, more, &mut self.touched);
                }
                Some(false) => known.list_software(place, more),
            }
        }
        if table > 0 {
            return self.look_at_dependents(table, place, &matching);
        }
        let needing = match &trap {
            Some(trap) if able == Some(false) => Known::among(&known.able, trap),
            _ => Vec::new(),
        };
        let needed = needing.iter().filter(|other| **other > place).count();
        known.need(place, |_| needed);
        if old == Some(false) || able == Some(false) {
            self.look_below(place, &matching, trap.as_ref());
        }
    }

    /// A flow of table 0 is one that others below it can't overtake, or no longer is.
    fn look_below(&mut self, place: Place, matching: &Match, trap: Option<&Match>) {
        let Some(known) = self.tables.get(&0) else {
            return;
        };
        let reaches = match trap {
            None => matching,
            Some(trap) if trap != matching => trap,
            Some(_) => return,
        };
        let below = Known::among(&known.all, reaches);
        let below = below.into_iter().filter(|other| *other > place);
        self.dirty.extend(below.map(|other| (Reverse(0), other)));
    }

    /// A flow of a later table is another one to those that lead there and to newer ones.
    fn look_at_dependents(&mut self, table: u8, place: Place, matching: &Match) {
        if let Some(known) = self.tables.get(&table) {
            known.leading.each(matching, &mut |turn| {
                self.dirty.insert(turn);
            });
        }
        self.look_at_ties(table, place, matching);
    }

    fn look_at_ties(&mut self, table: u8, place: Place, matching: &Match) {
        if let Some(known) = self.tables.get(&table) {
            known.all.each(matching, &mut |other| {
                if other.0 == place.0 && other > place {
                    self.dirty.insert((Reverse(table), other));
                }
            });
        }
    }

    pub(super) fn look_at_all_that_lead_to(&mut self, table: u8) {
        if let Some(known) = self.tables.get(&table) {
            known.leading.each(&Match::any(), &mut |turn| {
                self.dirty.insert(turn);
            });
        }
    }
}

/// Where it is.
fn at(candidate: &Candidate) -> (u8, Place) {
    let place = (Reverse(candidate.flow.priority), candidate.id);
    (candidate.flow.table, place)
}

/// The form of a flow that leads to another table whatever others do, and that table.
fn leads(candidate: &Candidate) -> Option<(&Form, u8)> {
    let form = candidate.form.as_ref().ok()?;
    Some((form, form.goto?))
}

/// A flow that needs the traps above it has come, or gone.
fn need_traps(
    known: &mut Known,
    matching: &Match,
    place: Place,
    more: bool,
    touched: &mut BTreeSet<(u8, Place)>,
) {
    for above in Known::among(&known.traps, matching) {
        if above < place {
            known.need(above, |needed| match more {
                true => needed + 1,
                false => needed.saturating_sub(1),
            });
            touched.insert((0, above));
        }
    }
}
