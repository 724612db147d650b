//! Memory of tables: kernel maps that the daemon writes without a system call.

use std::sync::atomic::Ordering;

use aorta_compiler::abi::{MapKind, MapSpec};
use aorta_compiler::pipeline::memory::Memory;
use aorta_ebpf::MapId;

use crate::error::DatapathError;
use crate::map::Map;
use crate::sys::Mapping;

/// Memory that programs read as the only value of an array map.
#[derive(Debug)]
pub struct MappedMemory {
    map: Map,
    mapping: Mapping,
}

impl MappedMemory {
    /// Makes `bytes` bytes of memory, all zero; at least 8 are made.
    ///
    /// # Errors
    /// When the kernel has no room for it, or for so large a value.
    pub fn create(name: &str, bytes: u32) -> Result<MappedMemory, DatapathError> {
        let value_bytes = bytes.max(8);
        let spec = MapSpec {
            id: MapId(u32::MAX),
            name: "memory",
            kind: MapKind::Memory,
            key_bytes: 4,
            value_bytes,
            max_entries: 1,
        };
        let map = Map::create(&spec, name)?;
        let mapping = Mapping::new(map.fd(), value_bytes as usize);
        let mapping = mapping.map_err(|source| DatapathError::Map {
            what: "map the memory of",
            name: name.to_owned(),
            source,
        })?;
        Ok(MappedMemory { map, mapping })
    }

    /// The map, for programs.
    pub fn map(&self) -> &Map {
        &self.map
    }

    /// The u32 at `at`, a multiple of 4.
    pub fn u32_at(&self, at: u32) -> u32 {
        self.mapping.word(at as usize).load(Ordering::Acquire)
    }
}

impl Memory for MappedMemory {
    fn len(&self) -> u32 {
        self.mapping.len() as u32
    }

    fn fill(&mut self, at: u32, bytes: &[u8]) {
        self.mapping.copy_in(at as usize, bytes);
    }

    fn set_u32(&mut self, at: u32, value: u32) {
        self.mapping
            .word(at as usize)
            .store(value, Ordering::Release);
    }

    fn set_u64(&mut self, at: u32, value: u64) {
        self.mapping
            .double(at as usize)
            .store(value, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loader::Loader;
    use aorta_ebpf::{Assembler, Reg, Size};

    const MEMORY: MapId = MapId(1);

    #[test]
    fn a_program_reads_what_was_written_without_a_call() {
        let mut memory = MappedMemory::create("memory_test", 1 << 20).unwrap();
        assert_eq!(Memory::len(&memory), 1 << 20);
        let mut a = Assembler::new("reads");
        a.load_map_value(Reg::R1, MEMORY, 0xffff8);
        a.load(Size::W, Reg::R0, Reg::R1, 4);
        a.exit();
        let fd = memory.map().raw_fd();
        let program = Loader::new()
            .load(&a.finish().unwrap(), |id| (id == MEMORY).then_some(fd))
            .unwrap();
        let read = || program.test_run(&[0; 14], 1).unwrap().verdict;
        assert_eq!(read(), 0);
        memory.set_u32(0xffffc, 7);
        assert_eq!(read(), 7);
        memory.fill(0xffffb, &[9, 8, 0, 0, 0]);
        assert_eq!(read(), 8);
        memory.set_u64(0xffff8, 6 << 32);
        assert_eq!((read(), memory.u32_at(0xffffc)), (6, 6));
    }

    #[test]
    #[should_panic(expected = "4 bytes at 8 of 8")]
    fn nothing_is_written_behind_the_end() {
        let mut memory = MappedMemory::create("memory_end", 1).unwrap();
        memory.set_u32(8, 1);
    }
}
