//! IPv4 (RFC 791) and IPv6 (RFC 8200) with what they carry.

use crate::MacAddr;
use crate::read::{be16, be32, be128, mac};

/// Protocols that have headers of their own here.
pub mod proto {
    /// Hop-by-hop options of IPv6.
    pub const HOP_BY_HOP: u8 = 0;
    /// ICMP.
    pub const ICMP: u8 = 1;
    /// IGMP.
    pub const IGMP: u8 = 2;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// Routing header of IPv6.
    pub const ROUTING: u8 = 43;
    /// Fragment header of IPv6.
    pub const FRAGMENT: u8 = 44;
    /// Authentication header.
    pub const AUTHENTICATION: u8 = 51;
    /// ICMPv6.
    pub const ICMPV6: u8 = 58;
    /// Destination options of IPv6.
    pub const DESTINATION: u8 = 60;
    /// SCTP.
    pub const SCTP: u8 = 132;
}

/// Extension headers of IPv6 that are read, at most.
const MAX_EXTENSIONS: usize = 6;
/// Options of neighbour discovery that are read, at most.
const MAX_ND_OPTIONS: usize = 4;
/// Bytes of an IPv6 header.
const IPV6_LEN: usize = 40;
/// Least bytes of an IPv4 header.
const IPV4_MIN_LEN: usize = 20;
/// The unit of lengths of extension headers and of options.
const UNIT: usize = 8;
/// Bits of IPv4's fragment word: more fragments, and the offset.
const MORE_FRAGMENTS: u16 = 0x2000;
const FRAGMENT_OFFSET: u16 = 0x1fff;

/// An IP header with what it carries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ip {
    /// Whether it is IPv6.
    pub v6: bool,
    /// Source; IPv4's in the low 32 bits.
    pub src: u128,
    /// Destination.
    pub dst: u128,
    /// What it carries: behind the extension headers that could be read, the one that couldn't.
    pub proto: u8,
    /// Type of service or traffic class.
    pub tos: u8,
    /// Time to live or hop limit.
    pub ttl: u8,
    /// Flow label of IPv6.
    pub label: u32,
    /// Whether it is a fragment, and which.
    pub fragment: Fragment,
    /// A routing header says that the destination is not the last one, so that checksums are not
    /// about it (RFC 8200 §8.1).
    pub source_routed: bool,
    /// What it carries, if it is whole and not in a later fragment.
    pub transport: Option<Transport>,
}

/// Whether a packet is a fragment, and which.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fragment {
    /// It is whole.
    No,
    /// The first.
    First,
    /// One that doesn't start the packet.
    Later,
}

/// A header behind IP's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transport {
    /// Offset of it in the frame.
    pub at: usize,
    /// Offset behind what IP carries.
    pub end: usize,
    /// What it says.
    pub header: TransportHeader,
}

/// What a header behind IP's says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TransportHeader {
    /// TCP (RFC 9293), of which 20 bytes are there.
    Tcp {
        /// Source port.
        src: u16,
        /// Destination port.
        dst: u16,
        /// Flags, 12 bits.
        flags: u16,
    },
    /// UDP (RFC 768).
    Udp {
        /// Source port.
        src: u16,
        /// Destination port.
        dst: u16,
    },
    /// SCTP (RFC 9260).
    Sctp {
        /// Source port.
        src: u16,
        /// Destination port.
        dst: u16,
    },
    /// ICMP (RFC 792) or IGMP (RFC 2236), of which 8 bytes are there.
    Icmp {
        /// Type.
        kind: u8,
        /// Code.
        code: u8,
    },
    /// ICMPv6 (RFC 4443), of which 8 bytes are there.
    Icmpv6 {
        /// Type.
        kind: u8,
        /// Code.
        code: u8,
        /// What it says of a neighbour.
        neighbour: Option<Neighbour>,
    },
}

/// Neighbour discovery (RFC 4861 §4.3, §4.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Neighbour {
    /// Target.
    pub target: u128,
    /// Address in the last option for the source, and its offset in the frame.
    pub source_link: Option<(MacAddr, usize)>,
    /// The same of the option for the target.
    pub target_link: Option<(MacAddr, usize)>,
}

pub(crate) fn parse_v4(frame: &[u8], at: usize) -> Option<Ip> {
    let there = frame.get(at..)?;
    let bytes = there.get(..IPV4_MIN_LEN)?;
    let header_len = usize::from(bytes[0] & 0xf) * 4;
    let total_len = usize::from(be16(bytes, 2)?);
    let fits = header_len >= IPV4_MIN_LEN && header_len <= total_len && total_len <= there.len();
    if bytes[0] >> 4 != 4 || !fits {
        return None;
    }
    let word = be16(bytes, 6)?;
    let fragment = fragment(word & MORE_FRAGMENTS != 0, word & FRAGMENT_OFFSET != 0);
    let proto = bytes[9];
    let transport = match fragment {
        Fragment::Later => None,
        _ => transport(frame, at + header_len, at + total_len, proto, false),
    };
    Some(Ip {
        v6: false,
        src: be32(bytes, 12)?.into(),
        dst: be32(bytes, 16)?.into(),
        proto,
        tos: bytes[1],
        ttl: bytes[8],
        label: 0,
        fragment,
        source_routed: false,
        transport,
    })
}

