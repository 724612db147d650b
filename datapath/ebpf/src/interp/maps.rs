//! Maps of one CPU, for programs under test.

use std::collections::{BTreeMap, HashMap};

use super::memory::{Memory, Region};
use crate::program::MapId;

/// High half of the number that stands for a map in a register.
const HANDLE: u64 = 0xffff_0000 << 32;

/// `-errno` as helpers return it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Errno(pub i32);

impl Errno {
    /// No such entry.
    pub const ENOENT: Errno = Errno(2);
    /// No room in the map.
    pub const E2BIG: Errno = Errno(7);
    /// The entry exists.
    pub const EEXIST: Errno = Errno(17);
    /// Not for this map, or a wrong size.
    pub const EINVAL: Errno = Errno(22);

    /// What is returned in R0.
    pub fn value(self) -> u64 {
        -i64::from(self.0) as u64
    }
}

/// What kind of map. Per-CPU maps are the same ones, seen from one CPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MapKind {
    /// Values by index, zero at first.
    Array,
    /// Values by key; full is full.
    Hash,
    /// Values by key; the one not used for longest makes room.
    LruHash,
    /// Programs by index.
    ProgArray,
}

/// The shape of a map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MapSpec {
    /// What kind.
    pub kind: MapKind,
    /// Bytes of a key; 4 for arrays.
    pub key: usize,
    /// Bytes of a value.
    pub value: usize,
    /// Most entries.
    pub max_entries: usize,
}

#[derive(Clone, Debug)]
struct Entry {
    address: u64,
    used: u64,
}

#[derive(Clone, Debug)]
struct Map {
    spec: MapSpec,
    entries: BTreeMap<Vec<u8>, Entry>,
}

/// All maps of a machine. Values are regions of its [`Memory`].
#[derive(Clone, Debug, Default)]
pub struct Maps {
    maps: HashMap<MapId, Map>,
    /// Counts uses, to know which entry was used last.
    clock: u64,
}

impl Maps {
    /// Makes an empty map, in place of any other of this number.
    pub fn create(&mut self, id: MapId, spec: MapSpec) {
        self.maps.insert(
            id,
            Map {
                spec,
                entries: BTreeMap::new(),
            },
        );
    }

    /// The shape of a map; `None` if it wasn't created.
    pub fn spec(&self, id: MapId) -> Option<MapSpec> {
        self.maps.get(&id).map(|map| map.spec)
    }

    /// What a register holds for a map.
    pub fn handle(id: MapId) -> u64 {
        HANDLE | u64::from(id.0)
    }

    /// The map that a register's value stands for.
    pub fn from_handle(value: u64) -> Option<MapId> {
        ((value >> 32) << 32 == HANDLE).then_some(MapId(value as u32))
    }

    /// The keys of a map with the addresses of their values, in order of keys.
    pub fn entries(&self, id: MapId) -> impl Iterator<Item = (&[u8], u64)> {
        let entries = self.maps.get(&id).map(|map| map.entries.iter());
        entries
            .into_iter()
            .flatten()
            .map(|(key, entry)| (key.as_slice(), entry.address))
    }

    /// Address of the value of a key. Array elements come to be when they are looked up.
    pub fn lookup(&mut self, memory: &mut Memory, id: MapId, key: &[u8]) -> Option<u64> {
        self.clock += 1;
        let map = self.maps.get_mut(&id)?;
        if let Some(entry) = map.entries.get_mut(key) {
            entry.used = self.clock;
            return Some(entry.address);
        }
        let index = u32::from_le_bytes(key.try_into().ok()?) as usize;
        if map.spec.kind != MapKind::Array || index >= map.spec.max_entries {
            return None;
        }
        let address = memory.allocate(Region::MapValue, vec![0; map.spec.value]);
        map.entries.insert(
            key.to_vec(),
            Entry {
                address,
                used: self.clock,
            },
        );
        Some(address)
    }

    /// Sets the value of a key. Flags: 0 any, 1 only a new entry, 2 only an existing one.
    ///
    /// # Errors
    /// As the kernel: sizes, flags, room.
    pub fn update(
        &mut self,
        memory: &mut Memory,
        id: MapId,
        key: &[u8],
        value: &[u8],
        flags: u64,
    ) -> Result<(), Errno> {
        let spec = self.spec(id).ok_or(Errno::EINVAL)?;
        if key.len() != spec.key || value.len() != spec.value || flags > 2 {
            return Err(Errno::EINVAL);
        }
        match (self.lookup(memory, id, key), flags, spec.kind) {
            (Some(_), 1, _) => Err(Errno::EEXIST),
            (Some(address), ..) => memory.write(address, value).map_err(|_| Errno::EINVAL),
            (None, _, MapKind::Array) => Err(Errno::E2BIG),
            (None, _, MapKind::ProgArray) => Err(Errno::EINVAL),
            (None, 2, _) => Err(Errno::ENOENT),
            (None, ..) => self.insert(memory, id, key, value),
        }
    }

