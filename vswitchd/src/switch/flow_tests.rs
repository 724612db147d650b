use aorta_api::FlowCommand;
use tokio::sync::oneshot;

use super::*;
use crate::control::{Atomic, FlowAnswer, FlowRequest};
use crate::ofproto::{self, FlowDumped, FlowError, Moment};
use crate::reconcile::FlowCounters;
use crate::reconcile::{Shorten, Upcall};
use crate::testing::{FakeDatapath, FakeHost, Rows, link};

type TestSwitch = Switch<FakeHost, FakeDatapath>;

/// A switch with br0 and port tap0, with a rundir if there is one.
async fn switch(secure: bool, rundir: Option<&std::path::Path>) -> TestSwitch {
    let mut rows = Rows::default();
    let br0 = rows.bridge("br0");
    rows.simple(br0, "tap0", "");
    rows.model.bridges.get_mut(&br0).unwrap().secure = secure;
    let mut host = FakeHost::default();
    host.add(link(3, "tap0"));
    let actual = Actual::new("run-test".into());
    let mut switch = Switch::with_model(rows.model, actual, host, FakeDatapath::default());
    if let Some(rundir) = rundir {
        let (journal, restored) = Journal::open(rundir).unwrap();
        switch.restore_flows(journal, restored);
    }
    switch.configure().await;
    switch
}

fn ask<T>(
    switch: &mut TestSwitch,
    question: impl FnOnce(FlowAnswer<T>) -> FlowRequest,
) -> Result<T, FlowError> {
    let (to, mut from) = oneshot::channel();
    switch.answer_flows("br0", question(to));
    from.try_recv().unwrap()
}

fn run(switch: &mut TestSwitch, command: FlowCommand, lines: &[&str]) -> Result<u64, FlowError> {
    let names = ask(switch, FlowRequest::Names).unwrap();
    let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    let mods = ofproto::flow_mods(command, &lines, &names)?;
    let answer = ask(switch, |to| FlowRequest::ModifyFlows(mods, Atomic::Yes, to))?;
    Ok(answer.changed)
}

fn dump(switch: &mut TestSwitch) -> Vec<FlowDumped> {
    let all = Box::new(ofproto::filter("", &Default::default()).unwrap());
    ask(switch, |to| FlowRequest::Flows(all, to)).unwrap()
}

fn shown(switch: &mut TestSwitch) -> Vec<String> {
    let dumped = dump(switch);
    let shown = dumped
        .iter()
        .map(|dumped| dumped.flow.to_string())
        .collect();
    let given = &switch.datapath.flows[&BridgeName::from("br0")];
    assert_eq!(&shown, given, "the datapath has the same");
    shown
}

/// The flows that the bridge's tables have, and those that the datapath has.
fn both(switch: &TestSwitch) -> (Vec<String>, Vec<String>) {
    let name = BridgeName::from("br0");
    let entries = switch.flows[&name].entries();
    let tables = entries.map(|entry| entry.flow.to_string()).collect();
    (tables, switch.datapath.flows[&name].clone())
}

#[tokio::test]
async fn a_bridge_with_controllers_begins_empty_and_switches_by_itself_without_them() {
    let mut switch = switch(false, None).await;
    let normal = vec!["priority=0 actions=NORMAL".to_owned()];
    assert_eq!(both(&switch), (normal.clone(), normal.clone()));
    let controller = crate::config::ControllerRow {
        target: "tcp:192.0.2.1".to_owned(),
        ..Default::default()
    };
    let (id, name) = (Uuid::from_u128(77), BridgeName::from("br0"));
    switch.model.controllers.insert(id, controller);
    let bridge = switch.model.bridges.values_mut().next().unwrap();
    bridge.controllers = vec![id];
    switch.configure().await;
    assert_eq!(both(&switch), (vec![], vec![]));
    run(&mut switch, FlowCommand::Add, &["priority=5,actions=drop"]).unwrap();
    switch.fail_open(&name, true);
    assert_eq!(both(&switch), (vec![], normal.clone()));
    run(&mut switch, FlowCommand::Add, &["priority=7,actions=drop"]).unwrap();
    let seven = vec!["priority=7 actions=drop".to_owned()];
    assert_eq!(both(&switch), (seven.clone(), normal.clone()));
    // Another fail_mode is no reason to forget what was added meanwhile.
    switch.model.bridges.values_mut().next().unwrap().secure = true;
    switch.configure().await;
    switch.fail_open(&name, false);
    assert_eq!(both(&switch), (seven.clone(), seven));
    switch.fail_open(&name, true);
    switch.model.controllers.clear();
    switch.model.bridges.values_mut().next().unwrap().secure = false;
    switch.configure().await;
    assert_eq!(both(&switch), (normal.clone(), normal.clone()));
    switch.fail_open(&name, true);
    assert_eq!(
        both(&switch),
        (normal.clone(), normal),
        "an order that comes late"
    );
}

