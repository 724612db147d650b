//! Changes of fields, which each version writes in its own way.

use aorta_flow::Subfield;
use aorta_flow::action::Action;
use aorta_flow::field::{FieldId, ones};

use super::super::field::{
    self, Choice, from_wire, has_short_code, read_header, read_value, to_wire, write_masked,
    write_operand,
};
use super::super::read::{Reader, Refusal};
use super::super::write::Writer;
use super::super::{Decoding, EncodeError};
use super::nicira::packed;
use super::number::{self, nx};
use super::refused;
use super::standard::padding;
use super::write::{Around, nicira, packed_bits, standard};
use crate::error::ErrorCode;
use crate::version::Version;

/// Bit of `vlan_vid` that says that there is a tag.
const PRESENT: u128 = 0x1000;

/// A field's code, value, and from OpenFlow 1.5 on perhaps a mask.
pub(super) fn read(body: &mut Reader<'_>, d: Decoding<'_>) -> Result<Option<Action>, Refusal> {
    read_masked(body, d.version >= Version::OpenFlow15)
}

/// The same as Nicira's action.
pub(super) fn read_load2(
    body: &mut Reader<'_>,
    _: Decoding<'_>,
) -> Result<Option<Action>, Refusal> {
    read_masked(body, true)
}

fn read_masked(body: &mut Reader<'_>, masks: bool) -> Result<Option<Action>, Refusal> {
    let header = read_header(body)?;
    let id = header.field.ok_or(refused(
        ErrorCode::OFPBAC_BAD_SET_TYPE,
        "a field isn't known",
    ))?;
    let argument = |what| refused(ErrorCode::OFPBAC_BAD_SET_ARGUMENT, what);
    if !id.field().writable {
        return Err(argument("a field can't be changed"));
    }
    if header.has_mask && !masks {
        return Err(refused(
            ErrorCode::OFPBAC_BAD_SET_MASK,
            "a mask has no meaning here",
        ));
    }
    let bytes = if header.has_mask {
        header.len / 2
    } else {
        header.len
    };
    let option = id.as_tun_metadata().is_some();
    if !option && bytes != usize::from(id.field().wire_bytes) || bytes == 0 {
        return Err(refused(
            ErrorCode::OFPBAC_BAD_SET_LEN,
            "a field's value has a wrong length",
        ));
    }
    let too_large = argument("a value is too large for its field");
    let value = read_value(body, bytes).map_err(|_| too_large)?;
    let value = from_wire(id, value).ok_or(too_large)?;
    let full = id.field().wire_mask();
    let mask = match header.has_mask {
        true => read_value(body, bytes).map_err(|_| too_large)?,
        false => full,
    };
    padding(body)?;
    if id == FieldId::VLAN_VID && mask & PRESENT != 0 && value & PRESENT == 0 {
        return Err(argument("vlan_vid needs the bit of a tag that is there"));
    }
    if mask & id.field().full_mask() == 0 {
        return Ok(None);
    }
    let all = mask & id.field().full_mask() == id.field().full_mask() && mask == full;
    let mask = if all {
        full
    } else {
        mask & id.field().full_mask()
    };
    let value = value & mask;
    Ok(Some(Action::SetField {
        field: id,
        value,
        mask,
    }))
}

/// Bits, field, value of 64 bits.
pub(super) fn read_load(body: &mut Reader<'_>) -> Result<Action, Refusal> {
    let bits = body.u16()?;
    let to = field::writable(packed(body, bits)?)?;
    let value = body.u64()?;
    if u128::from(value) & !ones(to.bits) != 0 {
        return Err(refused(
            ErrorCode::OFPBAC_BAD_ARGUMENT,
            "a value has more bits than it goes to",
        ));
    }
    Ok(Action::Load { to, value })
}

/// Writes `set_field`.
pub(super) fn write(
    out: &mut Writer<'_>,
    id: FieldId,
    value: u128,
    mask: u128,
    around: Around,
) -> Result<(), EncodeError> {
    let full = mask == id.field().wire_mask();
    match out.version {
        Version::OpenFlow15 => write_standard(out, id, value, mask),
        Version::OpenFlow10 | Version::OpenFlow11 if full => write_old(out, id, value, around),
        Version::OpenFlow10 | Version::OpenFlow11 => write_loads(out, id, value, mask),
        _ if full => write_standard(out, id, value, mask),
        _ => write_loads(out, id, value, mask),
    }
}

