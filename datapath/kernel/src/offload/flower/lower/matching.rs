//! A match as keys.

use aorta_flow::field::{EtherType, FieldId, IpProto};
use aorta_flow::{Match, Part};

use crate::offload::flower::{Key, Keys, Refusal};

/// In the storage of VLAN fields: the tag is there, its VLAN, its priority.
pub const PRESENT: u128 = 0x1000;
pub const VID: u128 = 0x0fff;
pub const PCP: u128 = 0xe000;

/// What a match says of the outer tag.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tag {
    value: u128,
    mask: u128,
}

impl Tag {
    /// Whether frames without a tag match.
    pub fn admits_untagged(self) -> bool {
        self.value == 0
    }

    /// Whether frames with one can match.
    pub fn admits_tagged(self) -> bool {
        self.mask & PRESENT == 0 || self.value & PRESENT != 0
    }

    /// VLAN, if it is known.
    pub fn vid(self) -> Option<u16> {
        (self.mask & VID == VID).then_some((self.value & VID) as u16)
    }

    /// Priority, if it is known.
    pub fn pcp(self) -> Option<u8> {
        (self.mask & PCP == PCP).then_some(((self.value & PCP) >> 13) as u8)
    }

    /// Asks for it in the keys of a frame with a tag.
    pub fn put(self, keys: &mut Keys) {
        if let Some(vid) = self.vid() {
            keys.set(Key::VlanId, vid.into());
        }
        if let Some(pcp) = self.pcp() {
            keys.set(Key::VlanPrio, pcp.into());
        }
    }
}

/// A match in the terms of flower.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Matched {
    /// What it says of the outer tag.
    pub tag: Tag,
    /// The type behind the tags.
    pub ethertype: Option<u16>,
    /// The IP protocol.
    pub proto: Option<u8>,
    /// All the rest, but the ingress port.
    pub keys: Keys,
    /// Whether something in it is behind the IP header.
    pub transport: bool,
}

/// The least number that is a type.
const MIN_ETHERTYPE: u16 = 0x0600;

/// A match in the terms of flower.
///
/// # Errors
/// When flower can't say it.
pub fn matched(matching: &Match) -> Result<Matched, Refusal> {
    let (value, mask) = matching.get(FieldId::VLAN_TCI);
    let ethertype = matching.exact(FieldId::ETH_TYPE).map(|kind| kind as u16);
    let mut found = Matched {
        tag: Tag { value, mask },
        ethertype,
        proto: matching.exact(FieldId::NW_PROTO).map(|proto| proto as u8),
        keys: Keys::any(),
        transport: false,
    };
    if [VID, PCP]
        .iter()
        .any(|bits| mask & bits != 0 && mask & bits != *bits)
    {
        return Err(unmatched(FieldId::VLAN_TCI, "single bits of it"));
    }
    if ethertype.is_some_and(|kind| kind < MIN_ETHERTYPE || kind == 0x8100 || kind == 0x88a8) {
        return Err(unmatched(
            FieldId::ETH_TYPE,
            "frames without one, or with more tags",
        ));
    }
    for part in matching.parts() {
        found.put(&part)?;
    }
    Ok(found)
}

fn unmatched(field: FieldId, what: &str) -> Refusal {
    Refusal::unsupported(format!("flower can't match {field}: {what}"))
}

impl Matched {
    /// Whether it asks what IPv6 carries.
    pub fn is_of_ipv6(&self) -> bool {
        self.ethertype == Some(EtherType::IPV6) && self.proto.is_some()
    }

    fn put(&mut self, part: &Part) -> Result<(), Refusal> {
        let key = match part.field {
            FieldId::IN_PORT | FieldId::VLAN_TCI | FieldId::ETH_TYPE => return Ok(()),
            FieldId::IP_FRAG => return self.put_fragment(part),
            field => self
                .key(field)
                .ok_or_else(|| unmatched(field, "it has no key"))?,
        };
        let mask = part.mask & key.full_mask();
        if !key.is_maskable() && mask != key.full_mask() {
            return Err(unmatched(part.field, "single bits of it"));
        }
        self.keys.set_masked(key, part.value, mask);
        Ok(())
    }

    fn key(&mut self, field: FieldId) -> Option<Key> {
        let is = |kinds: [u16; 2]| self.ethertype.is_some_and(|kind| kinds.contains(&kind));
        let ip = is([EtherType::IPV4, EtherType::IPV6]);
        let arp = is([EtherType::ARP, EtherType::RARP]);
        Some(match field {
            FieldId::ETH_SRC => Key::EthSrc,
            FieldId::ETH_DST => Key::EthDst,
            FieldId::MPLS_LABEL => Key::MplsLabel,
            FieldId::MPLS_TC => Key::MplsTc,
            FieldId::MPLS_BOS => Key::MplsBos,
            FieldId::MPLS_TTL => Key::MplsTtl,
            FieldId::IP_SRC if arp => Key::ArpSip,
            FieldId::IP_DST if arp => Key::ArpTip,
            FieldId::NW_PROTO if arp => Key::ArpOp,
            FieldId::ARP_SHA if arp => Key::ArpSha,
            FieldId::ARP_THA if arp => Key::ArpTha,
            FieldId::IP_SRC if ip => Key::Ipv4Src,
            FieldId::IP_DST if ip => Key::Ipv4Dst,
            FieldId::IPV6_SRC => Key::Ipv6Src,
            FieldId::IPV6_DST => Key::Ipv6Dst,
            FieldId::NW_PROTO if ip => Key::IpProto,
            FieldId::NW_TOS => Key::IpTos,
            FieldId::NW_TTL => Key::IpTtl,
            FieldId::TCP_SRC | FieldId::TCP_DST | FieldId::TCP_FLAGS => {
                self.transport = true;
                return self.transport_key(field);
            }
            _ => return None,
        })
    }

    fn transport_key(&self, field: FieldId) -> Option<Key> {
        let v6 = self.ethertype == Some(EtherType::IPV6);
        let keys = match self.proto? {
            IpProto::TCP if field == FieldId::TCP_FLAGS => return Some(Key::TcpFlags),
            IpProto::TCP => [Key::TcpSrc, Key::TcpDst],
            IpProto::UDP => [Key::UdpSrc, Key::UdpDst],
            IpProto::SCTP => [Key::SctpSrc, Key::SctpDst],
            IpProto::ICMP if !v6 => [Key::Icmpv4Type, Key::Icmpv4Code],
            IpProto::ICMPV6 if v6 => [Key::Icmpv6Type, Key::Icmpv6Code],
            _ => return None,
        };
        Some(keys[usize::from(field == FieldId::TCP_DST)])
    }

    /// Bit 0: a fragment; bit 1: not the first.
    fn put_fragment(&mut self, part: &Part) -> Result<(), Refusal> {
        let (fragment, first) = (Key::IS_FRAGMENT, Key::IS_FIRST);
        let (value, mask) = match (part.value, part.mask) {
            (0, 1 | 3) => (0, fragment),
            (1, 1) => (fragment, fragment),
            (1, 3) => (fragment | first, fragment | first),
            (2 | 3, _) => (fragment, fragment | first),
            _ => return Err(unmatched(FieldId::IP_FRAG, "all but later fragments")),
        };
        self.keys.set_masked(Key::Flags, value, mask);
        Ok(())
    }
}
