//! A packet's way through the tables, as `trace` prints it.

use std::fmt::Write as _;

use aorta_api::{FlowTrace, TraceFlow, TraceLine, TracePlace};

use crate::commands::switch::Colour;

const TABLE: &str = "1";
const MISS: &str = "31";
const NOTE: &str = "36";
const GOOD: &str = "32";

/// What `trace` prints.
pub fn text(trace: &FlowTrace, colour: Colour) -> String {
    let mut out = format!("packet: {}\n\n", shown(&trace.packet));
    let lines = joined(&trace.trace);
    for (line, depth) in lines.iter().zip(shown_depths(&lines)) {
        put_line(&mut out, line, depth, colour);
    }
    let end = difference(&trace.packet, &trace.final_packet);
    let _ = writeln!(out, "\nfinal packet: {end}");
    put_outputs(&mut out, trace, colour);
    put_places(&mut out, trace);
    out
}

fn shown(packet: &str) -> &str {
    if packet.is_empty() { "any" } else { packet }
}

/// The lines with what an action did on its own line, if that is one thing.
fn joined(lines: &[TraceLine]) -> Vec<TraceLine> {
    let mut all: Vec<TraceLine> = Vec::with_capacity(lines.len());
    for (n, line) in lines.iter().enumerate() {
        let is_note =
            |line: &TraceLine| line.note.is_some() && line.action.is_none() && line.table.is_none();
        let alone = !lines.get(n + 1).is_some_and(is_note);
        match all.last_mut() {
            Some(last)
                if is_note(line)
                    && alone
                    && last.depth == line.depth
                    && last.action.is_some()
                    && last.note.is_none() =>
            {
                last.note.clone_from(&line.note);
            }
            _ => all.push(line.clone()),
        }
    }
    all
}

/// What became of a packet, by the texts of its fields. Where it came in doesn't count.
fn difference(before: &str, after: &str) -> String {
    let fields = |packet| -> Vec<&str> {
        let all = str::split(packet, ',').map(str::trim);
        all.filter(|field| !field.is_empty() && !field.starts_with("in_port="))
            .collect()
    };
    let (before, after) = (fields(before), fields(after));
    let name = |field: &str| field.split('=').next().map(str::to_owned);
    let new: Vec<&str> = after
        .iter()
        .filter(|field| !before.contains(field))
        .copied()
        .collect();
    let gone: Vec<String> = before
        .iter()
        .filter_map(|field| name(field))
        .filter(|gone| after.iter().all(|field| name(field).as_ref() != Some(gone)))
        .collect();
    match (new.is_empty(), gone.is_empty()) {
        (true, true) => "as it came".to_owned(),
        (false, true) => format!("with {}", new.join(",")),
        (true, false) => format!("without {}", gone.join(",")),
        (false, false) => format!("with {}, without {}", new.join(","), gone.join(",")),
    }
}

/// How far each line is indented: what the last action of a list leads to stands below it, as long
/// chains of tables would run out of the right side otherwise.
fn shown_depths(lines: &[TraceLine]) -> Vec<usize> {
    // By the depth that the switch tells.
    let mut shown = vec![0];
    let mut all = Vec::with_capacity(lines.len());
    for (n, line) in lines.iter().enumerate() {
        let depth = line.depth as usize;
        shown.truncate(depth + 1);
        if depth > 0 && (line.table.is_some() || shown.len() <= depth) {
            shown.truncate(depth);
            let above = shown.last().copied().unwrap_or(0);
            let below = line.table.is_some() && !goes_on(&lines[n + 1..], line.depth - 1);
            shown.resize(depth + 1, if below { above } else { above + 1 });
        }
        all.push(shown.get(depth).copied().unwrap_or(0));
    }
    all
}

/// Whether the list of actions at this depth has another one behind what is nested in it.
fn goes_on(rest: &[TraceLine], depth: u32) -> bool {
    let back = rest
        .iter()
        .find(|line| line.depth <= depth && (line.action.is_some() || line.table.is_some()));
    back.is_some_and(|line| line.depth == depth && line.action.is_some())
}

fn put_line(out: &mut String, line: &TraceLine, depth: usize, colour: Colour) {
    let indent = 2 * depth;
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
    let note = line.note.as_ref();
    let note = note.map(|note| colour.paint(NOTE, &format!("# {note}")));
    let _ = match (&line.action, note) {
        (Some(action), Some(note)) => writeln!(out, "{:indent$}{action}  {note}", ""),
        (Some(action), None) => writeln!(out, "{:indent$}{action}", ""),
        (None, Some(note)) => writeln!(out, "{:indent$}{note}", ""),
        (None, None) => Ok(()),
    };
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
        let packet = difference(&trace.packet, &output.packet);
        let _ = writeln!(out, "out: {port}, {packet}");
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
    let mut groups: Vec<(&TracePlace, Vec<u8>)> = Vec::new();
    for place in &trace.places {
        let same = |other: &TracePlace| {
            (&other.template, &other.hook, &other.why) == (&place.template, &place.hook, &place.why)
        };
        match groups.iter_mut().find(|(other, _)| same(other)) {
            Some((_, tables)) => tables.push(place.table),
            None => groups.push((place, vec![place.table])),
        }
    }
    for (place, tables) in groups {
        let noun = if tables.len() == 1 { "table" } else { "tables" };
        let form = match place.template.as_str() {
            "" => String::new(),
            template => format!("{template} "),
        };
        let why = match place.why.as_str() {
            "" => String::new(),
            why => format!(": {why}"),
        };
        let (tables, at) = (spans(&tables), at(&place.hook));
        let _ = writeln!(out, "  {noun} {tables}: {form}{at}{why}");
    }
}

/// Where a hook is, in words.
pub(super) fn at(hook: &str) -> String {
    match hook {
        "none" | "" => "not in the kernel".to_owned(),
        hook => format!("at {hook}"),
    }
}

/// Numbers with those that follow each other as `FIRST-LAST`.
fn spans(numbers: &[u8]) -> String {
    let mut spans: Vec<(u8, u8)> = Vec::new();
    for number in numbers {
        match spans.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(*number) => *last = *number,
            _ => spans.push((*number, *number)),
        }
    }
    let shown = spans.iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    });
    shown.collect::<Vec<_>>().join(", ")
}
