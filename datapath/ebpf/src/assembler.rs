//! Builds a [`Program`] instruction by instruction.

use std::collections::HashSet;

use crate::error::AssembleError;
use crate::helper::Helper;
use crate::insn::Insn;
use crate::link;
use crate::op::{AluOp, AtomicOp, ByteOrder, Cond, Op, Wide};
use crate::program::{Comment, MapId, Program, Relocation};
use crate::prune;
use crate::reg::{Operand, Reg, Size, Width};

/// A place in the program under construction, to jump to before or after it is bound. Belongs to
/// the assembler that made it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Label(pub(crate) usize);

/// A label's name and the instruction it stands before, once bound.
#[derive(Debug)]
pub(crate) struct LabelSlot {
    pub(crate) name: String,
    pub(crate) bound: Option<usize>,
}

/// A jump whose distance is filled in at the end.
#[derive(Debug)]
pub(crate) struct Fixup {
    pub(crate) insn: usize,
    pub(crate) label: Label,
}

/// Emits instructions in order. Every method but [`Assembler::finish`] is infallible: mistakes are
/// kept and reported there.
#[derive(Debug)]
pub struct Assembler {
    pub(crate) name: String,
    pub(crate) insns: Vec<Insn>,
    pub(crate) relocations: Vec<Relocation>,
    pub(crate) comments: Vec<Comment>,
    pub(crate) labels: Vec<LabelSlot>,
    pub(crate) bind_order: Vec<Label>,
    pub(crate) fixups: Vec<Fixup>,
    /// First label that was bound again, with the place.
    pub(crate) rebound: Option<(Label, usize)>,
    names: HashSet<String>,
}

impl Assembler {
    /// An empty program. Characters of the name outside printable ASCII become `_`.
    pub fn new(name: &str) -> Assembler {
        Assembler {
            name: clean(name, |c| c.is_ascii_graphic() && c != ';'),
            insns: Vec::new(),
            relocations: Vec::new(),
            comments: Vec::new(),
            labels: Vec::new(),
            bind_order: Vec::new(),
            fixups: Vec::new(),
            rebound: None,
            names: HashSet::new(),
        }
    }

    /// A new label, not yet bound. The name is for people: what isn't a letter, digit, `_` or `.`
    /// becomes `_`, and a name already taken gets a number (`drop`, `drop.2`).
    pub fn label(&mut self, name: &str) -> Label {
        let mut name = clean(name, |c| {
            c.is_ascii_alphanumeric() || matches!(c, '_' | '.')
        });
        if name.starts_with(|c: char| !c.is_ascii_alphabetic() && c != '_') {
            name.insert(0, '_');
        }
        let mut unique = name.clone();
        let mut number = 2;
        while self.names.contains(&unique) {
            unique = format!("{name}.{number}");
            number += 1;
        }
        self.names.insert(unique.clone());
        self.labels.push(LabelSlot {
            name: unique,
            bound: None,
        });
        Label(self.labels.len() - 1)
    }

    /// Puts the label before the next instruction.
    pub fn bind(&mut self, label: Label) {
        let here = self.insns.len();
        match self.labels.get_mut(label.0) {
            Some(slot) if slot.bound.is_none() => {
                slot.bound = Some(here);
                self.bind_order.push(label);
            }
            _ => {
                self.rebound.get_or_insert((label, here));
            }
        }
    }

    /// A new label bound before the next instruction.
    pub fn here(&mut self, name: &str) -> Label {
        let label = self.label(name);
        self.bind(label);
        label
    }

    /// Lines of comment before the next instruction.
    pub fn comment(&mut self, text: impl Into<String>) {
        let insn = self.insns.len();
        for line in text
            .into()
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
        {
            self.comments.push(Comment {
                insn,
                text: line.to_owned(),
            });
        }
    }

    /// Number of slots so far: the index of the next instruction.
    pub fn len(&self) -> usize {
        self.insns.len()
    }

    /// Whether nothing was emitted yet.
    pub fn is_empty(&self) -> bool {
        self.insns.is_empty()
    }

    fn emit(&mut self, op: Op) {
        self.insns.push(op.into());
    }

    /// `dst = operand`, all 64 bits; a number is sign-extended.
    pub fn mov(&mut self, dst: Reg, operand: impl Into<Operand>) {
        self.alu(AluOp::Mov, Width::W64, dst, operand);
    }

    /// Low half of `dst = operand`; the high half is cleared.
    pub fn mov32(&mut self, dst: Reg, operand: impl Into<Operand>) {
        self.alu(AluOp::Mov, Width::W32, dst, operand);
    }

