//! Ethernet (IEEE 802.3), VLAN tags (IEEE 802.1Q), LLC and SNAP (RFC 1042).

use aorta_ebpf::{Cond, Label, Reg, Size};
use aorta_flow::field::FieldId;
use aorta_packet::{ETH_HEADER_LEN, ETHERTYPE_NONE, TPID_8021AD, TPID_8021Q, VLAN_TAG_LEN};

use super::super::{Block, hook};
use super::Parser;
use crate::pipeline::Hook;
use crate::pipeline::layout::{state, vlan};

use Reg::{R0, R1, R2, R3, R4, R7, R8, R9};

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
        let kind = self.code.hook;
        let labels = self.code.changes.labels();
        let give_up = labels.then(|| self.code.block(Block::TooDeep));
        let a = &mut self.code.a;
        a.bind(again);
        if let Some(give_up) = give_up {
            a.may_goto(give_up);
        }
        hook::load_frame(a, kind, R2, R3);
        a.mov(R9, R2);
        a.add(R9, ETH_HEADER_LEN as i32);
        a.jump_if(Cond::Gt, R9, R3, short);
        self.store_mac(R2, 0, FieldId::ETH_DST);
        self.store_source();
        if self.wants_any(&[FieldId::ETH_TYPE, FieldId::VLAN_TCI]) || self.behind_type() {
            self.link_type();
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

    /// R8 = type, R9 = what is behind it, for frames without tags within and without LLC. The kernel
    /// keeps the outer tag beside the frame.
    fn link_type(&mut self) {
        let a = &mut self.code.a;
        a.load(Size::H, R8, R2, 12);
        a.be16(R8);
        if self.code.hook == Hook::Xdp {
            self.no_outer_tag();
        } else if self.wants(FieldId::VLAN_TCI) || self.code.changes.tags() {
            let [untagged, known] = ["untagged", "tag_known"].map(|name| self.code.a.label(name));
            hook::jump_if_no_tag(&mut self.code.a, untagged);
            hook::load_tci(&mut self.code.a, R1);
            if self.code.changes.tags() {
                hook::load_tpid(&mut self.code.a, R0);
            }
            self.outer_tag();
            self.code.a.jump(known);
            self.code.a.bind(untagged);
            self.no_outer_tag();
            self.code.a.bind(known);
        }
        self.store_type();
    }

    pub(super) fn store_type(&mut self) {
        if self.wants(FieldId::ETH_TYPE) {
            self.code.a.mov(R1, R8);
            self.store(FieldId::ETH_TYPE);
        }
    }

    /// Goes to `rare` if the type in R8 is a tag's or a length.
    pub(super) fn jump_if_rare(&mut self, rare: Label) {
        self.jump_if_tag(rare);
        self.code.a.jump_if(Cond::Lt, R8, MIN_ETHERTYPE, rare);
    }

    /// Tags within the frame, LLC and SNAP; goes on with the type in R8 and what is behind it at R9,
    /// stored anew.
    pub(super) fn rare_link(&mut self, typed: Label) {
        let [first, second, llc, read] =
            ["first_tag", "second_tag", "llc", "link_read"].map(|name| self.code.a.label(name));
        if self.code.hook == Hook::Tc {
            hook::jump_if_no_tag(&mut self.code.a, first);
            self.code.a.jump(second);
        }
        self.code.a.bind(first);
        self.skip_unless_tag(llc);
        self.need(VLAN_TAG_LEN as i32, read);
        self.tag_in_band();
        self.outer_tag();
        self.next_type();
        self.code.a.bind(second);
        self.skip_unless_tag(llc);
        self.need(VLAN_TAG_LEN as i32, read);
        if self.code.changes.tags() {
            self.tag_in_band();
            let a = &mut self.code.a;
            a.lsh(R0, 16);
            a.or(R1, R0);
            a.store(Size::W, R7, state::KEY + vlan::INNER, R1);
            a.store(Size::W, R7, state::KEY + vlan::COUNT, 1);
        }
        self.next_type();
        self.code.a.bind(llc);
        self.llc(read);
        self.code.a.bind(read);
        self.store_type();
        self.by_way_of_memory(0);
        self.code.a.jump(typed);
    }

    /// LLC and SNAP, if the number in R8 is a length.
    fn llc(&mut self, read: Label) {
        let none = self.code.a.label("no_type");
        self.code.a.jump_if(Cond::Ge, R8, MIN_ETHERTYPE, read);
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
        a.jump(read);
        a.bind(none);
        a.mov(R8, i32::from(ETHERTYPE_NONE));
    }

    fn jump_if_tag(&mut self, tag: Label) {
        for tpid in [TPID_8021Q, TPID_8021AD] {
            self.code.a.jump_if(Cond::Eq, R8, i32::from(tpid), tag);
        }
    }

    fn skip_unless_tag(&mut self, other: Label) {
        let tag = self.code.a.label("tag");
        self.jump_if_tag(tag);
        self.code.a.jump(other);
        self.code.a.bind(tag);
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
            a.mov(R4, R1);
            a.and(R4, PRESENT);
            a.or(R0, R4);
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
}
