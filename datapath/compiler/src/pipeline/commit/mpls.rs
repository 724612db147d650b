//! The outermost MPLS label (RFC 3032 §2.1).

use aorta_ebpf::{Cond, Label, Reg, Size};
use aorta_flow::field::{EtherType, FieldId};

use super::Emitter;
use super::emit::{RECOMPUTE_CSUM, SPACE, key};
use crate::pipeline::layout::state;

use Reg::{R1, R2, R3, R4, R7};

const ENTRY_BYTES: i32 = 4;
/// In the commit's space: the entry as it is to be.
const ENTRY: i16 = SPACE - 4;

/// Fields of an entry, from the least significant bit: where each is, and its bits.
const FIELDS: [(FieldId, i32, i32); 4] = [
    (FieldId::MPLS_TTL, 0, 0xff),
    (FieldId::MPLS_BOS, 8, 1),
    (FieldId::MPLS_TC, 9, 7),
    (FieldId::MPLS_LABEL, 12, 0xf_ffff),
];

impl Emitter<'_> {
    pub(super) fn mpls_or_next(&mut self, after: Label) {
        if !FIELDS.iter().any(|(field, ..)| self.changes.has(*field)) {
            return;
        }
        let next = self.a.label("not_mpls");
        self.unless_type(&[EtherType::MPLS, EtherType::MPLS_MULTICAST], next);
        self.packet(Some(state::L3), ENTRY_BYTES);
        let a = &mut *self.a;
        a.load(Size::W, R2, R1, 0);
        a.mov(R3, 0);
        for (field, shift, bits) in FIELDS {
            a.load(Size::W, R4, R7, key(field));
            a.and(R4, bits);
            a.lsh(R4, shift);
            a.or(R3, R4);
        }
        a.be32(R3);
        a.jump_if(Cond::Eq, R2, R3, after);
        a.store(Size::W, R7, ENTRY, R3);
        self.write(state::L3, 0, ENTRY, ENTRY_BYTES, RECOMPUTE_CSUM);
        self.a.jump(after);
        self.a.bind(next);
    }
}
