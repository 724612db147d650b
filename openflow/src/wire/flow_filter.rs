//! Which flows are asked for (OpenFlow 1.3.5 §7.3.5.2).

use aorta_flow::OfPort;

use super::flow_mod::{
    ALL_TABLES, no_match_cookie, out_group, out_port, read_nxm, table, write_nxm,
};
use super::kind::Class;
use super::oxm::{self, Unknown};
use super::read::{Reader, Refusal};
use super::write::Writer;
use super::{Decoding, EncodeError, match10};
use crate::message::{FlowFilter, Form};
use crate::version::Version;

/// Match, table and port in OpenFlow 1.0; later table, port, group, cookie with mask, match.
pub(super) fn read(reader: &mut Reader<'_>, d: Decoding<'_>) -> Result<FlowFilter, Refusal> {
    if d.version == Version::OpenFlow10 {
        let matching = match10::read(&mut reader.part(match10::LEN)?)?;
        let table = table(reader.u8()?);
        reader.skip(1)?;
        return Ok(FlowFilter {
            form: Form::Standard,
            table,
            out_port: out_port(OfPort(reader.u16()?)),
            out_group: None,
            cookie: None,
            matching,
        });
    }
    let table = table(reader.u8()?);
    reader.skip(3)?;
    let port = out_port(reader.port32()?);
    let group = out_group(reader.u32()?);
    reader.skip(4)?;
    let cookie = no_match_cookie((reader.u64()?, reader.u64()?));
    Ok(FlowFilter {
        form: Form::Standard,
        table,
        out_port: port,
        out_group: group,
        cookie,
        matching: oxm::read_match(reader, Unknown::Refuse)?,
    })
}

/// Port, length of the match, table, padding, match.
pub(super) fn read_nicira(reader: &mut Reader<'_>) -> Result<FlowFilter, Refusal> {
    let port = out_port(OfPort(reader.u16()?));
    let match_len = reader.u16()?;
    let table = table(reader.u8()?);
    reader.skip(3)?;
    let entries = read_nxm(reader, match_len)?;
    Ok(FlowFilter {
        form: Form::Nicira,
        table,
        out_port: port,
        out_group: None,
        cookie: entries.cookie.and_then(no_match_cookie),
        matching: entries.matching,
    })
}

/// Writes it, by the standard's number or by Nicira's.
pub(super) fn write(
    out: &mut Writer<'_>,
    number: u32,
    nicira: u32,
    filter: &FlowFilter,
) -> Result<(), EncodeError> {
    let table = filter.table.unwrap_or(ALL_TABLES);
    let port = filter.out_port.unwrap_or(OfPort::ANY);
    if out.version == Version::OpenFlow10 && filter.out_group.is_some() {
        return Err(out.unsupported("selection by group"));
    }
    if filter.form == Form::Nicira {
        out.begin(Class::NxRequest, nicira);
        out.u16(port.0);
        let length_at = out.place();
        out.u16(0);
        out.u8(table);
        out.zeros(3);
        return write_nxm(out, &filter.matching, filter.cookie, length_at);
    }
    out.begin(Class::Request, number);
    if out.version == Version::OpenFlow10 {
        if filter.cookie.is_some() || !match10::can_say(&filter.matching) {
            return Err(out.unsupported("such selection of flows but in Nicira's form"));
        }
        match10::write(out, &filter.matching);
        out.u8(table);
        out.zeros(1);
        out.u16(port.0);
        return Ok(());
    }
    out.u8(table);
    out.zeros(3);
    out.port32(port);
    out.u32(filter.out_group.unwrap_or(0xffff_ffff));
    out.zeros(4);
    let (cookie, mask) = filter.cookie.unwrap_or((0, 0));
    out.u64(cookie);
    out.u64(mask);
    oxm::write_match(out, &filter.matching)
}