    /// `dst = dst op operand` in the given width.
    pub fn alu(&mut self, op: AluOp, width: Width, dst: Reg, operand: impl Into<Operand>) {
        self.emit(Op::Alu {
            op,
            width,
            dst,
            src: operand.into(),
        });
    }

    /// `dst += operand`, 64 bits.
    pub fn add(&mut self, dst: Reg, operand: impl Into<Operand>) {
        self.alu(AluOp::Add, Width::W64, dst, operand);
    }

    /// `dst -= operand`, 64 bits.
    pub fn sub(&mut self, dst: Reg, operand: impl Into<Operand>) {
        self.alu(AluOp::Sub, Width::W64, dst, operand);
    }

    /// `dst &= operand`, 64 bits; a negative number keeps the high half.
    pub fn and(&mut self, dst: Reg, operand: impl Into<Operand>) {
        self.alu(AluOp::And, Width::W64, dst, operand);
    }

    /// `dst |= operand`, 64 bits.
    pub fn or(&mut self, dst: Reg, operand: impl Into<Operand>) {
        self.alu(AluOp::Or, Width::W64, dst, operand);
    }

    /// `dst ^= operand`, 64 bits.
    pub fn xor(&mut self, dst: Reg, operand: impl Into<Operand>) {
        self.alu(AluOp::Xor, Width::W64, dst, operand);
    }

    /// `dst <<= operand`, 64 bits.
    pub fn lsh(&mut self, dst: Reg, operand: impl Into<Operand>) {
        self.alu(AluOp::Lsh, Width::W64, dst, operand);
    }

    /// `dst >>= operand`, unsigned, 64 bits.
    pub fn rsh(&mut self, dst: Reg, operand: impl Into<Operand>) {
        self.alu(AluOp::Rsh, Width::W64, dst, operand);
    }

    /// Changes the byte order of the low `size` (H, W or Dw) of `dst` and clears the rest.
    pub fn swap(&mut self, order: ByteOrder, size: Size, dst: Reg) {
        self.emit(Op::Swap { order, size, dst });
    }

    /// Host to or from network order, low 16 bits; the rest is cleared.
    pub fn be16(&mut self, dst: Reg) {
        self.swap(ByteOrder::Be, Size::H, dst);
    }

    /// Host to or from network order, low 32 bits; the rest is cleared.
    pub fn be32(&mut self, dst: Reg) {
        self.swap(ByteOrder::Be, Size::W, dst);
    }

    /// Host to or from network order, 64 bits.
    pub fn be64(&mut self, dst: Reg) {
        self.swap(ByteOrder::Be, Size::Dw, dst);
    }

    /// `dst = *(size *)(base + off)`, zero-extended.
    pub fn load(&mut self, size: Size, dst: Reg, base: Reg, off: i16) {
        self.emit(Op::Load {
            size,
            dst,
            base,
            off,
        });
    }

    /// `*(size *)(base + off) = operand`; a number is sign-extended.
    pub fn store(&mut self, size: Size, base: Reg, off: i16, operand: impl Into<Operand>) {
        self.emit(Op::Store {
            size,
            base,
            off,
            src: operand.into(),
        });
    }

    /// `*(size *)(base + off) += src` as one step for all CPUs; W or Dw.
    pub fn atomic_add(&mut self, size: Size, base: Reg, off: i16, src: Reg) {
        self.atomic(AtomicOp::Add, size, base, off, src);
    }

    /// What [`AtomicOp`] says with `*(size *)(base + off)` and `src`, as one step for all CPUs; W
    /// or Dw. A comparison is with R0.
    pub fn atomic(&mut self, op: AtomicOp, size: Size, base: Reg, off: i16, src: Reg) {
        self.emit(Op::Atomic {
            op,
            size,
            base,
            off,
            src,
        });
    }

    /// Jump to the label; a 32-bit distance (Linux 6.6) is taken if 16 bits don't reach.
    pub fn jump(&mut self, label: Label) {
        self.fixups.push(Fixup {
            insn: self.insns.len(),
            label,
        });
        self.emit(Op::Jump { off: 0 });
    }

    /// Jump to the label if the program has used up the loops that the kernel allows it (8 million
    /// in Linux 6.9, or a quarter of a second in later ones); go on otherwise. The verifier takes a
    /// loop that has this at its head as one that ends. Needs Linux 6.9.
    pub fn may_goto(&mut self, label: Label) {
        self.fixups.push(Fixup {
            insn: self.insns.len(),
            label,
        });
        self.emit(Op::MayGoto { off: 0 });
    }

    /// Jump to the label if `dst cond operand`, 64 bits. Beyond 16 bits of distance it becomes a
    /// jump to a long jump.
    pub fn jump_if(&mut self, cond: Cond, dst: Reg, operand: impl Into<Operand>, label: Label) {
        self.branch(cond, Width::W64, dst, operand.into(), label);
    }

