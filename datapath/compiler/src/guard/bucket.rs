//! Token buckets: one time each, exchanged between processors.

use aorta_ebpf::{AluOp, Assembler, AtomicOp, Cond, Helper, Label, Reg, Size, Width};
use aorta_flow::guard::TokenRate;

use Reg::{R0, R1, R2, R3, R4, R5};

/// Times that a bucket is tried while others take of it at the same moment; after that, the frame
/// passes without being measured.
const TRIES: usize = 8;

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
        for _ in 0..TRIES {
            exchange(a, (record, at), done, exit);
        }
        a.jump(done);
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

/// Adds R4 to the time, or to now (R3) if that is later; goes to `over` if it would be further ahead than
/// R5. Falls through if the time has become another meanwhile.
fn exchange(a: &mut Assembler, (record, at): (Reg, i16), done: Label, over: Label) {
    let ahead = a.label("ahead");
    a.load(Size::Dw, R0, record, at);
    a.mov(R2, R0);
    a.jump_if(Cond::Ge, R2, R3, ahead);
    a.mov(R2, R3);
    a.bind(ahead);
    a.add(R2, R4);
    a.mov(R1, R2);
    a.sub(R1, R3);
    a.jump_if(Cond::Gt, R1, R5, over);
    a.mov(R1, R0);
    a.atomic(AtomicOp::CompareExchange, Size::Dw, record, at, R2);
    a.jump_if(Cond::Eq, R0, R1, done);
}
