//! Names of messages, and the line that each begins with.

use crate::message::{
    AsyncForm, Envelope, Form, Message, MultipartReply, MultipartRequest, PacketInForm,
    RequestForward,
};
use crate::version::Version;

/// A message's first words: its name, its version if it isn't 1.0, and its transaction.
pub fn title(envelope: &Envelope) -> String {
    title_of(envelope, envelope.version.number())
}

/// The same with the version's number as the header has it.
pub(super) fn title_of(envelope: &Envelope, number: u8) -> String {
    let version = match number {
        1 => String::new(),
        2..=6 => format!(" (OF1.{})", number - 1),
        _ => format!(" (OF {number:#04x})"),
    };
    let (name, xid) = (name(envelope), envelope.xid);
    format!("{name}{version} (xid={xid:#x}):")
}

/// Nicira's messages have names of their own where OpenFlow has none.
fn nicira(form: bool, nicira: &'static str, standard: &'static str) -> &'static str {
    if form { nicira } else { standard }
}

/// A message's name: `OFPT_FLOW_MOD`, `NXST_FLOW reply`.
pub fn name(envelope: &Envelope) -> String {
    let version = envelope.version;
    let old = version == Version::OpenFlow10;
    let onf = version == Version::OpenFlow13;
    let name = match &envelope.message {
        Message::Hello(_) => "OFPT_HELLO",
        Message::Error(_) => "OFPT_ERROR",
        Message::EchoRequest(_) => "OFPT_ECHO_REQUEST",
        Message::EchoReply(_) => "OFPT_ECHO_REPLY",
        Message::FeaturesRequest => "OFPT_FEATURES_REQUEST",
        Message::FeaturesReply(_) => "OFPT_FEATURES_REPLY",
        Message::GetConfigRequest => "OFPT_GET_CONFIG_REQUEST",
        Message::GetConfigReply(_) => "OFPT_GET_CONFIG_REPLY",
        Message::SetConfig(_) => "OFPT_SET_CONFIG",
        Message::PacketIn(packet) => match packet.form {
            PacketInForm::Standard => "OFPT_PACKET_IN",
            PacketInForm::Nicira => "NXT_PACKET_IN",
            PacketInForm::Nicira2 => "NXT_PACKET_IN2",
        },
        Message::FlowRemoved(removed) => nicira(
            removed.form == Form::Nicira,
            "NXT_FLOW_REMOVED",
            "OFPT_FLOW_REMOVED",
        ),
        Message::PortStatus(_) => "OFPT_PORT_STATUS",
        Message::PacketOut(_) => "OFPT_PACKET_OUT",
        Message::FlowMod(change) => {
            nicira(change.form == Form::Nicira, "NXT_FLOW_MOD", "OFPT_FLOW_MOD")
        }
        Message::GroupMod(_) => nicira(old, "NXT_GROUP_MOD", "OFPT_GROUP_MOD"),
        Message::PortMod(_) => "OFPT_PORT_MOD",
        Message::TableMod(_) => "OFPT_TABLE_MOD",
        Message::MeterMod(_) => "OFPT_METER_MOD",
        Message::BarrierRequest => "OFPT_BARRIER_REQUEST",
        Message::BarrierReply => "OFPT_BARRIER_REPLY",
        Message::QueueGetConfigRequest(_) => "OFPT_QUEUE_GET_CONFIG_REQUEST",
        Message::QueueGetConfigReply { .. } => "OFPT_QUEUE_GET_CONFIG_REPLY",
        Message::RoleRequest(role) => nicira(
            role.form == Form::Nicira,
            "NXT_ROLE_REQUEST",
            "OFPT_ROLE_REQUEST",
        ),
        Message::RoleReply(role) => nicira(
            role.form == Form::Nicira,
            "NXT_ROLE_REPLY",
            "OFPT_ROLE_REPLY",
        ),
        Message::RoleStatus(_) => nicira(onf, "ONFT_ROLE_STATUS", "OFPT_ROLE_STATUS"),
        Message::GetAsyncRequest => "OFPT_GET_ASYNC_REQUEST",
        Message::GetAsyncReply(_) => "OFPT_GET_ASYNC_REPLY",
        Message::SetAsync(config) => match config.form {
            AsyncForm::Standard => "OFPT_SET_ASYNC",
            AsyncForm::Nicira => "NXT_SET_ASYNC_CONFIG",
            AsyncForm::Nicira2 => "NXT_SET_ASYNC_CONFIG2",
        },
        Message::TableStatus(_) => "OFPT_TABLE_STATUS",
        Message::RequestForward(RequestForward::Group { .. } | RequestForward::Meter { .. }) => {
            match version {
                Version::OpenFlow10 | Version::OpenFlow11 | Version::OpenFlow12 => {
                    "NXT_REQUESTFORWARD"
                }
                Version::OpenFlow13 => "ONFT_REQUESTFORWARD",
                _ => "OFPT_REQUESTFORWARD",
            }
        }
        Message::BundleControl(_) => nicira(onf, "ONFT_BUNDLE_CONTROL", "OFPT_BUNDLE_CONTROL"),
        Message::BundleAdd(_) => nicira(onf, "ONFT_BUNDLE_ADD_MESSAGE", "OFPT_BUNDLE_ADD_MESSAGE"),
        Message::Request(request) => return format!("{} request", request_name(request, version)),
        Message::Reply { reply, .. } => return format!("{} reply", reply_name(reply, version)),
        Message::SetFlowFormat(_) => "NXT_SET_FLOW_FORMAT",
        Message::FlowModTableId(_) => "NXT_FLOW_MOD_TABLE_ID",
        Message::SetPacketInFormat(_) => "NXT_SET_PACKET_IN_FORMAT",
        Message::FlowAge => "NXT_FLOW_AGE",
        Message::SetControllerId(_) => "NXT_SET_CONTROLLER_ID",
        Message::TlvTableMod(_) => "NXT_TLV_TABLE_MOD",
        Message::TlvTableRequest => "NXT_TLV_TABLE_REQUEST",
        Message::TlvTableReply(_) => "NXT_TLV_TABLE_REPLY",
        Message::Resume(_) => "NXT_RESUME",
        Message::CtFlushZone(_) => "NXT_CT_FLUSH_ZONE",
        Message::CtFlush(_) => "NXT_CT_FLUSH",
        Message::FlowMonitorCancel(_) => {
            nicira(onf, "ONFT_FLOW_MONITOR_CANCEL", "NXT_FLOW_MONITOR_CANCEL")
        }
        Message::FlowMonitorPaused => {
            nicira(onf, "ONFT_FLOW_MONITOR_PAUSED", "NXT_FLOW_MONITOR_PAUSED")
        }
        Message::FlowMonitorResumed => {
            nicira(onf, "ONFT_FLOW_MONITOR_RESUMED", "NXT_FLOW_MONITOR_RESUMED")
        }
    };
    name.to_owned()
}

