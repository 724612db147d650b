//! Copies that leave for other programs, NORMAL or another bridge, and frames that came from them.

use aorta_ebpf::{Cond, Label, Reg, Size};
use aorta_flow::DropReason;
use aorta_flow::field::FieldId;

use super::site::Site;
use super::{Block, Gen, INDEX, key};
use crate::abi::{COUNTERS, JUMPS, MAX_PORTS, counter, jump};
use crate::emit::{CTX, count, lookup_index};
use crate::pipeline::layout::state;
use crate::pipeline::leave::{self, finish};
use crate::pipeline::maps::VERSION;

use Reg::{R0, R1, R7, R8, R9};

/// What stands for NORMAL where else a port's slot plus 1 does.
pub const NORMAL: i32 = MAX_PORTS as i32 + 2;

impl Gen<'_> {
    /// Goes on where the frame left, if it comes back.
    pub(super) fn enter_again(&mut self) {
        let [first, other] = ["first_time", "other_program"].map(|name| self.a.label(name));
        let back = self.block(Block::Return);
        let stamp = self.stamp();
        let a = &mut self.a;
        a.load(Size::W, R1, R7, state::RESUMED);
        a.jump_if(Cond::Eq, R1, 0, first);
        a.load(Size::W, R1, R7, state::PROGRAM);
        a.jump_if32(Cond::Ne, R1, stamp, other);
        a.store(Size::W, R7, state::RESUMED, 0);
        a.jump(back);
        a.bind(other);
        match self.fixed {
            Some(_) => {
                a.mov(R1, CTX);
                a.tail_call(JUMPS.id, jump::plain(self.plan.config.bridge_slot));
            }
            // The program that the frame left has been replaced.
            None => a.store(Size::W, R7, state::RESUMED, 0),
        }
        let failed = self.block(Block::Failed);
        let a = &mut self.a;
        a.jump(failed);
        a.bind(first);
        if let Some(version) = self.fixed {
            a.load_map_value(R1, VERSION, 0);
            a.load(Size::W, R1, R1, 0);
            a.jump_if32(Cond::Ne, R1, version as i32, other);
        }
        a.store(Size::W, R7, state::PROGRAM, stamp);
    }

    /// Tells the bridge's programs apart that can be the root one after the other.
    fn stamp(&self) -> i32 {
        let version = self.fixed.unwrap_or(self.plan.config.version);
        (version << 1 | u32::from(self.fixed.is_some())) as i32
    }

    /// Others have more to do for the frame: what actions change is set aside, so that the frame
    /// can be given back as it came.
    pub(super) fn begin_inside(&mut self) {
        if self.changes.is_empty() {
            return;
        }
        let outermost = self.a.label("outermost");
        let a = &mut self.a;
        a.load(Size::W, R1, R7, state::INSIDE);
        a.jump_if(Cond::Eq, R1, 0, outermost);
        if self.fits_aside() {
            let bytes = self.aside_bytes() as i32;
            let a = &mut self.a;
            a.store(Size::Dw, R7, state::COMMITTED, 0);
            a.load(Size::W, R1, R7, state::SAVES);
            a.add(R1, bytes);
            a.store(Size::W, R7, state::INSIDE, R1);
            self.call_bare(Block::Save);
        } else {
            let full = self.block(Block::TooDeep);
            self.a.store(Size::W, R7, state::INSIDE, 0);
            self.a.jump(full);
        }
        self.a.bind(outermost);
    }

    /// Does a shared block, and comes back here with nothing but R6 and R7.
    pub(super) fn call_bare(&mut self, block: Block) {
        let (place, back) = self.place("back");
        let to = self.block(block);
        self.push_bare_frame(place);
        self.a.jump(to);
        self.a.bind(back);
    }

    /// What is pending is sent by NORMAL.
    pub(super) fn output_normal(&mut self, site: &Site, tail: bool) -> bool {
        self.normal = true;
        let skip = self.a.label("skip");
        self.a.mov(R1, NORMAL);
        self.send(site, skip, tail)
    }

    /// R1 = index in the jumps of the program that does NORMAL; goes to `down` if the port that the
    /// packet comes from isn't there.
    pub(super) fn normal_program(&mut self, down: Label) {
        if let Some(own) = self.port {
            return self.a.mov(R1, jump::normal(own.port_slot()) as i32);
        }
        self.a.load(Size::W, R1, R7, key(FieldId::IN_PORT));
        self.slot_of_port();
        self.a.jump_if(Cond::Eq, R1, 0, down);
        self.a.add(R1, jump::FIRST_NORMAL as i32 - 1);
    }

    /// A copy goes to the program whose index is at [`state::LEAVE_TO`]; control comes back here.
    pub(super) fn leave_and_return(&mut self) {
        let (place, back) = self.place("returned");
        let failed = self.block(Block::Failed);
        self.push_bare_frame(place);
        self.a.load(Size::W, R1, R7, state::LEAVE_TO);
        leave::leave(&mut self.a, R1, failed);
        self.a.bind(back);
    }

    /// The frame itself goes to the program whose index is at [`state::LEAVE_TO`].
    /// Goes to `failed` if there is none.
    pub(super) fn leave_for_good(&mut self, failed: Label) {
        leave::leave_for_good(&mut self.a, INDEX, failed);
    }

    /// Counts a frame of which several copies were made.
    pub(super) fn count_copies(&mut self) {
        let few = self.a.label("few");
        let a = &mut self.a;
        a.load(Size::W, R9, R7, state::OUTPUTS);
        a.jump_if(Cond::Lt, R9, 2, few);
        a.load(Size::W, R1, R7, state::INGRESS);
        lookup_index(a, COUNTERS.id, INDEX, R1);
        a.jump_if(Cond::Eq, R0, 0, few);
        count(a, counter::FLOODED, 1);
        count(a, counter::COPIES, R9);
        a.bind(few);
    }

    /// The frame is needed for more than what is pending here: that leaves as a copy, and the frame
    /// is given back as it came. `given` is where nothing is pending any more.
    pub(super) fn give_back(&mut self, pending: Label, given: Label) {
        let gone = self.block(Block::Lost);
        self.a.bind(pending);
        self.a.may_goto(gone);
        self.drop_frames();
        self.a.store(Size::W, R7, state::NEXT, 0);
        self.call_bare(Block::Sync);
        self.a.bind(given);
        self.a.may_goto(gone);
        self.drop_frames();
        if !self.changes.is_empty() {
            self.a.load(Size::W, R1, R7, state::INSIDE);
            self.a.store(Size::W, R7, state::SAVES, R1);
            // Once is enough, should the kernel refuse to change the frame.
            self.a.store(Size::W, R7, state::INSIDE, 0);
            self.call_bare(Block::Restore);
            self.a.store(Size::W, R7, state::PENDING, 0);
            self.a.store(Size::W, R7, state::NEXT, 0);
            self.call_bare(Block::Sync);
        }
        self.count_copies();
        self.a.mov(R8, 0);
        finish(&mut self.a, INDEX, gone);
    }

    /// R8 = why the packet goes nowhere; goes on at `known`, or behind this. Uses R1.
    pub(super) fn why_dropped(&mut self, known: Label) {
        let a = &mut self.a;
        a.load(Size::W, R8, R7, state::GIVEN_UP);
        a.sub(R8, 1);
        a.jump_if(Cond::Sge, R8, 0, known);
        a.mov(R8, DropReason::TableMiss.index() as i32);
        a.load(Size::W, R1, R7, state::MISSED);
        a.jump_if(Cond::Ne, R1, 0, known);
        a.mov(R8, DropReason::FlowDrop.index() as i32);
    }

    /// Counts a drop for the reason in R8, at the port that the frame came from.
    pub(super) fn count_drop(&mut self, uncounted: Label) {
        let a = &mut self.a;
        a.jump_if(Cond::Ge, R8, DropReason::ALL.len() as i32, uncounted);
        if let Some(own) = self.port {
            lookup_index(a, COUNTERS.id, INDEX, own.port_slot() as i32);
        } else {
            a.load(Size::W, R1, R7, state::INGRESS);
            lookup_index(a, COUNTERS.id, INDEX, R1);
        }
        a.jump_if(Cond::Eq, R0, 0, uncounted);
        a.lsh(R8, 3);
        a.add(R0, R8);
        count(a, counter::DROPS, 1);
    }
}
