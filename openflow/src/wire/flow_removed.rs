//! Flows that are gone (OpenFlow 1.3.5 §7.4.2).

use std::time::Duration;

use aorta_flow::Match;
use aorta_flow::table::RemovedReason;

use super::flow_mod::{read_nxm, write_nxm};
use super::kind::{Class, Kind, kind};
use super::oxm::{self, Unknown};
use super::oxs::{self, Counters, read_duration, write_duration};
use super::read::{Reader, Refusal};
use super::write::Writer;
use super::{Decoding, EncodeError, match10};
use crate::error::ErrorCode;
use crate::message::{FlowRemoved, Form, Message};
use crate::version::Version;

const FLOW_REMOVED: u32 = 11;
const NXT_FLOW_REMOVED: u32 = 14;

pub(super) const KINDS: &[Kind] = &[
    kind(Class::Ofpt, FLOW_REMOVED, 0, 0, read10),
    kind(Class::Ofpt, FLOW_REMOVED, 1, 4, read11),
    kind(Class::Ofpt, FLOW_REMOVED, 5, 5, read15),
    kind(Class::Nxt, NXT_FLOW_REMOVED, 0, 5, read_nicira),
];

/// By their numbers.
const REASONS: [RemovedReason; 6] = [
    RemovedReason::IdleTimeout,
    RemovedReason::HardTimeout,
    RemovedReason::Deleted,
    RemovedReason::GroupDeleted,
    RemovedReason::MeterDeleted,
    RemovedReason::Eviction,
];

/// Reads why a flow is gone.
pub(super) fn reason(number: u8) -> Result<RemovedReason, Refusal> {
    let reason = REASONS.get(usize::from(number)).copied();
    reason.ok_or(Refusal::new(
        ErrorCode::NXBRC_BAD_REASON,
        "the reason for which a flow is gone isn't known",
    ))
}

/// The number of a reason; versions that haven't one say that a message asked for it.
pub(super) fn reason_number(reason: RemovedReason, version: Version) -> u8 {
    let last = match version {
        Version::OpenFlow10 => RemovedReason::Deleted,
        Version::OpenFlow11 | Version::OpenFlow12 | Version::OpenFlow13 => {
            RemovedReason::GroupDeleted
        }
        _ => RemovedReason::Eviction,
    };
    match reason as u8 <= last as u8 {
        true => reason as u8,
        false => RemovedReason::Deleted as u8,
    }
}

fn removed(form: Form, reason: RemovedReason) -> FlowRemoved {
    FlowRemoved {
        form,
        matching: Match::any(),
        cookie: 0,
        priority: 0,
        reason,
        table: None,
        duration: Duration::ZERO,
        idle_timeout_s: 0,
        hard_timeout_s: 0,
        n_packets: None,
        n_bytes: None,
    }
}

/// Match, cookie, priority, reason, duration, idle timeout, counters.
fn read10(reader: &mut Reader<'_>, _: Decoding<'_>) -> Result<Message, Refusal> {
    let matching = match10::read(&mut reader.part(match10::LEN)?)?;
    let (cookie, priority) = (reader.u64()?, reader.u16()?);
    let mut flow = removed(Form::Standard, reason(reader.u8()?)?);
    reader.skip(1)?;
    flow.matching = matching;
    (flow.cookie, flow.priority) = (cookie, priority);
    flow.duration = read_duration(reader)?;
    flow.idle_timeout_s = reader.u16()?;
    reader.skip(2)?;
    flow.n_packets = reader.counter()?;
    flow.n_bytes = reader.counter()?;
    Ok(Message::FlowRemoved(flow))
}

/// Cookie, priority, reason, table, duration, timeouts, counters, match.
fn read11(reader: &mut Reader<'_>, _: Decoding<'_>) -> Result<Message, Refusal> {
    let (cookie, priority) = (reader.u64()?, reader.u16()?);
    let mut flow = removed(Form::Standard, reason(reader.u8()?)?);
    (flow.cookie, flow.priority) = (cookie, priority);
    flow.table = Some(reader.u8()?);
    flow.duration = read_duration(reader)?;
    flow.idle_timeout_s = reader.u16()?;
    flow.hard_timeout_s = reader.u16()?;
    flow.n_packets = reader.counter()?;
    flow.n_bytes = reader.counter()?;
    flow.matching = oxm::read_match(reader, Unknown::Refuse)?;
    Ok(Message::FlowRemoved(flow))
}

