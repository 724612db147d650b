//! Flow monitors (OpenFlow 1.4.1 §7.3.5.18), and their earlier forms of Nicira's and of the Open
//! Networking Foundation.

use aorta_flow::OfPort;

use super::flow_mod::{ALL_TABLES, out_group, out_port, read_nxm, table, write_nxm};
use super::kind::{Class, Kind, kind};
use super::oxm::{self, Unknown};
use super::read::{Reader, Refusal};
use super::write::Writer;
use super::{Decoding, EncodeError, monitor_update};
use crate::error::ErrorCode;
use crate::message::{
    FlowMonitorCommand, FlowMonitorFlags, FlowMonitorRequest, FlowUpdate, Message, MultipartRequest,
};
use crate::version::Version;

pub(super) const MULTIPART: u32 = 16;
pub(super) const NX_MULTIPART: u32 = 2;
pub(super) const ONF_MULTIPART: u32 = 1870;
/// Cancel, paused, resumed.
const NX_CONTROL: [u32; 3] = [21, 22, 23];
const ONF_CONTROL: [u32; 3] = [1870, 1871, 1872];

pub(super) const KINDS: &[Kind] = &[
    kind(Class::Request, MULTIPART, 4, 5, read_request),
    kind(Class::NxRequest, NX_MULTIPART, 0, 2, read_request),
    kind(Class::OnfRequest, ONF_MULTIPART, 3, 3, read_request),
    kind(Class::Reply, MULTIPART, 4, 5, monitor_update::read),
    kind(Class::NxReply, NX_MULTIPART, 0, 2, monitor_update::read),
    kind(Class::OnfReply, ONF_MULTIPART, 3, 3, monitor_update::read),
    kind(Class::Nxt, NX_CONTROL[0], 0, 2, |r, _| {
        Ok(Message::FlowMonitorCancel(r.u32()?))
    }),
    kind(Class::Onft, ONF_CONTROL[0], 3, 3, |r, _| {
        Ok(Message::FlowMonitorCancel(r.u32()?))
    }),
    kind(Class::Nxt, NX_CONTROL[1], 0, 2, |_, _| {
        Ok(Message::FlowMonitorPaused)
    }),
    kind(Class::Onft, ONF_CONTROL[1], 3, 3, |_, _| {
        Ok(Message::FlowMonitorPaused)
    }),
    kind(Class::Nxt, NX_CONTROL[2], 0, 2, |_, _| {
        Ok(Message::FlowMonitorResumed)
    }),
    kind(Class::Onft, ONF_CONTROL[2], 3, 3, |_, _| {
        Ok(Message::FlowMonitorResumed)
    }),
];

/// Whose form a version uses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Nicira,
    Onf,
    Standard,
}

pub(super) fn style(version: Version) -> Style {
    match version {
        Version::OpenFlow14 | Version::OpenFlow15 => Style::Standard,
        Version::OpenFlow13 => Style::Onf,
        _ => Style::Nicira,
    }
}

pub(super) fn refused(code: ErrorCode, what: &'static str) -> Refusal {
    Refusal::new(code, what)
}

/// Flags of the earlier forms are the first six.
const OLD_FLAGS: u16 = 0x3f;
const NEW_FLAGS: u16 = 0x7f;

fn read_flags(bits: u16, style: Style) -> Result<FlowMonitorFlags, Refusal> {
    let known = if style == Style::Standard {
        NEW_FLAGS
    } else {
        OLD_FLAGS
    };
    match bits & !known {
        0 => Ok(FlowMonitorFlags(bits)),
        _ => Err(refused(
            ErrorCode::OFPMOFC_BAD_FLAGS,
            "a flow monitor has flags that aren't known",
        )),
    }
}

fn read_request(reader: &mut Reader<'_>, d: Decoding<'_>) -> Result<Message, Refusal> {
    let mut monitors = Vec::new();
    while !reader.is_empty() {
        monitors.push(match style(d.version) {
            Style::Standard => read_monitor14(reader)?,
            style => read_old_monitor(reader, style)?,
        });
    }
    Ok(Message::Request(MultipartRequest::FlowMonitor(monitors)))
}

/// Number, port, group, flags, table, command, match.
fn read_monitor14(reader: &mut Reader<'_>) -> Result<FlowMonitorRequest, Refusal> {
    let id = reader.u32()?;
    let (port, group) = (out_port(reader.port32()?), out_group(reader.u32()?));
    let flags = reader.u16()?;
    let table = table(reader.u8()?);
    let command = match reader.u8()? {
        0 => FlowMonitorCommand::Add,
        1 => FlowMonitorCommand::Modify,
        2 => FlowMonitorCommand::Delete,
        _ => {
            return Err(refused(
                ErrorCode::OFPMOFC_BAD_COMMAND,
                "a flow monitor's command isn't known",
            ));
        }
    };
    Ok(FlowMonitorRequest {
        id,
        command,
        flags: read_flags(flags, Style::Standard)?,
        out_port: port,
        out_group: group,
        table,
        matching: oxm::read_match(reader, Unknown::Refuse)?,
    })
}

