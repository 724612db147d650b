//! Its datapath.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::BorrowedFd;

use aorta_api::FlowExplain;
use aorta_flow::meter::MeterState;
use aorta_flow::table::{Change, FlowId, Tables};
use aorta_flow::{BridgeName, MeterId, Output, PortName, Snapshot};

use super::Fake;
use crate::reconcile::{Applied, Counters, Datapath, DatapathError, Fdb, FlowCounters, Upcall};

/// A datapath that obeys tables, whoever looks after it. Before it is told of ports, tables wait.
#[derive(Debug)]
pub struct Software {
    host: Fake,
    waiting: Option<Tables>,
    began: bool,
}

impl Software {
    pub fn new(host: &Fake) -> Software {
        Software {
            host: host.clone(),
            waiting: None,
            began: false,
        }
    }

    fn obey(&self, tables: Tables) {
        let mut host = self.host.host();
        if !host.dead {
            let there = |id: &FlowId| tables.flows().any(|entry| entry.id == *id);
            host.counted.retain(|id, _| there(id));
            host.meant.retain(|id, _| there(id));
            host.tables = tables;
            host.check();
        }
    }
}

impl Datapath for Software {
    fn apply(&mut self, _: &Snapshot) -> Result<Applied, DatapathError> {
        self.began = true;
        if let Some(tables) = self.waiting.take() {
            self.obey(tables);
        }
        Ok(Applied::default())
    }

    fn apply_flows(
        &mut self,
        _: &BridgeName,
        tables: &Tables,
        changes: Option<&[Change]>,
    ) -> Result<(), DatapathError> {
        let mut host = self.host.host();
        if host.software_refuses {
            return Err(DatapathError("no memory".into()));
        }
        for change in changes.unwrap_or_default() {
            if let Change::FlowReplaced {
                new,
                reset_counts: true,
                ..
            } = change
            {
                host.counted.remove(&new.id);
                host.meant.remove(&new.id);
            }
        }
        drop(host);
        match self.began {
            true => self.obey(tables.clone()),
            false => self.waiting = Some(tables.clone()),
        }
        Ok(())
    }

    fn flow_counters(
        &self,
        _: &BridgeName,
    ) -> Result<HashMap<FlowId, FlowCounters>, DatapathError> {
        Ok(self.host.host().counted.clone())
    }

    fn add_flow_counters(
        &self,
        _: &BridgeName,
        counted: Vec<(FlowId, FlowCounters)>,
    ) -> Vec<(FlowId, FlowCounters)> {
        let mut host = self.host.host();
        if host.dead {
            return counted;
        }
        for (flow, counted) in counted {
            if host.tables.flows().any(|entry| entry.id == flow) {
                host.counted.entry(flow).or_default().add(&counted);
            }
        }
        Vec::new()
    }

    fn counters(&self) -> Result<BTreeMap<PortName, Counters>, DatapathError> {
        Ok(BTreeMap::new())
    }

    fn fdb(&self, _: &BridgeName) -> Result<Vec<Fdb>, DatapathError> {
        Ok(Vec::new())
    }

    fn flush_fdb(&mut self, _: &BridgeName) -> Result<(), DatapathError> {
        Ok(())
    }

    fn adopt_flows(&mut self, _: &BridgeName, _: HashMap<FlowId, u32>) {}

    fn flow_rule(&self, _: &BridgeName, _: FlowId) -> Option<u32> {
        None
    }

    fn upcalls(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn take_upcalls(&mut self) -> Vec<Upcall> {
        Vec::new()
    }

    fn send(&mut self, _: &[Output]) {}

    fn meter_states(&self, _: &BridgeName) -> BTreeMap<MeterId, MeterState> {
        BTreeMap::new()
    }

    fn explain(&self, _: &BridgeName) -> Result<FlowExplain, DatapathError> {
        Ok(FlowExplain::default())
    }
}
