//! Updates as JSON text (RFC 7047 §4.1.6 `<table-updates>`, and `<table-updates2>` of
//! ovsdb-server(7) §4.1.14). What a change means is written once for all monitors that
//! differ only in columns and conditions.
use std::cell::OnceCell;
use std::ops::Range;

use uuid::Uuid;

use super::{Kind, Monitor, MonitorVersion, TableMonitor};
use crate::db::{Change, ColumnRef, Db, Delta};
use crate::row::Row;
use crate::value::{write_string, write_uuid};

/// A transaction's changes, to be told to any number of monitors.
pub(crate) struct News<'a> {
    delta: &'a Delta,
    texts: Vec<OnceCell<ChangeText>>,
}

impl<'a> News<'a> {
    pub(crate) fn new(delta: &'a Delta) -> Self {
        let texts = delta.changes.iter().map(|_| OnceCell::new()).collect();
        Self { delta, texts }
    }
}

/// The columns of a change as version 2 tells them: of a new row those not at their default, of a
/// changed one the differences.
struct ChangeText {
    text: String,
    /// Where each column's member ends; it is empty if there is nothing to tell.
    ends: Vec<usize>,
}

impl ChangeText {
    fn new(change: &Change) -> Self {
        let (mut text, mut ends) = (String::new(), Vec::new());
        let columns = change.new.as_ref().map(|row| &row.schema().columns);
        for at in 0..columns.map_or(0, Vec::len) {
            write_change(change, ColumnRef::At(at), &mut text);
            ends.push(text.len());
        }
        Self { text, ends }
    }

    fn column(&self, at: usize) -> &str {
        let start = at.checked_sub(1).and_then(|before| self.ends.get(before));
        let end = self.ends.get(at).copied().unwrap_or(0);
        let range: Range<usize> = start.copied().unwrap_or(0)..end;
        self.text.get(range).unwrap_or_default()
    }
}

/// Writes what has changed in a column, if anything.
fn write_change(change: &Change, column: ColumnRef, out: &mut String) {
    match (&change.old, &change.new) {
        (None, Some(new)) => write_unless_default(new, column, out),
        (Some(old), Some(new)) => write_difference(old, new, column, out),
        _ => {}
    }
}

fn write_name(row: &Row, column: ColumnRef, out: &mut String) {
    write_string(column.name(row.schema()), out);
    out.push(':');
}

fn write_member(row: &Row, column: ColumnRef, out: &mut String) {
    write_name(row, column, out);
    column.value(row).write_json(out);
}

fn write_unless_default(row: &Row, column: ColumnRef, out: &mut String) {
    if !column.value(row).is_default(column.ty(row.schema())) {
        write_member(row, column, out);
    }
}

fn write_difference(old: &Row, new: &Row, column: ColumnRef, out: &mut String) {
    let (before, after) = (column.value(old), column.value(new));
    if before != after {
        write_name(new, column, out);
        after.write_difference(&before, column.ty(new.schema()), out);
    }
}

/// `<table-updates>` in the making.
#[derive(Default)]
pub(super) struct Updates {
    text: String,
    table: Option<usize>,
}

impl Updates {
    /// Adds a row of a table, whose rows come one after the other. `write` writes what there is to
    /// tell of the row; false if that is nothing.
    pub(super) fn row(
        &mut self,
        at: usize,
        table: &TableMonitor,
        uuid: Uuid,
        write: impl FnOnce(&mut String) -> bool,
    ) {
        let mark = self.text.len();
        match self.table {
            Some(open) if open == at => self.text.push(','),
            open => {
                self.text.push_str(if open.is_some() { "}," } else { "{" });
                write_string(&table.schema.name, &mut self.text);
                self.text.push_str(":{");
            }
        }
        write_uuid(uuid, &mut self.text);
        self.text.push(':');
        if write(&mut self.text) {
            self.table = Some(at);
        } else {
            self.text.truncate(mark);
        }
    }

    /// The whole; `None` if there is no row.
    pub(super) fn finish(mut self) -> Option<String> {
        self.table?;
        self.text.push_str("}}");
        Some(self.text)
    }
}

impl Monitor {
    /// The rows that the client starts with, as the text of `<table-updates>`.
    pub fn initial(&self, db: &Db) -> String {
        let mut updates = Updates::default();
        let tables = self.tables.iter().filter(|(_, m)| m.select.initial);
        for (at, monitor) in tables {
            for row in db.table_at(*at).into_iter().flat_map(|table| table.rows()) {
                if monitor.condition.matches_any(row) {
                    updates.row(*at, monitor, row.uuid(), |out| {
                        match self.version {
                            MonitorVersion::V1 => {
                                monitor.write_full("new", row, Kind::Initial, out)
                            }
                            _ => monitor.write_sparse("initial", row, Kind::Initial, out),
                        }
                        out.push('}');
                        true
                    });
                }
            }
        }
        updates.finish().unwrap_or_else(|| "{}".to_owned())
    }