#[tokio::test]
async fn a_bridge_begins_as_a_learning_switch_unless_it_is_secure() {
    let mut standalone = switch(false, None).await;
    assert_eq!(shown(&mut standalone), ["priority=0 actions=NORMAL"]);
    assert_eq!(standalone.status().0[0].flows, 1);
    let mut secure = switch(true, None).await;
    assert!(shown(&mut secure).is_empty());
}

#[tokio::test]
async fn another_fail_mode_begins_anew() {
    let mut switch = switch(false, None).await;
    run(&mut switch, FlowCommand::Add, &["tcp,actions=tap0"]).unwrap();
    assert_eq!(shown(&mut switch).len(), 2);
    for (secure, flows) in [(true, 0), (false, 1)] {
        let bridge = switch.model.bridges.values_mut().next().unwrap();
        bridge.secure = secure;
        switch.configure().await;
        assert_eq!(shown(&mut switch).len(), flows);
    }
}

#[tokio::test]
async fn what_the_datapath_refuses_changes_nothing() {
    let mut switch = switch(true, None).await;
    run(&mut switch, FlowCommand::Add, &["tcp,actions=tap0"]).unwrap();
    switch.datapath.refuses_flows = Some("too long".into());
    let refused = run(
        &mut switch,
        FlowCommand::Add,
        &["udp,actions=1", "tcp,actions=2"],
    );
    assert_eq!(refused, Err(FlowError::Datapath("too long".into())));
    assert_eq!(shown(&mut switch), ["tcp actions=output:1"]);
    switch.datapath.refuses_flows = None;
    assert_eq!(run(&mut switch, FlowCommand::Delete, &[""]), Ok(1));
    assert!(shown(&mut switch).is_empty());
}

#[tokio::test]
async fn tables_that_never_ran_are_told_and_tried_again() {
    let mut switch = switch(true, None).await;
    switch.datapath.refuses_flows = Some("no memory".into());
    let bridge = switch.model.bridges.values_mut().next().unwrap();
    (bridge.secure, bridge.forward_bpdu) = (false, true);
    let updates = switch.configure().await;
    let status = |updates: &[RowUpdate]| {
        let columns = updates.iter().filter(|u| u.table == "Bridge");
        let mut columns = columns.flat_map(|update| update.columns.clone());
        columns.find(|(column, _)| *column == "status").unwrap().1
    };
    let told = aorta_ovsdb::Datum::map([("aorta-flows", "no memory")]);
    assert_eq!(status(&updates), told);
    assert_eq!(switch.status().1, ["the flows of br0 don't run: no memory"]);
    switch.datapath.refuses_flows = None;
    let bridge = switch.model.bridges.values_mut().next().unwrap();
    bridge.forward_bpdu = false;
    let updates = switch.configure().await;
    let nothing: [(&str, &str); 0] = [];
    assert_eq!(status(&updates), aorta_ovsdb::Datum::map(nothing));
    assert_eq!(shown(&mut switch), ["priority=0 actions=NORMAL"]);
}

#[tokio::test]
async fn flows_that_packets_ask_for_are_there_at_once_and_after_a_restart() {
    let rundir = tempfile::tempdir().unwrap();
    let mut first = switch(true, Some(rundir.path())).await;
    let learned = |line: &str| aorta_flow::Learned {
        bridge: "br0".into(),
        flow: ofproto::flows(&[line.to_owned()], &Default::default())
            .unwrap()
            .remove(0),
        limit: 0,
        by: None,
        delete_learned: false,
    };
    let lines = [
        "table=1,dl_dst=02:00:00:00:00:01,actions=1",
        "table=1,dl_dst=02:00:00:00:00:02,actions=1",
    ];
    let twice = [lines, lines].concat();
    let upcalls = twice.into_iter().map(learned).map(Upcall::Learned);
    first.datapath.upcalls = upcalls.collect();
    first.take_upcalls();
    let there = shown(&mut first);
    assert_eq!(there.len(), 2);
    drop(first);
    assert_eq!(shown(&mut switch(true, Some(rundir.path())).await), there);
}

#[tokio::test]
async fn timeouts_that_a_connection_s_end_shortens_are_so_after_a_restart() {
    let rundir = tempfile::tempdir().unwrap();
    let mut first = switch(true, Some(rundir.path())).await;
    let line = "idle_timeout=60,tcp,actions=fin_timeout(idle_timeout=5,hard_timeout=9),tap0";
    run(&mut first, FlowCommand::Add, &[line]).unwrap();
    let bridge = BridgeName::from("br0");
    let flow = first.flows[&bridge].entries().next().unwrap().id;
    let shorten = Shorten {
        bridge,
        table: 0,
        flow,
        idle_timeout_s: 5,
        hard_timeout_s: 9,
    };
    first.datapath.upcalls = vec![Upcall::Shorten(shorten.clone()), Upcall::Shorten(shorten)];
    first.take_upcalls();
    // The datapath needn't know of timeouts.
    let entry = |switch: &TestSwitch| {
        let mut entries = switch.flows[&BridgeName::from("br0")].entries();
        entries.next().unwrap().flow.to_string()
    };
    let there = entry(&first);
    assert!(
        there.starts_with("idle_timeout=5, hard_timeout=9, tcp"),
        "{there}"
    );
    drop(first);
    let second = switch(true, Some(rundir.path())).await;
    assert_eq!(entry(&second), there);
}

