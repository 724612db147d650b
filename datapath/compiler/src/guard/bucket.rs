//! Token buckets: one time each, exchanged between processors.

use aorta_ebpf::{AluOp, Assembler, Helper, Label, Reg, Width};
use aorta_flow::guard::TokenRate;

use crate::emit::take_tokens;

use Reg::{R0, R3, R4, R5};

/// What a frame costs.
#[derive(Clone, Copy)]
pub enum Cost {
    /// One unit.
    One,
    /// As many units as are in the register: R6 to R9.
    Units(Reg),
}

/// Takes what a frame costs out of the bucket at `at` of the record that `record` (R6 to R9) points to;
/// goes to `over` if there isn't enough. Uses R0 to R5.
///
/// The coarse clock, which costs little and is behind by a tick at most, decides for frames within the
/// rate; for others the fine one does.
pub fn take(
    a: &mut Assembler,
    rate: &TokenRate,
    (record, at): (Reg, i16),
    cost: Cost,
    over: Label,
) {
    let [done, late] = ["taken", "late"].map(|name| a.label(name));
    for (clock, exit) in [(Helper::KtimeGetCoarseNs, late), (Helper::KtimeGetNs, over)] {
        a.call(clock);
        a.mov(R3, R0);
        load_cost(a, rate, cost);
        a.load_imm64(R5, rate.burst_ns);
        take_tokens(a, (record, at), done, exit);
        if clock == Helper::KtimeGetCoarseNs {
            a.bind(late);
        }
    }
    a.bind(done);
}

/// R4 = what the frame costs, in ns.
fn load_cost(a: &mut Assembler, rate: &TokenRate, cost: Cost) {
    match cost {
        Cost::One => a.load_imm64(R4, rate.cost_ns(1)),
        Cost::Units(units) => {
            a.load_imm64(R4, rate.scaled_ns);
            a.alu(AluOp::Mul, Width::W64, R4, units);
            a.rsh(R4, TokenRate::SHIFT as i32);
        }
    }
}
