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
    let words = format!("table {} has no column {name}", table.name);
    OpError::new(ErrorKind::UnknownColumn, words).with_syntax(json)
}

/// Parses a list of distinct column names.
pub(crate) fn parse_columns(json: &Value, table: &TableSchema) -> Result<Vec<ColumnRef>, OpError> {
    let fault = || OpError::syntax("distinct names of columns are needed").with_syntax(json);
    let names = json.as_array().ok_or_else(fault)?;
    let mut columns = Vec::with_capacity(names.len());
    for name in names {
        let column = ColumnRef::find(name.as_str().ok_or_else(fault)?, table).ok_or_else(fault)?;
        if columns.contains(&column) {
            return Err(fault());
        }
        columns.push(column);
    }
    Ok(columns)
}
