//! Pieces of code that all programs share.
//!
//! Registers, in every program: R6 is the context, R7 to R9 belong to the program, R0 to R5 are
//! gone after each call. A *tag state* is described in [`crate::abi::scratch`].

use aorta_ebpf::{Assembler, AtomicOp, Cond, Helper, Label, MapId, Reg, Size};

use crate::abi::{JUMPS, counter, jump, port, scratch};
use crate::skb;

use Reg::{R0, R1, R2, R3, R4, R5, R6, R8, R9, R10};

/// The context, in every program.
pub const CTX: Reg = R6;

/// Marks a tag state as "there is a tag"; its low 16 bits are the tag control information.
const TAG_PRESENT: u64 = 1 << 16;

/// Marks a tag state of a frame that came without a tag.
const TAG_GIVEN: i32 = 1 << 17;

/// Tag state of an 802.1Q tag with nothing in it.
const TAG_EMPTY_8021Q: u64 = (aorta_packet::TPID_8021Q.to_be() as u64) << 32 | TAG_PRESENT;

/// Tag state of the 802.1Q tag that a frame without one gets: with nothing in it.
pub const TAG_GIVEN_8021Q: u64 = TAG_EMPTY_8021Q | TAG_GIVEN as u64;

/// VLAN and priority in a tag state.
pub const VLAN_AND_PRIORITY: i32 = 0xefff;
const PRIORITY: i32 = 0xe000;

/// Times that a token bucket is tried while others take of it at the same moment; after that, the
/// frame passes without being measured.
const BUCKET_TRIES: usize = 8;

/// Takes R4 (ns) out of the token bucket whose time is at `at` of the record that `record` points to:
/// adds it to the time, or to now (R3) if that is later, and goes to `done`; or to `over`, with nothing
/// taken, if the time would be further ahead of now than R5. Uses R0 to R2.
pub fn take_tokens(a: &mut Assembler, (record, at): (Reg, i16), done: Label, over: Label) {
    for _ in 0..BUCKET_TRIES {
        let later = a.label("later");
        a.load(Size::Dw, R0, record, at);
        a.mov(R2, R0);
        a.jump_if(Cond::Ge, R2, R3, later);
        a.mov(R2, R3);
        a.bind(later);
        a.add(R2, R4);
        a.mov(R1, R2);
        a.sub(R1, R3);
        a.jump_if(Cond::Gt, R1, R5, over);
        a.mov(R1, R0);
        a.atomic(AtomicOp::CompareExchange, Size::Dw, record, at, R2);
        a.jump_if(Cond::Eq, R0, R1, done);
    }
    a.jump(done);
}

/// Puts the tag that the frame has within its data where the kernel would have put it: takes it off and
/// gives it back, as R8 (protocol, as it is on the wire) and R9 (control information) say. Uses R0 to R5.
pub fn take_tag_out(a: &mut Assembler, failed: Label) {
    a.mov(R1, CTX);
    a.call(Helper::SkbVlanPop);
    a.jump_if(Cond::Ne, R0, 0, failed);
    a.mov(R1, CTX);
    a.mov(R2, R8);
    a.mov(R3, R9);
    a.call(Helper::SkbVlanPush);
    a.jump_if(Cond::Ne, R0, 0, failed);
}

/// Looks up the key at `R10 + key` in `map`; R0 is the value or null.
pub fn lookup(a: &mut Assembler, map: MapId, key: i16) {
    a.mov(R2, R10);
    a.add(R2, i32::from(key));
    a.load_map(R1, map);
    a.call(Helper::MapLookupElem);
}

/// As [`lookup`] for a u32 key, which is first stored at `R10 + key`. Where `key` is a multiple of 8,
/// all 8 bytes are written (those of the key come first, as processors with BPF have it): then the
/// verifier knows that nothing of what was there before matters any more.
pub fn lookup_index(
    a: &mut Assembler,
    map: MapId,
    key: i16,
    index: impl Into<aorta_ebpf::Operand>,
) {
    let size = if key % 8 == 0 { Size::Dw } else { Size::W };
    a.store(size, R10, key, index);
    lookup(a, map, key);
}

/// Adds `amount` to a word of the counters that R0 points to. Uses R1. Per-CPU, and the kernel
/// runs these programs with bottom halves off, so a plain add is enough.
pub fn count(a: &mut Assembler, word: usize, amount: impl Into<aorta_ebpf::Operand>) {
    a.load(Size::Dw, R1, R0, counter::offset(word));
    a.add(R1, amount);
    a.store(Size::Dw, R0, counter::offset(word), R1);
}

/// Counts a frame and its bytes in the counters that R0 points to. Uses R1, R2.
pub fn count_frame(a: &mut Assembler, packets: usize, bytes: usize) {
    count(a, packets, 1);
    a.load(Size::W, R2, CTX, skb::LEN);
    count(a, bytes, R2);
}

/// R0 = the scratch record; goes to `missing` if there is none, which cannot be.
pub fn load_scratch(a: &mut Assembler, key: i16, missing: Label) {
    lookup_index(a, crate::abi::SCRATCH.id, key, 0);
    a.jump_if(Cond::Eq, R0, 0, missing);
}

