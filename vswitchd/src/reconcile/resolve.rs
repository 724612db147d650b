//! What each port is connected to right now, and the datapath's snapshot that follows.

use aorta_flow::{Attachment, Bridge, Port, PortName, Restrictions, Snapshot};
use aorta_kernel::netdev::Link;
use aorta_packet::MacAddr;

use super::Actual;
use crate::config::{Desired, DesiredBridge, DesiredPort, Wanted};
use crate::devices::{Owner, hidden_name, owner};

/// What the kernel calls the devices of a datapath of Open vSwitch.
const OPEN_VSWITCH: &str = "openvswitch";
/// How devices become free that such a datapath has.
const RELEASE: &str = "no Open vSwitch running, release it with `vswitchd --release-open-vswitch`";

/// What a port is connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolved<'a> {
    /// A device of someone else.
    Device(&'a Link),
    /// The switch's own pair; `host` is `None` while it is in another namespace.
    Pair {
        /// The end that the host uses.
        host: Option<&'a Link>,
        /// The end that the switch attaches to.
        hidden: &'a Link,
    },
    /// The switch's own pair, which must be made first.
    MissingPair,
    /// Another patch port.
    Patch(&'a PortName),
    /// Nothing, and why: one line for Interface.error.
    Nothing(String),
}

/// Finds what a port is connected to.
pub fn resolve<'a>(port: &'a DesiredPort, actual: &'a Actual) -> Resolved<'a> {
    match &port.wanted {
        Wanted::Refused(why) => Resolved::Nothing(why.clone()),
        Wanted::Patch { peer } => Resolved::Patch(peer),
        Wanted::System => system(port.name.as_str(), actual),
        Wanted::Internal { .. } => internal(port.name.as_str(), actual),
        Wanted::Dummy(_) => dummy(port.name.as_str(), actual),
    }
}

fn dummy<'a>(name: &str, actual: &'a Actual) -> Resolved<'a> {
    match actual.by_name(name) {
        Some(link) => Resolved::Device(link),
        None => {
            let why = creation_failure(name, actual);
            Resolved::Nothing(why.unwrap_or_else(|| format!("{name}: not made yet")))
        }
    }
}

fn system<'a>(name: &str, actual: &'a Actual) -> Resolved<'a> {
    let Some(link) = actual.by_name(name) else {
        return Resolved::Nothing(format!(
            "could not open network device {name} (No such device)"
        ));
    };
    if link.loopback {
        return Resolved::Nothing(format!("{name}: the loopback device can't be a port"));
    }
    match owner(link, &actual.instance) {
        Owner::Nobody => {}
        Owner::Us(port) => {
            return Resolved::Nothing(format!("{name}: is the switch's own side of port {port}"));
        }
        Owner::Another => {
            return Resolved::Nothing(format!(
                "{name}: belongs to another instance of this switch"
            ));
        }
    }
    match link.master {
        None => Resolved::Device(link),
        Some(master) => Resolved::Nothing(taken(name, actual.get(master))),
    }
}

/// Why a device that has a master can't be a port.
fn taken(name: &str, master: Option<&Link>) -> String {
    let release = format!("release it with `ip link set {name} nomaster`");
    let Some(master) = master else {
        return format!("{name}: already a port of another device; {release}");
    };
    let what = match master.kind.as_deref() {
        Some("bridge") => "the Linux bridge ",
        Some("bond") => "the bond ",
        Some("team") => "the team ",
        Some("vrf") => "the VRF ",
        Some(OPEN_VSWITCH) => {
            return format!(
                "{name}: already a port of the Open vSwitch datapath {}; {RELEASE}",
                master.name
            );
        }
        _ => "",
    };
    format!("{name}: already a port of {what}{}; {release}", master.name)
}

