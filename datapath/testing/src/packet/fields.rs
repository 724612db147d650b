//! Packets' fields: what a match can ask of them, and how they are bent to a match.

use aorta_flow::Match;
use aorta_flow::field::{FieldId, IpProto};
use aorta_packet::{MacAddr, TPID_8021Q, Tci, VlanTag};

use super::{Arp, Extension, Ipv4, Ipv6, Network, Packet, Transport};
use crate::Rng;

const MPLS: u16 = 0x8847;
const VLAN_PRESENT: u16 = 0x1000;
/// Tags that are looked into.
const TAGS: usize = 2;

impl Packet {
    /// The fields that the packet has, each by the name that fits it. It is what a match is made
    /// of, and no definition of what a switch finds in the packet.
    pub fn fields(&self) -> Vec<(FieldId, u128)> {
        let mut fields = vec![
            (FieldId::ETH_SRC, number(self.src)),
            (FieldId::ETH_DST, number(self.dst)),
            (FieldId::ETH_TYPE, self.ethertype().into()),
        ];
        if let Some(tag) = self.tags.first() {
            fields.push((FieldId::VLAN_TCI, (tag.tci.0 | VLAN_PRESENT).into()));
            fields.push((FieldId::DL_VLAN, (tag.tci.0 & 0xfff).into()));
            fields.push((FieldId::DL_VLAN_PCP, (tag.tci.0 >> 13).into()));
        } else {
            fields.push((FieldId::VLAN_TCI, 0));
        }
        if self.tags.len() > TAGS {
            return fields;
        }
        if let Some(label) = self.labels.first() {
            fields.extend([
                (FieldId::MPLS_LABEL, (label >> 12).into()),
                (FieldId::MPLS_TC, (label >> 9 & 7).into()),
                (FieldId::MPLS_BOS, (label >> 8 & 1).into()),
                (FieldId::MPLS_TTL, (label & 0xff).into()),
            ]);
            return fields;
        }
        match &self.network {
            Network::Other(..) | Network::Snap(..) => {}
            Network::Arp(arp) => arp.fields(&mut fields),
            Network::Ipv4(ip) => ip.fields(&mut fields),
            Network::Ipv6(ip) => ip.fields(&mut fields),
        }
        fields
    }

    fn ethertype(&self) -> u16 {
        if let Some(tag) = self.tags.get(TAGS) {
            return tag.tpid;
        }
        if !self.labels.is_empty() {
            return MPLS;
        }
        match &self.network {
            Network::Other(ethertype, _) if *ethertype < 0x600 => 0x05ff,
            Network::Other(ethertype, _) | Network::Snap(ethertype, _) => *ethertype,
            Network::Arp(arp) if arp.reverse => 0x8035,
            Network::Arp(_) => 0x0806,
            Network::Ipv4(_) => 0x0800,
            Network::Ipv6(_) => 0x86dd,
        }
    }
}

fn number(mac: MacAddr) -> u128 {
    mac.0
        .iter()
        .fold(0, |all, byte| all << 8 | u128::from(*byte))
}

fn mac(number: u128) -> MacAddr {
    let bytes = (number as u64).to_be_bytes();
    MacAddr([bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7]])
}

impl Arp {
    fn fields(&self, fields: &mut Vec<(FieldId, u128)>) {
        if self.op <= 255 {
            fields.push((FieldId::ARP_OP, self.op.into()));
        }
        fields.extend([
            (FieldId::ARP_SPA, self.spa.into()),
            (FieldId::ARP_TPA, self.tpa.into()),
            (FieldId::ARP_SHA, number(self.sha)),
            (FieldId::ARP_THA, number(self.tha)),
        ]);
    }
}

impl Ipv4 {
    fn fields(&self, fields: &mut Vec<(FieldId, u128)>) {
        let later = self.fragment & 0x1fff != 0;
        let frag = u128::from(self.fragment & 0x3fff != 0) | u128::from(later) << 1;
        fields.extend([
            (FieldId::IP_SRC, self.src.into()),
            (FieldId::IP_DST, self.dst.into()),
        ]);
        ip_fields(fields, self.tos, self.ttl, frag);
        fields.push((FieldId::NW_PROTO, self.transport.protocol(false).into()));
        if !later {
            self.transport.fields(fields, false);
        }
    }
}

