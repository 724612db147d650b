//! Reading matches.

use super::error::TextError;
use super::scan::{Item, Token};
use super::{Parser, Problem};
use crate::field::{EtherType, FieldId, Format, IpProto, parse_value};
use crate::{Match, MatchError};

/// Words that stand for an EtherType, and the ones that name a protocol too.
pub(super) const SHORTHANDS: [(&str, u16, Option<u8>); 14] = [
    ("ip", EtherType::IPV4, None),
    ("icmp", EtherType::IPV4, Some(IpProto::ICMP)),
    ("tcp", EtherType::IPV4, Some(IpProto::TCP)),
    ("udp", EtherType::IPV4, Some(IpProto::UDP)),
    ("sctp", EtherType::IPV4, Some(IpProto::SCTP)),
    ("ipv6", EtherType::IPV6, None),
    ("icmp6", EtherType::IPV6, Some(IpProto::ICMPV6)),
    ("tcp6", EtherType::IPV6, Some(IpProto::TCP)),
    ("udp6", EtherType::IPV6, Some(IpProto::UDP)),
    ("sctp6", EtherType::IPV6, Some(IpProto::SCTP)),
    ("arp", EtherType::ARP, None),
    ("rarp", EtherType::RARP, None),
    ("mpls", EtherType::MPLS, None),
    ("mplsm", EtherType::MPLS_MULTICAST, None),
];

/// A match that is being read; it remembers where each field was named.
#[derive(Default)]
pub(super) struct MatchReader<'a> {
    matching: Match,
    named: Vec<(FieldId, Token<'a>)>,
}

impl<'a> MatchReader<'a> {
    /// Takes an entry if it is part of a match.
    pub fn take(&mut self, parser: Parser<'_>, item: &Item<'a>) -> Result<bool, TextError> {
        let word = item.key.text;
        if item.value.is_none() {
            if word == "eth" {
                return Ok(true);
            }
            let shorthand = SHORTHANDS.iter().find(|(name, ..)| *name == word);
            if let Some((_, ethertype, proto)) = shorthand {
                self.put(item.all, FieldId::ETH_TYPE, (*ethertype).into())?;
                if let Some(proto) = proto {
                    self.put(item.all, FieldId::NW_PROTO, (*proto).into())?;
                }
                return Ok(true);
            }
        }
        let Some(id) = FieldId::by_name(word) else {
            return Ok(false);
        };
        self.take_field(parser, id, item)?;
        Ok(true)
    }

    fn take_field(
        &mut self,
        parser: Parser<'_>,
        id: FieldId,
        item: &Item<'a>,
    ) -> Result<(), TextError> {
        let at = item.need("NAME=VALUE or NAME=VALUE/MASK")?;
        let (value, mask) = field_value(parser, id, at)?;
        self.named.push((id, item.all));
        self.matching
            .set_masked(id, value, mask)
            .map_err(|e| TextError::new(item.all, e))
    }

    fn put(&mut self, at: Token<'a>, id: FieldId, value: u128) -> Result<(), TextError> {
        self.named.push((id, at));
        self.matching
            .set(id, value)
            .map_err(|e| TextError::new(at, e))
    }

    /// The match, if all of its fields have a meaning together.
    pub fn finish(self) -> Result<Match, TextError> {
        let mut matching = self.matching;
        match matching.check() {
            Ok(()) => {
                matching.narrow_icmp();
                Ok(matching)
            }
            Err(MatchError::Prerequisite { field, prereq }) => {
                let named = self.named.iter().rev().find(|n| n.0.field().home == field);
                let (field, at, prereq) = match named {
                    Some((id, at)) => (*id, *at, id.field().prereq),
                    None => (field, Token::whole(""), prereq),
                };
                let problem = MatchError::Prerequisite { field, prereq };
                Err(TextError::new(at, Problem::Match(problem)))
            }
            Err(other) => Err(TextError::new(Token::whole(""), other)),
        }
    }
}

/// Value and mask of a field; ports may have names.
pub(super) fn field_value(
    parser: Parser<'_>,
    id: FieldId,
    at: Token<'_>,
) -> Result<(u128, u128), TextError> {
    if id.field().format == Format::Port
        && let Some(port) = parser.known_port(at.text)
    {
        return Ok((port.0.into(), id.field().full_mask()));
    }
    parse_value(id, at.text).map_err(|e| TextError::new(at, e))
}
