//! The headers of a frame as values: what a switch sees of it.
//!
//! This is the one place that says which headers a frame has. A header that isn't whole, or
//! contradicts the bytes that there are, isn't there at all: nothing of it is told, and nothing
//! behind it.

use crate::ip::{self, Ip};
use crate::read::{be16, be32, mac};
use crate::{ETH_HEADER_LEN, MacAddr, TPID_8021AD, TPID_8021Q, Tci, VLAN_TAG_LEN, VlanTag};

/// Type of a frame that has none: one of 802.2 without SNAP, or with that of an organisation.
pub const ETHERTYPE_NONE: u16 = 0x05ff;
/// Type of IPv4.
pub const ETHERTYPE_IPV4: u16 = 0x0800;
/// Type of ARP.
pub const ETHERTYPE_ARP: u16 = 0x0806;
/// Type of reverse ARP.
pub const ETHERTYPE_RARP: u16 = 0x8035;
/// Type of IPv6.
pub const ETHERTYPE_IPV6: u16 = 0x86dd;
/// Type of MPLS unicast.
pub const ETHERTYPE_MPLS: u16 = 0x8847;
/// Type of MPLS multicast.
pub const ETHERTYPE_MPLS_MULTICAST: u16 = 0x8848;

/// Lower numbers in the place of the type are lengths (IEEE 802.3-2018 §3.2.6).
const MIN_ETHERTYPE: u16 = 0x0600;
/// Headers of 802.2 and SNAP without organisation, up to the type.
const SNAP: [u8; 6] = [0xaa, 0xaa, 0x03, 0, 0, 0];
/// Bytes of a label stack entry (RFC 3032 §2.1).
pub const MPLS_LABEL_LEN: usize = 4;
/// Bytes of ARP for Ethernet and IPv4 (RFC 826).
const ARP_LEN: usize = 28;
/// Hardware type, protocol type and lengths of such ARP.
const ARP_START: [u8; 6] = [0, 1, 0x08, 0, 6, 4];

/// What is behind the type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Network {
    /// IPv4 or IPv6.
    Ip(Ip),
    /// ARP or RARP for Ethernet and IPv4.
    Arp(Arp),
    /// The outermost MPLS label.
    Mpls(Label),
}

/// ARP for Ethernet and IPv4 (RFC 826).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arp {
    /// Operation.
    pub operation: u16,
    /// Sender's Ethernet address.
    pub sha: MacAddr,
    /// Sender's IPv4 address.
    pub spa: u32,
    /// Target's Ethernet address.
    pub tha: MacAddr,
    /// Target's IPv4 address.
    pub tpa: u32,
}

/// An MPLS label stack entry (RFC 3032 §2.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Label {
    /// Label, 20 bits.
    pub label: u32,
    /// Traffic class, 3 bits.
    pub class: u8,
    /// Whether it is the last of the stack.
    pub bottom: bool,
    /// Time to live.
    pub ttl: u8,
}

impl Label {
    /// Of its 32 bits.
    pub fn from_bits(bits: u32) -> Label {
        Label {
            label: bits >> 12,
            class: (bits >> 9 & 7) as u8,
            bottom: bits >> 8 & 1 != 0,
            ttl: bits as u8,
        }
    }

    /// Its 32 bits; what is too large for its place is cut off.
    pub fn to_bits(self) -> u32 {
        self.label << 12
            | u32::from(self.class & 7) << 9
            | u32::from(self.bottom) << 8
            | u32::from(self.ttl)
    }
}

/// The headers of a frame, and where they are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Headers {
    /// Destination.
    pub dst: MacAddr,
    /// Source.
    pub src: MacAddr,
    /// The outer VLAN tag.
    pub outer: Option<VlanTag>,
    /// The tag behind it.
    pub inner: Option<VlanTag>,
    /// Type behind the tags (a third tag's protocol, if there is one), [`ETHERTYPE_NONE`] if it
    /// has none.
    pub ethertype: u16,
    /// Offset of the two bytes with the type (or with the length, if it has none).
    pub type_at: usize,
    /// What is behind the type.
    pub network: Option<Network>,
}

