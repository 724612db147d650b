//! Packets as structures: made at random, bent to what a flow asks for, written as bytes.

mod bytes;
mod damage;
mod fields;
mod random;

pub use damage::damaged;

use aorta_flow::Match;
use aorta_packet::{MacAddr, VlanTag};

use crate::Rng;

/// A frame before it is bytes. Lengths and checksums are made right when it is written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packet {
    /// Destination.
    pub dst: MacAddr,
    /// Source.
    pub src: MacAddr,
    /// VLAN tags, the outermost first.
    pub tags: Vec<VlanTag>,
    /// MPLS labels as they are on the wire, the outermost first.
    pub labels: Vec<u32>,
    /// What is carried.
    pub network: Network,
    /// Bytes behind the end of the network packet.
    pub trailer: Vec<u8>,
}

/// What an Ethernet frame carries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Network {
    /// An EtherType that isn't known, or an 802.3 length.
    Other(u16, Vec<u8>),
    /// 802.2 with SNAP: an EtherType behind its header.
    Snap(u16, Vec<u8>),
    /// ARP or RARP over Ethernet and IPv4.
    Arp(Arp),
    /// IPv4.
    Ipv4(Ipv4),
    /// IPv6.
    Ipv6(Ipv6),
}

/// ARP or RARP (RFC 826).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Arp {
    /// RARP.
    pub reverse: bool,
    /// Operation.
    pub op: u16,
    /// Sender's Ethernet address.
    pub sha: MacAddr,
    /// Sender's IPv4 address.
    pub spa: u32,
    /// Target's Ethernet address.
    pub tha: MacAddr,
    /// Target's IPv4 address.
    pub tpa: u32,
}

/// IPv4 (RFC 791).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ipv4 {
    /// Source.
    pub src: u32,
    /// Destination.
    pub dst: u32,
    /// DSCP and ECN.
    pub tos: u8,
    /// Time to live.
    pub ttl: u8,
    /// Flags and fragment offset, as on the wire.
    pub fragment: u16,
    /// Options, in units of 4 bytes.
    pub options: Vec<[u8; 4]>,
    /// What is carried.
    pub transport: Transport,
}

/// IPv6 (RFC 8200).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ipv6 {
    /// Source.
    pub src: u128,
    /// Destination.
    pub dst: u128,
    /// DSCP and ECN.
    pub tos: u8,
    /// Flow label.
    pub label: u32,
    /// Hop limit.
    pub ttl: u8,
    /// Extension headers in front of the transport.
    pub extensions: Vec<Extension>,
    /// What is carried.
    pub transport: Transport,
}

/// An IPv6 extension header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Extension {
    /// Hop-by-hop options, routing, destination options: its number, and units of 8 bytes behind
    /// the first.
    Options(u8, u8),
    /// Authentication header: units of 4 bytes behind the first two.
    Authentication(u8),
    /// Fragment header: offset and flags, as on the wire.
    Fragment(u16),
}

/// What IP carries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Transport {
    /// TCP: ports, flags.
    Tcp(u16, u16, u16),
    /// UDP: ports; whether it has a checksum.
    Udp(u16, u16, bool),
    /// SCTP: ports.
    Sctp(u16, u16),
    /// ICMP or ICMPv6, by what carries it: type, code.
    Icmp(u8, u8),
    /// Neighbour discovery: type (135, 136), code, target, link-layer address options.
    Nd(u8, u8, u128, Vec<(u8, MacAddr)>),
    /// Another protocol.
    Other(u8),
}

impl Packet {
    /// A random packet of the values that random tables use.
    pub fn random(rng: &mut Rng) -> Packet {
        random::packet(rng)
    }

    /// A packet that a match may be for: `self` with what the match asks for as far as the packet
    /// has these fields; bits that it doesn't ask for are now and then others.
    pub fn bent_to(&self, matching: &Match, rng: &mut Rng) -> Packet {
        let mut packet = self.clone();
        fields::bend(&mut packet, matching, rng);
        packet
    }
}
