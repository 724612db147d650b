//! The switch's state and its reactions: a changed row or device in, changed devices, a datapath
//! snapshot and rows to write out. One task owns it; nothing here waits for anything but the
//! kernel's answers.

mod flow_requests;
mod flow_state;
#[cfg(test)]
mod flow_tests;
mod flows;
mod metrics;
mod offload;
#[cfg(test)]
mod offload_absent_tests;
#[cfg(test)]
mod offload_flower_tests;
#[cfg(test)]
mod offload_tests;
mod openflow;
mod publish;
mod qos;
mod report;
mod status;
#[cfg(test)]
mod tests;
mod upcalls;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use aorta_flow::{BridgeName, Output, PortName, Snapshot};
use aorta_kernel::netdev::{Link, LinkBatch, LinkEvent};
use aorta_ovsdb::{Row, Uuid};
use tracing::{info, warn};

use crate::config::{AllOfPorts, Desired, Devices, Model, OffloadWanted, Wanted, desired};
use crate::control::FdbError;
use crate::devices::hidden_name;
use crate::ofproto::{Journal, Restored};
use crate::reconcile::{
    Actual, Applied, Datapath, DatapathError, EffectError, Effects, Fdb, settle, snapshot,
};
use crate::writeback::RowUpdate;

use flow_state::Flows;
pub use offload::CardFlow;
use openflow::{Mirror, OpenFlow};
use publish::Published;
use qos::QueueTimes;
pub use qos::{QosReport, QueueReport};
#[cfg(test)]
pub use report::BridgeReport;
pub use report::{DatapathReport, FdbReport, PortReport};

/// From so many unknown devices on, the whole list is read instead of one at a time.
const MANY_UNKNOWN: usize = 32;
/// Milliseconds between two writes of statistics, unless configured.
const DEFAULT_STATS_INTERVAL_MS: u64 = 5000;

/// The whole switch.
pub struct Switch<E, D> {
    model: Model,
    numbers: AllOfPorts,
    desired: Desired,
    actual: Actual,
    effects: E,
    datapath: D,
    /// What the datapath does at the moment.
    applied: Snapshot,
    hooks: Applied,
    /// Why the newest snapshot was not taken.
    datapath_problem: Option<String>,
    published: Published,
    queue_times: QueueTimes,
    /// Names of devices whose changes matter.
    interest: HashSet<String>,
    /// Flow tables of the bridges.
    flows: BTreeMap<BridgeName, Flows>,
    /// Connections of OpenFlow.
    openflow: OpenFlow,
    /// The switch as packets of controllers find it, unless something has changed.
    mirror: Option<Mirror>,
    /// Frames of controllers that are to be sent.
    frames: Vec<Output>,
    journal: Journal,
    /// Flow tables of before the daemon's start, of bridges that have not been seen yet.
    restored: Restored,
}

impl<E: Effects, D: Datapath> Switch<E, D> {
    /// A switch with no configuration that knows no device.
    pub fn new(actual: Actual, effects: E, datapath: D) -> Self {
        Switch {
            model: Model::default(),
            numbers: AllOfPorts::new(),
            desired: Desired::default(),
            actual,
            effects,
            datapath,
            applied: Snapshot::default(),
            hooks: Applied::default(),
            datapath_problem: None,
            published: Published::default(),
            queue_times: QueueTimes::new(),
            interest: HashSet::new(),
            flows: BTreeMap::new(),
            openflow: OpenFlow::default(),
            mirror: None,
            frames: Vec::new(),
            journal: Journal::default(),
            restored: Restored::new(),
        }
    }

    /// Continues with the flow tables of an earlier daemon, and writes what changes.
    pub fn restore_flows(&mut self, journal: Journal, restored: Restored) {
        self.journal = journal;
        self.restored = restored;
    }

    /// Has ports be connected to such devices.
    pub fn use_devices(&mut self, devices: Devices) {
        self.model.devices = devices;
    }

    /// Takes a frame as if it had come from a port's device, and does at once what it asks for.
    ///
    /// # Errors
    /// If devices can't be made to send frames, or there is no such device.
    pub fn receive(&mut self, port: &PortName, frame: &[u8]) -> Result<(), DatapathError> {
        self.datapath.receive(port, frame)?;
        self.take_upcalls();
        Ok(())
    }

    /// A switch with rows, for tests.
    #[cfg(test)]
    pub fn with_model(model: Model, actual: Actual, effects: E, datapath: D) -> Self {
        Switch {
            model,
            ..Switch::new(actual, effects, datapath)
        }
    }

