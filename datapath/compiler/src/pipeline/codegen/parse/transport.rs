//! TCP (RFC 9293), UDP (RFC 768), SCTP (RFC 9260), ICMP (RFC 792, RFC 4443), IGMP (RFC 2236) and
//! neighbour discovery (RFC 4861).

use aorta_ebpf::{Cond, Label, Reg, Size};
use aorta_flow::field::FieldId;
use aorta_packet::proto;

use super::super::{Block, key};
use super::{NEIGHBOUR, Parser, TRANSPORT};
use crate::pipeline::layout::state;

use Reg::{R0, R1, R2, R4, R5, R7, R8, R9};

const TCP_LEN: i32 = 20;
const UDP_LEN: i32 = 8;
const SCTP_LEN: i32 = 12;
const ICMP_LEN: i32 = 8;
/// Neighbour discovery up to its options.
const ND_LEN: i32 = 24;
/// The unit of the lengths of its options.
const ND_UNIT: i32 = 8;
/// Options that are read, at most.
const MAX_ND_OPTIONS: i32 = 4;
/// Types of neighbour discovery.
const ND_SOLICIT: i32 = 135;
const ND_ADVERT: i32 = 136;

impl Parser<'_, '_> {
    /// Where transport headers begin, of IPv6 or IPv4.
    pub(super) fn transport_entry(&mut self, v6: bool) -> Label {
        let entries = self.transport_entries;
        match v6 {
            true => entries.1,
            false => entries.0,
        }
    }

    /// R9 = header, R5 = bytes there, R8 = protocol.
    pub(super) fn transport(&mut self) {
        let [tcp, udp, sctp, icmp, icmpv6] =
            ["tcp", "udp", "sctp", "icmp", "icmpv6"].map(|name| self.code.a.label(name));
        let no_transport = self.no_transport;
        for v6 in [false, true] {
            let entry = self.transport_entry(v6);
            let a = &mut self.code.a;
            a.bind(entry);
            a.jump_if(Cond::Eq, R8, i32::from(proto::TCP), tcp);
            a.jump_if(Cond::Eq, R8, i32::from(proto::UDP), udp);
            match v6 {
                true => a.jump_if(Cond::Eq, R8, i32::from(proto::ICMPV6), icmpv6),
                false => {
                    a.jump_if(Cond::Eq, R8, i32::from(proto::ICMP), icmp);
                    a.jump_if(Cond::Eq, R8, i32::from(proto::IGMP), icmp);
                }
            }
            a.jump_if(Cond::Eq, R8, i32::from(proto::SCTP), sctp);
            if !v6 {
                a.jump(no_transport);
            }
        }
        let parsed = self.parsed;
        self.code.a.bind(no_transport);
        self.zero(&TRANSPORT);
        self.code.a.jump(parsed);
        self.code.a.bind(tcp);
        self.header(TCP_LEN);
        self.tcp_flags();
        self.ports();
        for (label, bytes) in [(udp, UDP_LEN), (sctp, SCTP_LEN)] {
            self.code.a.bind(label);
            self.header(bytes);
            self.zero(&[FieldId::TCP_FLAGS]);
            self.ports();
        }
        self.code.a.bind(icmp);
        self.header(ICMP_LEN);
        self.kind_and_code();
        self.code.a.jump(parsed);
        self.code.a.bind(icmpv6);
        self.header(ICMP_LEN);
        self.kind_and_code();
        if self.wants_any(&NEIGHBOUR) {
            self.neighbour();
        }
        self.code.a.jump(parsed);
    }

    /// The header is whole, or there is none.
    fn header(&mut self, bytes: i32) {
        let no_transport = self.no_transport;
        self.code.a.jump_if(Cond::Lt, R5, bytes, no_transport);
        self.need(bytes, no_transport);
        self.note_offset(state::L4);
    }

    pub(super) fn tcp_flags(&mut self) {
        if self.wants(FieldId::TCP_FLAGS) {
            let a = &mut self.code.a;
            a.load(Size::H, R1, R9, 12);
            a.be16(R1);
            a.and(R1, 0xfff);
            self.store(FieldId::TCP_FLAGS);
        }
    }

    pub(super) fn ports(&mut self) {
        let parsed = self.parsed;
        let (src, dst) = (FieldId::TCP_SRC, FieldId::TCP_DST);
        let a = &mut self.code.a;
        match (self.wanted.contains(&src), self.wanted.contains(&dst)) {
            (true, true) => {
                // One store, because lookups read both at once.
                a.load(Size::H, R1, R9, 2);
                a.be16(R1);
                a.lsh(R1, 32);
                a.load(Size::H, R0, R9, 0);
                a.be16(R0);
                a.or(R1, R0);
                a.store(Size::Dw, R7, key(src), R1);
            }
            (false, false) => {}
            (true, false) => {
                a.load(Size::H, R1, R9, 0);
                a.be16(R1);
                self.store(src);
            }
            (false, true) => {
                a.load(Size::H, R1, R9, 2);
                a.be16(R1);
                self.store(dst);
            }
        }
        self.code.a.jump(parsed);
    }

