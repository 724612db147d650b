//! Changing the headers of a frame. Checksums follow.

use crate::checksum::{Checksum, crc32c, write};
use crate::headers::{Headers, Label, MPLS_LABEL_LEN, Network};
use crate::ip::{Ip, Transport, TransportHeader};
use crate::{MacAddr, VlanTag};

/// Bytes of both Ethernet addresses.
const ADDRESSES_LEN: usize = 12;

/// A frame whose headers can be changed.
///
/// Headers are only changed if they are there: otherwise nothing happens. Checksums follow
/// incrementally (RFC 1624), so that one that was wrong stays wrong; a checksum of UDP that isn't
/// there stays away.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rewrite {
    bytes: Vec<u8>,
    headers: Headers,
}

impl Rewrite {
    /// Of a frame with its headers.
    pub fn new(frame: &[u8], headers: &Headers) -> Rewrite {
        Rewrite {
            bytes: frame.to_vec(),
            headers: headers.clone(),
        }
    }

    /// The frame as it is now.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }

    /// Sets the Ethernet destination.
    pub fn set_dst(&mut self, address: MacAddr) {
        write(&mut self.bytes, 0, &address.0, &[]);
    }

    /// Sets the Ethernet source.
    pub fn set_src(&mut self, address: MacAddr) {
        write(&mut self.bytes, 6, &address.0, &[]);
    }

    fn ip(&self) -> Option<&Ip> {
        match &self.headers.network {
            Some(Network::Ip(ip)) => Some(ip),
            _ => None,
        }
    }

    fn transport(&self) -> Option<&Transport> {
        self.ip()?.transport.as_ref()
    }

    /// The checksum of IPv4's header.
    fn ip_sum(&self) -> Vec<Checksum> {
        let v4 = self.ip().is_some_and(|ip| !ip.v6);
        let at = self.headers.network_at() + 10;
        let sum = Checksum {
            at,
            optional: false,
        };
        v4.then_some(sum).into_iter().collect()
    }

    /// The checksum of what IP carries, if it has one of the Internet's kind.
    fn transport_sum(&self) -> Option<Checksum> {
        let transport = self.transport()?;
        let (offset, optional) = match transport.header {
            TransportHeader::Tcp { .. } => (16, false),
            TransportHeader::Udp { .. } => (6, true),
            TransportHeader::Icmp { .. } | TransportHeader::Icmpv6 { .. } => (2, false),
            TransportHeader::Sctp { .. } => return None,
        };
        Some(Checksum {
            at: transport.at + offset,
            optional,
        })
    }

    /// Those that the addresses are part of.
    fn address_sums(&self) -> Vec<Checksum> {
        let mut sums = self.ip_sum();
        let header = self.transport().map(|transport| &transport.header);
        let pseudo = !matches!(
            header,
            Some(TransportHeader::Icmp { .. } | TransportHeader::Sctp { .. }) | None
        );
        sums.extend(self.transport_sum().filter(|_| pseudo));
        sums
    }

    /// Sets the source of IP; of IPv4 in the low 32 bits.
    pub fn set_ip_src(&mut self, address: u128) {
        let sums = self.address_sums();
        match self.ip().map(|ip| ip.v6) {
            Some(false) => self.set_network(12, &(address as u32).to_be_bytes(), &sums),
            Some(true) => self.set_network(8, &address.to_be_bytes(), &sums),
            None => {}
        }
    }

    /// Sets the destination of IP. Where a routing header says that another one is the last,
    /// checksums are about that.
    pub fn set_ip_dst(&mut self, address: u128) {
        let mut sums = self.address_sums();
        if self.ip().is_some_and(|ip| ip.source_routed) {
            sums.clear();
        }
        match self.ip().map(|ip| ip.v6) {
            Some(false) => self.set_network(16, &(address as u32).to_be_bytes(), &sums),
            Some(true) => self.set_network(24, &address.to_be_bytes(), &sums),
            None => {}
        }
    }

