//! Kernel maps: typed by their [`MapSpec`], read and written as bytes.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use aorta_compiler::abi::{MapKind, MapSpec};
use aya::maps::MapData;
use aya_obj::generated::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC, bpf_map_type};

use crate::error::DatapathError;
use crate::pins;
use crate::sys::{self, ElementSize};

/// Entries that one call reads at most.
const READ_AT_ONCE: u32 = 4096;

/// An open map.
#[derive(Debug)]
pub struct Map {
    name: String,
    fd: OwnedFd,
    value_bytes: usize,
    max_entries: u32,
    size: ElementSize,
}

impl Map {
    /// Makes a map of `spec`, called `name` in errors and in the kernel.
    pub fn create(spec: &MapSpec, name: &str) -> Result<Map, DatapathError> {
        let failed = |source| DatapathError::CreateMap {
            name: name.to_owned(),
            source,
        };
        let flags = match spec.kind {
            MapKind::Hash => BPF_F_NO_PREALLOC,
            MapKind::Memory => BPF_F_MMAPABLE,
            _ => 0,
        };
        let kind = match spec.kind {
            MapKind::Hash => bpf_map_type::BPF_MAP_TYPE_HASH,
            MapKind::Array | MapKind::Memory => bpf_map_type::BPF_MAP_TYPE_ARRAY,
            MapKind::RingBuf => bpf_map_type::BPF_MAP_TYPE_RINGBUF,
            MapKind::ProgArray => bpf_map_type::BPF_MAP_TYPE_PROG_ARRAY,
            MapKind::PerCpuArray => bpf_map_type::BPF_MAP_TYPE_PERCPU_ARRAY,
            MapKind::LruHash => bpf_map_type::BPF_MAP_TYPE_LRU_HASH,
        };
        let object = aya_obj::Map::new_from_params(
            kind as u32,
            spec.key_bytes,
            spec.value_bytes,
            spec.max_entries,
            flags,
        );
        let short: String = name.chars().take(15).collect();
        let data = MapData::create(object, &short.replace('-', "_"), None)
            .map_err(|error| failed(io_error(error)))?;
        let fd = data.fd().as_fd().try_clone_to_owned().map_err(failed)?;
        Map::from_fd(fd, name, spec.kind == MapKind::PerCpuArray).map_err(failed)
    }

    /// Opens the map pinned at `path`; `None` if nothing is pinned there.
    pub fn open(path: &Path, name: &str, kind: MapKind) -> Result<Option<Map>, DatapathError> {
        let Some(fd) = pins::open(path)? else {
            return Ok(None);
        };
        let map = Map::from_fd(fd, name, kind == MapKind::PerCpuArray);
        map.map(Some).map_err(|source| DatapathError::Map {
            what: "read the sizes of",
            name: name.to_owned(),
            source,
        })
    }

    /// The map of a descriptor, which isn't per CPU.
    pub(crate) fn of_fd(fd: OwnedFd, name: &str) -> io::Result<Map> {
        Map::from_fd(fd, name, false)
    }

    fn from_fd(fd: OwnedFd, name: &str, per_cpu: bool) -> io::Result<Map> {
        let info = MapData::from_fd(fd.try_clone()?)
            .and_then(|m| m.info())
            .map_err(io_error)?;
        let value_bytes = info.value_size() as usize;
        let value = if per_cpu {
            value_bytes.next_multiple_of(8) * possible_cpus()?
        } else {
            value_bytes
        };
        let size = ElementSize {
            key: info.key_size() as usize,
            value,
        };
        let max_entries = info.max_entries();
        Ok(Map {
            name: name.to_owned(),
            fd,
            value_bytes,
            max_entries,
            size,
        })
    }

    /// Whether the map has the sizes of `spec`.
    pub fn matches(&self, spec: &MapSpec) -> bool {
        self.size.key == spec.key_bytes as usize
            && self.value_bytes == spec.value_bytes as usize
            && self.max_entries == spec.max_entries
    }

    /// Bytes of one value (of one CPU).
    pub fn value_bytes(&self) -> usize {
        self.value_bytes
    }

    /// Greatest number of entries.
    pub fn max_entries(&self) -> u32 {
        self.max_entries
    }

    /// Its descriptor.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Number for instructions.
    pub fn raw_fd(&self) -> i32 {
        self.fd.as_raw_fd()
    }

    /// Pins the map at `path`.
    pub fn pin(&self, path: &Path) -> Result<(), DatapathError> {
        pins::pin(self.fd.as_fd(), path)
    }

