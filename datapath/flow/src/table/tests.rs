use super::*;
use crate::field::FieldId;
use crate::text::{NoNames, parse_flow_line, parse_group, parse_meter};

fn flow(line: &str) -> Modification {
    match parse_flow_line(line, &NoNames) {
        Ok((command, text)) => Modification::Flow(FlowMod::from_text(command, text)),
        Err(e) => panic!("{}", e.render(line)),
    }
}

fn group(text: &str) -> Group {
    parse_group(text, &NoNames).unwrap()
}

fn tables(lines: &[&str]) -> Tables {
    let mut tables = Tables::new();
    for line in lines {
        tables.modify(&flow(line)).unwrap();
    }
    tables
}

fn shown(tables: &Tables) -> Vec<String> {
    tables.flows().map(|entry| entry.flow.to_string()).collect()
}

fn refusal(tables: &mut Tables, modification: &Modification) -> &'static str {
    let before = shown(tables);
    let refused = tables.modify(modification).unwrap_err();
    assert_eq!(shown(tables), before, "{refused}: something changed");
    refused.openflow().name
}

const BASE: &[&str] = &[
    "table=0,cookie=0x11,priority=10,ip,nw_src=10.0.0.0/8,actions=output:1",
    "table=0,cookie=0x12,priority=10,ip,nw_src=10.1.0.0/16,actions=output:2",
    "table=0,cookie=0x21,priority=20,tcp,nw_src=10.1.0.0/16,tp_dst=80,actions=output:1,output:3",
    "table=1,cookie=0x12,priority=10,arp,actions=clone(output:2)",
    "table=1,cookie=0x13,priority=0,actions=drop",
];

#[test]
fn loose_changes_take_what_the_match_covers_and_strict_ones_one_flow() {
    for (line, left) in [
        ("delete ip", 2),
        ("delete table=0", 2),
        ("delete", 0),
        ("delete ip,nw_src=10.1.0.0/16", 3),
        ("delete_strict priority=10,ip,nw_src=10.1.0.0/16", 4),
        ("delete_strict priority=11,ip,nw_src=10.1.0.0/16", 5),
        ("delete cookie=0x12/-1", 3),
        ("delete cookie=0x10/0xf0", 1),
        ("delete out_port=2", 3),
        ("delete table=1,out_port=2", 4),
        ("delete out_group=2", 5),
    ] {
        let mut tables = tables(BASE);
        let changes = tables.modify(&flow(line)).unwrap();
        assert_eq!(tables.len(), left, "{line}");
        assert_eq!(changes.len(), BASE.len() - left, "{line}");
        tables.revert(&changes);
        assert_eq!(shown(&tables), shown(&super::tests::tables(BASE)), "{line}");
    }
}

#[test]
fn lookup_takes_the_highest_priority() {
    let tables = tables(BASE);
    let mut key = FlowKey::new();
    let cookie = |key: &FlowKey| tables.lookup(0, key).map(|entry| entry.flow.cookie);
    assert_eq!(cookie(&key), None);
    key.set(FieldId::ETH_TYPE, 0x800);
    key.set(FieldId::IP_SRC, 0x0a02_0000);
    assert_eq!(cookie(&key), Some(0x11));
    key.set(FieldId::IP_SRC, 0x0a01_0000);
    assert_eq!(
        cookie(&key),
        Some(0x11),
        "the older of two of the same priority"
    );
    key.set(FieldId::NW_PROTO, 6);
    key.set(FieldId::TCP_DST, 80);
    assert_eq!(cookie(&key), Some(0x21));
}

#[test]
fn adding_replaces_and_changing_keeps_the_flow() {
    let mut tables = tables(&["priority=5,cookie=1,idle_timeout=9,actions=1"]);
    let id = tables.flows().next().unwrap().id;
    let changes = tables
        .modify(&flow("priority=5,cookie=2,actions=2"))
        .unwrap();
    let [
        Change::FlowReplaced {
            new,
            reset_counts: true,
            restarted: true,
            ..
        },
    ] = &changes[..]
    else {
        panic!("{changes:?}");
    };
    assert_eq!(
        (new.id, new.flow.cookie, new.flow.idle_timeout_s),
        (id, 2, 0)
    );
}

