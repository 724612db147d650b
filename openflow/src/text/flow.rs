//! Flows.

use std::fmt::Write as _;

use aorta_flow::table::RemovedReason;
use aorta_flow::text::{Command, Shown, show_flow, show_instructions, show_match};
use aorta_flow::{Flow, FlowFlags, Match};

use super::Style;
use super::bits::{put_duration, put_port, put_table};
use crate::message::{
    AggregateStats, FlowFilter, FlowModMessage, FlowMonitorFlags, FlowMonitorRequest, FlowRecord,
    FlowRemoved, FlowStatsReply, FlowUpdate, FlowUpdateEvent,
};
use crate::version::Version;

/// All tables (OFPTT_ALL).
const ALL_TABLES: u8 = 0xff;

/// A match with the priority in front, if it isn't the usual one.
fn put_match(out: &mut String, matching: &Match, priority: u16, style: Style<'_>) {
    let text = show_match(matching, style.names);
    if priority != Flow::DEFAULT_PRIORITY {
        let _ = write!(out, "priority={priority}");
        out.push_str(if text.is_empty() { "" } else { "," });
    }
    out.push_str(&text);
}

pub(super) fn put_mod(
    out: &mut String,
    message: &FlowModMessage,
    version: Version,
    style: Style<'_>,
) {
    let change = &message.change;
    let adds = change.command == Command::Add;
    out.push_str(match change.command {
        Command::Add => " ADD",
        Command::Modify => " MOD",
        Command::ModifyStrict => " MOD_STRICT",
        Command::Delete => " DEL",
        Command::DeleteStrict => " DEL_STRICT",
    });
    // To OpenFlow 1.1, no table is what the default is; later ones say "all".
    let table = change
        .table
        .or((version > Version::OpenFlow11 && !adds).then_some(ALL_TABLES));
    if let Some(table) = table.filter(|table| *table != 0) {
        out.push_str(" table:");
        put_table(out, table, style.names);
    }
    out.push(' ');
    let flow = &change.flow;
    put_match(out, &flow.matching, flow.priority, style);
    if !out.ends_with(' ') {
        out.push(' ');
    }
    let cookie = change
        .new_cookie
        .unwrap_or(if adds { flow.cookie } else { 0 });
    if cookie != 0 && cookie != u64::MAX {
        let _ = write!(out, "cookie:{cookie:#x} ");
    }
    if let Some((cookie, mask)) = change.cookie.filter(|(_, mask)| *mask != 0) {
        let _ = write!(out, "cookie:{cookie:#x}/{mask:#x} ");
    }
    put_limits(out, flow);
    if let Some(buffer) = message.buffer_id {
        let _ = write!(out, "buf:{buffer:#x} ");
    }
    if let Some(port) = change.out_port {
        out.push_str("out_port:");
        put_port(out, port, style.names);
        out.push(' ');
    }
    if let Some(group) = change.out_group {
        let _ = write!(out, "out_group:{group} ");
    }
    put_flags(out, flow.flags, version);
    out.push_str("actions=");
    out.push_str(&show_instructions(&flow.instructions, style.names));
}

fn put_limits(out: &mut String, flow: &Flow) {
    for (name, limit) in [
        ("idle", flow.idle_timeout_s),
        ("hard", flow.hard_timeout_s),
        ("importance", flow.importance),
    ] {
        if limit != 0 {
            let _ = write!(out, "{name}:{limit} ");
        }
    }
}

fn put_flags(out: &mut String, flags: FlowFlags, version: Version) {
    for (name, flag) in FlowFlags::ALL {
        // To OpenFlow 1.1, all added flows start counting anew.
        let implied = flag == FlowFlags::RESET_COUNTS && version <= Version::OpenFlow11;
        if flags.contains(flag) && !implied {
            let _ = write!(out, "{name} ");
        }
    }
}

fn reason(reason: RemovedReason) -> &'static str {
    match reason {
        RemovedReason::IdleTimeout => "idle",
        RemovedReason::HardTimeout => "hard",
        RemovedReason::Deleted => "delete",
        RemovedReason::GroupDeleted => "group_delete",
        RemovedReason::MeterDeleted => "meter_delete",
        RemovedReason::Eviction => "eviction",
    }
}

pub(super) fn put_removed(out: &mut String, removed: &FlowRemoved, style: Style<'_>) {
    out.push(' ');
    put_match(out, &removed.matching, removed.priority, style);
    let _ = write!(out, " reason={}", reason(removed.reason));
    if let Some(table) = removed.table {
        out.push_str(" table_id=");
        put_table(out, table, style.names);
    }
    if removed.cookie != 0 {
        let _ = write!(out, " cookie:{:#x}", removed.cookie);
    }
    out.push_str(" duration");
    put_duration(out, removed.duration);
    let _ = write!(out, " idle{}", removed.idle_timeout_s);
    if removed.hard_timeout_s != 0 {
        let _ = write!(out, " hard{}", removed.hard_timeout_s);
    }
    let unknown = u64::MAX;
    let (packets, bytes) = (
        removed.n_packets.unwrap_or(unknown),
        removed.n_bytes.unwrap_or(unknown),
    );
    let _ = writeln!(out, " pkts{packets} bytes{bytes}");
}

