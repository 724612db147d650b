//! Names against the database schema, and what of the database an invocation has to see.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aorta_ovsdb::{ColumnSchema, DatabaseSchema, TableSchema};
use serde_json::{Value, json};

use crate::error::Error;
use crate::names::{Match, lookup};

/// The schema that commands are read against.
pub type Schema = DatabaseSchema;

/// The table that `given` means.
pub fn table<'a>(schema: &'a Schema, given: &str) -> Result<&'a Arc<TableSchema>, Error> {
    let name = given.to_owned();
    match lookup(schema.tables.iter().map(|table| &*table.name), given) {
        Match::One(full) => schema.table(full).ok_or(Error::UnknownTable { name }),
        Match::Many(mut candidates) => {
            candidates.sort_unstable();
            let candidates = candidates.into_iter().map(str::to_owned).collect();
            Err(Error::AmbiguousTable { name, candidates })
        }
        Match::None => Err(Error::UnknownTable { name }),
    }
}

/// The column of `table` that `given` means.
pub fn column<'a>(table: &'a TableSchema, given: &str) -> Result<&'a ColumnSchema, Error> {
    let unknown = || Error::UnknownColumn {
        table: table.name.to_string(),
        name: given.to_owned(),
    };
    match lookup(table.columns.iter().map(|column| &*column.name), given) {
        Match::One(full) => table.column(full).ok_or_else(unknown),
        Match::Many(candidates) => Err(Error::AmbiguousColumn {
            table: table.name.to_string(),
            name: given.to_owned(),
            candidates: candidates.into_iter().map(str::to_owned).collect(),
        }),
        Match::None => Err(unknown()),
    }
}

/// With more conditions than this, the server is faster if it sends all rows.
const MAX_CONDITIONS: usize = 50;

/// What is wanted of a table.
#[derive(Debug, Clone, Default, PartialEq)]
struct Wanted {
    columns: BTreeSet<String>,
    all_rows: bool,
    /// Otherwise the rows that meet any of these (RFC 7047 §5.1 `<condition>`).
    conditions: Vec<Value>,
}

/// Tables, columns and rows to ask the server for; a table without columns tells only which rows
/// exist.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Needs {
    tables: BTreeMap<String, Wanted>,
    whole: bool,
}

impl Needs {
    /// Needs that are narrowed to single rows where a command names them. Such a view is enough
    /// to do what can be done, but not to tell why something can't.
    pub fn narrow() -> Needs {
        Needs::default()
    }

    /// Needs with all rows of each table.
    pub fn whole() -> Needs {
        Needs {
            whole: true,
            ..Needs::default()
        }
    }

    /// The rows of a table.
    pub fn table(&mut self, table: &str) {
        self.wanted(table).all_rows = true;
    }

    /// A column of all rows of a table.
    pub fn column(&mut self, table: &str, column: &str) {
        let wanted = self.wanted(table);
        wanted.all_rows = true;
        wanted.columns.insert(column.to_owned());
    }

    /// A column of whichever rows are wanted by other needs.
    pub fn column_of_some(&mut self, table: &str, column: &str) {
        self.wanted(table).columns.insert(column.to_owned());
    }

    /// The rows of a table in which a column has a value.
    pub fn rows(&mut self, table: &str, column: &str, value: impl Into<Value>) {
        let whole = self.whole;
        let wanted = self.wanted(table);
        wanted.all_rows |= whole;
        wanted.columns.insert(column.to_owned());
        let condition = json!([column, "==", value.into()]);
        if !wanted.all_rows && !wanted.conditions.contains(&condition) {
            wanted.conditions.push(condition);
        }
        wanted.all_rows |= wanted.conditions.len() > MAX_CONDITIONS;
    }

    /// Whether some table is only seen in part.
    pub fn is_partial(&self) -> bool {
        self.tables.values().any(|wanted| !wanted.all_rows)
    }

    /// The columns wanted, by table.
    pub fn tables(&self) -> impl Iterator<Item = (&str, impl Iterator<Item = &str>)> {
        let tables = self.tables.iter();
        tables.map(|(table, wanted)| (table.as_str(), wanted.columns.iter().map(String::as_str)))
    }

