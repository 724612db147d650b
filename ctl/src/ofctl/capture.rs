//! OpenFlow in captured packets: files of pcap (draft-ietf-opsawg-pcap), TCP streams, messages.

use std::collections::HashMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, SystemTime};

use aorta_flow::text::NoNames;
use aorta_openflow::text::{Style, show};
use aorta_openflow::{Context, Header};

use super::error::OfctlError;
use super::messages::read_bytes;
use super::{Done, OK, Ofctl};
use crate::log::time::Time;

/// OpenFlow's port, and the one that was used before it had one.
const PORTS: [u16; 2] = [6653, 6633];
/// Numbers at the start of a file, and how many of its units of time are a second.
const MAGICS: [(u32, u32); 2] = [(0xa1b2_c3d4, 1_000_000), (0xa1b2_3c4d, 1_000_000_000)];
const FILE_HEADER_BYTES: usize = 24;
const RECORD_HEADER_BYTES: usize = 16;
/// What precedes the type of a frame: Ethernet's addresses, or what a capture of all devices has.
const LINKS: [(u32, usize); 2] = [(1, 12), (113, 14)];
const TAGS: [u16; 2] = [0x8100, 0x88a8];
const IPV4: u16 = 0x0800;
const TCP: u8 = 6;
/// Bits of TCP's flags (RFC 9293 §3.1).
const FIN_OR_RST: u8 = 0x05;
const SYN: u8 = 0x02;
/// Bytes of a stream that are kept while its message isn't whole: the longest message.
const MAX_PENDING_BYTES: usize = 1 << 16;

/// Who speaks to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Direction {
    from: SocketAddrV4,
    to: SocketAddrV4,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Direction { from, to } = self;
        let (ip, port) = (from.ip(), from.port());
        write!(f, "{ip}.{port} > {}.{}", to.ip(), to.port())
    }
}

/// A message that was captured.
#[derive(Debug, PartialEq, Eq)]
pub struct Captured {
    /// Since 1970.
    pub when: Duration,
    /// Between whom.
    pub direction: Direction,
    /// Its bytes.
    pub message: Vec<u8>,
}

/// A TCP segment.
struct Segment<'a> {
    direction: Direction,
    sequence: u32,
    flags: u8,
    payload: &'a [u8],
}

/// One direction of a connection.
struct Stream {
    /// The sequence number that comes next.
    next: u32,
    /// What came since the last whole message.
    pending: Vec<u8>,
}

/// The OpenFlow messages of a capture between these ports, in order; all of OpenFlow's if there are none.
///
/// # Errors
/// If the bytes are no capture.
pub fn messages(bytes: &[u8], ports: &[u16]) -> Result<Vec<Captured>, &'static str> {
    let file = File::read(bytes)?;
    let ports = if ports.is_empty() { &PORTS[..] } else { ports };
    let mut streams: HashMap<Direction, Stream> = HashMap::new();
    let mut found = Vec::new();
    for (when, frame) in file.records() {
        let Some(segment) = segment(frame, file.type_at) else {
            continue;
        };
        let Direction { from, to } = segment.direction;
        if ports.contains(&from.port()) || ports.contains(&to.port()) {
            follow(&mut streams, when, &segment, &mut found);
        }
    }
    Ok(found)
}

/// A file in memory.
struct File<'a> {
    bytes: &'a [u8],
    swapped: bool,
    units_per_s: u32,
    type_at: usize,
}

impl<'a> File<'a> {
    fn read(bytes: &'a [u8]) -> Result<File<'a>, &'static str> {
        let header = bytes
            .get(..FILE_HEADER_BYTES)
            .ok_or("failed to read pcap header")?;
        let magic = u32_at(header, 0, false).unwrap_or_default();
        let known = |magic: u32| MAGICS.iter().find(|(known, _)| *known == magic);
        let (swapped, (_, units_per_s)) = match (known(magic), known(magic.swap_bytes())) {
            (Some(found), _) => (false, found),
            (None, Some(found)) => (true, found),
            (None, None) => {
                return Err("bad magic, expected a1b2c3d4 or a1b23c4d in any byte order");
            }
        };
        let link = u32_at(header, 20, swapped).unwrap_or_default();
        let link = LINKS.iter().find(|(known, _)| *known == link);
        let (_, type_at) = link.ok_or("neither Ethernet nor a capture of all devices")?;
        Ok(File {
            bytes,
            swapped,
            units_per_s: *units_per_s,
            type_at: *type_at,
        })
    }

