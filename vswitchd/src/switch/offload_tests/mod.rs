//! The switch with a card in memory.

mod operating;
mod random;
mod steps;

use aorta_flow::OfPort;
use aorta_flow::table::{FlowId, Modification};
use aorta_flow::translate::Packet;
use aorta_kernel::netdev::LinkBatch;
use aorta_placement::{Capabilities, Device, Rule, RuleKey, Told, place};
use aorta_testing::{Case, Rng};
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::*;
use crate::control::{Atomic, FlowRequest};
use crate::offload::Offloading;
use crate::offload::fake::{Fake, Fault, Nic, Software};
use crate::reconcile::Cards;
use crate::testing::{FakeHost, Rows, link};

type TestSwitch = Switch<FakeHost, Offloading<Software, Fake>>;

const PORTS: u16 = 6;
/// Ports of the card.
const OWN: u16 = 4;

/// A host that outlives daemons.
struct Lab {
    fake: Fake,
    rundir: TempDir,
}

pub(super) fn br0() -> BridgeName {
    BridgeName::from("br0")
}

pub(super) fn index(port: u16) -> aorta_flow::IfIndex {
    aorta_flow::IfIndex::new(u32::from(port) + 10).unwrap()
}

/// Rows of a bridge with all ports, and their devices.
pub(super) fn devices(offload: &str) -> (Model, FakeHost) {
    let mut rows = Rows::default();
    let bridge = rows.bridge("br0");
    let mut devices = FakeHost::default();
    for port in 1..=PORTS {
        let name = format!("p{port}");
        let mut interface = rows.interface(&name, "");
        interface.ofport_request = Some(port.into());
        rows.port(bridge, vec![interface]);
        devices.add(link(index(port).get(), &name));
    }
    rows.model.bridges.get_mut(&bridge).unwrap().secure = true;
    rows.model.root.as_mut().unwrap().hw_offload = Some(offload.into());
    (rows.model, devices)
}

impl Lab {
    fn new(capabilities: Capabilities) -> Lab {
        let lab = Lab {
            fake: Fake::default(),
            rundir: tempfile::tempdir().unwrap(),
        };
        let mut host = lab.fake.host();
        host.journal = Some(lab.rundir.path().join("aorta-flows.journal"));
        let nic = Nic {
            ports: (1..=OWN).map(index).collect(),
            capabilities,
            ..Nic::default()
        };
        host.nics.insert("card0".into(), nic);
        drop(host);
        lab
    }

    /// A daemon that isn't configured yet.
    fn daemon(&self, offload: &str) -> TestSwitch {
        let (model, devices) = devices(offload);
        let actual = Actual::new("run-test".into());
        let datapath = Offloading::new(Software::new(&self.fake), self.fake.clone());
        let mut switch = Switch::with_model(model, actual, devices, datapath);
        let (journal, restored) = Journal::open(self.rundir.path()).unwrap();
        switch.restore_flows(journal, restored);
        switch
    }

    async fn start(&self) -> TestSwitch {
        let mut switch = self.daemon("true");
        switch.configure().await;
        switch
    }

    /// The daemon was killed: what it wrote after that, it didn't.
    async fn restart(&self, killed: TestSwitch) -> TestSwitch {
        drop(killed);
        self.fake.host().rise();
        self.start().await
    }

    fn rules(&self) -> BTreeMap<RuleKey, Rule> {
        let host = self.fake.host();
        let rules = host.nics["card0"].rules.iter();
        rules.map(|(key, (rule, _))| (*key, rule.clone())).collect()
    }

    /// The rules that the card is to have, if it refuses nothing.
    fn intended(&self) -> BTreeMap<RuleKey, Rule> {
        let host = self.fake.host();
        let device = Device {
            ports: (1..=OWN).map(OfPort).collect(),
            capabilities: host.nics["card0"].capabilities.clone(),
        };
        let placement = place(&host.tables, &device, &Told::default());
        let rules = placement.rules.into_iter();
        rules.map(|rule| (rule.key(), rule)).collect()
    }

