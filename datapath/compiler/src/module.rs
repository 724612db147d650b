//! A snapshot compiled: what every map and port must hold.

use std::collections::{BTreeMap, BTreeSet};

use aorta_flow::{
    Attachment, Bridge, BridgeName, IfIndex, LINK_HEADER_BYTES, OfPort, Port, PortHook, PortName,
    PortVlan, PriorityTags, Snapshot, VidSet,
};
use aorta_packet::Vid;

use crate::abi::{FLOOD_DEFAULT_VLAN, FLOOD_FROM_PROTECTED, MAX_FLOOD_PLACES, jump, port};
use crate::{CompileError, EntryFacts, Origin};

/// Places of ports and bridges in the maps. The loader keeps them over restarts, because learned
/// addresses and counters refer to them.
#[derive(Clone, Debug, Default)]
pub struct Slots {
    /// Slot of each port.
    pub ports: BTreeMap<PortName, u32>,
    /// Slot of each bridge.
    pub bridges: BTreeMap<BridgeName, u32>,
}

/// What the loader installs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Module {
    /// Bridges by slot.
    pub bridges: BTreeMap<u32, BridgeModule>,
    /// Ports by slot.
    pub ports: BTreeMap<u32, PortModule>,
    /// Flood lists: (bridge slot, VLAN or [`FLOOD_DEFAULT_VLAN`]) → port slots.
    pub floods: BTreeMap<(u32, u32), Vec<u32>>,
}

/// One bridge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BridgeModule {
    /// Its name.
    pub name: BridgeName,
    /// Entries of its MAC table.
    pub mac_table_size: u32,
    /// Seconds until an address is forgotten.
    pub mac_aging_s: u32,
}

/// One port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortModule {
    /// Its name.
    pub name: PortName,
    /// Slot of its bridge.
    pub bridge_slot: u32,
    /// Its number in its bridge.
    pub ofport: OfPort,
    /// Device whose ingress runs its entry program.
    pub device: Option<IfIndex>,
    /// What its entry program is made from; `None` if no frame can come from it.
    pub entry: Option<EntryFacts>,
    /// Its record.
    pub record: port::Record,
    /// VLANs that it carries with a tag, if its record says that they are listed.
    pub vlans: Option<Vec<Vid>>,
    /// Where its frames are to enter the switch.
    pub hook: PortHook,
    /// Whether FLOOD sends to it.
    pub floods: bool,
    /// DSCP with which IP packets leave by its device, by queue.
    pub queue_dscp: BTreeMap<u32, u8>,
}

/// Compiles a snapshot. `hz` is the kernel's tick rate.
pub fn compile(snapshot: &Snapshot, slots: &Slots, hz: u32) -> Result<Module, CompileError> {
    let mut module = Module::default();
    let peers = Peers::new(snapshot);
    for bridge in &snapshot.bridges {
        let bridge_slot = *slots
            .bridges
            .get(&bridge.name)
            .ok_or_else(|| CompileError::BridgeWithoutSlot(bridge.name.clone()))?;
        let name = bridge.name.clone();
        let (mac_table_size, mac_aging_s) = (bridge.mac_table_size, bridge.mac_aging_s);
        module.bridges.insert(
            bridge_slot,
            BridgeModule {
                name,
                mac_table_size,
                mac_aging_s,
            },
        );
        for port in &bridge.ports {
            let port_slot = slot_of(slots, &port.name)?;
            let peer = peers.of(port).filter(|_| !port.restrictions.no_forward);
            let jump = match peer {
                Some(peer) => jump::patch(slot_of(slots, peer)?),
                None => 0,
            };
            let compiled = compile_port(bridge, bridge_slot, port, port_slot, jump, hz);
            module.ports.insert(port_slot, compiled);
        }
        flood_lists(bridge, bridge_slot, slots, &mut module.floods)?;
    }
    let needed = module.floods.values().map(Vec::len).sum();
    // Old and new lists stand side by side while they are exchanged.
    let limit = MAX_FLOOD_PLACES as usize / 2;
    if needed > limit {
        Err(CompileError::FloodTooLarge { needed, limit })
    } else {
        Ok(module)
    }
}

fn slot_of(slots: &Slots, port: &PortName) -> Result<u32, CompileError> {
    slots
        .ports
        .get(port)
        .copied()
        .ok_or_else(|| CompileError::PortWithoutSlot(port.clone()))
}

/// Which patch ports lead to which.
struct Peers<'s>(BTreeMap<&'s PortName, &'s PortName>);

impl<'s> Peers<'s> {
    fn new(snapshot: &'s Snapshot) -> Peers<'s> {
        let ports = snapshot.bridges.iter().flat_map(|bridge| &bridge.ports);
        Peers(
            ports
                .filter_map(|port| match &port.attachment {
                    Attachment::Patch { peer } => Some((&port.name, peer)),
                    _ => None,
                })
                .collect(),
        )
    }

    /// The port that `port` leads to: one that leads back.
    fn of(&self, port: &Port) -> Option<&'s PortName> {
        let peer = self.0.get(&port.name)?;
        (self.0.get(peer)? == &&port.name).then_some(*peer)
    }
}

