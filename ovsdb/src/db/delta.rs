//! What a transaction changed.
use std::sync::Arc;

use uuid::Uuid;

use crate::row::Row;
use crate::schema::DatabaseSchema;

/// One row before and after a transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Its table.
    pub table: Arc<str>,
    /// Its identity.
    pub uuid: Uuid,
    /// What it was; `None` if it was inserted.
    pub old: Option<Arc<Row>>,
    /// What it is; `None` if it was deleted.
    pub new: Option<Arc<Row>>,
    pub(crate) table_at: usize,
}

impl Change {
    /// Whether the value of a column is another than before; inserted and deleted rows count as
    /// changed in every column.
    pub fn changed(&self, column: &str) -> bool {
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => old.get(column) != new.get(column),
            _ => true,
        }
    }
}

/// Everything that a transaction changed, garbage collection included.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Delta {
    /// The rows, by table and then uuid.
    pub changes: Vec<Change>,
    /// The texts of the `comment` operations, one a line.
    pub comment: Option<String>,
    /// The database's new schema, if it was converted. Every row is told then, as it was and as
    /// it is; whatever was made for the old schema (a [`crate::Monitor`], positions of columns)
    /// must be made anew.
    pub converted: Option<Arc<DatabaseSchema>>,
}

impl Delta {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The changes of one table.
    pub fn of<'a>(&'a self, table: &'a str) -> impl Iterator<Item = &'a Change> {
        self.changes.iter().filter(move |c| &*c.table == table)
    }
}