impl Ipv6 {
    fn fields(&self, fields: &mut Vec<(FieldId, u128)>) {
        let fragment = self.extensions.iter().find_map(|e| match e {
            Extension::Fragment(f) if f & 0xfff9 != 0 => Some(f >> 3 != 0),
            _ => None,
        });
        let later = fragment == Some(true);
        fields.extend([
            (FieldId::IPV6_SRC, self.src),
            (FieldId::IPV6_DST, self.dst),
            (FieldId::IPV6_LABEL, self.label.into()),
        ]);
        let frag = u128::from(fragment.is_some()) | u128::from(later) << 1;
        ip_fields(fields, self.tos, self.ttl, frag);
        let proto = if later {
            44
        } else {
            self.transport.protocol(true)
        };
        fields.push((FieldId::NW_PROTO, proto.into()));
        if !later {
            self.transport.fields(fields, true);
        }
    }
}

fn ip_fields(fields: &mut Vec<(FieldId, u128)>, tos: u8, ttl: u8, frag: u128) {
    fields.extend([
        (FieldId::NW_TOS, (tos & 0xfc).into()),
        (FieldId::IP_DSCP, (tos >> 2).into()),
        (FieldId::NW_ECN, (tos & 3).into()),
        (FieldId::NW_TTL, ttl.into()),
        (FieldId::IP_FRAG, frag),
    ]);
}

impl Transport {
    fn fields(&self, fields: &mut Vec<(FieldId, u128)>, ipv6: bool) {
        let [kind, code] = match ipv6 {
            true => [FieldId::ICMPV6_TYPE, FieldId::ICMPV6_CODE],
            false => [FieldId::ICMP_TYPE, FieldId::ICMP_CODE],
        };
        let two = |[a, b]: [FieldId; 2], x: u16, y: u16| [(a, x.into()), (b, y.into())];
        match self {
            Transport::Tcp(source, destination, flags) => {
                let ids = [FieldId::TCP_SRC, FieldId::TCP_DST];
                fields.extend(two(ids, *source, *destination));
                fields.push((FieldId::TCP_FLAGS, (*flags).into()));
            }
            Transport::Udp(source, destination, _) => {
                let ids = [FieldId::UDP_SRC, FieldId::UDP_DST];
                fields.extend(two(ids, *source, *destination));
            }
            Transport::Sctp(source, destination) => {
                let ids = [FieldId::SCTP_SRC, FieldId::SCTP_DST];
                fields.extend(two(ids, *source, *destination));
            }
            Transport::Icmp(t, c) => {
                fields.extend(two([kind, code], (*t).into(), (*c).into()));
            }
            Transport::Nd(t, c, target, options) => {
                fields.extend(two([kind, code], (*t).into(), (*c).into()));
                if ipv6 && *c == 0 {
                    fields.push((FieldId::ND_TARGET, *target));
                    let of = |wanted| options.iter().rev().find(|(kind, _)| *kind == wanted);
                    let address = |wanted| of(wanted).map_or(0, |(_, mac)| number(*mac));
                    match t {
                        135 => fields.push((FieldId::ND_SLL, address(1))),
                        _ => fields.push((FieldId::ND_TLL, address(2))),
                    }
                }
            }
            Transport::Other(_) => {}
        }
    }
}

/// Gives a packet what a match asks for, as far as it has the fields.
pub(super) fn bend(packet: &mut Packet, matching: &Match, rng: &mut Rng) {
    for part in matching.parts() {
        let own = packet.storage(part.field).unwrap_or(0);
        // What isn't asked for may be anything.
        let other = match rng.chance(20) {
            true => rng.bits(part.field.field().key_bits),
            false => own,
        };
        packet.put(part.field, part.value | other & !part.mask);
    }
}

impl Packet {
    /// Value of a field's storage.
    fn storage(&self, home: FieldId) -> Option<u128> {
        self.fields()
            .into_iter()
            .find(|(id, _)| id.field().home == home && (*id == home || id.field().shift == 0))
            .map(|(_, value)| value)
    }

    /// Changes a field's storage, if the packet has it or can get it.
    fn put(&mut self, home: FieldId, value: u128) {
        match home {
            FieldId::ETH_SRC => self.src = mac(value),
            FieldId::ETH_DST => self.dst = mac(value),
            FieldId::VLAN_TCI => self.put_tag(value as u16),
            FieldId::MPLS_LABEL => self.put_label(0xfff, (value as u32) << 12),
            FieldId::MPLS_TC => self.put_label(!(7 << 9), (value as u32 & 7) << 9),
            FieldId::MPLS_TTL => self.put_label(!0xff, value as u32 & 0xff),
            _ => match &mut self.network {
                Network::Arp(arp) => arp.put(home, value),
                Network::Ipv4(ip) => ip.put(home, value),
                Network::Ipv6(ip) => ip.put(home, value),
                Network::Other(..) | Network::Snap(..) => {}
            },
        }
    }

