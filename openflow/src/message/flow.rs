//! Flows: changes of them, what is counted, and that they are gone.

use std::sync::Arc;
use std::time::Duration;

use aorta_flow::table::{FlowMod, RemovedReason};
use aorta_flow::{Flow, FlowStats, Match, OfPort};

use super::Form;

/// A change of flows (OpenFlow 1.3.5 §7.3.4.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlowModMessage {
    /// NXT_FLOW_MOD or the version's own. To be encoded in OpenFlow 1.0, the version's own must
    /// do for match and table.
    pub form: Form,
    /// What is to change. Its `add_if_absent` follows from version and cookie.
    pub change: FlowMod,
    /// A packet that the switch keeps and that goes through the new flow.
    pub buffer_id: Option<u32>,
}

/// Which flows are asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlowFilter {
    /// NXST or the version's own.
    pub form: Form,
    /// Table; all if none.
    pub table: Option<u8>,
    /// Only flows that send there.
    pub out_port: Option<OfPort>,
    /// Only flows that go on in this group.
    pub out_group: Option<u32>,
    /// Only flows with this cookie under this mask.
    pub cookie: Option<(u64, u64)>,
    /// Only flows that this match covers.
    pub matching: Match,
}

/// Flows with what was counted of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlowStatsReply {
    /// NXST or the version's own.
    pub form: Form,
    /// The flows.
    pub flows: Vec<FlowRecord>,
}

/// A flow with what was counted of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlowRecord {
    /// The flow.
    pub flow: Arc<Flow>,
    /// What was counted. Ages are told in Nicira's form only.
    pub stats: FlowStats,
}

/// What was counted of several flows together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AggregateStats {
    /// NXST or the version's own.
    pub form: Form,
    /// Packets; none if it isn't known.
    pub n_packets: Option<u64>,
    /// Bytes of these; none if it isn't known.
    pub n_bytes: Option<u64>,
    /// How many flows.
    pub n_flows: u32,
}

/// A flow is gone (OpenFlow 1.3.5 §7.4.2).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlowRemoved {
    /// NXT_FLOW_REMOVED or the version's own.
    pub form: Form,
    /// Its match.
    pub matching: Match,
    /// Its cookie.
    pub cookie: u64,
    /// Its priority.
    pub priority: u16,
    /// Why it is gone.
    pub reason: RemovedReason,
    /// Its table; none where OpenFlow 1.0 doesn't tell.
    pub table: Option<u8>,
    /// How long it was there.
    pub duration: Duration,
    /// Its idle timeout.
    pub idle_timeout_s: u16,
    /// Its hard timeout; 0 in OpenFlow 1.0.
    pub hard_timeout_s: u16,
    /// Packets that it matched; none if it isn't known.
    pub n_packets: Option<u64>,
    /// Bytes of these; none if it isn't known.
    pub n_bytes: Option<u64>,
}
