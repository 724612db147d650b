//! What a port lets in: the addresses that may be used behind it, how much may come from it, and
//! which ports it reaches. Operators' view: `docs/port-security.md`.

mod allowed;
mod buckets;
pub mod check;
mod prefix;
mod rate;

pub use allowed::{Allowed, MAX_ALLOWED_ADDRESSES, MAX_ALLOWED_MACS, ParseAllowedError};
pub use buckets::Buckets;
pub use prefix::{IpPrefix, ParsePrefixError};
pub use rate::{
    DEFAULT_POLICING_BURST_KBITS, DEFAULT_POLICING_BURST_KPKTS, Policing, StormLimits, TokenRate,
};

/// What guards a port. The default asks for nothing.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct PortGuard {
    /// How much may come from the port's device.
    pub policing: Policing,
    /// Which addresses frames from the port's device may use; `None`: any.
    pub allowed: Option<Allowed>,
    /// Whether NORMAL sends nothing from the port to other protected ports.
    pub protected: bool,
    /// How many frames from the port NORMAL floods.
    pub storm: StormLimits,
}

impl PortGuard {
    /// Whether frames that come from the port's device are looked at before anything else.
    pub fn guards_ingress(&self) -> bool {
        self.allowed.is_some() || !self.policing.is_none()
    }
}
