use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use aorta_api::{EntryCommand, FlowCommand};
use aorta_flow::table::{Change, FlowId, RemovedReason};

use super::*;
use crate::control::Atomic;
use crate::reconcile::FlowCounters;

const SECOND: u64 = 1000;

fn texts(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

/// Adds flows at a moment.
fn add(flows: &mut BridgeFlows, lines: &[&str], now: u64) -> Vec<Change> {
    change(flows, FlowCommand::Add, lines, now)
}

fn change(flows: &mut BridgeFlows, command: FlowCommand, lines: &[&str], now: u64) -> Vec<Change> {
    let mods = flow_mods(command, &texts(lines), &flows.names).unwrap();
    let pending = flows.prepare(&mods, Atomic::Yes).unwrap();
    flows.commit(&pending.changes, Moment(now));
    pending.changes
}

fn shown(flows: &BridgeFlows) -> Vec<String> {
    flows.tables().flows().map(|e| e.flow.to_string()).collect()
}

fn id(flows: &BridgeFlows, start: &str) -> FlowId {
    let mut all = flows.tables().flows();
    let found = all.find(|entry| entry.flow.to_string().contains(start));
    found.unwrap().id
}

fn used(id: FlowId, at: u64) -> HashMap<FlowId, FlowCounters> {
    let counters = FlowCounters {
        packets: 1,
        bytes: 60,
        used: Some(Moment(at)),
    };
    HashMap::from([(id, counters)])
}

/// Removes what is over.
fn expire(flows: &mut BridgeFlows, now: u64) -> Vec<(String, RemovedReason)> {
    let pending = flows.prepare_expiry(Moment(now));
    flows.commit(&pending.changes, Moment(now));
    let removed = pending.changes.into_iter().map(|change| match change {
        Change::FlowRemoved { entry, reason } => (entry.flow.matching.to_string(), reason),
        other => panic!("{other:?}"),
    });
    removed.collect()
}

#[test]
fn a_bundle_is_done_whole_or_not_at_all() {
    let mut flows = BridgeFlows::default();
    add(&mut flows, &["tcp,actions=1"], 0);
    let lines = texts(&["udp,actions=2", "delete tcp", "ip,actions=group:7"]);
    let mods = flow_mods(FlowCommand::Add, &lines, &flows.names).unwrap();
    let refused = flows.prepare(&mods, Atomic::Yes).unwrap_err();
    assert!(
        matches!(
            refused,
            FlowError::Table {
                index: 2,
                changed: 0,
                ..
            }
        ),
        "{refused}"
    );
    assert_eq!(shown(&flows), ["tcp actions=output:1"]);

    let pending = flows.prepare(&mods, Atomic::No).unwrap();
    let stopped = pending.stopped.unwrap();
    assert!(
        matches!(
            stopped,
            FlowError::Table {
                index: 2,
                changed: 2,
                ..
            }
        ),
        "{stopped}"
    );
    flows.revert(&pending.changes);
    assert_eq!(shown(&flows), ["tcp actions=output:1"]);
}

#[test]
fn ports_go_by_name() {
    let mut names = PortNames::default();
    names.add("tap0", aorta_flow::OfPort(1));
    names.add("br0", aorta_flow::OfPort::LOCAL);
    let lines = texts(&["in_port=tap0,actions=br0"]);
    let read = super::flows(&lines, &names).unwrap();
    assert_eq!(read[0].to_string(), "in_port=1 actions=LOCAL");
    let unknown = super::flows(
        &texts(&["actions=drop", "in_port=tap7,actions=drop"]),
        &names,
    );
    let FlowError::Text { index, error, .. } = unknown.unwrap_err() else {
        panic!()
    };
    assert_eq!((index, error.offset), (1, 8));
}

#[test]
fn a_hard_timeout_ends_a_flow_that_is_used() {
    let mut flows = BridgeFlows::default();
    add(&mut flows, &["hard_timeout=5,tcp,actions=1"], SECOND);
    assert_eq!(flows.next_expiry(), Some(Moment(6 * SECOND)));
    assert!(!flows.expiry_needs_counters(Moment(6 * SECOND)));
    assert_eq!(expire(&mut flows, 5 * SECOND), []);
    let over = [("tcp".to_owned(), RemovedReason::HardTimeout)];
    assert_eq!(expire(&mut flows, 6 * SECOND), over);
    assert_eq!((flows.next_expiry(), shown(&flows).len()), (None, 0));
}

#[test]
fn an_idle_timeout_counts_from_the_last_packet() {
    let mut flows = BridgeFlows::default();
    add(
        &mut flows,
        &[
            "idle_timeout=5,tcp,actions=1",
            "idle_timeout=9,udp,actions=1",
        ],
        0,
    );
    let tcp = id(&flows, "tcp");
    assert!(flows.expiry_needs_counters(Moment(5 * SECOND)));
    flows.take_counters(&used(tcp, 3 * SECOND));
    assert_eq!(expire(&mut flows, 5 * SECOND), []);
    assert_eq!(
        flows.next_expiry(),
        Some(Moment(8 * SECOND)),
        "nothing to look at before"
    );
    let over = |name: &str| [(name.to_owned(), RemovedReason::IdleTimeout)];
    assert_eq!(expire(&mut flows, 8 * SECOND), over("tcp"));
    assert_eq!(expire(&mut flows, 9 * SECOND), over("udp"));
}

#[test]
fn counters_that_take_long_to_read_are_read_seldom_and_nothing_is_over_unread() {
    let mut flows = BridgeFlows::default();
    let lines = [
        "idle_timeout=5,tcp,actions=1",
        "hard_timeout=6,udp,actions=1",
    ];
    add(&mut flows, &lines, 0);
    let tcp = id(&flows, "tcp");
    flows.take_counters(&used(tcp, 3 * SECOND));
    assert_eq!(expire(&mut flows, 5 * SECOND), []);
    flows.counters_took(Moment(5 * SECOND), Duration::from_millis(50));
    assert_eq!(flows.next_expiry(), Some(Moment(6 * SECOND)));
    let over = |name: &str, reason| [(name.to_owned(), reason)];
    let udp = over("udp", RemovedReason::HardTimeout);
    assert_eq!(expire(&mut flows, 6 * SECOND), udp);
    assert_eq!(flows.next_expiry(), Some(Moment(10 * SECOND)));
    assert!(!flows.expiry_needs_counters(Moment(9 * SECOND)));
    assert_eq!(expire(&mut flows, 9 * SECOND), [], "it may have been used");
    assert!(flows.expiry_needs_counters(Moment(10 * SECOND)));
    let tcp = over("tcp", RemovedReason::IdleTimeout);
    assert_eq!(expire(&mut flows, 10 * SECOND), tcp);
}

#[test]
fn a_connection_that_ends_shortens_timeouts_which_go_on_from_where_they_were() {
    let mut flows = BridgeFlows::default();
    let lines = [
        "idle_timeout=60,tcp,actions=1",
        "idle_timeout=3,udp,actions=1",
        "icmp,actions=1",
    ];
    add(&mut flows, &lines, 0);
    let [tcp, udp, icmp] = ["tcp", "udp", "icmp"].map(|name| id(&flows, name));
    flows.take_counters(&used(tcp, 7 * SECOND));
    let now = Moment(8 * SECOND);
    assert!(flows.shorten(tcp, 0, (5, 0), now).is_some());
    assert_eq!(flows.shorten(tcp, 0, (5, 0), now), None, "it is");
    assert_eq!(flows.shorten(udp, 0, (5, 0), now), None, "it is shorter");
    assert!(flows.shorten(icmp, 0, (0, 20), now).is_some());
    assert_eq!(flows.shorten(FlowId(77), 0, (5, 5), now), None);
    let shown = shown(&flows);
    assert!(
        shown.contains(&"idle_timeout=5, tcp actions=output:1".to_owned()),
        "{shown:?}"
    );
    expire(&mut flows, 4 * SECOND);
    assert_eq!(expire(&mut flows, 11 * SECOND), []);
    let over = |name: &str, reason| [(name.to_owned(), reason)];
    let idle = over("tcp", RemovedReason::IdleTimeout);
    assert_eq!(expire(&mut flows, 12 * SECOND), idle);
    let hard = over("icmp", RemovedReason::HardTimeout);
    assert_eq!(expire(&mut flows, 20 * SECOND), hard);
}

#[test]
fn a_change_restarts_timeouts_and_an_addition_the_duration_too() {
    let mut flows = BridgeFlows::default();
    add(&mut flows, &["hard_timeout=5,tcp,actions=1"], 0);
    let ages = |flows: &BridgeFlows, now| {
        let all = filter("", &flows.names).unwrap();
        let dumped = flows.dump(
            &all,
            &HashMap::new(),
            |_| ("".into(), "".into()),
            |_| None,
            Moment(now),
        );
        (dumped[0].duration_ms, dumped[0].hard_age_ms)
    };
    change(
        &mut flows,
        FlowCommand::Modify,
        &["tcp,actions=2"],
        4 * SECOND,
    );
    assert_eq!(ages(&flows, 6 * SECOND), (6 * SECOND, 2 * SECOND));
    assert_eq!(expire(&mut flows, 6 * SECOND), []);
    add(&mut flows, &["hard_timeout=5,tcp,actions=1"], 7 * SECOND);
    assert_eq!(ages(&flows, 8 * SECOND), (SECOND, SECOND));
}

#[test]
fn looks_are_not_closer_than_a_moment() {
    let mut flows = BridgeFlows::default();
    add(&mut flows, &["hard_timeout=5,tcp,actions=1"], 0);
    add(&mut flows, &["hard_timeout=5,udp,actions=1"], 1);
    assert_eq!(expire(&mut flows, 5 * SECOND).len(), 1);
    let pause = flows.next_expiry().unwrap().since_ms(Moment(5 * SECOND));
    assert!(Duration::from_millis(pause) >= Duration::from_millis(100));
}

#[test]
fn learned_flows_go_with_the_last_that_learns_them() {
    let mut flows = BridgeFlows::default();
    let learn = "learn(table=3,cookie=0x7,delete_learned,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[])";
    let learners = [
        format!("tcp,actions={learn}"),
        format!("udp,actions={learn}"),
    ];
    let learned = "table=3,cookie=0x7,dl_dst=02:00:00:00:00:01,actions=1";
    let other = "table=3,cookie=0x8,dl_dst=02:00:00:00:00:02,actions=1";
    add(&mut flows, &[&learners[0], &learners[1], learned, other], 0);
    change(&mut flows, FlowCommand::Delete, &["tcp"], 1);
    assert_eq!(flows.tables().len(), 3);
    let changes = change(&mut flows, FlowCommand::Modify, &["udp,actions=drop"], 2);
    assert_eq!(changes.len(), 2);
    assert_eq!(flows.tables().table(3).unwrap().len(), 1);
}

#[test]
fn what_packets_ask_for_is_learned_once_and_stays_while_they_ask() {
    let mut flows = BridgeFlows::default();
    let ask = |flows: &mut BridgeFlows, line: &str, now| {
        let flow = super::flows(&texts(&[line]), &flows.names)
            .unwrap()
            .remove(0);
        let learned = aorta_flow::Learned {
            bridge: "br0".into(),
            flow,
            limit: 2,
            by: None,
            delete_learned: false,
        };
        let pending = flows.prepare_learned(&learned, Moment(now)).unwrap();
        flows.commit(&pending.changes, Moment(now));
        pending.changes.len()
    };
    let first = "table=1,hard_timeout=10,cookie=0x5,dl_dst=02:00:00:00:00:01,actions=1";
    assert_eq!(ask(&mut flows, first, 0), 1);
    assert_eq!(ask(&mut flows, first, 8 * SECOND), 0);
    assert_eq!(expire(&mut flows, 10 * SECOND), []);
    assert_eq!(flows.next_expiry(), Some(Moment(18 * SECOND)));
    assert_eq!(
        ask(
            &mut flows,
            &first.replace("actions=1", "actions=2"),
            9 * SECOND
        ),
        1
    );
    assert!(shown(&flows)[0].ends_with("actions=output:2"));
    assert_eq!(ask(&mut flows, &first.replace(":01", ":02"), 9 * SECOND), 1);
    assert_eq!(
        ask(&mut flows, &first.replace(":01", ":03"), 9 * SECOND),
        0,
        "enough"
    );
    assert_eq!(
        ask(
            &mut flows,
            &first.replace(":01", ":03").replace("0x5", "0x6"),
            9 * SECOND
        ),
        1
    );
    assert_eq!(flows.tables().len(), 3);
}

#[test]
fn a_replacement_leaves_equal_flows_alone() {
    let mut flows = BridgeFlows::default();
    add(
        &mut flows,
        &["tcp,actions=1", "udp,actions=1", "table=2,sctp,actions=1"],
        0,
    );
    let kept = id(&flows, "tcp");
    let wanted = [
        "tcp,actions=1",
        "udp,actions=2",
        "icmp,actions=3",
        "icmp,actions=4",
    ];
    let wanted = super::flows(&texts(&wanted), &flows.names).unwrap();
    let (mods, answer) = difference(flows.tables(), &wanted);
    assert_eq!((answer.added, answer.removed, answer.modified), (1, 1, 1));
    let pending = flows.prepare(&mods, Atomic::Yes).unwrap();
    flows.commit(&pending.changes, Moment(9));
    assert_eq!(
        shown(&flows),
        [
            "tcp actions=output:1",
            "udp actions=output:2",
            "icmp actions=output:4"
        ]
    );
    assert_eq!(id(&flows, "tcp"), kept);
    assert_eq!(difference(flows.tables(), &wanted).0, []);
}

#[test]
fn groups_are_changed_bucket_by_bucket() {
    let mut flows = BridgeFlows::default();
    let mut run = |command, text: &str| {
        let mods = group_mods(command, &texts(&[text]), &flows.names)?;
        let pending = flows.prepare(&mods, Atomic::Yes)?;
        flows.commit(&pending.changes, Moment(0));
        let dumped = flows.dump_groups(None, &BTreeMap::new(), Moment(0));
        let buckets = dumped.first().map(|dumped| {
            let outputs = dumped
                .group
                .buckets
                .iter()
                .map(|b| b.actions[0].to_string());
            outputs.collect::<Vec<String>>().join(" ")
        });
        Ok::<_, FlowError>(buckets.unwrap_or_default())
    };
    use EntryCommand::*;
    assert_eq!(
        run(
            Add,
            "group_id=1,type=all,bucket=bucket_id:1,actions=output:1"
        ),
        Ok("output:1".into())
    );
    let insert = "group_id=1,command_bucket_id=last,bucket=bucket_id:2,actions=output:2";
    assert_eq!(run(InsertBuckets, insert), Ok("output:1 output:2".into()));
    let insert = "group_id=1,command_bucket_id=first,bucket=bucket_id:3,actions=output:3";
    assert_eq!(
        run(InsertBuckets, insert),
        Ok("output:3 output:1 output:2".into())
    );
    let insert = "group_id=1,command_bucket_id=1,bucket=bucket_id:4,actions=output:4";
    assert_eq!(
        run(InsertBuckets, insert),
        Ok("output:3 output:1 output:4 output:2".into())
    );
    let remove = |place: &str| format!("group_id=1,command_bucket_id={place}");
    assert_eq!(
        run(RemoveBuckets, &remove("4")),
        Ok("output:3 output:1 output:2".into())
    );
    assert_eq!(
        run(RemoveBuckets, &remove("first")),
        Ok("output:1 output:2".into())
    );
    assert_eq!(run(RemoveBuckets, &remove("last")), Ok("output:1".into()));
    assert_eq!(run(RemoveBuckets, &remove("all")), Ok("".into()));
    assert!(run(RemoveBuckets, "group_id=1").is_err());
    assert!(
        run(
            InsertBuckets,
            "group_id=1,command_bucket_id=4294967295,bucket=drop"
        )
        .is_err()
    );
    assert_eq!(run(Delete, "group_id=all"), Ok(String::new()));
}

#[test]
fn a_meter_tells_what_each_of_its_bands_caught() {
    let mut flows = BridgeFlows::default();
    let bands = "type=drop,rate=10,type=dscp_remark,rate=5,prec_level=1";
    let text = format!("meter=3,pktps,bands={bands}");
    let mods = meter_mods(EntryCommand::Add, &texts(&[&text])).unwrap();
    let pending = flows.prepare(&mods, Atomic::Yes).unwrap();
    flows.commit(&pending.changes, Moment(SECOND));
    add(&mut flows, &["actions=meter:3,output:1"], SECOND);
    let count = |packets| aorta_flow::meter::MeterCount {
        packets,
        bytes: 60 * packets,
    };
    // With as many bands as a meter can have.
    let state = aorta_flow::meter::MeterState {
        input: count(9),
        bands: [1, 2, 0, 0].map(count).into(),
        tat_ns: Vec::new(),
    };
    let id = aorta_flow::MeterId::Number(3);
    let dumped = flows.dump_meters(None, &[(id, state)].into(), Moment(3 * SECOND));
    let caught: Vec<u64> = dumped[0].bands.iter().map(|band| band.packets).collect();
    assert_eq!((dumped[0].counters.packets, caught), (9, vec![1, 2]));
    assert_eq!((dumped[0].flows, dumped[0].duration_ms), (1, 2 * SECOND));
    assert_eq!(
        flows.dump_meters(Some(aorta_flow::MeterId::Number(4)), &[].into(), Moment(0)),
        []
    );
}

#[test]
fn numbers_of_groups_and_meters() {
    assert_eq!(number(0, "", "group_id", 10), Ok(None));
    assert_eq!(number(0, "group_id=all", "group_id", 10), Ok(None));
    assert_eq!(number(0, " group_id=0xa", "group_id", 10), Ok(Some(10)));
    for wrong in ["group_id=11", "7", "group_id=x", "meter=1"] {
        assert!(number(3, wrong, "group_id", 10).is_err(), "{wrong}");
    }
    assert_eq!(
        meter_id(0, "meter=slowpath"),
        Ok(Some(aorta_flow::MeterId::Slowpath))
    );
    assert_eq!(
        meter_id(0, "meter=4"),
        Ok(Some(aorta_flow::MeterId::Number(4)))
    );
    assert_eq!(meter_id(0, "meter=all"), Ok(None));
}