fn fragment(more: bool, offset: bool) -> Fragment {
    match (more, offset) {
        (_, true) => Fragment::Later,
        (true, false) => Fragment::First,
        (false, false) => Fragment::No,
    }
}

pub(crate) fn parse_v6(frame: &[u8], at: usize) -> Option<Ip> {
    let there = frame.get(at..)?;
    let bytes = there.get(..IPV6_LEN)?;
    let payload_len = usize::from(be16(bytes, 4)?);
    if bytes[0] >> 4 != 6 || IPV6_LEN + payload_len > there.len() {
        return None;
    }
    let start = be32(bytes, 0)?;
    let mut ip = Ip {
        v6: true,
        src: be128(bytes, 8)?,
        dst: be128(bytes, 24)?,
        proto: bytes[6],
        tos: (start >> 20) as u8,
        ttl: bytes[7],
        label: start & 0xf_ffff,
        fragment: Fragment::No,
        source_routed: false,
        transport: None,
    };
    let end = at + IPV6_LEN + payload_len;
    let start = ip.read_extensions(frame, at + IPV6_LEN, end);
    if ip.fragment != Fragment::Later {
        ip.transport = transport(frame, start, end, ip.proto, true);
    }
    Some(ip)
}

impl Ip {
    /// Goes through extension headers as far as they are whole; where the next header starts.
    fn read_extensions(&mut self, frame: &[u8], mut at: usize, end: usize) -> usize {
        for _ in 0..MAX_EXTENSIONS {
            let Some(len) = self.read_extension(frame, at, end) else {
                break;
            };
            self.proto = frame[at];
            at += len;
        }
        at
    }

    /// The length of the extension header at `at`; `None` if it isn't one that can be passed.
    fn read_extension(&mut self, frame: &[u8], at: usize, end: usize) -> Option<usize> {
        let bytes = frame.get(at..end)?;
        let first = bytes.get(..UNIT)?;
        let len = match self.proto {
            proto::HOP_BY_HOP | proto::ROUTING | proto::DESTINATION => {
                UNIT * (usize::from(first[1]) + 1)
            }
            proto::AUTHENTICATION => 4 * (usize::from(first[1]) + 2),
            proto::FRAGMENT => UNIT,
            _ => return None,
        };
        if len > bytes.len() {
            return None;
        }
        match self.proto {
            proto::ROUTING => self.source_routed |= first[3] != 0,
            proto::FRAGMENT => {
                let word = be16(first, 2)?;
                self.fragment = fragment(word & 1 != 0, word >> 3 != 0);
                if self.fragment == Fragment::Later {
                    return None;
                }
            }
            _ => {}
        }
        Some(len)
    }
}

fn transport(frame: &[u8], at: usize, end: usize, proto: u8, v6: bool) -> Option<Transport> {
    let bytes = frame.get(at..end)?;
    let whole = |len: usize| bytes.get(..len);
    let header = match proto {
        proto::TCP => {
            let tcp = whole(20)?;
            let (src, dst) = (be16(tcp, 0)?, be16(tcp, 2)?);
            let flags = be16(tcp, 12)? & 0x0fff;
            TransportHeader::Tcp { src, dst, flags }
        }
        proto::UDP => {
            let udp = whole(8)?;
            let (src, dst) = (be16(udp, 0)?, be16(udp, 2)?);
            TransportHeader::Udp { src, dst }
        }
        proto::SCTP => {
            let sctp = whole(12)?;
            let (src, dst) = (be16(sctp, 0)?, be16(sctp, 2)?);
            TransportHeader::Sctp { src, dst }
        }
        proto::ICMP | proto::IGMP if !v6 => {
            let icmp = whole(8)?;
            let (kind, code) = (icmp[0], icmp[1]);
            TransportHeader::Icmp { kind, code }
        }
        proto::ICMPV6 if v6 => {
            let icmp = whole(8)?;
            let (kind, code) = (icmp[0], icmp[1]);
            let discovery = matches!(kind, 135 | 136) && code == 0;
            TransportHeader::Icmpv6 {
                kind,
                code,
                neighbour: discovery.then(|| neighbour(bytes, at)).flatten(),
            }
        }
        _ => return None,
    };
    Some(Transport { at, end, header })
}

/// What a message of neighbour discovery says, `None` if it isn't well formed. `at` is its offset
/// in the frame.
fn neighbour(bytes: &[u8], at: usize) -> Option<Neighbour> {
    let mut neighbour = Neighbour {
        target: be128(bytes, 8)?,
        source_link: None,
        target_link: None,
    };
    let mut option_at = 24;
    for _ in 0..MAX_ND_OPTIONS {
        let Some(start) = bytes.get(option_at..option_at + UNIT) else {
            break;
        };
        let len = UNIT * usize::from(start[1]);
        if len == 0 || option_at + len > bytes.len() {
            return None;
        }
        let link = mac(start, 2).map(|address| (address, at + option_at + 2));
        match start[0] {
            1 if len == UNIT => neighbour.source_link = link,
            2 if len == UNIT => neighbour.target_link = link,
            _ => {}
        }
        option_at += len;
    }
    Some(neighbour)
}
