//! Whether a frame uses addresses that its port allows: the meaning that programs are compared with.

use std::net::{Ipv4Addr, Ipv6Addr};

use aorta_packet::{
    ETH_HEADER_LEN, ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_RARP, MacAddr,
    TPID_8021AD, TPID_8021Q, VLAN_TAG_LEN, proto,
};

use super::{Allowed, IpPrefix};
use crate::DropReason;

/// Extension headers of IPv6 that are looked behind; with more of them, a packet is refused.
pub const MAX_EXTENSIONS: usize = 4;
/// Options of a message of neighbour discovery that are looked at; one with more is refused.
pub const MAX_ND_OPTIONS: usize = 4;

/// Client's and server's ports of DHCP (RFC 2131 §4.1).
pub const DHCP_PORTS: (u16, u16) = (68, 67);
/// Client's and server's ports of DHCPv6 (RFC 8415 §7.2).
pub const DHCPV6_PORTS: (u16, u16) = (546, 547);
/// Protocol numbers of headers between that of IPv6 and what it carries.
pub mod extension {
    /// Hop-by-hop options (RFC 8200 §4.3).
    pub const HOP_BY_HOP: u8 = 0;
    /// Routing (RFC 8200 §4.4).
    pub const ROUTING: u8 = 43;
    /// Fragment (RFC 8200 §4.5).
    pub const FRAGMENT: u8 = 44;
    /// Authentication (RFC 4302 §2).
    pub const AUTHENTICATION: u8 = 51;
    /// Destination options (RFC 8200 §4.6).
    pub const DESTINATION: u8 = 60;
}
/// Types of ICMPv6 messages.
pub mod icmpv6 {
    /// Multicast listener report and done (RFC 2710 §3.1).
    pub const MLD: (u8, u8) = (131, 132);
    /// Version 2 of a multicast listener report (RFC 3810 §5.2).
    pub const MLDV2_REPORT: u8 = 143;
    /// Router solicitation (RFC 4861 §4.1).
    pub const ROUTER_SOLICITATION: u8 = 133;
    /// Router advertisement (RFC 4861 §4.2).
    pub const ROUTER_ADVERTISEMENT: u8 = 134;
    /// Neighbour solicitation (RFC 4861 §4.3).
    pub const NEIGHBOUR_SOLICITATION: u8 = 135;
    /// Neighbour advertisement (RFC 4861 §4.4).
    pub const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
    /// Redirect (RFC 4861 §4.5).
    pub const REDIRECT: u8 = 137;
}

type Checked = Result<(), DropReason>;

impl Allowed {
    /// Whether a frame with all its tags may come in.
    ///
    /// # Errors
    /// Why it may not.
    pub fn check(&self, frame: &[u8]) -> Checked {
        let mut packet = frame.get(ETH_HEADER_LEN..).ok_or(DropReason::Malformed)?;
        let mut ethertype = be16(frame, 12);
        if is_tag(ethertype) {
            ethertype = packet
                .get(2..VLAN_TAG_LEN)
                .map_or(Err(DropReason::Malformed), |bytes| Ok(be16(bytes, 0)))?;
            packet = &packet[VLAN_TAG_LEN..];
        }
        let mac = MacAddr(std::array::from_fn(|n| frame[6 + n]));
        let addresses = self.addresses(mac).ok_or(DropReason::SpoofedMac)?;
        let sender = Sender {
            mac,
            addresses: &addresses,
            allowed: self,
        };
        match ethertype {
            ETHERTYPE_IPV4 => sender.ipv4(packet),
            ETHERTYPE_IPV6 => sender.ipv6(packet),
            ETHERTYPE_ARP | ETHERTYPE_RARP => sender.arp(packet),
            TPID_8021Q | TPID_8021AD => Err(DropReason::NestedTags),
            _ => Ok(()),
        }
    }
}

/// Who sent a frame.
struct Sender<'a> {
    mac: MacAddr,
    /// Addresses that it may use: any if there are none.
    addresses: &'a [IpPrefix],
    allowed: &'a Allowed,
}

