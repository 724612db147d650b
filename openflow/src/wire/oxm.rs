//! Matches as a list of fields: Nicira's extended match, and that of OpenFlow 1.2 and later.

use aorta_flow::field::FieldId;
use aorta_flow::{Match, MatchError};

use super::field::{self, FieldHeader};
use super::read::{Reader, Refusal};
use super::write::Writer;
use super::{EncodeError, oxm_write};
use crate::error::ErrorCode;
use crate::version::Version;

fn refused(code: ErrorCode, what: &'static str) -> Refusal {
    Refusal::new(code, what)
}

/// What is done with fields that aren't known.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unknown {
    /// They are an error.
    Refuse,
    /// They are passed over.
    Skip,
}

/// What a list of fields says.
#[derive(Default)]
pub(super) struct Entries {
    pub matching: Match,
    /// Cookie and mask, which lists that select flows have.
    pub cookie: Option<(u64, u64)>,
}

/// Reads the fields of a list that must end with `reader`. If all must be known, each must have a
/// meaning, too.
pub(super) fn read(mut reader: Reader<'_>, unknown: Unknown) -> Result<Entries, Refusal> {
    reader = reader.with_error(ErrorCode::OFPBMC_BAD_LEN);
    let mut entries = Entries::default();
    while !reader.is_empty() {
        let header = field::read_header(&mut reader)?;
        let mut body = reader.part(header.len)?;
        match header.field {
            Some(id) => {
                if unknown == Unknown::Refuse {
                    has_meaning(&entries.matching, id)?;
                }
                read_entry(&mut entries.matching, id, header, &mut body)?;
            }
            None if header.cookie => entries.cookie = Some(read_cookie(header, &mut body)?),
            None if unknown == Unknown::Skip => {}
            None => {
                return Err(refused(
                    ErrorCode::OFPBMC_BAD_FIELD,
                    "a field of the match isn't known",
                ));
            }
        }
    }
    Ok(entries)
}

/// What a field needs must stand in front of it (OpenFlow 1.3.5 §7.2.3.6).
fn has_meaning(matching: &Match, id: FieldId) -> Result<(), Refusal> {
    match id.field().prereq.met(&|field| matching.get(field)) {
        true => Ok(()),
        false => Err(refused(
            ErrorCode::OFPBMC_BAD_PREREQ,
            "a field is matched without what it needs in front of it",
        )),
    }
}

fn read_cookie(header: FieldHeader, body: &mut Reader<'_>) -> Result<(u64, u64), Refusal> {
    let value = body.u64()?;
    let mask = if header.has_mask {
        body.u64()?
    } else {
        u64::MAX
    };
    body.end()?;
    Ok((value, mask))
}

fn read_entry(
    matching: &mut Match,
    id: FieldId,
    header: FieldHeader,
    body: &mut Reader<'_>,
) -> Result<(), Refusal> {
    let bytes = if header.has_mask {
        header.len / 2
    } else {
        header.len
    };
    let right = match id.as_tun_metadata() {
        Some(_) => bytes > 0 && header.len == bytes * (1 + usize::from(header.has_mask)),
        None => {
            bytes == usize::from(id.field().wire_bytes)
                && header.len == bytes * (1 + usize::from(header.has_mask))
        }
    };
    if !right {
        // A field is known by its length, too.
        return Err(refused(
            ErrorCode::OFPBMC_BAD_FIELD,
            "a field's value has a wrong length",
        ));
    }
    let value = field::read_value(body, bytes)?;
    let full = id.field().full_mask();
    let mask = match header.has_mask {
        true => {
            let mask = field::read_value(body, bytes)?;
            if value & !mask != 0 {
                return Err(refused(
                    ErrorCode::OFPBMC_BAD_WILDCARDS,
                    "a value has bits outside of its mask",
                ));
            }
            mask & full
        }
        false => full,
    };
    let value = field::from_wire(id, value).ok_or(refused(
        ErrorCode::OFPBMC_BAD_VALUE,
        "a value is too large for its field",
    ))?;
    set(matching, id, value, mask)
}

/// Bits of `nw_tos` that a match of it asks for.
const DSCP_IN_TOS: u128 = 0xfc;

fn set(matching: &mut Match, id: FieldId, value: u128, mask: u128) -> Result<(), Refusal> {
    let mut there = matching.get(id).1;
    if id == FieldId::NW_TOS {
        there &= DSCP_IN_TOS;
        if value & !DSCP_IN_TOS != 0 {
            return Err(refused(
                ErrorCode::OFPBMC_BAD_VALUE,
                "a type of service has bits of ECN",
            ));
        }
    }
    if there != 0 {
        return Err(refused(
            ErrorCode::OFPBMC_DUP_FIELD,
            "a field stands twice in the match",
        ));
    }
    let (value, mask) = match id {
        // Without a tag there, nothing else of it can be asked for.
        FieldId::VLAN_TCI if value == 0 && mask == 0xffff => (0, mask),
        _ => (value, mask),
    };
    matching.set_masked(id, value, mask).map_err(|e| match e {
        MatchError::NotMaskable(_) => {
            refused(ErrorCode::OFPBMC_BAD_MASK, "a field can't have this mask")
        }
        _ => refused(
            ErrorCode::OFPBMC_BAD_VALUE,
            "a value is too large for its field",
        ),
    })
}

/// Type of a match that is a list of fields (OFPMT_OXM), and the fixed one of OpenFlow 1.1.
const OXM: u16 = 1;
const STANDARD: u16 = 0;

/// Reads a match with its type, length and padding (OpenFlow 1.3.5 §7.2.3.1), or the fixed one of
/// OpenFlow 1.1.
pub(super) fn read_match(reader: &mut Reader<'_>, unknown: Unknown) -> Result<Match, Refusal> {
    let mut inner = reader.with_error(ErrorCode::OFPBMC_BAD_LEN);
    let (kind, length) = (inner.u16()?, usize::from(inner.u16()?));
    match kind {
        OXM => {
            let len = length
                .checked_sub(4)
                .ok_or(refused(ErrorCode::OFPBMC_BAD_LEN, "a match is too short"))?;
            let fields = inner.part(len)?;
            inner.skip(length.next_multiple_of(8) - length)?;
            reader.skip(length.next_multiple_of(8))?;
            Ok(read(fields, unknown)?.matching)
        }
        STANDARD if length == super::match11::LEN => {
            let matching = super::match11::read(&mut inner)?;
            reader.skip(length)?;
            Ok(matching)
        }
        _ => Err(refused(
            ErrorCode::OFPBMC_BAD_TYPE,
            "the match is of a type that isn't known",
        )),
    }
}

/// Writes a match with its type, length and padding; the fixed one in OpenFlow 1.1 if it will do.
pub(super) fn write_match(out: &mut Writer<'_>, matching: &Match) -> Result<(), EncodeError> {
    if out.version <= Version::OpenFlow11 && super::match11::can_say(matching) {
        super::match11::write(out, matching);
        return Ok(());
    }
    let start = out.place();
    out.u16(OXM);
    out.u16(0);
    oxm_write::write(out, matching)?;
    out.length_at(start + 2, start)?;
    out.pad_to_8(start);
    Ok(())
}

/// Writes cookie and mask as a field.
pub(super) fn write_cookie(out: &mut Writer<'_>, cookie: u64, mask: u64) {
    let full = mask == u64::MAX;
    out.u16(1);
    out.u8(30 << 1 | u8::from(!full));
    out.u8(if full { 8 } else { 16 });
    out.u64(cookie);
    if !full {
        out.u64(mask);
    }
}
