//! IPv4 (RFC 791) and IPv6 (RFC 8200).

use aorta_ebpf::{Cond, Label, Reg, Size};
use aorta_flow::field::{EtherType, FieldId};
use aorta_packet::proto;

use super::{MPLS, NEIGHBOUR, NETWORK, Parser};
use crate::pipeline::layout::state;

use super::super::{Block, key};
use Reg::{R0, R1, R2, R4, R5, R7, R8, R9};

const IPV4_LEN: i32 = 20;
const IPV6_LEN: i32 = 40;
/// More fragments, and the offset, in IPv4's fragment word.
const FRAGMENT_WORD: i32 = 0x3fff;
const FRAGMENT_OFFSET: i32 = 0x1fff;
/// Bits of `ip_frag`.
const FRAGMENT: i32 = 1;
const LATER: i32 = 3;
/// Extension headers that are read, at most.
const MAX_EXTENSIONS: i32 = 6;
/// The unit of their lengths.
const UNIT: i32 = 8;

impl Parser<'_, '_> {
    /// By the type in R8, what is at R9.
    pub(super) fn network(&mut self) {
        let behind = self.behind_type();
        let tags_or_type = self.wants_any(&[FieldId::ETH_TYPE, FieldId::VLAN_TCI]);
        let parsed = self.parsed;
        let labels = ["ipv4", "ipv6", "arp", "mpls", "typed", "rare"];
        let [ipv4, ipv6, arp, mpls, typed, rare] = labels.map(|name| self.code.a.label(name));
        if !behind {
            if tags_or_type {
                self.jump_if_rare(rare);
                self.code.a.jump(parsed);
                self.code.a.bind(rare);
                self.rare_link(parsed);
            } else {
                self.code.a.jump(parsed);
            }
            return;
        }
        self.code
            .a
            .jump_if(Cond::Ne, R8, i32::from(EtherType::IPV4), typed);
        self.plain_ipv4(ipv4);
        self.code.a.bind(ipv4);
        self.ipv4();
        self.code.a.bind(typed);
        self.code
            .a
            .jump_if(Cond::Eq, R8, i32::from(EtherType::IPV6), ipv6);
        self.jump_if_rare(rare);
        let again = self.code.a.here("behind_tags");
        let types = [
            (EtherType::IPV4, ipv4),
            (EtherType::IPV6, ipv6),
            (EtherType::ARP, arp),
            (EtherType::RARP, arp),
            (EtherType::MPLS, mpls),
            (EtherType::MPLS_MULTICAST, mpls),
        ];
        for (kind, label) in types {
            self.code.a.jump_if(Cond::Eq, R8, i32::from(kind), label);
        }
        self.code.a.bind(self.no_network);
        self.zero(&NETWORK);
        self.code.a.jump(parsed);
        self.code.a.bind(ipv6);
        self.ipv6();
        self.code.a.bind(arp);
        self.arp();
        self.code.a.bind(mpls);
        self.mpls();
        self.code.a.bind(rare);
        self.rare_link(again);
        if self.wants_transport() {
            self.transport();
        }
    }

    /// The same registers are behind a header that is whole: R9 = transport header, R5 = bytes that
    /// IP carries from there on, R8 = protocol.
    fn ipv4(&mut self) {
        let no_network = self.no_network;
        self.need(IPV4_LEN, no_network);
        let a = &mut self.code.a;
        a.load(Size::B, R4, R9, 0);
        a.mov(R1, R4);
        a.rsh(R1, 4);
        a.jump_if(Cond::Ne, R1, 4, no_network);
        a.and(R4, 0xf);
        a.lsh(R4, 2);
        a.jump_if(Cond::Lt, R4, IPV4_LEN, no_network);
        a.load(Size::H, R5, R9, 2);
        a.be16(R5);
        a.jump_if(Cond::Gt, R4, R5, no_network);
        self.bytes_there(R0);
        self.code.a.jump_if(Cond::Gt, R5, R0, no_network);
        self.note_offset(state::L3);
        self.store_addresses(12, 16);
        self.store_byte(1, FieldId::NW_TOS);
        self.store_byte(8, FieldId::NW_TTL);
        self.zero(&[FieldId::IPV6_SRC, FieldId::IPV6_DST, FieldId::IPV6_LABEL]);
        self.zero(&NEIGHBOUR);
        self.zero(&MPLS);
        self.code.a.load(Size::B, R8, R9, 9);
        self.store_proto();
        self.ipv4_fragment();
        if self.wants_transport() {
            self.code.a.add(R9, R4);
            self.code.a.sub(R5, R4);
            let transport = self.transport_entry(false);
            self.code.a.jump(transport);
        } else {
            let parsed = self.parsed;
            self.code.a.jump(parsed);
        }
    }

