//! The interpreter: a stack of what is still to be done, so that no input exhausts the program's
//! own stack.

use std::collections::VecDeque;
use std::vec;

use super::action_set::in_order;
use super::apply::in_port;
use super::trace::{NoteKind, Trace};
use super::{
    Continuation, Effect, Env, MAX_DEPTH, MAX_LOOKUPS, MAX_STACK_BYTES, Packet, Seen,
    TranslateError, Translation,
};
use crate::action::{Action, Instructions};
use crate::field::FieldId;
use crate::table::{AfterMiss, FlowId, Misses, Tables};
use crate::{DropReason, FlowKey, OfPort};

/// A packet's way through the tables, from table 0.
pub fn translate(tables: &Tables, packet: Packet, env: &mut dyn Env) -> Translation {
    let mut machine = Machine::new(tables, packet, env);
    let error = machine.run();
    machine.told(error)
}

/// A packet's way through actions that no flow has: those of a packet that a controller sends
/// (OpenFlow 1.3.5 §7.3.7).
pub fn execute(
    tables: &Tables,
    packet: Packet,
    actions: &[Action],
    env: &mut dyn Env,
) -> Translation {
    let mut machine = Machine::new(tables, packet, env);
    machine.later.clear();
    machine.sent_by_controller = true;
    machine.do_list(actions.iter().collect());
    let error = machine.execute();
    machine.told(error)
}

/// A packet's way on from where it waited for its controller.
pub fn resume(
    tables: &Tables,
    packet: Packet,
    left: &Continuation,
    env: &mut dyn Env,
) -> Translation {
    let mut machine = Machine::new(tables, packet, env);
    machine.later.clear();
    machine.go_on(left);
    let error = machine.execute();
    machine.told(error)
}

