//! How ports are shaped, as text.

use std::fmt::Write as _;

use aorta_kernel::netdev::qdisc::Class;

use super::switch::gone;
use super::{Answer, Commands};
use crate::config::{DEFAULT_QUEUE, Qos};
use crate::control::Request;
use crate::switch::{QosReport, QueueReport};

impl Commands {
    pub(super) async fn qos_show(&self, interface: &str) -> Answer {
        let question = |to| Request::Qos(interface.to_owned(), to);
        let report = self.control.ask(question).await.map_err(gone)?;
        let report = report.ok_or_else(|| "no such interface".to_owned())?;
        Ok(shown(interface, &report))
    }

    pub(super) async fn qos_types(&self, interface: &str) -> Answer {
        let (bridges, _) = self.control.ask(Request::Status).await.map_err(gone)?;
        let mut ports = bridges.iter().flat_map(|bridge| &bridge.ports);
        let found = ports.find(|port| port.name == interface);
        match found.map(|port| port.kind.as_str()) {
            None => Err("no such interface".to_owned()),
            Some("system" | "internal") if !self.simulated => {
                let types = Qos::TYPES.iter();
                Ok(types.map(|kind| format!("QoS type: {kind}\n")).collect())
            }
            Some(_) => Ok(format!("No QoS types supported for interface: {interface}")),
        }
    }
}

/// The text of a report, in the form of Open vSwitch.
fn shown(interface: &str, report: &QosReport) -> String {
    let Some(kind) = report.asked.name() else {
        return format!("QoS not configured on {interface}");
    };
    let mut text = format!("QoS: {interface} {kind}\n");
    // Writing to a string never fails.
    for (key, value) in settings(report) {
        let _ = writeln!(text, "{key}: {value}");
    }
    for (number, queue) in &report.queues {
        let _ = match *number {
            DEFAULT_QUEUE => writeln!(text, "\nDefault:"),
            number => writeln!(text, "\nQueue {number}:"),
        };
        for (key, value) in queue_settings(queue) {
            let _ = writeln!(text, "  {key}: {value}");
        }
    }
    text
}

type Settings = Vec<(&'static str, u64)>;

fn settings(report: &QosReport) -> Settings {
    match &report.asked {
        Qos::None | Qos::Noop => Vec::new(),
        Qos::Htb { .. } | Qos::Hfsc { .. } => {
            let rate = report.max_rate_bps;
            rate.map(|rate| ("max-rate", rate)).into_iter().collect()
        }
        Qos::Policer {
            cir_bytes_s,
            cbs_bytes,
        } => vec![("cir", *cir_bytes_s), ("cbs", *cbs_bytes)],
        Qos::Sfq {
            perturb_s,
            quantum_bytes,
        } => {
            let mut settings = vec![("perturb", (*perturb_s).into())];
            settings.extend(quantum_bytes.map(|bytes| ("quantum", bytes.into())));
            settings
        }
        Qos::Codel(codel) | Qos::FqCodel { codel, .. } => {
            let mut settings = vec![
                ("interval", codel.interval_us.into()),
                ("limit", codel.limit_packets.into()),
                ("target", codel.target_us.into()),
            ];
            if let Qos::FqCodel {
                flows,
                quantum_bytes,
                ..
            } = &report.asked
            {
                settings.insert(0, ("flows", (*flows).into()));
                settings.insert(3, ("quantum", (*quantum_bytes).into()));
            }
            settings
        }
        Qos::Netem {
            latency_us,
            limit_packets,
            loss_percent,
        } => vec![
            ("latency", (*latency_us).into()),
            ("limit", (*limit_packets).into()),
            ("loss", (*loss_percent).into()),
        ],
    }
}

fn queue_settings(queue: &QueueReport) -> Settings {
    let bits = |bytes: u64| bytes.saturating_mul(8);
    let mut settings = Vec::new();
    if let Class::Htb(class) = &queue.class {
        settings.push(("burst", bits(class.burst.bytes(class.rate_bytes_s))));
        if class.priority != 0 {
            settings.push(("priority", class.priority.into()));
        }
    }
    let min = queue.class.min_rate_bytes_s();
    let max = queue.class.max_rate_bytes_s();
    settings.push(("min-rate", bits(min)));
    if max != min {
        settings.push(("max-rate", bits(max)));
    }
    settings.extend([
        ("tx_packets", queue.stats.packets),
        ("tx_bytes", queue.stats.bytes),
        ("tx_errors", queue.stats.dropped),
    ]);
    settings
}
