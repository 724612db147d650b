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
    /// A string can't be written as nothing.
    #[error("An empty string is not valid as input; use \"\" to represent the empty string")]
    EmptyString,
    /// A range runs backwards.
    #[error("\"{text}\" is not a valid range. Range end cannot be before start.")]
    BackwardRange {
        /// The token.
        text: String,
    },
    /// A delimiter where a value should be, or after one.
    #[error("{text}: unexpected \"{found}\" parsing {ty}")]
    Unexpected {
        /// The whole value.
        text: String,
        /// The character.
        found: char,
        /// What is being read.
        ty: String,
    },
    /// A key without a value.
    #[error("{text}: syntax error at {} expecting \"=\"", match found {
        Some(found) => format!("\"{found}\""),
        None => "the end".to_owned(),
    })]
    NoPair {
        /// The value from the key on.
        text: String,
        /// What stands there instead of `=`.
        found: Option<char>,
    },
    /// A bracket or brace isn't closed.
    #[error("{text}: missing \"{close}\" at end of data")]
    Unclosed {
        /// The whole value.
        text: String,
        /// What is missing.
        close: char,
    },
    /// Something follows the closing bracket or brace.
    #[error("{text}: trailing garbage after \"{close}\"")]
    AfterClose {
        /// The whole value.
        text: String,
        /// After this.
        close: char,
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
