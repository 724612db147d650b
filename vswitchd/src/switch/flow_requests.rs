//! Flow tables: what clients ask about them, and have them do.

use std::sync::Arc;

use aorta_api::{
    Counted, EntryModAnswer, FlowExplain, FlowModAnswer, FlowPlacement, FlowReplaceAnswer,
    FlowTraceParams,
};
use aorta_flow::table::{Change, FlowMod, Modification, TableFlow};
use aorta_flow::{Attachment, Flow, Interpreter, MeterId, OfPort, Port};
use aorta_packet::Vid;

use super::flows::Answer;
use super::openflow::Asked;
use super::*;
use crate::clock;
use crate::control::{Atomic, FailOpen, FlowRequest};
use crate::heap;
use crate::ofproto::{
    self, FlowDumped, FlowError, GroupDumped, MeterDumped, Pending, PortNames, TraceJob,
};

impl<E: Effects, D: Datapath> Switch<E, D> {
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
}
