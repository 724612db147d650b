//! Pieces that all parts of the commit use.

use aorta_ebpf::{AluOp, Assembler, Cond, Helper, Label, Reg, Size, Width};
use aorta_flow::field::FieldId;

use super::Emitter;
use crate::pipeline::Hook;
use crate::pipeline::codegen::hook;
use crate::pipeline::layout::{self, state};

use Reg::{R0, R1, R2, R3, R4, R5, R6, R7, R8, R9};

/// Offsets in the frame are masked by this; headers end far below.
pub(super) const MAX_OFFSET: i32 = 0x3fff;

/// `BPF_F_RECOMPUTE_CSUM`: a device's checksum over the whole frame follows.
pub(super) const RECOMPUTE_CSUM: i32 = 1;
/// `BPF_F_PSEUDO_HDR`: the change is one of the pseudo header.
pub(super) const PSEUDO_HDR: i32 = 0x10;
/// `BPF_F_MARK_MANGLED_0`: a checksum of 0 means that there is none, and stays.
pub(super) const MARK_MANGLED_0: i32 = 0x20;

/// End of the part of the state that buffers stand in. They aren't on the stack, where the verifier
/// would tell apart what each way through the code left there.
pub(super) const SPACE: i16 = state::COMMIT_AT + 64;
/// u64: by how much the sum of a transport's pseudo header changes.
pub(super) const PSEUDO: i16 = SPACE;

/// Leaves nothing in registers: whichever way control came, the verifier finds what follows in one
/// state.
pub(super) fn forget(a: &mut Assembler) {
    for register in [R0, R1, R2, R3, R4, R5, R8, R9] {
        a.mov(register, 0);
    }
}

/// Offset in the state of a field's storage in the key.
pub(super) fn key(home: FieldId) -> i16 {
    state::KEY + layout::place(home).unwrap_or_default()
}

/// R1 = address of the frame plus the offset in the state word `offset`; goes to `failed` unless
/// `bytes` are accessible from there on. Uses R2, R3.
pub(super) fn frame_key(
    a: &mut Assembler,
    kind: Hook,
    (offset, bytes): (Option<i16>, i32),
    failed: Label,
) {
    hook::load_frame(a, kind, R1, R3);
    if let Some(offset) = offset {
        a.load(Size::W, R2, R7, offset);
        a.and(R2, MAX_OFFSET);
        a.add(R1, R2);
    }
    a.mov(R2, R1);
    a.add(R2, bytes);
    a.jump_if(Cond::Gt, R2, R3, failed);
}

/// `dst` = its complement in the low 32 bits; the high half is cleared.
pub(super) fn not32(a: &mut Assembler, dst: Reg) {
    a.alu(AluOp::Xor, Width::W32, dst, -1);
}

/// Folds a sum of 64 bits to 32, by ones' complement. Uses `scratch`.
pub(super) fn fold32(a: &mut Assembler, sum: Reg, scratch: Reg) {
    for _ in 0..2 {
        a.mov32(scratch, sum);
        a.rsh(sum, 32);
        a.add(sum, scratch);
    }
}

/// Folds a sum of 32 bits to 16, by ones' complement. Uses `scratch`.
pub(super) fn fold16(a: &mut Assembler, sum: Reg, scratch: Reg) {
    for _ in 0..3 {
        a.mov(scratch, sum);
        a.and(scratch, 0xffff);
        a.rsh(sum, 16);
        a.add(sum, scratch);
    }
}

impl Emitter<'_> {
    /// Skips to `other` unless a bit of these groups is set. Uses R1.
    pub(super) fn unless_dirty(&mut self, groups: i32, other: Label) {
        self.a.load(Size::Dw, R1, R7, state::DIRTY);
        self.a.and(R1, groups);
        self.a.jump_if(Cond::Eq, R1, 0, other);
    }

    /// Writes `len` bytes of the state from `from` on into the frame, at the offset in the
    /// state word plus `plus`. The checksum of a device follows. Packet pointers are lost.
    pub(super) fn write(&mut self, offset: i16, plus: i32, from: i16, len: i32, flags: i32) {
        let a = &mut *self.a;
        a.mov(R1, R6);
        a.load(Size::W, R2, R7, offset);
        a.add(R2, plus);
        a.mov(R3, R7);
        a.add(R3, i32::from(from));
        a.mov(R4, len);
        a.mov(R5, flags);
        a.call(Helper::SkbStoreBytes);
        a.jump_if(Cond::Ne, R0, 0, self.failed);
    }

    /// Changes the checksum at L4 plus `plus` by the difference in `diff` (32 bits, R8 or R9).
    /// Packet pointers are lost.
    pub(super) fn checksum(&mut self, plus: i32, diff: Reg, flags: i32) {
        let a = &mut *self.a;
        a.mov(R1, R6);
        a.load(Size::W, R2, R7, state::L4);
        a.add(R2, plus);
        a.mov(R3, 0);
        a.mov(R4, diff);
        a.mov(R5, flags);
        a.call(Helper::L4CsumReplace);
        a.jump_if(Cond::Ne, R0, 0, self.failed);
    }
}
