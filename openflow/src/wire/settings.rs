//! Nicira's settings of a connection.

use super::EncodeError;
use super::kind::{Class, Kind, kind};
use super::read::{Reader, Refusal};
use super::write::Writer;
use crate::error::ErrorCode;
use crate::message::{FlowFormat, Message, PacketInFormat};
use crate::version::Version;

const SET_FLOW_FORMAT: u32 = 12;
const FLOW_MOD_TABLE_ID: u32 = 15;
const SET_PACKET_IN_FORMAT: u32 = 16;
const FLOW_AGE: u32 = 18;
const SET_CONTROLLER_ID: u32 = 20;

pub(super) const KINDS: &[Kind] = &[
    kind(Class::Nxt, SET_FLOW_FORMAT, 0, 0, |r, _| {
        read_flow_format(r)
    }),
    kind(Class::Nxt, FLOW_MOD_TABLE_ID, 0, 5, |r, _| {
        let set = r.u8()? != 0;
        r.zeros(7, ErrorCode::NXBRC_MUST_BE_ZERO)?;
        Ok(Message::FlowModTableId(set))
    }),
    kind(Class::Nxt, SET_PACKET_IN_FORMAT, 0, 5, |r, _| {
        read_packet_in_format(r)
    }),
    kind(Class::Nxt, FLOW_AGE, 0, 5, |_, _| Ok(Message::FlowAge)),
    kind(Class::Nxt, SET_CONTROLLER_ID, 0, 5, |r, _| {
        r.zeros(6, ErrorCode::NXBRC_MUST_BE_ZERO)?;
        Ok(Message::SetControllerId(r.u16()?))
    }),
];

/// The number of OpenFlow 1.0's flows, and of those with Nicira's match.
const FLOW_OPENFLOW10: u32 = 0;
const FLOW_NXM: u32 = 2;

fn refused() -> Refusal {
    Refusal::new(ErrorCode::OFPBRC_EPERM, "there is no such format")
}

fn read_flow_format(reader: &mut Reader<'_>) -> Result<Message, Refusal> {
    match reader.u32()? {
        FLOW_OPENFLOW10 => Ok(Message::SetFlowFormat(FlowFormat::OpenFlow10)),
        FLOW_NXM => Ok(Message::SetFlowFormat(FlowFormat::Nxm)),
        _ => Err(refused()),
    }
}

/// By their numbers.
const PACKET_IN_FORMATS: [PacketInFormat; 3] = [
    PacketInFormat::Standard,
    PacketInFormat::Nicira,
    PacketInFormat::Nicira2,
];

fn read_packet_in_format(reader: &mut Reader<'_>) -> Result<Message, Refusal> {
    let at = usize::try_from(reader.u32()?).ok();
    let format = at.and_then(|at| PACKET_IN_FORMATS.get(at));
    Ok(Message::SetPacketInFormat(*format.ok_or(refused())?))
}

pub(super) fn encode(out: &mut Writer<'_>, message: &Message) -> Result<(), EncodeError> {
    match message {
        Message::SetFlowFormat(_) if out.version != Version::OpenFlow10 => {
            return Err(out.unsupported("choice of a flow format"));
        }
        Message::SetFlowFormat(format) => {
            out.begin(Class::Nxt, SET_FLOW_FORMAT);
            out.u32(match format {
                FlowFormat::OpenFlow10 => FLOW_OPENFLOW10,
                FlowFormat::Nxm => FLOW_NXM,
            });
        }
        Message::FlowModTableId(set) => {
            out.begin(Class::Nxt, FLOW_MOD_TABLE_ID);
            out.u8((*set).into());
            out.zeros(7);
        }
        Message::SetPacketInFormat(format) => {
            out.begin(Class::Nxt, SET_PACKET_IN_FORMAT);
            out.u32(*format as u32);
        }
        Message::FlowAge => out.begin(Class::Nxt, FLOW_AGE),
        Message::SetControllerId(id) => {
            out.begin(Class::Nxt, SET_CONTROLLER_ID);
            out.zeros(6);
            out.u16(*id);
        }
        _ => return Err(out.unsupported("such setting")),
    }
    Ok(())
}
