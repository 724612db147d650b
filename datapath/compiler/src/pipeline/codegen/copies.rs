//! Copies of the packet: what actions can change is set aside, and taken back at the end. The bytes
//! of the frame follow only when the packet is sent.

use aorta_ebpf::{Cond, Reg, Size};

use super::labels::behind_type;
use super::site::{ListEnd, Site};
use super::{Block, Gen, key};
use crate::pipeline::layout::{self, labels, state, vlan};
use crate::pipeline::shape::Step;

use Reg::{R0, R1, R2, R3, R4, R5, R7};

/// Bytes that are set aside besides the fields that actions change, at most.
pub const HEADER_BYTES: usize =
    32 + 8 * (state::SET_KINDS + state::MAX_SETS + 1 + 4 + NOTED_WORDS) as usize;
/// Double words that tell which rules wrote the action set.
const NOTED_WORDS: i16 = 1 + layout::paused::MAX_SETS / 2;

/// Bytes in which copies are set aside, a power of two.
const ASIDE_BYTES: i32 = state::MAX_SAVES as i32 * state::SAVE_BYTES as i32;

impl Gen<'_> {
    pub(super) fn begin_copies(&mut self) {
        if self.plan.copies {
            self.a.store(Size::W, R7, state::SCOPE, 0);
            self.a.store(Size::W, R7, state::BUCKET, 0);
            self.a.store(Size::Dw, R7, state::COMMITTED, 0);
        }
    }

    /// Does steps with a copy of everything; then its action set.
    pub(super) fn clone_steps(&mut self, inner: &[Step], site: &Site) {
        let end = self.a.label("clone_end");
        let within = Site {
            list_end: ListEnd::Here(end),
            bare: false,
            ..site.clone()
        };
        if !self.plan.action_set && inner.iter().all(changes_nothing) {
            self.steps(inner, &within, false);
            return;
        }
        self.call_block(Block::Save, site);
        let (place, restore) = self.place("restore");
        self.push_frame(place, site);
        self.a.load(Size::W, R1, R7, state::FRAMES);
        self.a.store(Size::W, R7, state::SCOPE, R1);
        let ended = self.steps(inner, &within, false);
        if !ended || self.ends.contains(&end) {
            self.a.bind(end);
            if self.plan.action_set {
                self.call_block(Block::ActionSet, site);
            }
            let back = self.block(Block::Return);
            self.a.jump(back);
        }
        self.arrive(restore, site);
        self.call_block(Block::Restore, site);
    }

    /// Offsets and sizes in the state of what a copy has for itself.
    fn saved(&self, bucket: bool) -> Vec<(i16, Size)> {
        let mut saved = vec![(state::SCOPE, Size::W), (state::QUEUE, Size::W)];
        if bucket {
            // Buckets share the stack of values and the action set with who calls the group.
            let own = [state::BUCKET, state::BUCKET_SAVES, state::RULE];
            saved.extend(own.map(|at| (at, Size::W)));
        } else {
            saved.push((state::STACK, Size::W));
            let sets = self.set_use().words();
            let sets = sets.into_iter().chain(self.noted_words());
            saved.extend(sets.map(|at| (at, Size::Dw)));
        }
        let mut fields = self.plan.usage.writes.clone();
        if self.changes.labels() {
            // All that is behind a label changes with it.
            let parsed = self.parsed_fields();
            fields.extend(behind_type().filter(|field| parsed.contains(field)));
        }
        for field in fields {
            let (at, bytes) = (key(field), layout::storage_bytes(field));
            match bytes {
                4 => saved.push((at, Size::W)),
                _ => saved.extend((0..bytes).step_by(8).map(|n| (at + n, Size::Dw))),
            }
        }
        if self.changes.tags() {
            let tags = (vlan::OUTER..vlan::END).step_by(8);
            saved.extend(tags.map(|at| (state::KEY + at, Size::Dw)));
        }
        if self.changes.length() {
            saved.push((state::KEY + layout::LENGTH, Size::W));
        }
        // Double words first, so that each stands at a multiple of its size.
        saved.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
        saved
    }

    /// Bytes of a copy that is set aside, a multiple of 8. They differ from bridge to bridge.
    pub(super) fn aside_bytes(&self) -> usize {
        let bytes = |bucket| -> usize { self.saved(bucket).iter().map(|(_, s)| s.bytes()).sum() };
        let first = if self.changes.labels() { 16 } else { 8 };
        (first + bytes(false).max(bytes(true))).next_multiple_of(8)
    }

    /// Whether what actions change fits where a copy is set aside.
    pub(super) fn fits_aside(&self) -> bool {
        self.aside_bytes() <= state::SAVE_BYTES as usize
    }

    /// R2 = where the copy at R2 is set aside, less the offset of all of them.
    pub(super) fn place_aside(&mut self) {
        let a = &mut self.a;
        a.and(R2, ASIDE_BYTES - 8);
        a.add(R2, R7);
    }

    pub(super) fn emit_save(&mut self, bucket: bool) {
        let full = self.block(Block::TooDeep);
        let bytes = self.aside_bytes() as i32;
        let a = &mut self.a;
        a.load(Size::W, R1, R7, state::SAVES);
        a.jump_if(Cond::Gt, R1, ASIDE_BYTES - bytes, full);
        a.mov(R2, R1);
        a.add(R1, bytes);
        a.store(Size::W, R7, state::SAVES, R1);
        self.place_aside();
        let mut to = state::SAVES_AT;
        self.a.load(Size::Dw, R1, R7, state::DIRTY);
        self.a.store(Size::Dw, R2, to, R1);
        to += 8;
        if self.changes.labels() {
            self.a.load(Size::W, R1, R7, state::KEY + labels::LOG);
            self.a.store(Size::W, R2, to, R1);
            to += 8;
        }
        for (from, size) in self.saved(bucket) {
            self.a.load(size, R1, R7, from);
            self.a.store(size, R2, to, R1);
            to += size.bytes() as i16;
        }
        if self.plan.usage.stack && !bucket {
            self.double_stack();
        }
        let back = self.block(Block::Return);
        self.a.jump(back);
    }

    pub(super) fn emit_restore(&mut self, bucket: bool) {
        if self.changes.labels() {
            self.call_bare(Block::UndoLabels);
        }
        let bytes = self.aside_bytes() as i32;
        let a = &mut self.a;
        a.load(Size::W, R2, R7, state::SAVES);
        a.sub(R2, bytes);
        a.store(Size::W, R7, state::SAVES, R2);
        self.place_aside();
        let mut from = state::SAVES_AT;
        let a = &mut self.a;
        // Where bytes were changed for the copy, they may have to be changed back.
        a.load(Size::Dw, R1, R2, from);
        a.load(Size::Dw, R3, R7, state::COMMITTED);
        a.or(R1, R3);
        a.store(Size::Dw, R7, state::DIRTY, R1);
        from += if self.changes.labels() { 16 } else { 8 };
        for (to, size) in self.saved(bucket) {
            self.a.load(size, R1, R2, from);
            self.a.store(size, R7, to, R1);
            from += size.bytes() as i16;
        }
        let back = self.block(Block::Return);
        self.a.jump(back);
    }

    /// The copy works on copies of the values on the stack of `push`.
    fn double_stack(&mut self) {
        let full = self.block(Block::TooDeep);
        let copied = self.a.label("copied");
        let a = &mut self.a;
        a.load(Size::W, R4, R7, state::STACK);
        a.mov(R5, R4);
        a.lsh(R5, 1);
        a.jump_if(Cond::Gt, R5, i32::from(state::MAX_STACK), full);
        a.store(Size::W, R7, state::STACK, R5);
        a.store(Size::W, R7, state::LISTED, 0);
        let next = a.here("next_value");
        a.may_goto(full);
        a.load(Size::W, R4, R7, state::STACK);
        a.rsh(R4, 1);
        a.load(Size::W, R1, R7, state::LISTED);
        a.jump_if(Cond::Ge, R1, R4, copied);
        a.mov(R2, R1);
        a.mov(R3, R1);
        a.add(R3, R4);
        a.add(R1, 1);
        a.store(Size::W, R7, state::LISTED, R1);
        for slot in [R2, R3] {
            a.and(slot, i32::from(state::MAX_STACK) - 1);
            a.lsh(slot, 4);
            a.add(slot, R7);
        }
        for half in [0, 8] {
            a.load(Size::Dw, R0, R2, state::STACK_AT + half);
            a.store(Size::Dw, R3, state::STACK_AT + half, R0);
        }
        a.jump(next);
        a.bind(copied);
    }

    /// The bucket that is being worked on ends, or everything, and nothing more is done.
    pub(super) fn emit_exit(&mut self) {
        let finish = self.block(Block::Finish);
        if !self.plan.extras.groups.is_empty() {
            let outside = self.a.label("outside");
            let back = self.block(Block::Return);
            let a = &mut self.a;
            a.load(Size::W, R1, R7, state::BUCKET);
            a.jump_if(Cond::Eq, R1, 0, outside);
            a.store(Size::W, R7, state::FRAMES, R1);
            a.load(Size::W, R1, R7, state::BUCKET_SAVES);
            a.store(Size::W, R7, state::SAVES, R1);
            a.jump(back);
            a.bind(outside);
        }
        self.drop_frames();
        self.a.jump(finish);
    }

    /// The copy that is being worked on ends, or everything.
    pub(super) fn emit_drop_packet(&mut self) {
        let finish = self.block(Block::Finish);
        if self.plan.copies {
            let outermost = self.a.label("outermost");
            let back = self.block(Block::Return);
            self.a.load(Size::W, R1, R7, state::SCOPE);
            self.a.jump_if(Cond::Eq, R1, 0, outermost);
            self.a.store(Size::W, R7, state::FRAMES, R1);
            self.a.jump(back);
            self.a.bind(outermost);
        }
        self.drop_frames();
        self.a.jump(finish);
    }

    pub(super) fn drop_frames(&mut self) {
        self.a.load(Size::W, R1, R7, state::FRAME_BASE);
        self.a.store(Size::W, R7, state::FRAMES, R1);
    }
}

/// Whether a step leaves the packet as it is, so that nothing needs to be set aside for it.
pub(super) fn changes_nothing(step: &Step) -> bool {
    match step {
        Step::Output(_)
        | Step::OutputField(_)
        | Step::OutputInPort
        | Step::OutputAll
        | Step::OutputFlood
        | Step::OutputNormal => true,
        Step::Clone(inner) => inner.iter().all(changes_nothing),
        _ => false,
    }
}
