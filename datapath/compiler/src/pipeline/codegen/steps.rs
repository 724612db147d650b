//! Lists of actions.

use aorta_ebpf::{AluOp, Cond, Reg, Size, Width};
use aorta_flow::Subfield;
use aorta_flow::field::FieldId;
use aorta_flow::translate::MAX_DEPTH;

use super::site::Site;
use super::{Block, Gen, bits, commit, key, other, prereq, xdp};
use crate::pipeline::Hook;
use crate::pipeline::layout::{self, state};
use crate::pipeline::shape::{Param, SetWord, Step, When};

use Reg::{R1, R2, R3, R7};

impl Gen<'_> {
    /// Everything that a flow of a shape does, to the end.
    pub fn actions(&mut self, shape: u32, site: &Site) {
        let Some(shape) = self.plan.shapes.get(shape).cloned() else {
            let end = self.flow_end(site.bare);
            self.a.jump(end);
            return;
        };
        self.resubmits = 0;
        let nothing_follows = !shape.clears
            && shape.writes.is_empty()
            && shape.metadata.is_empty()
            && shape.goto.is_none();
        if self.steps(&shape.steps, site, nothing_follows) {
            return;
        }
        if shape.clears {
            self.clear_action_set();
        }
        if !shape.writes.is_empty() {
            self.write_actions(&shape.writes, site);
            self.note_writes(site);
        }
        self.set_words(&shape.metadata, site);
        match shape.goto {
            Some(table) => self.go_to(table, site, None, false),
            None => {
                let end = self.flow_end(site.bare);
                self.a.jump(end);
            }
        }
    }

    /// A list of steps. True if control never comes to what is behind them; `last` if that is the
    /// end of all that the flow does.
    pub fn steps(&mut self, steps: &[Step], site: &Site, last: bool) -> bool {
        for (number, step) in steps.iter().enumerate() {
            let tail = last && number + 1 == steps.len();
            if self.step(step, site, tail) {
                return true;
            }
        }
        false
    }

    /// One step. True if control never comes to what is behind it.
    fn step(&mut self, step: &Step, site: &Site, tail: bool) -> bool {
        if self.hook == Hook::Xdp && xdp::changes_bytes(step) {
            self.pass_if_sent();
        }
        match step {
            Step::Set { field, when, words } => self.set(*field, *when, words, site),
            Step::SetTag(word) => self.set_tag(*word, site),
            Step::Move { from, to } => self.copy(*from, *to),
            Step::Clear(field) => self.clear(*field),
            Step::Push(from) => self.push(*from),
            Step::Pop(to) => self.pop(*to),
            Step::CheckLarger(length, to) => self.check_larger(*length, *to, site),
            Step::SetQueue(queue) => {
                self.load_param(site, *queue, R1);
                self.a.add(R1, 1);
                self.a.store(Size::W, R7, state::QUEUE, R1);
            }
            Step::PopQueue => self.a.store(Size::W, R7, state::QUEUE, 0),
            Step::Output(port) => return self.output(*port, site, tail),
            Step::Enqueue(port, queue) => self.enqueue(*port, *queue, site),
            Step::OutputField(from) => self.output_field(*from, site),
            Step::OutputInPort => self.output_in_port(site),
            Step::OutputNormal => return self.output_normal(site, tail),
            Step::OutputAll => self.call_block(Block::AllPorts, site),
            Step::OutputFlood => self.call_block(Block::FloodPorts, site),
            Step::Resubmit { in_port, table } => {
                self.resubmit(*table, *in_port, site, tail);
                return tail;
            }
            Step::Clone(inner) => self.clone_steps(inner, site),
            Step::Exit => {
                let exit = self.block(Block::Exit);
                self.a.jump(exit);
                return true;
            }
            Step::Other(whole) => return other::emit(self, site, &whole.0, tail),
        }
        false
    }

    /// Goes to the lookup of a table, and doesn't come back here.
    fn go_to(&mut self, table: u8, site: &Site, in_port: Option<Param>, comes_back: bool) {
        self.note_arrival(comes_back);
        if self.plan.limits.count_depth {
            let too_deep = self.block(Block::TooDeep);
            let a = &mut self.a;
            a.load(Size::W, R1, R7, state::DEPTH);
            a.jump_if(Cond::Ge, R1, MAX_DEPTH as i32, too_deep);
            if comes_back && table <= site.table {
                a.add(R1, 1);
                a.store(Size::W, R7, state::DEPTH, R1);
            }
        }
        self.note_own_port(table);
        if let Some(port) = in_port {
            let port = self.param(site, port, R1);
            self.a.store(Size::W, R7, key(FieldId::IN_PORT), port);
        }
        let head = self.head(table);
        self.a.jump(head);
    }

    fn resubmit(&mut self, table: u8, in_port: Option<Param>, site: &Site, tail: bool) {
        if tail {
            self.go_to(table, site, in_port, true);
            return;
        }
        let noted = self.push_note(site);
        let (place, back) = self.place("back");
        self.push_frame(place, site);
        self.go_to(table, site, in_port, true);
        self.arrive(back, site);
        if noted {
            self.pop_note();
        }
    }

    /// Notes that a field was written. Uses R1.
    pub fn written(&mut self, field: FieldId) {
        if commit::dirty_bit(field) != 0 {
            commit::actions::emit_dirty(&mut self.a, field);
        }
    }

    fn set(&mut self, field: FieldId, when: When, words: &[SetWord], site: &Site) {
        let skip = self.a.label("skip");
        match when {
            When::Always => {}
            When::Prerequisite => prereq::emit(&mut self.a, field.field().prereq, skip),
            When::AnyPorts => prereq::emit_any_ports(&mut self.a, skip),
        }
        self.set_words(words, site);
        self.written(field);
        self.a.bind(skip);
    }

    /// Writes constants into words of the key. Uses R1, R2.
    fn set_words(&mut self, words: &[SetWord], site: &Site) {
        for word in words {
            let at = state::KEY + word.at;
            let value = self.param(site, word.value, R2);
            let a = &mut self.a;
            if word.mask == u32::MAX {
                a.store(Size::W, R7, at, value);
                continue;
            }
            a.load(Size::W, R1, R7, at);
            a.alu(AluOp::And, Width::W32, R1, !word.mask as i32);
            a.alu(AluOp::Or, Width::W32, R1, value);
            a.store(Size::W, R7, at, R1);
        }
    }

    fn set_tag(&mut self, word: SetWord, site: &Site) {
        let full = self.block(Block::TooDeep);
        commit::actions::emit_ensure_vlan(&mut self.a, full);
        self.set_words(&[word], site);
        self.written(FieldId::VLAN_TCI);
    }

    fn copy(&mut self, from: Subfield, to: Subfield) {
        let skip = self.a.label("skip");
        prereq::emit(&mut self.a, from.field.field().prereq, skip);
        prereq::emit(&mut self.a, to.field.field().prereq, skip);
        bits::copy_field(&mut self.a, from, to);
        self.written(to.field);
        self.a.bind(skip);
    }

    pub(super) fn clear(&mut self, field: FieldId) {
        let at = key(field.field().home);
        for word in (0..layout::storage_bytes(field.field().home)).step_by(4) {
            self.a.store(Size::W, R7, at + word, 0);
        }
        self.written(field);
    }

    /// R3 = address of a value on the stack of `push`, less the offset of all of them; its number
    /// is in R1.
    fn stack_slot(&mut self) {
        let a = &mut self.a;
        a.mov(R3, R1);
        a.and(R3, i32::from(state::MAX_STACK) - 1);
        a.lsh(R3, 4);
        a.add(R3, R7);
    }

    fn slot_bits(part: Subfield) -> bits::Bits {
        bits::Bits {
            base: R3,
            at: state::STACK_AT,
            start: 0,
            count: part.bits.into(),
        }
    }

    fn push(&mut self, from: Subfield) {
        let full = self.block(Block::TooDeep);
        self.a.load(Size::W, R1, R7, state::STACK);
        let most = i32::from(state::MAX_STACK);
        self.a.jump_if(Cond::Ge, R1, most, full);
        self.stack_slot();
        let a = &mut self.a;
        a.add(R1, 1);
        a.store(Size::W, R7, state::STACK, R1);
        let slot = Self::slot_bits(from);
        bits::clear(a, slot);
        let source = bits::read(a, from);
        bits::copy(a, source, slot);
    }

    fn pop(&mut self, to: Subfield) {
        let skip = self.a.label("skip");
        self.a.load(Size::W, R1, R7, state::STACK);
        self.a.jump_if(Cond::Eq, R1, 0, skip);
        self.a.sub(R1, 1);
        self.a.store(Size::W, R7, state::STACK, R1);
        self.stack_slot();
        prereq::emit(&mut self.a, to.field.field().prereq, skip);
        bits::copy_to_field(&mut self.a, Self::slot_bits(to), to);
        self.written(to.field);
        self.a.bind(skip);
    }

    fn check_larger(&mut self, length: Param, to: Subfield, site: &Site) {
        let longer = self.a.label("longer");
        let changes = self.changes;
        commit::actions::emit_length(&mut self.a, changes);
        self.load_param(site, length, R2);
        let a = &mut self.a;
        a.mov(R3, 1);
        a.jump_if(Cond::Gt, R1, R2, longer);
        a.mov(R3, 0);
        a.bind(longer);
        a.store(Size::W, Reg::R10, -24, R3);
        let bit = bits::Bits {
            base: Reg::R10,
            at: -24,
            start: 0,
            count: 1,
        };
        bits::copy_to_field(a, bit, to);
        if self.fixed.is_some() {
            a.store(Size::W, Reg::R10, -24, 0);
        }
        self.written(to.field);
    }

    fn enqueue(&mut self, port: Param, queue: Param, site: &Site) {
        // Nothing else reads the queue while the output goes on.
        self.a.load(Size::W, R1, R7, state::QUEUE);
        self.a.store(Size::W, R7, state::QUEUE_BEFORE, R1);
        self.load_param(site, queue, R1);
        self.a.add(R1, 1);
        self.a.store(Size::W, R7, state::QUEUE, R1);
        self.output(port, site, false);
        self.a.load(Size::W, R1, R7, state::QUEUE_BEFORE);
        self.a.store(Size::W, R7, state::QUEUE, R1);
    }
}
