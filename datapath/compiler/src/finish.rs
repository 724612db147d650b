//! The finish program: sends what is pending, then does what is left to do for the frame in
//! other bridges, the last item first.

use aorta_ebpf::{Assembler, Cond, Helper, Label, Program, Reg, Size};

use crate::abi::JUMPS;
use crate::abi::scratch::{self, item};
use crate::emit::{
    CTX, item_address, jump_finish, load_scratch, load_tag_state, lookup_index, retag,
};
use crate::pipeline::leave::bring_back;
use crate::pipeline::maps::STATE;
use crate::{CompileError, skb};

use Reg::{R0, R1, R2, R3, R6, R7, R8, R9, R10};

/// Items that one run takes off the stack: returns and jumps that lead nowhere.
const ITEMS_PER_RUN: i32 = 16;

/// Stack frame: u32 key of an array, and u32 target of the jump.
const INDEX: i16 = -4;
const TARGET: i16 = -8;
/// Stack frame: tag state that the frame has for the outer bridge.
const TAG_OUTER: i16 = -16;

/// Compiles the finish program, for a switch with pipelines to which frames come back or without.
///
/// # Errors
/// When it can't be assembled: a defect.
pub fn compile_finish(pipelines: bool) -> Result<Program, CompileError> {
    let name = "finish";
    let mut a = Assembler::new(name);
    let lost = a.label("lost");
    let work = a.label("work");
    let next = a.label("next");
    a.mov(R6, R1);
    load_scratch(&mut a, INDEX, lost);
    a.mov(R7, R0);
    a.load(Size::W, R1, R7, scratch::ITEMS);
    a.jump_if(Cond::Ne, R1, 0, work);
    send_last(&mut a, lost);
    a.bind(work);
    send_copy(&mut a, next);
    items(&mut a, next, lost, pipelines);
    a.bind(lost);
    a.mov(R0, skb::ACT_SHOT);
    a.exit();
    a.finish().map_err(|e| CompileError::assemble(name, e))
}

/// Compiles the program that stands where a patch port was: what jumps there goes no further.
pub fn compile_stub() -> Result<Program, CompileError> {
    let name = "stub";
    let mut a = Assembler::new(name);
    let lost = a.label("lost");
    a.mov(R6, R1);
    load_scratch(&mut a, INDEX, lost);
    a.store(Size::W, R0, scratch::PENDING, 0);
    jump_finish(&mut a);
    a.bind(lost);
    a.mov(R0, skb::ACT_SHOT);
    a.exit();
    a.finish().map_err(|e| CompileError::assemble(name, e))
}

/// Nothing is left but what is pending: the frame itself goes there.
fn send_last(a: &mut Assembler, lost: Label) {
    let tagged = a.label("send");
    a.load(Size::W, R1, R7, scratch::PENDING);
    a.jump_if(Cond::Eq, R1, 0, lost);
    a.load(Size::Dw, R9, R7, scratch::PENDING_TAG);
    a.load(Size::Dw, R1, R7, scratch::TAG_NOW);
    a.jump_if(Cond::Eq, R1, R9, tagged);
    retag(a, R9, lost);
    a.bind(tagged);
    a.load(Size::W, R1, R7, scratch::PENDING);
    a.mov(R2, 0);
    a.call(Helper::Redirect);
    a.exit();
}

/// A copy goes where it is pending; the frame is needed for more.
fn send_copy(a: &mut Assembler, next: Label) {
    let tagged = a.label("send_copy");
    a.mov(R8, 0);
    a.load(Size::W, R1, R7, scratch::PENDING);
    a.jump_if(Cond::Eq, R1, 0, next);
    a.load(Size::Dw, R9, R7, scratch::PENDING_TAG);
    a.load(Size::Dw, R1, R7, scratch::TAG_NOW);
    a.jump_if(Cond::Eq, R1, R9, tagged);
    retag(a, R9, next);
    a.store(Size::Dw, R7, scratch::TAG_NOW, R9);
    a.bind(tagged);
    a.mov(R1, CTX);
    a.load(Size::W, R2, R7, scratch::PENDING);
    a.mov(R3, 0);
    a.call(Helper::CloneRedirect);
}

