//! The 8-byte instruction (RFC 9669 §3).

use std::fmt;

use crate::op::Op;
use crate::print;
use crate::reg::{Operand, Reg};

/// One instruction slot as the kernel takes it. A 64-bit load fills two slots.
///
/// [`Op`] is the same instruction with its fields named; `Display` prints it alone, with jumps as
/// distances.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Insn {
    /// Operation code: class, source kind and operation.
    pub op: u8,
    /// Destination register, 4 bits.
    pub dst: u8,
    /// Source register or the kind of a 64-bit load, 4 bits.
    pub src: u8,
    /// Memory offset in bytes, or jump distance in slots from the next instruction.
    pub off: i16,
    /// Constant, helper number, or 32-bit jump distance.
    pub imm: i32,
}

impl Insn {
    /// Bytes of an encoded slot.
    pub const LEN: usize = 8;

    /// The slot as a little-endian host lays it out: operation code, `dst | src << 4`, offset,
    /// constant.
    pub fn encode(self) -> [u8; Insn::LEN] {
        let [o0, o1] = self.off.to_le_bytes();
        let [i0, i1, i2, i3] = self.imm.to_le_bytes();
        [
            self.op,
            (self.dst & 0xf) | (self.src << 4),
            o0,
            o1,
            i0,
            i1,
            i2,
            i3,
        ]
    }

    /// The inverse of [`Insn::encode`]; every eight bytes are some instruction.
    pub fn decode(bytes: [u8; Insn::LEN]) -> Insn {
        let [op, regs, o0, o1, i0, i1, i2, i3] = bytes;
        Insn {
            op,
            dst: regs & 0xf,
            src: regs >> 4,
            off: i16::from_le_bytes([o0, o1]),
            imm: i32::from_le_bytes([i0, i1, i2, i3]),
        }
    }

    /// The instruction with its fields named; `None` if this crate doesn't know it, or a field that
    /// it doesn't use isn't zero.
    pub fn operation(self) -> Option<Op> {
        Op::decode(self)
    }

    /// An instruction whose second operand is a register (bit 3 of the code set) or a constant.
    pub(crate) fn with_operand(op: u8, dst: Reg, operand: Operand, off: i16) -> Insn {
        let dst = dst.number();
        match operand {
            Operand::Reg(src) => Insn {
                op: op | 0x08,
                dst,
                src: src.number(),
                off,
                imm: 0,
            },
            Operand::Imm(imm) => Insn {
                op,
                dst,
                src: 0,
                off,
                imm,
            },
        }
    }
}

impl fmt::Display for Insn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print::write_insn(f, *self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn layout_is_the_kernels() {
        let insn = Insn {
            op: 0x7b,
            dst: 10,
            src: 1,
            off: -8,
            imm: 0x0102_0304,
        };
        assert_eq!(insn.encode(), [0x7b, 0x1a, 0xf8, 0xff, 4, 3, 2, 1]);
    }

    proptest! {
        #[test]
        fn encoding_round_trips(bytes: [u8; 8]) {
            prop_assert_eq!(Insn::decode(bytes).encode(), bytes);
        }

        #[test]
        fn known_operations_round_trip(bytes: [u8; 8]) {
            let insn = Insn::decode(bytes);
            if let Some(op) = insn.operation() {
                prop_assert_eq!(Insn::from(op), insn);
            }
        }
    }
}