#[test]
fn an_added_flow_counts_on_unless_asked_otherwise() {
    let mut tables = tables(&["priority=5,actions=1"]);
    let mut replaced = |reset, line| {
        let Modification::Flow(add) = flow(line) else {
            panic!("{line}")
        };
        let add = Modification::Flow(FlowMod {
            reset_counts: reset,
            ..add
        });
        match &tables.modify(&add).unwrap()[..] {
            [Change::FlowReplaced { reset_counts, .. }] => *reset_counts,
            other => panic!("{other:?}"),
        }
    };
    assert!(!replaced(false, "priority=5,actions=2"));
    assert!(replaced(false, "priority=5,reset_counts,actions=2"));
    assert!(replaced(true, "priority=5,actions=2"));
}

#[test]
fn changing_keeps_cookie_and_timeouts() {
    let mut tables = tables(&["priority=5,cookie=1,idle_timeout=9,actions=1"]);
    let changes = tables
        .modify(&flow("modify reset_counts actions=3"))
        .unwrap();
    let [
        Change::FlowReplaced {
            new,
            reset_counts: true,
            restarted: false,
            ..
        },
    ] = &changes[..]
    else {
        panic!("{changes:?}");
    };
    assert_eq!(
        new.flow.to_string(),
        "cookie=0x1, idle_timeout=9, priority=5 actions=output:3"
    );
    assert_eq!(tables.modify(&flow("modify ip actions=1")).unwrap(), []);
    let (command, text) = parse_flow_line("modify ip actions=1", &NoNames).unwrap();
    let mut absent = FlowMod::from_text(command, text);
    absent.add_if_absent = true;
    let changes = tables.modify(&Modification::Flow(absent)).unwrap();
    assert!(matches!(changes[..], [Change::FlowAdded(_)]));
}

#[test]
fn flows_that_can_t_be_are_refused() {
    let mut tables = tables(BASE);
    for (line, error) in [
        (
            "check_overlap,table=0,priority=10,ip,nw_dst=1.2.3.4,actions=1",
            "OFPFMFC_OVERLAP",
        ),
        ("table=3,actions=goto_table:3", "OFPBIC_BAD_TABLE_ID"),
        ("table=3,actions=group:3", "OFPBAC_BAD_OUT_GROUP"),
        ("table=3,actions=clone(group:3)", "OFPBAC_BAD_OUT_GROUP"),
        ("table=3,actions=meter:3,1", "OFPMMFC_INVALID_METER"),
        ("table=254,actions=drop", "OFPBRC_EPERM"),
        ("actions=conjunction(1,1/2),2", "OFPBAC_MATCH_INCONSISTENT"),
        (
            "actions=set_field:1.2.3.4->ip_src",
            "OFPBAC_MATCH_INCONSISTENT",
        ),
        ("actions=dec_ttl", "OFPBAC_MATCH_INCONSISTENT"),
        ("actions=set_field:5->vlan_vid", "OFPBAC_MATCH_INCONSISTENT"),
        (
            "dl_vlan=1,actions=pop_vlan,set_vlan_pcp:1",
            "OFPBAC_MATCH_INCONSISTENT",
        ),
        (
            "ip,actions=push_mpls:0x8847,dec_ttl",
            "OFPBAC_MATCH_INCONSISTENT",
        ),
        ("actions=pop_vlan", "OFPBAC_MATCH_INCONSISTENT"),
        (
            "actions=push_vlan:0x8100,pop_vlan,pop_vlan",
            "OFPBAC_MATCH_INCONSISTENT",
        ),
        (
            "dl_vlan=1,actions=push_vlan:0x8100,push_vlan:0x8100",
            "OFPBAC_BAD_TAG",
        ),
        ("actions=write_actions(exit)", "OFPBAC_BAD_TYPE"),
        ("actions=table", "OFPBAC_BAD_OUT_PORT"),
    ] {
        assert_eq!(refusal(&mut tables, &flow(line)), error, "{line}");
    }
    for line in [
        "check_overlap,table=0,priority=11,ip,nw_dst=1.2.3.4,actions=1",
        "check_overlap,table=0,priority=10,ip,nw_src=11.0.0.0/8,actions=1",
        "check_overlap,table=0,priority=10,ip,nw_src=10.0.0.0/8,actions=7",
        "actions=push_vlan:0x8100,set_field:5->vlan_vid,pop_vlan",
        "ip,actions=push_mpls:0x8847,dec_mpls_ttl,pop_mpls:0x0800,dec_ttl",
        "udp,actions=mod_tp_dst:5,set_field:6->udp_src",
        "actions=conjunction(1,1/2),conjunction(2,2/2),note:00",
    ] {
        tables.modify(&flow(line)).unwrap();
    }
}

