//! What messages of OpenFlow mean: the same commands of the real `ovs-ofctl` to our switch and to the
//! real `ovs-vswitchd --enable-dummy`, answers and refusals compared (needs Open vSwitch installed,
//! no root).

#![allow(clippy::unwrap_used, clippy::panic)]
// The other tests use what this one doesn't.
#![allow(dead_code)]

mod sim;
#[path = "sim/text.rs"]
mod text;

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use sim::{Pair, Switch};

/// Nothing here takes so long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(30);

const VERSIONS: [&str; 6] = [
    "OpenFlow10",
    "OpenFlow11",
    "OpenFlow12",
    "OpenFlow13",
    "OpenFlow14",
    "OpenFlow15",
];

/// Both, with a bridge of three ports and no flow.
fn pair() -> Pair {
    let pair = Pair::start();
    let mut line = "add-br br0 -- set bridge br0 datapath_type=dummy fail_mode=secure \
                    other-config:hwaddr=aa:55:aa:55:00:00 \
                    other-config:datapath-id=00000000000000a1"
        .to_owned();
    for n in 1..=3 {
        line +=
            &format!(" -- add-port br0 p{n} -- set interface p{n} type=dummy ofport_request={n}");
    }
    pair.each(|switch| drop(switch.vsctl(&line)));
    pair
}

/// What `ovs-ofctl` says, without what differs from run to run. Lines of what has no order are
/// sorted.
fn said(switch: &Switch, arguments: &str) -> String {
    let output = switch.run("ovs-ofctl", arguments);
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    let dir = switch.path("").display().to_string();
    let lines = text
        .lines()
        .map(|line| text::without_times(&line.replace(dir.trim_end_matches('/'), "DIR")));
    let mut lines: Vec<String> = lines.collect();
    if arguments.contains("dump-") || arguments.contains("queue-stats") {
        lines.sort();
    }
    lines.join("\n")
}

/// Has both do it, and compares what they say.
fn same(pair: &Pair, arguments: &str) {
    let (ours, real) = (said(&pair.ours, arguments), said(&pair.real, arguments));
    assert_eq!(ours, real, "{arguments}:\nours:\n{ours}\nreal:\n{real}");
}

/// Does these, each with the versions that it names (all if none), and looks at the flows each time.
fn script(pair: &Pair, lines: &[&str]) {
    for line in lines {
        same(pair, line);
    }
}

#[test]
fn flows_are_added_changed_and_deleted_alike() {
    let pair = pair();
    for version in VERSIONS {
        let o = |rest: &str| same(&pair, &format!("-O {version} {rest}"));
        let dump = format!("-O {version} dump-flows br0");
        o("add-flow br0 cookie=0x11,priority=5,tcp,tp_dst=80,actions=output:2");
        o(
            "add-flow br0 cookie=0x12,idle_timeout=600,hard_timeout=900,udp,in_port=1,actions=output:1,output:3",
        );
        o("add-flow br0 priority=7,arp,arp_op=1,dl_vlan=5,actions=strip_vlan,NORMAL");
        same(&pair, &dump);
        o("mod-flows br0 tcp,actions=output:3");
        o("--strict mod-flows br0 priority=5,tcp,tp_dst=80,actions=output:1");
        same(&pair, &dump);
        o("mod-flows br0 priority=44,icmp,actions=output:3");
        same(&pair, &dump);
        o("add-flow br0 priority=7,check_overlap,dl_vlan=5,actions=drop");
        o("add-flow br0 priority=5,tcp,tp_dst=80,actions=group:77");
        o("add-flow br0 priority=5,tcp,tp_dst=80,actions=output:2");
        o("del-flows br0 out_port=2");
        same(&pair, &dump);
        o("dump-aggregate br0");
        o("del-flows br0 udp");
        o("del-flows br0");
        same(&pair, &dump);
    }
}

#[test]
fn cookies_and_tables_choose_flows_alike() {
    let pair = pair();
    for version in &VERSIONS[3..] {
        let o = |rest: &str| same(&pair, &format!("-O {version} {rest}"));
        o("add-flow br0 table=0,cookie=0x1,ip,actions=write_metadata:5/7,goto_table:3");
        o("add-flow br0 table=3,cookie=0x2,reg1=7,actions=load:0x9->NXM_NX_REG2[],resubmit(,9)");
        o("add-flow br0 table=9,cookie=0x3,ipv6,actions=write_actions(output:2),clear_actions");
        o("add-flow br0 table=253,cookie=0x6,actions=drop");
        o("add-flow br0 table=254,cookie=0x6,actions=drop");
        o("add-flow br0 table=9,actions=goto_table:3");
        o("dump-flows br0");
        o("dump-flows br0 table=3");
        o("dump-flows br0 cookie=0x2/0x2");
        o("dump-aggregate br0 table=9");
        o("mod-flows br0 cookie=0x2/-1,actions=drop");
        o("mod-flows br0 cookie=0x99/-1,actions=drop");
        o("dump-flows br0");
        o("del-flows br0 cookie=0x2/0x2");
        o("dump-flows br0");
        o("del-flows br0");
    }
}

