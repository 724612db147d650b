//! Between operations and their 8-byte form (RFC 9669 §4 and §5).

use crate::helper::Helper;
use crate::insn::Insn;
use crate::op::{AluOp, AtomicOp, ByteOrder, Cond, Op, Wide};
use crate::reg::{Operand, Reg, Size, Width};

const LD: u8 = 0x00;
const LDX: u8 = 0x01;
const ST: u8 = 0x02;
const ALU: u8 = 0x04;
const JMP: u8 = 0x05;
const JMP32: u8 = 0x06;
const ALU64: u8 = 0x07;
const MEM: u8 = 0x60;
const STX_ATOMIC: u8 = 0xc3;
const END: u8 = 0xd0;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;
const MAY_GOTO: u8 = 0xe5;
const LD_IMM64: u8 = 0x18;
const SOURCE_REG: u8 = 0x08;

impl From<Op> for Insn {
    fn from(op: Op) -> Insn {
        match op {
            Op::Alu {
                op,
                width,
                dst,
                src,
            } => {
                let src = if op == AluOp::Neg {
                    Operand::Imm(0)
                } else {
                    src
                };
                Insn::with_operand(pick(width, ALU, ALU64) | op as u8, dst, src, 0)
            }
            Op::Swap { order, size, dst } => swap_insn(order, size, dst),
            Op::Load {
                size,
                dst,
                base,
                off,
            } => {
                let op = LDX | MEM | size_bits(size);
                Insn {
                    op,
                    dst: dst.number(),
                    src: base.number(),
                    off,
                    imm: 0,
                }
            }
            Op::Store {
                size,
                base,
                off,
                src,
            } => store_insn(size, base, off, src),
            Op::Atomic {
                op,
                size,
                base,
                off,
                src,
            } => Insn {
                op: STX_ATOMIC | size_bits(size),
                dst: base.number(),
                src: src.number(),
                off,
                imm: i32::from(op as u8),
            },
            Op::Jump { off } => Insn {
                op: JMP,
                off,
                ..Insn::default()
            },
            Op::JumpLong { off } => Insn {
                op: JMP32,
                imm: off,
                ..Insn::default()
            },
            Op::JumpIf {
                cond,
                width,
                dst,
                src,
                off,
            } => Insn::with_operand(pick(width, JMP32, JMP) | cond as u8, dst, src, off),
            Op::MayGoto { off } => Insn {
                op: MAY_GOTO,
                off,
                ..Insn::default()
            },
            Op::Call(helper) => Insn {
                op: CALL,
                imm: helper.id() as i32,
                ..Insn::default()
            },
            Op::Exit => Insn {
                op: EXIT,
                ..Insn::default()
            },
            Op::LoadWide { dst, wide, low } => Insn {
                op: LD_IMM64,
                dst: dst.number(),
                src: wide as u8,
                off: 0,
                imm: low,
            },
            Op::WideHigh { high } => Insn {
                imm: high,
                ..Insn::default()
            },
        }
    }
}

impl Op {
    /// The operation of a slot; `None` if it isn't one of these, or a field that it doesn't use
    /// isn't zero.
    pub fn decode(insn: Insn) -> Option<Op> {
        let op = match insn.op & 0x07 {
            LD => decode_wide(insn),
            ALU | ALU64 => decode_alu(insn),
            JMP | JMP32 => decode_jump(insn),
            _ => decode_memory(insn),
        }?;
        // Encoding it again finds every unused field that isn't zero.
        (Insn::from(op) == insn).then_some(op)
    }
}

fn pick(width: Width, w32: u8, w64: u8) -> u8 {
    match width {
        Width::W32 => w32,
        Width::W64 => w64,
    }
}

fn size_bits(size: Size) -> u8 {
    match size {
        Size::W => 0x00,
        Size::H => 0x08,
        Size::B => 0x10,
        Size::Dw => 0x18,
    }
}

fn size_from_bits(op: u8) -> Size {
    match op & 0x18 {
        0x00 => Size::W,
        0x08 => Size::H,
        0x10 => Size::B,
        _ => Size::Dw,
    }
}

