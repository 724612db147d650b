//! Random pipelines and packets, as text.

pub mod changes;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

const PROTOCOLS: &[&str] = &[
    "",
    "",
    "ip",
    "tcp",
    "udp",
    "tcp,tp_dst=80",
    "ip,nw_ttl=1",
    "ip,nw_src=10.0.0.0/8",
    "ip,nw_dst=10.0.0.1",
    "arp",
];

const FIELDS: &[&str] = &[
    "in_port=1",
    "in_port=2",
    "reg0=0",
    "reg0=1",
    "reg0=2",
    "reg1=0x1/0x1",
    "xreg0=0/1",
    "dl_dst=00:00:00:00:00:01",
    "dl_dst=00:00:00:00:00:02",
    "dl_src=00:00:00:00:00:00/00:00:00:00:00:01",
    "vlan_tci=0x1000/0x1000",
    "vlan_tci=0x0000/0x1fff",
    "dl_vlan=5",
    "dl_vlan_pcp=3",
    "metadata=1",
    "metadata=0/1",
    "tun_id=7",
    "pkt_mark=3",
];

/// A table of `+1` is the one after that of the flow.
const ACTIONS: &[&str] = &[
    "output:1",
    "output:2",
    "output:3",
    "output:4",
    "IN_PORT",
    "controller",
    "group:1",
    "output:NXM_NX_REG0[0..3]",
    "set_field:0->reg0",
    "set_field:1->reg0",
    "set_field:2->reg0",
    "set_field:1/1->reg1",
    "set_field:1->metadata",
    "set_field:3->pkt_mark",
    "set_tunnel:7",
    "set_field:00:00:00:00:00:01->eth_dst",
    "set_field:00:00:00:00:00:01/00:00:00:00:00:ff->eth_src",
    "set_field:10.0.0.1->ip_dst",
    "set_field:80->tcp_dst",
    "set_field:1->nw_ttl",
    "move:NXM_NX_REG0[]->NXM_NX_REG1[]",
    "move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]",
    "move:NXM_NX_REG0[0..2]->NXM_NX_REG1[4..6]",
    "push:NXM_NX_REG0[]",
    "push:NXM_NX_REG1[0..3]",
    "pop:NXM_NX_REG0[]",
    "pop:NXM_NX_REG1[]",
    "push_vlan:0x8100",
    "pop_vlan",
    "set_field:4101->vlan_vid",
    "dec_ttl",
    "exit",
    "resubmit(,+1)",
    "resubmit(,+1)",
    "resubmit(,+2)",
    "resubmit(,+2)",
    "resubmit(2,+1)",
    "resubmit(3,+1)",
];

const ENDS: &[&str] = &[
    "",
    "",
    "",
    "clear_actions",
    "write_actions(output:2)",
    "write_actions(output:3,set_field:2->reg0)",
    "write_actions(group:1,output:1)",
    "write_metadata:1",
    "write_metadata:1/1,goto_table:+1",
    "goto_table:+1",
    "goto_table:+1",
    "goto_table:+2",
];

/// Flows of a few tables. Each has a priority of its own, so that it is clear which one wins.
pub fn pipeline() -> impl Strategy<Value = Vec<String>> {
    vec((0..5u8, matching(), actions(), 0..40u8), 8..40).prop_map(|flows| {
        let mut lines = Vec::new();
        for (at, (table, matching, actions, back)) in flows.into_iter().enumerate() {
            let priority = 500 - at;
            let mut actions = actions
                .replace("+1", &(table + 1).to_string())
                .replace("+2", &(table + 2).to_string());
            if back == 0 {
                actions = actions.replace(&format!("resubmit(,{})", table + 1), "resubmit:1");
            }
            lines.push(format!(
                "table={table},priority={priority},{matching}{actions}"
            ));
        }
        lines.extend(ALWAYS.iter().map(|line| (*line).to_owned()));
        lines
    })
}

/// Under all other flows: a conjunction of two clauses, and ways to later tables.
const ALWAYS: &[&str] = &[
    "table=0,priority=1,actions=output:2,resubmit(,1),resubmit(,2)",
    "table=1,priority=100,reg0=1,actions=conjunction(9,1/2)",
    "table=1,priority=100,reg0=2,actions=conjunction(9,1/2)",
    "table=1,priority=100,dl_dst=00:00:00:00:00:01,actions=conjunction(9,2/2)",
    "table=1,priority=99,conj_id=9,actions=output:4,resubmit(,2)",
    "table=1,priority=1,actions=output:3,goto_table:2",
    "table=2,priority=1,actions=output:1,resubmit(,3)",
    "table=3,priority=1,actions=goto_table:4",
    "table=4,priority=1,actions=output:4",
];

fn matching() -> impl Strategy<Value = String> {
    (select(PROTOCOLS), vec(select(FIELDS), 0..3)).prop_map(|(protocol, fields)| {
        let mut text = String::new();
        for part in [protocol].into_iter().chain(fields) {
            // A field that is named twice would be another match for some readers.
            let name = part.split('=').next().unwrap_or(part);
            if !part.is_empty() && !text.contains(name) {
                text.push_str(part);
                text.push(',');
            }
        }
        text
    })
}

fn actions() -> impl Strategy<Value = String> {
    let list = || vec(select(ACTIONS), 0..5);
    (list(), proptest::option::of(list()), list(), select(ENDS)).prop_map(
        |(before, clone, after, end)| {
            let clone = clone
                .filter(|inner| !inner.is_empty())
                .map(|inner| format!("clone({})", inner.join(",")));
            let all: Vec<String> = before
                .into_iter()
                .map(str::to_owned)
                .chain(clone)
                .chain(after.into_iter().map(str::to_owned))
                .chain([end.to_owned()].into_iter().filter(|end| !end.is_empty()))
                .collect();
            match all.is_empty() {
                true => "actions=drop".to_owned(),
                false => format!("actions={}", all.join(",")),
            }
        },
    )
}

/// The fields of a packet.
pub fn packet() -> impl Strategy<Value = String> {
    let protocol = select(
        &[
            "dl_type=0x1234",
            "arp,arp_op=1",
            "tcp,nw_src=10.0.0.9,nw_dst=10.0.0.1,nw_ttl=64,tp_src=9,tp_dst=80",
            "tcp,nw_src=11.0.0.9,nw_dst=10.0.0.2,nw_ttl=2,tp_src=9,tp_dst=81",
            "udp,nw_src=10.0.0.9,nw_dst=10.0.0.1,nw_ttl=1,udp_src=9,udp_dst=80",
        ][..],
    );
    let vlan = select(
        &[
            "",
            "",
            ",dl_vlan=5,dl_vlan_pcp=3",
            ",dl_vlan=6,dl_vlan_pcp=0",
        ][..],
    );
    let metadata = select(&["", "", ",metadata=1", ",tun_id=7", ",pkt_mark=3"][..]);
    (1..4u8, 0..3u8, 1..3u8, 1..3u8, protocol, vlan, metadata).prop_map(
        |(in_port, reg0, source, destination, protocol, vlan, metadata)| {
            format!(
                "in_port={in_port},reg0={reg0},dl_src=00:00:00:00:00:0{source},\
                 dl_dst=00:00:00:00:00:0{destination},{protocol}{vlan}{metadata}"
            )
        },
    )
}
