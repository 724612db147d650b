//! Flows with their counters.

use super::EncodeError;
use super::kind::Kind;
use super::write::Writer;
use crate::message::{AggregateStats, FlowFilter, FlowStatsReply};

pub(super) const KINDS: &[Kind] = &[];

pub(super) fn encode_aggregate_reply(
    out: &mut Writer<'_>,
    _: &AggregateStats,
) -> Result<(), EncodeError> {
    Err(out.unsupported("flows yet"))
}

pub(super) fn encode_aggregate_request(
    out: &mut Writer<'_>,
    _: &FlowFilter,
) -> Result<(), EncodeError> {
    Err(out.unsupported("flows yet"))
}

pub(super) fn encode_flow_reply(
    out: &mut Writer<'_>,
    _: &FlowStatsReply,
) -> Result<(), EncodeError> {
    Err(out.unsupported("flows yet"))
}

pub(super) fn encode_flow_request(out: &mut Writer<'_>, _: &FlowFilter) -> Result<(), EncodeError> {
    Err(out.unsupported("flows yet"))
}