    /// What a transaction means to the client, as the text of `<table-updates>`; `None` if
    /// nothing.
    pub fn update(&self, delta: &Delta) -> Option<String> {
        self.tell(&News::new(delta))
    }

    /// As [`Monitor::update`], for a transaction that other monitors are told of, too.
    pub(crate) fn tell(&self, news: &News<'_>) -> Option<String> {
        let mut updates = Updates::default();
        for (change, text) in news.delta.changes.iter().zip(&news.texts) {
            let Some(monitor) = self.tables.get(&change.table_at) else {
                continue;
            };
            updates.row(change.table_at, monitor, change.uuid, |out| {
                match self.version {
                    MonitorVersion::V1 => monitor.write_update1(change, out),
                    _ => monitor.write_update2(change, text, out),
                }
            });
        }
        updates.finish()
    }
}

impl TableMonitor {
    /// Writes `{KIND: {columns}`, with every column asked for; the end is left to the caller.
    fn write_full(&self, name: &str, row: &Row, kind: Kind, out: &mut String) {
        self.write_columns(name, kind, out, |column, out| {
            write_member(row, column, out)
        });
    }

    /// As [`Self::write_full`], without columns that are at their default.
    pub(super) fn write_sparse(&self, name: &str, row: &Row, kind: Kind, out: &mut String) {
        self.write_columns(name, kind, out, |column, out| {
            write_unless_default(row, column, out);
        });
    }

    /// Writes `{NAME: {…}` with a member for each column of which `write` writes one; false if
    /// none did that told more than a version.
    fn write_columns(
        &self,
        name: &str,
        kind: Kind,
        out: &mut String,
        mut write: impl FnMut(ColumnRef, &mut String),
    ) -> bool {
        out.push_str("{\"");
        out.push_str(name);
        out.push_str("\":{");
        let start = out.len();
        let mut told = false;
        for column in self.columns_for(kind) {
            let mark = out.len();
            if mark > start {
                out.push(',');
            }
            let comma = out.len();
            write(column, out);
            if out.len() == comma {
                out.truncate(mark);
            } else {
                told |= column != ColumnRef::Version;
            }
        }
        out.push('}');
        told
    }

    fn write_update1(&self, change: &Change, out: &mut String) -> bool {
        match (&change.old, &change.new) {
            (None, Some(new)) if self.select.insert => {
                self.write_full("new", new, Kind::Insert, out);
            }
            (Some(old), None) if self.select.delete => {
                self.write_full("old", old, Kind::Delete, out);
            }
            (Some(old), Some(new)) if self.select.modify => {
                let changed = |column: ColumnRef, out: &mut String| {
                    if column.value(old) != column.value(new) {
                        write_member(old, column, out);
                    }
                };
                if !self.write_columns("old", Kind::Modify, out, changed) {
                    return false;
                }
                // The new row goes into the same object as the old one.
                let mut full = String::new();
                self.write_full("new", new, Kind::Modify, &mut full);
                out.push(',');
                out.push_str(full.strip_prefix('{').unwrap_or_default());
            }
            _ => return false,
        }
        out.push('}');
        true
    }

    fn write_update2(
        &self,
        change: &Change,
        text: &OnceCell<ChangeText>,
        out: &mut String,
    ) -> bool {
        let seen = |row: &&std::sync::Arc<Row>| self.condition.matches_any(row);
        let (old, new) = (
            change.old.as_ref().filter(seen),
            change.new.as_ref().filter(seen),
        );
        match (old, new) {
            (None, Some(_)) if self.select.insert && change.old.is_none() => {
                self.write_change("insert", Kind::Insert, change, text, out);
            }
            (None, Some(new)) if self.select.insert => {
                self.write_sparse("insert", new, Kind::Insert, out);
            }
            (Some(_), None) if self.select.delete => out.push_str("{\"delete\":null"),
            (Some(_), Some(_)) if self.select.modify => {
                if !self.write_change("modify", Kind::Modify, change, text, out) {
                    return false;
                }
            }
            _ => return false,
        }
        out.push('}');
        true
    }

    fn write_change(
        &self,
        name: &str,
        kind: Kind,
        change: &Change,
        text: &OnceCell<ChangeText>,
        out: &mut String,
    ) -> bool {
        let text = text.get_or_init(|| ChangeText::new(change));
        self.write_columns(name, kind, out, |column, out| match column {
            ColumnRef::At(at) => out.push_str(text.column(at)),
            _ => write_change(change, column, out),
        })
    }
}