    /// The rows as they are.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Takes the new state of a row. True if the switch must react ([`Switch::configure`]).
    pub fn row(&mut self, table: &str, uuid: Uuid, row: Option<&Row>) -> bool {
        self.model.update(table, uuid, row)
    }

    /// Reads all devices anew.
    pub async fn read_devices(&mut self) -> Result<(), EffectError> {
        let links = self.effects.links().await?;
        self.actual.replace(links);
        self.read_qdiscs().await;
        Ok(())
    }

    /// Makes the configuration true, as it is in the rows now. Returns what to write back, the
    /// number of the configuration included, all of it in one transaction.
    pub async fn configure(&mut self) -> Vec<RowUpdate> {
        let (desired, numbers) = desired(&self.model, &self.numbers);
        self.numbers = numbers;
        let changed = desired != self.desired;
        if changed {
            let known: HashSet<&String> = self.desired.notes.iter().collect();
            for note in desired.notes.iter().filter(|note| !known.contains(note)) {
                warn!("{note}");
            }
            self.desired = desired;
            self.actual.failed.clear();
            self.look_for_new_devices().await;
        }
        let mut updates = if changed || !self.published.complete() {
            self.converge().await
        } else {
            Vec::new()
        };
        updates.extend(self.published.configuration(&self.model));
        updates
    }

    /// Takes changes of devices. Returns what to write back.
    pub async fn devices_changed(&mut self, batch: LinkBatch) -> Vec<RowUpdate> {
        let relevant = match batch {
            LinkBatch::Lost => {
                info!("link events were lost, reading all devices again");
                if let Err(error) = self.read_devices().await {
                    warn!("{}", error.line());
                }
                true
            }
            LinkBatch::Events(events) => self.take_events(events).await,
        };
        if relevant {
            self.converge().await
        } else {
            Vec::new()
        }
    }

    async fn take_events(&mut self, events: Vec<LinkEvent>) -> bool {
        let mut changed: Vec<String> = Vec::new();
        for event in events {
            if let LinkEvent::Changed(link) = &event
                && self.datapath.watches(&link.name)
            {
                changed.push(link.name.clone());
            }
            changed.extend(self.actual.take(event));
        }
        changed.retain(|name| self.interest.contains(name));
        for name in &changed {
            self.reunite(name).await;
        }
        !changed.is_empty()
    }

    /// The kernel doesn't announce that a hidden end has its peer back in this namespace: looks
    /// again when a device with the port's name turns up.
    async fn reunite(&mut self, port: &str) {
        let hidden_name = hidden_name(port);
        let host = self.actual.by_name(port).map(|host| host.ifindex);
        let apart = |hidden: &Link| hidden.peer_netns.is_some() || hidden.peer != host;
        if host.is_none() || !self.actual.by_name(&hidden_name).is_some_and(apart) {
            return;
        }
        match self.effects.link(&hidden_name).await {
            Ok(Some(link)) => drop(self.actual.insert(link)),
            Ok(None) => {}
            Err(error) => warn!("{}", error.line()),
        }
    }

    /// A device may have been made a moment ago, its event still on the way: ask for those that
    /// are newly wanted and not known.
    async fn look_for_new_devices(&mut self) {
        let mut interest: HashSet<String> = self.actual.promisc.iter().cloned().collect();
        for port in self.desired.bridges.iter().flat_map(|b| &b.ports) {
            let name = port.name.to_string();
            if matches!(port.wanted, Wanted::Internal { .. }) {
                interest.insert(hidden_name(&name));
            }
            interest.insert(name);
        }
        let unknown: BTreeSet<&String> = interest
            .difference(&self.interest)
            .filter(|name| self.actual.by_name(name).is_none())
            .collect();
        if unknown.len() > MANY_UNKNOWN {
            if let Err(error) = self.read_devices().await {
                warn!("{}", error.line());
            }
        } else {
            for name in unknown {
                match self.effects.link(name).await {
                    Ok(Some(link)) => drop(self.actual.insert(link)),
                    Ok(None) => {}
                    Err(error) => warn!("{}", error.line()),
                }
            }
        }
        self.interest = interest;
    }

    /// Changes devices until they are as wanted, gives the datapath the outcome, and compares
    /// what is published with what is true.
    async fn converge(&mut self) -> Vec<RowUpdate> {
        self.look_at_qdiscs().await;
        settle(&self.desired, &mut self.actual, &mut self.effects).await;
        self.note_queues();
        self.follow_bridges();
        self.apply();
        self.tell_ports(None);
        self.publish()
    }

