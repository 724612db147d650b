//! Which parts of packets a bridge's actions can change.

use std::collections::BTreeSet;

use aorta_flow::action::Action;
use aorta_flow::field::FieldId;

/// Bits of [`DIRTY`](super::super::layout::state::DIRTY): the groups of fields that are written
/// together.
pub mod dirty {
    /// Ethernet addresses.
    pub const ETHERNET: i32 = 1 << 0;
    /// VLAN tags.
    pub const VLAN: i32 = 1 << 1;
    /// IP addresses, those in ARP too, TOS, time to live, flow label.
    pub const NETWORK: i32 = 1 << 2;
    /// Operation and link-layer addresses of ARP and neighbour discovery.
    pub const ARP: i32 = 1 << 3;
    /// Ports; type and code of ICMP.
    pub const TRANSPORT: i32 = 1 << 4;
    /// Target of neighbour discovery.
    pub const ND: i32 = 1 << 5;
    /// MPLS labels.
    pub const MPLS: i32 = 1 << 6;
}

/// The group of a field, as a bit of `DIRTY`; 0 if it isn't in the packet's bytes, or can't be
/// changed there.
pub fn dirty_bit(field: FieldId) -> i32 {
    match field.field().home {
        FieldId::ETH_SRC | FieldId::ETH_DST => dirty::ETHERNET,
        FieldId::VLAN_TCI => dirty::VLAN,
        FieldId::IP_SRC
        | FieldId::IP_DST
        | FieldId::IPV6_SRC
        | FieldId::IPV6_DST
        | FieldId::IPV6_LABEL
        | FieldId::NW_TOS
        | FieldId::NW_TTL => dirty::NETWORK,
        FieldId::NW_PROTO | FieldId::ARP_SHA | FieldId::ARP_THA => dirty::ARP,
        FieldId::TCP_SRC | FieldId::TCP_DST => dirty::TRANSPORT,
        FieldId::ND_TARGET => dirty::ND,
        FieldId::MPLS_LABEL | FieldId::MPLS_TC | FieldId::MPLS_BOS | FieldId::MPLS_TTL => {
            dirty::MPLS
        }
        _ => 0,
    }
}

/// Whether XDP programs can change a field, by the name that the action has for it.
pub fn xdp_changes(field: FieldId) -> bool {
    let names = [
        FieldId::ETH_SRC,
        FieldId::ETH_DST,
        FieldId::IP_SRC,
        FieldId::IP_DST,
        FieldId::NW_TOS,
        FieldId::IP_DSCP,
        FieldId::NW_ECN,
        FieldId::NW_TTL,
        FieldId::TCP_SRC,
        FieldId::TCP_DST,
        FieldId::UDP_SRC,
        FieldId::UDP_DST,
    ];
    names.contains(&field) || dirty_bit(field) == dirty::VLAN
}

/// The fields in packets' bytes that a bridge's actions can change, by the names that the actions
/// have for them: an address set in ARP is not one set in IPv4.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Changes {
    fields: BTreeSet<FieldId>,
    tags: bool,
    length: bool,
    labels: bool,
}

