//! The tables of real controllers, and packets that look like theirs.
// Each test program uses a part of this.
#![allow(dead_code)]

use std::collections::BTreeMap;

use aorta_flow::Flow;
use aorta_flow::action::Action;
use aorta_flow::table::{FlowMod, GroupMod, MeterMod, Modification, Tables};
use aorta_flow::text::{NoNames, parse_group, parse_meter};
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// Name, flows as they were dumped, and how many there are at least.
pub const PIPELINES: [(&str, &str, usize); 3] = [
    ("neutron-br-int", include_str!("neutron-br-int.flows"), 300),
    ("neutron-br-tun", include_str!("neutron-br-tun.flows"), 20),
    ("ovn-br-int", include_str!("ovn-br-int.flows"), 1083),
];

/// Words that begin a packet of a protocol, with the fields that are taken from the flows, and
/// the name that each has in such a packet.
const KINDS: &[(&str, &[(&str, &str)])] = &[
    (
        "arp,arp_op=1",
        &[
            ("arp_spa", "arp_spa"),
            ("arp_tpa", "arp_tpa"),
            ("dl_src", "arp_sha"),
        ],
    ),
    (
        "ip,nw_ttl=64,nw_proto=89",
        &[("nw_src", "nw_src"), ("nw_dst", "nw_dst")],
    ),
    (
        "tcp,nw_ttl=64,tcp_src=30000",
        &[
            ("nw_src", "nw_src"),
            ("nw_dst", "nw_dst"),
            ("tp_dst", "tcp_dst"),
        ],
    ),
    (
        "udp,nw_ttl=64,udp_src=68",
        &[
            ("nw_src", "nw_src"),
            ("nw_dst", "nw_dst"),
            ("tp_dst", "udp_dst"),
        ],
    ),
    (
        "icmp,nw_ttl=255,icmp_type=8",
        &[("nw_src", "nw_src"), ("nw_dst", "nw_dst")],
    ),
    (
        "udp6,nw_ttl=64,udp_src=546",
        &[
            ("ipv6_src", "ipv6_src"),
            ("ipv6_dst", "ipv6_dst"),
            ("tp_dst", "udp_dst"),
        ],
    ),
    (
        "icmp6,nw_ttl=255,icmpv6_type=136,icmpv6_code=0",
        &[
            ("ipv6_src", "ipv6_src"),
            ("nd_target", "nd_target"),
            ("dl_src", "nd_tll"),
        ],
    ),
];

/// The values that flows ask for, by field; those without a mask.
fn values(flows: &str) -> BTreeMap<String, Vec<String>> {
    let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in flows.lines() {
        let head = line.split(" actions=").next().unwrap_or(line);
        for word in head.split([',', ' ']).filter(|word| !word.contains('/')) {
            if let Some((name, value)) = word.split_once('=') {
                let known = values.entry(name.to_owned()).or_default();
                if !known.iter().any(|v| v == value) {
                    known.push(value.to_owned());
                }
            }
        }
    }
    values
}

/// A packet of fields that the flows ask for.
pub fn packet(flows: &str) -> impl Strategy<Value = String> + use<> {
    let values = values(flows);
    let picks = proptest::collection::vec(any::<Index>(), 6);
    (select(KINDS), picks, 0..3u8).prop_map(move |((start, fields), picks, tag)| {
        let mut picks = picks.into_iter();
        let mut one = |from: &str, name: &str| {
            let (pick, values) = picks.next().zip(values.get(from))?;
            Some(format!("{name}={},", pick.get(values)))
        };
        let mut text = String::new();
        for name in ["in_port", "dl_src", "dl_dst"] {
            text.extend(one(name, name));
        }
        text.push_str(start);
        text.push(',');
        for (from, name) in fields {
            text.extend(one(from, name));
        }
        if tag == 0
            && let Some(vlan) = values.get("dl_vlan").and_then(|all| all.first())
        {
            let vlan: u16 = vlan.parse().unwrap_or(0);
            text.push_str(&format!("vlan_tci={:#06x},", vlan | 0x1000));
        }
        text.trim_end_matches(',').to_owned()
    })
}

/// The groups and meters that flows refer to, which weren't dumped with them.
pub fn referred(flows: &[Flow]) -> (Vec<String>, Vec<String>) {
    let (mut groups, mut meters) = (Vec::new(), Vec::new());
    let actions = flows
        .iter()
        .flat_map(|flow| flow.instructions.all_actions());
    for action in actions {
        match action {
            Action::Group(id) => {
                groups.push(format!("group_id={id},type=all,bucket=resubmit(,34)"))
            }
            Action::Meter(id) => meters.push(format!("meter={id},kbps,band=type=drop,rate=1000")),
            _ => {}
        }
    }
    for list in [&mut groups, &mut meters] {
        list.sort();
        list.dedup();
    }
    (groups, meters)
}

/// Tables of these flows, with what they refer to.
pub fn tables(flows: &[Flow]) -> Tables {
    let (groups, meters) = referred(flows);
    let mut tables = Tables::new();
    for text in groups {
        let group = GroupMod::Add(parse_group(&text, &NoNames).unwrap());
        tables.modify(&Modification::Group(group)).unwrap();
    }
    for text in meters {
        let meter = MeterMod::Add(parse_meter(&text).unwrap());
        tables.modify(&Modification::Meter(meter)).unwrap();
    }
    for flow in flows {
        let add = FlowMod {
            table: Some(flow.table),
            flow: flow.clone(),
            ..FlowMod::default()
        };
        if let Err(e) = tables.modify(&Modification::Flow(add)) {
            panic!("{flow}: {e}");
        }
    }
    tables
}
