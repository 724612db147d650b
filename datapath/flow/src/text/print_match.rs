//! Printing matches.

use std::fmt::Write as _;

use super::names::Names;
use super::print_actions::put_port;
use crate::field::{EtherType, FieldId, Format, IpProto, VLAN_PRESENT, hex, ones, show};
use crate::{Match, OfPort, Part};

use super::matching::SHORTHANDS;

/// Fields in front of the word for the protocol, with the name that is printed.
const BEFORE_PROTOCOL: [(FieldId, &str); 15] = [
    (FieldId::PKT_MARK, "pkt_mark"),
    (FieldId::RECIRC_ID, "recirc_id"),
    (FieldId::DP_HASH, "dp_hash"),
    (FieldId::CONJ_ID, "conj_id"),
    (FieldId::SKB_PRIORITY, "skb_priority"),
    (FieldId::ACTSET_OUTPUT, "actset_output"),
    (FieldId::CT_STATE, "ct_state"),
    (FieldId::CT_ZONE, "ct_zone"),
    (FieldId::CT_MARK, "ct_mark"),
    (FieldId::CT_LABEL, "ct_label"),
    (FieldId::CT_NW_SRC, "ct_nw_src"),
    (FieldId::CT_IPV6_SRC, "ct_ipv6_src"),
    (FieldId::CT_NW_DST, "ct_nw_dst"),
    (FieldId::CT_IPV6_DST, "ct_ipv6_dst"),
    (FieldId::CT_NW_PROTO, "ct_nw_proto"),
];

/// Fields of tunnels.
const TUNNEL: [(FieldId, &str); 16] = [
    (FieldId::TUN_ID, "tun_id"),
    (FieldId::TUN_SRC, "tun_src"),
    (FieldId::TUN_DST, "tun_dst"),
    (FieldId::TUN_IPV6_SRC, "tun_ipv6_src"),
    (FieldId::TUN_IPV6_DST, "tun_ipv6_dst"),
    (FieldId::TUN_GBP_ID, "tun_gbp_id"),
    (FieldId::TUN_GBP_FLAGS, "tun_gbp_flags"),
    (FieldId::TUN_TOS, "tun_tos"),
    (FieldId::TUN_TTL, "tun_ttl"),
    (FieldId::TUN_ERSPAN_VER, "tun_erspan_ver"),
    (FieldId::TUN_ERSPAN_IDX, "tun_erspan_idx"),
    (FieldId::TUN_ERSPAN_DIR, "tun_erspan_dir"),
    (FieldId::TUN_ERSPAN_HWID, "tun_erspan_hwid"),
    (FieldId::TUN_GTPU_FLAGS, "gtpu_flags"),
    (FieldId::TUN_GTPU_MSGTYPE, "gtpu_msgtype"),
    (FieldId::TUN_FLAGS, "tun_flags"),
];

/// Fields of network service headers.
const NSH: [(FieldId, &str); 10] = [
    (FieldId::NSH_FLAGS, "nsh_flags"),
    (FieldId::NSH_TTL, "nsh_ttl"),
    (FieldId::NSH_MDTYPE, "nsh_mdtype"),
    (FieldId::NSH_NP, "nsh_np"),
    (FieldId::NSH_SPI, "nsh_spi"),
    (FieldId::NSH_SI, "nsh_si"),
    (FieldId::NSH_C1, "nsh_c1"),
    (FieldId::NSH_C2, "nsh_c2"),
    (FieldId::NSH_C3, "nsh_c3"),
    (FieldId::NSH_C4, "nsh_c4"),
];

/// Fields of IP and MPLS headers behind the addresses.
const AFTER_ADDRESSES: [(FieldId, &str); 8] = [
    (FieldId::NW_ECN, "nw_ecn"),
    (FieldId::NW_TTL, "nw_ttl"),
    (FieldId::MPLS_LABEL, "mpls_label"),
    (FieldId::MPLS_TC, "mpls_tc"),
    (FieldId::MPLS_TTL, "mpls_ttl"),
    (FieldId::MPLS_BOS, "mpls_bos"),
    (FieldId::IP_FRAG, "nw_frag"),
    (FieldId::TCP_FLAGS, "tcp_flags"),
];

