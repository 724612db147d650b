//! Flows with what was counted of them (OpenFlow 1.3.5 §7.3.5.2, §7.3.5.3).

use std::sync::Arc;
use std::time::Duration;

use aorta_flow::{Flow, FlowStats};

use super::flow_mod::{flag_bits, flags, read_nxm, write_nxm};
use super::kind::{Class, Kind, kind};
use super::oxm::{self, Unknown};
use super::oxs::{self, Counters, read_duration, write_duration};
use super::read::{Reader, Refusal};
use super::write::Writer;
use super::{Decoding, EncodeError, flow_filter, instructions, match10};
use crate::message::{
    AggregateStats, FlowFilter, FlowRecord, FlowStatsReply, Form, Message, MultipartReply,
    MultipartRequest,
};
use crate::version::Version;

const FLOW: u32 = 1;
const AGGREGATE: u32 = 2;
const NX_FLOW: u32 = 0;
const NX_AGGREGATE: u32 = 1;

pub(super) const KINDS: &[Kind] = &[
    kind(Class::Request, FLOW, 0, 5, |r, d| {
        Ok(Message::Request(MultipartRequest::Flow(flow_filter::read(
            r, d,
        )?)))
    }),
    kind(Class::Request, AGGREGATE, 0, 5, |r, d| {
        Ok(Message::Request(MultipartRequest::Aggregate(
            flow_filter::read(r, d)?,
        )))
    }),
    kind(Class::NxRequest, NX_FLOW, 0, 0, |r, _| {
        Ok(Message::Request(MultipartRequest::Flow(
            flow_filter::read_nicira(r)?,
        )))
    }),
    kind(Class::NxRequest, NX_AGGREGATE, 0, 0, |r, _| {
        Ok(Message::Request(MultipartRequest::Aggregate(
            flow_filter::read_nicira(r)?,
        )))
    }),
    kind(Class::Reply, FLOW, 0, 5, |r, d| {
        read_flows(r, d, Form::Standard)
    }),
    kind(Class::NxReply, NX_FLOW, 0, 0, |r, d| {
        read_flows(r, d, Form::Nicira)
    }),
    kind(Class::Reply, AGGREGATE, 0, 5, |r, d| {
        read_aggregate(r, d, Form::Standard)
    }),
    kind(Class::NxReply, NX_AGGREGATE, 0, 0, |r, d| {
        read_aggregate(r, d, Form::Nicira)
    }),
];

fn read_flows(reader: &mut Reader<'_>, d: Decoding<'_>, form: Form) -> Result<Message, Refusal> {
    let mut flows = Vec::new();
    while !reader.is_empty() {
        let length = usize::from({ *reader }.u16()?);
        let mut entry = reader.part(length)?;
        if length < 8 {
            return Err(Refusal::bad_len("a flow is too short"));
        }
        entry.skip(2)?;
        let (flow, stats) = match (form, d.version) {
            (Form::Nicira, _) => read_nicira_flow(&mut entry, d)?,
            (_, Version::OpenFlow10) => read_flow10(&mut entry, d)?,
            (_, Version::OpenFlow15) => read_flow15(&mut entry, d)?,
            _ => read_flow11(&mut entry, d)?,
        };
        entry.end()?;
        flows.push(FlowRecord {
            flow: Arc::new(flow),
            stats,
        });
    }
    Ok(Message::Reply {
        reply: MultipartReply::Flow(FlowStatsReply { form, flows }),
        more: d.more,
    })
}

/// A flow of which only the table is known, and the byte behind it that says nothing.
fn read_table(entry: &mut Reader<'_>) -> Result<Flow, Refusal> {
    let table = entry.u8()?;
    entry.skip(1)?;
    Ok(Flow {
        table,
        ..Flow::default()
    })
}

/// What was counted of a flow, of which only the duration is known.
fn read_stats(entry: &mut Reader<'_>) -> Result<FlowStats, Refusal> {
    Ok(FlowStats {
        duration: read_duration(entry)?,
        ..FlowStats::default()
    })
}

fn read_priority_and_timeouts(entry: &mut Reader<'_>, flow: &mut Flow) -> Result<(), Refusal> {
    flow.priority = entry.u16()?;
    flow.idle_timeout_s = entry.u16()?;
    flow.hard_timeout_s = entry.u16()?;
    Ok(())
}

/// Table, match, duration, priority, timeouts, cookie, counters, actions.
fn read_flow10(entry: &mut Reader<'_>, d: Decoding<'_>) -> Result<(Flow, FlowStats), Refusal> {
    let mut flow = read_table(entry)?;
    flow.matching = match10::read(&mut entry.part(match10::LEN)?)?;
    let mut stats = read_stats(entry)?;
    read_priority_and_timeouts(entry, &mut flow)?;
    entry.skip(6)?;
    read_cookie_and_counters(entry, &mut flow, &mut stats)?;
    flow.instructions = instructions::read_list(entry, d)?.into();
    Ok((flow, stats))
}

