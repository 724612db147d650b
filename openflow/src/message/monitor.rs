//! Flow monitors: whoever asks is told what changes (OpenFlow 1.4.1 §7.3.5.18).

use std::sync::Arc;

use aorta_flow::table::RemovedReason;
use aorta_flow::{Flow, Match, OfPort};

/// Asks to be told what changes, or not any more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlowMonitorRequest {
    /// Number of the monitor, which the asking side chooses.
    pub id: u32,
    /// What is done; to OpenFlow 1.3 it is always added.
    pub command: FlowMonitorCommand,
    /// What is told.
    pub flags: FlowMonitorFlags,
    /// Only flows that send there.
    pub out_port: Option<OfPort>,
    /// Only flows that go on in this group (from OpenFlow 1.4).
    pub out_group: Option<u32>,
    /// Table; all if none.
    pub table: Option<u8>,
    /// Only flows that this match covers.
    pub matching: Match,
}

/// What is done with a monitor; the position is the number on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum FlowMonitorCommand {
    /// Add it.
    #[default]
    Add,
    /// Change it.
    Modify,
    /// Delete it.
    Delete,
}

/// What a monitor tells: bits as OpenFlow 1.4 numbers them. What texts call `own` is bit 5
/// ([`NO_ABBREV`](FlowMonitorFlags::NO_ABBREV)) in the extension to OpenFlow 1.3, and bit 6
/// ([`ONLY_OWN`](FlowMonitorFlags::ONLY_OWN)) from 1.4 on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct FlowMonitorFlags(pub u16);

impl FlowMonitorFlags {
    /// Flows that there are at first.
    pub const INITIAL: FlowMonitorFlags = FlowMonitorFlags(1);
    /// New flows.
    pub const ADD: FlowMonitorFlags = FlowMonitorFlags(1 << 1);
    /// Flows that are gone.
    pub const REMOVED: FlowMonitorFlags = FlowMonitorFlags(1 << 2);
    /// Flows that are other.
    pub const MODIFY: FlowMonitorFlags = FlowMonitorFlags(1 << 3);
    /// With their instructions.
    pub const INSTRUCTIONS: FlowMonitorFlags = FlowMonitorFlags(1 << 4);
    /// The asking side's own changes in full, instead of by their transaction.
    pub const NO_ABBREV: FlowMonitorFlags = FlowMonitorFlags(1 << 5);
    /// Only the asking side's own changes, by the standard; Open vSwitch tells all changes, and
    /// those in full.
    pub const ONLY_OWN: FlowMonitorFlags = FlowMonitorFlags(1 << 6);

    /// Whether all of `other` are set.
    pub fn contains(self, other: FlowMonitorFlags) -> bool {
        self.0 & other.0 == other.0
    }

    /// These and `other`.
    #[must_use]
    pub fn with(self, other: FlowMonitorFlags) -> FlowMonitorFlags {
        FlowMonitorFlags(self.0 | other.0)
    }
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FlowUpdate {
    /// A flow.
    Full {
        /// What happened to it.
        event: FlowUpdateEvent,
        /// The flow as it is or was; without instructions if they weren't asked for.
        flow: Arc<Flow>,
    },
    /// What the asking side itself asked for with this transaction.
    Abbreviated {
        /// The transaction.
        xid: u32,
    },
    /// Nothing is told from now on (from OpenFlow 1.4).
    Paused,
    /// Changes are told again (from OpenFlow 1.4).
    Resumed,
}

/// What happened to a flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlowUpdateEvent {
    /// It was there at first (from OpenFlow 1.4).
    Initial,
    /// It is new.
    Added,
    /// It is gone.
    Removed(RemovedReason),
    /// It is other.
    Modified,
}
