//! The operations of a transaction (RFC 7047 §5.2).
use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::column::{parse_columns, unknown};
use super::members::{Kind, Part};
use super::mutation::Mutation;
use super::outcome::{Context, Execution, Outcome};
use super::transaction::Transaction;
use super::{ColumnRef, Condition, Db, Members};
use crate::error::{ErrorKind, OpError};
use crate::row::Row;
use crate::schema::TableSchema;
use crate::value::Datum;

/// Why an operation ends its transaction.
pub(super) enum Stop {
    Failed(OpError),
    Blocked(Option<u64>),
}

impl From<OpError> for Stop {
    fn from(error: OpError) -> Self {
        Self::Failed(error)
    }
}

impl Db {
    /// Runs operations as one transaction: all of them take effect, or none.
    pub fn transact(&mut self, operations: &[Value], context: &mut Context<'_>) -> Execution {
        let mut run = Run {
            schema: Arc::clone(&self.schema),
            holds_lock: context.holds_lock,
            waited_ms: context.waited_ms,
            read_only: context.read_only,
            comments: Vec::new(),
            durable: false,
            txn: Transaction::new(self, context.new_uuid),
        };
        let mut results = Vec::with_capacity(operations.len());
        for (at, operation) in operations.iter().enumerate() {
            match run.operation(operation, Part::Operation(at + 1, operations.len())) {
                Ok(result) => results.push(result),
                Err(Stop::Blocked(timeout_ms)) => {
                    run.txn.undo();
                    return Execution::Blocked { timeout_ms };
                }
                Err(Stop::Failed(error)) => {
                    run.txn.undo();
                    results.push(error.to_json());
                    results.resize(operations.len(), Value::Null);
                    return Execution::Done(Outcome::failed(results));
                }
            }
        }
        let Run {
            comments,
            durable,
            txn,
            ..
        } = run;
        match txn.commit() {
            Ok(mut delta) => {
                delta.comment = (!comments.is_empty()).then(|| comments.join("\n"));
                Execution::Done(Outcome {
                    results,
                    delta,
                    durable,
                })
            }
            Err(error) => {
                results.push(error.to_json());
                Execution::Done(Outcome::failed(results))
            }
        }
    }
}

/// The state of a transaction between its operations.
pub(super) struct Run<'a> {
    schema: Arc<crate::schema::DatabaseSchema>,
    holds_lock: &'a dyn Fn(&str) -> bool,
    pub(super) waited_ms: u64,
    read_only: bool,
    comments: Vec<String>,
    durable: bool,
    txn: Transaction<'a>,
}

