//! The plan: which devices must change, in which order. Removals come before additions, so that
//! names are free again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use aorta_flow::{BridgeName, IfIndex};
use aorta_kernel::netdev::{DeviceRef, Link, VethPair};
use aorta_packet::MacAddr;

use super::qos::{Shaping, shape};
use super::{Actual, Resolved, bridge_mac, resolve};
use crate::config::{Desired, DesiredBridge, DesiredPort, Dummy, Wanted};
use crate::devices::{Owner, hidden_alias, hidden_name, owner};

/// MTU of a new device when nothing says otherwise, in bytes.
const DEFAULT_MTU: u32 = 1500;

/// One change to the host's devices.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Delete a pair of ours (both ends go).
    DeletePair(DeviceRef),
    /// Give a NIC back as it was; `None` if it is gone and only the memory of it remains.
    EndPromisc(String, Option<DeviceRef>),
    /// Make a pair.
    CreatePair(VethPair),
    /// Mark a hidden end with the alias and set it up.
    Mark(DeviceRef, String),
    /// Set a device's MTU in bytes.
    SetMtu(DeviceRef, u32),
    /// Set a device's address.
    SetMac(DeviceRef, MacAddr),
    /// Make a NIC take frames for every address.
    BeginPromisc(DeviceRef),
    /// Forget a device in memory.
    DropDummy(String),
    /// Make a device in memory, or change it.
    MakeDummy(String, Dummy),
    /// Change how what leaves by a device is shaped.
    Shape(DeviceRef, Shaping),
    /// Set a device up or down, because a controller asks for it. No plan has it.
    SetUp(DeviceRef, bool),
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Effect::DeletePair(device) => write!(f, "{}: deleted, with its peer", device.name),
            Effect::EndPromisc(name, _) => write!(f, "{name}: no longer promiscuous"),
            Effect::CreatePair(pair) => {
                write!(
                    f,
                    "{}: made, with {} as the switch's side",
                    pair.host, pair.hidden
                )
            }
            Effect::Mark(device, _) => write!(f, "{}: adopted and set up", device.name),
            Effect::SetMtu(device, mtu) => write!(f, "{}: MTU set to {mtu}", device.name),
            Effect::SetMac(device, mac) => write!(f, "{}: address set to {mac}", device.name),
            Effect::BeginPromisc(device) => write!(f, "{}: made promiscuous", device.name),
            Effect::DropDummy(name) => write!(f, "{name}: removed from memory"),
            Effect::MakeDummy(name, _) => write!(f, "{name}: made in memory"),
            Effect::Shape(device, shaping) => write!(f, "{}: {shaping}", device.name),
            Effect::SetUp(device, true) => write!(f, "{}: set up", device.name),
            Effect::SetUp(device, false) => write!(f, "{}: set down", device.name),
        }
    }
}

impl Effect {
    /// Whether it changes, makes or deletes that device.
    pub fn is_about(&self, ifindex: IfIndex, name: &str) -> bool {
        match self {
            Effect::CreatePair(pair) => pair.host == name || pair.hidden == name,
            Effect::EndPromisc(device, _)
            | Effect::DropDummy(device)
            | Effect::MakeDummy(device, _) => device == name,
            Effect::DeletePair(device)
            | Effect::Mark(device, _)
            | Effect::SetMtu(device, _)
            | Effect::SetMac(device, _)
            | Effect::SetUp(device, _)
            | Effect::Shape(device, _)
            | Effect::BeginPromisc(device) => device.ifindex == ifindex,
        }
    }

    /// Whether it makes the pair of that port.
    pub fn creates(&self, port: &str) -> bool {
        match self {
            Effect::CreatePair(pair) => pair.host == port,
            Effect::MakeDummy(name, _) => name == port,
            _ => false,
        }
    }
}

/// What must be done now. After that another look may show more to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The changes, in order.
    pub effects: Vec<Effect>,
    /// The MTUs that the bridges' own ports follow from now on.
    pub followed_mtu: BTreeMap<BridgeName, Option<u32>>,
}

/// Compares what is wanted with what there is.
pub fn plan(desired: &Desired, actual: &Actual) -> Plan {
    let mut plan = Plan::default();
    removals(desired, actual, &mut plan);
    for bridge in &desired.bridges {
        let mac = bridge_mac(bridge, actual);
        let mtu = smallest_mtu(bridge, actual);
        plan.followed_mtu.insert(bridge.name.clone(), mtu);
        for port in &bridge.ports {
            dummy(port, mac, actual, &mut plan);
            match resolve(port, actual) {
                Resolved::Device(link) => system_port(port, link, &mut plan),
                Resolved::Pair { host, hidden } => {
                    if !hidden.up || owner(hidden, &actual.instance) == Owner::Nobody {
                        mark(port, hidden, actual, &mut plan);
                    }
                    if let Some(host) = host {
                        let follows = Follows {
                            bridge,
                            mac,
                            mtu,
                            actual,
                        };
                        follows.pair(port, host, hidden, &mut plan);
                    }
                }
                Resolved::MissingPair => create(port, mac, mtu, actual, &mut plan),
                Resolved::Patch(_) | Resolved::Nothing(_) => {}
            }
        }
    }
    plan.effects.extend(shape(desired, actual));
    plan.effects
        .retain(|effect| !actual.failed.contains_key(effect));
    plan
}

