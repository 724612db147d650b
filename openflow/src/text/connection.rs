//! What two sides say about their connection, and what hasn't a family of its own.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv6Addr};

use super::{Style, put as put_bytes, show_envelope};
use crate::message::{
    BundleControlKind, BundleFlags, CtEndpoint, CtFlush, Envelope, ErrorMessage, FlowFormat, Hello,
    Message, PacketInFormat, ReportedError, RequestForward, Role, RoleReason, RoleRequest,
    TlvMapping, TlvTable, TlvTableMod,
};
use crate::wire::Context;

pub(super) fn put(out: &mut String, envelope: &Envelope, style: Style<'_>) {
    match &envelope.message {
        Message::Hello(hello) => put_hello(out, hello),
        Message::Error(error) => put_error(out, error, style),
        Message::EchoRequest(bytes) | Message::EchoReply(bytes) => put_echo(out, bytes, style),
        Message::RoleRequest(role) | Message::RoleReply(role) => put_role(out, role),
        Message::RoleStatus(status) => {
            put_role_name(out, status.role, status.generation_id);
            out.push_str(match status.reason {
                RoleReason::PrimaryRequest => " reason=primary_request",
                RoleReason::Config => " reason=configuration_changed",
                RoleReason::Experimenter => " reason=experimenter_data_changed",
            });
        }
        Message::RequestForward(request) => put_forward(out, request, envelope, style),
        Message::BundleControl(control) => {
            put_bundle_id(out, control.id);
            let _ = write!(out, " type={} flags=", bundle_kind(control.kind));
            put_bundle_flags(out, control.flags);
        }
        Message::BundleAdd(add) => {
            put_bundle_id(out, add.id);
            out.push_str(" flags=");
            put_bundle_flags(out, add.flags);
            out.push('\n');
            out.push_str(&show_envelope(&add.message, style.inner()));
        }
        Message::SetFlowFormat(format) => out.push_str(match format {
            FlowFormat::OpenFlow10 => " format=openflow10",
            FlowFormat::Nxm => " format=nxm",
        }),
        Message::FlowModTableId(true) => out.push_str(" enable"),
        Message::FlowModTableId(false) => out.push_str(" disable"),
        Message::SetPacketInFormat(format) => out.push_str(match format {
            PacketInFormat::Standard => " format=standard",
            PacketInFormat::Nicira => " format=nxt_packet_in",
            PacketInFormat::Nicira2 => " format=nxt_packet_in2",
        }),
        Message::SetControllerId(id) => {
            let _ = write!(out, " id={id}");
        }
        Message::TlvTableMod(change) => put_tlv_mod(out, change),
        Message::TlvTableReply(table) => put_tlv_table(out, table),
        Message::CtFlushZone(zone) => {
            let _ = write!(out, " zone_id={zone}");
        }
        Message::CtFlush(flush) => put_ct_flush(out, flush),
        Message::FlowMonitorCancel(id) => {
            let _ = write!(out, " id={id}");
        }
        _ => {}
    }
}

fn put_hello(out: &mut String, hello: &Hello) {
    let numbers = hello
        .versions
        .iter()
        .map(|version| format!("{:#04x}", version.number()));
    let numbers: Vec<String> = numbers.collect();
    let _ = write!(out, "\n version bitmap: {}", numbers.join(", "));
}

fn put_error(out: &mut String, message: &ErrorMessage, style: Style<'_>) {
    let incompatible = match message.error {
        ReportedError::Known(code) => {
            let _ = writeln!(out, " {code}");
            code.name().starts_with("OFPHFC_")
        }
        ReportedError::Unknown(error) => {
            let (vendor, kind, code) = (error.vendor, error.kind, error.code);
            let _ = match vendor {
                0 => writeln!(out, " type {kind}, code {code}"),
                vendor => writeln!(out, " vendor {vendor:#x}, type {kind}, code {code}"),
            };
            false
        }
    };
    if incompatible {
        // The other side's words, not a request's bytes.
        for c in String::from_utf8_lossy(&message.data).chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                c if c.is_control() => out.extend(c.escape_default()),
                c => out.push(c),
            }
        }
        out.push('\n');
    } else {
        put_quoted(out, &message.data, style);
    }
}

/// The beginning of a request that an error quotes.
fn put_quoted(out: &mut String, bytes: &[u8], style: Style<'_>) {
    put_bytes(out, bytes, Context::default(), style.inner());
}

fn put_echo(out: &mut String, bytes: &[u8], style: Style<'_>) {
    let _ = writeln!(out, " {} bytes of payload", bytes.len());
    if style.verbosity > 1 {
        out.push_str(&super::hex_dump(bytes));
    }
}

fn put_role_name(out: &mut String, role: Role, generation_id: Option<u64>) {
    out.push_str(match role {
        Role::NoChange => " role=nochange",
        Role::Equal => " role=equal",
        Role::Primary => " role=primary",
        Role::Secondary => " role=secondary",
    });
    if let Some(id) = generation_id.filter(|_| role != Role::NoChange) {
        let _ = write!(out, " generation_id={id}");
    }
}

fn put_role(out: &mut String, role: &RoleRequest) {
    put_role_name(out, role.role, role.generation_id);
}

