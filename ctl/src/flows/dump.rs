//! Flows as `dump-flows` prints them: byte for byte ovs-ofctl's form.

use std::fmt::Write as _;
use std::time::Duration;

use aorta_api::{FlowDump, FlowEntry, FlowPlacement};
use aorta_flow::text::{Form, Names, TextError, parse_flow};
use aorta_flow::{Flow, FlowFlags};

use super::colour::paint;
use super::sort::{Key, compare};
use crate::commands::switch::Colour;

/// How flows are shown.
#[derive(Debug, Clone)]
pub struct Manner {
    /// Duration, counters, and cookie and table even if they are 0.
    pub stats: bool,
    /// Whether ports are shown by name. As with ovs-ofctl, ages are left out then.
    pub names: bool,
    /// The order; the switch's if there is no key.
    pub keys: Vec<Key>,
    /// Whether only some flows were asked for.
    pub filtered: bool,
    /// Colours.
    pub colour: Colour,
}

impl Manner {
    /// Whether flows are shown as they come, which decides on the first line and on ages.
    fn raw(&self) -> bool {
        self.stats && !self.names && self.keys.is_empty()
    }
}

/// What `dump-flows` prints.
pub fn text(dump: &FlowDump, manner: &Manner) -> String {
    let mut out = String::new();
    if manner.raw() {
        // The number of the request, which scripts compare or cut off: behind a question for
        // names if there was a filter.
        let request = if manner.filtered { 8 } else { 4 };
        let _ = writeln!(out, "NXST_FLOW reply (xid=0x{request}):");
    }
    for flow in &dump.flows {
        out.push(' ');
        out.push_str(&paint(&line(flow, manner), manner.colour));
        out.push('\n');
        if let Some(placement) = &flow.placement {
            out.push_str(&place(placement));
        }
    }
    out
}

/// Puts flows in order.
///
/// # Errors
/// If one can't be read.
pub fn sort(dump: &mut FlowDump, keys: &[Key], names: &dyn Names) -> Result<(), TextError> {
    let mut read = Vec::with_capacity(dump.flows.len());
    for entry in dump.flows.drain(..) {
        read.push((flow_of(&entry, names)?, entry));
    }
    read.sort_by(|(a, _), (b, _)| compare(keys, a, b));
    dump.flows.extend(read.into_iter().map(|(_, entry)| entry));
    Ok(())
}

/// The flow that an entry tells of.
///
/// # Errors
/// If the switch's text can't be read.
pub fn flow_of(entry: &FlowEntry, names: &dyn Names) -> Result<Flow, TextError> {
    let separator = if entry.matching.is_empty() { "" } else { "," };
    let text = format!("{}{separator}actions={}", entry.matching, entry.actions);
    let mut flags = FlowFlags::default();
    for (name, flag) in FlowFlags::ALL {
        if entry.flags.iter().any(|told| told == name) {
            flags = flags.with(flag);
        }
    }
    Ok(Flow {
        table: entry.table,
        priority: entry.priority,
        cookie: cookie(entry),
        idle_timeout_s: entry.idle_timeout_s,
        hard_timeout_s: entry.hard_timeout_s,
        importance: entry.importance,
        flags,
        ..parse_flow(&text, Form::Flow, names)?.into_flow()
    })
}

fn cookie(entry: &FlowEntry) -> u64 {
    let digits = entry.cookie.trim_start_matches("0x");
    u64::from_str_radix(digits, 16).unwrap_or(0)
}

/// One flow, without the space in front.
fn line(flow: &FlowEntry, manner: &Manner) -> String {
    let mut out = String::new();
    let stats = manner.stats;
    if stats || cookie(flow) != 0 {
        let _ = write!(out, "cookie={}, ", flow.cookie);
    }
    if stats {
        let _ = write!(out, "duration={}s, ", seconds(flow.duration_ms));
    }
    if stats || flow.table != 0 {
        let _ = write!(out, "table={}, ", flow.table);
    }
    if stats {
        let (packets, bytes) = (flow.packets, flow.bytes);
        let _ = write!(out, "n_packets={packets}, n_bytes={bytes}, ");
    }
    put_limits(&mut out, flow);
    if manner.raw() {
        let _ = write!(out, "idle_age={}, ", flow.idle_ms / 1000);
        let hard_age_s = flow.hard_age_ms / 1000;
        if hard_age_s != flow.duration_ms / 1000 {
            let _ = write!(out, "hard_age={hard_age_s}, ");
        }
    }
    put_rule(&mut out, flow);
    out
}

/// Where a flow runs, and why not further up, as a line below it.
fn place(placement: &FlowPlacement) -> String {
    let places = placement.places.join(", ");
    match placement.why.as_str() {
        "" => format!("    {places}\n"),
        why => format!("    {places} ({why})\n"),
    }
}

fn put_limits(out: &mut String, flow: &FlowEntry) {
    for (name, seconds) in [
        ("idle_timeout", flow.idle_timeout_s),
        ("hard_timeout", flow.hard_timeout_s),
    ] {
        if seconds != 0 {
            let _ = write!(out, "{name}={seconds}, ");
        }
    }
    for flag in &flow.flags {
        let _ = write!(out, "{flag} ");
    }
    if flow.importance != 0 {
        let _ = write!(out, "importance={}, ", flow.importance);
    }
}

/// Priority, match and actions.
pub(super) fn put_rule(out: &mut String, flow: &FlowEntry) {
    let priority = flow.priority != Flow::DEFAULT_PRIORITY;
    if priority {
        let _ = write!(out, "priority={}", flow.priority);
    }
    if priority && !flow.matching.is_empty() {
        out.push(',');
    }
    out.push_str(&flow.matching);
    if priority || !flow.matching.is_empty() {
        out.push(' ');
    }
    let _ = write!(out, "actions={}", flow.actions);
}

/// Milliseconds as seconds: whole ones, or with three places.
pub(super) fn seconds(ms: u64) -> String {
    let time = Duration::from_millis(ms);
    match time.subsec_millis() {
        0 => time.as_secs().to_string(),
        ms => format!("{}.{ms:03}", time.as_secs()),
    }
}

/// What `dump-aggregate` prints.
pub fn aggregate_text(dump: &FlowDump, filtered: bool) -> String {
    let request = if filtered { 8 } else { 4 };
    let packets: u64 = dump.flows.iter().map(|flow| flow.packets).sum();
    let bytes: u64 = dump.flows.iter().map(|flow| flow.bytes).sum();
    format!(
        "NXST_AGGREGATE reply (xid=0x{request}): packet_count={packets} byte_count={bytes} \
         flow_count={}\n",
        dump.flows.len()
    )
}
