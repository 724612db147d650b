//! Memory as regions, each with its own range of addresses.
//!
//! An address is the number of its region in the high half and a byte offset from [`BASE`] in the
//! low half, so that pointers that ran out of their region are told apart from all others. The
//! packet is region 0: its addresses fit in 32 bits, as the context's fields for it do.

use std::fmt;

use crate::reg::Size;

/// Low half of the address of a region's first byte.
const BASE: u64 = 0x4000_0000;
/// Bytes of a stack frame (RFC 9669 doesn't say; Linux gives 512).
pub const STACK_LEN: usize = 512;
/// What an unwritten stack holds, so that a program that relies on it shows.
const STACK_FILL: u8 = 0xa5;

/// What kind of memory a region is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Region {
    /// The frame.
    Packet,
    /// The stack frame of the running program.
    Stack,
    /// The context that programs get in R1.
    Context,
    /// A value of a map.
    MapValue,
    /// Anything that a helper hands out.
    Other,
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Region::Packet => "the packet",
            Region::Stack => "the stack",
            Region::Context => "the context",
            Region::MapValue => "a map value",
            Region::Other => "helper memory",
        })
    }
}

/// Why an access was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MemoryError {
    /// The number is no address of any region.
    #[error("{0:#x} is not an address")]
    NotAnAddress(u64),
    /// The access is not wholly inside its region.
    #[error("{len} bytes at offset {off} of {region}, which has {size}")]
    OutOfBounds {
        /// Kind of the region.
        region: Region,
        /// Offset of the first byte.
        off: i64,
        /// Bytes accessed.
        len: usize,
        /// Bytes of the region.
        size: usize,
    },
}

/// All memory of a machine.
#[derive(Clone, Debug)]
pub struct Memory {
    regions: Vec<(Region, Vec<u8>)>,
}

impl Default for Memory {
    fn default() -> Self {
        Memory {
            regions: vec![
                (Region::Packet, Vec::new()),
                (Region::Stack, vec![0; STACK_LEN]),
            ],
        }
    }
}

impl Memory {
    /// Address of the packet's first byte; below 2³².
    pub const PACKET: u64 = BASE;
    /// Address just above the stack: R10.
    pub const STACK_END: u64 = (1 << 32) + BASE + STACK_LEN as u64;

    /// A new region with these bytes; its address. Regions live as long as the memory.
    pub fn allocate(&mut self, region: Region, bytes: Vec<u8>) -> u64 {
        self.regions.push((region, bytes));
        ((self.regions.len() as u64 - 1) << 32) + BASE
    }

    /// The packet's bytes.
    pub fn packet(&self) -> &[u8] {
        self.regions.first().map_or(&[], |(_, bytes)| bytes)
    }

    /// The packet's bytes, to change them or their number.
    pub(super) fn set_packet(&mut self, bytes: &[u8]) {
        if let Some((_, packet)) = self.regions.first_mut() {
            *packet = bytes.to_vec();
        }
    }

    /// Gives the stack the contents of a program's start.
    pub(super) fn reset_stack(&mut self) {
        if let Some((_, stack)) = self.regions.get_mut(1) {
            stack.fill(STACK_FILL);
        }
    }

    /// `len` bytes from an address.
    ///
    /// # Errors
    /// The bytes are not inside one region.
    pub fn read(&self, address: u64, len: usize) -> Result<&[u8], MemoryError> {
        let (index, off) = split(address);
        // Small numbers are null with an offset, or no pointers at all: not the packet's.
        if address < BASE / 2 {
            return Err(MemoryError::NotAnAddress(address));
        }
        let (region, bytes) = self
            .regions
            .get(index)
            .ok_or(MemoryError::NotAnAddress(address))?;
        let outside = MemoryError::OutOfBounds {
            region: *region,
            off,
            len,
            size: bytes.len(),
        };
        let start = usize::try_from(off).map_err(|_| outside.clone())?;
        bytes.get(start..start + len).ok_or(outside)
    }

    /// Puts bytes at an address.
    ///
    /// # Errors
    /// The bytes are not inside one region.
    pub fn write(&mut self, address: u64, data: &[u8]) -> Result<(), MemoryError> {
        self.read(address, data.len())?;
        let (index, off) = split(address);
        if let Some((_, bytes)) = self.regions.get_mut(index) {
            for (byte, value) in bytes.iter_mut().skip(off as usize).zip(data) {
                *byte = *value;
            }
        }
        Ok(())
    }

    /// A little-endian number from an address.
    ///
    /// # Errors
    /// As [`Memory::read`].
    pub fn load(&self, size: Size, address: u64) -> Result<u64, MemoryError> {
        let bytes = self.read(address, size.bytes())?;
        Ok(bytes
            .iter()
            .rev()
            .fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// Puts the low bytes of a number at an address, little-endian.
    ///
    /// # Errors
    /// As [`Memory::write`].
    pub fn store(&mut self, size: Size, address: u64, value: u64) -> Result<(), MemoryError> {
        let bytes = value.to_le_bytes();
        self.write(address, bytes.get(..size.bytes()).unwrap_or(&bytes))
    }
}

fn split(address: u64) -> (usize, i64) {
    (
        (address >> 32) as usize,
        i64::from(address as u32) - BASE as i64,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_little_endian() {
        let mut memory = Memory::default();
        let at = memory.allocate(Region::Other, vec![0; 8]);
        memory.store(Size::Dw, at, 0x0807_0605_0403_0201).unwrap();
        memory.store(Size::H, at + 2, 0xffff_bbaa).unwrap();
        assert_eq!(memory.read(at, 8).unwrap(), [1, 2, 0xaa, 0xbb, 5, 6, 7, 8]);
        assert_eq!(memory.load(Size::W, at + 1), Ok(0x05bb_aa02));
    }

    #[test]
    fn regions_end_where_they_end() {
        let mut memory = Memory::default();
        let at = memory.allocate(Region::MapValue, vec![0; 4]);
        assert_eq!(
            memory.load(Size::W, at + 1).unwrap_err().to_string(),
            "4 bytes at offset 1 of a map value, which has 4"
        );
        assert!(memory.store(Size::B, at.wrapping_sub(1), 0).is_err());
        assert!(memory.load(Size::B, at + 4).is_err());
        assert_eq!(memory.load(Size::B, 0), Err(MemoryError::NotAnAddress(0)));
        assert_eq!(
            memory.load(Size::B, 9 << 32),
            Err(MemoryError::NotAnAddress(9 << 32))
        );
    }

    #[test]
    fn failed_write_changes_nothing() {
        let mut memory = Memory::default();
        let at = memory.allocate(Region::Other, vec![7; 4]);
        assert!(memory.write(at + 2, &[1, 2, 3]).is_err());
        assert_eq!(memory.read(at, 4).unwrap(), [7; 4]);
    }
}
