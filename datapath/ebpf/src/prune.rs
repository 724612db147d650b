//! Leaves out what no path leads to, which the kernel would refuse.

use std::collections::HashMap;

use crate::assembler::Assembler;
use crate::op::Op;

/// Removes slots that no path from the first one leads to, with the labels before them.
pub(crate) fn prune(asm: &mut Assembler) {
    let reached = reached(asm);
    if reached.iter().all(|seen| *seen) {
        return;
    }
    // Where each slot stands afterwards; one past the last has a place, too.
    let mut moved = Vec::with_capacity(reached.len() + 1);
    let mut kept = 0;
    for seen in &reached {
        moved.push(kept);
        kept += usize::from(*seen);
    }
    moved.push(kept);
    let stays = |at: usize| reached.get(at).copied().unwrap_or(false);
    let place = |at: usize| moved.get(at).copied().unwrap_or(kept);
    let slots = std::mem::take(&mut asm.insns).into_iter().enumerate();
    asm.insns = slots
        .filter_map(|(at, insn)| stays(at).then_some(insn))
        .collect();
    asm.relocations.retain(|relocation| stays(relocation.insn));
    for relocation in &mut asm.relocations {
        relocation.insn = place(relocation.insn);
    }
    asm.comments.retain(|comment| stays(comment.insn));
    for comment in &mut asm.comments {
        comment.insn = place(comment.insn);
    }
    asm.fixups.retain(|fixup| stays(fixup.insn));
    for fixup in &mut asm.fixups {
        fixup.insn = place(fixup.insn);
    }
    for slot in &mut asm.labels {
        slot.bound = slot.bound.filter(|at| stays(*at)).map(place);
    }
    let labels = &asm.labels;
    asm.bind_order
        .retain(|label| labels.get(label.0).is_some_and(|slot| slot.bound.is_some()));
}

fn reached(asm: &Assembler) -> Vec<bool> {
    let bound = |label: usize| asm.labels.get(label).and_then(|slot| slot.bound);
    let targets: HashMap<usize, usize> = asm
        .fixups
        .iter()
        .filter_map(|fixup| Some((fixup.insn, bound(fixup.label.0)?)))
        .collect();
    let mut reached = vec![false; asm.insns.len()];
    let mut pending = vec![0];
    while let Some(at) = pending.pop() {
        match reached.get_mut(at) {
            Some(seen) if !*seen => *seen = true,
            _ => continue,
        }
        pending.extend(targets.get(&at));
        let op = asm.insns.get(at).and_then(|insn| insn.operation());
        match op {
            Some(Op::Exit | Op::Jump { .. } | Op::JumpLong { .. }) => {}
            _ => pending.push(at + 1),
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use crate::{Assembler, Cond, MapId, Reg};

    #[test]
    fn what_nothing_leads_to_is_left_out() {
        let mut asm = Assembler::new("pruned");
        let (end, never, later) = (asm.label("end"), asm.label("never"), asm.label("later"));
        asm.jump_if(Cond::Eq, Reg::R1, 0, end);
        asm.jump(later);
        asm.bind(never);
        asm.comment("lost");
        asm.load_map(Reg::R2, MapId(1));
        asm.jump(never);
        asm.bind(later);
        asm.comment("kept");
        asm.load_map(Reg::R2, MapId(2));
        asm.bind(end);
        asm.mov(Reg::R0, 1);
        asm.exit();
        let program = asm.finish_reachable().unwrap();
        assert_eq!(program.len(), 6);
        assert_eq!(program.text_of(0).unwrap(), "if r1 == 0 goto end");
        assert_eq!(program.map_at(2), Some(MapId(2)));
        assert_eq!(program.comments().len(), 1);
        assert_eq!(program.comments()[0].insn, 2);
    }

    #[test]
    fn a_program_without_dead_code_stays() {
        let build = || {
            let mut asm = Assembler::new("whole");
            let end = asm.label("end");
            asm.jump_if(Cond::Eq, Reg::R1, 0, end);
            asm.load_map(Reg::R2, MapId(2));
            asm.bind(end);
            asm.mov(Reg::R0, 1);
            asm.exit();
            asm
        };
        assert_eq!(build().finish(), build().finish_reachable());
    }
}
