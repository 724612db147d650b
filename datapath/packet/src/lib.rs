//! Packets as values: addresses, VLAN tags, the headers that a switch looks at, and how they are
//! changed.
//!
//! Pure: bytes in, values out. All multi-byte fields on the wire are big-endian.
#![forbid(unsafe_code)]

mod checksum;
mod complete;
mod dscp;
mod ethernet;
pub mod fuzzing;
mod headers;
mod ip;
mod mac;
mod read;
mod rewrite;
mod vlan;

pub use checksum::{crc32c, internet_checksum};
pub use complete::{complete_checksum, pseudo_header};
pub use dscp::with_dscp;
pub use ethernet::{ETH_HEADER_LEN, EthernetError, EthernetHeader};
pub use headers::{
    Arp, ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_MPLS, ETHERTYPE_MPLS_MULTICAST,
    ETHERTYPE_NONE, ETHERTYPE_RARP, Headers, Label, MPLS_LABEL_LEN, Network, TooShort,
};
pub use ip::{Fragment, Ip, Neighbour, Transport, TransportHeader, proto};
pub use mac::{MacAddr, ParseMacError};
pub use rewrite::{Rewrite, pop_label, push_label};
pub use vlan::{TPID_8021AD, TPID_8021Q, Tci, VLAN_TAG_LEN, Vid, VlanError, VlanTag};
