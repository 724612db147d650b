//! Copies for the daemon: packets for controllers, flows to be learned, samples.

use std::collections::BTreeSet;

use aorta_ebpf::{Assembler, Cond, Helper, Label, Reg, Size};
use aorta_flow::field::FieldId;
use aorta_flow::translate::Packet;
use aorta_flow::{FlowKey, OfPort};

use super::commit::dirty_bit;
use super::layout::{self, paused, state};
use super::maps::{UPCALL_SPACE, UPCALLS, upcall};
use crate::emit::lookup_index;
use crate::skb;

use Reg::{R0, R1, R2, R3, R4, R5, R6, R7, R8, R9};

/// Stack frame: u32 key of an array.
const INDEX: i16 = -4;
/// Bytes of both Ethernet addresses.
const ADDRESSES_BYTES: i32 = 12;
const TAG_BYTES: i32 = 4;

/// What an upcall is made for.
#[derive(Clone, Copy, Debug)]
pub struct UpcallFacts<'a> {
    /// Slot of the bridge.
    pub bridge_slot: u32,
    /// Words of the key that go along, as byte offsets in the key ([`words`]).
    pub words: &'a [i16],
    /// Where to go on when the copy is on its way.
    pub done: Label,
    /// Where to go on when there is no room for it.
    pub lost: Label,
}

/// What came with a copy for the daemon.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Copy<'a> {
    /// Number of the action that sent it.
    pub what: u32,
    /// Version of the tables that the packet went by.
    pub version: u32,
    /// Port that the packet came from.
    pub in_port: OfPort,
    /// Words of its key.
    pub words: &'a [u32],
    /// The frame as it was when it was sent, or its beginning.
    pub frame: &'a [u8],
    /// Length of the whole frame in bytes.
    pub frame_bytes: u32,
}

/// The packet of a copy, with these fields besides those that its bytes tell.
pub fn packet(copy: &Copy<'_>, fields: &BTreeSet<FieldId>) -> Packet {
    let packet = Packet::from_frame(copy.frame, copy.in_port);
    let mut packet = packet.unwrap_or_else(|_| Packet::new(FlowKey::new(), copy.frame_bytes));
    packet.key.set(FieldId::IN_PORT, copy.in_port.0.into());
    let mut words = copy.words.iter();
    for field in fields {
        let count = (0..4)
            .filter(|n| layout::word(*field, *n).is_some())
            .count();
        let value = words.by_ref().take(count).enumerate();
        let value = value.fold(0, |value, (n, word)| value | u128::from(*word) << (32 * n));
        packet.key.set(*field, value);
    }
    packet
}

/// Of these fields, those that the bytes of a frame don't tell, with storage of their own, in
/// order: registers, metadata and the like.
pub fn metadata(used: impl IntoIterator<Item = FieldId>) -> BTreeSet<FieldId> {
    let in_bytes = [
        FieldId::IN_PORT,
        FieldId::ETH_TYPE,
        FieldId::IP_FRAG,
        FieldId::TCP_FLAGS,
    ];
    let homes = used.into_iter().map(|field| field.field().home);
    homes
        .filter(|home| dirty_bit(*home) == 0 && !in_bytes.contains(home))
        .collect()
}

/// The words of these fields, as byte offsets in the key: the least significant of each first. As
/// many whole fields as fit.
pub fn words(fields: &BTreeSet<FieldId>) -> Vec<i16> {
    fitting(fields, upcall::MAX_WORDS)
}

/// The same, and behind them what is gathered of a packet that waits.
pub fn words_with_notes(fields: &BTreeSet<FieldId>) -> Vec<i16> {
    let mut words = fitting(fields, upcall::MAX_WORDS - paused::WORDS);
    let notes = (paused::NOTES..paused::END).step_by(4);
    words.extend(notes.map(|at| at - state::KEY));
    words
}

