//! How tables are compiled, as `explain` prints it; and flows counted by table.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use aorta_api::{CardExplain, FlowDump, FlowExplain};
use serde_json::{Value, json};

use super::trace::at;
use crate::commands::switch::{ALIGNED, Colour, guards_text};
use crate::table::{Cell, Table};

/// What `explain` prints.
pub fn text(bridge: &str, explain: &FlowExplain, colour: Colour) -> String {
    let heading = colour.paint("1", &format!("Bridge {bridge}"));
    let flows: u64 = explain.tables.iter().map(|table| table.flows).sum();
    let mut out = format!(
        "{heading}  {} in {}, {}",
        counted(flows, "flow"),
        counted(explain.tables.len() as u64, "table"),
        at(&explain.hook)
    );
    if !explain.why.is_empty() {
        let _ = write!(out, ": {}", explain.why);
    }
    out.push('\n');
    if explain.program_insns > 0 {
        let _ = writeln!(
            out,
            "  one program of {}, loaded in {:.1} ms",
            counted(explain.program_insns, "instruction"),
            explain.load_ms
        );
    }
    let guards = explain.guards.iter();
    out.push_str(&guards_text(
        guards.map(|(port, guard)| (port.as_str(), guard)),
    ));
    if explain.tables.is_empty() {
        return out + &cards(explain);
    }
    out.push('\n');
    out.push_str(&tables(explain));
    out.push_str(&cards(explain));
    for table in &explain.tables {
        if table.cheaper.is_empty() {
            continue;
        }
        let _ = writeln!(out, "\n  table {} would be cheaper:", table.table);
        for sentence in &table.cheaper {
            let _ = writeln!(out, "    {sentence}");
        }
    }
    out
}

/// What network cards have of the flows, and which flows are where.
fn cards(explain: &FlowExplain) -> String {
    let mut out = String::new();
    for card in &explain.cards {
        let CardExplain { name, language, .. } = card;
        let ports = card.ports.join(", ");
        let _ = write!(out, "\n  nic({name}), ports {ports}, by {language}: ");
        let _ = match card.trouble.as_str() {
            "" => writeln!(
                out,
                "{} by {}, {} of which leave their packets to software; {} refused",
                counted(card.flows, "flow"),
                counted(card.rules, "rule"),
                card.traps,
                card.refusals,
            ),
            trouble => writeln!(out, "not used: {trouble}"),
        };
        for foreign in &card.foreign {
            let _ = writeln!(out, "    {foreign}; left alone");
        }
    }
    if !explain.cards.is_empty() {
        for table in &explain.tables {
            let places = table.places.iter();
            let places: Vec<String> = places.map(|(at, n)| format!("{n} at {at}")).collect();
            let _ = writeln!(out, "  table {}: {}", table.table, places.join("; "));
        }
    }
    out
}

/// So many of something, in the plural if they are.
pub(super) fn counted(n: u64, what: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{n} {what}{plural}")
}

fn tables(explain: &FlowExplain) -> String {
    let mut table = Table::new([
        "table",
        "flows",
        "template",
        "masks",
        "probes/packet",
        "instructions",
        "memory",
        "why",
    ]);
    for row in &explain.tables {
        table.rows.push(vec![
            Cell::text(row.table.to_string()),
            Cell::text(row.flows.to_string()),
            Cell::text(&row.template),
            Cell::text(row.masks.to_string()),
            Cell::text(format!("{:.1}", row.probes_per_packet)),
            Cell::text(row.program_insns.to_string()),
            Cell::text(memory(row.memory_bytes)),
            Cell::text(&row.why),
        ]);
    }
    indented(&table)
}

/// A table two columns to the right.
pub(super) fn indented(table: &Table) -> String {
    let mut out = String::new();
    for line in table.render(&ALIGNED).lines() {
        let _ = writeln!(out, "  {}", line.trim_end());
    }
    out
}

fn memory(bytes: u64) -> String {
    match bytes {
        0 => "-".to_owned(),
        1..0x2800 => format!("{bytes} B"),
        0x2800..0xa0_0000 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

/// Flows, packets and bytes of one table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Count {
    flows: u64,
    packets: u64,
    bytes: u64,
}

fn by_table(dump: &FlowDump) -> BTreeMap<u8, Count> {
    let mut counts = BTreeMap::<u8, Count>::new();
    for flow in &dump.flows {
        let count = counts.entry(flow.table).or_default();
        count.flows += 1;
        count.packets += flow.packets;
        count.bytes += flow.bytes;
    }
    counts
}

/// What `dump-tables` prints.
pub fn counts_text(dump: &FlowDump) -> String {
    let mut table = Table::new(["table", "flows", "packets", "bytes"]);
    for (number, count) in by_table(dump) {
        let cells = [number.into(), count.flows, count.packets, count.bytes];
        let cells = cells.map(|n: u64| Cell::text(n.to_string()));
        table.rows.push(cells.to_vec());
    }
    let lines = table.render(&ALIGNED);
    let lines = lines.lines().map(|line| line.trim_end().to_owned() + "\n");
    lines.collect()
}

/// The same for programs.
pub fn counts_json(dump: &FlowDump) -> Value {
    let one = |(table, count): (u8, Count)| {
        let Count {
            flows,
            packets,
            bytes,
        } = count;
        json!({"table": table, "flows": flows, "packets": packets, "bytes": bytes})
    };
    by_table(dump).into_iter().map(one).collect()
}
