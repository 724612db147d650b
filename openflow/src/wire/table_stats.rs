//! What tables have counted, and to OpenFlow 1.2 what they can do (OpenFlow 1.0.0 §5.3.5, OpenFlow
//! 1.1.0 §A.3.5.3, OpenFlow 1.2 §A.3.5.3, OpenFlow 1.3.5 §7.3.5.4).

use aorta_flow::field::{Class as FieldClass, FieldId};

use super::kind::Class;
use super::read::{Reader, Refusal};
use super::table::{miss_number, told_miss};
use super::write::Writer;
use super::{Decoding, EncodeError};
use crate::message::{Message, MultipartReply, MultipartRequest, TableFeatures, TableStats};
use crate::version::Version;

/// Bytes of a table's name, with the 0 at its end.
pub(super) const NAME_LEN: usize = 32;

/// Fields with the bits of OpenFlow 1.0's wildcards.
const WILDCARDS_10: [(FieldId, u32); 12] = [
    (FieldId::IN_PORT, 1),
    (FieldId::VLAN_VID, 1 << 1),
    (FieldId::ETH_SRC, 1 << 2),
    (FieldId::ETH_DST, 1 << 3),
    (FieldId::ETH_TYPE, 1 << 4),
    (FieldId::NW_PROTO, 1 << 5),
    (FieldId::TCP_SRC, 1 << 6),
    (FieldId::TCP_DST, 1 << 7),
    (FieldId::IP_SRC, 0x3f << 8),
    (FieldId::IP_DST, 0x3f << 14),
    (FieldId::VLAN_PCP, 1 << 20),
    (FieldId::NW_TOS, 1 << 21),
];

/// Fields with OpenFlow 1.1's bits.
const FIELDS_11: [(FieldId, u32); 15] = [
    (FieldId::IN_PORT, 1),
    (FieldId::VLAN_VID, 1 << 1),
    (FieldId::VLAN_PCP, 1 << 2),
    (FieldId::ETH_TYPE, 1 << 3),
    (FieldId::NW_TOS, 1 << 4),
    (FieldId::NW_PROTO, 1 << 5),
    (FieldId::TCP_SRC, 1 << 6),
    (FieldId::TCP_DST, 1 << 7),
    (FieldId::MPLS_LABEL, 1 << 8),
    (FieldId::MPLS_TC, 1 << 9),
    (FieldId::ETH_SRC, 1 << 11),
    (FieldId::ETH_DST, 1 << 12),
    (FieldId::IP_SRC, 1 << 13),
    (FieldId::IP_DST, 1 << 14),
    (FieldId::METADATA, 1 << 15),
];

pub(super) fn decode_request(_: &mut Reader<'_>, _: Decoding<'_>) -> Result<Message, Refusal> {
    Ok(Message::Request(MultipartRequest::Table))
}

pub(super) fn encode_stats_request(out: &mut Writer<'_>) -> Result<(), EncodeError> {
    out.begin(Class::Request, 3);
    Ok(())
}

/// Features of which nothing is known.
pub(super) fn no_features(table: u8) -> TableFeatures {
    TableFeatures {
        table,
        command: 0,
        features: 0,
        name: String::new(),
        metadata_match: 0,
        metadata_write: 0,
        miss_config: Default::default(),
        supports_eviction: false,
        supports_vacancy_events: false,
        max_entries: 0,
        nonmiss: Default::default(),
        miss: Default::default(),
        matching: Vec::new(),
        mask: Vec::new(),
        wildcard: Vec::new(),
    }
}

pub(super) fn decode_reply(
    reader: &mut Reader<'_>,
    decoding: Decoding<'_>,
) -> Result<Message, Refusal> {
    let mut tables = Vec::new();
    while !reader.is_empty() {
        tables.push(match decoding.version {
            Version::OpenFlow10 => read_10(reader)?,
            Version::OpenFlow11 => read_11(reader)?,
            Version::OpenFlow12 => read_12(reader)?,
            _ => read_13(reader)?,
        });
    }
    Ok(Message::Reply {
        reply: MultipartReply::Table(tables),
        more: decoding.more,
    })
}

/// Numbers of the bits that are set.
fn bits(mut number: u64) -> impl Iterator<Item = u16> {
    std::iter::from_fn(move || {
        let bit = number.trailing_zeros();
        number &= number.wrapping_sub(1);
        (bit < u64::BITS).then_some(bit as u16)
    })
}

fn number(bits: &[u16]) -> u32 {
    bits.iter()
        .filter(|bit| **bit < 32)
        .fold(0, |number, bit| number | 1 << bit)
}

/// The order in which fields are told.
fn in_order(fields: &mut [FieldId]) {
    fields.sort_by_key(|field| (*field != FieldId::METADATA, *field));
}

fn fields(table: &[(FieldId, u32)], number: u32) -> Vec<FieldId> {
    let set = table.iter().filter(|(_, bits)| number & bits != 0);
    let mut fields: Vec<FieldId> = set.map(|(field, _)| *field).collect();
    in_order(&mut fields);
    fields
}

fn fields_number(table: &[(FieldId, u32)], fields: &[FieldId]) -> u32 {
    let set = table.iter().filter(|(field, _)| fields.contains(field));
    set.fold(0, |number, (_, bits)| number | bits)
}

/// The number of a field in the standard's class, which are the bits of OpenFlow 1.2.
fn basic_number(field: FieldId) -> Option<u8> {
    let code = field.field().oxm.as_ref()?;
    (code.class == FieldClass::OXM_OF && code.number < 64).then_some(code.number)
}

