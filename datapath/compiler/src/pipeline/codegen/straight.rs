//! Programs for one port alone: the entry of the port and the tables of its bridge in one, with the
//! port's facts as constants. There is one for bridges whose flows send each packet once at most, as
//! the last thing that they do: then nothing is ever pending, and no frame comes back.
//!
//! Such a program is made of the tables as they are at an *epoch* of its bridge, and, where small ones
//! in memory are code in it, at a version. It asks for these first, and in later ones is what any other
//! port's entry is, so that the bridge's root alone decides what holds.

use aorta_ebpf::{Cond, Label, Reg, Size};
use aorta_flow::action::Action;
use aorta_flow::field::FieldId;
use aorta_flow::{DropReason, OfPort};

use super::{Block, Gen, INDEX, key};
use crate::abi::{COUNTERS, counter};
use crate::emit::{CTX, count, lookup_index};
use crate::flow_entry::{self, frame_length};
use crate::pipeline::Hook;
use crate::pipeline::commit::{CommitFacts, emit_commit};
use crate::pipeline::layout::{self, state};
use crate::pipeline::maps::{BRIDGE_PORTS, STATE, VERSION, ports};
use crate::pipeline::plan::Plan;
use crate::pipeline::record::MatchWord;
use crate::pipeline::shape::{Shape, Step, Whole};
use crate::{FlowEntryFacts, XdpEntryFacts, xdp_entry};

use super::hook;
use Reg::{R0, R1, R6, R7, R8, R9};

/// The port that a program is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PortForm<'f> {
    /// What is constant, and what the program is in other epochs.
    pub entry: PortEntry<'f>,
    /// The epoch of the bridge in which it holds.
    pub epoch: u32,
}

/// The entry of a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PortEntry<'f> {
    /// At tcx.
    Tc(&'f FlowEntryFacts),
    /// In front of the stack.
    Xdp(XdpEntryFacts),
}

impl PortForm<'_> {
    /// Slot of the port.
    pub fn port_slot(&self) -> u32 {
        match self.entry {
            PortEntry::Tc(facts) => facts.port_slot,
            PortEntry::Xdp(facts) => facts.port_slot,
        }
    }

    /// Its number, as flows match it.
    pub fn ofport(&self) -> OfPort {
        match self.entry {
            PortEntry::Tc(facts) => facts.ofport,
            PortEntry::Xdp(facts) => facts.ofport,
        }
    }
}

/// Whether there are programs for single ports.
pub fn takes(plan: &Plan) -> bool {
    let calls = plan.action_set || plan.copies || !plan.extras.groups.is_empty();
    let other_port =
        !plan.overridden.is_empty() || plan.usage.writes.contains(&FieldId::IN_PORT.field().home);
    let framed = !plan.framed.is_empty() || plan.has_misses();
    !calls && !other_port && !framed && plan.used_shapes().iter().all(|shape| straight(shape))
}

/// Whether flows of a shape send once at most, and do nothing afterwards.
fn straight(shape: &Shape) -> bool {
    let Some((last, before)) = shape.steps.split_last() else {
        return true;
    };
    let ends = !shape.clears && shape.metadata.is_empty() && shape.goto.is_none();
    let last_is = match last {
        Step::Output(_) | Step::OutputInPort | Step::OutputNormal => ends,
        Step::Resubmit { in_port: None, .. } => ends,
        step => quiet(step),
    };
    last_is && before.iter().all(quiet)
}

/// Whether a step sends nothing to ports, and goes nowhere.
fn quiet(step: &Step) -> bool {
    match step {
        Step::Set { .. }
        | Step::SetTag(_)
        | Step::Move { .. }
        | Step::Clear(_)
        | Step::CheckLarger(..) => true,
        Step::Other(Whole(action)) => matches!(
            action,
            Action::PushVlan(_) | Action::PopVlan | Action::StripVlan | Action::DecTtl(_)
        ),
        _ => false,
    }
}

/// Whether a step reads the packet's in port.
fn reads_port(step: &Step) -> bool {
    match step {
        Step::Move { from, .. } => from.field.field().home == FieldId::IN_PORT,
        Step::OutputInPort => true,
        _ => false,
    }
}

