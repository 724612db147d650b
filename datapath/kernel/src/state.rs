//! State that outlives the daemon: which slot belongs to whom, counters, learned addresses.
//!
//! Its maps are adopted as they are if their sizes are today's. If an upgrade has other sizes,
//! new maps are made and the old contents copied: records only ever grow at their end.

use std::collections::{BTreeMap, BTreeSet};

use aorta_compiler::Slots;
use aorta_compiler::abi::{self, COUNTERS, MapKind, MapSpec, counter, fdb_spec};
use aorta_ebpf::MapId;
use aorta_flow::{BridgeName, Snapshot};

use crate::error::DatapathError;
use crate::map::Map;
use crate::pins::{self, PinDir};

/// Bytes of a name in the maps of names.
const NAME_BYTES: usize = 128;

/// Name of the port in each slot, zero-padded.
const PORT_NAMES: MapSpec = names("port_names", abi::MAX_PORTS);
/// Name of the bridge in each slot, zero-padded.
const BRIDGE_NAMES: MapSpec = names("bridge_names", abi::MAX_BRIDGES);
/// What counters of earlier, differently sized maps had reached.
const COUNTERS_BEFORE: MapSpec = MapSpec {
    id: MapId(u32::MAX),
    name: "counters_before",
    kind: MapKind::Array,
    key_bytes: 4,
    value_bytes: counter::BYTES as u32,
    max_entries: abi::MAX_PORTS,
};

const fn names(name: &'static str, max_entries: u32) -> MapSpec {
    let (key_bytes, value_bytes) = (4, NAME_BYTES as u32);
    MapSpec {
        id: MapId(u32::MAX),
        name,
        kind: MapKind::Array,
        key_bytes,
        value_bytes,
        max_entries,
    }
}

/// Counters of one port: a value for each word of [`counter`].
pub type Words = [u64; counter::WORDS];

/// The state of one switch.
#[derive(Debug)]
pub struct State {
    pins: PinDir,
    slots: Slots,
    port_names: Map,
    bridge_names: Map,
    /// Per-CPU counters that programs write.
    pub counters: Map,
    counters_before: Map,
    /// Counters of other sizes that programs still write until all are exchanged.
    old_counters: Vec<Map>,
    fdbs: BTreeMap<u32, Fdb>,
}

/// The MAC table of one bridge.
#[derive(Debug)]
pub struct Fdb {
    /// The map.
    pub map: Map,
    /// The map that programs use until all are exchanged.
    old: Option<Map>,
}

impl State {
    /// Adopts what is pinned, and makes what is missing.
    pub fn open(pins: &PinDir) -> Result<State, DatapathError> {
        let port_names = adopt_or_create(pins, &PORT_NAMES)?;
        let bridge_names = adopt_or_create(pins, &BRIDGE_NAMES)?;
        let slots = Slots {
            ports: read_names(&port_names)?,
            bridges: read_names(&bridge_names)?,
        };
        let counters_before = open_counters_before(pins, &slots)?;
        let (counters, old_counters) = open_counters(pins)?;
        let mut state = State {
            pins: pins.clone(),
            slots,
            port_names,
            bridge_names,
            counters,
            counters_before,
            old_counters,
            fdbs: BTreeMap::new(),
        };
        for slot in state.slots.bridges.values().copied().collect::<Vec<_>>() {
            let name = fdb_name(slot);
            if let Some(map) = Map::open(&pins.state(&name), &name, MapKind::LruHash)? {
                state.fdbs.insert(slot, Fdb { map, old: None });
            }
        }
        Ok(state)
    }

    /// Slots of all ports and bridges.
    pub fn slots(&self) -> &Slots {
        &self.slots
    }

    /// The slot of a bridge, a new one if it has none.
    pub fn allocate_bridge(&mut self, bridge: &BridgeName) -> Result<u32, DatapathError> {
        let limit = abi::MAX_BRIDGES;
        let full = |name| DatapathError::TooManyBridges { name, limit };
        let (slots, written) = (&mut self.slots.bridges, &self.bridge_names);
        assign(slots, std::iter::once(bridge), limit, written, full)?;
        let slot = slots.get(bridge).copied();
        slot.ok_or_else(|| DatapathError::NoBridge(bridge.clone()))
    }

    /// Gives each port and bridge of `snapshot` a slot.
    pub fn allocate(&mut self, snapshot: &Snapshot) -> Result<(), DatapathError> {
        let ports = snapshot
            .bridges
            .iter()
            .flat_map(|b| &b.ports)
            .map(|p| &p.name);
        let limit = abi::MAX_PORTS;
        assign(
            &mut self.slots.ports,
            ports,
            limit,
            &self.port_names,
            |name| DatapathError::TooManyPorts { name, limit },
        )?;
        let bridges = snapshot.bridges.iter().map(|b| &b.name);
        let limit = abi::MAX_BRIDGES;
        assign(
            &mut self.slots.bridges,
            bridges,
            limit,
            &self.bridge_names,
            |name| DatapathError::TooManyBridges { name, limit },
        )
    }

