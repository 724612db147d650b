//! The maps and shared programs of one daemon's lifetime.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use aorta_compiler::abi::{
    self, BUCKETS, EPOCH, FLOOD_PLACES, FLOOD_SETS, GENERATION_MAPS, JUMPS, MAX_FLOOD_PLACES,
    PORTS, VLANS, XDP_JUMPS, bucket, jump, port,
};
use aorta_compiler::{compile_finish, compile_flood, compile_stub};
use aorta_ebpf::MapId;
use aorta_packet::Vid;

use crate::error::DatapathError;
use crate::loader::{Loaded, Loader};
use crate::map::Map;
use crate::pins::PinDir;
use crate::state::State;

/// How long a flood list that was replaced stays as it is: any packet is through by then.
const GRACE: Duration = Duration::from_millis(200);

/// One generation.
#[derive(Debug)]
pub struct Generation {
    number: u64,
    maps: BTreeMap<u32, Map>,
    stub: Loaded,
    places: Places,
}

impl Generation {
    /// Makes the maps, loads the shared programs, and pins all of it: a prog array without a pin
    /// is emptied when the daemon ends.
    pub fn create(
        pins: &PinDir,
        state: &State,
        loader: &mut Loader,
    ) -> Result<Generation, DatapathError> {
        let number = pins.generations()?.into_iter().max().unwrap_or(0) + 1;
        let dir = pins.make_generation(number)?;
        let mut maps = BTreeMap::new();
        for spec in GENERATION_MAPS {
            let map = Map::create(spec, spec.name)?;
            map.pin(&dir.join(spec.name))?;
            maps.insert(spec.id.0, map);
        }
        let fd = |id: MapId| map_fd(&maps, state, id);
        let stub = loader.load(&compile_stub()?, fd)?;
        let flood = loader.load(&compile_flood()?, fd)?;
        let finish = loader.load(&compile_finish(false)?, fd)?;
        let generation = Generation {
            number,
            maps,
            stub,
            places: Places::default(),
        };
        let jumps = generation.map(JUMPS.id)?;
        jumps.set_program(jump::FLOOD, flood.fd())?;
        jumps.set_program(jump::FINISH, finish.fd())?;
        Ok(generation)
    }

    /// Its number; a later daemon's is higher.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Descriptor of a map as programs name it.
    pub fn map_fd(&self, state: &State, id: MapId) -> Option<i32> {
        map_fd(&self.maps, state, id)
    }

    /// Writes the record of a port slot.
    pub fn set_port(
        &self,
        slot: u32,
        record: &port::Record,
        vlans: Option<&[Vid]>,
    ) -> Result<(), DatapathError> {
        let key = slot.to_ne_bytes();
        if let Some(vlans) = vlans {
            let mut bits = [0u64; Vid::COUNT / 64];
            for vid in vlans {
                bits[usize::from(vid.get()) / 64] |= 1 << (vid.get() % 64);
            }
            let bytes: Vec<u8> = bits.iter().flat_map(|word| word.to_ne_bytes()).collect();
            self.map(VLANS.id)?.set(&key, &bytes)?;
        }
        self.map(PORTS.id)?.set(&key, &record.encode())
    }

    /// Puts a program where others jump to.
    pub fn put_program(&self, index: u32, program: &Loaded) -> Result<(), DatapathError> {
        self.map(JUMPS.id)?.set_program(index, program.fd())
    }

    /// Puts the XDP form of a bridge's pipeline where XDP programs of its ports jump to; without one,
    /// they leave all frames to tcx.
    pub fn put_xdp_program(
        &self,
        bridge_slot: u32,
        program: Option<&Loaded>,
    ) -> Result<(), DatapathError> {
        let jumps = self.map(XDP_JUMPS.id)?;
        match program {
            Some(program) => jumps.set_program(bridge_slot, program.fd()),
            None => jumps.remove(&bridge_slot.to_ne_bytes()),
        }
    }

    /// Takes a program away: frames that jump there go no further.
    pub fn clear_program(&self, index: u32) -> Result<(), DatapathError> {
        self.put_program(index, &self.stub)
    }

