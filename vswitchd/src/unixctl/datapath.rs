//! Commands about the datapath: its ports, and what it can do.

use std::fmt::Write as _;

use aorta_flow::{Match, OfPort};

use super::switch::gone;
use super::{Answer, Commands};
use crate::clock;
use crate::control::Request;
use crate::ofproto::{self, OdpStyle, PortNames, odp_line};
use crate::reconcile::Language;
use crate::switch::{CardFlow, DatapathReport, PortReport};

/// The device that stands for the datapath itself, where there is one.
const OWN_DEVICE: &str = "  port 0: ovs-dummy (dummy-internal)\n";

impl Commands {
    pub(super) async fn datapath(&self, name: &str, arguments: &[String]) -> Answer {
        let report = self.control.ask(Request::Datapath).await.map_err(gone)?;
        let known = |bridge: &str| report.bridges.iter().any(|other| other.name == bridge);
        match (name, arguments) {
            ("dpif/show", _) => Ok(by_bridge(&report)),
            ("dpif/dump-dps", _) => {
                let dp_type = dp_type(&report);
                let names = report.bridges.iter().map(|bridge| &bridge.name);
                Ok(names.map(|name| format!("{dp_type}@{name}\n")).collect())
            }
            ("dpif/show-dp-features", [bridge]) if known(bridge) => Ok(features()),
            ("dpif/show-dp-features", _) => Err("no such bridge".to_owned()),
            ("dpctl/dump-dps", _) => Ok(dp_name(&report)),
            // Nothing is cached: packets run through the tables.
            ("dpif/dump-flows", [.., bridge]) if known(bridge) => Ok(String::new()),
            ("dpif/dump-flows", _) => Err("no such bridge".to_owned()),
            ("dpctl/dump-flows", options) => {
                let mut others = options.iter();
                match others.find(|other| !is_option(other) && !is_ours(&report, other)) {
                    Some(_) => {
                        Err("ovs-vswitchd: datapath not found (Invalid argument)".to_owned())
                    }
                    None => self.card_flows(&report, options).await,
                }
            }
            ("dpctl/show", options) => {
                let detailed = options
                    .iter()
                    .any(|option| option == "-s" || option == "--statistics");
                let mut others = options.iter().filter(|option| !option.starts_with('-'));
                match others.find(|other| !is_ours(&report, other)) {
                    Some(other) => Err(format!(
                        "ovs-vswitchd: opening datapath {other} failed (No such device)"
                    )),
                    None => Ok(by_number(&report, detailed)),
                }
            }
            (other, _) => Err(format!("{other:?} takes other arguments")),
        }
    }
}

impl Commands {
    /// `dpctl/dump-flows`: what network cards have; the kernel's programs keep nothing but the tables.
    async fn card_flows(&self, report: &DatapathReport, options: &[String]) -> Answer {
        let asked = Asked::of(options)?;
        let flows = self.control.ask(Request::CardFlows).await.map_err(gone)?;
        let shown = flows.iter().filter(|flow| asked.wants(flow));
        let lines = shown.filter_map(|flow| asked.line(flow, report));
        Ok(lines.map(|line| line + "\n").collect())
    }
}

/// Which flows `dpctl/dump-flows` is to show, and how.
struct Asked {
    detailed: bool,
    names: bool,
    /// Languages by which cards were given them.
    languages: Vec<Language>,
    filter: Match,
}

impl Asked {
    fn of(options: &[String]) -> Result<Asked, String> {
        let has = |name: &str| options.iter().any(|option| option == name);
        let value = |name: &str| options.iter().find_map(|option| option.strip_prefix(name));
        let filter = ofproto::filter(value("filter=").unwrap_or_default(), &PortNames::default());
        let types = value("type=").unwrap_or("all").split(',');
        let mut languages = Vec::new();
        for kind in types {
            match kind {
                "all" | "offloaded" => languages.extend([Language::Flower, Language::Ebpf]),
                "tc" => languages.push(Language::Flower),
                // Open vSwitch's own datapaths, which keep flows.
                "ovs" | "dpdk" | "non-offloaded" | "partially-offloaded" => {}
                other => return Err(format!("Failed to parse type ({other})")),
            }
        }
        Ok(Asked {
            detailed: has("-m") || has("--more"),
            names: has("--names"),
            languages,
            filter: filter.map_err(|error| error.to_string())?.flow.matching,
        })
    }

