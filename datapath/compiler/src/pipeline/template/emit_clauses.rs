//! Code that searches tables with conjunctions.

use aorta_ebpf::{AluOp, Assembler, Cond, Label, Reg, Size, Width};
use aorta_flow::field::FieldId;

use super::super::layout::{self, state};
use super::super::record::{NEXT, PARAMS, RANK};
use super::clauses::SLOT_BYTES;
use super::emit::{Emit, compare, visible};
use super::image::{CLAUSES_STOP_AT, Search};
use super::tuple::Tuple;
use state::clauses as at;

use Reg::{R0, R1, R2, R3, R4, R5, R7, R8, R9};

/// All ones: no order, no window.
const NONE: i32 = -1;

impl Emit<'_> {
    /// The lookup of a table with conjunctions. `plain` emits the search for plain rules, which ends
    /// at [`Emit::done`](super::emit::Emit) with R5 and R9.
    pub(super) fn with_clauses(&self, a: &mut Assembler, plain: impl FnOnce(&mut Assembler)) {
        let (again, ended, answer) = (
            a.label("again"),
            a.label("conj_ended"),
            a.label("plain_answer"),
        );
        a.store(Size::W, R7, at::PHASE, 0);
        a.bind(again);
        plain(a);
        a.bind(self.done);
        a.load(Size::W, R1, R7, at::PHASE);
        a.jump_if(Cond::Ne, R1, 0, ended);
        self.level(a, answer);
        let level = a.here("conj_level");
        a.store(Size::Dw, R7, at::BEST, NONE);
        a.store(Size::W, R7, at::WINDOW, 0);
        self.windows(a);
        a.load(Size::Dw, R1, R7, at::BEST);
        a.jump_if(Cond::Eq, R1, NONE, answer);
        self.found(a, again);
        a.bind(ended);
        self.ended(a, level);
        a.bind(answer);
        a.load(Size::W, R4, R7, at::PLAIN);
        a.jump_if(Cond::Eq, R4, 0, self.context.miss);
        self.record(a);
        a.jump(self.context.hit);
    }

    /// Keeps the plain rule in mind; goes to `answer` if no clause can be of a higher priority.
    fn level(&self, a: &mut Assembler, answer: Label) {
        let all = a.label("all_levels");
        a.store(Size::W, R7, at::PLAIN, R5);
        a.load_map_value(R1, self.context.memory, CLAUSES_STOP_AT);
        a.load(Size::Dw, R1, R1, 0);
        a.jump_if(Cond::Eq, R1, 0, answer);
        a.mov(R2, 0);
        a.jump_if(Cond::Eq, R5, 0, all);
        // The lowest priority that is above the plain rule's.
        a.mov(R2, R9);
        a.rsh(R2, 48);
        a.add(R2, 1);
        a.rsh(R1, 48);
        a.jump_if(Cond::Gt, R2, R1, answer);
        a.bind(all);
        a.store(Size::W, R7, at::LEVEL, R2);
        a.store(Size::Dw, R7, at::FROM, 0);
    }

    /// Goes through all windows that have slots of clauses that match.
    fn windows(&self, a: &mut Assembler) {
        let done = a.label("windows_done");
        let window = a.here("conj_window");
        a.store(Size::W, R7, at::NEXT_WINDOW, NONE);
        a.load(Size::Dw, R1, R7, at::STAMP);
        a.add(R1, 1);
        a.store(Size::Dw, R7, at::STAMP, R1);
        for search in &self.image.searches {
            if let Search::Tuple(tuple) = search
                && tuple.clauses
            {
                self.clause_tuple(a, tuple);
            }
        }
        a.load(Size::W, R1, R7, at::NEXT_WINDOW);
        a.mov32(R2, NONE);
        a.jump_if(Cond::Eq, R1, R2, done);
        a.store(Size::W, R7, at::WINDOW, R1);
        a.may_goto(self.context.give_up);
        a.jump(window);
        a.bind(done);
    }

    /// The conjunction of order R1 is complete: searches plain rules with its number.
    fn found(&self, a: &mut Assembler, again: Label) {
        a.load(Size::W, R2, R7, conj_id());
        a.store(Size::W, R7, at::CONJ_ID, R2);
        a.store(Size::W, R7, conj_id(), R1);
        a.store(Size::W, R7, at::PHASE, 1);
        a.may_goto(self.context.give_up);
        a.jump(again);
    }

    /// What was found with the conjunction's number; nothing: the next lower priority.
    fn ended(&self, a: &mut Assembler, level: Label) {
        let none = a.label("no_conj_flow");
        a.load(Size::W, R1, R7, at::CONJ_ID);
        a.store(Size::W, R7, conj_id(), R1);
        a.jump_if(Cond::Eq, R5, 0, none);
        a.mov(R4, R5);
        self.record(a);
        a.jump(self.context.hit);
        a.bind(none);
        a.load(Size::Dw, R1, R7, at::BEST);
        a.rsh(R1, 32);
        a.add(R1, 1);
        a.lsh(R1, 32);
        a.store(Size::Dw, R7, at::FROM, R1);
        a.may_goto(self.context.give_up);
        a.jump(level);
    }

    /// Clears the bits of all records of a tuple that match.
    fn clause_tuple(&self, a: &mut Assembler, tuple: &Tuple) {
        let (next, follow) = (a.label("next_clauses"), a.label("follow"));
        self.bucket(a, tuple, next);
        let look = a.here("look");
        self.record(a);
        compare(a, tuple, follow);
        visible(a, follow);
        a.load(Size::Dw, R1, R8, RANK);
        a.rsh(R1, 48);
        a.load(Size::W, R2, R7, at::LEVEL);
        // Chains fall by rank.
        a.jump_if(Cond::Lt, R1, R2, next);
        self.entries(a, follow);
        a.bind(follow);
        a.load(Size::W, R4, R8, NEXT);
        a.jump_if(Cond::Eq, R4, 0, next);
        a.may_goto(self.context.give_up);
        a.jump(look);
        a.bind(next);
    }

    /// Clears the bits of the record at R8, then goes to `done`.
    fn entries(&self, a: &mut Assembler, done: Label) {
        let skip = a.label("next_entry");
        let most = self.image.layout.params as i32 - 1;
        a.store(Size::W, R7, at::INDEX, 0);
        let entry = a.here("entry");
        a.load(Size::W, R1, R7, at::INDEX);
        a.load(Size::W, R2, R8, PARAMS);
        a.jump_if(Cond::Ge, R1, R2, done);
        a.jump_if(Cond::Ge, R1, most, done);
        a.mov(R2, R1);
        a.add(R2, 1);
        a.store(Size::W, R7, at::INDEX, R2);
        a.lsh(R1, 2);
        a.add(R1, R8);
        a.load(Size::W, R1, R1, PARAMS + 4);
        a.mov(R3, R1);
        a.and(R3, 63);
        a.rsh(R1, 6);
        self.in_window(a, skip);
        self.clear(a, skip);
        a.bind(skip);
        a.may_goto(self.context.give_up);
        a.jump(entry);
    }

    /// R2 = place of slot R1 in the window; goes to `skip` if it isn't there.
    fn in_window(&self, a: &mut Assembler, skip: Label) {
        let within = a.label("within");
        a.load(Size::W, R0, R7, at::WINDOW);
        a.jump_if(Cond::Lt, R1, R0, skip);
        a.mov(R2, R1);
        a.sub(R2, R0);
        a.jump_if(Cond::Lt, R2, i32::from(at::SLOTS), within);
        a.load(Size::W, R0, R7, at::NEXT_WINDOW);
        a.jump_if(Cond::Ge, R1, R0, skip);
        a.store(Size::W, R7, at::NEXT_WINDOW, R1);
        a.jump(skip);
        a.bind(within);
    }

    /// Clears bit R3 of slot R1, which is at place R2 of the window; goes to `skip` unless the slot
    /// is complete by that, and notes its order otherwise.
    fn clear(&self, a: &mut Assembler, skip: Label) {
        let (seen, known) = (a.label("seen"), a.label("known"));
        let slots = &self.image.slots;
        a.jump_if(
            Cond::Gt,
            R1,
            slots.capacity as i32 - 1,
            self.context.give_up,
        );
        a.lsh(R1, SLOT_BYTES.trailing_zeros() as i32);
        a.load_map_value(R0, self.context.memory, slots.at);
        a.add(R0, R1);
        a.lsh(R2, at::SLOT_BYTES.trailing_zeros() as i32);
        a.mov(R1, R7);
        a.add(R1, R2);
        a.load(Size::Dw, R2, R1, at::SLOTS_AT);
        a.load(Size::Dw, R4, R7, at::STAMP);
        a.jump_if(Cond::Eq, R2, R4, seen);
        a.store(Size::Dw, R1, at::SLOTS_AT, R4);
        a.load(Size::Dw, R2, R0, 8);
        a.jump(known);
        a.bind(seen);
        a.load(Size::Dw, R2, R1, at::SLOTS_AT + 8);
        a.bind(known);
        a.mov(R4, 1);
        a.alu(AluOp::Lsh, Width::W64, R4, R3);
        a.xor(R4, NONE);
        a.and(R2, R4);
        a.store(Size::Dw, R1, at::SLOTS_AT + 8, R2);
        a.jump_if(Cond::Ne, R2, 0, skip);
        a.load(Size::Dw, R2, R0, 0);
        a.load(Size::Dw, R1, R7, at::FROM);
        a.jump_if(Cond::Lt, R2, R1, skip);
        a.load(Size::Dw, R1, R7, at::BEST);
        a.jump_if(Cond::Ge, R2, R1, skip);
        a.store(Size::Dw, R7, at::BEST, R2);
    }
}

/// Offset of `conj_id` in the state; every field has a place.
fn conj_id() -> i16 {
    state::KEY + layout::place(FieldId::CONJ_ID).unwrap_or(layout::KEY_BYTES - 4)
}
