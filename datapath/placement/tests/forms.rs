//! What becomes of single flows: the rule that a card gets, or the reason that an operator reads.

use aorta_flow::OfPort;
use aorta_flow::action::Action;
use aorta_flow::table::{FlowMod, GroupMod, MeterMod, Modification, Tables};
use aorta_flow::text::{NoNames, parse_flow_line, parse_group, parse_meter};
use aorta_placement::{Capabilities, Decision, Device, Told, Verdict, place};

/// What a card with ports 1 to 3 does for the first of some flows, or why it has no rule for it.
fn form(flow: &str, groups: &[&str], capabilities: Capabilities) -> String {
    let mut tables = Tables::new();
    for group in groups {
        let group = parse_group(group, &NoNames).map(GroupMod::Add);
        let done = group.map(|group| tables.modify(&Modification::Group(group)).is_ok());
        assert_eq!(done, Ok(true), "{groups:?}");
    }
    for meter in [
        "meter=1,kbps,band=type=drop,rate=8",
        "meter=2,pktps,band=type=dscp_remark,rate=8,prec_level=1",
    ] {
        let meter = parse_meter(meter).map(MeterMod::Add);
        let done = meter.map(|meter| tables.modify(&Modification::Meter(meter)).is_ok());
        assert_eq!(done, Ok(true));
    }
    for line in flow.split(" & ") {
        let added = parse_flow_line(line, &NoNames).map(|(command, text)| {
            let flow_mod = FlowMod::from_text(command, text);
            tables.modify(&Modification::Flow(flow_mod))
        });
        assert!(matches!(added, Ok(Ok(_))), "{line}: {added:?}");
    }
    let device = Device {
        ports: (1..=3).map(OfPort).collect(),
        capabilities,
    };
    let placement = place(&tables, &device, &Told::default());
    let rules = placement.rules.iter().find(|rule| rule.flow.is_some());
    match (placement.decisions.into_values().next(), rules) {
        (Some(Decision::Software { why, .. }), _) => why.to_string(),
        (_, Some(rule)) => match &rule.verdict {
            Verdict::Forward { actions, goto } => {
                let actions: Vec<String> = actions.iter().map(Action::to_string).collect();
                let goto = goto.map(|to| format!(" then table {to}"));
                actions.join(",") + &goto.unwrap_or_default()
            }
            Verdict::Trap => "trap".to_owned(),
        },
        _ => "no rule".to_owned(),
    }
}

fn able() -> Capabilities {
    Capabilities::flower(100)
}

/// A card that has none of what cards may lack.
fn plain() -> Capabilities {
    Capabilities {
        vlan_tags: false,
        mpls_labels: false,
        meters: false,
        dec_ttl: false,
        to_in_port: false,
        ..Capabilities::flower(100)
    }
}