impl Gen<'_> {
    /// Begins what a pipeline begins with, as an entry would, but for frames that the first table
    /// decides about.
    pub(super) fn enter_port(&mut self, form: &PortForm) {
        let superseded = self.a.label("superseded");
        self.superseded = Some(superseded);
        let a = &mut self.a;
        a.mov(R6, R1);
        if let PortEntry::Tc(facts) = form.entry {
            self.guard_port(facts);
        }
        let a = &mut self.a;
        a.load_map_value(R1, BRIDGE_PORTS, ports::EPOCH);
        a.load(Size::W, R1, R1, 0);
        a.jump_if32(Cond::Ne, R1, form.epoch as i32, superseded);
        if let Some(version) = self.fixed {
            a.load_map_value(R1, VERSION, 0);
            a.load(Size::W, R1, R1, 0);
            a.jump_if32(Cond::Ne, R1, version as i32, superseded);
        }
        match &form.entry {
            PortEntry::Tc(facts) => self.begin_port(facts),
            PortEntry::Xdp(facts) => {
                self.front();
                let pass = self.block(Block::Pass);
                xdp_entry::begin(&mut self.a, facts, pass);
                self.begin_counts(pass);
            }
        }
    }

    /// Asks the guard of a port that has one, whichever tables hold; that counts the frame.
    fn guard_port(&mut self, facts: &FlowEntryFacts) {
        if let Some(guard) = &facts.guard {
            let lost = self.block(Block::Lost);
            flow_entry::emit_guard(&mut self.a, guard, facts.port_slot, lost);
        }
    }

    /// Counts the frame, too, unless its guard did.
    fn begin_port(&mut self, facts: &FlowEntryFacts) {
        let lost = self.block(Block::Lost);
        let a = &mut self.a;
        if facts.guard.is_none() {
            lookup_index(a, COUNTERS.id, INDEX, facts.port_slot as i32);
            a.jump_if(Cond::Eq, R0, 0, lost);
        }
        a.load(Size::W, R8, CTX, crate::skb::LEN);
        if facts.guard.is_none() {
            count(a, counter::RX_PACKETS, 1);
            count(a, counter::RX_BYTES, R8);
        }
        frame_length(a);
        self.front();
        let a = &mut self.a;
        lookup_index(a, STATE.id, INDEX, 0);
        a.jump_if(Cond::Eq, R0, 0, lost);
        a.mov(R7, R0);
        a.store(Size::W, R7, state::LEN, R8);
        self.begin_counts(lost);
        if !self.told_at_once() {
            let a = &mut self.a;
            for pair in [state::OUTPUTS, state::GIVEN_UP, state::FRAMES] {
                a.store(Size::Dw, R7, pair, 0);
            }
            a.store(Size::W, R7, state::INGRESS, facts.port_slot as i32);
        }
        if self.asks_for_port() {
            let ofport = i32::from(facts.ofport.0);
            let place = key(FieldId::IN_PORT);
            self.a.store(Size::W, R7, place, ofport);
        }
    }

    /// Whether the number of the port must be in the key: everything but tables in code reads it
    /// there.
    fn asks_for_port(&self) -> bool {
        let in_port = layout::place(FieldId::IN_PORT);
        let mut tables = self.plan.tables.values();
        let in_memory = tables.any(|table| {
            let code = self.rules_as_code(table).is_some();
            !code && table.words.iter().any(|at| Some(*at) == in_port)
        });
        let shapes = self.plan.used_shapes();
        let mut steps = shapes.iter().flat_map(|shape| &shape.steps);
        in_memory || !self.told_at_once() || steps.any(reads_port)
    }

    /// Whether a packet that goes nowhere is counted where that is decided: nothing was sent before.
    pub(super) fn told_at_once(&self) -> bool {
        self.port.is_some() && self.hook == Hook::Tc && self.plan.extras.upcalls.is_empty()
    }

    /// Ends the packet: it goes nowhere.
    pub(super) fn drop_at_once(&mut self, reason: DropReason) {
        let dropped = self.block(Block::Dropped);
        self.a.mov(R8, reason.index() as i32);
        self.a.jump(dropped);
    }

    /// Counts the drop for the reason in R8.
    pub(super) fn emit_dropped(&mut self) {
        let gone = self.block(Block::Lost);
        self.count_drop(gone);
        self.a.jump(gone);
    }

    /// What the program is in a later epoch.
    pub(super) fn emit_superseded(&mut self) {
        if let (Some(form), Some(label)) = (self.port, self.superseded) {
            self.a.comment("other tables hold");
            self.a.bind(label);
            match form.entry {
                PortEntry::Tc(facts) if facts.guard.is_some() => {
                    let lost = self.a.label("lost");
                    flow_entry::emit_guarded(&mut self.a, facts, lost);
                }
                PortEntry::Tc(facts) => flow_entry::emit(&mut self.a, facts),
                PortEntry::Xdp(facts) => xdp_entry::emit(&mut self.a, &facts),
            }
        }
    }

    /// What a rule asks for besides what is known of the port; `None` if no packet from there has it.
    pub(super) fn left_to_ask(&self, words: &[MatchWord]) -> Option<Vec<MatchWord>> {
        let Some(form) = self.port else {
            return Some(words.to_vec());
        };
        let in_port = layout::place(FieldId::IN_PORT);
        let number = u32::from(form.ofport().0);
        let (known, left): (Vec<MatchWord>, Vec<MatchWord>) =
            words.iter().partition(|word| Some(word.at) == in_port);
        let meets = |word: &MatchWord| number & word.mask == word.value;
        known.iter().all(meets).then_some(left)
    }

    /// The port whose slot plus 1 is in R1, 0 for none, gets the packet; `skip` is bound behind it.
    pub(super) fn send_straight(&mut self, skip: Label, end: Option<Label>) -> bool {
        let leave = self.block(Block::Leave);
        self.a.jump(leave);
        self.a.bind(skip);
        match end {
            Some(end) => {
                self.a.jump(end);
                true
            }
            None => false,
        }
    }

    /// The bytes follow the key, and the frame leaves by the port whose slot plus 1 is in R1.
    pub(super) fn emit_leave(&mut self) {
        let names = ["jumps", "lost", "in_sync", "refused"];
        let [jumps, lost, in_sync, refused] = names.map(|name| self.a.label(name));
        if !self.changes.is_empty() {
            let failed = self.block(Block::Failed);
            self.a.store(Size::W, R7, state::NEXT, R1);
            let facts = CommitFacts {
                changes: self.changes,
                done: in_sync,
                failed,
            };
            emit_commit(&mut self.a, &facts);
            self.a.bind(in_sync);
            self.a.load(Size::W, R1, R7, state::NEXT);
        }
        self.egress(jumps, lost);
        self.count_sent();
        self.a.load(Size::W, R1, R9, crate::abi::port::IFINDEX);
        hook::send_last(&mut self.a, R1);
        self.a.bind(jumps);
        self.a.store(Size::W, R7, state::CROSSED, 0);
        self.leave_for_good(refused);
        self.a.bind(refused);
        self.a.mov(R8, DropReason::Failed.index() as i32);
        self.a.bind(lost);
        let dropped = self.block(Block::Dropped);
        self.a.jump(dropped);
    }

    /// No port gets the packet.
    pub(super) fn finish_straight(&mut self) {
        if self.told_at_once() {
            return self.drop_at_once(DropReason::FlowDrop);
        }
        let [known, told] = ["known", "told"].map(|name| self.a.label(name));
        let gone = self.block(Block::Lost);
        let dropped = self.block(Block::Dropped);
        self.a.load(Size::W, R1, R7, state::OUTPUTS);
        self.a.jump_if(Cond::Ne, R1, 0, told);
        self.why_dropped(known);
        self.a.bind(known);
        self.a.jump(dropped);
        self.a.bind(told);
        self.count_copies();
        self.a.jump(gone);
    }
}