/// Takes items off the stack until one leads on.
fn items(a: &mut Assembler, next: Label, lost: Label, pipelines: bool) {
    let back = a.label("back");
    a.bind(next);
    a.jump_if(Cond::Ge, R8, ITEMS_PER_RUN, lost);
    a.add(R8, 1);
    a.load(Size::W, R2, R7, scratch::ITEMS);
    a.jump_if(Cond::Eq, R2, 0, lost);
    a.sub(R2, 1);
    a.store(Size::W, R7, scratch::ITEMS, R2);
    a.jump_if(Cond::Ge, R2, scratch::MAX_ITEMS, lost);
    item_address(a, R7);
    a.load(Size::W, R1, R2, item::TARGET);
    a.store(Size::W, R10, TARGET, R1);
    a.load(Size::W, R3, R2, item::DEPTH);
    a.store(Size::W, R7, scratch::DEPTH, R3);
    a.load(Size::Dw, R3, R2, item::TAG_OUTER);
    a.store(Size::Dw, R10, TAG_OUTER, R3);
    a.load(Size::Dw, R9, R2, item::TAG);
    change_tag(a, next);
    a.load(Size::W, R1, R10, TARGET);
    a.jump_if32(Cond::Eq, R1, item::RETURN, back);
    let resume = pipelines.then(|| a.label("resume"));
    if let Some(resume) = resume {
        a.jump_if32(Cond::Eq, R1, item::RESUME, resume);
    }
    jump_on(a);
    a.jump(next);

    a.bind(back);
    a.load(Size::Dw, R1, R10, TAG_OUTER);
    a.store(Size::Dw, R7, scratch::TAG_NOW, R1);
    a.jump(next);

    if let Some(resume) = resume {
        a.bind(resume);
        a.mov(R8, R7);
        lookup_index(a, STATE.id, INDEX, 0);
        a.jump_if(Cond::Eq, R0, 0, lost);
        a.mov(R7, R0);
        bring_back(a, INDEX, lost);
    }
}

/// Brings the frame to the tag state of R9.
fn change_tag(a: &mut Assembler, failed: Label) {
    let tagged = a.label("changed");
    a.load(Size::Dw, R1, R7, scratch::TAG_NOW);
    a.jump_if(Cond::Eq, R1, R9, tagged);
    retag(a, R9, failed);
    a.store(Size::Dw, R7, scratch::TAG_NOW, R9);
    a.bind(tagged);
}

/// Jumps to TARGET with the frame as it is. If items remain, a return goes on the stack first:
/// taking a tag off may have brought an inner one to light, so what the next bridge calls the
/// frame's tag can differ from what this one calls it.
fn jump_on(a: &mut Assembler) {
    let jump_now = a.label("jump");
    a.mov(R3, R9);
    load_tag_state(a, R9);
    a.store(Size::Dw, R7, scratch::TAG_NOW, R9);
    a.load(Size::W, R1, R7, scratch::ITEMS);
    a.jump_if(Cond::Eq, R1, 0, jump_now);
    a.jump_if(Cond::Ge, R1, scratch::MAX_ITEMS, jump_now);
    a.mov(R2, R1);
    a.add(R1, 1);
    a.store(Size::W, R7, scratch::ITEMS, R1);
    item_address(a, R7);
    a.store(Size::W, R2, item::TARGET, item::RETURN);
    a.store(Size::Dw, R2, item::TAG, R9);
    a.store(Size::Dw, R2, item::TAG_OUTER, R3);
    a.bind(jump_now);
    a.store(Size::W, R7, scratch::PENDING, 0);
    a.load(Size::W, R3, R10, TARGET);
    a.load_map(R2, JUMPS.id);
    a.mov(R1, CTX);
    a.call(Helper::TailCall);
}
