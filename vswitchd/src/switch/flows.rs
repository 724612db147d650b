//! Flow tables: what clients ask, what time takes away, and what bridges begin with.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use aorta_api::{
    Counted, EntryModAnswer, FlowExplain, FlowModAnswer, FlowPlacement, FlowReplaceAnswer,
    FlowTraceParams,
};
use aorta_flow::table::{Change, FlowId, FlowMod, Modification, TableFlow, TableLimit};
use aorta_flow::{Attachment, Flow, Interpreter, Learned, MeterId, OfPort, Port};
use aorta_packet::Vid;

use super::flow_state::everything;
use super::openflow::{Asked, Gone};
use super::*;
use crate::clock;
use crate::config::DesiredBridge;
use crate::control::{Atomic, FailOpen, FlowRequest};
use crate::coverage;
use crate::heap;
use crate::ofproto::{
    self, BridgeFlows, FlowDumped, FlowError, GroupDumped, MeterDumped, Moment, Pending, PortNames,
    TraceJob,
};
use crate::reconcile::{FlowCounters, Shorten, Upcall};

pub(super) type Answer<T> = Result<T, FlowError>;

/// Names of a bridge's ports.
fn port_names(bridge: &DesiredBridge) -> PortNames {
    let mut names = PortNames::default();
    for port in &bridge.ports {
        if let Some(number) = port.ofport {
            names.add(port.name.as_str(), number);
        }
    }
    names
}

impl<E: Effects, D: Datapath> Switch<E, D> {
    /// Has tables for the bridges that are wanted, and for no other, and gives them to the
    /// datapath where it hasn't got them.
    pub(super) fn follow_bridges(&mut self) {
        self.forget_bridges();
        let now = clock::now();
        let first = !self.restored.is_empty();
        let mut begun = Vec::new();
        let mut limited = Vec::new();
        for bridge in &self.desired.bridges {
            let new = !self.flows.contains_key(&bridge.name);
            let flows = self.flows.entry(bridge.name.clone()).or_default();
            let names = port_names(bridge);
            let before = self.restored.remove(bridge.name.as_str());
            let restored = before.filter(|before| new && before.secure == bridge.secure);
            if let Some(restored) = restored {
                (flows.secure, flows.controlled) = (bridge.secure, bridge.controlled);
                let (tables, rules) = BridgeFlows::restore(restored);
                flows.tables = tables;
                self.datapath.adopt_flows(&bridge.name, rules);
            } else if new || (flows.secure, flows.controlled) != (bridge.secure, bridge.controlled)
            {
                (flows.secure, flows.controlled) = (bridge.secure, bridge.controlled);
                begun.push((bridge.name.clone(), flows.begin(now)));
            }
            if *flows.tables.names != names {
                flows.tables.names = Arc::new(names);
            }
            flows.give(&bridge.name, &mut self.datapath);
            let settings = &mut self.openflow.bridge(&bridge.name).tables;
            let limits = settings.configure(&bridge.flow_tables);
            if !limits.is_empty() {
                limited.push((bridge.name.clone(), limits));
            }
        }
        self.restored.clear();
        if first {
            let all = everything(&self.flows, &self.datapath);
            self.journal.rewrite(&all);
        }
        for (name, changes) in begun {
            self.follow_changes(&name, &changes, &Asked::otherwise(), &Gone::new());
        }
        for (name, limits) in limited {
            if let Err(error) = self.limit_tables(&name, limits) {
                warn!("{name}: flows that a table has no room for stay: {error}");
            }
        }
    }

    /// Limits tables of a bridge, or not any more. Flows that are too many go.
    pub(super) fn limit_tables(
        &mut self,
        name: &BridgeName,
        limits: Vec<(u8, Option<TableLimit>)>,
    ) -> Answer<()> {
        self.mirror = None;
        let missing = || FlowError::NoBridge(name.to_string());
        let flows = self.flows.get_mut(name).ok_or_else(missing)?;
        let mut changes = Vec::new();
        for (table, limit) in limits {
            changes.extend(flows.tables.limit(table, limit));
        }
        let gone = self.of_gone(name, &changes);
        let flows = self.flows.get_mut(name).ok_or_else(missing)?;
        flows.install(name, &changes, &mut self.datapath)?;
        self.follow_changes(name, &changes, &Asked::otherwise(), &gone);
        Ok(())
    }

