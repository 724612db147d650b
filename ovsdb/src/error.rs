//! The errors that the protocol itself speaks (RFC 7047 §3.1 `<error>`).
use serde_json::{Value, json};

use crate::json::sorted_text;

/// What kind of failure an operation or a request met; its text is what clients compare with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The JSON doesn't have the form that the protocol asks for.
    Syntax,
    /// No such database.
    UnknownDatabase,
    /// No such table in the schema.
    UnknownTable,
    /// No such column in the table.
    UnknownColumn,
    /// A condition's function has no meaning.
    UnknownFunction,
    /// A mutation's operator has no meaning.
    UnknownMutator,
    /// An element occurs twice where each may occur once.
    Duplicate,
    /// A value breaks a range, enumeration, length, uniqueness or mutability rule.
    Constraint,
    /// A strong reference would be left dangling.
    ReferentialIntegrity,
    /// A `wait` did not come true in time.
    TimedOut,
    /// A lock named by `assert` is not held by the client.
    NotOwner,
    /// The client asked for `abort`.
    Aborted,
    /// Division by zero.
    Domain,
    /// Arithmetic left the range of the type.
    Range,
    /// The `uuid` asked for is in use.
    DuplicateUuid,
    /// A `uuid-name` occurs twice in one transaction.
    DuplicateUuidName,
    /// A valid request that this server doesn't implement.
    NotSupported,
    /// A write to a read-only database.
    NotAllowed,
    /// The client asks for more at once than the server keeps for it.
    ResourcesExhausted,
    /// The log could not be written.
    Io,
}

impl ErrorKind {
    /// The `error` member as it goes over the wire (RFC 7047 §5.2).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "syntax error",
            Self::UnknownDatabase => "unknown database",
            Self::UnknownTable => "unknown table",
            Self::UnknownColumn => "unknown column",
            Self::UnknownFunction => "unknown function",
            Self::UnknownMutator => "unknown mutator",
            // The reference implementation has no better name for it, and clients know this one.
            Self::Duplicate => "ovsdb error",
            Self::Constraint => "constraint violation",
            Self::ReferentialIntegrity => "referential integrity violation",
            Self::TimedOut => "timed out",
            Self::NotOwner => "not owner",
            Self::Aborted => "aborted",
            Self::Domain => "domain error",
            Self::Range => "range error",
            Self::DuplicateUuid => "duplicate uuid",
            Self::DuplicateUuidName => "duplicate uuid-name",
            Self::NotSupported => "not supported",
            Self::NotAllowed => "not allowed",
            Self::ResourcesExhausted => "resources exhausted",
            Self::Io => "I/O error",
        }
    }
}

/// A failure as the protocol reports it: a kind, words for a person, and the JSON at fault.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{}: {details}", kind.as_str())]
pub struct OpError {
    /// What kind of failure.
    pub kind: ErrorKind,
    /// What exactly, for a person.
    pub details: String,
    /// The JSON text at fault, where it helps.
    pub syntax: Option<String>,
}

impl OpError {
    /// A failure of `kind` with its explanation.
    pub fn new(kind: ErrorKind, details: impl Into<String>) -> Self {
        Self {
            kind,
            details: details.into(),
            syntax: None,
        }
    }

    /// A syntax error.
    pub fn syntax(details: impl Into<String>) -> Self {
        Self::new(ErrorKind::Syntax, details)
    }

    /// A constraint violation.
    pub fn constraint(details: impl Into<String>) -> Self {
        Self::new(ErrorKind::Constraint, details)
    }

    /// The same failure, with the JSON that caused it.
    #[must_use]
    pub fn with_syntax(mut self, json: &Value) -> Self {
        self.syntax = Some(sorted_text(json));
        self
    }

    /// The `<error>` object.
    pub fn to_json(&self) -> Value {
        let (error, details) = (self.kind.as_str(), &self.details);
        match &self.syntax {
            Some(syntax) => json!({"syntax": syntax, "details": details, "error": error}),
            None => json!({"details": details, "error": error}),
        }
    }
}