    fn kind_and_code(&mut self) {
        self.zero(&[FieldId::TCP_FLAGS]);
        self.store_byte(0, FieldId::TCP_SRC);
        self.store_byte(1, FieldId::TCP_DST);
    }

    /// Target and options; none of them if they aren't well formed. R9 = message, R5 = its bytes.
    fn neighbour(&mut self) {
        let [other, malformed, options] =
            ["no_neighbour", "malformed_options", "options"].map(|name| self.code.a.label(name));
        let a = &mut self.code.a;
        a.load(Size::B, R1, R9, 1);
        a.jump_if(Cond::Ne, R1, 0, other);
        a.load(Size::B, R1, R9, 0);
        a.jump_if(Cond::Eq, R1, ND_SOLICIT, options);
        a.jump_if(Cond::Ne, R1, ND_ADVERT, other);
        a.bind(options);
        if self.code.card.is_some() {
            // Cards have no loops.
            let pass = self.code.block(Block::Pass);
            self.code.a.jump(pass);
            return self.code.a.bind(other);
        }
        self.code.a.jump_if(Cond::Lt, R5, ND_LEN, other);
        self.need(ND_LEN, other);
        if self.wants(FieldId::ND_TARGET) {
            for (from, to) in [(8, 8), (16, 0)] {
                let a = &mut self.code.a;
                a.load(Size::Dw, R1, R9, from);
                a.be64(R1);
                a.store(Size::Dw, R7, key(FieldId::ND_TARGET) + to, R1);
            }
        }
        let a = &mut self.code.a;
        a.store(Size::W, R7, state::PARSE_COUNT, MAX_ND_OPTIONS);
        a.sub(R5, ND_LEN);
        a.store(Size::W, R7, state::PARSE_LEFT, R5);
        self.by_way_of_memory(ND_LEN);
        self.nd_option(malformed);
        self.code.a.bind(malformed);
        self.zero(&NEIGHBOUR);
        self.code.a.bind(other);
    }

    /// The options at R9.
    fn nd_option(&mut self, malformed: Label) {
        let parsed = self.parsed;
        let failed = self.code.block(Block::Failed);
        let [target, next] = ["target_link", "next_option"].map(|name| self.code.a.label(name));
        let option = self.code.a.here("option");
        let a = &mut self.code.a;
        a.load(Size::W, R1, R7, state::PARSE_COUNT);
        a.jump_if(Cond::Eq, R1, 0, parsed);
        a.sub(R1, 1);
        a.store(Size::W, R7, state::PARSE_COUNT, R1);
        a.load(Size::W, R5, R7, state::PARSE_LEFT);
        a.jump_if(Cond::Lt, R5, ND_UNIT, parsed);
        self.need(ND_UNIT, parsed);
        let a = &mut self.code.a;
        a.load(Size::B, R4, R9, 1);
        a.jump_if(Cond::Eq, R4, 0, malformed);
        a.lsh(R4, 3);
        a.jump_if(Cond::Gt, R4, R5, malformed);
        a.sub(R5, R4);
        a.store(Size::W, R7, state::PARSE_LEFT, R5);
        a.mov(R0, R9);
        a.sub(R0, R2);
        a.add(R0, R4);
        a.store(Size::W, R7, state::PARSE_OFFSET, R0);
        a.jump_if(Cond::Ne, R4, ND_UNIT, next);
        a.load(Size::B, R1, R9, 0);
        a.jump_if(Cond::Eq, R1, 2, target);
        a.jump_if(Cond::Ne, R1, 1, next);
        self.store_link(FieldId::ARP_SHA);
        self.code.a.jump(next);
        self.code.a.bind(target);
        self.store_link(FieldId::ARP_THA);
        self.code.a.bind(next);
        self.load_place();
        self.code.a.may_goto(failed);
        self.code.a.jump(option);
    }

    /// The address in the option at R9.
    fn store_link(&mut self, field: FieldId) {
        if self.wants(field) {
            let a = &mut self.code.a;
            a.load(Size::Dw, R1, R9, 0);
            a.be64(R1);
            a.lsh(R1, 16);
            a.rsh(R1, 16);
            self.store(field);
        }
    }
}
