//! Columns as requests name them, with the two that every table has.
use std::borrow::Cow;
use std::sync::LazyLock;

use serde_json::Value;

use crate::error::{ErrorKind, OpError};
use crate::row::Row;
use crate::schema::{ColumnType, TableSchema};
use crate::value::{AtomType, Datum};

/// A column of some table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ColumnRef {
    /// `_uuid`
    Uuid,
    /// `_version`
    Version,
    /// The column at a position of the table's schema.
    At(usize),
}

static UUID_TYPE: LazyLock<ColumnType> = LazyLock::new(|| ColumnType::scalar(AtomType::Uuid));

impl ColumnRef {
    /// Finds a column by name.
    pub fn find(name: &str, table: &TableSchema) -> Option<Self> {
        match name {
            "_uuid" => Some(Self::Uuid),
            "_version" => Some(Self::Version),
            _ => table.position(name).map(Self::At),
        }
    }

    /// Every column of a table.
    pub fn all(table: &TableSchema) -> Vec<Self> {
        let own = (0..table.columns.len()).map(Self::At);
        [Self::Uuid, Self::Version].into_iter().chain(own).collect()
    }

    /// The column's name.
    pub fn name(self, table: &TableSchema) -> &str {
        match self {
            Self::Uuid => "_uuid",
            Self::Version => "_version",
            Self::At(at) => table.columns.get(at).map_or("", |c| &c.name),
        }
    }

    /// The column's type.
    pub fn ty(self, table: &TableSchema) -> &ColumnType {
        match self {
            Self::Uuid | Self::Version => &UUID_TYPE,
            Self::At(at) => table.columns.get(at).map_or(&UUID_TYPE, |c| &c.ty),
        }
    }

    /// Whether the column may be written after its row was made.
    pub fn is_mutable(self, table: &TableSchema) -> bool {
        matches!(self, Self::At(at) if table.columns.get(at).is_some_and(|c| c.mutable))
    }

    /// The column's value.
    pub fn value(self, row: &Row) -> Cow<'_, Datum> {
        match self {
            Self::Uuid => Cow::Owned(Datum::scalar(row.uuid())),
            Self::Version => Cow::Owned(Datum::scalar(row.version())),
            Self::At(at) => Cow::Borrowed(row.at(at)),
        }
    }
}

pub(crate) fn unknown(name: &str, table: &TableSchema, json: &Value) -> OpError {
    let words = format!("No column {name} in table {}.", table.name);
    OpError::new(ErrorKind::UnknownColumn, words).with_syntax(json)
}

/// An operator that has no meaning for a column of this type.
pub(super) fn mismatch(operator: &str, name: &str, ty: &ColumnType, json: &Value) -> OpError {
    let ty = ty.describe();
    let words = format!(
        "Type mismatch: \"{operator}\" operator may not be applied to column {name} of type {ty}."
    );
    OpError::syntax(words).with_syntax(json)
}

/// Parses a list of distinct column names.
///
/// # Errors
/// For one that is unknown; with `words` for what is no such list.
fn column_list(json: &Value, table: &TableSchema, words: Words) -> Result<Vec<ColumnRef>, OpError> {
    let fault = |words: &str| OpError::syntax(words).with_syntax(json);
    let names = json.as_array().ok_or_else(|| fault(words.form))?;
    let mut columns = Vec::with_capacity(names.len());
    for name in names {
        let name = name.as_str().ok_or_else(|| fault(words.form))?;
        let unknown = || fault(&format!("{name} is not a valid column name"));
        let column = ColumnRef::find(name, table).ok_or_else(unknown)?;
        if columns.contains(&column) {
            let named = || format!("column {name} mentioned more than once");
            return Err(fault(&words.duplicate.map_or_else(named, str::to_owned)));
        }
        columns.push(column);
    }
    Ok(columns)
}

/// How faults of a list are told.
struct Words {
    form: &'static str,
    /// `None` to name the column.
    duplicate: Option<&'static str>,
}

/// Parses the columns of an operation.
pub(super) fn parse_columns(json: &Value, table: &TableSchema) -> Result<Vec<ColumnRef>, OpError> {
    let words = "array of distinct column names expected";
    let words = Words {
        form: words,
        duplicate: Some(words),
    };
    column_list(json, table, words)
}

/// Parses the columns of a monitor.
pub(crate) fn requested_columns(
    json: &Value,
    table: &TableSchema,
) -> Result<Vec<ColumnRef>, OpError> {
    let words = Words {
        form: "array of column names expected",
        duplicate: None,
    };
    column_list(json, table, words)
}
