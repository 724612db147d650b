//! From a stream of bytes to whole messages.

use crate::header::Header;

/// Cuts a stream into messages. It holds what was pushed and not yet taken, so that whoever reads
/// from a connection decides how much that is.
#[derive(Default, Debug)]
pub struct Framer {
    bytes: Vec<u8>,
    taken: usize,
}

/// The stream can't be cut any further: the connection has to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// Shorter than a header.
    #[error("a message claims to have {length} bytes, but its header alone has 8")]
    TooShort {
        /// What it claims.
        length: u16,
    },
}

impl Framer {
    /// Of a new connection.
    pub fn new() -> Framer {
        Framer::default()
    }

    /// More bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.taken > 0 {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole message, header included; `None` until more bytes come.
    ///
    /// # Errors
    /// When a length can't be; then it is the same for ever.
    pub fn next_message(&mut self) -> Result<Option<&[u8]>, FramingError> {
        let waiting = &self.bytes[self.taken..];
        let Some(header) = Header::read(waiting) else {
            return Ok(None);
        };
        let length = usize::from(header.length);
        if length < Header::LEN {
            return Err(FramingError::TooShort {
                length: header.length,
            });
        }
        if waiting.len() < length {
            return Ok(None);
        }
        let start = self.taken;
        self.taken += length;
        Ok(Some(&self.bytes[start..start + length]))
    }

    /// Bytes that wait for the rest of their message.
    pub fn waiting_bytes(&self) -> usize {
        self.bytes.len() - self.taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ECHO: [u8; 10] = [4, 2, 0, 10, 0, 0, 0, 7, 0xab, 0xcd];

    #[test]
    fn messages_come_whole_however_the_bytes_come() {
        let stream = [ECHO, ECHO].concat();
        for size in 1..=stream.len() {
            let mut framer = Framer::new();
            let mut messages = 0;
            for part in stream.chunks(size) {
                framer.push(part);
                while let Some(message) = framer.next_message().unwrap() {
                    assert_eq!(message, ECHO);
                    messages += 1;
                }
            }
            assert_eq!(
                (messages, framer.waiting_bytes()),
                (2, 0),
                "in parts of {size}"
            );
        }
    }

    #[test]
    fn a_length_below_the_header_s_is_fatal() {
        let mut framer = Framer::new();
        framer.push(&[1, 0, 0, 7, 0, 0, 0, 0]);
        let refused = Err(FramingError::TooShort { length: 7 });
        assert_eq!(framer.next_message(), refused);
        assert_eq!(framer.next_message(), refused);
    }
}
