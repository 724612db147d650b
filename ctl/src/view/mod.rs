//! What the client knows of the database: the monitored columns of the monitored tables, kept up
//! to date from `update2` notifications (ovsdb-server(7), "Update2 Notification").

mod order;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use aorta_ovsdb::{DatabaseSchema, Datum, NoSymbols, TableSchema, Uuid};
use serde_json::Value;
use thiserror::Error;

pub use order::RowOrder;
use order::member_order;

/// An update that doesn't fit the schema or what was seen before.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the server sent an update that can't be used: {place}: {problem}")]
pub struct ViewError {
    place: String,
    problem: String,
}

impl ViewError {
    fn new(place: &str, problem: impl ToString) -> ViewError {
        ViewError {
            place: place.to_owned(),
            problem: problem.to_string(),
        }
    }
}

/// A row's columns that are not at their default, by position in the table's schema.
type Columns = BTreeMap<usize, Datum>;

#[derive(Debug)]
struct Table {
    schema: Arc<TableSchema>,
    defaults: Vec<Datum>,
    rows: HashMap<Uuid, Columns>,
    order: RowOrder,
}

/// The rows known.
#[derive(Debug)]
pub struct View {
    schema: Arc<DatabaseSchema>,
    tables: Vec<Table>,
}

impl View {
    /// A view that knows no row.
    pub fn new(schema: &Arc<DatabaseSchema>) -> View {
        let table = |schema: &Arc<TableSchema>| Table {
            schema: Arc::clone(schema),
            defaults: schema
                .columns
                .iter()
                .map(|c| Datum::default_for(&c.ty))
                .collect(),
            rows: HashMap::new(),
            order: RowOrder::default(),
        };
        View {
            schema: Arc::clone(schema),
            tables: schema.tables.iter().map(table).collect(),
        }
    }

    /// The schema of the database.
    pub fn schema(&self) -> &Arc<DatabaseSchema> {
        &self.schema
    }

    /// Schema of the table at a position.
    pub fn table_schema(&self, table: usize) -> Option<&Arc<TableSchema>> {
        self.tables.get(table).map(|table| &table.schema)
    }

    /// All rows of the table at a position, in no order.
    pub fn rows(&self, table: usize) -> impl Iterator<Item = Uuid> {
        self.tables
            .get(table)
            .into_iter()
            .flat_map(|table| table.rows.keys().copied())
    }

    /// The rows of the table at a position in the order in which Open vSwitch's tool has them.
    pub fn order(&self, table: usize) -> RowOrder {
        let table = self.tables.get(table);
        table.map(|table| table.order.clone()).unwrap_or_default()
    }

    /// Whether the row is known.
    pub fn has(&self, table: usize, row: Uuid) -> bool {
        self.tables
            .get(table)
            .is_some_and(|table| table.rows.contains_key(&row))
    }

    /// A column's value; its default if the row or its value is not known.
    pub fn get(&self, table: usize, row: Uuid, column: usize) -> Option<&Datum> {
        let table = self.tables.get(table)?;
        let known = table
            .rows
            .get(&row)
            .and_then(|columns| columns.get(&column));
        known.or_else(|| table.defaults.get(column))
    }

    /// What the column holds in a row that nobody set it in.
    pub fn default_of(&self, table: usize, column: usize) -> Option<&Datum> {
        self.tables.get(table)?.defaults.get(column)
    }

    /// Takes over a `<table-updates2>`: the initial contents or changes to them.
    pub fn apply(&mut self, updates: &Value) -> Result<(), ViewError> {
        let tables = updates.as_object();
        for (name, rows) in tables.ok_or_else(|| ViewError::new("updates", "not an object"))? {
            let position = self.schema.position(name);
            let table = position.and_then(|position| self.tables.get_mut(position));
            let table = table.ok_or_else(|| ViewError::new(name, "no such table"))?;
            let rows = rows
                .as_object()
                .ok_or_else(|| ViewError::new(name, "not an object"))?;
            for id in member_order(rows) {
                let Some(update) = rows.get(id) else { continue };
                let row = Uuid::try_parse(id).map_err(|cause| ViewError::new(id, cause))?;
                table.apply_row(row, update)?;
            }
        }
        Ok(())
    }
}

