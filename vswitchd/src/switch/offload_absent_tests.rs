//! What offload changes where there is nothing to offload to: nothing, instruction by instruction.

use std::collections::HashMap;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex};

use aorta_api::FlowExplain;
use aorta_compiler::pipeline::record::RuleId;
use aorta_compiler::pipeline::{Hook as PipelineHook, Pipeline, PipelineConfig};
use aorta_compiler::{Slots, compile, compile_entry};
use aorta_flow::meter::MeterState;
use aorta_flow::table::{Change, FlowId, Modification, Tables};
use aorta_flow::{MeterId, Output};
use tokio::sync::oneshot;

use super::offload_tests::{devices, flows};
use super::*;
use crate::control::{Atomic, FlowRequest};
use crate::offload::Offloading;
use crate::offload::fake::Fake;
use crate::reconcile::{Applied, Counters, DatapathError, Fdb, FlowCounters, Upcall};
use crate::testing::FakeHost;

/// What was compiled, in order: names and code.
type Compiled = Arc<Mutex<Vec<(String, String)>>>;

/// A datapath that compiles what it is told and does nothing else.
#[derive(Debug, Default)]
struct Compiler(Compiled);

impl Compiler {
    fn note(&self, name: String, code: String) {
        self.0.lock().unwrap().push((name, code));
    }
}

impl Datapath for Compiler {
    fn apply(&mut self, snapshot: &Snapshot) -> Result<Applied, DatapathError> {
        let ports = snapshot.bridges.iter().flat_map(|bridge| &bridge.ports);
        let bridges = snapshot.bridges.iter();
        let slots = Slots {
            ports: (0..).zip(ports).map(|(n, p)| (p.name.clone(), n)).collect(),
            bridges: (0..)
                .zip(bridges)
                .map(|(n, b)| (b.name.clone(), n))
                .collect(),
        };
        let module = compile(snapshot, &slots, 250).unwrap();
        for port in module.ports.values() {
            let entry = port
                .entry
                .as_ref()
                .map(|facts| compile_entry(facts).unwrap());
            let code = entry.map(|program| program.to_string());
            self.note(format!("port {port:?}"), code.unwrap_or_default());
        }
        self.note("floods".into(), format!("{:?}", module.floods));
        Ok(Applied::default())
    }

    fn apply_flows(
        &mut self,
        bridge: &BridgeName,
        tables: &Tables,
        changes: Option<&[Change]>,
    ) -> Result<(), DatapathError> {
        let config = PipelineConfig {
            bridge: bridge.clone(),
            bridge_slot: 0,
            hook: PipelineHook::Tc,
            version: 1,
            seed: 7,
            counted_rules: 4096,
        };
        let mut number = |flow: FlowId| RuleId(flow.0 as u32);
        let pipeline = Pipeline::build(tables, &mut number, &config).unwrap();
        let code = pipeline.program().unwrap().to_string();
        self.note(format!("{bridge}, {changes:?}"), code);
        Ok(())
    }

    fn flow_counters(
        &self,
        _: &BridgeName,
    ) -> Result<HashMap<FlowId, FlowCounters>, DatapathError> {
        Ok(HashMap::new())
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

fn modify<D: Datapath>(switch: &mut Switch<FakeHost, D>, changes: Vec<Modification>) {
    let (to, mut from) = oneshot::channel();
    switch.answer_flows("br0", FlowRequest::ModifyFlows(changes, Atomic::Yes, to));
    from.try_recv().unwrap().unwrap();
}

/// What is compiled for a bridge, and as its flows change.
async fn compiled<D: Datapath>(
    hw_offload: &str,
    datapath: impl FnOnce(Compiler) -> D,
) -> Vec<(String, String)> {
    let compiled = Compiled::default();
    let (model, devices) = devices(hw_offload);
    let actual = Actual::new("run-test".into());
    let datapath = datapath(Compiler(Arc::clone(&compiled)));
    let mut switch = Switch::with_model(model, actual, devices, datapath);
    switch.configure().await;
    modify(
        &mut switch,
        flows(&[
            "priority=10,in_port=1,ip,nw_dst=10.0.0.0/8 actions=set_field:02:00:00:00:00:01->eth_dst,goto_table:1",
            "priority=5,in_port=2,arp actions=NORMAL",
            "table=1,tcp,tp_dst=80 actions=output:2",
            "table=1,priority=0 actions=drop",
        ]),
    );
    modify(
        &mut switch,
        flows(&["table=1,udp,tp_dst=53 actions=output:3"]),
    );
    switch.configure().await;
    compiled.lock().unwrap().clone()
}

#[tokio::test]
async fn programs_are_those_of_a_switch_without_offload() {
    let alone = compiled("false", |compiler| compiler).await;
    let off = compiled("false", |compiler| {
        Offloading::new(compiler, Fake::default())
    })
    .await;
    let no_card = compiled("true", |compiler| {
        Offloading::new(compiler, Fake::default())
    })
    .await;
    let code: usize = alone.iter().map(|(_, code)| code.lines().count()).sum();
    assert!(
        alone.len() > 6 && code > 1000,
        "{} parts, {code} lines",
        alone.len()
    );
    assert_eq!(off, alone);
    assert_eq!(no_card, alone);
}
