//! Actions that change the key in more than a field's bits: tags that come and go, times to live
//! that end.
//!
//! Registers: R6 and R7 as everywhere; R1 to R3 are used, the others kept.

use aorta_ebpf::{Assembler, Cond, Label, Reg, Size};
use aorta_flow::field::FieldId;

use super::emit::key;
use super::tags::{PRESENT, unless_tagged, whole_tag};
use super::{Changes, dirty, dirty_bit};
use crate::pipeline::layout::{self, state, vlan};

use Reg::{R1, R2, R3, R7};

const KEY: i16 = state::KEY;
/// Bytes of a tag.
const TAG_BYTES: i32 = 4;

/// Notes that the bytes may differ from the key in the group of `field`. Uses R1.
pub fn emit_dirty(a: &mut Assembler, field: FieldId) {
    mark(a, dirty_bit(field));
}

fn mark(a: &mut Assembler, groups: i32) {
    if groups != 0 {
        a.load(Size::Dw, R1, R7, state::DIRTY);
        a.or(R1, groups);
        a.store(Size::Dw, R7, state::DIRTY, R1);
    }
}

/// `push_vlan`: adds a tag with protocol identifier `tpid` and nothing else in it. Goes to `full`
/// if the packet has as many tags as the key can hold.
pub fn emit_push_vlan(a: &mut Assembler, tpid: u16, full: Label) {
    let untagged = a.label("first_tag");
    unless_tagged(a, untagged);
    whole_tag(a, KEY, R1);
    a.load(Size::W, R2, R7, KEY + vlan::COUNT);
    a.jump_if(Cond::Ge, R2, i32::from(vlan::MAX_INNER), full);
    a.mov(R3, R2);
    a.lsh(R3, 2);
    a.add(R3, R7);
    a.store(Size::W, R3, KEY + vlan::INNER, R1);
    a.add(R2, 1);
    a.store(Size::W, R7, KEY + vlan::COUNT, R2);
    a.bind(untagged);
    a.store(Size::W, R7, key(FieldId::VLAN_TCI), PRESENT);
    let outer = (u32::from(tpid) << 16) as i32;
    a.store(Size::W, R7, KEY + vlan::OUTER, outer);
    mark(a, dirty::VLAN);
}

/// `pop_vlan`: removes the outer tag, if there is one; the next one takes its place.
pub fn emit_pop_vlan(a: &mut Assembler) {
    let (done, last) = (a.label("vlan_popped"), a.label("last_tag"));
    unless_tagged(a, done);
    mark(a, dirty::VLAN);
    a.mov(R1, 0);
    a.mov(R3, 0);
    a.load(Size::W, R2, R7, KEY + vlan::COUNT);
    a.jump_if(Cond::Eq, R2, 0, last);
    a.sub(R2, 1);
    a.and(R2, i32::from(vlan::MAX_INNER));
    a.store(Size::W, R7, KEY + vlan::COUNT, R2);
    a.lsh(R2, 2);
    a.add(R2, R7);
    a.load(Size::W, R3, R2, KEY + vlan::INNER);
    a.mov(R1, R3);
    a.and(R1, 0xffff);
    a.or(R1, PRESENT);
    a.and(R3, !0xffff | PRESENT);
    a.bind(last);
    a.store(Size::W, R7, key(FieldId::VLAN_TCI), R1);
    a.store(Size::W, R7, KEY + vlan::OUTER, R3);
    a.bind(done);
}

/// Adds an 802.1Q tag if the packet has none, as the actions that set a part of the tag do first.
/// Goes to `full` if there is no room.
pub fn emit_ensure_vlan(a: &mut Assembler, full: Label) {
    let (untagged, tagged) = (a.label("untagged"), a.label("has_tag"));
    unless_tagged(a, untagged);
    a.jump(tagged);
    a.bind(untagged);
    emit_push_vlan(a, aorta_packet::TPID_8021Q, full);
    a.bind(tagged);
}

/// Lowers the time to live in `field` (`nw_ttl` or `mpls_ttl`), which the packet must have; goes
/// to `over` and leaves it if it is 0 or 1.
pub fn emit_dec_ttl(a: &mut Assembler, field: FieldId, over: Label) {
    a.load(Size::W, R2, R7, key(field));
    a.jump_if(Cond::Le, R2, 1, over);
    a.sub(R2, 1);
    a.store(Size::W, R7, key(field), R2);
    emit_dirty(a, field);
}

/// R1 = the packet's length in bytes, tags included, as its fields are. Uses R2, R3.
pub fn emit_length(a: &mut Assembler, changes: &Changes) {
    a.load(Size::W, R1, R7, KEY + layout::LENGTH);
    if changes.tags() {
        tags_length(a);
        a.add(R1, R3);
    }
}

/// The length in the key, tags included, becomes one without them: at entry. Uses R1 to R3.
pub(super) fn without_tags(a: &mut Assembler) {
    a.load(Size::W, R1, R7, KEY + layout::LENGTH);
    tags_length(a);
    a.sub(R1, R3);
    a.store(Size::W, R7, KEY + layout::LENGTH, R1);
}

/// R3 = bytes of the tags of the key. Uses R2.
fn tags_length(a: &mut Assembler) {
    let (tagged, none) = (a.label("tagged"), a.label("tags_known"));
    a.mov(R3, 0);
    a.load(Size::W, R2, R7, key(FieldId::VLAN_TCI));
    a.jump_if(Cond::Set, R2, PRESENT, tagged);
    a.jump(none);
    a.bind(tagged);
    a.load(Size::W, R3, R7, KEY + vlan::COUNT);
    a.add(R3, 1);
    a.lsh(R3, TAG_BYTES.trailing_zeros() as i32);
    a.bind(none);
}
