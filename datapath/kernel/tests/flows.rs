//! Flow tables in the kernel, on real taps: what must hold beyond one packet's way. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod flow_lab;
mod lab;

use aorta_flow::table::{GroupMod, Modification};
use aorta_flow::{BridgeName, DropReason};
use aorta_kernel::{Datapath, FlowsError};
use aorta_packet::MacAddr;
use flow_lab::{Flows, MTU, apply, bridge, drops, frame, patch, port, station};
use lab::{Lab, Tap};

/// A bridge with three ports, whose tables are `lines`.
fn switch(test: &str, lines: &[&str]) -> (Lab, [Tap; 3], Datapath, Flows) {
    let lab = Lab::new(test);
    let taps = ["a", "b", "c"].map(|end| lab.tap(&format!("{test}{end}"), MTU));
    let mut datapath = lab.datapath();
    let mut flows = Flows::new("br0");
    flows.change(&mut datapath, lines);
    let ports = taps.iter().zip(1..).map(|(tap, n)| port(tap, n)).collect();
    apply(&mut datapath, vec![bridge("br0", ports)]);
    (lab, taps, datapath, flows)
}

#[test]
fn ports_follow_their_bridge_to_flows_and_back_to_normal() {
    let (_lab, [a, b, _c], mut datapath, mut flows) = switch("fki", &["priority=0,actions=NORMAL"]);
    let broadcast = frame(MacAddr::BROADCAST, station(1));
    a.send(&broadcast).unwrap();
    assert_eq!(b.receive_all(), std::slice::from_ref(&broadcast));

    let other = "table=0,dl_src=02:00:00:00:00:09,actions=drop";
    let applied = flows.change(&mut datapath, &["delete", other]);
    assert!(!applied.in_place);
    a.send(&broadcast).unwrap();
    assert_eq!(b.receive_all().len(), 0);
    assert_eq!(drops(&datapath, &a.name, DropReason::TableMiss), 1);

    flows.change(&mut datapath, &["delete", "priority=0,actions=NORMAL"]);
    a.send(&broadcast).unwrap();
    assert_eq!(b.receive_all(), [broadcast]);
}

#[test]
fn what_is_added_holds_at_the_return_and_is_counted() {
    let (_lab, [a, b, c], mut datapath, mut flows) = switch("fad", &["priority=0,actions=drop"]);
    let sent = frame(station(2), station(1));
    for (tap, number) in [(&b, 2), (&c, 3), (&b, 2)] {
        let line = format!("priority=9,cookie={number},in_port=1,actions=output:{number}");
        flows.change(&mut datapath, &[&line]);
        a.send(&sent).unwrap();
        assert_eq!(tap.receive_all(), std::slice::from_ref(&sent), "{line}");
    }
    // The same match: one flow, which counts anew.
    assert_eq!(flows.packets(&datapath, 2), 1);
    flows.change(&mut datapath, &["delete in_port=1"]);
    a.send(&sent).unwrap();
    assert_eq!((b.receive_all().len(), c.receive_all().len()), (0, 0));
    assert_eq!(drops(&datapath, &a.name, DropReason::FlowDrop), 1);
}

#[test]
fn ports_with_programs_of_their_own_follow_changes() {
    let lines = [
        "table=0,priority=1,actions=goto_table:1",
        "table=1,in_port=1,actions=output:2",
    ];
    let (_lab, [a, b, c], mut datapath, mut flows) = switch("fow", &lines);
    let sent = frame(station(2), station(1));
    let in_memory: Vec<String> = (0..40)
        .map(|n| format!("table=1,priority=7,dl_src=02:00:00:00:01:{n:02x},actions=drop"))
        .collect();
    let mut add = |datapath: &mut Datapath, lines: &[&str]| flows.change(datapath, lines).in_place;
    for rounds in 0..2 {
        while datapath.tailor_port().unwrap() {}
        assert!(
            [&a, &b, &c]
                .iter()
                .all(|tap| datapath.is_tailored(&tap.name))
        );
        a.send(&sent).unwrap();
        assert_eq!(b.receive_all(), std::slice::from_ref(&sent), "{rounds}");
        let own = |datapath: &Datapath| datapath.explain_flows(&"br0".into()).unwrap().own_programs;
        assert_eq!(own(&datapath), 3);
        // Other code, which the ports' own programs don't have.
        assert!(!add(
            &mut datapath,
            &["priority=9,in_port=1,actions=output:3"]
        ));
        assert_eq!(own(&datapath), 0);
        a.send(&sent).unwrap();
        assert_eq!((b.receive_all().len(), c.receive_all().len()), (0, 1));
        let lines: Vec<&str> = in_memory.iter().map(String::as_str).collect();
        add(&mut datapath, &["delete_strict priority=9,in_port=1"]);
        add(&mut datapath, &lines);
    }
    // What memory takes reaches programs of ports like all others.
    while datapath.tailor_port().unwrap() {}
    assert!(add(
        &mut datapath,
        &["table=1,priority=60000,dl_src=02:00:00:00:00:01,actions=drop"]
    ));
    assert!(datapath.is_tailored(&a.name));
    a.send(&sent).unwrap();
    assert_eq!(b.receive_all().len(), 0);
}

