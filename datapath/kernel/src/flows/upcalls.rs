//! Packets that programs send to the daemon.

use std::os::fd::{AsFd, BorrowedFd};

use aorta_compiler::pipeline::maps::upcall;
use aorta_compiler::pipeline::record::RuleId;
use aorta_flow::OfPort;
use aya::maps::{MapData, RingBuf};

use crate::error::DatapathError;
use crate::map::Map;

/// A packet that a program sent to the daemon.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Upcall {
    /// Slot of the bridge whose flows sent it.
    pub bridge_slot: u32,
    /// Port that it came from.
    pub in_port: OfPort,
    /// Rule whose actions sent it.
    pub rule: Option<RuleId>,
    /// Table of that rule.
    pub table: u8,
    /// What for: the number that the pipeline gave the action.
    pub what: u32,
    /// Version of the tables that the packet went by.
    pub version: u32,
    /// Words of its key: those of the pipeline's metadata, in the order of its list.
    pub words: Vec<u32>,
    /// Bytes of the whole frame.
    pub frame_len: u32,
    /// The frame, or its beginning.
    pub frame: Vec<u8>,
}

/// The daemon's end of the queue in which programs put packets for it. Its descriptor is readable
/// when there are some.
pub struct Upcalls {
    ring: RingBuf<MapData>,
}

impl std::fmt::Debug for Upcalls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Upcalls")
    }
}

impl Upcalls {
    /// Reads from `map`, of which there may be one reader.
    pub fn new(map: &Map) -> Result<Upcalls, DatapathError> {
        let failed = |source| DatapathError::Map {
            what: "read from",
            name: "upcalls".into(),
            source,
        };
        let fd = map.fd().try_clone_to_owned().map_err(failed)?;
        let data = MapData::from_fd(fd).map_err(|e| failed(crate::map::io_error(e)))?;
        let ring = RingBuf::try_from(aya::maps::Map::RingBuf(data));
        let ring = ring.map_err(|e| failed(crate::map::io_error(e)))?;
        Ok(Upcalls { ring })
    }

    /// The next packet, if there is one.
    pub fn next_upcall(&mut self) -> Option<Upcall> {
        loop {
            let record = self.ring.next()?;
            match decode(&record) {
                Some(upcall) => return Some(upcall),
                None => tracing::error!(bytes = record.len(), "an upcall of an unknown form"),
            }
        }
    }
}

impl AsFd for Upcalls {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}

fn decode(record: &[u8]) -> Option<Upcall> {
    let u32_at = |at: i16| {
        let bytes = record.get(at as usize..)?.first_chunk()?;
        Some(u32::from_ne_bytes(*bytes))
    };
    let words = u32_at(upcall::WORDS)? as usize;
    let frame_len = u32_at(upcall::FRAME_LEN)?;
    let rest = record.get(upcall::HEADER_BYTES as usize..)?;
    let (words, frame) = rest.split_at_checked(words.checked_mul(4)?)?;
    // A record is as large as it was reserved, whatever the frame filled.
    let mut frame = frame[..frame.len().min(frame_len as usize)].to_vec();
    if frame.len() == frame_len as usize {
        // Where it was on its way a device would have done so.
        aorta_packet::complete_checksum(&mut frame);
    }
    Some(Upcall {
        bridge_slot: u32_at(upcall::BRIDGE)?,
        in_port: OfPort(u32_at(upcall::IN_PORT)? as u16),
        rule: Some(u32_at(upcall::RULE)?)
            .filter(|rule| *rule != u32::MAX)
            .map(RuleId),
        table: u32_at(upcall::TABLE)? as u8,
        what: u32_at(upcall::WHAT)?,
        version: u32_at(upcall::VERSION)?,
        words: words
            .as_chunks()
            .0
            .iter()
            .map(|word| u32::from_ne_bytes(*word))
            .collect(),
        frame_len,
        frame,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loader::Loader;
    use aorta_compiler::pipeline::maps::UPCALLS;
    use aorta_ebpf::{Assembler, Helper, Reg, Size};

    #[test]
    fn what_a_program_sends_arrives() {
        let map = Map::create(&UPCALLS, "upcalls").unwrap();
        let mut upcalls = Upcalls::new(&map).unwrap();
        assert_eq!(upcalls.next_upcall(), None);
        let header: [i32; 8] = [3, 65534, -1, 7, 5, 9, 6, 1];
        let words = header.into_iter().chain([11, 0x0403_0201, 0x0605]);
        let mut a = Assembler::new("sends");
        for (n, word) in words.enumerate() {
            a.store(Size::W, Reg::R10, -44 + 4 * n as i16, word);
        }
        a.load_map(Reg::R1, UPCALLS.id);
        a.mov(Reg::R2, Reg::R10);
        a.add(Reg::R2, -44);
        a.mov(Reg::R3, 44);
        a.mov(Reg::R4, 0);
        a.call(Helper::RingbufOutput);
        a.exit();
        let program = a.finish().unwrap();
        let program = Loader::new()
            .load(&program, |_| Some(map.raw_fd()))
            .unwrap();
        assert_eq!(program.test_run(&[0; 14], 1).unwrap().verdict, 0);
        let upcall = Upcall {
            bridge_slot: 3,
            in_port: OfPort::LOCAL,
            rule: None,
            table: 7,
            what: 5,
            version: 9,
            words: vec![11],
            frame_len: 6,
            frame: vec![1, 2, 3, 4, 5, 6],
        };
        assert_eq!(upcalls.next_upcall(), Some(upcall));
        assert_eq!(upcalls.next_upcall(), None);
    }

    #[test]
    fn a_record_cut_anywhere_is_refused_or_shorter() {
        let mut record = [0u8; 44];
        record[upcall::WORDS as usize] = 2;
        record[upcall::FRAME_LEN as usize] = 60;
        for len in 0..record.len() {
            let frame = decode(&record[..len]).map(|upcall| upcall.frame.len());
            assert_eq!(frame, len.checked_sub(40), "{len}");
        }
        record[upcall::WORDS as usize..][..4].fill(0xff);
        assert_eq!(decode(&record), None);
    }
}
