//! Builders for the operations of a transaction (RFC 7047 §5.2).
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::value::Datum;

/// A row to write: columns and their values.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Columns(Map<String, Value>);

impl Columns {
    /// No column.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a column with a value.
    #[must_use]
    pub fn set(mut self, column: &str, value: impl Into<Datum>) -> Self {
        self.0.insert(column.to_owned(), value.into().to_json());
        self
    }

    /// Adds a column with a value in its JSON form, for references to rows of the same
    /// transaction.
    #[must_use]
    pub fn set_json(mut self, column: &str, value: Value) -> Self {
        self.0.insert(column.to_owned(), value);
        self
    }

    /// Whether there is no column.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<A: Into<crate::value::Atom>> From<A> for Datum {
    fn from(atom: A) -> Self {
        Self::scalar(atom)
    }
}

/// The condition that names one row.
pub fn is_row(uuid: Uuid) -> Value {
    json!([["_uuid", "==", ["uuid", uuid.to_string()]]])
}

/// A reference to the row inserted under a `uuid-name`.
pub fn named(name: &str) -> Value {
    json!(["named-uuid", name])
}

/// Inserts a row, under a `uuid-name` if other operations refer to it.
pub fn insert(table: &str, name: Option<&str>, row: Columns) -> Value {
    let mut op = json!({"op": "insert", "table": table, "row": row.0});
    if let Some(name) = name {
        op["uuid-name"] = json!(name);
    }
    op
}

/// Sets columns of one row.
pub fn update(table: &str, uuid: Uuid, row: Columns) -> Value {
    json!({"op": "update", "table": table, "where": is_row(uuid), "row": row.0})
}

/// Mutates columns of one row: `(column, mutator, value)` each.
pub fn mutate(table: &str, uuid: Uuid, mutations: &[(&str, &str, Value)]) -> Value {
    let mutations: Vec<Value> = mutations.iter().map(|(c, m, v)| json!([c, m, v])).collect();
    json!({"op": "mutate", "table": table, "where": is_row(uuid), "mutations": mutations})
}

/// Deletes one row.
pub fn delete(table: &str, uuid: Uuid) -> Value {
    json!({"op": "delete", "table": table, "where": is_row(uuid)})
}

/// Reads columns of the rows that a condition selects.
pub fn select(table: &str, condition: Value, columns: &[&str]) -> Value {
    json!({"op": "select", "table": table, "where": condition, "columns": columns})
}

/// Fails the transaction unless one row has these values now.
pub fn wait_unchanged(table: &str, uuid: Uuid, expected: Columns) -> Value {
    let columns: Vec<String> = expected.0.keys().cloned().collect();
    json!({
        "op": "wait", "table": table, "timeout": 0, "where": is_row(uuid),
        "columns": columns, "until": "==", "rows": [expected.0],
    })
}

/// Says in the log what the transaction is for.
pub fn comment(text: &str) -> Value {
    json!({"op": "comment", "comment": text})
}

/// Holds the reply until the transaction is on stable storage.
pub fn durable() -> Value {
    json!({"op": "commit", "durable": true})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_have_the_forms_of_the_rfc() {
        let uuid = Uuid::from_u128(7);
        let row = Columns::new()
            .set("ofport", 3i64)
            .set("status", Datum::map([("a", "b")]));
        assert_eq!(
            update("Interface", uuid, row),
            json!({
                "op": "update", "table": "Interface",
                "where": [["_uuid", "==", ["uuid", "00000000-0000-0000-0000-000000000007"]]],
                "row": {"ofport": 3, "status": ["map", [["a", "b"]]]},
            })
        );
        let row = Columns::new().set_json("interfaces", named("i"));
        let op = insert("Port", Some("p"), row);
        assert_eq!(op["row"], json!({"interfaces": ["named-uuid", "i"]}));
        assert_eq!(op["uuid-name"], "p");
    }
}
