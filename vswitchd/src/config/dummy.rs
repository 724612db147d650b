//! Devices that exist in the daemon's memory only.

use std::collections::BTreeMap;

use aorta_packet::MacAddr;

use super::{InterfaceRow, stable_mac};

/// Which devices ports are connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Devices {
    /// The host's.
    #[default]
    Host,
    /// Simulated ones, in memory.
    Simulated {
        /// Whether ports of type `system` and `tap` get one, too; else their device is missing.
        system: bool,
    },
}

/// Keys of Interface.options that a simulated device knows.
pub const OPTIONS: [&str; 7] = [
    "ifindex", "mac", "pcap", "pstream", "rxq_pcap", "stream", "tx_pcap",
];

/// A simulated device.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dummy {
    /// What it stands for.
    pub kind: DummyKind,
    /// Address that it must have.
    pub mac: Option<MacAddr>,
    /// Index that it says it has; 0 says none.
    pub ifindex: u32,
    /// File that all frames are written to.
    pub pcap: Option<String>,
    /// File that frames from the device are written to.
    pub rx_pcap: Option<String>,
    /// File that frames to the device are written to.
    pub tx_pcap: Option<String>,
    /// Where the other end of its wire is.
    pub wire: Option<Wire>,
}

/// What a simulated device stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DummyKind {
    /// Type `dummy`.
    Dummy,
    /// Type `dummy-pmd`.
    Pmd,
    /// A device that the switch would make for the host.
    Internal {
        /// The bridge's own port.
        local: bool,
    },
    /// A device of the host.
    System,
}

/// Where the other end of a simulated device's wire is, as Open vSwitch names connections.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wire {
    /// The device connects.
    Active(String),
    /// The device listens.
    Passive(String),
}

impl Dummy {
    /// A device of a bridge without a row for its own port.
    pub fn local() -> Dummy {
        Dummy {
            kind: DummyKind::Internal { local: true },
            mac: None,
            ifindex: 0,
            pcap: None,
            rx_pcap: None,
            tx_pcap: None,
            wire: None,
        }
    }

    /// The device that a row asks for.
    ///
    /// # Errors
    /// With what can't be done, for people.
    pub fn of(row: &InterfaceRow, kind: DummyKind) -> Result<Dummy, String> {
        let option = |key: &str| row.options.get(key).cloned();
        let asked = match kind {
            DummyKind::Internal { local: true } => None,
            _ => option("mac").or(row.mac.clone()),
        };
        let mac = match asked.as_deref().map(str::parse::<MacAddr>) {
            Some(Err(error)) => return Err(format!("{}: {error}", row.name)),
            Some(Ok(mac)) if mac.is_multicast() || mac.is_zero() => {
                return Err(format!(
                    "{}: {mac} can't be the address of a device",
                    row.name
                ));
            }
            given => given.and_then(Result::ok),
        };
        let first_mac = || matches!(kind, DummyKind::Internal { local: false });
        Ok(Dummy {
            kind,
            mac: mac.or_else(|| first_mac().then(|| stable_mac(row.uuid))),
            ifindex: option("ifindex")
                .and_then(|text| text.parse().ok())
                .unwrap_or(0),
            pcap: option("pcap"),
            rx_pcap: option("rxq_pcap"),
            tx_pcap: option("tx_pcap"),
            wire: wire(&row.options),
        })
    }
}

fn wire(options: &BTreeMap<String, String>) -> Option<Wire> {
    let passive = options.get("pstream").cloned().map(Wire::Passive);
    passive.or_else(|| options.get("stream").cloned().map(Wire::Active))
}

impl DummyKind {
    /// The type as OVSDB names it.
    pub fn name(self) -> &'static str {
        match self {
            DummyKind::Dummy => "dummy",
            DummyKind::Pmd => "dummy-pmd",
            DummyKind::Internal { .. } => "internal",
            DummyKind::System => "system",
        }
    }

    /// The type as `dpif/show` names it.
    pub fn class(self) -> &'static str {
        match self {
            DummyKind::Internal { .. } => "dummy-internal",
            other => other.name(),
        }
    }
}