#[test]
fn small_tables_in_programs_hold_for_one_version() {
    // In programs of single ports, and in the root's place.
    for (test, last) in [("fos", "output:2"), ("fot", "output:2,output:3")] {
        let mut lines: Vec<String> = (0..20)
            .map(|n| format!("priority=7,dl_src=02:00:00:00:01:{n:02x},actions=drop"))
            .collect();
        lines.push(format!("priority=1,in_port=1,actions={last}"));
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let (_lab, [a, b, _c], mut datapath, mut flows) = switch(test, &lines);
        let sent = frame(station(2), station(1));
        let holds = |datapath: &Datapath| {
            let explained = datapath.explain_flows(&"br0".into()).unwrap();
            explained.fixed || explained.own_programs == 3
        };
        let drops = "priority=60000,dl_src=02:00:00:00:00:01,actions=drop";
        for change in [drops, &format!("delete_strict {drops}")[..]].repeat(3) {
            while datapath.tailor_port().unwrap() {}
            assert!(holds(&datapath));
            a.send(&sent).unwrap();
            let before = b.receive_all().len();
            let change = change.replace(
                ",actions=drop",
                if change == drops { ",actions=drop" } else { "" },
            );
            assert!(flows.change(&mut datapath, &[&change]).untailored);
            assert!(!holds(&datapath));
            a.send(&sent).unwrap();
            let meanwhile = b.receive_all().len();
            while datapath.tailor_port().unwrap() {}
            a.send(&sent).unwrap();
            let after = b.receive_all().len();
            assert_eq!((meanwhile, after), (1 - before, 1 - before), "{change}");
        }
    }
}

#[test]
fn tables_that_cannot_be_had_leave_those_that_run() {
    let (_lab, [a, b, _c], mut datapath, mut flows) =
        switch("fno", &["in_port=1,actions=output:2"]);
    let sent = frame(station(2), station(1));
    let refused = flows.try_change(
        &mut datapath,
        &[
            "in_port=1,actions=output:3",
            "in_port=3,mpls,actions=pop_mpls:0x8100",
        ],
    );
    let Err(FlowsError::Pipeline(error)) = refused else {
        panic!("{refused:?}")
    };
    assert!(error.to_string().contains("pop_mpls"), "{error}");
    a.send(&sent).unwrap();
    assert_eq!(b.receive_all(), std::slice::from_ref(&sent));
    let applied = flows.change(&mut datapath, &["in_port=2,actions=output:1"]);
    assert!(!applied.in_place || applied.why_rebuilt.is_none());
    b.send(&sent).unwrap();
    assert_eq!(a.receive_all(), [sent]);
}