fn fitting(fields: &BTreeSet<FieldId>, most: usize) -> Vec<i16> {
    let mut words = Vec::new();
    for field in fields {
        let of: Vec<i16> = (0..4).filter_map(|n| layout::word(*field, n)).collect();
        if words.len() + of.len() <= most {
            words.extend(of);
        }
    }
    words
}

/// What is known of a packet that waits for its controller: what its way has left to be done. By
/// numbers of rules.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Waiting {
    /// Rules that led to others and have more to do, the newest first, and by which of their resubmits.
    pub callers: Vec<(u32, u32)>,
    /// Rules that wrote the action set, the oldest first.
    pub writers: Vec<u32>,
    /// Values on the stack, the newest last.
    pub values: Vec<u128>,
}

/// What came along with a copy, by the last of its words; `None` if there was too much of it.
pub fn waiting(words: &[u32]) -> Option<Waiting> {
    let words = words
        .len()
        .checked_sub(paused::WORDS)
        .map(|at| &words[at..])?;
    let part = |at: i16| {
        words
            .get((at - paused::NOTES) as usize / 4..)
            .unwrap_or_default()
    };
    let count = |at: i16, most: i16| {
        let count = *part(at).first()?;
        (count <= most as u32).then_some(count as usize)
    };
    let notes = count(paused::NOTES, paused::MAX_NOTES)?;
    let rules = count(paused::SETS, paused::MAX_SETS)?;
    // Few of many values are wanted again.
    let values = (*part(paused::VALUES).first()? as usize).min(paused::MAX_VALUES as usize);
    let callers = part(paused::NOTES_AT).as_chunks().0.iter();
    let stack = part(paused::VALUES_AT).as_chunks().0.iter();
    let value = |words: &[u32; 4]| {
        let words = words.iter().rev();
        words.fold(0, |value, word| value << 32 | u128::from(*word))
    };
    let mut values: Vec<u128> = stack.take(values).map(value).collect();
    values.reverse();
    Some(Waiting {
        callers: callers
            .take(notes)
            .map(|[rule, which]| (*rule, *which))
            .collect(),
        writers: part(paused::SET_RULES)[..rules].to_vec(),
        values,
    })
}

/// A block that sends a copy of the frame, as its bytes are, to the daemon, with what
/// [`state::UPCALL_WHAT`] and [`state::UPCALL_MAX_LEN`] say. In: R6, R7. Keeps nothing else.
pub fn emit_upcall(a: &mut Assembler, facts: &UpcallFacts<'_>) {
    a.comment("upcall");
    lookup_index(a, UPCALL_SPACE.id, INDEX, 0);
    a.jump_if(Cond::Eq, R0, 0, facts.lost);
    a.mov(R9, R0);
    let frame_at = header(a, facts);
    length(a);
    frame(a, frame_at, facts.lost);
    a.load_map(R1, UPCALLS.id);
    a.mov(R2, R9);
    a.mov(R3, R8);
    a.add(R3, i32::from(frame_at));
    a.mov(R4, 0);
    a.call(Helper::RingbufOutput);
    a.jump_if(Cond::Ne, R0, 0, facts.lost);
    a.jump(facts.done);
}

/// Writes all before the frame to R9, and tells where that starts.
fn header(a: &mut Assembler, facts: &UpcallFacts<'_>) -> i16 {
    a.store(Size::W, R9, upcall::BRIDGE, facts.bridge_slot as i32);
    let in_port = layout::place(FieldId::IN_PORT).unwrap_or_default();
    for (to, from) in [
        (upcall::IN_PORT, state::KEY + in_port),
        (upcall::RULE, state::RULE),
        (upcall::TABLE, state::TABLE),
        (upcall::WHAT, state::UPCALL_WHAT),
        (upcall::VERSION, state::VERSION),
    ] {
        a.load(Size::W, R1, R7, from);
        a.store(Size::W, R9, to, R1);
    }
    a.store(Size::W, R9, upcall::WORDS, facts.words.len() as i32);
    let mut at = upcall::HEADER_BYTES;
    for word in facts.words {
        a.load(Size::W, R1, R7, state::KEY + word);
        a.store(Size::W, R9, at, R1);
        at += 4;
    }
    at
}

