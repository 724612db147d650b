//! The state as the management API tells it.

use aorta_api::{BridgeStatus, PortStatus};

use super::*;
use crate::reconcile::{Counters, Hook, Resolved, resolve};

impl<E: Effects, D: Datapath> Switch<E, D> {
    /// All bridges with their ports and counters, and what doesn't work as configured.
    pub fn status(&self) -> (Vec<BridgeStatus>, Vec<String>) {
        let mut problems: Vec<String> = self.desired.notes.clone();
        problems.extend(self.datapath_problem.clone());
        problems.extend(self.actual.failed.values().cloned());
        problems.extend(self.flow_problems());
        problems.extend(self.card_problems());
        let counters = self.datapath.counters().unwrap_or_else(|error| {
            problems.push(error.to_string());
            BTreeMap::new()
        });
        match self.datapath.lost_upcalls() {
            Ok(0) => {}
            Ok(lost) => problems.push(format!(
                "{lost} packets for controllers or to be learned from were lost since the start: \
                 they came faster than the daemon takes them; a meter on the flows that send them \
                 would help"
            )),
            Err(error) => problems.push(error.to_string()),
        }
        let served = self.served();
        let mut bridges = Vec::new();
        for bridge in &self.desired.bridges {
            let fdb_entries = match self.datapath.fdb(&bridge.name) {
                Ok(entries) => u32::try_from(entries.len()).unwrap_or(u32::MAX),
                Err(error) => {
                    problems.push(error.to_string());
                    0
                }
            };
            let mut ports = Vec::new();
            for port in &bridge.ports {
                let failure = self.datapath_failure(&port.name, &served);
                let resolved = resolve(port, &self.actual);
                let problem = match &resolved {
                    Resolved::Nothing(why) => Some(why.clone()),
                    _ => failure,
                };
                let counters = counters.get(&port.name).cloned().unwrap_or_default();
                ports.push(self.port_status(port, &resolved, problem.as_deref(), counters));
                problems.extend(problem);
            }
            ports.sort_by_key(|p| if p.ofport < 0 { i32::MAX } else { p.ofport });
            bridges.push(BridgeStatus {
                name: bridge.name.to_string(),
                fdb_entries,
                fdb_size: bridge.mac_table_size,
                flows: self.flow_count(&bridge.name),
                ports,
            });
        }
        problems.dedup();
        (bridges, problems)
    }

    /// Where a port's frames enter the switch.
    pub(super) fn hook(&self, port: &PortName) -> Option<Hook> {
        let before = self.hooks.hooks.get(port)?;
        Some(self.datapath.hook(port).unwrap_or_else(|| before.clone()))
    }

    fn port_status(
        &self,
        port: &crate::config::DesiredPort,
        resolved: &Resolved,
        problem: Option<&str>,
        counters: Counters,
    ) -> PortStatus {
        let hook = self.hook(&port.name).filter(|_| problem.is_none());
        let ofport = port
            .ofport
            .filter(|_| problem.is_none())
            .map_or(-1, |n| i32::from(n.0));
        let ifindex = match resolved {
            Resolved::Device(link) => link.ifindex.get(),
            Resolved::Pair { host, hidden } => host.unwrap_or(hidden).ifindex.get(),
            _ => 0,
        };
        PortStatus {
            name: port.name.to_string(),
            ofport,
            kind: port.wanted.kind().to_owned(),
            hook: hook.as_ref().map_or("none", |h| &h.name).to_owned(),
            reason: hook
                .as_ref()
                .map_or(problem.unwrap_or("not attached yet"), |h| &h.reason)
                .to_owned(),
            ifindex,
            guard: port.guard.to_string(),
            rx_packets: counters.rx_packets,
            rx_bytes: counters.rx_bytes,
            tx_packets: counters.tx_packets,
            tx_bytes: counters.tx_bytes,
            drops: counters.drops,
        }
    }
}
