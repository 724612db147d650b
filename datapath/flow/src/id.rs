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
    /// The bridge's own port (OFPP_LOCAL as OpenFlow 1.0 numbers it, 65534).
    pub const LOCAL: OfPort = OfPort(65534);
    /// Highest number that an ordinary port can have (OVSDB's limit of `ofport_request`).
    pub const MAX: OfPort = OfPort(65279);
}

impl fmt::Display for OfPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == OfPort::LOCAL {
            f.write_str("LOCAL")
        } else {
            self.0.fmt(f)
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
