//! Buckets that filters share.

use std::collections::BTreeMap;

use rustix::io::Errno;

use super::refusal;
use crate::offload::flower::{Filter, Police, PoliceCounters, Refusal};

/// A bucket that a filter names.
#[derive(Clone, Copy)]
struct Bucket {
    police: Police,
    counters: PoliceCounters,
    /// Packets that still pass; none for as many as come.
    left: Option<u64>,
}

/// All buckets, by number.
#[derive(Default)]
pub struct Buckets(BTreeMap<u32, Bucket>);

impl Buckets {
    /// Notes that a filter comes. One that would find another bucket than it asks for, is refused: the
    /// kernel would say nothing.
    pub fn join(&mut self, filter: &Filter) -> Result<(), Refusal> {
        let Some(police) = filter.police() else {
            return Ok(());
        };
        let bucket = self.0.entry(police.index).or_insert(Bucket {
            police,
            counters: PoliceCounters::default(),
            left: None,
        });
        match bucket.police == police {
            true => Ok(()),
            false => Err(refusal(
                Errno::EXIST,
                "there is another bucket of this number",
            )),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets buckets that no filter names.
    pub fn retain<'f>(&mut self, filters: impl Iterator<Item = &'f Filter>) {
        let named: Vec<u32> = filters
            .filter_map(Filter::police)
            .map(|one| one.index)
            .collect();
        self.0.retain(|index, _| named.contains(index));
    }

    /// So many packets still pass each bucket.
    pub fn leave(&mut self, packets: u64) {
        for bucket in self.0.values_mut() {
            bucket.left = Some(packets);
        }
    }

    /// Whether a packet passes.
    pub fn pass(&mut self, police: Police, frame: &[u8]) -> bool {
        let Some(bucket) = self.0.get_mut(&police.index) else {
            return true;
        };
        bucket.counters.packets += 1;
        bucket.counters.bytes += frame.len() as u64;
        let passes = bucket.left != Some(0);
        bucket.left = bucket.left.map(|left| left.saturating_sub(1));
        bucket.counters.dropped += u64::from(!passes);
        passes
    }

    /// What the bucket that a filter names has counted.
    pub fn counted(&self, filter: &Filter) -> Option<(u32, PoliceCounters)> {
        let index = filter.police()?.index;
        Some((index, self.0.get(&index)?.counters))
    }
}
