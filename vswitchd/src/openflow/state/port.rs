//! Ports as OpenFlow tells them. Pure.

use std::collections::BTreeMap;

use aorta_flow::{OfPort, Restrictions};
use aorta_kernel::netdev::{Duplex, HardwareInfo, Link, LinkStats};
use aorta_openflow::message::{
    PortChange, PortConfig, PortDesc, PortFeatures, PortState, PortStats, PortStatus,
};
use aorta_packet::MacAddr;

use crate::reconcile::Counters;

/// Kilobits a second of a tap, as its driver tells.
const TAP_KBPS: u32 = 10_000;
/// Kilobits a second of a veth device, as its driver tells.
const VETH_KBPS: u32 = 10_000_000;

/// A port's device, as far as it has one.
#[derive(Debug, Clone, Copy)]
pub enum Device<'a> {
    /// A device of someone else; and what is known of its hardware.
    Foreign(&'a Link, &'a HardwareInfo),
    /// The host's end of a pair of the switch's own.
    Own(&'a Link),
    /// None: frames go to another port, or nowhere.
    None,
}

/// A port as it is told.
pub fn desc(
    (port, name): (OfPort, &str),
    device: Device<'_>,
    fallback_mac: MacAddr,
    asked: PortConfig,
) -> PortDesc {
    let (up, link_up, mac) = match device {
        Device::Foreign(link, _) | Device::Own(link) => (link.up, link.link_up(), link.mac),
        Device::None => (true, true, None),
    };
    let (current, current_speed_kbps) = match device {
        Device::Foreign(link, hardware) => speed(link.kind.as_deref(), hardware),
        _ => (PortFeatures::default(), 0),
    };
    let down = PortConfig(if up { 0 } else { PortConfig::DOWN.0 });
    let state = if link_up {
        PortState::LIVE
    } else {
        PortState::LINK_DOWN
    };
    PortDesc {
        port,
        hw_addr: mac.unwrap_or(fallback_mac),
        name: name.to_owned(),
        config: PortConfig(asked.0 & !PortConfig::DOWN.0).with(down),
        state,
        current,
        advertised: PortFeatures::default(),
        supported: PortFeatures::default(),
        peer: PortFeatures::default(),
        current_speed_kbps,
        max_speed_kbps: 0,
    }
}

/// What the datapath keeps from a port of which controllers ask this.
pub fn restrictions(asked: PortConfig) -> Restrictions {
    Restrictions {
        no_receive: asked.contains(PortConfig::NO_RECV),
        no_receive_stp: asked.contains(PortConfig::NO_RECV_STP),
        no_forward: asked.contains(PortConfig::NO_FWD),
        no_flood: asked.contains(PortConfig::NO_FLOOD),
    }
}

/// What a device does, and its speed.
fn speed(kind: Option<&str>, hardware: &HardwareInfo) -> (PortFeatures, u32) {
    let (kbps, full) = match kind {
        Some("tun") => (TAP_KBPS, true),
        Some("veth") => (VETH_KBPS, true),
        _ => {
            let bps = hardware.speed_bps.unwrap_or(0);
            let kbps = u32::try_from(bps / 1000).unwrap_or(u32::MAX);
            (kbps, hardware.duplex != Some(Duplex::Half))
        }
    };
    let feature = match (kbps, full) {
        (0, _) => return (PortFeatures::default(), 0),
        (10_000, true) => PortFeatures::F10MB_FD,
        (10_000, false) => PortFeatures::F10MB_HD,
        (100_000, true) => PortFeatures::F100MB_FD,
        (100_000, false) => PortFeatures::F100MB_HD,
        (1_000_000, true) => PortFeatures::F1GB_FD,
        (1_000_000, false) => PortFeatures::F1GB_HD,
        (10_000_000, _) => PortFeatures::F10GB_FD,
        (40_000_000, _) => PortFeatures::F40GB_FD,
        (100_000_000, _) => PortFeatures::F100GB_FD,
        (1_000_000_000, _) => PortFeatures::F1TB_FD,
        _ => PortFeatures::OTHER,
    };
    (feature.with(PortFeatures::COPPER), kbps)
}

