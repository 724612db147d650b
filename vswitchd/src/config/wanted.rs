//! What interfaces should be connected to.

use aorta_flow::PortName;
use aorta_kernel::netdev::MAX_NAME_LEN;
use aorta_ovsdb::Uuid;
use aorta_packet::MacAddr;

use super::{BridgeRow, Devices, Dummy, DummyKind, InterfaceRow, stable_mac, user_space};

/// What a port should be connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// A device that someone else makes.
    System,
    /// A device that the switch makes for the host.
    Internal {
        /// The bridge's own port.
        local: bool,
        /// Address that it must have.
        mac: Option<MacAddr>,
        /// Address that it is made with otherwise.
        first_mac: MacAddr,
    },
    /// Another patch port.
    Patch {
        /// Its name.
        peer: PortName,
    },
    /// A device in memory.
    Dummy(Dummy),
    /// Nothing, for the reason given.
    Refused(String),
}

impl Wanted {
    /// The type as OVSDB names it.
    pub fn kind(&self) -> &'static str {
        match self {
            Wanted::System => "system",
            Wanted::Internal { .. } => "internal",
            Wanted::Patch { .. } => "patch",
            Wanted::Dummy(dummy) => dummy.kind.name(),
            Wanted::Refused(_) => "none",
        }
    }

    /// Refuses what the kernel would refuse as the name of a device.
    pub(super) fn checked(self, name: &str) -> Wanted {
        if name.len() > MAX_NAME_LEN {
            return Wanted::Refused(format!(
                "{name}: the name of a network device has at most {MAX_NAME_LEN} bytes, this one has {}",
                name.len()
            ));
        }
        let bad = |c: char| c == '/' || c == ':' || c.is_whitespace();
        if name.is_empty() || name == "." || name == ".." || name.contains(bad) {
            return Wanted::Refused(format!("{name:?} can't be the name of a network device"));
        }
        self
    }

    /// Whether it is the bridge's own port.
    pub fn is_local(&self) -> bool {
        match self {
            Wanted::Internal { local, .. } => *local,
            Wanted::Dummy(dummy) => dummy.kind == DummyKind::Internal { local: true },
            _ => false,
        }
    }
}

/// What an interface should be connected to. The one named as its bridge is always internal.
pub(super) fn wanted(bridge: &BridgeRow, row: &InterfaceRow, devices: Devices) -> Wanted {
    let refused = Wanted::Refused;
    let local = row.name == bridge.name;
    if let Some(simulated) = simulated(row, local, devices) {
        return simulated;
    }
    match row.kind.as_str() {
        "patch" if !local => match row.peer.as_deref().filter(|peer| !peer.is_empty()) {
            None => refused(format!("{}: patch port without options:peer", row.name)),
            Some(peer) if peer == row.name => {
                refused(format!("{}: options:peer names the port itself", row.name))
            }
            Some(peer) => Wanted::Patch { peer: peer.into() },
        },
        _ if local => internal(true, row.uuid, None).checked(&row.name),
        "internal" => match row.mac.as_deref().map(str::parse::<MacAddr>) {
            Some(Err(e)) => refused(format!("{}: {e}", row.name)),
            Some(Ok(mac)) if mac.is_multicast() || mac.is_zero() => refused(format!(
                "{}: {mac} can't be the address of a device",
                row.name
            )),
            mac => internal(false, row.uuid, mac.and_then(Result::ok)).checked(&row.name),
        },
        "" | "system" | "tap" => Wanted::System.checked(&row.name),
        "dummy" | "dummy-pmd" => refused(format!(
            "{}: {} interfaces need `vswitchd --datapath sim`",
            row.name, row.kind
        )),
        other => refused(match user_space(other) {
            Some(instead) => format!("{}: {instead}", row.name),
            None => format!("{}: interface type {other:?} is not supported", row.name),
        }),
    }
}

/// The device in memory that an interface should be connected to, if devices are there.
fn simulated(row: &InterfaceRow, local: bool, devices: Devices) -> Option<Wanted> {
    let Devices::Simulated { system } = devices else {
        return None;
    };
    let kind = match row.kind.as_str() {
        _ if local => DummyKind::Internal { local },
        "internal" => DummyKind::Internal { local },
        "dummy" => DummyKind::Dummy,
        "dummy-pmd" => DummyKind::Pmd,
        "" | "system" | "tap" if system => DummyKind::System,
        _ => return None,
    };
    Some(Dummy::of(row, kind).map_or_else(Wanted::Refused, Wanted::Dummy))
}

pub(super) fn internal(local: bool, row: Uuid, mac: Option<MacAddr>) -> Wanted {
    Wanted::Internal {
        local,
        mac,
        first_mac: mac.unwrap_or_else(|| stable_mac(row)),
    }
}
