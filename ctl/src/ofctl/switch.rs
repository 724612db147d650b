//! What a switch is, how it is configured, and packets for it.

use std::net::IpAddr;

use aorta_flow::OfPort;
use aorta_flow::field::FieldId;
use aorta_flow::text::{Form, parse_flow};
use aorta_openflow::message::{
    CtEndpoint, CtFlush, FragmentHandling, MultipartRequest, PacketOut, SwitchConfig,
};
use aorta_openflow::{Message, Version};

use super::error::OfctlError;
use super::{Done, OK, Ofctl};

/// Prints what the switch is, its ports and its configuration.
pub fn show(ofctl: &Ofctl, words: &[&str]) -> Done {
    let target = words[0];
    let mut client = ofctl.open(target)?;
    let received = client.transact(Message::FeaturesRequest)?;
    ofctl.print(&ofctl.text(&client, &received, 1)?)?;
    let envelope = client.read(&received)?;
    let Message::FeaturesReply(features) = envelope.message else {
        return Err(client.not_the_protocol());
    };
    // A long list of ports may have been cut.
    const MANY_PORTS: usize = 1000;
    if client.version >= Version::OpenFlow13 || features.ports.len() >= MANY_PORTS {
        let request = MultipartRequest::PortDesc(OfPort::ANY);
        ofctl.dump_from(&mut client, request)?;
    }
    drop(client);
    ofctl.dump_one(target, Message::GetConfigRequest)
}

/// Prints what the switch is called.
pub fn desc(ofctl: &Ofctl, words: &[&str]) -> Done {
    ofctl.dump(words[0], MultipartRequest::Desc)
}

/// Prints what IPFIX of the bridge has counted.
pub fn ipfix_bridge(ofctl: &Ofctl, words: &[&str]) -> Done {
    ofctl.dump(words[0], MultipartRequest::IpfixBridge)
}

/// Prints what IPFIX of flows has counted.
pub fn ipfix_flow(ofctl: &Ofctl, words: &[&str]) -> Done {
    ofctl.dump(words[0], MultipartRequest::IpfixFlow)
}

const FRAGMENTS: [(&str, FragmentHandling); 4] = [
    ("normal", FragmentHandling::Normal),
    ("drop", FragmentHandling::Drop),
    ("reassemble", FragmentHandling::Reassemble),
    ("nx-match", FragmentHandling::NxMatch),
];

fn fragments_name(handling: FragmentHandling) -> &'static str {
    let found = FRAGMENTS.iter().find(|(_, known)| *known == handling);
    found.map_or("", |(name, _)| name)
}

/// How the switch is configured.
pub fn config(client: &mut super::client::Client<'_>) -> Result<SwitchConfig, OfctlError> {
    let received = client.transact(Message::GetConfigRequest)?;
    match client.read(&received)?.message {
        Message::GetConfigReply(config) => Ok(config),
        _ => Err(client.not_the_protocol()),
    }
}

/// Prints what is done with fragments.
pub fn get_frags(ofctl: &Ofctl, words: &[&str]) -> Done {
    let mut client = ofctl.open(words[0])?;
    let config = config(&mut client)?;
    ofctl.print(&format!("{}\n", fragments_name(config.fragments)))?;
    Ok(OK)
}

/// Sets what is done with fragments.
pub fn set_frags(ofctl: &Ofctl, words: &[&str]) -> Done {
    let known = FRAGMENTS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(words[1]));
    let unknown = || OfctlError::other(format!("{}: unknown fragment handling mode", words[1]));
    let wanted = known.ok_or_else(unknown)?.1;
    let mut client = ofctl.open(words[0])?;
    let mut settings = config(&mut client)?;
    if settings.fragments == wanted {
        return Ok(OK);
    }
    settings.fragments = wanted;
    ofctl.command(&mut client, Message::SetConfig(settings))?;
    if config(&mut client)?.fragments == wanted {
        return Ok(OK);
    }
    Err(OfctlError::other(format!(
        "{}: setting fragment handling mode failed (this switch probably doesn't support mode \
         \"{}\")",
        words[0], words[1]
    )))
}

/// Bytes of a text of hexadecimal digits, in which spaces don't count.
pub fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().filter(|c| !c.is_ascii_whitespace()).collect();
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let byte = |pair: &[u8]| {
        let text = std::str::from_utf8(pair).ok().filter(|_| pair.len() == 2)?;
        u8::from_str_radix(text, 16).ok()
    };
    digits.chunks(2).map(byte).collect()
}

/// Bytes of an Ethernet header.
const ETHERNET_LEN: usize = 14;

fn packet_bytes(text: &str) -> Result<Vec<u8>, OfctlError> {
    let bad = || OfctlError::other("Trailing garbage in packet data");
    let bytes = bytes_of(text).ok_or_else(bad)?;
    match bytes.len() >= ETHERNET_LEN {
        true => Ok(bytes),
        false => Err(OfctlError::other(
            "packet: Packet data too short for Ethernet",
        )),
    }
}