/// Table, reason, priority, timeouts, cookie, match, list of counters.
fn read15(reader: &mut Reader<'_>, _: Decoding<'_>) -> Result<Message, Refusal> {
    let table = reader.u8()?;
    let mut flow = removed(Form::Standard, reason(reader.u8()?)?);
    flow.table = Some(table);
    flow.priority = reader.u16()?;
    flow.idle_timeout_s = reader.u16()?;
    flow.hard_timeout_s = reader.u16()?;
    flow.cookie = reader.u64()?;
    flow.matching = oxm::read_match(reader, Unknown::Refuse)?;
    let counters = oxs::read(reader)?;
    flow.duration = counters.duration.unwrap_or_default();
    flow.n_packets = counters.n_packets;
    flow.n_bytes = counters.n_bytes;
    Ok(Message::FlowRemoved(flow))
}

/// Cookie, priority, reason, table (one more than it is), duration, timeouts, length of the match,
/// counters, match.
fn read_nicira(reader: &mut Reader<'_>, _: Decoding<'_>) -> Result<Message, Refusal> {
    let (cookie, priority) = (reader.u64()?, reader.u16()?);
    let mut flow = removed(Form::Nicira, reason(reader.u8()?)?);
    (flow.cookie, flow.priority) = (cookie, priority);
    flow.table = reader.u8()?.checked_sub(1);
    flow.duration = read_duration(reader)?;
    flow.idle_timeout_s = reader.u16()?;
    let match_len = reader.u16()?;
    flow.n_packets = reader.counter()?;
    flow.n_bytes = reader.counter()?;
    flow.matching = read_nxm(reader, match_len)?.matching;
    Ok(Message::FlowRemoved(flow))
}

pub(super) fn encode(out: &mut Writer<'_>, flow: &FlowRemoved) -> Result<(), EncodeError> {
    out.lossy = true;
    match (flow.form, out.version) {
        (Form::Nicira, _) => write_nicira(out, flow),
        (_, Version::OpenFlow10) => {
            write10(out, flow);
            Ok(())
        }
        (_, Version::OpenFlow15) => write15(out, flow),
        _ => write11(out, flow),
    }
}

fn write10(out: &mut Writer<'_>, flow: &FlowRemoved) {
    out.begin(Class::Ofpt, FLOW_REMOVED);
    match10::write(out, &flow.matching);
    out.u64(flow.cookie);
    out.u16(flow.priority);
    out.u8(reason_number(flow.reason, out.version));
    out.zeros(1);
    write_duration(out, flow.duration);
    out.u16(flow.idle_timeout_s);
    out.zeros(2);
    out.counter(flow.n_packets);
    out.counter(flow.n_bytes);
}

fn write11(out: &mut Writer<'_>, flow: &FlowRemoved) -> Result<(), EncodeError> {
    out.begin(Class::Ofpt, FLOW_REMOVED);
    out.u64(flow.cookie);
    out.u16(flow.priority);
    out.u8(reason_number(flow.reason, out.version));
    out.u8(flow.table.unwrap_or(0));
    write_duration(out, flow.duration);
    out.u16(flow.idle_timeout_s);
    out.u16(flow.hard_timeout_s);
    out.counter(flow.n_packets);
    out.counter(flow.n_bytes);
    oxm::write_match(out, &flow.matching)
}

fn write15(out: &mut Writer<'_>, flow: &FlowRemoved) -> Result<(), EncodeError> {
    out.begin(Class::Ofpt, FLOW_REMOVED);
    out.u8(flow.table.unwrap_or(0));
    out.u8(reason_number(flow.reason, out.version));
    out.u16(flow.priority);
    out.u16(flow.idle_timeout_s);
    out.u16(flow.hard_timeout_s);
    out.u64(flow.cookie);
    oxm::write_match(out, &flow.matching)?;
    oxs::write(
        out,
        Counters {
            duration: Some(flow.duration),
            n_packets: flow.n_packets,
            n_bytes: flow.n_bytes,
            ..Counters::default()
        },
    )
}

fn write_nicira(out: &mut Writer<'_>, flow: &FlowRemoved) -> Result<(), EncodeError> {
    out.begin(Class::Nxt, NXT_FLOW_REMOVED);
    out.u64(flow.cookie);
    out.u16(flow.priority);
    out.u8(reason_number(flow.reason, out.version));
    out.u8(flow.table.map_or(0, |table| table.saturating_add(1)));
    write_duration(out, flow.duration);
    out.u16(flow.idle_timeout_s);
    let length_at = out.place();
    out.u16(0);
    out.counter(flow.n_packets);
    out.counter(flow.n_bytes);
    write_nxm(out, &flow.matching, None, length_at)
}
