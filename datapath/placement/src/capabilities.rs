//! What a card can do, as values: the planner is the same for all cards, and for none.

use std::collections::{BTreeMap, BTreeSet};

use aorta_flow::field::FieldId;
use aorta_flow::{OfPort, Part};

/// How a card matches a field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeySupport {
    /// Whole fields only.
    Exact,
    /// Any bits.
    Masked,
}

/// What a card can do.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Capabilities {
    /// What it matches besides the ingress port, by the field whose storage it is.
    pub keys: BTreeMap<FieldId, KeySupport>,
    /// Fields that it can change, by the field whose storage it is.
    pub sets: BTreeSet<FieldId>,
    /// Whether it changes single bits of these.
    pub sets_masked: bool,
    /// Whether it adds and removes VLAN tags.
    pub vlan_tags: bool,
    /// Whether it adds and removes MPLS labels.
    pub mpls_labels: bool,
    /// Whether it drops packets above a rate, in a bucket that rules share.
    pub meters: bool,
    /// Whether it lowers an IP packet's time to live, and leaves those to software where that ends.
    pub dec_ttl: bool,
    /// Whether it sends packets back to the port that they came from, where a flow asks for it.
    pub to_in_port: bool,
    /// Copies that a rule can send.
    pub max_outputs: usize,
    /// Whether a packet can be changed between two copies.
    pub changes_between_outputs: bool,
    /// Tables (chains) that it has.
    pub max_tables: usize,
    /// Rules that it holds, all tables together.
    pub max_rules: usize,
    /// Whether a rule can leave its packets to software.
    pub traps: bool,
}

impl Capabilities {
    /// What TC flower can say (tc-flower(8)), with room for so many rules: the most that a card which
    /// is programmed by it can do.
    pub fn flower(max_rules: usize) -> Capabilities {
        use KeySupport::{Exact, Masked};
        let keys = [
            (FieldId::ETH_SRC, Masked),
            (FieldId::ETH_DST, Masked),
            (FieldId::ETH_TYPE, Exact),
            (FieldId::VLAN_TCI, Exact),
            (FieldId::MPLS_LABEL, Exact),
            (FieldId::MPLS_TC, Exact),
            (FieldId::MPLS_BOS, Exact),
            (FieldId::MPLS_TTL, Exact),
            (FieldId::IP_SRC, Masked),
            (FieldId::IP_DST, Masked),
            (FieldId::IPV6_SRC, Masked),
            (FieldId::IPV6_DST, Masked),
            (FieldId::NW_PROTO, Exact),
            (FieldId::NW_TOS, Masked),
            (FieldId::NW_TTL, Masked),
            (FieldId::IP_FRAG, Masked),
            (FieldId::TCP_SRC, Masked),
            (FieldId::TCP_DST, Masked),
            (FieldId::TCP_FLAGS, Masked),
            (FieldId::ARP_SHA, Masked),
            (FieldId::ARP_THA, Masked),
        ];
        let sets = [
            FieldId::ETH_SRC,
            FieldId::ETH_DST,
            FieldId::VLAN_TCI,
            FieldId::IP_SRC,
            FieldId::IP_DST,
            FieldId::IPV6_SRC,
            FieldId::IPV6_DST,
            FieldId::NW_TOS,
            FieldId::NW_TTL,
            FieldId::TCP_SRC,
            FieldId::TCP_DST,
            // The operation of ARP, and its addresses.
            FieldId::NW_PROTO,
            FieldId::ARP_SHA,
            FieldId::ARP_THA,
            FieldId::MPLS_LABEL,
            FieldId::MPLS_TC,
            FieldId::MPLS_TTL,
        ];
        Capabilities {
            keys: keys.into(),
            sets: sets.into(),
            sets_masked: true,
            vlan_tags: true,
            mpls_labels: true,
            meters: true,
            dec_ttl: true,
            to_in_port: true,
            max_outputs: 32,
            changes_between_outputs: true,
            max_tables: 256,
            max_rules,
            traps: true,
        }
    }

    /// Whether it can match what a part of a match says.
    pub fn matches(&self, part: &Part) -> bool {
        match self.keys.get(&part.field) {
            None => false,
            Some(KeySupport::Masked) => true,
            Some(KeySupport::Exact) => is_whole(part.field, part.mask),
        }
    }

    /// Whether it can change these bits of a field's storage.
    pub fn changes(&self, home: FieldId, mask: u128) -> bool {
        self.sets.contains(&home) && (self.sets_masked || is_whole(home, mask))
    }
}

/// Whether a mask of a field's storage is made of whole fields that lie in it.
fn is_whole(home: FieldId, mask: u128) -> bool {
    let windows = FieldId::all()
        .map(FieldId::field)
        .filter(|field| field.home == home)
        .map(|field| field.full_mask() << field.shift)
        .filter(|window| mask & window == *window);
    windows.fold(mask, |left, window| left & !window) == 0
}

/// A card.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Device {
    /// The ports of the bridge that are its own: what it sends to and takes from.
    pub ports: BTreeSet<OfPort>,
    /// What it can do.
    pub capabilities: Capabilities,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_of_whole_fields() {
        for (field, mask, whole) in [
            (FieldId::VLAN_TCI, 0x1fff, true),
            (FieldId::VLAN_TCI, 0xffff, true),
            (FieldId::VLAN_TCI, 0xf000, false),
            (FieldId::VLAN_TCI, 0x1000, false),
            (FieldId::NW_TOS, 0xfc, true),
            (FieldId::NW_TOS, 0x3, true),
            (FieldId::NW_TOS, 0x0c, false),
            (FieldId::IP_SRC, 0xffff_ffff, true),
            (FieldId::IP_SRC, 0xffff_ff00, false),
        ] {
            assert_eq!(is_whole(field, mask), whole, "{field} {mask:#x}");
        }
    }
}