    /// The request of `monitor_cond` for all of it.
    pub fn to_json(&self) -> Value {
        let request = |wanted: &Wanted| match wanted.all_rows {
            true => json!([{"columns": wanted.columns}]),
            false => json!([{"columns": wanted.columns, "where": wanted.conditions}]),
        };
        let tables = self.tables.iter();
        Value::Object(
            tables
                .map(|(table, wanted)| (table.clone(), request(wanted)))
                .collect(),
        )
    }

    fn wanted(&mut self, table: &str) -> &mut Wanted {
        self.tables.entry(table.to_owned()).or_default()
    }
}

/// How a record may be named besides by its row id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordName {
    /// The table has one row, called `.`.
    Only,
    /// By the value of this column.
    Column(&'static str),
    /// By the `name` of the row of this table whose column of that name refers to it.
    Via(&'static str, &'static str),
}

/// How records of a table may be named; `None` if only by row id.
pub fn record_name(table: &str) -> Option<RecordName> {
    Some(match table {
        "Open_vSwitch" | "SSL" => RecordName::Only,
        "Bridge" | "Port" | "Interface" | "Mirror" | "Flow_Table" => RecordName::Column("name"),
        "Manager" => RecordName::Column("target"),
        "Flow_Sample_Collector_Set" => RecordName::Column("id"),
        "Controller" => RecordName::Via("Bridge", "controller"),
        "NetFlow" => RecordName::Via("Bridge", "netflow"),
        "sFlow" => RecordName::Via("Bridge", "sflow"),
        "IPFIX" => RecordName::Via("Bridge", "ipfix"),
        "AutoAttach" => RecordName::Via("Bridge", "auto_attach"),
        "QoS" => RecordName::Via("Port", "qos"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_and_columns_may_be_abbreviated() {
        let schema = DatabaseSchema::vswitch();
        assert_eq!(&*table(&schema, "queue").unwrap().name, "Queue");
        assert_eq!(&*table(&schema, "o").unwrap().name, "Open_vSwitch");
        let port = table(&schema, "po").unwrap();
        assert_eq!(&*column(port, "trunk").unwrap().name, "trunks");
        let error = column(port, "t").unwrap_err();
        assert_eq!(
            error.to_string(),
            "Port contains more than one column whose name matches \"t\": tag, trunks"
        );
        assert!(matches!(
            table(&schema, "qx"),
            Err(Error::UnknownTable { .. })
        ));
        assert!(matches!(
            table(&schema, "f"),
            Err(Error::AmbiguousTable { .. })
        ));
    }

    #[test]
    fn rows_are_narrowed_unless_someone_needs_all() {
        let mut needs = Needs::narrow();
        needs.rows("Port", "name", "p1");
        needs.rows("Port", "name", "p1");
        needs.rows("Port", "fake_bridge", true);
        needs.column_of_some("Port", "tag");
        assert!(needs.is_partial());
        let conditions = json!([["name", "==", "p1"], ["fake_bridge", "==", true]]);
        let columns = json!(["fake_bridge", "name", "tag"]);
        let request = json!({"Port": [{"columns": columns, "where": conditions}]});
        assert_eq!(needs.to_json(), request);
        needs.column("Port", "qos");
        assert!(!needs.is_partial());
        let mut many = Needs::narrow();
        (0..=MAX_CONDITIONS).for_each(|n| many.rows("Port", "name", format!("p{n}")));
        assert!(!many.is_partial());
        let mut whole = Needs::whole();
        whole.rows("Port", "name", "p1");
        assert_eq!(whole.to_json(), json!({"Port": [{"columns": ["name"]}]}));
    }

    #[test]
    fn every_way_to_name_a_record_exists_in_the_schema() {
        let schema = DatabaseSchema::vswitch();
        let named = |table: &TableSchema| match record_name(&table.name) {
            Some(RecordName::Column(column)) => table.column(column).is_some(),
            Some(RecordName::Via(via, column)) => schema
                .table(via)
                .is_some_and(|via| via.column(column).is_some()),
            Some(RecordName::Only) | None => true,
        };
        assert!(schema.tables.iter().all(|table| named(table)));
    }
}
