//! Matches asked of a frame's bytes where they stand: in IPv4 without options, without tags within
//! the frame, whole.

use aorta_ebpf::Size;
use aorta_flow::field::{EtherType, FieldId};
use aorta_packet::ETH_HEADER_LEN;

use crate::pipeline::layout;
use crate::pipeline::record::MatchWord;

/// How much of a frame is looked at.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Depth {
    Ethernet,
    Ipv4,
    Transport,
}

/// A question about a frame of that depth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Test {
    /// The unsigned number at an offset of the frame has these bits, all in the order of the frame.
    Bytes {
        at: i16,
        size: Size,
        mask: u64,
        value: u64,
    },
    /// So has the field `vlan_tci`.
    Tag { mask: u32, value: u32 },
    /// So has the number of the port that the frame came from.
    InPort { mask: u32, value: u32 },
}

/// All bits of a number of that size.
pub(super) fn ones(size: Size) -> u64 {
    match size {
        Size::B => 0xff,
        Size::H => 0xffff,
        Size::W => 0xffff_ffff,
        Size::Dw => u64::MAX,
    }
}

/// Offset in the frame and size of the word at `at` in the key, of frames of full depth; `None` if
/// no such frame has it there.
fn place(at: i16) -> Option<(i16, Size)> {
    let word = |field, number| layout::word(field, number);
    let places = [
        (word(FieldId::ETH_DST, 0), 2, Size::W),
        (word(FieldId::ETH_DST, 1), 0, Size::H),
        (word(FieldId::ETH_SRC, 0), 8, Size::W),
        (word(FieldId::ETH_SRC, 1), 6, Size::H),
        (word(FieldId::NW_TOS, 0), 15, Size::B),
        (word(FieldId::NW_TTL, 0), 22, Size::B),
        (word(FieldId::NW_PROTO, 0), 23, Size::B),
        (word(FieldId::IP_SRC, 0), 26, Size::W),
        (word(FieldId::IP_DST, 0), 30, Size::W),
        (word(FieldId::TCP_SRC, 0), 34, Size::H),
        (word(FieldId::TCP_DST, 0), 36, Size::H),
    ];
    let found = places.into_iter().find(|(word, ..)| *word == Some(at));
    found.map(|(_, offset, size)| (offset, size))
}

/// How much of a frame a word of the key is about. What isn't in frames is 0 in all of them.
pub(super) fn depth_of(at: i16) -> Depth {
    match place(at) {
        Some((0..ETHERNET_END, _)) => Depth::Ethernet,
        Some((offset, _)) if offset >= TRANSPORT => Depth::Transport,
        Some(_) => Depth::Ipv4,
        None if Some(at) == layout::place(FieldId::TCP_FLAGS) => Depth::Ethernet,
        None if Some(at) == layout::place(FieldId::IN_PORT) => Depth::Ethernet,
        None if at >= layout::HEADER_BYTES => Depth::Ethernet,
        None => Depth::Ipv4,
    }
}

const ETHERNET_END: i16 = ETH_HEADER_LEN as i16;
const TRANSPORT: i16 = 34;

/// What a rule asks of frames. The outer `None` if that can't be asked here, the inner if no such
/// frame has it.
#[allow(clippy::option_option)]
pub(super) fn tests(words: &[MatchWord]) -> Option<Option<Vec<Test>>> {
    let mut tests: Vec<Test> = Vec::new();
    for word in words {
        let (mask, value) = (word.mask, word.value);
        if let Some((at, size)) = place(word.at) {
            tests.push(bytes(at, size, mask, value));
            continue;
        }
        let constant = match Some(word.at) {
            at if at == layout::place(FieldId::VLAN_TCI) => {
                tests.push(Test::Tag { mask, value });
                continue;
            }
            at if at == layout::place(FieldId::IN_PORT) => {
                tests.push(Test::InPort { mask, value });
                continue;
            }
            at if at == layout::place(FieldId::TCP_FLAGS) => return None,
            at if at == layout::place(FieldId::ETH_TYPE) => u32::from(EtherType::IPV4),
            _ => 0,
        };
        if constant & mask != value {
            return Some(None);
        }
    }
    Some(Some(merged(tests)))
}

/// The same questions where tags are in the frame: of full depth none has any. `None` if no such
/// frame is so.
pub(super) fn without_tag(tests: Vec<Test>) -> Option<Vec<Test>> {
    let tagged = |test: &Test| matches!(test, Test::Tag { value, .. } if *value != 0);
    if tests.iter().any(tagged) {
        return None;
    }
    let rest = tests.into_iter();
    Some(
        rest.filter(|test| !matches!(test, Test::Tag { .. }))
            .collect(),
    )
}

/// The bits of a number, most significant byte first in the frame.
fn bytes(at: i16, size: Size, mask: u32, value: u32) -> Test {
    let in_frame = |number: u32| match size {
        Size::B => u64::from(number as u8),
        Size::H => u64::from((number as u16).to_be()),
        Size::W | Size::Dw => u64::from(number.to_be()),
    };
    Test::Bytes {
        at,
        size,
        mask: in_frame(mask),
        value: in_frame(value),
    }
}

/// Whole neighbours are asked for together.
fn merged(tests: Vec<Test>) -> Vec<Test> {
    let mut all: Vec<Test> = Vec::new();
    for test in tests {
        let before = all.last().copied();
        match (before, test) {
            (
                Some(Test::Bytes {
                    at,
                    size,
                    mask,
                    value,
                }),
                Test::Bytes {
                    at: next,
                    size: same,
                    mask: next_mask,
                    value: next_value,
                },
            ) if size == same
                && let Some((bytes, double)) = doubled(size)
                && next == at + bytes
                && mask == ones(size)
                && next_mask == ones(size) =>
            {
                all.pop();
                let shift = 8 * bytes as u32;
                let value = match cfg!(target_endian = "little") {
                    true => value | next_value << shift,
                    false => value << shift | next_value,
                };
                all.push(Test::Bytes {
                    at,
                    size: double,
                    mask: ones(double),
                    value,
                });
            }
            _ => all.push(test),
        }
    }
    all
}

/// Bytes of a number, and the size of two.
fn doubled(size: Size) -> Option<(i16, Size)> {
    match size {
        Size::H => Some((2, Size::W)),
        Size::W => Some((4, Size::Dw)),
        Size::B | Size::Dw => None,
    }
}
