//! What the interpreter tells of its way.

use super::Effect;
use super::changes::changes;
use super::machine::Machine;

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
            let indent = self.place.indent + 1;
            for line in self.env.followed().lines {
                self.trace.line(indent + line.depth, line.what);
            }
        }
        self.effects.push(effect);
        there
    }

    pub(super) fn traced<T: Into<String>>(&mut self, text: impl FnOnce() -> T) {
        if self.tracing {
            self.trace.action(self.place.indent, text().into());
        }
    }

    pub(super) fn note<T: Into<String>>(&mut self, text: impl FnOnce() -> T) {
        if self.tracing {
            self.trace.note(self.place.indent, text());
        }
    }
}
