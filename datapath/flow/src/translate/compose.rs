//! A frame for given fields.

use aorta_packet::{Headers, Rewrite, crc32c, internet_checksum};

use super::Packet;
use super::frame::label;
use crate::field::{EtherType, FieldId, IpProto};
use crate::text::{Form, Names, TextError, parse_flow};
use crate::{FlowKey, OfPort};

/// Bytes behind the last header.
const PAYLOAD: Payload<'static> = Payload {
    transport: &[0; 8],
    other: &[0; 8],
};
/// Bit of IPv4's fragment word: more fragments.
const MORE_FRAGMENTS: u16 = 0x2000;

/// What is behind the last header.
#[derive(Clone, Copy)]
struct Payload<'a> {
    /// Of TCP, UDP, ICMP and ICMPv6.
    transport: &'a [u8],
    /// Of everything else.
    other: &'a [u8],
}

impl Packet {
    /// A packet with these fields, and bytes that are as they say as far as there are headers
    /// that can say so.
    pub fn from_fields(key: &FlowKey) -> Packet {
        let in_port = OfPort(key.get(FieldId::IN_PORT) as u16);
        let frame = compose(key, PAYLOAD);
        // It has an Ethernet header.
        let mut packet = Packet::from_frame(&frame, in_port).unwrap_or_default();
        packet.key = key.clone();
        packet
    }

    /// Bytes that are as these fields say, with `payload` behind TCP, UDP, ICMP and ICMPv6 but
    /// nothing behind other headers.
    pub fn frame_of(key: &FlowKey, payload: &[u8]) -> Vec<u8> {
        let payload = Payload {
            transport: payload,
            other: &[],
        };
        compose(key, payload)
    }

    /// A packet of the fields that a flow's match names.
    ///
    /// # Errors
    /// When the text can't be read.
    pub fn from_text(text: &str, names: &dyn Names) -> Result<Packet, TextError> {
        let mut key = FlowKey::new();
        for part in parse_flow(text, Form::Filter, names)?.matching.parts() {
            key.set(part.field, part.value);
        }
        Ok(Packet::from_fields(&key))
    }
}

/// A frame whose headers say the fields, where each has its lengths and checksums.
fn compose(key: &FlowKey, payload: Payload) -> Vec<u8> {
    let ethertype = key.get(FieldId::ETH_TYPE) as u16;
    let mut frame = vec![0; 12];
    let tci = key.get(FieldId::VLAN_TCI) as u16;
    if tci & 0x1000 != 0 {
        frame.extend([0x81, 0x00]);
        frame.extend((tci & !0x1000).to_be_bytes());
    }
    frame.extend(ethertype.to_be_bytes());
    frame.extend(match ethertype {
        EtherType::IPV4 => ipv4(key, payload),
        EtherType::IPV6 => ipv6(key, payload),
        EtherType::ARP | EtherType::RARP => {
            let mut arp = vec![0, 1, 0x08, 0, 6, 4];
            arp.resize(28, 0);
            arp
        }
        EtherType::MPLS | EtherType::MPLS_MULTICAST => {
            [&label(key).to_bits().to_be_bytes()[..], payload.other].concat()
        }
        _ => payload.other.to_vec(),
    });
    filled(&frame, key)
}

/// The frame with all fields set, by the same way by which actions set them.
fn filled(frame: &[u8], key: &FlowKey) -> Vec<u8> {
    match Headers::parse(frame) {
        Ok(headers) => {
            let mut to = Rewrite::new(frame, &headers);
            super::frame::commit(&mut to, key, &headers);
            to.finish()
        }
        Err(_) => frame.to_vec(),
    }
}

fn is_later_fragment(key: &FlowKey) -> bool {
    key.get(FieldId::IP_FRAG) & 2 != 0
}

