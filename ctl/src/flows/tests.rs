use aorta_api::{
    BridgeStatus, Counted, FlowDump, FlowEntry, FlowPlacement, GroupDump, GroupEntry, MeterDump,
    MeterEntry,
};
use aorta_flow::text::{Form, NoNames, parse_flow_file};
use serde_json::json;

use super::dump::Manner;
use super::*;
use crate::commands::group::Change;
use crate::commands::switch::Colour;

fn entry(table: u8, priority: u16, matching: &str, actions: &str) -> FlowEntry {
    FlowEntry {
        table,
        priority,
        cookie: "0x0".into(),
        matching: matching.into(),
        actions: actions.into(),
        idle_timeout_s: 0,
        hard_timeout_s: 0,
        importance: 0,
        flags: vec![],
        duration_ms: 4,
        packets: 0,
        bytes: 0,
        idle_ms: 4,
        hard_age_ms: 4,
        hook: "tcx".into(),
        reason: String::new(),
        placement: None,
    }
}

fn sample() -> FlowDump {
    let timed = FlowEntry {
        idle_timeout_s: 50,
        hard_timeout_s: 9,
        flags: vec!["send_flow_rem".into()],
        duration_ms: 60_000,
        hard_age_ms: 5_200,
        idle_ms: 1_999,
        packets: 3,
        bytes: 180,
        cookie: "0x2a".into(),
        ..entry(2, 7, "udp,tp_dst=53", "NORMAL")
    };
    FlowDump {
        flows: vec![
            entry(0, 10, "in_port=1", "output:3,LOCAL"),
            entry(1, 0x8000, "tcp,nw_src=10.0.0.0/8", "resubmit(,2)"),
            entry(2, 0x8000, "", "drop"),
            timed,
        ],
    }
}

fn manner() -> Manner {
    Manner {
        stats: true,
        names: false,
        keys: vec![],
        filtered: false,
        colour: Colour::Plain,
    }
}

#[test]
fn places_stand_below_flows() {
    let mut dump = sample();
    dump.flows.truncate(2);
    let placement = |places: &[&str], why: &str| FlowPlacement {
        places: places.iter().map(|place| (*place).to_owned()).collect(),
        why: why.to_owned(),
    };
    dump.flows[0].placement = Some(placement(&["nic(pf0)"], ""));
    dump.flows[1].placement = Some(placement(
        &["tc", "user space"],
        "nic(pf0): table full: 2 of 2",
    ));
    let bare = Manner {
        stats: false,
        ..manner()
    };
    let expected = " \
priority=10,in_port=1 actions=output:3,LOCAL
    nic(pf0)
 table=1, tcp,nw_src=10.0.0.0/8 actions=resubmit(,2)
    tc, user space (nic(pf0): table full: 2 of 2)
";
    assert_eq!(dump::text(&dump, &bare), expected);
}

#[test]
fn flows_as_they_come_have_a_head_and_ages() {
    let expected = "\
NXST_FLOW reply (xid=0x4):
 cookie=0x0, duration=0.004s, table=0, n_packets=0, n_bytes=0, idle_age=0, priority=10,in_port=1 actions=output:3,LOCAL
 cookie=0x0, duration=0.004s, table=1, n_packets=0, n_bytes=0, idle_age=0, tcp,nw_src=10.0.0.0/8 actions=resubmit(,2)
 cookie=0x0, duration=0.004s, table=2, n_packets=0, n_bytes=0, idle_age=0, actions=drop
 cookie=0x2a, duration=60s, table=2, n_packets=3, n_bytes=180, idle_timeout=50, hard_timeout=9, send_flow_rem idle_age=1, hard_age=5, priority=7,udp,tp_dst=53 actions=NORMAL
";
    assert_eq!(dump::text(&sample(), &manner()), expected);
}

#[test]
fn without_statistics_what_is_zero_is_left_out() {
    let plain = Manner {
        stats: false,
        ..manner()
    };
    let expected = " priority=10,in_port=1 actions=output:3,LOCAL
 table=1, tcp,nw_src=10.0.0.0/8 actions=resubmit(,2)
 table=2, actions=drop
 cookie=0x2a, table=2, idle_timeout=50, hard_timeout=9, send_flow_rem priority=7,udp,tp_dst=53 actions=NORMAL
";
    assert_eq!(dump::text(&sample(), &plain), expected);
}

#[test]
fn with_names_or_an_order_there_is_neither_head_nor_age() {
    let named = Manner {
        names: true,
        ..manner()
    };
    let text = dump::text(&sample(), &named);
    assert!(
        text.starts_with(" cookie=0x0, duration=0.004s, table=0, n_packets=0, n_bytes=0, prio")
    );
    assert!(!text.contains("_age="), "{text}");
}

