//! Ethernet (IEEE 802.3), VLAN tags (IEEE 802.1Q), LLC and SNAP (RFC 1042).

use aorta_ebpf::{Cond, Label, Reg, Size};
use aorta_flow::field::FieldId;
use aorta_packet::{ETH_HEADER_LEN, ETHERTYPE_NONE, TPID_8021AD, TPID_8021Q, VLAN_TAG_LEN};

use super::super::{Block, hook};
use super::{NETWORK, Parser};
use crate::pipeline::layout::{state, vlan};

use Reg::{R0, R1, R2, R3, R7, R8, R9};

/// Bit of `vlan_tci` that says that there is a tag.
const PRESENT: i32 = 0x1000;
/// Lower numbers in the place of the type are lengths.
const MIN_ETHERTYPE: i32 = 0x600;
/// First six bytes of LLC and SNAP, as two numbers that a load gives.
const SNAP_LOW: i32 = 0x0003_aaaa;
/// Bytes of LLC and SNAP with the type.
const SNAP_BYTES: i32 = 8;

impl Parser<'_, '_> {
    /// Addresses, tags and type.
    pub(super) fn link(&mut self) {
        let malformed = self.code.block(Block::Malformed);
        let again = self.again;
        let short = self.short_of(malformed);
        let a = &mut self.code.a;
        a.bind(again);
        hook::load_frame(a, R2, R3);
        a.mov(R9, R2);
        a.add(R9, ETH_HEADER_LEN as i32);
        a.jump_if(Cond::Gt, R9, R3, short);
        self.store_mac(R2, 0, FieldId::ETH_DST);
        self.store_source();
        let tags = self.wants(FieldId::VLAN_TCI);
        if self.wants(FieldId::ETH_TYPE) || tags || self.behind_type() {
            self.tags();
            self.link_type();
        } else {
            let parsed = self.parsed;
            self.code.a.jump(parsed);
        }
    }

    /// The source is the end of what is known to be there.
    fn store_source(&mut self) {
        if self.wants(FieldId::ETH_SRC) {
            let a = &mut self.code.a;
            a.load(Size::Dw, R1, R2, 4);
            a.be64(R1);
            a.lsh(R1, 16);
            a.rsh(R1, 16);
            self.store(FieldId::ETH_SRC);
        }
    }

    /// R8 = type behind at most two tags, R9 = what is behind the type. The kernel usually keeps the
    /// outer tag beside the frame.
    fn tags(&mut self) {
        let [untagged, second, first, typed] =
            ["untagged", "second_tag", "first_tag", "type"].map(|name| self.code.a.label(name));
        let a = &mut self.code.a;
        a.load(Size::H, R8, R2, 12);
        a.be16(R8);
        hook::jump_if_no_tag(a, untagged);
        hook::load_tci(a, R1);
        if self.code.changes.tags() {
            hook::load_tpid(&mut self.code.a, R0);
        }
        self.outer_tag();
        self.jump_if_tag(second);
        self.code.a.jump(typed);

        self.code.a.bind(untagged);
        self.jump_if_tag(first);
        self.no_outer_tag();
        self.code.a.jump(typed);

        self.code.a.bind(first);
        let no_first = self.code.a.label("no_first_tag");
        self.need(VLAN_TAG_LEN as i32, no_first);
        self.tag_in_band();
        self.outer_tag();
        self.next_type();
        self.jump_if_tag(second);
        self.code.a.jump(typed);
        self.code.a.bind(no_first);
        self.no_outer_tag();
        self.code.a.jump(typed);

        self.code.a.bind(second);
        self.need(VLAN_TAG_LEN as i32, typed);
        if self.code.changes.tags() {
            self.tag_in_band();
            let a = &mut self.code.a;
            a.lsh(R0, 16);
            a.or(R1, R0);
            a.store(Size::W, R7, state::KEY + vlan::INNER, R1);
            a.store(Size::W, R7, state::KEY + vlan::COUNT, 1);
        }
        self.next_type();
        self.code.a.bind(typed);
    }

    fn jump_if_tag(&mut self, tag: Label) {
        for tpid in [TPID_8021Q, TPID_8021AD] {
            self.code.a.jump_if(Cond::Eq, R8, i32::from(tpid), tag);
        }
    }

    /// R1 = tag control information of the tag at R9, R0 = its protocol identifier.
    fn tag_in_band(&mut self) {
        let a = &mut self.code.a;
        a.mov(R0, R8);
        a.load(Size::H, R1, R9, 0);
        a.be16(R1);
    }

    /// R8 = type behind the tag at R9, which moves behind it.
    fn next_type(&mut self) {
        let a = &mut self.code.a;
        a.load(Size::H, R8, R9, 2);
        a.be16(R8);
        a.add(R9, VLAN_TAG_LEN as i32);
    }

    /// The outer tag has the control information R1 and the protocol R0.
    fn outer_tag(&mut self) {
        if self.code.changes.tags() {
            let a = &mut self.code.a;
            a.lsh(R0, 16);
            a.mov(Reg::R4, R1);
            a.and(Reg::R4, PRESENT);
            a.or(R0, Reg::R4);
            a.store(Size::W, R7, state::KEY + vlan::OUTER, R0);
            a.store(Size::W, R7, state::KEY + vlan::COUNT, 0);
        }
        if self.wants(FieldId::VLAN_TCI) {
            self.code.a.or(R1, PRESENT);
            self.store(FieldId::VLAN_TCI);
        }
    }

    fn no_outer_tag(&mut self) {
        if self.code.changes.tags() {
            let a = &mut self.code.a;
            a.store(Size::W, R7, state::KEY + vlan::OUTER, 0);
            a.store(Size::W, R7, state::KEY + vlan::COUNT, 0);
        }
        self.zero(&[FieldId::VLAN_TCI]);
    }

    /// Stores the type that is in R8, or the one of SNAP behind a length.
    fn link_type(&mut self) {
        let [length, none, typed] =
            ["length", "no_type", "ethertype"].map(|name| self.code.a.label(name));
        self.code.a.jump_if(Cond::Lt, R8, MIN_ETHERTYPE, length);
        self.code.a.bind(typed);
        if self.wants(FieldId::ETH_TYPE) {
            self.code.a.mov(R1, R8);
            self.store(FieldId::ETH_TYPE);
        }
        let next = if self.behind_type() {
            self.typed
        } else {
            self.parsed
        };
        self.code.a.jump(next);

        self.code.a.bind(length);
        self.need(SNAP_BYTES, none);
        let a = &mut self.code.a;
        a.load(Size::W, R1, R9, 0);
        a.jump_if(Cond::Ne, R1, SNAP_LOW, none);
        a.load(Size::H, R1, R9, 4);
        a.jump_if(Cond::Ne, R1, 0, none);
        a.load(Size::H, R1, R9, 6);
        a.be16(R1);
        a.jump_if(Cond::Lt, R1, MIN_ETHERTYPE, none);
        a.mov(R8, R1);
        a.add(R9, SNAP_BYTES);
        a.jump(typed);
        a.bind(none);
        a.mov(R1, i32::from(ETHERTYPE_NONE));
        self.store(FieldId::ETH_TYPE);
        self.zero(&NETWORK);
        let parsed = self.parsed;
        self.code.a.jump(parsed);
    }
}
