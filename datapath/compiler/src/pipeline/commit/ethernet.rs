//! Ethernet addresses.

use aorta_ebpf::{Assembler, Reg, Size};
use aorta_flow::field::FieldId;

use super::emit::{forget, key};
use super::{Emitter, dirty};

use Reg::{R1, R3, R7};

/// Destination, source and type.
const HEADER_BYTES: i32 = 14;

impl Emitter<'_> {
    pub(super) fn ethernet(&mut self) {
        if !self.changes.in_groups(dirty::ETHERNET) {
            return;
        }
        let after = self.a.label("ethernet_done");
        self.unless_dirty(dirty::ETHERNET, after);
        self.packet(None, HEADER_BYTES);
        for (field, at) in [(FieldId::ETH_DST, 0), (FieldId::ETH_SRC, 6)] {
            if self.changes.has(field) {
                load_mac(self.a, field);
                self.a.store(Size::W, R1, at, R3);
                self.a.rsh(R3, 32);
                self.a.store(Size::H, R1, at + 4, R3);
            }
        }
        self.a.bind(after);
        forget(self.a);
    }
}

/// R3 = a field of 48 bits, its first byte on the wire lowest.
pub(super) fn load_mac(a: &mut Assembler, field: FieldId) {
    a.load(Size::Dw, R3, R7, key(field.field().home));
    a.be64(R3);
    a.rsh(R3, 16);
}
