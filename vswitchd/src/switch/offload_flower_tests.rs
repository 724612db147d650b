//! The switch with a card that keeps TC flower filters: what the filters do is what the tables mean.

use std::collections::BTreeMap;

use aorta_flow::translate::{Effect, Packet, translate};
use aorta_flow::{IfIndex, MeterId};
use aorta_kernel::netdev::LinkBatch;
use aorta_kernel::offload::flower::fake::{Decided, FakeNic};
use aorta_kernel::offload::flower::{
    CardMark, Filter, FlowerCard, Lowering, Place, Refusal, Running, Stacks,
};
use aorta_placement::{Capabilities, Finds};
use aorta_testing::{Frame, Rng};

use super::offload_tests::{PIPELINE, br0, devices, flows, index, modify, second_pipeline};
use super::*;
use crate::cards::flower::Flower;
use crate::offload::Offloading;
use crate::offload::fake::{Fake, Software};
use crate::reconcile::{CardError, CardPort, CardSpec, Cards, Language, Looked};
use crate::testing::FakeHost;

const PORTS: [u16; 4] = [1, 2, 3, 4];
/// Rules that the card holds.
const MOST: usize = 20_000;

/// A card with ports 1 to 4.
#[derive(Clone)]
struct Nic(FakeNic);

impl std::fmt::Debug for Nic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Nic")
    }
}

impl Cards for Nic {
    type Card = Flower<FakeNic>;

    fn look(&mut self, _: &BridgeName, ports: &[CardPort]) -> Looked {
        let own = ports.iter().filter(|port| PORTS.contains(&port.ofport.0));
        let own = own.map(|port| (port.ofport, (port.name.clone(), port.ifindex)));
        let spec = CardSpec {
            name: "pf0".into(),
            language: Language::Flower,
            ports: own.collect(),
            capabilities: Capabilities::flower(MOST),
        };
        Looked {
            cards: vec![spec],
            ..Looked::default()
        }
    }

    fn open(&mut self, _: &BridgeName, spec: &CardSpec) -> Result<Flower<FakeNic>, CardError> {
        let ports = spec.ports.iter();
        let lowering = Lowering {
            ports: ports.map(|(port, (_, device))| (*port, *device)).collect(),
            running: Running::InHardware,
            stacks: Stacks::default(),
            meters_of: String::new(),
        };
        let mark = CardMark::new("a test");
        Ok(Flower(FlowerCard::new(self.0.clone(), lowering, mark)))
    }

    fn sweep(&mut self, _: &[IfIndex]) -> Vec<String> {
        Vec::new()
    }
}

type TestSwitch = Switch<FakeHost, Offloading<Software, Nic>>;

struct Lab {
    nic: FakeNic,
    software: Fake,
    rundir: tempfile::TempDir,
    frames: Vec<Frame>,
}

impl Lab {
    fn new() -> Lab {
        let mut case = aorta_testing::sample(&PIPELINE.join("\n"));
        case.frames = aorta_testing::frames_for(&case, 120, &mut Rng::new(7));
        case.frames.retain(|frame| PORTS.contains(&frame.in_port.0));
        Lab {
            nic: FakeNic::new(PORTS.map(index)),
            software: Fake::default(),
            rundir: tempfile::tempdir().unwrap(),
            frames: case.frames,
        }
    }

    async fn start(&self) -> TestSwitch {
        let (model, host) = devices("true");
        let actual = Actual::new("run-test".into());
        let cards = Nic(self.nic.clone());
        let datapath = Offloading::new(Software::new(&self.software), cards);
        let mut switch = Switch::with_model(model, actual, host, datapath);
        let (journal, restored) = Journal::open(self.rundir.path()).unwrap();
        switch.restore_flows(journal, restored);
        switch.configure().await;
        switch
    }

    fn filters(&self) -> BTreeMap<Place, Filter> {
        let filters = self.nic.filters().into_iter();
        filters.map(|filter| (filter.place, filter)).collect()
    }

