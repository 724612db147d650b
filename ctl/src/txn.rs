//! One transaction while it is put together: the known rows with the changes so far on top, so
//! that each command sees what those before it did.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aorta_ovsdb::{Atom, AtomMap, Datum, Uuid};

use crate::view::View;

/// A row by position of its table.
pub(crate) type RowKey = (usize, Uuid);

/// Columns that decide which port belongs to which bridge.
const LAYOUT: [(&str, &[&str]); 4] = [
    ("Open_vSwitch", &["bridges"]),
    ("Bridge", &["name", "ports"]),
    ("Port", &["name", "interfaces", "tag", "fake_bridge"]),
    ("Interface", &["name"]),
];

/// What happens to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Fate {
    /// It exists and may change.
    #[default]
    Kept,
    /// It is created.
    Inserted,
    /// It is deleted by this transaction.
    Deleted,
    /// It loses its last reference, so that the server deletes it.
    Forgotten,
}

/// A column's new value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Change {
    pub(crate) value: Datum,
    /// Whether the value replaces whatever the column holds by then. Otherwise elements are added
    /// and taken away, so that others' changes to the same column survive.
    pub(crate) whole: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Edit {
    pub(crate) fate: Fate,
    /// Whether an inserted row keeps its id instead of getting one from the server.
    pub(crate) exact: bool,
    pub(crate) columns: BTreeMap<usize, Change>,
    pub(crate) relied: BTreeSet<usize>,
}

/// A transaction on top of what is known.
#[derive(Debug)]
pub struct Txn<'v> {
    view: &'v View,
    edits: HashMap<RowKey, Edit>,
    /// Rows in the order of their first edit.
    order: Vec<RowKey>,
    layout_version: u64,
}

static EMPTY: Datum = Datum::empty();

impl<'v> Txn<'v> {
    /// An empty transaction.
    pub fn new(view: &'v View) -> Txn<'v> {
        Txn {
            view,
            edits: HashMap::new(),
            order: Vec::new(),
            layout_version: 0,
        }
    }

    /// What is known of the database.
    pub fn view(&self) -> &'v View {
        self.view
    }

    /// A number that changes whenever bridges, ports or interfaces are added, removed or moved.
    pub fn layout_version(&self) -> u64 {
        self.layout_version
    }

    pub(crate) fn edits(&self) -> impl Iterator<Item = (RowKey, &Edit)> {
        self.order
            .iter()
            .filter_map(|key| Some((*key, self.edits.get(key)?)))
    }

    pub(crate) fn inserts(&self, row: RowKey) -> bool {
        self.edits
            .get(&row)
            .is_some_and(|edit| edit.fate == Fate::Inserted)
    }

    /// All rows of a table that exist at this point, by row id.
    pub fn rows(&self, table: &str) -> Vec<Uuid> {
        let mut rows: Vec<Uuid> = self.rows_unsorted(table).collect();
        rows.sort_unstable();
        rows
    }

    /// All rows of a table that exist at this point: new ones, the latest first, then the others
    /// in no order.
    pub fn rows_unsorted(&self, table: &str) -> impl Iterator<Item = Uuid> {
        let table = self.position(table).unwrap_or(usize::MAX);
        let gone = move |row: &Uuid| {
            let edit = self.edits.get(&(table, *row));
            edit.is_some_and(|edit| matches!(edit.fate, Fate::Deleted | Fate::Forgotten))
        };
        let new = self.order.iter().rev();
        let new = new
            .filter(move |key| key.0 == table && self.inserts(**key))
            .map(|key| key.1);
        new.chain(self.view.rows(table).filter(move |row| !gone(row)))
    }

    /// All rows of a table that exist at this point, in the order in which Open vSwitch's tool
    /// comes upon them.
    pub fn rows_as_hashed(&self, table: &str) -> Vec<Uuid> {
        let Some(position) = self.position(table) else {
            return Vec::new();
        };
        let mut order = self.view.order(position);
        let new = self.order.iter().filter(|key| key.0 == position);
        for key in new.filter(|key| self.inserts(**key)) {
            order.insert(key.1);
        }
        order.iter().filter(|row| self.has(table, *row)).collect()
    }

