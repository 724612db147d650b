//! Comparing what is true with what is in the database.

use super::*;
use crate::config::DesiredPort;
use crate::reconcile::{Effect, Resolved, bridge_mac, datapath_id, resolve};
use crate::writeback::{
    BridgeState, Columns, InterfaceState, device_statistics, dummy_statistics, patch_statistics,
    statistics_datum,
};
use aorta_flow::PortGuard;
use aorta_kernel::netdev::HardwareInfo;
use aorta_ovsdb::Datum;

/// What was written last, and what the comparison needs to remember.
#[derive(Debug, Default)]
pub struct Published {
    interfaces: HashMap<Uuid, InterfaceState>,
    bridges: HashMap<Uuid, BridgeState>,
    statistics: HashMap<Uuid, Vec<(&'static str, u64)>>,
    /// Newest state of each port's link, and how often it changed.
    resets: HashMap<PortName, (bool, u32)>,
    /// Hardware of NICs as of a link state.
    hardware: HashMap<PortName, (bool, HardwareInfo)>,
    once: bool,
}

impl Published {
    /// Whether everything was published at least once.
    pub fn complete(&self) -> bool {
        self.once
    }

    /// The number of the configuration, if it is another than the published one.
    pub fn configuration(&self, model: &Model) -> Option<RowUpdate> {
        let root = model
            .root
            .as_ref()
            .filter(|root| root.cur_cfg != root.next_cfg)?;
        let columns = vec![("cur_cfg", Datum::scalar(root.next_cfg))];
        Some(RowUpdate {
            table: "Open_vSwitch",
            uuid: root.uuid,
            columns,
        })
    }

    fn interface(&mut self, uuid: Uuid, state: InterfaceState) -> Option<RowUpdate> {
        let columns = state.changes(self.interfaces.get(&uuid));
        self.interfaces.insert(uuid, state);
        update("Interface", uuid, columns)
    }

    fn bridge(&mut self, uuid: Uuid, state: BridgeState) -> Option<RowUpdate> {
        let columns = state.changes(self.bridges.get(&uuid));
        self.bridges.insert(uuid, state);
        update("Bridge", uuid, columns)
    }

    fn count_resets(&mut self, port: &PortName, up: bool) -> u32 {
        let (last, count) = self.resets.entry(port.clone()).or_insert((up, 0));
        if *last != up {
            *last = up;
            *count += 1;
        }
        *count
    }

    fn forget_all_but(&mut self, ports: &HashSet<&PortName>, interfaces: &HashSet<Uuid>) {
        self.resets.retain(|port, _| ports.contains(port));
        self.hardware.retain(|port, _| ports.contains(port));
        self.interfaces.retain(|uuid, _| interfaces.contains(uuid));
        self.statistics.retain(|uuid, _| interfaces.contains(uuid));
    }
}

fn update(table: &'static str, uuid: Uuid, columns: Columns) -> Option<RowUpdate> {
    (!columns.is_empty()).then_some(RowUpdate {
        table,
        uuid,
        columns,
    })
}

/// What a device in memory tells otherwise than one of the host: it has no driver, and the index
/// that it was given.
fn simulated(state: &mut InterfaceState, port: &DesiredPort) {
    state.status.remove("driver_name");
    if let Wanted::Dummy(dummy) = &port.wanted {
        state.ifindex = Some(dummy.ifindex);
    }
}

impl<E: Effects, D: Datapath> Switch<E, D> {
    /// The rows whose state is another than the published one.
    pub(super) fn publish(&mut self) -> Vec<RowUpdate> {
        let mut published = std::mem::take(&mut self.published);
        let mut updates = Vec::new();
        let served: HashSet<PortName> = self.served().into_iter().cloned().collect();
        let served: HashSet<&PortName> = served.iter().collect();
        let desired = std::mem::take(&mut self.desired);
        for bridge in &desired.bridges {
            let state = BridgeState {
                datapath_id: datapath_id(bridge, bridge_mac(bridge, &self.actual)),
                datapath_version: env!("CARGO_PKG_VERSION").to_owned(),
                flow_problem: self.flow_problem(&bridge.name),
            };
            updates.extend(published.bridge(bridge.row, state));
            let places = self.datapath.places(&bridge.name, false);
            for port in &bridge.ports {
                let Some(row) = port.row else { continue };
                let mut state = self.interface_state(port, &served, &mut published);
                // Whether what comes from it is decided by a card first, and why, or why not; nothing
                // while no port's is.
                if let Some((by, why)) = places.as_ref().map(|places| places.of_port(&port.name)) {
                    state.status.insert("aorta-offload", by);
                    state.status.insert("aorta-offload-reason", why);
                }
                let trouble = || desired.troubles.get(&port.name).cloned();
                state.error = state.error.or_else(trouble);
                updates.extend(published.interface(row, state));
            }
        }
        let ports = || desired.bridges.iter().flat_map(|b| &b.ports);
        let names = ports().map(|p| &p.name).collect();
        published.forget_all_but(&names, &ports().filter_map(|p| p.row).collect());
        let bridges: HashSet<Uuid> = desired.bridges.iter().map(|b| b.row).collect();
        published.bridges.retain(|uuid, _| bridges.contains(uuid));
        published.once = true;
        self.desired = desired;
        self.published = published;
        updates
    }

