//! Instructions with their fields named (RFC 9669 §4 and §5).

use crate::helper::Helper;
use crate::reg::{Operand, Reg, Size, Width};

macro_rules! coded {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])+ $variant:ident = $bits:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum $name {
            $($(#[$doc])+ $variant = $bits,)+
        }

        impl $name {
            /// All values.
            pub const ALL: &[$name] = &[$($name::$variant,)+];

            pub(crate) fn from_bits(bits: u8) -> Option<$name> {
                Self::ALL.iter().copied().find(|value| *value as u8 == bits)
            }
        }
    };
}

coded! {
    /// Arithmetic: `dst = dst op operand`, wrapping.
    AluOp {
        /// Addition.
        Add = 0x00,
        /// Subtraction.
        Sub = 0x10,
        /// Multiplication.
        Mul = 0x20,
        /// Unsigned division; by zero gives 0.
        Div = 0x30,
        /// Bitwise or.
        Or = 0x40,
        /// Bitwise and.
        And = 0x50,
        /// Left shift; the amount is taken modulo the width.
        Lsh = 0x60,
        /// Unsigned right shift; the amount is taken modulo the width.
        Rsh = 0x70,
        /// Two's complement of `dst`; the operand is not used.
        Neg = 0x80,
        /// Unsigned remainder; by zero leaves `dst`.
        Mod = 0x90,
        /// Bitwise exclusive or.
        Xor = 0xa0,
        /// Copy of the operand.
        Mov = 0xb0,
        /// Signed right shift; the amount is taken modulo the width.
        Arsh = 0xc0,
    }
}

coded! {
    /// Condition of a jump.
    Cond {
        /// Equal.
        Eq = 0x10,
        /// Greater, unsigned.
        Gt = 0x20,
        /// Greater or equal, unsigned.
        Ge = 0x30,
        /// Any bit in common.
        Set = 0x40,
        /// Not equal.
        Ne = 0x50,
        /// Greater, signed.
        Sgt = 0x60,
        /// Greater or equal, signed.
        Sge = 0x70,
        /// Less, unsigned.
        Lt = 0xa0,
        /// Less or equal, unsigned.
        Le = 0xb0,
        /// Less, signed.
        Slt = 0xc0,
        /// Less or equal, signed.
        Sle = 0xd0,
    }
}

/// What an atomic instruction does with a word of memory and its register, as one step.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum AtomicOp {
    /// Adds the register to the memory.
    Add = 0x00,
    /// As `Add`; the register gets what the memory held before. Needs Linux 5.12.
    FetchAdd = 0x01,
    /// Exchanges both. Needs Linux 5.12.
    Exchange = 0xe1,
    /// Stores the register if the memory holds what R0 holds; R0 gets what it held before. Needs
    /// Linux 5.12.
    CompareExchange = 0xf1,
}

impl AtomicOp {
    /// All values.
    pub const ALL: &[AtomicOp] = &[
        AtomicOp::Add,
        AtomicOp::FetchAdd,
        AtomicOp::Exchange,
        AtomicOp::CompareExchange,
    ];

    pub(crate) fn from_imm(imm: i32) -> Option<AtomicOp> {
        let found = |op: &AtomicOp| i32::from(*op as u8) == imm;
        Self::ALL.iter().copied().find(found)
    }
}

/// What a byte-order instruction does with the low bits of a register; the rest is cleared.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ByteOrder {
    /// Between host and little endian.
    Le,
    /// Between host and big endian (network order).
    Be,
    /// Reverses the bytes. Needs Linux 6.6.
    Swap,
}

/// What a 64-bit load loads.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Wide {
    /// A number.
    Value,
    /// A map, by file descriptor (BPF_PSEUDO_MAP_FD).
    Map,
    /// The address of a map's value plus an offset in the second slot (BPF_PSEUDO_MAP_VALUE).
    MapValue,
}

/// An instruction slot with its fields named. Jump distances count slots from the next one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum Op {
    /// `dst op= src`. `Neg` has `Imm(0)` as its operand.
    Alu {
        op: AluOp,
        width: Width,
        dst: Reg,
        src: Operand,
    },
    /// Changes the byte order of the low `size` of `dst`; `Size::B` is not an instruction.
    Swap {
        order: ByteOrder,
        size: Size,
        dst: Reg,
    },
    /// `dst = *(base + off)`, zero-extended.
    Load {
        size: Size,
        dst: Reg,
        base: Reg,
        off: i16,
    },
    /// `*(base + off) = src`.
    Store {
        size: Size,
        base: Reg,
        off: i16,
        src: Operand,
    },
    /// `*(base + off) op src` as one step; `Size::W` and `Size::Dw` only.
    Atomic {
        op: AtomicOp,
        size: Size,
        base: Reg,
        off: i16,
        src: Reg,
    },
    /// Jump by 16 bits of distance.
    Jump { off: i16 },
    /// Jump by 32 bits of distance. Needs Linux 6.6.
    JumpLong { off: i32 },
    /// Jump if the condition holds.
    JumpIf {
        cond: Cond,
        width: Width,
        dst: Reg,
        src: Operand,
        off: i16,
    },
    /// Jump if the program has used up the loops that the kernel allows it, and go on otherwise.
    /// Needs Linux 6.9.
    MayGoto { off: i16 },
    /// Call a kernel helper.
    Call(Helper),
    /// Return R0.
    Exit,
    /// First slot of a 64-bit load, with the low half.
    LoadWide { dst: Reg, wide: Wide, low: i32 },
    /// Second slot of a 64-bit load, with the high half or the offset.
    WideHigh { high: i32 },
}

impl Op {
    /// Distance of a jump in slots, counted from the next one.
    pub(crate) fn distance(self) -> Option<i64> {
        match self {
            Op::Jump { off } | Op::JumpIf { off, .. } | Op::MayGoto { off } => Some(off.into()),
            Op::JumpLong { off } => Some(off.into()),
            _ => None,
        }
    }

    /// The register that the instruction writes; calls write more and are not among them.
    pub(crate) fn written(self) -> Option<Reg> {
        match self {
            Op::Alu { dst, .. }
            | Op::Swap { dst, .. }
            | Op::Load { dst, .. }
            | Op::LoadWide { dst, .. } => Some(dst),
            Op::Atomic { op, src, .. } => match op {
                AtomicOp::Add => None,
                AtomicOp::FetchAdd | AtomicOp::Exchange => Some(src),
                AtomicOp::CompareExchange => Some(Reg::R0),
            },
            _ => None,
        }
    }
}
