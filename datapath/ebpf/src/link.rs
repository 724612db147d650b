//! Resolves labels, and refuses what the kernel would refuse in any program.

use crate::assembler::{Assembler, Fixup, Label};
use crate::error::{AssembleError, Location};
use crate::insn::Insn;
use crate::op::{AluOp, Op};
use crate::program::{LabelAt, Program};
use crate::reg::{Operand, Reg, Size};
use crate::relax;

pub(crate) fn link(mut asm: Assembler) -> Result<Program, AssembleError> {
    if asm.insns.is_empty() {
        return Err(AssembleError::Empty { program: asm.name });
    }
    if let Some((label, insn)) = asm.rebound {
        let label = label_name(&asm, label);
        return Err(AssembleError::BoundTwice {
            program: asm.name,
            label,
            insn,
        });
    }
    relax::relax(&mut asm);
    for fixup in std::mem::take(&mut asm.fixups) {
        resolve(&mut asm, &fixup)?;
    }
    let labels = bound_labels(&asm);
    let program = Program {
        name: asm.name,
        insns: asm.insns,
        relocations: asm.relocations,
        labels,
        comments: asm.comments,
    };
    check_operands(&program)?;
    check_paths(&program)?;
    Ok(program)
}

fn label_name(asm: &Assembler, label: Label) -> String {
    asm.labels
        .get(label.0)
        .map_or_else(|| "(foreign)".to_owned(), |slot| slot.name.clone())
}

fn bound_labels(asm: &Assembler) -> Vec<LabelAt> {
    let slots = asm
        .bind_order
        .iter()
        .filter_map(|label| asm.labels.get(label.0));
    slots
        .filter_map(|slot| {
            slot.bound.map(|insn| LabelAt {
                insn,
                name: slot.name.clone(),
            })
        })
        .collect()
}

fn locate(name: &str, insns: &[Insn], labels: &[LabelAt], insn: usize) -> Location {
    let before = labels.partition_point(|label| label.insn <= insn);
    Location {
        program: name.to_owned(),
        insn,
        text: insns.get(insn).map(ToString::to_string).unwrap_or_default(),
        label: before
            .checked_sub(1)
            .and_then(|i| labels.get(i))
            .map(|label| label.name.clone()),
    }
}

fn resolve(asm: &mut Assembler, fixup: &Fixup) -> Result<(), AssembleError> {
    let at = |asm: &Assembler| locate(&asm.name, &asm.insns, &bound_labels(asm), fixup.insn);
    let Some(target) = asm.labels.get(fixup.label.0).and_then(|slot| slot.bound) else {
        let label = label_name(asm, fixup.label);
        return Err(AssembleError::Unbound { at: at(asm), label });
    };
    let distance = target as i64 - fixup.insn as i64 - 1;
    let Some(insn) = asm.insns.get(fixup.insn).copied() else {
        return Ok(());
    };
    let resolved = match (
        i16::try_from(distance),
        i32::try_from(distance),
        insn.operation(),
    ) {
        (Ok(off), _, _) => Insn { off, ..insn },
        (_, Ok(off), Some(Op::Jump { .. })) => Op::JumpLong { off }.into(),
        _ => {
            let label = label_name(asm, fixup.label);
            return Err(AssembleError::TooFar {
                at: at(asm),
                label,
                distance,
            });
        }
    };
    if let Some(slot) = asm.insns.get_mut(fixup.insn) {
        *slot = resolved;
    }
    Ok(())
}

fn at(program: &Program, insn: usize) -> Location {
    locate(&program.name, &program.insns, &program.labels, insn)
}

fn check_operands(program: &Program) -> Result<(), AssembleError> {
    for (index, insn) in program.insns.iter().enumerate() {
        let reason = match insn.operation() {
            Some(op) => invalid_operand(op),
            None => Some("not an instruction"),
        };
        if let Some(reason) = reason {
            return Err(AssembleError::Invalid {
                at: at(program, index),
                reason,
            });
        }
    }
    Ok(())
}

fn invalid_operand(op: Op) -> Option<&'static str> {
    if op.written() == Some(Reg::R10) {
        return Some("r10 can't be written");
    }
    match op {
        Op::Alu {
            op: AluOp::Div | AluOp::Mod,
            src: Operand::Imm(0),
            ..
        } => Some("division by the constant 0"),
        Op::Alu {
            op: AluOp::Lsh | AluOp::Rsh | AluOp::Arsh,
            width,
            src: Operand::Imm(by),
            ..
        } if !(0..width.bits()).contains(&by) => Some("shift by more than the width"),
        Op::Atomic {
            size: Size::B | Size::H,
            ..
        } => Some("atomic of less than 4 bytes"),
        _ => None,
    }
}

/// Follows every path from the first instruction.
fn check_paths(program: &Program) -> Result<(), AssembleError> {
    let mut reached = vec![false; program.len()];
    let mut pending = vec![0];
    while let Some(insn) = pending.pop() {
        match reached.get_mut(insn) {
            Some(seen) if !*seen => *seen = true,
            _ => continue,
        }
        for next in successors(program, insn).into_iter().flatten() {
            if next >= program.len() {
                return Err(AssembleError::FallsOffEnd {
                    at: at(program, insn),
                });
            }
            pending.push(next);
        }
    }
    match reached.iter().position(|seen| !seen) {
        Some(insn) => Err(AssembleError::Unreachable {
            at: at(program, insn),
        }),
        None => Ok(()),
    }
}