    /// How many frames the card decides; each of them as the tables mean.
    fn decided(&self) -> usize {
        let tables = self.software.host().tables.clone();
        let mut decided = 0;
        for frame in &self.frames {
            let Ok(packet) = Packet::from_frame(&frame.bytes, frame.in_port) else {
                continue;
            };
            let sent = match self.nic.receive(index(frame.in_port.0), &frame.bytes) {
                Decided::Sent(sent) => sent,
                Decided::Software => continue,
                Decided::SoftwareMidway => panic!("begun on the card, and not ended there"),
            };
            let meant = translate(&tables, packet, &mut Finds::default())
                .effects
                .into_iter();
            let meant = meant.filter_map(|effect| match effect {
                Effect::Output { port, .. } => Some(index(port.0)),
                _ => None,
            });
            let sent: Vec<IfIndex> = sent.into_iter().map(|(device, _)| device).collect();
            assert_eq!(sent, meant.collect::<Vec<_>>(), "{frame}");
            decided += 1;
        }
        decided
    }
}

#[tokio::test]
async fn filters_do_what_the_tables_mean_and_outlive_the_daemon() {
    let lab = Lab::new();
    let mut switch = lab.start().await;
    modify(&mut switch, flows(&PIPELINE)).unwrap();
    assert!(lab.decided() > 30, "{}", lab.decided());
    let first = lab.filters();
    drop(switch);
    let mut switch = lab.start().await;
    assert_eq!(lab.filters(), first, "they are what they are to be");
    assert!(switch.datapath.places(&br0(), true).unwrap().cards[0].rules > 5);
    modify(&mut switch, second_pipeline()).unwrap();
    assert!(lab.decided() > 30);
    let second = lab.filters();
    assert_ne!(first, second);
    drop(switch);
    let place = Place {
        chain: 0,
        pref: 40_000,
        handle: 1,
        device: index(1),
    };
    lab.nic.put_foreign(place, "u32");
    let switch = lab.start().await;
    assert_eq!(lab.filters(), second);
    let places = switch.datapath.places(&br0(), true).unwrap();
    assert!(places.cards[0].foreign[0].contains("u32"), "{places:?}");
}

#[tokio::test]
async fn killed_at_every_request_exactly_the_intended_filters_are_there_afterwards() {
    let lab = Lab::new();
    let mut switch = lab.start().await;
    modify(&mut switch, flows(&PIPELINE)).unwrap();
    modify(&mut switch, second_pipeline()).unwrap();
    let meant: Vec<_> = lab
        .filters()
        .into_values()
        .map(|f| (f.keys, f.actions))
        .collect();
    let mut breaks = 0;
    for request in 0.. {
        let lab = Lab::new();
        let mut switch = lab.start().await;
        modify(&mut switch, flows(&PIPELINE)).unwrap();
        let before = lab.nic.asked();
        lab.nic.break_after(request);
        modify(&mut switch, second_pipeline()).unwrap();
        drop(switch);
        lab.nic.mend();
        let ended = lab.nic.asked() - before;
        let switch = lab.start().await;
        lab.decided();
        let there = lab.filters().into_values().map(|f| (f.keys, f.actions));
        assert!(same(there.collect(), meant.clone()), "{request}");
        drop(switch);
        if ended < request {
            break;
        }
        breaks += 1;
        assert!(request < 500);
    }
    assert!(breaks > 10, "{breaks}");
}

fn same<T: PartialEq>(mut left: Vec<T>, right: Vec<T>) -> bool {
    right.into_iter().all(|one| {
        let at = left.iter().position(|other| *other == one);
        at.map(|at| left.swap_remove(at)).is_some()
    }) && left.is_empty()
}

