//! A packet's way through the tables, as `trace` prints it.

use std::fmt::Write as _;

use aorta_api::{FlowTrace, TraceFlow, TraceLine};

use crate::commands::switch::Colour;

const TABLE: &str = "1";
const MISS: &str = "31";
const NOTE: &str = "36";
const GOOD: &str = "32";

/// What `trace` prints.
pub fn text(trace: &FlowTrace, colour: Colour) -> String {
    let mut out = format!("packet: {}\n\n", shown(&trace.packet));
    for line in &trace.trace {
        put_line(&mut out, line, colour);
    }
    out.push('\n');
    if trace.final_packet == trace.packet {
        out.push_str("final packet: as it came\n");
    } else {
        let _ = writeln!(out, "final packet: {}", shown(&trace.final_packet));
    }
    put_outputs(&mut out, trace, colour);
    put_places(&mut out, trace);
    out
}

fn shown(packet: &str) -> &str {
    if packet.is_empty() { "any" } else { packet }
}

fn put_line(out: &mut String, line: &TraceLine, colour: Colour) {
    let indent = 2 * line.depth as usize;
    if let Some(table) = line.table {
        let head = colour.paint(TABLE, &format!("table {table}:"));
        let met = match (&line.flow, &line.note) {
            (Some(flow), _) => rule(flow),
            (None, Some(note)) => note.clone(),
            (None, None) => colour.paint(MISS, "no flow matches"),
        };
        let _ = writeln!(out, "{:indent$}{head} {met}", "");
        if line.flow.is_none() {
            return;
        }
    }
    // What a table does stands below it.
    let indent = indent + 4;
    if let Some(action) = &line.action {
        let _ = writeln!(out, "{:indent$}{action}", "");
    }
    if let Some(note) = &line.note {
        let note = colour.paint(NOTE, &format!("# {note}"));
        let _ = writeln!(out, "{:indent$}{note}", "");
    }
}

fn rule(flow: &TraceFlow) -> String {
    let matching = match flow.matching.as_str() {
        "" => "matches everything",
        matching => matching,
    };
    let cookie = match flow.cookie.as_str() {
        "0x0" | "0" | "" => String::new(),
        cookie => format!(", cookie {cookie}"),
    };
    format!("priority {}, {matching}{cookie}", flow.priority)
}

fn put_outputs(out: &mut String, trace: &FlowTrace, colour: Colour) {
    for output in &trace.outputs {
        let port = colour.paint(GOOD, &output.port);
        let _ = match output.packet == trace.packet {
            true => writeln!(out, "out: {port}, the packet as it came"),
            false => writeln!(out, "out: {port}, {}", shown(&output.packet)),
        };
        if let Some(frame) = output.frame.as_ref() {
            let _ = writeln!(out, "     {frame}");
        }
    }
    if let Some(reason) = &trace.drop {
        let _ = writeln!(out, "{}: {reason}", colour.paint(MISS, "dropped"));
    } else if trace.outputs.is_empty() {
        let _ = writeln!(out, "{}", colour.paint(MISS, "nothing leaves"));
    }
}

fn put_places(out: &mut String, trace: &FlowTrace) {
    if trace.places.is_empty() {
        return;
    }
    out.push_str("\nwhere it runs:\n");
    for place in &trace.places {
        let (table, template, hook) = (place.table, &place.template, &place.hook);
        let why = match place.why.as_str() {
            "" => String::new(),
            why => format!(": {why}"),
        };
        let _ = writeln!(out, "  table {table}: {template} at {hook}{why}");
    }
}
