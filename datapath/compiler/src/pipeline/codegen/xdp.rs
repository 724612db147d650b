//! What XDP programs do otherwise. They take a packet only if all that becomes of it is a drop, or
//! that it leaves by one port that XDP can send to, as it is or with other addresses, ports, tags or
//! time to live; every other packet goes on to the
//! program at tcx as if there were no XDP. So nothing is counted before that is known: rules that
//! the packet finds are noted, and counted at the end.

use aorta_ebpf::{Cond, Helper, Label, Operand, Reg, Size};
use aorta_flow::action::Action;
use aorta_flow::{DropReason, Flow};

use super::site::Site;
use super::{Block, Gen, INDEX, commit};
use crate::abi::{COUNTERS, PORTS, counter, port};
use crate::emit::{count, lookup_index};
use crate::pipeline::Hook;
use crate::pipeline::commit::xdp::XdpExits;
use crate::pipeline::layout::state;
use crate::pipeline::plan::Plan;
use crate::pipeline::shape::{Shape, Step, Whole, split};
use crate::xdp;

use Reg::{R0, R1, R2, R3, R7, R8, R9};

/// Whether XDP programs can do all that flows of a shape do.
pub fn takes(shape: &Shape) -> bool {
    let steps = shape.all_steps();
    steps.into_iter().all(takes_step)
}

/// Whether XDP programs can do all that a flow does.
pub fn takes_flow(flow: &Flow) -> bool {
    split(flow).is_ok_and(|(shape, _)| takes(&shape))
}

/// Whether there is any flow that XDP programs can do.
pub fn takes_any(plan: &Plan) -> bool {
    !plan.has_misses() && plan.used_shapes().iter().any(|shape| takes(shape))
}

/// Whether XDP programs can do a step, apart from those within it.
pub fn takes_step(step: &Step) -> bool {
    let can = |field| commit::dirty_bit(field) == 0 || commit::xdp_changes(field);
    match step {
        Step::Set { field, .. } => can(*field),
        Step::Move { to, .. } => can(to.field),
        Step::Clear(field) => commit::dirty_bit(*field) == 0,
        Step::Pop(to) => commit::dirty_bit(to.field) == 0,
        Step::Push(_)
        | Step::SetTag(_)
        | Step::Output(_)
        | Step::OutputInPort
        | Step::Resubmit { .. }
        | Step::Clone(_)
        | Step::Exit => true,
        Step::Other(Whole(action)) => matches!(
            action,
            Action::PushVlan(_) | Action::PopVlan | Action::StripVlan | Action::DecTtl(_)
        ),
        Step::CheckLarger(..)
        | Step::Enqueue(..)
        | Step::SetQueue(_)
        | Step::PopQueue
        | Step::OutputField(_)
        | Step::OutputAll
        | Step::OutputFlood
        | Step::OutputNormal => false,
    }
}

/// Whether a step changes what is in the frame's bytes.
pub fn changes_bytes(step: &Step) -> bool {
    match step {
        Step::Set { field, .. } => commit::dirty_bit(*field) != 0,
        Step::Move { to, .. } => commit::dirty_bit(to.field) != 0,
        Step::SetTag(_) | Step::Other(_) => true,
        _ => false,
    }
}

