//! Values in the text format of Prometheus, version 0.0.4. Pure.

use std::fmt::{Display, Write as _};

use aorta_api::{BridgeStatus, CardExplain, PortStatus};
use aorta_ovsdb::histogram::{BOUNDS_US, Distribution};

use super::Values;
use super::families::{self as f, Family};

/// Counters of the process, each with the metric it is told by, and that metric's label's value.
const COUNTERS: [(Family, &str, Option<&str>); 18] = [
    (f::UPCALLS, "upcall", None),
    (f::FLOWS_LEARNED, "flow_learned", None),
    (f::PACKET_INS_DROPPED, "packet_in_dropped", Some("queue")),
    (f::PACKET_INS_DROPPED, "packet_in_limited", Some("rate")),
    (f::OPENFLOW_RECEIVED, "openflow_received", None),
    (f::OPENFLOW_SENT, "openflow_sent", None),
    (f::DATAPATH_APPLIES, "datapath_apply", None),
    (f::NETLINK_EVENTS, "netlink_event", None),
    (
        f::OVSDB_TRANSACTIONS,
        "ovsdb_txn_committed",
        Some("committed"),
    ),
    (f::OVSDB_TRANSACTIONS, "ovsdb_txn_failed", Some("failed")),
    (f::OVSDB_REQUESTS, "ovsdb_request_received", None),
    (f::OVSDB_OPENED, "ovsdb_session_opened", None),
    (f::OVSDB_UPDATES, "ovsdb_monitor_update", None),
    (f::OVSDB_WRITTEN, "ovsdb_log_bytes", None),
    (f::OVSDB_COMPACTIONS, "ovsdb_log_compacted", None),
    (f::API_CALLS, "api_call", None),
    (f::REFUSED, "connection_refused", None),
    (f::CONTROL_COMMANDS, "unixctl_received", None),
];

/// All metrics.
pub fn render(values: &Values) -> String {
    let mut page = Page(String::new());
    for family in f::ALL {
        page.head(family);
        page.samples(family, values);
    }
    page.0
}

struct Page(String);

impl Page {
    fn head(&mut self, family: &Family) {
        let (name, kind) = (family.name, family.kind.word());
        let _ = writeln!(
            self.0,
            "# HELP {name} {}\n# TYPE {name} {kind}",
            family.help
        );
    }