    /// Sets type of service or traffic class.
    pub fn set_tos(&mut self, tos: u8) {
        match self.ip().map(|ip| ip.v6) {
            Some(false) => self.set_network(1, &[tos], &self.ip_sum()),
            Some(true) => {
                let at = self.headers.network_at();
                let old = [self.bytes[at], self.bytes[at + 1]];
                let new = [old[0] & 0xf0 | tos >> 4, old[1] & 0x0f | tos << 4];
                self.set_network(0, &new, &[]);
            }
            None => {}
        }
    }

    /// Sets time to live or hop limit.
    pub fn set_ttl(&mut self, ttl: u8) {
        match self.ip().map(|ip| ip.v6) {
            Some(false) => self.set_network(8, &[ttl], &self.ip_sum()),
            Some(true) => self.set_network(7, &[ttl], &[]),
            None => {}
        }
    }

    /// Sets IPv6's flow label, 20 bits.
    pub fn set_flow_label(&mut self, label: u32) {
        if self.ip().is_some_and(|ip| ip.v6) {
            let high = self.bytes[self.headers.network_at() + 1] & 0xf0;
            let [_, top, middle, low] = label.to_be_bytes();
            self.set_network(1, &[high | top & 0x0f, middle, low], &[]);
        }
    }

    fn set_network(&mut self, offset: usize, new: &[u8], sums: &[Checksum]) {
        write(
            &mut self.bytes,
            self.headers.network_at() + offset,
            new,
            sums,
        );
    }

    /// Sets the source port, or the type of ICMP.
    pub fn set_transport_src(&mut self, value: u16) {
        self.set_transport(0, value);
    }

    /// Sets the destination port, or the code of ICMP.
    pub fn set_transport_dst(&mut self, value: u16) {
        self.set_transport(1, value);
    }

    /// Sets the first (0) or second (1) of ports, or of type and code.
    fn set_transport(&mut self, which: usize, value: u16) {
        let sums: Vec<Checksum> = self.transport_sum().into_iter().collect();
        let Some(Transport { at, end, header }) = self.transport().cloned() else {
            return;
        };
        let port = value.to_be_bytes();
        match header {
            TransportHeader::Sctp { .. } => self.set_sctp(at, end, at + 2 * which, port),
            TransportHeader::Tcp { .. } | TransportHeader::Udp { .. } => {
                write(&mut self.bytes, at + 2 * which, &port, &sums);
            }
            TransportHeader::Icmp { .. } | TransportHeader::Icmpv6 { .. } => {
                write(&mut self.bytes, at + which, &port[1..], &sums);
            }
        }
    }

    /// Sets a port of SCTP. Its CRC stays as wrong as it was.
    fn set_sctp(&mut self, start: usize, end: usize, at: usize, port: [u8; 2]) {
        let sum_at = start + 8;
        let right = |bytes: &[u8]| {
            let without_sum = (start..end).map(|at| match at.wrapping_sub(sum_at) {
                0..4 => 0,
                _ => bytes[at],
            });
            crc32c(without_sum)
        };
        let before = right(&self.bytes);
        write(&mut self.bytes, at, &port, &[]);
        let change = (before ^ right(&self.bytes)).to_le_bytes();
        for (byte, change) in self.bytes[sum_at..].iter_mut().zip(change) {
            *byte ^= change;
        }
    }

    /// Sets the target of neighbour discovery.
    pub fn set_nd_target(&mut self, target: u128) {
        if let Some((at, _)) = self.neighbour() {
            self.set_nd(at + 8, &target.to_be_bytes());
        }
    }

    /// Sets the address in the option for the source of neighbour discovery.
    pub fn set_nd_source_link(&mut self, address: MacAddr) {
        let option = self.neighbour().and_then(|(_, n)| n.source_link);
        if let Some((_, at)) = option {
            self.set_nd(at, &address.0);
        }
    }

