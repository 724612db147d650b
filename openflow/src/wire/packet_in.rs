//! Packets for controllers (OpenFlow 1.3.5 §7.4.1), Nicira's forms of them, and packets that go on.

use aorta_flow::action::PacketInReason;
use aorta_flow::field::FieldId;
use aorta_flow::{Match, OfPort};

use super::actions::property;
use super::flow_mod::{NO_BUFFER, buffer, write_nxm};
use super::kind::{Class, Kind, kind};
use super::oxm::{self, Unknown};
use super::read::{Reader, Refusal, element};
use super::write::Writer;
use super::{Decoding, EncodeError, oxm_write};
use crate::error::ErrorCode;
use crate::message::{Message, PacketIn, PacketInForm};
use crate::version::Version;

const PACKET_IN: u32 = 10;
const NXT_PACKET_IN: u32 = 17;
const NXT_PACKET_IN2: u32 = 30;
const NXT_RESUME: u32 = 28;

pub(super) const KINDS: &[Kind] = &[
    kind(Class::Ofpt, PACKET_IN, 0, 0, read10),
    kind(Class::Ofpt, PACKET_IN, 1, 1, read11),
    kind(Class::Ofpt, PACKET_IN, 2, 5, read12),
    kind(Class::Nxt, NXT_PACKET_IN, 0, 5, read_nicira),
    kind(Class::Nxt, NXT_PACKET_IN2, 0, 5, |r, _| {
        Ok(Message::PacketIn(read_properties(r)?))
    }),
    kind(Class::Nxt, NXT_RESUME, 0, 5, |r, _| {
        Ok(Message::Resume(read_properties(r)?))
    }),
];

/// Properties of the newer form.
mod property_type {
    pub const PACKET: u16 = 0;
    pub const FULL_LEN: u16 = 1;
    pub const BUFFER_ID: u16 = 2;
    pub const TABLE_ID: u16 = 3;
    pub const COOKIE: u16 = 4;
    pub const REASON: u16 = 5;
    pub const METADATA: u16 = 6;
    pub const USERDATA: u16 = 7;
    pub const CONTINUATION: u16 = 8;
}

/// Cookie of a packet without a flow.
const NO_COOKIE: u64 = u64::MAX;

fn reason(number: u8) -> Result<PacketInReason, Refusal> {
    let all = PacketInReason::ALL.iter().map(|(_, reason)| *reason);
    let mut all = all;
    all.nth(number.into()).ok_or(Refusal::new(
        ErrorCode::NXBRC_BAD_REASON,
        "the reason for which a packet comes isn't known",
    ))
}

/// The number of a reason in a version: from OpenFlow 1.4 on there are more of them.
fn reason_number(reason: PacketInReason, version: Version) -> u8 {
    let asked = match reason {
        PacketInReason::ActionSet | PacketInReason::Group | PacketInReason::PacketOut => {
            version < Version::OpenFlow14
        }
        PacketInReason::NoMatch | PacketInReason::Action | PacketInReason::InvalidTtl => false,
    };
    match asked {
        true => PacketInReason::Action as u8,
        false => reason as u8,
    }
}

fn packet(form: PacketInForm) -> PacketIn {
    PacketIn {
        form,
        frame: Vec::new(),
        total_len_bytes: 0,
        buffer_id: None,
        reason: PacketInReason::NoMatch,
        table: None,
        cookie: None,
        metadata: Match::any(),
        userdata: Vec::new(),
        continuation: None,
    }
}

fn from_port(port: OfPort) -> Result<Match, Refusal> {
    let mut metadata = Match::any();
    let refused = Refusal::new(ErrorCode::OFPBRC_BAD_PORT, "a port can't be");
    metadata
        .set(FieldId::IN_PORT, port.0.into())
        .map_err(|_| refused)?;
    Ok(metadata)
}

fn in_port(packet: &PacketIn) -> OfPort {
    let port = packet.metadata.exact(FieldId::IN_PORT);
    port.map_or(OfPort::ANY, |port| OfPort(port as u16))
}

/// Buffer, length, port, reason, padding, frame.
fn read10(reader: &mut Reader<'_>, _: Decoding<'_>) -> Result<Message, Refusal> {
    let mut packet = packet(PacketInForm::Standard);
    packet.buffer_id = buffer(reader.u32()?);
    packet.total_len_bytes = reader.u16()?.into();
    packet.metadata = from_port(OfPort(reader.u16()?))?;
    packet.reason = reason(reader.u8()?)?;
    reader.skip(1)?;
    packet.frame = reader.rest().to_vec();
    Ok(Message::PacketIn(packet))
}