    /// That no packet was misdirected so far.
    fn check(&self, what: &dyn std::fmt::Debug) {
        let host = self.fake.host();
        assert!(host.wrong.is_empty(), "{what:?}: {}", host.wrong.join("\n"));
    }

    fn probe(&self, case: &Case) {
        let packet =
            |frame: &aorta_testing::Frame| Packet::from_frame(&frame.bytes, frame.in_port).ok();
        let own = case.frames.iter().filter(|frame| frame.in_port.0 <= OWN);
        self.fake.host().probes.extend(own.filter_map(packet));
    }

    fn set_fault(&self, after: usize, fault: Fault) {
        let mut host = self.fake.host();
        host.fault = Some((host.asked + after, fault));
    }

    fn push_all(&self) {
        let mut host = self.fake.host();
        for packet in host.probes.clone() {
            host.push(&packet);
        }
    }
}

pub(super) fn modify<C: Cards>(
    switch: &mut Switch<FakeHost, Offloading<Software, C>>,
    changes: Vec<Modification>,
) -> Result<(), String> {
    let (to, mut from) = oneshot::channel();
    switch.answer_flows("br0", FlowRequest::ModifyFlows(changes, Atomic::Yes, to));
    let answer = from.try_recv().unwrap();
    answer.map(drop).map_err(|error| error.to_string())
}

pub(super) fn flows(lines: &[&str]) -> Vec<Modification> {
    let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    let add = aorta_api::FlowCommand::Add;
    crate::ofproto::flow_mods(add, &lines, &Default::default()).unwrap()
}

fn delete(lines: &[&str]) -> Vec<Modification> {
    let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    let delete = aorta_api::FlowCommand::Delete;
    crate::ofproto::flow_mods(delete, &lines, &Default::default()).unwrap()
}

/// Two tables, with flows that the card can do, and some that it can't.
pub(super) const PIPELINE: [&str; 7] = [
    "table=0,priority=300,arp,actions=CONTROLLER:128",
    "table=0,priority=200,in_port=1,ip,nw_dst=10.0.0.0/24,actions=goto_table:1",
    "table=0,priority=150,in_port=2,ip,actions=mod_dl_dst:02:00:00:00:00:09,output:1",
    "table=0,priority=100,ip,actions=output:3",
    "table=0,priority=10,actions=drop",
    "table=1,priority=200,ip,nw_dst=10.0.0.1,actions=output:2",
    "table=1,priority=100,ip,actions=output:4",
];

async fn with_pipeline() -> (Lab, TestSwitch) {
    let lab = Lab::new(Capabilities::flower(1000));
    let mut case = aorta_testing::sample(&PIPELINE.join("\n"));
    case.frames = aorta_testing::frames_for(&case, 60, &mut Rng::new(5));
    lab.probe(&case);
    let mut switch = lab.start().await;
    modify(&mut switch, flows(&PIPELINE)).unwrap();
    assert_eq!(lab.rules(), lab.intended());
    assert!(lab.rules().len() >= 6, "{:#?}", lab.rules());
    (lab, switch)
}

/// A change that touches both tables.
pub(super) fn second_pipeline() -> Vec<Modification> {
    let lines = [
        "table=0,priority=250,in_port=3,tcp,actions=goto_table:1",
        "table=0,priority=100,ip,actions=output:2",
        "table=1,priority=300,tcp,tp_dst=80,actions=output:3",
        "table=1,priority=200,ip,nw_dst=10.0.0.1,actions=output:1",
    ];
    [delete(&["table=0,arp"]), flows(&lines)].concat()
}

/// Packets of flows that have any, of software and card together.
fn packets(switch: &TestSwitch) -> HashMap<FlowId, u64> {
    let counters = switch.counters_of(&br0()).unwrap();
    let counted = counters
        .into_iter()
        .filter(|(_, counted)| counted.packets > 0);
    counted
        .map(|(flow, counted)| (flow, counted.packets))
        .collect()
}
