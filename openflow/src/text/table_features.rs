//! What tables can do.

use std::fmt::Write as _;

use aorta_flow::field::FieldId;

use super::Style;
use super::bits::put_bits;
use super::table::{List, miss};
use crate::message::{TableAbilities, TableFeatures, TableMiss};
use crate::version::Version;

const INSTRUCTIONS: [(u32, &str); 6] = [
    (1 << 6, "meter"),
    (1 << 4, "apply_actions"),
    (1 << 5, "clear_actions"),
    (1 << 3, "write_actions"),
    (1 << 2, "write_metadata"),
    (1 << 1, "goto_table"),
];

/// Actions of OpenFlow 1.1 by their types.
pub(super) const ACTIONS_11: [(u32, &str); 23] = [
    (1, "output"),
    (1 << 22, "group"),
    (1 << 1, "set_vlan_vid"),
    (1 << 2, "set_vlan_pcp"),
    (1 << 18, "strip_vlan"),
    (1 << 17, "push_vlan"),
    (1 << 3, "mod_dl_src"),
    (1 << 4, "mod_dl_dst"),
    (1 << 5, "mod_nw_src"),
    (1 << 6, "mod_nw_dst"),
    (1 << 7, "mod_nw_tos"),
    (1 << 8, "mod_nw_ecn"),
    (1 << 23, "mod_nw_ttl"),
    (1 << 9, "mod_tp_src"),
    (1 << 10, "mod_tp_dst"),
    (1 << 24, "dec_ttl"),
    (1 << 13, "set_mpls_label"),
    (1 << 14, "set_mpls_tc"),
    (1 << 15, "set_mpls_ttl"),
    (1 << 16, "dec_mpls_ttl"),
    (1 << 19, "push_mpls"),
    (1 << 20, "pop_mpls"),
    (1 << 21, "set_queue"),
];

/// Actions of OpenFlow 1.2 and later by their types.
pub(super) const ACTIONS_12: [(u32, &str); 12] = [
    (1, "output"),
    (1 << 22, "group"),
    (1 << 25, "set_field"),
    (1 << 18, "strip_vlan"),
    (1 << 17, "push_vlan"),
    (1 << 23, "mod_nw_ttl"),
    (1 << 24, "dec_ttl"),
    (1 << 15, "set_mpls_ttl"),
    (1 << 16, "dec_mpls_ttl"),
    (1 << 19, "push_mpls"),
    (1 << 20, "pop_mpls"),
    (1 << 21, "set_queue"),
];

/// Tables one after the other; several alike behind each other are told at once.
pub(super) fn put_tables(
    out: &mut String,
    tables: &[TableFeatures],
    version: Version,
    style: Style<'_>,
) {
    out.push('\n');
    let mut list = List::default();
    let mut previous: Option<&TableFeatures> = None;
    let mut rest = tables;
    while let Some((table, others)) = rest.split_first() {
        let alike = previous.map_or(0, |previous| {
            let unnamed = |t: &&TableFeatures| t.name.is_empty();
            rest.iter()
                .take_while(|t| unnamed(t) && same(previous, t))
                .count()
        });
        if alike > 0 {
            list.put_ditto(out, table.table, rest[alike - 1].table, style);
            previous = rest.get(alike - 1);
            rest = &rest[alike..];
            continue;
        }
        rest = others;
        if previous.is_some_and(|previous| same(previous, table)) {
            list.put_named_ditto(out, table.table, &table.name, style);
        } else {
            list.begin(out);
            let _ = write!(out, "  table {}", table.table);
            if !table.name.is_empty() {
                let _ = write!(out, " (\"{}\")", table.name);
            }
            out.push_str(":\n");
            put_features(out, table, previous, version);
        }
        previous = Some(table);
    }
}

/// Whether all tables behind the own one can follow.
fn reaches_all(table: u8, next: &[u8], last: u8) -> bool {
    next.iter().copied().eq(table.saturating_add(1)..=last)
}

fn same_next(a: (u8, &[u8]), b: (u8, &[u8])) -> bool {
    let last = a.1.last().or(b.1.last()).copied();
    a.1 == b.1
        || last.is_some_and(|last| {
            reaches_all(a.0, a.1, last) && reaches_all(b.0, b.1, last) && !b.1.is_empty()
        })
}

