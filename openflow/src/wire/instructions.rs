//! Instructions (OpenFlow 1.3.5 §7.2.4), and what stands for them among actions.

use aorta_flow::Match;
use aorta_flow::action::{Action, Instructions};

use super::actions::{self, Around};
use super::read::{Reader, Refusal};
use super::write::Writer;
use super::{Decoding, EncodeError};
use crate::error::ErrorCode;
use crate::version::Version;

const GOTO_TABLE: u16 = 1;
const WRITE_METADATA: u16 = 2;
const WRITE_ACTIONS: u16 = 3;
const APPLY_ACTIONS: u16 = 4;
const CLEAR_ACTIONS: u16 = 5;
const METER: u16 = 6;
const EXPERIMENTER: u16 = 0xffff;

fn refused(code: ErrorCode, what: &'static str) -> Refusal {
    Refusal::new(code, what)
}

/// Reads instructions to the end of `reader`.
pub(super) fn read(reader: &mut Reader<'_>, d: Decoding<'_>) -> Result<Instructions, Refusal> {
    let mut instructions = Instructions::default();
    let mut meter = None;
    let mut seen = 0u32;
    let mut rest = reader.with_error(ErrorCode::OFPBIC_BAD_LEN);
    while !rest.is_empty() {
        let kind = rest.u16()?;
        let length = usize::from(rest.u16()?);
        let wrong = refused(
            ErrorCode::OFPBIC_BAD_LEN,
            "an instruction's length must be a multiple of 8",
        );
        if length < 8 || !length.is_multiple_of(8) {
            return Err(wrong);
        }
        let mut body = rest.part(length - 4)?;
        if kind <= METER && seen & 1 << kind != 0 {
            return Err(refused(
                ErrorCode::OFPBIC_DUP_INST,
                "an instruction stands twice",
            ));
        }
        seen |= 1u32.checked_shl(kind.into()).unwrap_or(0);
        match kind {
            METER if matches!(d.version, Version::OpenFlow13 | Version::OpenFlow14) => {
                meter = Some(Action::Meter(body.u32()?));
            }
            _ => read_one(kind, &mut body, &mut instructions, d)?,
        }
        body.end()?;
    }
    reader.rest();
    if let Some(meter) = meter {
        instructions.apply.insert(0, meter);
    }
    Ok(instructions)
}

fn read_one(
    kind: u16,
    body: &mut Reader<'_>,
    instructions: &mut Instructions,
    d: Decoding<'_>,
) -> Result<(), Refusal> {
    match kind {
        GOTO_TABLE => {
            instructions.goto_table = Some(body.u8()?);
            body.skip(3)?;
        }
        WRITE_METADATA => {
            body.skip(4)?;
            instructions.write_metadata = Some((body.u64()?, body.u64()?));
        }
        WRITE_ACTIONS => {
            body.skip(4)?;
            instructions.write_actions = actions::read(body, d)?;
        }
        APPLY_ACTIONS => {
            body.skip(4)?;
            instructions.apply = actions::read(body, d)?;
        }
        CLEAR_ACTIONS => {
            body.skip(4)?;
            instructions.clear_actions = true;
        }
        EXPERIMENTER => {
            return Err(refused(
                ErrorCode::OFPBIC_BAD_EXPERIMENTER,
                "experimenters' instructions aren't known",
            ));
        }
        _ => {
            return Err(refused(
                ErrorCode::OFPBIC_UNKNOWN_INST,
                "an instruction isn't known in this version",
            ));
        }
    }
    Ok(())
}

fn instruction(
    out: &mut Writer<'_>,
    kind: u16,
    body: impl FnOnce(&mut Writer<'_>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let start = out.place();
    out.u16(kind);
    out.u16(0);
    body(out)?;
    out.pad_to_8(start);
    out.length_at(start + 2, start)
}

/// Writes instructions; what the version hasn't is left out of what is only told.
pub(super) fn write(
    out: &mut Writer<'_>,
    instructions: &Instructions,
    matching: &Match,
) -> Result<(), EncodeError> {
    let around = Around::of(matching);
    let mut apply = &instructions.apply[..];
    if out.version < Version::OpenFlow15
        && let [Action::Meter(meter), rest @ ..] = apply
    {
        apply = rest;
        if out.version >= Version::OpenFlow13 {
            instruction(out, METER, |out| {
                out.u32(*meter);
                Ok(())
            })?;
        } else if !out.lossy {
            return Err(out.unsupported("meters"));
        }
    }
    if !apply.is_empty() {
        instruction(out, APPLY_ACTIONS, |out| {
            out.zeros(4);
            actions::write_around(out, apply, around)
        })?;
    }
    if instructions.clear_actions {
        instruction(out, CLEAR_ACTIONS, |_| Ok(()))?;
    }
    if !instructions.write_actions.is_empty() {
        instruction(out, WRITE_ACTIONS, |out| {
            out.zeros(4);
            actions::write_around(out, &instructions.write_actions, around)
        })?;
    }
    if let Some((value, mask)) = instructions.write_metadata {
        instruction(out, WRITE_METADATA, |out| {
            out.zeros(4);
            out.u64(value);
            out.u64(mask);
            Ok(())
        })?;
    }
    match instructions.goto_table {
        Some(table) => instruction(out, GOTO_TABLE, |out| {
            out.u8(table);
            Ok(())
        }),
        None => Ok(()),
    }
}

/// Reads a list of actions that stands where later versions have instructions.
pub(super) fn read_list(reader: &mut Reader<'_>, d: Decoding<'_>) -> Result<Instructions, Refusal> {
    let (apply, write_metadata) = actions::read_with_metadata(reader, d)?;
    Ok(Instructions {
        apply,
        write_metadata,
        ..Instructions::default()
    })
}

/// Writes instructions as a list of actions: going on in a table is looking it up. An action set
/// can't be said.
pub(super) fn write_list(
    out: &mut Writer<'_>,
    instructions: &Instructions,
    matching: &Match,
) -> Result<(), EncodeError> {
    let set = instructions.clear_actions || !instructions.write_actions.is_empty();
    if set && !out.lossy {
        return Err(out.unsupported("action sets"));
    }
    actions::write_around(out, &instructions.apply, Around::of(matching))?;
    if let Some((value, mask)) = instructions.write_metadata {
        actions::write_metadata(out, value, mask)?;
    }
    match instructions.goto_table {
        Some(table) => {
            let resubmit = Action::Resubmit {
                in_port: None,
                table: Some(table),
                ct: false,
            };
            actions::write(out, &[resubmit])
        }
        None => Ok(()),
    }
}
