//! The desired state of the switch: what the rows ask for, checked, with every port numbered.

use std::collections::{BTreeMap, HashMap};

use aorta_flow::{
    BridgeName, DEFAULT_MAC_AGING_S, DEFAULT_MAC_TABLE_SIZE, MIN_MAC_AGING_S, MIN_MAC_TABLE_SIZE,
    OfPort, PortGuard, PortHook, PortName, PortVlan, PriorityTags,
};
use aorta_ovsdb::Uuid;
use aorta_packet::MacAddr;

use super::attached_mac::duplicates;
use super::flow_table::{FlowTableRow, flow_tables};
use super::guard::port_guard;
use super::offload::{hw_offload, offload_cookies, offload_mode};
use super::ofport::{AllOfPorts, Applicant, OfPorts};
use super::qos::port_qos;
use super::vlan::port_vlan;
use super::wanted::{internal, wanted};
use super::{
    BridgeRow, ControllerRow, Devices, Dummy, InterfaceRow, Model, OffloadCookies, OffloadMode,
    OffloadWanted, PortQos, PortRow, Wanted, stable_mac,
};

/// Most addresses that `mac-table-size` can ask for.
const MAX_MAC_TABLE_SIZE: u32 = 1_000_000;

/// Everything that is configured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Desired {
    /// The bridges by name.
    pub bridges: Vec<DesiredBridge>,
    /// Rows that contradict themselves or each other, one line each.
    pub notes: Vec<String>,
    /// What is wrong with the rows of ports that are attached nevertheless.
    pub troubles: BTreeMap<PortName, String>,
    /// What network cards are to take over.
    pub offload: OffloadWanted,
}

/// One bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredBridge {
    /// Its name.
    pub name: BridgeName,
    /// Its row.
    pub row: Uuid,
    /// Address that it must have.
    pub hwaddr: Option<MacAddr>,
    /// Address that it has if nothing else gives it one.
    pub fallback_mac: MacAddr,
    /// Datapath id that it must have, 16 hexadecimal digits.
    pub datapath_id: Option<String>,
    /// Seconds until an unused address is forgotten.
    pub mac_aging_s: u32,
    /// Addresses that it remembers.
    pub mac_table_size: u32,
    /// Whether frames to 01:80:c2:00:00:0x are forwarded.
    pub forward_bpdu: bool,
    /// Whether its tables begin empty; otherwise with one flow that switches as a learning switch
    /// does.
    pub secure: bool,
    /// Whether it has controllers that decide what its tables have; these begin empty, too.
    pub controlled: bool,
    /// What is configured of its tables.
    pub flow_tables: BTreeMap<u8, FlowTableRow>,
    /// Which of its flows cards are to take over, or not.
    pub offload: OffloadCookies,
    /// Its ports by name, LOCAL among them.
    pub ports: Vec<DesiredPort>,
}

/// One port, which is one interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredPort {
    /// Name of the interface.
    pub name: PortName,
    /// Its row; a bridge without a row for its own port has the port nevertheless.
    pub row: Option<Uuid>,
    /// Its number; `None` if it was refused.
    pub ofport: Option<OfPort>,
    /// How it treats tags.
    pub vlan: PortVlan,
    /// When frames without a VLAN leave with a tag.
    pub priority_tags: PriorityTags,
    /// MTU that its device should have, in bytes.
    pub mtu_request: Option<u32>,
    /// Where its frames are to enter the switch.
    pub hook: PortHook,
    /// How its card is programmed.
    pub offload: OffloadMode,
    /// What is let in, and where NORMAL sends it.
    pub guard: PortGuard,
    /// How what leaves by it is shaped.
    pub qos: PortQos,
    /// What it should be connected to.
    pub wanted: Wanted,
}

/// The desired state that follows from the rows, and the numbers of all ports, given the numbers
/// so far.
pub fn desired(model: &Model, numbers: &AllOfPorts) -> (Desired, AllOfPorts) {
    let mut builder = Builder {
        model,
        seen: HashMap::new(),
        taken: HashMap::new(),
        out: Desired::default(),
    };
    let mut bridges: Vec<&BridgeRow> = match &model.root {
        Some(root) => root
            .bridges
            .iter()
            .filter_map(|id| model.bridges.get(id))
            .collect(),
        None => Vec::new(),
    };
    bridges.sort_by(|a, b| a.name.cmp(&b.name));
    let mut after = AllOfPorts::new();
    for row in bridges {
        let (mut bridge, applicants) = builder.bridge(row);
        let before = numbers.get(&bridge.name);
        let given = before.unwrap_or(&OfPorts::default()).assign(&applicants);
        for port in &mut bridge.ports {
            if matches!(port.wanted, Wanted::Refused(_)) {
                continue;
            }
            port.ofport = given.get(&port.name);
            if port.ofport.is_none() {
                port.wanted =
                    Wanted::Refused(format!("{}: no OpenFlow port number is left", port.name));
            }
        }
        after.insert(bridge.name.clone(), given);
        builder.out.notes.extend(duplicates(&bridge, model));
        builder.out.bridges.push(bridge);
    }
    let on = builder.noted(hw_offload(model.root.as_ref()));
    builder.out.offload = OffloadWanted::of(on, &builder.out.bridges);
    (builder.out, after)
}

