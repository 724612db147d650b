//! Writing bytes.

use aorta_flow::OfPort;
use aorta_packet::MacAddr;

use super::kind::{Class, EXPERIMENTER, MORE, NICIRA, ONF, STATS_EXPERIMENTER, stats_types};
use super::{Context, EncodeError};
use crate::header::Header;
use crate::version::Version;

/// Where messages are written. Replies whose entries don't fit into one message go on in another.
pub(crate) struct Writer<'a> {
    pub bytes: &'a mut Vec<u8>,
    pub version: Version,
    pub context: Context<'a>,
    /// What the version can't say is left out instead of being an error.
    pub lossy: bool,
    xid: u32,
    /// Where the message begins that is being written.
    start: usize,
    /// Where its header and what belongs to it end.
    body: usize,
    /// Where the entry begins that is being written.
    entry: usize,
}

/// Longest message.
const MAX_LEN: usize = 0xffff;

impl<'a> Writer<'a> {
    pub fn new(
        bytes: &'a mut Vec<u8>,
        version: Version,
        xid: u32,
        context: Context<'a>,
    ) -> Writer<'a> {
        let start = bytes.len();
        Writer {
            bytes,
            version,
            context,
            lossy: false,
            xid,
            start,
            body: start,
            entry: start,
        }
    }

    /// Begins the message: its header, and who numbers it.
    pub fn begin(&mut self, class: Class, number: u32) {
        let [request, reply] = stats_types(self.version);
        let kind = match class {
            Class::Ofpt => number as u8,
            Class::Nxt | Class::Onft => EXPERIMENTER,
            Class::Request | Class::NxRequest | Class::OnfRequest => request,
            Class::Reply | Class::NxReply | Class::OnfReply => reply,
        };
        let header = Header {
            version: self.version.number(),
            kind,
            length: 0,
            xid: self.xid,
        };
        self.bytes.extend_from_slice(&header.bytes());
        let vendor = match class {
            Class::Nxt | Class::NxRequest | Class::NxReply => NICIRA,
            _ => ONF,
        };
        match class {
            Class::Ofpt => {}
            Class::Nxt | Class::Onft => {
                self.u32(vendor);
                self.u32(number);
            }
            Class::Request | Class::Reply => {
                self.u16(number as u16);
                self.u16(0);
                if self.version > Version::OpenFlow10 {
                    self.zeros(4);
                }
            }
            _ => self.begin_vendor_stats(vendor, number),
        }
        self.body = self.bytes.len();
        self.entry = self.body;
    }

    fn begin_vendor_stats(&mut self, vendor: u32, number: u32) {
        let old = self.version == Version::OpenFlow10;
        self.u16(STATS_EXPERIMENTER);
        self.u16(0);
        if !old {
            self.zeros(4);
        }
        self.u32(vendor);
        self.u32(number);
        if old {
            self.zeros(4);
        }
    }

    /// An entry of a reply is complete: if the message is too long with it, it goes into another.
    pub fn end_entry(&mut self) -> Result<(), EncodeError> {
        if self.bytes.len() - self.start > MAX_LEN {
            if self.entry == self.body {
                return Err(EncodeError::TooLong("an entry"));
            }
            let entry = self.bytes.split_off(self.entry);
            let prefix = self.bytes[self.start..self.body].to_vec();
            self.finish(true)?;
            self.start = self.bytes.len();
            self.bytes.extend_from_slice(&prefix);
            self.body = self.bytes.len();
            self.bytes.extend_from_slice(&entry);
            if self.bytes.len() - self.start > MAX_LEN {
                return Err(EncodeError::TooLong("an entry"));
            }
        }
        self.entry = self.bytes.len();
        Ok(())
    }

    /// The message is complete; `more` sets the flag of one after which others follow.
    pub fn finish(&mut self, more: bool) -> Result<(), EncodeError> {
        let length = self.bytes.len() - self.start;
        let length = u16::try_from(length).map_err(|_| EncodeError::TooLong("the message"))?;
        self.bytes[self.start + 2..self.start + 4].copy_from_slice(&length.to_be_bytes());
        if more {
            let at = self.start + Header::LEN + 2;
            self.bytes[at..at + 2].copy_from_slice(&MORE.to_be_bytes());
        }
        Ok(())
    }

    pub fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    pub fn u16(&mut self, value: u16) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    pub fn u32(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    pub fn u64(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    pub fn all(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub fn mac(&mut self, address: MacAddr) {
        self.all(&address.0);
    }

    /// A counter; all ones if it isn't known.
    pub fn counter(&mut self, value: Option<u64>) {
        self.u64(value.unwrap_or(u64::MAX));
    }

    pub fn port32(&mut self, port: OfPort) {
        self.u32(port.to_u32());
    }

    pub fn zeros(&mut self, len: usize) {
        self.bytes.resize(self.bytes.len() + len, 0);
    }

    /// A text in a place of fixed length, cut so that a 0 follows.
    pub fn text(&mut self, text: &str, len: usize) {
        let mut end = text.len().min(len - 1);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.all(&text.as_bytes()[..end]);
        self.zeros(len - end);
    }

    /// Where the next byte goes.
    pub fn place(&self) -> usize {
        self.bytes.len()
    }

    /// Zeros up to a multiple of 8 bytes since `start`.
    pub fn pad_to_8(&mut self, start: usize) {
        let len = self.bytes.len() - start;
        self.zeros(len.next_multiple_of(8) - len);
    }

    /// Writes the bytes since `start` into the 16 bits at `at`.
    pub fn length_at(&mut self, at: usize, start: usize) -> Result<(), EncodeError> {
        let length = self.bytes.len() - start;
        let length = u16::try_from(length).map_err(|_| EncodeError::TooLong("an element"))?;
        self.bytes[at..at + 2].copy_from_slice(&length.to_be_bytes());
        Ok(())
    }

    /// The error of something that this version hasn't.
    pub fn unsupported(&self, what: &'static str) -> EncodeError {
        EncodeError::Unsupported {
            version: self.version,
            what,
        }
    }
}