impl Sender<'_> {
    fn may_use_v4(&self, address: Ipv4Addr) -> bool {
        let mut all = self.addresses.iter();
        self.addresses.is_empty() || all.any(|prefix| prefix.contains(address.into()))
    }

    fn may_use_v6(&self, address: Ipv6Addr) -> bool {
        let mut all = self.addresses.iter();
        self.addresses.is_empty()
            || address == link_local(self.mac)
            || all.any(|prefix| prefix.contains(address.into()))
    }

    /// ARP (RFC 826) and RARP (RFC 903). A sender without an address asks whether one is taken
    /// (RFC 5227 §2.1.1).
    fn arp(&self, packet: &[u8]) -> Checked {
        const ETHERNET_IPV4: [u8; 6] = [0, 1, 8, 0, 6, 4];
        let message = packet.get(..28).ok_or(DropReason::SpoofedArp)?;
        let address = Ipv4Addr::from(array::<4>(message, 14));
        let known = message.starts_with(&ETHERNET_IPV4);
        let own_mac = message[8..14] == self.mac.0;
        let own_address = address.is_unspecified() || self.may_use_v4(address);
        verdict(known && own_mac && own_address, DropReason::SpoofedArp)
    }

    fn ipv4(&self, packet: &[u8]) -> Checked {
        const OFFSET: u16 = 0x1fff;
        let first = *packet.first().ok_or(DropReason::SpoofedIpv4)?;
        let header_len = usize::from(first & 0xf) * 4;
        if first >> 4 != 4 || header_len < 20 || packet.len() < header_len {
            return Err(DropReason::SpoofedIpv4);
        }
        let source = Ipv4Addr::from(array::<4>(packet, 12));
        let destination = Ipv4Addr::from(array::<4>(packet, 16));
        let udp = packet[9] == proto::UDP && be16(packet, 6) & OFFSET == 0;
        let ports = ports(&packet[header_len..]).filter(|_| udp);
        let (client, server) = DHCP_PORTS;
        let asks = source.is_unspecified()
            && destination.is_broadcast()
            && ports == Some((client, server));
        if !asks && !self.may_use_v4(source) {
            return Err(DropReason::SpoofedIpv4);
        }
        self.dhcp(udp, ports, (server, client))
    }

    /// A server's answer, or what may be one.
    fn dhcp(&self, udp: bool, ports: Option<(u16, u16)>, answer: (u16, u16)) -> Checked {
        let answers = udp && ports.is_none_or(|ports| ports == answer);
        verdict(self.allowed.dhcp_server || !answers, DropReason::DhcpServer)
    }

    fn ipv6(&self, packet: &[u8]) -> Checked {
        let header = packet.get(..40).ok_or(DropReason::SpoofedIpv6)?;
        let source = Ipv6Addr::from(array::<16>(header, 8));
        let from_nobody = source.is_unspecified();
        if header[0] >> 4 != 6 || !from_nobody && !self.may_use_v6(source) {
            return Err(DropReason::SpoofedIpv6);
        }
        let upper = Upper::find(packet).ok_or(DropReason::SpoofedIpv6)?;
        if upper.protocol == proto::ICMPV6 && !upper.later {
            self.icmpv6(packet, &upper, from_nobody)
        } else if from_nobody {
            Err(DropReason::SpoofedIpv6)
        } else {
            let udp = upper.protocol == proto::UDP && !upper.later;
            let (client, server) = DHCPV6_PORTS;
            let found = ports(packet.get(upper.at..).unwrap_or_default());
            self.dhcp(udp, found, (server, client))
        }
    }

    fn icmpv6(&self, packet: &[u8], upper: &Upper, from_nobody: bool) -> Checked {
        use icmpv6::*;
        let message = packet.get(upper.at..).unwrap_or_default();
        let kind = *message.first().ok_or(DropReason::SpoofedNd)?;
        let asks = [
            MLD.0,
            MLD.1,
            MLDV2_REPORT,
            ROUTER_SOLICITATION,
            NEIGHBOUR_SOLICITATION,
        ];
        if from_nobody && !asks.contains(&kind) {
            return Err(DropReason::SpoofedIpv6);
        }
        let (router, checked) = match kind {
            ROUTER_ADVERTISEMENT | REDIRECT => (true, None),
            ROUTER_SOLICITATION => (false, Some((8, false))),
            NEIGHBOUR_SOLICITATION => (false, Some((24, from_nobody))),
            NEIGHBOUR_ADVERTISEMENT => (false, Some((24, true))),
            _ => (false, None),
        };
        if router && !self.allowed.router {
            return Err(DropReason::RouterAdvertisement);
        }
        let Some((options_at, own_target)) = checked else {
            return Ok(());
        };
        // Neighbours don't take fragments of these (RFC 6980 §5).
        let whole = !upper.fragment && self.nd(packet, upper.at, options_at, own_target);
        verdict(whole, DropReason::SpoofedNd)
    }

    /// Whether neighbour discovery at `at` speaks of the sender's addresses only. `own_target`: its
    /// target is to be one.
    fn nd(&self, packet: &[u8], at: usize, options_at: usize, own_target: bool) -> bool {
        let end = 40 + usize::from(be16(packet, 4));
        let Some(options) = packet.get(at + options_at..end) else {
            return false;
        };
        let target = || Ipv6Addr::from(array::<16>(packet, at + 8));
        if own_target && !self.may_use_v6(target()) {
            return false;
        }
        self.nd_options(options)
    }

    /// Whether the link-layer addresses among options (RFC 4861 §4.6.1) are the sender's.
    fn nd_options(&self, mut options: &[u8]) -> bool {
        const LINK_LAYER_ADDRESSES: [u8; 2] = [1, 2];
        for _ in 0..MAX_ND_OPTIONS {
            if options.is_empty() {
                return true;
            }
            if options.len() < 8 || options[1] == 0 {
                return false;
            }
            let own = options[1] == 1 && options[2..8] == self.mac.0;
            if LINK_LAYER_ADDRESSES.contains(&options[0]) && !own {
                return false;
            }
            let Some(others) = options.get(usize::from(options[1]) * 8..) else {
                return false;
            };
            options = others;
        }
        options.is_empty()
    }
}

