//! Bundles (OpenFlow 1.4.1 §7.3.9), and requests of other controllers (§7.4.6).

use super::kind::{Class, Kind, kind};
use super::read::{Reader, Refusal};
use super::write::Writer;
use super::{Decoding, EncodeError, QUOTE_LEN, decode_inner, encode};
use crate::error::ErrorCode;
use crate::header::Header;
use crate::message::{
    BundleAdd, BundleControl, BundleControlKind, BundleFlags, Envelope, Message, RequestForward,
};
use crate::version::Version;

const CONTROL: u32 = 33;
const ADD: u32 = 34;
const ONF_CONTROL: u32 = 2300;
const ONF_ADD: u32 = 2301;
const FORWARD: u32 = 32;
const NX_FORWARD: u32 = 132;
const ONF_FORWARD: u32 = 2350;

pub(super) const KINDS: &[Kind] = &[
    kind(Class::Ofpt, CONTROL, 4, 5, read_control),
    kind(Class::Onft, ONF_CONTROL, 3, 3, read_control),
    kind(Class::Ofpt, ADD, 4, 5, read_add),
    kind(Class::Onft, ONF_ADD, 3, 3, read_add),
    kind(Class::Ofpt, FORWARD, 4, 5, read_forward),
    kind(Class::Onft, ONF_FORWARD, 3, 3, read_forward),
    kind(Class::Nxt, NX_FORWARD, 0, 2, read_forward),
];

/// Bundle, type, flags, properties that aren't looked at.
fn read_control(reader: &mut Reader<'_>, _: Decoding<'_>) -> Result<Message, Refusal> {
    let id = reader.u32()?;
    let number = usize::from(reader.u16()?);
    let flags = BundleFlags(reader.u16()?);
    reader.rest();
    let known = BundleControlKind::ALL.get(number).copied();
    let kind = known.ok_or(Refusal::new(
        ErrorCode::OFPBFC_BAD_TYPE,
        "there is no such control of bundles",
    ))?;
    Ok(Message::BundleControl(BundleControl { id, kind, flags }))
}

/// Bundle, padding, flags, a message, properties that aren't looked at.
fn read_add(reader: &mut Reader<'_>, d: Decoding<'_>) -> Result<Message, Refusal> {
    let id = reader.u32()?;
    reader.skip(2)?;
    let flags = BundleFlags(reader.u16()?);
    let bytes = reader.rest();
    let (header, inner) = inner_message(bytes, d)?;
    if !can_be_added(&inner.message) {
        return Err(Refusal::new(
            ErrorCode::OFPBFC_MSG_UNSUP,
            "this message can't be in a bundle",
        ));
    }
    let quote = bytes[..usize::from(header.length).min(QUOTE_LEN)].to_vec();
    Ok(Message::BundleAdd(Box::new(BundleAdd {
        id,
        flags,
        message: inner,
        quote,
    })))
}

fn can_be_added(message: &Message) -> bool {
    matches!(
        message,
        Message::FlowMod(_)
            | Message::GroupMod(_)
            | Message::MeterMod(_)
            | Message::PortMod(_)
            | Message::PacketOut(_)
    )
}

/// A message inside of another, of the same version. Messages that contain others can't be inside.
fn inner_message(bytes: &[u8], d: Decoding<'_>) -> Result<(Header, Envelope), Refusal> {
    let wrong_len = Refusal::new(
        ErrorCode::OFPBFC_MSG_BAD_LEN,
        "the message inside has a wrong length",
    );
    let header = Header::read(bytes).ok_or(wrong_len)?;
    let inner = bytes.get(..usize::from(header.length)).ok_or(wrong_len)?;
    if inner.len() < Header::LEN {
        return Err(wrong_len);
    }
    if header.version != d.version.number() {
        return Err(Refusal::new(
            ErrorCode::OFPBFC_BAD_VERSION,
            "the message inside is of another version",
        ));
    }
    if d.depth > 0 {
        return Err(Refusal::new(
            ErrorCode::OFPBFC_MSG_UNSUP,
            "a bundle can't be in a bundle",
        ));
    }
    let envelope = decode_inner(inner, header, d.context, d.depth + 1)?;
    Ok((header, envelope))
}

fn read_forward(reader: &mut Reader<'_>, d: Decoding<'_>) -> Result<Message, Refusal> {
    let (_, Envelope { xid, message, .. }) = inner_message(reader.rest(), d)?;
    match message {
        Message::GroupMod(group_mod) => Ok(Message::RequestForward(RequestForward::Group {
            xid,
            group_mod,
        })),
        Message::MeterMod(meter_mod) => Ok(Message::RequestForward(RequestForward::Meter {
            xid,
            meter_mod,
        })),
        _ => Err(Refusal::new(
            ErrorCode::OFPBFC_MSG_UNSUP,
            "only changes of groups and meters are told to others",
        )),
    }
}

fn begin(out: &mut Writer<'_>, plain: u32, onf: u32) -> Result<(), EncodeError> {
    match out.version {
        Version::OpenFlow14 | Version::OpenFlow15 => out.begin(Class::Ofpt, plain),
        Version::OpenFlow13 => out.begin(Class::Onft, onf),
        _ => return Err(out.unsupported("bundles")),
    }
    Ok(())
}

pub(super) fn encode_control(
    out: &mut Writer<'_>,
    control: &BundleControl,
) -> Result<(), EncodeError> {
    begin(out, CONTROL, ONF_CONTROL)?;
    out.u32(control.id);
    out.u16(control.kind as u16);
    out.u16(control.flags.0);
    Ok(())
}

pub(super) fn encode_add(out: &mut Writer<'_>, add: &BundleAdd) -> Result<(), EncodeError> {
    begin(out, ADD, ONF_ADD)?;
    out.u32(add.id);
    out.zeros(2);
    out.u16(add.flags.0);
    write_inner(out, &add.message)
}

fn write_inner(out: &mut Writer<'_>, message: &Envelope) -> Result<(), EncodeError> {
    let context = out.context;
    encode::encode_into(out.bytes, message, context)
}

pub(super) fn encode_forward(
    out: &mut Writer<'_>,
    request: &RequestForward,
) -> Result<(), EncodeError> {
    match out.version {
        Version::OpenFlow13 => out.begin(Class::Onft, ONF_FORWARD),
        Version::OpenFlow14 | Version::OpenFlow15 => out.begin(Class::Ofpt, FORWARD),
        _ => out.begin(Class::Nxt, NX_FORWARD),
    }
    let (xid, message) = match request {
        RequestForward::Group { xid, group_mod } => (*xid, Message::GroupMod(group_mod.clone())),
        RequestForward::Meter { xid, meter_mod } => (*xid, Message::MeterMod(meter_mod.clone())),
    };
    let version = out.version;
    let inner = Envelope {
        version,
        xid,
        message,
    };
    write_inner(out, &inner)
}