/// Buffer, port, physical port, length, reason, table, frame.
fn read11(reader: &mut Reader<'_>, _: Decoding<'_>) -> Result<Message, Refusal> {
    let mut packet = packet(PacketInForm::Standard);
    packet.buffer_id = buffer(reader.u32()?);
    packet.metadata = from_port(reader.port32()?)?;
    reader.skip(4)?;
    packet.total_len_bytes = reader.u16()?.into();
    packet.reason = reason(reader.u8()?)?;
    packet.table = Some(reader.u8()?);
    packet.frame = reader.rest().to_vec();
    Ok(Message::PacketIn(packet))
}

/// Buffer, length, reason, table, cookie (from OpenFlow 1.3), match, padding, frame.
fn read12(reader: &mut Reader<'_>, d: Decoding<'_>) -> Result<Message, Refusal> {
    let mut packet = packet(PacketInForm::Standard);
    packet.buffer_id = buffer(reader.u32()?);
    packet.total_len_bytes = reader.u16()?.into();
    packet.reason = reason(reader.u8()?)?;
    packet.table = Some(reader.u8()?);
    if d.version >= Version::OpenFlow13 {
        packet.cookie = Some(reader.u64()?).filter(|cookie| *cookie != NO_COOKIE);
    }
    packet.metadata = oxm::read_match(reader, Unknown::Skip)?;
    reader.skip(2)?;
    packet.frame = reader.rest().to_vec();
    Ok(Message::PacketIn(packet))
}

/// Buffer, length, reason, table, cookie, length of the match, padding, match, padding, frame.
fn read_nicira(reader: &mut Reader<'_>, _: Decoding<'_>) -> Result<Message, Refusal> {
    let mut packet = packet(PacketInForm::Nicira);
    packet.buffer_id = buffer(reader.u32()?);
    packet.total_len_bytes = reader.u16()?.into();
    packet.reason = reason(reader.u8()?)?;
    packet.table = Some(reader.u8()?);
    packet.cookie = Some(reader.u64()?).filter(|cookie| *cookie != NO_COOKIE);
    let match_len = usize::from(reader.u16()?);
    reader.skip(6)?;
    let fields = reader.part(match_len)?;
    reader.skip(match_len.next_multiple_of(8) - match_len)?;
    packet.metadata = oxm::read(fields, Unknown::Skip)?.matching;
    reader.skip(2)?;
    packet.frame = reader.rest().to_vec();
    Ok(Message::PacketIn(packet))
}

fn read_properties(reader: &mut Reader<'_>) -> Result<PacketIn, Refusal> {
    let mut packet = packet(PacketInForm::Nicira2);
    let (mut full_len, mut there) = (None, false);
    while !reader.is_empty() {
        let mut property = element(reader, ErrorCode::OFPBPC_BAD_LEN)?;
        let value = &mut property.body;
        match property.kind {
            property_type::PACKET => {
                there = true;
                packet.frame = value.rest().to_vec();
            }
            property_type::FULL_LEN => full_len = Some(value.u32()?),
            property_type::BUFFER_ID => packet.buffer_id = buffer(value.u32()?),
            property_type::TABLE_ID => packet.table = Some(value.u8()?),
            property_type::COOKIE => {
                value.skip(4)?;
                packet.cookie = Some(value.u64()?).filter(|cookie| *cookie != NO_COOKIE);
            }
            property_type::REASON => packet.reason = reason(value.u8()?)?,
            property_type::METADATA => {
                let fields = value.part(value.len())?;
                packet.metadata = oxm::read(fields, Unknown::Skip)?.matching;
            }
            property_type::USERDATA => packet.userdata = value.rest().to_vec(),
            property_type::CONTINUATION => packet.continuation = Some(value.rest().to_vec()),
            _ => {
                return Err(Refusal::new(
                    ErrorCode::OFPBPC_BAD_TYPE,
                    "a property of a packet isn't known",
                ));
            }
        }
        value.end()?;
    }
    if !there {
        return Err(Refusal::bad_len("a packet without its bytes"));
    }
    packet.total_len_bytes = full_len.unwrap_or(packet.frame.len() as u32);
    Ok(packet)
}

pub(super) fn encode(out: &mut Writer<'_>, packet: &PacketIn) -> Result<(), EncodeError> {
    out.lossy = true;
    match (packet.form, out.version) {
        (PacketInForm::Nicira2, _) => write_properties(out, NXT_PACKET_IN2, packet),
        (PacketInForm::Nicira, _) => write_nicira(out, packet),
        (_, Version::OpenFlow10) => {
            write10(out, packet);
            Ok(())
        }
        (_, Version::OpenFlow11) => {
            write11(out, packet);
            Ok(())
        }
        _ => write12(out, packet),
    }
}

