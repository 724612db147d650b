//! What copies do with labels is undone when they end.

use aorta_ebpf::{Cond, Label, Reg, Size};
use aorta_flow::field::FieldId;

use super::super::{Block, Gen, key};
use super::K;
use crate::pipeline::layout::{labels, state, vlan};

use Reg::{R1, R2, R3, R7, R9};

impl Gen<'_> {
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
    pub(super) fn log_push(&mut self) {
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
    pub(super) fn log_pop(&mut self) {
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
    pub(super) fn log_fields(&mut self) {
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
    pub(in super::super) fn emit_undo_labels(&mut self) {
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