    fn wants(&self, flow: &CardFlow) -> bool {
        let on_card = &flow.on_card;
        self.languages.contains(&on_card.language) && self.filter.covers(&on_card.rule.matching)
    }

    fn line(&self, flow: &CardFlow, report: &DatapathReport) -> Option<String> {
        let bridge = report
            .bridges
            .iter()
            .find(|bridge| bridge.name == flow.bridge);
        let port = |number: OfPort| {
            let ports = bridge.into_iter().flat_map(|bridge| &bridge.ports);
            let known = ports.into_iter().find(|port| port.ofport == number.0);
            match known {
                Some(port) if self.names => port.name.clone(),
                Some(PortReport {
                    device: Some(device),
                    ..
                }) => device.to_string(),
                _ => number.to_string(),
            }
        };
        let on_card = &flow.on_card;
        let layer = match on_card.language {
            Language::Flower => "tc",
            other => other.name(),
        };
        let style = OdpStyle {
            port: &port,
            detailed: self.detailed,
            layer,
            now: clock::now(),
        };
        odp_line(&on_card.rule, &on_card.counted, &style)
    }
}

fn dp_type(report: &DatapathReport) -> &'static str {
    if report.simulated { "dummy" } else { "aorta" }
}

/// The datapath's name: there is one, whatever bridges there are.
fn dp_name(report: &DatapathReport) -> String {
    let name = if report.simulated {
        "ovs-dummy"
    } else {
        "kernel"
    };
    format!("{}@{name}", dp_type(report))
}

fn is_ours(report: &DatapathReport, name: &str) -> bool {
    let full = dp_name(report);
    full == name || full.split_once('@').is_some_and(|(_, short)| short == name)
}

/// Whether a word of `dpctl/dump-flows` is no name of a datapath.
fn is_option(word: &str) -> bool {
    let starts = ["-", "filter=", "type=", "pmd="];
    starts.iter().any(|start| word.starts_with(start))
}

/// `dpif/show`: every packet runs through the tables, so that none misses a flow.
fn by_bridge(report: &DatapathReport) -> String {
    let mut text = format!("{}: hit:{} missed:0\n", dp_name(report), report.packets);
    for bridge in &report.bridges {
        // Writing to a string never fails.
        let _ = writeln!(text, "  {}:", bridge.name);
        for port in &bridge.ports {
            let device = port
                .device
                .map_or_else(|| "none".to_owned(), |n| n.to_string());
            let _ = writeln!(
                text,
                "    {} {}/{device}: {}",
                port.name,
                port.ofport,
                kind(port)
            );
        }
    }
    text
}

fn kind(port: &PortReport) -> String {
    match port.config.as_str() {
        "" => format!("({})", port.kind),
        config => format!("({}: {config})", port.kind),
    }
}

/// `dpctl/show`.
fn by_number(report: &DatapathReport, detailed: bool) -> String {
    let (name, hits) = (dp_name(report), report.packets);
    let mut text = format!("{name}:\n  lookups: hit:{hits} missed:0 lost:0\n");
    // Those of a cache would stand here.
    text += "  flows: 0\n";
    if report.simulated {
        text += OWN_DEVICE;
        if detailed {
            text += &statistics(&PortReport::default(), true);
        }
    }
    let ports = report.bridges.iter().flat_map(|bridge| &bridge.ports);
    let mut numbered: Vec<(u32, &PortReport)> = ports
        .filter_map(|port| Some((port.device?, port)))
        .collect();
    numbered.sort_by_key(|(number, _)| *number);
    for (number, port) in numbered {
        let _ = writeln!(text, "  port {number}: {} {}", port.name, kind(port));
        if detailed {
            text += &statistics(port, report.simulated);
        }
    }
    text
}

/// What a device has counted; those in memory count frames and bytes only.
fn statistics(port: &PortReport, simulated: bool) -> String {
    let s = &port.stats;
    let other = |count: u64| match simulated {
        true => "?".to_owned(),
        false => count.to_string(),
    };
    let missed = s.rx_over_errors + s.rx_missed_errors;
    format!(
        "    RX packets:{} errors:{} dropped:{} overruns:{} frame:{}\n    \
         TX packets:{} errors:{} dropped:{} aborted:? carrier:?\n    collisions:{}\n    \
         RX bytes:{}  TX bytes:{}\n",
        s.rx_packets,
        other(s.rx_errors),
        other(s.rx_dropped),
        other(missed),
        other(s.rx_frame_errors),
        s.tx_packets,
        other(s.tx_errors),
        other(s.tx_dropped),
        other(s.collisions),
        bytes(s.rx_bytes),
        bytes(s.tx_bytes),
    )
}

