//! A finished transaction as RFC 7047 §5.2 operations.

use std::collections::BTreeSet;

use aorta_ovsdb::{Atom, ColumnSchema, Datum, Uuid};
use serde_json::{Map, Value, json};

use crate::txn::{Change, Edit, Fate, RowKey, Txn};

/// The name of a new row within the transaction.
fn row_name(row: Uuid) -> String {
    format!("row{}", row.simple())
}

fn uuid_json(row: Uuid) -> Value {
    json!(["uuid", row.to_string()])
}

/// Operations, and where the results of the inserts among them are.
#[derive(Debug, Default, PartialEq)]
pub struct Operations {
    /// The operations.
    pub list: Vec<Value>,
    /// Position in `list` of the insert of each new row, by its temporary id.
    pub inserts: Vec<(usize, Uuid)>,
    /// Whether any of them changes the database.
    pub writes: bool,
}

/// What the transaction has to do. Checks of what it relied on come first.
pub fn build(txn: &Txn<'_>) -> Operations {
    let new: BTreeSet<Uuid> = txn
        .edits()
        .filter(|(_, edit)| edit.fate == Fate::Inserted && !edit.exact)
        .map(|(key, _)| key.1)
        .collect();
    let builder = Builder { txn, new };
    let mut operations = Operations::default();
    let waits = txn
        .edits()
        .filter_map(|(key, edit)| builder.wait(key, edit));
    operations.list.extend(waits);
    for (key, edit) in txn.edits() {
        builder.change(key, edit, &mut operations);
    }
    operations
}

struct Builder<'a> {
    txn: &'a Txn<'a>,
    new: BTreeSet<Uuid>,
}