#[tokio::test]
async fn ports_come_and_go_beside_filters_that_stay() {
    let lab = Lab::new();
    let mut switch = lab.start().await;
    modify(&mut switch, flows(&PIPELINE)).unwrap();
    let first = lab.filters();
    let offload = |switch: &mut TestSwitch, mode: Option<&str>| {
        let mut rows = switch.model.interfaces.values_mut();
        let row = rows.find(|row| row.name == "p4").unwrap();
        row.offload = mode.map(str::to_owned);
    };
    offload(&mut switch, Some("off"));
    switch.configure().await;
    assert!(lab.filters().keys().all(|place| place.device != index(4)));
    let stayed = |now: &BTreeMap<Place, Filter>| {
        let same = now
            .iter()
            .filter(|(place, filter)| first.get(place) == Some(filter));
        same.count()
    };
    // Guards, and what doesn't lead to what sends to the port.
    assert!(stayed(&lab.filters()) > 45, "{}", stayed(&lab.filters()));
    assert!(lab.decided() > 10, "{}", lab.decided());
    let asked = lab.nic.asked();
    offload(&mut switch, None);
    switch.configure().await;
    assert!(lab.decided() > 30);
    let there: Vec<_> = lab
        .filters()
        .into_values()
        .map(|f| (f.keys, f.actions))
        .collect();
    let meant = first.into_values().map(|f| (f.keys, f.actions));
    assert!(same(there, meant.collect()));
    let requests = lab.nic.asked() - asked;
    assert!(requests < lab.filters().len() as u64, "{requests} requests");
    // What a daemon finds that comes next is what it wants.
    let there = lab.filters();
    drop(switch);
    drop(lab.start().await);
    assert_eq!(lab.filters(), there);
}

#[tokio::test]
async fn flows_share_the_bucket_of_their_meter() {
    let lab = Lab::new();
    let mut switch = lab.start().await;
    let meter = ["meter=7,pktps,band=type=drop,rate=10"].map(str::to_owned);
    let add = aorta_api::EntryCommand::Add;
    modify(
        &mut switch,
        crate::ofproto::meter_mods(add, &meter).unwrap(),
    )
    .unwrap();
    let lines = [
        "priority=9,in_port=1,ip,actions=meter:7,output:2",
        "priority=8,in_port=2,ip,actions=meter:7,output:1",
    ];
    modify(&mut switch, flows(&lines)).unwrap();
    lab.nic.leave_tokens(2);
    let ip = lab.frames.iter().filter(|frame| frame.in_port.0 <= 2);
    let outcomes: Vec<Decided> = ip
        .map(|frame| lab.nic.receive(index(frame.in_port.0), &frame.bytes))
        .collect();
    let count = |empty: bool| {
        let is = |one: &&Decided| matches!(one, Decided::Sent(sent) if sent.is_empty() == empty);
        outcomes.iter().filter(is).count() as u64
    };
    let (sent, dropped) = (count(false), count(true));
    assert!(sent == 2 && dropped > 2, "{sent} sent, {dropped} dropped");
    let told = |switch: &TestSwitch| {
        let states = switch.datapath.meter_states(&br0());
        let state = states.get(&MeterId::Number(7)).cloned().unwrap_or_default();
        let dropped = state.bands.first().map_or(0, |band| band.packets);
        (state.input.packets, dropped)
    };
    assert_eq!(told(&switch), (sent + dropped, dropped));
    // Flows count what they match, whatever becomes of it.
    let counted = switch.counters_of(&br0()).unwrap();
    let packets: u64 = counted.values().map(|counted| counted.packets).sum();
    assert_eq!(packets, sent + dropped);
    // What the bucket has counted stays when its filters go, until the meter does.
    modify(&mut switch, second_pipeline()).unwrap();
    let gone = crate::ofproto::flow_mods(
        aorta_api::FlowCommand::Delete,
        &["ip".to_owned()],
        &Default::default(),
    );
    modify(&mut switch, gone.unwrap()).unwrap();
    assert_eq!(told(&switch), (sent + dropped, dropped));
    let delete = aorta_api::EntryCommand::Delete;
    modify(
        &mut switch,
        crate::ofproto::meter_mods(delete, &["meter=7".to_owned()]).unwrap(),
    )
    .unwrap();
    assert_eq!(told(&switch), (0, 0));
}

