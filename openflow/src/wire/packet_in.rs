//! Packets for controllers.

use super::EncodeError;
use super::kind::Kind;
use super::write::Writer;
use crate::message::PacketIn;

pub(super) const KINDS: &[Kind] = &[];

pub(super) fn encode(out: &mut Writer<'_>, _: &PacketIn) -> Result<(), EncodeError> {
    Err(out.unsupported("packets yet"))
}

pub(super) fn encode_resume(out: &mut Writer<'_>, _: &PacketIn) -> Result<(), EncodeError> {
    Err(out.unsupported("packets yet"))
}
