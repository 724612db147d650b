//! Flow tables: what bridges begin with, and what time takes away.

use std::sync::Arc;

use aorta_flow::table::{Change, FlowId, TableLimit};

use super::flow_state::everything;
use super::openflow::{Asked, Gone};
use super::*;
use crate::clock;
use crate::config::DesiredBridge;
use crate::ofproto::{self, BridgeFlows, FlowError, Moment, PortNames};
use crate::reconcile::FlowCounters;

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

    pub(super) fn bridge_flows(&self, name: &BridgeName) -> Answer<&BridgeFlows> {
        let flows = self.flows.get(name);
        let flows = flows.ok_or_else(|| FlowError::NoBridge(name.to_string()))?;
        Ok(&flows.tables)
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
        let read = clock::now();
        let missing = || FlowError::NoBridge(name.to_string());
        let flows = self.flows.get_mut(name).ok_or_else(missing)?;
        if let Some(counters) = &counters {
            flows.tables.take_counters(counters);
        }
        let pending = flows.tables.prepare_expiry(now);
        if counters.is_some() {
            let took = Duration::from_millis(read.since_ms(now));
            flows.tables.counters_took(read, took);
        }
        let gone = self.of_gone(name, &pending.changes);
        let flows = self.flows.get_mut(name).ok_or_else(missing)?;
        flows.install(name, &pending.changes, &mut self.datapath)?;
        self.follow_changes(name, &pending.changes, &Asked::otherwise(), &gone);
        Ok(())
    }
}