#[tokio::test]
async fn a_meter_that_is_made_again_has_counted_nothing() {
    use aorta_api::EntryCommand::{Add, Delete};
    let lab = Lab::new();
    let mut switch = lab.start().await;
    let change =
        |command, text: &str| crate::ofproto::meter_mods(command, &[text.to_owned()]).unwrap();
    let all = || {
        let mut mods = change(Add, "meter=7,pktps,band=type=drop,rate=10");
        mods.extend(flows(&["priority=9,in_port=1,ip,actions=meter:7,output:2"]));
        mods
    };
    modify(&mut switch, all()).unwrap();
    // Nobody has asked for what these left in the bucket when the meter goes, and its filter stays.
    for frame in lab.frames.iter().filter(|frame| frame.in_port.0 == 1) {
        lab.nic.receive(index(1), &frame.bytes);
    }
    let mut anew = change(Delete, "meter=7");
    anew.extend(all());
    modify(&mut switch, anew).unwrap();
    let states = switch.datapath.meter_states(&br0());
    let state = states.get(&MeterId::Number(7)).cloned().unwrap_or_default();
    assert_eq!(state.input.packets, 0);
}

#[tokio::test]
async fn legacy_mode_and_refusals_are_told_in_the_driver_s_words() {
    let lab = Lab::new();
    let mut switch = lab.start().await;
    let first = ["priority=300,in_port=1,tcp,actions=output:2"];
    modify(&mut switch, flows(&first)).unwrap();
    let words = "mlx9: can't offload more than one output";
    lab.nic
        .refuse_after(0, Refusal::new(95, Some(words.into())));
    let second = ["priority=200,in_port=2,udp,actions=output:1"];
    modify(&mut switch, flows(&second)).unwrap();
    let places = switch.datapath.places(&br0(), true).unwrap();
    let told =
        |place: &crate::offload::NicPlace| place.why.iter().any(|(_, why)| why.contains(words));
    assert!(places.flows.values().any(told), "{places:?}");
    modify(&mut switch, flows(&PIPELINE)).unwrap();
    lab.decided();
    lab.nic.change_to_legacy_mode();
    drop(switch.counters_of(&br0()));
    let places = switch.datapath.places(&br0(), true).unwrap();
    assert!(places.cards[0].trouble.is_some());
    assert_eq!(lab.decided(), 0);
    lab.nic.mend();
    switch.devices_changed(LinkBatch::Lost).await;
    assert!(lab.decided() > 20);
}

/// Flows that the short form has; `AORTA_LOOK_FLOWS` asks for others, up to [`MOST`].
const FEW: u16 = 300;

#[tokio::test]
async fn a_look_at_many_flows_tells_all_their_counters() {
    let asked = std::env::var("AORTA_LOOK_FLOWS").ok();
    let count = asked.map_or(FEW, |count| count.parse().unwrap());
    let lab = Lab::new();
    let mut switch = lab.start().await;
    let line = |n| {
        let address = [10, 0, (n >> 8) as u8, n as u8].map(|byte| byte.to_string());
        let address = address.join(".");
        format!("priority=9,in_port=1,vlan_tci=0/0x1fff,tcp,nw_dst={address},actions=output:2")
    };
    let lines: Vec<String> = (0..count).map(line).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    modify(&mut switch, flows(&lines)).unwrap();
    for _ in 0..5 {
        let start = std::time::Instant::now();
        let counters = switch.datapath.flow_counters(&br0()).unwrap();
        let took = start.elapsed();
        assert_eq!(counters.len(), usize::from(count));
        let each = took.as_nanos() / u128::from(count);
        println!("{count} flows on the card: {took:?}, {each} ns a flow");
    }
}
