//! Text form, close to the kernel's own.
//!
//! A program is its name, then labels at the margin, comments after `;`, and one instruction a
//! line, indented. `w` registers are the low halves; `s>` and `s>>` are signed; `ll` marks a 64-bit
//! number.

use std::fmt;

use crate::insn::Insn;
use crate::op::{AluOp, AtomicOp, ByteOrder, Cond, Op, Wide};
use crate::program::{MapId, Program};
use crate::reg::{Operand, Reg, Size, Width};

/// What stands for an instruction's second slot, jump target or map in its text.
#[derive(Clone, Copy, Default)]
struct Symbols<'a> {
    high: i32,
    map: Option<MapId>,
    target: Option<&'a str>,
}

/// A line of a program's text and the instruction it shows or precedes.
pub(crate) struct Line {
    pub(crate) insn: usize,
    pub(crate) is_insn: bool,
    pub(crate) text: String,
}

impl AluOp {
    /// The assignment operator, `None` for `Neg`, which is a prefix.
    pub(crate) fn symbol(self) -> Option<&'static str> {
        Some(match self {
            AluOp::Add => "+=",
            AluOp::Sub => "-=",
            AluOp::Mul => "*=",
            AluOp::Div => "/=",
            AluOp::Or => "|=",
            AluOp::And => "&=",
            AluOp::Lsh => "<<=",
            AluOp::Rsh => ">>=",
            AluOp::Mod => "%=",
            AluOp::Xor => "^=",
            AluOp::Mov => "=",
            AluOp::Arsh => "s>>=",
            AluOp::Neg => return None,
        })
    }
}

impl Cond {
    /// The comparison operator.
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Cond::Eq => "==",
            Cond::Gt => ">",
            Cond::Ge => ">=",
            Cond::Set => "&",
            Cond::Ne => "!=",
            Cond::Sgt => "s>",
            Cond::Sge => "s>=",
            Cond::Lt => "<",
            Cond::Le => "<=",
            Cond::Slt => "s<",
            Cond::Sle => "s<=",
        }
    }
}

impl AtomicOp {
    /// The word behind `lock`, `None` for `Add`, which is an assignment.
    pub(crate) fn word(self) -> Option<&'static str> {
        match self {
            AtomicOp::Add => None,
            AtomicOp::FetchAdd => Some("fetch_add"),
            AtomicOp::Exchange => Some("exchange"),
            AtomicOp::CompareExchange => Some("compare_exchange"),
        }
    }
}

impl ByteOrder {
    /// The name before the width: `be16`.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            ByteOrder::Le => "le",
            ByteOrder::Be => "be",
            ByteOrder::Swap => "bswap",
        }
    }
}

fn reg(width: Width, reg: Reg) -> String {
    match width {
        Width::W32 => format!("w{}", reg.number()),
        Width::W64 => reg.to_string(),
    }
}

fn operand(width: Width, operand: Operand) -> String {
    match operand {
        Operand::Reg(src) => reg(width, src),
        Operand::Imm(imm) => imm.to_string(),
    }
}

fn place(size: Size, base: Reg, off: i16) -> String {
    let sign = if off < 0 { '-' } else { '+' };
    format!("*({size} *)({base} {sign} {})", off.unsigned_abs())
}

fn target(distance: i64, symbols: Symbols<'_>) -> String {
    symbols
        .target
        .map_or_else(|| format!("{distance:+}"), str::to_owned)
}

fn wide(dst: Reg, kind: Wide, low: i32, symbols: Symbols<'_>) -> String {
    let value = u64::from(symbols.high as u32) << 32 | u64::from(low as u32);
    match (kind, symbols.map) {
        (Wide::Value, _) => format!("{dst} = {value:#x} ll"),
        (Wide::Map, Some(map)) => format!("{dst} = {map}"),
        (Wide::MapValue, Some(map)) => format!("{dst} = &{map} + {}", symbols.high as u32),
        (Wide::Map, None) => format!("{dst} = map fd {low}"),
        (Wide::MapValue, None) => format!("{dst} = &map fd {low} + {}", symbols.high as u32),
    }
}

