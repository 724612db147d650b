//! What guards ports: policing, allowed addresses, protection and storm limits, as rows of tables Port
//! and Interface ask for it.

use aorta_flow::PortGuard;
use aorta_flow::guard::{Allowed, Policing, StormLimits};
use aorta_ovsdb::{Datum, Row};

use super::Wanted;

/// Key of Interface:other_config with the addresses that may be used.
const ALLOWED: &str = "aorta-allowed";
/// Keys of Port:other_config with the frames a second that are flooded.
const STORM_BROADCAST: &str = "aorta-storm-broadcast-pps";
const STORM_UNKNOWN: &str = "aorta-storm-unknown-pps";

/// What a row of table Interface asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InterfaceGuard {
    /// `ingress_policing_rate` and the columns beside it.
    pub policing: Policing,
    /// other_config:aorta-allowed.
    pub allowed: Option<String>,
}

/// What a row of table Port asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PortLimits {
    /// `protected`.
    pub protected: bool,
    /// other_config:aorta-storm-broadcast-pps.
    pub storm_broadcast_pps: Option<String>,
    /// other_config:aorta-storm-unknown-pps.
    pub storm_unknown_pps: Option<String>,
}

impl From<&Row> for InterfaceGuard {
    fn from(row: &Row) -> Self {
        let number = |column: &str| row.int(column).unwrap_or(0).max(0).unsigned_abs();
        InterfaceGuard {
            policing: Policing {
                rate_kbps: number("ingress_policing_rate"),
                burst_kbits: number("ingress_policing_burst"),
                rate_kpps: number("ingress_policing_kpkts_rate"),
                burst_kpkts: number("ingress_policing_kpkts_burst"),
            },
            allowed: row.map_get("other_config", ALLOWED).map(str::to_owned),
        }
    }
}

impl From<&Row> for PortLimits {
    fn from(row: &Row) -> Self {
        let other = |key: &str| row.map_get("other_config", key).map(str::to_owned);
        PortLimits {
            protected: *row.datum("protected") == Datum::scalar(true),
            storm_broadcast_pps: other(STORM_BROADCAST),
            storm_unknown_pps: other(STORM_UNKNOWN),
        }
    }
}

/// What guards a port, and what of it can't be done as it was written, one sentence each. A list of
/// addresses that can't be read lets nothing in: a port is not to be open because of a slip.
pub fn port_guard(
    name: &str,
    port: &PortLimits,
    interface: &InterfaceGuard,
    wanted: &Wanted,
) -> (PortGuard, Vec<String>) {
    let mut problems = Vec::new();
    let allowed = interface.allowed.as_deref().map(|text| {
        text.parse::<Allowed>().unwrap_or_else(|error| {
            problems.push(format!(
                "{name}: other_config:{ALLOWED}: {error}; nothing from {name} is let in until that \
                 is right"
            ));
            Allowed::nothing()
        })
    });
    let policing = interface.policing;
    if matches!(wanted, Wanted::Patch { .. }) && (allowed.is_some() || !policing.is_none()) {
        problems.push(format!(
            "{name}: policing and other_config:{ALLOWED} are without effect on a patch port; set them \
             on the ports with devices behind it"
        ));
    }
    let mut limit = |key: &str, text: &Option<String>| -> u32 {
        let Some(text) = text else { return 0 };
        text.trim().parse().unwrap_or_else(|_| {
            problems.push(format!(
                "{name}: other_config:{key} of its port is {text:?}, which is no number of frames a \
                 second; there is no such limit"
            ));
            0
        })
    };
    let storm = StormLimits {
        broadcast_pps: limit(STORM_BROADCAST, &port.storm_broadcast_pps),
        unknown_pps: limit(STORM_UNKNOWN, &port.storm_unknown_pps),
    };
    let guard = PortGuard {
        policing,
        allowed,
        protected: port.protected,
        storm,
    };
    (guard, problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(allowed: &str, storm: Option<&str>, wanted: &Wanted) -> (PortGuard, Vec<String>) {
        let port = PortLimits {
            storm_unknown_pps: storm.map(str::to_owned),
            ..PortLimits::default()
        };
        let interface = InterfaceGuard {
            allowed: Some(allowed.to_owned()),
            ..InterfaceGuard::default()
        };
        port_guard("tap0", &port, &interface, wanted)
    }

    #[test]
    fn a_list_that_cannot_be_read_closes_the_port() {
        let (guard, problems) = guard("52:54:00:00:00:01 10.0.0.300", None, &Wanted::System);
        assert_eq!(guard.allowed, Some(Allowed::nothing()));
        assert_eq!(
            problems,
            [
                "tap0: other_config:aorta-allowed: \"10.0.0.300\" is neither a MAC address nor an IPv4 \
              or IPv6 address or prefix; nothing from tap0 is let in until that is right"
            ]
        );
    }

    #[test]
    fn limits_that_cannot_be_read_are_none() {
        let (good, problems) = guard("52:54:00:00:00:01", Some("100"), &Wanted::System);
        assert_eq!((good.storm.unknown_pps, problems.len()), (100, 0));
        let (bad, problems) = guard("52:54:00:00:00:01", Some("-1"), &Wanted::System);
        assert!(bad.storm.is_none() && problems[0].contains("aorta-storm-unknown-pps"));
    }

    #[test]
    fn patch_ports_tell_what_they_do_not_do() {
        let patch = Wanted::Patch { peer: "p1".into() };
        let (_, problems) = guard("52:54:00:00:00:01", None, &patch);
        assert!(problems[0].contains("without effect on a patch port"));
    }
}