fn swap_insn(order: ByteOrder, size: Size, dst: Reg) -> Insn {
    let op = match order {
        ByteOrder::Le => ALU | END,
        ByteOrder::Be => ALU | END | SOURCE_REG,
        ByteOrder::Swap => ALU64 | END,
    };
    Insn {
        op,
        dst: dst.number(),
        imm: size.bits() as i32,
        ..Insn::default()
    }
}

fn store_insn(size: Size, base: Reg, off: i16, src: Operand) -> Insn {
    let (op, dst) = (ST | MEM | size_bits(size), base.number());
    match src {
        // A store of a register is a class of its own (STX), not bit 3.
        Operand::Reg(src) => Insn {
            op: op | 0x01,
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

fn operand(insn: Insn) -> Option<Operand> {
    if insn.op & SOURCE_REG == 0 {
        return Some(Operand::Imm(insn.imm));
    }
    Reg::from_number(insn.src).map(Operand::Reg)
}

fn decode_wide(insn: Insn) -> Option<Op> {
    if insn.op == 0 {
        return Some(Op::WideHigh { high: insn.imm });
    }
    let wide = match insn.src {
        0 => Wide::Value,
        1 => Wide::Map,
        2 => Wide::MapValue,
        _ => return None,
    };
    Some(Op::LoadWide {
        dst: Reg::from_number(insn.dst)?,
        wide,
        low: insn.imm,
    })
}

fn decode_alu(insn: Insn) -> Option<Op> {
    let dst = Reg::from_number(insn.dst)?;
    let width = if insn.op & 0x07 == ALU {
        Width::W32
    } else {
        Width::W64
    };
    if insn.op & 0xf0 == END {
        let size = match insn.imm {
            16 => Size::H,
            32 => Size::W,
            64 => Size::Dw,
            _ => return None,
        };
        let order = match (width, insn.op & SOURCE_REG) {
            (Width::W32, 0) => ByteOrder::Le,
            (Width::W32, _) => ByteOrder::Be,
            (Width::W64, _) => ByteOrder::Swap,
        };
        return Some(Op::Swap { order, size, dst });
    }
    let op = AluOp::from_bits(insn.op & 0xf0)?;
    Some(Op::Alu {
        op,
        width,
        dst,
        src: operand(insn)?,
    })
}

fn decode_jump(insn: Insn) -> Option<Op> {
    match insn.op {
        JMP => return Some(Op::Jump { off: insn.off }),
        JMP32 => return Some(Op::JumpLong { off: insn.imm }),
        EXIT => return Some(Op::Exit),
        MAY_GOTO => return Some(Op::MayGoto { off: insn.off }),
        CALL => return Helper::from_id(insn.imm as u32).map(Op::Call),
        _ => {}
    }
    let cond = Cond::from_bits(insn.op & 0xf0)?;
    let width = if insn.op & 0x07 == JMP {
        Width::W64
    } else {
        Width::W32
    };
    let dst = Reg::from_number(insn.dst)?;
    Some(Op::JumpIf {
        cond,
        width,
        dst,
        src: operand(insn)?,
        off: insn.off,
    })
}

fn decode_memory(insn: Insn) -> Option<Op> {
    let size = size_from_bits(insn.op);
    let dst = Reg::from_number(insn.dst)?;
    let src = Reg::from_number(insn.src)?;
    let off = insn.off;
    match (insn.op & 0xe0, insn.op & 0x07) {
        (MEM, LDX) => Some(Op::Load {
            size,
            dst,
            base: src,
            off,
        }),
        (MEM, ST) => Some(Op::Store {
            size,
            base: dst,
            off,
            src: Operand::Imm(insn.imm),
        }),
        (MEM, _) => Some(Op::Store {
            size,
            base: dst,
            off,
            src: Operand::Reg(src),
        }),
        (0xc0, 0x03) if matches!(size, Size::W | Size::Dw) => Some(Op::Atomic {
            op: AtomicOp::from_imm(insn.imm)?,
            size,
            base: dst,
            off,
            src,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Reg::{R0, R1, R10};
    use Width::{W32, W64};

    fn same(op: Op, bytes: [u8; 8]) {
        assert_eq!(Insn::from(op).encode(), bytes, "{op:?}");
        assert_eq!(Insn::decode(bytes).operation(), Some(op), "{op:?}");
    }

    /// Codes as a disassembler shows them for the same instructions.
    #[test]
    fn arithmetic_codes() {
        let alu = |op, width, dst, src| Op::Alu {
            op,
            width,
            dst,
            src,
        };
        same(
            alu(AluOp::Mov, W64, R0, 1.into()),
            [0xb7, 0, 0, 0, 1, 0, 0, 0],
        );
        same(
            alu(AluOp::Neg, W64, R1, 0.into()),
            [0x87, 1, 0, 0, 0, 0, 0, 0],
        );
        same(
            alu(AluOp::Add, W32, R1, R0.into()),
            [0x0c, 1, 0, 0, 0, 0, 0, 0],
        );
        let swap = |order, size| Op::Swap {
            order,
            size,
            dst: R1,
        };
        same(swap(ByteOrder::Be, Size::H), [0xdc, 1, 0, 0, 16, 0, 0, 0]);
        same(swap(ByteOrder::Le, Size::Dw), [0xd4, 1, 0, 0, 64, 0, 0, 0]);
        same(swap(ByteOrder::Swap, Size::W), [0xd7, 1, 0, 0, 32, 0, 0, 0]);
    }

    #[test]
    fn memory_codes() {
        let (size, base, off) = (Size::Dw, R10, -8);
        same(
            Op::Load {
                size: Size::W,
                dst: R1,
                base: R1,
                off: 76,
            },
            [0x61, 0x11, 76, 0, 0, 0, 0, 0],
        );
        same(
            Op::Store {
                size,
                base,
                off,
                src: R1.into(),
            },
            [0x7b, 0x1a, 0xf8, 0xff, 0, 0, 0, 0],
        );
        same(
            Op::Store {
                size: Size::B,
                base,
                off: -1,
                src: 7.into(),
            },
            [0x72, 0x0a, 0xff, 0xff, 7, 0, 0, 0],
        );
        let atomic = |op| Op::Atomic {
            op,
            size,
            base: R0,
            off: 0,
            src: R1,
        };
        same(atomic(AtomicOp::Add), [0xdb, 0x10, 0, 0, 0, 0, 0, 0]);
        same(atomic(AtomicOp::FetchAdd), [0xdb, 0x10, 0, 0, 1, 0, 0, 0]);
        same(
            atomic(AtomicOp::Exchange),
            [0xdb, 0x10, 0, 0, 0xe1, 0, 0, 0],
        );
        same(
            atomic(AtomicOp::CompareExchange),
            [0xdb, 0x10, 0, 0, 0xf1, 0, 0, 0],
        );
        same(
            Op::LoadWide {
                dst: R1,
                wide: Wide::Map,
                low: 9,
            },
            [0x18, 0x11, 0, 0, 9, 0, 0, 0],
        );
        same(Op::WideHigh { high: 3 }, [0, 0, 0, 0, 3, 0, 0, 0]);
    }

    #[test]
    fn jump_codes() {
        let jump = |cond, width, src| Op::JumpIf {
            cond,
            width,
            dst: R1,
            src,
            off: 2,
        };
        same(jump(Cond::Eq, W64, 5.into()), [0x15, 1, 2, 0, 5, 0, 0, 0]);
        same(jump(Cond::Ne, W32, R0.into()), [0x5e, 1, 2, 0, 0, 0, 0, 0]);
        same(Op::Jump { off: -1 }, [0x05, 0, 0xff, 0xff, 0, 0, 0, 0]);
        same(
            Op::JumpLong { off: -2 },
            [0x06, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff],
        );
        same(Op::Call(Helper::MapLookupElem), [0x85, 0, 0, 0, 1, 0, 0, 0]);
        same(Op::MayGoto { off: 3 }, [0xe5, 0, 3, 0, 0, 0, 0, 0]);
        same(Op::Exit, [0x95, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn unused_fields_must_be_zero() {
        assert_eq!(
            Insn {
                op: EXIT,
                imm: 1,
                ..Insn::default()
            }
            .operation(),
            None
        );
        assert_eq!(
            Insn {
                op: 0xb7,
                dst: 11,
                ..Insn::default()
            }
            .operation(),
            None
        );
        assert_eq!(
            Insn {
                op: 0x0f,
                src: 12,
                ..Insn::default()
            }
            .operation(),
            None
        );
    }
}