    /// Forgets a port: its counters and name. Its programs and stations must be gone.
    pub fn release_port(&mut self, slot: u32) -> Result<(), DatapathError> {
        let key = slot.to_ne_bytes();
        self.counters
            .set(&key, &vec![0; self.counters.value_bytes()])?;
        self.counters_before
            .set(&key, &vec![0; self.counters_before.value_bytes()])?;
        for old in &self.old_counters {
            old.set(&key, &vec![0; old.value_bytes()])?;
        }
        self.port_names.set(&key, &[0; NAME_BYTES])?;
        self.slots.ports.retain(|_, s| *s != slot);
        Ok(())
    }

    /// Forgets the stations behind these ports, in one walk through each table.
    pub fn forget_stations(&self, port_slots: &BTreeSet<u32>) -> Result<(), DatapathError> {
        for fdb in self.fdbs.values() {
            for key in fdb.map.keys()? {
                let value = fdb.map.get(&key)?;
                let port = value.as_deref().and_then(|v| v.first_chunk());
                if port.is_some_and(|port| port_slots.contains(&u32::from_ne_bytes(*port))) {
                    fdb.map.remove(&key)?;
                }
            }
        }
        Ok(())
    }

    /// Forgets a bridge and what it learned. Its programs must be gone.
    pub fn release_bridge(&mut self, slot: u32) -> Result<(), DatapathError> {
        self.fdbs.remove(&slot);
        pins::unpin(&self.pins.state(&fdb_name(slot)))?;
        self.bridge_names
            .set(&slot.to_ne_bytes(), &[0; NAME_BYTES])?;
        self.slots.bridges.retain(|_, s| *s != slot);
        Ok(())
    }

    /// Sees to it that the bridge has a MAC table of this size. `true` if the table is another
    /// one than before, so that programs must be loaded anew.
    pub fn size_fdb(&mut self, slot: u32, max_entries: u32) -> Result<bool, DatapathError> {
        let spec = fdb_spec(slot, max_entries);
        let name = fdb_name(slot);
        if self
            .fdbs
            .get(&slot)
            .is_some_and(|fdb| fdb.map.matches(&spec))
        {
            return Ok(false);
        }
        let map = Map::create(&spec, &name)?;
        let old = self.fdbs.remove(&slot).map(|fdb| fdb.map);
        if let Some(old) = &old {
            copy_all(old, &map)?;
        }
        map.pin(&self.pins.state(&name))?;
        self.fdbs.insert(slot, Fdb { map, old });
        Ok(true)
    }

    /// The MAC table of a bridge.
    pub fn fdb(&self, bridge_slot: u32) -> Option<&Map> {
        self.fdbs.get(&bridge_slot).map(|fdb| &fdb.map)
    }

    /// All programs use today's maps: takes over what the old ones got until now.
    pub fn retire_old_maps(&mut self) -> Result<(), DatapathError> {
        for fdb in self.fdbs.values_mut() {
            if let Some(old) = fdb.old.take() {
                copy_all(&old, &fdb.map)?;
            }
        }
        // The last first, so that those which are left count up from 0 at any moment.
        while let Some(old) = self.old_counters.pop() {
            self.take_over(&old)?;
            pins::unpin(&self.pins.state(&old_name(self.old_counters.len())))?;
        }
        Ok(())
    }

    /// Adds what a map of another size has counted to what was counted before.
    fn take_over(&self, old: &Map) -> Result<(), DatapathError> {
        for slot in self.slots.ports.values() {
            let key = slot.to_ne_bytes();
            let mut total = read_words(old, &key)?;
            for (word, before) in total
                .iter_mut()
                .zip(read_words(&self.counters_before, &key)?)
            {
                *word = word.wrapping_add(before);
            }
            let mut value: Vec<u8> = total.iter().flat_map(|w| w.to_ne_bytes()).collect();
            value.resize(self.counters_before.value_bytes(), 0);
            self.counters_before.set(&key, &value)?;
        }
        Ok(())
    }

    /// Counters of a port since it has its slot.
    pub fn words(&self, port_slot: u32) -> Result<Words, DatapathError> {
        let key = port_slot.to_ne_bytes();
        let mut total = read_words(&self.counters, &key)?;
        for map in self.old_counters.iter().chain([&self.counters_before]) {
            for (word, more) in total.iter_mut().zip(read_words(map, &key)?) {
                *word = word.wrapping_add(more);
            }
        }
        Ok(total)
    }
}

fn fdb_name(bridge_slot: u32) -> String {
    format!("fdb-{bridge_slot}")
}

/// Name of the pin of counters that were set aside.
fn old_name(number: usize) -> String {
    format!("counters_old-{number}")
}