impl Builder<'_> {
    fn table_name(&self, table: usize) -> &str {
        self.txn
            .view()
            .table_schema(table)
            .map_or("", |schema| &schema.name)
    }

    fn column(&self, table: usize, column: usize) -> Option<&ColumnSchema> {
        self.txn.view().table_schema(table)?.columns.get(column)
    }

    fn wait(&self, (table, row): RowKey, edit: &Edit) -> Option<Value> {
        if edit.relied.is_empty() {
            return None;
        }
        let mut expected = Map::new();
        for &column in &edit.relied {
            let name = self.column(table, column)?.name.to_string();
            expected.insert(name, self.txn.view().get(table, row, column)?.to_json());
        }
        let columns: Vec<&String> = expected.keys().collect();
        Some(json!({
            "op": "wait",
            "table": self.table_name(table),
            "timeout": 0,
            "where": [["_uuid", "==", uuid_json(row)]],
            "columns": columns,
            "until": "==",
            "rows": [expected],
        }))
    }

    fn change(&self, key: RowKey, edit: &Edit, operations: &mut Operations) {
        let table = self.table_name(key.0);
        let this = json!([["_uuid", "==", uuid_json(key.1)]]);
        match edit.fate {
            Fate::Inserted => {
                let row: Map<String, Value> = edit
                    .columns
                    .iter()
                    .filter(|(column, change)| !self.is_default(key.0, **column, &change.value))
                    .filter_map(|(column, change)| {
                        let name = self.column(key.0, *column)?.name.to_string();
                        Some((name, self.datum_json(&change.value)))
                    })
                    .collect();
                operations.inserts.push((operations.list.len(), key.1));
                let mut insert = json!({"op": "insert", "table": table, "row": row});
                if edit.exact {
                    insert["uuid"] = key.1.to_string().into();
                } else {
                    insert["uuid-name"] = row_name(key.1).into();
                }
                operations.list.push(insert);
                operations.writes = true;
            }
            Fate::Deleted if self.txn.view().has(key.0, key.1) => {
                operations
                    .list
                    .push(json!({"op": "delete", "table": table, "where": this}));
                operations.writes = true;
            }
            Fate::Deleted | Fate::Forgotten => {}
            Fate::Kept => {
                let (row, mutations) = self.updates(key, edit);
                if !row.is_empty() {
                    let update = json!({"op": "update", "table": table, "where": this, "row": row});
                    operations.list.push(update);
                    operations.writes = true;
                }
                if !mutations.is_empty() {
                    let mutate = json!({"op": "mutate", "table": table, "where": this, "mutations": mutations});
                    operations.list.push(mutate);
                    operations.writes = true;
                }
            }
        }
    }

    /// What changes in a row: columns to replace, and elements to add and take away.
    fn updates(&self, key: RowKey, edit: &Edit) -> (Map<String, Value>, Vec<Value>) {
        let mut row = Map::new();
        let mut mutations = Vec::new();
        for (&position, change) in &edit.columns {
            let (Some(column), Some(old)) = (
                self.column(key.0, position),
                self.txn.view().get(key.0, key.1, position),
            ) else {
                continue;
            };
            if change.value == *old {
                continue;
            }
            if change.whole || column.ty.max == 1 {
                row.insert(column.name.to_string(), self.datum_json(&change.value));
            } else {
                mutations.extend(self.mutations(&column.name, old, change));
            }
        }
        (row, mutations)
    }

    /// Elements are added before others are taken away, so that a set that may not be empty
    /// isn't in between. A key of a map must be taken away before it gets another value.
    fn mutations(&self, column: &str, old: &Datum, change: &Change) -> Vec<Value> {
        let mut mutations = Vec::new();
        match (old, &change.value) {
            (Datum::Set(old), Datum::Set(new)) => {
                let added: Vec<&Atom> = new.iter().filter(|atom| !old.contains(atom)).collect();
                let gone: Vec<&Atom> = old.iter().filter(|atom| !new.contains(atom)).collect();
                if !added.is_empty() {
                    mutations.push(json!([column, "insert", self.set_json(added)]));
                }
                if !gone.is_empty() {
                    mutations.push(json!([column, "delete", self.set_json(gone)]));
                }
            }
            (Datum::Map(old), Datum::Map(new)) => {
                let gone: Vec<&Atom> = old
                    .iter()
                    .filter(|(key, value)| new.get(key) != Some(value))
                    .map(|(key, _)| key)
                    .collect();
                let pairs = new
                    .iter()
                    .filter(|(key, value)| old.get(key) != Some(value));
                let added: Vec<Value> = pairs
                    .map(|(key, value)| json!([self.atom_json(key), self.atom_json(value)]))
                    .collect();
                if !gone.is_empty() {
                    mutations.push(json!([column, "delete", self.set_json(gone)]));
                }
                if !added.is_empty() {
                    mutations.push(json!([column, "insert", ["map", added]]));
                }
            }
            _ => {}
        }
        mutations
    }

    fn is_default(&self, table: usize, column: usize, value: &Datum) -> bool {
        self.txn.view().default_of(table, column) == Some(value)
    }

    fn atom_json(&self, atom: &Atom) -> Value {
        match atom {
            Atom::Uuid(row) if self.new.contains(row) => json!(["named-uuid", row_name(*row)]),
            other => other.to_json(),
        }
    }

    fn set_json(&self, atoms: Vec<&Atom>) -> Value {
        json!([
            "set",
            atoms
                .into_iter()
                .map(|atom| self.atom_json(atom))
                .collect::<Vec<_>>()
        ])
    }

    fn datum_json(&self, datum: &Datum) -> Value {
        match datum {
            Datum::Set(set) => self.set_json(set.iter().collect()),
            Datum::Map(map) => {
                let pairs = map
                    .iter()
                    .map(|(key, value)| json!([self.atom_json(key), self.atom_json(value)]));
                json!(["map", pairs.collect::<Vec<_>>()])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::View;
    use aorta_ovsdb::DatabaseSchema;

    const ROW: &str = "25ebc6f2-7547-4d93-a409-b9f3df050332";
    const PORT: &str = "3a4e666f-b52a-4649-97ff-592a0b122623";

    fn view() -> View {
        let mut view = View::new(&DatabaseSchema::vswitch());
        let bridge = json!({"name": "br0", "ports": ["uuid", PORT],
                            "external_ids": ["map", [["a", "1"], ["b", "2"]]]});
        view.apply(&json!({"Bridge": {ROW: {"initial": bridge}}}))
            .unwrap();
        view
    }

    fn row() -> Uuid {
        Uuid::try_parse(ROW).unwrap()
    }

    #[test]
    fn a_new_port_is_added_to_the_set_and_the_bridge_checked() {
        let view = view();
        let mut txn = Txn::new(&view);
        let port = txn.insert("Port", Some(Uuid::from_u128(5)));
        txn.write("Port", port, "name", Datum::scalar("p1"));
        txn.write("Port", port, "tag", Datum::empty());
        txn.set_add("Bridge", row(), "ports", port);
        txn.rely("Bridge", row(), "name");
        let name = "row00000000000000000000000000000005";
        let operations = build(&txn);
        let where_row = json!([["_uuid", "==", ["uuid", ROW]]]);
        assert_eq!(
            operations.list,
            [
                json!({"op": "wait", "table": "Bridge", "timeout": 0, "where": where_row,
                       "columns": ["name"], "until": "==", "rows": [{"name": "br0"}]}),
                json!({"op": "insert", "table": "Port", "uuid-name": name,
                       "row": {"name": ["set", ["p1"]]}}),
                json!({"op": "mutate", "table": "Bridge", "where": where_row,
                       "mutations": [["ports", "insert", ["set", [["named-uuid", name]]]]]}),
            ]
        );
        assert_eq!(operations.inserts, [(1, port)]);
    }

    #[test]
    fn a_map_key_is_taken_away_before_it_gets_another_value() {
        let view = view();
        let mut txn = Txn::new(&view);
        txn.map_put("Bridge", row(), "external_ids", "a".into(), "9".into());
        txn.map_put("Bridge", row(), "external_ids", "c".into(), "3".into());
        let operations = build(&txn);
        assert_eq!(
            operations.list[0]["mutations"],
            json!([
                ["external_ids", "delete", ["set", ["a"]]],
                ["external_ids", "insert", ["map", [["a", "9"], ["c", "3"]]]],
            ])
        );
    }

    #[test]
    fn what_does_not_change_is_not_written() {
        let view = view();
        let mut txn = Txn::new(&view);
        txn.write("Bridge", row(), "name", Datum::scalar("br0"));
        txn.map_put("Bridge", row(), "external_ids", "a".into(), "1".into());
        assert_eq!(build(&txn), Operations::default());
    }

    #[test]
    fn a_whole_column_is_replaced() {
        let view = view();
        let mut txn = Txn::new(&view);
        txn.write("Bridge", row(), "external_ids", Datum::map([("x", "y")]));
        txn.set_remove("Bridge", row(), "ports", Uuid::try_parse(PORT).unwrap());
        let operations = build(&txn);
        assert_eq!(
            operations.list[0]["row"],
            json!({"external_ids": ["map", [["x", "y"]]]})
        );
        let gone = json!([["ports", "delete", ["set", [["uuid", PORT]]]]]);
        assert_eq!(operations.list[1]["mutations"], gone);
    }
}
