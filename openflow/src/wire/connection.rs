//! Hello, errors, echoes and barriers.

use super::Decoding;
use super::EncodeError;
use super::kind::{Class, Kind, kind};
use super::read::{Reader, Refusal, element};
use super::write::Writer;
use crate::error::{ErrorCode, WireError};
use crate::message::{ErrorMessage, Hello, Message, ReportedError};
use crate::version::{Version, Versions};

pub(super) const HELLO: u8 = 0;
const ERROR: u32 = 1;
const ECHO_REQUEST: u32 = 2;
const ECHO_REPLY: u32 = 3;

pub(super) const KINDS: &[Kind] = &[
    kind(Class::Ofpt, HELLO as u32, 0, 5, |r, d| {
        Ok(hello_of(d.version, r.rest()))
    }),
    kind(Class::Ofpt, ERROR, 0, 5, read_error),
    kind(Class::Ofpt, ECHO_REQUEST, 0, 5, |r, _| {
        Ok(Message::EchoRequest(r.rest().to_vec()))
    }),
    kind(Class::Ofpt, ECHO_REPLY, 0, 5, |r, _| {
        Ok(Message::EchoReply(r.rest().to_vec()))
    }),
    kind(Class::Ofpt, 18, 0, 0, |_, _| Ok(Message::BarrierRequest)),
    kind(Class::Ofpt, 20, 1, 5, |_, _| Ok(Message::BarrierRequest)),
    kind(Class::Ofpt, 19, 0, 0, |_, _| Ok(Message::BarrierReply)),
    kind(Class::Ofpt, 21, 1, 5, |_, _| Ok(Message::BarrierReply)),
];

/// Type of the bitmap of versions among the elements of a HELLO (OpenFlow 1.3.5 §7.5.1).
const VERSION_BITMAP: u16 = 1;

/// Elements that can't be understood are passed over, so that versions can be agreed on whatever
/// is in them.
pub(super) fn hello_of(version: Version, elements: &[u8]) -> Message {
    let versions = bitmap(elements).unwrap_or(Versions::up_to(version));
    Message::Hello(Hello { versions })
}

fn bitmap(elements: &[u8]) -> Option<Versions> {
    let mut reader = Reader::new(elements, ErrorCode::OFPBRC_BAD_LEN);
    while let Ok(mut element) = element(&mut reader, ErrorCode::OFPBRC_BAD_LEN) {
        if element.kind == VERSION_BITMAP {
            return element.body.u32().ok().map(Versions::from_bitmap);
        }
    }
    None
}

/// Types that have a vendor of their own: Nicira's in OpenFlow 1.0 and 1.1, experimenters' after.
const NICIRA_ERROR: u16 = 0xb0c2;
const EXPERIMENTER_ERROR: u16 = 0xffff;

fn read_error(reader: &mut Reader<'_>, d: Decoding<'_>) -> Result<Message, Refusal> {
    let (kind, code) = (reader.u16()?, reader.u16()?);
    let plain = WireError {
        vendor: 0,
        kind,
        code,
    };
    let mut behind = *reader;
    let named = match kind {
        NICIRA_ERROR if d.version <= Version::OpenFlow11 => Some(WireError {
            vendor: behind.u32()?,
            kind: behind.u16()?,
            code: behind.u16()?,
        }),
        EXPERIMENTER_ERROR if d.version >= Version::OpenFlow12 => Some(WireError {
            vendor: behind.u32()?,
            kind: code,
            code: 0,
        }),
        _ => None,
    };
    // 0 is no vendor: what is there belongs to the data.
    let numbers = match named.filter(|numbers| numbers.vendor != 0) {
        Some(numbers) => {
            *reader = behind;
            numbers
        }
        None => plain,
    };
    let error = match ErrorCode::from_wire(d.version, numbers) {
        Some(error) => ReportedError::Known(error),
        None => ReportedError::Unknown(numbers),
    };
    Ok(Message::Error(ErrorMessage {
        error,
        data: reader.rest().to_vec(),
    }))
}

pub(super) fn encode(out: &mut Writer<'_>, message: &Message) -> Result<(), EncodeError> {
    let old = out.version == Version::OpenFlow10;
    match message {
        Message::Hello(hello) => write_hello(out, *hello),
        Message::Error(error) => return write_error(out, error),
        Message::EchoRequest(data) => {
            out.begin(Class::Ofpt, ECHO_REQUEST);
            out.all(data);
        }
        Message::EchoReply(data) => {
            out.begin(Class::Ofpt, ECHO_REPLY);
            out.all(data);
        }
        Message::BarrierRequest => out.begin(Class::Ofpt, if old { 18 } else { 20 }),
        _ => out.begin(Class::Ofpt, if old { 19 } else { 21 }),
    }
    Ok(())
}

/// The bitmap is only there if the header doesn't say the same.
fn write_hello(out: &mut Writer<'_>, hello: Hello) {
    out.begin(Class::Ofpt, HELLO.into());
    if hello.versions != Versions::up_to(out.version) {
        out.u16(VERSION_BITMAP);
        out.u16(8);
        out.u32(hello.versions.bitmap());
    }
}

fn write_error(out: &mut Writer<'_>, message: &ErrorMessage) -> Result<(), EncodeError> {
    let numbers = match message.error {
        ReportedError::Known(error) => error
            .wire(out.version)
            .or_else(|| ErrorCode::NXBRC_UNENCODABLE_ERROR.wire(out.version))
            .ok_or(out.unsupported("such error"))?,
        ReportedError::Unknown(numbers) => numbers,
    };
    out.begin(Class::Ofpt, ERROR);
    if numbers.vendor == 0 {
        out.u16(numbers.kind);
        out.u16(numbers.code);
    } else if out.version <= Version::OpenFlow11 {
        out.u16(NICIRA_ERROR);
        out.u16(0);
        out.u32(numbers.vendor);
        out.u16(numbers.kind);
        out.u16(numbers.code);
    } else {
        out.u16(EXPERIMENTER_ERROR);
        out.u16(numbers.kind);
        out.u32(numbers.vendor);
    }
    out.all(&message.data);
    Ok(())
}
