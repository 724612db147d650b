//! Fields by their codes, where they stand without a value or with the bits of it that count.

use aorta_flow::field::{Class, Code, FieldId};

use super::read::{Reader, Refusal};
use super::write::Writer;
use crate::error::ErrorCode;
use crate::version::Version;

/// Numbers of OpenFlow 1.5 in the standard's class, of fields that earlier versions have as
/// extensions.
const NUMBERS_15: [(FieldId, u8); 2] = [(FieldId::TCP_FLAGS, 42), (FieldId::ACTSET_OUTPUT, 43)];

/// Class of codes that name an experimenter.
const EXPERIMENTER: u16 = 0xffff;

/// A field's code as it was read.
pub(super) struct ReadCode {
    /// The field, if it is known.
    pub field: Option<FieldId>,
    /// Whether a mask follows the value.
    pub masked: bool,
    /// Bytes behind the code.
    pub len: usize,
}

/// A field's code.
pub(super) fn read_code(reader: &mut Reader<'_>) -> Result<ReadCode, Refusal> {
    let mut reader8 = reader.with_error(ErrorCode::OFPBMC_BAD_LEN);
    let class = reader8.u16()?;
    let number = reader8.u8()?;
    let mut len = usize::from(reader8.u8()?);
    let experimenter = match class {
        EXPERIMENTER => {
            let short = Refusal::new(ErrorCode::OFPBMC_BAD_LEN, "a field's length can't be");
            len = len.checked_sub(4).ok_or(short)?;
            Some(reader8.u32()?)
        }
        _ => None,
    };
    *reader = reader8;
    Ok(ReadCode {
        field: find(
            Class {
                class,
                experimenter,
            },
            number >> 1,
        ),
        masked: number & 1 != 0,
        len,
    })
}

fn find(class: Class, number: u8) -> Option<FieldId> {
    let is = |code: &Option<Code>| {
        code.as_ref()
            .is_some_and(|code| code.class == class && code.number == number)
    };
    let later = NUMBERS_15.iter().find(|(_, later)| *later == number);
    let later = later.filter(|_| class == Class::OXM_OF).map(|(id, _)| *id);
    later.or_else(|| FieldId::all().find(|id| is(&id.field().oxm) || is(&id.field().nxm)))
}

/// The code that a version has for a field, class and number: the standard's from OpenFlow 1.2 on
/// if it knows it.
fn code_of(field: FieldId, version: Version) -> Option<(Class, u8)> {
    let row = field.field();
    let later = NUMBERS_15.iter().find(|(id, _)| *id == field);
    if let Some((_, number)) = later.filter(|_| version == Version::OpenFlow15) {
        return Some((Class::OXM_OF, *number));
    }
    let standard = row
        .oxm
        .as_ref()
        .filter(|code| version >= Version::OpenFlow12 && code.since <= version);
    let code = standard.or(row.nxm.as_ref()).or(row.oxm.as_ref())?;
    Some((code.class, code.number))
}

/// Writes a field's code; fields without one are left out. Behind it come `len` bytes.
pub(super) fn write_code(out: &mut Writer<'_>, field: FieldId, masked: bool) {
    let Some((class, number)) = code_of(field, out.version) else {
        return;
    };
    let bytes = field.field().wire_bytes;
    let value_len = if masked { bytes * 2 } else { bytes };
    out.u16(class.class);
    out.u8(number << 1 | u8::from(masked));
    match class.experimenter {
        Some(experimenter) => {
            out.u8(value_len + 4);
            out.u32(experimenter);
        }
        None => out.u8(value_len),
    }
}
