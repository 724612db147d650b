//! Identifiers, each its own type so that none is taken for another.

use std::fmt;
use std::num::NonZeroU32;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl<T: Into<String>> From<T> for $name {
            fn from(name: T) -> Self {
                $name(name.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name! {
    /// Name of a bridge, unique in the switch.
    BridgeName
}

name! {
    /// Name of an interface that is a port of the switch, unique across all bridges.
    PortName
}

/// OpenFlow port number, unique within its bridge. [`OfPort::LOCAL`] is the bridge's own port.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OfPort(pub u16);

impl OfPort {
    /// Not set: an action set without output.
    pub const UNSET: OfPort = OfPort(0xfff7);
    /// Back where the packet came from.
    pub const IN_PORT: OfPort = OfPort(0xfff8);
    /// Through the flow tables, for packets that a controller sends.
    pub const TABLE: OfPort = OfPort(0xfff9);
    /// As a learning switch does.
    pub const NORMAL: OfPort = OfPort(0xfffa);
    /// All ports that flood, but the one that it came from.
    pub const FLOOD: OfPort = OfPort(0xfffb);
    /// All ports but the one that it came from.
    pub const ALL: OfPort = OfPort(0xfffc);
    /// To controllers.
    pub const CONTROLLER: OfPort = OfPort(0xfffd);
    /// The bridge's own port (OFPP_LOCAL as OpenFlow 1.0 numbers it, 65534).
    pub const LOCAL: OfPort = OfPort(65534);
    /// No port, or any.
    pub const ANY: OfPort = OfPort(0xffff);
    /// Highest number that an ordinary port can have (OVSDB's limit of `ofport_request`).
    pub const MAX: OfPort = OfPort(65279);

    const RESERVED: [(&'static str, OfPort); 10] = [
        ("UNSET", OfPort::UNSET),
        ("IN_PORT", OfPort::IN_PORT),
        ("TABLE", OfPort::TABLE),
        ("NORMAL", OfPort::NORMAL),
        ("FLOOD", OfPort::FLOOD),
        ("ALL", OfPort::ALL),
        ("CONTROLLER", OfPort::CONTROLLER),
        ("LOCAL", OfPort::LOCAL),
        ("ANY", OfPort::ANY),
        ("NONE", OfPort::ANY),
    ];

    /// Reads a number (16 bits, or 32 bits as OpenFlow 1.1 has them) or a reserved name in
    /// either case.
    pub fn from_text(text: &str) -> Option<OfPort> {
        let reserved = Self::RESERVED
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(text));
        match reserved {
            Some((_, port)) => Some(*port),
            None => Self::from_u32(u32::try_from(crate::field::parse_number(text)?).ok()?),
        }
    }

    /// The port of a 32-bit number: 0xffffff00 and more are the reserved ones.
    pub fn from_u32(number: u32) -> Option<OfPort> {
        match number {
            0..0xffff => Some(OfPort(number as u16)),
            0xffff_ff00.. => Some(OfPort(number as u16)),
            _ => None,
        }
    }

    /// Its number in 32 bits, as OpenFlow 1.1 has it.
    pub fn to_u32(self) -> u32 {
        match self.0 {
            0xff00.. => 0xffff_0000 | u32::from(self.0),
            number => number.into(),
        }
    }

    /// Name of a reserved port.
    pub fn reserved_name(self) -> Option<&'static str> {
        Self::RESERVED
            .iter()
            .find(|(_, port)| *port == self)
            .map(|(name, _)| *name)
    }
}

impl fmt::Display for OfPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reserved_name() {
            Some(name) => f.write_str(name),
            None => self.0.fmt(f),
        }
    }
}

impl fmt::Debug for OfPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Kernel index of a network device in the switch's network namespace.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IfIndex(pub NonZeroU32);

impl IfIndex {
    /// `None` for 0, which is no device.
    pub fn new(index: u32) -> Option<IfIndex> {
        NonZeroU32::new(index).map(IfIndex)
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for IfIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for IfIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
