//! How much the engine holds, for who asks (`memory/show`).
use super::Engine;
use crate::db::Db;
use crate::value::{Atom, Datum};

/// How much a running store holds. `_Server` counts, too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Values within columns.
    pub atoms: u64,
    /// Bytes that clients have yet to read.
    pub backlog_bytes: u64,
    /// Columns of all rows.
    pub cells: u64,
    /// Monitors of all clients.
    pub monitors: u64,
    /// Clients.
    pub sessions: u64,
    /// Transactions that wait for something to become true.
    pub triggers: u64,
    /// Whether the log can't be relied on, because the disk has refused to flush it.
    pub untrusted: bool,
    /// Weak references between rows.
    pub weak_refs: u64,
}

impl Engine {
    /// How much there is at this moment. Walks through all rows.
    pub(super) fn usage(&self) -> Usage {
        let mut usage = Usage {
            sessions: self.sessions.len() as u64,
            triggers: self.blocked.len() as u64,
            untrusted: self.log().is_some_and(|log| log.check().is_err()),
            ..Usage::default()
        };
        for session in self.sessions.values() {
            usage.monitors += session.monitors.len() as u64;
            usage.backlog_bytes += session.outbox.backlog() as u64;
        }
        for database in &self.databases {
            usage.add(&database.db);
        }
        usage
    }
}

impl Usage {
    fn add(&mut self, db: &Db) {
        for table in db.tables() {
            // Identity and version are columns as well.
            let columns = table.schema().columns.len() as u64 + 2;
            self.cells += columns * table.len() as u64;
            for row in table.rows() {
                self.atoms += 2;
                self.atoms += row.values().iter().map(atoms).sum::<u64>();
            }
            for (at, column) in table.schema().columns.iter().enumerate() {
                for (base, values) in [
                    (Some(&column.ty.key), false),
                    (column.ty.value.as_ref(), true),
                ] {
                    let weak = base.and_then(|base| base.reference.as_ref());
                    if weak.is_some_and(|reference| !reference.strong) {
                        let count =
                            |row: &std::sync::Arc<crate::Row>| references(row.at(at), values);
                        self.weak_refs += table.rows().map(count).sum::<u64>();
                    }
                }
            }
        }
    }
}

fn atoms(datum: &Datum) -> u64 {
    match datum {
        Datum::Set(set) => set.len() as u64,
        Datum::Map(map) => 2 * map.len() as u64,
    }
}

fn references(datum: &Datum, values: bool) -> u64 {
    match datum {
        Datum::Set(_) => datum.uuids().count() as u64,
        Datum::Map(map) => {
            let ends = map
                .iter()
                .map(|(key, value)| if values { value } else { key });
            ends.filter(|atom| matches!(atom, Atom::Uuid(_))).count() as u64
        }
    }
}