fn tables_in_order(option: &str, descending: bool) -> Vec<(u8, u16)> {
    let mut keys = vec![];
    sort::add_keys(&mut keys, option, descending).unwrap();
    let mut dump = sample();
    dump::sort(&mut dump, &keys, &NoNames).unwrap();
    dump.flows.iter().map(|f| (f.table, f.priority)).collect()
}

#[test]
fn flows_are_sorted_by_priority_and_by_fields() {
    let up = [(2, 7), (0, 10), (1, 0x8000), (2, 0x8000)];
    assert_eq!(tables_in_order("", false), up);
    let down = [(1, 0x8000), (2, 0x8000), (0, 10), (2, 7)];
    assert_eq!(tables_in_order("priority", true), down);
    // Those that say nothing of the field stay behind in both directions.
    for descending in [false, true] {
        let by_port = tables_in_order("in_port,udp_dst", descending);
        assert_eq!(by_port[..2], [(0, 10), (2, 7)]);
    }
    let refused = sort::add_keys(&mut vec![], "in_prt", false).unwrap_err();
    let said = "there is no field \"in_prt\" to sort by; did you mean \"in_port\"?";
    assert_eq!(refused.to_string(), said);
}

#[test]
fn aggregates_and_tables_count() {
    let text = dump::aggregate_text(&sample(), false);
    let expected = "NXST_AGGREGATE reply (xid=0x4): packet_count=3 byte_count=180 flow_count=4\n";
    assert_eq!(text, expected);
    let expected = "\
table flows packets bytes
----- ----- ------- -----
0     1     0       0
1     1     0       0
2     2     3       180
";
    assert_eq!(explain::counts_text(&sample()), expected);
}

#[test]
fn colours_change_nothing_but_colours() {
    let plain = " cookie=0x1, table=2, priority=7,udp,tp_dst=53 actions=ct(commit,exec(set_field:1->ct_mark)),output:1,drop";
    let coloured = colour::paint(plain, Colour::Terminal);
    assert!(coloured.contains("\x1b[1;31mactions=\x1b[0m"), "{coloured}");
    let mut rest = coloured.as_str();
    let mut text = String::new();
    while let Some((before, after)) = rest.split_once('\x1b') {
        text.push_str(before);
        rest = after.split_once('m').unwrap().1;
    }
    assert_eq!(text + rest, plain);
    assert_eq!(colour::paint(plain, Colour::Plain), plain);
}

fn set(file: &str) -> diff::FlowSet {
    let flows = parse_flow_file(file, &NoNames).unwrap();
    flows
        .into_iter()
        .map(|(_, flow)| flow.into_flow())
        .collect()
}

#[test]
fn differences_are_told_as_ovs_ofctl_tells_them() {
    let old = "priority=10,in_port=1,cookie=5,actions=output:2
        table=2,udp actions=drop
        table=3,tcp,tp_dst=80 actions=1
        table=3,idle_timeout=5,icmp actions=1
        table=3,icmp6 actions=1";
    let new = "table=2,udp actions=drop
        priority=10,in_port=1,cookie=6,actions=output:2
        table=3,tcp,tp_dst=80 actions=2
        table=1 actions=3
        table=3,icmp actions=1
        table=3,send_flow_rem,icmp6 actions=1";
    let expected = "\
-priority=10,in_port=1 cookie=0x5 actions=output:2
+priority=10,in_port=1 cookie=0x6 actions=output:2
+table=1  actions=output:3
-table=3 icmp idle_timeout=5 actions=output:1
+table=3 icmp actions=output:1
-table=3 tcp,tp_dst=80 actions=output:1
+table=3 tcp,tp_dst=80 actions=output:2
";
    let differing = diff::differences(&set(old), &set(new));
    assert_eq!(diff::text(&differing, &NoNames), expected);
    let same = diff::differences(&set(old), &set(old));
    assert_eq!(diff::text(&same, &NoNames), "");
    let told = diff::to_json(&differing[1..2], &NoNames);
    assert_eq!(
        told,
        json!([{"old": null, "new": "table=1, actions=output:3"}])
    );
}

#[test]
fn rates_are_what_came_between_two_looks() {
    let before = sample();
    let mut after = sample();
    after.flows[0].packets = 2_000;
    after.flows[0].bytes = 250_000;
    // Counts from 0 again.
    after.flows[3].packets = 2;
    after.flows[3].bytes = 200;
    after.flows.push(entry(9, 1, "", "drop"));
    let rates = rate::rates(&before, &after, 2.0);
    let expected = "   packets/s     Mbit/s  flow
        1000      1.000  table=0, priority=10,in_port=1 actions=output:3,LOCAL
           1      0.001  table=2, priority=7,udp,tp_dst=53 actions=NORMAL
2 flows without a packet
";
    assert_eq!(rate::text(&rates, Colour::Plain), expected);
    assert_eq!(rate::to_json(&rates).unwrap()[0]["packets_per_s"], 1000.0);
}

