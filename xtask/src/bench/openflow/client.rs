//! A client that speaks as much OpenFlow as the measurements need, in bytes.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// OpenFlow 1.4, which has bundles.
pub const VERSION: u8 = 5;

pub const HELLO: u8 = 0;
const ERROR: u8 = 1;
pub const ECHO_REQUEST: u8 = 2;
pub const ECHO_REPLY: u8 = 3;
pub const FEATURES_REQUEST: u8 = 5;
pub const FEATURES_REPLY: u8 = 6;
const FLOW_MOD: u8 = 14;
const PACKET_IN: u8 = 10;
const PACKET_OUT: u8 = 13;
const SET_CONFIG: u8 = 9;
pub const MULTIPART_REQUEST: u8 = 18;
pub const MULTIPART_REPLY: u8 = 19;
pub const BARRIER_REQUEST: u8 = 20;
pub const BARRIER_REPLY: u8 = 21;
pub const BUNDLE_CONTROL: u8 = 33;
const BUNDLE_ADD: u8 = 34;

/// `OFPBCT_OPEN_REQUEST` and `OFPBCT_COMMIT_REQUEST` (OpenFlow 1.4.1 §7.3.9.2).
const OPEN: u16 = 0;
const COMMIT: u16 = 4;
/// Atomic and in order.
const BUNDLE_FLAGS: u16 = 3;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection that has agreed on [`VERSION`].
pub struct Client {
    stream: UnixStream,
    bytes: Vec<u8>,
    taken: usize,
    /// Packets that came while something else was waited for.
    pub packet_ins: u64,
}

/// A message.
pub fn message(kind: u8, xid: u32, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + body.len()).unwrap_or(u16::MAX);
    let mut bytes = vec![VERSION, kind];
    bytes.extend(length.to_be_bytes());
    bytes.extend(xid.to_be_bytes());
    bytes.extend(body);
    bytes
}

/// Adds a flow of table 0 that drops IPv4 packets to an address.
pub fn add_flow(xid: u32, to: u32, priority: u16) -> Vec<u8> {
    // cookie, mask, table 0, ADD, no timeouts
    let mut body = vec![0; 22];
    body.extend(priority.to_be_bytes());
    body.extend([0xff; 12]);
    // flags and importance
    body.extend([0; 4]);
    let eth_type = [0x80, 0x00, 0x0a, 0x02, 0x08, 0x00];
    let ipv4_dst = [0x80, 0x00, 0x18, 0x04];
    body.extend([0, 1, 0, 18]);
    body.extend(eth_type);
    body.extend(ipv4_dst);
    body.extend(to.to_be_bytes());
    body.extend([0; 6]);
    message(FLOW_MOD, xid, &body)
}

/// Sends a frame out of a port.
pub fn packet_out(xid: u32, port: u32, frame: &[u8]) -> Vec<u8> {
    // not buffered, from the controller, 16 bytes of actions
    let mut body = vec![0xff; 4];
    body.extend(0xffff_fffd_u32.to_be_bytes());
    body.extend([0, 16, 0, 0, 0, 0, 0, 0]);
    // output
    body.extend([0, 0, 0, 16]);
    body.extend(port.to_be_bytes());
    body.extend([0; 8]);
    body.extend(frame);
    message(PACKET_OUT, xid, &body)
}

/// A bundle of messages, from opening it to committing it.
pub fn bundle(id: u32, messages: &[Vec<u8>]) -> Vec<u8> {
    let control = |kind: u16| {
        let mut body = id.to_be_bytes().to_vec();
        body.extend(kind.to_be_bytes());
        body.extend(BUNDLE_FLAGS.to_be_bytes());
        message(BUNDLE_CONTROL, id, &body)
    };
    let mut bytes = control(OPEN);
    for added in messages {
        let mut body = id.to_be_bytes().to_vec();
        body.extend([0, 0]);
        body.extend(BUNDLE_FLAGS.to_be_bytes());
        body.extend(added);
        bytes.extend(message(BUNDLE_ADD, id, &body));
    }
    bytes.extend(control(COMMIT));
    bytes
}

/// A request with a long answer that costs the switch little.
pub fn features_request(xid: u32) -> Vec<u8> {
    message(FEATURES_REQUEST, xid, &[])
}

/// Asks for packets, with so many bytes of each.
pub fn want_packets(bytes: u16) -> Vec<u8> {
    let [high, low] = bytes.to_be_bytes();
    message(SET_CONFIG, 1, &[0, 0, high, low])
}

/// A barrier.
pub fn barrier_request(xid: u32) -> Vec<u8> {
    message(BARRIER_REQUEST, xid, &[])
}

impl Client {
    /// Connects and agrees on the version.
    pub fn connect(socket: &Path) -> io::Result<Client> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut client = Client {
            stream,
            bytes: Vec::new(),
            taken: 0,
            packet_ins: 0,
        };
        client.send(&message(HELLO, 1, &[]))?;
        client.next()?;
        Ok(client)
    }

    /// Sends whole messages.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends as long as the other side takes it without a pause of that length; how many bytes.
    pub fn flood(&mut self, burst: &[u8], pause: Duration) -> io::Result<u64> {
        self.stream.set_write_timeout(Some(pause))?;
        let mut sent = 0;
        loop {
            match self.stream.write(burst) {
                Ok(count) => sent += count as u64,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(sent),
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until all before is done.
    pub fn barrier(&mut self, xid: u32) -> io::Result<()> {
        self.send(&barrier_request(xid))?;
        self.until_barrier(xid)
    }

    /// Waits for a barrier's reply. An error among the answers is a failure.
    pub fn until_barrier(&mut self, xid: u32) -> io::Result<()> {
        loop {
            let (kind, found) = self.next()?;
            if kind == BARRIER_REPLY && found == xid {
                return Ok(());
            }
        }
    }

    /// The next message's type and number, echoes aside.
    pub fn next(&mut self) -> io::Result<(u8, u32)> {
        loop {
            let waiting = &self.bytes[self.taken..];
            let Some(&[_, kind, l0, l1, x0, x1, x2, x3]) = waiting.first_chunk::<8>() else {
                self.read()?;
                continue;
            };
            let length = usize::from(u16::from_be_bytes([l0, l1]));
            if waiting.len() < length {
                self.read()?;
                continue;
            }
            let xid = u32::from_be_bytes([x0, x1, x2, x3]);
            let error = waiting.get(8..12).map(<[u8]>::to_vec);
            self.taken += length;
            match kind {
                ECHO_REQUEST => self.send(&message(ECHO_REPLY, xid, &[]))?,
                ERROR => {
                    let text = format!("error {error:?} to message {xid}");
                    return Err(io::Error::other(text));
                }
                PACKET_IN => self.packet_ins += 1,
                _ => return Ok((kind, xid)),
            }
        }
    }

    fn read(&mut self) -> io::Result<()> {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        let before = self.bytes.len();
        self.bytes.resize(before + (64 << 10), 0);
        let count = self.stream.read(&mut self.bytes[before..]);
        let count = count.inspect_err(|_| self.bytes.truncate(before))?;
        self.bytes.truncate(before + count);
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}