    /// Forgets the tables of bridges that are gone.
    fn forget_bridges(&mut self) {
        let wanted: HashSet<&BridgeName> = self.desired.bridges.iter().map(|b| &b.name).collect();
        let mut lines = String::new();
        self.flows.retain(|name, flows| {
            let stays = wanted.contains(name);
            if !stays {
                lines += &ofproto::gone((name.as_str(), flows.secure));
            }
            stays
        });
        if !lines.is_empty() {
            let all = || everything(&self.flows, &self.datapath);
            self.journal.append(&lines, all);
        }
    }

    /// Has the journal remember changes that were made.
    pub(super) fn remember(&mut self, name: &BridgeName, changes: &[Change]) {
        let Some(flows) = self.flows.get(name).filter(|_| !changes.is_empty()) else {
            return;
        };
        let known = (name.as_str(), flows.secure);
        let rule = |flow| self.datapath.flow_rule(name, flow);
        let lines = ofproto::changed(known, &flows.tables, changes, &rule);
        let all = || everything(&self.flows, &self.datapath);
        self.journal.append(&lines, all);
    }

    /// Has a bridge switch by itself because its controllers can't be reached, or obey its tables
    /// again. Flows that they made are gone then, as in Open vSwitch.
    pub(super) fn fail_open(&mut self, name: &BridgeName, open: bool) {
        let Some(flows) = self.flows.get_mut(name) else {
            return;
        };
        // What was true when the order was given may not be any more.
        if flows.failing_open == open || open && !flows.controlled {
            return;
        }
        let changes = flows.fail_open(open, clock::now());
        flows.give(name, &mut self.datapath);
        self.follow_changes(name, &changes, &Asked::otherwise(), &Gone::new());
    }

    /// How many flows a bridge has.
    pub(super) fn flow_count(&self, bridge: &BridgeName) -> u64 {
        let flows = self.flows.get(bridge);
        flows.map_or(0, |flows| flows.tables.tables().len() as u64)
    }

    /// Why the flows of a bridge don't run, if they don't.
    pub(super) fn flow_problem(&self, bridge: &BridgeName) -> Option<String> {
        self.flows.get(bridge)?.problem.clone()
    }

    /// Tables that the datapath doesn't take, one line each.
    pub(super) fn flow_problems(&self) -> Vec<String> {
        let problem = |(name, flows): (&BridgeName, &Flows)| {
            let why = flows.problem.as_ref()?;
            Some(format!("the flows of {name} don't run: {why}"))
        };
        self.flows.iter().filter_map(problem).collect()
    }

    /// Answers a question about a bridge's flow tables, or follows an order.
    pub fn answer_flows(&mut self, bridge: &str, request: FlowRequest) {
        let name = BridgeName::from(bridge);
        match request {
            FlowRequest::Names(to) => drop(to.send(self.port_names(&name))),
            FlowRequest::ModifyFlows(changes, atomic, to) => {
                drop(to.send(self.modify_flows(&name, &changes, atomic)));
                let many = changes.len();
                drop(changes);
                heap::after_request_of(many);
            }
            FlowRequest::ModifyEntries(changes, to) => {
                drop(to.send(self.modify_entries(&name, &changes)));
            }
            FlowRequest::Replace(flows, to) => {
                drop(to.send(self.replace_flows(&name, &flows)));
                let many = flows.len();
                drop(flows);
                heap::after_request_of(many);
            }
            FlowRequest::Flows(selection, to) => {
                drop(to.send(self.dump_flows(&name, &selection, |_| None)));
            }
            FlowRequest::PlacedFlows(selection, to) => {
                let placer = self.placer(&name);
                let placement = |entry: &TableFlow| Some(placer.of(entry));
                drop(to.send(self.dump_flows(&name, &selection, placement)));
            }
            FlowRequest::FailOpen(to) => drop(to.send(self.failing_open(&name))),
            FlowRequest::Groups(group, to) => drop(to.send(self.dump_groups(&name, group))),
            FlowRequest::Meters(meter, to) => drop(to.send(self.dump_meters(&name, meter))),
            FlowRequest::Trace(params, to) => drop(to.send(self.trace_flow(&name, params))),
            FlowRequest::Explain(to) => drop(to.send(self.explain_bridge(&name))),
        }
    }