    /// Whether the row exists at this point.
    pub fn has(&self, table: &str, row: Uuid) -> bool {
        let Some(table) = self.position(table) else {
            return false;
        };
        match self.edits.get(&(table, row)).map(|edit| edit.fate) {
            Some(Fate::Inserted) => true,
            Some(Fate::Deleted | Fate::Forgotten) => false,
            Some(Fate::Kept) | None => self.view.has(table, row),
        }
    }

    /// A column's value at this point.
    pub fn get(&self, table: &str, row: Uuid, column: &str) -> &Datum {
        let positions = self.positions(table, column);
        positions.map_or(&EMPTY, |(table, column)| self.get_at((table, row), column))
    }

    pub(crate) fn get_at(&self, row: RowKey, column: usize) -> &Datum {
        let change = self
            .edits
            .get(&row)
            .and_then(|edit| edit.columns.get(&column));
        match change {
            Some(change) => &change.value,
            None => self.view.get(row.0, row.1, column).unwrap_or(&EMPTY),
        }
    }

    /// The string in a column, if it has one.
    pub fn str(&self, table: &str, row: Uuid, column: &str) -> Option<&str> {
        self.get(table, row, column).as_str_opt()
    }

    /// The rows that a column refers to, by row id.
    pub fn refs(&self, table: &str, row: Uuid, column: &str) -> Vec<Uuid> {
        self.get(table, row, column).uuids().collect()
    }

    /// Creates a row, under a given temporary id or a new one.
    pub fn insert(&mut self, table: &str, id: Option<Uuid>) -> Uuid {
        let row = id.unwrap_or_else(Uuid::new_v4);
        if let Some(table) = self.position(table) {
            self.edit((table, row)).fate = Fate::Inserted;
        }
        row
    }

    /// Creates a row under an id that it keeps.
    pub fn insert_as(&mut self, table: &str, row: Uuid) -> Uuid {
        self.insert(table, Some(row));
        if let Some(table) = self.position(table) {
            self.edit((table, row)).exact = true;
        }
        row
    }

    /// Whether the row exists before this transaction.
    pub fn is_known(&self, table: &str, row: Uuid) -> bool {
        self.position(table)
            .is_some_and(|table| self.view.has(table, row))
    }

    /// Sets a column, whatever it holds by then.
    pub fn write(&mut self, table: &str, row: Uuid, column: &str, value: Datum) {
        self.change(table, row, column, value, true);
    }

    /// Sets a column by adding and taking away elements.
    pub fn merge(&mut self, table: &str, row: Uuid, column: &str, value: Datum) {
        self.change(table, row, column, value, false);
    }

    /// Adds an element to a set.
    pub fn set_add(&mut self, table: &str, row: Uuid, column: &str, element: impl Into<Atom>) {
        let element = element.into();
        self.alter(table, row, column, |value| {
            if let Datum::Set(set) = value {
                set.insert(element);
            }
        });
    }

    /// Takes an element out of a set.
    pub fn set_remove(&mut self, table: &str, row: Uuid, column: &str, element: impl Into<Atom>) {
        let element = element.into();
        self.alter(table, row, column, |value| {
            if let Datum::Set(set) = value {
                set.remove(&element);
            }
        });
    }

    /// Sets a key of a map.
    pub fn map_put(&mut self, table: &str, row: Uuid, column: &str, key: Atom, value: Atom) {
        self.alter(table, row, column, |datum| match datum {
            Datum::Map(map) => map.insert(key, value),
            // The default of an optional map may have been written as an empty set.
            Datum::Set(_) => *datum = Datum::Map(AtomMap::from_iter([(key, value)])),
        });
    }

    /// Takes a key out of a map.
    pub fn map_remove(&mut self, table: &str, row: Uuid, column: &str, key: &Atom) {
        self.alter(table, row, column, |value| {
            if let Datum::Map(map) = value {
                map.remove(key);
            }
        });
    }

    /// Deletes a row.
    pub fn delete(&mut self, table: &str, row: Uuid) {
        self.end(table, row, Fate::Deleted);
    }

    /// Treats a row as gone, because its last reference is.
    pub fn forget(&mut self, table: &str, row: Uuid) {
        self.end(table, row, Fate::Forgotten);
    }

    /// Makes the transaction fail if the column no longer holds what is known of it, or the row
    /// is gone.
    pub fn rely(&mut self, table: &str, row: Uuid, column: &str) {
        if let Some((table, column)) = self.positions(table, column)
            && self.view.has(table, row)
        {
            self.edit((table, row)).relied.insert(column);
        }
    }