/// Number, flags, then port, length of the match, table (Nicira's) or length of the match, port,
/// table; match.
fn read_old_monitor(reader: &mut Reader<'_>, style: Style) -> Result<FlowMonitorRequest, Refusal> {
    let id = reader.u32()?;
    let flags = read_flags(reader.u16()?, style)?;
    let (port, table, matching);
    if style == Style::Nicira {
        port = OfPort(reader.u16()?);
        let match_len = reader.u16()?;
        table = reader.u8()?;
        reader.zeros(5, ErrorCode::NXBRC_MUST_BE_ZERO)?;
        matching = read_nxm(reader, match_len)?.matching;
    } else {
        reader.skip(2)?;
        port = reader.port32()?;
        table = reader.u8()?;
        reader.zeros(3, ErrorCode::NXBRC_MUST_BE_ZERO)?;
        matching = oxm::read_match(reader, Unknown::Refuse)?;
    }
    Ok(FlowMonitorRequest {
        id,
        command: FlowMonitorCommand::Add,
        flags,
        out_port: out_port(port),
        out_group: None,
        table: super::flow_mod::table(table),
        matching,
    })
}

fn begin_request(out: &mut Writer<'_>) {
    match style(out.version) {
        Style::Standard => out.begin(Class::Request, MULTIPART),
        Style::Onf => out.begin(Class::OnfRequest, ONF_MULTIPART),
        Style::Nicira => out.begin(Class::NxRequest, NX_MULTIPART),
    }
}

pub(super) fn encode_request(
    out: &mut Writer<'_>,
    monitors: &[FlowMonitorRequest],
) -> Result<(), EncodeError> {
    begin_request(out);
    monitors
        .iter()
        .try_for_each(|monitor| write_monitor(out, monitor))
}

fn write_monitor(out: &mut Writer<'_>, monitor: &FlowMonitorRequest) -> Result<(), EncodeError> {
    let table = monitor.table.unwrap_or(ALL_TABLES);
    let port = monitor.out_port.unwrap_or(OfPort::ANY);
    let style = style(out.version);
    let old = style != Style::Standard;
    if old && (monitor.out_group.is_some() || monitor.command != FlowMonitorCommand::Add) {
        return Err(out.unsupported("such flow monitor"));
    }
    out.u32(monitor.id);
    if !old {
        out.port32(port);
        out.u32(monitor.out_group.unwrap_or(0xffff_ffff));
        out.u16(monitor.flags.0);
        out.u8(table);
        out.u8(monitor.command as u8);
        return oxm::write_match(out, &monitor.matching);
    }
    out.u16(monitor.flags.0 & OLD_FLAGS);
    let length_at;
    if style == Style::Nicira {
        out.u16(port.0);
        length_at = out.place();
        out.u16(0);
        out.u8(table);
        out.zeros(5);
        return write_nxm(out, &monitor.matching, None, length_at);
    }
    length_at = out.place();
    out.u16(0);
    out.port32(port);
    out.u8(table);
    out.zeros(3);
    write_match_with_length(out, &monitor.matching, length_at)
}

/// A match with its header, whose length without padding stands in front of it once more.
pub(super) fn write_match_with_length(
    out: &mut Writer<'_>,
    matching: &aorta_flow::Match,
    length_at: usize,
) -> Result<(), EncodeError> {
    let start = out.place();
    oxm::write_match(out, matching)?;
    let length = [out.bytes[start + 2], out.bytes[start + 3]];
    out.bytes[length_at..length_at + 2].copy_from_slice(&length);
    Ok(())
}

/// From OpenFlow 1.4 on, a monitor is cancelled by a request and paused by a reply.
pub(super) fn encode_control(out: &mut Writer<'_>, message: &Message) -> Result<(), EncodeError> {
    let at = match message {
        Message::FlowMonitorCancel(_) => 0,
        Message::FlowMonitorPaused => 1,
        _ => 2,
    };
    match (style(out.version), message) {
        (Style::Standard, Message::FlowMonitorCancel(id)) => {
            let request = FlowMonitorRequest {
                id: *id,
                command: FlowMonitorCommand::Delete,
                flags: FlowMonitorFlags::default(),
                out_port: None,
                out_group: None,
                table: None,
                matching: aorta_flow::Match::any(),
            };
            return encode_request(out, &[request]);
        }
        (Style::Standard, Message::FlowMonitorPaused) => {
            return monitor_update::encode(out, &[FlowUpdate::Paused]);
        }
        (Style::Standard, _) => return monitor_update::encode(out, &[FlowUpdate::Resumed]),
        (Style::Onf, _) => out.begin(Class::Onft, ONF_CONTROL[at]),
        (Style::Nicira, _) => out.begin(Class::Nxt, NX_CONTROL[at]),
    }
    if let Message::FlowMonitorCancel(id) = message {
        out.u32(*id);
    }
    Ok(())
}
