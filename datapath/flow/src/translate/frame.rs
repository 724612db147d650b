//! Between a packet's bytes and its fields.
//!
//! The bytes are kept as they came, without VLAN tags. Actions change the fields; whoever sends the
//! packet gets the bytes with all that changed since. Only adding and removing labels changes the
//! kept bytes at once, and what is behind the new type is read from them.

use std::sync::Arc;

use aorta_packet::{Fragment, Headers, Label, MacAddr, Network, Rewrite, TransportHeader, VlanTag};

use crate::FlowKey;
use crate::field::FieldId;

/// Bits of `ip_frag`: a fragment, and one that isn't the first.
const FRAGMENT: u128 = 1;
const LATER_FRAGMENT: u128 = 2;

/// A packet's bytes without VLAN tags, and the fields that they say.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Body {
    bytes: Arc<[u8]>,
    headers: Arc<Headers>,
    base: Arc<FlowKey>,
}

impl Body {
    /// Of a frame that is at least an Ethernet header.
    pub fn new(untagged: Vec<u8>, headers: Headers) -> Body {
        let mut base = FlowKey::new();
        fill(&mut base, &headers);
        Body {
            bytes: untagged.into(),
            headers: Arc::new(headers),
            base: Arc::new(base),
        }
    }

    /// Its bytes and headers.
    pub fn parts(&self) -> (&[u8], &Headers) {
        (&self.bytes, &self.headers)
    }

    /// What its bytes say.
    pub fn base(&self) -> &FlowKey {
        &self.base
    }

    /// How long it is.
    pub fn len_bytes(&self) -> u32 {
        self.bytes.len() as u32
    }

    /// The frame that has these fields and tags, the outermost first.
    pub fn committed(&self, key: &FlowKey, tags: &[VlanTag]) -> Vec<u8> {
        let mut to = Rewrite::new(&self.bytes, &self.headers);
        commit(&mut to, key, &self.headers);
        to.with_tags(tags)
    }
}

/// Brings a frame's headers to the fields. VLAN tags aren't among them.
pub(super) fn commit(to: &mut Rewrite, key: &FlowKey, headers: &Headers) {
    to.set_dst(mac(key.get(FieldId::ETH_DST)));
    to.set_src(mac(key.get(FieldId::ETH_SRC)));
    match &headers.network {
        Some(Network::Ip(ip)) => {
            let (src, dst) = match ip.v6 {
                true => (FieldId::IPV6_SRC, FieldId::IPV6_DST),
                false => (FieldId::IP_SRC, FieldId::IP_DST),
            };
            to.set_ip_src(key.get(src));
            to.set_ip_dst(key.get(dst));
            to.set_tos(key.get(FieldId::NW_TOS) as u8);
            to.set_ttl(key.get(FieldId::NW_TTL) as u8);
            to.set_flow_label(key.get(FieldId::IPV6_LABEL) as u32);
            if let Some(transport) = &ip.transport {
                commit_transport(to, key, &transport.header);
            }
        }
        Some(Network::Arp(arp)) => {
            // An operation that the field can't hold stays unless it is set.
            let operation = key.get(FieldId::ARP_OP) as u16;
            if operation != known_operation(arp.operation) {
                to.set_arp_operation(operation);
            }
            to.set_arp_sha(mac(key.get(FieldId::ARP_SHA)));
            to.set_arp_spa(key.get(FieldId::ARP_SPA) as u32);
            to.set_arp_tha(mac(key.get(FieldId::ARP_THA)));
            to.set_arp_tpa(key.get(FieldId::ARP_TPA) as u32);
        }
        Some(Network::Mpls(_)) => to.set_label(label(key)),
        None => {}
    }
}

/// An operation of ARP as the field has it.
fn known_operation(operation: u16) -> u16 {
    u8::try_from(operation).unwrap_or(0).into()
}

/// Sets the ports, or type and code, and the rest of neighbour discovery.
fn commit_transport(to: &mut Rewrite, key: &FlowKey, header: &TransportHeader) {
    to.set_transport_src(key.get(FieldId::TCP_SRC) as u16);
    to.set_transport_dst(key.get(FieldId::TCP_DST) as u16);
    if let TransportHeader::Icmpv6 {
        neighbour: Some(_), ..
    } = header
    {
        to.set_nd_target(key.get(FieldId::ND_TARGET));
        to.set_nd_source_link(mac(key.get(FieldId::ND_SLL)));
        to.set_nd_target_link(mac(key.get(FieldId::ND_TLL)));
    }
}