    /// Jump to the label if `dst cond operand`, low 32 bits; as far as
    /// [`Assembler::jump_if`].
    pub fn jump_if32(&mut self, cond: Cond, dst: Reg, operand: impl Into<Operand>, label: Label) {
        self.branch(cond, Width::W32, dst, operand.into(), label);
    }

    pub(crate) fn branch(
        &mut self,
        cond: Cond,
        width: Width,
        dst: Reg,
        src: Operand,
        label: Label,
    ) {
        self.fixups.push(Fixup {
            insn: self.insns.len(),
            label,
        });
        self.emit(Op::JumpIf {
            cond,
            width,
            dst,
            src,
            off: 0,
        });
    }

    /// Call a helper: arguments in R1 to R5, result in R0, R1 to R5 lost.
    pub fn call(&mut self, helper: Helper) {
        self.emit(Op::Call(helper));
    }

    /// Continue in slot `index` of a prog array; returns here only if that isn't possible. R1 must
    /// hold the context; R2 and R3 are set here.
    pub fn tail_call(&mut self, map: MapId, index: u32) {
        self.load_map(Reg::R2, map);
        self.mov32(Reg::R3, index as i32);
        self.call(Helper::TailCall);
    }

    /// `dst = value`, in two slots.
    pub fn load_imm64(&mut self, dst: Reg, value: u64) {
        self.emit(Op::LoadWide {
            dst,
            wide: Wide::Value,
            low: value as u32 as i32,
        });
        self.emit(Op::WideHigh {
            high: (value >> 32) as u32 as i32,
        });
    }

    /// `dst` = the map, as helpers take it, in two slots.
    pub fn load_map(&mut self, dst: Reg, map: MapId) {
        self.relocations.push(Relocation {
            insn: self.insns.len(),
            map,
        });
        self.emit(Op::LoadWide {
            dst,
            wide: Wide::Map,
            low: 0,
        });
        self.emit(Op::WideHigh { high: 0 });
    }

    /// `dst` = address of byte `off` of the only value of an array map, in two slots.
    pub fn load_map_value(&mut self, dst: Reg, map: MapId, off: u32) {
        self.relocations.push(Relocation {
            insn: self.insns.len(),
            map,
        });
        self.emit(Op::LoadWide {
            dst,
            wide: Wide::MapValue,
            low: 0,
        });
        self.emit(Op::WideHigh { high: off as i32 });
    }

    /// Return R0.
    pub fn exit(&mut self) {
        self.emit(Op::Exit);
    }

    /// Replaces instructions by others of the same length; jumps and 64-bit loads must stay what
    /// they are.
    pub fn replace(&mut self, by: impl Fn(Op) -> Op) {
        for insn in &mut self.insns {
            if let Some(op) = insn.operation() {
                *insn = by(op).into();
            }
        }
    }

    /// Resolves the labels and checks what the kernel would refuse in any program.
    ///
    /// # Errors
    /// An unbound or twice bound label, an instruction that can't
    /// be reached or after which the program ends, a write to R10, a constant shift or division
    /// that is never valid.
    pub fn finish(self) -> Result<Program, AssembleError> {
        link::link(self)
    }

    /// As [`Assembler::finish`], but leaves out what no path leads to.
    ///
    /// # Errors
    /// As [`Assembler::finish`], except for instructions that can't be reached.
    pub fn finish_reachable(mut self) -> Result<Program, AssembleError> {
        prune::prune(&mut self);
        link::link(self)
    }
}

/// The name with every other character replaced by `_`; never empty.
fn clean(name: &str, keep: impl Fn(char) -> bool) -> String {
    let name: String = name
        .chars()
        .map(|c| if keep(c) { c } else { '_' })
        .collect();
    if name.is_empty() {
        "_".to_owned()
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_unique_and_clean() {
        let mut asm = Assembler::new("port 3;é");
        assert_eq!(asm.name, "port_3__");
        for (given, taken) in [
            ("drop", "drop"),
            ("drop", "drop.2"),
            ("a b", "a_b"),
            ("2x", "_2x"),
            ("", "_"),
        ] {
            let label = asm.label(given);
            assert_eq!(asm.labels[label.0].name, taken);
        }
    }

    #[test]
    fn wide_values_are_split_low_half_first() {
        let mut asm = Assembler::new("wide");
        asm.load_imm64(Reg::R0, 0x1122_3344_89ab_cdef);
        asm.exit();
        let program = asm.finish().unwrap();
        assert_eq!(program.insns()[0].imm as u32, 0x89ab_cdef);
        assert_eq!(program.insns()[1].imm, 0x1122_3344);
    }
}
