//! Ports: what they are, what they count, changes of them and that they change (OpenFlow 1.3.5
//! §7.2.1, §7.3.4.3, §7.3.5.6, §7.3.5.7, §7.4.3; OpenFlow 1.4.1 likewise).

use std::time::Duration;

use aorta_flow::OfPort;
use aorta_packet::MacAddr;

use super::Decoding;
use super::EncodeError;
use super::kind::{Class, Kind, kind};
use super::port_stats;
use super::property::{EXPERIMENTER_PROPERTY, property, refuse_unknown};
use super::read::{Reader, Refusal};
use super::write::Writer;
use crate::error::ErrorCode;
use crate::message::{
    Message, MultipartReply, MultipartRequest, PortChange, PortConfig, PortDesc, PortFeatures,
    PortMod, PortState, PortStatus,
};
use crate::version::Version;

pub(super) const KINDS: &[Kind] = &[
    kind(Class::Ofpt, 12, 0, 5, decode_status),
    kind(Class::Ofpt, 15, 0, 0, decode_mod),
    kind(Class::Ofpt, 16, 1, 5, decode_mod),
    kind(Class::Request, 4, 0, 5, port_stats::decode_request),
    kind(Class::Reply, 4, 0, 5, port_stats::decode_reply),
    kind(Class::Request, 13, 0, 5, decode_desc_request),
    kind(Class::Reply, 13, 0, 5, decode_desc_reply),
];

pub(super) use port_stats::{encode_stats_reply, encode_stats_request};

/// Bytes of a port's name, with the 0 at its end.
const NAME_LEN: usize = 16;
/// The property of Ethernet ports (OFPPDPT_ETHERNET, OFPPMPT_ETHERNET).
const ETHERNET: u16 = 0;
/// Bits of a port's configuration in OpenFlow 1.0, and later.
const CONFIG_10: u32 = 0x7f;
const CONFIG_11: u32 = 0x65;
/// Speeds have the same bits in all versions; what follows them is 4 bits further from 1.1 on.
const SPEEDS_10: u32 = 0x7f;
const OTHERS_10: u32 = 0xf80;
const OTHERS_SHIFT: u32 = 4;
/// Bits of features from OpenFlow 1.1 on.
const FEATURES_11: u32 = 0xffff;

fn old(version: Version) -> bool {
    version == Version::OpenFlow10
}

fn has_properties(version: Version) -> bool {
    version >= Version::OpenFlow14
}

fn features(number: u32, version: Version) -> PortFeatures {
    match old(version) {
        true => PortFeatures(number & SPEEDS_10 | (number & OTHERS_10) << OTHERS_SHIFT),
        false => PortFeatures(number & FEATURES_11),
    }
}

fn features_number(features: PortFeatures, version: Version) -> u32 {
    match old(version) {
        true => features.0 & SPEEDS_10 | (features.0 >> OTHERS_SHIFT) & OTHERS_10,
        false => features.0,
    }
}

/// Bits that a version has of a port's configuration.
fn config_bits(version: Version) -> u32 {
    if old(version) { CONFIG_10 } else { CONFIG_11 }
}

/// Bits that a version has of a port's state.
fn state_bits(version: Version) -> u32 {
    match old(version) {
        true => PortState::LINK_DOWN.0 | PortState::STP_MASK.0,
        false => PortState::LINK_DOWN.0 | PortState::BLOCKED.0 | PortState::LIVE.0,
    }
}

/// The highest speed among features.
fn speed_kbps(features: PortFeatures) -> u32 {
    const SPEEDS: [(PortFeatures, u32); 10] = [
        (PortFeatures::F1TB_FD, 1_000_000_000),
        (PortFeatures::F100GB_FD, 100_000_000),
        (PortFeatures::F40GB_FD, 40_000_000),
        (PortFeatures::F10GB_FD, 10_000_000),
        (PortFeatures::F1GB_FD, 1_000_000),
        (PortFeatures::F1GB_HD, 1_000_000),
        (PortFeatures::F100MB_FD, 100_000),
        (PortFeatures::F100MB_HD, 100_000),
        (PortFeatures::F10MB_FD, 10_000),
        (PortFeatures::F10MB_HD, 10_000),
    ];
    let found = SPEEDS.iter().find(|(bit, _)| features.contains(*bit));
    found.map_or(0, |(_, kbps)| *kbps)
}

/// A port's number as the version has it.
pub(super) fn read_number(reader: &mut Reader<'_>, version: Version) -> Result<OfPort, Refusal> {
    match old(version) {
        true => Ok(OfPort(reader.u16()?)),
        false => reader.port32(),
    }
}