    /// Sets the address in the option for the target of neighbour discovery.
    pub fn set_nd_target_link(&mut self, address: MacAddr) {
        let option = self.neighbour().and_then(|(_, n)| n.target_link);
        if let Some((_, at)) = option {
            self.set_nd(at, &address.0);
        }
    }

    fn neighbour(&self) -> Option<(usize, crate::ip::Neighbour)> {
        let transport = self.transport()?;
        match transport.header {
            TransportHeader::Icmpv6 { neighbour, .. } => Some((transport.at, neighbour?)),
            _ => None,
        }
    }

    fn set_nd(&mut self, at: usize, new: &[u8]) {
        let sums: Vec<Checksum> = self.transport_sum().into_iter().collect();
        write(&mut self.bytes, at, new, &sums);
    }

    /// Sets the operation of ARP.
    pub fn set_arp_operation(&mut self, operation: u16) {
        self.set_arp(6, &operation.to_be_bytes());
    }

    /// Sets the sender's Ethernet address in ARP.
    pub fn set_arp_sha(&mut self, address: MacAddr) {
        self.set_arp(8, &address.0);
    }

    /// Sets the sender's IPv4 address in ARP.
    pub fn set_arp_spa(&mut self, address: u32) {
        self.set_arp(14, &address.to_be_bytes());
    }

    /// Sets the target's Ethernet address in ARP.
    pub fn set_arp_tha(&mut self, address: MacAddr) {
        self.set_arp(18, &address.0);
    }

    /// Sets the target's IPv4 address in ARP.
    pub fn set_arp_tpa(&mut self, address: u32) {
        self.set_arp(24, &address.to_be_bytes());
    }

    fn set_arp(&mut self, offset: usize, new: &[u8]) {
        if matches!(self.headers.network, Some(Network::Arp(_))) {
            self.set_network(offset, new, &[]);
        }
    }

    /// Sets the outermost MPLS label.
    pub fn set_label(&mut self, label: Label) {
        if matches!(self.headers.network, Some(Network::Mpls(_))) {
            self.set_network(0, &label.to_bits().to_be_bytes(), &[]);
        }
    }

    /// Puts these tags, the outermost first, in the place of those that were read. Changes of other
    /// headers come before this.
    #[must_use]
    pub fn with_tags(self, tags: &[VlanTag]) -> Vec<u8> {
        let read = [self.headers.outer, self.headers.inner];
        let read_bytes = 4 * read.iter().flatten().count();
        let mut frame = self.bytes[..ADDRESSES_LEN].to_vec();
        for tag in tags {
            frame.extend(tag.tpid.to_be_bytes());
            frame.extend(tag.tci.0.to_be_bytes());
        }
        frame.extend(&self.bytes[ADDRESSES_LEN + read_bytes..]);
        frame
    }
}

/// The frame with an MPLS label more, behind its VLAN tags, and this type.
pub fn push_label(frame: &[u8], headers: &Headers, ethertype: u16, label: Label) -> Vec<u8> {
    let at = headers.network_at();
    let mut pushed = frame[..at].to_vec();
    pushed[headers.type_at..at].copy_from_slice(&ethertype.to_be_bytes());
    pushed.extend(label.to_bits().to_be_bytes());
    pushed.extend(&frame[at..]);
    pushed
}

/// The frame without its outermost MPLS label, and with this type. One without a label stays as
/// it is.
pub fn pop_label(frame: &[u8], headers: &Headers, ethertype: u16) -> Vec<u8> {
    if !matches!(headers.network, Some(Network::Mpls(_))) {
        return frame.to_vec();
    }
    let at = headers.network_at();
    let mut popped = frame[..at].to_vec();
    popped[headers.type_at..at].copy_from_slice(&ethertype.to_be_bytes());
    popped.extend(&frame[at + MPLS_LABEL_LEN..]);
    popped
}
