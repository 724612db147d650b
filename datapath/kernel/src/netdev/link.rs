//! One network device as rtnetlink describes it.

use aorta_flow::IfIndex;
use aorta_packet::MacAddr;
use rtnetlink::packet_route::link::{
    LinkAttribute, LinkFlags, LinkInfo, LinkMessage, State, Stats64,
};

/// Operational state of a device (RFC 2863 §3.1.14, as the kernel keeps it).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OperState {
    /// The driver doesn't tell.
    #[default]
    Unknown,
    /// Frames pass.
    Up,
    /// No frames pass: no carrier, administratively down, or the other end is.
    Down,
    /// Waits for something, for instance authentication.
    Dormant,
}

impl From<State> for OperState {
    fn from(state: State) -> Self {
        match state {
            State::Up => OperState::Up,
            State::Dormant => OperState::Dormant,
            State::Down | State::LowerLayerDown | State::NotPresent | State::Testing => {
                OperState::Down
            }
            _ => OperState::Unknown,
        }
    }
}

/// Counters of a device since it exists; frames and bytes as its driver counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinkStats {
    /// Frames received.
    pub rx_packets: u64,
    /// Frames sent.
    pub tx_packets: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Frames received and thrown away.
    pub rx_dropped: u64,
    /// Frames that could not be queued.
    pub tx_dropped: u64,
    /// Bad frames received.
    pub rx_errors: u64,
    /// Frames that could not be sent.
    pub tx_errors: u64,
    /// Collisions on the wire.
    pub collisions: u64,
    /// Frames with a wrong checksum.
    pub rx_crc_errors: u64,
    /// Frames not aligned to bytes.
    pub rx_frame_errors: u64,
    /// Frames lost because the ring was full.
    pub rx_over_errors: u64,
    /// Frames that the device itself missed.
    pub rx_missed_errors: u64,
    /// Multicast frames received.
    pub multicast: u64,
}

impl From<&Stats64> for LinkStats {
    fn from(s: &Stats64) -> Self {
        LinkStats {
            rx_packets: s.rx_packets,
            tx_packets: s.tx_packets,
            rx_bytes: s.rx_bytes,
            tx_bytes: s.tx_bytes,
            rx_dropped: s.rx_dropped,
            tx_dropped: s.tx_dropped,
            rx_errors: s.rx_errors,
            tx_errors: s.tx_errors,
            collisions: s.collisions,
            rx_crc_errors: s.rx_crc_errors,
            rx_frame_errors: s.rx_frame_errors,
            rx_over_errors: s.rx_over_errors,
            rx_missed_errors: s.rx_missed_errors,
            multicast: s.multicast,
        }
    }
}

/// One network device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its index.
    pub ifindex: IfIndex,
    /// Its name.
    pub name: String,
    /// What made it (`veth`, `tun`, `bridge` …); `None` for a device with a driver of its own,
    /// that is a physical or paravirtual NIC, and for the loopback device.
    pub kind: Option<String>,
    /// Administratively up (IFF_UP).
    pub up: bool,
    /// Up and able to pass frames (IFF_RUNNING).
    pub running: bool,
    /// The loopback device (IFF_LOOPBACK).
    pub loopback: bool,
    /// Promiscuous by the administrator's flag (IFF_PROMISC), not by a program's request.
    pub promisc: bool,
    /// The carrier.
    pub carrier: bool,
    /// Operational state.
    pub operstate: OperState,
    /// MTU in bytes, without Ethernet header and tag.
    pub mtu: u32,
    /// Its address; `None` for a device without a 48-bit one.
    pub mac: Option<MacAddr>,
    /// The bridge or bond that it is a port of.
    pub master: Option<IfIndex>,
    /// Text that an administrator (or the switch) attached to it.
    pub alias: Option<String>,
    /// Index of the device that it is tied to: the other end of a veth, the base of a VLAN.
    /// In the namespace `peer_netns` if that is set.
    pub peer: Option<IfIndex>,
    /// Number of the namespace of `peer`, if it isn't this one.
    pub peer_netns: Option<i32>,
    /// Counters.
    pub stats: LinkStats,
}