impl Run<'_> {
    /// Runs one operation. A fault in its form outweighs whatever else is wrong with it.
    fn operation(&mut self, json: &Value, part: Part<'_>) -> Result<Value, Stop> {
        let mut members = Members::new(json, part);
        let Some(name) = members.string("op", Kind::Id) else {
            return Err(members.failure().into());
        };
        let result = self.execute(name, &mut members);
        members.finish()?;
        let result = result?;
        if self.read_only && matches!(name, "insert" | "update" | "mutate" | "delete" | "commit") {
            let words = match &*self.schema.name {
                reserved if reserved.starts_with('_') => {
                    format!("{name} operation not allowed on table in reserved database {reserved}")
                }
                _ => format!(
                    "{name} operation not allowed when database server is in read only mode"
                ),
            };
            return Err(OpError::new(ErrorKind::NotAllowed, words).into());
        }
        Ok(result)
    }

    fn execute(&mut self, name: &str, members: &mut Members<'_>) -> Result<Value, Stop> {
        Ok(match name {
            "insert" => self.insert(members)?,
            "select" => self.select(members)?,
            "update" => self.update(members)?,
            "mutate" => self.mutate(members)?,
            "delete" => self.delete(members)?,
            "wait" => return self.wait(members),
            "commit" => self.commit(members),
            "abort" => return Err(OpError::new(ErrorKind::Aborted, "aborted by request").into()),
            "comment" => self.comment(members),
            "assert" => self.assert(members)?,
            _ => {
                members.raise(&format!("No operation \"{name}\""));
                Value::Null
            }
        })
    }

    pub(super) fn table(&self, members: &mut Members<'_>) -> Option<(usize, Arc<TableSchema>)> {
        let name = members.string("table", Kind::Id)?;
        let at = self.schema.position(name);
        let found = at.and_then(|at| Some((at, Arc::clone(self.schema.tables.get(at)?))));
        if found.is_none() {
            members.raise(&format!("No table named {name}."));
        }
        found
    }

    pub(super) fn condition(
        &mut self,
        json: &Value,
        table: &TableSchema,
    ) -> Result<Condition, OpError> {
        Condition::from_json(json, table, &mut self.txn.names)
    }

    /// Parses RFC 7047 §5.1 `<row>` into the columns that it sets.
    pub(super) fn row(
        &mut self,
        json: &Value,
        table: &TableSchema,
    ) -> Result<Vec<(ColumnRef, Datum)>, OpError> {
        let object = json
            .as_object()
            .ok_or_else(|| OpError::syntax("row must be JSON object").with_syntax(json))?;
        let mut columns = Vec::with_capacity(object.len());
        for (name, value) in object {
            let column = ColumnRef::find(name, table).ok_or_else(|| unknown(name, table, json))?;
            let datum = Datum::from_json(value, column.ty(table), &mut self.txn.names)?;
            columns.push((column, datum));
        }
        Ok(columns)
    }

    fn insert(&mut self, members: &mut Members<'_>) -> Result<Value, OpError> {
        let table = self.table(members);
        let wanted = members.optional("uuid", Kind::String);
        let name = members.optional("uuid-name", Kind::Id);
        let row = members.required("row", Kind::Object);
        members.check()?;
        let (Some((at, table)), Some(json)) = (table, row) else {
            return Err(members.failure());
        };
        let wanted = wanted.map(|json| self.wanted_uuid(json, at)).transpose()?;
        let uuid = self.name_row(name.and_then(Value::as_str), wanted)?;
        let columns = self.row(json, &table)?;
        let version = self.txn.names.fresh();
        let mut row = Row::new(&table, uuid, version);
        for (column, datum) in columns {
            if let ColumnRef::At(at) = column {
                row.set_at(at, datum);
            }
        }
        for (column, value) in table.columns.iter().zip(row.values()) {
            // A default may break a rule; what was given has been checked.
            if column.ty.min == 1 && value.is_default(&column.ty) {
                column.ty.check(value)?;
            }
        }
        self.txn.write((at, uuid), Some(Arc::new(row)));
        Ok(json!({"uuid": ["uuid", uuid.to_string()]}))
    }

    fn wanted_uuid(&self, json: &Value, table: usize) -> Result<Uuid, OpError> {
        let text = json.as_str().filter(|s| s.len() == 36);
        let uuid = text
            .and_then(|s| Uuid::try_parse(s).ok())
            .ok_or_else(|| OpError::syntax("bad uuid").with_syntax(json))?;
        let place = (table, uuid);
        if self.txn.had_before(place) || self.txn.db.row_at(place).is_some() {
            let words = "This UUID would duplicate a UUID already present within the table or \
                         deleted within the same transaction.";
            return Err(OpError::new(ErrorKind::DuplicateUuid, words).with_syntax(json));
        }
        Ok(uuid)
    }

    fn name_row(&mut self, name: Option<&str>, wanted: Option<Uuid>) -> Result<Uuid, OpError> {
        match (name, wanted) {
            (None, Some(uuid)) => Ok(uuid),
            (None, None) => Ok(self.txn.names.fresh()),
            (Some(name), wanted) => self.txn.names.declare(name, wanted).ok_or_else(|| {
                let words = "This \"uuid-name\" appeared on an earlier \"insert\" operation.";
                OpError::new(ErrorKind::DuplicateUuidName, words).with_syntax(&json!(name))
            }),
        }
    }

    fn select(&mut self, members: &mut Members<'_>) -> Result<Value, OpError> {
        let table = self.table(members);
        let condition = members.required("where", Kind::Array);
        let columns = members.optional("columns", Kind::Array);
        let sort = members.optional("sort", Kind::Array);
        members.check()?;
        let (Some((at, table)), Some(condition)) = (table, condition) else {
            return Err(members.failure());
        };
        let condition = self.condition(condition, &table)?;
        let columns = columns.map(|json| parse_columns(json, &table));
        let columns = columns
            .transpose()?
            .unwrap_or_else(|| ColumnRef::all(&table));
        let sort = sort.map(|json| parse_columns(json, &table));
        let sort = sort.transpose()?.unwrap_or_default();
        let rows = self.project(at, &condition, &columns);
        let mut rows: Vec<Vec<Datum>> = rows.into_iter().collect();
        let keys: Vec<usize> = sort
            .iter()
            .filter_map(|s| columns.iter().position(|c| c == s))
            .collect();
        rows.sort_by(|a, b| {
            let key = |row: &Vec<Datum>| keys.iter().map(|k| row[*k].clone()).collect::<Vec<_>>();
            key(a).cmp(&key(b))
        });
        let rows = rows.iter().map(|values| {
            let named = columns.iter().zip(values);
            let named = named.map(|(c, v)| (c.name(&table).to_owned(), v.to_json()));
            Value::Object(named.collect::<Map<_, _>>())
        });
        Ok(json!({"rows": rows.collect::<Vec<_>>()}))
    }

    /// The distinct values that some columns take in the rows that match.
    pub(super) fn project(
        &self,
        table: usize,
        condition: &Condition,
        columns: &[ColumnRef],
    ) -> BTreeSet<Vec<Datum>> {
        let uuids = self.txn.find(table, condition);
        let rows = uuids
            .into_iter()
            .filter_map(|uuid| self.txn.db.row_at((table, uuid)));
        rows.map(|row| columns.iter().map(|c| c.value(row).into_owned()).collect())
            .collect()
    }

    fn update(&mut self, members: &mut Members<'_>) -> Result<Value, OpError> {
        let table = self.table(members);
        let condition = members.required("where", Kind::Array);
        let row = members.required("row", Kind::Object);
        members.check()?;
        let (Some((at, table)), Some(condition), Some(json)) = (table, condition, row) else {
            return Err(members.failure());
        };
        let columns = self.row(json, &table)?;
        if let Some((column, _)) = columns.iter().find(|(c, _)| !c.is_mutable(&table)) {
            let (column, table) = (column.name(&table), &table.name);
            let words = format!("Cannot update immutable column {column} in table {table}.");
            return Err(OpError::constraint(words).with_syntax(members.json()));
        }
        let condition = self.condition(condition, &table)?;
        let uuids = self.txn.find(at, &condition);
        // One row is the rule, and needs no copy of the values.
        let copies = std::iter::repeat_n(columns, uuids.len());
        for (uuid, columns) in uuids.iter().zip(copies) {
            self.txn.modify::<OpError>((at, *uuid), |row| {
                for (column, datum) in columns {
                    if let ColumnRef::At(at) = column {
                        row.set_at(at, datum);
                    }
                }
                Ok(())
            })?;
        }
        Ok(json!({"count": uuids.len()}))
    }

    fn mutate(&mut self, members: &mut Members<'_>) -> Result<Value, OpError> {
        let table = self.table(members);
        let condition = members.required("where", Kind::Array);
        let mutations = members.array("mutations");
        members.check()?;
        let (Some((at, table)), Some(condition), Some(mutations)) = (table, condition, mutations)
        else {
            return Err(members.failure());
        };
        let mutations = mutations
            .iter()
            .map(|json| Mutation::from_json(json, &table, &mut self.txn.names))
            .collect::<Result<Vec<_>, _>>()?;
        let condition = self.condition(condition, &table)?;
        let uuids = self.txn.find(at, &condition);
        for uuid in &uuids {
            self.txn.modify((at, *uuid), |row| {
                mutations
                    .iter()
                    .try_for_each(|mutation| mutation.apply(row, &table))
            })?;
        }
        Ok(json!({"count": uuids.len()}))
    }

    fn delete(&mut self, members: &mut Members<'_>) -> Result<Value, OpError> {
        let condition = members.required("where", Kind::Array);
        let table = self.table(members);
        members.check()?;
        let (Some((at, table)), Some(condition)) = (table, condition) else {
            return Err(members.failure());
        };
        let condition = self.condition(condition, &table)?;
        let uuids = self.txn.find(at, &condition);
        for uuid in &uuids {
            self.txn.write((at, *uuid), None);
        }
        Ok(json!({"count": uuids.len()}))
    }

    fn commit(&mut self, members: &mut Members<'_>) -> Value {
        self.durable |= members.boolean("durable").unwrap_or(false);
        json!({})
    }

    fn comment(&mut self, members: &mut Members<'_>) -> Value {
        let comment = members.string("comment", Kind::String);
        self.comments.extend(comment.map(str::to_owned));
        json!({})
    }

    fn assert(&mut self, members: &mut Members<'_>) -> Result<Value, OpError> {
        match members.string("lock", Kind::Id) {
            Some(lock) if !(self.holds_lock)(lock) => {
                let words = format!("Asserted lock {lock} not held.");
                Err(OpError::new(ErrorKind::NotOwner, words))
            }
            _ => Ok(json!({})),
        }
    }
}
