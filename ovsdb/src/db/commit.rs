//! What makes a transaction valid as a whole, checked at its end: references, garbage
//! collection, numbers of rows, indexes (RFC 7047 §3.2, §4.1.3). The work grows with the rows
//! that the transaction touched.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use uuid::Uuid;

use super::transaction::Transaction;
use super::{Change, Db, Delta, Link, Place};
use crate::error::{ErrorKind, OpError};
use crate::row::Row;
use crate::value::{Atom, Datum, differences};

impl Transaction<'_> {
    /// Checks and completes the transaction.
    ///
    /// # Errors
    /// The rule that it breaks; everything is taken back then.
    pub(super) fn commit(mut self) -> Result<Delta, OpError> {
        match self.complete() {
            Ok(changes) => {
                self.db.relink(&changes);
                Ok(Delta {
                    changes,
                    comment: None,
                    converted: None,
                })
            }
            Err(error) => {
                self.undo();
                Err(error)
            }
        }
    }

    fn complete(&mut self) -> Result<Vec<Change>, OpError> {
        let mut changes = self.changes();
        let writes = self.writes;
        let mut counts = Counts::default();
        for change in &changes {
            counts.add(self.db, change);
        }
        self.check_strong(&changes, &counts)?;
        self.collect_garbage(&changes, counts);
        self.check_row_counts(&changes)?;
        self.drop_weak()?;
        if self.writes != writes {
            changes = self.changes();
        }
        self.check_indexes(&changes)?;
        for change in &mut changes {
            self.stamp(change);
        }
        Ok(changes)
    }

    fn check_strong(&self, changes: &[Change], counts: &Counts) -> Result<(), OpError> {
        for change in changes {
            if let Some(row) = &change.new {
                self.check_resolves(change, row)?;
            }
        }
        for change in changes.iter().filter(|change| change.new.is_none()) {
            let left = counts.total(self.db, change.place());
            if left > 0 {
                let (table, uuid) = (&change.table, change.uuid);
                let words = format!(
                    "cannot delete {table} row {uuid} because of {left} remaining reference(s)"
                );
                return Err(OpError::new(ErrorKind::ReferentialIntegrity, words));
            }
        }
        Ok(())
    }

    fn check_resolves(&self, change: &Change, row: &Row) -> Result<(), OpError> {
        let links = self.db.links(change.table_at).iter();
        for link in links.filter(|link| link.strong) {
            // A row that the transaction deletes is there until its references are counted.
            let is_missing =
                |target: Place| self.db.row_at(target).is_none() && !self.had_before(target);
            let mut added = moved(change, link).into_iter().filter(|(_, added)| *added);
            let Some((missing, _)) = added.find(|(t, _)| is_missing((link.table, *t))) else {
                continue;
            };
            let column = row.schema().columns.get(link.column);
            let column = column.map_or("", |c| &c.name);
            let target = self.db.table_at(link.table).map_or("", |t| &t.schema.name);
            let (table, uuid) = (&change.table, change.uuid);
            let words = format!(
                "Table {table} column {column} row {uuid} references nonexistent row {missing} \
                 in table {target}."
            );
            return Err(OpError::new(ErrorKind::ReferentialIntegrity, words));
        }
        Ok(())
    }

    /// Deletes the rows that nothing leads to any more, and then what they alone led to.
    fn collect_garbage(&mut self, changes: &[Change], mut counts: Counts) {
        let made = changes
            .iter()
            .filter(|c| c.new.is_some())
            .map(Change::place);
        let mut suspects: Vec<Place> = made.chain(counts.0.keys().copied()).collect();
        while let Some(place) = suspects.pop() {
            let Some(table) = self.db.table_at(place.0) else {
                continue;
            };
            let Some(row) = table.row(place.1).cloned() else {
                continue;
            };
            if table.schema.is_root || counts.total(self.db, place) > 0 {
                continue;
            }
            self.write(place, None);
            for link in self.db.links(place.0).iter().filter(|link| link.strong) {
                let targets = link.targets(&row).map(|uuid| (link.table, uuid));
                for target in targets.filter(|target| *target != place) {
                    *counts.0.entry(target).or_default() -= 1;
                    suspects.push(target);
                }
            }
        }
    }

    fn check_row_counts(&self, changes: &[Change]) -> Result<(), OpError> {
        for (n, change) in changes.iter().enumerate() {
            let before = n.checked_sub(1).and_then(|before| changes.get(before));
            // Changes of one table follow each other.
            let is_first = before.is_none_or(|before| before.table_at != change.table_at);
            let table = self.db.table_at(change.table_at).filter(|_| is_first);
            let Some(table) = table else { continue };
            let (name, rows, limit) = (&table.schema.name, table.len(), table.schema.max_rows);
            if rows > limit {
                let words = format!(
                    "transaction causes \"{name}\" table to contain {rows} rows, greater than the \
                     schema-defined limit of {limit} row(s)"
                );
                return Err(OpError::constraint(words));
            }
        }
        Ok(())
    }

    /// Removes weak references to rows that are not there.
    fn drop_weak(&mut self) -> Result<(), OpError> {
        let mut places = BTreeSet::new();
        for place in self.touched() {
            if self.db.row_at(place).is_some() {
                if self.db.links(place.0).iter().any(|link| !link.strong) {
                    places.insert(place);
                }
            } else if let Some(table) = self.db.table_at(place.0) {
                places.extend(table.weak.get(&place.1).into_iter().flatten());
            }
        }
        for place in places {
            let links: Vec<Link> = self.db.links(place.0).to_vec();
            for link in links.iter().filter(|link| !link.strong) {
                self.drop_weak_of(place, link)?;
            }
        }
        Ok(())
    }

    fn drop_weak_of(&mut self, place: Place, link: &Link) -> Result<(), OpError> {
        let Some(row) = self.db.row_at(place) else {
            return Ok(());
        };
        let is_gone = |uuid: &Uuid| self.db.row_at((link.table, *uuid)).is_none();
        let gone: BTreeSet<Atom> = link.targets(row).filter(is_gone).map(Atom::Uuid).collect();
        if gone.is_empty() {
            return Ok(());
        }
        let rest = match row.at(link.column).clone() {
            Datum::Set(mut set) => {
                set.retain(|atom| !gone.contains(atom));
                Datum::Set(set)
            }
            Datum::Map(mut map) => {
                map.retain(|(k, v)| !gone.contains(if link.values { v } else { k }));
                Datum::Map(map)
            }
        };
        let column = row.schema().columns.get(link.column);
        if let Some(column) = column.filter(|c| rest.len() < c.ty.min) {
            let (name, table, uuid) = (&column.name, &row.schema().name, place.1);
            let count = gone.len();
            let story = match self.before(place) {
                Some(None) => " (inserted within this transaction)",
                _ => "",
            };
            if gone.iter().all(|atom| *atom == Atom::Uuid(Uuid::nil())) {
                return Err(OpError::constraint(format!(
                    "Weak reference column \"{name}\" in \"{table}\" row {uuid}{story} contained \
                     all-zeros UUID (probably as the default value for this column) but deleting \
                     this value caused a constraint violation because this column is not allowed \
                     to be empty."
                )));
            }
            let words = format!(
                "Deletion of {count} weak reference(s) to deleted (or never-existing) rows from \
                 column \"{name}\" in \"{table}\" row {uuid}{story} caused this column to become \
                 empty, but constraints on this column disallow an empty column."
            );
            return Err(OpError::constraint(words));
        }
        self.modify(place, |row| {
            row.set_at(link.column, rest);
            Ok(())
        })
    }

    /// Gives a changed row its new version.
    fn stamp(&mut self, change: &mut Change) {
        if change.new.take().is_none() {
            return;
        }
        let version = self.names.fresh();
        let table = self.db.table_mut(change.table_at);
        let Some(row) = table.and_then(|t| t.rows.get_mut(&change.uuid)) else {
            return;
        };
        Arc::make_mut(row).set_version(version);
        change.new = Some(Arc::clone(row));
    }
}