/// A port, as it stands in lists of them and where it changes.
pub(super) fn read_desc(reader: &mut Reader<'_>, version: Version) -> Result<PortDesc, Refusal> {
    if has_properties(version) {
        return read_desc_with_properties(reader);
    }
    let port = read_number(reader, version)?;
    if !old(version) {
        reader.skip(4)?;
    }
    let hw_addr = reader.mac()?;
    if !old(version) {
        reader.skip(2)?;
    }
    let mut desc = read_name_and_state(reader, version, port, hw_addr)?;
    read_features(reader, version, &mut desc)?;
    Ok(desc)
}

/// Name, configuration and state; what the port can do follows.
fn read_name_and_state(
    reader: &mut Reader<'_>,
    version: Version,
    port: OfPort,
    hw_addr: MacAddr,
) -> Result<PortDesc, Refusal> {
    Ok(PortDesc {
        port,
        hw_addr,
        name: reader.text(NAME_LEN)?,
        config: PortConfig(reader.u32()? & config_bits(version)),
        state: PortState(reader.u32()? & state_bits(version)),
        current: PortFeatures::default(),
        advertised: PortFeatures::default(),
        supported: PortFeatures::default(),
        peer: PortFeatures::default(),
        current_speed_kbps: 0,
        max_speed_kbps: 0,
    })
}

/// What a port can and does, and from OpenFlow 1.1 on its speeds; in 1.0 they follow from it.
fn read_features(
    reader: &mut Reader<'_>,
    version: Version,
    desc: &mut PortDesc,
) -> Result<(), Refusal> {
    desc.current = features(reader.u32()?, version);
    desc.advertised = features(reader.u32()?, version);
    desc.supported = features(reader.u32()?, version);
    desc.peer = features(reader.u32()?, version);
    (desc.current_speed_kbps, desc.max_speed_kbps) = match old(version) {
        true => (speed_kbps(desc.current), speed_kbps(desc.supported)),
        false => (reader.u32()?, reader.u32()?),
    };
    Ok(())
}

fn read_desc_with_properties(reader: &mut Reader<'_>) -> Result<PortDesc, Refusal> {
    let version = Version::OpenFlow14;
    let mut head = *reader;
    let port = head.port32()?;
    let length = usize::from(head.u16()?);
    let mut body = reader.part(length)?;
    // Number, length and two unused bytes.
    body.skip(8)?;
    let hw_addr = body.mac()?;
    body.skip(2)?;
    let mut desc = read_name_and_state(&mut body, version, port, hw_addr)?;
    while !body.is_empty() {
        let mut element = property(&mut body)?;
        if element.kind == ETHERNET {
            element.body.skip(4)?;
            read_features(&mut element.body, version, &mut desc)?;
            element.body.end()?;
        }
    }
    Ok(desc)
}

pub(super) fn write_desc(out: &mut Writer<'_>, desc: &PortDesc) -> Result<(), EncodeError> {
    let version = out.version;
    let start = out.place();
    match version {
        Version::OpenFlow10 => out.u16(desc.port.0),
        _ => out.port32(desc.port),
    }
    if has_properties(version) {
        // The length follows.
        out.zeros(4);
    } else if !old(version) {
        out.zeros(4);
    }
    out.mac(desc.hw_addr);
    if !old(version) {
        out.zeros(2);
    }
    out.text(&desc.name, NAME_LEN);
    out.u32(desc.config.0 & config_bits(version));
    out.u32(desc.state.0 & state_bits(version));
    let head = out.place();
    if has_properties(version) {
        out.u16(ETHERNET);
        out.u16(0);
        out.zeros(4);
    }
    for features in [desc.current, desc.advertised, desc.supported, desc.peer] {
        out.u32(features_number(features, version));
    }
    if !old(version) {
        out.u32(desc.current_speed_kbps);
        out.u32(desc.max_speed_kbps);
    }
    if has_properties(version) {
        out.length_at(head + 2, head)?;
        out.length_at(start + 4, start)?;
    }
    Ok(())
}

fn decode_desc_request(
    reader: &mut Reader<'_>,
    decoding: Decoding<'_>,
) -> Result<Message, Refusal> {
    let port = match decoding.version {
        Version::OpenFlow15 => {
            let port = reader.port32()?;
            reader.skip(4)?;
            port
        }
        _ => OfPort::ANY,
    };
    Ok(Message::Request(MultipartRequest::PortDesc(port)))
}

pub(super) fn encode_desc_request(out: &mut Writer<'_>, port: OfPort) -> Result<(), EncodeError> {
    out.begin(Class::Request, 13);
    if out.version == Version::OpenFlow15 {
        out.port32(port);
        out.zeros(4);
    }
    Ok(())
}

