//! A transaction in progress: changes are made in place, and what was there before is kept.
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use uuid::Uuid;

use super::condition::{Clause, Condition, Function};
use super::{Change, ColumnRef, Db, Place, Table};
use crate::row::Row;
use crate::value::Symbols;

/// Changes to a database that can still be taken back.
pub(super) struct Transaction<'a> {
    pub(super) db: &'a mut Db,
    /// What each row touched so far was before the transaction.
    originals: BTreeMap<Place, Option<Arc<Row>>>,
    /// How often a row was written or changed.
    pub(super) writes: u64,
    pub(super) names: Names<'a>,
}

/// The named uuids of a transaction, and the source of new ones.
pub(super) struct Names<'a> {
    new_uuid: &'a mut dyn FnMut() -> Uuid,
    known: HashMap<String, Uuid>,
    inserted: BTreeSet<String>,
}

impl Symbols for Names<'_> {
    fn resolve(&mut self, name: &str) -> Option<Uuid> {
        if let Some(uuid) = self.known.get(name) {
            return Some(*uuid);
        }
        let uuid = self.fresh();
        self.known.insert(name.to_owned(), uuid);
        Some(uuid)
    }
}

impl Names<'_> {
    pub(super) fn fresh(&mut self) -> Uuid {
        (self.new_uuid)()
    }

    /// Gives `name` to the row that is being inserted under `wanted`, or else under the uuid that
    /// an earlier mention of the name made up; `None` if another row has the name. A mention
    /// before an insert with a wanted uuid refers to no row, as with ovsdb-server.
    pub(super) fn declare(&mut self, name: &str, wanted: Option<Uuid>) -> Option<Uuid> {
        if !self.inserted.insert(name.to_owned()) {
            return None;
        }
        if let Some(uuid) = wanted {
            self.known.insert(name.to_owned(), uuid);
        }
        self.resolve(name)
    }
}

impl<'a> Transaction<'a> {
    pub(super) fn new(db: &'a mut Db, new_uuid: &'a mut dyn FnMut() -> Uuid) -> Self {
        let names = Names {
            new_uuid,
            known: HashMap::new(),
            inserted: BTreeSet::new(),
        };
        Self {
            db,
            originals: BTreeMap::new(),
            writes: 0,
            names,
        }
    }

    /// Whether the row was there before the transaction, which has touched it.
    pub(super) fn had_before(&self, place: Place) -> bool {
        self.originals.get(&place).is_some_and(Option::is_some)
    }

    /// What the row was before the transaction touched it: `Some(None)` if it wasn't there,
    /// `None` if it is untouched.
    pub(super) fn before(&self, place: Place) -> Option<Option<&Row>> {
        self.originals.get(&place).map(Option::as_deref)
    }

    /// Every row that the transaction has changed, made or deleted.
    pub(super) fn touched(&self) -> impl Iterator<Item = Place> {
        self.originals.keys().copied()
    }

    /// Puts a row in, or takes it out.
    pub(super) fn write(&mut self, place: Place, row: Option<Arc<Row>>) {
        let Some(table) = self.db.table_mut(place.0) else {
            return;
        };
        let old = match row {
            Some(row) => table.rows.insert(place.1, row),
            None => table.rows.remove(&place.1),
        };
        self.originals.entry(place).or_insert(old);
        self.writes += 1;
    }

    /// Changes a row in place.
    ///
    /// # Errors
    /// Those of `change`; the row may then be half changed, and the transaction must be undone.
    pub(super) fn modify<E>(
        &mut self,
        place: Place,
        change: impl FnOnce(&mut Row) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(table) = self.db.table_mut(place.0) else {
            return Ok(());
        };
        let Some(row) = table.rows.get_mut(&place.1) else {
            return Ok(());
        };
        self.originals
            .entry(place)
            .or_insert_with(|| Some(Arc::clone(row)));
        self.writes += 1;
        change(Arc::make_mut(row))
    }

    /// The rows of a table for which a condition holds.
    pub(super) fn find(&self, table_at: usize, condition: &Condition) -> Vec<Uuid> {
        let Some(table) = self.db.table_at(table_at) else {
            return Vec::new();
        };
        let holds = |row: &Arc<Row>| condition.matches_all(row).then(|| row.uuid());
        match self.candidates(table_at, table, condition) {
            Some(few) => few
                .into_iter()
                .filter_map(|uuid| holds(table.row(uuid)?))
                .collect(),
            None => table.rows().filter_map(holds).collect(),
        }
    }

    /// The only rows for which a condition can hold, if a clause narrows them down cheaply.
    fn candidates(&self, at: usize, table: &Table, condition: &Condition) -> Option<Vec<Uuid>> {
        condition.clauses.iter().find_map(|clause| match clause {
            Clause::Test {
                column: ColumnRef::Uuid,
                function: Function::Eq | Function::Includes,
                arg,
            } => Some(arg.uuids().collect()),
            Clause::Test {
                column: ColumnRef::At(column),
                function: Function::Eq,
                arg,
            } => {
                let indexed = table.find_indexed(*column, arg)?;
                // The index tells of the last commit: rows touched since are looked at, too.
                let range = (at, Uuid::nil())..=(at, Uuid::max());
                let touched = self.originals.range(range).map(|((_, uuid), _)| *uuid);
                let mut uuids: Vec<Uuid> = touched.chain(indexed).collect();
                uuids.sort_unstable();
                uuids.dedup();
                Some(uuids)
            }
            _ => None,
        })
    }

    /// The rows whose values are now others than before, in order.
    pub(super) fn changes(&self) -> Vec<Change> {
        let changes = self.originals.iter().filter_map(|(place, old)| {
            let new = self.db.row_at(*place);
            match (old, new) {
                (None, None) => return None,
                (Some(old), Some(new)) if old.values() == new.values() => return None,
                _ => {}
            }
            let table = Arc::clone(&self.db.table_at(place.0)?.schema.name);
            let (old, new) = (old.clone(), new.cloned());
            Some(Change {
                table,
                uuid: place.1,
                old,
                new,
                table_at: place.0,
            })
        });
        changes.collect()
    }

    /// Takes everything back.
    pub(super) fn undo(self) {
        for ((table, uuid), old) in self.originals {
            let Some(table) = self.db.table_mut(table) else {
                continue;
            };
            match old {
                Some(row) => table.rows.insert(uuid, row),
                None => table.rows.remove(&uuid),
            };
        }
    }
}
