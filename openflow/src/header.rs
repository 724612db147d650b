//! The header that every message begins with (OpenFlow 1.3.5 §7.1).

/// What stands in front of every message, 8 bytes: version, type, length (2), transaction (4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Version's number, 1 for 1.0; perhaps one that isn't known.
    pub version: u8,
    /// Type of the message.
    pub kind: u8,
    /// Bytes of the whole message, header included.
    pub length: u16,
    /// Transaction: a reply has that of its request.
    pub xid: u32,
}

impl Header {
    /// Bytes that it has.
    pub const LEN: usize = 8;

    /// Reads it from the first bytes of a message; `None` if they are too few.
    pub fn read(bytes: &[u8]) -> Option<Header> {
        let &[version, kind, l0, l1, x0, x1, x2, x3] = bytes.first_chunk::<8>()?;
        Some(Header {
            version,
            kind,
            length: u16::from_be_bytes([l0, l1]),
            xid: u32::from_be_bytes([x0, x1, x2, x3]),
        })
    }

    /// Its bytes.
    pub fn bytes(self) -> [u8; 8] {
        let [l0, l1] = self.length.to_be_bytes();
        let [x0, x1, x2, x3] = self.xid.to_be_bytes();
        [self.version, self.kind, l0, l1, x0, x1, x2, x3]
    }
}
