//! Conditional jumps that 16 bits of distance don't reach.

use crate::assembler::{Assembler, Fixup, Label};
use crate::insn::Insn;
use crate::op::Op;

/// Slots that stand behind a conditional jump that is too far: one jumps over the other, which is
/// the long jump.
const ADDED: usize = 2;

/// Lets conditional jumps that are too far go to a long jump that stands behind them.
pub(crate) fn relax(asm: &mut Assembler) {
    // Those that were near enough may be too far once others have grown.
    loop {
        let mut far: Vec<usize> = asm
            .fixups
            .iter()
            .filter(|fixup| is_far(asm, fixup))
            .map(|fixup| fixup.insn)
            .collect();
        if far.is_empty() {
            return;
        }
        far.sort_unstable();
        widen(asm, &far);
    }
}

fn is_far(asm: &Assembler, fixup: &Fixup) -> bool {
    let op = asm.insns.get(fixup.insn).and_then(|insn| insn.operation());
    let conditional = matches!(op, Some(Op::JumpIf { .. } | Op::MayGoto { .. }));
    let target = asm.labels.get(fixup.label.0).and_then(|slot| slot.bound);
    conditional
        && target
            .is_some_and(|target| i16::try_from(target as i64 - fixup.insn as i64 - 1).is_err())
}

/// Puts the slots behind each of these conditional jumps, and moves what stands behind them.
fn widen(asm: &mut Assembler, far: &[usize]) {
    let moved = |at: usize| at + ADDED * far.partition_point(|insn| *insn < at);
    let mut insns = Vec::with_capacity(asm.insns.len() + ADDED * far.len());
    for (at, insn) in asm.insns.iter().enumerate() {
        insns.push(*insn);
        if far.binary_search(&at).is_ok() {
            insns.extend([Insn::from(Op::Jump { off: 0 }); ADDED]);
        }
    }
    asm.insns = insns;
    for relocation in &mut asm.relocations {
        relocation.insn = moved(relocation.insn);
    }
    for comment in &mut asm.comments {
        comment.insn = moved(comment.insn);
    }
    for slot in &mut asm.labels {
        slot.bound = slot.bound.map(moved);
    }
    let mut added = Vec::with_capacity(ADDED * far.len());
    let fixups = std::mem::take(&mut asm.fixups);
    for fixup in fixups {
        let insn = moved(fixup.insn);
        if far.binary_search(&fixup.insn).is_err() {
            added.push(Fixup { insn, ..fixup });
            continue;
        }
        let label = fixup.label;
        let long = bound(asm, "far", insn + 2);
        let over = bound(asm, "near", insn + 3);
        for (insn, label) in [(insn, long), (insn + 1, over), (insn + 2, label)] {
            added.push(Fixup { insn, label });
        }
    }
    asm.fixups = added;
    let labels = &asm.labels;
    let place = |label: &Label| labels.get(label.0).and_then(|slot| slot.bound);
    asm.bind_order.sort_by_key(place);
}

fn bound(asm: &mut Assembler, name: &str, at: usize) -> Label {
    let label = asm.label(name);
    if let Some(slot) = asm.labels.get_mut(label.0) {
        slot.bound = Some(at);
    }
    asm.bind_order.push(label);
    label
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cond, MapId, Program, Reg};

    /// Jumps over `between` slots, to where R0 is 1, if R1 is 0.
    fn jumping(between: usize) -> Program {
        let mut asm = Assembler::new("far");
        let end = asm.label("end");
        asm.mov(Reg::R0, 0);
        asm.jump_if(Cond::Eq, Reg::R1, 0, end);
        asm.comment("near");
        for _ in 0..between - 3 {
            asm.mov(Reg::R2, 0);
        }
        asm.load_map(Reg::R2, MapId(1));
        asm.exit();
        asm.bind(end);
        asm.mov(Reg::R0, 1);
        asm.exit();
        asm.finish().unwrap()
    }

    #[test]
    fn only_what_is_too_far_grows() {
        assert_eq!(jumping(32767).len(), 32767 + 4);
        let program = jumping(32768);
        assert_eq!(program.len(), 32768 + 4 + ADDED);
        assert_eq!(program.text_of(1).unwrap(), "if r1 == 0 goto far");
        assert_eq!(program.text_of(2).unwrap(), "goto near");
        assert_eq!(program.text_of(3).unwrap(), "gotol end");
        assert_eq!(program.comments()[0].insn, 4);
        assert_eq!(program.map_at(program.len() - 5), Some(MapId(1)));
        assert_eq!(Program::parse(&program.to_string()), Ok(program));
    }

    #[test]
    fn what_grows_may_push_others_too_far() {
        let mut asm = Assembler::new("far");
        let (first, second) = (asm.label("first"), asm.label("second"));
        let skip = asm.label("skip");
        asm.jump_if(Cond::Eq, Reg::R1, 0, first);
        asm.may_goto(second);
        asm.jump(skip);
        asm.bind(skip);
        for _ in 0..32767 - 2 {
            asm.mov(Reg::R0, 0);
        }
        asm.bind(first);
        asm.mov(Reg::R0, 0);
        asm.mov(Reg::R0, 0);
        asm.bind(second);
        asm.exit();
        let before = asm.len();
        let program = asm.finish().unwrap();
        assert_eq!(program.len(), before + 2 * ADDED);
        assert_eq!(program.text_of(2).unwrap(), "gotol first");
    }
}
