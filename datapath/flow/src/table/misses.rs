//! What becomes of packets that no flow of a table matches.

use std::collections::BTreeMap;

use super::{MAX_TABLE, Tables};
use crate::action::{Controller, PacketInReason};

/// What a table does with a packet that none of its flows matches, and that didn't come by
/// `resubmit` (`ofp_table_config`, OpenFlow 1.1.0 §A.3.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Miss {
    /// It does nothing (what OpenFlow has done since 1.3).
    #[default]
    Drop,
    /// Controllers get it.
    Controller,
    /// It goes on in the next table.
    Continue,
}

/// What the tables of a bridge do so.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Misses {
    /// Tables of which something particular is asked.
    pub tables: BTreeMap<u8, Miss>,
    /// All others.
    pub others: Miss,
}

/// Where a packet goes that a table has no flow for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AfterMiss {
    /// Nowhere.
    Drop,
    /// To controllers, from this table.
    Controller(u8),
    /// To this table, which has flows.
    Table(u8),
}

impl Misses {
    /// What a table does.
    pub fn of(&self, table: u8) -> Miss {
        self.tables.get(&table).copied().unwrap_or(self.others)
    }

    /// Whether no table does anything.
    pub fn are_dropped(&self) -> bool {
        let mut all = self.tables.values().chain([&self.others]);
        all.all(|miss| *miss == Miss::Drop)
    }

    /// How controllers get what no flow matches.
    pub fn told() -> Controller {
        Controller {
            reason: PacketInReason::NoMatch,
            ..Controller::default()
        }
    }
}

impl Tables {
    /// What the tables do with packets that no flow matches.
    pub fn misses(&self) -> &Misses {
        &self.misses
    }

    /// Has the tables do so. Whoever keeps a copy is to be given all of the tables then.
    pub fn set_misses(&mut self, misses: Misses) {
        self.misses = misses;
    }

    /// Where a packet goes that a table has no flow for.
    pub fn after_miss(&self, table: u8) -> AfterMiss {
        for number in table..=MAX_TABLE {
            if number > table && self.table(number).is_some() {
                return AfterMiss::Table(number);
            }
            match self.misses.of(number) {
                Miss::Drop => return AfterMiss::Drop,
                Miss::Controller => return AfterMiss::Controller(number),
                Miss::Continue => {}
            }
        }
        AfterMiss::Controller(MAX_TABLE)
    }
}
