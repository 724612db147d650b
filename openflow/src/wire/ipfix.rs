//! What IPFIX has counted: Nicira's requests NXST_IPFIX_BRIDGE and NXST_IPFIX_FLOW.

use super::kind::{Class, Kind, kind};
use super::read::{Reader, Refusal};
use super::write::Writer;
use super::{Decoding, EncodeError};
use crate::message::{IpfixStats, Message, MultipartReply, MultipartRequest};

pub(super) const KINDS: &[Kind] = &[
    kind(Class::NxRequest, 3, 0, 5, decode_bridge_request),
    kind(Class::NxReply, 3, 0, 5, decode_bridge_reply),
    kind(Class::NxRequest, 4, 0, 5, decode_flow_request),
    kind(Class::NxReply, 4, 0, 5, decode_flow_reply),
];

fn decode_bridge_request(_: &mut Reader<'_>, _: Decoding<'_>) -> Result<Message, Refusal> {
    Ok(Message::Request(MultipartRequest::IpfixBridge))
}

fn decode_flow_request(_: &mut Reader<'_>, _: Decoding<'_>) -> Result<Message, Refusal> {
    Ok(Message::Request(MultipartRequest::IpfixFlow))
}

fn decode_bridge_reply(
    reader: &mut Reader<'_>,
    decoding: Decoding<'_>,
) -> Result<Message, Refusal> {
    Ok(Message::Reply {
        reply: MultipartReply::IpfixBridge(read(reader)?),
        more: decoding.more,
    })
}

fn decode_flow_reply(reader: &mut Reader<'_>, decoding: Decoding<'_>) -> Result<Message, Refusal> {
    let mut all = Vec::new();
    while !reader.is_empty() {
        all.push(read(reader)?);
    }
    Ok(Message::Reply {
        reply: MultipartReply::IpfixFlow(all),
        more: decoding.more,
    })
}

fn read(reader: &mut Reader<'_>) -> Result<IpfixStats, Refusal> {
    let stats = IpfixStats {
        total_flows: reader.u64()?,
        current_flows: reader.u64()?,
        packets: reader.u64()?,
        ipv4_packets: reader.u64()?,
        ipv6_packets: reader.u64()?,
        error_packets: reader.u64()?,
        ipv4_error_packets: reader.u64()?,
        ipv6_error_packets: reader.u64()?,
        tx_packets: reader.u64()?,
        tx_errors: reader.u64()?,
        collector_set: reader.u32()?,
    };
    reader.skip(4)?;
    Ok(stats)
}

fn write(out: &mut Writer<'_>, stats: &IpfixStats) {
    for count in [
        stats.total_flows,
        stats.current_flows,
        stats.packets,
        stats.ipv4_packets,
        stats.ipv6_packets,
        stats.error_packets,
        stats.ipv4_error_packets,
        stats.ipv6_error_packets,
        stats.tx_packets,
        stats.tx_errors,
    ] {
        out.u64(count);
    }
    out.u32(stats.collector_set);
    out.zeros(4);
}

pub(super) fn encode_bridge_request(out: &mut Writer<'_>) -> Result<(), EncodeError> {
    out.begin(Class::NxRequest, 3);
    Ok(())
}

pub(super) fn encode_flow_request(out: &mut Writer<'_>) -> Result<(), EncodeError> {
    out.begin(Class::NxRequest, 4);
    Ok(())
}

pub(super) fn encode_bridge_reply(
    out: &mut Writer<'_>,
    stats: &IpfixStats,
) -> Result<(), EncodeError> {
    out.begin(Class::NxReply, 3);
    write(out, stats);
    Ok(())
}

pub(super) fn encode_flow_reply(
    out: &mut Writer<'_>,
    all: &[IpfixStats],
) -> Result<(), EncodeError> {
    out.begin(Class::NxReply, 4);
    for stats in all {
        write(out, stats);
        out.end_entry()?;
    }
    Ok(())
}
