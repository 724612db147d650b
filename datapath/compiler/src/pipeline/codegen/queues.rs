//! Queues of ports: the kernel's queueing disciplines choose by the packet's priority. A copy has the
//! queue that was chosen when it was asked for, though it may leave later.

use aorta_ebpf::{Cond, Reg, Size};

use super::Gen;
use crate::pipeline::layout::{self, state};
use crate::skb;

use Reg::{R2, R6, R7};

/// Bits of a class's number.
const CLASS: i32 = 0xffff;

impl Gen<'_> {
    /// Remembers the priority that the packet came with.
    pub(super) fn begin_queues(&mut self) {
        if self.plan.queues && self.port.is_none() {
            let a = &mut self.a;
            a.load(Size::W, R2, R6, skb::PRIORITY);
            a.store(Size::W, R7, state::KEY + layout::PRIORITY, R2);
            a.store(Size::W, R7, state::QUEUE, 0);
        }
    }

    /// What becomes pending has the queue of now. Uses R2.
    pub(super) fn note_queue(&mut self) {
        if self.plan.queues {
            self.a.load(Size::W, R2, R7, state::QUEUE);
            self.a.store(Size::W, R7, state::PENDING_QUEUE, R2);
        }
    }

    /// The frame gets the priority of what was pending. Uses R2.
    pub(super) fn take_queue(&mut self) {
        if !self.plan.queues {
            return;
        }
        let [own, known] = ["own_priority", "priority_known"].map(|name| self.a.label(name));
        let a = &mut self.a;
        a.load(Size::W, R2, R7, state::PENDING_QUEUE);
        a.jump_if(Cond::Eq, R2, 0, own);
        a.and(R2, CLASS);
        a.add(R2, skb::FIRST_CLASS);
        a.jump(known);
        a.bind(own);
        a.load(Size::W, R2, R7, state::KEY + layout::PRIORITY);
        a.bind(known);
        a.store(Size::W, R6, skb::PRIORITY, R2);
    }
}
