//! A request to the kernel as bytes, and its answer (linux/netlink.h).

use std::io;

use rtnetlink::sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket};

use super::attributes::{u16_at, u32_at};

/// Every message that asks for something has it.
pub const FLAG_REQUEST: u16 = 0x1;
/// The kernel is to say when it is done.
pub const FLAG_ACK: u16 = 0x4;
/// All of a kind is asked for.
pub const FLAG_DUMP: u16 = 0x300;

/// Largest datagram of an answer.
const DATAGRAM: usize = 64 << 10;
/// Length of a message's header in bytes.
const HEADER: usize = 16;
/// Type of the message with which an answer of one message, or an error, comes.
const ERROR: u16 = 2;
/// Type of the message with which a list ends.
const DONE: u16 = 3;

/// A message: struct nlmsghdr, and what follows it.
pub fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER + body.len()).unwrap_or(u32::MAX);
    let mut out = Vec::new();
    out.extend(length.to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend(flags.to_ne_bytes());
    out.extend([0; 8]); // sequence, port
    out.extend(body);
    out
}

/// Sends a request of a protocol of netlink; the messages of the answer, without their headers.
///
/// # Errors
/// What the kernel answered, or that its answer is damaged.
pub async fn exchange(protocol: isize, request: &[u8]) -> io::Result<Vec<Vec<u8>>> {
    let mut socket = TokioSocket::new(protocol)?;
    socket.socket_mut().bind(&SocketAddr::new(0, 0))?;
    socket.send_to(request, &SocketAddr::new(0, 0)).await?;
    let mut messages = Vec::new();
    let mut buffer = Vec::with_capacity(DATAGRAM);
    loop {
        buffer.clear();
        socket.recv(&mut buffer).await?;
        if take(&buffer, &mut messages)? {
            return Ok(messages);
        }
    }
}

/// Adds the messages of a datagram. True if it ends the answer.
fn take(mut bytes: &[u8], messages: &mut Vec<Vec<u8>>) -> io::Result<bool> {
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "an answer that isn't whole");
    if bytes.is_empty() {
        return Err(damaged());
    }
    while !bytes.is_empty() {
        let length = u32_at(bytes, 0).ok_or_else(damaged)? as usize;
        let kind = u16_at(bytes, 4).ok_or_else(damaged)?;
        let payload = bytes.get(HEADER..length).ok_or_else(damaged)?;
        match kind {
            ERROR => {
                let errno = u32_at(payload, 0).ok_or_else(damaged)?.cast_signed();
                return match errno {
                    0 => Ok(true),
                    errno => Err(io::Error::from_raw_os_error(errno.saturating_neg())),
                };
            }
            DONE => return Ok(true),
            _ => messages.push(payload.to_vec()),
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_that_are_damaged_are_errors() {
        let mut messages = Vec::new();
        assert!(take(&[], &mut messages).is_err());
        assert!(take(&[1, 2, 3], &mut messages).is_err());
        let mut long = vec![0; HEADER];
        long[0] = 200;
        assert!(take(&long, &mut messages).is_err());
        let mut short = vec![0; HEADER];
        short[0] = 3;
        assert!(take(&short, &mut messages).is_err());
        assert!(messages.is_empty());
    }
}
