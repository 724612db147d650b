//! Properties: what messages of OpenFlow 1.4 and later are made of (OpenFlow 1.4.1 §7.2.1.2).

use super::read::{Element, Reader, Refusal, element};
use crate::error::ErrorCode;

/// Type of properties that experimenters define.
pub(super) const EXPERIMENTER_PROPERTY: u16 = 0xffff;

/// The next property.
pub(super) fn property<'a>(reader: &mut Reader<'a>) -> Result<Element<'a>, Refusal> {
    element(reader, ErrorCode::OFPBPC_BAD_LEN)
}

/// What becomes of a property that isn't known: it would change what the message means.
pub(super) fn refuse_unknown(what: &'static str) -> Result<(), Refusal> {
    Err(Refusal::new(ErrorCode::OFPBPC_BAD_TYPE, what))
}
