//! ARP and RARP for IPv4 on Ethernet (RFC 826).

use aorta_ebpf::{Cond, Reg, Size};
use aorta_flow::field::FieldId;

use super::Emitter;
use super::emit::{RECOMPUTE_CSUM, SPACE, key};
use super::ethernet::load_mac;
use crate::pipeline::layout::state;

use Reg::{R1, R2, R3, R7};

const PACKET_BYTES: i32 = 28;
const OP: i16 = 6;
const SHA: i16 = 8;
const SPA: i16 = 14;
const THA: i16 = 18;
const TPA: i16 = 24;

/// In the commit's space: the packet from the operation on.
const COPY: i16 = SPACE - 24;
const COPY_BYTES: i32 = PACKET_BYTES - OP as i32;

/// Greatest operation that the key can hold.
const MAX_OP: i32 = 255;

/// What of it can be changed.
pub(super) const FIELDS: [FieldId; 5] = [
    FieldId::ARP_OP,
    FieldId::ARP_SPA,
    FieldId::ARP_TPA,
    FieldId::ARP_SHA,
    FieldId::ARP_THA,
];

/// Place in the copy of a place in the packet.
fn copy(at: i16) -> i16 {
    COPY + at - OP
}

impl Emitter<'_> {
    /// Makes a copy with all that changes, and writes it as a whole, so that a device's sum over
    /// the frame follows.
    pub(super) fn arp(&mut self) {
        self.packet(Some(state::L3), PACKET_BYTES);
        self.arp_operation();
        self.arp_mac(FieldId::ARP_SHA, SHA, [(Size::H, 0), (Size::W, 2)]);
        self.arp_address(FieldId::ARP_SPA, SPA, &[(Size::W, 0)]);
        self.arp_mac(FieldId::ARP_THA, THA, [(Size::W, 0), (Size::H, 4)]);
        self.arp_address(FieldId::ARP_TPA, TPA, &[(Size::H, 0), (Size::H, 2)]);
        self.write(state::L3, OP.into(), COPY, COPY_BYTES, RECOMPUTE_CSUM);
    }

    /// An operation that the key can't hold is 0 there, and stays unless it is changed.
    fn arp_operation(&mut self) {
        let a = &mut *self.a;
        a.load(Size::H, R2, R1, OP);
        if self.changes.has(FieldId::ARP_OP) {
            let (held, stays) = (a.label("known_op"), a.label("same_op"));
            a.load(Size::W, R3, R7, key(FieldId::NW_PROTO));
            a.and(R3, MAX_OP);
            a.be16(R2);
            a.jump_if(Cond::Le, R2, MAX_OP, held);
            a.jump_if(Cond::Eq, R3, 0, stays);
            a.bind(held);
            a.mov(R2, R3);
            a.bind(stays);
            a.be16(R2);
        }
        a.store(Size::H, R7, copy(OP), R2);
    }

    fn arp_mac(&mut self, field: FieldId, at: i16, parts: [(Size, i16); 2]) {
        if self.changes.has(field) {
            load_mac(self.a, field);
        }
        self.arp_copy(field, at, &parts);
    }

    fn arp_address(&mut self, field: FieldId, at: i16, parts: &[(Size, i16)]) {
        if self.changes.has(field) {
            self.a.load(Size::W, R3, R7, key(field.field().home));
            self.a.be32(R3);
        }
        self.arp_copy(field, at, parts);
    }

    /// A field into the copy, piece by piece as the stack's alignment has it: from R3, or as it is.
    fn arp_copy(&mut self, field: FieldId, at: i16, parts: &[(Size, i16)]) {
        let changes = self.changes.has(field);
        for (size, plus) in parts {
            if !changes {
                self.a.load(*size, R3, R1, at + plus);
            }
            self.a.store(*size, R7, copy(at + plus), R3);
            if changes {
                self.a.rsh(R3, size.bits() as i32);
            }
        }
    }
}
