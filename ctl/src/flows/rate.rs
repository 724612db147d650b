//! How many packets flows see in a second, from two looks.

use std::collections::HashMap;
use std::fmt::Write as _;

use aorta_api::{FlowDump, FlowEntry};
use serde_json::{Value, json};

use super::colour::paint;
use super::dump::put_rule;
use crate::commands::switch::Colour;

/// What a flow sees in a second.
#[derive(Debug, Clone, PartialEq)]
pub struct Rate<'a> {
    /// The flow, as it was at the second look.
    pub flow: &'a FlowEntry,
    /// Packets in a second.
    pub packets_per_s: f64,
    /// Bits in a second.
    pub bits_per_s: f64,
}

impl Rate<'_> {
    /// The flow as it is listed: table, priority, match and actions.
    pub fn rule(&self) -> String {
        let mut text = format!("table={}, ", self.flow.table);
        put_rule(&mut text, self.flow);
        text
    }
}

/// The rates of all flows that were there at both looks, the highest first; `seconds` lie between
/// the looks. A flow that counts from 0 again has the rate of what it counted since.
pub fn rates<'a>(before: &FlowDump, after: &'a FlowDump, seconds: f64) -> Vec<Rate<'a>> {
    let place = |flow: &FlowEntry| (flow.table, flow.priority, flow.matching.clone());
    let known: HashMap<_, (u64, u64)> = before
        .flows
        .iter()
        .map(|flow| (place(flow), (flow.packets, flow.bytes)))
        .collect();
    let mut rates: Vec<Rate<'a>> = after
        .flows
        .iter()
        .filter_map(|flow| {
            let then = *known.get(&place(flow))?;
            let anew = flow.packets < then.0 || flow.bytes < then.1;
            let (packets, bytes) = if anew { (0, 0) } else { then };
            Some(Rate {
                flow,
                packets_per_s: (flow.packets - packets) as f64 / seconds,
                bits_per_s: 8.0 * (flow.bytes - bytes) as f64 / seconds,
            })
        })
        .collect();
    rates.sort_by(|a, b| b.packets_per_s.total_cmp(&a.packets_per_s));
    rates
}

/// What `dump-flows --rate` prints: flows with packets, and how many had none.
pub fn text(rates: &[Rate<'_>], colour: Colour) -> String {
    let mut out = String::from("   packets/s     Mbit/s  flow\n");
    let busy = rates.iter().take_while(|rate| rate.packets_per_s > 0.0);
    let mut count = 0;
    for rate in busy {
        count += 1;
        let flow = rate.rule();
        let _ = writeln!(
            out,
            "{:>12.0} {:>10.3}  {}",
            rate.packets_per_s,
            rate.bits_per_s / 1e6,
            paint(&flow, colour)
        );
    }
    let idle = rates.len() - count;
    if idle > 0 {
        let flows = if idle == 1 { "flow" } else { "flows" };
        let _ = writeln!(out, "{idle} {flows} without a packet");
    }
    out
}

/// The same for programs, with all flows.
pub fn to_json(rates: &[Rate<'_>]) -> Result<Value, serde_json::Error> {
    let mut all = Vec::with_capacity(rates.len());
    for rate in rates {
        let flow = serde_json::to_value(rate.flow)?;
        let (packets, bits) = (rate.packets_per_s, rate.bits_per_s);
        all.push(json!({"flow": flow, "packets_per_s": packets, "bits_per_s": bits}));
    }
    Ok(Value::Array(all))
}
