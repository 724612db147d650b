//! The desired state of the whole switch, as values.

use std::collections::BTreeMap;

use aorta_packet::{ETH_HEADER_LEN, EthernetHeader, MacAddr, VLAN_TAG_LEN};

use crate::{BridgeName, IfIndex, OfPort, PortGuard, PortName, PortVlan, PriorityTags};

/// Seconds until an unused MAC address is forgotten, unless `mac-aging-time` says otherwise.
pub const DEFAULT_MAC_AGING_S: u32 = 300;
/// Least that `mac-aging-time` can ask for.
pub const MIN_MAC_AGING_S: u32 = 15;
/// Addresses that a bridge remembers, unless `mac-table-size` says otherwise.
pub const DEFAULT_MAC_TABLE_SIZE: u32 = 8192;
/// Least that `mac-table-size` can ask for.
pub const MIN_MAC_TABLE_SIZE: u32 = 10;

/// High byte of the least Ethernet type: what is less is a length.
const MIN_TYPE_HIGH: u8 = 6;

/// Everything that the datapath needs to know, complete at one moment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Snapshot {
    /// All bridges, names unique.
    pub bridges: Vec<Bridge>,
}

/// One bridge with its ports.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bridge {
    /// Its name.
    pub name: BridgeName,
    /// Seconds until an unused MAC address is forgotten.
    pub mac_aging_s: u32,
    /// How many MAC addresses are remembered at most.
    pub mac_table_size: u32,
    /// Whether frames to 01:80:c2:00:00:0x are forwarded.
    pub forward_bpdu: bool,
    /// Its ports; names unique in the snapshot, numbers unique in the bridge.
    pub ports: Vec<Port>,
}

impl Bridge {
    /// A bridge of no particular settings.
    pub fn new(name: BridgeName, ports: Vec<Port>) -> Bridge {
        Bridge {
            name,
            mac_aging_s: DEFAULT_MAC_AGING_S,
            mac_table_size: DEFAULT_MAC_TABLE_SIZE,
            forward_bpdu: false,
            ports,
        }
    }
}

/// One port of a bridge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Port {
    /// Its name.
    pub name: PortName,
    /// Its number in its bridge.
    pub ofport: OfPort,
    /// How it treats VLAN tags.
    pub vlan: PortVlan,
    /// When NORMAL's frames without a VLAN leave with a tag for their priority.
    pub priority_tags: PriorityTags,
    /// What it is connected to.
    pub attachment: Attachment,
    /// Where its frames are to enter the switch.
    pub hook: PortHook,
    /// What is let in, and where NORMAL sends it.
    pub guard: PortGuard,
    /// What controllers took from it.
    pub restrictions: Restrictions,
    /// DSCP with which IP packets leave by it that chose a queue, by queue; others keep theirs.
    /// Matters where frames leave by a device.
    pub queue_dscp: BTreeMap<u32, u8>,
}

impl Port {
    /// A port that nothing is asked of: a trunk of all VLANs that lets everything in.
    pub fn new(name: PortName, ofport: OfPort, attachment: Attachment) -> Port {
        Port {
            name,
            ofport,
            vlan: PortVlan::DEFAULT,
            priority_tags: PriorityTags::default(),
            attachment,
            hook: PortHook::default(),
            guard: PortGuard::default(),
            restrictions: Restrictions::default(),
            queue_dscp: BTreeMap::new(),
        }
    }
}

/// What controllers took from a port (`ofp_port_config`, OpenFlow 1.0.0 §5.2.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Restrictions {
    /// Frames that come are dropped, but those of the Spanning Tree Protocol.
    pub no_receive: bool,
    /// Frames of the Spanning Tree Protocol that come are dropped.
    pub no_receive_stp: bool,
    /// Nothing leaves by it.
    pub no_forward: bool,
    /// FLOOD and NORMAL don't flood to it.
    pub no_flood: bool,
}

impl Restrictions {
    /// Whether the frame is taken from the port. What has no addresses is taken, and found to be
    /// malformed.
    pub fn takes(&self, frame: &[u8]) -> bool {
        let Ok(header) = EthernetHeader::parse(frame) else {
            return true;
        };
        let type_at = ETH_HEADER_LEN - 2 + header.tag.map_or(0, |_| VLAN_TAG_LEN);
        // BPDUs have a length instead (IEEE 802.1Q-2018 §14.1).
        let has_length = frame.get(type_at).is_some_and(|high| *high < MIN_TYPE_HIGH);
        match header.dst == MacAddr::SPANNING_TREE && has_length {
            true => !self.no_receive_stp,
            false => !self.no_receive,
        }
    }
}

/// Where the frames of a port are to enter the switch. A port that XDP programs take frames from has
/// the program at tcx, too: that gets all that they leave.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum PortHook {
    /// As is best for its device.
    #[default]
    Auto,
    /// At tcx only.
    Tc,
    /// XDP in the device's driver.
    XdpNative,
    /// XDP in the stack.
    XdpGeneric,
}

/// What a port is connected to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Attachment {
    /// A network device of the kernel.
    Netdev {
        /// The device whose ingress the switch takes (for a LOCAL or internal port, the hidden
        /// peer of the host's device).
        ifindex: IfIndex,
        /// Administratively up: frames may leave through it.
        up: bool,
        /// Its MTU in bytes, without Ethernet header and tag.
        mtu_bytes: u32,
    },
    /// The patch port of another (or the same) bridge; frames jump there, no device is involved.
    Patch {
        /// The port on the other side. If it isn't a patch port that names this one, frames are
        /// dropped.
        peer: PortName,
    },
    /// Configured, but its device isn't there (yet): frames to it are dropped.
    Absent,
}