    pub(super) fn store_proto(&mut self) {
        if self.wants(FieldId::NW_PROTO) {
            self.code.a.store(Size::W, R7, key(FieldId::NW_PROTO), R8);
        }
    }

    pub(super) fn store_fragment(&mut self, bits: i32) {
        if self.wants(FieldId::IP_FRAG) {
            self.code.a.store(Size::W, R7, key(FieldId::IP_FRAG), bits);
        }
    }

    fn ipv4_fragment(&mut self) {
        if !self.wants(FieldId::IP_FRAG) && !self.wants_transport() {
            return;
        }
        let [whole, known, first] = ["whole", "known", "first"].map(|name| self.code.a.label(name));
        let a = &mut self.code.a;
        a.load(Size::H, R1, R9, 6);
        a.be16(R1);
        a.and(R1, FRAGMENT_WORD);
        a.jump_if(Cond::Eq, R1, 0, whole);
        a.and(R1, FRAGMENT_OFFSET);
        a.jump_if(Cond::Eq, R1, 0, first);
        self.store_fragment(LATER);
        let to = if self.wants_transport() {
            self.no_transport
        } else {
            known
        };
        self.code.a.jump(to);
        self.code.a.bind(first);
        self.store_fragment(FRAGMENT);
        self.code.a.jump(known);
        self.code.a.bind(whole);
        self.store_fragment(0);
        self.code.a.bind(known);
    }

    fn ipv6(&mut self) {
        let no_network = self.no_network;
        self.need(IPV6_LEN, no_network);
        let a = &mut self.code.a;
        a.load(Size::B, R1, R9, 0);
        a.rsh(R1, 4);
        a.jump_if(Cond::Ne, R1, 6, no_network);
        a.load(Size::H, R5, R9, 4);
        a.be16(R5);
        self.bytes_there(R0);
        let a = &mut self.code.a;
        a.mov(R1, R5);
        a.add(R1, IPV6_LEN);
        a.jump_if(Cond::Gt, R1, R0, no_network);
        self.note_offset(state::L3);
        for (at, field) in [(8, FieldId::IPV6_SRC), (24, FieldId::IPV6_DST)] {
            if self.wants(field) {
                // The more significant half comes first in the frame, last in the key.
                for (from, to) in [(at, 8), (at + 8, 0)] {
                    self.code.a.load(Size::Dw, R1, R9, from);
                    self.code.a.be64(R1);
                    self.code.a.store(Size::Dw, R7, key(field) + to, R1);
                }
            }
        }
        self.ipv6_first_word();
        self.store_byte(7, FieldId::NW_TTL);
        self.zero(&[FieldId::IP_SRC, FieldId::IP_DST]);
        self.zero(&NEIGHBOUR);
        self.zero(&MPLS);
        self.store_fragment(0);
        self.code.a.load(Size::B, R8, R9, 6);
        self.code.a.add(R9, IPV6_LEN);
        self.extensions();
    }

    fn ipv6_first_word(&mut self) {
        if self.wants(FieldId::NW_TOS) || self.wants(FieldId::IPV6_LABEL) {
            let a = &mut self.code.a;
            a.load(Size::W, R0, R9, 0);
            a.be32(R0);
            a.mov(R1, R0);
            a.and(R1, 0xf_ffff);
            self.store(FieldId::IPV6_LABEL);
            let a = &mut self.code.a;
            a.mov(R1, R0);
            a.rsh(R1, 20);
            a.and(R1, 0xff);
            self.store(FieldId::NW_TOS);
        }
    }

    /// Extension headers, as far as they are whole.
    fn extensions(&mut self) {
        let [read, own, next] =
            ["extensions_read", "extension", "next_extension"].map(|n| self.code.a.label(n));
        let first = match self.code.card {
            Some(_) => self.code.block(Block::Pass),
            None => own,
        };
        for header in [
            proto::HOP_BY_HOP,
            proto::ROUTING,
            proto::FRAGMENT,
            proto::AUTHENTICATION,
            proto::DESTINATION,
        ] {
            self.code.a.jump_if(Cond::Eq, R8, i32::from(header), first);
        }
        let behind = self.code.a.here("behind_extensions");
        self.store_proto();
        match self.wants_transport() {
            true => {
                let transport = self.transport_entry(true);
                self.code.a.jump(transport);
            }
            false => {
                let parsed = self.parsed;
                self.code.a.jump(parsed);
            }
        }
        if self.code.card.is_some() {
            return;
        }
        self.code.a.bind(first);
        let a = &mut self.code.a;
        a.store(Size::W, R7, state::PARSE_COUNT, MAX_EXTENSIONS);
        a.store(Size::W, R7, state::PARSE_LEFT, R5);
        self.by_way_of_memory(0);
        self.code.a.bind(next);
        self.extension(next, read);
        self.code.a.bind(read);
        self.by_way_of_memory(0);
        self.code.a.load(Size::W, R5, R7, state::PARSE_LEFT);
        self.code.a.jump(behind);
    }

