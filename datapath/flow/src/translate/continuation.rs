//! What is left to be done with a packet that waits for its controller (`controller(pause)`).

use super::machine::{Frame, Machine, Place};
use crate::action::{Action, Instructions};

/// What a packet that waits still has to go through, besides its fields.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Continuation {
    /// Values that were pushed, the newest last.
    pub stack: Vec<u128>,
    /// The action set, in the order in which it was written.
    pub action_set: Vec<Action>,
    /// The rest of flows: of the one that has it wait first, then of those that led there.
    pub rest: Vec<Rest>,
}

/// What a flow has still to do.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Rest {
    /// Table of the flow.
    pub table: u8,
    /// Its cookie, if it is a flow.
    pub cookie: Option<u64>,
    /// What is left.
    pub instructions: Instructions,
}

impl Rest {
    fn at(place: &Place) -> Rest {
        Rest {
            table: place.table,
            cookie: place.cookie,
            instructions: Instructions::default(),
        }
    }
}

impl Continuation {
    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.action_set.is_empty() && self.rest.is_empty()
    }

    fn add(&mut self, rest: Rest) {
        if !rest.instructions.is_drop() {
            self.rest.push(rest);
        }
    }
}

impl<'a> Machine<'a> {
    /// What is left of the clone or bucket that is being worked on, or of all.
    pub(super) fn left(&self) -> Continuation {
        let mut left = Continuation {
            stack: self.state.stack.clone(),
            action_set: self
                .state
                .set
                .iter()
                .map(|&action| action.clone())
                .collect(),
            rest: Vec::new(),
        };
        let mut rest = Rest::at(&self.place);
        for frame in self.frames.iter().rev() {
            match frame {
                Frame::Actions(list) => {
                    let actions = list.as_slice().iter().map(|&action| action.clone());
                    rest.instructions.apply.extend(actions);
                }
                Frame::Instructions(instructions) => {
                    let apply = std::mem::take(&mut rest.instructions.apply);
                    rest.instructions = Instructions {
                        apply,
                        clear_actions: instructions.clear_actions,
                        write_actions: instructions.write_actions.clone(),
                        write_metadata: instructions.write_metadata,
                        goto_table: instructions.goto_table,
                    };
                }
                Frame::Return(place) => left.add(std::mem::replace(&mut rest, Rest::at(place))),
                Frame::Restore(_) | Frame::RestorePacket(_) => break,
                Frame::Bucket(..) | Frame::ActionSet => {}
            }
        }
        left.add(rest);
        left
    }

    /// Has everything be as it was when the packet began to wait.
    pub(super) fn go_on(&mut self, left: &'a Continuation) {
        self.state.stack.clone_from(&left.stack);
        self.state.set = left.action_set.iter().collect();
        for rest in left.rest.iter().rev() {
            let instructions = &rest.instructions;
            self.frames.push(Frame::Instructions(instructions));
            self.do_list(instructions.apply.iter().collect());
            self.frames.push(Frame::Return(Place {
                table: rest.table,
                cookie: rest.cookie,
                ..self.place
            }));
        }
    }
}