/// Why an internal port can't be made where there is a device of its name.
fn foreign(name: &str, link: &Link) -> String {
    let kind = link.kind.as_deref().unwrap_or("a NIC");
    let remedy = match kind {
        OPEN_VSWITCH => RELEASE,
        _ => "rename or delete it",
    };
    format!(
        "{name}: there is a device of that name already ({kind}), which is not the switch's; {remedy}"
    )
}

fn internal<'a>(name: &str, actual: &'a Actual) -> Resolved<'a> {
    let host = actual.by_name(name);
    let hidden_name = hidden_name(name);
    let Some(hidden) = actual.by_name(&hidden_name) else {
        return match host {
            None => match creation_failure(name, actual) {
                Some(why) => Resolved::Nothing(why),
                None => Resolved::MissingPair,
            },
            Some(link) => Resolved::Nothing(foreign(name, link)),
        };
    };
    let peer = host.filter(|h| hidden.peer == Some(h.ifindex) && hidden.peer_netns.is_none());
    let ours = match owner(hidden, &actual.instance) {
        Owner::Us(port) => port == name,
        // Made, but the switch died before it could mark it.
        Owner::Nobody => hidden.alias.is_none() && peer.is_some(),
        Owner::Another => false,
    };
    if ours {
        return Resolved::Pair { host: peer, hidden };
    }
    Resolved::Nothing(format!(
        "{name}: the device {hidden_name}, which the port needs, exists and is not this switch's; \
         rename or delete it"
    ))
}

fn creation_failure(name: &str, actual: &Actual) -> Option<String> {
    let mut failed = actual.failed.iter();
    failed
        .find(|(effect, _)| effect.creates(name))
        .map(|(_, why)| why.clone())
}

/// The bridge's address: configured, else the lowest of its NICs, else its own.
pub fn bridge_mac(bridge: &DesiredBridge, actual: &Actual) -> MacAddr {
    let nics = bridge
        .ports
        .iter()
        .filter_map(|port| match resolve(port, actual) {
            Resolved::Device(link) if link.is_physical() => link.mac.filter(|mac| !mac.is_zero()),
            _ => None,
        });
    bridge
        .hwaddr
        .or_else(|| nics.min())
        .unwrap_or(bridge.fallback_mac)
}

/// The bridge's datapath id: 16 hexadecimal digits, configured or from its address.
pub fn datapath_id(bridge: &DesiredBridge, mac: MacAddr) -> String {
    bridge.datapath_id.clone().unwrap_or_else(|| {
        mac.0
            .iter()
            .fold("0000".to_owned(), |id, byte| format!("{id}{byte:02x}"))
    })
}

/// What the datapath should do. A port whose device isn't there keeps its place.
pub fn snapshot(desired: &Desired, actual: &Actual) -> Snapshot {
    let port = |port: &DesiredPort| {
        Some(Port {
            name: port.name.clone(),
            ofport: port.ofport?,
            vlan: port.vlan.clone(),
            attachment: attachment(resolve(port, actual)),
            hook: port.hook,
            guard: port.guard.clone(),
            priority_tags: port.priority_tags,
            restrictions: Restrictions::default(),
            queue_dscp: port.qos.dscp.clone(),
        })
    };
    let bridge = |bridge: &DesiredBridge| Bridge {
        name: bridge.name.clone(),
        mac_aging_s: bridge.mac_aging_s,
        mac_table_size: bridge.mac_table_size,
        forward_bpdu: bridge.forward_bpdu,
        ports: bridge.ports.iter().filter_map(port).collect(),
    };
    Snapshot {
        bridges: desired.bridges.iter().map(bridge).collect(),
    }
}

fn attachment(resolved: Resolved) -> Attachment {
    match resolved {
        Resolved::Device(link) | Resolved::Pair { hidden: link, .. } => Attachment::Netdev {
            ifindex: link.ifindex,
            up: link.up,
            mtu_bytes: link.mtu,
        },
        Resolved::Patch(peer) => Attachment::Patch { peer: peer.clone() },
        Resolved::MissingPair | Resolved::Nothing(_) => Attachment::Absent,
    }
}