fn compile_port(
    bridge: &Bridge,
    bridge_slot: u32,
    port: &Port,
    port_slot: u32,
    jump: u32,
    hz: u32,
) -> PortModule {
    let (tagged, vlans) = tagged_vlans(&port.vlan);
    let free = port::Record {
        untagged_vlan: untagged_vlan(port),
        tagged,
        priority: priority(port),
        protected: port.guard.protected,
        ..port::Record::FREE
    };
    let (origin, device, record) = match &port.attachment {
        Attachment::Netdev {
            ifindex,
            up,
            mtu_bytes,
        } => {
            let max_len = mtu_bytes.saturating_add(LINK_HEADER_BYTES);
            let sends = *up && !port.restrictions.no_forward;
            let ifindex_out = if sends { ifindex.get() } else { 0 };
            let record = port::Record {
                ifindex: ifindex_out,
                max_len,
                ..free
            };
            (Some(Origin::Device), Some(*ifindex), record)
        }
        Attachment::Patch { .. } => {
            let record = port::Record {
                max_len: u32::MAX,
                jump,
                ..free
            };
            (Some(Origin::Patch), None, record)
        }
        Attachment::Absent => (None, None, free),
    };
    let entry =
        origin.map(|origin| EntryFacts::new(bridge, bridge_slot, port, port_slot, hz, origin));
    let (name, ofport) = (port.name.clone(), port.ofport);
    PortModule {
        name,
        bridge_slot,
        ofport,
        device,
        entry,
        record,
        vlans,
        hook: port.hook,
        floods: !port.restrictions.no_flood,
        queue_dscp: port.queue_dscp.clone(),
    }
}

fn untagged_vlan(port: &Port) -> u16 {
    match port.vlan.untags() {
        Some(vid) => vid.get(),
        // Frames without a VLAN have to be told from those with an empty tag.
        None if port.priority_tags == PriorityTags::Always => port::NO_VLAN,
        None if port.vlan.carries(Vid::NONE) => 0,
        None => port::NO_VLAN,
    }
}

fn priority(port: &Port) -> i32 {
    let own = match port.vlan.untags() {
        None => port::PRIORITY_KEPT,
        Some(_) if port.priority_tags == PriorityTags::Never => 0,
        Some(_) => port::PRIORITY_OWN,
    };
    match port.priority_tags {
        PriorityTags::Always => own | port::PRIORITY_ALWAYS,
        PriorityTags::Never | PriorityTags::IfNonzero => own,
    }
}

fn tagged_vlans(vlan: &PortVlan) -> (u8, Option<Vec<Vid>>) {
    let (native, trunks) = match vlan {
        PortVlan::Access(_) => return (port::TAGGED_NONE, None),
        PortVlan::Trunk(trunks) => (None, trunks),
        PortVlan::NativeTagged { native, trunks } | PortVlan::NativeUntagged { native, trunks } => {
            (Some(*native), trunks)
        }
    };
    match trunks {
        VidSet::All => (port::TAGGED_ALL, None),
        VidSet::Only(vids) => {
            let mut vids = vids.clone();
            vids.extend(native);
            vids.retain(|vid| vlan.carries(*vid));
            (port::TAGGED_LISTED, Some(vids))
        }
    }
}

/// Makes the lists of one bridge: one for each VLAN that a port names, one for all others; and the same
/// without protected ports, if there are any.
fn flood_lists(
    bridge: &Bridge,
    bridge_slot: u32,
    slots: &Slots,
    lists: &mut BTreeMap<(u32, u32), Vec<u32>>,
) -> Result<(), CompileError> {
    let (mut everywhere, mut not_untagged) = (Vec::new(), BTreeSet::new());
    let mut named: BTreeMap<Vid, Vec<u32>> = BTreeMap::new();
    let floods = |port: &&Port| !port.restrictions.no_flood;
    for port in bridge.ports.iter().filter(floods) {
        let slot = slot_of(slots, &port.name)?;
        match &port.vlan {
            PortVlan::Access(tag) => named.entry(*tag).or_default().push(slot),
            PortVlan::Trunk(trunks)
            | PortVlan::NativeTagged { trunks, .. }
            | PortVlan::NativeUntagged { trunks, .. } => match trunks {
                VidSet::All => {
                    everywhere.push(slot);
                    if !port.vlan.carries(Vid::NONE) {
                        named.entry(Vid::NONE).or_default();
                        not_untagged.insert(slot);
                    }
                }
                VidSet::Only(vids) => {
                    let native = match &port.vlan {
                        PortVlan::NativeTagged { native, .. }
                        | PortVlan::NativeUntagged { native, .. } => Some(native),
                        _ => None,
                    };
                    let vids = vids.iter().chain(native.filter(|n| !vids.contains(n)));
                    for vid in vids.filter(|vid| port.vlan.carries(**vid)) {
                        named.entry(*vid).or_default().push(slot);
                    }
                }
            },
        }
    }
    let mut of_vlans: Vec<(u32, Vec<u32>)> = Vec::new();
    for (vid, mut members) in named {
        let others = everywhere.iter().copied();
        members.extend(others.filter(|slot| vid != Vid::NONE || !not_untagged.contains(slot)));
        of_vlans.push((vid.get().into(), members));
    }
    of_vlans.push((FLOOD_DEFAULT_VLAN, everywhere));
    let protected = bridge.ports.iter().filter(|port| port.guard.protected);
    let protected: Result<BTreeSet<u32>, CompileError> =
        protected.map(|port| slot_of(slots, &port.name)).collect();
    let protected = protected?;
    for (vlan, members) in of_vlans {
        if !protected.is_empty() {
            let others = members.iter().copied();
            let others = others.filter(|slot| !protected.contains(slot)).collect();
            lists.insert((bridge_slot | FLOOD_FROM_PROTECTED, vlan), others);
        }
        lists.insert((bridge_slot, vlan), members);
    }
    Ok(())
}