fn request_name(request: &MultipartRequest, version: Version) -> &'static str {
    match request {
        MultipartRequest::Desc => "OFPST_DESC",
        MultipartRequest::Flow(filter) => flow(filter.form),
        MultipartRequest::Aggregate(filter) => aggregate(filter.form),
        MultipartRequest::Table => "OFPST_TABLE",
        MultipartRequest::Port(_) => "OFPST_PORT",
        MultipartRequest::Queue(_) => "OFPST_QUEUE",
        MultipartRequest::Group(_) => group(version),
        MultipartRequest::GroupDesc(_) => group_desc(version),
        MultipartRequest::GroupFeatures => group_features(version),
        MultipartRequest::Meter(_) => "OFPST_METER",
        MultipartRequest::MeterConfig(_) => "OFPST_METER_CONFIG",
        MultipartRequest::MeterFeatures => "OFPST_METER_FEATURES",
        MultipartRequest::TableFeatures(_) => "OFPST_TABLE_FEATURES",
        MultipartRequest::PortDesc(_) => "OFPST_PORT_DESC",
        MultipartRequest::TableDesc => "OFPST_TABLE_DESC",
        MultipartRequest::QueueDesc(_) => "OFPST_QUEUE_DESC",
        MultipartRequest::FlowMonitor(_) => monitor(version),
        MultipartRequest::IpfixBridge => "NXST_IPFIX_BRIDGE",
        MultipartRequest::IpfixFlow => "NXST_IPFIX_FLOW",
    }
}

fn reply_name(reply: &MultipartReply, version: Version) -> &'static str {
    match reply {
        MultipartReply::Desc(_) => "OFPST_DESC",
        MultipartReply::Flow(flows) => flow(flows.form),
        MultipartReply::Aggregate(stats) => aggregate(stats.form),
        MultipartReply::Table(_) => "OFPST_TABLE",
        MultipartReply::Port(_) => "OFPST_PORT",
        MultipartReply::Queue(_) => "OFPST_QUEUE",
        MultipartReply::Group(_) => group(version),
        MultipartReply::GroupDesc(_) => group_desc(version),
        MultipartReply::GroupFeatures(_) => group_features(version),
        MultipartReply::Meter(_) => "OFPST_METER",
        MultipartReply::MeterConfig(_) => "OFPST_METER_CONFIG",
        MultipartReply::MeterFeatures(_) => "OFPST_METER_FEATURES",
        MultipartReply::TableFeatures(_) => "OFPST_TABLE_FEATURES",
        MultipartReply::PortDesc(_) => "OFPST_PORT_DESC",
        MultipartReply::TableDesc(_) => "OFPST_TABLE_DESC",
        MultipartReply::QueueDesc(_) => "OFPST_QUEUE_DESC",
        MultipartReply::FlowMonitor(_) => monitor(version),
        MultipartReply::IpfixBridge(_) => "NXST_IPFIX_BRIDGE",
        MultipartReply::IpfixFlow(_) => "NXST_IPFIX_FLOW",
    }
}

fn flow(form: Form) -> &'static str {
    nicira(form == Form::Nicira, "NXST_FLOW", "OFPST_FLOW")
}

fn aggregate(form: Form) -> &'static str {
    nicira(form == Form::Nicira, "NXST_AGGREGATE", "OFPST_AGGREGATE")
}

fn group(version: Version) -> &'static str {
    nicira(version == Version::OpenFlow10, "NXST_GROUP", "OFPST_GROUP")
}

fn group_desc(version: Version) -> &'static str {
    nicira(
        version == Version::OpenFlow10,
        "NXST_GROUP_DESC",
        "OFPST_GROUP_DESC",
    )
}

fn group_features(version: Version) -> &'static str {
    nicira(
        version <= Version::OpenFlow11,
        "NXST_GROUP_FEATURES",
        "OFPST_GROUP_FEATURES",
    )
}

fn monitor(version: Version) -> &'static str {
    match version {
        Version::OpenFlow13 => "ONFST_FLOW_MONITOR",
        Version::OpenFlow14 | Version::OpenFlow15 => "OFPST_FLOW_MONITOR",
        _ => "NXST_FLOW_MONITOR",
    }
}