pub(super) fn index_key(columns: &[usize], row: &Row) -> Vec<Datum> {
    columns
        .iter()
        .map(|column| row.at(*column).clone())
        .collect()
}

impl Change {
    pub(super) fn place(&self) -> Place {
        (self.table_at, self.uuid)
    }

    /// Whether the row comes, goes, or has other values in the columns of an index.
    pub(super) fn moves(&self, columns: &[usize]) -> bool {
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => columns.iter().any(|c| old.at(*c) != new.at(*c)),
            _ => true,
        }
    }
}

/// By how much the numbers of strong references to rows change.
#[derive(Default)]
struct Counts(BTreeMap<Place, i64>);

impl Counts {
    fn add(&mut self, db: &Db, change: &Change) {
        for link in db.links(change.table_at).iter().filter(|link| link.strong) {
            for (target, added) in moved(change, link) {
                *self.0.entry((link.table, target)).or_default() += if added { 1 } else { -1 };
            }
        }
    }

    fn total(&self, db: &Db, place: Place) -> i64 {
        let before = db
            .table_at(place.0)
            .and_then(|t| t.strong.get(&place.1))
            .copied();
        i64::from(before.unwrap_or(0)) + self.0.get(&place).copied().unwrap_or(0)
    }
}

/// The references that a change takes away (false) and adds (true) through a link. A row that
/// refers to itself is not kept alive by that: such references don't count.
fn moved(change: &Change, link: &Link) -> Vec<(Uuid, bool)> {
    let (old, new) = (change.old.as_deref(), change.new.as_deref());
    let data = old
        .zip(new)
        .map(|(old, new)| (old.at(link.column), new.at(link.column)));
    let mut moved: Vec<(Uuid, bool)> = match data {
        Some((Datum::Set(old), Datum::Set(new))) => {
            let differences = differences(old.as_slice(), new.as_slice()).into_iter();
            let uuid = |(atom, added): (&Atom, bool)| match atom {
                Atom::Uuid(uuid) => Some((*uuid, added)),
                _ => None,
            };
            differences.filter_map(uuid).collect()
        }
        Some((old, new)) if old == new => return Vec::new(),
        // A reference in a map may occur several times: each counts.
        _ => {
            let targets = |row: Option<&Row>| {
                let mut targets: Vec<Uuid> = row
                    .map(|row| link.targets(row).collect())
                    .unwrap_or_default();
                targets.sort_unstable();
                targets
            };
            let (old, new) = (targets(old), targets(new));
            differences(&old, &new)
                .into_iter()
                .map(|(uuid, added)| (*uuid, added))
                .collect()
        }
    };
    if link.strong && link.table == change.table_at {
        moved.retain(|(target, _)| *target != change.uuid);
    }
    moved
}

