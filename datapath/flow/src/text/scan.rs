//! Texts as lists of `key`, `key=value` and `key(value)`.

use super::error::{Problem, TextError};

/// A piece of a text that knows where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    /// Byte offset in the whole text.
    pub offset: usize,
    /// The piece.
    pub text: &'a str,
}

impl<'a> Token<'a> {
    /// The whole of a text.
    pub fn whole(text: &'a str) -> Token<'a> {
        Token { offset: 0, text }
    }

    /// A part of it.
    pub fn slice(self, start: usize, end: usize) -> Token<'a> {
        Token {
            offset: self.offset + start,
            text: &self.text[start..end],
        }
    }

    pub fn from(self, start: usize) -> Token<'a> {
        self.slice(start, self.text.len())
    }

    /// Without white space at its ends.
    pub fn trim(self) -> Token<'a> {
        let start = self.text.len() - self.text.trim_start().len();
        self.slice(start, start.max(self.text.trim_end().len()))
    }

    /// What stands before and after the first `separator`.
    pub fn split_once(self, separator: &str) -> Option<(Token<'a>, Token<'a>)> {
        let at = self.text.find(separator)?;
        Some((self.slice(0, at), self.from(at + separator.len())))
    }

    /// What stands between commas.
    pub fn split(self, separator: char) -> impl Iterator<Item = Token<'a>> {
        let mut at = 0;
        self.text.split(separator).map(move |part| {
            let start = at;
            at += part.len() + separator.len_utf8();
            self.slice(start, start + part.len())
        })
    }
}

/// One entry of a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item<'a> {
    /// What stands before `=`, `:` or `(`.
    pub key: Token<'a>,
    /// What stands after it, without parentheses; for `key(value)->tail` only what is inside.
    pub value: Option<Token<'a>>,
    /// What follows the closing parenthesis.
    pub tail: Option<Token<'a>>,
    /// Whether the value stood in parentheses.
    pub parenthesised: bool,
    /// Everything.
    pub all: Token<'a>,
}

impl<'a> Item<'a> {
    /// The value, which must be there.
    pub fn need(&self, expected: &'static str) -> Result<Token<'a>, TextError> {
        match self.value {
            Some(value) if !value.text.is_empty() => Ok(value),
            _ => Err(TextError::new(
                self.all,
                Problem::NoValue {
                    name: self.key.text.to_owned(),
                    expected,
                },
            )),
        }
    }

    /// Refuses a value.
    pub fn bare(&self) -> Result<(), TextError> {
        match self.value {
            Some(value) if !value.text.is_empty() => {
                Err(TextError::rule(value, "no value belongs here"))
            }
            _ => Ok(()),
        }
    }
}

/// The entries of a list, which commas or white space separate.
#[derive(Clone)]
pub(super) struct Items<'a> {
    rest: Token<'a>,
}

fn separates(c: char) -> bool {
    c == ',' || c.is_ascii_whitespace()
}

impl<'a> Items<'a> {
    pub fn new(list: Token<'a>) -> Items<'a> {
        Items { rest: list }
    }

    /// What hasn't been read yet.
    pub fn rest(&self) -> Token<'a> {
        self.rest
    }

    /// The next entry.
    pub fn next(&mut self) -> Result<Option<Item<'a>>, TextError> {
        let trimmed = self.rest.text.trim_start_matches(separates);
        let list = self.rest.from(self.rest.text.len() - trimmed.len());
        if list.text.is_empty() {
            self.rest = list;
            return Ok(None);
        }
        let key_end = list
            .text
            .find(|c| separates(c) || matches!(c, '=' | ':' | '('))
            .unwrap_or(list.text.len());
        let key = list.slice(0, key_end);
        let after = list.from(key_end);
        let mut item = Item {
            key,
            value: None,
            tail: None,
            parenthesised: false,
            all: key,
        };
        let end = match after.text.chars().next() {
            Some('=' | ':') => {
                let end = value_end(after.from(1))? + 1;
                item.value = Some(after.slice(1, end));
                end
            }
            Some('(') => {
                let close = closing(after)?;
                item.value = Some(after.slice(1, close));
                item.parenthesised = true;
                let tail = after.from(close + 1);
                let tail_end = value_end(tail)?;
                if tail_end > 0 {
                    item.tail = Some(tail.slice(0, tail_end));
                }
                close + 1 + tail_end
            }
            _ => 0,
        };
        item.all = list.slice(0, key_end + end);
        self.rest = list.from(key_end + end);
        if key.text.is_empty() {
            return Err(TextError::rule(item.all, "a name must stand before this"));
        }
        Ok(Some(item))
    }
}

/// Where a value ends: at a separator outside of parentheses and quotes.
fn value_end(text: Token<'_>) -> Result<usize, TextError> {
    let mut at = 0;
    while let Some(c) = text.text[at..].chars().next() {
        at += match c {
            '(' => closing(text.from(at))? + 1,
            '"' => quoted(text.from(at))?,
            ')' => {
                return Err(TextError::rule(
                    text.slice(at, at + 1),
                    "nothing is open here",
                ));
            }
            c if separates(c) => break,
            c => c.len_utf8(),
        };
    }
    Ok(at)
}

/// Length of a quoted piece, quotes included.
fn quoted(text: Token<'_>) -> Result<usize, TextError> {
    match text.text[1..].find('"') {
        Some(at) => Ok(at + 2),
        None => Err(TextError::new(text.slice(0, 1), Problem::Unclosed)),
    }
}

/// Where the parenthesis closes with which `text` starts.
fn closing(text: Token<'_>) -> Result<usize, TextError> {
    let mut depth = 0usize;
    for (at, c) in text.text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' if depth == 1 => return Ok(at),
            ')' => depth -= 1,
            _ => {}
        }
    }
    Err(TextError::new(text.slice(0, 1), Problem::Unclosed))
}
