//! The operations of a transaction (RFC 7047 §5.2).
use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::column::{parse_columns, unknown};
use super::members::is_id;
use super::mutation::Mutation;
use super::outcome::{Context, Execution, Outcome};
use super::transaction::Transaction;
use super::{ColumnRef, Condition, Db, Members};
use crate::error::{ErrorKind, OpError};
use crate::row::Row;
use crate::schema::TableSchema;
use crate::value::Datum;

/// Why an operation ends its transaction.
enum Stop {
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
        for operation in operations {
            match run.operation(operation) {
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
struct Run<'a> {
    schema: Arc<crate::schema::DatabaseSchema>,
    holds_lock: &'a dyn Fn(&str) -> bool,
    waited_ms: u64,
    read_only: bool,
    comments: Vec<String>,
    durable: bool,
    txn: Transaction<'a>,
}

impl Run<'_> {
    fn operation(&mut self, json: &Value) -> Result<Value, Stop> {
        let mut members = Members::new(json, "operation")?;
        let name = members.string("op")?;
        if self.read_only && matches!(name, "insert" | "update" | "mutate" | "delete") {
            let words = format!("{name}: this database is read-only");
            return Err(OpError::new(ErrorKind::NotAllowed, words).into());
        }
        Ok(match name {
            "insert" => self.insert(members)?,
            "select" => self.select(members)?,
            "update" => self.update(members)?,
            "mutate" => self.mutate(members)?,
            "delete" => self.delete(members)?,
            "wait" => return self.wait(members),
            "commit" => self.commit(members)?,
            "abort" => {
                members.finish()?;
                return Err(OpError::new(ErrorKind::Aborted, "aborted by request").into());
            }
            "comment" => self.comment(members)?,
            "assert" => self.assert(members)?,
            _ => return Err(members.fault(&format!("{name} is not an operation")).into()),
        })
    }

    fn table(&self, members: &mut Members<'_>) -> Result<(usize, Arc<TableSchema>), OpError> {
        let name = members.string("table")?;
        let at = self.schema.position(name);
        let found = at.and_then(|at| Some((at, Arc::clone(self.schema.tables.get(at)?))));
        found.ok_or_else(|| members.fault(&format!("there is no table {name}")))
    }

    fn condition(&mut self, json: &Value, table: &TableSchema) -> Result<Condition, OpError> {
        Condition::from_json(json, table, &mut self.txn.names)
    }

    /// Parses RFC 7047 §5.1 `<row>` into the columns that it sets.
    fn row(
        &mut self,
        json: &Value,
        table: &TableSchema,
    ) -> Result<Vec<(ColumnRef, Datum)>, OpError> {
        let object = json
            .as_object()
            .ok_or_else(|| OpError::syntax("a row is an object").with_syntax(json))?;
        let mut columns = Vec::with_capacity(object.len());
        for (name, value) in object {
            let column = ColumnRef::find(name, table).ok_or_else(|| unknown(name, table, json))?;
            let datum = Datum::from_json(value, column.ty(table), &mut self.txn.names)?;
            columns.push((column, datum));
        }
        Ok(columns)
    }

    fn insert(&mut self, mut members: Members<'_>) -> Result<Value, OpError> {
        let (at, table) = self.table(&mut members)?;
        let json = members.required("row")?;
        let wanted = members.optional("uuid");
        let name = match members.optional("uuid-name") {
            None => None,
            Some(Value::String(s)) if is_id(s) => Some(s.as_str()),
            Some(_) => return Err(members.fault("uuid-name is not an id")),
        };
        members.finish()?;
        let wanted = wanted.map(|json| self.wanted_uuid(json, at)).transpose()?;
        let uuid = self.name_row(name, wanted)?;
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
            if column.ty.min == 1 && value.len() == 1 {
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
            .ok_or_else(|| OpError::syntax("not a uuid").with_syntax(json))?;
        let place = (table, uuid);
        if self.txn.has_touched(place) || self.txn.db.row_at(place).is_some() {
            let words = "the table has, or had before this transaction, a row with this uuid";
            return Err(OpError::new(ErrorKind::DuplicateUuid, words).with_syntax(json));
        }
        Ok(uuid)
    }

    fn name_row(&mut self, name: Option<&str>, wanted: Option<Uuid>) -> Result<Uuid, OpError> {
        match (name, wanted) {
            (None, Some(uuid)) => Ok(uuid),
            (None, None) => Ok(self.txn.names.fresh()),
            (Some(name), wanted) => self.txn.names.declare(name, wanted).ok_or_else(|| {
                let words = "an earlier insert of this transaction has this uuid-name";
                OpError::new(ErrorKind::DuplicateUuidName, words).with_syntax(&json!(name))
            }),
        }
    }

    fn select(&mut self, mut members: Members<'_>) -> Result<Value, OpError> {
        let (at, table) = self.table(&mut members)?;
        let condition = clauses(&mut members)?;
        let columns = members
            .optional("columns")
            .map(|json| parse_columns(json, &table));
        let sort = members
            .optional("sort")
            .map(|json| parse_columns(json, &table));
        members.finish()?;
        let condition = self.condition(condition, &table)?;
        let columns = columns
            .transpose()?
            .unwrap_or_else(|| ColumnRef::all(&table));
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
    fn project(
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

    fn update(&mut self, mut members: Members<'_>) -> Result<Value, OpError> {
        let (at, table) = self.table(&mut members)?;
        let condition = clauses(&mut members)?;
        let json = members.required("row")?;
        members.finish()?;
        let columns = self.row(json, &table)?;
        if let Some((column, _)) = columns.iter().find(|(c, _)| !c.is_mutable(&table)) {
            let words = format!(
                "column {} of {} never changes",
                column.name(&table),
                table.name
            );
            return Err(OpError::constraint(words).with_syntax(json));
        }
        let condition = self.condition(condition, &table)?;
        let uuids = self.txn.find(at, &condition);
        for uuid in &uuids {
            self.txn.modify::<OpError>((at, *uuid), |row| {
                for (column, datum) in &columns {
                    if let ColumnRef::At(at) = column {
                        row.set_at(*at, datum.clone());
                    }
                }
                Ok(())
            })?;
        }
        Ok(json!({"count": uuids.len()}))
    }

    fn mutate(&mut self, mut members: Members<'_>) -> Result<Value, OpError> {
        let (at, table) = self.table(&mut members)?;
        let condition = clauses(&mut members)?;
        let mutations = members.array("mutations")?;
        members.finish()?;
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

    fn delete(&mut self, mut members: Members<'_>) -> Result<Value, OpError> {
        let (at, table) = self.table(&mut members)?;
        let condition = clauses(&mut members)?;
        members.finish()?;
        let condition = self.condition(condition, &table)?;
        let uuids = self.txn.find(at, &condition);
        for uuid in &uuids {
            self.txn.write((at, *uuid), None);
        }
        Ok(json!({"count": uuids.len()}))
    }

    fn wait(&mut self, mut members: Members<'_>) -> Result<Value, Stop> {
        let (at, table) = self.table(&mut members)?;
        let timeout_ms = match members.optional("timeout") {
            None => None,
            Some(json) => Some(json.as_i64().ok_or_else(|| members.fault("timeout"))?),
        };
        let condition = clauses(&mut members)?;
        let columns = members
            .optional("columns")
            .map(|json| parse_columns(json, &table));
        let until = members.string("until")?;
        let rows = members.array("rows")?;
        members.finish()?;
        let condition = self.condition(condition, &table)?;
        let columns = columns
            .transpose()?
            .unwrap_or_else(|| ColumnRef::all(&table));
        let equal = match until {
            "==" => true,
            "!=" => false,
            _ => return Err(OpError::syntax("until is neither == nor !=").into()),
        };
        let mut expected = BTreeSet::new();
        for json in rows {
            let given = self.row(json, &table)?;
            expected.insert(expected_row(&given, &columns, &table));
        }
        if (self.project(at, &condition, &columns) == expected) == equal {
            return Ok(json!({}));
        }
        let timeout_ms = timeout_ms.map(|ms| u64::try_from(ms).unwrap_or(0));
        if timeout_ms.is_none_or(|limit| self.waited_ms < limit) {
            return Err(Stop::Blocked(timeout_ms));
        }
        Err(OpError::new(ErrorKind::TimedOut, "\"where\" clause test failed").into())
    }

    fn commit(&mut self, mut members: Members<'_>) -> Result<Value, OpError> {
        let durable = members.boolean("durable")?;
        members.finish()?;
        self.durable |= durable;
        Ok(json!({}))
    }

    fn comment(&mut self, mut members: Members<'_>) -> Result<Value, OpError> {
        let comment = members.string("comment")?;
        members.finish()?;
        self.comments.push(comment.to_owned());
        Ok(json!({}))
    }

    fn assert(&mut self, mut members: Members<'_>) -> Result<Value, OpError> {
        let lock = members.string("lock")?;
        members.finish()?;
        if (self.holds_lock)(lock) {
            return Ok(json!({}));
        }
        Err(OpError::new(
            ErrorKind::NotOwner,
            format!("lock {lock} is not held"),
        ))
    }
}

/// The clauses of `where`, not parsed yet.
fn clauses<'a>(members: &mut Members<'a>) -> Result<&'a Value, OpError> {
    let json = members.required("where")?;
    if json.is_array() {
        Ok(json)
    } else {
        Err(members.fault("where is not an array"))
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