fn same_abilities(a: (u8, &TableAbilities), b: (u8, &TableAbilities)) -> bool {
    let rest = |abilities: &TableAbilities| TableAbilities {
        next: Vec::new(),
        ..abilities.clone()
    };
    same_next((a.0, &a.1.next), (b.0, &b.1.next)) && rest(a.1) == rest(b.1)
}

fn same_instructions(a: &TableFeatures, b: &TableFeatures) -> bool {
    same_abilities((a.table, &a.nonmiss), (b.table, &b.nonmiss))
        && same_abilities((a.table, &a.miss), (b.table, &b.miss))
}

fn same_matching(a: &TableFeatures, b: &TableFeatures) -> bool {
    a.matching == b.matching && a.mask == b.mask && a.wildcard == b.wildcard
}

/// Whether two tables can do the same.
pub(super) fn same(a: &TableFeatures, b: &TableFeatures) -> bool {
    let plain = |t: &TableFeatures| {
        let metadata = (t.metadata_match, t.metadata_write);
        let events = (t.supports_eviction, t.supports_vacancy_events);
        (metadata, events, t.miss_config, t.max_entries)
    };
    plain(a) == plain(b) && same_instructions(a, b) && same_matching(a, b)
}

/// What a table can do, as far as it isn't what the one before can.
pub(super) fn put_features(
    out: &mut String,
    table: &TableFeatures,
    previous: Option<&TableFeatures>,
    version: Version,
) {
    if previous.is_some_and(|previous| same(previous, table)) {
        out.push_str("    (same features)\n");
        return;
    }
    if table.metadata_match != 0 || table.metadata_write != 0 {
        let (read, write) = (table.metadata_match, table.metadata_write);
        let _ = writeln!(out, "    metadata: match={read:#x} write={write:#x}");
    }
    if table.miss_config != TableMiss::Default {
        let _ = writeln!(out, "    config={}", miss(table.miss_config));
    }
    if version >= Version::OpenFlow14 {
        let supported = |yes| if yes { "supported" } else { "not supported" };
        let (eviction, vacancy) = (
            supported(table.supports_eviction),
            supported(table.supports_vacancy_events),
        );
        let _ = write!(
            out,
            "    eviction: {eviction}\n    vacancy events: {vacancy}\n"
        );
    }
    if table.max_entries != 0 {
        let _ = writeln!(out, "    max_entries={}", table.max_entries);
    }
    put_instructions(out, table, previous, version);
    put_matching(out, table, previous, version);
}

fn put_instructions(
    out: &mut String,
    table: &TableFeatures,
    previous: Option<&TableFeatures>,
    version: Version,
) {
    if version == Version::OpenFlow10 {
        return;
    }
    if previous.is_some_and(|previous| same_instructions(previous, table)) {
        out.push_str("    (same instructions)\n");
        return;
    }
    if table.nonmiss == table.miss {
        out.push_str("    instructions (table miss and others):\n");
        put_abilities(out, &table.nonmiss, previous.map(|t| &t.nonmiss), version);
    } else {
        out.push_str("    instructions (other than table miss):\n");
        put_abilities(out, &table.nonmiss, previous.map(|t| &t.nonmiss), version);
        out.push_str("    instructions (table miss):\n");
        put_abilities(out, &table.miss, previous.map(|t| &t.miss), version);
    }
}

/// Numbers with runs of them shortened.
fn runs(numbers: &[u8]) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut rest = numbers;
    while let Some(first) = rest.first() {
        let run = rest
            .iter()
            .zip(*first..)
            .take_while(|(a, b)| **a == *b)
            .count();
        let last = rest[run.max(1) - 1];
        parts.push(match first == &last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        });
        rest = &rest[run.max(1)..];
    }
    parts.join(",")
}

fn put_abilities(
    out: &mut String,
    abilities: &TableAbilities,
    previous: Option<&TableAbilities>,
    version: Version,
) {
    if !abilities.next.is_empty() {
        let _ = writeln!(out, "      next tables: {}", runs(&abilities.next));
    }
    out.push_str("      instructions: ");
    put_instruction_names(out, abilities.instructions);
    out.push('\n');
    let actions = |a: &TableAbilities| {
        let write = (a.write_actions.clone(), a.write_set_fields.clone());
        (write, (a.apply_actions.clone(), a.apply_set_fields.clone()))
    };
    if previous.is_some_and(|previous| actions(previous) == actions(abilities)) {
        out.push_str("      (same actions)\n");
        return;
    }
    let (write, apply) = actions(abilities);
    if write == apply {
        out.push_str("      Write-Actions and Apply-Actions features:\n");
        put_actions(out, &write.0, &write.1, version);
    } else {
        out.push_str("      Write-Actions features:\n");
        put_actions(out, &write.0, &write.1, version);
        out.push_str("      Apply-Actions features:\n");
        put_actions(out, &apply.0, &apply.1, version);
    }
}