/// What a device has counted.
pub fn device_stats(port: OfPort, counted: &LinkStats) -> PortStats {
    PortStats {
        rx_packets: Some(counted.rx_packets),
        tx_packets: Some(counted.tx_packets),
        rx_bytes: Some(counted.rx_bytes),
        tx_bytes: Some(counted.tx_bytes),
        rx_dropped: Some(counted.rx_dropped),
        tx_dropped: Some(counted.tx_dropped),
        rx_errors: Some(counted.rx_errors),
        tx_errors: Some(counted.tx_errors),
        rx_frame_err: Some(counted.rx_frame_errors),
        rx_over_err: Some(counted.rx_over_errors),
        rx_crc_err: Some(counted.rx_crc_errors),
        collisions: Some(counted.collisions),
        ..PortStats::unknown(port)
    }
}

/// What a device in memory has counted.
pub fn simulated_stats(port: OfPort, counted: &LinkStats) -> PortStats {
    PortStats {
        rx_packets: Some(counted.rx_packets),
        tx_packets: Some(counted.tx_packets),
        rx_bytes: Some(counted.rx_bytes),
        tx_bytes: Some(counted.tx_bytes),
        ..PortStats::unknown(port)
    }
}

/// What the datapath has counted of a port without device.
pub fn patch_stats(port: OfPort, counted: &Counters) -> PortStats {
    PortStats {
        rx_packets: Some(counted.rx_packets),
        tx_packets: Some(counted.tx_packets),
        rx_bytes: Some(counted.rx_bytes),
        tx_bytes: Some(counted.tx_bytes),
        ..PortStats::unknown(port)
    }
}

/// The ports of a bridge by their numbers.
pub type Ports = BTreeMap<OfPort, PortDesc>;

/// What became of ports: those that are gone first, so that numbers are free again.
pub fn status(before: &Ports, after: &Ports) -> Vec<PortStatus> {
    let told = |change, port: &PortDesc| PortStatus {
        change,
        port: port.clone(),
    };
    let same_port = |a: &PortDesc, b: &PortDesc| a.name == b.name;
    let gone = before.values().filter(|port| {
        let now = after.get(&port.port);
        now.is_none_or(|now| !same_port(now, port))
    });
    let gone = gone.map(|port| told(PortChange::Delete, port));
    let there = after.values().filter_map(|port| {
        match before.get(&port.port).filter(|old| same_port(old, port)) {
            None => Some(told(PortChange::Add, port)),
            Some(old) => (old != port).then(|| told(PortChange::Modify, port)),
        }
    });
    gone.chain(there).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::link;

    const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 9]);

    fn port(number: u16, name: &str) -> (OfPort, PortDesc) {
        let number = OfPort(number);
        let asked = PortConfig::default();
        (number, desc((number, name), Device::None, MAC, asked))
    }

    #[test]
    fn changes_of_ports_are_told_those_that_are_gone_first() {
        let before = Ports::from([port(1, "a"), port(2, "b"), port(3, "c")]);
        let mut after = Ports::from([port(1, "a"), port(2, "x"), port(4, "d")]);
        after.get_mut(&OfPort(1)).unwrap().config = PortConfig::NO_FLOOD;
        let told: Vec<_> = status(&before, &after)
            .into_iter()
            .map(|status| (status.change, status.port.name))
            .collect();
        let expected = [
            (PortChange::Delete, "b"),
            (PortChange::Delete, "c"),
            (PortChange::Modify, "a"),
            (PortChange::Add, "x"),
            (PortChange::Add, "d"),
        ];
        assert_eq!(
            told,
            expected.map(|(change, name)| (change, name.to_owned()))
        );
    }

    #[test]
    fn a_device_tells_its_state_and_speed() {
        let hardware = HardwareInfo {
            speed_bps: Some(25_000_000_000),
            ..HardwareInfo::default()
        };
        let nic = Link {
            up: false,
            ..link(7, "eth0")
        };
        let down = Device::Foreign(&nic, &hardware);
        let told = desc((OfPort(7), "eth0"), down, MAC, PortConfig::NO_FWD);
        assert_eq!(told.config, PortConfig::DOWN.with(PortConfig::NO_FWD));
        assert_eq!(told.state, PortState::LINK_DOWN);
        assert_eq!(told.current, PortFeatures::OTHER.with(PortFeatures::COPPER));
        assert_eq!(told.current_speed_kbps, 25_000_000);
        assert_eq!(Some(told.hw_addr), nic.mac);
        let patch = desc((OfPort(8), "p"), Device::None, MAC, PortConfig::default());
        assert_eq!((patch.hw_addr, patch.current_speed_kbps), (MAC, 0));
    }
}