fn decode_desc_reply(reader: &mut Reader<'_>, decoding: Decoding<'_>) -> Result<Message, Refusal> {
    let mut ports = Vec::new();
    while !reader.is_empty() {
        ports.push(read_desc(reader, decoding.version)?);
    }
    Ok(Message::Reply {
        reply: MultipartReply::PortDesc(ports),
        more: decoding.more,
    })
}

pub(super) fn encode_desc_reply(
    out: &mut Writer<'_>,
    ports: &[PortDesc],
) -> Result<(), EncodeError> {
    out.begin(Class::Reply, 13);
    for port in ports {
        write_desc(out, port)?;
        out.end_entry()?;
    }
    Ok(())
}

const CHANGES: [PortChange; 3] = [PortChange::Add, PortChange::Delete, PortChange::Modify];

fn decode_status(reader: &mut Reader<'_>, decoding: Decoding<'_>) -> Result<Message, Refusal> {
    let reason = reader.u8()?;
    reader.skip(7)?;
    let change = CHANGES.get(usize::from(reason)).copied();
    let bad = Refusal::new(ErrorCode::OFPBRC_BAD_TYPE, "a port's change isn't known");
    Ok(Message::PortStatus(PortStatus {
        change: change.ok_or(bad)?,
        port: read_desc(reader, decoding.version)?,
    }))
}

pub(super) fn encode_status(out: &mut Writer<'_>, status: &PortStatus) -> Result<(), EncodeError> {
    out.begin(Class::Ofpt, 12);
    out.u8(status.change as u8);
    out.zeros(7);
    write_desc(out, &status.port)
}

fn decode_mod(reader: &mut Reader<'_>, decoding: Decoding<'_>) -> Result<Message, Refusal> {
    let version = decoding.version;
    let port = read_number(reader, version)?;
    if !old(version) {
        reader.skip(4)?;
    }
    let hw_addr = reader.mac()?;
    if !old(version) {
        reader.skip(2)?;
    }
    let (config, mask) = (reader.u32()?, reader.u32()?);
    let advertise = match has_properties(version) {
        true => read_advertise(reader)?,
        false => {
            let advertise = features(reader.u32()?, version);
            reader.skip(4)?;
            advertise
        }
    };
    if (config | mask) & !config_bits(version) != 0 {
        return Err(Refusal::new(
            ErrorCode::OFPPMFC_BAD_CONFIG,
            "a port has no such setting",
        ));
    }
    Ok(Message::PortMod(PortMod {
        port,
        hw_addr,
        config: PortConfig(config),
        mask: PortConfig(mask),
        advertise,
    }))
}

fn read_advertise(reader: &mut Reader<'_>) -> Result<PortFeatures, Refusal> {
    let mut advertise = PortFeatures::default();
    while !reader.is_empty() {
        let mut element = property(reader)?;
        match element.kind {
            ETHERNET => {
                advertise = PortFeatures(element.body.u32()?);
                element.body.end()?;
            }
            EXPERIMENTER_PROPERTY => {
                return Err(Refusal::new(
                    ErrorCode::OFPBPC_BAD_EXPERIMENTER,
                    "the experimenter of a port's property isn't known",
                ));
            }
            _ => refuse_unknown("a port has no such property")?,
        }
    }
    Ok(advertise)
}

pub(super) fn encode_mod(out: &mut Writer<'_>, change: &PortMod) -> Result<(), EncodeError> {
    let version = out.version;
    let number = if old(version) { 15 } else { 16 };
    out.begin(Class::Ofpt, number);
    match old(version) {
        true => out.u16(change.port.0),
        false => {
            out.port32(change.port);
            out.zeros(4);
        }
    }
    out.mac(change.hw_addr);
    if !old(version) {
        out.zeros(2);
    }
    out.u32(change.config.0 & config_bits(version));
    out.u32(change.mask.0 & config_bits(version));
    let advertise = features_number(change.advertise, version);
    if !has_properties(version) {
        out.u32(advertise);
        out.zeros(4);
    } else if advertise != 0 {
        out.u16(ETHERNET);
        out.u16(8);
        out.u32(advertise);
    }
    Ok(())
}

/// Seconds and nanoseconds since something was made; all ones mean that it isn't known.
pub(super) fn read_duration(reader: &mut Reader<'_>) -> Result<Option<Duration>, Refusal> {
    let (seconds, nanos) = (reader.u32()?, reader.u32()?);
    let known = seconds != u32::MAX || nanos != u32::MAX;
    Ok(known.then(|| Duration::from_secs(seconds.into()) + Duration::from_nanos(nanos.into())))
}

pub(super) fn write_duration(out: &mut Writer<'_>, duration: Option<Duration>) {
    match duration {
        Some(duration) => {
            out.u32(u32::try_from(duration.as_secs()).unwrap_or(u32::MAX));
            out.u32(duration.subsec_nanos());
        }
        None => out.u64(u64::MAX),
    }
}
