//! Roles.

use super::EncodeError;
use super::kind::Kind;
use super::write::Writer;
use crate::message::Message;

pub(super) const KINDS: &[Kind] = &[];

pub(super) fn encode(out: &mut Writer<'_>, _: &Message) -> Result<(), EncodeError> {
    Err(out.unsupported("roles yet"))
}
