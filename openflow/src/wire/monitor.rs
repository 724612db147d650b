//! Flow monitors (OpenFlow 1.4.1 §7.3.5.18), and their earlier forms of Nicira's and of the Open
//! Networking Foundation.

use std::sync::Arc;

use aorta_flow::{Flow, OfPort};

use super::flow_mod::{ALL_TABLES, out_group, out_port, read_nxm, table, write_nxm};
use super::flow_removed::{reason, reason_number};
use super::kind::{Class, Kind, kind};
use super::oxm::{self, Unknown};
use super::read::{Reader, Refusal};
use super::write::Writer;
use super::{Decoding, EncodeError, instructions};
use crate::error::ErrorCode;
use crate::message::{
    FlowMonitorCommand, FlowMonitorFlags, FlowMonitorRequest, FlowUpdate, FlowUpdateEvent, Message,
    MultipartReply, MultipartRequest,
};
use crate::version::Version;

const MULTIPART: u32 = 16;
const NX_MULTIPART: u32 = 2;
const ONF_MULTIPART: u32 = 1870;
/// Cancel, paused, resumed.
const NX_CONTROL: [u32; 3] = [21, 22, 23];
const ONF_CONTROL: [u32; 3] = [1870, 1871, 1872];

pub(super) const KINDS: &[Kind] = &[
    kind(Class::Request, MULTIPART, 4, 5, read_request),
    kind(Class::NxRequest, NX_MULTIPART, 0, 2, read_request),
    kind(Class::OnfRequest, ONF_MULTIPART, 3, 3, read_request),
    kind(Class::Reply, MULTIPART, 4, 5, read_reply),
    kind(Class::NxReply, NX_MULTIPART, 0, 2, read_reply),
    kind(Class::OnfReply, ONF_MULTIPART, 3, 3, read_reply),
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
enum Style {
    Nicira,
    Onf,
    Standard,
}

fn style(version: Version) -> Style {
    match version {
        Version::OpenFlow14 | Version::OpenFlow15 => Style::Standard,
        Version::OpenFlow13 => Style::Onf,
        _ => Style::Nicira,
    }
}

fn refused(code: ErrorCode, what: &'static str) -> Refusal {
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

/// Events of OpenFlow 1.4 by their numbers; the earlier forms begin with the second.
mod event {
    pub const INITIAL: u16 = 0;
    pub const ADDED: u16 = 1;
    pub const REMOVED: u16 = 2;
    pub const MODIFIED: u16 = 3;
    pub const ABBREVIATED: u16 = 4;
    pub const PAUSED: u16 = 5;
    pub const RESUMED: u16 = 6;
}

fn read_reply(reader: &mut Reader<'_>, d: Decoding<'_>) -> Result<Message, Refusal> {
    let mut updates = Vec::new();
    while !reader.is_empty() {
        let length = usize::from({ *reader }.u16()?);
        if length < 8 || !length.is_multiple_of(8) {
            return Err(Refusal::bad_len("a change of a flow has a wrong length"));
        }
        let mut entry = reader.part(length)?;
        entry.skip(2)?;
        updates.push(read_update(&mut entry, d)?);
        entry.end()?;
    }
    Ok(Message::Reply {
        reply: MultipartReply::FlowMonitor(updates),
        more: d.more,
    })
}

fn read_update(entry: &mut Reader<'_>, d: Decoding<'_>) -> Result<FlowUpdate, Refusal> {
    let style = style(d.version);
    let number = entry.u16()?;
    let number = match style {
        Style::Standard => number,
        _ => number.saturating_add(1),
    };
    match number {
        event::INITIAL..=event::MODIFIED => {}
        event::ABBREVIATED => return Ok(FlowUpdate::Abbreviated { xid: entry.u32()? }),
        event::PAUSED | event::RESUMED if style == Style::Standard => {
            entry.skip(4)?;
            return Ok(match number {
                event::PAUSED => FlowUpdate::Paused,
                _ => FlowUpdate::Resumed,
            });
        }
        _ => {
            return Err(refused(
                ErrorCode::NXBRC_FM_BAD_EVENT,
                "what happened to a flow isn't known",
            ));
        }
    }
    let (why, flow) = match style {
        Style::Standard => read_flow14(entry, d)?,
        style => read_old_flow(entry, d, style)?,
    };
    let event = match number {
        event::INITIAL => FlowUpdateEvent::Initial,
        event::ADDED => FlowUpdateEvent::Added,
        event::REMOVED => FlowUpdateEvent::Removed(reason(why)?),
        _ => FlowUpdateEvent::Modified,
    };
    Ok(FlowUpdate::Full {
        event,
        flow: Arc::new(flow),
    })
}

/// Table, reason, timeouts, priority, padding, cookie, match, instructions.
fn read_flow14(entry: &mut Reader<'_>, d: Decoding<'_>) -> Result<(u8, Flow), Refusal> {
    let (table, why) = (entry.u8()?, entry.u8()?);
    let mut flow = Flow {
        table,
        idle_timeout_s: entry.u16()?,
        hard_timeout_s: entry.u16()?,
        priority: entry.u16()?,
        ..Flow::default()
    };
    entry.skip(4)?;
    flow.cookie = entry.u64()?;
    flow.matching = oxm::read_match(entry, Unknown::Refuse)?;
    flow.instructions = instructions::read(entry, d)?.into();
    Ok((why, flow))
}

/// Reason, priority, timeouts, length of the match, table, padding, cookie, match, actions or
/// instructions.
fn read_old_flow(
    entry: &mut Reader<'_>,
    d: Decoding<'_>,
    style: Style,
) -> Result<(u8, Flow), Refusal> {
    let why = u8::try_from(entry.u16()?).unwrap_or(u8::MAX);
    let mut flow = Flow {
        priority: entry.u16()?,
        idle_timeout_s: entry.u16()?,
        hard_timeout_s: entry.u16()?,
        ..Flow::default()
    };
    let match_len = entry.u16()?;
    flow.table = entry.u8()?;
    entry.skip(1)?;
    flow.cookie = entry.u64()?;
    if style == Style::Nicira {
        flow.matching = read_nxm(entry, match_len)?.matching;
        flow.instructions = instructions::read_list(entry, d)?.into();
    } else {
        flow.matching = oxm::read_match(entry, Unknown::Refuse)?;
        flow.instructions = instructions::read(entry, d)?.into();
    }
    Ok((why, flow))
}

fn begin_request(out: &mut Writer<'_>) {
    match style(out.version) {
        Style::Standard => out.begin(Class::Request, MULTIPART),
        Style::Onf => out.begin(Class::OnfRequest, ONF_MULTIPART),
        Style::Nicira => out.begin(Class::NxRequest, NX_MULTIPART),
    }
}

fn begin_reply(out: &mut Writer<'_>) {
    match style(out.version) {
        Style::Standard => out.begin(Class::Reply, MULTIPART),
        Style::Onf => out.begin(Class::OnfReply, ONF_MULTIPART),
        Style::Nicira => out.begin(Class::NxReply, NX_MULTIPART),
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
fn write_match_with_length(
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

pub(super) fn encode_reply(
    out: &mut Writer<'_>,
    updates: &[FlowUpdate],
) -> Result<(), EncodeError> {
    begin_reply(out);
    out.lossy = true;
    for update in updates {
        write_update(out, update)?;
        out.end_entry()?;
    }
    Ok(())
}

fn write_event(out: &mut Writer<'_>, number: u16) -> Result<(), EncodeError> {
    let first = match style(out.version) {
        Style::Standard => event::INITIAL,
        _ if number > event::ABBREVIATED => {
            return Err(out.unsupported("pauses among changes of flows"));
        }
        _ => event::ADDED,
    };
    // What was there at first is added in the earlier forms.
    out.u16(number.max(first) - first);
    Ok(())
}

fn write_update(out: &mut Writer<'_>, update: &FlowUpdate) -> Result<(), EncodeError> {
    let start = out.place();
    out.u16(0);
    match update {
        FlowUpdate::Full { event, flow } => {
            let (number, why) = match event {
                FlowUpdateEvent::Initial => (event::INITIAL, 0),
                FlowUpdateEvent::Added => (event::ADDED, 0),
                FlowUpdateEvent::Removed(why) => (event::REMOVED, reason_number(*why, out.version)),
                FlowUpdateEvent::Modified => (event::MODIFIED, 0),
            };
            write_event(out, number)?;
            match style(out.version) {
                Style::Standard => write_flow14(out, why, flow)?,
                style => write_old_flow(out, why, flow, style)?,
            }
        }
        FlowUpdate::Abbreviated { xid } => {
            write_event(out, event::ABBREVIATED)?;
            out.u32(*xid);
        }
        FlowUpdate::Paused | FlowUpdate::Resumed => {
            let paused = *update == FlowUpdate::Paused;
            write_event(
                out,
                if paused {
                    event::PAUSED
                } else {
                    event::RESUMED
                },
            )?;
            out.zeros(4);
        }
    }
    out.pad_to_8(start);
    out.length_at(start, start)
}

fn write_flow14(out: &mut Writer<'_>, why: u8, flow: &Flow) -> Result<(), EncodeError> {
    out.u8(flow.table);
    out.u8(why);
    out.u16(flow.idle_timeout_s);
    out.u16(flow.hard_timeout_s);
    out.u16(flow.priority);
    out.zeros(4);
    out.u64(flow.cookie);
    oxm::write_match(out, &flow.matching)?;
    instructions::write(out, &flow.instructions, &flow.matching)
}

fn write_old_flow(
    out: &mut Writer<'_>,
    why: u8,
    flow: &Flow,
    style: Style,
) -> Result<(), EncodeError> {
    out.u16(why.into());
    out.u16(flow.priority);
    out.u16(flow.idle_timeout_s);
    out.u16(flow.hard_timeout_s);
    let length_at = out.place();
    out.u16(0);
    out.u8(flow.table);
    out.zeros(1);
    out.u64(flow.cookie);
    if style == Style::Nicira {
        write_nxm(out, &flow.matching, None, length_at)?;
        return instructions::write_list(out, &flow.instructions, &flow.matching);
    }
    write_match_with_length(out, &flow.matching, length_at)?;
    instructions::write(out, &flow.instructions, &flow.matching)
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
            return encode_reply(out, &[FlowUpdate::Paused]);
        }
        (Style::Standard, _) => return encode_reply(out, &[FlowUpdate::Resumed]),
        (Style::Onf, _) => out.begin(Class::Onft, ONF_CONTROL[at]),
        (Style::Nicira, _) => out.begin(Class::Nxt, NX_CONTROL[at]),
    }
    if let Message::FlowMonitorCancel(id) = message {
        out.u32(*id);
    }
    Ok(())
}
