//! Lists of actions.

use aorta_flow::action::Action;

use super::read::{Reader, Refusal};
use super::write::Writer;
use super::{Decoding, EncodeError};
use crate::error::ErrorCode;

/// Reads actions to the end of `reader`.
pub(super) fn read(_reader: &mut Reader<'_>, _: Decoding<'_>) -> Result<Vec<Action>, Refusal> {
    Err(Refusal::new(
        ErrorCode::OFPBAC_BAD_TYPE,
        "actions can't be read yet",
    ))
}

/// Writes a list of actions.
pub(super) fn write(out: &mut Writer<'_>, _: &[Action]) -> Result<(), EncodeError> {
    Err(out.unsupported("actions yet"))
}
