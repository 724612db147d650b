//! Reads the text form that [`Program`]'s `Display` prints.
//!
//! Blank lines are allowed, comments may follow an instruction, numbers may be hexadecimal.

use std::collections::HashMap;

use crate::assembler::{Assembler, Label};
use crate::cursor::{Cursor, Mistake};
use crate::error::AssembleError;
use crate::lex::{self, Kind};
use crate::op::{AluOp, AtomicOp, ByteOrder, Cond};
use crate::program::Program;
use crate::reg::{Operand, Size, Width};

/// Why a text is not a program, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {kind}")]
pub struct ParseError {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong there.
    pub kind: ParseErrorKind,
}

/// What is wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseErrorKind {
    /// Another thing was expected here.
    #[error("expected {0}")]
    Expected(&'static str),
    /// No token begins with this character.
    #[error("neither a word, a number nor an operator")]
    NotAToken,
    /// A helper that this crate doesn't name.
    #[error("{0} is not a known helper")]
    UnknownHelper(String),
    /// The instructions are well formed but not a program.
    #[error(transparent)]
    Assemble(Box<AssembleError>),
}

impl Program {
    /// Reads a program's text form. For every program `p`, `Program::parse(&p.to_string())` is `p`.
    ///
    /// # Errors
    /// The first line that isn't understood, or whatever [`Assembler::finish`] refuses.
    pub fn parse(text: &str) -> Result<Program, ParseError> {
        let mut parser = Parser::default();
        let mut asm = None;
        for (index, line) in text.lines().enumerate() {
            match &mut asm {
                _ if line.trim().is_empty() => {}
                None => asm = Some(header(line, index + 1)?),
                Some(asm) => parser.line(asm, line, index + 1)?,
            }
        }
        let expected = ParseErrorKind::Expected("a program");
        let asm = asm.ok_or(ParseError {
            line: 1,
            column: 1,
            kind: expected,
        })?;
        asm.finish().map_err(|error| ParseError {
            line: error
                .insn()
                .and_then(|insn| parser.lines.get(insn))
                .copied()
                .unwrap_or(1),
            column: 1,
            kind: ParseErrorKind::Assemble(Box::new(error)),
        })
    }
}

fn header(line: &str, number: usize) -> Result<Assembler, ParseError> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["program", name] => Ok(Assembler::new(name)),
        _ => Err(ParseError {
            line: number,
            column: 1,
            kind: ParseErrorKind::Expected("\"program\" and a name"),
        }),
    }
}

#[derive(Default)]
struct Parser {
    labels: HashMap<String, Label>,
    /// The line of every slot.
    lines: Vec<usize>,
}

impl Parser {
    fn line(&mut self, asm: &mut Assembler, line: &str, number: usize) -> Result<(), ParseError> {
        let (code, comment) = line.split_once(';').unwrap_or((line, ""));
        let error = |column, kind| ParseError {
            line: number,
            column,
            kind,
        };
        let tokens =
            lex::tokens(code).map_err(|column| error(column, ParseErrorKind::NotAToken))?;
        let mut cursor = Cursor::new(&tokens);
        asm.comment(comment);
        if tokens.is_empty() {
            return Ok(());
        }
        self.statement(asm, &mut cursor)
            .and_then(|()| cursor.end())
            .map_err(|(at, kind)| {
                let end = code.trim_end().chars().count() + 1;
                error(tokens.get(at).map_or(end, |token| token.column), kind)
            })?;
        self.lines.resize(asm.len(), number);
        Ok(())
    }

    fn label(&mut self, asm: &mut Assembler, name: &str) -> Label {
        *self
            .labels
            .entry(name.to_owned())
            .or_insert_with(|| asm.label(name))
    }