impl Link {
    /// Whether frames pass, as far as the kernel knows.
    pub fn link_up(&self) -> bool {
        self.carrier && self.up && self.operstate != OperState::Down
    }

    /// Whether this is a NIC with a driver of its own: it filters addresses unless promiscuous.
    pub fn is_physical(&self) -> bool {
        self.kind.is_none() && !self.loopback
    }

    /// Reads a link message; `None` if it has no index or no name.
    pub(crate) fn from_message(message: &LinkMessage) -> Option<Link> {
        let flags = message.header.flags;
        let mut link = Link {
            ifindex: IfIndex::new(message.header.index)?,
            name: String::new(),
            kind: None,
            up: flags.contains(LinkFlags::Up),
            running: flags.contains(LinkFlags::Running),
            loopback: flags.contains(LinkFlags::Loopback),
            promisc: flags.contains(LinkFlags::Promisc),
            carrier: flags.contains(LinkFlags::LowerUp),
            operstate: OperState::default(),
            mtu: 0,
            mac: None,
            master: None,
            alias: None,
            peer: None,
            peer_netns: None,
            stats: LinkStats::default(),
        };
        for attribute in &message.attributes {
            link.take(attribute);
        }
        (!link.name.is_empty()).then_some(link)
    }

    fn take(&mut self, attribute: &LinkAttribute) {
        match attribute {
            LinkAttribute::IfName(name) => self.name.clone_from(name),
            LinkAttribute::IfAlias(alias) => self.alias = Some(alias.clone()),
            LinkAttribute::Mtu(mtu) => self.mtu = *mtu,
            LinkAttribute::Address(bytes) => {
                self.mac = <[u8; 6]>::try_from(bytes.as_slice()).ok().map(MacAddr);
            }
            LinkAttribute::Controller(master) => self.master = IfIndex::new(*master),
            LinkAttribute::Link(peer) => self.peer = IfIndex::new(*peer),
            LinkAttribute::LinkNetNsId(id) => self.peer_netns = Some(*id),
            LinkAttribute::Carrier(carrier) => self.carrier = *carrier != 0,
            LinkAttribute::OperState(state) => self.operstate = (*state).into(),
            LinkAttribute::Stats64(stats) => self.stats = stats.into(),
            LinkAttribute::LinkInfo(infos) => {
                for info in infos {
                    if let LinkInfo::Kind(kind) = info {
                        self.kind = Some(kind.to_string());
                    }
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_flags_and_attributes() {
        let mut message = LinkMessage::default();
        message.header.index = 7;
        message.header.flags = LinkFlags::Up | LinkFlags::Promisc;
        message.attributes = vec![
            LinkAttribute::IfName("tap0".into()),
            LinkAttribute::Address(vec![2, 0, 0, 0, 0, 1]),
            LinkAttribute::Mtu(1400),
            LinkAttribute::Controller(3),
            LinkAttribute::Carrier(1),
            LinkAttribute::OperState(State::LowerLayerDown),
        ];
        let link = Link::from_message(&message).unwrap();
        assert_eq!(
            (link.ifindex.get(), link.name.as_str(), link.mtu),
            (7, "tap0", 1400)
        );
        assert!(link.up && link.promisc && link.carrier && !link.running);
        assert_eq!(link.master, IfIndex::new(3));
        assert_eq!(link.mac, Some(MacAddr([2, 0, 0, 0, 0, 1])));
        assert!(
            !link.link_up(),
            "a device whose lower layer is down passes no frames"
        );
    }

    #[test]
    fn a_device_without_a_name_or_index_is_none() {
        let mut message = LinkMessage::default();
        message.header.index = 7;
        assert_eq!(Link::from_message(&message), None);
        message.header.index = 0;
        message.attributes = vec![LinkAttribute::IfName("x".into())];
        assert_eq!(Link::from_message(&message), None);
    }
}
