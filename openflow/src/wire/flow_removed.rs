//! Flows that are gone.

use super::EncodeError;
use super::kind::Kind;
use super::write::Writer;
use crate::message::FlowRemoved;

pub(super) const KINDS: &[Kind] = &[];

pub(super) fn encode(out: &mut Writer<'_>, _: &FlowRemoved) -> Result<(), EncodeError> {
    Err(out.unsupported("removed flows yet"))
}
