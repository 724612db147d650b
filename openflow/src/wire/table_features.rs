//! What tables can do (OpenFlow 1.3.5 §7.3.5.5, OpenFlow 1.5.1 §7.3.5.18).

use aorta_flow::field::FieldId;

use super::field::{read_listed, write_listed};
use super::kind::{Class, Kind, kind};
use super::property::{EXPERIMENTER_PROPERTY, property};
use super::read::{Reader, Refusal};
use super::table_stats::{NAME_LEN, no_features};
use super::write::Writer;
use super::{Decoding, EncodeError};
use crate::error::ErrorCode;
use crate::message::{
    Message, MultipartReply, MultipartRequest, TableAbilities, TableFeatures, TableFeaturesRequest,
};
use crate::version::Version;

pub(super) const KINDS: &[Kind] = &[
    kind(Class::Request, 12, 3, 5, decode_request),
    kind(Class::Reply, 12, 3, 5, decode_reply),
];

/// Properties; those of the flow without match have the next number.
const INSTRUCTIONS: u16 = 0;
const NEXT_TABLES: u16 = 2;
const WRITE_ACTIONS: u16 = 4;
const APPLY_ACTIONS: u16 = 6;
const MATCH: u16 = 8;
const WILDCARDS: u16 = 10;
const WRITE_SET_FIELD: u16 = 12;
const APPLY_SET_FIELD: u16 = 14;

const EVICTION: u32 = 1 << 2;
const VACANCY_EVENTS: u32 = 1 << 3;

fn decode_request(reader: &mut Reader<'_>, decoding: Decoding<'_>) -> Result<Message, Refusal> {
    let tables = read_tables(reader, decoding.version)?;
    let more = decoding.more;
    let request = TableFeaturesRequest { tables, more };
    Ok(Message::Request(MultipartRequest::TableFeatures(request)))
}

fn decode_reply(reader: &mut Reader<'_>, decoding: Decoding<'_>) -> Result<Message, Refusal> {
    Ok(Message::Reply {
        reply: MultipartReply::TableFeatures(read_tables(reader, decoding.version)?),
        more: decoding.more,
    })
}

fn read_tables(reader: &mut Reader<'_>, version: Version) -> Result<Vec<TableFeatures>, Refusal> {
    let mut tables = Vec::new();
    while !reader.is_empty() {
        tables.push(read_table(reader, version)?);
    }
    Ok(tables)
}

fn read_table(reader: &mut Reader<'_>, version: Version) -> Result<TableFeatures, Refusal> {
    let length = usize::from({ *reader }.u16()?);
    let mut body = reader.part(length)?;
    body.skip(2)?;
    let mut table = no_features(body.u8()?);
    match version >= Version::OpenFlow15 {
        true => {
            table.command = body.u8()?;
            table.features = body.u32()?;
        }
        false => body.skip(5)?,
    }
    table.name = body.text(NAME_LEN)?;
    table.metadata_match = body.u64()?;
    table.metadata_write = body.u64()?;
    let config = body.u32()?;
    if version >= Version::OpenFlow14 {
        table.supports_eviction = config & EVICTION != 0;
        table.supports_vacancy_events = config & VACANCY_EVENTS != 0;
    }
    table.max_entries = body.u32()?;
    while !body.is_empty() {
        let element = property(&mut body)?;
        read_property(&mut table, element.kind, element.body)?;
    }
    Ok(table)
}

/// What flows with a match can do, or the flow without; by the property's number.
fn abilities(table: &mut TableFeatures, kind: u16) -> &mut TableAbilities {
    match kind & 1 {
        0 => &mut table.nonmiss,
        _ => &mut table.miss,
    }
}

fn read_property(
    table: &mut TableFeatures,
    kind: u16,
    mut body: Reader<'_>,
) -> Result<(), Refusal> {
    match kind {
        MATCH => {
            let fields = read_fields(&mut body)?;
            table.matching = fields.iter().map(|(field, _)| *field).collect();
            let masked = fields.iter().filter(|(_, masked)| *masked);
            table.mask = masked.map(|(field, _)| *field).collect();
            return Ok(());
        }
        WILDCARDS => {
            let fields = read_fields(&mut body)?;
            table.wildcard = fields.into_iter().map(|(field, _)| field).collect();
            return Ok(());
        }
        EXPERIMENTER_PROPERTY => {
            return Err(Refusal::new(
                ErrorCode::OFPBPC_BAD_EXPERIMENTER,
                "the experimenter of a table's property isn't known",
            ));
        }
        _ => {}
    }
    let abilities = abilities(table, kind);
    match kind & !1 {
        INSTRUCTIONS => {
            for number in read_types(&mut body)? {
                abilities.instructions |= 1u32.checked_shl(number.into()).unwrap_or(0);
            }
        }
        NEXT_TABLES => abilities.next = body.rest().to_vec(),
        WRITE_ACTIONS => abilities.write_actions = read_types(&mut body)?,
        APPLY_ACTIONS => abilities.apply_actions = read_types(&mut body)?,
        WRITE_SET_FIELD => abilities.write_set_fields = read_set_fields(&mut body)?,
        APPLY_SET_FIELD => abilities.apply_set_fields = read_set_fields(&mut body)?,
        _ => {
            return Err(Refusal::new(
                ErrorCode::OFPBPC_BAD_TYPE,
                "a table has no such property",
            ));
        }
    }
    Ok(())
}

