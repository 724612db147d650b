//! Action sets (OpenFlow 1.3.5 §5.10): what flows wrote is kept as references to code and records,
//! one for each kind of which the last one counts, and a list of those that are all done.

use aorta_ebpf::{Cond, Label, Reg, Size};
use aorta_flow::action::Action;

use super::site::{ListEnd, Params, Site};
use super::{Block, Gen};
use crate::pipeline::layout::state;
use crate::pipeline::maps::table_memory;
use crate::pipeline::shape::{Shape, Step};

use Reg::{R1, R2, R3, R7, R8, R9};

/// Where a step of an action set goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// The last of its kind counts: its entry, in the order in which they are done.
    Once(i16),
    /// All are done.
    Each,
}

const QUEUE: i16 = 6;
/// The first of these that is there is done at the end; without any, nothing is.
const LAST: [i16; 3] = [7, 8, 9];

fn kind(step: &Step) -> Option<Kind> {
    let once = match step {
        Step::Set { .. } | Step::SetTag(_) | Step::Move { .. } => return Some(Kind::Each),
        Step::Output(_)
        | Step::OutputField(_)
        | Step::OutputInPort
        | Step::OutputAll
        | Step::OutputFlood
        | Step::OutputNormal => LAST[1],
        Step::Resubmit { .. } => LAST[2],
        Step::SetQueue(_) => QUEUE,
        Step::Other(whole) => match &whole.0 {
            Action::PopVlan | Action::StripVlan => 0,
            Action::PopMpls(_) => 1,
            Action::PushMpls(_) => 2,
            Action::PushVlan(_) => 3,
            Action::DecTtl(_) => 4,
            Action::DecMplsTtl => 5,
            Action::Group(_) => LAST[0],
            Action::Output(_) | Action::OutputTruncated { .. } | Action::Controller(_) => LAST[1],
            _ => return None,
        },
        _ => return None,
    };
    Some(Kind::Once(once))
}

fn entry(once: i16) -> i16 {
    state::ACTION_SET + 8 * once
}

/// Entries that a bridge's flows write, and whether there are actions that are all done.
#[derive(Clone, Debug, Default)]
pub struct SetUse {
    once: Vec<i16>,
    each: bool,
}

impl SetUse {
    fn of<'s>(shapes: impl Iterator<Item = &'s Shape>) -> SetUse {
        let mut used = SetUse::default();
        for step in shapes.flat_map(|shape| &shape.writes) {
            match kind(step) {
                Some(Kind::Once(once)) if !used.once.contains(&once) => used.once.push(once),
                Some(Kind::Each) => used.each = true,
                _ => {}
            }
        }
        used.once.sort_unstable();
        used
    }

    /// Double words of the state that the set takes.
    pub fn words(&self) -> Vec<i16> {
        let mut words: Vec<i16> = self.once.iter().map(|once| entry(*once)).collect();
        if self.each {
            words.push(state::SETS);
            words.extend((0..state::MAX_SETS).map(|n| state::SETS_AT + 8 * n));
        }
        words
    }
}

