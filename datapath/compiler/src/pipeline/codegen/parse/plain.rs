//! The most frequent frames, read with fewer questions: IPv4 without options, whole, and if anything
//! asks for transport headers TCP or UDP with all of them there. Everything else is read by the code
//! that follows, which would come to the same.

use aorta_ebpf::{Cond, Label, Reg, Size};
use aorta_flow::field::FieldId;
use aorta_packet::{ETH_HEADER_LEN, proto};

use super::super::{hook, key};
use super::{MPLS, NEIGHBOUR, Parser};
use crate::pipeline::layout::state;

use Reg::{R0, R1, R3, R5, R7, R8, R9};

const IPV4_LEN: i32 = 20;
/// Of TCP without options; UDP's is within.
const TRANSPORT_LEN: i32 = 20;
/// Version and header length.
const NO_OPTIONS: i32 = 0x45;
/// More fragments, and the offset, in the fragment word as it is on the wire.
const FRAGMENT_WORD: i32 = 0x3fff_u16.to_be() as i32;

impl Parser<'_, '_> {
    /// Reads the IPv4 header at R9, which is behind an Ethernet header without tags within, and the
    /// transport header; goes to `other` if anything about them is unusual, with R9 as it was.
    /// Uses R0, R1, R5, R8.
    pub(super) fn plain_ipv4(&mut self, other: Label) {
        let transport = self.wants_transport();
        let bytes = IPV4_LEN + if transport { TRANSPORT_LEN } else { 0 };
        let kind = self.code.hook;
        let a = &mut self.code.a;
        a.mov(R1, R9);
        a.add(R1, bytes);
        a.jump_if(Cond::Gt, R1, R3, other);
        a.load(Size::B, R1, R9, 0);
        a.jump_if(Cond::Ne, R1, NO_OPTIONS, other);
        a.load(Size::H, R5, R9, 2);
        a.be16(R5);
        a.jump_if(Cond::Lt, R5, bytes, other);
        hook::load_len(a, kind, R0);
        a.sub(R0, ETH_HEADER_LEN as i32);
        a.jump_if(Cond::Gt, R5, R0, other);
        if transport || self.wants(FieldId::IP_FRAG) {
            let a = &mut self.code.a;
            a.load(Size::H, R1, R9, 6);
            a.jump_if(Cond::Set, R1, FRAGMENT_WORD, other);
        }
        if transport || self.wants(FieldId::NW_PROTO) {
            self.code.a.load(Size::B, R8, R9, 9);
        }
        if transport {
            let known = self.code.a.label("tcp_or_udp");
            let a = &mut self.code.a;
            a.jump_if(Cond::Eq, R8, i32::from(proto::TCP), known);
            a.jump_if(Cond::Ne, R8, i32::from(proto::UDP), other);
            a.bind(known);
        }
        self.plain_fields();
        match transport {
            true => self.plain_transport(),
            false => {
                let parsed = self.parsed;
                self.code.a.jump(parsed);
            }
        }
    }

    fn plain_fields(&mut self) {
        if self.offsets {
            let a = &mut self.code.a;
            a.store(Size::W, R7, state::L3, ETH_HEADER_LEN as i32);
            a.store(Size::W, R7, state::L4, ETH_HEADER_LEN as i32 + IPV4_LEN);
        }
        self.store_addresses(12, 16);
        self.store_byte(1, FieldId::NW_TOS);
        self.store_byte(8, FieldId::NW_TTL);
        self.zero(&[FieldId::IPV6_SRC, FieldId::IPV6_DST, FieldId::IPV6_LABEL]);
        self.zero(&NEIGHBOUR);
        self.zero(&MPLS);
        self.store_proto();
        self.store_fragment(0);
    }

    fn plain_transport(&mut self) {
        self.code.a.add(R9, IPV4_LEN);
        if self.wants(FieldId::TCP_FLAGS) {
            let stored = self.code.a.label("flags_stored");
            let a = &mut self.code.a;
            a.store(Size::W, R7, key(FieldId::TCP_FLAGS), 0);
            a.jump_if(Cond::Ne, R8, i32::from(proto::TCP), stored);
            self.tcp_flags();
            self.code.a.bind(stored);
        }
        self.ports();
    }
}
