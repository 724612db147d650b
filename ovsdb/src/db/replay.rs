//! Applying the records of a log.
use std::sync::Arc;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Change, Db};
use crate::error::OpError;
use crate::row::Row;
use crate::value::{Datum, NoSymbols};

/// A record that doesn't fit the database.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ReplayError {
    /// The record is not an object of tables of rows.
    #[error("{0} is not an object")]
    NotAnObject(String),
    /// A table, column or row name is unknown or malformed.
    #[error("there is no {what} {name}")]
    Unknown {
        /// `table`, `column` or `row`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A value is not of its column's type.
    #[error("column {column} of {table} row {uuid}")]
    Value {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// The row.
        uuid: Uuid,
        /// What is wrong with the value.
        source: OpError,
    },
    /// The rows as a whole break a rule of the schema.
    #[error("the contents break a rule of the schema")]
    Inconsistent(#[source] OpError),
}

impl Db {
    /// Applies one record of a log: `{table: {uuid: null | {column: value}}, "_…": …}`. With
    /// `_is_diff`, values of existing rows are differences. Rules that span rows are checked
    /// later, by [`Db::finish_replay`].
    ///
    /// # Errors
    /// If the record doesn't fit the schema; part of it may have been applied.
    pub fn replay(
        &mut self,
        record: &Value,
        new_uuid: &mut dyn FnMut() -> Uuid,
    ) -> Result<(), ReplayError> {
        let tables = object(record, "record")?;
        let is_diff = tables.get("_is_diff") == Some(&Value::Bool(true));
        for (name, rows) in tables.iter().filter(|(name, _)| !name.starts_with('_')) {
            let at = self
                .schema
                .position(name)
                .ok_or_else(|| missing("table", name))?;
            for (uuid, columns) in object(rows, name)? {
                let uuid = Uuid::try_parse(uuid).map_err(|_| missing("row", uuid))?;
                self.replay_row(at, uuid, columns, is_diff, new_uuid())?;
            }
        }
        Ok(())
    }

    fn replay_row(
        &mut self,
        at: usize,
        uuid: Uuid,
        columns: &Value,
        is_diff: bool,
        version: Uuid,
    ) -> Result<(), ReplayError> {
        let Some(table) = self.table_mut(at) else {
            return Ok(());
        };
        let schema = Arc::clone(&table.schema);
        if columns.is_null() {
            table.rows.remove(&uuid);
            return Ok(());
        }
        let existed = table.rows.contains_key(&uuid);
        let new = || Arc::new(Row::new(&schema, uuid, version));
        let row = Arc::make_mut(table.rows.entry(uuid).or_insert_with(new));
        for (name, value) in object(columns, &schema.name)? {
            let fault = |source| ReplayError::Value {
                table: schema.name.to_string(),
                column: name.clone(),
                uuid,
                source,
            };
            let at = schema
                .position(name)
                .ok_or_else(|| missing("column", name))?;
            let Some(column) = schema.columns.get(at) else {
                continue;
            };
            let ty = &column.ty;
            let value = if is_diff && existed {
                let diff = Datum::from_json(value, &ty.relaxed(), &mut NoSymbols).map_err(fault)?;
                let value = row.at(at).apply_diff(&diff, ty);
                ty.check(&value).map_err(fault)?;
                value
            } else {
                Datum::from_json(value, ty, &mut NoSymbols).map_err(fault)?
            };
            row.set_at(at, value);
        }
        Ok(())
    }

    /// Checks references and indexes of everything that was replayed and counts them. Rows that
    /// nothing leads to are dropped, as at the end of a transaction.
    ///
    /// # Errors
    /// If a rule of the schema is broken.
    pub fn finish_replay(&mut self, new_uuid: &mut dyn FnMut() -> Uuid) -> Result<(), ReplayError> {
        let mut fresh = Self::new(Arc::clone(&self.schema));
        let mut transaction = super::transaction::Transaction::new(&mut fresh, new_uuid);
        for (at, table) in self.tables.iter().enumerate() {
            for row in table.rows() {
                transaction.write((at, row.uuid()), Some(Arc::clone(row)));
            }
        }
        transaction.commit().map_err(ReplayError::Inconsistent)?;
        *self = fresh;
        Ok(())
    }

    /// Everything as one change from nothing: what a compacted log holds.
    pub fn as_delta(&self) -> super::Delta {
        let rows = self
            .tables
            .iter()
            .enumerate()
            .flat_map(|(table_at, table)| {
                table.rows().map(move |row| Change {
                    table: Arc::clone(&table.schema.name),
                    uuid: row.uuid(),
                    old: None,
                    new: Some(Arc::clone(row)),
                    table_at,
                })
            });
        super::Delta {
            changes: rows.collect(),
            comment: None,
            converted: None,
        }
    }
}

fn object<'a>(json: &'a Value, what: &str) -> Result<&'a Map<String, Value>, ReplayError> {
    json.as_object()
        .ok_or_else(|| ReplayError::NotAnObject(what.to_owned()))
}

fn missing(what: &'static str, name: &str) -> ReplayError {
    ReplayError::Unknown {
        what,
        name: name.to_owned(),
    }
}