fn put_forward(out: &mut String, request: &RequestForward, envelope: &Envelope, style: Style<'_>) {
    match request {
        RequestForward::Group { group_mod, .. } => {
            out.push_str(" reason=group_mod");
            super::group::put_mod(out, group_mod, envelope.version, style);
        }
        RequestForward::Meter { meter_mod, .. } => {
            out.push_str(" reason=meter_mod");
            super::meter::put_mod(out, meter_mod);
        }
    }
}

fn put_bundle_id(out: &mut String, id: u32) {
    let _ = match id {
        0 => write!(out, "\n bundle_id=0"),
        id => write!(out, "\n bundle_id={id:#x}"),
    };
}

fn bundle_kind(kind: BundleControlKind) -> &'static str {
    match kind {
        BundleControlKind::OpenRequest => "OPEN_REQUEST",
        BundleControlKind::OpenReply => "OPEN_REPLY",
        BundleControlKind::CloseRequest => "CLOSE_REQUEST",
        BundleControlKind::CloseReply => "CLOSE_REPLY",
        BundleControlKind::CommitRequest => "COMMIT_REQUEST",
        BundleControlKind::CommitReply => "COMMIT_REPLY",
        BundleControlKind::DiscardRequest => "DISCARD_REQUEST",
        BundleControlKind::DiscardReply => "DISCARD_REPLY",
    }
}

fn put_bundle_flags(out: &mut String, flags: BundleFlags) {
    let names = [(1, "atomic"), (2, "ordered")];
    super::bits::put_bits(out, flags.0.into(), &names, ' ');
}

/// Options of tunnels, a line each.
fn put_mappings(out: &mut String, mappings: &[TlvMapping]) {
    out.push_str(
        " mapping table:\n  class  type  length  match field\n ------  ----  ------  \
         --------------\n",
    );
    for mapping in mappings {
        let (class, kind, len) = (mapping.class, mapping.kind, mapping.len_bytes);
        let _ = writeln!(
            out,
            " {class:#6x}  {:>4}  {len:>6}  tun_metadata{}",
            alternate(kind),
            mapping.index
        );
    }
}

/// A hexadecimal number; 0 has no sign in front.
fn alternate(number: u8) -> String {
    match number {
        0 => "0".to_owned(),
        number => format!("{number:#x}"),
    }
}

fn put_tlv_mod(out: &mut String, change: &TlvTableMod) {
    out.push_str("\n ");
    let mappings = match change {
        TlvTableMod::Add(mappings) => {
            out.push_str("ADD");
            mappings
        }
        TlvTableMod::Delete(mappings) => {
            out.push_str("DEL");
            mappings
        }
        TlvTableMod::Clear => {
            out.push_str("CLEAR");
            return;
        }
    };
    put_mappings(out, mappings);
}

fn put_tlv_table(out: &mut String, table: &TlvTable) {
    let (space, fields) = (table.max_option_space_bytes, table.max_fields);
    let used: u32 = table.mappings.iter().map(|m| u32::from(m.len_bytes)).sum();
    let _ = write!(
        out,
        "\n max option space={space} max fields={fields}\n allocated option space={used}\n\n"
    );
    let mut mappings = table.mappings.clone();
    mappings.sort_by_key(|mapping| mapping.index);
    put_mappings(out, &mappings);
}

fn address(address: Option<IpAddr>, v6: bool) -> String {
    match (address, v6) {
        (Some(address), _) => address.to_string(),
        (None, true) => Ipv6Addr::UNSPECIFIED.to_string(),
        (None, false) => "0.0.0.0".to_owned(),
    }
}

/// One direction of connections; ICMP has type, code and identifier instead of ports.
fn put_endpoint(out: &mut String, endpoint: &CtEndpoint, ip_proto: u8) {
    const ICMP: u8 = 1;
    const ICMPV6: u8 = 58;
    let v4 = |address: Option<IpAddr>| address.is_some_and(|address| address.is_ipv4());
    let v6 = !v4(endpoint.src) && !v4(endpoint.dst);
    let kind = if v6 { "ct_ipv6" } else { "ct_nw" };
    let (src, dst) = (address(endpoint.src, v6), address(endpoint.dst, v6));
    let _ = write!(out, "{kind}_src={src},{kind}_dst={dst},");
    let _ = match ip_proto {
        ICMP | ICMPV6 => write!(
            out,
            "icmp_type={},icmp_code={},icmp_id={}",
            endpoint.icmp_type.unwrap_or(0),
            endpoint.icmp_code.unwrap_or(0),
            endpoint.icmp_id.unwrap_or(0)
        ),
        _ => write!(
            out,
            "ct_tp_src={},ct_tp_dst={}",
            endpoint.src_port.unwrap_or(0),
            endpoint.dst_port.unwrap_or(0)
        ),
    };
}

fn put_ct_flush(out: &mut String, flush: &CtFlush) {
    let _ = write!(out, " zone={}", flush.zone.unwrap_or(0));
    out.push_str(" '");
    put_endpoint(out, &flush.original, flush.ip_proto);
    let _ = write!(out, ",ct_nw_proto={}' '", flush.ip_proto);
    put_endpoint(out, &flush.reply, flush.ip_proto);
    out.push('\'');
}