fn basic_fields(number: u64) -> Vec<FieldId> {
    let set = FieldId::all()
        .filter(|field| basic_number(*field).is_some_and(|bit| number >> bit & 1 != 0));
    let mut fields: Vec<FieldId> = set.collect();
    in_order(&mut fields);
    fields
}

fn basic_fields_number(fields: &[FieldId]) -> u64 {
    let numbers = fields.iter().filter_map(|field| basic_number(*field));
    numbers.fold(0, |number, bit| number | 1 << bit)
}

fn read_head(reader: &mut Reader<'_>, unused: usize) -> Result<TableFeatures, Refusal> {
    let mut features = no_features(reader.u8()?);
    reader.skip(unused)?;
    features.name = reader.text(NAME_LEN)?;
    Ok(features)
}

fn read_counts(reader: &mut Reader<'_>, features: TableFeatures) -> Result<TableStats, Refusal> {
    Ok(TableStats {
        table: features.table,
        active_count: reader.u32()?,
        lookup_count: reader.u64()?,
        matched_count: reader.u64()?,
        features,
    })
}

fn read_10(reader: &mut Reader<'_>) -> Result<TableStats, Refusal> {
    let mut features = read_head(reader, 3)?;
    features.wildcard = fields(&WILDCARDS_10, reader.u32()?);
    features.matching = features.wildcard.clone();
    features.max_entries = reader.u32()?;
    read_counts(reader, features)
}

fn read_11(reader: &mut Reader<'_>) -> Result<TableStats, Refusal> {
    let mut features = read_head(reader, 7)?;
    features.wildcard = fields(&FIELDS_11, reader.u32()?);
    features.matching = fields(&FIELDS_11, reader.u32()?);
    features.nonmiss.instructions = reader.u32()?;
    features.nonmiss.write_actions = bits(reader.u32()?.into()).collect();
    features.nonmiss.apply_actions = bits(reader.u32()?.into()).collect();
    features.miss_config = told_miss(reader.u32()?);
    features.miss = features.nonmiss.clone();
    features.max_entries = reader.u32()?;
    read_counts(reader, features)
}

fn read_12(reader: &mut Reader<'_>) -> Result<TableStats, Refusal> {
    let mut features = read_head(reader, 7)?;
    features.matching = basic_fields(reader.u64()?);
    features.wildcard = basic_fields(reader.u64()?);
    features.nonmiss.write_actions = bits(reader.u32()?.into()).collect();
    features.nonmiss.apply_actions = bits(reader.u32()?.into()).collect();
    features.nonmiss.write_set_fields = basic_fields(reader.u64()?);
    features.nonmiss.apply_set_fields = basic_fields(reader.u64()?);
    features.metadata_match = reader.u64()?;
    features.metadata_write = reader.u64()?;
    features.nonmiss.instructions = reader.u32()?;
    features.miss_config = told_miss(reader.u32()?);
    features.miss = features.nonmiss.clone();
    features.max_entries = reader.u32()?;
    read_counts(reader, features)
}

fn read_13(reader: &mut Reader<'_>) -> Result<TableStats, Refusal> {
    let features = no_features(reader.u8()?);
    reader.skip(3)?;
    read_counts(reader, features)
}

pub(super) fn encode_stats_reply(
    out: &mut Writer<'_>,
    tables: &[TableStats],
) -> Result<(), EncodeError> {
    out.begin(Class::Reply, 3);
    for table in tables {
        out.u8(table.table);
        match out.version {
            Version::OpenFlow10 => write_10(out, &table.features),
            Version::OpenFlow11 => write_11(out, &table.features),
            Version::OpenFlow12 => write_12(out, &table.features),
            _ => out.zeros(3),
        }
        out.u32(table.active_count);
        out.u64(table.lookup_count);
        out.u64(table.matched_count);
        out.end_entry()?;
    }
    Ok(())
}

fn write_10(out: &mut Writer<'_>, features: &TableFeatures) {
    out.zeros(3);
    out.text(&features.name, NAME_LEN);
    out.u32(fields_number(&WILDCARDS_10, &features.wildcard));
    out.u32(features.max_entries);
}

fn write_11(out: &mut Writer<'_>, features: &TableFeatures) {
    out.zeros(7);
    out.text(&features.name, NAME_LEN);
    out.u32(fields_number(&FIELDS_11, &features.wildcard));
    out.u32(fields_number(&FIELDS_11, &features.matching));
    out.u32(features.nonmiss.instructions);
    out.u32(number(&features.nonmiss.write_actions));
    out.u32(number(&features.nonmiss.apply_actions));
    out.u32(miss_number(features.miss_config));
    out.u32(features.max_entries);
}

fn write_12(out: &mut Writer<'_>, features: &TableFeatures) {
    out.zeros(7);
    out.text(&features.name, NAME_LEN);
    out.u64(basic_fields_number(&features.matching));
    out.u64(basic_fields_number(&features.wildcard));
    out.u32(number(&features.nonmiss.write_actions));
    out.u32(number(&features.nonmiss.apply_actions));
    out.u64(basic_fields_number(&features.nonmiss.write_set_fields));
    out.u64(basic_fields_number(&features.nonmiss.apply_set_fields));
    out.u64(features.metadata_match);
    out.u64(features.metadata_write);
    out.u32(features.nonmiss.instructions);
    out.u32(miss_number(features.miss_config));
    out.u32(features.max_entries);
}
