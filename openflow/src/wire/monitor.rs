//! Flow monitors.

use super::EncodeError;
use super::kind::Kind;
use super::write::Writer;
use crate::message::{FlowMonitorRequest, FlowUpdate, Message};

pub(super) const KINDS: &[Kind] = &[];

pub(super) fn encode_control(out: &mut Writer<'_>, _: &Message) -> Result<(), EncodeError> {
    Err(out.unsupported("flow monitors yet"))
}

pub(super) fn encode_reply(out: &mut Writer<'_>, _: &[FlowUpdate]) -> Result<(), EncodeError> {
    Err(out.unsupported("flow monitors yet"))
}

pub(super) fn encode_request(
    out: &mut Writer<'_>,
    _: &[FlowMonitorRequest],
) -> Result<(), EncodeError> {
    Err(out.unsupported("flow monitors yet"))
}
