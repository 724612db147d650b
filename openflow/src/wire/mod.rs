//! Messages as bytes, both ways.
//!
//! Each family of messages has a file that lists its kinds (`KINDS`), from which [`kind`] finds the
//! function that reads a message, and functions that write it, which [`encode`] calls.

mod actions;
mod asynchronous;
mod bucket;
mod bundle;
mod connection;
mod ct;
mod encode;
mod field;
mod flow_filter;
mod flow_mod;
mod flow_removed;
mod flow_stats;
mod group;
mod group_stats;
mod instructions;
mod ipfix;
mod kind;
mod match10;
mod match11;
mod meter;
mod monitor;
mod monitor_update;
mod multipart;
mod oxm;
mod oxm_write;
mod oxs;
mod packet_in;
mod packet_out;
mod port;
mod port_stats;
mod property;
mod queue;
mod read;
mod role;
mod settings;
mod switch;
mod table;
mod table_features;
mod table_stats;
mod tlv;
mod write;

pub use encode::{EncodeError, encode, encode_into};

use crate::error::ErrorCode;
use crate::header::Header;
use crate::message::{Envelope, ErrorMessage, Message, ReportedError};
use crate::version::Version;
use read::{Reader, Refusal};

/// What a connection has agreed on that changes how messages are written.
#[derive(Clone, Copy, Default, Debug)]
pub struct Context<'a> {
    /// Commands of flow changes have the table in their upper byte (NXT_FLOW_MOD_TABLE_ID); it
    /// matters in OpenFlow 1.0, and in Nicira's form.
    pub flow_mod_table_id: bool,
    /// How long the values of tunnel options are; none where it isn't known.
    pub options: Option<&'a OptionLengths>,
}

/// Bytes of each tunnel option that is a field; 0 where there is none.
pub type OptionLengths = [u8; 64];

/// A message that can't be understood. [`DecodeError::reply`] is what to answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code} in a message of type {} and {} bytes: {what}", header.kind, header.length)]
pub struct DecodeError {
    /// The error to answer with.
    pub code: ErrorCode,
    /// What is wrong.
    pub what: &'static str,
    /// Version to answer in.
    pub version: Version,
    /// Header of the message.
    pub header: Header,
    /// The message's first bytes.
    pub quote: Vec<u8>,
}

/// How many bytes of a request an error quotes at most: as many as fit behind the headers of an
/// experimenter's error. The standard asks for at least 64 (OpenFlow 1.3.5 §7.5.4).
pub const QUOTE_LEN: usize = u16::MAX as usize - 24;

impl DecodeError {
    fn new(bytes: &[u8], header: Header, refusal: Refusal) -> DecodeError {
        let known = Version::from_number(header.version);
        DecodeError {
            code: refusal.code,
            what: refusal.what,
            version: known.unwrap_or(match header.version {
                0 => Version::OpenFlow10,
                _ => Version::OpenFlow15,
            }),
            header,
            quote: bytes[..bytes.len().min(QUOTE_LEN)].to_vec(),
        }
    }

    /// The error message that answers it.
    pub fn reply(self) -> Envelope {
        Envelope {
            version: self.version,
            xid: self.header.xid,
            message: Message::Error(ErrorMessage {
                error: ReportedError::Known(self.code),
                data: self.quote,
            }),
        }
    }
}

/// What the functions that read messages know besides the bytes.
#[derive(Clone, Copy)]
pub(crate) struct Decoding<'a> {
    version: Version,
    context: Context<'a>,
    /// Whether more parts follow, of a multipart message.
    more: bool,
    /// How many messages this one is inside of.
    depth: u8,
}

/// Reads one message, which must be as long as its header says.
///
/// # Errors
/// With the error to answer.
pub fn decode(bytes: &[u8], context: Context<'_>) -> Result<Envelope, DecodeError> {
    let header = Header::read(bytes).unwrap_or(Header {
        version: 0,
        kind: 0,
        length: 0,
        xid: 0,
    });
    decode_inner(bytes, header, context, 0).map_err(|e| DecodeError::new(bytes, header, e))
}

fn decode_inner(
    bytes: &[u8],
    header: Header,
    context: Context<'_>,
    depth: u8,
) -> Result<Envelope, Refusal> {
    if bytes.len() < Header::LEN || bytes.len() != usize::from(header.length) {
        return Err(Refusal::bad_len(
            "the message is not as long as its header says",
        ));
    }
    let body = &bytes[Header::LEN..];
    let Some(version) = Version::from_number(header.version) else {
        return unknown_version(header, body);
    };
    let (kind, more, body) = kind::find(version, header.kind, body)?;
    let decoding = Decoding {
        version,
        context,
        more,
        depth,
    };
    let mut reader = Reader::new(body, ErrorCode::OFPBRC_BAD_LEN);
    let message = (kind.decode)(&mut reader, decoding)?;
    reader.end()?;
    Ok(Envelope {
        version,
        xid: header.xid,
        message,
    })
}

/// A HELLO of a later version is understood all the same (OpenFlow 1.3.5 §6.3.1).
fn unknown_version(header: Header, body: &[u8]) -> Result<Envelope, Refusal> {
    if header.version == 0 || header.kind != connection::HELLO {
        return Err(Refusal::new(
            ErrorCode::OFPBRC_BAD_VERSION,
            "the version isn't known here",
        ));
    }
    Ok(Envelope {
        version: Version::OpenFlow15,
        xid: header.xid,
        message: connection::hello_of(Version::OpenFlow15, body),
    })
}

#[cfg(test)]
mod tests;
