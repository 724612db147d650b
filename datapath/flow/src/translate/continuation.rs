//! What is left to be done with a packet that waits for its controller (`controller(pause)`).

use super::machine::{Frame, Machine, Place};
use crate::Flow;
use crate::action::{Action, Controller, Instructions};
use crate::table::FlowId;

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

/// What is known of a packet that waits, by the flows of its way.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Notes {
    /// Flows that led to others and have more to do, the newest first, and by which of their resubmits,
    /// counted from 0 as they are written.
    pub callers: Vec<(FlowId, u32)>,
    /// Flows that wrote the action set, the oldest first.
    pub writers: Vec<FlowId>,
    /// Values that were pushed, the newest last.
    pub values: Vec<u128>,
}

impl Notes {
    /// What is left behind an action of a flow that has the packet wait. `None` if a flow is gone.
    pub fn continuation<'f>(
        &self,
        flow: &Flow,
        paused_by: &Controller,
        find: impl Fn(FlowId) -> Option<&'f Flow>,
    ) -> Option<Continuation> {
        let mut left = Continuation {
            stack: self.values.clone(),
            ..Continuation::default()
        };
        for writer in &self.writers {
            let written = &find(*writer)?.instructions.write_actions;
            left.action_set.extend(written.iter().cloned());
        }
        let pauses =
            |action: &Action| matches!(action, Action::Controller(how) if **how == *paused_by);
        if let Some(rest) = behind(flow, &mut { pauses }) {
            left.add(rest);
        }
        for (caller, resubmit) in &self.callers {
            let mut number = 0;
            let mut leads = |action: &Action| {
                let resubmits = matches!(action, Action::Resubmit { .. });
                number += u32::from(resubmits);
                resubmits && number == resubmit + 1
            };
            left.add(behind(find(*caller)?, &mut leads)?);
        }
        Some(left)
    }
}

/// What a flow has to do behind an action; of a clone's action only what the clone has.
fn behind(flow: &Flow, is: &mut dyn FnMut(&Action) -> bool) -> Option<Rest> {
    let (apply, cloned) = list_behind(&flow.instructions.apply, is)?;
    let instructions = match cloned {
        true => Instructions::apply(apply),
        false => Instructions {
            apply,
            ..(*flow.instructions).clone()
        },
    };
    Some(Rest {
        table: flow.table,
        cookie: Some(flow.cookie),
        instructions,
    })
}

/// What stands behind an action in its list, and whether that is a clone's.
fn list_behind(
    actions: &[Action],
    is: &mut dyn FnMut(&Action) -> bool,
) -> Option<(Vec<Action>, bool)> {
    for (at, action) in actions.iter().enumerate() {
        if is(action) {
            return Some((actions[at + 1..].to_vec(), false));
        }
        if let Action::Clone(inner) = action
            && let Some((list, _)) = list_behind(inner, is)
        {
            return Some((list, true));
        }
    }
    None
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
