//! MPLS labels that come and go (RFC 3032). Unlike what else actions change, these change the frame at
//! once: what is behind them is read from its bytes.
//!
//! The frame's bytes follow the key first, and its VLAN tags come off, to be put on again when the
//! frame leaves. The kernel has no helper that adds or removes four bytes of any frame: room is made
//! at the front, and a label goes by way of a VLAN tag, which is removed.
//!
//! What a copy does with labels is undone at its end, the newest first. A label that was removed
//! comes back with the fields behind it as they were then.

use aorta_ebpf::{Cond, Helper, Label, Reg, Size};
use aorta_flow::field::{EtherType, FieldId};
use aorta_packet::{TPID_8021AD, TPID_8021Q};

use super::{Block, Gen, key};
use crate::pipeline::commit::dirty;
use crate::pipeline::layout::{self, labels, state, vlan};
use crate::skb;

use Reg::{R0, R1, R2, R3, R4, R5, R6, R7, R9};

/// Bytes of a label.
const LABEL_BYTES: i32 = 4;
/// Offset of what is behind the type: of Ethernet, and behind 802.2 SNAP (RFC 1042).
const ETHERNET: i32 = 14;
const SNAP: i32 = 22;
/// Lower numbers in the place of the type are lengths.
const MIN_ETHERTYPE: i32 = 0x600;
/// The type of frames that have none.
const NO_TYPE: i32 = aorta_packet::ETHERTYPE_NONE as i32;
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
/// `BPF_F_RECOMPUTE_CSUM`: a device's checksum over the whole frame follows.
const RECOMPUTE_CSUM: i32 = 1;
/// Where bytes are put together that go into the frame: the last 4 or 12 of what is removed.
const BYTES: i16 = state::COMMIT_AT + 6;

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

    /// R1 = the frame's first byte, of which `bytes` can be read. Uses R2, R3.
    fn first_byte(&mut self, bytes: i32) {
        let failed = self.block(Block::Failed);
        let a = &mut self.a;
        a.load(Size::W, R1, R6, skb::DATA);
        a.load(Size::W, R3, R6, skb::DATA_END);
        a.mov(R2, R1);
        a.add(R2, bytes);
        a.jump_if(Cond::Gt, R2, R3, failed);
    }

    /// AT = where the type ends in a frame without tags, by the type that the key has.
    fn place_of_type(&mut self) {
        let [plain, known] = ["plain", "place_known"].map(|name| self.a.label(name));
        self.first_byte(ETHERNET);
        let a = &mut self.a;
        a.load(Size::H, R2, R1, ETHERNET as i16 - 2);
        a.be16(R2);
        a.jump_if(Cond::Ge, R2, MIN_ETHERTYPE, plain);
        a.load(Size::W, R2, R7, key(FieldId::ETH_TYPE));
        a.jump_if(Cond::Eq, R2, NO_TYPE, plain);
        a.store(Size::W, R7, K + labels::AT, SNAP);
        a.jump(known);
        a.bind(plain);
        a.store(Size::W, R7, K + labels::AT, ETHERNET);
        a.bind(known);
    }

    /// The same of a frame with a label.
    fn place_of_label(&mut self) {
        let known = self.a.label("place_known");
        self.first_byte(ETHERNET);
        let a = &mut self.a;
        a.store(Size::W, R7, K + labels::AT, ETHERNET);
        a.load(Size::H, R2, R1, ETHERNET as i16 - 2);
        a.be16(R2);
        a.jump_if(Cond::Ge, R2, MIN_ETHERTYPE, known);
        a.store(Size::W, R7, K + labels::AT, SNAP);
        a.bind(known);
    }

    /// Goes to the code for the place of the type.
    fn by_place(&mut self, code: impl Fn(&mut Self, i32)) {
        let [snap, done] = ["snap", "changed"].map(|name| self.a.label(name));
        self.a.load(Size::W, R1, R7, K + labels::AT);
        self.a.jump_if(Cond::Eq, R1, SNAP, snap);
        code(self, ETHERNET);
        self.a.jump(done);
        self.a.bind(snap);
        code(self, SNAP);
        self.a.bind(done);
    }

    /// Adds the label of ENTRY with the type of TYPE, at AT.
    fn insert_label(&mut self) {
        let failed = self.block(Block::Failed);
        let a = &mut self.a;
        a.mov(R1, R6);
        a.mov(R2, LABEL_BYTES);
        a.mov(R3, 0);
        a.call(Helper::SkbChangeHead);
        a.jump_if(Cond::Ne, R0, 0, failed);
        self.by_place(Self::move_to_front);
    }

    /// The room at the front goes behind the type that ends at `at`.
    fn move_to_front(&mut self, at: i32) {
        self.first_byte(at + LABEL_BYTES);
        let a = &mut self.a;
        let room = LABEL_BYTES as i16;
        // Each load is ahead of the store that overwrites it.
        a.load(Size::Dw, R2, R1, room);
        if at == SNAP {
            a.load(Size::Dw, R4, R1, room + 8);
            a.load(Size::W, R5, R1, room + 16);
            a.store(Size::Dw, R1, 8, R4);
            a.store(Size::W, R1, 16, R5);
        } else {
            a.load(Size::W, R4, R1, room + 8);
            a.store(Size::W, R1, 8, R4);
        }
        a.store(Size::Dw, R1, 0, R2);
        a.load(Size::W, R2, R7, K + labels::TYPE);
        a.be16(R2);
        a.store(Size::H, R1, at as i16 - 2, R2);
        a.load(Size::W, R2, R7, K + labels::ENTRY);
        a.be32(R2);
        a.store(Size::W, R1, at as i16, R2);
    }

    /// Removes the label at AT; the type becomes that of TYPE.
    fn remove_label(&mut self) {
        for _ in 0..2 {
            // The second push brings the first tag into the frame.
            self.push_empty_tag();
        }
        self.by_place(Self::label_to_tag);
        for _ in 0..3 {
            let failed = self.block(Block::Failed);
            self.a.mov(R1, R6);
            self.a.call(Helper::SkbVlanPop);
            self.a.jump_if(Cond::Ne, R0, 0, failed);
        }
    }

    fn push_empty_tag(&mut self) {
        let failed = self.block(Block::Failed);
        let a = &mut self.a;
        a.mov(R1, R6);
        a.mov(R2, i32::from(TPID_8021Q.to_be()));
        a.mov(R3, 0);
        a.call(Helper::SkbVlanPush);
        a.jump_if(Cond::Ne, R0, 0, failed);
    }

    /// Behind the tag that is within the frame a second one takes the room of the label that was
    /// at `at` before.
    fn label_to_tag(&mut self, at: i32) {
        /// Behind the addresses and the first tag.
        const SECOND: i32 = 16;
        let failed = self.block(Block::Failed);
        self.first_byte(at + 2 * LABEL_BYTES);
        let a = &mut self.a;
        // Its control information, what was behind the addresses, and the type.
        a.store(Size::H, R7, BYTES, 0);
        let mut end = BYTES + 2;
        if at == SNAP {
            a.load(Size::Dw, R2, R1, SECOND as i16);
            a.store(Size::Dw, R7, end, R2);
            end += 8;
        }
        a.load(Size::W, R2, R7, K + labels::TYPE);
        a.be16(R2);
        a.store(Size::H, R7, end, R2);
        end += 2;
        a.mov(R2, i32::from(TPID_8021Q.to_be()));
        a.store(Size::H, R1, SECOND as i16, R2);
        a.mov(R1, R6);
        a.mov(R2, SECOND + 2);
        a.mov(R3, R7);
        a.add(R3, i32::from(BYTES));
        a.mov(R4, i32::from(end - BYTES));
        a.mov(R5, RECOMPUTE_CSUM);
        a.call(Helper::SkbStoreBytes);
        a.jump_if(Cond::Ne, R0, 0, failed);
    }

    /// R9 = the next entry of what is to be undone, which begins with `first`; goes to `outside` if no
    /// copy is being worked on. Uses R1.
    fn log(&mut self, kind: i32, outside: Label) {
        let full = self.block(Block::TooDeep);
        let a = &mut self.a;
        a.load(Size::W, R1, R7, state::SAVES);
        a.jump_if(Cond::Eq, R1, 0, outside);
        a.load(Size::W, R1, R7, K + labels::LOG);
        a.jump_if(Cond::Ge, R1, i32::from(labels::MAX_LOG), full);
        a.add(R1, 1);
        a.store(Size::W, R7, K + labels::LOG, R1);
        self.newest_entry();
        self.a
            .store(Size::W, R9, state::LABELS_AT + labels::KIND, kind);
        self.a.load(Size::W, R1, R7, K + labels::AT);
        self.a
            .store(Size::W, R9, state::LABELS_AT + labels::PLACE, R1);
    }

    /// R9 = the newest entry, less the offset of all of them; R1 is how many there are.
    fn newest_entry(&mut self) {
        let a = &mut self.a;
        a.mov(R9, R1);
        a.sub(R9, 1);
        a.and(R9, i32::from(labels::MAX_LOG) - 1);
        a.lsh(R9, labels::ENTRY_BYTES.trailing_zeros() as i32);
        a.add(R9, R7);
    }

    /// A label is about to be added: the type that the frame has comes back.
    fn log_push(&mut self) {
        let outside = self.a.label("outside");
        self.log(labels::PUSHED, outside);
        self.by_place(|code, at| {
            code.first_byte(at);
            let a = &mut code.a;
            a.load(Size::H, R2, R1, at as i16 - 2);
            a.be16(R2);
            a.store(Size::W, R9, state::LABELS_AT + labels::OLD_TYPE, R2);
        });
        self.a.bind(outside);
    }

    /// A label is about to be removed: it comes back.
    fn log_pop(&mut self) {
        let outside = self.a.label("outside");
        self.log(labels::POPPED, outside);
        let a = &mut self.a;
        a.load(Size::W, R1, R7, key(FieldId::ETH_TYPE));
        a.store(Size::W, R9, state::LABELS_AT + labels::OLD_TYPE, R1);
        a.load(Size::W, R1, R7, K + labels::ENTRY);
        a.store(Size::W, R9, state::LABELS_AT + labels::OLD_LABEL, R1);
        a.bind(outside);
    }

    /// A label was removed: the fields that are behind it come back, should they change.
    fn log_fields(&mut self) {
        let outside = self.a.label("outside");
        let a = &mut self.a;
        a.load(Size::W, R1, R7, state::SAVES);
        a.jump_if(Cond::Eq, R1, 0, outside);
        a.load(Size::W, R1, R7, K + labels::LOG);
        self.newest_entry();
        for at in (0..vlan::OUTER).step_by(8) {
            let to = state::LABELS_AT + labels::FIELDS + at;
            self.a.load(Size::Dw, R1, R7, K + at);
            self.a.store(Size::Dw, R9, to, R1);
        }
        self.a.bind(outside);
    }

    /// What the copy did with labels is undone.
    pub(super) fn emit_undo_labels(&mut self) {
        let back = self.block(Block::Return);
        let full = self.block(Block::TooDeep);
        let removed = self.a.label("removed");
        let next = self.a.here("undo");
        self.a.may_goto(full);
        self.a.load(Size::W, R2, R7, state::SAVES);
        let bytes = self.aside_bytes() as i32;
        self.a.sub(R2, bytes);
        self.place_aside();
        let a = &mut self.a;
        a.load(Size::W, R3, R2, state::SAVES_AT + 8);
        a.load(Size::W, R1, R7, K + labels::LOG);
        a.jump_if(Cond::Le, R1, R3, back);
        self.newest_entry();
        let a = &mut self.a;
        a.sub(R1, 1);
        a.store(Size::W, R7, K + labels::LOG, R1);
        for (from, to) in [
            (labels::OLD_TYPE, labels::TYPE),
            (labels::OLD_LABEL, labels::ENTRY),
            (labels::PLACE, labels::AT),
        ] {
            a.load(Size::W, R1, R9, state::LABELS_AT + from);
            a.store(Size::W, R7, K + to, R1);
        }
        a.load(Size::W, R1, R9, state::LABELS_AT + labels::KIND);
        a.jump_if(Cond::Eq, R1, labels::POPPED, removed);
        self.call_bare(Block::BareFrame);
        self.remove_label();
        self.call_bare(Block::ReadAgain);
        self.a.jump(next);
        self.a.bind(removed);
        self.fields_come_back();
        self.call_bare(Block::BareFrame);
        self.insert_label();
        self.call_bare(Block::ReadAgain);
        self.a.jump(next);
    }

    /// The fields are those that the entry at R9 has; the bytes may differ where they ever changed.
    fn fields_come_back(&mut self) {
        let a = &mut self.a;
        for at in (0..vlan::OUTER).step_by(8) {
            a.load(Size::Dw, R1, R9, state::LABELS_AT + labels::FIELDS + at);
            a.store(Size::Dw, R7, K + at, R1);
        }
        a.load(Size::Dw, R1, R7, state::DIRTY);
        a.load(Size::Dw, R2, R7, state::COMMITTED);
        a.or(R1, R2);
        a.store(Size::Dw, R7, state::DIRTY, R1);
    }
}