#[test]
fn counters_go_on_over_a_restart_and_no_frame_is_lost() {
    let lines = [
        "cookie=1,in_port=1,actions=output:2",
        "cookie=2,in_port=2,actions=output:1",
    ];
    let (lab, [a, b, c], mut datapath, mut flows) = switch("fre", &lines);
    let sent = frame(station(2), station(1));
    let ports = || vec![port(&a, 1), port(&b, 2), port(&c, 3)];
    let mut counted = 0;
    for restart in 1..4 {
        let rules = datapath.rules(&flows.bridge);
        drop(datapath);
        a.send(&sent).unwrap();
        datapath = lab.datapath();
        a.send(&sent).unwrap();
        datapath.adopt_rules(&flows.bridge, &rules);
        datapath
            .apply_flows(&flows.bridge, &flows.tables, None)
            .unwrap();
        a.send(&sent).unwrap();
        apply(&mut datapath, vec![bridge("br0", ports())]);
        a.send(&sent).unwrap();
        while datapath.tailor_port().unwrap() {}
        assert_eq!(b.receive_all().len(), 4, "restart {restart}");
        counted += 4;
        assert_eq!(flows.packets(&datapath, 1), counted);
        let new = format!("cookie=7,priority={restart},in_port=3,actions=drop");
        flows.change(&mut datapath, &[&new]);
        assert_eq!(flows.packets(&datapath, 7), 0);
        c.send(&sent).unwrap();
        assert_eq!(flows.packets(&datapath, 7), 1);
        flows.change(&mut datapath, &["delete in_port=3"]);
    }
    let reset = "modify reset_counts,in_port=1,actions=output:3";
    flows.change(&mut datapath, &[reset]);
    assert_eq!(flows.packets(&datapath, 1), 0);
    a.send(&sent).unwrap();
    assert_eq!(flows.packets(&datapath, 1), 1);
}

#[test]
fn a_flow_of_a_large_table_that_counts_anew_does_what_it_was_changed_to() {
    let others: Vec<String> = (1..=200)
        .map(|port| format!("udp,tp_src={port},actions=output:2"))
        .collect();
    let mut lines: Vec<&str> = others.iter().map(String::as_str).collect();
    lines.push("cookie=1,in_port=1,actions=output:2");
    lines.push("udp,tp_src=300,actions=output:3");
    let (_lab, [a, b, c], mut datapath, mut flows) = switch("fla", &lines);
    let sent = frame(station(2), station(1));
    a.send(&sent).unwrap();
    assert_eq!((b.receive_all().len(), c.receive_all().len()), (1, 0));
    for (round, to) in [3, 2, 3].into_iter().enumerate() {
        let reset = format!("modify_strict reset_counts,in_port=1,actions=output:{to}");
        let applied = flows.change(&mut datapath, &[&reset]);
        assert!(applied.in_place, "{applied:?}");
        assert_eq!(flows.packets(&datapath, 1), 0, "round {round}");
        a.send(&sent).unwrap();
        let expected = if to == 3 { (0, 1) } else { (1, 0) };
        assert_eq!((b.receive_all().len(), c.receive_all().len()), expected);
        assert_eq!(flows.packets(&datapath, 1), 1, "round {round}");
    }
}

#[test]
fn a_new_kind_of_action_keeps_the_memory_of_a_large_table() {
    let others: Vec<String> = (1..=200)
        .map(|port| format!("udp,tp_src={port},actions=output:2"))
        .collect();
    let mut lines: Vec<&str> = others.iter().map(String::as_str).collect();
    lines.push("cookie=1,in_port=1,actions=output:2");
    let (_lab, [a, b, c], mut datapath, mut flows) = switch("flk", &lines);
    let sent = frame(station(2), station(1));
    a.send(&sent).unwrap();
    let sent_to = |b: &lab::Tap, c: &lab::Tap| (b.receive_all().len(), c.receive_all().len());
    assert_eq!(sent_to(&b, &c), (1, 0));
    // Each is a shape that there was not before, or goes back to one that was given up.
    let shapes = ["output:2,output:3", "drop", "output:3,output:2", "output:2"];
    let expected = [(1, 1), (0, 0), (1, 1), (1, 0)];
    for (round, (actions, expected)) in shapes.iter().zip(expected).enumerate() {
        let modify = format!("modify_strict in_port=1,actions={actions}");
        flows.change(&mut datapath, &[&modify, "delete_strict udp,tp_src=7"]);
        a.send(&sent).unwrap();
        assert_eq!(sent_to(&b, &c), expected, "{actions}");
        assert_eq!(flows.packets(&datapath, 1), 2 + round as u64);
        let again = flows.change(&mut datapath, &["udp,tp_src=7,actions=output:2"]);
        assert!(again.in_place, "{again:?}");
    }
}

