//! How a port treats VLAN tags (Open_vSwitch schema, table Port, columns vlan_mode, tag, trunks and
//! other_config:priority-tags).

use aorta_packet::{TPID_8021Q, Tci, Vid, VlanTag};

/// When a frame without a VLAN leaves with a tag nevertheless, which has its priority alone.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum PriorityTags {
    /// Where its VLAN leaves without a tag, never.
    #[default]
    Never,
    /// If its priority isn't 0.
    IfNonzero,
    /// As [`PriorityTags::IfNonzero`]; and a trunk doesn't take away a tag that says nothing.
    Always,
}

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

    /// Whether frames of `vid` may enter and leave here. Those of VLAN 0 don't where there is a native
    /// VLAN: without a tag they would be taken for that one's.
    pub fn carries(&self, vid: Vid) -> bool {
        match self {
            PortVlan::Access(tag) => vid == *tag,
            PortVlan::Trunk(trunks) => trunks.contains(vid),
            PortVlan::NativeTagged { native, trunks }
            | PortVlan::NativeUntagged { native, trunks } => {
                vid == *native || vid != Vid::NONE && trunks.contains(vid)
            }
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

    /// The VLAN whose frames leave without its tag, if there is one.
    pub fn untags(&self) -> Option<Vid> {
        match self {
            PortVlan::Access(vid) | PortVlan::NativeUntagged { native: vid, .. } => Some(*vid),
            PortVlan::Trunk(_) | PortVlan::NativeTagged { .. } => None,
        }
    }

    /// The tag with which a frame leaves, if it does with one. `tag` is what it has with its VLAN, and
    /// `came_tagged` whether it came with one; the port must carry the VLAN. A priority without a VLAN
    /// stays on the wire but where VLANs are taken off.
    pub fn leaving(
        &self,
        tag: VlanTag,
        came_tagged: bool,
        priority: PriorityTags,
    ) -> Option<VlanTag> {
        let (vid, says) = (tag.tci.vid(), tag.tci.priority());
        if self.untags() == Some(vid) {
            let own = VlanTag {
                tpid: TPID_8021Q,
                tci: Tci::of_priority(says),
            };
            return (says != 0 && priority != PriorityTags::Never).then_some(own);
        }
        let stays = vid != Vid::NONE || says != 0;
        (stays || came_tagged && priority == PriorityTags::Always).then_some(tag)
    }
}
