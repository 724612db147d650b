//! Messages as `ovs-ofctl` prints them.

mod asynchronous;
mod bits;
mod connection;
mod flow;
mod group;
mod hexdump;
mod meter;
mod multipart;
mod names;
mod packet;
mod port;
mod queue;
mod table;
mod table_features;

pub use flow::{show_filter, show_record};
pub use hexdump::hex_dump;
pub use names::{name, title};
pub use packet::show_frame;

use std::fmt::Write as _;

use aorta_flow::text::Names;

use crate::header::Header;
use crate::message::{Envelope, Message};
use crate::wire::{Context, decode};

/// How messages are printed.
#[derive(Clone, Copy)]
pub struct Style<'a> {
    /// Names of ports and tables, which stand for their numbers.
    pub names: &'a dyn Names,
    /// From 1 on, packets are printed with their fields; from 3 on, with their bytes.
    pub verbosity: u8,
}

impl Style<'_> {
    fn inner(self) -> Self {
        Style {
            verbosity: self.verbosity.saturating_add(1),
            ..self
        }
    }
}

/// A message's bytes as text, with an end of line; bytes that are none as a dump.
pub fn show(bytes: &[u8], context: Context<'_>, style: Style<'_>) -> String {
    let mut out = String::new();
    put(&mut out, bytes, context, style);
    out
}

/// A message as text, with an end of line.
pub fn show_envelope(envelope: &Envelope, style: Style<'_>) -> String {
    let mut out = title(envelope);
    put_message(&mut out, envelope, style);
    end_line(&mut out);
    out
}

fn end_line(out: &mut String) {
    if !out.ends_with('\n') {
        out.push('\n');
    }
}

/// Appends a message's bytes as text.
fn put(out: &mut String, bytes: &[u8], context: Context<'_>, style: Style<'_>) {
    let header = match Header::read(bytes) {
        Some(header) => header,
        None => {
            put_fragment(out, bytes);
            return;
        }
    };
    let length = usize::from(header.length);
    if length > bytes.len() {
        let _ = writeln!(
            out,
            "(***truncated to {} bytes from {length}***)",
            bytes.len()
        );
    } else if length < bytes.len() {
        let _ = writeln!(
            out,
            "(***only uses {length} bytes out of {}***)",
            bytes.len()
        );
    } else {
        // Tables stand in commands if they are used at all.
        let context = Context {
            flow_mod_table_id: true,
            ..context
        };
        match decode(bytes, context) {
            Ok(envelope) => {
                out.push_str(&names::title_of(&envelope, header.version));
                put_message(out, &envelope, style);
                end_line(out);
                return;
            }
            Err(refusal) => {
                let _ = writeln!(out, "***decode error: {}***", refusal.code);
            }
        }
    }
    out.push_str(&hex_dump(bytes));
}

/// What is too short to be a message.
fn put_fragment(out: &mut String, bytes: &[u8]) {
    if bytes.is_empty() {
        out.push_str("OpenFlow message is empty\n");
        return;
    }
    let len = bytes.len();
    let _ = writeln!(out, "OpenFlow packet too short (only {len} bytes):");
    out.push_str(&hex_dump(bytes));
}

/// Appends what a message says, behind its title.
fn put_message(out: &mut String, envelope: &Envelope, style: Style<'_>) {
    let version = envelope.version;
    match &envelope.message {
        Message::Hello(_)
        | Message::Error(_)
        | Message::EchoRequest(_)
        | Message::EchoReply(_)
        | Message::RoleRequest(_)
        | Message::RoleReply(_)
        | Message::RoleStatus(_)
        | Message::RequestForward(_)
        | Message::BundleControl(_)
        | Message::BundleAdd(_)
        | Message::SetFlowFormat(_)
        | Message::FlowModTableId(_)
        | Message::SetPacketInFormat(_)
        | Message::SetControllerId(_)
        | Message::TlvTableMod(_)
        | Message::TlvTableReply(_)
        | Message::CtFlushZone(_)
        | Message::CtFlush(_)
        | Message::FlowMonitorCancel(_) => connection::put(out, envelope, style),
        Message::GetAsyncReply(config) | Message::SetAsync(config) => {
            asynchronous::put(out, config);
        }
        Message::FeaturesReply(features) => port::put_features(out, features, version),
        Message::GetConfigReply(config) | Message::SetConfig(config) => {
            port::put_config(out, config);
        }
        Message::PacketIn(packet) | Message::Resume(packet) => {
            packet::put_in(out, packet, style);
        }
        Message::PacketOut(packet) => packet::put_out(out, packet, style),
        Message::FlowRemoved(removed) => flow::put_removed(out, removed, style),
        Message::FlowMod(change) => flow::put_mod(out, change, version, style),
        Message::PortStatus(status) => port::put_status(out, status),
        Message::PortMod(change) => port::put_mod(out, change, style),
        Message::GroupMod(change) => group::put_mod(out, change, version, style),
        Message::MeterMod(change) => meter::put_mod(out, change),
        Message::TableMod(change) => table::put_mod(out, change, style),
        Message::TableStatus(status) => table::put_status(out, status, style),
        Message::QueueGetConfigRequest(port) => queue::put_config_request(out, *port, style),
        Message::QueueGetConfigReply { port, queues } => {
            queue::put_config_reply(out, *port, queues, style);
        }
        Message::Request(request) => multipart::put_request(out, request, style),
        Message::Reply { reply, more } => {
            if *more {
                out.push_str(" flags=[more]");
            }
            multipart::put_reply(out, reply, version, style);
        }
        Message::FeaturesRequest
        | Message::GetConfigRequest
        | Message::BarrierRequest
        | Message::BarrierReply
        | Message::GetAsyncRequest
        | Message::FlowAge
        | Message::TlvTableRequest
        | Message::FlowMonitorPaused
        | Message::FlowMonitorResumed => {}
    }
}
