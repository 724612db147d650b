//! eBPF instructions as values.
//!
//! [`Assembler`] emits instructions and resolves labels; [`Program`] is the portable result, whose
//! maps are symbolic until [`Program::encode`]. Programs have a text form that is printed by
//! `Display` and read back by [`Program::parse`], run in the interpreter of [`interp`], and explain
//! what the kernel's verifier says about them through [`refusal()`].
//!
//! The instruction set is RFC 9669's. Nothing here needs a kernel; an instruction that needs a
//! kernel newer than 6.1 says so.

#![forbid(unsafe_code)]

mod assembler;
mod codec;
mod cursor;
mod error;
pub mod fuzzing;
mod helper;
mod insn;
pub mod interp;
mod lex;
mod link;
mod op;
mod parse;
mod print;
mod program;
mod prune;
mod refusal;
mod reg;
mod relax;

pub use assembler::{Assembler, Label};
pub use error::{AssembleError, Location};
pub use helper::Helper;
pub use insn::Insn;
pub use op::{AluOp, AtomicOp, ByteOrder, Cond, Op, Wide};
pub use parse::{ParseError, ParseErrorKind};
pub use program::{Comment, EncodeError, LabelAt, MapId, Program, Relocation};
pub use refusal::{NO_REASON, Refusal, refusal};
pub use reg::{Operand, Reg, Size, Width};