impl Table {
    fn apply_row(&mut self, row: Uuid, update: &Value) -> Result<(), ViewError> {
        let place = || format!("{} {row}", self.schema.name);
        let kind = update.as_object().and_then(|members| members.iter().next());
        let (kind, columns) = kind.ok_or_else(|| ViewError::new(&place(), "no row update"))?;
        match kind.as_str() {
            "initial" | "insert" => {
                let values = self.parse(columns, false)?;
                if self.rows.insert(row, values).is_none() {
                    self.order.insert(row);
                }
            }
            "modify" => {
                let diffs = self.parse(columns, true)?;
                let Some(values) = self.rows.get_mut(&row) else {
                    return Err(ViewError::new(&place(), "changed but never inserted"));
                };
                for (column, diff) in diffs {
                    let old = values.get(&column).or_else(|| self.defaults.get(column));
                    if let (Some(old), Some(schema)) = (old, self.schema.columns.get(column)) {
                        let new = old.apply_diff(&diff, &schema.ty);
                        values.insert(column, new);
                    }
                }
            }
            "delete" => {
                self.rows.remove(&row);
                self.order.remove(row);
            }
            other => return Err(ViewError::new(&place(), format!("unknown change {other}"))),
        }
        Ok(())
    }

    /// Reads a row; of a difference, the number of elements is not checked.
    fn parse(&self, columns: &Value, diff: bool) -> Result<Columns, ViewError> {
        let Some(columns) = columns.as_object() else {
            return Err(ViewError::new(&self.schema.name, "a row is not an object"));
        };
        let mut values = Columns::new();
        for (name, value) in columns {
            let place = || format!("{}.{name}", self.schema.name);
            let Some(position) = self.schema.position(name) else {
                return Err(ViewError::new(&place(), "no such column"));
            };
            let ty = &self.schema.columns[position].ty;
            let datum = if diff {
                Datum::from_json(value, &ty.relaxed(), &mut NoSymbols)
            } else {
                Datum::from_json(value, ty, &mut NoSymbols)
            };
            values.insert(
                position,
                datum.map_err(|cause| ViewError::new(&place(), cause))?,
            );
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ROW: &str = "25ebc6f2-7547-4d93-a409-b9f3df050332";

    fn port_view() -> (View, usize, Uuid) {
        let schema = DatabaseSchema::vswitch();
        let table = schema.position("Port").unwrap();
        (View::new(&schema), table, Uuid::try_parse(ROW).unwrap())
    }

    fn apply(view: &mut View, update: Value) {
        view.apply(&json!({"Port": {ROW: update}})).unwrap();
    }

    #[test]
    fn rows_come_change_and_go() {
        let (mut view, table, row) = port_view();
        let trunks = view.schema().tables[table].position("trunks").unwrap();
        apply(
            &mut view,
            json!({"initial": {"name": "p1", "trunks": ["set", [1, 2]]}}),
        );
        assert_eq!(view.get(table, row, trunks), Some(&Datum::set([1, 2])));
        apply(&mut view, json!({"modify": {"trunks": ["set", [2, 3]]}}));
        assert_eq!(view.get(table, row, trunks), Some(&Datum::set([1, 3])));
        apply(&mut view, json!({"delete": null}));
        assert!(!view.has(table, row));
        assert_eq!(view.rows(table).count(), 0);
    }

    #[test]
    fn columns_not_sent_are_at_their_default() {
        let (mut view, table, row) = port_view();
        apply(&mut view, json!({"insert": {}}));
        let name = view.schema().tables[table].position("name").unwrap();
        assert_eq!(view.get(table, row, name), Some(&Datum::scalar("")));
    }

    #[test]
    fn a_scalar_changes_to_its_new_value() {
        let (mut view, table, row) = port_view();
        let tag = view.schema().tables[table].position("tag").unwrap();
        apply(&mut view, json!({"initial": {"tag": 5}}));
        apply(&mut view, json!({"modify": {"tag": 7}}));
        assert_eq!(view.get(table, row, tag), Some(&Datum::scalar(7)));
        apply(&mut view, json!({"modify": {"tag": ["set", []]}}));
        assert_eq!(view.get(table, row, tag), Some(&Datum::empty()));
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_place() {
        let (mut view, ..) = port_view();
        let bad = view
            .apply(&json!({"Port": {ROW: {"initial": {"tag": "x"}}}}))
            .unwrap_err();
        assert!(bad.to_string().contains("Port.tag"), "{bad}");
        assert!(view.apply(&json!({"Nowhere": {}})).is_err());
        assert!(
            view.apply(&json!({"Port": {ROW: {"modify": {"tag": 1}}}}))
                .is_err()
        );
    }
}
