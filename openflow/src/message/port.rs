//! Ports.

use std::time::Duration;

use aorta_flow::OfPort;
use aorta_packet::MacAddr;

/// A port (OpenFlow 1.3.5 §7.2.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortDesc {
    /// Its number.
    pub port: OfPort,
    /// Its Ethernet address.
    pub hw_addr: MacAddr,
    /// Its name; up to 15 bytes are sent.
    pub name: String,
    /// What was asked of it.
    pub config: PortConfig,
    /// How it is.
    pub state: PortState,
    /// What it does now.
    pub current: PortFeatures,
    /// What it offers to the other side.
    pub advertised: PortFeatures,
    /// What it can do.
    pub supported: PortFeatures,
    /// What the other side offers.
    pub peer: PortFeatures,
    /// Speed now (from OpenFlow 1.1).
    pub current_speed_kbps: u32,
    /// Highest speed (from OpenFlow 1.1).
    pub max_speed_kbps: u32,
}

macro_rules! bits {
    ($(#[$doc:meta])* $name:ident { $($(#[$one:meta])* $bit:ident = $value:expr;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
        pub struct $name(pub u32);

        impl $name {
            $($(#[$one])* pub const $bit: $name = $name($value);)*

            /// Whether all of `other` are set.
            pub fn contains(self, other: $name) -> bool {
                self.0 & other.0 == other.0
            }

            /// These and `other`.
            #[must_use]
            pub fn with(self, other: $name) -> $name {
                $name(self.0 | other.0)
            }
        }
    };
}

bits! {
    /// What was asked of a port.
    PortConfig {
        /// Down.
        DOWN = 1;
        /// No spanning tree (OpenFlow 1.0).
        NO_STP = 1 << 1;
        /// Drop what it receives.
        NO_RECV = 1 << 2;
        /// Drop spanning tree frames that it receives (OpenFlow 1.0).
        NO_RECV_STP = 1 << 3;
        /// Not among those that flood (OpenFlow 1.0, and an extension of later versions).
        NO_FLOOD = 1 << 4;
        /// Drop what is sent to it.
        NO_FWD = 1 << 5;
        /// Send nothing of it to controllers.
        NO_PACKET_IN = 1 << 6;
    }
}

bits! {
    /// How a port is.
    PortState {
        /// No link.
        LINK_DOWN = 1;
        /// Blocked by a protocol beside OpenFlow (from OpenFlow 1.1).
        BLOCKED = 1 << 1;
        /// Live for fast failover (from OpenFlow 1.1).
        LIVE = 1 << 2;
        /// Bits of the state of the spanning tree protocol: 0 listening, 1 learning, 2 forwarding,
        /// 3 blocking (OpenFlow 1.0).
        STP_MASK = 3 << 8;
    }
}

bits! {
    /// Speeds and ways of links: bits as OpenFlow 1.1 and later number them.
    PortFeatures {
        /// 10 Mb/s, half duplex.
        F10MB_HD = 1;
        /// 10 Mb/s.
        F10MB_FD = 1 << 1;
        /// 100 Mb/s, half duplex.
        F100MB_HD = 1 << 2;
        /// 100 Mb/s.
        F100MB_FD = 1 << 3;
        /// 1 Gb/s, half duplex.
        F1GB_HD = 1 << 4;
        /// 1 Gb/s.
        F1GB_FD = 1 << 5;
        /// 10 Gb/s.
        F10GB_FD = 1 << 6;
        /// 40 Gb/s.
        F40GB_FD = 1 << 7;
        /// 100 Gb/s.
        F100GB_FD = 1 << 8;
        /// 1 Tb/s.
        F1TB_FD = 1 << 9;
        /// Another speed.
        OTHER = 1 << 10;
        /// Copper.
        COPPER = 1 << 11;
        /// Fiber.
        FIBER = 1 << 12;
        /// Negotiates.
        AUTONEG = 1 << 13;
        /// Pauses.
        PAUSE = 1 << 14;
        /// Pauses in one direction.
        PAUSE_ASYM = 1 << 15;
    }
}

/// What happened to a port; the position is the number on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PortChange {
    /// It is new.
    Add,
    /// It is gone.
    Delete,
    /// It is other.
    Modify,
}

/// A port is new, other or gone (OpenFlow 1.3.5 §7.4.3).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortStatus {
    /// What happened.
    pub change: PortChange,
    /// The port, as it is or was.
    pub port: PortDesc,
}

/// Changes a port (OpenFlow 1.3.5 §7.3.4.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PortMod {
    /// Which.
    pub port: OfPort,
    /// Its Ethernet address, which must be right.
    pub hw_addr: MacAddr,
    /// What is asked of it...
    pub config: PortConfig,
    /// ...in these bits.
    pub mask: PortConfig,
    /// What it is to offer to the other side; nothing changes if it is 0.
    pub advertise: PortFeatures,
}