/// Packets of group 1 and of its buckets.
fn group_packets(datapath: &Datapath, flows: &Flows) -> (u64, Vec<u64>) {
    let groups = datapath.group_stats(&flows.bridge).unwrap();
    let group = groups.get(&1).cloned().unwrap_or_default();
    let buckets = group.buckets.iter().map(|bucket| bucket.packets);
    (group.all.packets, buckets.collect())
}

#[test]
fn a_group_goes_on_counting_when_it_changes_and_its_buckets_begin_anew() {
    let lines = [
        "group_id=1,type=all,bucket=output:2,bucket=output:3",
        "cookie=1,in_port=1,actions=group:1",
    ];
    let (_lab, [a, b, c], mut datapath, mut flows) = switch("fgc", &lines);
    let sent = frame(station(2), station(1));
    a.send(&sent).unwrap();
    a.send(&sent).unwrap();
    assert_eq!(group_packets(&datapath, &flows), (2, vec![2, 2]));
    flows.change(&mut datapath, &["in_port=2,actions=output:1"]);
    a.send(&sent).unwrap();
    assert_eq!(group_packets(&datapath, &flows), (3, vec![3, 3]));
    let other = "group_id=1,type=all,bucket=output:3,bucket=output:2,bucket=output:3";
    flows.change(&mut datapath, &[other]);
    assert_eq!(group_packets(&datapath, &flows), (3, vec![0, 0, 0]));
    a.send(&sent).unwrap();
    assert_eq!(group_packets(&datapath, &flows), (4, vec![1, 1, 1]));
    assert_eq!((b.receive_all().len(), c.receive_all().len()), (4, 5));
    let gone = Modification::Group(GroupMod::Delete(Some(1)));
    let changes = flows.tables.modify(&gone).unwrap();
    datapath
        .apply_flows(&flows.bridge, &flows.tables, Some(&changes))
        .unwrap();
    assert_eq!(group_packets(&datapath, &flows), (0, vec![]));
    flows.change(&mut datapath, &lines);
    a.send(&sent).unwrap();
    assert_eq!(group_packets(&datapath, &flows), (1, vec![1, 1]));
}

#[test]
fn groups_count_on_over_a_restart() {
    let lines = [
        "group_id=2,type=all,bucket=output:3",
        "group_id=1,type=all,bucket=output:2,bucket=group:2",
        "cookie=1,in_port=1,actions=group:1",
    ];
    let (lab, [a, b, c], mut datapath, mut flows) = switch("fgr", &lines);
    let sent = frame(station(2), station(1));
    let ports = || vec![port(&a, 1), port(&b, 2), port(&c, 3)];
    let mut counted = 0;
    for round in 1..4 {
        let rules = datapath.rules(&flows.bridge);
        a.send(&sent).unwrap();
        drop(datapath);
        a.send(&sent).unwrap();
        datapath = lab.datapath();
        datapath.adopt_rules(&flows.bridge, &rules);
        datapath
            .apply_flows(&flows.bridge, &flows.tables, None)
            .unwrap();
        apply(&mut datapath, vec![bridge("br0", ports())]);
        a.send(&sent).unwrap();
        counted += 3;
        assert_eq!(
            group_packets(&datapath, &flows),
            (counted, vec![counted; 2]),
            "round {round}"
        );
        let inner = datapath.group_stats(&flows.bridge).unwrap()[&2].clone();
        assert_eq!((inner.all.packets, inner.buckets.len()), (counted, 1));
        // Other flows get other numbers.
        let new = format!("cookie=7,priority={round},in_port=3,actions=drop");
        flows.change(&mut datapath, &[&new]);
        assert_eq!(flows.packets(&datapath, 7), 0);
        flows.change(&mut datapath, &["delete in_port=3"]);
    }
    assert_eq!((b.receive_all().len(), c.receive_all().len()), (9, 9));
    // What was told to nobody begins anew.
    drop(datapath);
    datapath = lab.datapath();
    datapath
        .apply_flows(&flows.bridge, &flows.tables, None)
        .unwrap();
    apply(&mut datapath, vec![bridge("br0", ports())]);
    assert_eq!(group_packets(&datapath, &flows), (0, vec![0, 0]));
    a.send(&sent).unwrap();
    assert_eq!(group_packets(&datapath, &flows), (1, vec![1, 1]));
}

