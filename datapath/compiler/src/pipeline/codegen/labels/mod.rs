//! MPLS labels that come and go (RFC 3032). Unlike what else actions change, these change the frame at
//! once: what is behind them is read from its bytes.
//!
//! The frame's bytes follow the key first, and its VLAN tags come off, to be put on again when the
//! frame leaves. The kernel has no helper that adds or removes four bytes of any frame: room is made
//! at the front, and a label goes by way of a VLAN tag, which is removed.
//!
//! What a copy does with labels is undone at its end, the newest first. A label that was removed
//! comes back with the fields behind it as they were then.

mod bytes;
mod undo;

use aorta_ebpf::{Cond, Reg, Size};
use aorta_flow::field::{EtherType, FieldId};
use aorta_packet::{TPID_8021AD, TPID_8021Q};

use super::{Block, Gen, key};
use crate::pipeline::commit::dirty;
use crate::pipeline::layout::{self, labels, state, vlan};

use Reg::{R1, R2, R3, R7};

/// Bytes of a label.
const LABEL_BYTES: i32 = 4;
/// `vlan_tci` has a tag.
const PRESENT: i32 = 0x1000;
/// A label's bit for the bottom of the stack, its class and its number.
const BOTTOM_SHIFT: i32 = 8;
const CLASS_SHIFT: i32 = 9;
const NUMBER_SHIFT: i32 = 12;
/// Time to live of a label on a packet that has none.
const DEFAULT_TTL: i32 = 64;
/// Explicit-null label of IPv6 (RFC 3032 §2.1); that of IPv4 is 0.
const IPV6_NULL: i32 = 2;

const K: i16 = state::KEY;

/// What is behind the outermost tag or label.
pub(super) fn behind_type() -> impl Iterator<Item = FieldId> {
    super::parse::NETWORK.into_iter().chain([FieldId::ETH_TYPE])
}

