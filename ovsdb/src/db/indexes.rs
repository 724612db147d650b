//! Indexes: columns in whose values no two rows of a table may agree (RFC 7047 §3.2).
use std::collections::HashMap;

use uuid::Uuid;

use super::commit::index_key;
use super::transaction::Transaction;
use super::{Change, Place};
use crate::error::OpError;
use crate::row::Row;
use crate::value::Datum;

impl Transaction<'_> {
    /// Refuses rows that agree with another in all columns of an index.
    pub(super) fn check_indexes(&self, changes: &[Change]) -> Result<(), OpError> {
        let mut claimed: HashMap<(usize, usize, Vec<Datum>), Uuid> = HashMap::new();
        for change in changes {
            let Some(row) = &change.new else { continue };
            let Some(table) = self.db.table_at(change.table_at) else {
                continue;
            };
            for (at, (columns, index)) in
                table.schema.indexes.iter().zip(&table.indexes).enumerate()
            {
                if !change.moves(columns) {
                    continue;
                }
                let key = index_key(columns, row);
                let committed = index.get(&key).copied();
                let kept = committed.filter(|uuid| {
                    let place = (change.table_at, *uuid);
                    let at = changes.binary_search_by_key(&place, Change::place);
                    !at.is_ok_and(|at| changes.get(at).is_some_and(|c| c.moves(columns)))
                });
                let other = claimed
                    .insert((change.table_at, at, key), change.uuid)
                    .or(kept);
                if let Some(other) = other {
                    return Err(self.duplicate(change, row, columns, other));
                }
            }
        }
        Ok(())
    }

    fn duplicate(&self, change: &Change, row: &Row, columns: &[usize], other: Uuid) -> OpError {
        let table = &change.table;
        let values = index_words(columns, row);
        let schema = row.schema();
        let names = columns.iter().filter_map(|at| schema.columns.get(*at));
        let names: Vec<String> = names.map(|column| format!("\"{}\"", column.name)).collect();
        let plural = if names.len() == 1 {
            "column"
        } else {
            "columns"
        };
        let names = enumerate(&names);
        let story = |uuid: Uuid| self.story((change.table_at, uuid), columns, &values);
        let (first, second) = (story(other), story(change.uuid));
        let (uuid_1, uuid_2) = (other, change.uuid);
        OpError::constraint(format!(
            "Transaction causes multiple rows in \"{table}\" table to have identical values \
             ({values}) for index on {plural} {names}.  First row, with UUID {uuid_1}, {first}.  \
             Second row, with UUID {uuid_2}, {second}."
        ))
    }

    /// How a row came to the values of an index.
    fn story(&self, place: Place, columns: &[usize], values: &str) -> String {
        let now = self.db.row_at(place);
        match self.before(place) {
            Some(None) => "was inserted by this transaction".to_owned(),
            Some(Some(old)) if index_words(columns, old) != values => {
                let old = index_words(columns, old);
                format!("had the following index values before the transaction: {old}")
            }
            Some(Some(old)) if now.is_some_and(|now| now.values() != old.values()) => {
                "existed in the database before this transaction, which modified some of the \
                 row's columns but not any columns in this index"
                    .to_owned()
            }
            _ => "existed in the database before this transaction and was not modified by the \
                  transaction"
                .to_owned(),
        }
    }
}

/// The values of some columns in words.
fn index_words(columns: &[usize], row: &Row) -> String {
    let columns = columns
        .iter()
        .filter_map(|at| Some((at, row.schema().columns.get(*at)?)));
    let values: Vec<String> = columns.map(|(at, c)| row.at(*at).to_words(&c.ty)).collect();
    enumerate(&values)
}

/// `a`, `a and b`, `a, b, and c`.
fn enumerate(words: &[String]) -> String {
    match words {
        [one] => one.clone(),
        [first, second] => format!("{first} and {second}"),
        [others @ .., last] => format!("{}, and {last}", others.join(", ")),
        [] => String::new(),
    }
}