#[test]
fn counters_survive_more_flows_than_there_was_room_for() {
    let (_lab, [a, b, _c], mut datapath, mut flows) =
        switch("fgr", &["cookie=1,priority=9,in_port=1,actions=output:2"]);
    let sent = frame(station(2), station(1));
    a.send(&sent).unwrap();
    let many: Vec<String> = (0..5000)
        .map(|n| {
            format!(
                "cookie=5,in_port=2,udp,nw_src=10.0.{}.{},actions=drop",
                n >> 8,
                n & 255
            )
        })
        .collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    flows.change(&mut datapath, &many);
    a.send(&sent).unwrap();
    assert_eq!(flows.packets(&datapath, 1), 2);
    flows.change(&mut datapath, &["in_port=3,actions=drop"]);
    a.send(&sent).unwrap();
    assert_eq!(b.receive_all().len(), 3);
    assert_eq!(flows.packets(&datapath, 1), 3);
}

#[test]
fn normal_and_patch_ports_from_flows_count_and_come_back() {
    let lab = Lab::new("fnp");
    let taps = ["npa", "npb", "npc", "npd"].map(|name| lab.tap(name, MTU));
    let [a, b, c, d] = &taps;
    let mut datapath = lab.datapath();
    let (mut left, mut right) = (Flows::new("left"), Flows::new("right"));
    left.change(
        &mut datapath,
        &[
            "in_port=1,dl_src=02:00:00:00:00:01,actions=NORMAL",
            "in_port=1,dl_src=02:00:00:00:00:02,actions=mod_dl_dst:02:00:00:00:00:0e,output:3,output:2",
            "in_port=3,actions=output:1",
        ],
    );
    right.change(
        &mut datapath,
        &["in_port=2,actions=mod_dl_src:02:00:00:00:00:0f,output:1,output:3"],
    );
    let left_ports = vec![port(a, 1), port(b, 2), patch("npl", "npr", 3)];
    let right_ports = vec![port(c, 1), patch("npr", "npl", 2), port(d, 3)];
    let bridges = vec![bridge("left", left_ports), bridge("right", right_ports)];
    apply(&mut datapath, bridges);

    // NORMAL floods to both, and the second bridge rewrites its copy.
    let flooded = frame(MacAddr::BROADCAST, station(1));
    a.send(&flooded).unwrap();
    let there = frame(MacAddr::BROADCAST, station(15));
    assert_eq!(b.receive_all(), std::slice::from_ref(&flooded));
    assert_eq!(c.receive_all(), std::slice::from_ref(&there));
    assert_eq!(d.receive_all(), std::slice::from_ref(&there));

    // Through the patch port first: the copy that stays is as it was when it left.
    a.send(&frame(station(9), station(2))).unwrap();
    assert_eq!(c.receive_all(), [frame(station(14), station(15))]);
    assert_eq!(d.receive_all(), [frame(station(14), station(15))]);
    assert_eq!(b.receive_all(), [frame(station(14), station(2))]);
    balanced(&datapath, &["left".into(), "right".into()]);
}

/// Frames in = frames out + floods − copies + drops, for each bridge.
fn balanced(datapath: &Datapath, bridges: &[BridgeName]) {
    let counters = datapath.counters().unwrap();
    for bridge in bridges {
        let ports = counters.iter().filter(|port| port.bridge == *bridge);
        let (mut frames_in, mut out) = (0, 0);
        for port in ports {
            frames_in += port.rx_packets + port.flood_copies;
            out += port.tx_packets + port.flooded + port.drops.values().sum::<u64>();
        }
        assert_eq!(frames_in, out, "{bridge}: {counters:#?}");
    }
}