fn removals(desired: &Desired, actual: &Actual, plan: &mut Plan) {
    let ports = || desired.bridges.iter().flat_map(|b| &b.ports);
    let internal: BTreeSet<&str> = ports()
        .filter(|p| matches!(p.wanted, Wanted::Internal { .. }))
        .map(|p| p.name.as_str())
        .collect();
    let gone = actual
        .own_hidden()
        .filter(|(_, port)| !internal.contains(port));
    plan.effects
        .extend(gone.map(|(link, _)| Effect::DeletePair(link.into())));
    plan.effects.sort();
    dropped_dummies(desired, actual, plan);
    if actual.promisc.is_empty() {
        return;
    }
    let system: BTreeSet<&str> = ports()
        .filter(|p| matches!(resolve(p, actual), Resolved::Device(_)))
        .map(|p| p.name.as_str())
        .collect();
    let released = actual
        .promisc
        .iter()
        .filter(|name| !system.contains(name.as_str()));
    plan.effects.extend(released.map(|name| {
        let link = actual.by_name(name).filter(|link| link.promisc);
        Effect::EndPromisc(name.clone(), link.map(DeviceRef::from))
    }));
}

/// Devices in memory that no port has any more.
fn dropped_dummies(desired: &Desired, actual: &Actual, plan: &mut Plan) {
    if actual.dummies.is_empty() {
        return;
    }
    let ports = desired.bridges.iter().flat_map(|b| &b.ports);
    let wanted: BTreeSet<&str> = ports
        .filter(|p| matches!(p.wanted, Wanted::Dummy(_)))
        .map(|p| p.name.as_str())
        .collect();
    let gone = actual.dummies.keys();
    let gone = gone.filter(|name| !wanted.contains(name.as_str()));
    plan.effects.extend(gone.cloned().map(Effect::DropDummy));
}

/// A device in memory that is not there, or is another.
fn dummy(port: &DesiredPort, bridge_mac: MacAddr, actual: &Actual, plan: &mut Plan) {
    let Wanted::Dummy(wanted) = &port.wanted else {
        return;
    };
    let mac = match port.wanted.is_local() {
        true => Some(bridge_mac),
        false => wanted.mac,
    };
    let wanted = Dummy {
        mac,
        ..wanted.clone()
    };
    let name = port.name.as_str();
    if actual.dummies.get(name) != Some(&wanted) {
        let make = Effect::MakeDummy(name.to_owned(), wanted);
        plan.effects.push(make);
    }
}

/// Smallest MTU of the bridge's system ports.
fn smallest_mtu(bridge: &DesiredBridge, actual: &Actual) -> Option<u32> {
    let mtus = bridge
        .ports
        .iter()
        .filter_map(|port| match resolve(port, actual) {
            Resolved::Device(link) => Some(link.mtu),
            _ => None,
        });
    mtus.min()
}

fn system_port(port: &DesiredPort, link: &Link, plan: &mut Plan) {
    if let Some(mtu) = port.mtu_request.filter(|&mtu| mtu != link.mtu) {
        plan.effects.push(Effect::SetMtu(link.into(), mtu));
    }
    if link.is_physical() && !link.promisc {
        plan.effects.push(Effect::BeginPromisc(link.into()));
    }
}

fn mark(port: &DesiredPort, hidden: &Link, actual: &Actual, plan: &mut Plan) {
    let alias = hidden_alias(port.name.as_str(), &actual.instance);
    plan.effects.push(Effect::Mark(hidden.into(), alias));
}

fn create(
    port: &DesiredPort,
    bridge_mac: MacAddr,
    bridge_mtu: Option<u32>,
    actual: &Actual,
    plan: &mut Plan,
) {
    let Wanted::Internal {
        local, first_mac, ..
    } = port.wanted
    else {
        return;
    };
    let name = port.name.as_str();
    let following = bridge_mtu.filter(|_| local);
    plan.effects.push(Effect::CreatePair(VethPair {
        host: name.to_owned(),
        host_mac: Some(if local { bridge_mac } else { first_mac }),
        hidden: hidden_name(name),
        hidden_alias: hidden_alias(name, &actual.instance),
        mtu: port.mtu_request.or(following).unwrap_or(DEFAULT_MTU),
    }));
}

/// What the bridge's own port takes from the bridge.
struct Follows<'a> {
    bridge: &'a DesiredBridge,
    mac: MacAddr,
    mtu: Option<u32>,
    actual: &'a Actual,
}

impl Follows<'_> {
    fn pair(&self, port: &DesiredPort, host: &Link, hidden: &Link, plan: &mut Plan) {
        let Wanted::Internal { local, mac, .. } = port.wanted else {
            return;
        };
        let mac = if local { Some(self.mac) } else { mac };
        if let Some(mac) = mac.filter(|mac| host.mac != Some(*mac)) {
            plan.effects.push(Effect::SetMac(host.into(), mac));
        }
        // Only a change of the bridge moves it: until then the administrator may choose another.
        let followed = self.actual.followed_mtu.get(&self.bridge.name);
        let moved = self
            .mtu
            .filter(|_| local && followed.is_some_and(|old| *old != self.mtu));
        let mtu = port.mtu_request.or(moved).unwrap_or(host.mtu);
        for end in [host, hidden] {
            if end.mtu != mtu {
                plan.effects.push(Effect::SetMtu(end.into(), mtu));
            }
        }
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
