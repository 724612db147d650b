//! What is asked of tables, and what came of it.

use std::sync::Arc;

use super::{TableError, TableFlow};
use crate::action::Action;
use crate::text::{Command, FlowText};
use crate::{Bucket, Flow, FlowFlags, Group, Meter, MeterId, OfPort};

/// A change of flows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FlowMod {
    /// What is done.
    pub command: Command,
    /// In which table; in all if none, except that an added flow goes to table 0.
    pub table: Option<u8>,
    /// Priority, match, and what the flow is to be. Its table is not looked at.
    pub flow: Flow,
    /// Only flows with this cookie under this mask.
    pub cookie: Option<(u64, u64)>,
    /// New cookie of flows that change.
    pub new_cookie: Option<u64>,
    /// Only flows that send to this port.
    pub out_port: Option<OfPort>,
    /// Only flows that go on in this group.
    pub out_group: Option<u32>,
    /// Whether a change that finds no flow adds one, as in OpenFlow 1.0 and 1.1.
    pub add_if_absent: bool,
    /// Whether flows that are there start counting anew, as the flag `reset_counts` of the flow
    /// asks, too (OpenFlow 1.3.5 §6.4). In OpenFlow 1.0 to 1.2 an added flow always does.
    pub reset_counts: bool,
}

impl FlowMod {
    /// The change that a line of text asks for, as ovs-ofctl sends it by OpenFlow 1.0. The cookie
    /// selects flows, except for one to add, which counts anew where it takes the place of another.
    pub fn from_text(command: Command, text: FlowText) -> FlowMod {
        let selecting = command != Command::Add;
        FlowMod {
            command,
            table: text.table,
            cookie: text.cookie.filter(|_| selecting),
            new_cookie: None,
            out_port: text.out_port,
            out_group: text.out_group,
            add_if_absent: false,
            reset_counts: !selecting,
            flow: text.into_flow(),
        }
    }

    /// Whether flows that are there start counting anew.
    pub(super) fn resets_counts(&self) -> bool {
        self.reset_counts || self.flow.flags.contains(FlowFlags::RESET_COUNTS)
    }

    /// Whether a flow has the cookie and the outputs that are asked for.
    pub(super) fn selects(&self, flow: &Flow) -> bool {
        let cookie = self
            .cookie
            .is_none_or(|(value, mask)| (flow.cookie ^ value) & mask == 0);
        if self.out_port.is_none() && self.out_group.is_none() {
            return cookie;
        }
        let actions = flow.instructions.all_actions();
        let has = |wanted: &dyn Fn(&Action) -> bool| actions.iter().any(|action| wanted(action));
        cookie
            && self
                .out_port
                .is_none_or(|port| port == OfPort::ANY || has(&|a| a.outputs_to(port)))
            && self
                .out_group
                .is_none_or(|group| has(&|a| *a == Action::Group(group)))
    }
}

/// A change of groups.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GroupMod {
    /// Adds one.
    Add(Group),
    /// Changes one.
    Modify(Group),
    /// Adds one, or changes the one that is there.
    AddOrModify(Group),
    /// Deletes one, or all; and the flows that go on in it.
    Delete(Option<u32>),
    /// Adds buckets: at the end, at the start, or behind one.
    InsertBuckets {
        /// The group.
        group: u32,
        /// Behind which bucket; at the start if none.
        after: Option<u32>,
        /// The buckets.
        buckets: Vec<Bucket>,
    },
    /// Removes one bucket, or all.
    RemoveBuckets {
        /// The group.
        group: u32,
        /// Which; all if none.
        bucket: Option<u32>,
    },
}

/// A change of meters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MeterMod {
    /// Adds one.
    Add(Meter),
    /// Changes one.
    Modify(Meter),
    /// Deletes one, or all; and the flows that use it.
    Delete(Option<MeterId>),
}

/// A change of anything.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Modification {
    /// Of flows.
    Flow(FlowMod),
    /// Of groups.
    Group(GroupMod),
    /// Of meters.
    Meter(MeterMod),
}

/// Why a flow is gone (OpenFlow 1.5.1 §7.4.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RemovedReason {
    /// No packet for the idle timeout.
    IdleTimeout,
    /// The hard timeout is over.
    HardTimeout,
    /// A message asked for it.
    Deleted,
    /// Its group was deleted.
    GroupDeleted,
    /// Its meter was deleted.
    MeterDeleted,
    /// The table was full.
    Eviction,
}

/// What changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// A new flow.
    FlowAdded(TableFlow),
    /// Another flow in the place of one.
    FlowReplaced {
        /// As it was.
        old: TableFlow,
        /// As it is; the number is the same.
        new: TableFlow,
        /// Counters start anew.
        reset_counts: bool,
        /// Duration and timeouts start anew.
        restarted: bool,
    },
    /// A flow is gone.
    FlowRemoved {
        /// As it was.
        entry: TableFlow,
        /// Why.
        reason: RemovedReason,
    },
    /// A group is new, other, or gone.
    Group {
        /// Which.
        id: u32,
        /// As it was.
        old: Option<Arc<Group>>,
        /// As it is.
        new: Option<Arc<Group>>,
    },
    /// A meter is new, other, or gone.
    Meter {
        /// Which.
        id: MeterId,
        /// As it was.
        old: Option<Arc<Meter>>,
        /// As it is.
        new: Option<Arc<Meter>>,
    },
}

/// One of several changes can't be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("change {} of the bundle can't be done", position + 1)]
pub struct BundleError {
    /// Which, from 0.
    pub position: usize,
    /// Why.
    #[source]
    pub error: TableError,
}