/// A number of bytes, in a larger unit, too, from 1024 on.
fn bytes(count: u64) -> String {
    let units = [
        (1u64 << 40, "TiB"),
        (1 << 30, "GiB"),
        (1 << 20, "MiB"),
        (1 << 10, "KiB"),
    ];
    match units.iter().find(|(size, _)| count >= *size) {
        Some((size, unit)) => {
            let whole = count as f64 / *size as f64;
            format!("{count} ({whole:.1} {unit})")
        }
        None => count.to_string(),
    }
}

/// `dpif/show-dp-features`: what Open vSwitch asks of its datapaths, and which of it is here.
fn features() -> String {
    let features = [
        ("Masked set action", "Yes"),
        ("Tunnel push pop", "No"),
        ("Ufid", "No"),
        ("Truncate action", "Yes"),
        ("Clone action", "Yes"),
        ("Sample nesting", "0"),
        ("Conntrack eventmask", "No"),
        ("Conntrack clear", "No"),
        ("Max dp_hash algorithm", "0"),
        ("Check pkt length action", "Yes"),
        ("Conntrack timeout policy", "No"),
        ("Explicit Drop action", "Yes"),
        ("Optimized Balance TCP mode", "No"),
        ("Conntrack all-zero IP SNAT", "No"),
        ("MPLS Label add", "Yes"),
        ("Max VLAN headers", "1"),
        ("Max MPLS depth", "1"),
        ("Recirc", "No"),
        ("CT state", "No"),
        ("CT zone", "No"),
        ("CT mark", "No"),
        ("CT label", "No"),
        ("CT state NAT", "No"),
        ("CT orig tuple", "No"),
        ("CT orig tuple for IPv6", "No"),
        ("IPv6 ND Extension", "No"),
    ];
    features
        .iter()
        .map(|(name, value)| format!("{name}: {value}\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use aorta_kernel::netdev::LinkStats;

    use super::*;
    use crate::switch::BridgeReport;

    fn report() -> DatapathReport {
        let port = |name: &str, ofport, device, kind, config: &str| PortReport {
            name: name.to_owned(),
            ofport,
            device,
            kind,
            config: config.to_owned(),
            stats: LinkStats {
                rx_packets: 15,
                rx_bytes: 1590,
                ..LinkStats::default()
            },
        };
        DatapathReport {
            simulated: true,
            packets: 15,
            bridges: vec![BridgeReport {
                name: "br0".into(),
                ports: vec![
                    port("br0", 65534, Some(100), "dummy-internal", ""),
                    port("p1", 1, Some(1), "dummy", "ifindex=1010"),
                    port("pb", 3, None, "patch", "peer=pa"),
                ],
            }],
        }
    }

    #[test]
    fn ports_stand_as_open_vswitch_has_them() {
        assert_eq!(
            by_bridge(&report()),
            "dummy@ovs-dummy: hit:15 missed:0\n  br0:\n    br0 65534/100: (dummy-internal)\n    \
             p1 1/1: (dummy: ifindex=1010)\n    pb 3/none: (patch: peer=pa)\n"
        );
        let detailed = by_number(&report(), true);
        let (before, p1) = detailed.split_once("  port 1: ").unwrap();
        assert!(before.starts_with("dummy@ovs-dummy:\n  lookups: hit:15 missed:0 lost:0\n"));
        assert!(
            p1.starts_with(
                "p1 (dummy: ifindex=1010)\n    \
                 RX packets:15 errors:? dropped:? overruns:? frame:?\n    \
                 TX packets:0 errors:? dropped:? aborted:? carrier:?\n    collisions:?\n    \
                 RX bytes:1590 (1.6 KiB)  TX bytes:0\n  port 100: br0 (dummy-internal)\n"
            ),
            "{p1}"
        );
        assert!(is_ours(&report(), "ovs-dummy") && is_ours(&report(), "dummy@ovs-dummy"));
        assert!(!is_ours(&report(), "dummy@x"));
    }
}