#[test]
fn a_bundle_is_done_whole_or_not_at_all() {
    let mut tables = tables(BASE);
    let before = shown(&tables);
    let mut bundle = vec![
        flow("delete ip"),
        flow("table=0,actions=output:5"),
        flow("modify table=1,actions=output:6"),
        Modification::Group(GroupMod::Add(group("group_id=1,type=all,bucket=1"))),
        flow("table=2,actions=group:1"),
        Modification::Group(GroupMod::Delete(Some(1))),
        flow("table=2,actions=group:1"),
    ];
    let refused = tables.modify_all(&bundle).unwrap_err();
    assert_eq!(
        (refused.position, refused.error),
        (6, TableError::NoGroup(1))
    );
    assert_eq!(shown(&tables), before);
    assert_eq!(tables.groups().count(), 0);
    bundle.pop();
    tables.modify_all(&bundle).unwrap();
    assert_eq!(
        shown(&tables),
        [
            "actions=output:5",
            "cookie=0x12, table=1, priority=10,arp actions=output:6",
            "cookie=0x13, table=1, priority=0 actions=output:6",
        ]
    );
}

#[test]
fn groups_and_meters_take_their_flows_with_them() {
    let mut tables = tables(&["actions=output:1"]);
    let add = |text| Modification::Group(GroupMod::Add(group(text)));
    let group_mod = |tables: &mut Tables, group_mod| tables.modify(&Modification::Group(group_mod));
    tables.modify(&add("group_id=1,type=all,bucket=1")).unwrap();
    tables
        .modify(&add("group_id=2,type=all,bucket=group:1"))
        .unwrap();
    assert_eq!(
        refusal(&mut tables, &add("group_id=2,type=all")),
        "OFPGMFC_GROUP_EXISTS"
    );
    assert_eq!(
        refusal(&mut tables, &add("group_id=3,type=ff,bucket=1")),
        "OFPGMFC_BAD_WATCH"
    );
    let looped = GroupMod::Modify(group("group_id=1,type=all,bucket=clone(group:2)"));
    assert_eq!(
        refusal(&mut tables, &Modification::Group(looped)),
        "OFPGMFC_LOOP"
    );
    let unknown = GroupMod::Modify(group("group_id=9,type=all"));
    assert_eq!(
        refusal(&mut tables, &Modification::Group(unknown)),
        "OFPGMFC_UNKNOWN_GROUP"
    );
    let chained = Modification::Group(GroupMod::Delete(Some(1)));
    assert_eq!(refusal(&mut tables, &chained), "OFPGMFC_CHAINED_GROUP");

    let bucket = group("group_id=1,type=all,bucket=bucket_id:7,output:LOCAL").buckets;
    let insert = |after| GroupMod::InsertBuckets {
        group: 1,
        after,
        buckets: bucket.clone(),
    };
    group_mod(&mut tables, insert(None)).unwrap();
    let ids = |tables: &Tables| -> Vec<u32> {
        let group = tables.group(1).unwrap();
        group.buckets.iter().map(|bucket| bucket.id).collect()
    };
    assert_eq!(ids(&tables), [7, 0]);
    assert_eq!(
        refusal(&mut tables, &Modification::Group(insert(Some(0)))),
        "OFPGMFC_BUCKET_EXISTS"
    );
    let remove = GroupMod::RemoveBuckets {
        group: 1,
        bucket: Some(7),
    };
    group_mod(&mut tables, remove.clone()).unwrap();
    assert_eq!(ids(&tables), [0]);
    assert_eq!(
        refusal(&mut tables, &Modification::Group(remove)),
        "OFPGMFC_UNKNOWN_BUCKET"
    );

    tables.modify(&flow("table=1,actions=group:2")).unwrap();
    let changes = group_mod(&mut tables, GroupMod::Delete(None)).unwrap();
    assert_eq!((tables.len(), changes.len()), (1, 3));

    let meter = parse_meter("meter=4,kbps,band=type=drop,rate=1").unwrap();
    tables
        .modify(&Modification::Meter(MeterMod::Add(meter.clone())))
        .unwrap();
    let again = Modification::Meter(MeterMod::Add(meter));
    assert_eq!(refusal(&mut tables, &again), "OFPMMFC_METER_EXISTS");
    tables
        .modify(&flow("table=1,actions=meter:4,goto_table:5"))
        .unwrap();
    let changes = tables
        .modify(&Modification::Meter(MeterMod::Delete(None)))
        .unwrap();
    assert!(matches!(
        changes[..],
        [
            Change::FlowRemoved {
                reason: RemovedReason::MeterDeleted,
                ..
            },
            Change::Meter { .. }
        ]
    ));
}

