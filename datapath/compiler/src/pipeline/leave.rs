//! How a frame leaves a pipeline for another program, and comes back.
//!
//! A pipeline hands a frame to NORMAL or to the other side of a patch port by [`leave`]. The frame's
//! bytes are what they are to be there. What is still to be done in the bridge stands on the frame
//! stack of the [`state`]; if there is nothing, the frame doesn't come back. Else the *leave*
//! program sets the state aside, and puts an item on the stack of [`scratch`]. The *finish* program
//! takes it off, puts the state back and jumps to the bridge's [resume](jump::resume) program, with
//! [`state::RESUMED`] set. The frame's bytes, its tag and the base are then what they were when it
//! left.
//!
//! To that end a program that gets a frame in between gives it back as it came: a pipeline whose
//! [`state::INSIDE`] is set undoes its changes and ends in [`finish`], with the device that a copy
//! is still to go to. Where it is clear nobody else has anything left to do for the frame, and the
//! pipeline ends as it likes.

use aorta_ebpf::{Assembler, Cond, Label, Operand, Program, Reg, Size};
use aorta_flow::DropReason;

use super::layout::{HEADER_BYTES, KEY_BYTES, labels, state};
use super::maps::{ASIDE, MAX_ASIDE, STATE};
use crate::abi::scratch::{self, item};
use crate::abi::{COUNTERS, JUMPS, counter, jump};
use crate::emit::{
    CTX, count, item_address, jump_finish, load_scratch, load_tag_state, lookup_index,
};
use crate::{CompileError, skb};

use Reg::{R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10};

/// Stack frame: u32 key of an array.
const INDEX: i16 = -4;
/// Where what is to be undone of labels is set aside.
const LABELS_ASIDE: i16 = state::FRAMES_AT + 16 * state::MAX_STACK;

/// Takes the frame to the program at `target` of the jumps: [`jump::normal`] of the port that it came
/// from, or the [`jump`](crate::abi::port::JUMP) of a patch port. R6 is the context, R7 the state.
/// Goes to `failed` if it can't; falls through never.
pub fn leave(a: &mut Assembler, target: impl Into<Operand>, failed: Label) {
    a.store(Size::W, R7, state::LEAVE_TO, target);
    a.mov(R1, CTX);
    a.tail_call(JUMPS.id, jump::LEAVE);
    a.jump(failed);
}

/// Takes the frame itself to the program whose index is at [`state::LEAVE_TO`]: nothing is left to be
/// done for it here or elsewhere. Uses 4 bytes of the stack at `stack`; goes to `failed` if it
/// can't; falls through never.
pub fn leave_for_good(a: &mut Assembler, stack: i16, failed: Label) {
    let go = a.label("go");
    load_scratch(a, stack, failed);
    a.mov(R8, R0);
    for zero in [scratch::PENDING, scratch::ITEMS, scratch::ASIDE] {
        a.store(Size::W, R8, zero, 0);
    }
    load_tag_state(a, R9);
    a.store(Size::Dw, R8, scratch::TAG_NOW, R9);
    a.load(Size::W, R2, R7, state::CROSSED);
    a.load(Size::W, R1, R7, state::LEAVE_TO);
    a.jump_if(Cond::Ge, R1, jump::FIRST_NORMAL as i32, go);
    a.add(R2, 1);
    a.bind(go);
    a.store(Size::W, R8, scratch::DEPTH, R2);
    tail_call_to(a, R1);
    a.jump(failed);
}

/// Ends a pipeline whose [`state::INSIDE`] is set: a copy goes to the device of R8 (0: none), then
/// others do what they have left to do. Uses 4 bytes of the stack at `stack`; goes to `failed` if
/// there is no scratch record, which can't be; falls through never.
pub fn finish(a: &mut Assembler, stack: i16, failed: Label) {
    load_scratch(a, stack, failed);
    a.store(Size::W, R0, scratch::PENDING, R8);
    load_tag_state(a, R9);
    a.store(Size::Dw, R0, scratch::PENDING_TAG, R9);
    a.store(Size::Dw, R0, scratch::TAG_NOW, R9);
    jump_finish(a);
}

