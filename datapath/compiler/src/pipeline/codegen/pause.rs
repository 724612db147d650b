//! What the daemon needs to know of a packet that waits for its controller: what is left to be done
//! with it once it goes on.
//!
//! A flow that leads to another table and has more to do afterwards pushes a *note* below the frame
//! that comes back to it: which rule it is, and by which of its resubmits. A packet that waits takes
//! the notes of what it is in along, with the values on its stack and the rules that have written its
//! action set.

use aorta_ebpf::{Cond, Reg, Size};

use super::site::{ListEnd, Params, Site};
use super::{Block, Gen};
use crate::pipeline::layout::{paused, state};
use crate::pipeline::record;

use Reg::{R1, R2, R3, R4, R5, R7, R8};

/// Byte offsets in a frame that is a note: the rule, and the number of its resubmit.
const RULE: i16 = state::FRAMES_AT + 4;
const RESUBMIT: i16 = state::FRAMES_AT + 12;
const PLACE: i16 = state::FRAMES_AT;

impl Gen<'_> {
    /// Makes the place that notes name; the first of all, which tells them from other frames.
    pub(super) fn begin_notes(&mut self) {
        if self.plan.pauses() && self.card.is_none() {
            let (number, label) = self.place("note");
            debug_assert_eq!(number, paused::NOTE);
            self.note = Some(label);
            self.block(Block::Return);
            self.a.store(Size::W, R7, paused::SETS, 0);
        }
    }

    /// What is done where a note is come back to: nothing.
    pub(super) fn emit_notes(&mut self) {
        if let Some(label) = self.note {
            let back = self.block(Block::Return);
            self.a.bind(label);
            self.a.jump(back);
        }
    }

    /// R3 = the rule whose code this is; false if there is none.
    fn load_rule(&mut self, site: &Site) -> bool {
        match (&site.params, site.rule) {
            (Params::Record, _) => self.a.load(Size::W, R3, R8, record::RULE),
            (Params::Inline(_), Some(rule)) => self.a.mov(R3, rule as i32),
            (Params::Inline(_), None) => return false,
        }
        true
    }

    /// Pushes a note, if that may be of use: whether it did. Uses R1 to R3.
    pub(super) fn push_note(&mut self, site: &Site) -> bool {
        let number = self.resubmits;
        self.resubmits += 1;
        let in_set = matches!(site.list_end, ListEnd::Block(Block::ActionSetOver));
        let of_rule = site.params == Params::Record || site.rule.is_some();
        if self.note.is_none() || in_set || !of_rule {
            return false;
        }
        self.push_bare_frame(paused::NOTE);
        self.load_rule(site);
        self.a.store(Size::W, R2, RULE, R3);
        self.a.store(Size::W, R2, RESUBMIT, number as i32);
        true
    }

    /// Takes a note away, which is the newest frame. Uses R1.
    pub(super) fn pop_note(&mut self) {
        self.a.load(Size::W, R1, R7, state::FRAMES);
        self.a.sub(R1, 1);
        self.a.store(Size::W, R7, state::FRAMES, R1);
    }

    /// Notes that a rule writes the action set. Uses R1 to R3.
    pub(super) fn note_writes(&mut self, site: &Site) {
        if self.note.is_none() || !self.load_rule(site) {
            return;
        }
        let full = self.a.label("sets_full");
        let a = &mut self.a;
        a.load(Size::W, R1, R7, paused::SETS);
        a.mov(R2, R1);
        a.add(R1, 1);
        a.store(Size::W, R7, paused::SETS, R1);
        a.jump_if(Cond::Ge, R2, i32::from(paused::MAX_SETS), full);
        a.and(R2, i32::from(paused::MAX_SETS) - 1);
        a.lsh(R2, 2);
        a.add(R2, R7);
        a.store(Size::W, R2, paused::SET_RULES, R3);
        a.bind(full);
    }

    /// The action set is empty. Uses no register.
    pub(super) fn forget_writes(&mut self) {
        if self.note.is_some() {
            self.a.store(Size::W, R7, paused::SETS, 0);
        }
    }

    /// Double words of the state that a copy has for itself, because its action set is its own.
    pub(super) fn noted_words(&self) -> Vec<i16> {
        match self.plan.action_set && self.plan.pauses() {
            false => Vec::new(),
            true => {
                let rules = (0..paused::MAX_SETS).step_by(2);
                let rules = rules.map(|number| paused::SET_RULES + 4 * number);
                [paused::SETS].into_iter().chain(rules).collect()
            }
        }
    }

    /// Gathers what the daemon is to know. Uses R1 to R5.
    pub(super) fn gather_notes(&mut self) {
        if self.note.is_none() {
            return;
        }
        self.gather_frames();
        self.a.store(Size::W, R7, paused::VALUES, 0);
        if self.plan.usage.stack {
            self.gather_values();
        }
    }

    /// The notes, from the newest to where the copy or bucket began.
    fn gather_frames(&mut self) {
        let (done, next, least) = (
            self.a.label("noted"),
            self.a.label("next_note"),
            self.a.label("least"),
        );
        let give_up = self.block(Block::TooDeep);
        let copies = self.plan.copies;
        let a = &mut self.a;
        a.store(Size::W, R7, paused::NOTES, 0);
        a.load(Size::W, R1, R7, state::FRAMES);
        a.load(Size::W, R4, R7, state::FRAME_BASE);
        if copies {
            a.load(Size::W, R5, R7, state::SCOPE);
            a.jump_if(Cond::Le, R5, R4, least);
            a.mov(R4, R5);
        }
        a.bind(least);
        a.bind(next);
        a.may_goto(give_up);
        a.jump_if(Cond::Le, R1, R4, done);
        a.sub(R1, 1);
        a.mov(R2, R1);
        a.and(R2, i32::from(state::MAX_FRAMES) - 1);
        a.lsh(R2, state::FRAME_BYTES.trailing_zeros() as i32);
        a.add(R2, R7);
        a.load(Size::W, R3, R2, PLACE);
        a.jump_if(Cond::Ne, R3, paused::NOTE as i32, next);
        a.load(Size::W, R3, R7, paused::NOTES);
        a.mov(R5, R3);
        a.add(R5, 1);
        a.store(Size::W, R7, paused::NOTES, R5);
        a.jump_if(Cond::Ge, R3, i32::from(paused::MAX_NOTES), next);
        a.and(R3, i32::from(paused::MAX_NOTES) - 1);
        a.lsh(R3, 3);
        a.add(R3, R7);
        a.load(Size::W, R5, R2, RULE);
        a.store(Size::W, R3, paused::NOTES_AT, R5);
        a.load(Size::W, R5, R2, RESUBMIT);
        a.store(Size::W, R3, paused::NOTES_AT + 4, R5);
        a.jump(next);
        a.bind(done);
    }

    /// The values on top of the stack, the newest first.
    fn gather_values(&mut self) {
        let done = self.a.label("valued");
        let a = &mut self.a;
        a.load(Size::W, R1, R7, state::STACK);
        a.store(Size::W, R7, paused::VALUES, R1);
        for number in 0..paused::MAX_VALUES {
            a.jump_if(Cond::Eq, R1, 0, done);
            a.sub(R1, 1);
            a.mov(R2, R1);
            a.and(R2, i32::from(state::MAX_STACK) - 1);
            a.lsh(R2, 4);
            a.add(R2, R7);
            for half in [0, 8] {
                a.load(Size::Dw, R3, R2, state::STACK_AT + half);
                a.store(Size::Dw, R7, paused::VALUES_AT + 16 * number + half, R3);
            }
        }
        a.bind(done);
    }
}