#[test]
fn groups_and_meters_alike() {
    let pair = pair();
    for version in ["OpenFlow11", "OpenFlow13", "OpenFlow15"] {
        let o = |rest: &str| same(&pair, &format!("-O {version} {rest}"));
        o("add-group br0 group_id=1,type=all,bucket=output:1,bucket=output:2");
        o("add-group br0 group_id=1,type=all,bucket=output:1");
        o("add-group br0 group_id=2,type=select,bucket=weight:3,output:1,bucket=weight:5,output:2");
        o("add-group br0 group_id=3,type=indirect,bucket=group:1");
        o("add-group br0 group_id=4,type=ff,bucket=watch_port:1,output:1");
        o("mod-group br0 group_id=9,type=all,bucket=output:1");
        o("mod-group br0 group_id=1,type=all,bucket=output:3");
        o("add-flow br0 priority=9,actions=group:1");
        o("dump-groups br0");
        o("dump-group-stats br0");
        o("del-groups br0 group_id=4");
        o("del-groups br0");
        o("dump-groups br0");
        o("dump-flows br0");
    }
    script(
        &pair,
        &[
            "-O OpenFlow15 add-group br0 group_id=1,type=all,bucket=bucket_id:1,output:1",
            "-O OpenFlow15 insert-buckets br0 group_id=1,command_bucket_id=last,bucket=bucket_id:2,output:2",
            "-O OpenFlow15 insert-buckets br0 group_id=1,command_bucket_id=first,bucket=bucket_id:2,output:2",
            "-O OpenFlow15 dump-groups br0",
            "-O OpenFlow15 remove-buckets br0 group_id=1,command_bucket_id=1",
            "-O OpenFlow15 remove-buckets br0 group_id=1,command_bucket_id=9",
            "-O OpenFlow15 dump-groups br0",
            "-O OpenFlow13 add-meter br0 meter=1,pktps,stats,band=type=drop,rate=100",
            "-O OpenFlow13 add-meter br0 meter=1,pktps,band=type=drop,rate=100",
            "-O OpenFlow13 add-meter br0 meter=2,kbps,burst,band=type=drop,rate=100,burst_size=10",
            "-O OpenFlow13 mod-meter br0 meter=3,kbps,band=type=drop,rate=100",
            "-O OpenFlow13 mod-meter br0 meter=2,kbps,band=type=drop,rate=200",
            "-O OpenFlow13 add-flow br0 actions=meter:1,output:2",
            "-O OpenFlow13 add-flow br0 actions=meter:7,output:2",
            "-O OpenFlow13 dump-meters br0",
            "-O OpenFlow13 dump-meters br0 meter=9",
            "-O OpenFlow13 meter-stats br0",
            "-O OpenFlow13 del-meter br0 meter=1",
            "-O OpenFlow13 dump-flows br0",
            "-O OpenFlow13 del-meters br0",
            "-O OpenFlow13 dump-meters br0",
        ],
    );
}

#[test]
fn the_switch_and_its_ports_are_told_alike() {
    let pair = pair();
    for version in VERSIONS {
        let o = |rest: &str| same(&pair, &format!("-O {version} {rest}"));
        o("show br0");
        o("dump-ports-desc br0");
        o("get-frags br0");
        o("set-frags br0 drop");
        o("get-frags br0");
        o("set-frags br0 normal");
        o("mod-port br0 p1 no-flood");
        o("mod-port br0 p1 no-packet-in");
        o("mod-port br0 p1 no-forward");
        o("mod-port br0 p1 no-receive");
        o("dump-ports-desc br0");
        for end in ["flood", "packet-in", "forward", "receive"] {
            o(&format!("mod-port br0 p1 {end}"));
        }
        o("mod-port br0 9 up");
        o("dump-ports-desc br0");
    }
    script(
        &pair,
        &[
            "-O OpenFlow13 dump-group-features br0",
            "-O OpenFlow14 dump-table-desc br0",
            "-O OpenFlow14 mod-table br0 0 evict",
            "-O OpenFlow14 mod-table br0 1 vacancy:20,80",
            "-O OpenFlow14 dump-table-desc br0",
            "-O OpenFlow14 mod-table br0 0 noevict",
            "-O OpenFlow14 dump-table-desc br0",
            "-O OpenFlow13 dump-tables br0",
            "dump-tlv-map br0",
            "add-tlv-map br0 {class=0xffff,type=0,len=4}->tun_metadata0",
            "add-tlv-map br0 {class=0xffff,type=0,len=4}->tun_metadata1",
            "dump-tlv-map br0",
            "del-tlv-map br0",
            "dump-tlv-map br0",
            "dump-ipfix-bridge br0",
            "queue-stats br0 9",
            "ct-flush-zone br0 5",
        ],
    );
}