/// What a port has counted (OpenFlow 1.3.5 §7.3.5.6). Counters that aren't known are none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortStats {
    /// Which.
    pub port: OfPort,
    /// How long it has been there (from OpenFlow 1.3).
    pub duration: Option<Duration>,
    /// Packets that came in.
    pub rx_packets: Option<u64>,
    /// Packets that went out.
    pub tx_packets: Option<u64>,
    /// Bytes that came in.
    pub rx_bytes: Option<u64>,
    /// Bytes that went out.
    pub tx_bytes: Option<u64>,
    /// Packets that came in and were dropped.
    pub rx_dropped: Option<u64>,
    /// Packets that were dropped instead of going out.
    pub tx_dropped: Option<u64>,
    /// Packets that came in with errors.
    pub rx_errors: Option<u64>,
    /// Packets that didn't go out because of errors.
    pub tx_errors: Option<u64>,
    /// Frames with alignment errors.
    pub rx_frame_err: Option<u64>,
    /// Packets for which there was no room.
    pub rx_over_err: Option<u64>,
    /// Frames with wrong checksums.
    pub rx_crc_err: Option<u64>,
    /// Collisions.
    pub collisions: Option<u64>,
    /// Counters of RFC 2819 and others like them (an experimenter's property of OpenFlow 1.4).
    pub ethernet: Option<Box<EtherCounters>>,
    /// Counters of the device's own (an experimenter's property of OpenFlow 1.4).
    pub custom: Vec<CustomCounter>,
}

impl PortStats {
    /// A port of which nothing is counted.
    pub fn unknown(port: OfPort) -> PortStats {
        PortStats {
            port,
            duration: None,
            rx_packets: None,
            tx_packets: None,
            rx_bytes: None,
            tx_bytes: None,
            rx_dropped: None,
            tx_dropped: None,
            rx_errors: None,
            tx_errors: None,
            rx_frame_err: None,
            rx_over_err: None,
            rx_crc_err: None,
            collisions: None,
            ethernet: None,
            custom: Vec::new(),
        }
    }
}

/// Counters of RFC 2819 and others like them, in the order of the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct EtherCounters {
    /// 64, 65 to 127, 128 to 255, 256 to 511, 512 to 1023, 1024 to 1522, 1523 and more bytes, in.
    pub rx_sizes: [Option<u64>; 7],
    /// The same, out.
    pub tx_sizes: [Option<u64>; 7],
    /// Multicast packets out.
    pub tx_multicast: Option<u64>,
    /// Broadcast packets in.
    pub rx_broadcast: Option<u64>,
    /// Broadcast packets out.
    pub tx_broadcast: Option<u64>,
    /// Undersized packets in.
    pub rx_undersized: Option<u64>,
    /// Oversized packets in.
    pub rx_oversize: Option<u64>,
    /// Fragments in.
    pub rx_fragmented: Option<u64>,
    /// Jabber in.
    pub rx_jabber: Option<u64>,
}

/// A counter of a device's own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CustomCounter {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: u64,
}