/// Appends a match, each field followed by a comma.
pub(super) fn put_match(out: &mut String, matching: &Match, names: &dyn Names) {
    let mut asked = [0; 4];
    for part in matching.parts() {
        let (word, bit) = place(part.field);
        asked[word] |= bit;
    }
    let mut printer = Printer {
        out,
        matching,
        asked,
        names,
    };
    printer.fields(&BEFORE_PROTOCOL);
    printer.field(FieldId::CT_TP_SRC, "ct_tp_src");
    printer.field(FieldId::CT_TP_DST, "ct_tp_dst");
    printer.field(FieldId::PACKET_TYPE, "packet_type");
    let word = printer.protocol_word();
    printer.registers();
    printer.fields(&TUNNEL);
    printer.tunnel_options();
    printer.field(FieldId::METADATA, "metadata");
    printer.in_port();
    printer.vlan();
    printer.field(FieldId::ETH_SRC, "dl_src");
    printer.field(FieldId::ETH_DST, "dl_dst");
    if word.is_none()
        && let Some(ethertype) = matching.exact(FieldId::ETH_TYPE)
    {
        let _ = write!(printer.out, "dl_type={ethertype:#06x},");
    }
    printer.network(word.is_some_and(|names_proto| names_proto));
    printer.transport();
}

/// Word and bit of the field in which a field is stored, among one for each.
fn place(id: FieldId) -> (usize, u64) {
    let index = id.field().home.index();
    (index / 64, 1 << (index % 64))
}

struct Printer<'a> {
    out: &'a mut String,
    matching: &'a Match,
    /// A bit for each field with storage of its own that something is asked of: most are asked
    /// nothing.
    asked: [u64; 4],
    names: &'a dyn Names,
}

