//! Packets from controllers.

use super::EncodeError;
use super::kind::Kind;
use super::write::Writer;
use crate::message::PacketOut;

pub(super) const KINDS: &[Kind] = &[];

pub(super) fn encode(out: &mut Writer<'_>, _: &PacketOut) -> Result<(), EncodeError> {
    Err(out.unsupported("packets yet"))
}