#[test]
fn groups_and_meters_are_told_as_ovs_ofctl_tells_them() {
    let counted = |packets| Counted {
        packets,
        bytes: 60 * packets,
    };
    let groups = GroupDump {
        groups: vec![GroupEntry {
            id: 1,
            text: "group_id=1,type=all,bucket=bucket_id:0,actions=output:1".into(),
            flows: 2,
            duration_ms: 44,
            counters: counted(3),
            buckets: vec![counted(1), counted(2)],
        }],
    };
    let expected = "NXST_GROUP_DESC reply (xid=0x2):\n group_id=1,type=all,bucket=bucket_id:0,actions=output:1\n";
    assert_eq!(group::groups_text(&groups), expected);
    let expected = "NXST_GROUP reply (xid=0x6):\n group_id=1,duration=0.044s,ref_count=2,packet_count=3,byte_count=180,bucket0:packet_count=1,byte_count=60,bucket1:packet_count=2,byte_count=120\n";
    assert_eq!(group::group_stats_text(&groups), expected);
    let meters = MeterDump {
        meters: vec![MeterEntry {
            id: "3".into(),
            text: "meter=3 kbps bands=\ntype=drop rate=1000".into(),
            flows: 1,
            duration_ms: 8,
            counters: counted(2),
            bands: vec![counted(1)],
        }],
    };
    let expected =
        "OFPST_METER_CONFIG reply (OF1.3) (xid=0x2):\nmeter=3 kbps bands=\ntype=drop rate=1000\n";
    assert_eq!(group::meters_text(&meters), expected);
    let expected = "OFPST_METER reply (OF1.3) (xid=0x2):\nmeter:3 flow_count:1 packet_in_count:2 byte_in_count:120 duration:0.008s bands:\n0: packet_count:1 byte_count:60\n";
    assert_eq!(group::meter_stats_text(&meters), expected);
    assert_eq!(
        group::meters_text(&MeterDump { meters: vec![] })
            .lines()
            .count(),
        1
    );
}

#[test]
fn lines_of_groups_may_say_what_to_do() {
    let told = group::command_of("insert_bucket group_id=1");
    assert_eq!(told, (Some((Change::InsertBuckets, false)), "group_id=1"));
    assert_eq!(group::command_of("group_id=1").0, None);
    assert_eq!(
        group::command_of("add_or_mod  x").0,
        Some((Change::Modify, true))
    );
}

fn bridge() -> BridgeStatus {
    let port = |name: &str, ofport: i32| {
        json!({"name": name, "ofport": ofport, "kind": "system", "hook": "tcx", "reason": "",
               "ifindex": 3, "rx_packets": 10, "rx_bytes": 1000, "tx_packets": 7, "tx_bytes": 700,
               "drops": {"no-port": 2, "vlan-not-allowed": 1}})
    };
    let ports = [port("tap0", 1), port("br0", 65534), port("gone", -1)];
    let bridge =
        json!({"name": "br0", "fdb_entries": 0, "fdb_size": 1, "flows": 0, "ports": ports});
    serde_json::from_value(bridge).unwrap()
}

#[test]
fn ports_are_told_as_ovs_ofctl_tells_them() {
    let bridge = bridge();
    let text = port::text(&port::chosen(&bridge, ""));
    let expected = "\
OFPST_PORT reply (xid=0x2): 2 ports
  port LOCAL: rx pkts=10, bytes=1000, drop=3, errs=?, frame=?, over=?, crc=?
           tx pkts=7, bytes=700, drop=?, errs=?, coll=?
  port  1: rx pkts=10, bytes=1000, drop=3, errs=?, frame=?, over=?, crc=?
           tx pkts=7, bytes=700, drop=?, errs=?, coll=?
";
    assert_eq!(text, expected);
    for asked in ["tap0", "1"] {
        assert_eq!(port::chosen(&bridge, asked)[0].ofport, 1);
    }
    assert_eq!(port::chosen(&bridge, "local")[0].name, "br0");
    assert!(port::chosen(&bridge, "7").is_empty());
    let names = ports::PortNames::of(&bridge);
    let flow = aorta_flow::text::parse_flow("in_port=tap0,actions=br0", Form::Flow, &names);
    let flow = flow.unwrap().into_flow();
    assert_eq!(flow.to_string(), "in_port=1 actions=LOCAL");
}
