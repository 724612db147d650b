//! Whether a frame uses addresses that its port allows: Ethernet, and the headers of IP that the most
//! frequent frames have. Neighbour discovery, and what is behind extension headers, is in [`super::nd`].

use aorta_ebpf::{Cond, Helper, Label, Reg, Size};
use aorta_flow::DropReason;
use aorta_flow::guard::Allowed;
use aorta_flow::guard::check::{DHCP_PORTS, DHCPV6_PORTS, extension};
use aorta_packet::{
    ETH_HEADER_LEN, ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_RARP, TPID_8021AD,
    TPID_8021Q, VLAN_TAG_LEN, proto,
};

use super::Gate;
use super::addresses::Sets;
use super::search::find64;
use crate::emit::{self, CTX};
use crate::skb;

use Reg::{R0, R1, R2, R3, R4, R5, R7, R8, R9};

const ETH: i32 = ETH_HEADER_LEN as i32;
const L3: i16 = ETH_HEADER_LEN as i16;
const IPV4_LEN: i32 = 20;
pub(super) const IPV6_LEN: i32 = 40;
/// Version 4, and a header of 20 bytes.
const NO_OPTIONS: i32 = 0x45;
/// Fragment offset, in the fragment word as it is on the wire.
const FRAGMENT_OFFSET: i32 = 0x1fff_u16.to_be() as i32;
/// All that is read directly: an IPv4 header with its options, and what begins a UDP header.
const DIRECT_LEN: i32 = ETH + 60 + 8;

