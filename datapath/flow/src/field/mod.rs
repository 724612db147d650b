//! The catalogue of match fields: one row each, from which parsing, printing, documentation and
//! storage follow.

mod catalogue;
mod docs;
mod flags;
mod lookup;
mod prereq;
mod value;

pub use docs::render_docs;
pub use flags::{CT_STATE_FLAGS, FlagNames, TCP_FLAGS, TUN_FLAGS};
pub use lookup::nearest;
pub(crate) use prereq::VLAN_PRESENT;
pub use prereq::{EtherType, IpProto, Prereq};
pub(crate) use value::{NO_VLAN, hex, parse_number, show};
pub use value::{ValueError, parse_value};

use std::fmt;

/// Which field: an index into the catalogue.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldId(u8);

/// How a field's value is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// A decimal number.
    Decimal,
    /// A hexadecimal number; 0 stays `0`.
    Hex,
    /// Six bytes with colons.
    Ethernet,
    /// Dotted, with a prefix length or dotted mask.
    Ipv4,
    /// RFC 5952, with a prefix length or an address as mask.
    Ipv6,
    /// A port's number or reserved name.
    Port,
    /// `no`, `yes`, `first`, `later` or `not_later`.
    Frag,
    /// Flags of connection tracking, as in `+trk-new`.
    CtState,
    /// Flags of TCP, as in `+syn-ack`.
    TcpFlags,
    /// Flags of tunnels, as in `+oam`.
    TunFlags,
    /// `(namespace,type)`.
    PacketType,
}

impl Format {
    /// One word for documentation.
    pub fn name(self) -> &'static str {
        match self {
            Format::Decimal => "decimal",
            Format::Hex => "hexadecimal",
            Format::Ethernet => "Ethernet",
            Format::Ipv4 => "IPv4",
            Format::Ipv6 => "IPv6",
            Format::Port => "port",
            Format::Frag => "fragment",
            Format::CtState => "connection flags",
            Format::TcpFlags => "TCP flags",
            Format::TunFlags => "tunnel flags",
            Format::PacketType => "packet type",
        }
    }
}

/// Version of OpenFlow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Version {
    /// 1.0, wire version 1.
    OpenFlow10,
    /// 1.1, wire version 2.
    OpenFlow11,
    /// 1.2, wire version 3.
    OpenFlow12,
    /// 1.3, wire version 4.
    OpenFlow13,
    /// 1.4, wire version 5.
    OpenFlow14,
    /// 1.5, wire version 6.
    OpenFlow15,
}

impl Version {
    /// All, from the first.
    pub const ALL: [Version; 6] = [
        Version::OpenFlow10,
        Version::OpenFlow11,
        Version::OpenFlow12,
        Version::OpenFlow13,
        Version::OpenFlow14,
        Version::OpenFlow15,
    ];

    /// Its number on the wire: 1 for 1.0.
    pub fn number(self) -> u8 {
        self as u8 + 1
    }

    /// The version of a number on the wire.
    pub fn from_number(number: u8) -> Option<Version> {
        Self::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}", *self as u8)
    }
}

/// Class of a match field's code on the wire (OpenFlow 1.3.5 §7.2.3.2), with the experimenter
/// where the class is 0xffff.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Class {
    /// 16 bits.
    pub class: u16,
    /// Who defined it.
    pub experimenter: Option<u32>,
}

impl Class {
    /// Nicira's fields of OpenFlow 1.0.
    pub const NXM_OF: Class = Class::plain(0x0000);
    /// Nicira's extensions.
    pub const NXM_NX: Class = Class::plain(0x0001);
    /// Ericsson's extensions.
    pub const ERICOXM_OF: Class = Class::plain(0x1000);
    /// OpenFlow's basic class.
    pub const OXM_OF: Class = Class::plain(0x8000);
    /// OpenFlow's packet registers.
    pub const PACKET_REGS: Class = Class::plain(0x8001);
    /// The Open Networking Foundation's extensions.
    pub const ONFOXM_ET: Class = Class::experimental(0x4f4e_4600);
    /// Nicira's extensions in the experimenter's form.
    pub const NXOXM_ET: Class = Class::experimental(0x0000_2320);
    /// Network service headers.
    pub const NXOXM_NSH: Class = Class::experimental(0x005a_d650);

    const fn plain(class: u16) -> Class {
        Class {
            class,
            experimenter: None,
        }
    }

    const fn experimental(experimenter: u32) -> Class {
        Class {
            class: 0xffff,
            experimenter: Some(experimenter),
        }
    }
}

/// A field's code on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Code {
    /// Name, as actions write it: `NXM_NX_REG0`.
    pub name: &'static str,
    /// Class.
    pub class: Class,
    /// Number in the class, 7 bits.
    pub number: u8,
    /// First version of OpenFlow that defines it; extensions work with all.
    pub since: Version,
}

/// One row of the catalogue.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Name that is printed where a field stands by itself.
    pub name: &'static str,
    /// Second name.
    pub alias: Option<&'static str>,
    /// A few words for people.
    pub help: &'static str,
    /// Bits that subfields can name.
    pub bits: u8,
    /// Bytes of the value on the wire.
    pub wire_bytes: u8,
    /// Bits that a packet's key holds.
    pub key_bits: u8,
    /// How values are written.
    pub format: Format,
    /// Whether a match may have an arbitrary mask.
    pub maskable: bool,
    /// What must be matched besides.
    pub prereq: Prereq,
    /// Whether actions may change it.
    pub writable: bool,
    /// Whether OpenFlow 1.0's fixed match has it.
    pub in_openflow10: bool,
    /// Standard code, or one in the experimenter's form.
    pub oxm: Option<Code>,
    /// Code of Nicira's extended match.
    pub nxm: Option<Code>,
    /// Field whose storage it is part of; itself if it has its own.
    pub home: FieldId,
    /// Lowest bit in the storage of `home`.
    pub shift: u8,
}

impl Field {
    /// The code that text uses for the field, if it has any: the older of the two.
    pub fn code(&self) -> Option<&Code> {
        self.nxm.as_ref().or(self.oxm.as_ref())
    }

    /// All bits of the value on the wire, which may be more than have a meaning.
    pub fn wire_mask(&self) -> u128 {
        ones(self.wire_bytes.saturating_mul(8))
    }

    /// All bits that a match can ask for.
    pub fn full_mask(&self) -> u128 {
        ones(self.key_bits)
    }
}

/// A number of one bits, least significant first.
pub const fn ones(bits: u8) -> u128 {
    if bits >= 128 {
        u128::MAX
    } else {
        (1 << bits) - 1
    }
}

impl FieldId {
    /// How many fields there are.
    pub const COUNT: usize = catalogue::COUNT;

    /// All fields.
    pub fn all() -> impl Iterator<Item = FieldId> {
        (0..Self::COUNT as u8).map(FieldId)
    }

    /// The row of the catalogue.
    pub fn field(self) -> &'static Field {
        &catalogue::CATALOGUE[usize::from(self.0)]
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.field().name
    }

    /// Position in tables over all fields.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Display for FieldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for FieldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests;
