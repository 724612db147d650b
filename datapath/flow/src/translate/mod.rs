//! What flow tables mean: a packet's way through them, as an interpreter that every compiled form
//! is measured by, with a trace for people.
//!
//! It works on a packet's fields; the bytes follow when a copy leaves. What it can't know by itself
//! (which ports there are, what a meter says) it asks its [`Env`].

mod action_set;
mod apply;
mod changes;
mod compose;
mod continuation;
mod effects;
mod env;
mod frame;
mod groups;
mod learn;
mod leave;
mod machine;
mod packet;
mod seen;
mod tell;
mod trace;

pub use action_set::in_order;
pub use apply::CONNECTION;
pub use changes::{FieldChange, changes, describe};
pub use continuation::{Continuation, Notes, Rest};
pub use env::{CtOutcome, Env};
pub use learn::learned_flow;
pub use machine::{execute, resume, translate};
pub use packet::{MAX_INNER_TAGS, Packet};
pub use seen::Seen;
pub use trace::{Trace, TraceFlow, TraceLine, TraceWhat};

use crate::action::{Controller, Ct, Sample};
use crate::table::FlowId;
use crate::{DropReason, Flow, FlowKey, OfPort};

/// Visits of the same or an earlier table that may be open at once.
pub const MAX_DEPTH: u32 = 64;
/// Table lookups for one packet.
pub const MAX_LOOKUPS: u32 = 4096;
/// Bytes on the stack.
pub const MAX_STACK_BYTES: usize = 65536;

/// What happens to a packet.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Translation {
    /// In order.
    pub effects: Vec<Effect>,
    /// Why it was given up, if it was. Then nothing is told of what it was to do, except what was
    /// done before it went through connection tracking. ([`Env::happens`] heard of all.)
    pub error: Option<TranslateError>,
    /// Why it went nowhere, if no copy left and none went to controllers.
    pub drop: Option<DropReason>,
    /// The way, for people; nothing if [`Env::traces`] says so.
    pub trace: Trace,
    /// The fields of the packet as they are at the end.
    pub last: FlowKey,
    /// What its way depends on; nothing if there is no trace.
    pub seen: Seen,
}

impl Translation {
    /// The ports that get a copy, in order.
    pub fn ports(&self) -> Vec<OfPort> {
        let ports = |effect: &Effect| match effect {
            Effect::Output { port, .. } => vec![*port],
            Effect::Normal { ports, .. } => ports.clone(),
            _ => Vec::new(),
        };
        self.effects.iter().flat_map(ports).collect()
    }
}

/// One thing that happens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// A copy leaves.
    Output {
        /// Where.
        port: OfPort,
        /// By which queue, if one was chosen.
        queue: Option<u32>,
        /// Cut to this many bytes.
        max_len_bytes: Option<u32>,
        /// As it is then.
        packet: Packet,
    },
    /// A copy leaves as a learning switch sends it.
    Normal {
        /// Where.
        ports: Vec<OfPort>,
        /// By which queue, if one was chosen.
        queue: Option<u32>,
        /// Cut to this many bytes.
        max_len_bytes: Option<u32>,
        /// As it is then.
        packet: Packet,
    },
    /// A copy goes to controllers.
    Controller {
        /// How.
        how: Controller,
        /// From which table.
        table: u8,
        /// Cookie of the flow, if there is one.
        cookie: Option<u64>,
        /// The flow, if there is one.
        flow: Option<FlowId>,
        /// As it is then.
        packet: Packet,
        /// What is left to be done, if it waits for the controller.
        left: Option<Box<Continuation>>,
    },
    /// A copy goes to collectors.
    Sample {
        /// How.
        how: Sample,
        /// As it is then.
        packet: Packet,
    },
    /// The packet goes through connection tracking.
    Ct {
        /// How.
        how: Ct,
        /// As it is then.
        packet: Packet,
    },
    /// A flow is made.
    Learn {
        /// The flow.
        flow: Box<Flow>,
        /// Most flows that the same action may have made, 0 for any number.
        limit: u32,
        /// The flow that learns.
        by: Option<FlowId>,
        /// It goes when the flow that learns goes.
        delete_learned: bool,
    },
    /// Timeouts of the flow are shortened, because the connection ended.
    FinTimeout {
        /// The flow.
        flow: Option<FlowId>,
        /// Table of the flow.
        table: u8,
        /// Its new idle timeout.
        idle_timeout_s: u16,
        /// Its new hard timeout.
        hard_timeout_s: u16,
    },
}

/// Why a packet was given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TranslateError {
    /// A loop, or something like it.
    #[error("more than {MAX_DEPTH} visits of the same or earlier tables were open at once")]
    TooDeep,
    /// Work without end.
    #[error("more than {MAX_LOOKUPS} table lookups")]
    TooManyLookups,
    /// Too much was pushed.
    #[error("more than {MAX_STACK_BYTES} bytes on the stack")]
    StackTooLarge,
    /// Too many tags were pushed.
    #[error("more than {} VLAN tags", MAX_INNER_TAGS + 1)]
    TooManyTags,
}

impl TranslateError {
    /// What a trace says where it happens.
    fn in_trace(self) -> String {
        match self {
            TranslateError::TooDeep => format!("over max translation depth {MAX_DEPTH}"),
            TranslateError::TooManyLookups => format!("over {MAX_LOOKUPS} resubmit actions"),
            TranslateError::StackTooLarge => "resubmits yielded over 64 kB of stack".to_owned(),
            TranslateError::TooManyTags => self.to_string(),
        }
    }

    /// What a trace says at its end.
    pub fn summary(self) -> &'static str {
        match self {
            TranslateError::TooDeep => "Recursion too deep",
            TranslateError::TooManyLookups => "Too many resubmits",
            TranslateError::StackTooLarge => "Stack too deep",
            TranslateError::TooManyTags => "Too many VLAN tags",
        }
    }
}

#[cfg(test)]
mod tests;