#[tokio::test]
async fn a_bridge_that_is_not_there_has_no_flows() {
    let mut switch = switch(true, None).await;
    let (to, mut from) = oneshot::channel();
    switch.answer_flows("br7", FlowRequest::Names(to));
    let refused = from.try_recv().unwrap();
    assert_eq!(refused, Err(FlowError::NoBridge("br7".into())));
}

#[tokio::test]
async fn flows_their_ages_and_numbers_outlive_the_daemon() {
    let rundir = tempfile::tempdir().unwrap();
    let mut first = switch(false, Some(rundir.path())).await;
    run(&mut first, FlowCommand::Delete, &[""]).unwrap();
    let lines = [
        "hard_timeout=500,tcp,actions=tap0",
        "table=1,udp,actions=drop",
    ];
    run(&mut first, FlowCommand::Add, &lines).unwrap();
    run(&mut first, FlowCommand::DeleteStrict, &["table=1,udp"]).unwrap();
    let before = dump(&mut first);
    let expiry = first.next_expiry();
    assert!(expiry.is_some());
    drop(first);

    let mut second = switch(false, Some(rundir.path())).await;
    let after = dump(&mut second);
    assert_eq!(after.len(), 1);
    assert_eq!(after[0].flow, before[0].flow);
    assert!(after[0].duration_ms >= before[0].duration_ms);
    assert_eq!(second.next_expiry(), expiry);
    let adopted = &second.datapath.adopted[&BridgeName::from("br0")];
    let (flow, rule) = adopted.iter().next().unwrap();
    assert_eq!((adopted.len(), u64::from(*rule)), (1, 1000 + flow.0));
    // A new flow never has the number of one that is there.
    run(&mut second, FlowCommand::Add, &["sctp,actions=drop"]).unwrap();
    assert_eq!(shown(&mut second).len(), 2);
    drop(second);

    // With another fail mode it is another bridge.
    let mut third = switch(true, Some(rundir.path())).await;
    assert!(shown(&mut third).is_empty());
}

#[tokio::test]
async fn a_bridge_that_went_comes_back_without_flows() {
    let rundir = tempfile::tempdir().unwrap();
    let mut first = switch(true, Some(rundir.path())).await;
    run(&mut first, FlowCommand::Add, &["tcp,actions=tap0"]).unwrap();
    first.model.root.as_mut().unwrap().bridges.clear();
    first.configure().await;
    assert!(first.flows.is_empty());
    drop(first);
    assert!(shown(&mut switch(true, Some(rundir.path())).await).is_empty());
}

#[tokio::test]
async fn idle_flows_go_and_used_ones_stay() {
    let mut switch = switch(true, None).await;
    let lines = [
        "idle_timeout=1,tcp,actions=drop",
        "idle_timeout=1,udp,actions=drop",
        "ip,actions=drop",
    ];
    run(&mut switch, FlowCommand::Add, &lines).unwrap();
    assert_eq!(switch.datapath.counter_reads.get(), 0);
    // As if they had been there for two seconds.
    let name = BridgeName::from("br0");
    let now = crate::clock::now();
    let entries: Vec<_> = switch.flows[&name].entries().cloned().collect();
    switch
        .flows
        .get_mut(&name)
        .unwrap()
        .age(Moment(now.0.saturating_sub(2000)));
    let used = entries
        .iter()
        .find(|e| e.flow.to_string().contains("udp"))
        .unwrap()
        .id;
    let counters = FlowCounters {
        packets: 3,
        bytes: 180,
        used: Some(now),
    };
    switch.datapath.counted = HashMap::from([(used, counters)]);
    let reads = switch.datapath.counter_reads.get();
    switch.expire_flows();
    assert_eq!(switch.datapath.counter_reads.get(), reads + 1);
    let left = shown(&mut switch);
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(left.iter().all(|flow| !flow.contains("tcp")), "{left:?}");
    let dumped = dump(&mut switch);
    let udp = dumped
        .iter()
        .find(|d| d.flow.to_string().contains("udp"))
        .unwrap();
    assert_eq!((udp.counters.packets, udp.counters.bytes), (3, 180));
    assert!(udp.idle_ms < udp.duration_ms);
}
