use super::*;
use crate::action::HashFields;
use crate::field::FieldId;
use crate::table::{FlowMod, GroupMod, Modification, Tables};
use crate::text::{Form, NoNames, parse_flow, parse_flow_line, parse_group};
use crate::{FlowKey, Group, MeterId, MeterVerdict};

/// Ports 1 to 4, of which 4 is down; hashes that are the given one.
struct Around {
    hash: u32,
    meter: MeterVerdict,
    ct: CtOutcome,
}

impl Env for Around {
    fn normal(&mut self, _packet: &Packet) -> Vec<OfPort> {
        vec![OfPort(3)]
    }

    fn ports(&mut self, _packet: &Packet) -> Vec<(OfPort, bool)> {
        vec![(OfPort(1), true), (OfPort(2), true), (OfPort(3), false)]
    }

    fn is_live(&mut self, port: OfPort) -> bool {
        port != OfPort(4)
    }

    fn hash(&mut self, _fields: HashFields, _basis: u16, _packet: &Packet) -> u32 {
        self.hash
    }

    fn group_hash(&mut self, _group: &Group, _packet: &Packet) -> u32 {
        self.hash
    }

    fn meter(&mut self, _meter: MeterId, _packet: &Packet) -> MeterVerdict {
        self.meter
    }

    fn ct(&mut self, _ct: &Ct, _packet: &Packet) -> Option<CtOutcome> {
        Some(self.ct)
    }
}

impl Around {
    fn new() -> Around {
        Around {
            hash: 0,
            meter: MeterVerdict::Pass,
            ct: CtOutcome::default(),
        }
    }
}

fn tables(lines: &[&str]) -> Tables {
    let mut tables = Tables::new();
    for line in lines {
        let modification = if line.starts_with("group_id") {
            Modification::Group(GroupMod::Add(parse_group(line, &NoNames).unwrap()))
        } else {
            let (command, text) = parse_flow_line(line, &NoNames).unwrap();
            Modification::Flow(FlowMod::from_text(command, text))
        };
        if let Err(e) = tables.modify(&modification) {
            panic!("{line}: {e}");
        }
    }
    tables
}

/// A packet with the fields that a match names, 100 bytes long.
fn packet(fields: &str) -> Packet {
    let matching = parse_flow(fields, Form::Filter, &NoNames).unwrap().matching;
    let mut key = FlowKey::new();
    for part in matching.parts() {
        key.set(part.field, part.value);
    }
    Packet::new(key, 100)
}

fn run(lines: &[&str], fields: &str) -> Translation {
    translate(&tables(lines), packet(fields), &mut Around::new())
}

/// The numbers of the ports that get a copy.
fn ports(lines: &[&str], fields: &str) -> Vec<u16> {
    run(lines, fields)
        .ports()
        .iter()
        .map(|port| port.0)
        .collect()
}

#[test]
fn resubmit_comes_back_with_what_was_changed() {
    let lines = [
        "actions=set_field:1->reg0,resubmit(,1),resubmit(9,1),output:4",
        "table=1,priority=2,in_port=9,actions=output:3",
        "table=1,priority=1,reg0=1,actions=output:2,set_field:7->reg1,resubmit(,2)",
        "table=2,reg1=7,actions=IN_PORT,output:1",
    ];
    assert_eq!(ports(&lines, "in_port=1"), [2, 1, 3, 4]);
}

#[test]
fn goto_is_done_last_and_the_action_set_after_it() {
    let lines = [
        "in_port=1,actions=output:2,write_actions(output:5,set_field:9->reg0),\
         write_metadata:5/7,goto_table:1",
        "table=1,metadata=5,actions=output:3,write_actions(output:6),goto_table:2",
        "table=2,priority=2,reg0=9,actions=output:9",
        "table=2,priority=1,actions=output:4",
    ];
    assert_eq!(ports(&lines, "in_port=1"), [2, 3, 4, 6]);
    let cleared = [
        "actions=write_actions(output:5),goto_table:1",
        "table=1,actions=output:2,clear_actions",
    ];
    assert_eq!(ports(&cleared, "in_port=1"), [2]);
    let exit = [
        "actions=write_actions(output:5),goto_table:1",
        "table=1,actions=exit,output:2",
    ];
    assert_eq!(
        ports(&exit, "in_port=1"),
        [],
        "exit is before the action set"
    );
    let set = [
        "group_id=1,type=all,bucket=output:2",
        "actions=clone(resubmit(,1)),output:3",
        "table=1,actions=write_actions(group:1)",
    ];
    assert_eq!(
        ports(&set, "in_port=1"),
        [2, 3],
        "a clone has an action set of its own"
    );
}

