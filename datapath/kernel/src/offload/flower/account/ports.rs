//! Ports that come and go.

use std::collections::BTreeSet;

use aorta_flow::{IfIndex, OfPort};
use aorta_placement::RuleKey;

use super::super::cookie::{Purpose, cookie};
use super::super::lower::{Lowering, Needs, pref};
use super::super::{Filter, Place, Refusal};
use super::Account;

impl Account {
    /// Filters on devices: their rules, and whether they count.
    pub fn filters_at(&self, devices: &BTreeSet<IfIndex>) -> Vec<(RuleKey, Place, bool)> {
        let entries = self.entries.iter();
        let all = entries.flat_map(|(key, entry)| {
            let filters = entry.filters.iter();
            filters.map(move |filter| (*key, filter.place, entry.counts()))
        });
        all.filter(|(_, place, _)| devices.contains(&place.device))
            .collect()
    }

    /// Forgets filters on devices; their rules stay, with those that they have elsewhere.
    pub fn leave_devices(&mut self, devices: &BTreeSet<IfIndex>) {
        for entry in self.entries.values_mut() {
            let filters = std::mem::take(&mut entry.filters);
            let (gone, left): (Vec<Filter>, Vec<Filter>) = filters
                .into_iter()
                .partition(|filter| devices.contains(&filter.place.device));
            entry.filters = left;
            self.buckets.leave(&gone);
            let handles = gone.iter().map(|filter| filter.place.handle);
            self.free_handles.extend(handles);
        }
    }

    /// Filters that the rules need on ports that come, in the order in which they may be put: no packet
    /// meets one that another is to keep it from.
    ///
    /// # Errors
    /// When the card can't be told one of them.
    pub fn for_ports(
        &mut self,
        ports: &BTreeSet<OfPort>,
        lowering: &Lowering,
        unguarded: Needs,
    ) -> Result<Vec<(RuleKey, Filter)>, Refusal> {
        let mut all = Vec::new();
        let rules: Vec<_> = self.rules().cloned().collect();
        for rule in rules {
            let purpose = rule.flow.map_or(Purpose::Miss, Purpose::Flow);
            for one in lowering.lower_at(&rule, ports)? {
                one.needs.check(unguarded)?;
                let place = Place {
                    device: one.device,
                    chain: rule.table.into(),
                    pref: pref(&rule),
                    handle: self.take_handle(),
                };
                let filter = Filter {
                    cookie: cookie(self.mark, purpose, &one.keys, &one.actions),
                    place,
                    keys: one.keys,
                    actions: one.actions,
                    running: lowering.running,
                };
                all.push((rule.key(), filter));
            }
        }
        all.sort_by_key(|(_, filter)| (u32::MAX - filter.place.chain, filter.place.pref));
        Ok(all)
    }

    /// Notes filters that are there.
    pub fn join_filters(&mut self, filters: Vec<(RuleKey, Filter)>) {
        for (key, filter) in filters {
            if let Some(entry) = self.entries.get_mut(&key) {
                self.buckets
                    .join(&entry.rule, std::slice::from_ref(&filter));
                entry.filters.push(filter);
            }
        }
    }
}
