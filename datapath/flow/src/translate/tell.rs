//! What the interpreter tells of its way.

use super::action_set::in_order;
use super::changes::changes;
use super::machine::Machine;
use super::trace::NoteKind;
use super::{Effect, TraceFlow, TraceLine, TraceWhat};
use crate::field::{hex, show};
use crate::{Flow, Subfield};

impl<'a> Machine<'a> {
    /// Does something, and tells what of the packet it changed.
    pub(super) fn changing(&mut self, act: impl FnOnce(&mut Machine<'a>)) {
        let before = self.tracing.then(|| self.state.packet.key.clone());
        let line = self.trace.lines.len();
        act(self);
        if let Some(before) = before {
            let found = changes(&before, &self.state.packet.key);
            self.trace.changed(line, found);
        }
    }

    /// Something happens now.
    pub(super) fn happens(&mut self, effect: Effect) -> bool {
        let there = self.env.happens(&effect);
        if self.tracing {
            let followed = self.env.followed();
            let (depth, nest) = (self.place.indent, self.place.nest);
            self.trace.append(followed, depth, nest);
        }
        self.effects.push(effect);
        there
    }

    /// A lookup, and what it found.
    pub(super) fn told_table(&mut self, table: u8, flow: Option<&Flow>) {
        let flow = flow.map(|flow| TraceFlow {
            cookie: flow.cookie,
            priority: flow.priority,
            matching: flow.matching.to_string(),
        });
        self.tell(|| (TraceWhat::Table { table, flow }, NoteKind::default()));
    }

    /// An action that is done.
    pub(super) fn traced<T: Into<String>>(&mut self, text: impl FnOnce() -> T) {
        self.tell(|| {
            let (action, changes) = (text().into(), Vec::new());
            (TraceWhat::Action { action, changes }, NoteKind::default())
        });
    }

    /// Something that one might not expect.
    pub(super) fn note<T: Into<String>>(&mut self, text: impl FnOnce() -> T) {
        self.noted(NoteKind::Warning, text);
    }

    /// Something besides.
    pub(super) fn noted<T: Into<String>>(&mut self, kind: NoteKind, text: impl FnOnce() -> T) {
        self.tell(|| (TraceWhat::Note(text().into()), kind));
    }

    fn tell(&mut self, what: impl FnOnce() -> (TraceWhat, NoteKind)) {
        if self.tracing {
            let (depth, nest) = (self.place.indent, self.place.nest);
            let (what, note) = what();
            self.trace.lines.push(TraceLine {
                depth,
                nest,
                what,
                note,
            });
        }
    }

    /// Tells what bits of a field are now.
    pub(super) fn told_subfield(&mut self, part: Subfield) {
        if self.tracing {
            let mut value = String::new();
            let now = self.state.packet.key.read(part);
            match part.is_whole() {
                true => show(&mut value, part.field, now, part.field.field().full_mask()),
                false => hex(&mut value, now),
            }
            self.noted(NoteKind::Detail, || format!("{part} is now {value}"));
        }
    }

    /// Tells what is in the action set now.
    pub(super) fn told_action_set(&mut self, verb: &str) {
        if self.tracing {
            let set = in_order(&self.state.set);
            let actions: Vec<String> = set.iter().map(|action| action.to_string()).collect();
            let text = if actions.is_empty() {
                format!("action set {verb} empty")
            } else {
                format!("action set {verb}: {}", actions.join(","))
            };
            self.noted(NoteKind::Detail, || text);
        }
    }
}