#[test]
fn a_flow_expires_once() {
    let mut tables = tables(BASE);
    let entry = tables.flows().next().unwrap().clone();
    let change = tables.expire(&entry, RemovedReason::IdleTimeout);
    assert_eq!(
        change,
        Some(Change::FlowRemoved {
            entry: entry.clone(),
            reason: RemovedReason::IdleTimeout
        })
    );
    assert_eq!(tables.expire(&entry, RemovedReason::IdleTimeout), None);
}

#[test]
fn full_tables_refuse_or_let_the_least_important_go() {
    let mut tables = tables(&[
        "in_port=1,idle_timeout=9,importance=2,actions=1",
        "in_port=2,importance=0,actions=1",
        "in_port=3,hard_timeout=9,importance=1,actions=1",
        "in_port=4,idle_timeout=9,importance=1,actions=1",
    ]);
    let limit = |max_flows, evicts| Some(TableLimit { max_flows, evicts });
    assert_eq!(tables.set_limit(0, limit(4, false)), []);
    let more = flow("in_port=5,actions=1");
    assert_eq!(refusal(&mut tables, &more), "OFPFMFC_TABLE_FULL");
    // One that is there already takes no room, and other tables have their own.
    tables
        .modify(&flow("in_port=1,idle_timeout=9,importance=2,actions=2"))
        .unwrap();
    tables.modify(&flow("table=1,actions=1")).unwrap();
    tables.set_limit(0, limit(4, true));
    let before = shown(&tables);
    let changes = tables.modify(&more).unwrap();
    let [Change::FlowRemoved { entry, reason }, Change::FlowAdded(_)] = &changes[..] else {
        panic!("{changes:?}");
    };
    assert_eq!(
        entry.flow.matching.get(FieldId::IN_PORT).0,
        3,
        "the oldest of importance 1"
    );
    assert_eq!(*reason, RemovedReason::Eviction);
    tables.revert(&changes);
    assert_eq!(shown(&tables), before);
    assert_eq!(
        tables.set_limit(0, limit(1, true)).len(),
        3,
        "those with timeouts"
    );
    assert_eq!(refusal(&mut tables, &more), "OFPFMFC_TABLE_FULL");
    tables.set_limit(0, None);
    tables.modify(&more).unwrap();
}