    fn end(&mut self, table: &str, row: Uuid, fate: Fate) {
        if let Some(table) = self.position(table) {
            self.edit((table, row)).fate = fate;
            self.layout_version += 1;
        }
    }

    fn change(&mut self, table: &str, row: Uuid, column: &str, value: Datum, whole: bool) {
        let Some((position, at)) = self.positions(table, column) else {
            return;
        };
        self.note_layout(table, column);
        let columns = &mut self.edit((position, row)).columns;
        let whole = whole || columns.get(&at).is_some_and(|before| before.whole);
        columns.insert(at, Change { value, whole });
    }

    /// Changes a column's value in place.
    fn alter(&mut self, table: &str, row: Uuid, column: &str, alter: impl FnOnce(&mut Datum)) {
        let Some((position, at)) = self.positions(table, column) else {
            return;
        };
        self.note_layout(table, column);
        let view = self.view;
        let known = || view.get(position, row, at).unwrap_or(&EMPTY).clone();
        let change = self
            .edit((position, row))
            .columns
            .entry(at)
            .or_insert_with(|| Change {
                value: known(),
                whole: false,
            });
        alter(&mut change.value);
    }

    fn note_layout(&mut self, table: &str, column: &str) {
        let tables = LAYOUT.iter().find(|(name, _)| *name == table);
        if tables.is_some_and(|(_, columns)| columns.contains(&column)) {
            self.layout_version += 1;
        }
    }

    fn edit(&mut self, row: RowKey) -> &mut Edit {
        let order = &mut self.order;
        self.edits.entry(row).or_insert_with(|| {
            order.push(row);
            Edit::default()
        })
    }

    fn position(&self, table: &str) -> Option<usize> {
        self.view.schema().position(table)
    }

    fn positions(&self, table: &str, column: &str) -> Option<(usize, usize)> {
        let table = self.position(table)?;
        Some((table, self.view.table_schema(table)?.position(column)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aorta_ovsdb::DatabaseSchema;
    use serde_json::json;

    const ROW: &str = "25ebc6f2-7547-4d93-a409-b9f3df050332";

    fn view() -> View {
        let mut view = View::new(&DatabaseSchema::vswitch());
        let rows = json!({"Bridge": {ROW: {"initial": {"name": "br0"}}}});
        view.apply(&rows).unwrap();
        view
    }

    #[test]
    fn later_reads_see_earlier_changes() {
        let view = view();
        let mut txn = Txn::new(&view);
        let bridge = Uuid::try_parse(ROW).unwrap();
        txn.map_put("Bridge", bridge, "external_ids", "a".into(), "b".into());
        assert_eq!(
            txn.get("Bridge", bridge, "external_ids"),
            &Datum::map([("a", "b")])
        );
        txn.map_remove("Bridge", bridge, "external_ids", &"a".into());
        assert!(txn.get("Bridge", bridge, "external_ids").is_empty());
        let port = txn.insert("Port", None);
        txn.set_add("Bridge", bridge, "ports", port);
        assert_eq!(txn.refs("Bridge", bridge, "ports"), [port]);
        assert!(txn.has("Port", port));
        assert_eq!(txn.rows("Port"), [port]);
    }

    #[test]
    fn rows_that_go_are_not_seen_again() {
        let view = view();
        let mut txn = Txn::new(&view);
        let bridge = Uuid::try_parse(ROW).unwrap();
        txn.forget("Bridge", bridge);
        assert!(!txn.has("Bridge", bridge));
        assert!(txn.rows("Bridge").is_empty());
        let new = txn.insert("Bridge", None);
        assert_eq!(txn.rows("Bridge"), [new]);
        txn.delete("Bridge", new);
        assert!(txn.rows("Bridge").is_empty());
    }

    #[test]
    fn only_changes_of_the_layout_count_as_such() {
        let view = view();
        let mut txn = Txn::new(&view);
        let bridge = Uuid::try_parse(ROW).unwrap();
        txn.write("Bridge", bridge, "datapath_type", Datum::scalar("netdev"));
        assert_eq!(txn.layout_version(), 0);
        txn.write("Bridge", bridge, "ports", Datum::empty());
        assert_eq!(txn.layout_version(), 1);
    }
}
