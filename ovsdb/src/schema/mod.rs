//! Schemas: which tables and columns a database has, and what their values may be
//! (RFC 7047 §3.2).
mod base;
mod column;
mod database;

pub use base::{BaseType, RefTable};
pub use column::{ColumnSchema, ColumnType};
pub use database::{DatabaseSchema, TableSchema};

use serde_json::{Map, Value};

/// A schema that can't be used, and where in it the fault is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("schema: {at}: {problem}")]
pub struct SchemaError {
    /// Table and column at fault.
    pub at: String,
    /// What is wrong there.
    pub problem: String,
}

impl SchemaError {
    fn new(problem: impl Into<String>) -> Self {
        Self {
            at: String::new(),
            problem: problem.into(),
        }
    }

    /// The same error, seen from one level further out.
    fn within(mut self, name: &str) -> Self {
        self.at = if self.at.is_empty() {
            name.into()
        } else {
            format!("{name}.{}", self.at)
        };
        self
    }
}

/// A boolean member that may be absent.
fn flag(json: &Value, name: &str, default: bool) -> Result<bool, SchemaError> {
    match json.get(name) {
        None => Ok(default),
        Some(Value::Bool(b)) => Ok(*b),
        Some(other) => Err(SchemaError::new(format!(
            "{name} is {other}, not a boolean"
        ))),
    }
}

/// Refuses an object with members that have no meaning.
fn known_members(object: &Map<String, Value>, known: &[&str]) -> Result<(), SchemaError> {
    let unknown = object.keys().find(|name| !known.contains(&name.as_str()));
    unknown.map_or(Ok(()), |name| {
        Err(SchemaError::new(format!("member {name} has no meaning")))
    })
}
