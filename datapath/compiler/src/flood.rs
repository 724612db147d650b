//! The flood program: a copy of the frame to each member of its VLAN.
//!
//! One program serves all bridges; its list comes from [`FLOOD_SETS`]. A copy is sent when the
//! next member is found, so that the last one needs no copy. Patch ports become items for the
//! finish program. Lists longer than one run's share go on in the next run of the same program.

use aorta_ebpf::{Assembler, Cond, Helper, Label, Program, Reg, Size};
use aorta_flow::DropReason;

use crate::abi::{
    COUNTERS, FLOOD_DEFAULT_VLAN, FLOOD_PLACES, FLOOD_SETS, JUMPS, PORTS, counter, jump, port,
    scratch,
};
use crate::emit::{
    CTX, VLAN_AND_PRIORITY, count, count_frame, jump_finish, load_scratch, lookup, lookup_index,
    push_jump, retag, tag_leaving,
};
use crate::{CompileError, skb};

use Reg::{R0, R1, R2, R3, R5, R6, R7, R8, R9, R10};

/// Members that one run of the program serves. With 33 runs in a row, more than all ports.
const MEMBERS_PER_RUN: i32 = 256;

/// Stack frame: key of the flood sets.
const SET_KEY: i16 = -8;
/// Stack frame: u32 key of an array, also of the member.
const INDEX: i16 = -12;
/// Stack frame: u32 target of a jump, also the device of the copy to send.
const TARGET: i16 = -16;
/// Stack frame: tag state of the member's copy.
const TAG: i16 = -24;

/// Compiles the flood program.
pub fn compile_flood() -> Result<Program, CompileError> {
    let name = "flood";
    let mut a = Assembler::new(name);
    let lost = a.label("lost");
    let next = a.label("next");
    let done = a.label("done");
    a.mov(R6, R1);
    load_scratch(&mut a, INDEX, lost);
    a.mov(R7, R0);
    find_list(&mut a, next, done);
    member(&mut a, next, done);
    finish(&mut a, done);
    a.bind(lost);
    a.mov(R0, skb::ACT_SHOT);
    a.exit();
    a.finish().map_err(|e| CompileError::assemble(name, e))
}

/// First run: looks up the list of the frame's VLAN, or that of all VLANs without one.
fn find_list(a: &mut Assembler, next: Label, done: Label) {
    let found = a.label("found");
    a.mov(R8, 0);
    a.load(Size::W, R1, R7, scratch::FLOOD_DONE);
    a.jump_if(Cond::Ne, R1, 0, next);
    a.load(Size::W, R1, R7, scratch::BRIDGE);
    a.store(Size::W, R10, SET_KEY, R1);
    a.load(Size::Dw, R1, R7, scratch::TAG_FORM);
    a.and(R1, 0xfff);
    a.store(Size::W, R10, SET_KEY + 4, R1);
    lookup(a, FLOOD_SETS.id, SET_KEY);
    a.jump_if(Cond::Ne, R0, 0, found);
    a.store(Size::W, R10, SET_KEY + 4, FLOOD_DEFAULT_VLAN as i32);
    lookup(a, FLOOD_SETS.id, SET_KEY);
    a.jump_if(Cond::Eq, R0, 0, done);
    a.bind(found);
    // One load of both halves: they change together.
    a.load(Size::Dw, R1, R0, 0);
    a.store(Size::W, R7, scratch::FLOOD_START, R1);
    a.rsh(R1, 32);
    a.store(Size::W, R7, scratch::FLOOD_COUNT, R1);
}