    /// All frames that are whole, and when they came.
    fn records(&self) -> impl Iterator<Item = (Duration, &'a [u8])> {
        let (bytes, swapped, units_per_s) = (self.bytes, self.swapped, self.units_per_s);
        let mut rest = bytes.get(FILE_HEADER_BYTES..).unwrap_or_default();
        std::iter::from_fn(move || {
            let word = |at| u32_at(rest, at, swapped);
            let (seconds, fraction, len) = (word(0)?, word(4)?, word(8)? as usize);
            let end = RECORD_HEADER_BYTES.checked_add(len)?;
            let frame = rest.get(RECORD_HEADER_BYTES..end)?;
            rest = &rest[end..];
            let nanoseconds = u64::from(fraction) * u64::from(1_000_000_000 / units_per_s);
            let when = Duration::from_secs(seconds.into()) + Duration::from_nanos(nanoseconds);
            Some((when, frame))
        })
    }
}

fn u32_at(bytes: &[u8], at: usize, swapped: bool) -> Option<u32> {
    let number = u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?);
    Some(if swapped { number.swap_bytes() } else { number })
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The TCP segment of a frame, if it has a whole one of IPv4.
fn segment(frame: &[u8], mut type_at: usize) -> Option<Segment<'_>> {
    while TAGS.contains(&be16(frame, type_at)?) {
        type_at += 4;
    }
    if be16(frame, type_at)? != IPV4 {
        return None;
    }
    let ip = &frame[type_at + 2..];
    let header_bytes = usize::from(*ip.first()? & 0xf) * 4;
    let ip = ip.get(..be16(ip, 2)?.into()).unwrap_or(ip);
    let is_fragment = be16(ip, 6)? & 0x3fff != 0;
    if *ip.get(9)? != TCP || is_fragment || header_bytes < 20 {
        return None;
    }
    let address = |at: usize| Some(Ipv4Addr::from(*ip.get(at..)?.first_chunk::<4>()?));
    let tcp = ip.get(header_bytes..)?;
    let data_at = usize::from(*tcp.get(12)? >> 4) * 4;
    Some(Segment {
        direction: Direction {
            from: SocketAddrV4::new(address(12)?, be16(tcp, 0)?),
            to: SocketAddrV4::new(address(16)?, be16(tcp, 2)?),
        },
        sequence: u32::from_be_bytes(*tcp.get(4..)?.first_chunk()?),
        flags: *tcp.get(13)?,
        payload: tcp.get(data_at..)?,
    })
}

/// Takes a segment's bytes, and the messages that are whole now. What comes twice or too early is
/// passed over; a stream of which the beginning is missing begins where it is seen first.
fn follow(
    streams: &mut HashMap<Direction, Stream>,
    when: Duration,
    segment: &Segment<'_>,
    found: &mut Vec<Captured>,
) {
    let direction = segment.direction;
    if segment.flags & SYN != 0 {
        let next = segment.sequence.wrapping_add(1);
        streams.insert(
            direction,
            Stream {
                next,
                pending: Vec::new(),
            },
        );
        return;
    }
    let stream = streams.entry(direction).or_insert_with(|| Stream {
        next: segment.sequence,
        pending: Vec::new(),
    });
    if segment.sequence == stream.next {
        stream.next = stream.next.wrapping_add(segment.payload.len() as u32);
        stream.pending.extend_from_slice(segment.payload);
        while let Some(message) = first_message(&mut stream.pending) {
            found.push(Captured {
                when,
                direction,
                message,
            });
        }
    }
    if segment.flags & FIN_OR_RST != 0 || stream.pending.len() > MAX_PENDING_BYTES {
        streams.remove(&direction);
    }
}

fn first_message(pending: &mut Vec<u8>) -> Option<Vec<u8>> {
    let length = usize::from(Header::read(pending)?.length);
    // What can't be cut into messages ends the stream when too much of it is there.
    let whole = (Header::LEN..=pending.len()).contains(&length);
    whole.then(|| pending.drain(..length).collect())
}

