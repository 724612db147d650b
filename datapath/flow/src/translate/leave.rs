//! Ways out of what is being done.

use super::action_set::in_order;
use super::machine::{Frame, Machine};

impl<'a> Machine<'a> {
    /// Leaves the list of actions that is being done, with what follows it in its flow.
    pub(super) fn end_list(&mut self) {
        while let Some(Frame::Actions(_) | Frame::Instructions(_)) = self.frames.last() {
            self.frames.pop();
        }
    }

    /// Ends the bucket that is being worked on, or all; clones and action sets too. In this it does
    /// what Open vSwitch does, whose manual has the action set done all the same.
    pub(super) fn exit(&mut self) {
        self.leave_all(|frame| !matches!(frame, Frame::RestorePacket(_)));
        if self.frames.is_empty() {
            self.leave_action_set();
        }
    }

    /// Leaves all that is still to be done, up to a frame that isn't `inside`.
    pub(super) fn leave_all(&mut self, inside: fn(&Frame<'a>) -> bool) {
        while self.frames.last().is_some_and(inside) {
            match self.frames.pop() {
                Some(Frame::Restore(before)) => (self.state, self.place) = *before,
                Some(Frame::Return(place)) => self.place = place,
                Some(Frame::ActionSet) => self.leave_action_set(),
                _ => {}
            }
        }
    }

    /// The action set isn't done, because the pipeline has ended; it is told all the same.
    fn leave_action_set(&mut self) {
        let set = in_order(&std::mem::take(&mut self.state.set));
        if !set.is_empty() {
            let place = self.place;
            self.begin_action_set();
            self.place = place;
        }
    }

    /// Ends the clone or bucket that is being worked on, or all, because the packet is gone.
    pub(super) fn drop_packet(&mut self) {
        let inside =
            |frame: &Frame<'_>| !matches!(frame, Frame::Restore(_) | Frame::RestorePacket(_));
        while self.frames.last().is_some_and(inside) {
            self.frames.pop();
        }
        if self.frames.is_empty() {
            self.state.set.clear();
        }
    }
}