/// Compiles the program that takes frames out of pipelines: [`jump::LEAVE`].
///
/// # Errors
/// When it can't be assembled: a defect.
pub fn compile_leave() -> Result<Program, CompileError> {
    let name = "leave";
    let mut a = Assembler::new(name);
    let labels = ["lost", "full", "go", "crossed", "inside"].map(|name| a.label(name));
    let [lost, full, go, crossed, inside] = labels;
    records(&mut a, lost);
    a.store(Size::W, R8, scratch::PENDING, 0);
    a.load(Size::W, R1, R7, state::CROSSED);
    a.store(Size::W, R8, scratch::DEPTH, R1);
    a.load(Size::W, R1, R7, state::INSIDE);
    a.jump_if(Cond::Ne, R1, 0, inside);
    a.store(Size::W, R8, scratch::ITEMS, 0);
    a.store(Size::W, R8, scratch::ASIDE, 0);
    a.bind(inside);
    load_tag_state(&mut a, R9);
    a.store(Size::Dw, R8, scratch::TAG_NOW, R9);
    a.load(Size::W, R1, R7, state::FRAMES);
    a.load(Size::W, R2, R7, state::FRAME_BASE);
    a.jump_if(Cond::Le, R1, R2, go);
    set_aside(&mut a, full);
    a.bind(go);
    a.load(Size::W, R1, R7, state::LEAVE_TO);
    a.jump_if(Cond::Ge, R1, jump::FIRST_NORMAL as i32, crossed);
    a.load(Size::W, R2, R8, scratch::DEPTH);
    a.add(R2, 1);
    a.store(Size::W, R8, scratch::DEPTH, R2);
    a.bind(crossed);
    tail_call_to(&mut a, R1);
    give_up(&mut a, INDEX, DropReason::Failed, lost);
    a.bind(full);
    give_up(&mut a, INDEX, DropReason::PatchLoop, lost);
    a.bind(lost);
    a.mov(R0, skb::ACT_SHOT);
    a.exit();
    a.finish().map_err(|e| CompileError::assemble(name, e))
}

/// Brings a frame back to the pipeline that it left last. R7 is the state, R8 the scratch record.
/// Uses 4 bytes of the stack at `stack`; goes to `lost` if a map has gone, which can't be; falls
/// through never.
pub fn bring_back(a: &mut Assembler, stack: i16, lost: Label) {
    let [failed, go] = ["failed", "go"].map(|name| a.label(name));
    a.load(Size::W, R1, R8, scratch::ASIDE);
    a.jump_if(Cond::Eq, R1, 0, failed);
    a.sub(R1, 1);
    a.store(Size::W, R8, scratch::ASIDE, R1);
    lookup_index(a, ASIDE.id, stack, R1);
    a.jump_if(Cond::Eq, R0, 0, failed);
    copy_state(a, R0, R7);
    a.load(Size::W, R1, R7, state::STACK);
    a.jump_if(Cond::Eq, R1, 0, go);
    copy_stack(a, (R0, state::FRAMES_AT), (R7, state::STACK_AT));
    a.bind(go);
    copy_labels(a, (R0, LABELS_ASIDE), (R7, state::LABELS_AT));
    a.store(Size::W, R7, state::RESUMED, 1);
    a.load(Size::W, R1, R7, state::BRIDGE);
    a.add(R1, jump::FIRST_RESUME as i32);
    tail_call_to(a, R1);
    a.bind(failed);
    give_up(a, stack, DropReason::Failed, lost);
}

/// R6 = context, R7 = state, R8 = scratch record.
fn records(a: &mut Assembler, lost: Label) {
    a.mov(R6, R1);
    lookup_index(a, STATE.id, INDEX, 0);
    a.jump_if(Cond::Eq, R0, 0, lost);
    a.mov(R7, R0);
    load_scratch(a, INDEX, lost);
    a.mov(R8, R0);
}