/// R8 = how many bytes of the frame go along; its whole length goes into the header.
fn length(a: &mut Assembler) {
    let (untagged, wanted, fits) = (a.label("untagged"), a.label("wanted"), a.label("fits"));
    a.load(Size::W, R8, R6, skb::LEN);
    a.load(Size::W, R1, R6, skb::VLAN_PRESENT);
    a.jump_if(Cond::Eq, R1, 0, untagged);
    a.add(R8, TAG_BYTES);
    a.bind(untagged);
    a.store(Size::W, R9, upcall::FRAME_LEN, R8);
    a.load(Size::W, R1, R7, state::UPCALL_MAX_LEN);
    a.jump_if(Cond::Le, R8, R1, wanted);
    a.mov(R8, R1);
    a.bind(wanted);
    a.jump_if(Cond::Le, R8, upcall::MAX_FRAME_BYTES, fits);
    a.mov(R8, upcall::MAX_FRAME_BYTES);
    a.bind(fits);
}

/// Copies R8 bytes of the frame to R9 plus `at`, the tag beside the frame in its place.
fn frame(a: &mut Assembler, at: i16, failed: Label) {
    let (untagged, done) = (a.label("untagged"), a.label("copied"));
    a.jump_if(Cond::Eq, R8, 0, done);
    a.load(Size::W, R1, R6, skb::VLAN_PRESENT);
    a.jump_if(Cond::Eq, R1, 0, untagged);
    a.mov(R4, ADDRESSES_BYTES);
    load_bytes(a, 0, at, failed);
    let tag = at + ADDRESSES_BYTES as i16;
    a.load(Size::W, R1, R6, skb::VLAN_PROTO);
    a.store(Size::H, R9, tag, R1);
    a.load(Size::W, R1, R6, skb::VLAN_TCI);
    a.be16(R1);
    a.store(Size::H, R9, tag + 2, R1);
    a.mov(R4, R8);
    a.jump_if(Cond::Le, R4, ADDRESSES_BYTES + TAG_BYTES, done);
    a.sub(R4, ADDRESSES_BYTES + TAG_BYTES);
    load_bytes(a, ADDRESSES_BYTES, tag + TAG_BYTES as i16, failed);
    a.jump(done);
    a.bind(untagged);
    a.mov(R4, R8);
    load_bytes(a, 0, at, failed);
    a.bind(done);
}

/// R4 bytes of the frame from `from` on to R9 plus `to`.
fn load_bytes(a: &mut Assembler, from: i32, to: i16, failed: Label) {
    a.mov(R1, R6);
    a.mov(R2, from);
    a.mov(R3, R9);
    a.add(R3, i32::from(to));
    a.mov(R5, 0);
    a.call(Helper::SkbLoadBytes);
    a.jump_if(Cond::Ne, R0, 0, failed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_go_along_and_headers_don_t() {
        let used = [
            FieldId::reg(3),
            FieldId::IP_SRC,
            FieldId::IN_PORT,
            FieldId::UDP_DST,
        ];
        let fields = metadata(used);
        assert_eq!(fields.len(), 1);
        assert_eq!(words(&fields).len(), 4, "registers stand in fours");
        let frame = [1; 20];
        let copy = Copy {
            what: 0,
            version: 1,
            in_port: OfPort(7),
            words: &[1, 2, 3, 4],
            frame: &frame,
            frame_bytes: 20,
        };
        let key = packet(&copy, &fields).key;
        assert_eq!(key.get(FieldId::reg(3)), 1, "the last is the least");
        assert_eq!(key.get(FieldId::reg(0)), 4);
        assert_eq!(key.get(FieldId::ETH_TYPE), 0x05ff);
        assert_eq!(key.get(FieldId::IN_PORT), 7);
    }
}