    /// Removes an entry. Its value stays readable, as the kernel keeps it for programs that run.
    ///
    /// # Errors
    /// No such entry, or an array.
    pub fn delete(&mut self, id: MapId, key: &[u8]) -> Result<(), Errno> {
        let map = self.maps.get_mut(&id).ok_or(Errno::EINVAL)?;
        if matches!(map.spec.kind, MapKind::Array | MapKind::ProgArray) {
            return Err(Errno::EINVAL);
        }
        map.entries.remove(key).map(|_| ()).ok_or(Errno::ENOENT)
    }

    fn insert(
        &mut self,
        memory: &mut Memory,
        id: MapId,
        key: &[u8],
        value: &[u8],
    ) -> Result<(), Errno> {
        let map = self.maps.get_mut(&id).ok_or(Errno::EINVAL)?;
        if map.entries.len() >= map.spec.max_entries {
            if map.spec.kind != MapKind::LruHash {
                return Err(Errno::E2BIG);
            }
            let oldest = map.entries.iter().min_by_key(|(_, entry)| entry.used);
            if let Some(key) = oldest.map(|(key, _)| key.clone()) {
                map.entries.remove(&key);
            }
        }
        let address = memory.allocate(Region::MapValue, value.to_vec());
        map.entries.insert(
            key.to_vec(),
            Entry {
                address,
                used: self.clock,
            },
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: MapId = MapId(3);

    fn map(kind: MapKind) -> (Memory, Maps) {
        let mut maps = Maps::default();
        maps.create(
            ID,
            MapSpec {
                kind,
                key: 4,
                value: 2,
                max_entries: 2,
            },
        );
        (Memory::default(), maps)
    }

    fn keys(maps: &Maps) -> Vec<u8> {
        maps.entries(ID).map(|(key, _)| key[0]).collect()
    }

    #[test]
    fn hash_fills_up_and_empties() {
        let (mut memory, mut maps) = map(MapKind::Hash);
        let mut set =
            |key: u8, flags| maps.update(&mut memory, ID, &[key, 0, 0, 0], &[key, key], flags);
        assert_eq!(set(1, 2), Err(Errno::ENOENT));
        assert_eq!(set(1, 1), Ok(()));
        assert_eq!(set(1, 1), Err(Errno::EEXIST));
        assert_eq!(set(2, 0), Ok(()));
        assert_eq!(set(3, 0), Err(Errno::E2BIG));
        assert_eq!(set(3, 3), Err(Errno::EINVAL));
        assert_eq!(maps.delete(ID, &[1, 0, 0, 0]), Ok(()));
        assert_eq!(maps.delete(ID, &[1, 0, 0, 0]), Err(Errno::ENOENT));
        assert_eq!(keys(&maps), [2]);
    }

    #[test]
    fn lru_gives_up_what_was_not_used() {
        let (mut memory, mut maps) = map(MapKind::LruHash);
        for key in [1, 2] {
            maps.update(&mut memory, ID, &[key, 0, 0, 0], &[0, 0], 0)
                .unwrap();
        }
        assert!(maps.lookup(&mut memory, ID, &[1, 0, 0, 0]).is_some());
        maps.update(&mut memory, ID, &[3, 0, 0, 0], &[0, 0], 0)
            .unwrap();
        assert_eq!(keys(&maps), [1, 3]);
    }

    #[test]
    fn arrays_have_all_their_elements() {
        let (mut memory, mut maps) = map(MapKind::Array);
        let at = maps.lookup(&mut memory, ID, &[1, 0, 0, 0]).unwrap();
        assert_eq!(memory.read(at, 2).unwrap(), [0, 0]);
        maps.update(&mut memory, ID, &[1, 0, 0, 0], &[8, 9], 0)
            .unwrap();
        assert_eq!(memory.read(at, 2).unwrap(), [8, 9]);
        assert_eq!(maps.lookup(&mut memory, ID, &[2, 0, 0, 0]), None);
        assert_eq!(maps.delete(ID, &[1, 0, 0, 0]), Err(Errno::EINVAL));
    }

    #[test]
    fn handles_lead_back() {
        assert_eq!(
            Maps::from_handle(Maps::handle(MapId(u32::MAX))),
            Some(MapId(u32::MAX))
        );
        assert_eq!(Maps::from_handle(u64::MAX), None);
        assert_eq!(Maps::from_handle(Memory::PACKET), None);
    }
}