    fn apply(&mut self) {
        let snapshot = self.as_asked(snapshot(&self.desired, &self.actual));
        self.datapath.offload(&self.desired.offload, &snapshot);
        let placing = self.datapath.wants_placing();
        if placing {
            self.each_tables(D::prepare_flows);
        }
        self.apply_snapshot(snapshot);
        if placing {
            self.each_tables(D::place_flows);
        }
    }

    fn apply_snapshot(&mut self, snapshot: Snapshot) {
        let retry = self.datapath_problem.is_some() || !self.hooks.failed.is_empty();
        if snapshot == self.applied && !retry && self.published.complete() {
            return;
        }
        self.mirror = None;
        match self.datapath.apply(&snapshot) {
            Ok(hooks) => {
                for (port, why) in &hooks.failed {
                    warn!("{port}: {why}");
                }
                self.hooks = hooks;
                self.applied = snapshot;
                self.datapath_problem = None;
            }
            Err(DatapathError(why)) => {
                warn!("the datapath refused the configuration: {why}");
                self.datapath_problem = Some(why);
            }
        }
    }

    /// Why the datapath doesn't serve a port: its own failure, or that of the whole snapshot for
    /// a port that no earlier snapshot had.
    fn datapath_failure(&self, port: &PortName, served: &HashSet<&PortName>) -> Option<String> {
        let all = || {
            self.datapath_problem
                .clone()
                .filter(|_| !served.contains(port))
        };
        self.hooks.failed.get(port).cloned().or_else(all)
    }

    /// Names of the ports that the datapath serves.
    fn served(&self) -> HashSet<&PortName> {
        self.applied
            .bridges
            .iter()
            .flat_map(|b| &b.ports)
            .map(|p| &p.name)
            .collect()
    }

    /// Reads all counters. Returns the statistics that changed.
    pub async fn collect_statistics(&mut self) -> Vec<RowUpdate> {
        match self.effects.links().await {
            Ok(links) => {
                for link in links {
                    self.actual.insert(link);
                }
                let mut updates = self.statistics();
                // What cards do changes without a change of rows or devices.
                if self.desired.offload.on && self.published.complete() {
                    updates.extend(self.publish());
                }
                updates
            }
            Err(error) => {
                warn!("{}", error.line());
                Vec::new()
            }
        }
    }

    /// Time between two writes of statistics.
    pub fn statistics_interval(&self) -> Duration {
        let text = self
            .model
            .root
            .as_ref()
            .and_then(|r| r.stats_interval_ms.as_deref());
        let ms = text.and_then(|t| t.trim().parse::<u64>().ok());
        Duration::from_millis(ms.unwrap_or(DEFAULT_STATS_INTERVAL_MS).max(100))
    }

    /// Addresses that a bridge has learned; `None` if there is no such bridge.
    pub fn fdb(&self, bridge: &str) -> Option<Result<Vec<Fdb>, DatapathError>> {
        let name = BridgeName::from(bridge);
        self.desired
            .bridges
            .iter()
            .any(|b| b.name == name)
            .then(|| self.datapath.fdb(&name))
    }

    /// Forgets the addresses that a bridge has learned, or all.
    ///
    /// # Errors
    /// If there is no such bridge, or the datapath can't forget them.
    pub fn flush_fdb(&mut self, bridge: Option<&str>) -> Result<(), FdbError> {
        for name in self.chosen(bridge)? {
            let flushed = self.datapath.flush_fdb(&name);
            flushed.map_err(|DatapathError(why)| FdbError::Datapath(why))?;
        }
        Ok(())
    }

    /// The bridge of that name, or all.
    fn chosen(&self, bridge: Option<&str>) -> Result<Vec<BridgeName>, FdbError> {
        let names = self.desired.bridges.iter().map(|other| &other.name);
        let chosen: Vec<BridgeName> = names
            .filter(|name| bridge.is_none_or(|bridge| bridge == name.as_str()))
            .cloned()
            .collect();
        match bridge {
            Some(bridge) if chosen.is_empty() => Err(FdbError::NoBridge(bridge.to_owned())),
            _ => Ok(chosen),
        }
    }

    /// Names of the bridges.
    pub fn bridges(&self) -> Vec<String> {
        self.desired
            .bridges
            .iter()
            .map(|b| b.name.to_string())
            .collect()
    }

    /// Forgets what was written, because it was not: everything is written again next time.
    pub fn unpublish(&mut self) {
        self.published = Published::default();
    }

    /// Gives every device back: no ports, no devices of our own.
    pub async fn clean_up(&mut self) {
        self.journal.remove();
        let nothing = OffloadWanted::default();
        self.datapath.offload(&nothing, &Snapshot::default());
        self.flows.clear();
        self.desired = Desired::default();
        settle(&self.desired, &mut self.actual, &mut self.effects).await;
    }
}