/// Sets the fields that headers say. Those of headers that aren't there stay as they are; VLAN
/// tags aren't looked at.
pub(super) fn fill(key: &mut FlowKey, headers: &Headers) {
    key.set(FieldId::ETH_DST, number(headers.dst));
    key.set(FieldId::ETH_SRC, number(headers.src));
    key.set(FieldId::ETH_TYPE, headers.ethertype.into());
    match &headers.network {
        Some(Network::Ip(ip)) => {
            let (src, dst) = match ip.v6 {
                true => (FieldId::IPV6_SRC, FieldId::IPV6_DST),
                false => (FieldId::IP_SRC, FieldId::IP_DST),
            };
            key.set(src, ip.src);
            key.set(dst, ip.dst);
            key.set(FieldId::IPV6_LABEL, ip.label.into());
            key.set(FieldId::NW_PROTO, ip.proto.into());
            key.set(FieldId::NW_TOS, ip.tos.into());
            key.set(FieldId::NW_TTL, ip.ttl.into());
            let fragment = match ip.fragment {
                Fragment::No => 0,
                Fragment::First => FRAGMENT,
                Fragment::Later => FRAGMENT | LATER_FRAGMENT,
            };
            key.set(FieldId::IP_FRAG, fragment);
            if let Some(transport) = &ip.transport {
                fill_transport(key, &transport.header);
            }
        }
        Some(Network::Arp(arp)) => {
            key.set(FieldId::ARP_OP, known_operation(arp.operation).into());
            key.set(FieldId::ARP_SHA, number(arp.sha));
            key.set(FieldId::ARP_SPA, arp.spa.into());
            key.set(FieldId::ARP_THA, number(arp.tha));
            key.set(FieldId::ARP_TPA, arp.tpa.into());
        }
        Some(Network::Mpls(label)) => {
            key.set(FieldId::MPLS_LABEL, label.label.into());
            key.set(FieldId::MPLS_TC, label.class.into());
            key.set(FieldId::MPLS_BOS, label.bottom.into());
            key.set(FieldId::MPLS_TTL, label.ttl.into());
        }
        None => {}
    }
}

fn fill_transport(key: &mut FlowKey, header: &TransportHeader) {
    let (first, second) = match header {
        TransportHeader::Tcp { src, dst, flags } => {
            key.set(FieldId::TCP_FLAGS, (*flags).into());
            (*src, *dst)
        }
        TransportHeader::Udp { src, dst } | TransportHeader::Sctp { src, dst } => (*src, *dst),
        TransportHeader::Icmp { kind, code } | TransportHeader::Icmpv6 { kind, code, .. } => {
            ((*kind).into(), (*code).into())
        }
    };
    key.set(FieldId::TCP_SRC, first.into());
    key.set(FieldId::TCP_DST, second.into());
    if let TransportHeader::Icmpv6 {
        neighbour: Some(neighbour),
        ..
    } = header
    {
        key.set(FieldId::ND_TARGET, neighbour.target);
        let address = |link: Option<(MacAddr, usize)>| link.map_or(0, |(mac, _)| number(mac));
        key.set(FieldId::ND_SLL, address(neighbour.source_link));
        key.set(FieldId::ND_TLL, address(neighbour.target_link));
    }
}

/// The label that the fields say.
pub(super) fn label(key: &FlowKey) -> Label {
    Label {
        label: key.get(FieldId::MPLS_LABEL) as u32,
        class: key.get(FieldId::MPLS_TC) as u8,
        bottom: key.get(FieldId::MPLS_BOS) != 0,
        ttl: key.get(FieldId::MPLS_TTL) as u8,
    }
}

fn mac(number: u128) -> MacAddr {
    let mut address = [0; 6];
    address.copy_from_slice(&number.to_be_bytes()[10..]);
    MacAddr(address)
}

fn number(address: MacAddr) -> u128 {
    let [a, b, c, d, e, f] = address.0;
    u64::from_be_bytes([0, 0, a, b, c, d, e, f]).into()
}
