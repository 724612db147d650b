//! Tables that have room for so many flows only.

use super::{Change, RemovedReason, TableError, TableFlow, Tables};

/// How many flows a table has room for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TableLimit {
    /// So many.
    pub max_flows: usize,
    /// Whether a new flow may take the place of another (OpenFlow 1.4.1 §5.5). Only flows with a
    /// timeout go: first those of the lowest importance, of these the oldest.
    pub evicts: bool,
}

impl Tables {
    /// Limits a table, or not any more. Flows that are too many go, if the limit says so.
    pub fn set_limit(&mut self, table: u8, limit: Option<TableLimit>) -> Vec<Change> {
        let Some(limit) = limit else {
            self.limits.remove(&table);
            return Vec::new();
        };
        self.limits.insert(table, limit);
        let there = self.table(table).map_or(0, |table| table.len());
        let mut changes = Vec::new();
        while limit.evicts && there - changes.len() > limit.max_flows {
            match self.evict(table) {
                Some(change) => changes.push(change),
                None => break,
            }
        }
        changes
    }

    /// The limit of a table.
    pub fn limit(&self, table: u8) -> Option<TableLimit> {
        self.limits.get(&table).copied()
    }

    /// Makes room for one more flow.
    pub(super) fn make_room(&mut self, table: u8) -> Result<Option<Change>, TableError> {
        let there = self.table(table).map_or(0, |table| table.len());
        match self.limit(table) {
            Some(limit) if there >= limit.max_flows => {
                let evicted = limit.evicts.then(|| self.evict(table)).flatten();
                match evicted {
                    Some(change) => Ok(Some(change)),
                    None => Err(TableError::TableFull {
                        table,
                        max_flows: limit.max_flows,
                    }),
                }
            }
            _ => Ok(None),
        }
    }

    fn evict(&mut self, table: u8) -> Option<Change> {
        let timed =
            |entry: &&TableFlow| entry.flow.idle_timeout_s != 0 || entry.flow.hard_timeout_s != 0;
        let candidates = self.table(table)?.entries().filter(timed);
        let victim = candidates.min_by_key(|entry| (entry.flow.importance, entry.id));
        let victim = victim?.clone();
        self.remove(vec![victim], RemovedReason::Eviction).pop()
    }
}