struct Builder<'a> {
    model: &'a Model,
    /// Port rows that belong to a bridge already, with its name.
    seen: HashMap<Uuid, &'a str>,
    /// Port and bridge of each interface so far.
    taken: HashMap<PortName, Place<'a>>,
    out: Desired,
}

/// Where an interface is configured.
#[derive(Clone, Copy)]
struct Place<'a> {
    port: &'a str,
    bridge: &'a str,
}

impl<'a> Builder<'a> {
    fn bridge(&mut self, row: &'a BridgeRow) -> (DesiredBridge, Vec<Applicant>) {
        let mut ports = HashMap::new();
        let mut applicants = Vec::new();
        let mut rows: Vec<&'a PortRow> = row
            .ports
            .iter()
            .filter_map(|id| self.model.ports.get(id))
            .collect();
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        for port in rows {
            match self.seen.insert(port.uuid, &row.name) {
                None => self.port(row, port, &mut ports, &mut applicants),
                Some(first) => {
                    self.seen.insert(port.uuid, first);
                    self.in_two_bridges(port, first, row);
                }
            }
        }
        let local = PortName::from(row.name.as_str());
        ports.entry(local.clone()).or_insert_with(|| {
            let wanted = match self.model.devices {
                Devices::Host => internal(true, row.uuid, None).checked(&row.name),
                Devices::Simulated { .. } => Wanted::Dummy(Dummy::local()),
            };
            applicants.push(applicant(&local, None, &wanted));
            DesiredPort {
                name: local,
                row: None,
                ofport: None,
                vlan: PortVlan::DEFAULT,
                priority_tags: PriorityTags::Never,
                mtu_request: None,
                hook: PortHook::Auto,
                offload: OffloadMode::Off,
                guard: PortGuard::default(),
                qos: PortQos::default(),
                wanted,
            }
        });
        let mut ports: Vec<_> = ports.into_values().collect();
        ports.sort_by(|a, b| a.name.cmp(&b.name));
        applicants.retain(|a| {
            let at = ports.binary_search_by(|p| p.name.cmp(&a.name));
            at.is_ok_and(|at| !matches!(ports[at].wanted, Wanted::Refused(_)))
        });
        (self.settings(row, ports), applicants)
    }

    fn settings(&mut self, row: &BridgeRow, ports: Vec<DesiredPort>) -> DesiredBridge {
        let name = &row.name;
        let hwaddr = self.parsed(name, "hwaddr", row.hwaddr.as_deref(), |text| {
            text.parse::<MacAddr>()
                .ok()
                .filter(|mac| !mac.is_multicast() && !mac.is_zero())
        });
        let datapath_id = self.parsed(name, "datapath-id", row.datapath_id.as_deref(), datapath_id);
        let number = |text: &str| text.trim().parse::<u32>().ok();
        let aging = self.parsed(
            name,
            "mac-aging-time",
            row.mac_aging_time.as_deref(),
            number,
        );
        let size = self.parsed(
            name,
            "mac-table-size",
            row.mac_table_size.as_deref(),
            number,
        );
        let controllers = row.controllers.iter();
        let mut controllers = controllers.filter_map(|id| self.model.controllers.get(id));
        let controlled = controllers.any(ControllerRow::is_primary);
        DesiredBridge {
            name: name.as_str().into(),
            row: row.uuid,
            hwaddr,
            fallback_mac: stable_mac(row.uuid),
            datapath_id,
            mac_aging_s: aging.unwrap_or(DEFAULT_MAC_AGING_S).max(MIN_MAC_AGING_S),
            mac_table_size: size
                .unwrap_or(DEFAULT_MAC_TABLE_SIZE)
                .clamp(MIN_MAC_TABLE_SIZE, MAX_MAC_TABLE_SIZE),
            forward_bpdu: row.forward_bpdu,
            secure: row.secure || controlled,
            controlled,
            flow_tables: flow_tables(&row.flow_tables, &self.model.flow_tables),
            offload: self.noted(offload_cookies(row)),
            ports,
        }
    }

    /// A key of a bridge's other_config; one that can't be read is noted and left out.
    fn parsed<T>(
        &mut self,
        bridge: &str,
        key: &str,
        text: Option<&str>,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let value = parse(text?);
        if value.is_none() {
            let text = text.unwrap_or_default();
            self.note(format!(
                "bridge {bridge}: other_config:{key}={text:?} is ignored: not valid"
            ));
        }
        value
    }