/// What an IPv6 packet carries behind its extension headers.
struct Upper {
    protocol: u8,
    /// Where it is, from the IPv6 header on.
    at: usize,
    /// Whether it is, or may be, in fragments.
    fragment: bool,
    /// Whether it is in an earlier fragment.
    later: bool,
}

impl Upper {
    /// `None` if the headers end too early, or there are too many.
    fn find(packet: &[u8]) -> Option<Upper> {
        use extension::*;
        let mut upper = Upper {
            protocol: packet[6],
            at: 40,
            fragment: false,
            later: false,
        };
        for _ in 0..MAX_EXTENSIONS {
            let (unit, least) = match upper.protocol {
                HOP_BY_HOP | ROUTING | DESTINATION => (8, 8),
                AUTHENTICATION => (4, 8),
                FRAGMENT => (0, 8),
                _ => return Some(upper),
            };
            let header = packet.get(upper.at..upper.at + 8)?;
            if upper.protocol == FRAGMENT {
                upper.fragment = true;
                upper.later = be16(header, 2) & 0xfff8 != 0;
            }
            upper.protocol = header[0];
            upper.at += usize::from(header[1]) * unit + least;
            if upper.later {
                return Some(upper);
            }
        }
        let ends =
            ![HOP_BY_HOP, ROUTING, DESTINATION, AUTHENTICATION, FRAGMENT].contains(&upper.protocol);
        ends.then_some(upper)
    }
}

/// The link-local address that follows from a MAC address (RFC 4291 §2.5.6, appendix A).
pub fn link_local(mac: MacAddr) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac.0;
    let id = u64::from_be_bytes([a ^ 2, b, c, 0xff, 0xfe, d, e, f]);
    Ipv6Addr::from(0xfe80 << 112 | u128::from(id))
}

fn verdict(right: bool, otherwise: DropReason) -> Checked {
    if right { Ok(()) } else { Err(otherwise) }
}

fn is_tag(ethertype: u16) -> bool {
    [TPID_8021Q, TPID_8021AD].contains(&ethertype)
}

/// Source and destination port.
fn ports(header: &[u8]) -> Option<(u16, u16)> {
    let ports = header.get(..4)?;
    Some((be16(ports, 0), be16(ports, 2)))
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(array(bytes, at))
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    std::array::from_fn(|n| bytes[at + n])
}
