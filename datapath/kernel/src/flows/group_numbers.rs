//! Under which numbers groups and their buckets are counted, for the next daemon.
//!
//! What controllers name tells which flow is which; the numbers of groups are known here alone.

use std::collections::{BTreeMap, BTreeSet};

use aorta_compiler::abi::{self, MapKind, MapSpec};
use aorta_compiler::pipeline::counted;
use aorta_ebpf::MapId;
use aorta_flow::table::FlowId;

use super::rules::Rules;
use crate::error::DatapathError;
use crate::map::Map;
use crate::pins::{self, PinDir};

/// Numbers that can be kept; groups beyond that count from 0 after a restart.
const MAX_NUMBERS: u32 = 1 << 18;

/// Key: slot of the bridge (u32), four bytes of 0, what is counted (u64). Value: its number (u32).
const SPEC: MapSpec = MapSpec {
    id: MapId(u32::MAX),
    name: "group_numbers",
    kind: MapKind::Hash,
    key_bytes: 16,
    value_bytes: 4,
    max_entries: MAX_NUMBERS,
};

/// By what stands for the group or bucket.
type Numbers = BTreeMap<FlowId, u32>;

/// The numbers of all bridges.
#[derive(Debug)]
pub struct GroupNumbers {
    map: Map,
    /// What the map has, by slot of the bridge.
    written: BTreeMap<u32, Numbers>,
}

impl GroupNumbers {
    /// Adopts what is pinned.
    pub fn open(pins: &PinDir) -> Result<GroupNumbers, DatapathError> {
        let path = pins.state(SPEC.name);
        let pinned = Map::open(&path, SPEC.name, SPEC.kind)?;
        let map = match pinned.filter(|map| map.matches(&SPEC)) {
            Some(map) => map,
            None => {
                pins::unpin(&path)?;
                let map = Map::create(&SPEC, SPEC.name)?;
                map.pin(&path)?;
                map
            }
        };
        let mut written: BTreeMap<u32, Numbers> = BTreeMap::new();
        for key in map.keys()? {
            let number = map.get(&key)?.and_then(|value| read_u32(&value));
            if let (Some((slot, id)), Some(number)) = (read_key(&key), number) {
                written.entry(slot).or_default().insert(id, number);
            }
        }
        Ok(GroupNumbers { map, written })
    }

    /// The numbers of a bridge, as an earlier daemon left them.
    pub fn of_bridge(&self, slot: u32) -> impl Iterator<Item = (FlowId, u32)> {
        let numbers = self.written.get(&slot).into_iter().flatten();
        numbers.map(|(id, number)| (*id, *number))
    }

    /// Keeps the numbers that a bridge has now. What there is no room for isn't kept.
    pub fn keep(&mut self, slot: u32, rules: &Rules) -> Result<(), DatapathError> {
        let now: Numbers = rules.starting_at(counted::group_id(0)).collect();
        let before = self.written.entry(slot).or_default();
        if now == *before {
            return Ok(());
        }
        let ids: BTreeSet<FlowId> = before.keys().chain(now.keys()).copied().collect();
        for id in ids {
            let key = key(slot, id);
            match (before.get(&id), now.get(&id)) {
                (Some(_), None) => self.map.remove(&key)?,
                (old, Some(new)) if old != Some(new) => {
                    // A full map has no other numbers for it.
                    let _ = self.map.set(&key, &new.to_ne_bytes());
                }
                _ => {}
            }
        }
        *before = now;
        Ok(())
    }
}

fn key(slot: u32, id: FlowId) -> [u8; 16] {
    let mut key = [0; 16];
    key[..4].copy_from_slice(&slot.to_ne_bytes());
    key[8..].copy_from_slice(&id.0.to_ne_bytes());
    key
}

fn read_key(key: &[u8]) -> Option<(u32, FlowId)> {
    let id = u64::from_ne_bytes(*key.get(8..)?.first_chunk()?);
    let slot = read_u32(key).filter(|slot| *slot < abi::MAX_BRIDGES)?;
    Some((slot, FlowId(id)))
}

fn read_u32(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back() {
        for id in [counted::group_id(7), counted::bucket_id(7, 70_000)] {
            assert_eq!(read_key(&key(3, id)), Some((3, id)));
        }
        assert_eq!(read_key(&key(abi::MAX_BRIDGES, FlowId(1))), None);
        assert_eq!(read_key(&[0; 15]), None);
    }
}