pub(super) fn encode_resume(out: &mut Writer<'_>, packet: &PacketIn) -> Result<(), EncodeError> {
    write_properties(out, NXT_RESUME, packet)
}

fn total_len(packet: &PacketIn) -> u16 {
    u16::try_from(packet.total_len_bytes).unwrap_or(u16::MAX)
}

fn write10(out: &mut Writer<'_>, packet: &PacketIn) {
    out.begin(Class::Ofpt, PACKET_IN);
    out.u32(packet.buffer_id.unwrap_or(NO_BUFFER));
    out.u16(total_len(packet));
    out.u16(in_port(packet).0);
    out.u8(reason_number(packet.reason, out.version));
    out.zeros(1);
    out.all(&packet.frame);
}

fn write11(out: &mut Writer<'_>, packet: &PacketIn) {
    out.begin(Class::Ofpt, PACKET_IN);
    out.u32(packet.buffer_id.unwrap_or(NO_BUFFER));
    out.port32(in_port(packet));
    out.port32(in_port(packet));
    out.u16(total_len(packet));
    out.u8(reason_number(packet.reason, out.version));
    out.u8(packet.table.unwrap_or(0));
    out.all(&packet.frame);
}

fn write12(out: &mut Writer<'_>, packet: &PacketIn) -> Result<(), EncodeError> {
    out.begin(Class::Ofpt, PACKET_IN);
    out.u32(packet.buffer_id.unwrap_or(NO_BUFFER));
    out.u16(total_len(packet));
    out.u8(reason_number(packet.reason, out.version));
    out.u8(packet.table.unwrap_or(0));
    if out.version >= Version::OpenFlow13 {
        out.u64(packet.cookie.unwrap_or(NO_COOKIE));
    }
    oxm::write_match(out, &packet.metadata)?;
    out.zeros(2);
    out.all(&packet.frame);
    Ok(())
}

fn write_nicira(out: &mut Writer<'_>, packet: &PacketIn) -> Result<(), EncodeError> {
    out.begin(Class::Nxt, NXT_PACKET_IN);
    out.u32(packet.buffer_id.unwrap_or(NO_BUFFER));
    out.u16(total_len(packet));
    out.u8(reason_number(packet.reason, out.version));
    out.u8(packet.table.unwrap_or(0));
    out.u64(packet.cookie.unwrap_or(NO_COOKIE));
    let length_at = out.place();
    out.zeros(8);
    write_nxm(out, &packet.metadata, None, length_at)?;
    out.zeros(2);
    out.all(&packet.frame);
    Ok(())
}

fn write_properties(
    out: &mut Writer<'_>,
    number: u32,
    packet: &PacketIn,
) -> Result<(), EncodeError> {
    out.begin(Class::Nxt, number);
    property(out, property_type::PACKET, &packet.frame)?;
    if packet.total_len_bytes as usize != packet.frame.len() {
        let len = packet.total_len_bytes.to_be_bytes();
        property(out, property_type::FULL_LEN, &len)?;
    }
    if let Some(buffer) = packet.buffer_id {
        property(out, property_type::BUFFER_ID, &buffer.to_be_bytes())?;
    }
    if let Some(table) = packet.table {
        property(out, property_type::TABLE_ID, &[table])?;
    }
    if let Some(cookie) = packet.cookie {
        let mut padded = [0; 12];
        padded[4..].copy_from_slice(&cookie.to_be_bytes());
        property(out, property_type::COOKIE, &padded)?;
    }
    let reason = reason_number(packet.reason, out.version);
    property(out, property_type::REASON, &[reason])?;
    let start = out.place();
    out.u16(property_type::METADATA);
    out.u16(0);
    // Fields have the codes of OpenFlow 1.2 in earlier versions, too.
    let version = out.version;
    out.version = version.max(Version::OpenFlow12);
    let written = oxm_write::write(out, &packet.metadata);
    out.version = version;
    written?;
    out.length_at(start + 2, start)?;
    out.pad_to_8(start);
    if let Some(continuation) = &packet.continuation {
        property(out, property_type::CONTINUATION, continuation)?;
    }
    match packet.userdata.is_empty() {
        true => Ok(()),
        false => property(out, property_type::USERDATA, &packet.userdata),
    }
}
