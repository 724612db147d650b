//! What the root does with frames that the first table decides about at once. Entries have handed them
//! over in the frame itself, so nothing is looked up that they don't need. What it leaves undone has
//! changed nothing, so that the frame goes on as any other.

use aorta_ebpf::{Cond, Label, Reg, Size};
use aorta_flow::DropReason;

use super::front::Fate;
use super::{Block, Gen, INDEX, straight};
use crate::abi::{COUNTERS, counter};
use crate::emit::{CTX, count, lookup_index};
use crate::flow_entry::{frame_length, handed};
use crate::pipeline::maps::{BRIDGE_PORTS, VERSION, ports};
use crate::skb;

use Reg::{R0, R1, R8};

impl Gen<'_> {
    /// Decides about frames for which nobody else has anything left to do, as far as it can.
    pub(super) fn root_front(&mut self) {
        if !straight::takes(self.plan) || self.candidates().is_none() {
            return;
        }
        let begun = self.a.label("begun");
        let a = &mut self.a;
        a.load(Size::W, R1, CTX, handed::SLOT);
        a.jump_if(Cond::Eq, R1, 0, begun);
        if let Some(version) = self.fixed {
            a.load_map_value(R1, VERSION, 0);
            a.load(Size::W, R1, R1, 0);
            a.jump_if32(Cond::Ne, R1, version as i32, begun);
        }
        a.load(Size::W, R8, CTX, skb::LEN);
        frame_length(a);
        self.front();
        self.a.bind(begun);
    }

    /// The frame found a rule, whose counters' place is in R7: goes to `send` with the slot plus 1 of the
    /// port in R1, or to `general` if it came from there; or drops it.
    pub(super) fn root_sure_hit(&mut self, fate: Fate, (send, general): (Label, Label)) {
        let Fate::Send(number) = fate else {
            self.count_surely();
            return self.root_drop_surely(DropReason::FlowDrop);
        };
        let a = &mut self.a;
        a.load(Size::W, R1, CTX, handed::IN_PORT);
        a.jump_if(Cond::Eq, R1, i32::from(number), general);
        a.load_map_value(R1, BRIDGE_PORTS, ports::slot_of(number));
        a.load(Size::W, R1, R1, 0);
        a.jump(send);
    }

    /// Drops the frame for a reason.
    pub(super) fn root_drop_surely(&mut self, reason: DropReason) {
        let gone = self.block(Block::Lost);
        let a = &mut self.a;
        a.load(Size::W, R1, CTX, handed::SLOT);
        a.sub(R1, 1);
        lookup_index(a, COUNTERS.id, INDEX, R1);
        a.jump_if(Cond::Eq, R0, 0, gone);
        count(a, counter::DROPS + reason.index(), 1);
        a.jump(gone);
    }
}
