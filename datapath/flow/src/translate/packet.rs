//! A packet as the interpreter knows it.

use std::fmt;

use aorta_packet::{
    Headers, Label, Rewrite, TPID_8021AD, TPID_8021Q, Tci, TooShort, VlanTag, pop_label, push_label,
};

use super::frame::{Body, fill, label};
use crate::FlowKey;
use crate::OfPort;
use crate::Subfield;
use crate::field::{EtherType, FieldId, Prereq, VLAN_PRESENT};

/// VLAN tags behind the outer one, at most.
pub const MAX_INNER_TAGS: usize = 3;

/// A packet: its fields, its bytes if it has any, and the headers that are behind the outermost
/// ones.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Packet {
    /// Its fields.
    pub key: FlowKey,
    /// Length without the VLAN tags that the fields and `inner_tags` say.
    untagged_bytes: u32,
    /// Length as it came.
    received_bytes: u32,
    /// Protocol of the outer tag, and whether it is drop eligible. It has a meaning only while
    /// `vlan_tci` says that there is one.
    outer: Outer,
    /// VLAN tags behind the outer one, as they are on the wire; the last is the outermost of them.
    inner_tags: Vec<VlanTag>,
    /// Of a packet without bytes: fields as they were under each MPLS label that was pushed; the
    /// last is the outermost.
    under_labels: Vec<FlowKey>,
    body: Option<Body>,
}

/// What `vlan_tci` doesn't say of the outer tag.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Outer {
    tpid: u16,
    drop_eligible: bool,
}

impl Default for Outer {
    fn default() -> Outer {
        Outer {
            tpid: TPID_8021Q,
            drop_eligible: false,
        }
    }
}

/// The drop-eligible bit of a tag (IEEE 802.1Q-2018 §9.6), where `vlan_tci` says that there is one.
const DROP_ELIGIBLE: u16 = 0x1000;

impl fmt::Debug for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.key, f)
    }
}

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
const DEFAULT_LABEL_TTL: u8 = 64;
/// Explicit-null label of IPv6 (RFC 3032 §2.1); that of IPv4 is 0.
const IPV6_EXPLICIT_NULL: u32 = 2;

impl Packet {
    /// A packet without bytes, with one VLAN tag at most, and no MPLS label but the outermost.
    pub fn new(key: FlowKey, len_bytes: u32) -> Packet {
        let mut packet = Packet {
            key,
            received_bytes: len_bytes,
            ..Packet::default()
        };
        packet.untagged_bytes = len_bytes.saturating_sub(packet.tags_bytes());
        packet
    }

    /// A packet of these bytes, as it came in at a port. Fields of headers that it doesn't have
    /// are 0.
    ///
    /// # Errors
    /// When it is shorter than an Ethernet header.
    pub fn from_frame(frame: &[u8], in_port: OfPort) -> Result<Packet, TooShort> {
        let headers = Headers::parse(frame)?;
        let untagged = Rewrite::new(frame, &headers).with_tags(&[]);
        let mut packet = Packet {
            received_bytes: frame.len() as u32,
            ..Packet::default()
        };
        packet.key.set(FieldId::IN_PORT, in_port.0.into());
        packet.inner_tags.extend(headers.inner);
        if let Some(outer) = headers.outer {
            packet.take_outer(outer);
        }
        let headers = Headers::parse_untagged(&untagged)?;
        fill(&mut packet.key, &headers);
        packet.untagged_bytes = untagged.len() as u32;
        packet.body = Some(Body::new(untagged, headers));
        Ok(packet)
    }

    /// Its bytes with all changes, if it has any.
    pub fn frame(&self) -> Option<Vec<u8>> {
        let body = self.body.as_ref()?;
        Some(body.committed(&self.key, &self.tags()))
    }

    /// How long it is now.
    pub fn len_bytes(&self) -> u32 {
        self.untagged_bytes + self.tags_bytes()
    }

    /// How long it was when it came.
    pub fn received_bytes(&self) -> u32 {
        self.received_bytes
    }

    /// The VLAN tags, the outermost first. Where `vlan_tci` says that there is none there is none
    /// behind it either.
    pub fn tags(&self) -> Vec<VlanTag> {
        if !self.is_tagged() {
            return Vec::new();
        }
        let inner = self.inner_tags.iter().rev().copied();
        [self.outer_tag()].into_iter().chain(inner).collect()
    }

    fn is_tagged(&self) -> bool {
        self.key.get(FieldId::VLAN_TCI) & VLAN_PRESENT != 0
    }

    fn tags_bytes(&self) -> u32 {
        match self.is_tagged() {
            true => 4 * (1 + self.inner_tags.len() as u32),
            false => 0,
        }
    }

    fn outer_tag(&self) -> VlanTag {
        let tci = self.key.get(FieldId::VLAN_TCI) as u16 & !DROP_ELIGIBLE;
        let eligible = if self.outer.drop_eligible {
            DROP_ELIGIBLE
        } else {
            0
        };
        VlanTag {
            tpid: self.outer.tpid,
            tci: Tci(tci | eligible),
        }
    }

