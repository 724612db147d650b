//! What is wrong with a text, where, and what would be right.

use std::fmt;

use super::scan::Token;
use crate::field::{FieldId, ValueError};
use crate::{MatchError, SubfieldError};

/// A text that is no flow, group or meter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextError {
    /// Byte offset of what is wrong.
    pub offset: usize,
    /// Its length in bytes, at least 1.
    pub len: usize,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What can be wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A word that isn't known here.
    #[error("there is no {what} {name:?}{}", suggestion(nearest))]
    Unknown {
        /// What it should name.
        what: &'static str,
        /// What was read.
        name: String,
        /// What was probably meant.
        nearest: Option<String>,
    },
    /// Something is left out.
    #[error("{name} needs a value: {expected}")]
    NoValue {
        /// What needs it.
        name: String,
        /// What would be right.
        expected: &'static str,
    },
    /// Not of the form that is needed.
    #[error("{text:?} is not {expected}")]
    Form {
        /// What was read.
        text: String,
        /// What would be right.
        expected: String,
    },
    /// A value that its field can't have.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// Bits that a field hasn't.
    #[error(transparent)]
    Subfield(#[from] SubfieldError),
    /// A match that can't be.
    #[error(transparent)]
    Match(#[from] MatchError),
    /// An action on a field that can't be changed.
    #[error("{0} is read-only")]
    ReadOnly(FieldId),
    /// Two sides of an action have different widths.
    #[error("{from} bits don't fit into {to} bits: both sides must have the same width")]
    Widths {
        /// Bits of the source.
        from: u8,
        /// Bits of the destination.
        to: u8,
    },
    /// An opening parenthesis or quote without its end.
    #[error("this is never closed")]
    Unclosed,
    /// Something is missing, or stands where it may not.
    #[error("{0}")]
    Rule(&'static str),
}

fn suggestion(nearest: &Option<String>) -> String {
    match nearest {
        Some(name) => format!("; did you mean {name:?}?"),
        None => String::new(),
    }
}

impl TextError {
    pub(super) fn new(at: Token<'_>, problem: impl Into<Problem>) -> TextError {
        TextError {
            offset: at.offset,
            len: at.text.len().max(1),
            problem: problem.into(),
        }
    }

    pub(super) fn rule(at: Token<'_>, rule: &'static str) -> TextError {
        TextError::new(at, Problem::Rule(rule))
    }

    pub(super) fn form(at: Token<'_>, expected: impl Into<String>) -> TextError {
        let problem = Problem::Form {
            text: at.text.to_owned(),
            expected: expected.into(),
        };
        TextError::new(at, problem)
    }

    pub(super) fn unknown<'a>(
        at: Token<'_>,
        what: &'static str,
        candidates: impl Iterator<Item = &'a str>,
    ) -> TextError {
        let problem = Problem::Unknown {
            what,
            name: at.text.to_owned(),
            nearest: crate::field::nearest(at.text, candidates).map(str::to_owned),
        };
        TextError::new(at, problem)
    }

    /// The error with the text it is about: three lines, the second of which is the text around
    /// the place and the third points at it.
    pub fn render(&self, text: &str) -> String {
        const BEFORE: usize = 50;
        const AFTER: usize = 30;
        let start = floor(text, self.offset.saturating_sub(BEFORE));
        let place = floor(text, self.offset);
        let end = floor(text, self.offset + self.len + AFTER).max(place);
        let shown = text[start..end].replace(['\n', '\t'], " ");
        let (left, right) = (
            if start > 0 { "..." } else { "" },
            if end < text.len() { "..." } else { "" },
        );
        let indent = left.len() + text[start..place].chars().count();
        let marked = text[place..floor(text, self.offset + self.len)]
            .chars()
            .count();
        format!(
            "{self}\n  {left}{shown}{right}\n  {:indent$}{}",
            "",
            "^".repeat(marked.max(1))
        )
    }
}

/// The nearest place before `at` that is between characters.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: {}", self.offset + 1, self.problem)
    }
}

impl std::error::Error for TextError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.problem)
    }
}
