//! The datapath's ports and learned addresses, as Open vSwitch's tools ask for them.

use aorta_flow::StationCounts;
use aorta_kernel::netdev::LinkStats;
use aorta_packet::{MacAddr, Vid};

use super::*;
use crate::config::{DesiredPort, Devices, Dummy, DummyKind};
use crate::reconcile::{Resolved, resolve};

/// The whole datapath.
#[derive(Debug, Clone, Default)]
pub struct DatapathReport {
    /// Whether its devices are in memory.
    pub simulated: bool,
    /// Frames that it has taken.
    pub packets: u64,
    /// Bridges by name.
    pub bridges: Vec<BridgeReport>,
}

/// A bridge.
#[derive(Debug, Clone, Default)]
pub struct BridgeReport {
    /// Its name.
    pub name: String,
    /// Its ports that work, by name.
    pub ports: Vec<PortReport>,
}

/// A port.
#[derive(Debug, Clone, Default)]
pub struct PortReport {
    /// Its name.
    pub name: String,
    /// Its OpenFlow number.
    pub ofport: u16,
    /// Number of its device, if it has one.
    pub device: Option<u32>,
    /// Its type.
    pub kind: &'static str,
    /// How it is configured, `KEY=VALUE` and commas.
    pub config: String,
    /// What its device has counted.
    pub stats: LinkStats,
}

/// What is known of a bridge's learned addresses.
#[derive(Debug, Clone, Default)]
pub struct FdbReport {
    /// How many there are.
    pub entries: usize,
    /// How many there may be.
    pub most: u32,
    /// What became of them, if the datapath counts that.
    pub counts: Option<StationCounts>,
    /// Those that an administrator has put there.
    pub fixed: Vec<(Vid, MacAddr)>,
}

impl<E: Effects, D: Datapath> Switch<E, D> {
    /// What the datapath is made of.
    pub fn report(&self) -> DatapathReport {
        let counters = self.datapath.counters().unwrap_or_default();
        let served = self.served();
        let bridges = self.desired.bridges.iter().map(|bridge| BridgeReport {
            name: bridge.name.to_string(),
            ports: bridge
                .ports
                .iter()
                .filter(|port| self.datapath_failure(&port.name, &served).is_none())
                .filter_map(|port| self.port_report(port))
                .collect(),
        });
        DatapathReport {
            simulated: self.model.devices != Devices::Host,
            packets: counters.values().map(|count| count.rx_packets).sum(),
            bridges: bridges.collect(),
        }
    }

    fn port_report(&self, port: &DesiredPort) -> Option<PortReport> {
        let (device, stats) = match resolve(port, &self.actual) {
            Resolved::Device(link) => (Some(link.ifindex.get()), link.stats),
            Resolved::Pair { host, hidden } => {
                let link = host.unwrap_or(hidden);
                (Some(link.ifindex.get()), hidden.stats)
            }
            Resolved::Patch(_) => (None, LinkStats::default()),
            Resolved::MissingPair | Resolved::Nothing(_) => return None,
        };
        Some(PortReport {
            name: port.name.to_string(),
            ofport: port.ofport?.0,
            device,
            kind: match &port.wanted {
                Wanted::Dummy(dummy) => dummy.kind.class(),
                other => other.kind(),
            },
            config: match &port.wanted {
                Wanted::Patch { peer } => format!("peer={peer}"),
                Wanted::Dummy(dummy) => dummy_config(dummy),
                _ => String::new(),
            },
            stats,
        })
    }

    /// What is known of the learned addresses of a bridge.
    ///
    /// # Errors
    /// If there is no such bridge, or the datapath can't be read.
    pub fn fdb_report(&mut self, bridge: &str) -> Result<FdbReport, FdbError> {
        let mut bridges = self.desired.bridges.iter();
        let found = bridges.find(|other| other.name.as_str() == bridge);
        let found = found.ok_or_else(|| FdbError::NoBridge(bridge.to_owned()))?;
        let entries = self.datapath.fdb(&found.name);
        let entries = entries.map_err(|DatapathError(why)| FdbError::Datapath(why))?;
        Ok(FdbReport {
            entries: entries.len(),
            most: found.mac_table_size,
            counts: self.datapath.fdb_counts(&found.name),
            fixed: self.datapath.fixed_stations(&found.name),
        })
    }

    /// Has the counts of learned addresses of a bridge, or of all, start anew.
    ///
    /// # Errors
    /// If there is no such bridge.
    pub fn clear_fdb_counts(&mut self, bridge: Option<&str>) -> Result<(), FdbError> {
        for name in self.chosen(bridge)? {
            self.datapath.clear_fdb_counts(&name);
        }
        Ok(())
    }

    /// Has a bridge know for good where a station is; without a port, forget that.
    ///
    /// # Errors
    /// With what is wrong, for people.
    pub fn fix_station(
        &mut self,
        bridge: &str,
        station: (Vid, MacAddr),
        port: Option<&str>,
    ) -> Result<(), String> {
        let mut bridges = self.desired.bridges.iter();
        let found = bridges.find(|other| other.name.as_str() == bridge);
        let found = found.ok_or_else(|| "no such bridge".to_owned())?;
        let ofport = match port {
            None => None,
            Some(port) => {
                let known = found.ports.iter().find(|p| p.name.as_str() == port);
                let ofport = known.and_then(|p| p.ofport);
                Some(ofport.ok_or_else(|| format!("{port}: no such port of {bridge}"))?)
            }
        };
        let fixed = self.datapath.fix_station(&found.name, station, ofport);
        fixed.map_err(|DatapathError(why)| why)
    }
}

fn dummy_config(dummy: &Dummy) -> String {
    let mut parts = Vec::new();
    if dummy.ifindex != 0 {
        parts.push(format!("ifindex={}", dummy.ifindex));
    }
    if dummy.kind == DummyKind::Pmd {
        let queues = [
            "configured_rx",
            "configured_tx",
            "requested_rx",
            "requested_tx",
        ];
        parts.extend(queues.map(|which| format!("{which}_queues=1")));
    }
    parts.join(", ")
}