    /// Replaces the flood list of a VLAN, for any packet at once.
    pub fn set_flood(
        &mut self,
        key: (u32, u32),
        members: &[u32],
        now: Instant,
    ) -> Result<(), DatapathError> {
        let count = members.len() as u32;
        let start = self.places.take(count, now).ok_or(DatapathError::Compile(
            aorta_compiler::CompileError::FloodTooLarge {
                needed: members.len(),
                limit: MAX_FLOOD_PLACES as usize,
            },
        ))?;
        self.map(FLOOD_PLACES.id)?.set_range(start, members)?;
        let value = [start.to_ne_bytes(), count.to_ne_bytes()].concat();
        self.map(FLOOD_SETS.id)?.set(&set_key(key), &value)?;
        self.places.replace(key, (start, count), now);
        Ok(())
    }

    /// Removes the flood list of a VLAN: the bridge's default list is used.
    pub fn remove_flood(&mut self, key: (u32, u32), now: Instant) -> Result<(), DatapathError> {
        self.map(FLOOD_SETS.id)?.remove(&set_key(key))?;
        self.places.release(key, now);
        Ok(())
    }

    /// Has all buckets of a port slot be full.
    pub fn fill_buckets(&self, slot: u32) -> Result<(), DatapathError> {
        let full = [0; bucket::BYTES];
        self.map(BUCKETS.id)?.set(&slot.to_ne_bytes(), &full)
    }

    /// Voids what programs remember of lookups: to be called once addresses were forgotten.
    pub fn next_epoch(&self) -> Result<(), DatapathError> {
        let map = self.map(EPOCH.id)?;
        let key = 0u32.to_ne_bytes();
        let value = map.get(&key)?.unwrap_or_default();
        let now = value.try_into().map_or(0, u64::from_ne_bytes);
        // A program may add at the same time: either way the value is another than before.
        map.set(&key, &now.wrapping_add(1).to_ne_bytes())
    }

    fn map(&self, id: MapId) -> Result<&Map, DatapathError> {
        self.maps.get(&id.0).ok_or_else(|| DatapathError::Map {
            what: "find",
            name: format!("number {}", id.0),
            source: std::io::ErrorKind::NotFound.into(),
        })
    }
}

fn map_fd(maps: &BTreeMap<u32, Map>, state: &State, id: MapId) -> Option<i32> {
    if id == abi::COUNTERS.id {
        return Some(state.counters.raw_fd());
    }
    match maps.get(&id.0) {
        Some(map) => Some(map.raw_fd()),
        None => {
            let bridge_slot = id.0.checked_sub(abi::fdb_id(0).0)?;
            state.fdb(bridge_slot).map(Map::raw_fd)
        }
    }
}

fn set_key((bridge_slot, vlan): (u32, u32)) -> Vec<u8> {
    [bridge_slot.to_ne_bytes(), vlan.to_ne_bytes()].concat()
}

/// Who has which range of places. Ranges that were given back rest for a while before they are
/// used again.
#[derive(Debug, Default)]
struct Places {
    used: BTreeMap<(u32, u32), (u32, u32)>,
    resting: Vec<(Instant, (u32, u32))>,
}

impl Places {
    /// The lowest free range of `count` places.
    fn take(&mut self, count: u32, now: Instant) -> Option<u32> {
        self.resting
            .retain(|(since, _)| now.duration_since(*since) < GRACE);
        let mut taken: Vec<(u32, u32)> = self
            .used
            .values()
            .copied()
            .chain(self.resting.iter().map(|(_, r)| *r))
            .collect();
        taken.sort_unstable();
        let mut start = 0;
        for (from, len) in taken {
            if from >= start + count {
                break;
            }
            start = start.max(from + len);
        }
        (start + count <= MAX_FLOOD_PLACES).then_some(start)
    }

    fn replace(&mut self, key: (u32, u32), range: (u32, u32), now: Instant) {
        self.release(key, now);
        self.used.insert(key, range);
    }

    fn release(&mut self, key: (u32, u32), now: Instant) {
        if let Some(range) = self.used.remove(&key) {
            self.resting.push((now, range));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_rests_before_it_is_used_again() {
        let mut places = Places::default();
        let now = Instant::now();
        assert_eq!(places.take(3, now), Some(0));
        places.replace((0, 1), (0, 3), now);
        assert_eq!(places.take(2, now), Some(3));
        places.replace((0, 1), (3, 2), now);
        assert_eq!(places.take(1, now), Some(5), "the first range still rests");
        assert_eq!(places.take(3, now + GRACE), Some(0));
        assert_eq!(
            places.take(4, now + GRACE),
            Some(5),
            "a gap too small is passed over"
        );
        assert_eq!(places.take(MAX_FLOOD_PLACES, now), None);
    }
}
