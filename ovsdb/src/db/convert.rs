//! A database under another schema.
use std::sync::Arc;

use uuid::Uuid;

use super::transaction::Transaction;
use super::{Change, Db, Delta};
use crate::error::OpError;
use crate::row::Row;
use crate::schema::{ColumnType, DatabaseSchema, TableSchema};
use crate::value::{Datum, NoSymbols};

/// Contents that another schema has no place for.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ConvertError {
    /// A value doesn't fit its column's new type.
    #[error("column {column} of {table} row {uuid} doesn't fit its new type")]
    Value {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// The row.
        uuid: Uuid,
        /// What doesn't fit.
        source: OpError,
    },
    /// The rows as a whole break a rule of the new schema.
    #[error("the contents break a rule of the new schema")]
    Inconsistent(#[source] OpError),
}

impl Db {
    /// The same contents under another schema. Tables and columns that it doesn't have are
    /// dropped; columns that are new are at their defaults, and so are those that were at the
    /// default of their old type. Any other value must fit its new type. Rows that nothing leads
    /// to any more are dropped.
    ///
    /// # Errors
    /// If a value doesn't fit, a reference leads nowhere, an index has duplicates, or there are
    /// more rows than a table may have.
    pub fn convert(
        &self,
        schema: &Arc<DatabaseSchema>,
        new_uuid: &mut dyn FnMut() -> Uuid,
    ) -> Result<Self, ConvertError> {
        let mut fresh = Self::new(Arc::clone(schema));
        let mut transaction = Transaction::new(&mut fresh, new_uuid);
        for (at, table) in schema.tables.iter().enumerate() {
            for row in self.rows(&table.name) {
                let row = convert_row(row, table)?;
                transaction.write((at, row.uuid()), Some(Arc::new(row)));
            }
        }
        transaction.commit().map_err(ConvertError::Inconsistent)?;
        Ok(fresh)
    }

    /// What a conversion from `old` changed: every row.
    pub(crate) fn delta_since_conversion(&self, old: &Self) -> Delta {
        let rows = old
            .tables
            .iter()
            .flat_map(|table| table.rows().map(|row| (&table.schema.name, row)));
        let changes = rows.map(|(name, row)| Change {
            table: Arc::clone(name),
            uuid: row.uuid(),
            old: Some(Arc::clone(row)),
            new: self.row(name, row.uuid()).cloned(),
            table_at: self.schema.position(name).unwrap_or(usize::MAX),
        });
        Delta {
            changes: changes.collect(),
            comment: None,
            converted: Some(Arc::clone(&self.schema)),
        }
    }
}

fn convert_row(old: &Row, table: &Arc<TableSchema>) -> Result<Row, ConvertError> {
    let mut new = Row::new(table, old.uuid(), old.version());
    for (at, column) in table.columns.iter().enumerate() {
        let Some(from) = old.schema().position(&column.name) else {
            continue;
        };
        let Some(old_type) = old.schema().columns.get(from).map(|c| &c.ty) else {
            continue;
        };
        let value = convert_value(old.at(from), old_type, &column.ty);
        let value = value.map_err(|source| ConvertError::Value {
            table: table.name.to_string(),
            column: column.name.to_string(),
            uuid: old.uuid(),
            source,
        })?;
        if let Some(value) = value {
            new.set_at(at, value);
        }
    }
    Ok(new)
}