#[test]
fn actions_in_the_terms_of_cards() {
    for (flow, expected) in [
        ("actions=output:2,output:3", "output:2,output:3"),
        ("actions=IN_PORT", "IN_PORT"),
        ("dl_vlan=5,actions=strip_vlan,output:2", "pop_vlan,output:2"),
        (
            "dl_vlan=5,actions=mod_vlan_vid:7,output:2",
            "set_field:4103->vlan_vid,output:2",
        ),
        (
            "dl_vlan=5,actions=mod_vlan_pcp:3,output:2",
            "set_field:3->vlan_pcp,output:2",
        ),
        (
            "vlan_tci=0/0x1fff,actions=mod_vlan_vid:7,output:2",
            "push_vlan:0x8100,set_field:4103->vlan_vid,output:2",
        ),
        (
            "actions=mod_vlan_vid:7,output:2",
            "changes a VLAN tag, and its match doesn't say whether there is one",
        ),
        (
            "tcp,actions=load:80->NXM_OF_TCP_DST[],output:2",
            "set_field:80->tcp_dst,output:2",
        ),
        (
            "ip,actions=load:9->NXM_OF_IP_DST[0..7],output:2",
            "set_field:0.0.0.9/0.0.0.255->ip_dst,output:2",
        ),
        (
            "actions=load:1->NXM_NX_REG0[],output:2",
            "changes reg0: the device can't",
        ),
        ("ip,actions=dec_ttl,output:2", "dec_ttl,output:2"),
        (
            "ip,actions=output:2,dec_ttl,output:3",
            "dec_ttl behind an output or a change of it: the device can't do it",
        ),
        ("ip,actions=dec_ttl,resubmit(,4)", "dec_ttl then table 4"),
        (
            "ip,actions=goto_table:4 & table=4,ip,actions=dec_ttl,output:2",
            "leads to table 4, where its packets can meet a flow that can't be offloaded",
        ),
        (
            "ip,actions=goto_table:4 & table=4,ip,actions=write_actions(output:2)",
            " then table 4",
        ),
        ("actions=write_actions(output:2)", "output:2"),
        (
            "actions=write_actions(output:2),goto_table:4",
            "write_actions before another table: the device can't do it",
        ),
        ("actions=group:1", "mod_dl_src:00:00:00:00:00:01,output:2"),
        ("actions=group:2,output:1", "output:2,output:3,output:1"),
        (
            "actions=group:3",
            "output:2,mod_dl_src:00:00:00:00:00:01,output:3",
        ),
        (
            "actions=group:3,output:1",
            "a change in a bucket that isn't the last: the device can't do it",
        ),
        ("actions=group:4", "a select group: the device can't do it"),
        ("actions=meter:1,output:2", "meter:1,output:2"),
        (
            "actions=meter:2,output:2",
            "a meter that marks packets: the device can't do it",
        ),
        (
            "actions=output:2,meter:1,output:3",
            "a meter behind an output or in a group: the device can't do it",
        ),
        (
            "arp,actions=set_field:2->arp_op,set_field:10.0.0.1->arp_spa,IN_PORT",
            "set_field:2->arp_op,set_field:10.0.0.1->arp_spa,IN_PORT",
        ),
        (
            "ip,actions=push_mpls:0x8847,set_field:77->mpls_label,output:2",
            "push_mpls without setting the label, its class and its time to live: the device can't do it",
        ),
        (
            "ip,actions=push_mpls:0x8847,set_field:77->mpls_label,set_field:0->mpls_tc,\
             set_mpls_ttl(9),output:2",
            "push_mpls:0x8847,set_field:0->mpls_label,set_field:77->mpls_label,set_field:0->mpls_tc,\
             set_mpls_ttl(9),output:2",
        ),
        (
            "ipv6,nw_tos=4,nw_ttl=7,actions=push_mpls:0x8847,output:2",
            "push_mpls:0x8847,set_field:2->mpls_label,set_field:1->mpls_tc,set_field:7->mpls_ttl,output:2",
        ),
        (
            "dl_type=0x1234,actions=push_mpls:0x8847,output:2",
            "push_mpls:0x8847,set_field:0->mpls_label,set_field:0->mpls_tc,set_field:64->mpls_ttl,output:2",
        ),
        (
            "mpls,actions=set_field:5->mpls_label,output:2",
            "set_field:5->mpls_label,output:2",
        ),
        (
            "mpls,mpls_bos=1,actions=pop_mpls:0x0800,output:2",
            "pop_mpls:0x0800,output:2",
        ),
        (
            "mpls,actions=pop_mpls:0x0800,dec_ttl,output:2",
            "changes nw_ttl, and its match doesn't say whether packets have it",
        ),
    ] {
        let groups = [
            "group_id=1,type=indirect,bucket=actions=mod_dl_src:00:00:00:00:00:01,output:2",
            "group_id=2,type=all,bucket=actions=output:2,bucket=actions=output:3",
            "group_id=3,type=all,bucket=output:2,bucket=mod_dl_src:00:00:00:00:00:01,output:3",
            "group_id=4,type=select,bucket=output:2,bucket=output:3",
        ];
        assert_eq!(form(flow, &groups, able()), expected, "{flow}");
    }
}

#[test]
fn what_a_card_cant_do_is_said() {
    for (flow, expected) in [
        (
            "ip,actions=dec_ttl,output:2",
            "dec_ttl: the device can't do it",
        ),
        ("actions=IN_PORT", "IN_PORT: the device can't do it"),
        (
            "actions=push_vlan:0x8100,output:2",
            "push_vlan: the device can't do it",
        ),
        (
            "mpls,actions=pop_mpls:0x0800,output:2",
            "MPLS labels: the device can't do it",
        ),
        ("actions=meter:1,output:2", "meter: the device can't do it"),
        (
            "actions=output:9",
            "sends to port 9, which isn't the device's",
        ),
    ] {
        let got = form(flow, &[], plain());
        assert_eq!(got, expected, "{flow}");
    }
}
