//! From a message's value to the function that writes it.

use super::write::Writer;
use super::{
    Context, asynchronous, bundle, connection, ct, flow_mod, flow_removed, flow_stats, group,
    ipfix, meter, monitor, monitor_update, multipart, packet_in, packet_out, port, queue, role,
    settings, switch, table, table_features, tlv,
};
use crate::message::{Envelope, Message, MultipartReply, MultipartRequest};
use crate::version::Version;

/// A message that can't be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The version has no way to say it.
    #[error("OpenFlow {version} has no {what}")]
    Unsupported {
        /// The version.
        version: Version,
        /// What it hasn't.
        what: &'static str,
    },
    /// More than fits.
    #[error("{0} is too long: messages have at most 65535 bytes")]
    TooLong(&'static str),
}

/// A message's bytes. A reply whose entries don't fit into one message becomes several, one after
/// the other.
///
/// # Errors
/// When the version hasn't something that the message says, or it is too long.
pub fn encode(envelope: &Envelope, context: Context<'_>) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = Vec::new();
    encode_into(&mut bytes, envelope, context)?;
    Ok(bytes)
}

/// Appends a message's bytes, as [`encode`] makes them.
///
/// # Errors
/// As [`encode`]; then nothing is appended.
pub fn encode_into(
    bytes: &mut Vec<u8>,
    envelope: &Envelope,
    context: Context<'_>,
) -> Result<(), EncodeError> {
    let before = bytes.len();
    let mut out = Writer::new(bytes, envelope.version, envelope.xid, context);
    let more = matches!(envelope.message, Message::Reply { more: true, .. })
        || matches!(&envelope.message, Message::Request(MultipartRequest::TableFeatures(r)) if r.more);
    let done = message(&mut out, &envelope.message).and_then(|()| out.finish(more));
    if done.is_err() {
        bytes.truncate(before);
    }
    done
}

fn message(out: &mut Writer<'_>, message: &Message) -> Result<(), EncodeError> {
    match message {
        Message::Hello(_)
        | Message::Error(_)
        | Message::EchoRequest(_)
        | Message::EchoReply(_)
        | Message::BarrierRequest
        | Message::BarrierReply => connection::encode(out, message),
        Message::FeaturesRequest
        | Message::FeaturesReply(_)
        | Message::GetConfigRequest
        | Message::GetConfigReply(_)
        | Message::SetConfig(_) => switch::encode(out, message),
        Message::PacketIn(packet) => packet_in::encode(out, packet),
        Message::Resume(packet) => packet_in::encode_resume(out, packet),
        Message::FlowRemoved(removed) => flow_removed::encode(out, removed),
        Message::PortStatus(status) => port::encode_status(out, status),
        Message::PacketOut(packet) => packet_out::encode(out, packet),
        Message::FlowMod(change) => flow_mod::encode(out, change),
        Message::GroupMod(change) => group::encode_mod(out, change),
        Message::PortMod(change) => port::encode_mod(out, change),
        Message::TableMod(change) => table::encode_mod(out, change),
        Message::MeterMod(change) => meter::encode_mod(out, change),
        Message::QueueGetConfigRequest(port) => queue::encode_config_request(out, *port),
        Message::QueueGetConfigReply { port, queues } => {
            queue::encode_config_reply(out, *port, queues)
        }
        Message::RoleRequest(_) | Message::RoleReply(_) | Message::RoleStatus(_) => {
            role::encode(out, message)
        }
        Message::GetAsyncRequest | Message::GetAsyncReply(_) | Message::SetAsync(_) => {
            asynchronous::encode(out, message)
        }
        Message::TableStatus(status) => table::encode_status(out, status),
        Message::RequestForward(request) => bundle::encode_forward(out, request),
        Message::BundleControl(control) => bundle::encode_control(out, control),
        Message::BundleAdd(add) => bundle::encode_add(out, add),
        Message::Request(request) => multipart_request(out, request),
        Message::Reply { reply, .. } => multipart_reply(out, reply),
        Message::SetFlowFormat(_)
        | Message::FlowModTableId(_)
        | Message::SetPacketInFormat(_)
        | Message::FlowAge
        | Message::SetControllerId(_) => settings::encode(out, message),
        Message::TlvTableMod(_) | Message::TlvTableRequest | Message::TlvTableReply(_) => {
            tlv::encode(out, message)
        }
        Message::CtFlushZone(zone) => ct::encode_zone(out, *zone),
        Message::CtFlush(flush) => ct::encode_flush(out, flush),
        Message::FlowMonitorCancel(_)
        | Message::FlowMonitorPaused
        | Message::FlowMonitorResumed => monitor::encode_control(out, message),
    }
}

