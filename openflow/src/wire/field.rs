//! Codes of fields, values of fields (OpenFlow 1.3.5 §7.2.3).
//!
//! A code is class (16 bits), number (7), whether a mask follows (1) and length of what follows
//! (8); class 0xffff has the experimenter's 32 bits behind it, which count for the length.

use std::sync::LazyLock;

use aorta_flow::field::{Class, FieldId};
use aorta_flow::{OfPort, Subfield};

use super::read::{Reader, Refusal};
use super::write::Writer;
use super::{Context, EncodeError};
use crate::error::ErrorCode;
use crate::version::Version;

/// A field's code with what it says.
#[derive(Clone, Copy, Debug)]
pub(super) struct FieldHeader {
    /// None if it isn't known.
    pub field: Option<FieldId>,
    /// Whether it is Nicira's field that stands for a cookie.
    pub cookie: bool,
    pub has_mask: bool,
    /// Bytes of value and mask.
    pub len: usize,
}

/// Codes that the catalogue hasn't: the standard's of OpenFlow 1.5 for what it took from others.
const LATER: [(FieldId, Class, u8); 2] = [
    (FieldId::TCP_FLAGS, Class::OXM_OF, 42),
    (FieldId::ACTSET_OUTPUT, Class::OXM_OF, 43),
];

/// A code that is understood and never written.
const SECOND: [(FieldId, Class, u8); 1] = [(FieldId::DP_HASH, Class::NXOXM_ET, 0)];

/// Nicira's field that stands for a cookie in what selects flows: class, number and length, by which
/// it differs from the time to live of MPLS.
const COOKIE: (u16, u8, u8) = (1, 30, 8);

const CLASSES: [u16; 5] = [0x8000, 0x0001, 0x0000, 0x8001, 0x1000];

struct Codes {
    plain: [[Option<FieldId>; 128]; CLASSES.len()],
    experimenters: Vec<(u32, u8, FieldId)>,
}

static CODES: LazyLock<Codes> = LazyLock::new(|| {
    let mut codes = Codes {
        plain: [[None; 128]; CLASSES.len()],
        experimenters: Vec::new(),
    };
    let catalogue = FieldId::all().flat_map(|id| {
        let both = id.field().oxm.into_iter().chain(id.field().nxm);
        both.map(move |code| (id, code.class, code.number))
    });
    for (id, class, number) in catalogue.chain(LATER).chain(SECOND) {
        match class.experimenter {
            Some(who) => codes.experimenters.push((who, number, id)),
            None => {
                if let Some(at) = CLASSES.iter().position(|c| *c == class.class) {
                    codes.plain[at][usize::from(number % 128)] = Some(id);
                }
            }
        }
    }
    codes
});

/// Reads a code.
pub(super) fn read_header(reader: &mut Reader<'_>) -> Result<FieldHeader, Refusal> {
    let class = reader.u16()?;
    let [number, length] = reader.array()?;
    let (has_mask, number) = (number & 1 != 0, number >> 1);
    let mut header = FieldHeader {
        field: None,
        cookie: (class, number, length >> u8::from(has_mask)) == COOKIE,
        has_mask,
        len: length.into(),
    };
    let codes = &*CODES;
    if header.cookie {
        return Ok(header);
    }
    if class == 0xffff {
        let who = reader.u32()?;
        let found = codes.experimenters.iter();
        let found = found.copied().find(|(w, n, _)| (*w, *n) == (who, number));
        header.field = found.map(|(_, _, id)| id);
        header.len = header.len.checked_sub(4).ok_or(Refusal::new(
            ErrorCode::OFPBMC_BAD_LEN,
            "a field is shorter than its experimenter",
        ))?;
    } else if let Some(at) = CLASSES.iter().position(|c| *c == class) {
        header.field = codes.plain[at][usize::from(number)];
    }
    Ok(header)
}

