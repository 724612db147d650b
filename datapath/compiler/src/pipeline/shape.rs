//! Flows' actions, split into what they do (the shape) and what they do it with (constants).
//! Flows of the same shape share code.

use aorta_flow::action::{Action, Instructions};
use aorta_flow::field::{FieldId, ones};
use aorta_flow::{Flow, OfPort, Subfield};

use super::Refusal;
use super::layout;

/// Number of a constant among those of its flow.
pub type Param = u16;

/// Constants that a flow can have, in words of 32 bits.
pub const MAX_PARAMS: usize = 256;

/// What a flow does, without its constants.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Shape {
    /// At once, in order.
    pub steps: Vec<Step>,
    /// Empties the action set.
    pub clears: bool,
    /// Goes into the action set, in order.
    pub writes: Vec<Step>,
    /// Sets metadata.
    pub metadata: Vec<SetWord>,
    /// Goes on in a table.
    pub goto: Option<u8>,
}

/// One step.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Step {
    /// Sets bits of a field, if the packet has the field.
    Set {
        /// The field, by the name that the action has for it.
        field: FieldId,
        /// Which packets have it.
        when: When,
        /// The bits, by words of the key.
        words: Vec<SetWord>,
    },
    /// Sets bits of the outer VLAN tag, which is added if there is none.
    SetTag(SetWord),
    /// Copies bits.
    Move {
        /// From.
        from: Subfield,
        /// To.
        to: Subfield,
    },
    /// Makes a field 0, whether the packet has it or not.
    Clear(FieldId),
    /// Puts bits on the stack.
    Push(Subfield),
    /// Takes bits from the stack.
    Pop(Subfield),
    /// Sets a bit if the packet is longer than the constant.
    CheckLarger(Param, Subfield),
    /// Sends to the port of a number that isn't reserved, or to `LOCAL`.
    Output(Param),
    /// The same through a queue.
    Enqueue(Param, Param),
    /// Sends to the port whose number is in a field.
    OutputField(Subfield),
    /// Sends back to where the packet came from.
    OutputInPort,
    /// Sends to all other ports.
    OutputAll,
    /// Sends to all other ports that are flooded.
    OutputFlood,
    /// Sends to where a learning switch does.
    OutputNormal,
    /// Chooses a queue.
    SetQueue(Param),
    /// Returns to the default queue.
    PopQueue,
    /// Looks up another table and comes back.
    Resubmit {
        /// In port for the lookup.
        in_port: Option<Param>,
        /// The table.
        table: u8,
    },
    /// Does these with a copy.
    Clone(Vec<Step>),
    /// Ends all.
    Exit,
    /// Anything else, as it is.
    Other(Whole),
}

/// Which packets a field is set in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum When {
    /// All that get here.
    Always,
    /// Those that meet what the field needs.
    Prerequisite,
    /// Those with ports, whichever protocol has them.
    AnyPorts,
}

/// Bits of one word of the key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SetWord {
    /// Byte offset in the key.
    pub at: i16,
    /// Bits; all ones if nothing of the word stays.
    pub mask: u32,
    /// The value.
    pub value: Param,
}

/// An action that has no constants of its own in records: flows that differ in it differ in shape.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Whole(pub Action);

impl std::hash::Hash for Whole {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        // Enough to spread: equality decides.
        std::mem::discriminant(&self.0).hash(state);
    }
}

/// Splits what a flow does into shape and constants.
///
/// # Errors
/// When it has more constants than a record can have, or writes a field that the key hasn't.
pub fn split(flow: &Flow) -> Result<(Shape, Vec<u32>), Refusal> {
    let mut splitter = Splitter {
        flow,
        params: Vec::new(),
        known: true,
    };
    let shape = splitter.shape(&flow.instructions)?;
    let words = splitter.params.len();
    match words > MAX_PARAMS {
        true => Err(Refusal::TooManyConstants {
            words,
            limit: MAX_PARAMS,
        }),
        false => Ok((shape, splitter.params)),
    }
}

struct Splitter<'f> {
    flow: &'f Flow,
    params: Vec<u32>,
    /// Whether the packet's headers still are those that the flow matched.
    known: bool,
}

