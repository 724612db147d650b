//! Takes the parts of an instruction from the tokens of its line.

use crate::helper::Helper;
use crate::lex::{Kind, Token};
use crate::op::AtomicOp;
use crate::parse::ParseErrorKind;
use crate::program::MapId;
use crate::reg::{Operand, Reg, Size, Width};

/// A mistake and the index of the token that shows it.
pub(crate) type Mistake = (usize, ParseErrorKind);

/// Reads the tokens of one line from left to right.
pub(crate) struct Cursor<'a> {
    tokens: &'a [Token<'a>],
    pub(crate) at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(tokens: &'a [Token<'a>]) -> Cursor<'a> {
        Cursor { tokens, at: 0 }
    }

    pub(crate) fn peek(&self) -> Option<Kind<'a>> {
        self.ahead(0)
    }

    fn ahead(&self, by: usize) -> Option<Kind<'a>> {
        self.tokens.get(self.at + by).map(|token| token.kind)
    }

    pub(crate) fn is_symbol_after_word(&self, symbol: &str) -> bool {
        matches!((self.peek(), self.ahead(1)),
            (Some(Kind::Word(_)), Some(Kind::Symbol(found))) if found == symbol)
    }

    pub(crate) fn is_word_next(&self) -> bool {
        matches!(self.ahead(1), Some(Kind::Word(_)))
    }

    pub(crate) fn is_long_number(&self) -> bool {
        self.ahead(1) == Some(Kind::Word("ll"))
    }

    /// Takes the next token if `take` makes something of it.
    fn take<T>(
        &mut self,
        expected: &'static str,
        take: impl FnOnce(Kind<'a>) -> Option<T>,
    ) -> Result<T, Mistake> {
        let taken = self.peek().and_then(take);
        let taken = taken.ok_or((self.at, ParseErrorKind::Expected(expected)))?;
        self.at += 1;
        Ok(taken)
    }

    pub(crate) fn end(&self) -> Result<(), Mistake> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err((self.at, ParseErrorKind::Expected("the end of the line"))),
        }
    }

    pub(crate) fn word(&mut self, expected: &'static str) -> Result<&'a str, Mistake> {
        self.take(expected, |kind| match kind {
            Kind::Word(word) => Some(word),
            _ => None,
        })
    }

    pub(crate) fn keyword(&mut self, word: &str, expected: &'static str) -> Result<(), Mistake> {
        self.take(expected, |kind| (kind == Kind::Word(word)).then_some(()))
    }

    pub(crate) fn symbol(&mut self, symbol: &'static str) -> Result<(), Mistake> {
        self.take(symbol, |kind| (kind == Kind::Symbol(symbol)).then_some(()))
    }

    pub(crate) fn one_of<T: Copy>(
        &mut self,
        expected: &'static str,
        all: &[T],
        symbol: impl Fn(T) -> Option<&'static str>,
    ) -> Result<T, Mistake> {
        self.take(expected, |kind| match kind {
            Kind::Symbol(found) => all.iter().copied().find(|&one| symbol(one) == Some(found)),
            _ => None,
        })
    }

    pub(crate) fn register(&mut self) -> Result<(Width, Reg), Mistake> {
        self.take("a register", |kind| match kind {
            Kind::Word(word) => register(word),
            _ => None,
        })
    }

    /// The same register again, as in `r1 = -r1`.
    pub(crate) fn same(&mut self, width: Width, reg: Reg) -> Result<(), Mistake> {
        self.take("the register that is assigned", |kind| match kind {
            Kind::Word(word) => register(word)
                .filter(|&found| found == (width, reg))
                .map(|_| ()),
            _ => None,
        })
    }

    pub(crate) fn operand(&mut self, width: Width) -> Result<Operand, Mistake> {
        if let Some(Kind::Word(_)) = self.peek() {
            let expected = "a register of the same width";
            return self.take(expected, |kind| match kind {
                Kind::Word(word) => register(word)
                    .filter(|found| found.0 == width)
                    .map(|found| found.1.into()),
                _ => None,
            });
        }
        self.signed("a register or a number of 32 bits")
            .map(Operand::Imm)
    }

    pub(crate) fn signed<T: TryFrom<i128>>(
        &mut self,
        expected: &'static str,
    ) -> Result<T, Mistake> {
        let negative = self.peek() == Some(Kind::Symbol("-"));
        if negative {
            self.at += 1;
        }
        self.take(expected, |kind| match kind {
            Kind::Number(value) if negative => T::try_from(-i128::from(value)).ok(),
            Kind::Number(value) => T::try_from(i128::from(value)).ok(),
            _ => None,
        })
    }

    pub(crate) fn unsigned<T: TryFrom<u64>>(
        &mut self,
        expected: &'static str,
    ) -> Result<T, Mistake> {
        self.take(expected, |kind| match kind {
            Kind::Number(value) => T::try_from(value).ok(),
            _ => None,
        })
    }

    pub(crate) fn atomic(&mut self) -> Result<AtomicOp, Mistake> {
        self.take("fetch_add, exchange or compare_exchange", |kind| {
            let mut all = AtomicOp::ALL.iter().copied();
            all.find(|op| op.word().is_some_and(|word| kind == Kind::Word(word)))
        })
    }

    pub(crate) fn helper(&mut self) -> Result<Helper, Mistake> {
        let name = self.word("a helper")?;
        let unknown = || (self.at - 1, ParseErrorKind::UnknownHelper(name.to_owned()));
        Helper::from_name(name).ok_or_else(unknown)
    }

    pub(crate) fn map(&mut self) -> Result<MapId, Mistake> {
        self.keyword("map", "\"map\"")?;
        self.symbol("[")?;
        let id = self.unsigned("a map number")?;
        self.symbol("]")?;
        Ok(MapId(id))
    }

    /// `*(u32 *)(r1 + 4)`.
    pub(crate) fn place(&mut self) -> Result<(Size, Reg, i16), Mistake> {
        self.symbol("*")?;
        self.symbol("(")?;
        let size = self.take("u8, u16, u32 or u64", |kind| match kind {
            Kind::Word(word) => Size::ALL.into_iter().find(|size| size.to_string() == word),
            _ => None,
        })?;
        for symbol in ["*", ")", "("] {
            self.symbol(symbol)?;
        }
        let base = self.take("a register", |kind| match kind {
            Kind::Word(word) => register(word).filter(|found| found.0 == Width::W64),
            _ => None,
        })?;
        if self.peek() == Some(Kind::Symbol("+")) {
            self.at += 1;
        }
        let off = self.signed("an offset of 16 bits")?;
        self.symbol(")")?;
        Ok((size, base.1, off))
    }
}

fn register(word: &str) -> Option<(Width, Reg)> {
    let width = match word.get(..1)? {
        "r" => Width::W64,
        "w" => Width::W32,
        _ => return None,
    };
    let number = Reg::ALL
        .into_iter()
        .find(|reg| reg.number().to_string() == word[1..])?;
    Some((width, number))
}
