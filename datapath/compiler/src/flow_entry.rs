//! The entry program of a port of a bridge with flows: counts the frame, and takes it to the
//! bridge's pipeline.

use std::sync::Arc;

use aorta_ebpf::{Assembler, Cond, Helper, Label, Program, Reg, Size};
use aorta_flow::field::FieldId;
use aorta_flow::{DropReason, MAX_PATCH_DEPTH, OfPort};

use crate::abi::{COUNTERS, JUMPS, counter, jump, scratch};
use crate::emit::{CTX, count, count_frame, jump_finish, load_scratch, lookup_index};
use crate::pipeline::layout::{place, state};
use crate::pipeline::maps::STATE;
use crate::{CompileError, ENTRY_PREFIX, IngressGuard, Origin, Refuses, guard, skb};

use Reg::{R0, R1, R2, R3, R6, R7, R8};

/// Stack frame: u32 key of an array.
const INDEX: i16 = -4;

/// Frames that pipelines before may have left at most, so that this one has room for its own.
const MAX_OUTER_FRAMES: i32 = state::MAX_FRAMES as i32 / 2;

/// Bytes of a tag, which are not among the frame's while the kernel keeps it beside.
const TAG_BYTES: i32 = 4;

/// What entries hand over to their bridge's root with a frame that nobody else has anything left to do
/// for; the root sees to the rest. Offsets in `struct __sk_buff`, u32 each.
pub(crate) mod handed {
    use crate::skb;

    /// Slot of the port plus 1; 0 if the frame wasn't handed over so, but the state says all.
    pub const SLOT: i16 = skb::CB;
    /// Number of the port.
    pub const IN_PORT: i16 = skb::CB + 4;
    /// Patch ports that the frame has crossed.
    pub const CROSSED: i16 = skb::CB + 8;
}

/// All that the entry program of a port of a bridge with flows depends on.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct FlowEntryFacts {
    /// Slot of the port.
    pub port_slot: u32,
    /// Its number, as flows match it.
    pub ofport: OfPort,
    /// Slot of its bridge.
    pub bridge_slot: u32,
    /// How frames get here: [`Origin::Device`] or [`Origin::Patch`].
    pub origin: Origin,
    /// Which frames are not to be received.
    pub refuses: Refuses,
    /// What is asked of frames from the port's device.
    pub guard: Option<Arc<IngressGuard>>,
}

/// Compiles the entry program of a port of a bridge with flows.
///
/// # Errors
/// When it can't be assembled: a defect.
pub fn compile_flow_entry(facts: &FlowEntryFacts) -> Result<Program, CompileError> {
    let name = format!("{ENTRY_PREFIX}{}", facts.port_slot);
    let mut a = Assembler::new(&name);
    a.mov(R6, R1);
    if let Some(guard) = &facts.guard {
        let lost = a.label("uncounted");
        emit_guard(&mut a, guard, facts.port_slot, lost);
        emit_guarded(&mut a, facts, lost);
        return a
            .finish_reachable()
            .map_err(|e| CompileError::assemble(&name, e));
    }
    emit(&mut a, facts);
    a.finish().map_err(|e| CompileError::assemble(&name, e))
}

/// Counts a frame of the port in `slot`, and falls through if its guard lets it in. R6 is the context;
/// no other register is kept.
pub(crate) fn emit_guard(a: &mut Assembler, guard: &IngressGuard, slot: u32, lost: Label) {
    lookup_index(a, COUNTERS.id, INDEX, slot as i32);
    a.jump_if(Cond::Eq, R0, 0, lost);
    count_frame(a, counter::RX_PACKETS, counter::RX_BYTES);
    guard::emit(a, guard, slot);
}

/// The program behind its first instruction, for a port without a guard: R6 is the context.
pub(crate) fn emit(a: &mut Assembler, facts: &FlowEntryFacts) {
    let lost = a.label("lost");
    lookup_index(a, COUNTERS.id, INDEX, facts.port_slot as i32);
    a.jump_if(Cond::Eq, R0, 0, lost);
    count_frame(a, counter::RX_PACKETS, counter::RX_BYTES);
    emit_guarded(a, facts, lost);
}

/// Takes a frame that is counted to the bridge's pipeline.
pub(crate) fn emit_guarded(a: &mut Assembler, facts: &FlowEntryFacts, lost: Label) {
    let [looped, inner, go] = ["looped", "inner", "go"].map(|name| a.label(name));
    let patch = facts.origin != Origin::Device;
    if patch {
        from_patch(a, (lost, looped), inner);
    } else {
        a.store(Size::W, CTX, handed::CROSSED, 0);
    }
    let refused = a.label("refused");
    facts.refuses.emit(a, refused);
    a.store(Size::W, CTX, handed::SLOT, facts.port_slot as i32 + 1);
    a.store(Size::W, CTX, handed::IN_PORT, i32::from(facts.ofport.0));
    if patch {
        a.jump(go);
        a.bind(inner);
        begin_inner(a, facts, (lost, looped), refused);
        a.bind(go);
    }
    a.mov(R1, CTX);
    a.tail_call(JUMPS.id, jump::bridge(facts.bridge_slot));
    drop_for(a, facts, DropReason::Failed, lost);
    if patch {
        a.bind(looped);
        drop_for(a, facts, DropReason::PatchLoop, lost);
    }
    if facts.refuses != Refuses::None {
        a.bind(refused);
        drop_for(a, facts, DropReason::NotReceived, lost);
    }
    a.bind(lost);
    a.mov(R0, skb::ACT_SHOT);
    a.exit();
}