    pub(super) fn bridge_flows(&self, name: &BridgeName) -> Answer<&BridgeFlows> {
        let flows = self.flows.get(name);
        let flows = flows.ok_or_else(|| FlowError::NoBridge(name.to_string()))?;
        Ok(&flows.tables)
    }

    fn port_names(&self, name: &BridgeName) -> Answer<Arc<PortNames>> {
        Ok(self.bridge_flows(name)?.names.clone())
    }

    /// Has a bridge's tables do modifications: in the tables, in the datapath, and for a restart.
    fn modify(
        &mut self,
        name: &BridgeName,
        modifications: &[Modification],
        atomic: Atomic,
    ) -> Answer<Pending> {
        self.mirror = None;
        let missing = || FlowError::NoBridge(name.to_string());
        let flows = self.flows.get_mut(name).ok_or_else(missing)?;
        let pending = flows.tables.prepare(modifications, atomic)?;
        let gone = self.of_gone(name, &pending.changes);
        let flows = self.flows.get_mut(name).ok_or_else(missing)?;
        flows.install(name, &pending.changes, &mut self.datapath)?;
        self.follow_changes(name, &pending.changes, &Asked::otherwise(), &gone);
        Ok(pending)
    }

    fn modify_flows(
        &mut self,
        name: &BridgeName,
        modifications: &[Modification],
        atomic: Atomic,
    ) -> Answer<FlowModAnswer> {
        let pending = self.modify(name, modifications, atomic)?;
        match pending.stopped {
            Some(refusal) => Err(refusal),
            None => Ok(FlowModAnswer {
                changed: pending.changes.len() as u64,
            }),
        }
    }

    fn modify_entries(
        &mut self,
        name: &BridgeName,
        modifications: &[Modification],
    ) -> Answer<EntryModAnswer> {
        let pending = self.modify(name, modifications, Atomic::Yes)?;
        let flow = |change: &&Change| matches!(change, Change::FlowRemoved { .. });
        let flows_removed = pending.changes.iter().filter(flow).count() as u64;
        Ok(EntryModAnswer {
            changed: pending.changes.len() as u64 - flows_removed,
            flows_removed,
        })
    }

    fn replace_flows(&mut self, name: &BridgeName, wanted: &[Flow]) -> Answer<FlowReplaceAnswer> {
        let tables = self.bridge_flows(name)?.tables();
        let (modifications, answer) = ofproto::difference(tables, wanted);
        let done = self.modify(name, &modifications, Atomic::Yes);
        let _done = done.map_err(|refused| match refused {
            // Removals stand in front, and flows that stay are left out.
            FlowError::Table {
                index,
                error,
                changed,
            } => FlowError::Table {
                index: ofproto::wanted_position(modifications.get(index), wanted),
                error,
                changed,
            },
            other => other,
        })?;
        Ok(answer)
    }

    fn dump_flows(
        &self,
        name: &BridgeName,
        selection: &FlowMod,
        placement: impl Fn(&TableFlow) -> Option<FlowPlacement>,
    ) -> Answer<Vec<FlowDumped>> {
        let flows = self.bridge_flows(name)?;
        let counters = self.counters_of(name)?;
        let explained = self.explain_flows(name)?;
        let place = |table: u8| {
            let found = explained.tables.iter().find(|t| t.table == table);
            let reason = found.map_or(&explained.why, |t| &t.template);
            (
                Arc::from(explained.hook.as_str()),
                Arc::from(reason.as_str()),
            )
        };
        Ok(flows.dump(selection, &counters, place, placement, clock::now()))
    }

    pub(super) fn counters_of(&self, name: &BridgeName) -> Answer<HashMap<FlowId, FlowCounters>> {
        let counters = self.datapath.flow_counters(name);
        let mut counters = counters.map_err(|DatapathError(why)| FlowError::Datapath(why))?;
        let sent = self
            .flows
            .get(name)
            .into_iter()
            .flat_map(|flows| &flows.sent);
        for (id, sent) in sent {
            counters.entry(*id).or_default().add(sent);
        }
        Ok(counters)
    }