fn read_cookie_and_counters(
    entry: &mut Reader<'_>,
    flow: &mut Flow,
    stats: &mut FlowStats,
) -> Result<(), Refusal> {
    flow.cookie = entry.u64()?;
    stats.n_packets = entry.u64()?;
    stats.n_bytes = entry.u64()?;
    Ok(())
}

/// Table, duration, priority, timeouts, flags, importance, cookie, counters, match, instructions.
fn read_flow11(entry: &mut Reader<'_>, d: Decoding<'_>) -> Result<(Flow, FlowStats), Refusal> {
    let mut flow = read_table(entry)?;
    let mut stats = read_stats(entry)?;
    read_priority_and_timeouts(entry, &mut flow)?;
    let (bits, importance) = (entry.u16()?, entry.u16()?);
    entry.skip(2)?;
    if d.version >= Version::OpenFlow13 {
        flow.flags = flags(bits);
    }
    if d.version >= Version::OpenFlow14 {
        flow.importance = importance;
    }
    read_cookie_and_counters(entry, &mut flow, &mut stats)?;
    flow.matching = oxm::read_match(entry, Unknown::Refuse)?;
    flow.instructions = instructions::read(entry, d)?.into();
    Ok((flow, stats))
}

/// Table, priority, timeouts, flags, importance, cookie, match, list of counters, instructions.
fn read_flow15(entry: &mut Reader<'_>, d: Decoding<'_>) -> Result<(Flow, FlowStats), Refusal> {
    entry.skip(2)?;
    let mut flow = read_table(entry)?;
    read_priority_and_timeouts(entry, &mut flow)?;
    flow.flags = flags(entry.u16()?);
    flow.importance = entry.u16()?;
    flow.cookie = entry.u64()?;
    flow.matching = oxm::read_match(entry, Unknown::Refuse)?;
    let counters = oxs::read(entry)?;
    flow.instructions = instructions::read(entry, d)?.into();
    let stats = FlowStats {
        duration: counters.duration.unwrap_or_default(),
        n_packets: counters.n_packets.unwrap_or(u64::MAX),
        n_bytes: counters.n_bytes.unwrap_or(u64::MAX),
        idle_age_s: counters.idle.map(|idle| idle.as_secs() as u32),
        hard_age_s: None,
    };
    Ok((flow, stats))
}

/// Ages are one more than they are, so that 0 is not known.
fn read_age(entry: &mut Reader<'_>) -> Result<Option<u32>, Refusal> {
    Ok(entry.u16()?.checked_sub(1).map(u32::from))
}

fn write_age(out: &mut Writer<'_>, age_s: Option<u32>) {
    let age = age_s.map_or(0, |age| {
        u16::try_from(age.saturating_add(1)).unwrap_or(u16::MAX)
    });
    out.u16(age);
}

/// Table, duration, priority, timeouts, length of the match, ages, cookie, counters, match,
/// actions.
fn read_nicira_flow(entry: &mut Reader<'_>, d: Decoding<'_>) -> Result<(Flow, FlowStats), Refusal> {
    let mut flow = read_table(entry)?;
    let mut stats = read_stats(entry)?;
    read_priority_and_timeouts(entry, &mut flow)?;
    let match_len = entry.u16()?;
    stats.idle_age_s = read_age(entry)?;
    stats.hard_age_s = read_age(entry)?;
    read_cookie_and_counters(entry, &mut flow, &mut stats)?;
    flow.matching = read_nxm(entry, match_len)?.matching;
    flow.instructions = instructions::read_list(entry, d)?.into();
    Ok((flow, stats))
}

fn read_aggregate(
    reader: &mut Reader<'_>,
    d: Decoding<'_>,
    form: Form,
) -> Result<Message, Refusal> {
    let stats = if d.version == Version::OpenFlow15 {
        let counters = oxs::read(reader)?;
        AggregateStats {
            form,
            n_packets: counters.n_packets,
            n_bytes: counters.n_bytes,
            n_flows: counters.n_flows.unwrap_or(0),
        }
    } else {
        let stats = AggregateStats {
            form,
            n_packets: reader.counter()?,
            n_bytes: reader.counter()?,
            n_flows: reader.u32()?,
        };
        reader.skip(4)?;
        stats
    };
    Ok(Message::Reply {
        reply: MultipartReply::Aggregate(stats),
        more: d.more,
    })
}

pub(super) fn encode_flow_request(
    out: &mut Writer<'_>,
    filter: &FlowFilter,
) -> Result<(), EncodeError> {
    flow_filter::write(out, FLOW, NX_FLOW, filter)
}

pub(super) fn encode_aggregate_request(
    out: &mut Writer<'_>,
    filter: &FlowFilter,
) -> Result<(), EncodeError> {
    flow_filter::write(out, AGGREGATE, NX_AGGREGATE, filter)
}