/// Reads the code of a field that an action works on: no mask follows, and no value.
pub(super) fn read_operand(reader: &mut Reader<'_>) -> Result<FieldId, Refusal> {
    let header = read_header(reader)?;
    let refused = |what| Refusal::new(ErrorCode::OFPBAC_BAD_SET_TYPE, what);
    let field = header.field.ok_or(refused("a field isn't known"))?;
    match header.has_mask {
        true => Err(refused("a mask has no meaning here")),
        false => Ok(field),
    }
}

/// Reads the code of a field in a list; too few bytes, of what is behind it too, are OFPBMC_BAD_LEN.
pub(super) fn read_listed(reader: &mut Reader<'_>) -> Result<FieldHeader, Refusal> {
    *reader = reader.with_error(ErrorCode::OFPBMC_BAD_LEN);
    read_header(reader)
}

/// Bits of a field that an action works on, which must be there.
pub(super) fn subfield(field: FieldId, start: u16, bits: u16) -> Result<Subfield, Refusal> {
    let refused = Refusal::new(
        ErrorCode::OFPBAC_BAD_SET_LEN,
        "a field hasn't the bits that are named",
    );
    let end = (u32::from(start) + u32::from(bits)).checked_sub(1);
    let end = end.filter(|_| bits > 0).ok_or(refused)?;
    Subfield::range(field, start.into(), end).map_err(|_| refused)
}

/// The same of a field that actions may change.
pub(super) fn writable(part: Subfield) -> Result<Subfield, Refusal> {
    match part.field.field().writable {
        true => Ok(part),
        false => Err(Refusal::new(
            ErrorCode::OFPBAC_BAD_SET_ARGUMENT,
            "a field can't be changed",
        )),
    }
}

/// The code that a version uses for a field.
fn code(id: FieldId, version: Version) -> Option<(Class, u8)> {
    if version >= Version::OpenFlow15
        && let Some((_, class, number)) = LATER.into_iter().find(|(later, ..)| *later == id)
    {
        return Some((class, number));
    }
    let field = id.field();
    let oxm = field
        .oxm
        .filter(|code| version >= code.since || field.nxm.is_none());
    oxm.or(field.nxm).map(|code| (code.class, code.number))
}

/// The older code of a field.
fn older_code(id: FieldId) -> Option<(Class, u8)> {
    id.field().code().map(|code| (code.class, code.number))
}

/// Which of a field's codes is written.
#[derive(Clone, Copy)]
pub(super) enum Choice {
    /// The version's.
    Version,
    /// The older one, in all versions.
    Older,
}

/// The error of a field without code.
fn no_code(out: &Writer<'_>) -> EncodeError {
    out.unsupported("code for a field that is used")
}

/// Bytes of a field's value.
pub(super) fn value_bytes(id: FieldId, context: Context<'_>, value: u128, mask: u128) -> usize {
    match id.as_tun_metadata() {
        None => id.field().wire_bytes.into(),
        Some(number) => {
            let known = context.options.map(|lengths| lengths[usize::from(number)]);
            match known.filter(|len| *len > 0) {
                Some(len) => len.into(),
                None => shortest_option(value | mask),
            }
        }
    }
}

/// As many bytes as a value needs, where nothing says how long an option is.
fn shortest_option(bits: u128) -> usize {
    let bytes = (128 - bits.leading_zeros()).div_ceil(8) as usize;
    bytes.max(1)
}

fn write_code(out: &mut Writer<'_>, (class, number): (Class, u8), has_mask: bool, len: usize) {
    out.u16(class.class);
    out.u8(number << 1 | u8::from(has_mask));
    match class.experimenter {
        Some(who) => {
            out.u8(len as u8 + 4);
            out.u32(who);
        }
        None => out.u8(len as u8),
    }
}

/// Writes the code of a field that an action works on.
pub(super) fn write_operand(
    out: &mut Writer<'_>,
    id: FieldId,
    choice: Choice,
) -> Result<(), EncodeError> {
    let code = match choice {
        Choice::Version => code(id, out.version),
        Choice::Older => older_code(id),
    };
    let code = code.ok_or(no_code(out))?;
    write_code(out, code, false, id.field().wire_bytes.into());
    Ok(())
}