    fn put_tag(&mut self, tci: u16) {
        if tci & VLAN_PRESENT == 0 {
            self.tags.clear();
            return;
        }
        if self.tags.is_empty() {
            let (tpid, tci) = (TPID_8021Q, Tci(0));
            self.tags.push(VlanTag { tpid, tci });
        }
        let drop_eligible = self.tags[0].tci.0 & VLAN_PRESENT;
        self.tags[0].tci = Tci(tci & !VLAN_PRESENT | drop_eligible);
    }

    fn put_label(&mut self, keep: u32, bits: u32) {
        if let Some(label) = self.labels.first_mut() {
            *label = *label & keep | bits;
        }
    }
}

impl Arp {
    fn put(&mut self, home: FieldId, value: u128) {
        match home {
            FieldId::NW_PROTO => self.op = value as u16,
            FieldId::IP_SRC => self.spa = value as u32,
            FieldId::IP_DST => self.tpa = value as u32,
            FieldId::ARP_SHA => self.sha = mac(value),
            FieldId::ARP_THA => self.tha = mac(value),
            _ => {}
        }
    }
}

impl Ipv4 {
    fn put(&mut self, home: FieldId, value: u128) {
        match home {
            FieldId::IP_SRC => self.src = value as u32,
            FieldId::IP_DST => self.dst = value as u32,
            FieldId::NW_TOS => self.tos = value as u8,
            FieldId::NW_TTL => self.ttl = value as u8,
            FieldId::IP_FRAG => {
                self.fragment = match value & 3 {
                    0 => 0,
                    1 => 0x2000,
                    _ => 0x0010,
                }
            }
            _ => self.transport.put(home, value, false),
        }
    }
}

impl Ipv6 {
    fn put(&mut self, home: FieldId, value: u128) {
        match home {
            FieldId::IPV6_SRC => self.src = value,
            FieldId::IPV6_DST => self.dst = value,
            FieldId::IPV6_LABEL => self.label = value as u32 & 0xf_ffff,
            FieldId::NW_TOS => self.tos = value as u8,
            FieldId::NW_TTL => self.ttl = value as u8,
            FieldId::IP_FRAG => {
                self.extensions
                    .retain(|e| !matches!(e, Extension::Fragment(_)));
                match value & 3 {
                    0 => {}
                    1 => self.extensions.push(Extension::Fragment(1)),
                    _ => self.extensions.push(Extension::Fragment(0x80)),
                }
            }
            _ => self.transport.put(home, value, true),
        }
    }
}

impl Transport {
    fn put(&mut self, home: FieldId, value: u128, ipv6: bool) {
        let port = value as u16;
        if home == FieldId::NW_PROTO && u128::from(self.protocol(ipv6)) != value {
            *self = Transport::of(value as u8, ipv6);
        }
        match self {
            Transport::Tcp(source, destination, flags) => match home {
                FieldId::TCP_SRC => *source = port,
                FieldId::TCP_DST => *destination = port,
                FieldId::TCP_FLAGS => *flags = port & 0xfff,
                _ => {}
            },
            Transport::Udp(source, destination, _) | Transport::Sctp(source, destination) => {
                match home {
                    FieldId::TCP_SRC => *source = port,
                    FieldId::TCP_DST => *destination = port,
                    _ => {}
                }
            }
            Transport::Icmp(kind, code) => match home {
                FieldId::TCP_SRC => *kind = value as u8,
                FieldId::TCP_DST => *code = value as u8,
                _ => {}
            },
            Transport::Nd(kind, code, target, options) => match home {
                FieldId::TCP_SRC => *kind = value as u8,
                FieldId::TCP_DST => *code = value as u8,
                FieldId::ND_TARGET => *target = value,
                FieldId::ARP_SHA => *options = vec![(1, mac(value))],
                FieldId::ARP_THA => *options = vec![(2, mac(value))],
                _ => {}
            },
            Transport::Other(_) => {}
        }
    }

    /// A transport of a protocol.
    fn of(protocol: u8, ipv6: bool) -> Transport {
        match protocol {
            IpProto::TCP => Transport::Tcp(1024, 80, 2),
            IpProto::UDP => Transport::Udp(1024, 53, true),
            IpProto::SCTP => Transport::Sctp(1024, 80),
            IpProto::ICMP if !ipv6 => Transport::Icmp(8, 0),
            IpProto::ICMPV6 if ipv6 => Transport::Icmp(128, 0),
            other => Transport::Other(other),
        }
    }
}