#[test]
fn clones_and_buckets_keep_their_changes_to_themselves() {
    let lines = [
        "group_id=1,type=all,bucket=set_field:1->reg0,resubmit(,1),bucket=resubmit(,1)",
        "actions=clone(set_field:1->reg0,push:reg0,resubmit(,1)),resubmit(,1),group:1",
        "table=1,priority=2,reg0=1,actions=output:2",
        "table=1,priority=1,actions=output:3",
    ];
    assert_eq!(ports(&lines, "in_port=1"), [2, 3, 2, 3]);
}

#[test]
fn exit_ends_all_but_the_other_buckets() {
    let lines = [
        "group_id=1,type=all,bucket=resubmit(,1),bucket=output:4",
        "in_port=1,actions=group:1,resubmit(,1),output:9",
        "in_port=2,actions=clone(resubmit(,1),output:9),output:9",
        "table=1,actions=output:3,exit,output:9",
    ];
    assert_eq!(ports(&lines, "in_port=1"), [3, 4, 3]);
    assert_eq!(ports(&lines, "in_port=2"), [3]);
}

#[test]
fn the_stack_gives_back_in_reverse() {
    let lines = [
        "actions=push:metadata,push:reg0,pop:metadata,pop:reg0[0..15],pop:reg3,resubmit(,1)",
        "table=1,metadata=0x99,reg0=0x5678,reg3=0,actions=output:2",
    ];
    assert_eq!(
        ports(&lines, "in_port=1,metadata=0x12345678,reg0=0x99"),
        [2]
    );
}

#[test]
fn conjunctions_need_all_clauses_of_one_priority() {
    let lines = [
        "priority=10,ip,nw_src=10.0.0.1,actions=conjunction(7,1/2)",
        "priority=10,ip,nw_src=10.0.0.2,actions=conjunction(7,1/2)",
        "priority=10,ip,nw_dst=10.0.0.9,actions=conjunction(7,2/2)",
        "priority=9,ip,nw_dst=10.0.0.8,actions=conjunction(7,2/2)",
        "priority=5,ip,conj_id=7,actions=output:2",
        "priority=1,actions=output:3",
        "priority=20,ip,nw_src=10.0.0.2,nw_dst=10.0.0.9,nw_ttl=9,actions=output:4",
    ];
    assert_eq!(ports(&lines, "ip,nw_src=10.0.0.1,nw_dst=10.0.0.9"), [2]);
    assert_eq!(ports(&lines, "ip,nw_src=10.0.0.2,nw_dst=10.0.0.9"), [2]);
    assert_eq!(ports(&lines, "ip,nw_src=10.0.0.2,nw_dst=10.0.0.8"), [3]);
    assert_eq!(ports(&lines, "ip,nw_src=10.0.0.3,nw_dst=10.0.0.9"), [3]);
    assert_eq!(
        ports(&lines, "ip,nw_src=10.0.0.2,nw_dst=10.0.0.9,nw_ttl=9"),
        [4]
    );
}

#[test]
fn outputs_by_name() {
    for (actions, expected) in [
        ("FLOOD", vec![2]),
        ("ALL", vec![2, 3]),
        ("NORMAL", vec![3]),
        ("output:1", vec![]),
        ("IN_PORT", vec![1]),
        ("LOCAL", vec![0xfffe]),
        ("output:reg0[0..3]", vec![5]),
        (
            "bundle(eth_src,0,active_backup,ofport,members:4,3,2)",
            vec![3],
        ),
        ("enqueue:2:9,output:3", vec![2, 3]),
    ] {
        let line = format!("actions={actions}");
        assert_eq!(
            ports(&[&line], "in_port=1,reg0=0x15"),
            expected,
            "{actions}"
        );
    }
}

