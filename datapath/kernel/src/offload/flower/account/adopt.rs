//! Going on with filters that are there.

use std::collections::{BTreeMap, BTreeSet};

use aorta_placement::Rule;

use super::super::cookie::{CardMark, Purpose, cookie};
use super::super::lower::{Lowering, Needs, pref};
use super::super::{Cookie, Filter, Listed, Place};
use super::{Account, Entry, FIRST_HANDLE, Plan};

/// Filters that are there, without an owner: their numbers by all that else tells them apart.
#[derive(Debug, Default)]
pub struct Ownerless(BTreeMap<(Place, Cookie), BTreeSet<u32>>);

impl Ownerless {
    /// These. Nothing if one of them isn't as it was put.
    pub fn of(listed: &[Listed], in_hardware: bool) -> Option<Ownerless> {
        let mut all = Ownerless::default();
        for one in listed {
            let own = one.own.filter(|own| own.in_hardware || !in_hardware)?;
            let at = (numberless(one.place), own.cookie);
            all.0.entry(at).or_default().insert(one.place.handle);
        }
        Some(all)
    }

    /// The number of a filter, which has an owner from now on.
    pub fn take(&mut self, place: Place, cookie: Cookie) -> Option<u32> {
        self.0.get_mut(&(numberless(place), cookie))?.pop_first()
    }

    /// Whether all have owners.
    pub fn is_empty(&self) -> bool {
        self.0.values().all(BTreeSet::is_empty)
    }
}

fn numberless(place: Place) -> Place {
    Place { handle: 0, ..place }
}

impl Account {
    /// Takes a rule over whose filters are there. False if they aren't.
    pub fn adopt(
        &mut self,
        rule: &Rule,
        (lowering, unguarded): (&Lowering, Needs),
        there: &mut Ownerless,
    ) -> bool {
        let Some(old) = filters(self.mark, rule, lowering, there) else {
            return false;
        };
        let count = old.len();
        let entry = self.entry(rule, &old, lowering, unguarded);
        self.settled();
        match entry {
            Ok(after) if after.filters.len() == count => {
                self.reserve(&after);
                self.done(Plan {
                    key: rule.key(),
                    requests: Vec::new(),
                    undo: Vec::new(),
                    after: Some(after),
                });
                true
            }
            _ => false,
        }
    }

    /// Has numbers of filters that are there be given to no other.
    fn reserve(&mut self, entry: &Entry) {
        let handles = entry.filters.iter().map(|filter| filter.place.handle);
        self.reserve_handles(handles);
    }

    /// See [`Account::reserve`].
    pub fn reserve_handles(&mut self, handles: impl Iterator<Item = u32>) {
        let next = handles.map(|handle| handle.saturating_add(1)).max();
        self.next_handle = self.next_handle.max(next.unwrap_or(FIRST_HANDLE));
    }
}

/// The filters of a rule as they are there.
fn filters(
    mark: CardMark,
    rule: &Rule,
    lowering: &Lowering,
    there: &mut Ownerless,
) -> Option<Vec<Filter>> {
    let purpose = rule.flow.map_or(Purpose::Miss, Purpose::Flow);
    let lowered = lowering.lower(rule).ok()?.into_iter();
    let filter = lowered.map(|one| {
        let cookie = cookie(mark, purpose, &one.keys, &one.actions);
        let place = Place {
            device: one.device,
            chain: rule.table.into(),
            pref: pref(rule),
            handle: 0,
        };
        let handle = there.take(place, cookie)?;
        Some(Filter {
            place: Place { handle, ..place },
            keys: one.keys,
            actions: one.actions,
            running: lowering.running,
            cookie,
        })
    });
    filter.collect()
}
