//! Connections to forget.

use super::EncodeError;
use super::kind::Kind;
use super::write::Writer;
use crate::message::CtFlush;

pub(super) const KINDS: &[Kind] = &[];

pub(super) fn encode_flush(out: &mut Writer<'_>, _: &CtFlush) -> Result<(), EncodeError> {
    Err(out.unsupported("connections yet"))
}

pub(super) fn encode_zone(out: &mut Writer<'_>, _: u16) -> Result<(), EncodeError> {
    Err(out.unsupported("connections yet"))
}