fn ipv4(key: &FlowKey, payload: Payload) -> Vec<u8> {
    let proto = key.get(FieldId::NW_PROTO) as u8;
    let transport = transport(key, proto, payload);
    let fragment = match key.get(FieldId::IP_FRAG) {
        0 => 0,
        1 => MORE_FRAGMENTS,
        _ => 1,
    };
    let mut header = vec![0x45, 0];
    header.extend((20 + transport.len() as u16).to_be_bytes());
    header.extend([0, 0]);
    header.extend(u16::to_be_bytes(fragment));
    header.extend([0, proto, 0, 0]);
    header.resize(20, 0);
    let sum = internet_checksum(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    with_checksum(header, proto, transport)
}

fn ipv6(key: &FlowKey, payload: Payload) -> Vec<u8> {
    let proto = key.get(FieldId::NW_PROTO) as u8;
    let transport = transport(key, proto, payload);
    let fragment = key.get(FieldId::IP_FRAG) != 0;
    let extension: Vec<u8> = match fragment {
        true => vec![
            proto,
            0,
            0,
            if is_later_fragment(key) { 8 } else { 1 },
            0,
            0,
            0,
            0,
        ],
        false => Vec::new(),
    };
    let len = (extension.len() + transport.len()) as u16;
    let mut header = vec![0x60, 0, 0, 0];
    header.extend(len.to_be_bytes());
    header.extend([
        if fragment {
            aorta_packet::proto::FRAGMENT
        } else {
            proto
        },
        0,
    ]);
    header.resize(40, 0);
    header.extend(extension);
    with_checksum(header, proto, transport)
}

/// Puts both together; the addresses are still 0, so that the checksum is of the rest.
fn with_checksum(mut header: Vec<u8>, proto: u8, mut transport: Vec<u8>) -> Vec<u8> {
    let sum_at = match proto {
        IpProto::TCP => Some(16),
        IpProto::UDP => Some(6),
        IpProto::ICMP | IpProto::ICMPV6 => Some(2),
        _ => None,
    };
    let pseudo = (proto != IpProto::ICMP).then_some([transport.len() as u16, proto.into()]);
    let pseudo = pseudo.unwrap_or_default().map(u16::to_be_bytes).concat();
    if let Some(at) = sum_at.filter(|at| at + 2 <= transport.len()) {
        let sum = internet_checksum(&[&pseudo, &*transport].concat());
        transport[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    }
    if proto == IpProto::SCTP && transport.len() >= 12 {
        let sum = crc32c(transport.iter().copied());
        transport[8..12].copy_from_slice(&sum.to_le_bytes());
    }
    header.extend(transport);
    header
}

fn transport(key: &FlowKey, proto: u8, payload: Payload) -> Vec<u8> {
    let ipv6 = key.get(FieldId::ETH_TYPE) == EtherType::IPV6.into();
    let len = match proto {
        _ if is_later_fragment(key) => 0,
        IpProto::TCP => 20,
        IpProto::UDP => 8,
        IpProto::SCTP => 12,
        IpProto::ICMP if !ipv6 => 8,
        IpProto::ICMPV6 if ipv6 => return icmpv6(key, payload),
        _ => 0,
    };
    let mut bytes = vec![0; len];
    match proto {
        _ if len == 0 => {}
        IpProto::TCP => {
            let flags = key.get(FieldId::TCP_FLAGS) as u16 | 5 << 12;
            bytes[12..14].copy_from_slice(&flags.to_be_bytes());
        }
        IpProto::UDP => {
            let len = (8 + payload.transport.len()) as u16;
            bytes[4..6].copy_from_slice(&len.to_be_bytes());
        }
        _ => {}
    }
    bytes.extend(match proto {
        IpProto::TCP | IpProto::UDP | IpProto::ICMP => payload.transport,
        _ => payload.other,
    });
    bytes
}

/// ICMPv6; with an option for each link-layer address of neighbour discovery.
fn icmpv6(key: &FlowKey, payload: Payload) -> Vec<u8> {
    let kind = key.get(FieldId::ICMPV6_TYPE) as u8;
    let code = key.get(FieldId::ICMPV6_CODE) as u8;
    let mut bytes = vec![kind, code];
    bytes.resize(8, 0);
    if matches!(kind, 135 | 136) && code == 0 {
        bytes.resize(24, 0);
        for (option, address) in [(1, FieldId::ARP_SHA), (2, FieldId::ARP_THA)] {
            if key.get(address) != 0 {
                bytes.extend([option, 1, 0, 0, 0, 0, 0, 0]);
            }
        }
    } else if payload.other.is_empty() {
        bytes.extend(payload.transport);
    }
    bytes
}