/// Writes the code of a field in a list, its value left out or behind it; fields without a code are
/// left out.
pub(super) fn write_listed(out: &mut Writer<'_>, id: FieldId, has_mask: bool) {
    if let Some(code) = code(id, out.version) {
        let len = usize::from(id.field().wire_bytes) << u8::from(has_mask);
        write_code(out, code, has_mask, len);
    }
}

/// Whether the older code of a field has no experimenter: older actions have room for 4 bytes.
pub(super) fn has_short_code(id: FieldId) -> bool {
    older_code(id).is_some_and(|(class, _)| class.experimenter.is_none())
}

/// Fields whose masks others always write: all bits that they have aren't all bits on the wire.
const ALWAYS_MASKED: [FieldId; 5] = [
    FieldId::TUN_FLAGS,
    FieldId::CT_STATE,
    FieldId::TUN_ERSPAN_VER,
    FieldId::TUN_ERSPAN_DIR,
    FieldId::TUN_ERSPAN_HWID,
];

/// Writes code, value, and mask if it isn't full.
pub(super) fn write_entry(
    out: &mut Writer<'_>,
    id: FieldId,
    value: u128,
    mask: u128,
) -> Result<(), EncodeError> {
    let field = id.field();
    let full =
        mask == field.wire_mask() || mask == field.full_mask() && !ALWAYS_MASKED.contains(&id);
    write_masked(out, id, value, (!full).then_some(mask))
}

/// Writes code, value, and mask if there is one.
pub(super) fn write_masked(
    out: &mut Writer<'_>,
    id: FieldId,
    value: u128,
    mask: Option<u128>,
) -> Result<(), EncodeError> {
    let code = code(id, out.version).ok_or(no_code(out))?;
    let bytes = value_bytes(id, out.context, value, mask.unwrap_or(0));
    let parts = if mask.is_some() { 2 } else { 1 };
    write_code(out, code, mask.is_some(), parts * bytes);
    write_value(out, to_wire(id, value), bytes);
    if let Some(mask) = mask {
        write_value(out, mask, bytes);
    }
    Ok(())
}

/// Writes the lowest bytes of a value.
pub(super) fn write_value(out: &mut Writer<'_>, value: u128, bytes: usize) {
    let all = value.to_be_bytes();
    out.zeros(bytes.saturating_sub(all.len()));
    out.all(&all[all.len().saturating_sub(bytes)..]);
}

/// Reads a value of so many bytes; it must fit into 16.
pub(super) fn read_value(reader: &mut Reader<'_>, bytes: usize) -> Result<u128, Refusal> {
    let value = reader.take(bytes)?;
    let (high, low) = value.split_at(bytes.saturating_sub(16));
    if high.iter().any(|byte| *byte != 0) {
        return Err(Refusal::new(
            ErrorCode::OFPBMC_BAD_VALUE,
            "values of more than 16 bytes aren't supported",
        ));
    }
    Ok(low.iter().fold(0, |all, byte| all << 8 | u128::from(*byte)))
}

/// Ports of 32 bits are kept as 16 bits.
fn is_wide_port(id: FieldId) -> bool {
    id == FieldId::IN_PORT_OXM || id == FieldId::ACTSET_OUTPUT
}

/// A field's value as it is on the wire.
pub(super) fn to_wire(id: FieldId, value: u128) -> u128 {
    match is_wide_port(id) {
        true => OfPort(value as u16).to_u32().into(),
        false => value,
    }
}

/// A field's value as it is kept; `None` if there is no such value.
pub(super) fn from_wire(id: FieldId, value: u128) -> Option<u128> {
    if is_wide_port(id) {
        let port = u32::try_from(value).ok().and_then(OfPort::from_u32)?;
        return Some(port.0.into());
    }
    (value & !id.field().full_mask() == 0).then_some(value)
}
