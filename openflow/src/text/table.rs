//! Tables: what they count and how they are set.

use std::fmt::Write as _;

use super::Style;
use super::bits::{put_bits, put_table};
use super::table_features::put_features;
use crate::message::{
    Eviction, TableDesc, TableMiss, TableMod, TableReason, TableStats, TableStatus, Vacancy,
};
use crate::version::Version;

const EVICTION: [(u32, &str); 3] = [(1, "OTHER"), (1 << 1, "IMPORTANCE"), (1 << 2, "LIFETIME")];

fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

pub(super) fn miss(miss: TableMiss) -> &'static str {
    match miss {
        TableMiss::Default => "default",
        TableMiss::Controller => "controller",
        TableMiss::Continue => "continue",
        TableMiss::Drop => "drop",
    }
}

pub(super) fn put_mod(out: &mut String, change: &TableMod, style: Style<'_>) {
    match change.table {
        None => out.push_str(" table_id: ALL_TABLES"),
        Some(table) => {
            out.push_str(" table_id=");
            put_table(out, table, style.names);
        }
    }
    if change.miss != TableMiss::Default {
        let _ = write!(out, ", flow_miss_config={}", miss(change.miss));
    }
    if let Some(eviction) = change.eviction {
        // What goes first can't be chosen.
        let told = match eviction.flags {
            Some(_) => "***error***",
            None => on_off(eviction.enabled),
        };
        let _ = write!(out, ", eviction={told}");
    }
    if let Some(vacancy) = change.vacancy {
        let _ = write!(out, ", vacancy={}", on_off(vacancy.enabled));
        if vacancy.enabled {
            let (down, up) = (vacancy.down_percent, vacancy.up_percent);
            let _ = write!(out, " vacancy:{down},{up}");
        }
    }
}

fn put_eviction(out: &mut String, eviction: Option<Eviction>) {
    let Some(eviction) = eviction else { return };
    let _ = write!(
        out,
        "   eviction={} eviction_flags=",
        on_off(eviction.enabled)
    );
    put_bits(out, eviction.flags.unwrap_or(0), &EVICTION, '|');
    out.push('\n');
}

fn put_vacancy(out: &mut String, vacancy: Option<Vacancy>) {
    let Some(vacancy) = vacancy else { return };
    let _ = write!(out, "   vacancy={}", on_off(vacancy.enabled));
    if vacancy.enabled {
        let (down, up, now) = (
            vacancy.down_percent,
            vacancy.up_percent,
            vacancy.vacancy_percent,
        );
        let _ = write!(out, " vacancy_down={down}% vacancy_up={up}% vacancy={now}%");
    }
    out.push('\n');
}

fn put_desc(out: &mut String, desc: &TableDesc, style: Style<'_>) {
    out.push_str("\n  table ");
    put_table(out, desc.table, style.names);
    out.push_str(":\n");
    put_eviction(out, desc.eviction);
    put_vacancy(out, desc.vacancy);
}

pub(super) fn put_descs(out: &mut String, tables: &[TableDesc], style: Style<'_>) {
    for table in tables {
        put_desc(out, table, style);
    }
}

pub(super) fn put_status(out: &mut String, status: &TableStatus, style: Style<'_>) {
    let reason = match status.reason {
        TableReason::VacancyDown => "VACANCY_DOWN",
        TableReason::VacancyUp => "VACANCY_UP",
    };
    let _ = write!(out, " reason={reason}\ntable_desc:-");
    put_desc(out, &status.table, style);
}

/// Tables with what they count; several alike behind each other are told at once.
pub(super) fn put_stats(
    out: &mut String,
    tables: &[TableStats],
    version: Version,
    style: Style<'_>,
) {
    out.push('\n');
    let mut list = List::default();
    let mut previous: Option<&TableStats> = None;
    let mut rest = tables;
    while let Some((table, others)) = rest.split_first() {
        let alike = previous.map_or(0, |previous| {
            let unnamed = |t: &&TableStats| t.features.name.is_empty();
            rest.iter()
                .take_while(|t| unnamed(t) && same(previous, t))
                .count()
        });
        if alike > 0 {
            list.put_ditto(out, table.table, rest[alike - 1].table, style);
            rest = &rest[alike..];
            continue;
        }
        rest = others;
        if previous.is_some_and(|previous| same(previous, table)) {
            list.put_named_ditto(out, table.table, &table.features.name, style);
            continue;
        }
        list.begin(out);
        put_table_stats(out, table, previous, version, style);
        previous = Some(table);
    }
}

/// A list of tables, with an empty line between.
#[derive(Default)]
pub(super) struct List {
    /// Whether an empty line comes before the next.
    apart: bool,
}

impl List {
    /// Begins an entry.
    pub(super) fn begin(&mut self, out: &mut String) {
        if std::mem::replace(&mut self.apart, true) {
            out.push('\n');
        }
    }

    /// Tables that are like the one before.
    pub(super) fn put_ditto(&mut self, out: &mut String, first: u8, last: u8, style: Style<'_>) {
        self.begin(out);
        if first == last {
            out.push_str("  table ");
            put_table(out, first, style.names);
        } else {
            let _ = write!(out, "  tables {first}...{last}");
        }
        out.push_str(": ditto\n");
    }

    /// A table with a name that is like the one before; no empty line follows it.
    pub(super) fn put_named_ditto(
        &mut self,
        out: &mut String,
        table: u8,
        name: &str,
        style: Style<'_>,
    ) {
        self.begin(out);
        out.push_str("  table ");
        put_table(out, table, style.names);
        let _ = writeln!(out, " (\"{name}\"): ditto");
        self.apart = false;
    }
}

fn same(a: &TableStats, b: &TableStats) -> bool {
    let counts = |t: &TableStats| (t.active_count, t.lookup_count, t.matched_count);
    counts(a) == counts(b) && super::table_features::same(&a.features, &b.features)
}

fn put_table_stats(
    out: &mut String,
    table: &TableStats,
    previous: Option<&TableStats>,
    version: Version,
    style: Style<'_>,
) {
    out.push_str("  table ");
    put_table(out, table.table, style.names);
    if !table.features.name.is_empty() {
        let _ = write!(out, " (\"{}\")", table.features.name);
    }
    let (active, lookup, matched) = (table.active_count, table.lookup_count, table.matched_count);
    let _ = write!(
        out,
        ":\n    active={active}, lookup={lookup}, matched={matched}\n"
    );
    if version < Version::OpenFlow13 {
        put_features(
            out,
            &table.features,
            previous.map(|table| &table.features),
            version,
        );
    }
}
