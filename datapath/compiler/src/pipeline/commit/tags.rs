//! VLAN tags (IEEE 802.1Q-2018 §9.6): from those that the frame has to those of the key.

use aorta_ebpf::{AluOp, Assembler, Cond, Helper, Label, Reg, Size, Width};
use aorta_flow::field::FieldId;
use aorta_packet::TPID_8021Q;

use super::emit::key;
use super::{Emitter, dirty, emit};
use crate::pipeline::layout::{HEADER_BYTES, KEY_BYTES, state, vlan};
use crate::skb;

use Reg::{R0, R1, R2, R3, R5, R6, R7, R8, R9};

const KEY: i16 = state::KEY;
const BASE: i16 = state::BASE;
/// From a place in the key to the same place in the base.
const TO_BASE: i16 = BASE - KEY;
/// `vlan_tci` has a tag.
pub(super) const PRESENT: i32 = 0x1000;
/// Tags at most, the outer one included.
pub(super) const MAX_TAGS: i32 = vlan::MAX_INNER as i32 + 1;

/// What is counted stands in the state, where the verifier doesn't know it: it would follow every
/// combination of numbers on every way that leads here. Nothing is parsed while frames are written,
/// so that there is room.
///
/// u32: innermost tags that the frame has already.
const SAME: i16 = state::PARSE_OFFSET;
/// u32: tags of the frame before, without one beside it.
const IN_FRAME: i16 = state::PARSE_TYPE;
/// u32: tags that it is to have.
pub(super) const WANTED: i16 = state::PARSE_LEFT;
/// u32: tags that it has.
pub(super) const HAS: i16 = state::PARSE_COUNT;

const _: () = assert!(KEY_BYTES >= HEADER_BYTES && TO_BASE > 0);

/// The words of the key that tags are made of, as offsets in the state.
fn words() -> impl Iterator<Item = i16> {
    let inner = (0..vlan::MAX_INNER).map(|n| KEY + vlan::INNER + 4 * n);
    [key(FieldId::VLAN_TCI), KEY + vlan::OUTER, KEY + vlan::COUNT]
        .into_iter()
        .chain(inner)
}

/// What the frame has is what the key says. Uses R1.
pub(super) fn copy_to_base(a: &mut Assembler) {
    for word in words() {
        a.load(Size::W, R1, R7, word);
        a.store(Size::W, R7, word + TO_BASE, R1);
    }
}

impl Emitter<'_> {
    /// Takes tags off down to what both have innermost, then puts those of the key on. The kernel
    /// keeps the outer one beside the frame.
    pub(super) fn tags(&mut self) {
        let after = self.a.label("tags_done");
        self.unless_dirty(dirty::VLAN, after);
        complete(self.a, KEY, R8);
        hide(self.a, WANTED, R8);
        complete(self.a, BASE, R9);
        hide(self.a, HAS, R9);
        beside(self.a, R1, R9);
        self.a.store(Size::W, R7, IN_FRAME, R1);
        self.same_tags();
        self.pop_tags();
        self.push_tags();
        self.headers_moved();
        copy_to_base(self.a);
        self.a.bind(after);
        emit::forget(self.a);
    }

    /// SAME = how many tags both have innermost; R9 = how many come off.
    fn same_tags(&mut self) {
        let a = &mut *self.a;
        let counted = a.label("same_tags");
        for n in 0..MAX_TAGS {
            let at = vlan::INNER + 4 * n as i16;
            a.mov(R5, n);
            a.jump_if(Cond::Le, R8, n, counted);
            a.jump_if(Cond::Le, R9, n, counted);
            a.load(Size::W, R2, R7, KEY + at);
            a.load(Size::W, R3, R7, BASE + at);
            a.jump_if(Cond::Ne, R2, R3, counted);
        }
        a.mov(R5, MAX_TAGS);
        a.bind(counted);
        hide(a, SAME, R5);
        a.load(Size::W, R8, R7, WANTED);
        a.load(Size::W, R9, R7, HAS);
        a.sub(R9, R5);
    }

    fn pop_tags(&mut self) {
        let popped = self.a.label("popped");
        for _ in 0..MAX_TAGS {
            let a = &mut *self.a;
            a.jump_if(Cond::Eq, R9, 0, popped);
            a.mov(R1, R6);
            a.call(Helper::SkbVlanPop);
            a.jump_if(Cond::Ne, R0, 0, self.failed);
            self.a.sub(R9, 1);
        }
        self.a.bind(popped);
    }

    fn push_tags(&mut self) {
        let pushed = self.a.label("pushed");
        self.a.load(Size::W, R9, R7, SAME);
        for _ in 0..MAX_TAGS {
            let a = &mut *self.a;
            a.jump_if(Cond::Ge, R9, R8, pushed);
            slot(a, R1, R9);
            a.load(Size::W, R3, R1, KEY + vlan::INNER);
            a.mov(R2, R3);
            a.rsh(R2, 16);
            a.be16(R2);
            a.and(R3, 0xffff);
            a.mov(R1, R6);
            a.call(Helper::SkbVlanPush);
            a.jump_if(Cond::Ne, R0, 0, self.failed);
            self.a.add(R9, 1);
        }
        self.a.bind(pushed);
    }

    /// Headers behind the tags are elsewhere if there are more or fewer tags within the frame.
    fn headers_moved(&mut self) {
        let a = &mut *self.a;
        a.load(Size::W, R8, R7, WANTED);
        beside(a, R1, R8);
        a.load(Size::W, R2, R7, IN_FRAME);
        a.sub(R1, R2);
        a.lsh(R1, 2);
        for header in [state::L3, state::L4] {
            let none = a.label("no_header");
            a.load(Size::W, R2, R7, header);
            a.jump_if(Cond::Eq, R2, 0, none);
            a.add(R2, R1);
            a.store(Size::W, R7, header, R2);
            a.bind(none);
        }
    }
}

