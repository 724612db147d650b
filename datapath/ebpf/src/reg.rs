//! Registers, widths and operands (RFC 9669 §2.1).

use std::fmt;

/// One of the eleven registers. R0 returns, R1 to R5 carry arguments and are lost in a call, R6 to
/// R9 survive calls, R10 is the read-only end of the 512-byte stack frame.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Reg {
    /// Return value; also the program's verdict.
    R0,
    /// First argument; the context when a program starts.
    R1,
    /// Second argument.
    R2,
    /// Third argument.
    R3,
    /// Fourth argument.
    R4,
    /// Fifth argument.
    R5,
    /// Kept across calls.
    R6,
    /// Kept across calls.
    R7,
    /// Kept across calls.
    R8,
    /// Kept across calls.
    R9,
    /// End of the stack frame; can't be written.
    R10,
}

impl Reg {
    /// All registers in the order of their numbers.
    pub const ALL: [Reg; 11] = [
        Reg::R0,
        Reg::R1,
        Reg::R2,
        Reg::R3,
        Reg::R4,
        Reg::R5,
        Reg::R6,
        Reg::R7,
        Reg::R8,
        Reg::R9,
        Reg::R10,
    ];

    /// The number as encoded, 0 to 10.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The register with this number; `None` above 10.
    pub fn from_number(number: u8) -> Option<Reg> {
        Reg::ALL.get(usize::from(number)).copied()
    }
}

impl fmt::Display for Reg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.number())
    }
}

/// Width of a memory access.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Size {
    /// One byte.
    B,
    /// Two bytes.
    H,
    /// Four bytes.
    W,
    /// Eight bytes.
    Dw,
}

impl Size {
    /// All sizes, smallest first.
    pub const ALL: [Size; 4] = [Size::B, Size::H, Size::W, Size::Dw];

    /// How many bytes: 1, 2, 4 or 8.
    pub fn bytes(self) -> usize {
        match self {
            Size::B => 1,
            Size::H => 2,
            Size::W => 4,
            Size::Dw => 8,
        }
    }

    /// How many bits: 8, 16, 32 or 64.
    pub fn bits(self) -> usize {
        self.bytes() * 8
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "u{}", self.bits())
    }
}

/// Width of an arithmetic or comparison: the whole register or its low half. A 32-bit result
/// clears the high half.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Width {
    /// Low 32 bits.
    W32,
    /// All 64 bits.
    W64,
}

impl Width {
    /// How many bits: 32 or 64.
    pub fn bits(self) -> i32 {
        match self {
            Width::W32 => 32,
            Width::W64 => 64,
        }
    }
}

/// Second operand of an instruction: a register, or a number that is sign-extended to the width of
/// the operation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Operand {
    /// The value of a register.
    Reg(Reg),
    /// A number in the instruction.
    Imm(i32),
}

impl From<Reg> for Operand {
    fn from(reg: Reg) -> Self {
        Operand::Reg(reg)
    }
}

impl From<i32> for Operand {
    fn from(imm: i32) -> Self {
        Operand::Imm(imm)
    }
}