    /// The extension header at R9 whose type is R8, if it is one: R8, R9 and what is left move behind
    /// it, to `next`. Goes to `read` if it can't be passed.
    fn extension(&mut self, next: Label, read: Label) {
        let [fragment, known, units, authentication] =
            ["fragment", "length", "units", "authentication"].map(|n| self.code.a.label(n));
        let failed = self.code.block(Block::Failed);
        let a = &mut self.code.a;
        a.load(Size::W, R1, R7, state::PARSE_COUNT);
        a.jump_if(Cond::Eq, R1, 0, read);
        a.sub(R1, 1);
        a.store(Size::W, R7, state::PARSE_COUNT, R1);
        a.load(Size::W, R5, R7, state::PARSE_LEFT);
        a.jump_if(Cond::Lt, R5, UNIT, read);
        self.need(UNIT, read);
        let a = &mut self.code.a;
        a.load(Size::B, R4, R9, 1);
        for header in [proto::HOP_BY_HOP, proto::ROUTING, proto::DESTINATION] {
            a.jump_if(Cond::Eq, R8, i32::from(header), units);
        }
        a.jump_if(Cond::Eq, R8, i32::from(proto::FRAGMENT), fragment);
        a.jump_if(
            Cond::Eq,
            R8,
            i32::from(proto::AUTHENTICATION),
            authentication,
        );
        a.jump(read);
        a.bind(authentication);
        a.add(R4, 2);
        a.lsh(R4, 2);
        a.jump(known);
        a.bind(fragment);
        self.ipv6_fragment(read);
        self.code.a.mov(R4, UNIT);
        self.code.a.jump(known);
        let a = &mut self.code.a;
        a.bind(units);
        a.add(R4, 1);
        a.lsh(R4, 3);
        a.bind(known);
        a.jump_if(Cond::Gt, R4, R5, read);
        a.sub(R5, R4);
        a.store(Size::W, R7, state::PARSE_LEFT, R5);
        a.load(Size::B, R1, R9, 0);
        a.store(Size::W, R7, state::PARSE_TYPE, R1);
        a.sub(R9, R2);
        a.add(R9, R4);
        a.store(Size::W, R7, state::PARSE_OFFSET, R9);
        self.load_place();
        self.code.a.may_goto(failed);
        self.code.a.jump(next);
    }

    /// A fragment header at R9; ends what can be read if it isn't the first fragment.
    fn ipv6_fragment(&mut self, read: Label) {
        let [later, done, whole] =
            ["later", "fragment_read", "not_cut"].map(|name| self.code.a.label(name));
        let a = &mut self.code.a;
        a.load(Size::H, R1, R9, 2);
        a.be16(R1);
        a.mov(R0, R1);
        a.rsh(R0, 3);
        a.jump_if(Cond::Ne, R0, 0, later);
        a.and(R1, 1);
        a.jump_if(Cond::Eq, R1, 0, whole);
        self.store_fragment(FRAGMENT);
        self.code.a.jump(done);
        self.code.a.bind(later);
        self.store_fragment(LATER);
        // Its protocol is that of the header, which has no ports.
        self.code.a.jump(read);
        self.code.a.bind(whole);
        self.store_fragment(0);
        self.code.a.bind(done);
    }

    /// MPLS (RFC 3032 §2.1): the outermost label.
    fn mpls(&mut self) {
        let no_network = self.no_network;
        let parsed = self.parsed;
        self.need(4, no_network);
        self.note_offset(state::L3);
        let others: Vec<FieldId> = NETWORK
            .into_iter()
            .filter(|field| !MPLS.contains(field))
            .collect();
        self.zero(&others);
        let a = &mut self.code.a;
        a.load(Size::W, R0, R9, 0);
        a.be32(R0);
        let parts = [(12, 0xf_ffff), (9, 7), (8, 1), (0, 0xff)];
        for (field, (shift, mask)) in MPLS.into_iter().zip(parts) {
            let a = &mut self.code.a;
            a.mov(R1, R0);
            if shift > 0 {
                a.rsh(R1, shift);
            }
            a.and(R1, mask);
            self.store(field);
        }
        self.code.a.jump(parsed);
    }
}
