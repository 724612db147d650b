//! What a card reads of a frame.

use aorta_packet::{Fragment, Headers, Ip, MacAddr, Network, TransportHeader};

use crate::offload::flower::lower::AUTHENTICATION;
use crate::offload::flower::{Key, Keys};

/// A frame as a card reads it: as flower does, no further than the IP header of fragments, and nothing
/// of ARP that is neither a request nor a reply.
pub struct Frame<'a> {
    headers: &'a Headers,
    /// Whether there is an authentication header, which flower doesn't pass.
    authenticated: bool,
}

impl<'a> Frame<'a> {
    pub fn new(headers: &'a Headers, bytes: &[u8]) -> Frame<'a> {
        let authenticated = is_authenticated(headers, bytes).unwrap_or(false);
        Frame {
            headers,
            authenticated,
        }
    }

    /// Whether it matches.
    pub fn matches(&self, keys: &Keys) -> bool {
        let mut parts = keys.parts().iter();
        parts.all(|part| {
            let value = self.value(part.key);
            value.is_some_and(|value| value & part.mask == part.value)
        })
    }

    /// Value of a key, if the frame has it.
    fn value(&self, key: Key) -> Option<u128> {
        let headers = self.headers;
        let (outer, inner) = (headers.outer, headers.inner);
        let types = [outer.map(|tag| tag.tpid), inner.map(|tag| tag.tpid)];
        let types: Vec<u16> = types
            .into_iter()
            .flatten()
            .chain([headers.ethertype])
            .collect();
        let nth = |at: usize| types.get(at).map(|kind| u128::from(*kind));
        Some(match key {
            Key::EthDst => number(headers.dst),
            Key::EthSrc => number(headers.src),
            Key::EthType => nth(0)?,
            Key::VlanEthType => nth(1)?,
            Key::CvlanEthType => nth(2)?,
            Key::NumOfVlans => types.len() as u128 - 1,
            Key::VlanId => (outer?.tci.0 & 0xfff).into(),
            Key::VlanPrio => (outer?.tci.0 >> 13).into(),
            Key::CvlanId => (inner?.tci.0 & 0xfff).into(),
            Key::CvlanPrio => (inner?.tci.0 >> 13).into(),
            key => match headers.network.as_ref()? {
                Network::Ip(_) if self.authenticated && key == Key::IpProto => {
                    AUTHENTICATION.into()
                }
                Network::Ip(ip) => of_ip(key, ip)?,
                Network::Arp(arp) if !(1..=2).contains(&arp.operation) => match key {
                    Key::ArpOp | Key::ArpSip | Key::ArpTip | Key::ArpSha | Key::ArpTha => 0,
                    _ => return None,
                },
                Network::Arp(arp) => match key {
                    Key::ArpOp => arp.operation.into(),
                    Key::ArpSip => arp.spa.into(),
                    Key::ArpTip => arp.tpa.into(),
                    Key::ArpSha => number(arp.sha),
                    Key::ArpTha => number(arp.tha),
                    _ => return None,
                },
                Network::Mpls(label) => match key {
                    Key::MplsLabel => label.label.into(),
                    Key::MplsTc => label.class.into(),
                    Key::MplsBos => label.bottom.into(),
                    Key::MplsTtl => label.ttl.into(),
                    _ => return None,
                },
            },
        })
    }
}

/// Whether an IPv6 packet has an authentication header, if all in front of it is whole.
fn is_authenticated(headers: &Headers, bytes: &[u8]) -> Option<bool> {
    let at = headers.network_at();
    let Some(Network::Ip(Ip { v6: true, .. })) = &headers.network else {
        return None;
    };
    let (mut next, mut at) = (*bytes.get(at + 6)?, at + 40);
    // RFC 8200 §4: options hop by hop, routing, options for the destination.
    while [0, 43, 60].contains(&next) {
        next = *bytes.get(at)?;
        at += 8 * (usize::from(*bytes.get(at + 1)?) + 1);
    }
    Some(next == AUTHENTICATION)
}

fn of_ip(key: Key, ip: &Ip) -> Option<u128> {
    Some(match key {
        Key::IpProto => ip.proto.into(),
        Key::IpTos => ip.tos.into(),
        Key::IpTtl => ip.ttl.into(),
        Key::Ipv4Src if !ip.v6 => ip.src,
        Key::Ipv4Dst if !ip.v6 => ip.dst,
        Key::Ipv6Src if ip.v6 => ip.src,
        Key::Ipv6Dst if ip.v6 => ip.dst,
        Key::Flags => match ip.fragment {
            Fragment::No => 0,
            Fragment::First => Key::IS_FRAGMENT | Key::IS_FIRST,
            Fragment::Later => Key::IS_FRAGMENT,
        },
        key if ip.fragment == Fragment::No => of_transport(key, &ip.transport.as_ref()?.header)?,
        _ => return None,
    })
}

fn of_transport(key: Key, header: &TransportHeader) -> Option<u128> {
    let (source, destination) = match header {
        TransportHeader::Tcp { flags, .. } if key == Key::TcpFlags => {
            return Some((*flags).into());
        }
        TransportHeader::Tcp { src, dst, .. } => ((Key::TcpSrc, *src), (Key::TcpDst, *dst)),
        TransportHeader::Udp { src, dst } => ((Key::UdpSrc, *src), (Key::UdpDst, *dst)),
        TransportHeader::Sctp { src, dst } => ((Key::SctpSrc, *src), (Key::SctpDst, *dst)),
        TransportHeader::Icmp { kind, code } => (
            (Key::Icmpv4Type, (*kind).into()),
            (Key::Icmpv4Code, (*code).into()),
        ),
        TransportHeader::Icmpv6 { kind, code, .. } => (
            (Key::Icmpv6Type, (*kind).into()),
            (Key::Icmpv6Code, (*code).into()),
        ),
    };
    let found = [source, destination]
        .into_iter()
        .find(|(known, _)| *known == key);
    found.map(|(_, value)| value.into())
}

fn number(address: MacAddr) -> u128 {
    let bytes = address.0.iter();
    bytes.fold(0, |sum, byte| sum << 8 | u128::from(*byte))
}
