//! A check of the bookkeeping, independent of the code that keeps it: for tests and fuzzing.
use std::collections::{BTreeMap, BTreeSet, HashMap};

use uuid::Uuid;

use super::{Db, Place, Table};
use crate::value::Datum;

impl Db {
    /// Recounts references and rebuilds indexes from the rows alone, and compares.
    ///
    /// # Errors
    /// Words about the first difference.
    pub fn audit(&self) -> Result<(), String> {
        let mut strong: BTreeMap<Place, u32> = BTreeMap::new();
        let mut weak: BTreeMap<Place, BTreeSet<Place>> = BTreeMap::new();
        for (at, table) in self.tables.iter().enumerate() {
            for row in table.rows() {
                for link in self.links(at) {
                    for target in link.targets(row).map(|uuid| (link.table, uuid)) {
                        if self.row_at(target).is_none() {
                            return Err(format!("{} refers to missing {target:?}", row.uuid()));
                        }
                        if link.strong && target == (at, row.uuid()) {
                            continue;
                        }
                        if link.strong {
                            *strong.entry(target).or_default() += 1;
                        } else {
                            weak.entry(target).or_default().insert((at, row.uuid()));
                        }
                    }
                }
            }
        }
        for (at, table) in self.tables.iter().enumerate() {
            let kept = table.strong.iter().map(|(uuid, n)| ((at, *uuid), *n));
            compare("strong references", kept.collect(), of_table(&strong, at))?;
            let kept = table
                .weak
                .iter()
                .map(|(uuid, from)| ((at, *uuid), from.clone()));
            compare("weak references", kept.collect(), of_table(&weak, at))?;
            table.audit_rows(|uuid| strong.contains_key(&(at, uuid)))?;
        }
        Ok(())
    }
}

impl Table {
    fn audit_rows(&self, is_referred_to: impl Fn(Uuid) -> bool) -> Result<(), String> {
        let name = &self.schema.name;
        if self.len() > self.schema.max_rows {
            return Err(format!("{name} has {} rows", self.len()));
        }
        for row in self.rows() {
            let uuid = row.uuid();
            if !self.schema.is_root && !is_referred_to(uuid) {
                return Err(format!("{name} row {uuid} is garbage"));
            }
            for (column, value) in self.schema.columns.iter().zip(row.values()) {
                column
                    .ty
                    .check(value)
                    .map_err(|e| format!("{name}.{}: {e}", column.name))?;
            }
        }
        for (columns, index) in self.schema.indexes.iter().zip(&self.indexes) {
            let keys = self.rows().map(|row| {
                let key: Vec<Datum> = columns.iter().map(|c| row.at(*c).clone()).collect();
                (key, row.uuid())
            });
            let rebuilt: HashMap<Vec<Datum>, Uuid> = keys.collect();
            if rebuilt != *index || rebuilt.len() != self.len() {
                return Err(format!("{name} has a wrong index"));
            }
        }
        Ok(())
    }
}

fn of_table<T: Clone>(all: &BTreeMap<Place, T>, table: usize) -> BTreeMap<Place, T> {
    all.iter()
        .filter(|(place, _)| place.0 == table)
        .map(|(p, t)| (*p, t.clone()))
        .collect()
}

fn compare<T: PartialEq + std::fmt::Debug>(
    what: &str,
    kept: BTreeMap<Place, T>,
    counted: BTreeMap<Place, T>,
) -> Result<(), String> {
    if kept == counted {
        Ok(())
    } else {
        Err(format!("{what}: {kept:?} but {counted:?}"))
    }
}