#[test]
fn tags_and_labels_come_off_in_reverse() {
    let lines = [
        "ip,actions=push_vlan:0x8100,set_field:4101->vlan_vid,push_vlan:0x88a8,mod_vlan_vid:6,\
         resubmit(,1),pop_vlan,resubmit(,1),pop_vlan,resubmit(,1),\
         push_mpls:0x8847,set_field:77->mpls_label,resubmit(,1),pop_mpls:0x0800,resubmit(,1)",
        "table=1,priority=3,dl_vlan=6,actions=output:6",
        "table=1,priority=2,dl_vlan=5,actions=output:5",
        "table=1,priority=1,ip,nw_src=1.2.3.4,actions=output:4",
        "table=1,priority=1,mpls,mpls_label=77,mpls_ttl=9,mpls_bos=1,actions=output:7",
    ];
    assert_eq!(ports(&lines, "ip,nw_src=1.2.3.4,nw_ttl=9"), [6, 5, 4, 7, 4]);
}

#[test]
fn a_time_to_live_that_is_over_goes_to_the_controller() {
    let lines = [
        "ip,actions=resubmit(,1),output:3",
        "table=1,ip,actions=dec_ttl(5),output:2",
    ];
    assert_eq!(ports(&lines, "ip,nw_ttl=2"), [2, 3]);
    let over = run(&lines, "ip,nw_ttl=1");
    assert_eq!(over.ports(), [OfPort(3)]);
    let Effect::Controller { how, table: 1, .. } = &over.effects[0] else {
        panic!("{:?}", over.effects);
    };
    assert_eq!(
        (how.id, how.reason),
        (5, crate::action::PacketInReason::InvalidTtl)
    );
}

#[test]
fn groups_choose_by_weight_and_liveness() {
    let select = [
        "group_id=1,type=select,bucket=weight:1,output:2,bucket=weight:3,output:3",
        "actions=group:1",
    ];
    let mut around = Around::new();
    let mut chosen = |hash| {
        around.hash = hash;
        translate(&tables(&select), packet("in_port=1"), &mut around).ports()
    };
    assert_eq!(chosen(0), [OfPort(2)]);
    assert_eq!(chosen(u32::MAX), [OfPort(3)]);
    let failover = [
        "group_id=1,type=ff,bucket=watch_port:4,output:4,bucket=watch_port:2,output:2",
        "actions=group:1",
    ];
    assert_eq!(ports(&failover, "in_port=1"), [2]);
}

#[test]
fn meters_drop_and_connection_tracking_goes_on_later() {
    let lines = [
        "ip,actions=ct(table=1,zone=5),output:2",
        "table=1,priority=2,ip,ct_state=+trk+est,ct_zone=5,ct_mark=9,actions=output:3",
        "table=1,priority=1,actions=output:4",
    ];
    let mut around = Around::new();
    around.ct = CtOutcome {
        state: 0x22,
        mark: 9,
        label: 0,
    };
    let translation = translate(&tables(&lines), packet("ip"), &mut around);
    assert_eq!(translation.ports(), [OfPort(2), OfPort(3)]);
    let forgotten = [
        "ip,ct_state=+trk,actions=ct(commit),resubmit(,1)",
        "table=1,priority=2,ip,ct_state=+trk,actions=output:3",
        "table=1,priority=1,actions=output:4",
    ];
    assert_eq!(ports(&forgotten, "ip,ct_state=trk"), [4]);

    let mut metered = tables(&["actions=write_actions(output:3),goto_table:1"]);
    let meter = crate::text::parse_meter("meter=1,kbps,band=type=drop,rate=1").unwrap();
    let meter = crate::table::MeterMod::Add(meter);
    metered.modify(&Modification::Meter(meter)).unwrap();
    let (command, text) = parse_flow_line("table=1,actions=meter:1,output:2", &NoNames).unwrap();
    let flow = FlowMod::from_text(command, text);
    metered.modify(&Modification::Flow(flow)).unwrap();
    let mut verdict = |meter| {
        around.meter = meter;
        translate(&metered, packet("ip"), &mut around).ports()
    };
    assert_eq!(verdict(MeterVerdict::Pass), [OfPort(2), OfPort(3)]);
    assert_eq!(verdict(MeterVerdict::Drop), []);
}