pub(super) fn encode_flow_reply(
    out: &mut Writer<'_>,
    reply: &FlowStatsReply,
) -> Result<(), EncodeError> {
    match reply.form {
        Form::Standard => out.begin(Class::Reply, FLOW),
        Form::Nicira => out.begin(Class::NxReply, NX_FLOW),
    }
    out.lossy = true;
    for record in &reply.flows {
        let start = out.place();
        out.u16(0);
        match (reply.form, out.version) {
            (Form::Nicira, _) => write_nicira_flow(out, record)?,
            (_, Version::OpenFlow10) => write_flow10(out, record)?,
            (_, Version::OpenFlow15) => write_flow15(out, record)?,
            _ => write_flow11(out, record)?,
        }
        out.length_at(start, start)?;
        out.end_entry()?;
    }
    Ok(())
}

fn write_cookie_and_counters(out: &mut Writer<'_>, record: &FlowRecord) {
    out.u64(record.flow.cookie);
    out.u64(record.stats.n_packets);
    out.u64(record.stats.n_bytes);
}

fn write_flow10(out: &mut Writer<'_>, record: &FlowRecord) -> Result<(), EncodeError> {
    let FlowRecord { flow, stats } = record;
    out.u8(flow.table);
    out.zeros(1);
    match10::write(out, &flow.matching);
    write_duration(out, stats.duration);
    out.u16(flow.priority);
    out.u16(flow.idle_timeout_s);
    out.u16(flow.hard_timeout_s);
    out.zeros(6);
    write_cookie_and_counters(out, record);
    instructions::write_list(out, &flow.instructions, &flow.matching)
}

fn write_flow11(out: &mut Writer<'_>, record: &FlowRecord) -> Result<(), EncodeError> {
    let FlowRecord { flow, stats } = record;
    out.u8(flow.table);
    out.zeros(1);
    write_duration(out, stats.duration);
    out.u16(flow.priority);
    out.u16(flow.idle_timeout_s);
    out.u16(flow.hard_timeout_s);
    match out.version >= Version::OpenFlow13 {
        true => out.u16(flag_bits(flow.flags, out.version)),
        false => out.u16(0),
    }
    match out.version >= Version::OpenFlow14 {
        true => out.u16(flow.importance),
        false => out.u16(0),
    }
    out.zeros(2);
    write_cookie_and_counters(out, record);
    oxm::write_match(out, &flow.matching)?;
    instructions::write(out, &flow.instructions, &flow.matching)
}

fn write_flow15(out: &mut Writer<'_>, record: &FlowRecord) -> Result<(), EncodeError> {
    let FlowRecord { flow, stats } = record;
    out.zeros(2);
    out.u8(flow.table);
    out.zeros(1);
    out.u16(flow.priority);
    out.u16(flow.idle_timeout_s);
    out.u16(flow.hard_timeout_s);
    out.u16(flag_bits(flow.flags, out.version));
    out.u16(flow.importance);
    out.u64(flow.cookie);
    oxm::write_match(out, &flow.matching)?;
    let known = |count: u64| Some(count).filter(|count| *count != u64::MAX);
    oxs::write(
        out,
        Counters {
            duration: Some(stats.duration),
            idle: stats.idle_age_s.map(|age| Duration::from_secs(age.into())),
            n_flows: None,
            n_packets: known(stats.n_packets),
            n_bytes: known(stats.n_bytes),
        },
    )?;
    instructions::write(out, &flow.instructions, &flow.matching)
}

fn write_nicira_flow(out: &mut Writer<'_>, record: &FlowRecord) -> Result<(), EncodeError> {
    let FlowRecord { flow, stats } = record;
    out.u8(flow.table);
    out.zeros(1);
    write_duration(out, stats.duration);
    out.u16(flow.priority);
    out.u16(flow.idle_timeout_s);
    out.u16(flow.hard_timeout_s);
    let length_at = out.place();
    out.u16(0);
    write_age(out, stats.idle_age_s);
    write_age(out, stats.hard_age_s);
    write_cookie_and_counters(out, record);
    write_nxm(out, &flow.matching, None, length_at)?;
    instructions::write_list(out, &flow.instructions, &flow.matching)
}

pub(super) fn encode_aggregate_reply(
    out: &mut Writer<'_>,
    stats: &AggregateStats,
) -> Result<(), EncodeError> {
    match stats.form {
        Form::Standard => out.begin(Class::Reply, AGGREGATE),
        Form::Nicira => out.begin(Class::NxReply, NX_AGGREGATE),
    }
    if out.version == Version::OpenFlow15 {
        return oxs::write(
            out,
            Counters {
                n_packets: stats.n_packets,
                n_bytes: stats.n_bytes,
                n_flows: Some(stats.n_flows),
                ..Counters::default()
            },
        );
    }
    out.counter(stats.n_packets);
    out.counter(stats.n_bytes);
    out.u32(stats.n_flows);
    out.zeros(4);
    Ok(())
}