    fn failing_open(&self, name: &BridgeName) -> Answer<Option<FailOpen>> {
        let missing = || FlowError::NoBridge(name.to_string());
        let flows = self.flows.get(name).ok_or_else(missing)?;
        if !flows.failing_open {
            return Ok(None);
        }
        let counted = self.datapath.flow_counters(name);
        let counted = counted.map_err(|DatapathError(why)| FlowError::Datapath(why))?;
        let mut counters = Counted::default();
        for flow in counted.values() {
            counters.packets += flow.packets;
            counters.bytes += flow.bytes;
        }
        Ok(Some(FailOpen {
            duration_ms: clock::now().since_ms(flows.failing_since),
            counters,
        }))
    }

    fn dump_groups(&self, name: &BridgeName, group: Option<u32>) -> Answer<Vec<GroupDumped>> {
        let flows = self.bridge_flows(name)?;
        let counters = self.datapath.group_counters(name);
        let counters = counters.map_err(|DatapathError(why)| FlowError::Datapath(why))?;
        Ok(flows.dump_groups(group, &counters, clock::now()))
    }

    fn dump_meters(&self, name: &BridgeName, meter: Option<MeterId>) -> Answer<Vec<MeterDumped>> {
        let flows = self.bridge_flows(name)?;
        let states = self.datapath.meter_states(name);
        Ok(flows.dump_meters(meter, &states, clock::now()))
    }

    /// How a bridge's tables are compiled, and what is in front of them.
    fn explain_bridge(&self, name: &BridgeName) -> Answer<FlowExplain> {
        let mut explained = self.explain_places(name)?;
        let mut bridges = self.desired.bridges.iter();
        let own = bridges.find(|bridge| bridge.name == *name);
        let ports = own.into_iter().flat_map(|bridge| &bridge.ports);
        let guards = ports.map(|port| (port.name.to_string(), port.guard.to_string()));
        explained.guards = guards.filter(|(_, guard)| !guard.is_empty()).collect();
        Ok(explained)
    }

    pub(super) fn explain_flows(&self, name: &BridgeName) -> Answer<FlowExplain> {
        self.bridge_flows(name)?;
        let explained = self.datapath.explain(name);
        explained.map_err(|DatapathError(why)| FlowError::Datapath(why))
    }

    /// The switch as it is, as far as a packet of the bridge can get.
    fn trace_flow(&self, name: &BridgeName, params: FlowTraceParams) -> Answer<Box<TraceJob>> {
        let explained = self.explain_flows(name)?;
        let names = self.port_names(name)?;
        let now = Duration::from_millis(clock::now().0);
        let snapshot = snapshot(&self.desired, &self.actual);
        let mut switch = Interpreter::new(&snapshot);
        let patch = |port: &Port| matches!(port.attachment, Attachment::Patch { .. });
        let own = snapshot.bridges.iter().find(|bridge| bridge.name == *name);
        let alone = own.is_some_and(|bridge| !bridge.ports.iter().any(patch));
        for (other, flows) in &self.flows {
            if alone && other != name {
                continue;
            }
            switch.set_tables(other, flows.tables.tables().clone());
            for station in self.datapath.fdb(other).unwrap_or_default() {
                let seen_s = now.as_secs().saturating_sub(station.age_s);
                if let (Ok(vid), Ok(mac)) = (Vid::new(station.vlan), station.mac.parse()) {
                    let port = OfPort(station.ofport);
                    switch.add_station(other, (vid, mac), port, seen_s);
                }
            }
        }
        Ok(Box::new(TraceJob {
            switch,
            params,
            names,
            explained,
            now,
        }))
    }