#[test]
fn what_tables_groups_and_queues_can_do_is_told_alike() {
    let pair = pair();
    for version in VERSIONS {
        let o = |rest: &str| same(&pair, &format!("-O {version} {rest}"));
        o("dump-group-features br0");
        o("queue-stats br0");
        o("queue-stats br0 p1 0");
        o("queue-stats br0 p1 1");
        o("queue-stats br0 nope");
        o("queue-get-config br0");
        o("queue-get-config br0 p1");
        o("mod-port br0 p1 down");
        o("dump-ports-desc br0");
        o("mod-port br0 p1 up");
        if version < "OpenFlow14" {
            o("dump-ports br0");
        }
    }
    for version in ["OpenFlow10", "OpenFlow12", "OpenFlow13"] {
        same(&pair, &format!("-O {version} dump-tables br0"));
    }
    same(&pair, "-O OpenFlow13 dump-table-features br0");
    // Here it is told that tables evict, as they do.
    for version in ["OpenFlow14", "OpenFlow15"] {
        let told = |switch: &Switch| {
            let text = said(switch, &format!("-O {version} dump-table-features br0"));
            let lines = text.lines().filter(|line| !line.ends_with("supported"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(told(&pair.ours), told(&pair.real), "{version}");
    }
}

/// What a monitor was told, by the kind of message: packets come when the real one gets to them, before
/// or behind what it tells of flows.
fn by_kind(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut kinds: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut kind = String::new();
    for line in text.lines() {
        if let Some((name, _)) = line.split_once(" (") {
            let starts = ["OFPT_", "OFPST_", "NXT_", "NXST_", "ONFT_", "ONFST_"];
            if starts.iter().any(|start| name.starts_with(start)) {
                name.clone_into(&mut kind);
            }
        }
        let told = line.split(" duration").next().unwrap_or_default();
        kinds.entry(kind.clone()).or_default().push(told.to_owned());
    }
    kinds.retain(|kind, _| !kind.contains("BARRIER"));
    kinds
}

#[test]
fn monitors_are_told_alike() {
    let packet = "packet=ffffffffffff000000000001080045000028000100004006";
    let commands = [
        "add-flow br0 table=5,cookie=7,tcp,tp_dst=80,send_flow_rem,actions=output:3".to_owned(),
        "mod-flows br0 table=5,tcp,actions=output:2".to_owned(),
        "-O OpenFlow14 --bundle add-flow br0 table=7,actions=2".to_owned(),
        "del-flows br0 table=5".to_owned(),
        format!("packet-out br0 in_port=2,{packet},actions=controller(max_len=32)"),
        format!("packet-out br0 in_port=2,{packet},actions=controller(id=0,reason=no_match)"),
    ];
    let pair = pair();
    for version in ["OpenFlow10", "OpenFlow13", "OpenFlow14", "OpenFlow15"] {
        let arguments = format!("-O {version} monitor br0 65535 watch:");
        let told = |switch: &Switch| {
            let file = format!("monitor-{version}.txt");
            let mut monitor = switch.monitor_with(&file, &arguments);
            for command in &commands {
                switch.succeeds("ovs-ofctl", command);
            }
            // The real one sends packets after it has answered.
            let start = Instant::now();
            let written = || {
                switch.succeeds("ovs-appctl", &switch.monitored("ofctl/barrier"));
                fs::read_to_string(switch.path(&file)).unwrap()
            };
            while !written().contains("via no_match") && start.elapsed() < PATIENCE {}
            let text = written();
            monitor.kill().unwrap();
            monitor.wait().unwrap();
            switch.succeeds("ovs-ofctl", "del-flows br0");
            by_kind(&text)
        };
        let (ours, real) = (told(&pair.ours), told(&pair.real));
        assert_eq!(ours, real, "{version}");
        let has = |text| real.values().flatten().any(|line| line.contains(text));
        assert!(has("event=DELETED") && has("PACKET_IN") && has("via no_match"));
    }
}

#[test]
fn a_table_does_without_a_flow_what_it_was_told_last() {
    let pair = pair();
    script(
        &pair,
        &[
            "-O OpenFlow12 mod-table br0 1 drop",
            "-O OpenFlow14 mod-table br0 1 evict",
            "-O OpenFlow12 dump-tables br0",
        ],
    );
}

#[test]
fn bundles_are_done_whole_or_refused_alike() {
    let pair = pair();
    let good = "in_port=1,actions=2\nin_port=2,actions=1\ndelete in_port=2\n";
    let bad = "in_port=3,actions=1\nin_port=4,actions=group:77\nin_port=5,actions=1\n";
    let mixed = "group group_id=7,type=all,bucket=output:1\nflow add priority=3,actions=group:7\n";
    pair.each(|switch| {
        for (name, text) in [("good", good), ("bad", bad), ("mixed", mixed)] {
            fs::write(switch.path(name), text).unwrap();
        }
    });
    for version in &VERSIONS[3..] {
        let o = |rest: &str| same(&pair, &format!("-O {version} {rest}"));
        o("--bundle add-flows br0 good");
        o("dump-flows br0");
        o("--bundle add-flows br0 bad");
        o("dump-flows br0");
        o("--bundle replace-flows br0 good");
        o("bundle br0 mixed");
        o("dump-flows br0");
        o("dump-groups br0");
        o("--bundle del-flows br0");
        o("del-groups br0");
    }
}
