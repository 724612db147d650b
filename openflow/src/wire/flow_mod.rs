//! Changes of flows.

use super::EncodeError;
use super::kind::Kind;
use super::write::Writer;
use crate::message::FlowModMessage;

pub(super) const KINDS: &[Kind] = &[];

pub(super) fn encode(out: &mut Writer<'_>, _: &FlowModMessage) -> Result<(), EncodeError> {
    Err(out.unsupported("flow changes yet"))
}
