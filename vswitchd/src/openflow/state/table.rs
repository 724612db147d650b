//! What tables are told to be. Pure.

use std::collections::{BTreeMap, BTreeSet};

use aorta_flow::table::{MAX_TABLE, TableLimit, Tables};
use aorta_openflow::Version;
use aorta_openflow::message::{
    Eviction, TableAbilities, TableDesc, TableFeatures, TableMiss, TableMod, TableReason,
    TableStatus, Vacancy,
};

use super::abilities::with_abilities;
use crate::config::FlowTableRow;

/// Flows that a table says to have room for where nothing limits it.
pub const MAX_FLOWS: u32 = 1_000_000;
/// What goes first when a table is full: flows of little importance, then those that end soonest,
/// and of these the oldest.
const EVICTION_FLAGS: u32 = 1 | 2 | 4;

/// Numbers of all tables.
pub fn numbers() -> impl Iterator<Item = u8> {
    0..=MAX_TABLE
}

/// What controllers have asked of the tables of a bridge.
#[derive(Debug, Clone, Default)]
pub struct TableSettings {
    tables: BTreeMap<u8, Setting>,
}

#[derive(Debug, Clone, Default)]
struct Setting {
    configured: FlowTableRow,
    miss: TableMiss,
    evicts: bool,
    vacancy: Option<Watch>,
}

/// A table that tells how full it is.
#[derive(Debug, Clone, Copy)]
struct Watch {
    down_percent: u8,
    up_percent: u8,
    /// What is told next.
    next: TableReason,
}

impl TableSettings {
    /// Takes a change; the limits of tables that follow.
    pub fn change(&mut self, change: &TableMod, tables: &Tables) -> Vec<(u8, Option<TableLimit>)> {
        let chosen = numbers().filter(|table| change.table.is_none_or(|t| t == *table));
        let mut limits = Vec::new();
        for table in chosen {
            let setting = self.tables.entry(table).or_default();
            // From OpenFlow 1.4 on nothing is said of it.
            if change.miss != TableMiss::Default {
                setting.miss = change.miss;
            }
            if let Some(eviction) = change.eviction {
                setting.evicts = eviction.enabled;
                limits.push((table, setting.limit()));
            }
            if let Some(vacancy) = change.vacancy {
                let free = free_percent(tables, table);
                setting.vacancy = vacancy.enabled.then_some(Watch {
                    down_percent: vacancy.down_percent,
                    up_percent: vacancy.up_percent,
                    next: match free < vacancy.up_percent {
                        true => TableReason::VacancyUp,
                        false => TableReason::VacancyDown,
                    },
                });
            }
        }
        limits
    }

    /// Takes what the database says of the tables; the limits of those of which it says something
    /// else than before.
    pub fn configure(
        &mut self,
        rows: &BTreeMap<u8, FlowTableRow>,
    ) -> Vec<(u8, Option<TableLimit>)> {
        let known = self.tables.keys().chain(rows.keys()).copied();
        let known: BTreeSet<u8> = known.collect();
        let mut limits = Vec::new();
        for table in known {
            let row = rows.get(&table).cloned().unwrap_or_default();
            let setting = self.tables.entry(table).or_default();
            if setting.configured != row {
                setting.configured = row;
                limits.push((table, setting.limit()));
            }
        }
        limits
    }

    /// What a table is called; empty if it has no name.
    pub fn name(&self, table: u8) -> &str {
        let setting = self.tables.get(&table);
        let name = setting.and_then(|setting| setting.configured.name.as_deref());
        name.unwrap_or_default()
    }

    /// What a table does without a flow.
    pub fn miss(&self, table: u8) -> TableMiss {
        self.tables
            .get(&table)
            .map_or(TableMiss::Default, |s| s.miss)
    }

    /// What tables of which something was asked do without a flow.
    pub fn misses(&self) -> impl Iterator<Item = (u8, TableMiss)> {
        self.tables
            .iter()
            .map(|(table, setting)| (*table, setting.miss))
    }

    /// A table's settings as they are told.
    pub fn desc(&self, table: u8, tables: &Tables) -> TableDesc {
        let setting = self.tables.get(&table).cloned().unwrap_or_default();
        let watch = setting.vacancy;
        TableDesc {
            table,
            eviction: Some(Eviction {
                enabled: setting.evicts,
                flags: Some(EVICTION_FLAGS),
            }),
            vacancy: Some(Vacancy {
                enabled: watch.is_some(),
                down_percent: watch.map_or(0, |watch| watch.down_percent),
                up_percent: watch.map_or(0, |watch| watch.up_percent),
                vacancy_percent: watch.map_or(0, |_| free_percent(tables, table)),
            }),
        }
    }