/// Whether a row refers weakly to another after a change, through any of its columns.
fn still_leads(change: &Change, links: &[Link], table: usize, target: Uuid) -> bool {
    let weak = links
        .iter()
        .filter(|link| !link.strong && link.table == table);
    change.new.as_deref().is_some_and(|row| {
        weak.into_iter()
            .any(|link| link.targets(row).any(|uuid| uuid == target))
    })
}

impl Db {
    /// Takes back a transaction that was committed, as long as no other came after it.
    pub fn revert(&mut self, delta: &Delta) {
        let back = delta.changes.iter().map(|c| Change {
            old: c.new.clone(),
            new: c.old.clone(),
            ..c.clone()
        });
        let changes: Vec<Change> = back.collect();
        for change in &changes {
            let Some(table) = self.table_mut(change.table_at) else {
                continue;
            };
            match &change.new {
                Some(row) => table.rows.insert(change.uuid, Arc::clone(row)),
                None => table.rows.remove(&change.uuid),
            };
        }
        self.relink(&changes);
    }

    /// Brings reference counts, weak references and indexes up to date with changed rows.
    pub(super) fn relink(&mut self, changes: &[Change]) {
        let links = Arc::clone(&self.links);
        for change in changes {
            let own = links.get(change.table_at).map_or(&[][..], Vec::as_slice);
            for link in own {
                for (target, added) in moved(change, link) {
                    if added || link.strong || !still_leads(change, own, link.table, target) {
                        self.count(link, target, change.place(), added);
                    }
                }
            }
        }
        // All that goes before all that comes: a name may move from one row to another.
        for change in changes {
            self.reindex(change, change.old.as_ref(), false);
        }
        for change in changes {
            self.reindex(change, change.new.as_ref(), true);
        }
    }

    fn reindex(&mut self, change: &Change, row: Option<&Arc<Row>>, add: bool) {
        let (Some(row), Some(table)) = (row, self.table_mut(change.table_at)) else {
            return;
        };
        let schema = Arc::clone(&table.schema);
        for (columns, index) in schema.indexes.iter().zip(&mut table.indexes) {
            if !change.moves(columns) {
                continue;
            }
            let key = index_key(columns, row);
            if add {
                index.insert(key, change.uuid);
            } else {
                index.remove(&key);
            }
        }
    }

    fn count(&mut self, link: &Link, target: Uuid, from: Place, add: bool) {
        let Some(table) = self.table_mut(link.table) else {
            return;
        };
        if !link.strong {
            let sources = table.weak.entry(target).or_default();
            if add {
                sources.insert(from);
            } else {
                sources.remove(&from);
            }
            if sources.is_empty() {
                table.weak.remove(&target);
            }
            return;
        }
        let count = table.strong.entry(target).or_default();
        *count = if add {
            *count + 1
        } else {
            count.saturating_sub(1)
        };
        if *count == 0 {
            table.strong.remove(&target);
        }
    }
}
