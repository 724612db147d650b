//! IPv4 headers (RFC 791 §3.1).

use aorta_ebpf::{AluOp, Cond, Reg, Size, Width};
use aorta_flow::field::FieldId;

use super::Emitter;
use super::emit::{fold16, fold32, key, not32};
use crate::pipeline::layout::state;

use Reg::{R1, R2, R3, R4, R5, R7, R9};

const HEADER_BYTES: i32 = 20;
/// Version, header length, type of service.
const TOS_WORD: i16 = 0;
/// Time to live, protocol.
const TTL_WORD: i16 = 8;
const CHECKSUM: i16 = 10;
const SRC: i16 = 12;
const DST: i16 = 16;

impl Emitter<'_> {
    /// Writes the header; R9, 0 before, is by how much the addresses' sum changed. The sum of a
    /// device over the whole frame stays right, as the header's checksum takes up each change.
    pub(super) fn ipv4(&mut self) {
        self.packet(Some(state::L3), HEADER_BYTES);
        for (field, at) in [(FieldId::IP_SRC, SRC), (FieldId::IP_DST, DST)] {
            if self.changes.has(field) {
                self.ipv4_address(field, at);
            }
        }
        self.a.mov(R5, R9);
        if self.changes.has_home(FieldId::NW_TOS) {
            self.ipv4_byte(FieldId::NW_TOS, TOS_WORD, 0x00ff, 8);
        }
        if self.changes.has_home(FieldId::NW_TTL) {
            self.ipv4_byte(FieldId::NW_TTL, TTL_WORD, 0xff00, 0);
        }
        self.ipv4_checksum();
    }

    fn ipv4_address(&mut self, field: FieldId, at: i16) {
        let a = &mut *self.a;
        let same = a.label("same_address");
        a.load(Size::W, R2, R1, at);
        a.load(Size::W, R3, R7, key(field));
        a.be32(R3);
        a.jump_if(Cond::Eq, R2, R3, same);
        a.store(Size::W, R1, at, R3);
        a.add(R9, R3);
        not32(a, R2);
        a.add(R9, R2);
        a.bind(same);
    }

    /// A byte of the 16-bit word at `at`, whose other byte is under `keep`; its change goes to R5.
    fn ipv4_byte(&mut self, home: FieldId, at: i16, keep: i32, shift: i32) {
        let a = &mut *self.a;
        let same = a.label("same_byte");
        a.load(Size::H, R2, R1, at);
        a.load(Size::W, R3, R7, key(home));
        a.and(R3, 0xff);
        if shift != 0 {
            a.lsh(R3, shift);
        }
        a.mov(R4, R2);
        a.and(R4, keep);
        a.or(R3, R4);
        a.jump_if(Cond::Eq, R2, R3, same);
        a.store(Size::H, R1, at, R3);
        a.add(R5, R3);
        a.alu(AluOp::Xor, Width::W32, R2, 0xffff);
        a.add(R5, R2);
        a.bind(same);
    }

    /// Brings the header's checksum on by R5.
    fn ipv4_checksum(&mut self) {
        let a = &mut *self.a;
        let same = a.label("same_header");
        a.jump_if(Cond::Eq, R5, 0, same);
        a.load(Size::H, R2, R1, CHECKSUM);
        a.alu(AluOp::Xor, Width::W32, R2, 0xffff);
        a.add(R2, R5);
        fold32(a, R2, R3);
        fold16(a, R2, R3);
        a.alu(AluOp::Xor, Width::W32, R2, 0xffff);
        a.store(Size::H, R1, CHECKSUM, R2);
        a.bind(same);
    }
}
