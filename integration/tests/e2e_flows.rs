//! Flow tables at work: what they let pass, what they change, and that a bad one changes nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::time::{Duration, Instant};

use common::flows::{add, entries, file, flows, packets, replace};
use common::{Bed, RIGHT, devices, done, eventually, pings, status, vsctl};

/// Lets ARP through, both ways.
const ARP: [&str; 2] = [
    "priority=10,arp,in_port=va,actions=output:vb",
    "priority=10,arp,in_port=vb,actions=output:va",
];
/// Lets pings through, both ways.
const PINGS: [&str; 2] = [
    "priority=20,icmp,in_port=va,actions=output:vb",
    "priority=20,icmp,in_port=vb,actions=output:va",
];

/// ARP, pings and more.
fn and_pings<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&ARP, &PINGS, more].concat()
}

#[test]
fn a_bridge_begins_with_normal_and_secure_with_nothing() {
    let bed = Bed::new("fbegin");
    assert_eq!(flows(&bed.switch, ""), ["priority=0 actions=NORMAL"]);
    assert_eq!(status(&bed.switch).bridges[0].flows, 1);
    done(&bed.switch, "set-fail-mode br0 secure");
    assert!(flows(&bed.switch, "").is_empty());
    assert!(!pings(&bed.left, RIGHT));
    done(&bed.switch, "set-fail-mode br0 standalone");
    assert_eq!(flows(&bed.switch, ""), ["priority=0 actions=NORMAL"]);
    bed.wait_connected();
}

#[test]
fn an_access_list_lets_pass_what_it_allows() {
    let bed = Bed::new("facl");
    replace(&bed.switch, &and_pings(&[]));
    assert!(pings(&bed.left, RIGHT));
    let before = packets(&bed.switch, "icmp");
    assert!(before >= 2, "request and reply: {before}");
    let add_drop = |what: &str| add(&bed.switch, &[what]);
    add_drop("priority=30,icmp,in_port=va,nw_dst=192.0.2.2/31,actions=drop");
    assert!(!pings(&bed.left, RIGHT));
    assert!(!pings(&bed.right, "192.0.2.1"), "the reply is dropped");
    assert!(packets(&bed.switch, "icmp,in_port=va") >= 2);
    done(
        &bed.switch,
        "--strict del-flows br0 priority=30,icmp,in_port=va,nw_dst=192.0.2.2/31",
    );
    assert!(pings(&bed.left, RIGHT));
    done(&bed.switch, "del-flows br0");
    assert!(!pings(&bed.left, RIGHT));
}

#[test]
fn packets_are_routed_through_tables() {
    let bed = Bed::new("froute");
    let mac = |ns: &aorta_integration::lab::Netns| {
        let eth0 = &devices(ns)["eth0"];
        eth0["address"].as_str().unwrap().to_owned()
    };
    let (left, right) = (mac(&bed.left), mac(&bed.right));
    const ROUTER: &str = "02:00:00:00:00:fe";
    let run = |ns: &aorta_integration::lab::Netns, words: &str| {
        ns.run(&words.split(' ').collect::<Vec<_>>())
            .unwrap()
            .ok()
            .unwrap();
    };
    run(&bed.right, "ip address flush dev eth0");
    run(&bed.right, "ip address add 198.51.100.2/24 dev eth0");
    for (ns, own, far) in [
        (&bed.left, "192.0.2.254", "198.51.100.0/24"),
        (&bed.right, "198.51.100.254", "192.0.2.0/24"),
    ] {
        run(
            ns,
            &format!("ip neigh replace {own} lladdr {ROUTER} dev eth0 nud permanent"),
        );
        run(ns, &format!("ip route add {far} via {own}"));
    }
    let out = |net: &str, mac: &str, port: &str| {
        format!(
            "table=2,priority=24,ip,nw_dst={net},actions=set_field:{ROUTER}->eth_src,\
             set_field:{mac}->eth_dst,dec_ttl,output:{port}"
        )
    };
    replace(
        &bed.switch,
        &[
            "table=0,in_port=va,actions=set_field:1->reg0,goto_table:1",
            "table=0,in_port=vb,actions=set_field:2->reg0,goto_table:1",
            &format!("table=1,dl_dst={ROUTER},actions=goto_table:2"),
            &out("192.0.2.0/24", &left, "va"),
            &out("198.51.100.0/24", &right, "vb"),
        ],
    );
    let ping = bed
        .left
        .run(&["ping", "-c", "1", "-W", "2", "198.51.100.2"])
        .unwrap();
    assert_eq!(ping.status, 0, "{}", done(&bed.switch, "dump-flows br0"));
    assert!(ping.stdout.contains("ttl=63"), "{}", ping.stdout);
    assert_eq!(packets(&bed.switch, "table=2"), 2);
    let trace = done(
        &bed.switch,
        &format!("trace br0 in_port=va,ip,nw_dst=198.51.100.2,nw_ttl=64,dl_dst={ROUTER}"),
    );
    assert!(
        trace.contains("goto_table:2") && trace.contains(&right),
        "{trace}"
    );
}

