//! Memory of a table, which programs read while the daemon writes it.

/// Memory that programs read at the same moment. Aligned 4- and 8-byte words are read and written
/// whole; everything else becomes visible in any order, so what is reached by a reference is written
/// before the reference, and not given to another use until no packet can still be reading it.
pub trait Memory {
    /// How many bytes there are.
    fn len(&self) -> u32;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes what no program reads yet. `at + bytes.len()` is within the memory.
    fn fill(&mut self, at: u32, bytes: &[u8]);

    /// Writes one word for all programs at once, after everything that was filled. `at` is a
    /// multiple of 4.
    fn set_u32(&mut self, at: u32, value: u32);

    /// As [`Memory::set_u32`]; `at` is a multiple of 8.
    fn set_u64(&mut self, at: u32, value: u64);
}

impl Memory for Vec<u8> {
    fn len(&self) -> u32 {
        Vec::len(self) as u32
    }

    fn fill(&mut self, at: u32, bytes: &[u8]) {
        self[at as usize..at as usize + bytes.len()].copy_from_slice(bytes);
    }

    fn set_u32(&mut self, at: u32, value: u32) {
        self.fill(at, &value.to_ne_bytes());
    }

    fn set_u64(&mut self, at: u32, value: u64) {
        self.fill(at, &value.to_ne_bytes());
    }
}