    fn take_outer(&mut self, tag: VlanTag) {
        self.outer = Outer {
            tpid: tag.tpid,
            drop_eligible: tag.tci.0 & DROP_ELIGIBLE != 0,
        };
        let tci = u128::from(tag.tci.0) | VLAN_PRESENT;
        self.key.set(FieldId::VLAN_TCI, tci);
    }

    /// Whether another VLAN tag would be one too many.
    pub(super) fn is_full_of_tags(&self) -> bool {
        self.is_tagged() && self.inner_tags.len() >= MAX_INNER_TAGS
    }

    /// Whether there is a VLAN tag behind those that were read.
    pub(super) fn has_unread_tag(&self) -> bool {
        let kind = self.key.get(FieldId::ETH_TYPE) as u16;
        kind == TPID_8021Q || kind == TPID_8021AD
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

    /// Adds a VLAN tag of VLAN 0 with this protocol identifier.
    pub fn push_vlan(&mut self, tpid: u16) {
        if self.is_tagged() {
            self.inner_tags.push(self.outer_tag());
        }
        self.take_outer(VlanTag { tpid, tci: Tci(0) });
    }

    /// Removes the outer VLAN tag, if there is one.
    pub fn pop_vlan(&mut self) {
        if !self.is_tagged() {
            return;
        }
        match self.inner_tags.pop() {
            Some(inner) => self.take_outer(inner),
            None => {
                self.outer = Outer::default();
                self.key.set(FieldId::VLAN_TCI, 0);
            }
        }
    }

    /// Sets part of the outer tag, which is added if there is none.
    pub fn set_vlan(&mut self, field: FieldId, value: u128) {
        if !self.is_tagged() {
            self.push_vlan(TPID_8021Q);
        }
        self.key.set(field, value);
        let tci = self.key.get(FieldId::VLAN_TCI);
        self.key.set(FieldId::VLAN_TCI, tci | VLAN_PRESENT);
    }

    /// Adds an MPLS label: a copy of the outermost one, or an explicit null with the packet's own
    /// class and time to live.
    pub fn push_mpls(&mut self, ethertype: u16) {
        let label = self.new_label();
        if let Some(body) = &self.body {
            let untagged = body.committed(&self.key, &[]);
            let pushed = push_label(&untagged, body.parts().1, ethertype, label);
            self.reload(pushed);
            return;
        }
        self.under_labels.push(self.key.clone());
        for field in NETWORK {
            self.key.set(field, 0);
        }
        self.set_label(label);
        self.key.set(FieldId::ETH_TYPE, ethertype.into());
        self.untagged_bytes += 4;
    }

    /// The label that is pushed next.
    fn new_label(&self) -> Label {
        if self.has(Prereq::Mpls) {
            return Label {
                bottom: false,
                ..label(&self.key)
            };
        }
        let ip = self.has(Prereq::Ip);
        let ipv6 = self.key.get(FieldId::ETH_TYPE) == EtherType::IPV6.into();
        Label {
            label: if ipv6 { IPV6_EXPLICIT_NULL } else { 0 },
            class: if ip {
                self.key.get(FieldId::IP_DSCP) as u8 & 7
            } else {
                0
            },
            bottom: true,
            ttl: match self.key.get(FieldId::NW_TTL) {
                ttl if ip && ttl != 0 => ttl as u8,
                _ => DEFAULT_LABEL_TTL,
            },
        }
    }

    fn set_label(&mut self, label: Label) {
        for (field, value) in [
            (FieldId::MPLS_LABEL, label.label),
            (FieldId::MPLS_TC, label.class.into()),
            (FieldId::MPLS_BOS, label.bottom.into()),
            (FieldId::MPLS_TTL, label.ttl.into()),
        ] {
            self.key.set(field, value.into());
        }
    }

    /// Removes the outermost MPLS label, if there is one. What is under it is read from the bytes;
    /// without bytes, it comes back if it is known.
    pub fn pop_mpls(&mut self, ethertype: u16) {
        if !self.has(Prereq::Mpls) {
            return;
        }
        if let Some(body) = &self.body {
            let untagged = body.committed(&self.key, &[]);
            let popped = pop_label(&untagged, body.parts().1, ethertype);
            self.reload(popped);
            return;
        }
        let under = self.under_labels.pop().unwrap_or_default();
        for field in NETWORK {
            self.key.set(field, under.home(field));
        }
        self.key.set(FieldId::ETH_TYPE, ethertype.into());
        self.untagged_bytes = self.untagged_bytes.saturating_sub(4);
    }

    /// Takes other bytes, and the fields that they say.
    fn reload(&mut self, untagged: Vec<u8>) {
        // It is never shorter than the Ethernet header that it had before.
        let Ok(headers) = Headers::parse_untagged(&untagged) else {
            return;
        };
        let body = Body::new(untagged, headers);
        self.untagged_bytes = body.len_bytes();
        for field in NETWORK.into_iter().chain([FieldId::ETH_TYPE]) {
            self.key.set(field, body.base().home(field));
        }
        self.body = Some(body);
    }
}