impl Gen<'_> {
    /// Leaves packets that find flows of a shape to the other hook, if they have to be. True if
    /// control never comes to what is behind it.
    pub(super) fn passes(&mut self, shape: u32) -> bool {
        let passes = self.hook == Hook::Xdp
            && self
                .plan
                .shapes
                .get(shape)
                .is_some_and(|shape| !takes(shape));
        if passes {
            let pass = self.block(Block::Pass);
            self.a.jump(pass);
        }
        passes
    }

    /// Notes a rule that the packet found. Uses R1 to R3.
    pub(super) fn note_hit(&mut self, rule: Operand) {
        let pass = self.block(Block::Pass);
        let a = &mut self.a;
        a.load(Size::W, R2, R7, state::NOTED);
        a.jump_if(Cond::Ge, R2, i32::from(state::MAX_NOTED), pass);
        a.mov(R3, R2);
        a.add(R2, 1);
        a.store(Size::W, R7, state::NOTED, R2);
        a.lsh(R3, 2);
        a.add(R3, R7);
        a.store(Size::W, R3, state::NOTED_AT, rule);
    }

    /// The port whose slot plus 1 is in R1 becomes pending, unless another one is: copies are left
    /// to the other hook, as is what goes to no port. `skip` is bound behind it.
    pub(super) fn xdp_send(&mut self, site: &Site, skip: Label, tail: bool) -> bool {
        let pass = self.block(Block::Pass);
        let a = &mut self.a;
        a.jump_if(Cond::Eq, R1, 0, pass);
        a.load(Size::W, R2, R7, state::PENDING);
        a.jump_if(Cond::Ne, R2, 0, pass);
        a.store(Size::W, R7, state::PENDING, R1);
        a.bind(skip);
        if tail {
            let end = self.flow_end(site.bare);
            self.a.jump(end);
        }
        tail
    }

    /// What is pending is the packet as it will be in the end: after that, its bytes don't change.
    pub(super) fn pass_if_sent(&mut self) {
        let pass = self.block(Block::Pass);
        self.a.load(Size::W, R1, R7, state::PENDING);
        self.a.jump_if(Cond::Ne, R1, 0, pass);
    }

    /// A copy that changed may be what is pending.
    fn pass_if_sent_changed(&mut self) {
        if self.changes.is_empty() {
            return;
        }
        let pass = self.block(Block::Pass);
        let same = self.a.label("not_sent");
        let a = &mut self.a;
        a.load(Size::W, R1, R7, state::PENDING);
        a.jump_if(Cond::Eq, R1, 0, same);
        a.load(Size::Dw, R1, R7, state::DIRTY);
        a.jump_if(Cond::Ne, R1, 0, pass);
        a.bind(same);
    }

    pub(super) fn xdp_block(&mut self, block: Block) {
        match block {
            Block::Return => {}
            Block::End => self.emit_end(),
            Block::Finish => match self.card {
                Some(card) => self.card_finish(card),
                None => self.xdp_finish(),
            },
            Block::Save => self.emit_save(false),
            Block::Restore => {
                self.pass_if_sent_changed();
                self.emit_restore(false);
            }
            Block::ActionSet => self.emit_action_set(),
            Block::ActionSetOver => self.emit_action_set_over(),
            Block::Exit => self.emit_exit(),
            Block::Sync
            | Block::AllPorts
            | Block::FloodPorts
            | Block::SaveBucket
            | Block::RestoreBucket
            | Block::Upcall
            | Block::SendCut
            | Block::PushLabel
            | Block::PopLabel
            | Block::BareFrame
            | Block::ReadAgain
            | Block::UndoLabels
            | Block::DropPacket
            | Block::TooDeep
            | Block::Failed
            | Block::Malformed
            | Block::Lost
            | Block::Leave
            | Block::Dropped
            | Block::Pass => {
                self.a.mov(R0, xdp::PASS);
                self.a.exit();
            }
        }
    }

    /// The packet leaves by the port that is pending, or is dropped, or is left to the other hook:
    /// from the first change or counter on it is taken.
    fn xdp_finish(&mut self) {
        let [nothing, known] = ["nothing", "known"].map(|name| self.a.label(name));
        let pass = self.block(Block::Pass);
        self.a.load(Size::W, R1, R7, state::PENDING);
        self.a.jump_if(Cond::Eq, R1, 0, nothing);
        self.xdp_leave(pass);
        let a = &mut self.a;
        a.bind(nothing);
        a.load(Size::W, R1, R7, state::INGRESS);
        lookup_index(a, COUNTERS.id, INDEX, R1);
        a.jump_if(Cond::Eq, R0, 0, pass);
        a.mov(R8, 8 * DropReason::TableMiss.index() as i32);
        a.load(Size::W, R1, R7, state::MISSED);
        a.jump_if(Cond::Ne, R1, 0, known);
        a.mov(R8, 8 * DropReason::FlowDrop.index() as i32);
        a.bind(known);
        a.add(R0, R8);
        count(a, counter::DROPS, 1);
        self.count_received();
        self.count_noted();
        self.a.mov(R0, xdp::DROP);
        self.a.exit();
    }

    /// Sends the frame to what is pending, or goes to `pass`.
    fn xdp_leave(&mut self, pass: Label) {
        let [broken, uncounted] = ["broken", "uncounted"].map(|name| self.a.label(name));
        let changes = self.changes;
        let a = &mut self.a;
        commit::xdp::emit_length(a, changes);
        a.load(Size::W, R1, R7, state::PENDING);
        a.sub(R1, 1);
        lookup_index(a, PORTS.id, INDEX, R1);
        a.jump_if(Cond::Eq, R0, 0, pass);
        a.mov(R9, R0);
        a.load(Size::B, R1, R9, port::XDP);
        a.load(Size::W, R2, R7, state::XDP_NEEDS);
        a.jump_if(Cond::Lt, R1, R2, pass);
        a.load(Size::W, R1, R9, port::MAX_LEN);
        a.load(Size::W, R2, R7, state::LEAVING_LEN);
        a.jump_if(Cond::Gt, R2, R1, pass);
        a.load(Size::W, R8, R9, port::IFINDEX);
        a.jump_if(Cond::Eq, R8, 0, pass);
        if !changes.is_empty() {
            let same = a.label("same_bytes");
            a.store(Size::W, R7, state::NEXT, R8);
            a.load(Size::Dw, R1, R7, state::DIRTY);
            a.jump_if(Cond::Eq, R1, 0, same);
            commit::xdp::emit(a, changes, XdpExits { pass, broken });
            a.bind(same);
        }
        a.load(Size::W, R1, R7, state::PENDING);
        a.sub(R1, 1);
        lookup_index(a, COUNTERS.id, INDEX, R1);
        a.jump_if(Cond::Eq, R0, 0, uncounted);
        self.count_frame(state::LEAVING_LEN, counter::TX_PACKETS, counter::TX_BYTES);
        self.a.bind(uncounted);
        self.count_received();
        self.count_noted();
        let a = &mut self.a;
        if !changes.is_empty() {
            a.load(Size::W, R8, R7, state::NEXT);
        }
        a.mov(R1, R8);
        a.mov(R2, 0);
        a.call(Helper::Redirect);
        a.exit();
        if !changes.is_empty() {
            a.bind(broken);
            commit::xdp::emit_broken(a);
        }
    }

    /// Counts the frame in the counters that R0 points to; its length stands at `len`. Uses R1, R2.
    pub(super) fn count_frame(&mut self, len: i16, packets: usize, bytes: usize) {
        count(&mut self.a, packets, 1);
        self.a.load(Size::W, R2, R7, len);
        count(&mut self.a, bytes, R2);
    }

    pub(super) fn count_received(&mut self) {
        let uncounted = self.a.label("uncounted");
        let a = &mut self.a;
        a.load(Size::W, R1, R7, state::INGRESS);
        lookup_index(a, COUNTERS.id, INDEX, R1);
        a.jump_if(Cond::Eq, R0, 0, uncounted);
        self.count_frame(state::BARE_LEN, counter::RX_PACKETS, counter::RX_BYTES);
        self.a.bind(uncounted);
    }

    /// Counts the packet for all rules that were noted. R8 is kept.
    fn count_noted(&mut self) {
        let done = self.a.label("all_counted");
        let a = &mut self.a;
        a.store(Size::W, R7, state::NOTED_DONE, 0);
        let next = a.here("next_noted");
        a.may_goto(done);
        a.load(Size::W, R1, R7, state::NOTED_DONE);
        a.load(Size::W, R2, R7, state::NOTED);
        a.jump_if(Cond::Ge, R1, R2, done);
        a.jump_if(Cond::Ge, R1, i32::from(state::MAX_NOTED), done);
        a.mov(R2, R1);
        a.add(R1, 1);
        a.store(Size::W, R7, state::NOTED_DONE, R1);
        a.lsh(R2, 2);
        a.add(R2, R7);
        a.load(Size::W, R1, R2, state::NOTED_AT);
        self.count_rule(R1.into());
        self.a.jump(next);
        self.a.bind(done);
    }
}
