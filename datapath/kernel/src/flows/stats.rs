//! Counters of rules, which outlive the daemon.
//!
//! They grow by a new map beside the old one; what the old one has counted when its last program
//! has gone is kept in a third, which no program writes.

use std::time::Duration;

use aorta_compiler::abi::{MapKind, MapSpec};
use aorta_compiler::pipeline::maps::{flow_stats_spec, stats};
use aorta_ebpf::MapId;

use crate::error::DatapathError;
use crate::map::Map;
use crate::pins::{self, PinDir};

/// Rules that can be counted at first.
const FIRST_ENTRIES: u32 = 4096;
/// Entries that are written with one call.
const ZEROED_AT_ONCE: usize = 4096;

const NAME: &str = "flow_stats";
const OLD: &str = "flow_stats_old";
const BEFORE: &str = "flow_stats_before";

/// What a flow has counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FlowCounters {
    /// Packets that it matched.
    pub packets: u64,
    /// Their bytes, as they came.
    pub bytes: u64,
    /// Time since the newest; none if there was none.
    pub idle: Option<Duration>,
}

impl FlowCounters {
    /// From a rule's words and the tick counter, of which there are `hz` in a second.
    pub fn new(words: Option<&Words>, now: u64, hz: u32) -> FlowCounters {
        let [packets, bytes, used] = words.copied().unwrap_or_default();
        // A packet may have come after the tick counter was read.
        let ms = now.saturating_sub(used).saturating_mul(1000) / u64::from(hz.max(1));
        FlowCounters {
            packets,
            bytes,
            idle: (used > 0).then_some(Duration::from_millis(ms)),
        }
    }
}

/// Counters of rules.
#[derive(Debug)]
pub struct FlowStats {
    pins: PinDir,
    map: Map,
    old: Option<Map>,
    before: Option<Map>,
    /// Counters of free numbers below may be other than 0: those of an earlier daemon.
    used_below: u32,
}

/// One rule's words: packets, bytes, tick.
pub type Words = [u64; 3];

impl FlowStats {
    /// Adopts what is pinned, and makes what is missing.
    pub fn open(pins: &PinDir) -> Result<FlowStats, DatapathError> {
        let open = |name: &str, kind| Map::open(&pins.state(name), name, kind);
        let fits = |map: &Map| map.value_bytes() == stats::BYTES;
        let pinned = open(NAME, MapKind::PerCpuArray)?.filter(fits);
        let used_below = pinned.as_ref().map_or(0, Map::max_entries);
        let map = match pinned {
            Some(map) => map,
            None => create(pins, FIRST_ENTRIES)?,
        };
        let old = open(OLD, MapKind::PerCpuArray)?.filter(fits);
        let before = open(BEFORE, MapKind::Array)?.filter(fits);
        Ok(FlowStats {
            pins: pins.clone(),
            map,
            old,
            before,
            used_below,
        })
    }

    /// The map, for programs.
    pub fn map(&self) -> &Map {
        &self.map
    }

    /// How many rules can be counted.
    pub fn capacity(&self) -> u32 {
        self.map.max_entries()
    }

    /// Makes a larger map. Programs that use the one before must be exchanged, and then
    /// [`FlowStats::fold`] called when none of them runs any more.
    pub fn grow(&mut self, entries: u32) -> Result<(), DatapathError> {
        let entries = entries.max(self.capacity()).next_power_of_two();
        pins::rename(&self.pins.state(NAME), &self.pins.state(OLD))?;
        let map = create(&self.pins, entries)?;
        self.old = Some(std::mem::replace(&mut self.map, map));
        Ok(())
    }

    /// Whether the map before is still in use.
    pub fn is_growing(&self) -> bool {
        self.old.is_some()
    }

    /// Takes over what the map before has counted.
    pub fn fold(&mut self) -> Result<(), DatapathError> {
        let Some(old) = self.old.take() else {
            return Ok(());
        };
        let mut sums = read(&old, old.max_entries())?;
        if let Some(before) = &self.before {
            add(&mut sums, read(before, before.max_entries())?);
        }
        let before = Map::create(&before_spec(sums.len() as u32), BEFORE)?;
        let indices: Vec<u32> = (0..sums.len() as u32).collect();
        let bytes: Vec<u8> = sums
            .iter()
            .flatten()
            .flat_map(|w| w.to_ne_bytes())
            .collect();
        before.set_indices(&indices, &bytes)?;
        before.pin(&self.pins.state(BEFORE))?;
        self.before = Some(before);
        pins::unpin(&self.pins.state(OLD))
    }

