//! The rows of the catalogue.

use super::{Class, Code, Field, FieldId, Format, Prereq, Version};

/// A field with storage of its own, matched exactly, readable and writable.
const fn field(name: &'static str, bits: u8, help: &'static str) -> Row {
    Row {
        overlay: None,
        field: Field {
            name,
            alias: None,
            help,
            bits,
            wire_bytes: bits.div_ceil(8),
            key_bits: bits,
            format: Format::Decimal,
            maskable: false,
            prereq: Prereq::None,
            writable: true,
            in_openflow10: false,
            oxm: None,
            nxm: None,
            home: FieldId(0),
            shift: 0,
        },
    }
}

/// A row that doesn't know its position yet.
#[derive(Clone, Copy)]
struct Row {
    field: Field,
    overlay: Option<(FieldId, u8)>,
}

impl Row {
    const fn aka(mut self, alias: &'static str) -> Row {
        self.field.alias = Some(alias);
        self
    }

    const fn named(mut self, name: &'static str) -> Row {
        self.field.name = name;
        self
    }

    const fn wire_bytes(mut self, bytes: u8) -> Row {
        self.field.wire_bytes = bytes;
        self
    }

    const fn key_bits(mut self, bits: u8) -> Row {
        self.field.key_bits = bits;
        self
    }

    const fn shown(mut self, format: Format) -> Row {
        self.field.format = format;
        self
    }

    const fn maskable(mut self) -> Row {
        self.field.maskable = true;
        self
    }

    const fn needs(mut self, prereq: Prereq) -> Row {
        self.field.prereq = prereq;
        self
    }

    const fn read_only(mut self) -> Row {
        self.field.writable = false;
        self
    }

    const fn in_openflow10(mut self) -> Row {
        self.field.in_openflow10 = true;
        self
    }

    const fn overlays(mut self, home: FieldId, shift: u8) -> Row {
        self.overlay = Some((home, shift));
        self
    }

    const fn oxm(mut self, name: &'static str, class: Class, number: u8, since: Version) -> Row {
        self.field.oxm = Some(Code {
            name,
            class,
            number,
            since,
        });
        self
    }

    const fn nxm(mut self, name: &'static str, class: Class, number: u8) -> Row {
        self.field.nxm = Some(Code {
            name,
            class,
            number,
            since: Version::OpenFlow10,
        });
        self
    }

    const fn at(mut self, position: usize) -> Field {
        (self.field.home, self.field.shift) = match self.overlay {
            Some(overlay) => overlay,
            None => (FieldId(position as u8), 0),
        };
        self.field
    }
}

macro_rules! fields {
    ($($id:ident = $row:expr;)*) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        enum Position { $($id,)* Count }

        impl FieldId {
            $(
                #[doc = concat!("`", stringify!($id), "`, as the catalogue describes it.")]
                pub const $id: FieldId = FieldId(Position::$id as u8);
            )*
        }

        const SINGLE: [Row; Position::Count as usize] = [$($row),*];
    };
}

macro_rules! names {
    ($start:literal: $($number:literal)*) => { [$(concat!($start, $number)),*] };
}

