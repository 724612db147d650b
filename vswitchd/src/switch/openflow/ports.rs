//! Ports as controllers know them.

use aorta_flow::OfPort;
use aorta_kernel::netdev::HardwareInfo;
use aorta_openflow::error::ErrorCode;
use aorta_openflow::message::{MultipartReply, PortConfig, PortMod, PortStats};
use aorta_openflow::{Message, Version};

use super::*;
use crate::config::{DesiredBridge, DesiredPort, Wanted, stable_mac};
use crate::openflow::state::Unasked;
use crate::openflow::state::port::{self, Device, Ports};
use crate::reconcile::{Effect, Resolved, resolve};
use aorta_kernel::netdev::DeviceRef;

/// What can be asked of a port.
const CONFIGURABLE: PortConfig = PortConfig(
    PortConfig::DOWN.0
        | PortConfig::NO_STP.0
        | PortConfig::NO_RECV.0
        | PortConfig::NO_RECV_STP.0
        | PortConfig::NO_FLOOD.0
        | PortConfig::NO_FWD.0
        | PortConfig::NO_PACKET_IN.0,
);

impl<E: Effects, D: Datapath> Switch<E, D> {
    /// Compares the ports with those that were told last, and tells what is other. Who asked for it
    /// knows before OpenFlow 1.5, and isn't told.
    pub(in crate::switch) fn tell_ports(&mut self, asked_by: Option<ConnId>) {
        let now = clock::now();
        let wanted: HashSet<BridgeName> = self
            .desired
            .bridges
            .iter()
            .map(|b| b.name.clone())
            .collect();
        self.openflow.retain(|name| wanted.contains(name));
        let desired = std::mem::take(&mut self.desired);
        for bridge in &desired.bridges {
            let after = self.ports_now(bridge);
            let state = self.openflow.bridge(&bridge.name);
            let changes = port::status(&state.ports, &after);
            state.since.retain(|number, _| after.contains_key(number));
            for number in after.keys() {
                state.since.entry(*number).or_insert(now);
            }
            state.ports = after;
            for status in changes {
                for connection in self.openflow.of_bridge(&bridge.name) {
                    let knows = connection.version < Version::OpenFlow15;
                    if knows && asked_by == Some(connection.id) {
                        continue;
                    }
                    if connection.wants(Unasked::PortStatus(status.change as u8)) {
                        connection.tell(Message::PortStatus(status.clone()));
                    }
                }
            }
        }
        self.desired = desired;
    }

    /// A snapshot whose ports do as controllers ask.
    pub(in crate::switch) fn as_asked(&self, mut snapshot: Snapshot) -> Snapshot {
        for bridge in &mut snapshot.bridges {
            let Some(state) = self.openflow.bridges.get(&bridge.name) else {
                continue;
            };
            for port in &mut bridge.ports {
                let asked = state.asked.get(&port.name).copied().unwrap_or_default();
                port.restrictions = port::restrictions(asked);
            }
        }
        snapshot
    }

    fn ports_now(&mut self, bridge: &DesiredBridge) -> Ports {
        let asked = self.openflow.bridge(&bridge.name).asked.clone();
        let mut ports = Ports::new();
        for wanted in &bridge.ports {
            let Some(number) = wanted.ofport.filter(|n| self.has_port(&bridge.name, *n)) else {
                continue;
            };
            let hardware = self.hardware_of(wanted);
            let device = match resolve(wanted, &self.actual) {
                Resolved::Device(link) => Device::Foreign(link, &hardware),
                Resolved::Pair {
                    host: Some(link), ..
                } => Device::Own(link),
                _ => Device::None,
            };
            let row = wanted.row.unwrap_or(bridge.row);
            let config = asked.get(&wanted.name).copied().unwrap_or_default();
            let name = (number, wanted.name.as_str());
            let told = port::desc(name, device, stable_mac(row), config);
            ports.insert(number, told);
        }
        ports
    }

    fn hardware_of(&mut self, port: &DesiredPort) -> HardwareInfo {
        let physical = match resolve(port, &self.actual) {
            Resolved::Device(link) => link.kind.is_none(),
            _ => false,
        };
        match physical {
            true => self.effects.hardware(port.name.as_str()),
            false => HardwareInfo::default(),
        }
    }

