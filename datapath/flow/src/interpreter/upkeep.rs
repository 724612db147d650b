//! A switch in memory that goes on while its configuration changes.

use std::collections::HashMap;
use std::sync::Arc;

use aorta_packet::{MacAddr, Vid};

use super::pipeline::{FlowCount, Pipeline};
use super::stations::{Station, StationCounts, Stations};
use super::{Interpreter, homes};
use crate::table::{Change, FlowId, Tables};
use crate::{BridgeName, OfPort, Port, Snapshot};

impl Interpreter {
    /// Takes another snapshot. Bridges that stay keep their tables, what they have counted, and
    /// the stations behind ports that stay.
    pub fn update(&mut self, snapshot: &Snapshot) {
        let names = self.bridges.iter().map(|bridge| bridge.name.clone());
        let states = self.fdb.drain(..).zip(self.pipelines.drain(..));
        let mut before: HashMap<BridgeName, (Stations, Option<Pipeline>)> =
            names.zip(states).collect();
        self.bridges.clone_from(&snapshot.bridges);
        for bridge in &self.bridges {
            let (mut stations, pipeline) = before.remove(&bridge.name).unwrap_or_default();
            let ports = &bridge.ports;
            stations.retain(|station| ports.iter().any(|port| port.ofport == station.ofport));
            self.fdb.push(stations);
            self.pipelines.push(pipeline);
        }
        self.home = homes(&self.bridges);
        let home = &self.home;
        self.buckets.retain(|port, _| home.contains_key(port));
    }

    /// Has a bridge's tables be what `tables` are: by `changes`, if these are all that is different,
    /// so that it costs what changes. Counters of flows that stay go on. False if there is no such
    /// bridge.
    pub fn follow_tables(
        &mut self,
        bridge: &BridgeName,
        tables: &Tables,
        changes: Option<&[Change]>,
    ) -> bool {
        let Some(b) = self.number(bridge) else {
            return false;
        };
        match (&mut self.pipelines[b], changes) {
            (Some(pipeline), Some(changes)) => pipeline.follow_changes(changes),
            (Some(pipeline), None) => pipeline.replace(tables.clone()),
            (none, _) => *none = Some(Pipeline::new(Arc::new(tables.clone()))),
        }
        true
    }

    /// The ports of a bridge; none if there is no such bridge.
    pub fn ports(&self, bridge: &BridgeName) -> &[Port] {
        self.number(bridge).map_or(&[], |b| &self.bridges[b].ports)
    }

    /// What was counted of the flows of a bridge that have matched anything.
    pub fn flow_counts(&self, bridge: &BridgeName) -> impl Iterator<Item = (FlowId, FlowCount)> {
        let pipeline = self.pipeline(bridge);
        let flows = pipeline.into_iter().flat_map(|pipeline| &pipeline.flows);
        flows.map(|(flow, count)| (*flow, *count))
    }

    /// The stations of a bridge, by VLAN and address; those that were not seen for too long are
    /// forgotten.
    pub fn stations(&self, bridge: &BridgeName, now_s: u64) -> Vec<(Vid, MacAddr, Station)> {
        let Some(b) = self.number(bridge) else {
            return Vec::new();
        };
        let aging_s = self.bridges[b].mac_aging_s;
        let stations = &self.fdb[b];
        let fresh = |(vid, mac, _): &(Vid, MacAddr, Station)| {
            stations.fresh((*vid, *mac), now_s, aging_s).is_some()
        };
        let mut all: Vec<_> = stations.all().filter(fresh).collect();
        all.sort_by_key(|(vid, mac, _)| (*vid, *mac));
        all
    }

    /// Has a bridge know for good where a station is. False if there is no such bridge.
    pub fn fix_station(
        &mut self,
        bridge: &BridgeName,
        station: (Vid, MacAddr),
        ofport: OfPort,
    ) -> bool {
        let number = self.number(bridge);
        if let Some(b) = number {
            self.fdb[b].put(station, ofport, 0, true);
        }
        number.is_some()
    }

    /// Takes back what [`Interpreter::fix_station`] said. False if it didn't.
    pub fn unfix_station(&mut self, bridge: &BridgeName, station: (Vid, MacAddr)) -> bool {
        let number = self.number(bridge);
        number.is_some_and(|b| self.fdb[b].take_fixed(station))
    }

    /// Forgets all stations of a bridge that it has learned.
    pub fn forget_stations(&mut self, bridge: &BridgeName) {
        if let Some(b) = self.number(bridge) {
            self.fdb[b].retain(|station| station.fixed);
        }
    }

    /// Forgets stations that were not seen for too long, and the oldest of bridges that have
    /// learned more than they are to remember.
    pub fn tidy_stations(&mut self, now_s: u64) {
        for (bridge, stations) in self.bridges.iter().zip(&mut self.fdb) {
            let most = bridge.mac_table_size as usize;
            stations.tidy(now_s, bridge.mac_aging_s, most);
        }
    }

    /// Whether a bridge has learned more stations than it is to remember.
    pub fn has_too_many_stations(&self) -> bool {
        let mut all = self.bridges.iter().zip(&self.fdb);
        all.any(|(bridge, stations)| stations.len() > bridge.mac_table_size as usize)
    }

    /// What became of the stations of a bridge.
    pub fn station_counts(&self, bridge: &BridgeName) -> StationCounts {
        let number = self.number(bridge);
        number.map_or_else(StationCounts::default, |b| self.fdb[b].counts)
    }

    /// Has the counts of [`Interpreter::station_counts`] start anew.
    pub fn clear_station_counts(&mut self, bridge: &BridgeName) {
        if let Some(b) = self.number(bridge) {
            self.fdb[b].counts = StationCounts::default();
        }
    }
}
