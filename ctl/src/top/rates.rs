//! What happened between two looks.

use std::collections::HashMap;

use aorta_api::{FlowDump, PortStatus, Status};
use serde_json::{Value, json};

use crate::flows::rate;

/// The switch at a moment.
#[derive(Debug, Clone)]
pub struct Look {
    /// When, in seconds since some moment.
    pub at_s: f64,
    /// Bridges and ports.
    pub status: Status,
    /// Flows of bridges, where they are not too many.
    pub flows: Vec<(String, FlowDump)>,
}

/// What a port sees in a second.
#[derive(Debug, Clone, PartialEq)]
pub struct PortRate {
    /// Its bridge.
    pub bridge: String,
    /// Its name.
    pub port: String,
    /// Packets received.
    pub rx_packets: f64,
    /// Bits received.
    pub rx_bits: f64,
    /// Packets sent.
    pub tx_packets: f64,
    /// Bits sent.
    pub tx_bits: f64,
    /// Packets that came in here and went nowhere.
    pub drops: f64,
}

/// What a flow sees in a second.
#[derive(Debug, Clone, PartialEq)]
pub struct FlowRate {
    /// Its bridge.
    pub bridge: String,
    /// Packets.
    pub packets: f64,
    /// Bits.
    pub bits: f64,
    /// The flow as `dump-flows` shows it.
    pub flow: String,
}

/// All rates.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rates {
    /// Between the looks.
    pub seconds: f64,
    /// Names of all bridges.
    pub bridges: Vec<String>,
    /// All ports, in the switch's order.
    pub ports: Vec<PortRate>,
    /// Flows with packets, those with most first.
    pub flows: Vec<FlowRate>,
    /// Flows without a packet.
    pub idle: usize,
    /// Bridges with too many flows to look at, and how many.
    pub left_out: Vec<(String, u64)>,
    /// Things that don't work as configured.
    pub problems: usize,
}

impl Rates {
    /// Those of one bridge, or of all.
    pub fn only(mut self, bridge: Option<&str>) -> Rates {
        if let Some(only) = bridge {
            self.ports.retain(|port| port.bridge == only);
            self.flows.retain(|flow| flow.bridge == only);
            self.left_out.retain(|(bridge, _)| bridge == only);
        }
        self
    }
}

/// What happened between two looks. A port or flow that counts from 0 again has what it counted since;
/// one that is new has none.
pub fn rates(before: &Look, after: &Look) -> Rates {
    let seconds = (after.at_s - before.at_s).max(1e-3);
    let known: HashMap<(&str, &str), &PortStatus> = ports(&before.status)
        .map(|(bridge, port)| ((bridge, port.name.as_str()), port))
        .collect();
    let port = |(bridge, now): (&str, &PortStatus)| {
        let then = known.get(&(bridge, now.name.as_str())).copied();
        port_rate(bridge, then.unwrap_or(now), now, seconds)
    };
    let bridges = after.status.bridges.iter();
    let mut rates = Rates {
        seconds,
        bridges: bridges.clone().map(|b| b.name.clone()).collect(),
        ports: ports(&after.status).map(port).collect(),
        left_out: bridges
            .filter(|b| !after.flows.iter().any(|(name, _)| *name == b.name))
            .map(|b| (b.name.clone(), b.flows))
            .collect(),
        problems: after.status.problems.len(),
        ..Rates::default()
    };
    for (bridge, now) in &after.flows {
        if let Some((_, then)) = before.flows.iter().find(|(name, _)| name == bridge) {
            add_flows(&mut rates, bridge, &rate::rates(then, now, seconds));
        }
    }
    rates.flows.sort_by(|a, b| b.packets.total_cmp(&a.packets));
    rates
}

fn ports(status: &Status) -> impl Iterator<Item = (&str, &PortStatus)> {
    let bridges = status.bridges.iter();
    bridges.flat_map(|bridge| bridge.ports.iter().map(|port| (bridge.name.as_str(), port)))
}

fn port_rate(bridge: &str, then: &PortStatus, now: &PortStatus, seconds: f64) -> PortRate {
    let per_second = |then: u64, now: u64| {
        let counted = now.checked_sub(then).unwrap_or(now);
        counted as f64 / seconds
    };
    let drops = |port: &PortStatus| port.drops.values().sum();
    PortRate {
        bridge: bridge.to_owned(),
        port: now.name.clone(),
        rx_packets: per_second(then.rx_packets, now.rx_packets),
        rx_bits: 8.0 * per_second(then.rx_bytes, now.rx_bytes),
        tx_packets: per_second(then.tx_packets, now.tx_packets),
        tx_bits: 8.0 * per_second(then.tx_bytes, now.tx_bytes),
        drops: per_second(drops(then), drops(now)),
    }
}

fn add_flows(rates: &mut Rates, bridge: &str, flows: &[rate::Rate<'_>]) {
    for flow in flows {
        if flow.packets_per_s > 0.0 {
            rates.flows.push(FlowRate {
                bridge: bridge.to_owned(),
                packets: flow.packets_per_s,
                bits: flow.bits_per_s,
                flow: flow.rule(),
            });
        } else {
            rates.idle += 1;
        }
    }
}

/// The rates for programs.
pub fn to_json(rates: &Rates) -> Value {
    let port = |port: &PortRate| {
        json!({
            "bridge": port.bridge, "port": port.port,
            "rx_packets_per_s": port.rx_packets, "rx_bits_per_s": port.rx_bits,
            "tx_packets_per_s": port.tx_packets, "tx_bits_per_s": port.tx_bits,
            "drops_per_s": port.drops,
        })
    };
    let flow = |flow: &FlowRate| {
        json!({
            "bridge": flow.bridge, "flow": flow.flow,
            "packets_per_s": flow.packets, "bits_per_s": flow.bits,
        })
    };
    let left_out = |(bridge, flows): &(String, u64)| json!({"bridge": bridge, "flows": flows});
    json!({
        "seconds": rates.seconds,
        "ports": rates.ports.iter().map(port).collect::<Vec<_>>(),
        "flows": rates.flows.iter().map(flow).collect::<Vec<_>>(),
        "idle_flows": rates.idle,
        "left_out": rates.left_out.iter().map(left_out).collect::<Vec<_>>(),
        "problems": rates.problems,
    })
}
