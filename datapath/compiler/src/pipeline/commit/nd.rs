//! Neighbour discovery (RFC 4861 §4.3, §4.4): the target, and the options with link-layer
//! addresses.

use aorta_ebpf::{Cond, Helper, Label, Reg, Size};
use aorta_flow::field::{EtherType, FieldId, IpProto};

use super::emit::{SPACE, forget, key};
use super::ethernet::load_mac;
use super::transport::unless_protocol;
use super::{Emitter, dirty};
use crate::pipeline::layout::state;

use Reg::{R0, R1, R2, R3, R4, R5, R6, R7, R8, R9};

const IPV6_HEADER_BYTES: i32 = 40;
const IPV6_PAYLOAD_LENGTH: i16 = 4;
const CHECKSUM: i32 = 2;
const TARGET: i32 = 8;
const TARGET_BYTES: i32 = 16;
/// Bytes of the message before its options.
const OPTIONS: i32 = 24;
/// Unit of options' lengths, bytes.
const UNIT: i32 = 8;
/// Options that are read at most.
const MAX_OPTIONS: usize = 4;
const SOLICIT: i32 = 135;
const ADVERT: i32 = 136;

/// In the commit's space: where the options are in the message, u64 each, 0 if they aren't there.
const SOURCE_LINK: i16 = SPACE - 8;
const TARGET_LINK: i16 = SPACE - 16;
/// In the commit's space: 24 bytes of the message as they are, or 8 of an option.
const OLD: i16 = SPACE - 40;
/// In the commit's space: the target or the option as it is to be.
const NEW: i16 = SPACE - 56;

/// Options, with their types, places and fields.
const LINKS: [(i32, i16, FieldId); 2] = [
    (1, SOURCE_LINK, FieldId::ND_SLL),
    (2, TARGET_LINK, FieldId::ND_TLL),
];