    /// Tables that have become nearly full, or are so no more.
    pub fn crossed(&mut self, tables: &Tables) -> Vec<TableStatus> {
        let mut crossed = Vec::new();
        for (table, setting) in &mut self.tables {
            let Some(watch) = &mut setting.vacancy else {
                continue;
            };
            let free = free_percent(tables, *table);
            let (now, next) = match watch.next {
                TableReason::VacancyDown => (free < watch.down_percent, TableReason::VacancyUp),
                TableReason::VacancyUp => (free > watch.up_percent, TableReason::VacancyDown),
            };
            if now {
                crossed.push((*table, watch.next));
                watch.next = next;
            }
        }
        let told = |(table, reason)| TableStatus {
            reason,
            table: self.desc(table, tables),
        };
        crossed.into_iter().map(told).collect()
    }
}

impl Setting {
    /// How many flows the table has room for; none if it neither limits nor evicts.
    fn limit(&self) -> Option<TableLimit> {
        let evicts = self.evicts || self.configured.evicts;
        let room = self.configured.max_flows.map(|n| n as usize);
        (evicts || room.is_some()).then_some(TableLimit {
            max_flows: room.unwrap_or(usize::MAX),
            evicts,
        })
    }
}

/// How much of a table's room is free.
fn free_percent(tables: &Tables, table: u8) -> u8 {
    let flows = tables.table(table).map_or(0, |table| table.len());
    let limit = tables.limit(table).map(|limit| limit.max_flows);
    match limit
        .filter(|limit| *limit != usize::MAX)
        .unwrap_or(MAX_FLOWS as usize)
    {
        0 => 0,
        room => (room.saturating_sub(flows) * 100 / room) as u8,
    }
}

/// What a table is and can do.
pub fn features(
    table: u8,
    tables: &Tables,
    settings: &TableSettings,
    version: Version,
) -> TableFeatures {
    let limit = tables.limit(table).map(|limit| limit.max_flows);
    let room = limit.and_then(|room| u32::try_from(room).ok());
    let features = TableFeatures {
        table,
        command: 0,
        features: 1,
        // One that has no name is called by its number.
        name: settings.name(table).to_owned(),
        metadata_match: u64::MAX,
        metadata_write: u64::MAX,
        miss_config: settings.miss(table),
        supports_eviction: true,
        supports_vacancy_events: true,
        max_entries: room.unwrap_or(MAX_FLOWS),
        nonmiss: TableAbilities::default(),
        miss: TableAbilities::default(),
        matching: Vec::new(),
        mask: Vec::new(),
        wildcard: Vec::new(),
    };
    with_abilities(features, version)
}

#[cfg(test)]
mod tests {
    use aorta_flow::table::{FlowMod, Modification};
    use aorta_flow::text::{NoNames, parse_flow_line};

    use super::*;

    fn add(tables: &mut Tables, line: &str) {
        let (command, text) = parse_flow_line(line, &NoNames).unwrap();
        let add = Modification::Flow(FlowMod::from_text(command, text));
        tables.modify(&add).unwrap();
    }

    #[test]
    fn a_table_tells_once_that_it_is_nearly_full_and_once_that_it_is_not() {
        let mut tables = Tables::new();
        tables.set_limit(
            3,
            Some(TableLimit {
                max_flows: 4,
                evicts: false,
            }),
        );
        let mut settings = TableSettings::default();
        let watch = TableMod {
            table: Some(3),
            vacancy: Some(Vacancy {
                enabled: true,
                down_percent: 40,
                up_percent: 60,
                vacancy_percent: 0,
            }),
            ..TableMod::default()
        };
        assert_eq!(settings.change(&watch, &tables), []);
        assert_eq!(settings.crossed(&tables), []);
        for port in 1..=3 {
            add(&mut tables, &format!("table=3,in_port={port},actions=drop"));
        }
        let told = settings.crossed(&tables);
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].reason, TableReason::VacancyDown);
        assert_eq!(told[0].table.vacancy.unwrap().vacancy_percent, 25);
        assert_eq!(settings.crossed(&tables), []);
        let all = FlowMod {
            command: aorta_flow::text::Command::Delete,
            ..FlowMod::default()
        };
        tables.modify(&Modification::Flow(all)).unwrap();
        assert_eq!(settings.crossed(&tables)[0].reason, TableReason::VacancyUp);
    }

    #[test]
    fn eviction_is_asked_for_table_by_table_or_for_all() {
        let tables = Tables::new();
        let mut settings = TableSettings::default();
        let evict = |table, enabled| TableMod {
            table,
            eviction: Some(Eviction {
                enabled,
                flags: None,
            }),
            ..TableMod::default()
        };
        let limits = settings.change(&evict(Some(7), true), &tables);
        let evicts = Some(TableLimit {
            max_flows: usize::MAX,
            evicts: true,
        });
        assert_eq!(limits, [(7, evicts)]);
        assert!(settings.desc(7, &tables).eviction.unwrap().enabled);
        assert!(!settings.desc(8, &tables).eviction.unwrap().enabled);
        let limits = settings.change(&evict(None, false), &tables);
        assert_eq!((limits.len(), limits[7]), (254, (7, None)));
    }
}