impl Splitter<'_> {
    fn shape(&mut self, instructions: &Instructions) -> Result<Shape, Refusal> {
        let steps = self.steps(&instructions.apply)?;
        // What is in an action set is done to whatever packet it has become by then.
        self.known = false;
        let writes = self.steps(&instructions.write_actions)?;
        let metadata = match instructions.write_metadata {
            Some((value, mask)) => self.words(FieldId::METADATA, value.into(), mask.into())?,
            None => Vec::new(),
        };
        Ok(Shape {
            steps,
            clears: instructions.clear_actions,
            writes,
            metadata,
            goto: instructions.goto_table,
        })
    }

    fn param(&mut self, value: u32) -> Param {
        self.params.push(value);
        (self.params.len() - 1) as Param
    }

    fn steps(&mut self, actions: &[Action]) -> Result<Vec<Step>, Refusal> {
        let mut steps = Vec::with_capacity(actions.len());
        for action in actions {
            if let Some(step) = self.step(action)? {
                self.known &= !decides(&step);
                steps.push(step);
            }
        }
        Ok(steps)
    }

    fn step(&mut self, action: &Action) -> Result<Option<Step>, Refusal> {
        let step = match action {
            Action::Note(_)
            | Action::Conjunction { .. }
            | Action::DebugRecirc
            | Action::DebugSlow => return Ok(None),
            Action::Output(port) => self.output(*port, action),
            Action::OutputField(from) => Step::OutputField(*from),
            Action::Enqueue { port, queue } if is_ordinary(*port) => {
                let queue = self.param(*queue);
                Step::Enqueue(self.param(port.0.into()), queue)
            }
            Action::SetQueue(queue) => Step::SetQueue(self.param(*queue)),
            Action::PopQueue => Step::PopQueue,
            Action::SetField { field, value, mask } => self.set(*field, *value, *mask)?,
            Action::Load { to, value } => {
                let value = u128::from(*value) << to.start;
                self.set(to.field, value, ones(to.bits) << to.start)?
            }
            Action::Modify { field, value } => self.modify(*field, *value)?,
            Action::SetTunnel { id, .. } => self.set(FieldId::TUN_ID, (*id).into(), u128::MAX)?,
            Action::SetVlanVid { vid, .. } => self.tag(FieldId::DL_VLAN, (*vid).into())?,
            Action::SetVlanPcp { pcp, .. } => self.tag(FieldId::VLAN_PCP, (*pcp).into())?,
            Action::Move { from, to } => Step::Move {
                from: *from,
                to: *to,
            },
            Action::DeleteField(field) => Step::Clear(*field),
            Action::Push(from) => Step::Push(*from),
            Action::Pop(to) => Step::Pop(*to),
            Action::CheckPktLarger { len_bytes, to } => {
                Step::CheckLarger(self.param((*len_bytes).into()), *to)
            }
            Action::Resubmit { in_port, table, .. } => {
                self.known = false;
                Step::Resubmit {
                    in_port: in_port.map(|port| self.param(port.0.into())),
                    table: table.unwrap_or(self.flow.table),
                }
            }
            Action::Clone(inner) => {
                let known = self.known;
                let steps = self.steps(inner)?;
                self.known = known;
                Step::Clone(steps)
            }
            Action::Exit => Step::Exit,
            other => {
                self.known = false;
                Step::Other(Whole(other.clone()))
            }
        };
        Ok(Some(step))
    }

    fn output(&mut self, port: OfPort, action: &Action) -> Step {
        match port {
            OfPort::IN_PORT => Step::OutputInPort,
            OfPort::FLOOD => Step::OutputFlood,
            OfPort::ALL => Step::OutputAll,
            OfPort::NORMAL => Step::OutputNormal,
            port if is_ordinary(port) => Step::Output(self.param(port.0.into())),
            _ => Step::Other(Whole(action.clone())),
        }
    }

    fn modify(&mut self, field: FieldId, value: u128) -> Result<Step, Refusal> {
        match field {
            FieldId::TCP_SRC | FieldId::TCP_DST => Ok(Step::Set {
                field,
                when: When::AnyPorts,
                words: self.words(field, value, u128::MAX)?,
            }),
            // Its ECN bits stay.
            FieldId::NW_TOS => self.set(FieldId::IP_DSCP, value >> 2, 0x3f),
            _ => self.set(field, value, u128::MAX),
        }
    }

    fn set(&mut self, field: FieldId, value: u128, mask: u128) -> Result<Step, Refusal> {
        let matched = |field| self.flow.matching.get(field);
        let met = self.known && field.field().prereq.met(&matched);
        Ok(Step::Set {
            field,
            when: if met {
                When::Always
            } else {
                When::Prerequisite
            },
            words: self.words(field, value, mask)?,
        })
    }

    fn tag(&mut self, field: FieldId, value: u128) -> Result<Step, Refusal> {
        let words = self.words(field, value, u128::MAX)?;
        let word = words.first().ok_or_else(|| Refusal::Field {
            field: field.name().to_owned(),
        })?;
        Ok(Step::SetTag(*word))
    }

    /// The words of a field's storage that change.
    fn words(&mut self, id: FieldId, value: u128, mask: u128) -> Result<Vec<SetWord>, Refusal> {
        let field = id.field();
        let home = field.home.field();
        let mask = (mask & field.full_mask()) << field.shift;
        let value = value << field.shift & mask;
        let mut words = Vec::new();
        for number in 0..4 {
            let part = |all: u128| (all >> (32 * u32::from(number))) as u32;
            if part(mask) == 0 {
                continue;
            }
            let at = layout::word(field.home, number).ok_or_else(|| Refusal::Field {
                field: field.name.to_owned(),
            })?;
            let whole = part(mask) == part(home.full_mask());
            words.push(SetWord {
                at,
                mask: if whole { u32::MAX } else { part(mask) },
                value: self.param(part(value)),
            });
        }
        Ok(words)
    }
}

