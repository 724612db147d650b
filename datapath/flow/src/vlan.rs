//! How a port treats VLAN tags (Open_vSwitch schema, table Port, columns vlan_mode, tag, trunks).

use aorta_packet::Vid;

/// A set of VLANs.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum VidSet {
    /// Every VLAN, 0 (untagged) included.
    All,
    /// Exactly these, sorted, no duplicates.
    Only(Vec<Vid>),
}

impl VidSet {
    /// The set that OVSDB's `trunks` means: an empty column means every VLAN.
    pub fn from_trunks(trunks: impl IntoIterator<Item = Vid>) -> VidSet {
        let mut vids: Vec<Vid> = trunks.into_iter().collect();
        vids.sort_unstable();
        vids.dedup();
        if vids.is_empty() {
            VidSet::All
        } else {
            VidSet::Only(vids)
        }
    }

    /// Whether `vid` is in the set.
    pub fn contains(&self, vid: Vid) -> bool {
        match self {
            VidSet::All => true,
            VidSet::Only(vids) => vids.binary_search(&vid).is_ok(),
        }
    }
}

/// VLAN mode of a port with its VLANs.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum PortVlan {
    /// Member of one VLAN; frames carry no tag on the wire, tagged ones are refused.
    Access(Vid),
    /// Member of several VLANs; a frame without a tag is in VLAN 0.
    Trunk(VidSet),
    /// As a trunk, but a frame without a tag is in `native`, and leaves with a tag.
    NativeTagged {
        /// VLAN of frames that arrive without one.
        native: Vid,
        /// The other VLANs.
        trunks: VidSet,
    },
    /// As a trunk, but frames of `native` carry no tag on the wire.
    NativeUntagged {
        /// VLAN of frames that arrive without one.
        native: Vid,
        /// The other VLANs.
        trunks: VidSet,
    },
}

impl PortVlan {
    /// A port with no VLAN configuration: every VLAN, tags unchanged.
    pub const DEFAULT: PortVlan = PortVlan::Trunk(VidSet::All);

    /// Whether frames of `vid` may enter and leave here.
    pub fn carries(&self, vid: Vid) -> bool {
        match self {
            PortVlan::Access(tag) => vid == *tag,
            PortVlan::Trunk(trunks) => trunks.contains(vid),
            PortVlan::NativeTagged { native, trunks }
            | PortVlan::NativeUntagged { native, trunks } => vid == *native || trunks.contains(vid),
        }
    }

    /// VLAN of a frame that arrived with the VLAN `wire` in its tag (0: none or a priority tag).
    /// `None` if this port must not take it.
    pub fn classify(&self, wire: Vid) -> Option<Vid> {
        match self {
            PortVlan::Access(tag) => (wire == Vid::NONE).then_some(*tag),
            PortVlan::Trunk(trunks) => trunks.contains(wire).then_some(wire),
            PortVlan::NativeTagged { native, trunks }
            | PortVlan::NativeUntagged { native, trunks } => {
                if wire == Vid::NONE {
                    Some(*native)
                } else {
                    (wire == *native || trunks.contains(wire)).then_some(wire)
                }
            }
        }
    }

    /// Whether a frame of `vid` leaves with a tag; the port must carry `vid`.
    pub fn tags(&self, vid: Vid) -> bool {
        vid != Vid::NONE
            && match self {
                PortVlan::Access(_) => false,
                PortVlan::Trunk(_) | PortVlan::NativeTagged { .. } => true,
                PortVlan::NativeUntagged { native, .. } => vid != *native,
            }
    }
}
