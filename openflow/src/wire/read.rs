//! Reading bytes.

use aorta_flow::OfPort;
use aorta_packet::MacAddr;

use crate::error::ErrorCode;

/// Why something can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub code: ErrorCode,
    pub what: &'static str,
}

impl Refusal {
    pub fn new(code: ErrorCode, what: &'static str) -> Refusal {
        Refusal { code, what }
    }

    pub fn bad_len(what: &'static str) -> Refusal {
        Refusal::new(ErrorCode::OFPBRC_BAD_LEN, what)
    }
}

/// Bytes that are still to be read.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    /// The error if there are too few.
    short: ErrorCode,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8], short: ErrorCode) -> Reader<'a> {
        Reader { bytes, short }
    }

    /// The same bytes, with another error if there are too few.
    pub fn with_error(self, short: ErrorCode) -> Reader<'a> {
        Reader { short, ..self }
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn too_short(&self) -> Refusal {
        Refusal::new(self.short, "it ends too early")
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Refusal> {
        match self.bytes.split_first_chunk::<N>() {
            Some((first, rest)) => {
                self.bytes = rest;
                Ok(*first)
            }
            None => Err(self.too_short()),
        }
    }

    pub fn u8(&mut self) -> Result<u8, Refusal> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    pub fn u16(&mut self) -> Result<u16, Refusal> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub fn u32(&mut self) -> Result<u32, Refusal> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub fn u64(&mut self) -> Result<u64, Refusal> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    pub fn u128(&mut self) -> Result<u128, Refusal> {
        Ok(u128::from_be_bytes(self.array()?))
    }

    pub fn mac(&mut self) -> Result<MacAddr, Refusal> {
        Ok(MacAddr(self.array()?))
    }

    /// A counter; all ones mean that it isn't known.
    pub fn counter(&mut self) -> Result<Option<u64>, Refusal> {
        Ok(Some(self.u64()?).filter(|value| *value != u64::MAX))
    }

    /// A port of 32 bits (OpenFlow 1.1 and later).
    pub fn port32(&mut self) -> Result<OfPort, Refusal> {
        let number = self.u32()?;
        OfPort::from_u32(number).ok_or(Refusal::new(
            ErrorCode::OFPBAC_BAD_OUT_PORT,
            "ports have 16 bits here",
        ))
    }

    pub fn take(&mut self, len: usize) -> Result<&'a [u8], Refusal> {
        match self.bytes.split_at_checked(len) {
            Some((first, rest)) => {
                self.bytes = rest;
                Ok(first)
            }
            None => Err(self.too_short()),
        }
    }

    pub fn skip(&mut self, len: usize) -> Result<(), Refusal> {
        self.take(len).map(|_| ())
    }

    /// Bytes that must be 0.
    pub fn zeros(&mut self, len: usize, code: ErrorCode) -> Result<(), Refusal> {
        match self.take(len)?.iter().all(|byte| *byte == 0) {
            true => Ok(()),
            false => Err(Refusal::new(code, "padding isn't 0")),
        }
    }

    /// The next bytes as something to read by themselves.
    pub fn part(&mut self, len: usize) -> Result<Reader<'a>, Refusal> {
        let bytes = self.take(len)?;
        Ok(Reader { bytes, ..*self })
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.bytes)
    }

    /// A text of a fixed length, up to its first 0; bytes that are no UTF-8 are replaced.
    pub fn text(&mut self, len: usize) -> Result<String, Refusal> {
        let bytes = self.take(len)?;
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(len);
        Ok(String::from_utf8_lossy(&bytes[..end]).into_owned())
    }

    /// Nothing may be left.
    pub fn end(&self) -> Result<(), Refusal> {
        match self.bytes.is_empty() {
            true => Ok(()),
            false => Err(Refusal::new(self.short, "it is longer than it should be")),
        }
    }
}

/// A property or another element that begins with type and length (16 bits each, the length
/// with these).
pub(crate) struct Element<'a> {
    pub kind: u16,
    pub body: Reader<'a>,
}

/// The next element; lengths are rounded up to a multiple of 8 to find the one after it.
pub(crate) fn element<'a>(
    reader: &mut Reader<'a>,
    wrong: ErrorCode,
) -> Result<Element<'a>, Refusal> {
    let mut reader8 = reader.with_error(wrong);
    let kind = reader8.u16()?;
    let length = usize::from(reader8.u16()?);
    let refused = Refusal::new(wrong, "an element's length can't be");
    let body = length.checked_sub(4).ok_or(refused)?;
    let body = reader8.part(body)?;
    let padding = length.next_multiple_of(8) - length;
    reader8.skip(padding.min(reader8.len()))?;
    *reader = Reader {
        bytes: reader8.bytes,
        ..*reader
    };
    Ok(Element { kind, body })
}