    pub(super) async fn port_stats(
        &mut self,
        bridge: &BridgeName,
        number: OfPort,
    ) -> Answer<MultipartReply> {
        match self.effects.links().await {
            Ok(links) => {
                for link in links {
                    self.actual.insert(link);
                }
            }
            Err(error) => warn!("{}", error.line()),
        }
        let patches = self.patch_counters();
        let since = self.openflow.bridge(bridge).since.clone();
        let now = clock::now();
        let mut stats: Vec<PortStats> = Vec::new();
        let bridges = self.desired.bridges.iter();
        for wanted in bridges.filter(|b| b.name == *bridge).flat_map(|b| &b.ports) {
            let Some(port) = wanted.ofport.filter(|port| since.contains_key(port)) else {
                continue;
            };
            if number != OfPort::ANY && number != port {
                continue;
            }
            let counted = match resolve(wanted, &self.actual) {
                Resolved::Device(link) if matches!(wanted.wanted, Wanted::Dummy(_)) => {
                    port::simulated_stats(port, &link.stats)
                }
                Resolved::Device(link) | Resolved::Pair { hidden: link, .. } => {
                    port::device_stats(port, &link.stats)
                }
                _ => match patches.get(&wanted.name) {
                    Some(counters) => port::patch_stats(port, counters),
                    None => PortStats::unknown(port),
                },
            };
            let age = since.get(&port).map(|since| now.since_ms(*since));
            stats.push(PortStats {
                duration: age.map(Duration::from_millis),
                ..counted
            });
        }
        stats.sort_by_key(|stats| stats.port);
        Ok(MultipartReply::Port(stats))
    }

    /// Refuses a change of a port that isn't there, or has another address.
    pub(super) fn check_port_mod(
        &mut self,
        bridge: &BridgeName,
        change: &PortMod,
    ) -> Answer<PortConfig> {
        let ports = &self.openflow.bridge(bridge).ports;
        let port = ports.get(&change.port).ok_or(ErrorCode::OFPPMFC_BAD_PORT)?;
        if port.hw_addr != change.hw_addr {
            return Err(ErrorCode::OFPPMFC_BAD_HW_ADDR);
        }
        let mask = change.mask.0 & CONFIGURABLE.0;
        Ok(PortConfig(port.config.0 & !mask | change.config.0 & mask))
    }

    /// Changes what is asked of a port, by the connection `asked_by`.
    pub(super) async fn port_mod(
        &mut self,
        bridge: &BridgeName,
        change: &PortMod,
        asked_by: ConnId,
    ) -> Answer<()> {
        let config = self.check_port_mod(bridge, change)?;
        let state = self.openflow.bridge(bridge);
        let Some(before) = state.ports.get(&change.port).cloned() else {
            return Err(ErrorCode::OFPPMFC_BAD_PORT);
        };
        let name = PortName::from(before.name.as_str());
        let rest = PortConfig(config.0 & !PortConfig::DOWN.0);
        state.asked.insert(name.clone(), rest);
        let down = config.contains(PortConfig::DOWN);
        if down != before.config.contains(PortConfig::DOWN) {
            self.set_up(&name, !down).await;
        }
        self.apply();
        self.tell_ports(Some(asked_by));
        Ok(())
    }

    /// Sets a port's device up or down; one without device stays as it is.
    async fn set_up(&mut self, name: &PortName, up: bool) {
        let ports = self.desired.bridges.iter().flat_map(|b| &b.ports);
        let mut ports = ports.filter(|port| port.name == *name);
        let device = ports.find_map(|port| match resolve(port, &self.actual) {
            Resolved::Device(link) => Some(DeviceRef::from(link)),
            Resolved::Pair {
                host: Some(link), ..
            } => Some(DeviceRef::from(link)),
            _ => None,
        });
        let Some(device) = device else { return };
        match self.effects.run(&Effect::SetUp(device, up)).await {
            Ok(events) => {
                for event in events {
                    self.actual.take(event);
                }
            }
            Err(error) => warn!("{}", error.line()),
        }
    }
}
