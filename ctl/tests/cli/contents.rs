//! The rows of a database, and how to bring them back.

use std::collections::BTreeMap;

use aorta_ctl::session::Session;
use aorta_ovsdb::DatabaseSchema;
use serde_json::{Map, Value, json};

/// All rows: columns by row id, by table.
#[derive(Debug, Clone, PartialEq)]
pub struct Contents(BTreeMap<String, BTreeMap<String, Map<String, Value>>>);

impl Contents {
    /// Reads all of it.
    pub fn read(session: &mut Session) -> Contents {
        let schema = DatabaseSchema::vswitch();
        let names: Vec<String> = schema
            .tables
            .iter()
            .map(|table| table.name.to_string())
            .collect();
        let select = |table| json!({"op": "select", "table": table, "where": []});
        let results = session
            .transact(&names.iter().map(select).collect::<Vec<_>>())
            .unwrap();
        let rows = |result: &Value| {
            let rows = result["rows"].as_array().unwrap().iter();
            rows.map(|row| {
                let mut columns = row.as_object().unwrap().clone();
                columns.remove("_version");
                let id = columns.remove("_uuid").unwrap();
                (id[1].as_str().unwrap().to_owned(), columns)
            })
            .collect()
        };
        Contents(names.into_iter().zip(results.iter().map(rows)).collect())
    }

    /// Makes the database hold exactly this again.
    pub fn restore(&self, session: &mut Session) {
        // A row that is deleted can't be inserted again by the same transaction.
        let delete = |table| json!({"op": "delete", "table": table, "where": []});
        let deletes: Vec<Value> = self.0.keys().map(delete).collect();
        let mut inserts = Vec::new();
        for (table, rows) in &self.0 {
            let insert =
                |(id, row)| json!({"op": "insert", "table": table, "uuid": id, "row": row});
            inserts.extend(rows.iter().map(insert));
        }
        for operations in [deletes, inserts] {
            let results = session.transact(&operations).unwrap();
            let failed = results.iter().find(|result| result.get("error").is_some());
            assert_eq!(failed, None);
        }
    }

    /// Whether a row has this id.
    pub fn has(&self, id: &str) -> bool {
        self.0.values().any(|rows| rows.contains_key(id))
    }

    /// Rows as text without empty columns. Ids that `base` doesn't know stand as `NEW`.
    pub fn lines(&self, base: &Contents) -> Vec<String> {
        let mut lines = Vec::new();
        for (table, rows) in &self.0 {
            for (id, row) in rows {
                let id = if base.has(id) { id } else { "NEW" };
                let row = renamed(&Value::Object(row.clone()), base);
                lines.push(format!("{table} {id} {row}"));
            }
        }
        lines.sort();
        lines
    }
}

/// A value with unknown ids replaced, and the sets sorted that this mixes up.
fn renamed(value: &Value, base: &Contents) -> Value {
    match value {
        Value::Array(items) => match items.as_slice() {
            [tag, Value::String(id)] if tag == "uuid" && !base.has(id) => json!("NEW"),
            [tag, Value::Array(members)] if tag == "set" => {
                let mut members: Vec<Value> = members.iter().map(|m| renamed(m, base)).collect();
                members.sort_by_key(Value::to_string);
                json!(["set", members])
            }
            items => items.iter().map(|item| renamed(item, base)).collect(),
        },
        Value::Object(members) => {
            let empty = [json!(["set", []]), json!(["map", []])];
            let kept = members.iter().filter(|(_, member)| !empty.contains(member));
            let sorted: BTreeMap<&String, &Value> = kept.collect();
            sorted
                .into_iter()
                .map(|(name, member)| (name.clone(), renamed(member, base)))
                .collect()
        }
        other => other.clone(),
    }
}