impl Emitter<'_> {
    /// Writes what is there, if the message is well-formed.
    pub(super) fn neighbour_discovery(&mut self) {
        if !self.changes.neighbour_discovery() {
            return;
        }
        let after = self.a.label("neighbour_done");
        self.unless_dirty(dirty::ND | dirty::ARP, after);
        self.a.load(Size::W, R1, R7, state::L4);
        self.a.jump_if(Cond::Eq, R1, 0, after);
        self.unless_type(&[EtherType::IPV6], after);
        unless_protocol(self.a, IpProto::ICMPV6, after);
        self.message(after);
        self.find_options(after);
        forget(self.a);
        if self.changes.has(FieldId::ND_TARGET) {
            self.target(after);
        }
        for (_, place, field) in LINKS {
            if self.changes.has(field) {
                self.link(place, field, after);
            }
        }
        self.a.bind(after);
        forget(self.a);
    }

    /// R8 = length of the message; goes to `after` if it is none of neighbour discovery.
    fn message(&mut self, after: Label) {
        self.packet(Some(state::L3), IPV6_HEADER_BYTES);
        let a = &mut *self.a;
        let found = a.label("neighbour");
        a.load(Size::H, R8, R1, IPV6_PAYLOAD_LENGTH);
        a.be16(R8);
        a.add(R8, IPV6_HEADER_BYTES);
        a.load(Size::W, R2, R7, state::L3);
        a.add(R8, R2);
        a.load(Size::W, R2, R7, state::L4);
        a.sub(R8, R2);
        a.jump_if(Cond::Lt, R8, OPTIONS, after);
        a.mov(R9, 0);
        self.read(OPTIONS, after);
        let a = &mut *self.a;
        a.load(Size::B, R1, R7, OLD + 1);
        a.jump_if(Cond::Ne, R1, 0, after);
        a.load(Size::B, R1, R7, OLD);
        a.jump_if(Cond::Eq, R1, SOLICIT, found);
        a.jump_if(Cond::Ne, R1, ADVERT, after);
        a.bind(found);
    }

    /// OLD = `len` bytes of the message from R9 on.
    fn read(&mut self, len: i32, failed: Label) {
        let a = &mut *self.a;
        a.mov(R1, R6);
        a.load(Size::W, R2, R7, state::L4);
        a.add(R2, R9);
        a.mov(R3, R7);
        a.add(R3, i32::from(OLD));
        a.mov(R4, len);
        a.call(Helper::SkbLoadBytes);
        a.jump_if(Cond::Ne, R0, 0, failed);
    }

    /// Goes through the options; the target stays in NEW meanwhile. Goes to `malformed` if one has
    /// no length or doesn't fit.
    fn find_options(&mut self, malformed: Label) {
        let end = self.a.label("options_end");
        for at in [0, 8] {
            self.a.load(Size::Dw, R1, R7, OLD + TARGET as i16 + at);
            self.a.store(Size::Dw, R7, NEW + at, R1);
        }
        self.a.store(Size::Dw, R7, SOURCE_LINK, 0);
        self.a.store(Size::Dw, R7, TARGET_LINK, 0);
        self.a.mov(R9, OPTIONS);
        for _ in 0..MAX_OPTIONS {
            self.option(end, malformed);
        }
        self.a.bind(end);
    }

    fn option(&mut self, end: Label, malformed: Label) {
        self.a.mov(R1, R9);
        self.a.add(R1, UNIT);
        self.a.jump_if(Cond::Gt, R1, R8, end);
        self.read(UNIT, malformed);
        let a = &mut *self.a;
        let next = a.label("next_option");
        a.load(Size::B, R2, R7, OLD + 1);
        a.jump_if(Cond::Eq, R2, 0, malformed);
        a.lsh(R2, 3);
        a.mov(R3, R9);
        a.add(R3, R2);
        a.jump_if(Cond::Gt, R3, R8, malformed);
        a.jump_if(Cond::Ne, R2, UNIT, next);
        a.load(Size::B, R1, R7, OLD);
        for (kind, place, _) in LINKS {
            let other = a.label("other_option");
            a.jump_if(Cond::Ne, R1, kind, other);
            a.store(Size::Dw, R7, place, R9);
            a.bind(other);
        }
        a.bind(next);
        a.mov(R9, R3);
    }

    fn target(&mut self, failed: Label) {
        let (changed, same) = (self.a.label("new_target"), self.a.label("same_target"));
        self.a.mov(R9, TARGET);
        self.read(TARGET_BYTES, failed);
        let a = &mut *self.a;
        for (at, half) in [(0, 8), (8, 0)] {
            a.load(Size::Dw, R1, R7, key(FieldId::ND_TARGET) + half);
            a.be64(R1);
            a.store(Size::Dw, R7, NEW + at, R1);
        }
        for at in [0, 8] {
            a.load(Size::Dw, R1, R7, NEW + at);
            a.load(Size::Dw, R2, R7, OLD + at);
            a.jump_if(Cond::Ne, R1, R2, changed);
        }
        a.jump(same);
        a.bind(changed);
        self.exchange(TARGET_BYTES);
        self.a.bind(same);
        forget(self.a);
    }

    fn link(&mut self, place: i16, field: FieldId, failed: Label) {
        let same = self.a.label("same_link");
        self.a.load(Size::Dw, R9, R7, place);
        self.a.jump_if(Cond::Eq, R9, 0, same);
        self.read(UNIT, failed);
        let a = &mut *self.a;
        a.load(Size::H, R1, R7, OLD);
        a.store(Size::H, R7, NEW, R1);
        load_mac(a, field);
        a.store(Size::H, R7, NEW + 2, R3);
        a.rsh(R3, 16);
        a.store(Size::W, R7, NEW + 4, R3);
        a.load(Size::Dw, R1, R7, NEW);
        a.load(Size::Dw, R2, R7, OLD);
        a.jump_if(Cond::Eq, R1, R2, same);
        self.exchange(UNIT);
        self.a.bind(same);
        forget(self.a);
    }

    /// Puts NEW in the place of OLD, at R9 in the message, and brings the checksum on.
    fn exchange(&mut self, len: i32) {
        let a = &mut *self.a;
        for (address, place) in [(R1, OLD), (R3, NEW)] {
            a.mov(address, R7);
            a.add(address, i32::from(place));
        }
        a.mov(R2, len);
        a.mov(R4, len);
        a.mov(R5, 0);
        a.call(Helper::CsumDiff);
        a.mov32(R8, R0);
        a.mov(R1, R6);
        a.load(Size::W, R2, R7, state::L4);
        a.add(R2, R9);
        a.mov(R3, R7);
        a.add(R3, i32::from(NEW));
        a.mov(R4, len);
        a.mov(R5, 0);
        a.call(Helper::SkbStoreBytes);
        a.jump_if(Cond::Ne, R0, 0, self.failed);
        self.checksum(CHECKSUM, R8, 0);
    }
}
