//! Cards and software together, as the switch's datapath.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::BorrowedFd;
use std::sync::PoisonError;

use aorta_api::FlowExplain;
use aorta_flow::meter::MeterState;
use aorta_flow::table::{Change, FlowId, Tables};
use aorta_flow::{BridgeName, MeterId, OfPort, Output, PortName, Snapshot, StationCounts};
use aorta_packet::{MacAddr, Vid};

use super::placing::Since;
use super::{Offloading, Places};
use crate::clock;
use crate::config::OffloadWanted;
use crate::ofproto::Moment;
use crate::reconcile::{
    Applied, CardRule, Cards, Counters, Datapath, DatapathError, Fdb, FlowCounters, GroupCounters,
    Hook, Upcall, XdpTakes,
};

impl<D: Datapath, C: Cards> Datapath for Offloading<D, C> {
    fn offload(&mut self, wanted: &OffloadWanted, snapshot: &Snapshot) {
        if self.on || wanted.on || !self.swept {
            self.configure(wanted, snapshot);
        }
    }

    fn wants_placing(&self) -> bool {
        self.on && self.state().bridges.values().any(|cards| cards.dirty)
    }

    fn prepare_flows(&mut self, bridge: &BridgeName, tables: &Tables) {
        if self.on {
            self.state_mut().prepare(bridge, tables, Since::Same);
        }
    }

    fn place_flows(&mut self, bridge: &BridgeName, tables: &Tables) {
        if self.on {
            let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
            state.prepare(bridge, tables, Since::Same);
            state.finish(bridge, tables, Since::Same);
            state.hand_over(&self.software);
        }
    }

    fn places(&self, bridge: &BridgeName, flows: bool) -> Option<Places> {
        let on = self.on;
        on.then(|| Places::of(self.state().bridges.get(bridge), flows))
    }

    fn xdp(&self, bridge: &BridgeName) -> Option<Result<XdpTakes, String>> {
        self.software.xdp(bridge)
    }

    fn apply_flows(
        &mut self,
        bridge: &BridgeName,
        tables: &Tables,
        changes: Option<&[Change]>,
    ) -> Result<(), DatapathError> {
        if !self.on {
            return self.software.apply_flows(bridge, tables, changes);
        }
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let since = Since::of(changes);
        state.prepare(bridge, tables, since);
        let applied = self.software.apply_flows(bridge, tables, changes);
        match applied {
            Ok(()) => state.finish(bridge, tables, since),
            Err(_) => state.undo(bridge),
        }
        state.hand_over(&self.software);
        applied
    }

    fn flow_counters(
        &self,
        bridge: &BridgeName,
    ) -> Result<HashMap<FlowId, FlowCounters>, DatapathError> {
        let mut counters = self.software.flow_counters(bridge)?;
        if self.on
            && let Some(cards) = self.state().bridges.get_mut(bridge)
        {
            cards.count(&mut counters, clock::now());
        }
        Ok(counters)
    }

    fn card_rules(&self, bridge: &BridgeName) -> Vec<CardRule> {
        if !self.on {
            return Vec::new();
        }
        let mut state = self.state();
        let cards = state.bridges.get_mut(bridge);
        cards.map_or_else(Vec::new, |cards| cards.rules(clock::now()))
    }

    fn watches(&self, port: &str) -> bool {
        self.on
            && self
                .state()
                .bridges
                .values()
                .any(|cards| cards.watches(port))
    }

    fn next_upkeep(&self) -> Option<Moment> {
        let software = self.software.next_upkeep();
        match self.on {
            false => software,
            true => software.into_iter().chain(self.state().next_look).min(),
        }
    }

    fn upkeep(&mut self) {
        let now = clock::now();
        if self.software.next_upkeep().is_some_and(|at| at <= now) {
            self.software.upkeep();
        }
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if self.on && state.next_look.is_some_and(|at| at <= now) {
            state.look(&self.software);
        }
    }

    fn apply(&mut self, snapshot: &Snapshot) -> Result<Applied, DatapathError> {
        self.software.apply(snapshot)
    }

    fn hook(&self, port: &PortName) -> Option<Hook> {
        self.software.hook(port)
    }

    fn receive(&mut self, port: &PortName, frame: &[u8]) -> Result<(), DatapathError> {
        self.software.receive(port, frame)
    }

    fn counters(&self) -> Result<BTreeMap<PortName, Counters>, DatapathError> {
        self.software.counters()
    }

    fn fdb(&self, bridge: &BridgeName) -> Result<Vec<Fdb>, DatapathError> {
        self.software.fdb(bridge)
    }

    fn fdb_counts(&mut self, bridge: &BridgeName) -> Option<StationCounts> {
        self.software.fdb_counts(bridge)
    }

    fn clear_fdb_counts(&mut self, bridge: &BridgeName) {
        self.software.clear_fdb_counts(bridge);
    }

    fn fixed_stations(&self, bridge: &BridgeName) -> Vec<(Vid, MacAddr)> {
        self.software.fixed_stations(bridge)
    }

    fn fix_station(
        &mut self,
        bridge: &BridgeName,
        station: (Vid, MacAddr),
        port: Option<OfPort>,
    ) -> Result<(), DatapathError> {
        self.software.fix_station(bridge, station, port)
    }

    fn flush_fdb(&mut self, bridge: &BridgeName) -> Result<(), DatapathError> {
        self.software.flush_fdb(bridge)
    }

    fn adopt_flows(&mut self, bridge: &BridgeName, rules: HashMap<FlowId, u32>) {
        self.software.adopt_flows(bridge, rules);
    }

    fn flow_rule(&self, bridge: &BridgeName, flow: FlowId) -> Option<u32> {
        self.software.flow_rule(bridge, flow)
    }

    fn group_counters(
        &self,
        bridge: &BridgeName,
    ) -> Result<BTreeMap<u32, GroupCounters>, DatapathError> {
        self.software.group_counters(bridge)
    }

    fn lost_upcalls(&self) -> Result<u64, DatapathError> {
        self.software.lost_upcalls()
    }

    fn upcalls(&self) -> Option<BorrowedFd<'_>> {
        self.software.upcalls()
    }

    fn take_upcalls(&mut self) -> Vec<Upcall> {
        self.software.take_upcalls()
    }

    fn send(&mut self, frames: &[Output]) {
        self.software.send(frames);
    }

    fn meter_states(&self, bridge: &BridgeName) -> BTreeMap<MeterId, MeterState> {
        let mut states = self.software.meter_states(bridge);
        if self.on
            && let Some(cards) = self.state().bridges.get_mut(bridge)
        {
            cards.meter(&mut states, clock::now());
        }
        states
    }

    fn explain(&self, bridge: &BridgeName) -> Result<FlowExplain, DatapathError> {
        self.software.explain(bridge)
    }
}