    fn statement(&mut self, asm: &mut Assembler, c: &mut Cursor<'_>) -> Result<(), Mistake> {
        if c.is_symbol_after_word(":") {
            let name = c.word("a label")?;
            let label = self.label(asm, name);
            asm.bind(label);
            return c.symbol(":");
        }
        if c.peek() == Some(Kind::Symbol("*")) {
            return store(asm, c);
        }
        match c.word("an instruction")? {
            "exit" => asm.exit(),
            "call" => asm.call(c.helper()?),
            // The assembler chooses between the two by distance.
            "goto" | "gotol" => {
                let label = c.word("a label")?;
                let label = self.label(asm, label);
                asm.jump(label);
            }
            "if" => self.branch(asm, c)?,
            "may_goto" => {
                let label = c.word("a label")?;
                let label = self.label(asm, label);
                asm.may_goto(label);
            }
            "lock" => atomic(asm, c)?,
            _ => {
                c.at -= 1;
                assignment(asm, c)?;
            }
        }
        Ok(())
    }

    fn branch(&mut self, asm: &mut Assembler, c: &mut Cursor<'_>) -> Result<(), Mistake> {
        let (width, dst) = c.register()?;
        let cond = c.one_of("a comparison", Cond::ALL, |cond| Some(cond.symbol()))?;
        let src = c.operand(width)?;
        c.keyword("goto", "\"goto\"")?;
        let label = c.word("a label")?;
        let label = self.label(asm, label);
        asm.branch(cond, width, dst, src, label);
        Ok(())
    }
}

fn store(asm: &mut Assembler, c: &mut Cursor<'_>) -> Result<(), Mistake> {
    let (size, base, off) = c.place()?;
    c.symbol("=")?;
    let src = c.operand(Width::W64)?;
    asm.store(size, base, off, src);
    Ok(())
}

fn atomic(asm: &mut Assembler, c: &mut Cursor<'_>) -> Result<(), Mistake> {
    let (op, sign) = match c.peek() {
        Some(Kind::Word(_)) => (c.atomic()?, "="),
        _ => (AtomicOp::Add, "+="),
    };
    let (size, base, off) = c.place()?;
    c.symbol(sign)?;
    match c.operand(Width::W64)? {
        Operand::Reg(src) => asm.atomic(op, size, base, off, src),
        Operand::Imm(_) => return Err((c.at - 1, ParseErrorKind::Expected("a register"))),
    }
    Ok(())
}

fn assignment(asm: &mut Assembler, c: &mut Cursor<'_>) -> Result<(), Mistake> {
    let (width, dst) = c.register()?;
    let op = c.one_of("an assignment", AluOp::ALL, |op| op.symbol())?;
    if op != AluOp::Mov {
        let src = c.operand(width)?;
        asm.alu(op, width, dst, src);
        return Ok(());
    }
    let start = c.at;
    match (width, c.peek()) {
        (_, Some(Kind::Symbol("-"))) if c.is_word_next() => {
            c.at += 1;
            c.same(width, dst)?;
            asm.alu(AluOp::Neg, width, dst, 0);
        }
        (Width::W64, Some(Kind::Symbol("*"))) => {
            let (size, base, off) = c.place()?;
            asm.load(size, dst, base, off);
        }
        (Width::W64, Some(Kind::Symbol("&"))) => {
            c.at += 1;
            let map = c.map()?;
            c.symbol("+")?;
            let off = c.unsigned("an offset of 32 bits")?;
            asm.load_map_value(dst, map, off);
        }
        (Width::W64, Some(Kind::Word("map"))) => {
            let map = c.map()?;
            asm.load_map(dst, map);
        }
        (Width::W64, Some(Kind::Number(value))) if c.is_long_number() => {
            c.at += 2;
            asm.load_imm64(dst, value);
        }
        (Width::W64, Some(Kind::Word(word))) if byte_order(word).is_some() => {
            let (order, size) = byte_order(word).unwrap_or((ByteOrder::Le, Size::H));
            c.at = start + 1;
            c.same(width, dst)?;
            asm.swap(order, size, dst);
        }
        _ => {
            let src = c.operand(width)?;
            asm.alu(AluOp::Mov, width, dst, src);
        }
    }
    Ok(())
}

fn byte_order(word: &str) -> Option<(ByteOrder, Size)> {
    [ByteOrder::Le, ByteOrder::Be, ByteOrder::Swap]
        .into_iter()
        .find_map(|order| {
            let size = match word.strip_prefix(order.prefix())? {
                "16" => Size::H,
                "32" => Size::W,
                "64" => Size::Dw,
                _ => return None,
            };
            Some((order, size))
        })
}