pub(super) fn put_filter(out: &mut String, filter: &FlowFilter, style: Style<'_>) {
    if let Some(table) = filter.table {
        out.push_str(" table=");
        put_table(out, table, style.names);
    }
    if let Some(port) = filter.out_port {
        out.push_str(" out_port=");
        put_port(out, port, style.names);
    }
    let text = show_match(&filter.matching, style.names);
    if !text.is_empty() {
        out.push(' ');
        out.push_str(&text);
    }
}

/// Which flows are asked for, as a request's text ends.
pub fn show_filter(filter: &FlowFilter, style: Style<'_>) -> String {
    let mut out = String::new();
    put_filter(&mut out, filter, style);
    out
}

/// A flow as it stands in a dump, without the space in front; with `counts`, what was counted.
pub fn show_record(record: &FlowRecord, counts: bool, style: Style<'_>) -> String {
    let mut stats = record.stats;
    // A flow that has never changed is as old as it is there.
    stats.hard_age_s = stats
        .hard_age_s
        .filter(|age| u64::from(*age) != stats.duration.as_secs());
    let shown = Shown {
        stats: counts.then_some(&stats),
    };
    show_flow(&record.flow, shown, style.names)
}

pub(super) fn put_records(out: &mut String, reply: &FlowStatsReply, style: Style<'_>) {
    out.push('\n');
    for record in &reply.flows {
        out.push(' ');
        out.push_str(&show_record(record, true, style));
        out.push('\n');
    }
}

pub(super) fn put_aggregate(out: &mut String, stats: &AggregateStats) {
    let unknown = u64::MAX;
    let (packets, bytes) = (
        stats.n_packets.unwrap_or(unknown),
        stats.n_bytes.unwrap_or(unknown),
    );
    let flows = stats.n_flows;
    let _ = write!(
        out,
        " packet_count={packets} byte_count={bytes} flow_count={flows}"
    );
}

pub(super) fn put_monitors(out: &mut String, monitors: &[FlowMonitorRequest], style: Style<'_>) {
    const FLAGS: [(FlowMonitorFlags, &str); 6] = [
        (FlowMonitorFlags::INITIAL, "initial"),
        (FlowMonitorFlags::ADD, "add"),
        (FlowMonitorFlags::REMOVED, "delete"),
        (FlowMonitorFlags::MODIFY, "modify"),
        (FlowMonitorFlags::INSTRUCTIONS, "actions"),
        (FlowMonitorFlags::NO_ABBREV, "own"),
    ];
    for monitor in monitors {
        let set = FLAGS
            .iter()
            .filter(|(flag, _)| monitor.flags.contains(*flag));
        let mut names: Vec<&str> = set.map(|(_, name)| *name).collect();
        // OpenFlow 1.4 has another bit for it.
        let only_own = monitor.flags.contains(FlowMonitorFlags::ONLY_OWN);
        if only_own && names.last() != Some(&"own") {
            names.push("own");
        }
        let _ = write!(out, "\n id={} flags={}", monitor.id, names.join(","));
        if let Some(port) = monitor.out_port {
            out.push_str(" out_port=");
            put_port(out, port, style.names);
        }
        if let Some(table) = monitor.table {
            out.push_str(" table=");
            put_table(out, table, style.names);
        }
        let text = show_match(&monitor.matching, style.names);
        if !text.is_empty() {
            let _ = write!(out, " {text}");
        }
    }
}

pub(super) fn put_updates(out: &mut String, updates: &[FlowUpdate], style: Style<'_>) {
    for update in updates {
        match update {
            FlowUpdate::Abbreviated { xid } => {
                let _ = write!(out, "\n event=ABBREV xid={xid:#x}");
            }
            FlowUpdate::Paused => out.push_str("\n event=PAUSED"),
            FlowUpdate::Resumed => out.push_str("\n event=RESUMED"),
            FlowUpdate::Full { event, flow } => put_update(out, *event, flow, style),
        }
    }
}

fn put_update(out: &mut String, event: FlowUpdateEvent, flow: &Flow, style: Style<'_>) {
    out.push_str("\n event=");
    match event {
        FlowUpdateEvent::Initial => out.push_str("INITIAL"),
        FlowUpdateEvent::Added => out.push_str("ADDED"),
        FlowUpdateEvent::Modified => out.push_str("MODIFIED"),
        FlowUpdateEvent::Removed(why) => {
            let _ = write!(out, "DELETED reason={}", reason(why));
        }
    }
    out.push_str(" table=");
    put_table(out, flow.table, style.names);
    for (name, limit) in [
        ("idle_timeout", flow.idle_timeout_s),
        ("hard_timeout", flow.hard_timeout_s),
    ] {
        if limit != 0 {
            let _ = write!(out, " {name}={limit}");
        }
    }
    let _ = match flow.cookie {
        0 => write!(out, " cookie=0"),
        cookie => write!(out, " cookie={cookie:#x}"),
    };
    let text = show_match(&flow.matching, style.names);
    if !text.is_empty() {
        out.push(' ');
        out.push_str(&text);
    }
    if !flow.instructions.is_drop() {
        out.push_str(" actions=");
        out.push_str(&show_instructions(&flow.instructions, style.names));
    }
}