/// `dst` = tag state of the tag that the kernel keeps beside the frame; there must be one.
/// Uses R2.
pub fn load_tag(a: &mut Assembler, dst: Reg) {
    a.load(Size::W, dst, CTX, skb::VLAN_PROTO);
    a.lsh(dst, 32);
    a.load(Size::W, R2, CTX, skb::VLAN_TCI);
    a.or(dst, R2);
    a.or(dst, TAG_PRESENT as i32);
}

/// `dst` = tag state of the frame as it is, with the tag that the kernel keeps beside it or without.
/// Uses R1, R2.
pub fn load_tag_state(a: &mut Assembler, dst: Reg) {
    let untagged = a.label("no_tag");
    a.mov(dst, 0);
    a.load(Size::W, R1, CTX, skb::VLAN_PRESENT);
    a.jump_if(Cond::Eq, R1, 0, untagged);
    load_tag(a, dst);
    a.bind(untagged);
}

/// `out` = tag state with which a frame of the state in `form` leaves by the port whose record is in
/// `record`, which carries its VLAN; `out` is 0 before. For frames of which VLAN and priority
/// together aren't [`port::UNTAGGED_VLAN`]. Goes to `done`; uses R1 to R4.
pub fn tag_leaving(a: &mut Assembler, (form, record): (Reg, Reg), out: Reg, done: Label) {
    let [untagged, whole] = ["untagged_vlan", "whole_tag"].map(|name| a.label(name));
    a.load(Size::W, R4, record, port::PRIORITY);
    a.load(Size::H, R2, record, port::UNTAGGED_VLAN);
    a.mov(R1, form);
    a.and(R1, 0xfff);
    a.jump_if(Cond::Eq, R1, R2, untagged);
    a.jump_if(Cond::Ne, R1, 0, whole);
    a.jump_if(Cond::Set, form, PRIORITY, whole);
    a.and(R4, port::PRIORITY_ALWAYS);
    a.jump_if(Cond::Eq, R4, 0, done);
    a.jump_if(Cond::Set, form, TAG_GIVEN, done);
    a.bind(whole);
    a.mov(out, form);
    a.jump(done);
    a.bind(untagged);
    a.jump_if(Cond::Set, R4, port::PRIORITY_KEPT, whole);
    a.jump_if(Cond::Eq, R4, 0, done);
    a.mov(R1, form);
    a.and(R1, PRIORITY);
    a.load_imm64(out, TAG_EMPTY_8021Q);
    a.or(out, R1);
    a.jump(done);
}

/// Changes the frame's outer tag from the state in R1 to the one in `want` (R7 to R9). Goes to
/// `failed` if the kernel refuses. Packet pointers are gone afterwards.
pub fn retag(a: &mut Assembler, want: Reg, failed: Label) {
    let popped = a.label("popped");
    let done = a.label("retagged");
    a.jump_if(Cond::Eq, R1, 0, popped);
    a.mov(R1, CTX);
    a.call(Helper::SkbVlanPop);
    a.jump_if(Cond::Ne, R0, 0, failed);
    a.bind(popped);
    a.jump_if(Cond::Eq, want, 0, done);
    a.mov(R1, CTX);
    a.mov(R2, want);
    a.rsh(R2, 32);
    a.mov(R3, want);
    a.and(R3, 0xffff);
    a.call(Helper::SkbVlanPush);
    a.jump_if(Cond::Ne, R0, 0, failed);
    a.bind(done);
}

/// Puts a jump to another bridge on the stack of items. `scratch` is the record; the values come
/// from the stack frame: target (u32) at `target`, tag state (u64) at `tag`. Goes to `full` if
/// there is no room. Uses R1 to R3.
pub fn push_jump(a: &mut Assembler, record: Reg, target: i16, tag: i16, full: Label) {
    use scratch::item;
    a.load(Size::W, R1, record, scratch::ITEMS);
    a.jump_if(Cond::Ge, R1, scratch::MAX_ITEMS, full);
    a.mov(R2, R1);
    a.add(R1, 1);
    a.store(Size::W, record, scratch::ITEMS, R1);
    item_address(a, record);
    a.load(Size::W, R3, R10, target);
    a.store(Size::W, R2, item::TARGET, R3);
    a.load(Size::W, R3, record, scratch::DEPTH);
    a.add(R3, 1);
    a.store(Size::W, R2, item::DEPTH, R3);
    a.load(Size::Dw, R3, R10, tag);
    a.store(Size::Dw, R2, item::TAG, R3);
}

/// R2 = address of the item whose number (less than the maximum) is in R2.
pub fn item_address(a: &mut Assembler, record: Reg) {
    a.lsh(R2, scratch::item::BYTES.trailing_zeros() as i32);
    a.add(R2, record);
    a.add(R2, i32::from(scratch::STACK));
}

/// Goes on in the finish program; if that can't be, the frame is dropped.
pub fn jump_finish(a: &mut Assembler) {
    a.mov(R1, CTX);
    a.tail_call(JUMPS.id, jump::FINISH);
    a.mov(R0, skb::ACT_SHOT);
    a.exit();
}