#[test]
fn a_restart_keeps_flows_counters_and_traffic() {
    let mut bed = Bed::new("fkeep");
    replace(
        &bed.switch,
        &and_pings(&[
            "priority=20,udp,in_port=va,actions=resubmit(,3)",
            "table=3,cookie=0x77,udp,actions=output:vb",
            "table=9,hard_timeout=3000,actions=drop",
        ]),
    );
    done(
        &bed.switch,
        "add-group br0 group_id=4,type=all,bucket=output:1,bucket=output:2",
    );
    let told = |bed: &Bed| {
        let groups = done(&bed.switch, "dump-groups br0");
        let entries = entries(&bed.switch, "");
        let duration = entries
            .iter()
            .map(|e| e["duration_ms"].as_u64().unwrap())
            .min();
        (flows(&bed.switch, ""), groups, duration.unwrap())
    };
    for crash in [false, true, true] {
        let (flows_before, groups_before, duration_before) = told(&bed);
        let counted = packets(&bed.switch, "table=3");
        bed.undisturbed(|bed| {
            if crash {
                bed.switch.kill().unwrap();
            } else {
                bed.switch.terminate().unwrap();
            }
            bed.switch.restart().unwrap();
        });
        let (flows, groups, duration) = told(&bed);
        assert_eq!((flows, groups), (flows_before, groups_before));
        assert!(duration >= duration_before);
        let now = packets(&bed.switch, "table=3");
        assert!(now >= counted + 100, "{counted} before, {now} after");
    }
}

#[test]
fn a_bundle_under_traffic_loses_nothing() {
    let mut bed = Bed::new("fbundle");
    let through = |table: u8| {
        vec![
            format!("priority=20,in_port=va,actions=goto_table:{table}"),
            format!("table={table},in_port=va,actions=output:vb"),
            "priority=20,in_port=vb,actions=output:va".to_owned(),
        ]
    };
    let set = |bed: &Bed, table: u8| {
        let lines = through(table);
        replace(
            &bed.switch,
            &lines.iter().map(String::as_str).collect::<Vec<_>>(),
        );
    };
    set(&bed, 1);
    bed.undisturbed(|bed| {
        for table in [2, 3, 9, 2, 1] {
            set(bed, table);
        }
    });
}

#[test]
fn stations_are_learned_by_flows() {
    let bed = Bed::new("flearn");
    const LEARN: &str = "learn(table=10,hard_timeout=300,cookie=0x5,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],\
                         output:NXM_OF_IN_PORT[])";
    replace(
        &bed.switch,
        &[
            &format!("in_port=va,actions={LEARN},output:vb"),
            "in_port=vb,arp,actions=output:va",
            "in_port=vb,ip,actions=resubmit(,10)",
            "table=10,priority=0,cookie=0x6,actions=drop",
        ],
    );
    let left = devices(&bed.left)["eth0"]["address"]
        .as_str()
        .unwrap()
        .to_owned();
    eventually("a ping comes back by the learned flow", || {
        pings(&bed.left, RIGHT)
    });
    let learned = flows(&bed.switch, "table=10,cookie=0x5/-1");
    assert_eq!(learned.len(), 1, "{learned:?}");
    assert!(
        learned[0].contains(&format!("dl_dst={left} actions=output:")),
        "{learned:?}"
    );
    assert!(packets(&bed.switch, "table=10,cookie=0x5/-1") >= 1);
}

#[test]
fn normal_stands_beside_other_actions() {
    let bed = Bed::new("fnormal");
    replace(
        &bed.switch,
        &[
            "priority=5,arp,actions=NORMAL",
            "priority=5,icmp,actions=NORMAL",
            "udp,actions=drop",
        ],
    );
    assert!(pings(&bed.left, RIGHT));
    assert!(packets(&bed.switch, "icmp") >= 2);
    let stations = common::fdb(&bed.switch, "br0").len();
    assert!(stations >= 2, "{stations}");
}