/// Whether a step may change which fields the packet has.
fn decides(step: &Step) -> bool {
    let written = match step {
        Step::Set { field, .. } | Step::Clear(field) => *field,
        Step::SetTag(_) => return true,
        Step::Move { to, .. } | Step::Pop(to) | Step::CheckLarger(_, to) => to.field,
        _ => return false,
    };
    [
        FieldId::ETH_TYPE,
        FieldId::NW_PROTO,
        FieldId::TCP_SRC,
        FieldId::TCP_DST,
        FieldId::VLAN_TCI,
        FieldId::CT_STATE,
    ]
    .contains(&written.field().home)
}

/// Whether a port number stands for itself.
fn is_ordinary(port: OfPort) -> bool {
    port == OfPort::LOCAL || port.0 < OfPort::UNSET.0
}

impl Step {
    /// It, and the steps within it.
    pub fn with_inner(&self) -> Vec<&Step> {
        let mut all = Vec::new();
        collect(std::slice::from_ref(self), &mut all);
        all
    }
}

impl Step {
    fn calls_group(&self) -> bool {
        matches!(self, Step::Other(Whole(Action::Group(_))))
    }
}

impl Shape {
    /// The table that the very last thing that is done leads to.
    pub fn last_way(&self) -> Option<u8> {
        if self.goto.is_some() {
            return self.goto;
        }
        let ends = !self.clears && self.writes.is_empty() && self.metadata.is_empty();
        match self.steps.last() {
            Some(Step::Resubmit { table, .. }) if ends => Some(*table),
            _ => None,
        }
    }

    /// Whether more than the last thing leads to a table.
    pub fn leads_often(&self, table: u8) -> bool {
        let leads = |step: &&Step| matches!(step, Step::Resubmit { table: to, .. } if *to == table);
        let times = self.all_steps().into_iter().filter(leads).count();
        let last = usize::from(self.goto.is_none());
        times > last || self.all_steps().iter().any(|step| step.calls_group())
    }

    /// All steps, those of clones included.
    pub fn all_steps(&self) -> Vec<&Step> {
        let mut all = Vec::new();
        collect(&self.steps, &mut all);
        collect(&self.writes, &mut all);
        all
    }
}

fn collect<'s>(steps: &'s [Step], all: &mut Vec<&'s Step>) {
    for step in steps {
        all.push(step);
        if let Step::Clone(inner) = step {
            collect(inner, all);
        }
    }
}

#[cfg(test)]
mod tests {
    use aorta_flow::text::{Form, NoNames, parse_flow};

    use super::*;

    fn of(text: &str) -> (Shape, Vec<u32>) {
        let flow = parse_flow(text, Form::Flow, &NoNames).unwrap();
        split(&flow.into_flow()).unwrap()
    }

    #[test]
    fn flows_that_differ_in_constants_have_one_shape() {
        let a = of("actions=set_field:1->reg0,set_field:5->metadata,output:7");
        let b = of("actions=set_field:2->reg0,set_field:6->metadata,output:8");
        assert_eq!(a.0, b.0);
        assert_eq!(a.1, [1, 5, 0, 7]);
        let other = of("actions=set_field:1->reg1,set_field:5->metadata,output:7");
        assert_ne!(a.0, other.0);
    }

    #[test]
    fn what_the_match_promises_is_not_asked_again() {
        let when = |text| match &of(text).0.steps[..] {
            [.., Step::Set { when, .. }] => *when,
            other => panic!("{other:?}"),
        };
        assert_eq!(when("tcp,actions=set_field:80->tcp_dst"), When::Always);
        assert_eq!(
            when("tcp,actions=resubmit(,1),set_field:80->tcp_dst"),
            When::Prerequisite
        );
        assert_eq!(when("tcp,actions=mod_tp_dst:80"), When::AnyPorts);
    }

    #[test]
    fn parts_of_a_field_keep_the_rest() {
        let (shape, params) = of("actions=load:0x5->NXM_NX_REG0[4..7]");
        let Step::Set { words, .. } = &shape.steps[0] else {
            panic!("{shape:?}")
        };
        assert_eq!((words[0].mask, params[0]), (0xf0, 0x50));
    }
}
