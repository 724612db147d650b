//! Packets for controllers and from them.

use std::fmt::Write as _;

use aorta_flow::OfPort;
use aorta_flow::action::Instructions;
use aorta_flow::text::{show_instructions, show_match};
use aorta_flow::translate::{Packet, describe};
use aorta_packet::{Headers, Network, TransportHeader};

use super::Style;
use super::bits::{put_port, put_table};
use super::hexdump::hex_dump;
use crate::message::{PacketIn, PacketOut};

pub(super) fn put_in(out: &mut String, packet: &PacketIn, style: Style<'_>) {
    if let Some(table) = packet.table.filter(|table| *table != 0) {
        out.push_str(" table_id=");
        put_table(out, table, style.names);
    }
    if let Some(cookie) = packet.cookie {
        let _ = write!(out, " cookie={cookie:#x}");
    }
    let metadata = show_match(&packet.metadata, style.names);
    let (total, len) = (packet.total_len_bytes, packet.frame.len());
    let reason = packet.reason.name();
    let _ = write!(
        out,
        " total_len={total} {metadata} (via {reason}) data_len={len}"
    );
    match packet.buffer_id {
        None => {
            out.push_str(" (unbuffered)");
            if total as usize != len {
                out.push_str(" (***total_len != data_len***)");
            }
        }
        Some(buffer) => {
            let _ = write!(out, " buffer={buffer:#010x}");
            if (total as usize) < len {
                out.push_str(" (***total_len < data_len***)");
            }
        }
    }
    out.push('\n');
    if !packet.userdata.is_empty() {
        let bytes: Vec<String> = packet.userdata.iter().map(|b| format!("{b:02x}")).collect();
        let _ = writeln!(out, " userdata={}", bytes.join("."));
    }
    put_frame(out, &packet.frame, style);
}

pub(super) fn put_out(out: &mut String, packet: &PacketOut, style: Style<'_>) {
    out.push_str(" in_port=");
    put_port(out, packet.in_port, style.names);
    let metadata = show_match(&packet.metadata, style.names);
    let others: Vec<&str> = metadata
        .split(',')
        .filter(|part| !part.is_empty() && !part.starts_with("in_port="))
        .collect();
    if !others.is_empty() {
        let _ = write!(out, " {}", others.join(","));
    }
    out.push_str(" actions=");
    let actions = Instructions::apply(packet.actions.clone());
    out.push_str(&show_instructions(&actions, style.names));
    match packet.buffer_id {
        None => {
            let _ = writeln!(out, " data_len={}", packet.frame.len());
            put_frame(out, &packet.frame, style);
        }
        Some(buffer) => {
            let _ = writeln!(out, " buffer={buffer:#010x}");
        }
    }
}

fn put_frame(out: &mut String, frame: &[u8], style: Style<'_>) {
    if style.verbosity == 0 || frame.is_empty() {
        return;
    }
    out.push_str(&show_frame(frame));
    if style.verbosity > 2 {
        out.push_str(&hex_dump(frame));
    }
}

/// A frame's fields, with the checksum of its transport header, and an end of line.
pub fn show_frame(frame: &[u8]) -> String {
    let Ok(packet) = Packet::from_frame(frame, OfPort::ANY) else {
        return hex_dump(frame);
    };
    // It came from nowhere.
    let mut out = describe(&packet.key).replacen("in_port=ANY,", "", 1);
    if let Some((name, checksum)) = checksum(frame) {
        let _ = write!(out, " {name}_csum:{checksum:x}");
    }
    out.push('\n');
    out
}

/// The checksum in a frame's transport header, by the header's name.
fn checksum(frame: &[u8]) -> Option<(&'static str, u32)> {
    let headers = Headers::parse(frame).ok()?;
    let Some(Network::Ip(ip)) = &headers.network else {
        return None;
    };
    let transport = ip.transport.as_ref()?;
    let (name, offset, len) = match &transport.header {
        TransportHeader::Tcp { .. } => ("tcp", 16, 2),
        TransportHeader::Udp { .. } => ("udp", 6, 2),
        TransportHeader::Sctp { .. } => ("sctp", 8, 4),
        TransportHeader::Icmp { .. } if ip.proto == 1 => ("icmp", 2, 2),
        TransportHeader::Icmpv6 { .. } => ("icmp6", 2, 2),
        TransportHeader::Icmp { .. } => return None,
    };
    let at = transport.at + offset;
    let bytes = frame.get(at..at + len)?;
    Some((
        name,
        bytes
            .iter()
            .fold(0, |sum, byte| sum << 8 | u32::from(*byte)),
    ))
}