    fn port(
        &mut self,
        bridge: &'a BridgeRow,
        row: &'a PortRow,
        ports: &mut HashMap<PortName, DesiredPort>,
        applicants: &mut Vec<Applicant>,
    ) {
        let mut interfaces: Vec<&InterfaceRow> = row
            .interfaces
            .iter()
            .filter_map(|id| self.model.interfaces.get(id))
            .collect();
        interfaces.sort_by(|a, b| a.name.cmp(&b.name));
        let (vlan, refused) = match port_vlan(row) {
            Ok((vlan, note)) => {
                self.out.notes.extend(note);
                (vlan, None)
            }
            Err(error) => (PortVlan::DEFAULT, Some(error)),
        };
        for (at, interface) in interfaces.iter().enumerate() {
            let name = PortName::from(interface.name.as_str());
            let wanted = match (&refused, at) {
                (Some(error), _) => Wanted::Refused(error.clone()),
                (None, 0) => wanted(bridge, interface, self.model.devices),
                (None, _) => Wanted::Refused(format!(
                    "{name}: bonds are not supported yet, only {} of port {} is attached",
                    interfaces[0].name, row.name
                )),
            };
            let place = Place {
                port: &row.name,
                bridge: &bridge.name,
            };
            if let Some(first) = self.taken.get(&name).copied() {
                self.in_two_ports(name, first, place);
                continue;
            }
            self.taken.insert(name.clone(), place);
            applicants.push(applicant(&name, Some(interface), &wanted));
            let mut qos = port_qos(row, name.as_str(), &wanted, self.model);
            let hook = qos.hook(name.as_str(), self.hook(interface));
            self.out.notes.extend(qos.problems.iter().cloned());
            let port = DesiredPort {
                name: name.clone(),
                row: Some(interface.uuid),
                ofport: None,
                vlan: vlan.clone(),
                priority_tags: row.priority_tags,
                mtu_request: interface
                    .mtu_request
                    .and_then(|mtu| u32::try_from(mtu).ok()),
                hook,
                offload: self.noted(offload_mode(interface)),
                guard: self.guard(row, interface, &wanted),
                qos,
                wanted,
            };
            ports.insert(name, port);
        }
    }

    /// A port row that two bridges list: the first has it.
    fn in_two_bridges(&mut self, port: &PortRow, first: &str, second: &BridgeRow) {
        let text = format!(
            "port {}: in the bridges {first} and {}, attached to {first}; remove it from one",
            port.name, second.name
        );
        for interface in &port.interfaces {
            if let Some(row) = self.model.interfaces.get(interface) {
                self.out
                    .troubles
                    .insert(row.name.as_str().into(), text.clone());
            }
        }
        self.note(text);
    }

    /// An interface that two ports have: the first keeps it.
    fn in_two_ports(&mut self, name: PortName, first: Place, second: Place) {
        let text = format!(
            "interface {name}: in port {} of bridge {} and in port {} of bridge {}, attached as the \
             first; remove it from one",
            first.port, first.bridge, second.port, second.bridge
        );
        self.note(text.clone());
        self.out.troubles.insert(name, text);
    }

    /// What guards a port. What can't be done is told in its row, too.
    fn guard(&mut self, row: &PortRow, interface: &InterfaceRow, wanted: &Wanted) -> PortGuard {
        let name = &interface.name;
        let (guard, problems) = port_guard(name, &row.limits, &interface.guard, wanted);
        if !problems.is_empty() {
            let text = problems.join("; ");
            self.out.troubles.insert(name.as_str().into(), text);
        }
        self.out.notes.extend(problems);
        guard
    }

    /// Where the frames of an interface are to enter the switch.
    fn hook(&mut self, interface: &InterfaceRow) -> PortHook {
        match interface.hook.as_deref() {
            None | Some("auto") => PortHook::Auto,
            Some("tc") => PortHook::Tc,
            Some("xdp-native") => PortHook::XdpNative,
            Some("xdp-generic") => PortHook::XdpGeneric,
            Some(other) => {
                let name = &interface.name;
                self.note(format!(
                    "interface {name}: other_config:aorta-hook is \"{other}\", which is none of \
                     auto, tc, xdp-native, xdp-generic; auto is taken"
                ));
                PortHook::Auto
            }
        }
    }

    /// What a row asks for, with what is wrong with it noted.
    fn noted<T>(&mut self, (asked, notes): (T, Vec<String>)) -> T {
        self.out.notes.extend(notes);
        asked
    }

    fn note(&mut self, note: String) {
        self.out.notes.push(note);
    }
}

fn applicant(name: &PortName, row: Option<&InterfaceRow>, wanted: &Wanted) -> Applicant {
    Applicant {
        name: name.clone(),
        local: wanted.is_local(),
        request: row.and_then(|r| r.ofport_request),
        stored: row.and_then(|r| r.ofport),
    }
}

/// Sixteen hexadecimal digits, not all zero.
fn datapath_id(text: &str) -> Option<String> {
    let text = text.strip_prefix("0x").unwrap_or(text);
    let id = u64::from_str_radix(text, 16)
        .ok()
        .filter(|id| *id != 0 && text.len() <= 16)?;
    Some(format!("{id:016x}"))
}

#[cfg(test)]
#[path = "desired_tests.rs"]
mod tests;
