//! IPv6 headers (RFC 8200 §3).

use aorta_ebpf::{Cond, Reg, Size};
use aorta_flow::field::FieldId;

use super::Emitter;
use super::emit::{RECOMPUTE_CSUM, SPACE, key, not32};
use crate::pipeline::layout::state;

use Reg::{R1, R2, R3, R4, R7, R8, R9};

const HEADER_BYTES: i32 = 40;
const HOP_LIMIT: i16 = 7;
const SRC: i16 = 8;
const DST: i16 = 24;
/// Bytes of both addresses.
const ADDRESSES_BYTES: i32 = 32;

/// In the commit's space: both addresses.
const ADDRESSES: i16 = SPACE - 32;
/// In the commit's space: a word.
const WORD: i16 = SPACE - 4;

/// Bits of the first word that are the traffic class.
const CLASS: i32 = 0x0ff0_0000;
const CLASS_SHIFT: i32 = 20;
const LABEL: i32 = 0x000f_ffff;

impl Emitter<'_> {
    /// Writes the header; R9, 0 before, is by how much the addresses' sum changed. There is no
    /// checksum in the header: a device's sum over the whole frame has to follow. For the addresses
    /// that cancels out with what `l4_csum_replace` does to it afterwards.
    pub(super) fn ipv6(&mut self) {
        if self.changes.has(FieldId::IPV6_SRC) || self.changes.has(FieldId::IPV6_DST) {
            self.ipv6_addresses();
        }
        let class = self.changes.has_home(FieldId::NW_TOS);
        let label = self.changes.has(FieldId::IPV6_LABEL);
        if class || label {
            self.ipv6_first_word(class, label);
        }
        if self.changes.has_home(FieldId::NW_TTL) {
            self.ipv6_hop_limit();
        }
    }

    /// The destination first: it may not count for R9.
    fn ipv6_addresses(&mut self) {
        self.a.mov(R8, 0);
        for (field, at) in [(FieldId::IPV6_DST, DST), (FieldId::IPV6_SRC, SRC)] {
            self.packet(Some(state::L3), HEADER_BYTES);
            for (half, place) in [(8, at), (0, at + 8)] {
                let stack = ADDRESSES + place - SRC;
                self.a.load(Size::Dw, R2, R1, place);
                if self.changes.has(field) {
                    self.ipv6_half(key(field) + half, stack);
                } else {
                    self.a.store(Size::Dw, R7, stack, R2);
                }
            }
            if field == FieldId::IPV6_DST && self.changes.has(field) {
                self.source_route();
            }
        }
        let same = self.a.label("same_addresses");
        self.a.jump_if(Cond::Eq, R8, 0, same);
        let at = i32::from(SRC);
        self.write(state::L3, at, ADDRESSES, ADDRESSES_BYTES, RECOMPUTE_CSUM);
        self.a.bind(same);
    }

    /// Eight bytes of an address, R2 in the frame, onto the stack. R8 = 1 if they change.
    fn ipv6_half(&mut self, key: i16, stack: i16) {
        let a = &mut *self.a;
        let same = a.label("same_half");
        a.load(Size::Dw, R3, R7, key);
        a.be64(R3);
        a.store(Size::Dw, R7, stack, R3);
        a.jump_if(Cond::Eq, R2, R3, same);
        a.mov(R8, 1);
        for (value, old) in [(R3, false), (R2, true)] {
            a.mov32(R4, value);
            a.rsh(value, 32);
            if old {
                not32(a, R4);
                not32(a, value);
            }
            a.add(R9, R4);
            a.add(R9, value);
        }
        a.bind(same);
        for register in [R2, R3, R4] {
            a.mov(register, 0);
        }
    }

    fn ipv6_first_word(&mut self, class: bool, label: bool) {
        self.packet(Some(state::L3), HEADER_BYTES);
        let a = &mut *self.a;
        let same = a.label("same_class");
        a.load(Size::W, R2, R1, 0);
        a.be32(R2);
        a.mov(R3, R2);
        if class {
            a.and(R3, !CLASS);
            a.load(Size::W, R4, R7, key(FieldId::NW_TOS));
            a.and(R4, 0xff);
            a.lsh(R4, CLASS_SHIFT);
            a.or(R3, R4);
        }
        if label {
            a.and(R3, !LABEL);
            a.load(Size::W, R4, R7, key(FieldId::IPV6_LABEL));
            a.and(R4, LABEL);
            a.or(R3, R4);
        }
        a.jump_if(Cond::Eq, R2, R3, same);
        a.be32(R3);
        a.store(Size::W, R7, WORD, R3);
        self.write(state::L3, 0, WORD, 4, RECOMPUTE_CSUM);
        self.a.bind(same);
    }

    fn ipv6_hop_limit(&mut self) {
        self.packet(Some(state::L3), HEADER_BYTES);
        let a = &mut *self.a;
        let same = a.label("same_hop_limit");
        a.load(Size::B, R2, R1, HOP_LIMIT);
        a.load(Size::W, R3, R7, key(FieldId::NW_TTL));
        a.and(R3, 0xff);
        a.jump_if(Cond::Eq, R2, R3, same);
        a.store(Size::B, R7, WORD, R3);
        self.write(state::L3, HOP_LIMIT.into(), WORD, 1, RECOMPUTE_CSUM);
        self.a.bind(same);
    }
}
