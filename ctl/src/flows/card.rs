//! What a network card would take of a bridge's flows, as `explain --offload` prints it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use aorta_flow::table::{FlowId, TableFlow, Tables};
use aorta_flow::text::{Names, show_match};
use aorta_flow::{Flow, OfPort};
use aorta_placement::{Capabilities, Decision, Device, Placement, Told, Verdict, place};
use serde_json::{Value, json};

use super::explain::{counted, indented};
use crate::commands::switch::Colour;
use crate::table::{Cell, Table};

/// A bridge's flows, and where they would be.
#[derive(Debug)]
pub struct Plan {
    tables: Tables,
    device: Device,
    placement: Placement,
}

impl Plan {
    /// With a card that has these ports of the bridge, does what TC flower can say, and has room for
    /// so many rules.
    pub fn new(flows: Vec<Flow>, ports: Vec<OfPort>, max_rules: usize) -> Plan {
        let mut tables = Tables::new();
        for (number, flow) in flows.into_iter().enumerate() {
            tables.restore_flow(TableFlow {
                id: FlowId(number as u64),
                flow: flow.into(),
            });
        }
        let device = Device {
            ports: ports.into_iter().collect(),
            capabilities: Capabilities::flower(max_rules),
        };
        let placement = place(&tables, &device, &Told::default());
        Plan {
            tables,
            device,
            placement,
        }
    }

    /// Flows in the order of lookups, each with where it would be and why.
    fn flows(&self) -> impl Iterator<Item = (&TableFlow, &'static str, String)> {
        self.tables.flows().filter_map(|entry| {
            let (place, why) = match self.placement.decisions.get(&entry.id)? {
                Decision::Placed => ("nic", String::new()),
                Decision::Software { why, .. } => ("software", why.to_string()),
            };
            Some((entry, place, why))
        })
    }

    fn traps(&self) -> usize {
        let rules = self.placement.rules.iter();
        rules.filter(|rule| rule.verdict == Verdict::Trap).count()
    }

    /// For people: flows that are at the same place for the same reason are a line.
    pub fn text(&self, bridge: &str, names: &dyn Names, colour: Colour) -> String {
        let mut reasons: BTreeMap<(&str, String), (usize, &Flow)> = BTreeMap::new();
        for (entry, place, why) in self.flows() {
            let seen = reasons.entry((place, why)).or_insert((0, &entry.flow));
            seen.0 += 1;
        }
        let ports = self.device.ports.iter();
        let ports: Vec<String> = ports
            .map(|port| {
                names
                    .port_name(*port)
                    .map_or(port.to_string(), str::to_owned)
            })
            .collect();
        let placed = reasons.iter().filter(|((place, _), _)| *place == "nic");
        let placed: usize = placed.map(|(_, (flows, _))| flows).sum();
        let mut out = format!(
            "{}  a card with ports {}, programmed by TC flower, with room for {}\n",
            colour.paint("1", &format!("Bridge {bridge}")),
            ports.join(", "),
            counted(self.device.capabilities.max_rules as u64, "rule"),
        );
        let _ = writeln!(
            out,
            "  would take {placed} of {} by {}, {} of which leave their packets to software",
            counted(self.tables.len() as u64, "flow"),
            counted(self.placement.rules.len() as u64, "rule"),
            self.traps(),
        );
        if self.tables.is_empty() {
            return out;
        }
        let mut table = Table::new(["flows", "where", "the first", "why"]);
        for ((place, why), (flows, first)) in reasons {
            table.rows.push(vec![
                Cell::text(flows.to_string()),
                Cell::text(place),
                Cell::text(short(first, names)),
                Cell::text(why),
            ]);
        }
        out.push('\n');
        out.push_str(&indented(&table));
        out
    }

    /// Each flow, for programs.
    pub fn to_json(&self) -> Value {
        let flows: Vec<Value> = self
            .flows()
            .map(|(entry, place, why)| {
                let decision = self.placement.decisions.get(&entry.id);
                let trapped = matches!(decision, Some(Decision::Software { trapped: true, .. }));
                json!({
                    "table": entry.flow.table,
                    "priority": entry.flow.priority,
                    "cookie": format!("{:#x}", entry.flow.cookie),
                    "match": entry.flow.matching.to_string(),
                    "where": place,
                    "why": why,
                    "trapped": trapped,
                })
            })
            .collect();
        json!({
            "ports": self.device.ports.iter().map(|port| port.0).collect::<Vec<u16>>(),
            "max_rules": self.device.capabilities.max_rules,
            "rules": self.placement.rules.len(),
            "traps": self.traps(),
            "flows": flows,
        })
    }
}

/// Which flow it is, in a few words.
fn short(flow: &Flow, names: &dyn Names) -> String {
    let matching = show_match(&flow.matching, names);
    let comma = if matching.is_empty() { "" } else { "," };
    format!(
        "table={},priority={}{comma}{matching}",
        flow.table, flow.priority
    )
}