#[test]
fn the_only_flow_of_a_learning_switch_counts_too() {
    let normal = "cookie=1,priority=0,actions=NORMAL";
    let (lab, [a, b, c], mut datapath, mut flows) = switch("fco", &[normal]);
    let sent = frame(station(2), station(1));
    let send = |count: u64| {
        for _ in 0..count {
            a.send(&sent).unwrap();
        }
        b.receive_all();
        c.receive_all();
    };
    send(3);
    assert_eq!(flows.packets(&datapath, 1), 3);
    flows.change(
        &mut datapath,
        &["cookie=2,priority=9,dl_vlan=5,actions=drop"],
    );
    send(4);
    assert_eq!(flows.packets(&datapath, 1), 7, "as one of two");
    flows.change(&mut datapath, &["delete dl_vlan=5"]);
    send(5);
    assert_eq!(flows.packets(&datapath, 1), 12, "alone again");
    let rules = datapath.rules(&flows.bridge);
    drop(datapath);
    send(1);
    let mut datapath = lab.datapath();
    datapath.adopt_rules(&flows.bridge, &rules);
    datapath
        .apply_flows(&flows.bridge, &flows.tables, None)
        .unwrap();
    let ports = || vec![port(&a, 1), port(&b, 2), port(&c, 3)];
    apply(&mut datapath, vec![bridge("br0", ports())]);
    send(1);
    assert_eq!(flows.packets(&datapath, 1), 14, "over a restart");
    apply(&mut datapath, vec![bridge("br0", ports().split_off(1))]);
    assert_eq!(flows.packets(&datapath, 1), 14, "without the port");
}

fn tc(arguments: &str) -> String {
    let words = arguments.split_whitespace();
    let done = std::process::Command::new("tc").args(words).output();
    let done = done.expect("tc, of iproute2, is needed");
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "tc {arguments}: {errors}");
    String::from_utf8(done.stdout).unwrap()
}

/// Packets that each class of a device's queues has let through.
fn classes(device: &str) -> Vec<(String, u64)> {
    let shown = tc(&format!("-s class show dev {device}"));
    let mut found = Vec::new();
    let mut name = String::new();
    for line in shown.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match &words[..] {
            ["class", "htb", class, ..] => name = (*class).to_owned(),
            ["Sent", _, "bytes", packets, ..] => {
                found.push((name.clone(), packets.parse().unwrap()))
            }
            _ => {}
        }
    }
    found.retain(|(_, packets)| *packets > 0);
    found.sort();
    found
}

#[test]
fn queues_are_classes_of_the_port() {
    let lines = [
        "dl_dst=02:00:00:00:00:02,actions=enqueue:2:1",
        "dl_dst=02:00:00:00:00:03,actions=set_queue:2,output:2,set_queue:0,output:2,pop_queue,output:2",
        "dl_dst=02:00:00:00:00:04,actions=clone(set_queue:1,output:2),output:2",
        "dl_dst=02:00:00:00:00:05,actions=set_queue:3,resubmit(,1)",
        "table=1,actions=mod_dl_src:02:00:00:00:00:09,output:2,enqueue:2:1",
    ];
    let (_lab, [a, b, _c], _datapath, _flows) = switch("fqu", &lines);
    let device = b.name.as_str();
    tc(&format!(
        "qdisc add dev {device} root handle 1: htb default f"
    ));
    for class in ["1", "2", "3", "4", "f"] {
        tc(&format!(
            "class add dev {device} parent 1: classid 1:{class} htb rate 1gbit"
        ));
    }
    let mut before: Vec<(String, u64)> = Vec::new();
    for (destination, expected) in [
        (2, vec![("1:2", 1)]),
        (3, vec![("1:1", 1), ("1:3", 1), ("1:f", 1)]),
        (4, vec![("1:2", 1), ("1:f", 1)]),
        (5, vec![("1:2", 1), ("1:4", 1)]),
    ] {
        a.send(&frame(station(destination), station(1))).unwrap();
        let now = classes(device);
        let of = |all: &[(String, u64)], class: &str| {
            let found = all.iter().find(|(name, _)| name == class);
            found.map_or(0, |(_, packets)| *packets)
        };
        let mut came: Vec<(&str, u64)> = now
            .iter()
            .map(|(class, packets)| (class.as_str(), packets - of(&before, class)))
            .collect();
        came.retain(|(_, packets)| *packets > 0);
        assert_eq!(came, expected, "station {destination}");
        before = now;
    }
    assert_eq!(b.receive_all().len(), 8);
}