/// Sends packets: `IN_PORT ACTIONS PACKET...`, or one text that says all of it.
pub fn packet_out(ofctl: &Ofctl, words: &[&str]) -> Done {
    let target = words[0];
    let packets = match words[1].contains('=') {
        true if words.len() > 2 => {
            return Err(OfctlError::other(format!(
                "Too many arguments ({})",
                words.len() + 1
            )));
        }
        true => vec![one_text(ofctl, target, words[1])?],
        false if words.len() < 4 => {
            return Err(OfctlError::other(format!(
                "Too many arguments ({})",
                words.len() + 1
            )));
        }
        false => {
            let head = format!("in_port={},actions={}", words[1], words[2]);
            let frames = words[3..].iter();
            let one = |frame: &&str| packet_of(ofctl, target, &head, frame);
            frames.map(one).collect::<Result<_, _>>()?
        }
    };
    let mut client = ofctl.open(target)?;
    for packet in packets {
        ofctl.command(&mut client, Message::PacketOut(packet))?;
    }
    Ok(OK)
}

/// `in_port=PORT,packet=HEX,actions=...`, the parts in front of the actions in any order.
pub fn one_text(ofctl: &Ofctl, target: &str, text: &str) -> Result<PacketOut, OfctlError> {
    let (head, actions) = text.split_once("actions=").unwrap_or((text, ""));
    let mut fields = Vec::new();
    let mut frame = None;
    for part in head
        .split([',', ' ', '\t', '\n'])
        .filter(|part| !part.is_empty())
    {
        match part.split_once('=') {
            Some(("packet", digits)) => frame = Some(digits),
            _ => fields.push(part),
        }
    }
    let frame = frame.ok_or_else(|| OfctlError::other("must specify packet"))?;
    fields.push("");
    let flow = format!("{}actions={actions}", fields.join(","));
    packet_of(ofctl, target, &flow, frame)
}

fn packet_of(
    ofctl: &Ofctl,
    target: &str,
    flow: &str,
    frame: &str,
) -> Result<PacketOut, OfctlError> {
    let names = ofctl.names_to_read(target)?;
    let read = parse_flow(flow, Form::Flow, names);
    let mut text = read.map_err(|error| OfctlError::Text(error.render(flow)))?;
    let in_port = text.matching.exact(FieldId::IN_PORT);
    // It has a place of its own.
    let _ = text.matching.set_masked(FieldId::IN_PORT, 0, 0);
    let in_port = in_port.and_then(|port| u16::try_from(port).ok());
    Ok(PacketOut {
        buffer_id: None,
        in_port: in_port.map_or(OfPort::CONTROLLER, OfPort),
        metadata: text.matching,
        actions: text.instructions.apply,
        frame: packet_bytes(frame)?,
    })
}

/// Forgets the connections of a zone.
pub fn ct_flush_zone(ofctl: &Ofctl, words: &[&str]) -> Done {
    let bad = |_| OfctlError::other(format!("invalid zone_id \"{}\"", words[1]));
    let zone = words[1].parse::<u16>().map_err(bad)?;
    let mut client = ofctl.open(words[0])?;
    ofctl.command(&mut client, Message::CtFlushZone(zone))?;
    Ok(OK)
}

/// Forgets connections: all, of a zone, or those that tuples describe.
pub fn ct_flush(ofctl: &Ofctl, words: &[&str]) -> Done {
    let mut flush = CtFlush::default();
    let mut tuples = words[1..].iter().peekable();
    if let Some(zone) = tuples.peek().and_then(|word| word.strip_prefix("zone=")) {
        let bad = |_| OfctlError::other(format!("invalid zone_id \"{zone}\""));
        flush.zone = Some(zone.parse().map_err(bad)?);
        tuples.next();
    }
    for (at, tuple) in tuples.enumerate() {
        let mut endpoint = CtEndpoint::default();
        read_tuple(tuple, &mut endpoint, &mut flush.ip_proto)?;
        match at {
            0 => flush.original = endpoint,
            1 => flush.reply = endpoint,
            _ => return Err(OfctlError::other("Invalid arguments")),
        }
    }
    let mut client = ofctl.open(words[0])?;
    ofctl.command(&mut client, Message::CtFlush(flush))?;
    Ok(OK)
}

fn read_tuple(tuple: &str, endpoint: &mut CtEndpoint, ip_proto: &mut u8) -> Result<(), OfctlError> {
    fn value<T: std::str::FromStr>(name: &str, text: &str) -> Result<T, OfctlError> {
        let bad = |_| OfctlError::other(format!("failed to parse field {name}"));
        text.parse().map_err(bad)
    }
    for part in tuple.split([',', ' ']).filter(|part| !part.is_empty()) {
        let missing = || OfctlError::other(format!("field {part} missing value"));
        let (name, text) = part.split_once('=').ok_or_else(missing)?;
        match name {
            "ct_nw_src" | "ct_ipv6_src" => endpoint.src = Some(value::<IpAddr>(name, text)?),
            "ct_nw_dst" | "ct_ipv6_dst" => endpoint.dst = Some(value::<IpAddr>(name, text)?),
            "ct_nw_proto" => *ip_proto = value(name, text)?,
            "ct_tp_src" => endpoint.src_port = Some(value(name, text)?),
            "ct_tp_dst" => endpoint.dst_port = Some(value(name, text)?),
            "icmp_type" => endpoint.icmp_type = Some(value(name, text)?),
            "icmp_code" => endpoint.icmp_code = Some(value(name, text)?),
            "icmp_id" => endpoint.icmp_id = Some(value(name, text)?),
            _ => {
                return Err(OfctlError::other(format!(
                    "invalid conntrack tuple field: {name}"
                )));
            }
        }
    }
    Ok(())
}
