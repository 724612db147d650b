//! Lists of actions (OpenFlow 1.3.5 §7.2.5), and Nicira's.

mod choices;
mod controller;
mod ct;
mod learn;
mod modify;
mod nicira;
mod number;
mod set_field;
mod standard;
mod write;

pub(super) use controller::property;
pub(super) use write::{Around, write, write_around, write_metadata};

use aorta_flow::action::Action;
use aorta_flow::field::FieldId;

use super::Decoding;
use super::kind::{NICIRA, ONF};
use super::read::{Reader, Refusal};
use crate::error::ErrorCode;

/// Type of actions of others than the standard.
const EXPERIMENTER: u16 = 0xffff;

/// Actions inside of actions at most.
const MAX_DEPTH: u8 = 32;

fn refused(code: ErrorCode, what: &'static str) -> Refusal {
    Refusal::new(code, what)
}

fn bad_argument(what: &'static str) -> Refusal {
    refused(ErrorCode::OFPBAC_BAD_ARGUMENT, what)
}

/// One action's type and what follows its length.
struct Raw<'a> {
    kind: u16,
    body: Reader<'a>,
}

fn next_raw<'a>(reader: &mut Reader<'a>) -> Result<Raw<'a>, Refusal> {
    let kind = reader.u16()?;
    let length = usize::from(reader.u16()?);
    let wrong = refused(
        ErrorCode::OFPBAC_BAD_LEN,
        "an action's length must be a multiple of 8",
    );
    if length < 8 || !length.is_multiple_of(8) {
        return Err(wrong);
    }
    let body = reader.part(length - 4)?;
    Ok(Raw { kind, body })
}

/// Reads actions to the end of `reader`.
pub(super) fn read(reader: &mut Reader<'_>, d: Decoding<'_>) -> Result<Vec<Action>, Refusal> {
    if d.depth > MAX_DEPTH {
        return Err(refused(
            ErrorCode::OFPBAC_TOO_MANY,
            "actions are nested too deeply",
        ));
    }
    let mut actions = Vec::new();
    let mut rest = reader.with_error(ErrorCode::OFPBAC_BAD_LEN);
    while !rest.is_empty() {
        let raw = next_raw(&mut rest)?;
        actions.extend(read_one(raw, d)?);
    }
    reader.rest();
    Ok(actions)
}

/// Value and mask for the metadata.
type Metadata = Option<(u64, u64)>;

/// Reads actions to the end of `reader`, and the instruction that a list of actions can have: to
/// write metadata. Only at the list's end it is what later versions' instruction is; in front of
/// other actions it is one of them.
pub(super) fn read_with_metadata(
    reader: &mut Reader<'_>,
    d: Decoding<'_>,
) -> Result<(Vec<Action>, Metadata), Refusal> {
    let mut actions = Vec::new();
    let mut metadata: Metadata = None;
    let mut rest = reader.with_error(ErrorCode::OFPBAC_BAD_LEN);
    while !rest.is_empty() {
        let raw = next_raw(&mut rest)?;
        if let Some((value, mask)) = metadata.take() {
            actions.push(Action::SetField {
                field: FieldId::METADATA,
                value: (value & mask).into(),
                mask: mask.into(),
            });
        }
        let mut body = raw.body;
        let found = raw.kind == EXPERIMENTER
            && body.u32()? == NICIRA
            && body.u16()? == number::nx::WRITE_METADATA;
        if found {
            body.zeros(6, ErrorCode::NXBAC_MUST_BE_ZERO)?;
            metadata = Some((body.u64()?, body.u64()?));
            body.end()?;
        } else {
            actions.extend(read_one(raw, d)?);
        }
    }
    reader.rest();
    Ok((actions, metadata))
}

/// Reads one action; one that changes nothing is none.
fn read_one(raw: Raw<'_>, d: Decoding<'_>) -> Result<Option<Action>, Refusal> {
    let mut body = raw.body;
    let action = match raw.kind {
        EXPERIMENTER => match body.u32()? {
            NICIRA => nicira::read(&mut body, d)?,
            ONF => standard::read_onf(&mut body, d)?,
            _ => {
                return Err(refused(
                    ErrorCode::OFPBAC_BAD_VENDOR,
                    "an action's experimenter isn't known",
                ));
            }
        },
        kind => standard::read(kind, &mut body, d)?,
    };
    body.end()?;
    Ok(action)
}