impl Changes {
    /// Of all these actions together.
    pub fn of<'a>(actions: impl IntoIterator<Item = &'a Action>) -> Changes {
        let mut changes = Changes::default();
        for action in actions {
            changes.add_action(action);
            for nested in action.nested() {
                changes.add_action(nested);
            }
        }
        changes
    }

    /// Those of them that XDP programs can do.
    pub fn in_xdp(&self) -> Changes {
        let mut changes = Changes::default();
        let fields = self.fields.iter().copied();
        fields
            .filter(|field| xdp_changes(*field))
            .for_each(|field| changes.add(field));
        changes
    }

    /// Adds a field that can be changed; one that isn't in packets' bytes is not noted.
    pub fn add(&mut self, field: FieldId) {
        if dirty_bit(field) != 0 {
            self.fields.insert(field);
        }
        self.tags |= dirty_bit(field) == dirty::VLAN;
    }

    fn add_action(&mut self, action: &Action) {
        self.length |= matches!(action, Action::CheckPktLarger { .. });
        match action {
            Action::SetField { field, .. } | Action::Modify { field, .. } => self.add(*field),
            Action::Load { to, .. }
            | Action::Move { to, .. }
            | Action::Pop(to)
            | Action::CheckPktLarger { to, .. } => self.add(to.field),
            Action::Multipath(multipath) => self.add(multipath.to.field),
            Action::Bundle(bundle) => {
                if let Some(to) = bundle.to {
                    self.add(to.field);
                }
            }
            Action::Learn(learn) => {
                if let Some(to) = learn.result {
                    self.add(to.field);
                }
            }
            Action::SetVlanVid { .. }
            | Action::SetVlanPcp { .. }
            | Action::PushVlan(_)
            | Action::PopVlan
            | Action::StripVlan => self.add(FieldId::VLAN_TCI),
            Action::DecTtl(_) => self.add(FieldId::NW_TTL),
            // A meter's band may change it.
            Action::Meter(_) => self.add(FieldId::IP_DSCP),
            Action::DecMplsTtl => self.add(FieldId::MPLS_TTL),
            Action::PushMpls(_) | Action::PopMpls(_) => {
                self.add(FieldId::MPLS_LABEL);
                // They come off while labels change.
                self.add(FieldId::VLAN_TCI);
                self.labels = true;
            }
            Action::Clone(actions) => *self = self.with(actions),
            _ => {}
        }
    }

    fn with(&self, actions: &[Action]) -> Changes {
        let mut both = self.clone();
        let nested = Changes::of(actions);
        both.fields.extend(nested.fields);
        both.tags |= nested.tags;
        both.length |= nested.length;
        both.labels |= nested.labels;
        both
    }

    /// Whether nothing is ever changed: there is no commit then.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Whether VLAN tags can change: the parser fills
    /// [`vlan`](super::super::layout::vlan) then.
    pub fn tags(&self) -> bool {
        self.tags
    }

    /// Whether the key holds the packet's length
    /// ([`LENGTH`](super::super::layout::LENGTH)).
    pub fn length(&self) -> bool {
        self.length
    }

    /// Whether labels are added or removed.
    pub fn labels(&self) -> bool {
        self.labels
    }

    /// Whether this field can be changed by this name.
    pub fn has(&self, field: FieldId) -> bool {
        self.fields.contains(&field)
    }

    /// Whether a field of this storage can be changed, by whichever name.
    pub fn has_home(&self, home: FieldId) -> bool {
        self.fields.iter().any(|field| field.field().home == home)
    }

    /// Whether a field of these groups can be changed.
    pub fn in_groups(&self, groups: i32) -> bool {
        self.fields.iter().any(|f| dirty_bit(*f) & groups != 0)
    }

    /// The fields that the key must hold for the commit, besides those that tables and actions
    /// read: their storage, in order. If [`FieldId::NW_PROTO`] is among them,
    /// [`L4`](super::super::layout::state::L4) is needed too, and with
    /// [`FieldId::ETH_TYPE`], [`L3`](super::super::layout::state::L3).
    pub fn needs(&self) -> BTreeSet<FieldId> {
        let mut needs: BTreeSet<FieldId> = self.fields.iter().map(|f| f.field().home).collect();
        let in_groups = |groups| self.in_groups(groups);
        if in_groups(dirty::NETWORK | dirty::ARP | dirty::TRANSPORT | dirty::ND | dirty::MPLS) {
            needs.insert(FieldId::ETH_TYPE);
        }
        if in_groups(dirty::NETWORK | dirty::TRANSPORT | dirty::ND | dirty::ARP) {
            needs.insert(FieldId::NW_PROTO);
        }
        if in_groups(dirty::TRANSPORT) {
            needs.extend([FieldId::TCP_SRC, FieldId::TCP_DST]);
        }
        if in_groups(dirty::MPLS) {
            needs.extend([
                FieldId::MPLS_LABEL,
                FieldId::MPLS_TC,
                FieldId::MPLS_BOS,
                FieldId::MPLS_TTL,
            ]);
        }
        if self.neighbour_discovery() {
            needs.extend([FieldId::TCP_SRC, FieldId::TCP_DST]);
        }
        if self.labels {
            needs.extend([FieldId::NW_TOS, FieldId::NW_TTL, FieldId::VLAN_TCI]);
        }
        needs
    }

    /// Whether something of neighbour discovery can be changed.
    pub fn neighbour_discovery(&self) -> bool {
        [FieldId::ND_TARGET, FieldId::ND_SLL, FieldId::ND_TLL]
            .into_iter()
            .any(|field| self.has(field))
    }
}

#[cfg(test)]
mod tests {
    use aorta_flow::text::{Form, NoNames, parse_flow};

    use super::*;

    fn changes(actions: &str) -> Changes {
        let flow = parse_flow(&format!("actions={actions}"), Form::Flow, &NoNames);
        Changes::of(&flow.unwrap().instructions.apply)
    }

    #[test]
    fn registers_and_outputs_change_no_bytes() {
        assert!(changes("set_field:1->reg0,output:2,resubmit(,1)").is_empty());
    }

    #[test]
    fn nested_actions_count() {
        let nested = changes("clone(clone(dec_ttl),push_vlan:0x8100)");
        assert!(nested.has(FieldId::NW_TTL) && nested.tags());
        assert!(nested.needs().contains(&FieldId::ETH_TYPE));
    }

    #[test]
    fn an_address_in_arp_is_not_one_in_ip() {
        let arp = changes("load:5->NXM_OF_ARP_SPA[]");
        assert!(arp.has(FieldId::ARP_SPA) && !arp.has(FieldId::IP_SRC));
        assert!(arp.has_home(FieldId::IP_SRC));
    }
}
