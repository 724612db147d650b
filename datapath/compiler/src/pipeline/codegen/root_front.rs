//! What the root does with frames that the first table decides about at once. What it leaves undone has
//! changed nothing, so that the frame goes on as any other.

use aorta_ebpf::{Cond, Label, Reg, Size};
use aorta_flow::DropReason;

use super::front::Fate;
use super::{Block, Gen, INDEX, hook, straight};
use crate::abi::{COUNTERS, PORTS, counter, port};
use crate::emit::{count_frame, lookup_index};
use crate::pipeline::layout::state;

use Reg::{R0, R1, R2, R7, R8, R9};

impl Gen<'_> {
    /// Decides about frames for which nobody else has anything left to do, as far as it can.
    pub(super) fn root_front(&mut self) {
        if !straight::takes(self.plan) || self.candidates().is_none() {
            return;
        }
        let inside = self.a.label("inside");
        self.a.load(Size::W, R1, R7, state::INSIDE);
        self.a.jump_if(Cond::Ne, R1, 0, inside);
        self.front();
        self.a.bind(inside);
    }

    /// The frame found a rule: goes to `send`, or drops it, or goes to `general`.
    pub(super) fn root_sure_hit(&mut self, rule: u32, fate: Fate, (send, general): (Label, Label)) {
        let Fate::Send(number) = fate else {
            return self.root_drop_surely(Some(rule));
        };
        self.go_to_send(rule, number, (send, general));
    }

    /// Sends the frame to the device of the port whose slot plus 1 is in R8; the rule is in R9.
    pub(super) fn root_send_surely(&mut self, general: Label) {
        let uncounted = self.a.label("uncounted");
        let a = &mut self.a;
        a.sub(R8, 1);
        lookup_index(a, PORTS.id, INDEX, R8);
        a.jump_if(Cond::Eq, R0, 0, general);
        a.load(Size::W, R1, R0, port::IFINDEX);
        a.jump_if(Cond::Eq, R1, 0, general);
        a.store(Size::W, R7, state::NEXT, R1);
        a.load(Size::W, R2, R0, port::MAX_LEN);
        hook::jump_if_longer(a, R2, general);
        lookup_index(a, COUNTERS.id, INDEX, R8);
        a.jump_if(Cond::Eq, R0, 0, uncounted);
        count_frame(a, counter::TX_PACKETS, counter::TX_BYTES);
        a.bind(uncounted);
        self.count_rule(R9.into());
        self.a.load(Size::W, R1, R7, state::NEXT);
        hook::send_last(&mut self.a, R1);
    }

    /// Drops the frame, for a rule or because there is none for it.
    pub(super) fn root_drop_surely(&mut self, rule: Option<u32>) {
        let reason = match rule {
            Some(_) => DropReason::FlowDrop,
            None => DropReason::TableMiss,
        };
        if let Some(rule) = rule {
            self.count_rule((rule as i32).into());
        }
        let gone = self.block(Block::Lost);
        self.a.mov(R8, reason.index() as i32);
        self.count_drop(gone);
        self.a.jump(gone);
    }
}