fn op_text(op: Op, symbols: Symbols<'_>) -> String {
    match op {
        Op::Alu {
            op,
            width,
            dst,
            src,
        } => match op.symbol() {
            Some(symbol) => format!("{} {symbol} {}", reg(width, dst), operand(width, src)),
            None => format!("{0} = -{0}", reg(width, dst)),
        },
        Op::Swap { order, size, dst } => {
            format!("{dst} = {}{} {dst}", order.prefix(), size.bits())
        }
        Op::Load {
            size,
            dst,
            base,
            off,
        } => format!("{dst} = {}", place(size, base, off)),
        Op::Store {
            size,
            base,
            off,
            src,
        } => {
            format!("{} = {}", place(size, base, off), operand(Width::W64, src))
        }
        Op::Atomic {
            op,
            size,
            base,
            off,
            src,
        } => match op.word() {
            None => format!("lock {} += {src}", place(size, base, off)),
            Some(word) => format!("lock {word} {} = {src}", place(size, base, off)),
        },
        Op::MayGoto { off } => format!("may_goto {}", target(off.into(), symbols)),
        Op::Jump { off } => format!("goto {}", target(off.into(), symbols)),
        Op::JumpLong { off } => format!("gotol {}", target(off.into(), symbols)),
        Op::JumpIf {
            cond,
            width,
            dst,
            src,
            off,
        } => format!(
            "if {} {} {} goto {}",
            reg(width, dst),
            cond.symbol(),
            operand(width, src),
            target(off.into(), symbols)
        ),
        Op::Call(helper) => format!("call {helper}"),
        Op::Exit => "exit".to_owned(),
        Op::LoadWide {
            dst,
            wide: kind,
            low,
        } => wide(dst, kind, low, symbols),
        Op::WideHigh { high } => format!("high {high:#x}"),
    }
}

/// A slot on its own: jumps as distances, the first slot of a 64-bit load with its low half only.
pub(crate) fn write_insn(f: &mut fmt::Formatter<'_>, insn: Insn) -> fmt::Result {
    match insn.operation() {
        Some(op) => f.write_str(&op_text(op, Symbols::default())),
        None => {
            let Insn {
                op,
                dst,
                src,
                off,
                imm,
            } = insn;
            write!(
                f,
                "unknown {op:#04x} dst={dst} src={src} off={off} imm={imm}"
            )
        }
    }
}

impl Program {
    /// The text of the instruction at this slot; `None` for the second slot of a 64-bit load.
    pub fn text_of(&self, insn: usize) -> Option<String> {
        let op = self.insns.get(insn)?.operation()?;
        if matches!(op, Op::WideHigh { .. }) {
            return None;
        }
        let target = op.distance().and_then(|distance| {
            usize::try_from(insn as i64 + 1 + distance)
                .ok()
                .and_then(|at| self.label_at(at))
        });
        let high = self.insns.get(insn + 1).map_or(0, |next| next.imm);
        Some(op_text(
            op,
            Symbols {
                high,
                map: self.map_at(insn),
                target,
            },
        ))
    }

    /// Every line after the first.
    pub(crate) fn lines(&self) -> Vec<Line> {
        let mut lines = Vec::with_capacity(self.len());
        let (mut labels, mut comments) = (
            self.labels.iter().peekable(),
            self.comments.iter().peekable(),
        );
        for insn in 0..=self.len() {
            while let Some(label) = labels.next_if(|label| label.insn == insn) {
                lines.push(Line {
                    insn,
                    is_insn: false,
                    text: format!("{}:", label.name),
                });
            }
            while let Some(comment) = comments.next_if(|comment| comment.insn == insn) {
                lines.push(Line {
                    insn,
                    is_insn: false,
                    text: format!("    ; {}", comment.text),
                });
            }
            if let Some(text) = self.text_of(insn) {
                lines.push(Line {
                    insn,
                    is_insn: true,
                    text: format!("    {text}"),
                });
            }
        }
        lines
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "program {}", self.name)?;
        for line in self.lines() {
            writeln!(f, "{}", line.text)?;
        }
        Ok(())
    }
}
