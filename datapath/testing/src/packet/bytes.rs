//! Packets as bytes, lengths and checksums right.

use super::{Arp, Extension, Ipv4, Ipv6, Network, Packet, Transport};

/// Bytes that a transport carries.
const PAYLOAD: [u8; 12] = *b"some payload";

impl Packet {
    /// The frame.
    pub fn bytes(&self) -> Vec<u8> {
        let mut frame = [self.dst.0, self.src.0].concat();
        for tag in &self.tags {
            frame.extend(tag.tpid.to_be_bytes());
            frame.extend(tag.tci.0.to_be_bytes());
        }
        let (ethertype, content) = self.network.bytes();
        match self.labels.is_empty() {
            true => frame.extend(ethertype.to_be_bytes()),
            false => frame.extend([0x88, 0x47]),
        }
        for label in &self.labels {
            frame.extend(label.to_be_bytes());
        }
        frame.extend(content);
        frame.extend(&self.trailer);
        frame
    }
}

impl Network {
    /// EtherType, or length, and what follows it.
    fn bytes(&self) -> (u16, Vec<u8>) {
        match self {
            Network::Other(ethertype, content) => (*ethertype, content.clone()),
            Network::Snap(ethertype, content) => {
                let mut bytes = vec![0xaa, 0xaa, 3, 0, 0, 0];
                bytes.extend(ethertype.to_be_bytes());
                bytes.extend(content);
                (bytes.len() as u16, bytes)
            }
            Network::Arp(arp) => (if arp.reverse { 0x8035 } else { 0x0806 }, arp.bytes()),
            Network::Ipv4(ip) => (0x0800, ip.bytes()),
            Network::Ipv6(ip) => (0x86dd, ip.bytes()),
        }
    }
}

impl Arp {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0, 1, 8, 0, 6, 4];
        bytes.extend(self.op.to_be_bytes());
        bytes.extend(self.sha.0);
        bytes.extend(self.spa.to_be_bytes());
        bytes.extend(self.tha.0);
        bytes.extend(self.tpa.to_be_bytes());
        bytes
    }
}

impl Ipv4 {
    fn bytes(&self) -> Vec<u8> {
        let (proto, content) = match self.fragment & 0x1fff {
            0 => {
                let mut pseudo = self.src.to_be_bytes().to_vec();
                pseudo.extend(self.dst.to_be_bytes());
                self.transport.bytes(&pseudo, false)
            }
            _ => (self.transport.protocol(false), PAYLOAD.to_vec()),
        };
        let header_len = 20 + 4 * self.options.len();
        let mut header = vec![0x40 | (header_len / 4) as u8, self.tos];
        header.extend(((header_len + content.len()) as u16).to_be_bytes());
        header.extend([0x12, 0x34]);
        header.extend(self.fragment.to_be_bytes());
        header.extend([self.ttl, proto, 0, 0]);
        header.extend(self.src.to_be_bytes());
        header.extend(self.dst.to_be_bytes());
        header.extend(self.options.iter().flatten());
        let sum = checksum(&header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        [header, content].concat()
    }
}

impl Ipv6 {
    fn bytes(&self) -> Vec<u8> {
        let later = |e: &Extension| matches!(e, Extension::Fragment(f) if f >> 3 != 0);
        let (proto, content) = if self.extensions.iter().any(later) {
            (self.transport.protocol(true), PAYLOAD.to_vec())
        } else {
            let mut pseudo = self.src.to_be_bytes().to_vec();
            pseudo.extend(self.dst.to_be_bytes());
            self.transport.bytes(&pseudo, true)
        };
        let mut next: Vec<u8> = self.extensions.iter().map(Extension::number).collect();
        next.push(proto);
        let mut payload = Vec::new();
        for (extension, next) in self.extensions.iter().zip(&next[1..]) {
            payload.extend(extension.bytes(*next));
        }
        payload.extend(content);
        let first = 6 << 28 | u32::from(self.tos) << 20 | self.label;
        let mut bytes = first.to_be_bytes().to_vec();
        bytes.extend((payload.len() as u16).to_be_bytes());
        bytes.extend([next[0], self.ttl]);
        bytes.extend(self.src.to_be_bytes());
        bytes.extend(self.dst.to_be_bytes());
        bytes.extend(payload);
        bytes
    }
}

impl Extension {
    fn number(&self) -> u8 {
        match self {
            Extension::Options(number, _) => *number,
            Extension::Authentication(_) => 51,
            Extension::Fragment(_) => 44,
        }
    }

