//! What operators do, what becomes of cards and daemons, and what is told of it.

use aorta_flow::field::FieldId;

use super::*;

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
async fn what_rules_had_counted_that_are_gone_outlives_the_daemon() {
    let (lab, mut switch) = with_pipeline().await;
    lab.push_all();
    modify(&mut switch, second_pipeline()).unwrap();
    lab.push_all();
    modify(&mut switch, delete(&["table=0,priority=250,tcp"])).unwrap();
    assert_eq!(packets(&switch), lab.fake.host().meant);
    drop(switch);
    let switch = lab.start().await;
    assert_eq!(packets(&switch), lab.fake.host().meant);
    lab.push_all();
    drop(switch);
    // The rules that were left aren't those that are wanted.
    let lack = |nic: &mut Nic| nic.capabilities.keys.remove(&FieldId::IP_DST);
    let lacked = lack(lab.fake.host().nics.get_mut("card0").unwrap());
    assert!(lacked.is_some());
    let switch = lab.start().await;
    assert_eq!(packets(&switch), lab.fake.host().meant);
    lab.check(&"restarted");
}

#[tokio::test]
async fn rules_stay_on_ports_beside_one_that_goes_and_comes() {
    let (lab, mut switch) = with_pipeline().await;
    let root = lab.rules();
    let nic = |change: &dyn Fn(&mut Nic)| change(lab.fake.host().nics.get_mut("card0").unwrap());
    nic(&|nic| nic.changes_ports = true);
    let offload = |switch: &mut TestSwitch, mode: Option<&str>| {
        let mut rows = switch.model.interfaces.values_mut();
        let row = rows.find(|row| row.name == "p3").unwrap();
        row.offload = mode.map(str::to_owned);
    };
    lab.push_all();
    let asked = lab.fake.host().asked;
    offload(&mut switch, Some("off"));
    switch.configure().await;
    lab.check(&"a port less");
    let uses = |rule: &Rule| format!("{rule:?}").contains("Output(OfPort(3))");
    assert!(!lab.rules().values().any(uses));
    let rules = lab.rules().into_iter();
    let stayed = rules
        .filter(|(key, rule)| root.get(key) == Some(rule))
        .count();
    assert!(
        stayed >= 3 && stayed < root.len(),
        "{stayed} of {}",
        root.len()
    );
    let steps = lab.fake.host().asked - asked;
    assert!(steps < root.len(), "{steps} steps, {} rules", root.len());
    offload(&mut switch, None);
    switch.configure().await;
    assert_eq!(lab.rules(), root);
    lab.check(&"the port again");
    // The card's packets of the port that went are counted in software, and all of them once.
    lab.push_all();
    assert_eq!(packets(&switch), lab.fake.host().meant);
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
    let written = format!("{updates:?}");
    for part in ["aorta-offload", "which refused 1 flows: can't do that"] {
        assert!(written.contains(part), "{written}");
    }
    assert_eq!(switch.metrics().cards[0].1, explained.cards[0]);
}
