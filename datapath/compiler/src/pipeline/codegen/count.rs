//! Counters of rules. A packet's are all in one row, that of its processor, whose address stands on the
//! stack from the beginning of a program on; so a rule that counts it costs no call.

use aorta_ebpf::{AluOp, Cond, Helper, Label, Operand, Reg, Size, Width};

use super::{Gen, INDEX};
use crate::emit::lookup_index;
use crate::pipeline::Hook;
use crate::pipeline::layout::state;
use crate::pipeline::maps::{FLOW_STATS, stats};

use Reg::{R0, R1, R2, R7, R8, R9, R10};

/// Stack frame: address of the row, below all that code writes there.
pub(super) const ROW: i16 = -136;

impl Gen<'_> {
    /// Finds the processor's row of counters; goes to `lost` if there is none, which cannot be. Uses R0
    /// to R5.
    pub(super) fn begin_counts(&mut self, lost: Label) {
        self.find_row(lost);
        self.a.store(Size::Dw, R10, ROW, R0);
    }

    /// R0 = address of the processor's row.
    fn find_row(&mut self, missing: Label) {
        let a = &mut self.a;
        a.call(Helper::GetSmpProcessorId);
        lookup_index(a, FLOW_STATS, INDEX, R0);
        a.jump_if(Cond::Eq, R0, 0, missing);
    }

    /// Counts the packet for a rule. Uses R0 to R5, in programs of single ports at tcx R9 too.
    pub(super) fn count_rule(&mut self, rule: Operand) {
        let counted = self.a.label("counted");
        let rules = self.plan.config.counted_rules as i32;
        let a = &mut self.a;
        a.mov32(R1, rule);
        a.jump_if(Cond::Ge, R1, rules, counted);
        a.load(Size::Dw, R0, R10, ROW);
        a.alu(AluOp::Mul, Width::W64, R1, stats::BYTES as i32);
        a.add(R0, R1);
        a.load(Size::Dw, R1, R0, stats::PACKETS);
        a.add(R1, 1);
        a.store(Size::Dw, R0, stats::PACKETS, R1);
        a.load(Size::Dw, R1, R0, stats::BYTES_SEEN);
        a.load(Size::W, R2, R7, state::LEN);
        a.add(R1, R2);
        a.store(Size::Dw, R0, stats::BYTES_SEEN, R1);
        if self.port.is_some() && self.hook == Hook::Tc {
            // The call is a load, and spares a store.
            a.mov(R9, R0);
            a.call(Helper::Jiffies64);
            a.store(Size::Dw, R9, stats::USED, R0);
        } else {
            a.load(Size::Dw, R1, R7, state::NOW);
            a.store(Size::Dw, R0, stats::USED, R1);
        }
        a.bind(counted);
    }

    /// Counts the packet, of R8 bytes, for the rule whose [`place_in_row`] is in R7, where the row isn't
    /// known yet. R8, R9 are kept.
    pub(super) fn count_surely(&mut self) {
        let counted = self.a.label("counted");
        self.find_row(counted);
        let a = &mut self.a;
        a.add(R7, R0);
        a.load(Size::Dw, R1, R7, stats::PACKETS);
        a.add(R1, 1);
        a.store(Size::Dw, R7, stats::PACKETS, R1);
        a.load(Size::Dw, R1, R7, stats::BYTES_SEEN);
        a.add(R1, R8);
        a.store(Size::Dw, R7, stats::BYTES_SEEN, R1);
        a.call(Helper::Jiffies64);
        a.store(Size::Dw, R7, stats::USED, R0);
        a.bind(counted);
    }
}

/// Where the counters of a rule stand in each row, which has them.
pub(super) fn place_in_row(rule: u32) -> i32 {
    (rule * stats::BYTES as u32) as i32
}
