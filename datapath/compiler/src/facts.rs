//! What an entry program is specialised for.

use std::sync::Arc;

use aorta_ebpf::{Assembler, Cond, Label, Reg, Size};
use aorta_flow::guard::StormLimits;
use aorta_flow::{Bridge, Port, PortVlan, Restrictions, VidSet};
use aorta_packet::{ETH_HEADER_LEN, Vid};

use crate::emit::CTX;
use crate::{IngressGuard, skb};

use Reg::{R1, R2, R3};

/// 01:80:c2:00:00:00 as a number whose lowest byte is the first.
const SPANNING_TREE: i32 = 0x00c2_8001;
/// Where the high byte of the type is. The kernel has taken the outer tag off.
const TYPE_HIGH: i16 = 12;
/// What it is at least: what is less is a length, as BPDUs have it.
const MIN_TYPE_HIGH: i32 = 6;

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
    /// Which frames are not to be received.
    pub refuses: Refuses,
    /// What is asked of frames from the port's device.
    pub guard: Option<Arc<IngressGuard>>,
    /// Whether nothing goes from the port to protected ones.
    pub protected: bool,
    /// How many frames from the port are flooded.
    pub storm: StormLimits,
}

/// Which frames a port is not to receive.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Refuses {
    /// It receives all.
    #[default]
    None,
    /// Those of the Spanning Tree Protocol.
    SpanningTree,
    /// All but those of the Spanning Tree Protocol.
    Others,
    /// It receives none.
    All,
}

impl Refuses {
    /// As controllers asked.
    pub fn new(restrictions: Restrictions) -> Refuses {
        match (restrictions.no_receive, restrictions.no_receive_stp) {
            (false, false) => Refuses::None,
            (false, true) => Refuses::SpanningTree,
            (true, false) => Refuses::Others,
            (true, true) => Refuses::All,
        }
    }

    /// Goes to `refused` with a frame that is not to be received. R6 is the context; uses R1 to R3.
    pub(crate) fn emit(self, a: &mut Assembler, refused: Label) {
        if self == Refuses::None {
            return;
        }
        // What has no addresses is found to be malformed later on.
        let received = a.label("received");
        a.load(Size::W, R2, CTX, skb::DATA);
        a.load(Size::W, R3, CTX, skb::DATA_END);
        a.mov(R1, R2);
        a.add(R1, ETH_HEADER_LEN as i32);
        a.jump_if(Cond::Gt, R1, R3, received);
        if self != Refuses::All {
            let (spanning_tree, others) = match self {
                Refuses::Others => (received, refused),
                _ => (refused, received),
            };
            a.load(Size::Dw, R1, R2, 0);
            a.lsh(R1, 16);
            a.rsh(R1, 16);
            a.jump_if(Cond::Ne, R1, SPANNING_TREE, others);
            a.load(Size::B, R1, R2, TYPE_HIGH);
            a.jump_if(Cond::Lt, R1, MIN_TYPE_HIGH, spanning_tree);
            a.jump(others);
        } else {
            a.jump(refused);
        }
        a.bind(received);
    }
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
            refuses: Refuses::new(port.restrictions),
            guard: IngressGuard::of(port).filter(|_| origin == Origin::Device),
            protected: port.guard.protected,
            storm: port.guard.storm,
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