#[test]
fn learned_flows_have_what_the_packet_had() {
    let lines = [
        "actions=learn(table=20,hard_timeout=300,priority=1,cookie=0x5,NXM_OF_VLAN_TCI[0..11],\
         NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:0->NXM_OF_VLAN_TCI[],\
         load:NXM_NX_TUN_ID[]->NXM_NX_TUN_ID[],output:OXM_OF_IN_PORT[])",
    ];
    let fields = "in_port=7,tun_id=0x55,dl_vlan=3,dl_src=00:00:00:00:00:09";
    let translation = run(&lines, fields);
    let Effect::Learn { flow, .. } = &translation.effects[0] else {
        panic!("{:?}", translation.effects);
    };
    assert_eq!(
        flow.to_string(),
        "cookie=0x5, table=20, hard_timeout=300, priority=1,vlan_tci=0x0003/0x0fff,\
         dl_dst=00:00:00:00:00:09 actions=load:0->NXM_OF_VLAN_TCI[],\
         load:0x55->NXM_NX_TUN_ID[],output:7"
    );
}

#[test]
fn loops_are_given_up() {
    let deep = run(&["actions=output:2,resubmit(,0)"], "in_port=1");
    assert_eq!(
        (deep.error, deep.effects.len()),
        (Some(TranslateError::TooDeep), 0)
    );
    let wide = run(
        &[
            "actions=resubmit(,1),resubmit(,1),resubmit(,1),resubmit(,1)",
            "table=1,reg0=0/0xffffff00,actions=resubmit(,2),resubmit(,2),resubmit(,2),resubmit(,2)",
            "table=2,actions=resubmit(,3),resubmit(,3),resubmit(,3),resubmit(,3)",
            "table=3,actions=resubmit(,4),resubmit(,4),resubmit(,4),resubmit(,4)",
            "table=4,actions=resubmit(,5),resubmit(,5),resubmit(,5),resubmit(,5)",
            "table=5,actions=resubmit(,6),resubmit(,6),resubmit(,6),resubmit(,6)",
        ],
        "in_port=1",
    );
    assert_eq!(wide.error, Some(TranslateError::TooManyLookups));
    let around = run(&["ip,actions=ct(table=0)"], "ip");
    assert_eq!(around.error, Some(TranslateError::TooManyLookups));
    let later = run(
        &[
            "ip,actions=output:2,ct(table=1)",
            "table=1,actions=resubmit(,1)",
        ],
        "ip",
    );
    assert_eq!(later.error, Some(TranslateError::TooDeep));
    assert_eq!(later.ports(), [OfPort(2)], "what was done before stays");
    let depth_of_one_way: Vec<String> = (0..250)
        .map(|table| format!("table={table},actions=resubmit(,{})", table + 1))
        .chain(["table=250,actions=output:2".to_owned()])
        .collect();
    let lines: Vec<&str> = depth_of_one_way.iter().map(String::as_str).collect();
    assert_eq!(
        ports(&lines, "in_port=1"),
        [2],
        "only the way back is limited"
    );
}

#[test]
fn the_trace_tells_the_way() {
    let lines = [
        "cookie=0x5,priority=7,in_port=1,actions=set_field:1->reg0,resubmit(,1),output:1",
        "table=1,reg0=1,actions=clone(output:2),set_field:1.2.3.4->tun_src",
    ];
    assert_eq!(
        run(&lines, "in_port=1").trace.to_string(),
        " 0. in_port=1, priority 7, cookie 0x5
    set_field:0x1->reg0
     -> reg0: 0 -> 0x1
    resubmit(,1)
     1. reg0=0x1, priority 32768
        clone(output:2)
            output:2
        set_field:1.2.3.4->tun_src
         -> tun_src: 0.0.0.0 -> 1.2.3.4
    output:1
     >> skipping output to input port
"
    );
    assert_eq!(
        run(&[], "in_port=1").trace.to_string(),
        " 0. No match.\n    drop\n"
    );
    let key = packet("in_port=1").key;
    assert_eq!(key.get(FieldId::IN_PORT), 1);
}
