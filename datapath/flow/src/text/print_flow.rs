//! Printing flows.

use std::fmt;
use std::fmt::Write as _;
use std::time::Duration;

use super::names::{Names, NoNames};
use super::print_actions::{put_actions, put_instructions, put_table};
use super::print_match::put_match;
use crate::action::{Action, Instructions};
use crate::{Flow, FlowFlags, FlowStats, Match};

/// What is printed with a flow.
#[derive(Clone, Copy, Default)]
pub struct Shown<'a> {
    /// Counters and ages; with them, cookie and table are printed even if they are 0.
    pub stats: Option<&'a FlowStats>,
}

/// A flow as `ovs-ofctl dump-flows` prints it, without the space in front.
pub fn show_flow(flow: &Flow, shown: Shown<'_>, names: &dyn Names) -> String {
    let mut out = String::new();
    let stats = shown.stats;
    if flow.cookie != 0 || stats.is_some() {
        let _ = write!(out, "cookie={:#x}, ", flow.cookie);
    }
    if let Some(stats) = stats {
        out.push_str("duration=");
        put_duration(&mut out, stats.duration);
        out.push_str("s, ");
    }
    if flow.table != 0 || stats.is_some() {
        out.push_str("table=");
        put_table(&mut out, flow.table, names);
        out.push_str(", ");
    }
    if let Some(stats) = stats {
        let (n_packets, n_bytes) = (stats.n_packets, stats.n_bytes);
        let _ = write!(out, "n_packets={n_packets}, n_bytes={n_bytes}, ");
    }
    put_limits(&mut out, flow);
    if let Some(stats) = stats {
        put_ages(&mut out, stats);
    }
    let before_match = out.len();
    if flow.priority != Flow::DEFAULT_PRIORITY {
        let _ = write!(out, "priority={},", flow.priority);
    }
    put_match(&mut out, &flow.matching, names);
    if out.len() > before_match {
        out.pop();
        out.push(' ');
    }
    out.push_str("actions=");
    put_instructions(&mut out, &flow.instructions, names);
    out
}

/// A match as it stands in a flow's text; empty if it matches everything.
pub fn show_match(matching: &Match, names: &dyn Names) -> String {
    let mut out = String::new();
    put_match(&mut out, matching, names);
    out.truncate(out.trim_end_matches(',').len());
    out
}

/// Instructions as they stand behind `actions=` in a flow's text.
pub fn show_instructions(instructions: &Instructions, names: &dyn Names) -> String {
    let mut out = String::new();
    put_instructions(&mut out, instructions, names);
    out
}

fn put_limits(out: &mut String, flow: &Flow) {
    for (name, seconds) in [
        ("idle_timeout", flow.idle_timeout_s),
        ("hard_timeout", flow.hard_timeout_s),
    ] {
        if seconds != 0 {
            let _ = write!(out, "{name}={seconds}, ");
        }
    }
    for (name, flag) in FlowFlags::ALL {
        if flow.flags.contains(flag) {
            let _ = write!(out, "{name} ");
        }
    }
    if flow.importance != 0 {
        let _ = write!(out, "importance={}, ", flow.importance);
    }
}

fn put_ages(out: &mut String, stats: &FlowStats) {
    if let Some(age) = stats.idle_age_s {
        let _ = write!(out, "idle_age={age}, ");
    }
    if let Some(age) = stats.hard_age_s {
        let _ = write!(out, "hard_age={age}, ");
    }
}

/// Seconds: whole, with milliseconds, or with nanoseconds, whichever is exact.
pub(super) fn put_duration(out: &mut String, duration: Duration) {
    let (seconds, nanos) = (duration.as_secs(), duration.subsec_nanos());
    let _ = if nanos == 0 {
        write!(out, "{seconds}")
    } else if nanos.is_multiple_of(1_000_000) {
        write!(out, "{seconds}.{:03}", nanos / 1_000_000)
    } else {
        write!(out, "{seconds}.{nanos:09}")
    };
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&show_flow(self, Shown::default(), &NoNames))
    }
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&show_match(self, &NoNames))
    }
}

impl fmt::Display for Instructions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&show_instructions(self, &NoNames))
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        put_actions(&mut out, std::slice::from_ref(self), &NoNames);
        f.write_str(&out)
    }
}
