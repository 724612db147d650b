//! Changes of header fields as changes of bytes.

use std::collections::BTreeMap;

use aorta_flow::field::{EtherType, FieldId, IpProto};

use super::matching::Matched;
use crate::offload::flower::{Csum, Header, Pedit, Refusal, TcAction};

/// Bytes of a header.
#[derive(Clone, Copy)]
struct Span {
    header: Header,
    /// Offset of the first.
    at: u32,
    bytes: u32,
}

/// Changes of a packet that are still to be told.
#[derive(Default)]
pub struct Edit {
    /// Value and mask of four bytes.
    words: BTreeMap<(Header, u32), (u32, u32)>,
    /// Where the time to live is, if it is lowered before anything else.
    lowered: Option<Span>,
    ip: bool,
    addresses: bool,
    ports: bool,
}

impl Edit {
    /// Lowers the time to live by one. It comes before changes of it, and isn't 0 or 1.
    ///
    /// # Errors
    /// When it isn't known where it is.
    pub fn lower_ttl(&mut self, packets: &Matched) -> Result<(), Refusal> {
        let (span, _) = self.span(FieldId::NW_TTL, packets)?;
        self.ip |= span.header == Header::Ipv4;
        self.lowered = Some(span);
        Ok(())
    }

    /// Changes bits of a field's storage.
    ///
    /// # Errors
    /// When flower has no way to.
    pub fn set(
        &mut self,
        home: FieldId,
        value: u128,
        mask: u128,
        packets: &Matched,
    ) -> Result<(), Refusal> {
        let (span, left_by) = self.span(home, packets)?;
        self.ip |= span.header == Header::Ipv4;
        self.ports |= matches!(span.header, Header::Tcp | Header::Udp);
        let addresses = [
            FieldId::IP_SRC,
            FieldId::IP_DST,
            FieldId::IPV6_SRC,
            FieldId::IPV6_DST,
        ];
        self.addresses |= span.header != Header::Network && addresses.contains(&home);
        self.bytes(&span, value << left_by, mask << left_by);
        Ok(())
    }

    /// Where a field's storage is, and how many bits are behind it there.
    fn span(&self, home: FieldId, packets: &Matched) -> Result<(Span, u32), Refusal> {
        let unsupported = || Refusal::unsupported(format!("flower can't change {home}"));
        let is = |kind: u16| packets.ethertype == Some(kind);
        let (v4, v6) = (is(EtherType::IPV4), is(EtherType::IPV6));
        let arp = is(EtherType::ARP) || is(EtherType::RARP);
        let span = |header, at, bytes| Span { header, at, bytes };
        let span = match home {
            FieldId::ETH_DST => span(Header::Ethernet, 0, 6),
            FieldId::ETH_SRC => span(Header::Ethernet, 6, 6),
            FieldId::IP_SRC if v4 => span(Header::Ipv4, 12, 4),
            FieldId::IP_DST if v4 => span(Header::Ipv4, 16, 4),
            FieldId::IPV6_SRC if v6 => span(Header::Ipv6, 8, 16),
            FieldId::IPV6_DST if v6 => span(Header::Ipv6, 24, 16),
            FieldId::NW_TOS if v4 => span(Header::Ipv4, 1, 1),
            FieldId::NW_TTL if v4 => span(Header::Ipv4, 8, 1),
            FieldId::NW_TTL if v6 => span(Header::Ipv6, 7, 1),
            // Between the version and the flow label.
            FieldId::NW_TOS if v6 => return Ok((span(Header::Ipv6, 0, 2), 4)),
            // RFC 826; operations of more than a byte are left to software.
            FieldId::NW_PROTO if arp => span(Header::Network, 7, 1),
            FieldId::ARP_SHA if arp => span(Header::Network, 8, 6),
            FieldId::IP_SRC if arp => span(Header::Network, 14, 4),
            FieldId::ARP_THA if arp => span(Header::Network, 18, 6),
            FieldId::IP_DST if arp => span(Header::Network, 24, 4),
            FieldId::TCP_SRC | FieldId::TCP_DST => {
                let header = match packets.proto {
                    Some(IpProto::TCP) => Header::Tcp,
                    Some(IpProto::UDP) => Header::Udp,
                    // What is behind an IP header with options is nowhere that pedit knows.
                    _ => return Err(unsupported()),
                };
                span(header, if home == FieldId::TCP_SRC { 0 } else { 2 }, 2)
            }
            _ => return Err(unsupported()),
        };
        Ok((span, 0))
    }

    fn bytes(&mut self, span: &Span, value: u128, mask: u128) {
        for at in span.at..span.at + span.bytes {
            let byte = |all: u128| (all >> (8 * (span.at + span.bytes - 1 - at))) as u32 & 0xff;
            let shift = 8 * (3 - at % 4);
            let word = (span.header, at - at % 4);
            self.word(word, byte(value) << shift, byte(mask) << shift);
        }
    }

    fn word(&mut self, word: (Header, u32), value: u32, mask: u32) {
        if mask != 0 {
            let (old, bits) = self.words.entry(word).or_default();
            *old = *old & !mask | value & mask;
            *bits |= mask;
        }
    }

    /// The actions that make the changes, which aren't to be told any more then.
    pub fn take(&mut self, packets: &Matched) -> Vec<TcAction> {
        let edit = std::mem::take(self);
        let mut actions = Vec::new();
        let words = edit.words.iter();
        let set = words.map(|((header, at), (value, mask))| Pedit {
            header: *header,
            at: *at,
            value: *value,
            mask: *mask,
            adds: false,
        });
        let changes: Vec<Pedit> = edit.lowered.map(one_less).into_iter().chain(set).collect();
        if !changes.is_empty() {
            actions.push(TcAction::Pedit(changes));
        }
        let checksums = edit.checksums(packets);
        if checksums != Csum(0) {
            actions.push(TcAction::Csum(checksums));
        }
        actions
    }

    /// Checksums that are about what was changed.
    fn checksums(&self, packets: &Matched) -> Csum {
        let mut checksums = Csum(0);
        if self.ip {
            checksums = checksums.with(Csum::IPV4);
        }
        if !self.addresses && !self.ports {
            return checksums;
        }
        let v6 = packets.ethertype == Some(EtherType::IPV6);
        let carried = match packets.proto {
            Some(IpProto::TCP) => Csum::TCP,
            Some(IpProto::UDP) => Csum::UDP,
            Some(IpProto::ICMPV6) if v6 => Csum::ICMP,
            Some(_) => Csum(0),
            None if v6 => Csum::TCP.with(Csum::UDP).with(Csum::ICMP),
            None => Csum::TCP.with(Csum::UDP),
        };
        checksums.with(carried)
    }
}

/// A byte that is one less.
fn one_less(span: Span) -> Pedit {
    let bits = 0xff << (8 * (3 - span.at % 4));
    Pedit {
        header: span.header,
        at: span.at - span.at % 4,
        value: bits,
        mask: bits,
        adds: true,
    }
}
