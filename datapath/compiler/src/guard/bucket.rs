//! Token buckets: one time each, exchanged between processors.

use aorta_ebpf::{AluOp, Assembler, Helper, Label, Reg, Width};
use aorta_flow::guard::TokenRate;

use crate::emit::take_tokens;

use Reg::{R0, R2, R3, R4, R5};

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
/// burst; for others the fine one does.
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
        match clock {
            Helper::KtimeGetNs => load_limit(a, rate),
            _ => a.load_imm64(R5, rate.burst_ns),
        }
        load_cost(a, rate, cost);
        take_tokens(a, (record, at), done, exit);
        if clock == Helper::KtimeGetCoarseNs {
            a.bind(late);
        }
    }
    a.bind(done);
}

/// R5 = [`TokenRate::limit_ns`] at R3. Uses R2 and R4.
fn load_limit(a: &mut Assembler, rate: &TokenRate) {
    if rate.edge_ns == 0 {
        a.load_imm64(R5, rate.burst_ns);
        return;
    }
    a.mov(R5, R3);
    a.load_imm64(R4, TokenRate::SCATTER);
    a.alu(AluOp::Mul, Width::W64, R5, R4);
    a.mov(R2, R5);
    a.rsh(R2, TokenRate::FOLD_SHIFT as i32);
    a.alu(AluOp::Xor, Width::W64, R5, R2);
    a.alu(AluOp::Mul, Width::W64, R5, R4);
    a.rsh(R5, TokenRate::SCATTER_SHIFT as i32);
    a.load_imm64(R4, rate.edge_ns);
    a.alu(AluOp::Mul, Width::W64, R5, R4);
    a.rsh(R5, (u64::BITS - TokenRate::SCATTER_SHIFT) as i32);
    a.load_imm64(R4, rate.burst_ns);
    a.add(R5, R4);
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

#[cfg(test)]
mod tests {
    use aorta_ebpf::interp::{Fault, Machine, Region};
    use aorta_ebpf::{Program, Size};
    use aorta_flow::guard::{Policing, StormLimits};
    use aorta_testing::Rng;

    use super::*;

    const FULL: i16 = 8;
    const UNITS: i16 = 16;
    const RECORD_BYTES: usize = 24;
    const MS: u64 = 1_000_000;

    /// Answers 1 if there is enough in the bucket of the record in R1 for the units there.
    fn program(rate: &TokenRate) -> Program {
        let mut a = Assembler::new("take");
        let over = a.label("over");
        a.mov(Reg::R7, Reg::R1);
        a.load(Size::Dw, Reg::R9, Reg::R7, UNITS);
        take(&mut a, rate, (Reg::R7, FULL), Cost::Units(Reg::R9), over);
        a.mov(R0, 1);
        a.exit();
        a.bind(over);
        a.mov(R0, 0);
        a.exit();
        a.finish().unwrap()
    }

    /// What a program makes of a bucket; the coarse clock is behind by `late_ns`.
    fn taken(
        program: &Program,
        (full_ns, units, now_ns): (u64, u64, u64),
        late_ns: u64,
    ) -> Option<u64> {
        let mut machine = Machine::default();
        let record = machine
            .memory
            .allocate(Region::Context, vec![0; RECORD_BYTES]);
        let word = |offset: i16| record + u64::from(offset.unsigned_abs());
        for (offset, value) in [(FULL, full_ns), (UNITS, units)] {
            machine.memory.store(Size::Dw, word(offset), value).unwrap();
        }
        let mut clocks = |helper, _: [u64; 5], _: &mut Machine| -> Result<u64, Fault> {
            Ok(match helper {
                Helper::KtimeGetCoarseNs => now_ns - late_ns,
                _ => now_ns,
            })
        };
        let run = machine.run(program, record, &mut clocks).unwrap();
        let full_after = machine.memory.load(Size::Dw, word(FULL)).unwrap();
        assert!(run.verdict == 1 || full_after == full_ns);
        (run.verdict == 1).then_some(full_after)
    }

    fn rates(rng: &mut Rng) -> [TokenRate; 3] {
        let policing = Policing {
            rate_kbps: 1 << rng.between(3, 24),
            burst_kbits: rng.between(0, 20_000) as u64,
            rate_kpps: 1 << rng.between(0, 12),
            burst_kpkts: rng.between(0, 20) as u64,
        };
        let storm = StormLimits {
            broadcast_pps: rng.between(1, 2000) as u32,
            unknown_pps: 0,
        };
        [policing.bytes(), policing.packets(), storm.broadcast()].map(Option::unwrap)
    }

    #[test]
    fn programs_take_what_the_rate_says() {
        let mut rng = Rng::new(1);
        let [mut within, mut on_edge, mut over] = [0; 3];
        for _ in 0..200 {
            for rate in rates(&mut rng) {
                let program = program(&rate);
                for _ in 0..20 {
                    let now_ns = rng.next_u64() >> 8;
                    // From empty to beyond the edge.
                    let most = rate.burst_ns + rate.edge_ns + rate.edge_ns / 8 + MS;
                    let ahead_ns = rng.next_u64() % most;
                    let units = rng.between(1, 66_000) as u64;
                    let frame = (now_ns + ahead_ns, units, now_ns);
                    let expected = rate.take(frame.0, units, now_ns);
                    assert_eq!(taken(&program, frame, 0), expected, "{rate:?}, {frame:?}");
                    match expected {
                        Some(next_ns) if next_ns - now_ns > rate.burst_ns => on_edge += 1,
                        Some(_) => within += 1,
                        None => over += 1,
                    }
                }
            }
        }
        assert!(
            within > 1000 && on_edge > 1000 && over > 1000,
            "{within} {on_edge} {over}"
        );
    }

    /// The coarse clock only saves the fine one's cost: a bucket that isn't ahead of now isn't asked for
    /// more than the burst, and what the coarse clock refuses the fine one decides.
    #[test]
    fn a_late_clock_refuses_nothing() {
        let mut rng = Rng::new(2);
        for _ in 0..200 {
            for rate in rates(&mut rng) {
                let program = program(&rate);
                let now_ns = rng.next_u64() >> 8;
                let ahead_ns = rng.next_u64() % (rate.burst_ns + rate.edge_ns + 5 * MS);
                let frame = (now_ns + ahead_ns, 1, now_ns);
                let expected = rate.take(frame.0, 1, now_ns);
                assert_eq!(
                    taken(&program, frame, 4 * MS),
                    expected,
                    "{rate:?}, {frame:?}"
                );
            }
        }
    }
}