fn put_instruction_names(out: &mut String, bits: u32) {
    let known = INSTRUCTIONS.iter().filter(|(bit, _)| bits & bit != 0);
    let names: Vec<&str> = known.map(|(_, name)| *name).collect();
    match names.is_empty() {
        true => put_bits(out, bits, &[], ' '),
        false => out.push_str(&names.join(" ")),
    }
}

fn put_actions(out: &mut String, types: &[u16], fields: &[FieldId], version: Version) {
    let known = types.iter().filter(|number| **number < 32);
    let bits = known.fold(0, |bits, number| bits | 1 << number);
    out.push_str("        actions: ");
    super::port::put_actions(out, bits, version);
    out.push('\n');
    if !fields.is_empty() {
        out.push_str("        supported on Set-Field: ");
        out.push_str(&field_names(fields, version));
        out.push('\n');
    }
}

fn put_matching(
    out: &mut String,
    table: &TableFeatures,
    previous: Option<&TableFeatures>,
    version: Version,
) {
    if previous.is_some_and(|previous| same_matching(previous, table)) {
        out.push_str("    (same matching)\n");
        return;
    }
    out.push_str("    matching:\n");
    let of = |masked: bool, wildcard: bool| -> Vec<FieldId> {
        let fields = table.matching.iter().copied();
        let wanted = fields.filter(|field| {
            table.mask.contains(field) == masked && table.wildcard.contains(field) == wildcard
        });
        wanted.collect()
    };
    for (title, fields) in [
        ("arbitrary mask", of(true, true)),
        ("exact match or wildcard", of(false, true)),
        ("must exact match", of(false, false)),
    ] {
        if !fields.is_empty() {
            let _ = writeln!(out, "      {title}: {}", field_names(&fields, version));
        }
    }
}

/// Names of fields with what they begin with told once, and runs of numbers shortened. Those that
/// only later versions than OpenFlow 1.2 have are left out in 1.2.
fn field_names(fields: &[FieldId], version: Version) -> String {
    let later = |field: &FieldId| {
        let since = field.field().oxm.map(|code| code.since);
        version == Version::OpenFlow12 && since.is_some_and(|since| since > version)
    };
    let known = fields.iter().filter(|field| !later(field));
    let names: Vec<&str> = known.map(|field| field.name()).collect();
    shortened(&names, ' ')
}

/// The part of a name up to its first underscore.
fn prefix(name: &str) -> Option<&str> {
    name.find('_').map(|at| &name[..=at])
}

/// A name's letters and the number behind them.
fn numbered(name: &str) -> Option<(&str, u32)> {
    let letters = name.trim_end_matches(|c: char| c.is_ascii_digit());
    Some((letters, name[letters.len()..].parse().ok()?))
}

fn shortened(names: &[&str], separator: char) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut rest = names;
    while let Some((name, _)) = rest.split_first() {
        let common = prefix(name).map_or(0, |start| {
            rest.iter()
                .take_while(|other| other.starts_with(start))
                .count()
        });
        let run = run_len(rest);
        if let Some(start) = prefix(name).filter(|_| common > 1) {
            let ends: Vec<&str> = rest[..common].iter().map(|n| &n[start.len()..]).collect();
            parts.push(format!("{start}{{{}}}", shortened(&ends, ',')));
            rest = &rest[common..];
        } else if run > 1 {
            parts.push(format!("{name}...{}", rest[run - 1]));
            rest = &rest[run..];
        } else {
            parts.push((*name).to_owned());
            rest = &rest[1..];
        }
    }
    parts.join(&separator.to_string())
}

/// How many names differ from the one before by a number that is one more.
fn run_len(names: &[&str]) -> usize {
    let numbers: Vec<Option<(&str, u32)>> = names.iter().map(|name| numbered(name)).collect();
    let follows = |pair: &[Option<(&str, u32)>]| match pair {
        [Some((a, x)), Some((b, y))] => a == b && x + 1 == *y,
        _ => false,
    };
    1 + numbers.windows(2).take_while(|pair| follows(pair)).count()
}
