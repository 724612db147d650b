//! The `wait` operation (RFC 7047 §5.2.6).
use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::column::parse_columns;
use super::execute::{Run, Stop};
use super::{ColumnRef, Kind, Members};
use crate::error::{ErrorKind, OpError};
use crate::json::whole_number;
use crate::schema::TableSchema;
use crate::value::Datum;

impl Run<'_> {
    /// Succeeds if rows are as expected; otherwise the transaction waits until they are.
    pub(super) fn wait(&mut self, members: &mut Members<'_>) -> Result<Value, Stop> {
        let timeout = members.optional("timeout", Kind::Integer);
        let condition = members.required("where", Kind::Array);
        let columns = members.optional("columns", Kind::Array);
        let until = members.required("until", Kind::String);
        let rows = members.array("rows");
        let table = self.table(members);
        members.check()?;
        let (Some((at, table)), Some(condition), Some(until), Some(rows)) =
            (table, condition, until, rows)
        else {
            return Err(members.failure().into());
        };
        let condition = self.condition(condition, &table)?;
        let columns = columns.map(|json| parse_columns(json, &table));
        let columns = columns
            .transpose()?
            .unwrap_or_else(|| ColumnRef::all(&table));
        let timeout_ms = timeout.map(limit_ms).transpose()?;
        let is_equal = parse_until(until)?;
        let mut expected = BTreeSet::new();
        for json in rows {
            let given = self.row(json, &table)?;
            expected.insert(expected_row(&given, &columns, &table));
        }
        if (self.project(at, &condition, &columns) == expected) == is_equal {
            return Ok(json!({}));
        }
        if timeout_ms.is_none_or(|limit| self.waited_ms < limit) {
            return Err(Stop::Blocked(timeout_ms));
        }
        let words = match self.waited_ms {
            0 => "\"where\" clause test failed".to_owned(),
            ms => format!("\"wait\" timed out after {ms} ms"),
        };
        Err(OpError::new(ErrorKind::TimedOut, words).into())
    }
}

/// The `timeout` of a `wait`.
fn limit_ms(json: &Value) -> Result<u64, OpError> {
    let ms = json.as_number().and_then(whole_number);
    ms.and_then(|ms| u64::try_from(ms).ok())
        .ok_or_else(|| OpError::syntax("timeout must be nonnegative").with_syntax(json))
}

/// Whether a `wait` is for equal rows.
fn parse_until(json: &Value) -> Result<bool, OpError> {
    match json.as_str() {
        Some("==") => Ok(true),
        Some("!=") => Ok(false),
        _ => {
            let words = "\"until\" must be \"==\" or \"!=\"";
            Err(OpError::syntax(words).with_syntax(json))
        }
    }
}

/// A row of `wait`, with defaults for what it leaves out.
fn expected_row(
    given: &[(ColumnRef, Datum)],
    columns: &[ColumnRef],
    table: &TableSchema,
) -> Vec<Datum> {
    let value = |column: &ColumnRef| {
        let given = given
            .iter()
            .find(|(c, _)| c == column)
            .map(|(_, datum)| datum.clone());
        given.unwrap_or_else(|| Datum::default_for(column.ty(table)))
    };
    columns.iter().map(value).collect()
}
