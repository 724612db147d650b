use aorta_flow::OfPort;
use aorta_flow::table::{FlowId, FlowMod, Modification, TableFlow, Tables};
use aorta_flow::text::Command;
use aorta_flow::translate::Packet;
use aorta_kernel::netdev::LinkBatch;
use aorta_placement::{Capabilities, Device, Rule, RuleKey, Told, place};
use aorta_testing::tables::{Kind, Profile, random_case};
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

/// What flows of the kinds that cards do look like, and now and then others.
fn random_tables(rng: &mut Rng) -> Case {
    let cards = [
        Kind::Output,
        Kind::SetHeader,
        Kind::Vlan,
        Kind::Goto,
        Kind::Note,
        Kind::Modify,
    ];
    let mut kinds: Vec<Kind> = cards.into();
    kinds.extend(rng.chance(40).then(|| *rng.pick(&Kind::ALL)));
    let without = Kind::ALL.into_iter().filter(|kind| !kinds.contains(kind));
    let profile = Profile {
        tables: 3,
        flows: 14,
        frames: 25,
        damaged_percent: 0,
        without: without.collect(),
        ..Profile::default()
    };
    random_case(&profile, rng)
}

fn random_capabilities(rng: &mut Rng) -> Capabilities {
    let mut capabilities = Capabilities::flower(*rng.pick(&[6, 1000, 1000, 1000]));
    for _ in 0..rng.below(3) {
        let keys: Vec<_> = capabilities.keys.keys().copied().collect();
        capabilities.keys.remove(rng.pick(&keys));
    }
    capabilities.traps = rng.chance(70);
    capabilities
}

/// Changes of several flows: some go, some do something else, some are new.
fn random_changes(there: &Tables, case: &Case, rng: &mut Rng) -> Vec<Modification> {
    let entries: Vec<&TableFlow> = there.flows().collect();
    let one = |rng: &mut Rng| {
        let old = (!entries.is_empty()).then(|| rng.pick(&entries).flow.clone());
        let new = rng.pick(&case.flows).clone();
        let (command, flow) = match (rng.below(3), old) {
            (0, Some(old)) => (Command::DeleteStrict, (*old).clone()),
            (1, Some(old)) => {
                let flow = aorta_flow::Flow {
                    instructions: new.instructions.clone(),
                    ..(*old).clone()
                };
                let later = new.table >= flow.table;
                (
                    Command::ModifyStrict,
                    if later { flow } else { (*old).clone() },
                )
            }
            _ => (Command::Add, new),
        };
        Modification::Flow(FlowMod {
            command,
            table: Some(flow.table),
            flow,
            ..FlowMod::default()
        })
    };
    (0..rng.between(1, 5)).map(|_| one(rng)).collect()
}

/// `AORTA_OFFLOAD_CASES` asks for more.
fn cases() -> u64 {
    let more = std::env::var("AORTA_OFFLOAD_CASES");
    more.ok().and_then(|n| n.parse().ok()).unwrap_or(60)
}

