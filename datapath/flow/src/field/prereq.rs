//! What a field needs besides itself to have a meaning.

use super::FieldId;

/// EtherTypes that decide which fields a packet has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EtherType;

impl EtherType {
    /// IPv4.
    pub const IPV4: u16 = 0x0800;
    /// ARP.
    pub const ARP: u16 = 0x0806;
    /// Reverse ARP.
    pub const RARP: u16 = 0x8035;
    /// IPv6.
    pub const IPV6: u16 = 0x86dd;
    /// MPLS unicast.
    pub const MPLS: u16 = 0x8847;
    /// MPLS multicast.
    pub const MPLS_MULTICAST: u16 = 0x8848;
    /// Network service header.
    pub const NSH: u16 = 0x894f;
}

/// IP protocols that decide which fields a packet has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IpProto;

impl IpProto {
    /// ICMP for IPv4.
    pub const ICMP: u8 = 1;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// ICMP for IPv6.
    pub const ICMPV6: u8 = 58;
    /// SCTP.
    pub const SCTP: u8 = 132;
}

/// ICMPv6 types of neighbour discovery (RFC 4861 §4.3, §4.4).
const ND_SOLICIT: u128 = 135;
const ND_ADVERT: u128 = 136;
/// Bit of `vlan_tci` that says that there is a tag.
pub(crate) const VLAN_PRESENT: u128 = 0x1000;
/// Bit of `ct_state` that says that the packet went through connection tracking.
const CT_TRACKED: u128 = 0x20;

/// What a field needs besides itself to have a meaning.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Prereq {
    /// Nothing.
    None,
    /// An Ethernet header.
    Ethernet,
    /// A VLAN tag.
    Vlan,
    /// ARP or RARP.
    Arp,
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
    /// IPv4 or IPv6.
    Ip,
    /// MPLS.
    Mpls,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
    /// ICMP in IPv4.
    Icmpv4,
    /// ICMP in IPv6.
    Icmpv6,
    /// Neighbour discovery.
    Nd,
    /// Neighbour solicitation.
    NdSolicit,
    /// Neighbour advertisement.
    NdAdvert,
    /// IP that connection tracking has seen.
    Ct,
    /// The same of IPv4.
    CtIpv4,
    /// The same of IPv6.
    CtIpv6,
    /// A network service header.
    Nsh,
}

impl Prereq {
    /// What to write to meet it.
    pub fn remedy(self) -> &'static str {
        match self {
            Prereq::None => "nothing",
            Prereq::Ethernet => "a packet_type of Ethernet",
            Prereq::Vlan => "a VLAN tag, such as vlan_tci=0x1000/0x1000 or dl_vlan=1",
            Prereq::Arp => "arp or rarp",
            Prereq::Ipv4 => "ip (or icmp, tcp, udp, sctp)",
            Prereq::Ipv6 => "ipv6 (or icmp6, tcp6, udp6, sctp6)",
            Prereq::Ip => "ip or ipv6",
            Prereq::Mpls => "mpls or mplsm",
            Prereq::Tcp => "tcp or tcp6",
            Prereq::Udp => "udp or udp6",
            Prereq::Sctp => "sctp or sctp6",
            Prereq::Icmpv4 => "icmp",
            Prereq::Icmpv6 => "icmp6",
            Prereq::Nd => "icmp6 with icmp_type=135 or icmp_type=136",
            Prereq::NdSolicit => "icmp6 with icmp_type=135",
            Prereq::NdAdvert => "icmp6 with icmp_type=136",
            Prereq::Ct => "ip or ipv6 with ct_state=+trk",
            Prereq::CtIpv4 => "ip with ct_state=+trk",
            Prereq::CtIpv6 => "ipv6 with ct_state=+trk",
            Prereq::Nsh => "dl_type=0x894f",
        }
    }

    /// Whether it is met, where `known` tells a field's value and which of its bits are known.
    pub fn met(self, known: &impl Fn(FieldId) -> (u128, u128)) -> bool {
        let exact = |field: FieldId| {
            let (value, mask) = known(field);
            (mask == field.field().full_mask()).then_some(value)
        };
        let has = |field: FieldId, bit: u128| known(field).0 & known(field).1 & bit != 0;
        match self {
            Prereq::None => return true,
            Prereq::Ethernet => return matches!(exact(FieldId::PACKET_TYPE), None | Some(0)),
            Prereq::Vlan => return has(FieldId::VLAN_TCI, VLAN_PRESENT),
            _ => {}
        }
        let Some(ethertype) = exact(FieldId::ETH_TYPE) else {
            return false;
        };
        let is = |kind: u16| ethertype == u128::from(kind);
        let ip = is(EtherType::IPV4) || is(EtherType::IPV6);
        let carries = |proto: u8| exact(FieldId::NW_PROTO) == Some(proto.into());
        let icmpv6 = || is(EtherType::IPV6) && carries(IpProto::ICMPV6);
        let tracked = || has(FieldId::CT_STATE, CT_TRACKED);
        // RFC 4861 has code 0 only.
        let nd = |types: &[u128]| {
            let kind = exact(FieldId::ICMPV6_TYPE);
            icmpv6()
                && kind.is_some_and(|kind| types.contains(&kind))
                && !has(FieldId::ICMPV6_CODE, u128::MAX)
        };
        match self {
            Prereq::None | Prereq::Ethernet | Prereq::Vlan => true,
            Prereq::Arp => is(EtherType::ARP) || is(EtherType::RARP),
            Prereq::Ipv4 => is(EtherType::IPV4),
            Prereq::Ipv6 => is(EtherType::IPV6),
            Prereq::Ip => ip,
            Prereq::Mpls => is(EtherType::MPLS) || is(EtherType::MPLS_MULTICAST),
            Prereq::Tcp => ip && carries(IpProto::TCP),
            Prereq::Udp => ip && carries(IpProto::UDP),
            Prereq::Sctp => ip && carries(IpProto::SCTP),
            Prereq::Icmpv4 => is(EtherType::IPV4) && carries(IpProto::ICMP),
            Prereq::Icmpv6 => icmpv6(),
            Prereq::Nd => nd(&[ND_SOLICIT, ND_ADVERT]),
            Prereq::NdSolicit => nd(&[ND_SOLICIT]),
            Prereq::NdAdvert => nd(&[ND_ADVERT]),
            Prereq::Ct => ip && tracked(),
            Prereq::CtIpv4 => is(EtherType::IPV4) && tracked(),
            Prereq::CtIpv6 => is(EtherType::IPV6) && tracked(),
            Prereq::Nsh => is(EtherType::NSH),
        }
    }
}