    fn bytes(&self, next: u8) -> Vec<u8> {
        match self {
            Extension::Options(_, units) => {
                let mut bytes = vec![next, *units, 1];
                bytes.resize(8 * (usize::from(*units) + 1), 0);
                bytes
            }
            Extension::Authentication(units) => {
                let mut bytes = vec![next, *units];
                bytes.resize(4 * (usize::from(*units) + 2), 0);
                bytes
            }
            Extension::Fragment(offset) => {
                let mut bytes = vec![next, 0];
                bytes.extend(offset.to_be_bytes());
                bytes.extend([0, 0, 0, 9]);
                bytes
            }
        }
    }
}

impl Transport {
    /// Number of the protocol.
    pub(super) fn protocol(&self, ipv6: bool) -> u8 {
        match self {
            Transport::Tcp(..) => 6,
            Transport::Udp(..) => 17,
            Transport::Sctp(..) => 132,
            Transport::Icmp(..) | Transport::Nd(..) if ipv6 => 58,
            Transport::Icmp(..) | Transport::Nd(..) => 1,
            Transport::Other(proto) => *proto,
        }
    }

    fn bytes(&self, addresses: &[u8], ipv6: bool) -> (u8, Vec<u8>) {
        let proto = self.protocol(ipv6);
        let mut bytes = Vec::new();
        match self {
            Transport::Tcp(source, destination, flags) => {
                ports(&mut bytes, *source, *destination);
                bytes.extend([0, 0, 0, 1, 0, 0, 0, 2]);
                bytes.extend((0x5000 | flags).to_be_bytes());
                bytes.extend([0x10, 0, 0, 0, 0, 0]);
            }
            Transport::Udp(source, destination, _) => {
                ports(&mut bytes, *source, *destination);
                bytes.extend(((8 + PAYLOAD.len()) as u16).to_be_bytes());
                bytes.extend([0, 0]);
            }
            Transport::Sctp(source, destination) => {
                ports(&mut bytes, *source, *destination);
                bytes.extend([0, 0, 0, 7, 1, 2, 3, 4]);
            }
            Transport::Icmp(kind, code) => bytes.extend([*kind, *code, 0, 0, 0, 1, 0, 2]),
            Transport::Nd(kind, code, target, options) => {
                bytes.extend([*kind, *code, 0, 0, 0, 0, 0, 0]);
                bytes.extend(target.to_be_bytes());
                for (kind, mac) in options {
                    bytes.extend([*kind, 1]);
                    bytes.extend(mac.0);
                }
            }
            Transport::Other(_) => {}
        }
        if !matches!(self, Transport::Nd(..)) {
            bytes.extend(PAYLOAD);
        }
        if let Some(at) = self.checksum_at(ipv6) {
            let mut covered = Vec::new();
            if ipv6 || proto != 1 {
                covered.extend(addresses);
                covered.extend((bytes.len() as u32).to_be_bytes());
                covered.extend([0, 0, 0, proto]);
            }
            covered.extend(&bytes);
            let sum = match (checksum(&covered), self) {
                (0, Transport::Udp(..)) => 0xffff,
                (sum, _) => sum,
            };
            bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        }
        (proto, bytes)
    }

    /// Where the checksum stands.
    fn checksum_at(&self, ipv6: bool) -> Option<usize> {
        match self {
            Transport::Tcp(..) => Some(16),
            Transport::Udp(_, _, true) => Some(6),
            Transport::Icmp(..) => Some(2),
            Transport::Nd(..) if ipv6 => Some(2),
            _ => None,
        }
    }
}

fn ports(bytes: &mut Vec<u8>, source: u16, destination: u16) {
    bytes.extend(source.to_be_bytes());
    bytes.extend(destination.to_be_bytes());
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    let mut sum: u32 = bytes.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rng;

    #[test]
    fn headers_add_up() {
        let mut rng = Rng::new(1);
        let mut seen = 0;
        for _ in 0..2000 {
            let packet = Packet::random(&mut rng);
            let Network::Ipv4(ip) = &packet.network else {
                continue;
            };
            let bytes = ip.bytes();
            let header = usize::from(bytes[0] & 15) * 4;
            assert_eq!(checksum(&bytes[..header]), 0, "{packet:?}");
            if let (Transport::Tcp(..), 0) = (&ip.transport, ip.fragment & 0x1fff) {
                let mut covered = bytes[12..20].to_vec();
                covered.extend([0, 6]);
                covered.extend(((bytes.len() - header) as u16).to_be_bytes());
                covered.extend(&bytes[header..]);
                assert_eq!(checksum(&covered), 0, "{packet:?}");
                seen += 1;
            }
        }
        assert!(seen > 100, "{seen}");
    }

    #[test]
    fn an_ipv6_packet_is_as_long_as_it_says() {
        let mut rng = Rng::new(2);
        for _ in 0..2000 {
            if let Network::Ipv6(ip) = Packet::random(&mut rng).network {
                let bytes = ip.bytes();
                let says = usize::from(u16::from_be_bytes([bytes[4], bytes[5]]));
                assert_eq!(says + 40, bytes.len());
            }
        }
    }
}
