//! Packets from controllers (OpenFlow 1.3.5 §7.3.7).

use aorta_flow::field::FieldId;
use aorta_flow::{Match, OfPort};

use super::flow_mod::{NO_BUFFER, buffer};
use super::kind::{Class, Kind, kind};
use super::oxm::{self, Unknown};
use super::read::{Reader, Refusal};
use super::write::Writer;
use super::{Decoding, EncodeError, actions};
use crate::error::ErrorCode;
use crate::message::{Message, PacketOut};
use crate::version::Version;

const PACKET_OUT: u32 = 13;

pub(super) const KINDS: &[Kind] = &[
    kind(Class::Ofpt, PACKET_OUT, 0, 4, read10),
    kind(Class::Ofpt, PACKET_OUT, 5, 5, read15),
];

/// Buffer, port, length of the actions, actions, frame.
fn read10(reader: &mut Reader<'_>, d: Decoding<'_>) -> Result<Message, Refusal> {
    let buffer_id = buffer(reader.u32()?);
    let in_port = match d.version {
        Version::OpenFlow10 => OfPort(reader.u16()?),
        _ => reader.port32().map_err(|_| bad_port())?,
    };
    let actions_len = reader.u16()?;
    if d.version > Version::OpenFlow10 {
        reader.skip(6)?;
    }
    let mut list = reader.part(actions_len.into())?;
    Ok(Message::PacketOut(PacketOut {
        buffer_id,
        in_port: checked_port(in_port)?,
        metadata: Match::any(),
        actions: actions::read(&mut list, d)?,
        frame: reader.rest().to_vec(),
    }))
}

fn bad_port() -> Refusal {
    Refusal::new(
        ErrorCode::OFPBRC_BAD_PORT,
        "packets can't be as if they came from this port",
    )
}

/// Packets come from ports, from the switch itself, from controllers, or from nowhere.
fn checked_port(port: OfPort) -> Result<OfPort, Refusal> {
    match port {
        OfPort::LOCAL | OfPort::CONTROLLER | OfPort::ANY => Ok(port),
        OfPort(0..0xff00) => Ok(port),
        _ => Err(bad_port()),
    }
}

/// Buffer, length of the actions, padding, match, actions, frame.
fn read15(reader: &mut Reader<'_>, d: Decoding<'_>) -> Result<Message, Refusal> {
    let buffer_id = buffer(reader.u32()?);
    let actions_len = reader.u16()?;
    reader.skip(2)?;
    let mut metadata = oxm::read_match(reader, Unknown::Refuse)?;
    let in_port = metadata.exact(FieldId::IN_PORT);
    let in_port = in_port.map_or(OfPort::ANY, |port| OfPort(port as u16));
    // The port is told by itself.
    metadata
        .set_masked(FieldId::IN_PORT, 0, 0)
        .map_err(|_| bad_port())?;
    let mut list = reader.part(actions_len.into())?;
    Ok(Message::PacketOut(PacketOut {
        buffer_id,
        in_port: checked_port(in_port)?,
        metadata,
        actions: actions::read(&mut list, d)?,
        frame: reader.rest().to_vec(),
    }))
}

pub(super) fn encode(out: &mut Writer<'_>, packet: &PacketOut) -> Result<(), EncodeError> {
    if out.version < Version::OpenFlow15 && packet.metadata != Match::any() {
        return Err(out.unsupported("fields beside a packet"));
    }
    out.begin(Class::Ofpt, PACKET_OUT);
    out.u32(packet.buffer_id.unwrap_or(NO_BUFFER));
    let length_at;
    match out.version {
        Version::OpenFlow10 => {
            out.u16(packet.in_port.0);
            length_at = out.place();
            out.u16(0);
        }
        Version::OpenFlow15 => {
            length_at = out.place();
            out.zeros(4);
            let mut metadata = packet.metadata.clone();
            let port = u128::from(packet.in_port.0);
            let set = metadata.set(FieldId::IN_PORT, port);
            set.map_err(|_| out.unsupported("such port"))?;
            oxm::write_match(out, &metadata)?;
        }
        _ => {
            out.port32(packet.in_port);
            length_at = out.place();
            out.zeros(8);
        }
    }
    let start = out.place();
    actions::write(out, &packet.actions)?;
    out.length_at(length_at, start)?;
    out.all(&packet.frame);
    Ok(())
}
