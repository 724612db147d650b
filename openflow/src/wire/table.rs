//! Tables: what they count, how they are set, and that they fill up (OpenFlow 1.3.5 §7.3.4.1 and
//! §7.3.5.4; OpenFlow 1.4.1 §7.3.4.2, §7.3.5.16, §7.4.5).

use super::kind::{Class, Kind, kind};
use super::property::property;
use super::read::{Reader, Refusal};
use super::write::Writer;
use super::{Decoding, EncodeError, table_stats};
use crate::error::ErrorCode;
use crate::message::{
    Eviction, Message, MultipartReply, MultipartRequest, TableDesc, TableMiss, TableMod,
    TableReason, TableStatus, Vacancy,
};
use crate::version::Version;

pub(super) const KINDS: &[Kind] = &[
    kind(Class::Ofpt, 17, 1, 5, decode_mod),
    kind(Class::Ofpt, 31, 4, 5, decode_status),
    kind(Class::Request, 3, 0, 5, table_stats::decode_request),
    kind(Class::Reply, 3, 0, 5, table_stats::decode_reply),
    kind(Class::Request, 14, 4, 5, decode_desc_request),
    kind(Class::Reply, 14, 4, 5, decode_desc_reply),
];

pub(super) use table_stats::{encode_stats_reply, encode_stats_request};

/// All tables (OFPTT_ALL).
const ALL: u8 = 0xff;
const EVICTION: u32 = 1 << 2;
const VACANCY_EVENTS: u32 = 1 << 3;
const EVICTION_PROPERTY: u16 = 2;
const VACANCY_PROPERTY: u16 = 3;
const VACANCY_DOWN: u8 = 3;
const VACANCY_UP: u8 = 4;
/// The number that says nothing of it.
const DEFAULT_MISS: u32 = 3;
/// What is done without a flow, by number (OpenFlow 1.1 and 1.2).
const MISSES: [TableMiss; 3] = [TableMiss::Controller, TableMiss::Continue, TableMiss::Drop];

/// What is done without a flow, in versions in which it can be set.
fn read_miss(config: u32, version: Version) -> Result<TableMiss, Refusal> {
    if version >= Version::OpenFlow13 {
        return Ok(TableMiss::Default);
    }
    let miss = MISSES.get(config as usize).copied();
    miss.ok_or(Refusal::new(
        ErrorCode::OFPTMFC_BAD_CONFIG,
        "a table has no such setting",
    ))
}

/// What a switch tells of the same; a number without a meaning of its own is the default.
pub(super) fn told_miss(config: u32) -> TableMiss {
    MISSES.get(config as usize).copied().unwrap_or_default()
}

pub(super) fn miss_number(miss: TableMiss) -> u32 {
    let at = MISSES.iter().position(|other| *other == miss);
    at.map_or(DEFAULT_MISS, |at| at as u32)
}

fn decode_mod(reader: &mut Reader<'_>, decoding: Decoding<'_>) -> Result<Message, Refusal> {
    let version = decoding.version;
    let table = Some(reader.u8()?).filter(|table| *table != ALL);
    reader.skip(3)?;
    let config = reader.u32()?;
    let mut change = TableMod {
        table,
        ..TableMod::default()
    };
    if version < Version::OpenFlow14 {
        change.miss = read_miss(config, version)?;
        return Ok(Message::TableMod(change));
    }
    let settings = read_settings(reader, config)?;
    (change.eviction, change.vacancy) = (Some(settings.0), Some(settings.1));
    Ok(Message::TableMod(change))
}

/// Whether flows are evicted, and whether the table tells how full it is.
fn read_settings(reader: &mut Reader<'_>, config: u32) -> Result<(Eviction, Vacancy), Refusal> {
    let mut eviction = Eviction {
        enabled: config & EVICTION != 0,
        flags: None,
    };
    let mut vacancy = Vacancy {
        enabled: config & VACANCY_EVENTS != 0,
        down_percent: 0,
        up_percent: 0,
        vacancy_percent: 0,
    };
    while !reader.is_empty() {
        let mut element = property(reader)?;
        let body = &mut element.body;
        match element.kind {
            EVICTION_PROPERTY => eviction.flags = Some(body.u32()?),
            VACANCY_PROPERTY => {
                vacancy.down_percent = body.u8()?;
                vacancy.up_percent = body.u8()?;
                vacancy.vacancy_percent = body.u8()?;
                if vacancy.enabled && !valid(&vacancy) {
                    return Err(Refusal::new(
                        ErrorCode::OFPBPC_BAD_VALUE,
                        "vacancy is told in percent, down at no more than up",
                    ));
                }
            }
            _ => {
                return Err(Refusal::new(
                    ErrorCode::OFPBRC_BAD_TYPE,
                    "a table has no such property",
                ));
            }
        }
    }
    Ok((eviction, vacancy))
}

fn valid(vacancy: &Vacancy) -> bool {
    vacancy.down_percent <= vacancy.up_percent && vacancy.up_percent <= 100
}