/// What is still to be done; the last one is next.
pub(super) enum Frame<'a> {
    /// A list of actions.
    Actions(vec::IntoIter<&'a Action>),
    /// What follows the actions of a flow.
    Instructions(&'a Instructions),
    /// The end of a table's visit: where to go on.
    Return(Place),
    /// A bucket's actions, and its number.
    Bucket(Vec<&'a Action>, u32),
    /// The end of a clone's actions: its action set.
    ActionSet,
    /// The end of a clone: as it was before.
    Restore(Box<(State<'a>, Place)>),
    /// The end of a bucket: the packet as it was before, which is all that buckets have for
    /// themselves.
    RestorePacket(Box<(Packet, Option<u32>, Place)>),
}

/// How control comes to a table.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Visit {
    /// At the beginning, from an earlier table or behind connection tracking.
    Pipeline,
    /// By `resubmit`, which comes back, and does nothing if no flow matches.
    Resubmit,
    /// By a controller's order, which comes back.
    Sent,
}

/// Where the interpreter is.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub table: u8,
    pub cookie: Option<u64>,
    pub flow: Option<FlowId>,
    /// Open visits of the same or earlier tables.
    pub depth: u32,
    /// For the trace: how deep in visits and copies.
    pub indent: usize,
    /// For the trace: in how many tables, buckets and action sets.
    pub nest: usize,
}

/// What a copy has for itself.
#[derive(Clone)]
pub(super) struct State<'a> {
    pub packet: Packet,
    pub queue: Option<u32>,
    pub stack: Vec<u128>,
    pub set: Vec<&'a Action>,
}

pub(super) struct Machine<'a> {
    pub tables: &'a Tables,
    pub env: &'a mut dyn Env,
    pub state: State<'a>,
    pub place: Place,
    pub effects: Vec<Effect>,
    pub trace: Trace,
    pub tracing: bool,
    seen: Seen,
    /// The packet's fields as it came, if there is a trace.
    first: Option<FlowKey>,
    /// Copies that left, or would have if their port could send; those for controllers too.
    pub copies: u32,
    /// Why a copy is gone.
    pub lost: Option<DropReason>,
    /// Whether a lookup found no flow.
    missed: bool,
    pub frames: Vec<Frame<'a>>,
    lookups: u32,
    /// Packets that go on in a table when all else is done.
    later: VecDeque<(State<'a>, u8)>,
    /// Whether the packet is one that a controller sends.
    pub sent_by_controller: bool,
}

impl<'a> Machine<'a> {
    fn new(tables: &'a Tables, packet: Packet, env: &'a mut dyn Env) -> Machine<'a> {
        let state = State {
            packet,
            queue: None,
            stack: Vec::new(),
            set: Vec::new(),
        };
        Machine {
            tables,
            tracing: env.traces(),
            seen: Seen::default(),
            first: env.traces().then(|| state.packet.key.clone()),
            env,
            state: state.clone(),
            place: Place {
                table: 0,
                cookie: None,
                flow: None,
                depth: 0,
                indent: 0,
                nest: 0,
            },
            effects: Vec::new(),
            trace: Trace::default(),
            copies: 0,
            lost: None,
            missed: false,
            frames: Vec::new(),
            lookups: 0,
            later: VecDeque::from([(state, 0)]),
            sent_by_controller: false,
        }
    }

    fn told(self, error: Option<TranslateError>) -> Translation {
        Translation {
            drop: self.why_dropped(error),
            effects: self.effects,
            error,
            last: self.state.packet.key,
            seen: self.seen,
            trace: self.trace,
        }
    }

    /// Does the actions that there are, and then the passes behind connection tracking.
    fn execute(&mut self) -> Option<TranslateError> {
        let done = self.finish_frames().and_then(|()| {
            self.do_action_set();
            self.finish_frames()
        });
        if done.is_err() {
            self.leave_all(|_| true);
            self.effects.clear();
            self.later.clear();
        }
        let error = self.run();
        done.err().or(error)
    }

    /// Does all passes: the first, and those behind connection tracking. What a pass did that is
    /// given up is taken back; the others are packets of their own.
    fn run(&mut self) -> Option<TranslateError> {
        let mut error = None;
        while let Some((state, table)) = self.later.pop_front() {
            let (effects, later) = (self.effects.len(), self.later.len());
            if let Err(given_up) = self.pass(state, table) {
                self.noted(NoteKind::Error, || given_up.in_trace());
                self.leave_all(|_| true);
                self.effects.truncate(effects);
                self.later.truncate(later);
                error = error.or(Some(given_up));
            }
        }
        error
    }

    /// Why nothing left, if nothing did.
    fn why_dropped(&self, error: Option<TranslateError>) -> Option<DropReason> {
        if self.copies > 0 {
            return None;
        }
        let given_up = error.map(|_| DropReason::PipelineLimit);
        let missed = self.missed.then_some(DropReason::TableMiss);
        let reason = given_up.or(self.lost).or(missed);
        Some(reason.unwrap_or(DropReason::FlowDrop))
    }

    fn pass(&mut self, state: State<'a>, table: u8) -> Result<(), TranslateError> {
        self.state = state;
        self.place = Place {
            table,
            cookie: None,
            flow: None,
            depth: 0,
            indent: 0,
            nest: 0,
        };
        if self.lookups > 0 {
            self.note(|| format!("goes on in table {table}, behind connection tracking"));
        }
        let port = in_port(&self.state.packet);
        self.visit(table, port, Visit::Pipeline)?;
        self.finish_frames()?;
        self.do_action_set();
        self.finish_frames()
    }

    fn finish_frames(&mut self) -> Result<(), TranslateError> {
        while let Some(frame) = self.frames.pop() {
            match frame {
                Frame::Actions(mut list) => {
                    if let Some(action) = list.next() {
                        self.frames.push(Frame::Actions(list));
                        self.action(action)?;
                    }
                }
                Frame::Instructions(instructions) => self.instructions(instructions)?,
                Frame::Return(place) => self.place = place,
                Frame::Bucket(list, id) => self.begin_bucket(list, id),
                Frame::ActionSet => self.do_action_set(),
                Frame::RestorePacket(before) => {
                    (self.state.packet, self.state.queue, self.place) = *before;
                }
                Frame::Restore(before) => (self.state, self.place) = *before,
            }
        }
        Ok(())
    }

    /// Looks a table up and does what its flow says, or what the table does without one.
    fn visit(&mut self, table: u8, port: OfPort, visit: Visit) -> Result<(), TranslateError> {
        let comes_back = visit != Visit::Pipeline;
        let deepens = comes_back && table <= self.place.table;
        if self.place.depth >= MAX_DEPTH {
            return Err(TranslateError::TooDeep);
        }
        if self.lookups >= MAX_LOOKUPS {
            return Err(TranslateError::TooManyLookups);
        }
        self.lookups += 1;
        let own_port = in_port(&self.state.packet);
        let key = &mut self.state.packet.key;
        key.set(FieldId::IN_PORT, port.0.into());
        let tables: &'a Tables = self.tables;
        let found = tables.lookup(table, key);
        key.set(FieldId::IN_PORT, own_port.0.into());
        self.frames.push(Frame::Return(self.place));
        self.place.table = table;
        self.place.depth += u32::from(deepens);
        self.place.indent += usize::from(comes_back);
        self.told_table(table, found.map(|entry| &*entry.flow));
        self.place.nest += 1;
        if found.is_none_or(|entry| entry.flow.instructions.is_drop()) {
            self.traced(|| "drop");
        }
        if let (Some(first), Some(looked_up)) = (&self.first, tables.table(table)) {
            let (found, now) = (found.map(|entry| entry.id), &self.state.packet.key);
            self.seen.lookup(looked_up, found, first, now);
        }
        self.missed |= found.is_none();
        if let Some(entry) = found {
            let flow = &*entry.flow;
            self.env.found(entry, &self.state.packet);
            self.place.cookie = Some(flow.cookie);
            self.place.flow = Some(entry.id);
            self.frames.push(Frame::Instructions(&flow.instructions));
            self.do_list(flow.instructions.apply.iter().collect());
        } else if visit != Visit::Resubmit {
            match tables.after_miss(table) {
                AfterMiss::Drop => {}
                AfterMiss::Controller(table) => {
                    // As if a flow without a cookie had sent it.
                    self.place = Place {
                        table,
                        cookie: Some(0),
                        flow: None,
                        ..self.place
                    };
                    self.controller(Misses::told());
                }
                AfterMiss::Table(next) => self.visit(next, port, Visit::Pipeline)?,
            }
        }
        Ok(())
    }

    fn instructions(&mut self, instructions: &'a Instructions) -> Result<(), TranslateError> {
        if instructions.clear_actions {
            self.traced(|| "clear_actions");
            self.told_action_set("was");
            self.state.set.clear();
        }
        if !instructions.write_actions.is_empty() {
            self.traced(|| {
                let written = instructions.write_actions.iter().map(Action::to_string);
                format!("write_actions({})", written.collect::<Vec<_>>().join(","))
            });
            self.state.set.extend(&instructions.write_actions);
            self.told_action_set("is");
        }
        if let Some((value, mask)) = instructions.write_metadata {
            self.traced(|| match mask {
                u64::MAX => format!("write_metadata:{value:#x}"),
                _ => format!("write_metadata:{value:#x}/{mask:#x}"),
            });
            self.changing(|machine| {
                let packet = &mut machine.state.packet;
                packet.set(FieldId::METADATA, value.into(), mask.into());
            });
        }
        if let Some(table) = instructions.goto_table {
            self.traced(|| format!("goto_table:{table}"));
            let port = in_port(&self.state.packet);
            self.visit(table, port, Visit::Pipeline)?;
        }
        Ok(())
    }

    fn action(&mut self, action: &'a Action) -> Result<(), TranslateError> {
        if self.tracing {
            self.seen.action(action);
        }
        match action {
            Action::Clone(inner) => {
                self.traced(|| action.to_string());
                self.clone_for(inner.iter().collect());
            }
            Action::Resubmit { in_port, table, .. } => {
                self.traced(|| action.to_string());
                let port = in_port.unwrap_or_else(|| self::in_port(&self.state.packet));
                self.visit(table.unwrap_or(self.place.table), port, Visit::Resubmit)?;
            }
            Action::Output(OfPort::TABLE) if self.sent_by_controller => {
                let port = self::in_port(&self.state.packet);
                self.visit(0, port, Visit::Sent)?;
            }
            Action::Push(from) => {
                self.traced(|| action.to_string());
                self.state.stack.push(self.state.packet.key.read(*from));
                if self.state.stack.len() * size_of::<u128>() > MAX_STACK_BYTES {
                    return Err(TranslateError::StackTooLarge);
                }
            }
            Action::Pop(to) => {
                self.traced(|| action.to_string());
                match self.state.stack.pop() {
                    Some(value) => {
                        self.changing(|machine| {
                            machine.state.packet.write(*to, value);
                        });
                        self.told_subfield(*to);
                    }
                    None => self.noted(NoteKind::Error, || "stack underflow"),
                }
            }
            Action::PushVlan(_) if self.state.packet.is_full_of_tags() => {
                return Err(TranslateError::TooManyTags);
            }
            Action::PushMpls(_) if self.state.packet.has_unread_tag() => {
                return Err(TranslateError::TooManyTags);
            }
            Action::Exit => {
                self.traced(|| "exit");
                self.exit();
            }
            _ => self.effect(action),
        }
        Ok(())
    }

    /// Does a list of actions next.
    pub(super) fn do_list(&mut self, list: Vec<&'a Action>) {
        self.frames.push(Frame::Actions(list.into_iter()));
    }

    /// Does a list of actions next, with a copy of everything; what it puts into the action set is
    /// done at its end.
    fn clone_for(&mut self, list: Vec<&'a Action>) {
        let before = Box::new((self.state.clone(), self.place));
        self.frames.push(Frame::Restore(before));
        self.frames.push(Frame::ActionSet);
        self.place.indent += 1;
        self.do_list(list);
    }

    /// Does a bucket's actions next, before the buckets that were asked for earlier.
    pub(super) fn bucket(&mut self, list: Vec<&'a Action>, id: u32) {
        self.frames.push(Frame::Bucket(list, id));
    }

    fn begin_bucket(&mut self, list: Vec<&'a Action>, id: u32) {
        let before = (self.state.packet.clone(), self.state.queue, self.place);
        self.frames.push(Frame::RestorePacket(Box::new(before)));
        self.noted(NoteKind::Bucket, || format!("bucket {id}"));
        self.place.indent += 1;
        self.place.nest += 1;
        self.do_list(list);
    }

    fn do_action_set(&mut self) {
        let set = in_order(&std::mem::take(&mut self.state.set));
        if !set.is_empty() {
            self.begin_action_set();
            self.do_list(set);
        }
    }

    pub(super) fn begin_action_set(&mut self) {
        // That of the packet stands in its first table.
        self.place.nest = self.place.nest.max(1);
        self.noted(NoteKind::ActionSet, || "--. Executing action set:");
        self.place.nest += 1;
    }

    /// Goes on in a table with this packet, when all else is done.
    pub(super) fn continue_later(&mut self, packet: Packet, table: u8) {
        let state = State {
            packet,
            ..self.state.clone()
        };
        self.later.push_back((state, table));
    }
}