impl Gate<'_> {
    /// Falls through if the frame may come in. In the code: R4 and R5 are first byte and end of the
    /// frame, R7 is its type, R8 the set of its host, R9 its source address, first byte lowest.
    pub(super) fn allowed(&mut self, allowed: &Allowed, sets: &Sets) {
        let fine = self.a.label("allowed");
        self.whole_frame();
        self.source_mac(sets);
        let [ipv4, ipv6, arp] = ["ipv4", "ipv6", "arp"].map(|name| self.a.label(name));
        let nested = self.drop(DropReason::NestedTags);
        for (ethertype, label) in [
            (ETHERTYPE_IPV4, ipv4),
            (ETHERTYPE_IPV6, ipv6),
            (ETHERTYPE_ARP, arp),
            (ETHERTYPE_RARP, arp),
            (TPID_8021Q, nested),
            (TPID_8021AD, nested),
        ] {
            let ethertype = i32::from(ethertype.to_be());
            self.a.jump_if(Cond::Eq, R7, ethertype, label);
        }
        self.a.jump(fine);
        self.a.bind(ipv4);
        self.ipv4(allowed, sets, fine);
        self.a.bind(ipv6);
        self.ipv6(allowed, sets, fine);
        self.a.bind(arp);
        self.arp(sets, fine);
        self.a.bind(fine);
    }

    /// Brings the first headers to where they can be read, and a tag among them beside the frame.
    fn whole_frame(&mut self) {
        let labels = ["tag_first", "no_tag_first", "shallow", "deep"];
        let [tag_first, untagged, shallow, deep] = labels.map(|name| self.a.label(name));
        let a = &mut *self.a;
        a.load(Size::W, R1, CTX, skb::PROTOCOL);
        for tpid in [TPID_8021Q, TPID_8021AD] {
            a.jump_if(Cond::Eq, R1, i32::from(tpid.to_be()), tag_first);
        }
        a.bind(untagged);
        self.load_frame();
        self.within(DIRECT_LEN, shallow);
        self.a.jump(deep);
        self.a.bind(tag_first);
        self.take_tag_out(untagged);
        self.a.bind(shallow);
        self.pull(deep);
        self.a.bind(deep);
    }

    /// A tag within the data, which the kernel takes off before tcx and a test run doesn't, goes where
    /// the kernel would have put it.
    fn take_tag_out(&mut self, done: Label) {
        let malformed = self.drop(DropReason::Malformed);
        let failed = self.drop(DropReason::Failed);
        self.a.load(Size::W, R1, CTX, skb::VLAN_PRESENT);
        self.a.jump_if(Cond::Ne, R1, 0, done);
        self.load_frame();
        self.within(ETH + VLAN_TAG_LEN as i32, malformed);
        let a = &mut *self.a;
        a.load(Size::H, R8, R4, L3 - 2);
        a.load(Size::H, R9, R4, L3);
        a.be16(R9);
        emit::take_tag_out(a, failed);
        a.jump(done);
    }

    /// The frame is short, or its beginning is elsewhere: then it is brought here.
    fn pull(&mut self, done: Label) {
        let a = &mut *self.a;
        a.mov(R1, R5);
        a.sub(R1, R4);
        a.load(Size::W, R2, CTX, skb::LEN);
        a.jump_if(Cond::Ge, R1, R2, done);
        let short = a.label("short");
        a.jump_if(Cond::Le, R2, DIRECT_LEN, short);
        a.mov(R2, DIRECT_LEN);
        a.bind(short);
        a.mov(R1, CTX);
        a.call(Helper::SkbPullData);
        self.load_frame();
    }

    /// R9 = the source address, R8 = the number of its set, R7 = the frame's type.
    fn source_mac(&mut self, sets: &Sets) {
        let malformed = self.drop(DropReason::Malformed);
        self.within(ETH, malformed);
        let a = &mut *self.a;
        a.load(Size::Dw, R9, R4, 6);
        a.mov(R7, R9);
        a.rsh(R7, 48);
        a.lsh(R9, 16);
        a.rsh(R9, 16);
        if let Some(macs) = &sets.macs {
            let spoofed = self.drop(DropReason::SpoofedMac);
            let own = self.a.label("own_mac");
            let mark = sets.differ().then_some(R8);
            find64(self.a, R9, (macs, mark), (own, spoofed));
            self.a.bind(own);
        }
    }

    /// R1 = the number of the host's set, where there are several.
    fn which_set(&mut self, sets: &Sets) {
        if sets.differ() {
            self.a.mov(R1, R8);
        }
    }

    fn ipv4(&mut self, allowed: &Allowed, sets: &Sets, fine: Label) {
        let spoofed = self.drop(DropReason::SpoofedIpv4);
        let labels = ["options", "header", "own_v4", "other_v4"];
        let [options, header, own, other] = labels.map(|name| self.a.label(name));
        self.within(ETH + IPV4_LEN, spoofed);
        let a = &mut *self.a;
        a.load(Size::B, R1, R4, L3);
        a.mov(R7, IPV4_LEN);
        a.jump_if(Cond::Ne, R1, NO_OPTIONS, options);
        a.bind(header);
        a.load(Size::W, R2, R4, L3 + 12);
        a.be32(R2);
        self.which_set(sets);
        self.find_v4(sets, own, other);
        self.a.bind(own);
        self.dhcp_answer(allowed, fine);
        self.a.bind(options);
        self.ipv4_options(header, spoofed);
        self.a.bind(other);
        self.dhcp_request(fine, spoofed);
    }

    /// R7 = the length of the header, whose first byte is in R1.
    fn ipv4_options(&mut self, header: Label, spoofed: Label) {
        let a = &mut *self.a;
        a.jump_if(Cond::Lt, R1, 0x46, spoofed);
        a.jump_if(Cond::Gt, R1, 0x4f, spoofed);
        a.mov(R7, R1);
        a.and(R7, 0xf);
        a.lsh(R7, 2);
        a.mov(R1, R4);
        a.add(R1, R7);
        a.add(R1, ETH);
        a.jump_if(Cond::Gt, R1, R5, spoofed);
        a.jump(header);
    }

    /// Goes to `other` unless the frame begins UDP.
    fn begins_udp(&mut self, other: Label) {
        let a = &mut *self.a;
        a.load(Size::B, R1, R4, L3 + 9);
        a.jump_if(Cond::Ne, R1, i32::from(proto::UDP), other);
        a.load(Size::H, R1, R4, L3 + 6);
        a.jump_if(Cond::Set, R1, FRAGMENT_OFFSET, other);
    }

    /// R2 = both ports of UDP behind a header of R7 bytes; goes to `none` if they aren't there.
    fn ports_v4(&mut self, none: Label) {
        let a = &mut *self.a;
        a.mov(R2, R4);
        a.add(R2, R7);
        a.mov(R1, R2);
        a.add(R1, ETH + 4);
        a.jump_if(Cond::Gt, R1, R5, none);
        a.load(Size::W, R2, R2, L3);
        a.be32(R2);
    }

    /// Goes to `fine`, or drops what a DHCP server says.
    fn dhcp_answer(&mut self, allowed: &Allowed, fine: Label) {
        if !allowed.dhcp_server {
            let answer = self.drop(DropReason::DhcpServer);
            self.begins_udp(fine);
            self.ports_v4(answer);
            let (client, server) = DHCP_PORTS;
            let both = both_ports(server, client);
            self.a.jump_if32(Cond::Eq, R2, both, answer);
        }
        self.a.jump(fine);
    }

    /// The source, in R2, isn't one of the host's: it is nobody's while a host asks for one.
    fn dhcp_request(&mut self, fine: Label, spoofed: Label) {
        self.a.jump_if(Cond::Ne, R2, 0, spoofed);
        self.a.load(Size::W, R1, R4, L3 + 16);
        self.a.jump_if32(Cond::Ne, R1, -1, spoofed);
        self.begins_udp(spoofed);
        self.ports_v4(spoofed);
        let (client, server) = DHCP_PORTS;
        let both = both_ports(client, server);
        self.a.jump_if32(Cond::Eq, R2, both, fine);
        self.a.jump(spoofed);
    }

    fn ipv6(&mut self, allowed: &Allowed, sets: &Sets, fine: Label) {
        let spoofed = self.drop(DropReason::SpoofedIpv6);
        let [own, other] = ["own_v6", "other_v6"].map(|name| self.a.label(name));
        self.within(ETH + IPV6_LEN, spoofed);
        let a = &mut *self.a;
        a.load(Size::B, R1, R4, L3);
        a.rsh(R1, 4);
        a.jump_if(Cond::Ne, R1, 6, spoofed);
        a.load(Size::B, R7, R4, L3 + 6);
        a.load(Size::Dw, R2, R4, L3 + 8);
        a.be64(R2);
        a.load(Size::Dw, R3, R4, L3 + 16);
        a.be64(R3);
        let [somebody, nobody] = ["somebody", "nobody"].map(|name| self.a.label(name));
        self.a.jump_if(Cond::Ne, R2, 0, somebody);
        self.a.jump_if(Cond::Eq, R3, 0, nobody);
        self.a.bind(somebody);
        self.which_set(sets);
        self.find_v6(sets, own, other);
        self.a.bind(other);
        self.jump_if_link_local(own);
        self.a.jump(spoofed);
        self.a.bind(own);
        self.upper_v6(allowed, sets, nobody, fine);
    }

    /// The protocol is in R7. A source that is nobody's goes on at `nobody`.
    fn upper_v6(&mut self, allowed: &Allowed, sets: &Sets, nobody: Label, fine: Label) {
        let [deep, udp] = ["deep_v6", "udp_v6"].map(|name| self.a.label(name));
        let a = &mut *self.a;
        a.jump_if(Cond::Eq, R7, i32::from(proto::TCP), fine);
        a.jump_if(Cond::Eq, R7, i32::from(proto::UDP), udp);
        for protocol in EXTENSIONS.into_iter().chain([proto::ICMPV6]) {
            a.jump_if(Cond::Eq, R7, i32::from(protocol), deep);
        }
        a.jump(fine);
        a.bind(udp);
        if !allowed.dhcp_server {
            let answer = self.drop(DropReason::DhcpServer);
            self.within(ETH + IPV6_LEN + 4, answer);
            self.a.load(Size::W, R2, R4, L3 + IPV6_LEN as i16);
            self.a.be32(R2);
            let (client, server) = DHCPV6_PORTS;
            let both = both_ports(server, client);
            self.a.jump_if32(Cond::Eq, R2, both, answer);
        }
        self.a.jump(fine);
        self.deep_v6(allowed, sets, (deep, nobody), fine);
    }

    /// Goes to `own` if the address in R2 and R3 is the link-local one that follows from the source
    /// address in R9. Uses R1; R2 and R3 are kept.
    pub(super) fn jump_if_link_local(&mut self, own: Label) {
        let other = self.a.label("not_link_local");
        let a = &mut *self.a;
        a.load_imm64(R1, 0xfe80 << 48);
        a.jump_if(Cond::Ne, R2, R1, other);
        // aa:bb:cc:dd:ee:ff, as one number, becomes a8bb:ccff:fedd:eeff.
        a.mov(R1, R9);
        a.be64(R1);
        a.rsh(R1, 16);
        a.mov(R0, R1);
        a.rsh(R0, 24);
        a.xor(R0, 0x2_0000);
        a.lsh(R0, 16);
        a.or(R0, 0xfffe);
        a.lsh(R0, 24);
        a.and(R1, 0xff_ffff);
        a.or(R1, R0);
        a.jump_if(Cond::Eq, R3, R1, own);
        a.bind(other);
    }
}

/// Protocol numbers of headers that others follow.
pub(super) const EXTENSIONS: [u8; 5] = [
    extension::HOP_BY_HOP,
    extension::ROUTING,
    extension::FRAGMENT,
    extension::AUTHENTICATION,
    extension::DESTINATION,
];

/// Source and destination port as one number.
pub(super) fn both_ports(source: u16, destination: u16) -> i32 {
    (i32::from(source) << 16) | i32::from(destination)
}