#[test]
fn flows_end_when_their_time_is_over() {
    let bed = Bed::new("ftimes");
    replace(
        &bed.switch,
        &[
            ARP[0],
            ARP[1],
            "priority=20,icmp,idle_timeout=2,in_port=va,actions=output:vb",
            PINGS[1],
            "table=5,tcp,idle_timeout=1,actions=drop",
            "table=5,udp,hard_timeout=1,actions=drop",
        ],
    );
    let start = Instant::now();
    eventually("the unused flow goes", || {
        assert!(pings(&bed.left, RIGHT), "the used one stays");
        flows(&bed.switch, "table=5").is_empty()
    });
    assert!(
        start.elapsed() >= Duration::from_millis(900),
        "{:?}",
        start.elapsed()
    );
    // Used for longer than its timeout.
    while start.elapsed() < Duration::from_secs(4) {
        assert!(pings(&bed.left, RIGHT));
        std::thread::yield_now();
    }
    assert_eq!(flows(&bed.switch, "icmp").len(), 2);
    eventually("it goes when it is unused", || {
        flows(&bed.switch, "icmp").len() == 1
    });
    assert!(!pings(&bed.left, RIGHT));
}

#[test]
fn what_is_refused_changes_nothing() {
    let bed = Bed::new("fbad");
    replace(
        &bed.switch,
        &and_pings(&["table=3,priority=5,tcp,actions=drop"]),
    );
    let before = flows(&bed.switch, "");
    for (line, words) in [
        ("tpc,actions=drop", "\"tcp\""),
        ("tp_dst=80,actions=drop", ""),
        ("nw_src=10.0.0.0/8,ip,tp_src=1,actions=drop", ""),
        ("dl_type=0x800/0xff,actions=drop", ""),
        ("tcp,tp_dst=70000,actions=drop", "too large"),
        ("actions=set_field:80->tcp_dst", "OFPBAC_MATCH_INCONSISTENT"),
        ("table=3,actions=goto_table:3", "OFPBIC_BAD_TABLE_ID"),
        ("actions=group:9", "OFPBAC_BAD_OUT_GROUP"),
        ("actions=meter:9,output:1", "OFPMMFC_INVALID_METER"),
        ("table=254,actions=drop", "OFPBRC_EPERM"),
        (
            "table=3,priority=5,check_overlap,ip,actions=1",
            "OFPFMFC_OVERLAP",
        ),
        ("in_port=nowhere,actions=drop", "nowhere"),
        ("actions=output:nowhere", "nowhere"),
    ] {
        let bad = file(&format!("udp,actions=drop\n{line}\nsctp,actions=drop\n"));
        let output = vsctl(
            &bed.switch,
            &format!("add-flows br0 {}", bad.path().display()),
        );
        assert_ne!(output.status, 0, "{line}");
        assert!(output.stderr.contains(words), "{line}: {}", output.stderr);
        assert_eq!(flows(&bed.switch, ""), before, "{line}");
    }
    let groups = [
        "group_id=1,type=all,bucket=group:1",
        "group_id=1,type=ff,bucket=output:1",
        "group_id=1,type=indirect,bucket=output:1,bucket=output:2",
    ];
    for group in groups {
        let output = vsctl(&bed.switch, &format!("add-group br0 {group}"));
        assert_ne!(output.status, 0, "{group}");
    }
    assert!(pings(&bed.left, RIGHT), "and the flows go on");
}

#[test]
fn a_hundred_thousand_flows_are_loaded_used_and_kept() {
    const FLOWS: u32 = 100_000;
    let mut bed = Bed::new("fmany");
    done(&bed.switch, "set-fail-mode br0 secure");
    let mut text = and_pings(&["priority=20,udp,in_port=va,actions=output:vb\n"]).join("\n");
    for n in 0..FLOWS {
        let (a, b, c) = (n >> 16, n >> 8 & 0xff, n & 0xff);
        text += &format!("priority=100,tcp,nw_src=10.{a}.{b}.{c},tp_dst=80,actions=output:vb\n");
    }
    let many = file(&text);
    let start = Instant::now();
    done(
        &bed.switch,
        &format!("add-flows br0 {}", many.path().display()),
    );
    println!("{FLOWS} flows in {:?}", start.elapsed());
    let count = |bed: &Bed| status(&bed.switch).bridges[0].flows;
    assert_eq!(count(&bed), u64::from(FLOWS) + 5);
    assert!(pings(&bed.left, RIGHT));
    let start = Instant::now();
    add(
        &bed.switch,
        &["priority=100,tcp,nw_src=10.9.9.9,tp_dst=80,actions=drop"],
    );
    println!("one more in {:?}", start.elapsed());
    bed.undisturbed(|bed| {
        let start = Instant::now();
        bed.switch.kill().unwrap();
        bed.switch.restart().unwrap();
        println!("restarted in {:?}", start.elapsed());
    });
    assert_eq!(count(&bed), u64::from(FLOWS) + 6);
    done(&bed.switch, "del-flows br0 tcp");
    assert_eq!(count(&bed), 5);
}