/// Types of actions or instructions; those of experimenters are left out.
fn read_types(body: &mut Reader<'_>) -> Result<Vec<u16>, Refusal> {
    let mut types = Vec::new();
    while !body.is_empty() {
        let number = body.u16()?;
        let length = usize::from(body.u16()?);
        let rest = length.checked_sub(4);
        body.skip(rest.ok_or(Refusal::new(
            ErrorCode::OFPBPC_BAD_LEN,
            "a type has at least 4 bytes",
        ))?)?;
        if number != EXPERIMENTER_PROPERTY {
            types.push(number);
        }
    }
    Ok(types)
}

/// Fields that are known, and whether they can have a mask.
fn read_fields(body: &mut Reader<'_>) -> Result<Vec<(FieldId, bool)>, Refusal> {
    let mut fields = Vec::new();
    while !body.is_empty() {
        let code = read_listed(body)?;
        fields.extend(code.field.map(|field| (field, code.has_mask)));
    }
    Ok(fields)
}

fn read_set_fields(body: &mut Reader<'_>) -> Result<Vec<FieldId>, Refusal> {
    let fields = read_fields(body)?;
    Ok(fields.into_iter().map(|(field, _)| field).collect())
}

pub(super) fn encode_request(
    out: &mut Writer<'_>,
    request: &TableFeaturesRequest,
) -> Result<(), EncodeError> {
    encode(out, Class::Request, &request.tables)
}

pub(super) fn encode_reply(
    out: &mut Writer<'_>,
    tables: &[TableFeatures],
) -> Result<(), EncodeError> {
    encode(out, Class::Reply, tables)
}

fn encode(out: &mut Writer<'_>, class: Class, tables: &[TableFeatures]) -> Result<(), EncodeError> {
    if out.version < Version::OpenFlow13 {
        return Err(out.unsupported("features of tables; ask for what they count"));
    }
    out.begin(class, 12);
    for table in tables {
        write_table(out, table)?;
        out.end_entry()?;
    }
    Ok(())
}

fn write_table(out: &mut Writer<'_>, table: &TableFeatures) -> Result<(), EncodeError> {
    let start = out.place();
    out.u16(0);
    out.u8(table.table);
    match out.version >= Version::OpenFlow15 {
        true => {
            out.u8(table.command);
            out.u32(table.features);
        }
        false => out.zeros(5),
    }
    out.text(&table.name, NAME_LEN);
    out.u64(table.metadata_match);
    out.u64(table.metadata_write);
    let bit = |set, bit| if set { bit } else { 0 };
    out.u32(match out.version >= Version::OpenFlow14 {
        true => {
            bit(table.supports_eviction, EVICTION)
                | bit(table.supports_vacancy_events, VACANCY_EVENTS)
        }
        false => 0,
    });
    out.u32(table.max_entries);
    write_abilities(out, &table.nonmiss, 0)?;
    write_abilities(out, &table.miss, 1)?;
    write_property(out, MATCH, |out| {
        for field in &table.matching {
            write_listed(out, *field, table.mask.contains(field));
        }
    })?;
    write_property(out, WILDCARDS, |out| write_fields(out, &table.wildcard))?;
    out.length_at(start, start)
}

/// A property: its content, its length, and zeros up to a multiple of 8 bytes.
fn write_property(
    out: &mut Writer<'_>,
    kind: u16,
    content: impl FnOnce(&mut Writer<'_>),
) -> Result<(), EncodeError> {
    let start = out.place();
    out.u16(kind);
    out.u16(0);
    content(out);
    out.length_at(start + 2, start)?;
    out.pad_to_8(start);
    Ok(())
}

fn write_abilities(
    out: &mut Writer<'_>,
    abilities: &TableAbilities,
    miss: u16,
) -> Result<(), EncodeError> {
    let instructions: Vec<u16> = (0..32)
        .filter(|bit| abilities.instructions >> bit & 1 != 0)
        .collect();
    write_property(out, INSTRUCTIONS | miss, |out| {
        write_types(out, &instructions)
    })?;
    write_property(out, NEXT_TABLES | miss, |out| out.all(&abilities.next))?;
    for (kind, actions, fields_kind, fields) in [
        (
            WRITE_ACTIONS,
            &abilities.write_actions,
            WRITE_SET_FIELD,
            &abilities.write_set_fields,
        ),
        (
            APPLY_ACTIONS,
            &abilities.apply_actions,
            APPLY_SET_FIELD,
            &abilities.apply_set_fields,
        ),
    ] {
        write_property(out, kind | miss, |out| write_types(out, actions))?;
        write_property(out, fields_kind | miss, |out| write_fields(out, fields))?;
    }
    Ok(())
}

fn write_types(out: &mut Writer<'_>, types: &[u16]) {
    for number in types {
        out.u16(*number);
        out.u16(4);
    }
}

fn write_fields(out: &mut Writer<'_>, fields: &[FieldId]) {
    for field in fields {
        write_listed(out, *field, false);
    }
}