#[tokio::test]
async fn packets_go_where_they_are_to_whatever_goes_wrong() {
    let faults = [
        None,
        Some(Fault::Refuses),
        Some(Fault::Full),
        Some(Fault::Vanishes),
        Some(Fault::Killed),
        Some(Fault::KilledAfter),
    ];
    let (mut decided, mut restarts, mut placed) = (0, 0, 0);
    for seed in 0..cases() {
        let mut rng = Rng::new(seed);
        let lab = Lab::new(random_capabilities(&mut rng));
        let mut switch = lab.start().await;
        let case = random_tables(&mut rng);
        lab.probe(&case);
        let begin = case.modifications().collect();
        modify(&mut switch, begin).unwrap();
        for round in 0..6 {
            let fault = *rng.pick(&faults);
            let what = (seed, round, fault);
            if let Some(fault) = fault {
                lab.set_fault(rng.between(1, 12), fault);
            }
            let there = lab.fake.host().tables.clone();
            let changes = random_changes(&there, &case, &mut rng);
            let refuses = rng.chance(10);
            lab.fake.host().software_refuses = refuses;
            // Modifications of some flows are refused by the tables themselves.
            let _ = modify(&mut switch, changes);
            lab.fake.host().software_refuses = false;
            lab.check(&what);
            if lab.fake.host().dead {
                switch = lab.restart(switch).await;
                restarts += 1;
                lab.check(&(what, "restarted"));
                assert_eq!(lab.rules(), lab.intended(), "{what:?}");
            }
            let vanished = lab.fake.host().recover();
            if vanished {
                assert_eq!(lab.rules(), BTreeMap::new(), "{what:?}");
                switch.devices_changed(LinkBatch::Lost).await;
                assert_eq!(lab.rules(), lab.intended(), "{what:?}");
            }
            lab.check(&(what, "and after it"));
            placed += lab.rules().len();
            // What software has refused is planned anew when there is time.
            if switch.datapath.wants_placing() {
                switch.each_tables(Datapath::place_flows);
            }
            let places = switch.datapath.places(&br0(), true).unwrap();
            assert_eq!(places.flows.len(), lab.fake.host().tables.len(), "{what:?}");
        }
        decided += lab.fake.host().decided;
    }
    println!("{decided} packets decided by the card, {restarts} restarts, {placed} rules");
    assert!(decided > 1000 && restarts > 5 && placed > 200);
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

#[tokio::test]
async fn killed_at_every_step_nothing_is_left_behind() {
    let mut kills = 0;
    for fault in [Fault::Killed, Fault::KilledAfter] {
        for step in 1.. {
            let (lab, mut switch) = with_pipeline().await;
            lab.set_fault(step, fault);
            modify(&mut switch, second_pipeline()).unwrap();
            if !lab.fake.host().dead {
                break;
            }
            kills += 1;
            lab.check(&(fault, step));
            let switch = lab.restart(switch).await;
            lab.check(&(fault, step, "restarted"));
            assert_eq!(lab.rules(), lab.intended(), "{fault:?} {step}");
            drop(switch);
        }
    }
    assert!(kills > 10, "{kills}");
}

#[tokio::test]
async fn refused_at_every_step_the_rest_is_there() {
    for fault in [Fault::Refuses, Fault::Full, Fault::Vanishes] {
        for step in 1.. {
            let (lab, mut switch) = with_pipeline().await;
            lab.set_fault(step, fault);
            modify(&mut switch, second_pipeline()).unwrap();
            lab.check(&(fault, step));
            if lab.fake.host().asked < step {
                break;
            }
            if step > 40 {
                break;
            }
            let places = switch.datapath.places(&br0(), true).unwrap();
            let card = &places.cards[0];
            match fault {
                Fault::Vanishes if card.trouble.is_some() => {
                    assert_eq!(card.trouble.as_deref(), Some("no such device"));
                    assert_eq!(lab.rules(), BTreeMap::new());
                }
                _ => assert!(card.trouble.is_none(), "{places:?}"),
            }
        }
    }
}

fn packets(switch: &TestSwitch) -> HashMap<FlowId, u64> {
    let counters = switch.counters_of(&br0()).unwrap();
    let counted = counters
        .into_iter()
        .filter(|(_, counted)| counted.packets > 0);
    counted
        .map(|(flow, counted)| (flow, counted.packets))
        .collect()
}

#[tokio::test]
async fn every_packet_is_counted_once_over_all_changes() {
    let mut by_card = 0;
    for seed in 0..cases() / 4 {
        let mut rng = Rng::new(1000 + seed);
        let lab = Lab::new(random_capabilities(&mut rng));
        let mut switch = lab.start().await;
        let case = random_tables(&mut rng);
        lab.probe(&case);
        modify(&mut switch, case.modifications().collect()).unwrap();
        for _ in 0..8 {
            lab.push_all();
            if rng.chance(50) {
                assert_eq!(packets(&switch), lab.fake.host().meant, "seed {seed}");
            }
            let there = lab.fake.host().tables.clone();
            if rng.chance(20) {
                lab.set_fault(rng.between(1, 5), Fault::Refuses);
            }
            let _ = modify(&mut switch, random_changes(&there, &case, &mut rng));
            lab.push_all();
            assert_eq!(packets(&switch), lab.fake.host().meant, "seed {seed}");
            let host = lab.fake.host();
            let own = host.nics["card0"].rules.values();
            by_card += own.map(|(_, counted)| counted.packets).sum::<u64>();
        }
    }
    assert!(by_card > 1000, "{by_card}");
}

#[tokio::test]
async fn switched_off_under_traffic_nothing_stays_behind() {
    let (lab, mut switch) = with_pipeline().await;
    lab.push_all();
    let counted = packets(&switch);
    let root = |switch: &mut TestSwitch, on: &str| {
        switch.model.root.as_mut().unwrap().hw_offload = Some(on.into());
    };
    root(&mut switch, "false");
    switch.configure().await;
    assert_eq!(lab.rules(), BTreeMap::new());
    assert!(switch.datapath.places(&br0(), true).is_none());
    assert_eq!(switch.next_upkeep(), None);
    modify(&mut switch, second_pipeline()).unwrap();
    assert_eq!(lab.rules(), BTreeMap::new());
    root(&mut switch, "true");
    switch.configure().await;
    assert_eq!(lab.rules(), lab.intended());
    assert!(lab.rules().len() > 5);
    assert!(!counted.is_empty());
    lab.check(&"off and on");
}

#[tokio::test]
async fn a_daemon_that_starts_with_offload_off_removes_what_was_left() {
    let (lab, switch) = with_pipeline().await;
    drop(switch);
    let mut switch = lab.daemon("false");
    switch.configure().await;
    assert_eq!(lab.rules(), BTreeMap::new());
    lab.check(&"started without");
}

#[tokio::test]
async fn a_restart_without_changes_asks_nothing_of_the_card() {
    let (lab, switch) = with_pipeline().await;
    lab.push_all();
    let asked = lab.fake.host().asked;
    let counted = packets(&switch);
    drop(switch);
    let switch = lab.start().await;
    assert_eq!(lab.fake.host().asked, asked);
    assert_eq!(lab.rules(), lab.intended());
    assert_eq!(packets(&switch), counted);
}

#[tokio::test]
async fn a_card_that_loses_its_rules_or_goes_is_noticed_and_used_again() {
    for goes in [false, true] {
        let (lab, mut switch) = with_pipeline().await;
        lab.push_all();
        let before = packets(&switch);
        {
            let mut host = lab.fake.host();
            let nic = host.nics.get_mut("card0").unwrap();
            nic.rules.clear();
            nic.lost = true;
            nic.unusable = goes.then(|| "no such device".into());
        }
        assert_eq!(packets(&switch), before, "what it told stays told");
        let places = switch.datapath.places(&br0(), true).unwrap();
        let why = if goes {
            "no such device"
        } else {
            "rules are gone"
        };
        assert_eq!(places.cards[0].trouble.as_deref(), Some(why));
        assert_eq!(places.of_port(&"p1".into()).0, "off");
        lab.fake.host().nics.get_mut("card0").unwrap().unusable = None;
        switch.devices_changed(LinkBatch::Lost).await;
        assert_eq!(lab.rules(), lab.intended());
        lab.push_all();
        assert_eq!(packets(&switch), lab.fake.host().meant);
        lab.check(&goes);
    }
}

#[tokio::test]
async fn ports_that_software_must_see_are_not_the_card_s() {
    let (lab, mut switch) = with_pipeline().await;
    let row =
        |switch: &mut TestSwitch, port: &str, change: &dyn Fn(&mut crate::config::InterfaceRow)| {
            let rows = switch.model.interfaces.values_mut();
            change(rows.into_iter().find(|row| row.name == port).unwrap());
        };
    row(&mut switch, "p2", &|row| {
        row.guard.allowed = Some("02:00:00:00:00:01".into())
    });
    row(&mut switch, "p3", &|row| row.offload = Some("off".into()));
    switch.configure().await;
    let places = switch.datapath.places(&br0(), true).unwrap();
    let ports: Vec<u16> = places.cards[0].ports.keys().map(|port| port.0).collect();
    assert_eq!(ports, [1, 4]);
    let (by, why) = places.of_port(&"p2".into());
    assert_eq!(by, "off");
    assert!(why.contains("aorta-allowed"), "{why}");
    let uses = |rule: &Rule| format!("{rule:?}").contains("Output(OfPort(2))");
    assert!(!lab.rules().values().any(uses));
    lab.check(&"fewer ports");
}

#[tokio::test]
async fn idle_flows_are_those_that_the_card_has_not_seen_either() {
    let lab = Lab::new(Capabilities::flower(1000));
    let mut case = aorta_testing::sample("table=0,in_port=1,actions=output:2");
    case.frames = aorta_testing::frames_for(&case, 20, &mut Rng::new(1));
    lab.probe(&case);
    let mut switch = lab.start().await;
    let lines = [
        "idle_timeout=10,in_port=1,actions=output:2",
        "idle_timeout=10,in_port=2,actions=output:1",
    ];
    modify(&mut switch, flows(&lines)).unwrap();
    let now = crate::clock::now();
    let long_ago = now - std::time::Duration::from_secs(60);
    switch.flows.get_mut(&br0()).unwrap().age(long_ago);
    lab.fake.host().now = now.0;
    let first = |packet: &Packet| packet.key.get(aorta_flow::field::FieldId::IN_PORT) == 1;
    lab.fake.host().probes.retain(first);
    lab.push_all();
    assert_eq!(
        lab.fake.host().counted.len(),
        0,
        "the card decides all of them"
    );
    switch.expire_flows();
    let left: Vec<String> = switch.flows[&br0()]
        .entries()
        .map(|e| e.flow.to_string())
        .collect();
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(left[0].contains("in_port=1"), "{left:?}");
    assert_eq!(lab.rules(), lab.intended());
}

#[tokio::test]
async fn cards_without_rules_are_not_looked_at() {
    let lab = Lab::new(Capabilities::flower(1000));
    let mut switch = lab.start().await;
    assert_eq!(switch.next_upkeep(), None);
    modify(&mut switch, flows(&["in_port=1,actions=NORMAL"])).unwrap();
    assert_eq!((lab.rules().len(), switch.next_upkeep()), (0, None));
    modify(&mut switch, flows(&["in_port=2,actions=1"])).unwrap();
    assert!(switch.next_upkeep().is_some());
    assert_eq!(lab.fake.host().reads, 0);
}

#[tokio::test]
async fn places_are_told() {
    let lab = Lab::new(Capabilities::flower(1000));
    let foreign = "device p1 has a filter that isn't this switch's";
    {
        let mut host = lab.fake.host();
        let nic = host.nics.get_mut("card0").unwrap();
        nic.foreign = vec![foreign.into()];
        nic.refuses = Some("in_port=3".into());
    }
    let mut switch = lab.start().await;
    let lines = [
        "priority=9,in_port=1,actions=output:2",
        "priority=8,in_port=1,tcp_flags=+syn,tcp,actions=output:2",
        "priority=7,in_port=3,actions=output:4",
        "priority=6,in_port=5,actions=controller",
    ];
    modify(&mut switch, flows(&lines)).unwrap();
    let (to, mut from) = oneshot::channel();
    let all = Box::new(crate::ofproto::filter("", &Default::default()).unwrap());
    switch.answer_flows("br0", FlowRequest::PlacedFlows(all, to));
    let dumped = from.try_recv().unwrap().unwrap();
    let placements: Vec<_> = dumped.into_iter().map(|d| d.placement.unwrap()).collect();
    assert_eq!(placements[0].places, ["nic(card0)"]);
    assert_eq!(
        placements[2].why,
        "nic(card0): device refused: can't do that"
    );
    assert!(placements[3].places.contains(&"user space".to_owned()));
    let (to, mut from) = oneshot::channel();
    switch.answer_flows("br0", FlowRequest::Explain(to));
    let explained = from.try_recv().unwrap().unwrap();
    assert_eq!(explained.cards[0].foreign, [foreign]);
    assert!(explained.cards[0].flows >= 1 && explained.cards[0].refusals >= 1);
    let updates = switch.devices_changed(LinkBatch::Lost).await;
    drop(updates);
    assert_eq!(switch.metrics().cards[0].1, explained.cards[0]);
}