    /// Sets the counters of numbers to 0 that are given to new rules, as far as they can be other
    /// than that. `ids` ascend.
    pub fn zero_new(&self, ids: &[u32]) -> Result<(), DatapathError> {
        self.zero(&ids[..ids.partition_point(|id| *id < self.used_below)])
    }

    /// Sets the counters of numbers to 0 that no rule has any more. `ids` ascend.
    pub fn zero(&self, ids: &[u32]) -> Result<(), DatapathError> {
        let maps = [Some(&self.map), self.old.as_ref(), self.before.as_ref()];
        for map in maps.into_iter().flatten() {
            let ids = &ids[..ids.partition_point(|id| *id < map.max_entries())];
            for ids in ids.chunks(ZEROED_AT_ONCE) {
                map.set_indices(ids, &vec![0; ids.len() * map.entry_bytes()])?;
            }
        }
        Ok(())
    }

    /// Lowers what a rule has counted, which no program counts now.
    pub fn subtract(&self, id: u32, packets: u64, bytes: u64) -> Result<(), DatapathError> {
        let mut entry = self.map.get(&id.to_ne_bytes())?.unwrap_or_default();
        let less = [(stats::PACKETS, packets), (stats::BYTES_SEEN, bytes)];
        for (at, less) in less {
            if let Some(word) = entry
                .get_mut(at as usize..)
                .and_then(<[u8]>::first_chunk_mut)
            {
                *word = u64::from_ne_bytes(*word).wrapping_sub(less).to_ne_bytes();
            }
        }
        self.map.set_indices(&[id], &entry)
    }

    /// Words of one rule.
    pub fn read_one(&self, id: u32) -> Result<Words, DatapathError> {
        let mut sum = [0; 3];
        for map in [Some(&self.map), self.old.as_ref(), self.before.as_ref()] {
            let Some(map) = map.filter(|map| id < map.max_entries()) else {
                continue;
            };
            let entry = map.get(&id.to_ne_bytes())?.unwrap_or_default();
            for cpu in entry.chunks_exact(stats::BYTES) {
                merge(&mut sum, words(cpu));
            }
        }
        Ok(sum)
    }

    /// Words of the first `count` rules: packets, bytes, tick of the newest packet.
    pub fn read(&self, count: u32) -> Result<Vec<Words>, DatapathError> {
        let mut sums = read(&self.map, count)?;
        for map in self.old.iter().chain(&self.before) {
            add(&mut sums, read(map, count.min(map.max_entries()))?);
        }
        Ok(sums)
    }
}

fn before_spec(max_entries: u32) -> MapSpec {
    MapSpec {
        id: MapId(u32::MAX),
        name: BEFORE,
        kind: MapKind::Array,
        key_bytes: 4,
        value_bytes: stats::BYTES as u32,
        max_entries,
    }
}

fn create(pins: &PinDir, entries: u32) -> Result<Map, DatapathError> {
    let map = Map::create(&flow_stats_spec(entries), NAME)?;
    map.pin(&pins.state(NAME))?;
    Ok(map)
}

/// The first `count` entries, all CPUs together.
fn read(map: &Map, count: u32) -> Result<Vec<Words>, DatapathError> {
    let bytes = map.get_first(count)?;
    let entries = bytes.chunks_exact(map.entry_bytes());
    Ok(entries
        .map(|entry| {
            let mut sum = [0; 3];
            for cpu in entry.chunks_exact(stats::BYTES) {
                merge(&mut sum, words(cpu));
            }
            sum
        })
        .collect())
}

fn words(bytes: &[u8]) -> Words {
    let mut words = [0; 3];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *word = u64::from_ne_bytes(*bytes);
    }
    words
}

fn merge(sum: &mut Words, more: Words) {
    sum[0] = sum[0].wrapping_add(more[0]);
    sum[1] = sum[1].wrapping_add(more[1]);
    sum[2] = sum[2].max(more[2]);
}

fn add(sums: &mut [Words], more: Vec<Words>) {
    for (sum, more) in sums.iter_mut().zip(more) {
        merge(sum, more);
    }
}
