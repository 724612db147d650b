//! The program in front of the stack at a port of a bridge with flows: notes what a pipeline begins
//! with, and goes to the XDP form of the bridge's pipeline. It counts nothing: a frame that isn't
//! taken comes to the port's entry at tcx as if there were no XDP.

use aorta_ebpf::{Assembler, Cond, Helper, Label, Program, Reg, Size};
use aorta_flow::OfPort;
use aorta_flow::field::FieldId;
use aorta_packet::{ETH_HEADER_LEN, TPID_8021AD, TPID_8021Q, VLAN_TAG_LEN};

use crate::abi::{XDP_JUMPS, port};
use crate::emit::{CTX, lookup_index};
use crate::pipeline::layout::{place, state};
use crate::pipeline::maps::STATE;
use crate::{CompileError, xdp};

use Reg::{R0, R1, R2, R3, R6, R7, R8};

/// Stack frame: u32 key of an array.
const INDEX: i16 = -4;

/// How a device runs XDP programs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum XdpMode {
    /// In the stack, for any device (`XDP_FLAGS_SKB_MODE`).
    Generic,
    /// In the driver (`XDP_FLAGS_DRV_MODE`).
    Native,
}

impl XdpMode {
    /// What a port's record says of a device that runs programs so, and at least has to say for
    /// such programs to send there ([`port::XDP`]).
    pub const fn record(self) -> u8 {
        match self {
            XdpMode::Generic => port::XDP_GENERIC,
            XdpMode::Native => port::XDP_NATIVE,
        }
    }
}

/// All that the XDP program of a port depends on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct XdpEntryFacts {
    /// Slot of the port.
    pub port_slot: u32,
    /// Its number, as flows match it.
    pub ofport: OfPort,
    /// Slot of its bridge.
    pub bridge_slot: u32,
    /// How its device runs the program.
    pub mode: XdpMode,
}

/// Compiles the XDP program of a port of a bridge with flows.
///
/// # Errors
/// When it can't be assembled: a defect.
pub fn compile_xdp_entry(facts: &XdpEntryFacts) -> Result<Program, CompileError> {
    let name = format!("xdp_{}", facts.port_slot);
    let mut a = Assembler::new(&name);
    a.mov(R6, R1);
    emit(&mut a, facts);
    a.finish().map_err(|e| CompileError::assemble(&name, e))
}

/// The program behind its first instruction: R6 is the context.
pub(crate) fn emit(a: &mut Assembler, facts: &XdpEntryFacts) {
    let pass = a.label("pass");
    begin(a, facts, pass);
    a.mov(R1, CTX);
    a.tail_call(XDP_JUMPS.id, facts.bridge_slot);
    a.bind(pass);
    a.mov(R0, xdp::PASS);
    a.exit();
}

/// Writes what a pipeline begins with; its root sees to what only some pipelines need. R7 is the
/// state from here on. Goes to `pass` with frames that are left to tcx.
pub(crate) fn begin(a: &mut Assembler, facts: &XdpEntryFacts, pass: Label) {
    lookup_index(a, STATE.id, INDEX, 0);
    a.jump_if(Cond::Eq, R0, 0, pass);
    a.mov(R7, R0);
    a.load(Size::W, R2, CTX, xdp::DATA);
    a.load(Size::W, R3, CTX, xdp::DATA_END);
    a.mov(R1, R2);
    a.add(R1, ETH_HEADER_LEN as i32);
    a.jump_if(Cond::Gt, R1, R3, pass);
    a.mov(R8, R3);
    a.sub(R8, R2);
    lengths(a);
    // Words side by side are written together.
    for pair in [
        state::OUTPUTS,
        state::GIVEN_UP,
        state::FRAMES,
        state::SAVES,
        state::LEAVE_TO,
    ] {
        a.store(Size::Dw, R7, pair, 0);
    }
    for word in [state::INSIDE, state::NOTED] {
        a.store(Size::W, R7, word, 0);
    }
    a.store(Size::W, R7, state::INGRESS, facts.port_slot as i32);
    a.store(Size::W, R7, state::BRIDGE, facts.bridge_slot as i32);
    let needs = i32::from(facts.mode.record());
    a.store(Size::W, R7, state::XDP_NEEDS, needs);
    if let Some(in_port) = place(FieldId::IN_PORT) {
        let number = i32::from(facts.ofport.0);
        a.store(Size::W, R7, state::KEY + in_port, number);
    }
    a.call(Helper::Jiffies64);
    a.store(Size::Dw, R7, state::NOW, R0);
}

/// Writes the lengths of the frame at R2, which R8 is. Uses R1, R8.
pub(crate) fn lengths(a: &mut Assembler) {
    let [tagged, known] = ["tagged", "length_known"].map(|name| a.label(name));
    a.store(Size::W, R7, state::LEN, R8);
    a.load(Size::H, R1, R2, 12);
    a.be16(R1);
    for tpid in [TPID_8021Q, TPID_8021AD] {
        a.jump_if(Cond::Eq, R1, i32::from(tpid), tagged);
    }
    a.jump(known);
    a.bind(tagged);
    a.sub(R8, VLAN_TAG_LEN as i32);
    a.bind(known);
    a.store(Size::W, R7, state::BARE_LEN, R8);
}
