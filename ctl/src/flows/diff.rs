//! What differs between two sets of flows.

use std::collections::HashMap;
use std::fmt::Write as _;

use aorta_flow::text::{Names, Shown, show_flow};
use aorta_flow::{Flow, FlowFlags, Match};
use serde_json::{Value, json};

/// Flows by what identifies them: table, priority and match. Of equal ones the last counts.
#[derive(Debug, Default)]
pub struct FlowSet {
    flows: HashMap<(u8, u16, Match), Flow>,
}

impl FromIterator<Flow> for FlowSet {
    fn from_iter<I: IntoIterator<Item = Flow>>(flows: I) -> FlowSet {
        let place = |flow: &Flow| (flow.table, flow.priority, flow.matching.clone());
        FlowSet {
            flows: flows.into_iter().map(|flow| (place(&flow), flow)).collect(),
        }
    }
}

/// A flow that one set has and the other hasn't, or has otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The flow of the first set.
    pub old: Option<Flow>,
    /// The flow of the second set.
    pub new: Option<Flow>,
}

/// What differs: cookies, timeouts, importance and actions count, flags don't. By table, from the
/// highest priority, then by the text of the match.
pub fn differences(old: &FlowSet, new: &FlowSet) -> Vec<Difference> {
    let mut all = Vec::new();
    for (place, flow) in &old.flows {
        let other = new.flows.get(place);
        if other.is_none_or(|other| !same(flow, other)) {
            all.push(Difference {
                old: Some(flow.clone()),
                new: other.cloned(),
            });
        }
    }
    let added = new
        .flows
        .iter()
        .filter(|(place, _)| !old.flows.contains_key(place));
    all.extend(added.map(|(_, flow)| Difference {
        old: None,
        new: Some(flow.clone()),
    }));
    all.sort_by_cached_key(|difference| {
        let flow = difference.old.as_ref().or(difference.new.as_ref());
        flow.map(|flow| (flow.table, !flow.priority, flow.matching.to_string()))
    });
    all
}

fn same(a: &Flow, b: &Flow) -> bool {
    let of = |flow: &Flow| {
        let (idle, hard) = (flow.idle_timeout_s, flow.hard_timeout_s);
        (flow.cookie, idle, hard, flow.importance)
    };
    of(a) == of(b) && a.instructions == b.instructions
}

/// What `diff-flows` prints.
pub fn text(differences: &[Difference], names: &dyn Names) -> String {
    let mut out = String::new();
    for difference in differences {
        for (sign, flow) in [('-', &difference.old), ('+', &difference.new)] {
            if let Some(flow) = flow {
                let _ = writeln!(out, "{sign}{}", line(flow, names));
            }
        }
    }
    out
}

/// The same for programs.
pub fn to_json(differences: &[Difference], names: &dyn Names) -> Value {
    let shown = |flow: &Option<Flow>| {
        let flow = flow.as_ref();
        flow.map(|flow| show_flow(flow, Shown::default(), names))
    };
    let one = |d: &Difference| json!({"old": shown(&d.old), "new": shown(&d.new)});
    differences.iter().map(one).collect()
}

fn line(flow: &Flow, names: &dyn Names) -> String {
    // What is told behind the match here stands in front of it in a dump.
    let plain = Flow {
        table: 0,
        cookie: 0,
        idle_timeout_s: 0,
        hard_timeout_s: 0,
        importance: 0,
        flags: FlowFlags::default(),
        ..flow.clone()
    };
    let shown = show_flow(&plain, Shown::default(), names);
    let (matching, actions) = shown.split_once("actions=").unwrap_or((&shown, ""));
    let mut out = String::new();
    if flow.table != 0 {
        let _ = write!(out, "table={} ", flow.table);
    }
    out.push_str(matching.trim_end());
    if flow.cookie != 0 {
        let _ = write!(out, " cookie={:#x}", flow.cookie);
    }
    for (name, value) in [
        ("idle_timeout", flow.idle_timeout_s),
        ("hard_timeout", flow.hard_timeout_s),
        ("importance", flow.importance),
    ] {
        if value != 0 {
            let _ = write!(out, " {name}={value}");
        }
    }
    let _ = write!(out, " actions={actions}");
    out
}