/// The loop over members. R8 counts this run's, R9 is the member's record.
fn member(a: &mut Assembler, next: Label, done: Label) {
    let more = a.label("more");
    let patch = a.label("patch");
    let long = a.label("long");
    let fits = a.label("fits");
    let tagged = a.label("have_tag");
    let leaving = a.label("leaving");

    a.bind(next);
    a.jump_if(Cond::Ge, R8, MEMBERS_PER_RUN, more);
    a.add(R8, 1);
    a.load(Size::W, R1, R7, scratch::FLOOD_DONE);
    a.load(Size::W, R2, R7, scratch::FLOOD_COUNT);
    a.jump_if(Cond::Ge, R1, R2, done);
    a.load(Size::W, R3, R7, scratch::FLOOD_START);
    a.add(R3, R1);
    a.add(R1, 1);
    a.store(Size::W, R7, scratch::FLOOD_DONE, R1);
    lookup_index(a, FLOOD_PLACES.id, INDEX, R3);
    a.jump_if(Cond::Eq, R0, 0, next);
    a.load(Size::W, R1, R0, 0);
    a.load(Size::W, R2, R7, scratch::INGRESS);
    a.jump_if(Cond::Eq, R1, R2, next);
    lookup_index(a, PORTS.id, INDEX, R1);
    a.jump_if(Cond::Eq, R0, 0, next);
    a.mov(R9, R0);
    // The list holds only ports that carry the VLAN; with a tag or without?
    a.load(Size::Dw, R5, R7, scratch::TAG_FORM);
    a.mov(R1, R5);
    a.and(R1, VLAN_AND_PRIORITY);
    a.mov(R0, 0);
    a.load(Size::H, R2, R9, port::UNTAGGED_VLAN);
    a.jump_if(Cond::Ne, R1, R2, leaving);
    a.bind(tagged);
    a.store(Size::Dw, R10, TAG, R0);
    a.load(Size::W, R1, R9, port::IFINDEX);
    a.jump_if(Cond::Eq, R1, 0, patch);
    a.load(Size::W, R1, R7, scratch::LEN);
    a.load(Size::W, R2, R9, port::MAX_LEN);
    a.jump_if(Cond::Gt, R1, R2, long);
    a.bind(fits);
    count_copy(a, next);
    exchange_pending(a, next);
    send_copy(a, next);
    a.jump(next);

    a.bind(leaving);
    tag_leaving(a, (R5, R9), R0, tagged);

    a.bind(long);
    a.load(Size::W, R1, CTX, skb::GSO_SIZE);
    a.jump_if(Cond::Eq, R1, 0, next);
    a.jump(fits);

    a.bind(patch);
    a.load(Size::W, R1, R9, port::JUMP);
    a.jump_if(Cond::Eq, R1, 0, next);
    a.store(Size::W, R10, TARGET, R1);
    push_jump(a, R7, TARGET, TAG, next);
    count_copy(a, next);
    a.jump(next);

    a.bind(more);
    a.mov(R1, CTX);
    a.tail_call(JUMPS.id, jump::FLOOD);
    a.jump(done);
}

/// Counts a frame sent to the member at INDEX.
fn count_copy(a: &mut Assembler, next: Label) {
    lookup(a, COUNTERS.id, INDEX);
    a.jump_if(Cond::Eq, R0, 0, next);
    count_frame(a, counter::TX_PACKETS, counter::TX_BYTES);
    a.load(Size::W, R1, R7, scratch::FLOOD_COPIES);
    a.add(R1, 1);
    a.store(Size::W, R7, scratch::FLOOD_COPIES, R1);
}

/// Makes this member the one to send to next. TARGET and R9: device and tag state of the one
/// before; goes to `next` if there was none.
fn exchange_pending(a: &mut Assembler, next: Label) {
    a.load(Size::W, R1, R7, scratch::PENDING);
    a.store(Size::W, R10, TARGET, R1);
    a.load(Size::W, R2, R9, port::IFINDEX);
    a.store(Size::W, R7, scratch::PENDING, R2);
    a.load(Size::Dw, R9, R7, scratch::PENDING_TAG);
    a.load(Size::Dw, R2, R10, TAG);
    a.store(Size::Dw, R7, scratch::PENDING_TAG, R2);
    a.jump_if(Cond::Eq, R1, 0, next);
}

/// Sends a copy to the device of TARGET with the tag state of R9.
fn send_copy(a: &mut Assembler, failed: Label) {
    let tagged = a.label("send");
    a.load(Size::Dw, R1, R7, scratch::TAG_NOW);
    a.jump_if(Cond::Eq, R1, R9, tagged);
    retag(a, R9, failed);
    a.store(Size::Dw, R7, scratch::TAG_NOW, R9);
    a.bind(tagged);
    a.mov(R1, CTX);
    a.load(Size::W, R2, R10, TARGET);
    a.mov(R3, 0);
    a.call(Helper::CloneRedirect);
}

/// All members are done: counts, and sends to the last.
fn finish(a: &mut Assembler, done: Label) {
    let gone = a.label("gone");
    let none = a.label("none");
    a.bind(done);
    a.load(Size::W, R1, R7, scratch::INGRESS);
    lookup_index(a, COUNTERS.id, INDEX, R1);
    a.jump_if(Cond::Eq, R0, 0, gone);
    a.load(Size::W, R2, R7, scratch::FLOOD_COPIES);
    a.jump_if(Cond::Eq, R2, 0, none);
    count(a, counter::FLOODED, 1);
    count(a, counter::COPIES, R2);
    a.jump(gone);
    a.bind(none);
    count(a, counter::DROPS + DropReason::NoMember.index(), 1);
    a.bind(gone);
    jump_finish(a);
}