fn config_of(eviction: Option<Eviction>, vacancy: Option<Vacancy>) -> u32 {
    let evicts = eviction.is_some_and(|eviction| eviction.enabled);
    let tells = vacancy.is_some_and(|vacancy| vacancy.enabled);
    let bit = |set, bit| if set { bit } else { 0 };
    bit(evicts, EVICTION) | bit(tells, VACANCY_EVENTS)
}

fn write_eviction(out: &mut Writer<'_>, flags: u32) {
    out.u16(EVICTION_PROPERTY);
    out.u16(8);
    out.u32(flags);
}

fn write_vacancy(out: &mut Writer<'_>, vacancy: &Vacancy) {
    out.u16(VACANCY_PROPERTY);
    out.u16(8);
    out.u8(vacancy.down_percent);
    out.u8(vacancy.up_percent);
    out.u8(vacancy.vacancy_percent);
    out.u8(0);
}

pub(super) fn encode_mod(out: &mut Writer<'_>, change: &TableMod) -> Result<(), EncodeError> {
    let version = out.version;
    if version == Version::OpenFlow10 {
        return Err(out.unsupported("settings of tables"));
    }
    out.begin(Class::Ofpt, 17);
    out.u8(change.table.unwrap_or(ALL));
    out.zeros(3);
    if version < Version::OpenFlow14 {
        if change.eviction.is_some() || change.vacancy.is_some() {
            return Err(out.unsupported("eviction and vacancy of tables"));
        }
        out.u32(miss_number(change.miss));
        return Ok(());
    }
    out.u32(config_of(change.eviction, change.vacancy));
    if let Some(flags) = change.eviction.and_then(|eviction| eviction.flags) {
        write_eviction(out, flags);
    }
    if let Some(vacancy) = change.vacancy.filter(|vacancy| vacancy.enabled) {
        write_vacancy(out, &vacancy);
    }
    Ok(())
}

fn decode_desc_request(_: &mut Reader<'_>, _: Decoding<'_>) -> Result<Message, Refusal> {
    Ok(Message::Request(MultipartRequest::TableDesc))
}

pub(super) fn encode_desc_request(out: &mut Writer<'_>) -> Result<(), EncodeError> {
    if out.version < Version::OpenFlow14 {
        return Err(out.unsupported("descriptions of tables"));
    }
    out.begin(Class::Request, 14);
    Ok(())
}

fn read_desc(reader: &mut Reader<'_>) -> Result<TableDesc, Refusal> {
    let length = usize::from({ *reader }.u16()?);
    let mut body = reader.part(length)?;
    body.skip(2)?;
    let table = body.u8()?;
    body.skip(1)?;
    let config = body.u32()?;
    let (eviction, vacancy) = read_settings(&mut body, config)?;
    Ok(TableDesc {
        table,
        eviction: Some(eviction),
        vacancy: Some(vacancy),
    })
}

fn write_desc(out: &mut Writer<'_>, desc: &TableDesc) -> Result<(), EncodeError> {
    let start = out.place();
    out.u16(0);
    out.u8(desc.table);
    out.u8(0);
    out.u32(config_of(desc.eviction, desc.vacancy));
    if let Some(flags) = desc.eviction.and_then(|eviction| eviction.flags) {
        write_eviction(out, flags);
    }
    if let Some(vacancy) = desc.vacancy.filter(|vacancy| vacancy.enabled) {
        write_vacancy(out, &vacancy);
    }
    out.length_at(start, start)
}

fn decode_desc_reply(reader: &mut Reader<'_>, decoding: Decoding<'_>) -> Result<Message, Refusal> {
    let mut tables = Vec::new();
    while !reader.is_empty() {
        tables.push(read_desc(reader)?);
    }
    Ok(Message::Reply {
        reply: MultipartReply::TableDesc(tables),
        more: decoding.more,
    })
}

pub(super) fn encode_desc_reply(
    out: &mut Writer<'_>,
    tables: &[TableDesc],
) -> Result<(), EncodeError> {
    if out.version < Version::OpenFlow14 {
        return Err(out.unsupported("descriptions of tables"));
    }
    out.begin(Class::Reply, 14);
    for table in tables {
        write_desc(out, table)?;
        out.end_entry()?;
    }
    Ok(())
}

fn decode_status(reader: &mut Reader<'_>, _: Decoding<'_>) -> Result<Message, Refusal> {
    let reason = match reader.u8()? {
        VACANCY_DOWN => TableReason::VacancyDown,
        VACANCY_UP => TableReason::VacancyUp,
        _ => {
            return Err(Refusal::new(
                ErrorCode::OFPBPC_BAD_VALUE,
                "a table tells no such thing",
            ));
        }
    };
    reader.skip(7)?;
    let table = read_desc(reader)?;
    Ok(Message::TableStatus(TableStatus { reason, table }))
}

pub(super) fn encode_status(out: &mut Writer<'_>, status: &TableStatus) -> Result<(), EncodeError> {
    if out.version < Version::OpenFlow14 {
        return Err(out.unsupported("messages about full tables"));
    }
    out.begin(Class::Ofpt, 31);
    out.u8(match status.reason {
        TableReason::VacancyDown => VACANCY_DOWN,
        TableReason::VacancyUp => VACANCY_UP,
    });
    out.zeros(7);
    write_desc(out, &status.table)
}
