//! What buckets have counted that rules share. Pure.

use std::collections::BTreeMap;

use aorta_placement::Rule;

use super::super::{Filter, PoliceCounters};

/// Buckets that are there, and what meters have counted by those that have gone.
#[derive(Debug, Default)]
pub struct Buckets {
    there: BTreeMap<u32, Bucket>,
    /// By meter.
    gone: BTreeMap<u32, PoliceCounters>,
}

#[derive(Debug)]
struct Bucket {
    meter: u32,
    /// Filters that name it.
    filters: usize,
    /// What it has counted, when it was last asked.
    last: PoliceCounters,
}

impl Buckets {
    /// A rule has these filters now.
    pub fn join(&mut self, rule: &Rule, filters: &[Filter]) {
        let Some(policer) = rule.policer else {
            return;
        };
        for police in filters.iter().filter_map(Filter::police) {
            let bucket = self.there.entry(police.index).or_insert(Bucket {
                meter: policer.meter,
                filters: 0,
                last: PoliceCounters::default(),
            });
            bucket.filters += 1;
        }
    }

    /// These filters have gone. A bucket goes with the last one that names it.
    pub fn leave(&mut self, filters: &[Filter]) {
        for police in filters.iter().filter_map(Filter::police) {
            let Some(bucket) = self.there.get_mut(&police.index) else {
                continue;
            };
            bucket.filters = bucket.filters.saturating_sub(1);
            if bucket.filters == 0 {
                let (meter, last) = (bucket.meter, bucket.last);
                self.there.remove(&police.index);
                add(self.gone.entry(meter).or_default(), last);
            }
        }
    }

    /// All filters have gone.
    pub fn leave_all(&mut self) {
        for bucket in std::mem::take(&mut self.there).into_values() {
            add(self.gone.entry(bucket.meter).or_default(), bucket.last);
        }
    }

    /// Takes what a bucket has counted since it is there.
    pub fn note(&mut self, policed: Option<(u32, PoliceCounters)>) {
        if let Some((index, counters)) = policed
            && let Some(bucket) = self.there.get_mut(&index)
        {
            bucket.last = counters;
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.there.is_empty()
    }

    /// What has been counted, by meter.
    pub fn meters(&self) -> BTreeMap<u32, PoliceCounters> {
        let mut meters = self.gone.clone();
        for bucket in self.there.values() {
            add(meters.entry(bucket.meter).or_default(), bucket.last);
        }
        meters
    }
}

fn add(to: &mut PoliceCounters, counted: PoliceCounters) {
    to.packets += counted.packets;
    to.bytes += counted.bytes;
    to.dropped += counted.dropped;
}
