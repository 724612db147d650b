//! Connections to a server, and where its messages end.
use std::error::Error;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use rustix::event::epoll;

/// A connection.
pub struct Peer {
    stream: UnixStream,
    buffer: Vec<u8>,
    /// The unfinished message, then what was read before it and is still of interest: the last.
    message: Vec<u8>,
    last: Vec<u8>,
    depth: usize,
    in_string: bool,
    escaped: bool,
    received: usize,
}

/// How much of a message is kept to be looked at.
const KEPT: usize = 4096;

impl Peer {
    pub fn connect(socket: &str) -> Result<Self, Box<dyn Error>> {
        Ok(Self {
            stream: UnixStream::connect(socket)?,
            buffer: vec![0; 256 << 10],
            message: Vec::new(),
            last: Vec::new(),
            depth: 0,
            in_string: false,
            escaped: false,
            received: 0,
        })
    }

    pub fn send(&mut self, text: &[u8]) -> Result<(), Box<dyn Error>> {
        Ok(self.stream.write_all(text)?)
    }

    /// Reads once, and tells how many messages ended thereby.
    pub fn read(&mut self) -> Result<usize, Box<dyn Error>> {
        let count = self.stream.read(&mut self.buffer)?;
        if count == 0 {
            return Err("the server closed the connection".into());
        }
        self.received += count;
        let bytes = &self.buffer[..count];
        let (mut ended, mut start) = (0, 0);
        for (at, byte) in bytes.iter().enumerate() {
            if self.in_string {
                self.in_string = self.escaped || *byte != b'"';
                self.escaped = !self.escaped && *byte == b'\\';
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' => self.depth += 1,
                b'}' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        ended += 1;
                        keep(&mut self.message, &bytes[start..=at]);
                        std::mem::swap(&mut self.message, &mut self.last);
                        self.message.clear();
                        start = at + 1;
                    }
                }
                _ => {}
            }
        }
        keep(&mut self.message, &bytes[start..]);
        Ok(ended)
    }

    /// Whether the last message contains some bytes.
    pub fn last_contains(&self, wanted: &[u8]) -> bool {
        self.last.windows(wanted.len()).any(|bytes| bytes == wanted)
    }

    /// The last message, or its beginning.
    pub fn last(&self) -> String {
        String::from_utf8_lossy(&self.last).into_owned()
    }

    /// Number of bytes read so far.
    pub fn received(&self) -> usize {
        self.received
    }
}

fn keep(message: &mut Vec<u8>, bytes: &[u8]) {
    let room = KEPT.saturating_sub(message.len()).min(bytes.len());
    message.extend_from_slice(&bytes[..room]);
}

/// Many connections, and which of them have something to read.
pub struct Clients {
    peers: Vec<Peer>,
    epoll: std::os::fd::OwnedFd,
}

impl Clients {
    pub fn connect(socket: &str, count: usize) -> Result<Self, Box<dyn Error>> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut peers = Vec::with_capacity(count);
        for at in 0..count {
            let peer = Peer::connect(socket)?;
            let data = epoll::EventData::new_u64(at as u64);
            epoll::add(&epoll, &peer.stream, data, epoll::EventFlags::IN)?;
            peers.push(peer);
        }
        Ok(Self { peers, epoll })
    }

    pub fn peer(&mut self, at: usize) -> &mut Peer {
        &mut self.peers[at]
    }

    /// Waits until there is something to read, and calls `act` for each connection that has it.
    pub fn ready(
        &mut self,
        mut act: impl FnMut(usize, &mut Peer) -> Result<(), Box<dyn Error>>,
    ) -> Result<(), Box<dyn Error>> {
        let mut events = Vec::with_capacity(256);
        epoll::wait(
            &self.epoll,
            rustix::buffer::spare_capacity(&mut events),
            None,
        )?;
        for event in &events {
            let at = event.data.u64() as usize;
            act(at, &mut self.peers[at])?;
        }
        Ok(())
    }
}
