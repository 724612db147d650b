//! A packet as the interpreter knows it.

use std::fmt;

use crate::FlowKey;
use crate::Subfield;
use crate::field::{EtherType, FieldId, Prereq, VLAN_PRESENT};

/// A packet's fields, and the headers that are behind the outermost ones.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Packet {
    /// Its fields.
    pub key: FlowKey,
    /// Its length in bytes.
    pub len_bytes: u32,
    /// VLAN tags behind the outer one, as `vlan_tci` has them; the last is the outermost of them.
    pub inner_tags: Vec<u16>,
    /// Fields as they were under each MPLS label that was pushed; the last is the outermost.
    under_labels: Vec<FlowKey>,
}

impl fmt::Debug for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.key, f)
    }
}

/// Fields of an MPLS label.
const LABEL: [FieldId; 4] = [
    FieldId::MPLS_LABEL,
    FieldId::MPLS_TC,
    FieldId::MPLS_TTL,
    FieldId::MPLS_BOS,
];

/// Fields that lie behind the EtherType.
const NETWORK: [FieldId; 19] = [
    FieldId::IP_SRC,
    FieldId::IP_DST,
    FieldId::IPV6_SRC,
    FieldId::IPV6_DST,
    FieldId::IPV6_LABEL,
    FieldId::NW_PROTO,
    FieldId::NW_TOS,
    FieldId::NW_TTL,
    FieldId::IP_FRAG,
    FieldId::ARP_SHA,
    FieldId::ARP_THA,
    FieldId::TCP_SRC,
    FieldId::TCP_DST,
    FieldId::TCP_FLAGS,
    FieldId::ND_TARGET,
    FieldId::MPLS_LABEL,
    FieldId::MPLS_TC,
    FieldId::MPLS_TTL,
    FieldId::MPLS_BOS,
];

/// Time to live of a label on a packet that has none (RFC 3032 leaves it open).
const DEFAULT_LABEL_TTL: u128 = 64;
/// Explicit-null label of IPv6 (RFC 3032 §2.1); that of IPv4 is 0.
const IPV6_EXPLICIT_NULL: u128 = 2;

impl Packet {
    /// A packet with one VLAN tag at most, and no MPLS label but the outermost.
    pub fn new(key: FlowKey, len_bytes: u32) -> Packet {
        Packet {
            key,
            len_bytes,
            ..Packet::default()
        }
    }

    /// Whether a prerequisite is met.
    pub fn has(&self, prereq: Prereq) -> bool {
        prereq.met(&|field| (self.key.get(field), field.field().full_mask()))
    }

    /// Changes bits of a field, if the packet has the field.
    pub fn write(&mut self, to: Subfield, value: u128) -> bool {
        let writable = self.has(to.field.field().prereq);
        if writable {
            self.key.write(to, value);
        }
        writable
    }

    /// Changes a field under a mask, if the packet has the field.
    pub fn set(&mut self, field: FieldId, value: u128, mask: u128) -> bool {
        let writable = self.has(field.field().prereq);
        if writable {
            let old = self.key.get(field);
            self.key.set(field, old & !mask | value & mask);
        }
        writable
    }

    /// Adds a VLAN tag of VLAN 0.
    pub fn push_vlan(&mut self) {
        let outer = self.key.get(FieldId::VLAN_TCI);
        if outer & VLAN_PRESENT != 0 {
            self.inner_tags.push(outer as u16);
        }
        self.key.set(FieldId::VLAN_TCI, VLAN_PRESENT);
        self.len_bytes += 4;
    }

    /// Removes the outer VLAN tag, if there is one.
    pub fn pop_vlan(&mut self) {
        if self.key.get(FieldId::VLAN_TCI) & VLAN_PRESENT != 0 {
            let inner = self.inner_tags.pop().unwrap_or(0);
            self.key.set(FieldId::VLAN_TCI, inner.into());
            self.len_bytes = self.len_bytes.saturating_sub(4);
        }
    }

    /// Sets part of the outer tag, which is added if there is none.
    pub fn set_vlan(&mut self, field: FieldId, value: u128) {
        if self.key.get(FieldId::VLAN_TCI) & VLAN_PRESENT == 0 {
            self.push_vlan();
        }
        self.key.set(field, value);
        let tci = self.key.get(FieldId::VLAN_TCI);
        self.key.set(FieldId::VLAN_TCI, tci | VLAN_PRESENT);
    }

    /// Adds an MPLS label: a copy of the outermost one, or an explicit null with the packet's own
    /// time to live.
    pub fn push_mpls(&mut self, ethertype: u16) {
        let under = self.key.clone();
        let label = if self.has(Prereq::Mpls) {
            let copied = LABEL.map(|field| self.key.get(field));
            [copied[0], copied[1], copied[2], 0]
        } else {
            let ipv6 = self.key.get(FieldId::ETH_TYPE) == EtherType::IPV6.into();
            let (ip, ttl) = (self.has(Prereq::Ip), self.key.get(FieldId::NW_TTL));
            let null = if ipv6 { IPV6_EXPLICIT_NULL } else { 0 };
            [null, 0, if ip { ttl } else { DEFAULT_LABEL_TTL }, 1]
        };
        for field in NETWORK {
            self.key.set(field, 0);
        }
        for (field, value) in LABEL.into_iter().zip(label) {
            self.key.set(field, value);
        }
        self.key.set(FieldId::ETH_TYPE, ethertype.into());
        self.under_labels.push(under);
        self.len_bytes += 4;
    }

    /// Removes the outermost MPLS label, if there is one; what was under it comes back if it is
    /// known.
    pub fn pop_mpls(&mut self, ethertype: u16) {
        if !self.has(Prereq::Mpls) {
            return;
        }
        let under = self.under_labels.pop().unwrap_or_default();
        for field in NETWORK {
            self.key.set(field, under.home(field));
        }
        self.key.set(FieldId::ETH_TYPE, ethertype.into());
        self.len_bytes = self.len_bytes.saturating_sub(4);
    }
}