impl Gen<'_> {
    /// What the bridge's action sets use.
    pub fn set_use(&self) -> SetUse {
        if !self.plan.action_set {
            return SetUse::default();
        }
        let shapes = self.plan.used_shapes();
        SetUse::of(shapes.iter().map(|shape| &**shape))
    }

    pub(super) fn begin_action_set(&mut self) {
        if self.plan.action_set {
            self.a.store(Size::W, R7, state::SET_DONE, 0);
            self.clear_action_set();
        }
    }

    /// Empties the action set. Uses no register.
    pub(super) fn clear_action_set(&mut self) {
        let used = self.set_use();
        for once in used.once {
            self.a.store(Size::Dw, R7, entry(once), 0);
        }
        if used.each {
            self.a.store(Size::W, R7, state::SETS, 0);
        }
        self.forget_writes();
    }

    /// Puts steps into the action set.
    pub(super) fn write_actions(&mut self, writes: &[Step], site: &Site) {
        let mut once: Vec<(i16, &Step)> = Vec::new();
        let mut each = Vec::new();
        for step in writes {
            match kind(step) {
                Some(Kind::Each) => each.push(step.clone()),
                Some(Kind::Once(number)) => {
                    once.retain(|(other, _)| *other != number);
                    once.push((number, step));
                }
                None => {}
            }
        }
        for (number, step) in once {
            let place = self.defer(vec![step.clone()], site);
            self.a.mov(R2, R7);
            self.refer(entry(number), place, site);
        }
        if !each.is_empty() {
            let place = self.defer(each, site);
            let full = self.block(Block::TooDeep);
            let a = &mut self.a;
            a.load(Size::W, R1, R7, state::SETS);
            a.jump_if(Cond::Ge, R1, i32::from(state::MAX_SETS), full);
            a.mov(R2, R1);
            a.add(R1, 1);
            a.store(Size::W, R7, state::SETS, R1);
            a.lsh(R2, 3);
            a.add(R2, R7);
            self.refer(state::SETS_AT, place, site);
        }
    }

    /// Code for later, and the number of its place.
    fn defer(&mut self, steps: Vec<Step>, site: &Site) -> u32 {
        let (place, label) = self.place("in_set");
        let site = Site {
            list_end: ListEnd::Block(Block::ActionSetOver),
            bare: false,
            ..site.clone()
        };
        self.deferred.push((label, steps, site));
        place
    }

    /// Writes an entry at R2 plus `at`. Uses R1, R3.
    fn refer(&mut self, at: i16, place: u32, site: &Site) {
        let a = &mut self.a;
        a.store(Size::W, R2, at, place as i32);
        if site.params == Params::Record {
            a.mov(R3, R8);
            a.load_map_value(R1, table_memory(site.table), 0);
            a.sub(R3, R1);
            a.store(Size::W, R2, at + 4, R3);
        }
    }

    /// Emits what flows put into action sets.
    pub(super) fn deferred_code(&mut self) {
        for (label, steps, site) in std::mem::take(&mut self.deferred) {
            self.dispatch();
            self.arrive(label, &site);
            if !self.steps(&steps, &site, true) {
                let back = self.block(Block::Return);
                self.a.jump(back);
            }
        }
    }

    /// Does the set in its order, then returns. It is empty before its last action begins.
    pub(super) fn emit_action_set(&mut self) {
        let used = self.set_use();
        let last: Vec<i16> = LAST.into_iter().filter(|k| used.once.contains(k)).collect();
        let some = self.a.label("some");
        // Its actions can lead to the end of a clone, and so back to here.
        let too_deep = self.block(Block::TooDeep);
        self.a.may_goto(too_deep);
        for kind in &last {
            self.a.load(Size::W, R1, R7, entry(*kind));
            self.a.jump_if(Cond::Ne, R1, 0, some);
        }
        let over = self.a.here("over");
        self.clear_action_set();
        let back = self.block(Block::Return);
        self.a.jump(back);
        if last.is_empty() {
            return;
        }
        self.a.bind(some);
        for kind in used.once.iter().filter(|kind| **kind < QUEUE) {
            self.do_entry(*kind);
        }
        if used.each {
            self.do_each();
        }
        if used.once.contains(&QUEUE) {
            self.do_entry(QUEUE);
        }
        self.do_last(&last, over);
    }

    fn do_entry(&mut self, kind: i16) {
        let (place, next) = self.place("next_kind");
        self.a.load(Size::W, R1, R7, entry(kind));
        self.a.jump_if(Cond::Eq, R1, 0, next);
        self.push_bare_frame(place);
        self.go_to_entry(R7, entry(kind));
        self.a.bind(next);
    }

    fn do_each(&mut self) {
        let (place, next) = self.place("next_set");
        let done = self.a.label("sets_done");
        let too_deep = self.block(Block::TooDeep);
        self.a.store(Size::W, R7, state::SETS_BEGUN, 0);
        self.a.bind(next);
        let a = &mut self.a;
        a.may_goto(too_deep);
        a.load(Size::W, R9, R7, state::SETS_BEGUN);
        a.load(Size::W, R1, R7, state::SETS);
        a.jump_if(Cond::Ge, R9, R1, done);
        a.jump_if(Cond::Ge, R9, i32::from(state::MAX_SETS), done);
        a.mov(R1, R9);
        a.add(R1, 1);
        a.store(Size::W, R7, state::SETS_BEGUN, R1);
        a.lsh(R9, 3);
        a.add(R9, R7);
        self.push_bare_frame(place);
        self.go_to_entry(R9, state::SETS_AT);
        self.a.bind(done);
    }

    fn do_last(&mut self, last: &[i16], over: Label) {
        for kind in last {
            let next = self.a.label("next_kind");
            let dispatch = self.dispatch();
            self.a.load(Size::W, R2, R7, entry(*kind));
            self.a.jump_if(Cond::Eq, R2, 0, next);
            self.a.load(Size::W, R8, R7, entry(*kind) + 4);
            self.clear_action_set();
            self.a.jump(dispatch);
            self.a.bind(next);
        }
        self.a.jump(over);
    }

    fn go_to_entry(&mut self, base: Reg, at: i16) {
        let dispatch = self.dispatch();
        self.a.load(Size::W, R2, base, at);
        self.a.load(Size::W, R8, base, at + 4);
        self.a.jump(dispatch);
    }

    /// An action of the set ended it: the rest isn't done.
    pub(super) fn emit_action_set_over(&mut self) {
        let back = self.block(Block::Return);
        self.clear_action_set();
        self.a.load(Size::W, R1, R7, state::FRAMES);
        self.a.sub(R1, 1);
        self.a.store(Size::W, R7, state::FRAMES, R1);
        self.a.jump(back);
    }

    /// At the end of the packet, the action set is done once.
    pub(super) fn end_with_action_set(&mut self) {
        let finish = self.block(Block::Finish);
        let set = self.block(Block::ActionSet);
        self.a.load(Size::W, R1, R7, state::SET_DONE);
        self.a.jump_if(Cond::Ne, R1, 0, finish);
        self.a.store(Size::W, R7, state::SET_DONE, 1);
        self.a.jump(set);
    }
}