    /// A value, with one for each of the metric's labels.
    fn put(&mut self, family: &Family, labels: &[&str], value: impl Display) {
        self.0.push_str(family.name);
        for (at, (label, text)) in family.labels.iter().zip(labels).enumerate() {
            self.0.push(if at == 0 { '{' } else { ',' });
            let _ = write!(self.0, "{label}=\"");
            escape(&mut self.0, text);
            self.0.push('"');
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{end} {value}");
    }

    fn samples(&mut self, family: &Family, values: &Values) {
        let known = self.process(family, values)
            || self.durations(family, values)
            || self.counters(family, values);
        if !known {
            for bridge in &values.switch.bridges {
                self.bridge(family, bridge);
                for port in &bridge.ports {
                    self.port(family, &bridge.name, port);
                }
            }
            self.tables(family, values);
            for (bridge, card) in &values.switch.cards {
                self.card(family, bridge, card);
            }
        }
    }

    /// What there is once; whether the metric is of that kind.
    fn process(&mut self, family: &Family, values: &Values) -> bool {
        let (usage, switch) = (&values.usage, &values.switch);
        match *family {
            f::BUILD_INFO => {
                let labels = [env!("CARGO_PKG_VERSION"), values.datapath];
                self.put(family, &labels, 1);
            }
            f::PROBLEMS => self.put(family, &[], switch.problems.len()),
            f::UPCALLS_LOST => self.put(family, &[], switch.lost_upcalls),
            f::OPENFLOW_CONNECTIONS => {
                for (bridge, count) in &switch.connections {
                    self.put(family, &[bridge], count);
                }
            }
            f::OVSDB_SESSIONS => self.put(family, &[], usage.sessions),
            f::OVSDB_MONITORS => self.put(family, &[], usage.monitors),
            f::OVSDB_BACKLOG => self.put(family, &[], usage.backlog_bytes),
            f::OVSDB_WAITING => self.put(family, &[], usage.triggers),
            f::OVSDB_FILE => self.put(family, &[], values.file_bytes),
            f::START_TIME => self.put(family, &[], format_args!("{:.3}", values.started_s)),
            f::RESIDENT => self.put(family, &[], values.resident_bytes),
            _ => return false,
        }
        true
    }

    fn durations(&mut self, family: &Family, values: &Values) -> bool {
        let durations = &values.durations;
        let distribution = match *family {
            f::FLOW_CHANGE => &durations.flow_change,
            f::RECONCILE => &durations.reconcile,
            f::OVSDB_COMMIT => &durations.commit,
            f::OVSDB_FLUSH => &durations.flush,
            _ => return false,
        };
        self.histogram(family.name, distribution);
        true
    }

    fn histogram(&mut self, name: &str, distribution: &Distribution) {
        let mut sum = 0;
        let ends = BOUNDS_US.iter().map(Some).chain([None]);
        for (count, end) in distribution.counts.iter().zip(ends) {
            sum += count;
            let _ = match end {
                Some(us) => writeln!(self.0, "{name}_bucket{{le=\"{}\"}} {sum}", seconds(*us)),
                None => writeln!(self.0, "{name}_bucket{{le=\"+Inf\"}} {sum}"),
            };
        }
        let total = seconds(distribution.sum_us);
        let _ = writeln!(self.0, "{name}_sum {total}\n{name}_count {sum}");
    }

    fn counters(&mut self, family: &Family, values: &Values) -> bool {
        let mut known = false;
        for (_, counter, label) in COUNTERS.iter().filter(|(told, ..)| told == family) {
            known = true;
            let reading = values.readings.iter().find(|r| r.name == *counter);
            let total = reading.map_or(0, |reading| reading.total);
            self.put(family, label.as_slice(), total);
        }
        known
    }

    fn bridge(&mut self, family: &Family, bridge: &BridgeStatus) {
        let value = match *family {
            f::BRIDGE_PORTS => bridge.ports.len() as u64,
            f::BRIDGE_FLOWS => bridge.flows,
            f::BRIDGE_FDB_ENTRIES => bridge.fdb_entries.into(),
            f::BRIDGE_FDB_SIZE => bridge.fdb_size.into(),
            _ => return,
        };
        self.put(family, &[&bridge.name], value);
    }

    fn port(&mut self, family: &Family, bridge: &str, port: &PortStatus) {
        let value = match *family {
            f::PORT_ATTACHED => u64::from(port.hook != "none"),
            f::PORT_RX_PACKETS => port.rx_packets,
            f::PORT_RX_BYTES => port.rx_bytes,
            f::PORT_TX_PACKETS => port.tx_packets,
            f::PORT_TX_BYTES => port.tx_bytes,
            f::PORT_INFO => {
                let number = port.ofport.to_string();
                let labels = [bridge, &port.name, &number, &port.kind, &port.hook];
                return self.put(family, &labels, 1);
            }
            f::PORT_DROPS => {
                for (reason, count) in &port.drops {
                    self.put(family, &[bridge, &port.name, reason], count);
                }
                return;
            }
            _ => return,
        };
        self.put(family, &[bridge, &port.name], value);
    }

    fn card(&mut self, family: &Family, bridge: &str, card: &CardExplain) {
        let labels = [bridge, card.name.as_str()];
        match *family {
            f::CARD_USED => {
                let used = u64::from(card.trouble.is_empty());
                self.put(family, &[bridge, &card.name, &card.language], used);
            }
            f::CARD_FLOWS => self.put(family, &labels, card.flows),
            f::CARD_REFUSALS => self.put(family, &labels, card.refusals),
            f::CARD_RULES => {
                let decide = card.rules.saturating_sub(card.traps);
                self.put(family, &[bridge, &card.name, "forward"], decide);
                self.put(family, &[bridge, &card.name, "trap"], card.traps);
            }
            _ => {}
        }
    }

    fn tables(&mut self, family: &Family, values: &Values) {
        for (bridge, explained) in &values.switch.explained {
            match *family {
                f::BRIDGE_PROGRAM => self.put(family, &[bridge], explained.program_insns),
                f::BRIDGE_LOAD => self.put(family, &[bridge], explained.load_ms / 1e3),
                _ => {}
            }
            for table in &explained.tables {
                let number = table.table.to_string();
                let labels = [bridge, number.as_str()];
                let matched = values.switch.matched.get(&(bridge.clone(), table.table));
                let matched = matched.copied().unwrap_or_default();
                match *family {
                    f::TABLE_FLOWS => {
                        let labels = [bridge, number.as_str(), &table.template];
                        self.put(family, &labels, table.flows);
                    }
                    f::TABLE_PACKETS => self.put(family, &labels, matched.packets),
                    f::TABLE_BYTES => self.put(family, &labels, matched.bytes),
                    f::TABLE_PROGRAM => self.put(family, &labels, table.program_insns),
                    f::TABLE_MEMORY => self.put(family, &labels, table.memory_bytes),
                    f::TABLE_PROBES => self.put(family, &labels, table.probes_per_packet),
                    _ => {}
                }
            }
        }
    }
}

/// Microseconds in seconds, without what rounding would add.
fn seconds(us: u64) -> String {
    let text = format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
    let short = text.trim_end_matches('0').trim_end_matches('.');
    short.to_owned()
}

/// The value of a label.
fn escape(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