/// Prints the OpenFlow messages of a capture.
pub(super) fn parse_file(ofctl: &Ofctl, words: &[&str]) -> Done {
    let (file, ports) = words.split_first().ok_or(OfctlError::NoCommand)?;
    // As atoi(3) reads them.
    let ports: Vec<u16> = ports.iter().map(|port| port.parse().unwrap_or(0)).collect();
    let bytes = read_bytes(file)?;
    let captured = messages(&bytes, &ports);
    let captured = captured.map_err(|why| OfctlError::other(format!("{file}: {why}")))?;
    let style = Style {
        names: &NoNames,
        verbosity: ofctl.settings.more.saturating_add(1),
    };
    for (at, one) in captured.iter().enumerate() {
        let mut text = String::new();
        if at > 0 {
            text.push('\n');
        }
        if ofctl.settings.timestamp {
            let time = Time::of(SystemTime::UNIX_EPOCH + one.when).milliseconds();
            let clock = time.split_once('T').map_or("", |(_, clock)| clock);
            text += clock.trim_end_matches('Z');
            text.push(' ');
        }
        text += &format!("{}:\n", one.direction);
        text += &show(&one.message, Context::default(), style);
        ofctl.print(&text)?;
    }
    Ok(OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: [u8; 8] = [1, 0, 0, 8, 0, 0, 0, 1];
    const BARRIER: [u8; 8] = [1, 18, 0, 8, 0, 0, 0, 2];

    fn frame(tag: &[u8], ports: (u16, u16), sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; 12];
        frame.extend_from_slice(tag);
        let total = 40 + payload.len() as u16;
        frame.extend([8, 0, 0x45, 0]);
        frame.extend(total.to_be_bytes());
        frame.extend([0, 0, 0x40, 0, 64, TCP, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        frame.extend(ports.0.to_be_bytes());
        frame.extend(ports.1.to_be_bytes());
        frame.extend(sequence.to_be_bytes());
        frame.extend([0, 0, 0, 0, 0x50, flags, 0, 0, 0, 0, 0, 0]);
        frame.extend_from_slice(payload);
        // Short frames are padded.
        frame.resize(frame.len().max(60), 0);
        frame
    }

    fn capture(frames: &[Vec<u8>], swapped: bool) -> Vec<u8> {
        let word = |number: u32| match swapped {
            true => number.swap_bytes().to_ne_bytes(),
            false => number.to_ne_bytes(),
        };
        let mut file = word(0xa1b2_c3d4).to_vec();
        file.extend([0; 16]);
        file.extend(word(1));
        for (at, frame) in frames.iter().enumerate() {
            let len = frame.len() as u32;
            for number in [at as u32, 250_000, len, len] {
                file.extend(word(number));
            }
            file.extend_from_slice(frame);
        }
        file
    }

    fn found(frames: &[Vec<u8>], ports: &[u16]) -> Vec<Vec<u8>> {
        let bytes = [false, true].map(|swapped| capture(frames, swapped));
        let [one, other] = bytes.map(|bytes| messages(&bytes, ports).unwrap());
        assert_eq!(one, other);
        one.into_iter().map(|one| one.message).collect()
    }

    #[test]
    fn messages_are_put_together_of_segments() {
        let to = (40_000, 6653);
        let both = [HELLO, BARRIER].concat();
        let frames = [
            frame(&[], to, 9, SYN, &[]),
            frame(&[], to, 10, 0, &both[..5]),
            frame(&[], to, 10, 0, &both[..5]),
            frame(&[], to, 99, 0, &both),
            frame(&[0x81, 0, 0, 5], to, 15, 0, &both[5..]),
            frame(&[], (6653, 40_000), 7, 0, &HELLO),
            frame(&[], to, 26, FIN_OR_RST, &[]),
            frame(&[], to, 500, 0, &BARRIER),
            frame(&[], (1, 2), 1, 0, &BARRIER),
        ];
        let expected = [HELLO, BARRIER, HELLO, BARRIER].map(|m| m.to_vec());
        assert_eq!(found(&frames, &[]), expected);
        assert_eq!(found(&frames, &[2]), [BARRIER.to_vec()]);
        let bytes = capture(&frames, false);
        let first = &messages(&bytes, &[]).unwrap()[0];
        assert_eq!(
            first.direction.to_string(),
            "10.0.0.1.40000 > 10.0.0.2.6653"
        );
        assert_eq!(first.when, Duration::from_millis(4250));
    }

    #[test]
    fn what_is_cut_anywhere_does_no_harm() {
        let bytes = capture(&[frame(&[], (1, 6653), 1, 0, &HELLO)], false);
        for end in 0..bytes.len() {
            let read = messages(&bytes[..end], &[]);
            assert_eq!(read.is_err(), end < FILE_HEADER_BYTES, "{end}");
            assert!(read.unwrap_or_default().is_empty());
        }
        let none = [[1, 2, 0, 0, 0, 0, 0, 0]; 9000].concat();
        let frames: Vec<Vec<u8>> = (0..20)
            .map(|at: u32| frame(&[], (1, 6653), at * 1000, 0, &none[..1000]))
            .collect();
        assert_eq!(found(&frames, &[]), [[0; 0]; 0]);
    }
}
