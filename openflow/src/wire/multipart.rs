//! What the switch is called (OpenFlow 1.3.5 §7.3.5.1).

use super::kind::{Class, Kind, kind};
use super::read::{Reader, Refusal};
use super::write::Writer;
use super::{Decoding, EncodeError};
use crate::message::{Message, MultipartReply, MultipartRequest, SwitchDesc};

pub(super) const KINDS: &[Kind] = &[
    kind(Class::Request, 0, 0, 5, decode_request),
    kind(Class::Reply, 0, 0, 5, decode_reply),
];

/// Bytes of descriptions, and of the serial number, with the 0 at their end.
const DESC_LEN: usize = 256;
const SERIAL_LEN: usize = 32;

fn decode_request(_: &mut Reader<'_>, _: Decoding<'_>) -> Result<Message, Refusal> {
    Ok(Message::Request(MultipartRequest::Desc))
}

fn decode_reply(reader: &mut Reader<'_>, decoding: Decoding<'_>) -> Result<Message, Refusal> {
    let desc = SwitchDesc {
        manufacturer: reader.text(DESC_LEN)?,
        hardware: reader.text(DESC_LEN)?,
        software: reader.text(DESC_LEN)?,
        serial: reader.text(SERIAL_LEN)?,
        description: reader.text(DESC_LEN)?,
    };
    Ok(Message::Reply {
        reply: MultipartReply::Desc(desc),
        more: decoding.more,
    })
}

pub(super) fn encode_desc_request(out: &mut Writer<'_>) -> Result<(), EncodeError> {
    out.begin(Class::Request, 0);
    Ok(())
}

pub(super) fn encode_desc_reply(
    out: &mut Writer<'_>,
    desc: &SwitchDesc,
) -> Result<(), EncodeError> {
    out.begin(Class::Reply, 0);
    out.text(&desc.manufacturer, DESC_LEN);
    out.text(&desc.hardware, DESC_LEN);
    out.text(&desc.software, DESC_LEN);
    out.text(&desc.serial, SERIAL_LEN);
    out.text(&desc.description, DESC_LEN);
    Ok(())
}
