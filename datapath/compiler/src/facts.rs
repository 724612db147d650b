//! What an entry program is specialised for.

use aorta_flow::{Bridge, Port, PortVlan, VidSet};
use aorta_packet::Vid;

/// Lists of up to this many VLANs become compares in the program; longer ones a bitmap.
const MAX_INLINE_VIDS: usize = 8;

/// All that an entry program depends on: equal facts make equal programs.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct EntryFacts {
    /// Slot of the port.
    pub port_slot: u32,
    /// Slot of its bridge.
    pub bridge_slot: u32,
    /// How frames get their VLAN.
    pub ingress: Ingress,
    /// Whether reserved multicast is forwarded.
    pub forward_bpdu: bool,
    /// Seconds until a MAC address is forgotten.
    pub mac_aging_s: u32,
    /// Ticks of `jiffies_64` in a second.
    pub hz: u32,
    /// How frames get here.
    pub origin: Origin,
}

/// How frames get to an entry program.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Origin {
    /// From a device: the program is attached to its ingress.
    Device,
    /// From the other side of a patch port: another program jumps here.
    Patch,
    /// From a pipeline whose flows say NORMAL: it has counted them.
    Pipeline,
}

/// How frames get their VLAN.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Ingress {
    /// All are in one VLAN; tagged ones are refused.
    Access(Vid),
    /// The tag tells; none means VLAN 0.
    Trunk(VidCheck),
    /// The tag tells; none means the first field.
    Native(Vid, VidCheck),
}

/// Which VLANs may enter.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum VidCheck {
    /// Every one.
    All,
    /// These few, compared in the program.
    Few(Vec<Vid>),
    /// Those with a bit in the port's bitmap. Tells whether VLAN 0 is one of them.
    Bitmap {
        /// Whether frames without a VLAN may enter.
        untagged: bool,
    },
}

impl EntryFacts {
    /// The facts of `port` of `bridge`, given their slots.
    pub fn new(
        bridge: &Bridge,
        bridge_slot: u32,
        port: &Port,
        port_slot: u32,
        hz: u32,
        origin: Origin,
    ) -> EntryFacts {
        EntryFacts {
            port_slot,
            bridge_slot,
            ingress: Ingress::new(&port.vlan),
            forward_bpdu: bridge.forward_bpdu,
            mac_aging_s: bridge.mac_aging_s,
            hz,
            origin,
        }
    }
}

impl Ingress {
    fn new(vlan: &PortVlan) -> Ingress {
        match vlan {
            PortVlan::Access(tag) => Ingress::Access(*tag),
            PortVlan::Trunk(trunks) => Ingress::Trunk(VidCheck::new(trunks)),
            PortVlan::NativeTagged { native, trunks }
            | PortVlan::NativeUntagged { native, trunks } => {
                Ingress::Native(*native, VidCheck::new(trunks))
            }
        }
    }
}

impl VidCheck {
    fn new(set: &VidSet) -> VidCheck {
        match set {
            VidSet::All => VidCheck::All,
            VidSet::Only(vids) if vids.len() <= MAX_INLINE_VIDS => VidCheck::Few(vids.clone()),
            VidSet::Only(_) => VidCheck::Bitmap {
                untagged: set.contains(Vid::NONE),
            },
        }
    }

    /// Whether a frame without a VLAN may enter.
    pub fn takes_untagged(&self) -> bool {
        match self {
            VidCheck::All => true,
            VidCheck::Few(vids) => vids.contains(&Vid::NONE),
            VidCheck::Bitmap { untagged } => *untagged,
        }
    }
}