/// Keeps a number, and makes it one that the verifier doesn't know.
pub(super) fn hide(a: &mut Assembler, place: i16, number: Reg) {
    a.store(Size::W, R7, place, number);
    a.load(Size::W, number, R7, place);
}

/// `dst` = tags within the frame: `count` less the one beside it, if there is one.
fn beside(a: &mut Assembler, dst: Reg, count: Reg) {
    let none = a.label("none_beside");
    a.mov(dst, count);
    a.load(Size::W, R2, R6, skb::VLAN_PRESENT);
    a.jump_if(Cond::Eq, R2, 0, none);
    a.sub(dst, 1);
    a.bind(none);
}

/// `dst` = R7 plus 4 times `number`, which is cut to the places that there are.
pub(super) fn slot(a: &mut Assembler, dst: Reg, number: Reg) {
    a.mov(dst, number);
    a.and(dst, MAX_TAGS - 1);
    a.lsh(dst, 2);
    a.add(dst, R7);
}

/// Puts the outer tag of the key or base in `of` behind the inner ones; `count` = how many tags
/// there are. Uses R1 to R3.
pub(super) fn complete(a: &mut Assembler, of: i16, count: Reg) {
    let tci = of + key(FieldId::VLAN_TCI) - KEY;
    let (none, known) = (a.label("untagged"), a.label("known_protocol"));
    a.mov(count, 0);
    a.load(Size::W, R1, R7, tci);
    a.jump_if(Cond::Set, R1, PRESENT, known);
    a.jump(none);
    a.bind(known);
    whole_tag(a, of, R1);
    a.load(Size::W, count, R7, of + vlan::COUNT);
    slot(a, R3, count);
    a.store(Size::W, R3, of + vlan::INNER, R1);
    a.and(count, MAX_TAGS - 1);
    a.add(count, 1);
    a.bind(none);
}

/// From `vlan_tci` in `tci` to the whole outer tag, as it stands among inner ones. Uses R2.
pub(super) fn whole_tag(a: &mut Assembler, of: i16, tci: Reg) {
    let given = a.label("given_protocol");
    a.and(tci, 0xffff & !PRESENT);
    a.load(Size::W, R2, R7, of + vlan::OUTER);
    a.or(tci, R2);
    a.rsh(R2, 16);
    a.jump_if(Cond::Ne, R2, 0, given);
    default_protocol(a, tci);
    a.bind(given);
}

fn default_protocol(a: &mut Assembler, tag: Reg) {
    let high = (u32::from(TPID_8021Q) << 16) as i32;
    a.alu(AluOp::Or, Width::W32, tag, high);
}

/// Goes to `other` unless the key has a tag; R1 = `vlan_tci`.
pub(super) fn unless_tagged(a: &mut Assembler, other: Label) {
    let tagged = a.label("tagged");
    a.load(Size::W, R1, R7, key(FieldId::VLAN_TCI));
    a.jump_if(Cond::Set, R1, PRESENT, tagged);
    a.jump(other);
    a.bind(tagged);
}