fn multipart_request(out: &mut Writer<'_>, request: &MultipartRequest) -> Result<(), EncodeError> {
    match request {
        MultipartRequest::Desc => multipart::encode_desc_request(out),
        MultipartRequest::Flow(filter) => flow_stats::encode_flow_request(out, filter),
        MultipartRequest::Aggregate(filter) => flow_stats::encode_aggregate_request(out, filter),
        MultipartRequest::Table => table::encode_stats_request(out),
        MultipartRequest::Port(port) => port::encode_stats_request(out, *port),
        MultipartRequest::Queue(filter) => queue::encode_stats_request(out, filter),
        MultipartRequest::Group(group) => group::encode_stats_request(out, *group),
        MultipartRequest::GroupDesc(group) => group::encode_desc_request(out, *group),
        MultipartRequest::GroupFeatures => group::encode_features_request(out),
        MultipartRequest::Meter(meter) => meter::encode_stats_request(out, *meter),
        MultipartRequest::MeterConfig(meter) => meter::encode_config_request(out, *meter),
        MultipartRequest::MeterFeatures => meter::encode_features_request(out),
        MultipartRequest::TableFeatures(request) => table_features::encode_request(out, request),
        MultipartRequest::PortDesc(port) => port::encode_desc_request(out, *port),
        MultipartRequest::TableDesc => table::encode_desc_request(out),
        MultipartRequest::QueueDesc(filter) => queue::encode_desc_request(out, filter),
        MultipartRequest::FlowMonitor(monitors) => monitor::encode_request(out, monitors),
        MultipartRequest::IpfixBridge => ipfix::encode_bridge_request(out),
        MultipartRequest::IpfixFlow => ipfix::encode_flow_request(out),
    }
}

fn multipart_reply(out: &mut Writer<'_>, reply: &MultipartReply) -> Result<(), EncodeError> {
    match reply {
        MultipartReply::Desc(desc) => multipart::encode_desc_reply(out, desc),
        MultipartReply::Flow(reply) => flow_stats::encode_flow_reply(out, reply),
        MultipartReply::Aggregate(stats) => flow_stats::encode_aggregate_reply(out, stats),
        MultipartReply::Table(tables) => table::encode_stats_reply(out, tables),
        MultipartReply::Port(ports) => port::encode_stats_reply(out, ports),
        MultipartReply::Queue(queues) => queue::encode_stats_reply(out, queues),
        MultipartReply::Group(groups) => group::encode_stats_reply(out, groups),
        MultipartReply::GroupDesc(groups) => group::encode_desc_reply(out, groups),
        MultipartReply::GroupFeatures(features) => group::encode_features_reply(out, features),
        MultipartReply::Meter(meters) => meter::encode_stats_reply(out, meters),
        MultipartReply::MeterConfig(meters) => meter::encode_config_reply(out, meters),
        MultipartReply::MeterFeatures(features) => meter::encode_features_reply(out, features),
        MultipartReply::TableFeatures(tables) => table_features::encode_reply(out, tables),
        MultipartReply::PortDesc(ports) => port::encode_desc_reply(out, ports),
        MultipartReply::TableDesc(tables) => table::encode_desc_reply(out, tables),
        MultipartReply::QueueDesc(queues) => queue::encode_desc_reply(out, queues),
        MultipartReply::FlowMonitor(updates) => monitor_update::encode(out, updates),
        MultipartReply::IpfixBridge(stats) => ipfix::encode_bridge_reply(out, stats),
        MultipartReply::IpfixFlow(stats) => ipfix::encode_flow_reply(out, stats),
    }
}