    /// What is readable when packets ask for something; none while no flow can have them ask.
    pub fn upcalls(&self) -> Option<BorrowedFd<'_>> {
        self.datapath.upcalls()
    }

    /// Does what packets ask for; true if there may be more of it.
    pub fn take_upcalls(&mut self) -> bool {
        let upcalls = self.datapath.take_upcalls();
        let some = !upcalls.is_empty();
        coverage::UPCALL.add(upcalls.len() as u64);
        let (mut learned, mut ended) = (Vec::new(), Vec::new());
        for upcall in upcalls {
            match upcall {
                Upcall::Learned(flow) => learned.push(flow),
                Upcall::PacketIn(packet) => self.packet_in(*packet),
                Upcall::Shorten(shorten) => ended.push(shorten),
            }
        }
        self.learn_flows(learned);
        self.shorten_timeouts(&ended);
        some
    }

    /// Shortens timeouts of flows whose connections end.
    fn shorten_timeouts(&mut self, ended: &[Shorten]) {
        if !ended.is_empty() {
            self.mirror = None;
        }
        let now = clock::now();
        let mut changes: BTreeMap<&BridgeName, Vec<Change>> = BTreeMap::new();
        for it in ended {
            let Some(flows) = self.flows.get_mut(&it.bridge) else {
                continue;
            };
            let to = (it.idle_timeout_s, it.hard_timeout_s);
            let change = flows.tables.shorten(it.flow, it.table, to, now);
            changes.entry(&it.bridge).or_default().extend(change);
        }
        for (name, changes) in changes {
            self.remember(name, &changes);
        }
    }

    /// Makes the flows that packets ask for, all of a bridge at once.
    pub(super) fn learn_flows(&mut self, learned: Vec<Learned>) {
        if !learned.is_empty() {
            self.mirror = None;
        }
        let now = clock::now();
        let mut asked: BTreeMap<BridgeName, Vec<Learned>> = BTreeMap::new();
        for learned in learned {
            coverage::FLOW_LEARNED.hit();
            asked
                .entry(learned.bridge.clone())
                .or_default()
                .push(learned);
        }
        for (name, asked) in asked {
            let Some(flows) = self.flows.get_mut(&name) else {
                continue;
            };
            match flows.learn(&name, &asked, &mut self.datapath, now) {
                Ok(changes) => {
                    self.follow_changes(&name, &changes, &Asked::otherwise(), &Gone::new());
                }
                Err(error) => warn!("{name}: flows can't be learned: {error}"),
            }
        }
    }

    /// When the datapath has work of its own; never if it has none.
    pub fn next_upkeep(&self) -> Option<Moment> {
        self.datapath.next_upkeep()
    }

    /// Has the datapath do a part of it.
    pub fn upkeep(&mut self) {
        self.datapath.upkeep();
        if self.datapath.wants_placing() {
            self.each_tables(D::place_flows);
        }
    }

    /// When a flow's time may be over, or a connection's bundle has waited for too long; never if
    /// there is no such thing.
    pub fn next_expiry(&self) -> Option<Moment> {
        let all = self.flows.values();
        let flows = all.filter_map(|flows| flows.tables.next_expiry()).min();
        flows.into_iter().chain(self.next_openflow()).min()
    }

    /// Removes the flows whose time is over.
    pub fn expire_flows(&mut self) {
        let now = clock::now();
        let due = |flows: &Flows| flows.tables.next_expiry().is_some_and(|next| next <= now);
        let names = self.flows.iter().filter(|(_, flows)| due(flows));
        let names: Vec<BridgeName> = names.map(|(name, _)| name.clone()).collect();
        for name in names {
            if let Err(error) = self.expire(&name, now) {
                warn!("{name}: flows whose time is over stay for now: {error}");
                if let Some(flows) = self.flows.get_mut(&name) {
                    flows.tables.look_again(now);
                }
            }
        }
        self.look_after_openflow();
    }

    fn expire(&mut self, name: &BridgeName, now: Moment) -> Answer<()> {
        self.mirror = None;
        let needs_counters = self.bridge_flows(name)?.expiry_needs_counters(now);
        let counters = needs_counters.then(|| self.counters_of(name)).transpose()?;
        let missing = || FlowError::NoBridge(name.to_string());
        let flows = self.flows.get_mut(name).ok_or_else(missing)?;
        if let Some(counters) = counters {
            flows.tables.take_counters(&counters);
        }
        let pending = flows.tables.prepare_expiry(now);
        let gone = self.of_gone(name, &pending.changes);
        let flows = self.flows.get_mut(name).ok_or_else(missing)?;
        flows.install(name, &pending.changes, &mut self.datapath)?;
        self.follow_changes(name, &pending.changes, &Asked::otherwise(), &gone);
        Ok(())
    }
}
