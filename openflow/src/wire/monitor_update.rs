//! What flow monitors tell (OpenFlow 1.4.1 §7.3.5.18).

use std::sync::Arc;

use aorta_flow::Flow;

use super::flow_mod::{read_nxm, write_nxm};
use super::flow_removed::{reason, reason_number};
use super::kind::Class;
use super::monitor::{
    MULTIPART, NX_MULTIPART, ONF_MULTIPART, Style, refused, style, write_match_with_length,
};
use super::oxm::{self, Unknown};
use super::read::{Reader, Refusal};
use super::write::Writer;
use super::{Decoding, EncodeError, instructions};
use crate::error::ErrorCode;
use crate::message::{FlowUpdate, FlowUpdateEvent, Message, MultipartReply};

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

pub(super) fn read(reader: &mut Reader<'_>, d: Decoding<'_>) -> Result<Message, Refusal> {
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

fn begin_reply(out: &mut Writer<'_>) {
    match style(out.version) {
        Style::Standard => out.begin(Class::Reply, MULTIPART),
        Style::Onf => out.begin(Class::OnfReply, ONF_MULTIPART),
        Style::Nicira => out.begin(Class::NxReply, NX_MULTIPART),
    }
}

pub(super) fn encode(out: &mut Writer<'_>, updates: &[FlowUpdate]) -> Result<(), EncodeError> {
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
