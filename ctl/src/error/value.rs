//! Faults of values and of the arguments that hold them.

use thiserror::Error;

/// A value, a column reference or a condition can't be read.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum ValueError {
    /// A quoted string has no end, or has a bad escape.
    #[error("{text}: {reason}")]
    Quoting {
        /// From the opening quote on.
        text: String,
        /// What is wrong.
        reason: String,
    },
    /// A token is not of the type.
    #[error("\"{text}\" is not a valid {expected}")]
    BadAtom {
        /// The token.
        text: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A range runs backwards or is too long.
    #[error("\"{text}\" is not a valid range: {reason}")]
    BadRange {
        /// The token.
        text: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// Something else than a value or its end.
    #[error("{text}: unexpected \"{found}\" where {expected}")]
    Unexpected {
        /// The whole value.
        text: String,
        /// The character.
        found: char,
        /// What may stand there.
        expected: &'static str,
    },
    /// The value stops too early.
    #[error("{text}: {expected} is missing at the end")]
    Incomplete {
        /// The whole value.
        text: String,
        /// What is missing.
        expected: &'static str,
    },
    /// A set or map may not be written as nothing.
    #[error("use \"{empty}\" to specify the empty {what}")]
    Empty {
        /// How to write it.
        empty: &'static str,
        /// `set` or `map`.
        what: &'static str,
    },
    /// An element or a key is there twice.
    #[error("{text}: {what} contains duplicate {of}")]
    Duplicate {
        /// The whole value.
        text: String,
        /// `set` or `map`.
        what: &'static str,
        /// `value` or `key`.
        of: &'static str,
    },
    /// Too few or too many elements for the column.
    #[error("{text}: {n} value(s) specified but the {limit} number is {bound}")]
    Count {
        /// The whole value.
        text: String,
        /// Elements given.
        n: usize,
        /// `minimum` or `maximum`.
        limit: &'static str,
        /// The limit.
        bound: u64,
    },
    /// The column's type doesn't allow this value.
    #[error("constraint violation: {reason}")]
    Constraint {
        /// Which value and which limit.
        reason: String,
    },
    /// There is no column name where one must be.
    #[error("{text}: missing column name")]
    NoColumn {
        /// The argument.
        text: String,
    },
    /// No operator follows the column, or no value the operator.
    #[error("{text}: argument does not end in {operators} followed by a value.")]
    NoOperator {
        /// The argument.
        text: String,
        /// What may stand there.
        operators: &'static str,
    },
    /// Something follows where the argument should end.
    #[error("{text}: trailing garbage \"{rest}\" in argument")]
    TrailingGarbage {
        /// The argument.
        text: String,
        /// What is too much.
        rest: String,
    },
}