    fn interface_state(
        &mut self,
        port: &DesiredPort,
        served: &HashSet<&PortName>,
        published: &mut Published,
    ) -> InterfaceState {
        let failure = self.datapath_failure(&port.name, served);
        let hook = self.hook(&port.name);
        let mut state = InterfaceState {
            ofport: -1,
            ..InterfaceState::default()
        };
        if let Some(hook) = hook {
            state.status.insert("aorta-hook", hook.name.clone());
            state
                .status
                .insert("aorta-hook-reason", hook.reason.clone());
        }
        if port.guard != PortGuard::default() {
            state.status.insert("aorta-guard", port.guard.to_string());
        }
        if let Some(problem) = self.qos_problem(port) {
            state.status.insert("aorta-qos", problem);
        }
        let numbered = |state: InterfaceState| match (&failure, port.ofport) {
            (None, Some(number)) => InterfaceState {
                ofport: number.0.into(),
                ..state
            },
            (Some(why), _) => InterfaceState {
                error: Some(why.clone()),
                ..state
            },
            (None, None) => state,
        };
        match resolve(port, &self.actual) {
            Resolved::Nothing(why) => InterfaceState {
                error: Some(why),
                ..state
            },
            Resolved::MissingPair => InterfaceState {
                error: Some(format!("{}: its device could not be made", port.name)),
                ..state
            },
            Resolved::Patch(_) => numbered(state),
            Resolved::Device(link) if matches!(port.wanted, Wanted::Dummy(_)) => {
                let link = link.clone();
                let mut state = numbered(state);
                self.describe(&link, port, published, &mut state);
                simulated(&mut state, port);
                state
            }
            Resolved::Pair {
                host: Some(link), ..
            }
            | Resolved::Device(link) => {
                let link = link.clone();
                let mut state = numbered(state);
                self.describe(&link, port, published, &mut state);
                state.error = state.error.or_else(|| self.refused_mtu(port, &link));
                state
            }
            // The host's end was moved to another namespace; nothing is known about it there.
            Resolved::Pair { host: None, hidden } => {
                let (mtu, up) = (hidden.mtu, hidden.link_up());
                let state = numbered(state);
                InterfaceState {
                    mtu: Some(mtu),
                    link_up: Some(up),
                    ..state
                }
            }
        }
    }

    /// That a device doesn't take the MTU that its row asks for.
    fn refused_mtu(&self, port: &DesiredPort, link: &Link) -> Option<String> {
        let mtu = port.mtu_request?;
        let why = self.actual.failed.get(&Effect::SetMtu(link.into(), mtu))?;
        let (name, kept) = (&link.name, link.mtu);
        Some(format!(
            "{why}; mtu_request={mtu} is without effect and the MTU stays {kept} (`ip -d link \
             show {name}` tells minmtu and maxmtu)"
        ))
    }

    /// What a device tells about itself.
    fn describe(
        &mut self,
        link: &Link,
        port: &DesiredPort,
        published: &mut Published,
        state: &mut InterfaceState,
    ) {
        let up = link.link_up();
        state.mac = link.mac;
        state.mtu = Some(link.mtu);
        state.ifindex = Some(link.ifindex.get());
        state.link_up = Some(up);
        state.admin_up = Some(link.up);
        state.link_resets = Some(published.count_resets(&port.name, up));
        let driver = match &link.kind {
            Some(kind) => Some(kind.clone()),
            None => {
                let hardware = self.hardware(port, up, published);
                (state.speed_bps, state.duplex) = (hardware.speed_bps, hardware.duplex);
                hardware.driver
            }
        };
        state
            .status
            .extend(driver.map(|driver| ("driver_name", driver)));
    }

    fn hardware(
        &mut self,
        port: &DesiredPort,
        up: bool,
        published: &mut Published,
    ) -> HardwareInfo {
        match published.hardware.get(&port.name) {
            Some((then, info)) if *then == up => info.clone(),
            _ => {
                let info = self.effects.hardware(port.name.as_str());
                published
                    .hardware
                    .insert(port.name.clone(), (up, info.clone()));
                info
            }
        }
    }

    /// The statistics that changed since they were last written.
    pub(super) fn statistics(&mut self) -> Vec<RowUpdate> {
        let patches = self.patch_counters();
        let mut updates = Vec::new();
        for port in self.desired.bridges.iter().flat_map(|b| &b.ports) {
            let Some(row) = port.row else { continue };
            let statistics = match resolve(port, &self.actual) {
                Resolved::Device(link) if matches!(port.wanted, Wanted::Dummy(_)) => {
                    dummy_statistics(&link.stats)
                }
                Resolved::Device(link) | Resolved::Pair { hidden: link, .. } => {
                    device_statistics(&link.stats)
                }
                Resolved::Patch(_) => match patches.get(&port.name) {
                    Some(counters) => patch_statistics(counters),
                    None => continue,
                },
                Resolved::MissingPair | Resolved::Nothing(_) => Vec::new(),
            };
            if self
                .published
                .statistics
                .get(&row)
                .map_or(&[][..], Vec::as_slice)
                != statistics
            {
                let columns = vec![("statistics", statistics_datum(&statistics))];
                updates.push(RowUpdate {
                    table: "Interface",
                    uuid: row,
                    columns,
                });
                self.published.statistics.insert(row, statistics);
            }
        }
        updates
    }

    /// Counters of the datapath, if a port has no others.
    pub(super) fn patch_counters(&self) -> BTreeMap<PortName, crate::reconcile::Counters> {
        let mut ports = self.desired.bridges.iter().flat_map(|b| &b.ports);
        if !ports.any(|port| matches!(port.wanted, Wanted::Patch { .. })) {
            return BTreeMap::new();
        }
        self.datapath.counters().unwrap_or_else(|error| {
            warn!("{error}");
            BTreeMap::new()
        })
    }
}
