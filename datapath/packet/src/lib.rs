//! Ethernet vocabulary: addresses, VLAN tags and the header fields a switch looks at.
//!
//! Pure: bytes in, values out. All multi-byte fields on the wire are big-endian.
#![forbid(unsafe_code)]

mod ethernet;
mod mac;
mod vlan;

pub use ethernet::{ETH_HEADER_LEN, EthernetError, EthernetHeader};
pub use mac::{MacAddr, ParseMacError};
pub use vlan::{TPID_8021AD, TPID_8021Q, Tci, VLAN_TAG_LEN, Vid, VlanError, VlanTag};
