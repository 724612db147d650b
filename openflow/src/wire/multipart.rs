//! The switch's description.

use super::EncodeError;
use super::kind::{Class, Kind, kind};
use super::read::unsupported;
use super::write::Writer;
use crate::message::SwitchDesc;

pub(super) const KINDS: &[Kind] = &[
    kind(Class::Request, 0, 0, 5, unsupported),
    kind(Class::Reply, 0, 0, 5, unsupported),
];

pub(super) fn encode_desc_reply(out: &mut Writer<'_>, _: &SwitchDesc) -> Result<(), EncodeError> {
    Err(out.unsupported("description yet"))
}

pub(super) fn encode_desc_request(out: &mut Writer<'_>) -> Result<(), EncodeError> {
    Err(out.unsupported("description yet"))
}