/// A value of another type with the same JSON form; `None` if it is at its default.
fn convert_value(
    value: &Datum,
    from: &ColumnType,
    to: &ColumnType,
) -> Result<Option<Datum>, OpError> {
    if from == to {
        return Ok(Some(value.clone()));
    }
    if value.is_default(from) {
        return Ok(None);
    }
    Datum::from_json(&value.to_json(), to, &mut NoSymbols).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::testing;
    use serde_json::{Value, json};

    fn db_of(tables: Value) -> Db {
        let json = json!({"name": "d", "version": "1.0.0", "tables": tables});
        Db::new(Arc::new(DatabaseSchema::from_json(json).unwrap()))
    }

    fn table(ty: &Value) -> Value {
        json!({"t": {"isRoot": true, "columns": {"c": {"type": ty}}}})
    }

    fn insert(db: &mut Db, operations: &Value) {
        let outcome = testing::transact(db, operations);
        assert!(!outcome.delta.is_empty(), "{:?}", outcome.results);
    }

    fn converted(from: &Value, value: &Value, to: &Value) -> Result<Value, ConvertError> {
        let mut db = db_of(table(from));
        let row = json!([{"op": "insert", "table": "t", "row": {"c": value}}]);
        insert(&mut db, &row);
        let new = db.convert(db_of(table(to)).schema(), &mut Uuid::new_v4)?;
        new.audit().unwrap();
        let row = new.rows("t").next().unwrap();
        Ok(row.datum("c").to_json())
    }

    /// As `ovsdb-tool convert` does it.
    #[test]
    fn values_keep_their_json_form() {
        let set = json!({"key": "integer", "min": 0, "max": "unlimited"});
        let optional = json!({"key": "integer", "min": 0, "max": 1});
        let map = json!({"key": "integer", "value": "string", "min": 0, "max": "unlimited"});
        let five = json!({"key": {"type": "integer", "maxInteger": 5}});
        let (int, real, string) = (json!("integer"), json!("real"), json!("string"));
        for (from, value, to, wanted) in [
            (&int, json!(7), &real, Some(json!(7))),
            (&real, json!(2.0), &int, Some(json!(2))),
            (&real, json!(1.5), &int, None),
            (&int, json!(7), &string, None),
            (&string, json!("7"), &int, None),
            (&int, json!(7), &set, Some(json!(7))),
            (&int, json!(7), &five, None),
            (&int, json!(0), &string, Some(json!(""))),
            (&set, json!(["set", [1, 2]]), &optional, None),
            (&set, json!(3), &five, Some(json!(3))),
            (&set, json!(["set", []]), &map, Some(json!(["map", []]))),
            (&map, json!(["map", [[1, "b"]]]), &set, None),
        ] {
            let result = converted(from, &value, to);
            let text = format!("{value} of {from} to {to}: {result:?}");
            match wanted {
                Some(wanted) => assert_eq!(result.unwrap(), wanted, "{text}"),
                None => {
                    let error = result.expect_err(&text);
                    let words = error.to_string();
                    assert!(words.starts_with("column c of t row "), "{words}");
                }
            }
        }
    }

    #[test]
    fn what_the_schema_lacks_is_dropped_and_what_nothing_leads_to_as_well() {
        let reference = |to: &str| json!({"key": {"type": "uuid", "refTable": to}, "min": 0, "max": "unlimited"});
        let mut tables = json!({
            "a": {"isRoot": true, "columns": {"bs": {"type": reference("b")}, "n": {"type": "integer"}}},
            "b": {"columns": {"n": {"type": "integer"}}},
            "c": {"isRoot": true, "columns": {"n": {"type": "integer"}}}});
        let mut db = db_of(tables.clone());
        insert(
            &mut db,
            &json!([
                {"op": "insert", "table": "a", "row": {"n": 1, "bs": ["named-uuid", "b"]}},
                {"op": "insert", "table": "b", "uuid-name": "b", "row": {"n": 2}},
                {"op": "insert", "table": "c", "row": {"n": 3}}]),
        );
        tables["a"]["columns"].as_object_mut().unwrap().remove("bs");
        tables["a"]["columns"]["new"] = json!({"type": "string"});
        tables.as_object_mut().unwrap().remove("c");
        tables["d"] = json!({"isRoot": true, "columns": {"n": {"type": "integer"}}});
        let new = db
            .convert(db_of(tables).schema(), &mut Uuid::new_v4)
            .unwrap();
        new.audit().unwrap();
        let rows: Vec<Value> = new
            .tables()
            .flat_map(|t| t.rows())
            .map(|r| r.to_json())
            .collect();
        assert_eq!(rows, [json!({"n": 1})]);
    }

    #[test]
    fn indexes_and_row_counts_of_the_new_schema_hold() {
        let mut tables = table(&json!("integer"));
        let mut db = db_of(tables.clone());
        let row = json!({"op": "insert", "table": "t", "row": {"c": 1}});
        insert(&mut db, &json!([row, row]));
        tables["t"]["indexes"] = json!([["c"]]);
        let error = db.convert(db_of(tables.clone()).schema(), &mut Uuid::new_v4);
        assert!(
            matches!(error, Err(ConvertError::Inconsistent(_))),
            "{error:?}"
        );
        tables["t"]["indexes"] = json!([]);
        tables["t"]["maxRows"] = json!(1);
        let error = db.convert(db_of(tables).schema(), &mut Uuid::new_v4);
        assert!(
            matches!(error, Err(ConvertError::Inconsistent(_))),
            "{error:?}"
        );
    }
}
