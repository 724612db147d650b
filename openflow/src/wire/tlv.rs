//! Which tunnel options are which fields (NXT_TLV_TABLE_MOD, _REQUEST, _REPLY).

use super::EncodeError;
use super::kind::{Class, Kind, kind};
use super::read::{Reader, Refusal};
use super::write::Writer;
use crate::error::ErrorCode;
use crate::message::{Message, TlvMapping, TlvTable, TlvTableMod};

const MOD: u32 = 24;
const REQUEST: u32 = 25;
const REPLY: u32 = 26;

pub(super) const KINDS: &[Kind] = &[
    kind(Class::Nxt, MOD, 0, 5, |r, _| read_mod(r)),
    kind(Class::Nxt, REQUEST, 0, 5, |_, _| {
        Ok(Message::TlvTableRequest)
    }),
    kind(Class::Nxt, REPLY, 0, 5, |r, _| read_reply(r)),
];

/// Class, type, length, field, padding; as many as there are.
fn read_mappings(reader: &mut Reader<'_>) -> Result<Vec<TlvMapping>, Refusal> {
    let mut mappings = Vec::new();
    while !reader.is_empty() {
        mappings.push(TlvMapping {
            class: reader.u16()?,
            kind: reader.u8()?,
            len_bytes: reader.u8()?,
            index: reader.u16()?,
        });
        reader.skip(2)?;
    }
    Ok(mappings)
}

/// Command, padding, options.
fn read_mod(reader: &mut Reader<'_>) -> Result<Message, Refusal> {
    let command = reader.u16()?;
    reader.skip(6)?;
    let mappings = read_mappings(reader)?;
    Ok(Message::TlvTableMod(match command {
        0 => {
            check_lengths(&mappings)?;
            TlvTableMod::Add(mappings)
        }
        1 => TlvTableMod::Delete(mappings),
        2 => TlvTableMod::Clear,
        _ => {
            return Err(Refusal::new(
                ErrorCode::NXTTMFC_BAD_COMMAND,
                "there is no such change of tunnel options",
            ));
        }
    }))
}

/// Longest value of an option (RFC 8926 §3.5).
const MAX_OPTION_BYTES: u8 = 124;

fn check_lengths(mappings: &[TlvMapping]) -> Result<(), Refusal> {
    for mapping in mappings {
        let len = mapping.len_bytes;
        if len == 0 || !len.is_multiple_of(4) || len > MAX_OPTION_BYTES {
            return Err(Refusal::new(
                ErrorCode::NXTTMFC_BAD_OPT_LEN,
                "a tunnel option has 4 to 124 bytes, a multiple of 4",
            ));
        }
        if mapping.index >= 64 {
            return Err(Refusal::new(
                ErrorCode::NXTTMFC_BAD_FIELD_IDX,
                "there are fields for 64 tunnel options",
            ));
        }
    }
    Ok(())
}

/// Room, fields, padding, options.
fn read_reply(reader: &mut Reader<'_>) -> Result<Message, Refusal> {
    let max_option_space_bytes = reader.u32()?;
    let max_fields = reader.u16()?;
    reader.skip(10)?;
    Ok(Message::TlvTableReply(TlvTable {
        max_option_space_bytes,
        max_fields,
        mappings: read_mappings(reader)?,
    }))
}

pub(super) fn encode(out: &mut Writer<'_>, message: &Message) -> Result<(), EncodeError> {
    match message {
        Message::TlvTableMod(change) => {
            out.begin(Class::Nxt, MOD);
            let (command, mappings) = match change {
                TlvTableMod::Add(mappings) => (0, &mappings[..]),
                TlvTableMod::Delete(mappings) => (1, &mappings[..]),
                TlvTableMod::Clear => (2, &[][..]),
            };
            out.u16(command);
            out.zeros(6);
            write_mappings(out, mappings);
        }
        Message::TlvTableReply(table) => {
            out.begin(Class::Nxt, REPLY);
            out.u32(table.max_option_space_bytes);
            out.u16(table.max_fields);
            out.zeros(10);
            write_mappings(out, &table.mappings);
        }
        _ => out.begin(Class::Nxt, REQUEST),
    }
    Ok(())
}

fn write_mappings(out: &mut Writer<'_>, mappings: &[TlvMapping]) {
    for mapping in mappings {
        out.u16(mapping.class);
        out.u8(mapping.kind);
        out.u8(mapping.len_bytes);
        out.u16(mapping.index);
        out.zeros(2);
    }
}