/// The frame came by a jump: goes to `inner` if others have more to do for it.
fn from_patch(a: &mut Assembler, (lost, looped): (Label, Label), inner: Label) {
    load_scratch(a, INDEX, lost);
    a.load(Size::W, R1, R0, scratch::DEPTH);
    a.jump_if(Cond::Gt, R1, MAX_PATCH_DEPTH as i32, looped);
    a.store(Size::W, CTX, handed::CROSSED, R1);
    a.load(Size::W, R2, R0, scratch::ITEMS);
    a.load(Size::W, R3, R0, scratch::ASIDE);
    a.or(R2, R3);
    a.jump_if(Cond::Ne, R2, 0, inner);
}

/// Writes what a pipeline begins with; what those need that the frame came through stays as it is.
fn begin_inner(
    a: &mut Assembler,
    facts: &FlowEntryFacts,
    (lost, looped): (Label, Label),
    refused: Label,
) {
    let [outermost, aside] = ["outermost", "aside"].map(|name| a.label(name));
    lookup_index(a, STATE.id, INDEX, 0);
    a.jump_if(Cond::Eq, R0, 0, lost);
    a.mov(R7, R0);
    load_scratch(a, INDEX, lost);
    a.load(Size::W, R1, R0, scratch::DEPTH);
    a.store(Size::W, R7, state::CROSSED, R1);
    a.mov(R2, 0);
    a.load(Size::W, R1, R0, scratch::ITEMS);
    a.jump_if(Cond::Eq, R1, 0, outermost);
    a.mov(R2, 1);
    a.bind(outermost);
    a.store(Size::W, R7, state::INSIDE, R2);
    a.load(Size::W, R1, R0, scratch::ASIDE);
    a.jump_if(Cond::Ne, R1, 0, aside);
    a.store(Size::W, R7, state::FRAMES, 0);
    a.store(Size::W, R7, state::SAVES, 0);
    a.bind(aside);
    a.load(Size::W, R1, R7, state::FRAMES);
    a.jump_if(Cond::Gt, R1, MAX_OUTER_FRAMES, looped);
    a.store(Size::W, R7, state::FRAME_BASE, R1);
    facts.refuses.emit(a, refused);
    a.store(Size::W, R7, state::STACK, 0);
    a.store(Size::W, R7, state::INGRESS, facts.port_slot as i32);
    if let Some(in_port) = place(FieldId::IN_PORT) {
        let number = i32::from(facts.ofport.0);
        a.store(Size::W, R7, state::KEY + in_port, number);
    }
    begin(a, facts.bridge_slot);
    a.store(Size::W, CTX, handed::SLOT, 0);
}

/// R8, bytes of the frame without the tag beside it, becomes those with it. Uses R1.
pub(crate) fn frame_length(a: &mut Assembler) {
    let untagged = a.label("untagged");
    a.load(Size::W, R1, CTX, skb::VLAN_PRESENT);
    a.jump_if(Cond::Eq, R1, 0, untagged);
    a.add(R8, TAG_BYTES);
    a.bind(untagged);
}

/// Writes what every pipeline begins with. Uses R0 to R5, R8.
fn begin(a: &mut Assembler, bridge_slot: u32) {
    a.load(Size::W, R8, CTX, skb::LEN);
    frame_length(a);
    // Words side by side are written together.
    a.store(Size::Dw, R7, state::OUTPUTS, 0);
    a.store(Size::Dw, R7, state::GIVEN_UP, 0);
    a.store(Size::W, R7, state::RESUMED, 0);
    a.store(Size::W, R7, state::LEN, R8);
    a.store(Size::W, R7, state::BRIDGE, bridge_slot as i32);
    a.call(Helper::Jiffies64);
    a.store(Size::Dw, R7, state::NOW, R0);
}

/// In a bridge's root: writes what a pipeline begins with, of a frame that an entry handed over in the
/// context (R6). R7 is the state; uses R0 to R5, R8.
pub fn begin_handed(a: &mut Assembler, bridge_slot: u32) {
    let begun = a.label("begun");
    a.load(Size::W, R1, CTX, handed::SLOT);
    a.jump_if(Cond::Eq, R1, 0, begun);
    a.sub(R1, 1);
    a.store(Size::W, R7, state::INGRESS, R1);
    // It may come here again.
    a.store(Size::W, CTX, handed::SLOT, 0);
    for pair in [state::FRAMES, state::SAVES] {
        a.store(Size::Dw, R7, pair, 0);
    }
    a.store(Size::W, R7, state::INSIDE, 0);
    a.load(Size::W, R1, CTX, handed::CROSSED);
    a.store(Size::W, R7, state::CROSSED, R1);
    if let Some(in_port) = place(FieldId::IN_PORT) {
        a.load(Size::W, R1, CTX, handed::IN_PORT);
        a.store(Size::W, R7, state::KEY + in_port, R1);
    }
    begin(a, bridge_slot);
    a.bind(begun);
}

/// Counts why the frame ends here, and goes on with what others have left to do for it.
fn drop_for(a: &mut Assembler, facts: &FlowEntryFacts, reason: DropReason, lost: Label) {
    lookup_index(a, COUNTERS.id, INDEX, facts.port_slot as i32);
    a.jump_if(Cond::Eq, R0, 0, lost);
    count(a, counter::DROPS + reason.index(), 1);
    if facts.origin == Origin::Device {
        a.jump(lost);
        return;
    }
    load_scratch(a, INDEX, lost);
    a.store(Size::W, R0, scratch::PENDING, 0);
    jump_finish(a);
}