impl Printer<'_> {
    fn fields(&mut self, fields: &[(FieldId, &str)]) {
        for (id, name) in fields {
            self.field(*id, name);
        }
    }

    fn field(&mut self, id: FieldId, name: &str) {
        let (word, bit) = place(id);
        if self.asked[word] & bit == 0 {
            return;
        }
        let (value, mask) = self.matching.get(id);
        if mask == 0 {
            return;
        }
        let _ = write!(self.out, "{name}=");
        match id {
            FieldId::TUN_FLAGS => {
                self.out.push_str(if value == 0 { "-oam" } else { "+oam" });
            }
            FieldId::ACTSET_OUTPUT => put_port(self.out, OfPort(value as u16), self.names),
            FieldId::SKB_PRIORITY => hex(self.out, value),
            // A number of 8 or 16 bits: decimal if all of it is matched, else hexadecimal.
            _ if id.field().format == Format::Decimal || id == FieldId::CT_ZONE => {
                if mask == id.field().full_mask() {
                    let _ = write!(self.out, "{value}");
                } else if id == FieldId::NSH_FLAGS {
                    let _ = write!(self.out, "{value:#04x}/{mask:#04x}");
                } else {
                    let _ = write!(self.out, "{value:#x}/{mask:#x}");
                }
            }
            _ => show(self.out, id, value, mask),
        }
        self.out.push(',');
    }

    /// A word for the protocol; whether it names the IP protocol too.
    fn protocol_word(&mut self) -> Option<bool> {
        let ethertype = self.matching.exact(FieldId::ETH_TYPE)?;
        let proto = self.matching.exact(FieldId::NW_PROTO);
        let of_type = |s: &&(&str, u16, Option<u8>)| u128::from(s.1) == ethertype;
        let named = SHORTHANDS
            .iter()
            .filter(of_type)
            .find(|s| s.2.is_some() && s.2.map(u128::from) == proto);
        let (word, ..) = named.or_else(|| SHORTHANDS.iter().find(of_type))?;
        let _ = write!(self.out, "{word},");
        Some(named.is_some())
    }

    fn registers(&mut self) {
        for number in 0..16 {
            let id = FieldId::reg(number);
            self.field(id, id.name());
        }
    }

    fn tunnel_options(&mut self) {
        let options: Vec<Part> = self
            .matching
            .parts()
            .filter(|part| part.field.as_tun_metadata().is_some())
            .collect();
        for part in options {
            self.field(part.field, part.field.name());
        }
    }

    fn in_port(&mut self) {
        if let Some(port) = self.matching.exact(FieldId::IN_PORT) {
            self.out.push_str("in_port=");
            put_port(self.out, OfPort(port as u16), self.names);
            self.out.push(',');
        }
    }

    fn vlan(&mut self) {
        const VID: u128 = ones(12);
        const PCP: u128 = 0xe000;
        let (value, mask) = self.matching.get(FieldId::VLAN_TCI);
        let (vid, pcp) = (mask & VID, mask & PCP);
        let tagged = mask & value & VLAN_PRESENT != 0;
        let whole = |bits: u128, all: u128| bits == 0 || bits == all;
        if mask == 0 {
        } else if tagged && mask != VLAN_PRESENT && whole(vid, VID) && whole(pcp, PCP) {
            if vid != 0 {
                let _ = write!(self.out, "dl_vlan={},", value & VID);
            }
            if pcp != 0 {
                let _ = write!(self.out, "dl_vlan_pcp={},", value >> 13);
            }
        } else if mask == 0xffff {
            let _ = write!(self.out, "vlan_tci={value:#06x},");
        } else {
            let _ = write!(self.out, "vlan_tci={value:#06x}/{mask:#06x},");
        }
    }

    fn network(&mut self, proto_is_named: bool) {
        let ethertype = self.matching.exact(FieldId::ETH_TYPE).unwrap_or(0);
        let arp = [EtherType::ARP, EtherType::RARP].map(u128::from);
        let is_arp = arp.contains(&ethertype);
        self.field(FieldId::IPV6_SRC, "ipv6_src");
        self.field(FieldId::IPV6_DST, "ipv6_dst");
        self.ipv6_label();
        let addresses = if is_arp {
            ["arp_spa", "arp_tpa"]
        } else {
            ["nw_src", "nw_dst"]
        };
        self.field(FieldId::IP_SRC, addresses[0]);
        self.field(FieldId::IP_DST, addresses[1]);
        self.fields(&NSH);
        if is_arp {
            self.field(FieldId::ARP_OP, "arp_op");
            self.field(FieldId::ARP_SHA, "arp_sha");
            self.field(FieldId::ARP_THA, "arp_tha");
        } else if !proto_is_named {
            self.field(FieldId::NW_PROTO, "nw_proto");
        }
        if let Some(dscp) = self.matching.exact(FieldId::IP_DSCP) {
            let _ = write!(self.out, "nw_tos={},", dscp << 2);
        }
        self.fields(&AFTER_ADDRESSES[..7]);
    }

    fn ipv6_label(&mut self) {
        let (value, mask) = self.matching.get(FieldId::IPV6_LABEL);
        if mask == FieldId::IPV6_LABEL.field().full_mask() {
            let _ = write!(self.out, "ipv6_label={value:#07x},");
        } else if mask != 0 {
            let _ = write!(self.out, "ipv6_label={value:#07x}/{mask:#07x},");
        }
    }

    fn transport(&mut self) {
        let proto = self.matching.exact(FieldId::NW_PROTO);
        let ethertype = self.matching.exact(FieldId::ETH_TYPE);
        let is = |t: u16, p: u8| ethertype == Some(t.into()) && proto == Some(p.into());
        if is(EtherType::IPV4, IpProto::ICMP) || is(EtherType::IPV6, IpProto::ICMPV6) {
            self.field(FieldId::ICMP_TYPE, "icmp_type");
            self.field(FieldId::ICMP_CODE, "icmp_code");
            self.neighbour_discovery();
        } else {
            self.field(FieldId::TCP_SRC, "tp_src");
            self.field(FieldId::TCP_DST, "tp_dst");
        }
        self.fields(&AFTER_ADDRESSES[7..]);
    }

    fn neighbour_discovery(&mut self) {
        self.field(FieldId::ND_TARGET, "nd_target");
        self.field(FieldId::ND_SLL, "nd_sll");
        self.field(FieldId::ND_TLL, "nd_tll");
        self.field(FieldId::ND_RESERVED, "nd_reserved");
        self.field(FieldId::ND_OPTIONS_TYPE, "nd_options_type");
    }
}