/// The frame is shorter than an Ethernet header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {0} bytes is shorter than an Ethernet header, which has 14")]
pub struct TooShort(pub usize);

impl Headers {
    /// Reads the headers of a frame, which starts at the destination address. At most two tags of
    /// 0x8100 or 0x88a8 are read, each only if it is whole and a type follows.
    ///
    /// # Errors
    /// When there are fewer than 14 bytes.
    pub fn parse(frame: &[u8]) -> Result<Headers, TooShort> {
        let mut type_at = ETH_HEADER_LEN - 2;
        let outer = tag(frame, &mut type_at);
        let inner = outer.and_then(|_| tag(frame, &mut type_at));
        let headers = Headers::parse_behind(frame, type_at)?;
        Ok(Headers {
            outer,
            inner,
            ..headers
        })
    }

    /// The same without reading tags: the type is the first one.
    ///
    /// # Errors
    /// When there are fewer than 14 bytes.
    pub fn parse_untagged(frame: &[u8]) -> Result<Headers, TooShort> {
        Headers::parse_behind(frame, ETH_HEADER_LEN - 2)
    }

    fn parse_behind(frame: &[u8], mut type_at: usize) -> Result<Headers, TooShort> {
        let short = TooShort(frame.len());
        let (dst, src) = (mac(frame, 0).ok_or(short)?, mac(frame, 6).ok_or(short)?);
        let mut ethertype = be16(frame, type_at).ok_or(short)?;
        if ethertype < MIN_ETHERTYPE {
            match snap(frame, type_at) {
                Some(known) => {
                    ethertype = known;
                    type_at += 2 + SNAP.len();
                }
                None => ethertype = ETHERTYPE_NONE,
            }
        }
        let mut headers = Headers {
            dst,
            src,
            outer: None,
            inner: None,
            ethertype,
            type_at,
            network: None,
        };
        headers.network = headers.read_network(frame);
        Ok(headers)
    }

    /// Offset of what is behind the type.
    pub fn network_at(&self) -> usize {
        self.type_at + 2
    }

    fn read_network(&self, frame: &[u8]) -> Option<Network> {
        let at = self.network_at();
        match self.ethertype {
            ETHERTYPE_IPV4 => ip::parse_v4(frame, at).map(Network::Ip),
            ETHERTYPE_IPV6 => ip::parse_v6(frame, at).map(Network::Ip),
            ETHERTYPE_ARP | ETHERTYPE_RARP => arp(frame, at).map(Network::Arp),
            ETHERTYPE_MPLS | ETHERTYPE_MPLS_MULTICAST => {
                be32(frame, at).map(|bits| Network::Mpls(Label::from_bits(bits)))
            }
            _ => None,
        }
    }
}

/// The tag at a type's place, if there is one; the type's place moves behind it.
fn tag(frame: &[u8], type_at: &mut usize) -> Option<VlanTag> {
    let tpid = be16(frame, *type_at)?;
    if tpid != TPID_8021Q && tpid != TPID_8021AD {
        return None;
    }
    let tci = Tci(be16(frame, *type_at + 2)?);
    be16(frame, *type_at + VLAN_TAG_LEN)?;
    *type_at += VLAN_TAG_LEN;
    Some(VlanTag { tpid, tci })
}

/// The type in a SNAP header behind a length (RFC 1042).
fn snap(frame: &[u8], length_at: usize) -> Option<u16> {
    let at = length_at + 2;
    let known = frame.get(at..at + SNAP.len())? == SNAP;
    let ethertype = be16(frame, at + SNAP.len())?;
    (known && ethertype >= MIN_ETHERTYPE).then_some(ethertype)
}

fn arp(frame: &[u8], at: usize) -> Option<Arp> {
    let bytes = frame.get(at..at + ARP_LEN)?;
    if bytes[..6] != ARP_START {
        return None;
    }
    Some(Arp {
        operation: be16(bytes, 6)?,
        sha: mac(bytes, 8)?,
        spa: be32(bytes, 14)?,
        tha: mac(bytes, 18)?,
        tpa: be32(bytes, 24)?,
    })
}