/// Sets the state aside, and sees to it that the frame comes back with the tag state of R9.
fn set_aside(a: &mut Assembler, full: Label) {
    let copied = a.label("copied");
    a.load(Size::W, R1, R8, scratch::ASIDE);
    a.jump_if(Cond::Ge, R1, MAX_ASIDE as i32, full);
    a.load(Size::W, R2, R8, scratch::ITEMS);
    a.jump_if(Cond::Ge, R2, scratch::MAX_ITEMS, full);
    a.mov(R3, R2);
    a.add(R3, 1);
    a.store(Size::W, R8, scratch::ITEMS, R3);
    item_address(a, R8);
    a.store(Size::W, R2, item::TARGET, item::RESUME);
    a.store(Size::Dw, R2, item::TAG, R9);
    a.store(Size::W, R10, INDEX, R1);
    a.add(R1, 1);
    a.store(Size::W, R8, scratch::ASIDE, R1);
    a.load(Size::W, R1, R10, INDEX);
    lookup_index(a, ASIDE.id, INDEX, R1);
    a.jump_if(Cond::Eq, R0, 0, full);
    copy_state(a, R7, R0);
    a.load(Size::W, R1, R7, state::STACK);
    a.jump_if(Cond::Eq, R1, 0, copied);
    copy_stack(a, (R7, state::STACK_AT), (R0, state::FRAMES_AT));
    a.bind(copied);
    copy_labels(a, (R7, state::LABELS_AT), (R0, LABELS_ASIDE));
}

/// Copies the part of the state that belongs to one bridge.
fn copy_state(a: &mut Assembler, from: Reg, to: Reg) {
    let words =
        (state::VERSION..state::WORDS_END).chain(state::KEY..state::KEY + KEY_BYTES + HEADER_BYTES);
    for at in words.step_by(8) {
        a.load(Size::Dw, R1, from, at);
        a.store(Size::Dw, to, at, R1);
    }
}

/// Copies what is to be undone of labels. Uses R1 to R5.
fn copy_labels(a: &mut Assembler, from: (Reg, i16), to: (Reg, i16)) {
    let done = a.label("labels_copied");
    a.load(Size::W, R2, R7, state::KEY + labels::LOG);
    let next = a.here("next_label");
    a.may_goto(done);
    a.jump_if(Cond::Eq, R2, 0, done);
    a.sub(R2, 1);
    a.mov(R3, R2);
    a.and(R3, i32::from(labels::MAX_LOG) - 1);
    a.lsh(R3, labels::ENTRY_BYTES.trailing_zeros() as i32);
    a.mov(R4, from.0);
    a.add(R4, R3);
    a.mov(R5, to.0);
    a.add(R5, R3);
    for at in (0..labels::ENTRY_BYTES).step_by(8) {
        a.load(Size::Dw, R1, R4, from.1 + at);
        a.store(Size::Dw, R5, to.1 + at, R1);
    }
    a.jump(next);
    a.bind(done);
}

fn copy_stack(a: &mut Assembler, from: (Reg, i16), to: (Reg, i16)) {
    for at in (0..16 * state::MAX_STACK).step_by(8) {
        a.load(Size::Dw, R1, from.0, from.1 + at);
        a.store(Size::Dw, to.0, to.1 + at, R1);
    }
}

/// Jumps to the program whose index is in `index`; falls through if it isn't there.
fn tail_call_to(a: &mut Assembler, index: Reg) {
    a.mov(R3, index);
    a.load_map(R2, JUMPS.id);
    a.mov(R1, CTX);
    a.call(aorta_ebpf::Helper::TailCall);
}

/// Counts why the frame ends here, and goes on with what others have left to do for it.
fn give_up(a: &mut Assembler, stack: i16, reason: DropReason, lost: Label) {
    a.load(Size::W, R1, R7, state::INGRESS);
    lookup_index(a, COUNTERS.id, stack, R1);
    a.jump_if(Cond::Eq, R0, 0, lost);
    count(a, counter::DROPS + reason.index(), 1);
    jump_finish(a);
}
