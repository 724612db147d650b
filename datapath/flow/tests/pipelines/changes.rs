//! Random changes of flows and groups, as lines of a bundle.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

const MATCHES: &[&str] = &[
    "",
    "ip,",
    "tcp,",
    "tcp,tp_dst=80,",
    "tcp,tp_dst=0x50/0xfff0,",
    "ip,nw_src=10.0.0.0/8,",
    "ip,nw_src=10.1.0.0/16,",
    "ip,nw_src=10.1.2.3,nw_dst=10.0.0.1,",
    "ipv6,ipv6_src=fe80::/10,",
    "ipv6,ipv6_src=fe80::1,",
    "in_port=1,",
    "in_port=1,reg0=0x10/0xf0,",
    "reg0=0x12,",
    "xreg0=0x1200000000/0xff00000000,",
    "dl_vlan=5,",
    "vlan_tci=0x1000/0x1000,",
    "dl_dst=01:00:00:00:00:00/01:00:00:00:00:00,",
];

const ACTIONS: &[&str] = &[
    "drop",
    "output:1",
    "output:2,output:3",
    "group:1",
    "group:2,output:1",
    "clone(output:2)",
    "write_actions(output:3),goto_table:5",
    "goto_table:1",
    "set_field:1.2.3.4->ip_src,output:1",
    "set_field:0x5/0xf->reg0,resubmit(,3)",
    "set_field:5->tcp_dst,IN_PORT",
    "push_vlan:0x8100,set_field:4100->vlan_vid,output:1",
    "dec_ttl,LOCAL",
    "conjunction(3,1/2)",
];

const SELECTIONS: &[&str] = &[
    "",
    "",
    "cookie=1/-1,",
    "cookie=0/1,",
    "table=0,",
    "table=1,",
    "table=1,out_port=1,",
    "out_port=2,",
    "out_group=1,",
];

const FLAGS: &[&str] = &[
    "",
    "",
    "",
    "",
    "check_overlap,",
    "reset_counts,",
    "idle_timeout=900,",
];

/// Lines of a bundle.
pub fn bundle() -> impl Strategy<Value = Vec<String>> {
    let add = (
        0..3u8,
        1..4u8,
        0..4u8,
        select(FLAGS),
        select(MATCHES),
        select(ACTIONS),
    )
        .prop_map(|(table, priority, cookie, flags, matching, actions)| {
            format!(
                "flow add table={table},priority={priority},cookie={cookie},\
                 {flags}{matching}actions={actions}"
            )
        });
    let modify = (select(SELECTIONS), select(MATCHES), select(ACTIONS)).prop_map(
        |(which, matching, actions)| {
            let which = if which.contains("cookie") { which } else { "" };
            format!("flow modify table=0,{which}{matching}actions={actions}")
        },
    );
    let modify_strict = (0..3u8, 1..4u8, select(MATCHES), select(ACTIONS)).prop_map(
        |(table, priority, matching, actions)| {
            format!(
                "flow modify_strict table={table},priority={priority},{matching}actions={actions}"
            )
        },
    );
    let delete = (select(SELECTIONS), select(MATCHES))
        .prop_map(|(which, matching)| format!("flow delete {which}{matching}"));
    let delete_strict =
        (0..3u8, 1..4u8, select(MATCHES)).prop_map(|(table, priority, matching)| {
            format!("flow delete_strict table={table},priority={priority},{matching}")
        });
    let group = select(
        &[
            "group add group_id=1,type=all,bucket=output:1,bucket=output:2",
            "group add group_id=2,type=select,bucket=weight:3,output:1",
            "group add group_id=2,type=indirect,bucket=output:3",
            "group modify group_id=1,type=all,bucket=output:4",
            "group delete group_id=1",
            "group delete group_id=2",
        ][..],
    );
    let one = prop_oneof![
        modify,
        modify_strict,
        delete,
        delete_strict,
        group.prop_map(str::to_owned)
    ];
    // The reference doesn't always see what the same bundle changed, and may fall over bundles
    // that undo changes of groups.
    prop_oneof![vec(add, 1..6), one.prop_map(|line| vec![line]),].prop_map(|mut lines| {
        if lines.len() > 1 {
            for line in &mut lines {
                *line = line.replace("check_overlap,", "");
            }
        }
        lines
    })
}