    /// The value of `key`: for a per-CPU map those of all CPUs, each padded to 8 bytes.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, DatapathError> {
        let mut value = vec![0; self.size.value];
        let found = sys::lookup(self.fd.as_fd(), self.size, key, &mut value);
        Ok(found
            .map_err(|source| self.error("read", source))?
            .then_some(value))
    }

    /// Writes the value of `key`, all CPUs alike.
    pub fn set(&self, key: &[u8], value: &[u8]) -> Result<(), DatapathError> {
        self.write(key, value, 0)
    }

    /// Writes the value of `key` unless it has one.
    pub fn set_new(&self, key: &[u8], value: &[u8]) -> Result<(), DatapathError> {
        match self.write(key, value, sys::ONLY_NEW) {
            Err(DatapathError::Map { source, .. })
                if source.kind() == io::ErrorKind::AlreadyExists =>
            {
                Ok(())
            }
            other => other,
        }
    }

    fn write(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), DatapathError> {
        let copies = self.size.value / self.value_bytes.next_multiple_of(8).max(1);
        let result = if self.size.value != self.value_bytes && copies > 0 {
            let mut one = value.to_vec();
            one.resize(self.value_bytes.next_multiple_of(8), 0);
            sys::update(self.fd.as_fd(), self.size, key, &one.repeat(copies), flags)
        } else {
            sys::update(self.fd.as_fd(), self.size, key, value, flags)
        };
        result.map_err(|source| self.error("write", source))
    }

    /// Puts a program into a prog array.
    pub fn set_program(&self, index: u32, program: BorrowedFd<'_>) -> Result<(), DatapathError> {
        let fd = program.as_raw_fd();
        self.write(&index.to_ne_bytes(), &fd.to_ne_bytes(), 0)
    }

    /// Writes u32 values from index `start` on, in one call.
    pub fn set_range(&self, start: u32, values: &[u32]) -> Result<(), DatapathError> {
        let keys: Vec<u8> = (start..start + values.len() as u32)
            .flat_map(u32::to_ne_bytes)
            .collect();
        let values: Vec<u8> = values.iter().flat_map(|v| v.to_ne_bytes()).collect();
        sys::update_batch(self.fd.as_fd(), self.size, &keys, &values)
            .map_err(|source| self.error("write", source))
    }

    /// The values of the first `count` indices of an array, one after the other: for a per-CPU
    /// map those of all CPUs, each padded to 8 bytes.
    pub fn get_first(&self, count: u32) -> Result<Vec<u8>, DatapathError> {
        let mut values = Vec::with_capacity(count as usize * self.size.value);
        let mut read = 0;
        while read < count {
            let most = (count - read).min(READ_AT_ONCE);
            let got = sys::lookup_batch(self.fd.as_fd(), self.size, read, most)
                .map_err(|source| self.error("read", source))?;
            if got.is_empty() {
                break;
            }
            read += (got.len() / self.size.value) as u32;
            values.extend(got);
        }
        Ok(values)
    }

    /// Writes the values of some indices of an array, in one call: `values` one after the other,
    /// as [`Map::get`] gives them.
    pub fn set_indices(&self, indices: &[u32], values: &[u8]) -> Result<(), DatapathError> {
        let keys: Vec<u8> = indices.iter().flat_map(|i| i.to_ne_bytes()).collect();
        sys::update_batch(self.fd.as_fd(), self.size, &keys, values)
            .map_err(|source| self.error("write", source))
    }

    /// Bytes of one entry: of all CPUs, padded, for a per-CPU map.
    pub fn entry_bytes(&self) -> usize {
        self.size.value
    }

    /// Deletes `key`.
    pub fn remove(&self, key: &[u8]) -> Result<(), DatapathError> {
        sys::delete(self.fd.as_fd(), self.size, key)
            .map_err(|source| self.error("delete from", source))
    }

    /// All keys. Others may come and go meanwhile; none is listed twice.
    pub fn keys(&self) -> Result<Vec<Vec<u8>>, DatapathError> {
        let mut keys: Vec<Vec<u8>> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        let next = |key: Option<&[u8]>| {
            sys::next_key(self.fd.as_fd(), self.size, key)
                .map_err(|source| self.error("list", source))
        };
        let mut key = next(None)?;
        while let Some(this) = key {
            // A key that was deleted meanwhile starts the listing anew.
            if seen.len() as u64 >= 2 * u64::from(self.max_entries) {
                break;
            }
            if seen.insert(this.clone()) {
                keys.push(this.clone());
            }
            key = next(Some(&this))?;
        }
        Ok(keys)
    }

    fn error(&self, what: &'static str, source: io::Error) -> DatapathError {
        DatapathError::Map {
            what,
            name: self.name.clone(),
            source,
        }
    }
}

/// How many numbers processors can have, from 0: there may be some that none has.
pub fn processors() -> io::Result<u32> {
    let ranges = std::fs::read_to_string("/sys/devices/system/cpu/possible")?;
    last_number(&ranges).map(|last| last + 1).ok_or_else(|| {
        let what = format!("the kernel's processors are {:?}", ranges.trim());
        io::Error::new(io::ErrorKind::InvalidData, what)
    })
}

/// The last number of ascending ranges, such as `0-3,8-11`.
fn last_number(ranges: &str) -> Option<u32> {
    ranges.trim().rsplit([',', '-']).next()?.parse().ok()
}

/// Number of CPUs that the kernel keeps values for.
fn possible_cpus() -> io::Result<usize> {
    aya::util::nr_cpus().map_err(|(_, error)| error)
}

/// The kernel's error behind aya's.
pub fn io_error(error: aya::maps::MapError) -> io::Error {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(layer) = source {
        let code = layer
            .downcast_ref::<io::Error>()
            .and_then(io::Error::raw_os_error);
        if let Some(code) = code {
            return io::Error::from_raw_os_error(code);
        }
        source = layer.source();
    }
    io::Error::other(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_processor_is_known() {
        assert_eq!(last_number("0\n"), Some(0));
        assert_eq!(last_number("0-3,8-11\n"), Some(11));
        assert_eq!(last_number("\n"), None);
        assert!(processors().unwrap() > 0);
    }
}