/// The one or two slots that can follow.
fn successors(program: &Program, insn: usize) -> [Option<usize>; 2] {
    let op = program.insns.get(insn).and_then(|insn| insn.operation());
    let target = op
        .and_then(Op::distance)
        .and_then(|distance| usize::try_from(insn as i64 + 1 + distance).ok());
    match op {
        Some(Op::Exit) => [None, None],
        Some(Op::Jump { .. } | Op::JumpLong { .. }) => [target, None],
        _ => [Some(insn + 1), target],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cond, Helper, Size, Width};

    fn filler(asm: &mut Assembler, count: usize) {
        for _ in 0..count {
            asm.mov(Reg::R0, 0);
        }
    }

    #[test]
    fn forward_and_backward_distances() {
        let mut asm = Assembler::new("p");
        let top = asm.here("top");
        let end = asm.label("end");
        asm.mov(Reg::R0, 0);
        asm.jump_if(Cond::Eq, Reg::R0, 1, end);
        asm.jump(top);
        asm.bind(end);
        asm.exit();
        let program = asm.finish().unwrap();
        assert_eq!(program.insns()[1].off, 1);
        assert_eq!(program.insns()[2].off, -3);
        assert_eq!(program.label_at(3), Some("end"));
    }

    /// The farthest distance of 16 bits, and one more.
    #[test]
    fn long_jump_only_where_needed() {
        for (between, long) in [(32767, false), (32768, true)] {
            let mut asm = Assembler::new("far");
            let (skip, end) = (asm.label("skip"), asm.label("end"));
            asm.jump_if(Cond::Eq, Reg::R1, 0, skip);
            asm.jump(end);
            asm.bind(skip);
            filler(&mut asm, between);
            asm.bind(end);
            asm.exit();
            let program = asm.finish().unwrap();
            let jump = program.insns()[1].operation().unwrap();
            assert_eq!(jump.distance(), Some(between as i64));
            assert_eq!(matches!(jump, Op::JumpLong { .. }), long);
        }
    }

    #[test]
    fn backward_range_is_one_longer() {
        for (between, fits) in [(32767, true), (32768, false)] {
            let mut asm = Assembler::new("far");
            let top = asm.here("top");
            filler(&mut asm, between);
            asm.jump_if32(Cond::Ne, Reg::R0, 1, top);
            asm.exit();
            let program = asm.finish().unwrap();
            assert_eq!(program.len() == between + 2, fits, "{between}");
        }
    }

    #[test]
    fn label_mistakes_are_named() {
        let mut asm = Assembler::new("p");
        let nowhere = asm.label("nowhere");
        asm.jump(nowhere);
        let error = asm.finish().unwrap_err();
        assert!(matches!(&error, AssembleError::Unbound { label, .. } if label == "nowhere"));

        let mut asm = Assembler::new("p");
        let twice = asm.here("twice");
        asm.mov(Reg::R0, 0);
        asm.bind(twice);
        asm.exit();
        assert_eq!(
            asm.finish().unwrap_err().to_string(),
            "p: label twice is bound again before instruction 1"
        );

        let mut other = Assembler::new("other");
        let _ = other.label("a");
        let foreign = other.label("b");
        let mut asm = Assembler::new("p");
        asm.jump(foreign);
        assert!(matches!(asm.finish(), Err(AssembleError::Unbound { .. })));
    }

    #[test]
    fn dead_code_is_located() {
        let mut asm = Assembler::new("p");
        asm.here("start");
        asm.mov(Reg::R0, 0);
        asm.exit();
        asm.load_imm64(Reg::R1, 1);
        asm.exit();
        assert_eq!(
            asm.finish().unwrap_err().to_string(),
            "p: instruction 2 (r1 = 0x1 ll, after label start) can't be reached"
        );
    }

    #[test]
    fn end_must_not_be_run_past() {
        let mut asm = Assembler::new("p");
        asm.call(Helper::Jiffies64);
        let error = asm.finish().unwrap_err();
        assert_eq!(
            error.to_string(),
            "p: instruction 0 (call jiffies64) leads past the end"
        );

        let mut asm = Assembler::new("p");
        let end = asm.label("end");
        asm.jump_if(Cond::Eq, Reg::R1, 0, end);
        asm.exit();
        asm.bind(end);
        assert_eq!(asm.finish().unwrap_err().insn(), Some(0));
        assert!(matches!(
            Assembler::new("p").finish(),
            Err(AssembleError::Empty { .. })
        ));
    }

    #[test]
    fn operands_that_are_never_valid() {
        let cases: [fn(&mut Assembler); 6] = [
            |asm| asm.mov(Reg::R10, 0),
            |asm| asm.load(Size::B, Reg::R10, Reg::R1, 0),
            |asm| asm.lsh(Reg::R1, 64),
            |asm| asm.alu(AluOp::Rsh, Width::W32, Reg::R1, 32),
            |asm| asm.alu(AluOp::Mod, Width::W64, Reg::R1, 0),
            |asm| asm.atomic_add(Size::H, Reg::R1, 0, Reg::R2),
        ];
        for (number, case) in cases.into_iter().enumerate() {
            let mut asm = Assembler::new("p");
            case(&mut asm);
            asm.exit();
            let error = asm.finish().unwrap_err();
            assert!(
                matches!(error, AssembleError::Invalid { .. }),
                "case {number}: {error}"
            );
        }
    }
}