const REG_NAMES: [&str; 16] = names!("reg": 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
const REG_CODES: [&str; 16] = names!("NXM_NX_REG": 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
const XREG_NAMES: [&str; 8] = names!("xreg": 0 1 2 3 4 5 6 7);
const XREG_CODES: [&str; 8] = names!("OXM_OF_PKT_REG": 0 1 2 3 4 5 6 7);
const XXREG_NAMES: [&str; 4] = names!("xxreg": 0 1 2 3);
const XXREG_CODES: [&str; 4] = names!("NXM_NX_XXREG": 0 1 2 3);
#[rustfmt::skip]
const TUN_METADATA_NAMES: [&str; 64] = names!("tun_metadata":
    0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31
    32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63);
#[rustfmt::skip]
const TUN_METADATA_CODES: [&str; 64] = names!("NXM_NX_TUN_METADATA":
    0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31
    32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63);

const REGS: usize = Position::Count as usize;
const XREGS: usize = REGS + REG_NAMES.len();
const XXREGS: usize = XREGS + XREG_NAMES.len();
const TUN_METADATA: usize = XXREGS + XXREG_NAMES.len();

/// How many fields there are.
pub(super) const COUNT: usize = TUN_METADATA + TUN_METADATA_NAMES.len();

/// All rows, in the order of their numbers.
pub(super) static CATALOGUE: [Field; COUNT] = build();

impl FieldId {
    /// A 32-bit register, 0 to 15.
    pub const fn reg(number: u8) -> FieldId {
        FieldId(REGS as u8 + number % 16)
    }

    /// A pair of registers, 0 to 7: the first of the pair is the more significant half.
    pub const fn xreg(number: u8) -> FieldId {
        FieldId(XREGS as u8 + number % 8)
    }

    /// Four registers, 0 to 3: the first of the four is the most significant quarter.
    pub const fn xxreg(number: u8) -> FieldId {
        FieldId(XXREGS as u8 + number % 4)
    }

    /// An option of a Geneve header, 0 to 63; its first 16 bytes.
    pub const fn tun_metadata(number: u8) -> FieldId {
        FieldId(TUN_METADATA as u8 + number % 64)
    }

    /// Number of a Geneve option, if that is what the field is.
    pub fn as_tun_metadata(self) -> Option<u8> {
        self.0.checked_sub(TUN_METADATA as u8)
    }
}

const fn build() -> [Field; COUNT] {
    let mut fields = [SINGLE[0].at(0); COUNT];
    let mut at = 0;
    while at < COUNT {
        fields[at] = row(at).at(at);
        at += 1;
    }
    fields
}

const fn row(at: usize) -> Row {
    if at < REGS {
        SINGLE[at]
    } else if at < XREGS {
        reg(at - REGS)
    } else if at < XXREGS {
        xreg(at - XREGS)
    } else if at < TUN_METADATA {
        xxreg(at - XXREGS)
    } else {
        tun_metadata(at - TUN_METADATA)
    }
}

const fn reg(number: usize) -> Row {
    let n = number as u8;
    field("", 32, "register")
        .named(REG_NAMES[number])
        .shown(Format::Hex)
        .maskable()
        .nxm(REG_CODES[number], Class::NXM_NX, n)
        .overlays(FieldId::xxreg(n / 4), 32 * (3 - n % 4))
}

const fn xreg(number: usize) -> Row {
    let n = number as u8;
    field("", 64, "pair of registers")
        .named(XREG_NAMES[number])
        .shown(Format::Hex)
        .maskable()
        .oxm(
            XREG_CODES[number],
            Class::PACKET_REGS,
            n,
            Version::OpenFlow13,
        )
        .overlays(FieldId::xxreg(n / 2), 64 * (1 - n % 2))
}

const fn xxreg(number: usize) -> Row {
    field("", 128, "four registers")
        .named(XXREG_NAMES[number])
        .shown(Format::Hex)
        .maskable()
        .nxm(XXREG_CODES[number], Class::NXM_NX, 111 + number as u8)
}

const fn tun_metadata(number: usize) -> Row {
    field("", 128, "option of a Geneve tunnel")
        .named(TUN_METADATA_NAMES[number])
        .shown(Format::Hex)
        .maskable()
        .wire_bytes(124)
        .nxm(TUN_METADATA_CODES[number], Class::NXM_NX, 40 + number as u8)
}

fields! {
    CONJ_ID = field("conj_id", 32, "number of a conjunction whose clauses all match").read_only().nxm("NXM_NX_CONJ_ID", Class::NXM_NX, 37);
    DP_HASH = field("dp_hash", 32, "hash that a group computed").shown(Format::Hex).maskable().read_only().nxm("NXM_NX_DP_HASH", Class::NXM_NX, 35);
    RECIRC_ID = field("recirc_id", 32, "where a packet continues after recirculation").read_only().nxm("NXM_NX_RECIRC_ID", Class::NXM_NX, 36);
    TUN_ID = field("tun_id", 64, "tunnel key").aka("tunnel_id").shown(Format::Hex).maskable().oxm("OXM_OF_TUNNEL_ID", Class::OXM_OF, 38, Version::OpenFlow13).nxm("NXM_NX_TUN_ID", Class::NXM_NX, 16);
    TUN_SRC = field("tun_src", 32, "outer IPv4 source of the tunnel").shown(Format::Ipv4).maskable().nxm("NXM_NX_TUN_IPV4_SRC", Class::NXM_NX, 31);
    TUN_DST = field("tun_dst", 32, "outer IPv4 destination of the tunnel").shown(Format::Ipv4).maskable().nxm("NXM_NX_TUN_IPV4_DST", Class::NXM_NX, 32);
    TUN_IPV6_SRC = field("tun_ipv6_src", 128, "outer IPv6 source of the tunnel").shown(Format::Ipv6).maskable().nxm("NXM_NX_TUN_IPV6_SRC", Class::NXM_NX, 109);
    TUN_IPV6_DST = field("tun_ipv6_dst", 128, "outer IPv6 destination of the tunnel").shown(Format::Ipv6).maskable().nxm("NXM_NX_TUN_IPV6_DST", Class::NXM_NX, 110);
    TUN_TTL = field("tun_ttl", 8, "outer time to live");
    TUN_TOS = field("tun_tos", 8, "outer type of service");
    TUN_GBP_ID = field("tun_gbp_id", 16, "VXLAN group policy").maskable().nxm("NXM_NX_TUN_GBP_ID", Class::NXM_NX, 38);
    TUN_GBP_FLAGS = field("tun_gbp_flags", 8, "VXLAN group policy flags").shown(Format::Hex).maskable().nxm("NXM_NX_TUN_GBP_FLAGS", Class::NXM_NX, 39);
    TUN_ERSPAN_VER = field("tun_erspan_ver", 4, "ERSPAN version").wire_bytes(1).maskable().oxm("NXOXM_ET_ERSPAN_VER", Class::NXOXM_ET, 12, Version::OpenFlow10);
    TUN_ERSPAN_IDX = field("tun_erspan_idx", 20, "ERSPAN v1 index").wire_bytes(4).shown(Format::Hex).maskable().oxm("NXOXM_ET_ERSPAN_IDX", Class::NXOXM_ET, 11, Version::OpenFlow10);
    TUN_ERSPAN_DIR = field("tun_erspan_dir", 1, "ERSPAN v2 direction").wire_bytes(1).maskable().oxm("NXOXM_ET_ERSPAN_DIR", Class::NXOXM_ET, 13, Version::OpenFlow10);
    TUN_ERSPAN_HWID = field("tun_erspan_hwid", 6, "ERSPAN v2 hardware").wire_bytes(1).shown(Format::Hex).maskable().oxm("NXOXM_ET_ERSPAN_HWID", Class::NXOXM_ET, 14, Version::OpenFlow10);
    TUN_GTPU_FLAGS = field("tun_gtpu_flags", 8, "GTP-U flags").shown(Format::Hex).maskable().read_only().oxm("NXOXM_ET_GTPU_FLAGS", Class::NXOXM_ET, 15, Version::OpenFlow10);
    TUN_GTPU_MSGTYPE = field("tun_gtpu_msgtype", 8, "GTP-U message type").maskable().read_only().oxm("NXOXM_ET_GTPU_MSGTYPE", Class::NXOXM_ET, 16, Version::OpenFlow10);
    TUN_FLAGS = field("tun_flags", 1, "tunnel flags").wire_bytes(2).shown(Format::TunFlags).maskable().nxm("NXM_NX_TUN_FLAGS", Class::NXM_NX, 104);
    IN_PORT = field("in_port", 16, "port that the packet came in at").shown(Format::Port).in_openflow10().nxm("NXM_OF_IN_PORT", Class::NXM_OF, 0);
    IN_PORT_OXM = field("in_port_oxm", 32, "the same as in_port, with 32 bits").key_bits(16).shown(Format::Port).overlays(FieldId::IN_PORT, 0).oxm("OXM_OF_IN_PORT", Class::OXM_OF, 0, Version::OpenFlow12);
    SKB_PRIORITY = field("skb_priority", 32, "queueing priority").shown(Format::Hex).read_only();
    PKT_MARK = field("pkt_mark", 32, "mark shared with the kernel").shown(Format::Hex).maskable().nxm("NXM_NX_PKT_MARK", Class::NXM_NX, 33);
    ACTSET_OUTPUT = field("actset_output", 32, "output in the action set").key_bits(16).shown(Format::Port).read_only().oxm("ONFOXM_ET_ACTSET_OUTPUT", Class::ONFOXM_ET, 43, Version::OpenFlow13);
    PACKET_TYPE = field("packet_type", 32, "outermost header").shown(Format::PacketType).read_only().oxm("OXM_OF_PACKET_TYPE", Class::OXM_OF, 44, Version::OpenFlow15);
    CT_STATE = field("ct_state", 32, "connection tracking state").key_bits(8).shown(Format::CtState).maskable().read_only().nxm("NXM_NX_CT_STATE", Class::NXM_NX, 105);
    CT_ZONE = field("ct_zone", 16, "connection tracking zone").shown(Format::Hex).read_only().nxm("NXM_NX_CT_ZONE", Class::NXM_NX, 106);
    CT_MARK = field("ct_mark", 32, "mark of the connection").shown(Format::Hex).maskable().nxm("NXM_NX_CT_MARK", Class::NXM_NX, 107);
    CT_LABEL = field("ct_label", 128, "label of the connection").shown(Format::Hex).maskable().nxm("NXM_NX_CT_LABEL", Class::NXM_NX, 108);
    CT_NW_SRC = field("ct_nw_src", 32, "IPv4 source of the connection").shown(Format::Ipv4).maskable().needs(Prereq::CtIpv4).read_only().nxm("NXM_NX_CT_NW_SRC", Class::NXM_NX, 120);
    CT_NW_DST = field("ct_nw_dst", 32, "IPv4 destination of the connection").shown(Format::Ipv4).maskable().needs(Prereq::CtIpv4).read_only().nxm("NXM_NX_CT_NW_DST", Class::NXM_NX, 121);
    CT_IPV6_SRC = field("ct_ipv6_src", 128, "IPv6 source of the connection").shown(Format::Ipv6).maskable().needs(Prereq::CtIpv6).read_only().nxm("NXM_NX_CT_IPV6_SRC", Class::NXM_NX, 122);
    CT_IPV6_DST = field("ct_ipv6_dst", 128, "IPv6 destination of the connection").shown(Format::Ipv6).maskable().needs(Prereq::CtIpv6).read_only().nxm("NXM_NX_CT_IPV6_DST", Class::NXM_NX, 123);
    CT_NW_PROTO = field("ct_nw_proto", 8, "IP protocol of the connection").needs(Prereq::Ct).read_only().nxm("NXM_NX_CT_NW_PROTO", Class::NXM_NX, 119);
    CT_TP_SRC = field("ct_tp_src", 16, "source port of the connection").maskable().needs(Prereq::Ct).read_only().nxm("NXM_NX_CT_TP_SRC", Class::NXM_NX, 124);
    CT_TP_DST = field("ct_tp_dst", 16, "destination port of the connection").maskable().needs(Prereq::Ct).read_only().nxm("NXM_NX_CT_TP_DST", Class::NXM_NX, 125);
    METADATA = field("metadata", 64, "OpenFlow metadata").shown(Format::Hex).maskable().oxm("OXM_OF_METADATA", Class::OXM_OF, 2, Version::OpenFlow12);
    ETH_SRC = field("eth_src", 48, "Ethernet source").aka("dl_src").shown(Format::Ethernet).maskable().needs(Prereq::Ethernet).in_openflow10().oxm("OXM_OF_ETH_SRC", Class::OXM_OF, 4, Version::OpenFlow12).nxm("NXM_OF_ETH_SRC", Class::NXM_OF, 2);
    ETH_DST = field("eth_dst", 48, "Ethernet destination").aka("dl_dst").shown(Format::Ethernet).maskable().needs(Prereq::Ethernet).in_openflow10().oxm("OXM_OF_ETH_DST", Class::OXM_OF, 3, Version::OpenFlow12).nxm("NXM_OF_ETH_DST", Class::NXM_OF, 1);
    ETH_TYPE = field("eth_type", 16, "EtherType behind the VLAN tags").aka("dl_type").shown(Format::Hex).needs(Prereq::Ethernet).read_only().in_openflow10().oxm("OXM_OF_ETH_TYPE", Class::OXM_OF, 5, Version::OpenFlow12).nxm("NXM_OF_ETH_TYPE", Class::NXM_OF, 3);
    VLAN_VID = field("vlan_vid", 12, "VLAN, with 0x1000 for a tag being there").wire_bytes(2).key_bits(13).maskable().needs(Prereq::Ethernet).in_openflow10().overlays(FieldId::VLAN_TCI, 0).oxm("OXM_OF_VLAN_VID", Class::OXM_OF, 6, Version::OpenFlow12);
    VLAN_PCP = field("vlan_pcp", 3, "VLAN priority").wire_bytes(1).needs(Prereq::Vlan).in_openflow10().overlays(FieldId::VLAN_TCI, 13).oxm("OXM_OF_VLAN_PCP", Class::OXM_OF, 7, Version::OpenFlow12);
    DL_VLAN = field("dl_vlan", 12, "VLAN of a tagged packet, 0xffff for none").wire_bytes(2).needs(Prereq::Ethernet).in_openflow10().overlays(FieldId::VLAN_TCI, 0);
    DL_VLAN_PCP = field("dl_vlan_pcp", 3, "VLAN priority of a tagged packet").wire_bytes(1).needs(Prereq::Ethernet).in_openflow10().overlays(FieldId::VLAN_TCI, 13);
    VLAN_TCI = field("vlan_tci", 16, "VLAN tag, with 0x1000 for being there").shown(Format::Hex).maskable().needs(Prereq::Ethernet).in_openflow10().nxm("NXM_OF_VLAN_TCI", Class::NXM_OF, 4);
    MPLS_LABEL = field("mpls_label", 20, "outermost MPLS label").wire_bytes(4).needs(Prereq::Mpls).oxm("OXM_OF_MPLS_LABEL", Class::OXM_OF, 34, Version::OpenFlow12);
    MPLS_TC = field("mpls_tc", 3, "MPLS traffic class").wire_bytes(1).needs(Prereq::Mpls).oxm("OXM_OF_MPLS_TC", Class::OXM_OF, 35, Version::OpenFlow12);
    MPLS_BOS = field("mpls_bos", 1, "whether the MPLS label is the last").wire_bytes(1).needs(Prereq::Mpls).read_only().oxm("OXM_OF_MPLS_BOS", Class::OXM_OF, 36, Version::OpenFlow13);
    MPLS_TTL = field("mpls_ttl", 8, "MPLS time to live").needs(Prereq::Mpls).nxm("NXM_NX_MPLS_TTL", Class::NXM_NX, 30);
    IP_SRC = field("ip_src", 32, "IPv4 source").aka("nw_src").shown(Format::Ipv4).maskable().needs(Prereq::Ipv4).in_openflow10().oxm("OXM_OF_IPV4_SRC", Class::OXM_OF, 11, Version::OpenFlow12).nxm("NXM_OF_IP_SRC", Class::NXM_OF, 7);
    IP_DST = field("ip_dst", 32, "IPv4 destination").aka("nw_dst").shown(Format::Ipv4).maskable().needs(Prereq::Ipv4).in_openflow10().oxm("OXM_OF_IPV4_DST", Class::OXM_OF, 12, Version::OpenFlow12).nxm("NXM_OF_IP_DST", Class::NXM_OF, 8);
    IPV6_SRC = field("ipv6_src", 128, "IPv6 source").shown(Format::Ipv6).maskable().needs(Prereq::Ipv6).oxm("OXM_OF_IPV6_SRC", Class::OXM_OF, 26, Version::OpenFlow12).nxm("NXM_NX_IPV6_SRC", Class::NXM_NX, 19);
    IPV6_DST = field("ipv6_dst", 128, "IPv6 destination").shown(Format::Ipv6).maskable().needs(Prereq::Ipv6).oxm("OXM_OF_IPV6_DST", Class::OXM_OF, 27, Version::OpenFlow12).nxm("NXM_NX_IPV6_DST", Class::NXM_NX, 20);
    IPV6_LABEL = field("ipv6_label", 20, "IPv6 flow label").wire_bytes(4).shown(Format::Hex).maskable().needs(Prereq::Ipv6).oxm("OXM_OF_IPV6_FLABEL", Class::OXM_OF, 28, Version::OpenFlow12).nxm("NXM_NX_IPV6_LABEL", Class::NXM_NX, 27);
    NW_PROTO = field("nw_proto", 8, "IP protocol").aka("ip_proto").needs(Prereq::Ip).read_only().in_openflow10().oxm("OXM_OF_IP_PROTO", Class::OXM_OF, 10, Version::OpenFlow12).nxm("NXM_OF_IP_PROTO", Class::NXM_OF, 6);
    NW_TTL = field("nw_ttl", 8, "IP time to live or hop limit").needs(Prereq::Ip).nxm("NXM_NX_IP_TTL", Class::NXM_NX, 29);
    IP_FRAG = field("ip_frag", 2, "IP fragment").aka("nw_frag").wire_bytes(1).shown(Format::Frag).maskable().needs(Prereq::Ip).read_only().nxm("NXM_NX_IP_FRAG", Class::NXM_NX, 26);
    NW_TOS = field("nw_tos", 8, "IP type of service, ECN bits zero").needs(Prereq::Ip).in_openflow10().nxm("NXM_OF_IP_TOS", Class::NXM_OF, 5);
    IP_DSCP = field("ip_dscp", 6, "IP DSCP").wire_bytes(1).needs(Prereq::Ip).in_openflow10().overlays(FieldId::NW_TOS, 2).oxm("OXM_OF_IP_DSCP", Class::OXM_OF, 8, Version::OpenFlow12);
    NW_ECN = field("nw_ecn", 2, "IP ECN").aka("ip_ecn").wire_bytes(1).needs(Prereq::Ip).overlays(FieldId::NW_TOS, 0).oxm("OXM_OF_IP_ECN", Class::OXM_OF, 9, Version::OpenFlow12).nxm("NXM_NX_IP_ECN", Class::NXM_NX, 28);
    ARP_OP = field("arp_op", 16, "ARP operation, up to 255").key_bits(8).needs(Prereq::Arp).in_openflow10().overlays(FieldId::NW_PROTO, 0).oxm("OXM_OF_ARP_OP", Class::OXM_OF, 21, Version::OpenFlow12).nxm("NXM_OF_ARP_OP", Class::NXM_OF, 15);
    ARP_SPA = field("arp_spa", 32, "ARP source IPv4 address").shown(Format::Ipv4).maskable().needs(Prereq::Arp).in_openflow10().overlays(FieldId::IP_SRC, 0).oxm("OXM_OF_ARP_SPA", Class::OXM_OF, 22, Version::OpenFlow12).nxm("NXM_OF_ARP_SPA", Class::NXM_OF, 16);
    ARP_TPA = field("arp_tpa", 32, "ARP target IPv4 address").shown(Format::Ipv4).maskable().needs(Prereq::Arp).in_openflow10().overlays(FieldId::IP_DST, 0).oxm("OXM_OF_ARP_TPA", Class::OXM_OF, 23, Version::OpenFlow12).nxm("NXM_OF_ARP_TPA", Class::NXM_OF, 17);
    ARP_SHA = field("arp_sha", 48, "ARP source Ethernet address").shown(Format::Ethernet).maskable().needs(Prereq::Arp).oxm("OXM_OF_ARP_SHA", Class::OXM_OF, 24, Version::OpenFlow12).nxm("NXM_NX_ARP_SHA", Class::NXM_NX, 17);
    ARP_THA = field("arp_tha", 48, "ARP target Ethernet address").shown(Format::Ethernet).maskable().needs(Prereq::Arp).oxm("OXM_OF_ARP_THA", Class::OXM_OF, 25, Version::OpenFlow12).nxm("NXM_NX_ARP_THA", Class::NXM_NX, 18);
    NSH_FLAGS = field("nsh_flags", 8, "NSH flags").maskable().needs(Prereq::Nsh).oxm("NXOXM_NSH_FLAGS", Class::NXOXM_NSH, 1, Version::OpenFlow10);
    NSH_TTL = field("nsh_ttl", 8, "NSH time to live").needs(Prereq::Nsh).oxm("NXOXM_NSH_TTL", Class::NXOXM_NSH, 10, Version::OpenFlow10);
    NSH_MDTYPE = field("nsh_mdtype", 8, "NSH metadata type").needs(Prereq::Nsh).read_only().oxm("NXOXM_NSH_MDTYPE", Class::NXOXM_NSH, 2, Version::OpenFlow10);
    NSH_NP = field("nsh_np", 8, "NSH next protocol").needs(Prereq::Nsh).read_only().oxm("NXOXM_NSH_NP", Class::NXOXM_NSH, 3, Version::OpenFlow10);
    NSH_SPI = field("nsh_spi", 24, "NSH service path").aka("nsp").wire_bytes(4).shown(Format::Hex).needs(Prereq::Nsh).oxm("NXOXM_NSH_SPI", Class::NXOXM_NSH, 4, Version::OpenFlow10);
    NSH_SI = field("nsh_si", 8, "NSH service index").aka("nsi").needs(Prereq::Nsh).oxm("NXOXM_NSH_SI", Class::NXOXM_NSH, 5, Version::OpenFlow10);
    NSH_C1 = field("nsh_c1", 32, "NSH context 1").aka("nshc1").shown(Format::Hex).maskable().needs(Prereq::Nsh).oxm("NXOXM_NSH_C1", Class::NXOXM_NSH, 6, Version::OpenFlow10);
    NSH_C2 = field("nsh_c2", 32, "NSH context 2").aka("nshc2").shown(Format::Hex).maskable().needs(Prereq::Nsh).oxm("NXOXM_NSH_C2", Class::NXOXM_NSH, 7, Version::OpenFlow10);
    NSH_C3 = field("nsh_c3", 32, "NSH context 3").aka("nshc3").shown(Format::Hex).maskable().needs(Prereq::Nsh).oxm("NXOXM_NSH_C3", Class::NXOXM_NSH, 8, Version::OpenFlow10);
    NSH_C4 = field("nsh_c4", 32, "NSH context 4").aka("nshc4").shown(Format::Hex).maskable().needs(Prereq::Nsh).oxm("NXOXM_NSH_C4", Class::NXOXM_NSH, 9, Version::OpenFlow10);
    TCP_SRC = field("tcp_src", 16, "TCP source port").aka("tp_src").maskable().needs(Prereq::Tcp).in_openflow10().oxm("OXM_OF_TCP_SRC", Class::OXM_OF, 13, Version::OpenFlow12).nxm("NXM_OF_TCP_SRC", Class::NXM_OF, 9);
    TCP_DST = field("tcp_dst", 16, "TCP destination port").aka("tp_dst").maskable().needs(Prereq::Tcp).in_openflow10().oxm("OXM_OF_TCP_DST", Class::OXM_OF, 14, Version::OpenFlow12).nxm("NXM_OF_TCP_DST", Class::NXM_OF, 10);
    TCP_FLAGS = field("tcp_flags", 12, "TCP flags").wire_bytes(2).shown(Format::TcpFlags).maskable().needs(Prereq::Tcp).read_only().oxm("ONFOXM_ET_TCP_FLAGS", Class::ONFOXM_ET, 42, Version::OpenFlow13).nxm("NXM_NX_TCP_FLAGS", Class::NXM_NX, 34);
    UDP_SRC = field("udp_src", 16, "UDP source port").maskable().needs(Prereq::Udp).in_openflow10().overlays(FieldId::TCP_SRC, 0).oxm("OXM_OF_UDP_SRC", Class::OXM_OF, 15, Version::OpenFlow12).nxm("NXM_OF_UDP_SRC", Class::NXM_OF, 11);
    UDP_DST = field("udp_dst", 16, "UDP destination port").maskable().needs(Prereq::Udp).in_openflow10().overlays(FieldId::TCP_DST, 0).oxm("OXM_OF_UDP_DST", Class::OXM_OF, 16, Version::OpenFlow12).nxm("NXM_OF_UDP_DST", Class::NXM_OF, 12);
    SCTP_SRC = field("sctp_src", 16, "SCTP source port").maskable().needs(Prereq::Sctp).overlays(FieldId::TCP_SRC, 0).oxm("OXM_OF_SCTP_SRC", Class::OXM_OF, 17, Version::OpenFlow12);
    SCTP_DST = field("sctp_dst", 16, "SCTP destination port").maskable().needs(Prereq::Sctp).overlays(FieldId::TCP_DST, 0).oxm("OXM_OF_SCTP_DST", Class::OXM_OF, 18, Version::OpenFlow12);
    ICMP_TYPE = field("icmp_type", 8, "ICMP type").needs(Prereq::Icmpv4).in_openflow10().overlays(FieldId::TCP_SRC, 0).oxm("OXM_OF_ICMPV4_TYPE", Class::OXM_OF, 19, Version::OpenFlow12).nxm("NXM_OF_ICMP_TYPE", Class::NXM_OF, 13);
    ICMP_CODE = field("icmp_code", 8, "ICMP code").needs(Prereq::Icmpv4).in_openflow10().overlays(FieldId::TCP_DST, 0).oxm("OXM_OF_ICMPV4_CODE", Class::OXM_OF, 20, Version::OpenFlow12).nxm("NXM_OF_ICMP_CODE", Class::NXM_OF, 14);
    ICMPV6_TYPE = field("icmpv6_type", 8, "ICMPv6 type").needs(Prereq::Icmpv6).overlays(FieldId::TCP_SRC, 0).oxm("OXM_OF_ICMPV6_TYPE", Class::OXM_OF, 29, Version::OpenFlow12).nxm("NXM_NX_ICMPV6_TYPE", Class::NXM_NX, 21);
    ICMPV6_CODE = field("icmpv6_code", 8, "ICMPv6 code").needs(Prereq::Icmpv6).overlays(FieldId::TCP_DST, 0).oxm("OXM_OF_ICMPV6_CODE", Class::OXM_OF, 30, Version::OpenFlow12).nxm("NXM_NX_ICMPV6_CODE", Class::NXM_NX, 22);
    ND_TARGET = field("nd_target", 128, "neighbour discovery target").shown(Format::Ipv6).maskable().needs(Prereq::Nd).oxm("OXM_OF_IPV6_ND_TARGET", Class::OXM_OF, 31, Version::OpenFlow12).nxm("NXM_NX_ND_TARGET", Class::NXM_NX, 23);
    ND_SLL = field("nd_sll", 48, "neighbour discovery source link-layer address").shown(Format::Ethernet).maskable().needs(Prereq::NdSolicit).overlays(FieldId::ARP_SHA, 0).oxm("OXM_OF_IPV6_ND_SLL", Class::OXM_OF, 32, Version::OpenFlow12).nxm("NXM_NX_ND_SLL", Class::NXM_NX, 24);
    ND_TLL = field("nd_tll", 48, "neighbour discovery target link-layer address").shown(Format::Ethernet).maskable().needs(Prereq::NdAdvert).overlays(FieldId::ARP_THA, 0).oxm("OXM_OF_IPV6_ND_TLL", Class::OXM_OF, 33, Version::OpenFlow12).nxm("NXM_NX_ND_TLL", Class::NXM_NX, 25);
    ND_RESERVED = field("nd_reserved", 32, "neighbour discovery reserved bits").needs(Prereq::Nd).oxm("ERICOXM_OF_ICMPV6_ND_RESERVED", Class::ERICOXM_OF, 1, Version::OpenFlow10);
    ND_OPTIONS_TYPE = field("nd_options_type", 8, "neighbour discovery option type").needs(Prereq::Nd).oxm("ERICOXM_OF_ICMPV6_ND_OPTIONS_TYPE", Class::ERICOXM_OF, 2, Version::OpenFlow10);
}
