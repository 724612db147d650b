//! What a port lets in: the addresses that may be used behind it, how much may come from it, and
//! which ports it reaches. Operators' view: `docs/port-security.md`.

mod allowed;
mod buckets;
pub mod check;
mod prefix;
mod rate;

use std::fmt;

pub use allowed::{Allowed, MAX_ALLOWED_ADDRESSES, MAX_ALLOWED_MACS, ParseAllowedError};
pub use buckets::Buckets;
pub use prefix::{IpPrefix, ParsePrefixError};
pub use rate::{
    DEFAULT_BURST_MS, DEFAULT_POLICING_BURST_KBITS, DEFAULT_POLICING_BURST_KPKTS, Policing,
    StormLimits, TokenRate,
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

impl fmt::Display for PortGuard {
    /// In words; nothing if nothing is asked for.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let allowed = self.allowed.iter().map(|list| format!("allows {list}"));
        let policing = (!self.policing.is_none()).then(|| self.policing.to_string());
        let protected = self.protected.then(|| "protected".to_owned());
        let storm = (!self.storm.is_none()).then(|| self.storm.to_string());
        let words = allowed.chain(policing).chain(protected).chain(storm);
        f.write_str(&words.collect::<Vec<_>>().join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guard_in_words() {
        assert_eq!(PortGuard::default().to_string(), "");
        let guard = PortGuard {
            policing: Policing {
                rate_kbps: 10_000,
                rate_kpps: 20,
                burst_kpkts: 5,
                ..Policing::default()
            },
            allowed: "52:54:00:00:00:01 10.0.0.1 router".parse().ok(),
            protected: true,
            storm: StormLimits {
                broadcast_pps: 100,
                unknown_pps: 0,
            },
        };
        assert_eq!(
            guard.to_string(),
            "allows 52:54:00:00:00:01 10.0.0.1 router; at most 10000 kbit/s (8000 kbit at once) and \
             20000 packets/s (5000 at once); protected; floods at most 100 broadcasts/s"
        );
    }
}