impl Gen<'_> {
    /// Adds a label in front of what the packet carries.
    pub(super) fn push_mpls(&mut self, ethertype: u16, site: &super::site::Site) {
        let at = K + labels::TYPE;
        self.a.store(Size::W, R7, at, i32::from(ethertype));
        self.call_block(Block::PushLabel, site);
    }

    /// Removes the outermost label, if there is one; behind it there is this type.
    pub(super) fn pop_mpls(&mut self, ethertype: u16, site: &super::site::Site) {
        let at = K + labels::TYPE;
        self.a.store(Size::W, R7, at, i32::from(ethertype));
        self.call_block(Block::PopLabel, site);
    }

    pub(super) fn begin_labels(&mut self) {
        if self.changes.labels() {
            self.a.store(Size::W, R7, K + labels::LOG, 0);
            self.a.store(Size::W, R7, K + labels::READING, 0);
        }
    }

    pub(super) fn emit_push_label(&mut self) {
        let back = self.block(Block::Return);
        let full = self.block(Block::TooDeep);
        self.a.load(Size::W, R1, R7, key(FieldId::ETH_TYPE));
        for tpid in [TPID_8021Q, TPID_8021AD] {
            // A third tag, which isn't known to be one.
            self.a.jump_if(Cond::Eq, R1, i32::from(tpid), full);
        }
        self.new_label();
        self.call_bare(Block::BareFrame);
        self.place_of_type();
        self.log_push();
        self.longer(LABEL_BYTES);
        self.insert_label();
        self.call_bare(Block::ReadAgain);
        self.a.jump(back);
    }

    pub(super) fn emit_pop_label(&mut self) {
        let back = self.block(Block::Return);
        let labelled = self.a.label("labelled");
        let a = &mut self.a;
        a.load(Size::W, R1, R7, key(FieldId::ETH_TYPE));
        for kind in [EtherType::MPLS, EtherType::MPLS_MULTICAST] {
            a.jump_if(Cond::Eq, R1, i32::from(kind), labelled);
        }
        a.jump(back);
        a.bind(labelled);
        // A label that isn't whole is none.
        a.load(Size::W, R1, R7, state::L3);
        a.jump_if(Cond::Eq, R1, 0, back);
        self.label_of_key();
        self.call_bare(Block::BareFrame);
        self.place_of_label();
        self.log_pop();
        self.longer(-LABEL_BYTES);
        self.remove_label();
        self.call_bare(Block::ReadAgain);
        self.log_fields();
        self.a.jump(back);
    }

    /// The packet becomes longer by so many bytes.
    fn longer(&mut self, bytes: i32) {
        if self.changes.length() {
            let at = K + layout::LENGTH;
            self.a.load(Size::W, R1, R7, at);
            self.a.add(R1, bytes);
            self.a.store(Size::W, R7, at, R1);
        }
    }

    /// ENTRY = the label that the key has.
    fn label_of_key(&mut self) {
        let a = &mut self.a;
        a.load(Size::W, R1, R7, key(FieldId::MPLS_LABEL));
        a.lsh(R1, NUMBER_SHIFT);
        for (field, shift) in [
            (FieldId::MPLS_TC, CLASS_SHIFT),
            (FieldId::MPLS_BOS, BOTTOM_SHIFT),
            (FieldId::MPLS_TTL, 0),
        ] {
            a.load(Size::W, R2, R7, key(field));
            a.lsh(R2, shift);
            a.or(R1, R2);
        }
        a.store(Size::W, R7, K + labels::ENTRY, R1);
    }

    /// ENTRY = the label that is pushed: a copy of the outermost one, or an explicit null with the
    /// packet's own class and time to live.
    fn new_label(&mut self) {
        let names = ["labelled", "ipv4", "ipv6", "ip", "has_ttl", "known"];
        let [labelled, ipv4, ipv6, ip, has_ttl, known] = names.map(|name| self.a.label(name));
        let a = &mut self.a;
        for (kind, label) in [
            (EtherType::MPLS, labelled),
            (EtherType::MPLS_MULTICAST, labelled),
            (EtherType::IPV4, ipv4),
            (EtherType::IPV6, ipv6),
        ] {
            a.jump_if(Cond::Eq, R1, i32::from(kind), label);
        }
        let bottom = 1 << BOTTOM_SHIFT;
        a.store(Size::W, R7, K + labels::ENTRY, bottom | DEFAULT_TTL);
        a.jump(known);
        a.bind(labelled);
        self.label_of_key();
        let a = &mut self.a;
        a.and(R1, !bottom);
        a.store(Size::W, R7, K + labels::ENTRY, R1);
        a.jump(known);
        a.bind(ipv6);
        a.mov(R3, bottom | IPV6_NULL << NUMBER_SHIFT);
        a.jump(ip);
        a.bind(ipv4);
        a.mov(R3, bottom);
        a.bind(ip);
        a.load(Size::W, R1, R7, key(FieldId::NW_TOS));
        a.rsh(R1, 2);
        a.and(R1, 7);
        a.lsh(R1, CLASS_SHIFT);
        a.or(R3, R1);
        a.load(Size::W, R1, R7, key(FieldId::NW_TTL));
        a.jump_if(Cond::Ne, R1, 0, has_ttl);
        a.mov(R1, DEFAULT_TTL);
        a.bind(has_ttl);
        a.or(R3, R1);
        a.store(Size::W, R7, K + labels::ENTRY, R3);
        a.bind(known);
    }

    /// The bytes follow the key, and the frame has no VLAN tag.
    pub(super) fn emit_bare_frame(&mut self) {
        let back = self.block(Block::Return);
        let tci = key(FieldId::VLAN_TCI);
        self.a.store(Size::W, R7, state::NEXT, 0);
        self.call_bare(Block::Sync);
        let a = &mut self.a;
        a.load(Size::W, R1, R7, tci);
        a.store(Size::W, R7, K + labels::TCI, R1);
        let tagged = a.label("tagged");
        a.jump_if(Cond::Set, R1, PRESENT, tagged);
        a.jump(back);
        a.bind(tagged);
        a.store(Size::W, R7, tci, 0);
        self.mark_tags();
        self.a.store(Size::W, R7, state::NEXT, 0);
        self.call_bare(Block::Sync);
        self.a.load(Size::W, R1, R7, K + labels::TCI);
        self.a.store(Size::W, R7, tci, R1);
        self.mark_tags();
        self.a.jump(back);
    }

    fn mark_tags(&mut self) {
        let a = &mut self.a;
        a.load(Size::Dw, R1, R7, state::DIRTY);
        a.or(R1, dirty::VLAN);
        a.store(Size::Dw, R7, state::DIRTY, R1);
    }

    /// Reads all fields anew, but those of the tags that came off.
    pub(super) fn emit_read_again(&mut self) {
        let words = [
            (key(FieldId::VLAN_TCI), labels::TCI),
            (K + vlan::OUTER, labels::OUTER),
            (K + vlan::COUNT, labels::COUNT),
        ];
        let a = &mut self.a;
        for (from, to) in words {
            a.load(Size::W, R1, R7, from);
            a.store(Size::W, R7, K + to, R1);
        }
        a.store(Size::W, R7, state::L3, 0);
        a.store(Size::W, R7, state::L4, 0);
        a.store(Size::W, R7, K + labels::READING, 1);
        if let Some(again) = self.parse_again {
            self.a.jump(again);
        }
    }

    /// Where the fields are known: goes back to who had them read anew.
    pub(super) fn end_reading(&mut self) {
        let first = self.a.label("first_reading");
        let back = self.block(Block::Return);
        let a = &mut self.a;
        a.load(Size::W, R1, R7, K + labels::READING);
        a.jump_if(Cond::Eq, R1, 0, first);
        a.store(Size::W, R7, K + labels::READING, 0);
        for (from, to) in [
            (labels::TCI, key(FieldId::VLAN_TCI)),
            (labels::OUTER, K + vlan::OUTER),
            (labels::COUNT, K + vlan::COUNT),
        ] {
            a.load(Size::W, R1, R7, K + from);
            a.store(Size::W, R7, to, R1);
        }
        a.jump(back);
        a.bind(first);
    }
}