/// Writes a value for a whole field, as OpenFlow 1.2 and later do.
pub(super) fn write_standard(
    out: &mut Writer<'_>,
    id: FieldId,
    value: u128,
    mask: u128,
) -> Result<(), EncodeError> {
    standard(out, number::SET_FIELD, |out| {
        write_part(out, id, value, mask)
    })
}

/// A mask is only left out if it has all bits of the wire.
fn write_part(
    out: &mut Writer<'_>,
    id: FieldId,
    value: u128,
    mask: u128,
) -> Result<(), EncodeError> {
    let full = mask == id.field().wire_mask();
    write_masked(out, id, value, (!full).then_some(mask))
}

/// Writes `load`.
pub(super) fn write_load(
    out: &mut Writer<'_>,
    to: Subfield,
    value: u64,
) -> Result<(), EncodeError> {
    let mask = ones(to.bits) << to.start;
    let value128 = u128::from(value) << to.start;
    if out.version == Version::OpenFlow15 {
        return write_standard(out, to.field, value128, mask);
    }
    match is_short(to.field) {
        true if to.bits <= 64 => write_one_load(out, to, value),
        true => write_loads(out, to.field, value128, mask),
        false => write_load2(out, to.field, value128, mask),
    }
}

/// Whether the field has a code of 4 bytes and a fixed length, as the older action needs it.
fn is_short(id: FieldId) -> bool {
    has_short_code(id) && id.as_tun_metadata().is_none()
}

fn write_one_load(out: &mut Writer<'_>, to: Subfield, value: u64) -> Result<(), EncodeError> {
    nicira(out, nx::REG_LOAD, |out| {
        out.u16(packed_bits(to));
        write_operand(out, to.field, Choice::Older)?;
        out.u64(value);
        Ok(())
    })
}

fn write_load2(
    out: &mut Writer<'_>,
    id: FieldId,
    value: u128,
    mask: u128,
) -> Result<(), EncodeError> {
    nicira(out, nx::REG_LOAD2, |out| write_part(out, id, value, mask))
}

/// One load for each run of bits, from the lowest, each of at most 64 bits.
fn write_loads(
    out: &mut Writer<'_>,
    id: FieldId,
    value: u128,
    mask: u128,
) -> Result<(), EncodeError> {
    if !is_short(id) {
        return write_load2(out, id, value, mask);
    }
    let value = to_wire(id, value);
    let mut rest = mask & ones(id.field().bits);
    while rest != 0 {
        let start = rest.trailing_zeros() as u8;
        let bits = ((rest >> start).trailing_ones() as u8).min(64);
        let part = Subfield {
            field: id,
            start,
            bits,
        };
        write_one_load(out, part, (value >> start & ones(bits)) as u64)?;
        rest &= !(ones(bits) << start);
    }
    Ok(())
}

/// OpenFlow 1.0 and 1.1 have actions for some fields.
fn write_old(
    out: &mut Writer<'_>,
    id: FieldId,
    value: u128,
    around: Around,
) -> Result<(), EncodeError> {
    let modify = match id {
        FieldId::VLAN_TCI => return write_tci(out, value as u16, around),
        FieldId::VLAN_VID => return super::modify::set_vlan_vid(out, value as u16 & 0xfff),
        FieldId::VLAN_PCP => return super::modify::set_vlan_pcp(out, value as u8),
        FieldId::IP_DSCP => (FieldId::NW_TOS, value << 2),
        FieldId::TCP_SRC | FieldId::UDP_SRC => (FieldId::TCP_SRC, value),
        FieldId::TCP_DST | FieldId::UDP_DST => (FieldId::TCP_DST, value),
        FieldId::ETH_SRC
        | FieldId::ETH_DST
        | FieldId::IP_SRC
        | FieldId::IP_DST
        | FieldId::NW_TOS
        | FieldId::NW_ECN => (id, value),
        _ => return write_loads(out, id, value, id.field().wire_mask()),
    };
    super::modify::modify(out, modify.0, modify.1, around)
}

fn write_tci(out: &mut Writer<'_>, tci: u16, around: Around) -> Result<(), EncodeError> {
    let old = out.version == Version::OpenFlow10;
    if u128::from(tci) & PRESENT != 0 {
        if !old && !around.has_vlan {
            super::modify::push_vlan(out, 0x8100)?;
        }
        super::modify::set_vlan_vid(out, tci & 0xfff)?;
        super::modify::set_vlan_pcp(out, (tci >> 13) as u8)
    } else if old || around.has_vlan {
        super::modify::pop_vlan(out)
    } else {
        Ok(())
    }
}