/// Today's counters, and those of other sizes. Those are pinned, too: they are needed again if the
/// daemon dies before it has exchanged all programs.
fn open_counters(pins: &PinDir) -> Result<(Map, Vec<Map>), DatapathError> {
    let open = |name: &str| Map::open(&pins.state(name), name, COUNTERS.kind);
    let mut aside = Vec::new();
    while let Some(map) = open(&old_name(aside.len()))? {
        aside.push(map);
    }
    match open(COUNTERS.name)? {
        Some(map) if map.matches(&COUNTERS) => return Ok((map, aside)),
        Some(old) => {
            let path = pins.state(&old_name(aside.len()));
            pins::rename(&pins.state(COUNTERS.name), &path)?;
            aside.push(old);
        }
        None => {}
    }
    let map = Map::create(&COUNTERS, COUNTERS.name)?;
    map.pin(&pins.state(COUNTERS.name))?;
    Ok((map, aside))
}

/// What was counted before, in a map of today's size.
fn open_counters_before(pins: &PinDir, slots: &Slots) -> Result<Map, DatapathError> {
    let name = COUNTERS_BEFORE.name;
    let path = pins.state(name);
    let old = match Map::open(&path, name, COUNTERS_BEFORE.kind)? {
        Some(map) if map.matches(&COUNTERS_BEFORE) => return Ok(map),
        old => old,
    };
    let map = Map::create(&COUNTERS_BEFORE, name)?;
    for slot in slots.ports.values().filter(|_| old.is_some()) {
        let key = slot.to_ne_bytes();
        let value = old.as_ref().map(|old| old.get(&key)).transpose()?;
        let mut value = value.flatten().unwrap_or_default();
        value.resize(map.value_bytes(), 0);
        map.set(&key, &value)?;
    }
    // Only now that it is complete.
    map.pin(&path)?;
    Ok(map)
}

/// The pinned map if it has today's sizes; else a new one, pinned in its place.
fn adopt_or_create(pins: &PinDir, spec: &MapSpec) -> Result<Map, DatapathError> {
    let path = pins.state(spec.name);
    if let Some(map) = Map::open(&path, spec.name, spec.kind)?
        && map.matches(spec)
    {
        return Ok(map);
    }
    let map = Map::create(spec, spec.name)?;
    map.pin(&path)?;
    Ok(map)
}

fn read_names<N: From<String> + Ord>(map: &Map) -> Result<BTreeMap<N, u32>, DatapathError> {
    let mut names = BTreeMap::new();
    for slot in 0..map.max_entries() {
        let value = map.get(&slot.to_ne_bytes())?.unwrap_or_default();
        let len = value.iter().position(|b| *b == 0).unwrap_or(value.len());
        if len > 0 {
            names.insert(
                String::from_utf8_lossy(&value[..len]).into_owned().into(),
                slot,
            );
        }
    }
    Ok(names)
}

/// Gives each of `names` the lowest free slot, unless it has one, and writes it down.
fn assign<'n, N: Clone + Ord + ToString + 'n>(
    slots: &mut BTreeMap<N, u32>,
    names: impl Iterator<Item = &'n N>,
    limit: u32,
    written: &Map,
    full: impl Fn(N) -> DatapathError,
) -> Result<(), DatapathError> {
    let new: Vec<&N> = names.filter(|name| !slots.contains_key(name)).collect();
    if new.is_empty() {
        return Ok(());
    }
    let used: std::collections::BTreeSet<u32> = slots.values().copied().collect();
    let mut free = (0..limit).filter(|slot| !used.contains(slot));
    for name in new {
        let slot = free.next().ok_or_else(|| full(name.clone()))?;
        written.set(&slot.to_ne_bytes(), &name_bytes(&name.to_string()))?;
        slots.insert(name.clone(), slot);
    }
    Ok(())
}

/// A name as it is written down. Longer ones are cut, which costs them their slot at a restart,
/// nothing else.
fn name_bytes(name: &str) -> [u8; NAME_BYTES] {
    let mut bytes = [0; NAME_BYTES];
    let len = name.len().min(NAME_BYTES);
    bytes[..len].copy_from_slice(&name.as_bytes()[..len]);
    bytes
}

/// The words of one port, summed over CPUs. Words that the map doesn't have are 0.
fn read_words(map: &Map, key: &[u8]) -> Result<Words, DatapathError> {
    let mut words = [0u64; counter::WORDS];
    let value = map.get(key)?.unwrap_or_default();
    for cpu in value.chunks_exact(map.value_bytes().next_multiple_of(8)) {
        for (word, bytes) in words.iter_mut().zip(cpu.chunks_exact(8)) {
            let mut b = [0; 8];
            b.copy_from_slice(bytes);
            *word = word.wrapping_add(u64::from_ne_bytes(b));
        }
    }
    Ok(words)
}

/// Copies what `to` doesn't have yet.
fn copy_all(from: &Map, to: &Map) -> Result<(), DatapathError> {
    // The table may have become smaller: what doesn't fit pushes out the least used.
    for key in from.keys()? {
        copy(from, to, &key)?;
    }
    Ok(())
}

fn copy(from: &Map, to: &Map, key: &[u8]) -> Result<(), DatapathError> {
    let Some(mut value) = from.get(key)? else {
        return Ok(());
    };
    value.resize(to.value_bytes(), 0);
    to.set_new(key, &value)
}
