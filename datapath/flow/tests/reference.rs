//! The text form, compared with what `ovs-ofctl` makes of the same lines.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cases;
mod flows;

use std::io::Write;
use std::process::{Command, Stdio};

use aorta_flow::field::FieldId;
use aorta_flow::text::{Form, NoNames, parse_flow};
use aorta_flow::{Flow, FlowFlags};
use proptest::strategy::{Strategy, ValueTree};

/// What `ovs-ofctl parse-flows` prints for these lines, one for each.
fn reference(version: &str, lines: &[String]) -> Vec<String> {
    let mut child = Command::new("ovs-ofctl")
        .args(["-O", version, "parse-flows", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("ovs-ofctl runs");
    let mut stdin = child.stdin.take().unwrap();
    let text = lines.join("\n") + "\n";
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().unwrap();
    // It stops reading at the first line that it refuses, which it names below.
    let _ = writer.join().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    // A message's number counts the lines.
    let messages = text.lines().filter(|line| line.contains("(xid="));
    for (message, line) in messages.zip(lines) {
        assert!(!message.contains("***"), "{line}\n{message}");
    }
    let printed: Vec<String> = text
        .lines()
        .filter_map(|line| Some(line.split_once(": ADD ")?.1.to_owned()))
        .collect();
    assert_eq!(printed.len(), lines.len(), "{errors}");
    printed
}

/// The part of a flow that `parse-flows` prints as a dump does: priority, match and actions.
fn core(flow: &Flow) -> String {
    let core = Flow {
        table: 0,
        cookie: 0,
        idle_timeout_s: 0,
        hard_timeout_s: 0,
        importance: 0,
        flags: FlowFlags::default(),
        ..flow.clone()
    };
    core.to_string()
}

/// The same part of what `parse-flows` printed.
fn reference_core(line: &str) -> String {
    let (head, actions) = line.split_once("actions=").unwrap();
    let other = |word: &&str| {
        let named = ["table:", "cookie:", "idle:", "hard:", "importance:"];
        named.iter().any(|name| word.starts_with(name))
            || FlowFlags::ALL.iter().any(|(name, _)| name == word)
    };
    let head: Vec<&str> = head
        .split_whitespace()
        .filter(|word| !other(word))
        .collect();
    match head.is_empty() {
        true => format!("actions={actions}"),
        false => format!("{} actions={actions}", head.join(" ")),
    }
}

fn parse(line: &str) -> Flow {
    match parse_flow(line, Form::Flow, &NoNames) {
        Ok(flow) => flow.into_flow(),
        Err(e) => panic!("{}", e.render(line)),
    }
}

/// Lines as people write them. Each must come out as it comes out of the reference.
const LINES: &[&str] = &[
    "actions=drop",
    "pkt_mark=0x5,conj_id=7,ct_state=+trk-new,ct_zone=5,ct_mark=1/1,ct_label=0x5/0xf,actions=drop",
    "ct_state=+trk+est,ip,ct_nw_src=1.2.3.4,ct_nw_proto=6,ct_tp_src=80,actions=drop",
    "tun_src=1.2.3.4,tun_dst=1.2.3.0/24,tun_id=5/7,tun_flags=+oam,tun_gbp_id=5,actions=drop",
    "tun_gbp_id=5/0xff,tun_gbp_flags=0x8,tun_gtpu_flags=3,actions=drop",
    "reg0=5,reg1=0x10/0xf0,xreg2=0x100000002,xxreg2=0x5,actions=drop",
    "metadata=5/0xf,in_port=LOCAL,actions=drop",
    "in_port_oxm=3,actions=drop",
    "vlan_tci=0,actions=drop",
    "vlan_tci=0x1123,actions=drop",
    "vlan_tci=0x1123/0x1fff,actions=drop",
    "vlan_tci=0x1000/0x1000,actions=drop",
    "vlan_vid=0x1005/0x100f,actions=drop",
    "vlan_vid=0x1005,vlan_pcp=3,actions=drop",
    "dl_vlan=5,dl_vlan_pcp=2,actions=drop",
    "dl_vlan_pcp=2,actions=drop",
    "dl_vlan=65535,actions=drop",
    "dl_type=0x1234,actions=drop",
    "dl_type=0x800,nw_proto=6,tp_src=5,actions=drop",
    "ip,nw_proto=89,nw_tos=0x80,nw_ecn=2,nw_ttl=3,ip_frag=later,actions=drop",
    "ip,ip_dscp=32,nw_frag=not_later,actions=drop",
    "ipv6,ipv6_src=::1/128,ipv6_dst=fe80::/10,ipv6_label=0x12345,actions=drop",
    "ipv6,ipv6_src=::1/::ff,ipv6_label=0x5/0xf,actions=drop",
    "ipv6,ipv6_src=::1.2.3.4,ipv6_dst=::ffff:1.2.3.4,actions=drop",
    "ip,nw_src=1.2.3.4/255.0.255.0,actions=drop",
    "arp,arp_op=1,arp_spa=1.2.3.4,arp_tpa=1.2.0.0/16,arp_sha=1:2:3:4:5:6,actions=drop",
    "arp,nw_src=1.2.3.4,nw_proto=1,actions=drop",
    "rarp,arp_spa=1.2.3.4,nw_proto=3,actions=drop",
    "mpls,mpls_label=5,mpls_tc=3,mpls_bos=1,mpls_ttl=9,actions=drop",
    "tcp,tcp_flags=+syn-ack,tp_src=0x50/0xfff0,actions=drop",
    "tcp,tcp_flags=0x12,actions=drop",
    "tcp,tcp_flags=0x800/0xe00,actions=drop",
    "icmp,icmp_type=8,icmp_code=0,actions=drop",
    "icmp,tp_src=8,actions=drop",
    "icmp6,icmp_type=135,nd_target=::1,nd_sll=1:2:3:4:5:6,actions=drop",
    "icmp6,icmpv6_type=136,nd_target=::1,nd_tll=1:2:3:4:5:6,nd_reserved=5,actions=drop",
    "sctp,sctp_src=5,actions=drop",
    "udp6,tp_src=5,actions=drop",
    "dl_type=0x894f,nsh_mdtype=1,nsh_np=3,nsh_spi=0x123,nsh_si=255,nsh_c1=4,nsh_flags=1,actions=drop",
    "packet_type=(1,0x894f),actions=drop",
    "dl_dst=01:00:00:00:00:00/01:00:00:00:00:00,dl_src=0:0:0:0:0:1,actions=drop",
    "ip,tcp,actions=drop",
    "xreg0=5,reg0=6,actions=drop",
    "ct_state=0x21,actions=drop",
    "ct_state=0,actions=drop",
    "table=3,cookie=0x5,idle_timeout=5,hard_timeout=6,send_flow_rem,priority=7,actions=1",
    "priority=32768 actions=output:2,LOCAL,in_port,normal,FLOOD,all",
    "actions=output:reg0[0..15],output:NXM_NX_REG1[]",
    "actions=controller:100,controller(max_len=128,reason=no_match,id=5),controller",
    "actions=controller(userdata=01.02.0a),controller(pause),controller(meter_id=5,userdata=00)",
    "actions=set_queue:5,pop_queue,push_vlan:0x8100,set_field:4101->vlan_vid",
    "ip actions=dec_ttl,dec_ttl(1,2)",
    "mpls actions=dec_mpls_ttl,push_mpls:0x8847,pop_mpls:0x8847",
    "ct_state=+trk+est,ip actions=resubmit:1,resubmit(,5),resubmit(2,5),resubmit(in_port,6),resubmit(,5,ct)",
    "actions=resubmit(3,),resubmit(3,255),resubmit(LOCAL,0)",
    "ip actions=set_field:5->reg0,set_field:5/7->reg0,set_field:1.2.3.4->nw_src,set_field:6->nw_ttl",
    "ip actions=set_field:10.0.0.0/8->ip_src,set_field:63->ip_dscp,set_field:3->nw_ecn",
    "tcp actions=set_field:0x10/0xf0->tcp_dst,set_field:0->tcp_src",
    "actions=set_field:1:2:3:4:5:6/ff:ff:ff:ff:ff:ff->eth_src,set_field:5->metadata",
    "actions=load:5->reg0,load:0x5->NXM_NX_REG0[0..15],load:1->OXM_OF_PKT_REG4[5]",
    "actions=move:reg0->reg1,move:reg0[0..5]->reg1[6..11],move:reg0[3]->reg1[5]",
    "actions=push:reg0,push:NXM_NX_REG0[0..5],pop:reg1[],push:xreg0,push:xxreg1,push:in_port",
    "actions=learn()",
    "actions=learn(table=5,idle_timeout=1,fin_idle_timeout=3,priority=5,cookie=0x6,send_flow_rem,\
     delete_learned,limit=5,result_dst=reg0[3],eth_type=0x800,nw_proto=6,reg0=5,NXM_OF_ETH_SRC[],\
     NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:5->reg0[],load:reg1[]->reg2[],output:reg0[])",
    "ip actions=learn(table=5,eth_type=0x800,ip_dst=1.2.3.4,ip_src[0..7]=0x5,reg1[0..3]=5,in_port=5)",
    "actions=conjunction(5,1/2),conjunction(5,2/2)",
    "actions=bundle(symmetric_l4,5,active_backup,ofport,slaves:4,8)",
    "actions=bundle_load(eth_src,0,hrw,ofport,reg0[],members:1,2),bundle(eth_src,0,hrw,ofport,members:)",
    "actions=multipath(symmetric_l3l4+udp,50,hrw,12,3,NXM_NX_REG0[0..7])",
    "actions=sample(probability=12345,collector_set_id=23,sampling_port=1,egress)",
    "tcp actions=fin_timeout(idle_timeout=5,hard_timeout=6),fin_timeout()",
    "actions=output(max_len=100,port=LOCAL),group:5",
    "actions=check_pkt_larger(1500)->reg0[3],clone(set_field:5->reg0,clone(3)),clone()",
    "actions=delete_field:tun_metadata0",
    "tcp actions=ct(commit),ct(commit,zone=5),ct(zone=reg0[0..15]),ct(commit,force,zone=5),ct(table=5)",
    "ip actions=ct(commit,nat),ct(nat),ct(commit,nat(src=1.2.3.4)),ct_clear",
    "ip actions=ct(commit,nat(dst=1.2.3.4-1.2.3.9:100-200,random)),ct(commit,nat(src=1.2.3.4:80,hash))",
    "ipv6 actions=ct(commit,nat(src=fe80::1-fe80::5)),ct(commit,nat(src=[fe80::1]-[fe80::9]:80))",
    "tcp actions=ct(table=5,commit,alg=ftp,exec(set_field:5->ct_mark,set_field:1/1->ct_label))",
    "actions=meter:5,1,clear_actions,write_actions(2,set_field:5->reg0),write_metadata:5/7,goto_table:6",
    "actions=write_metadata:0,goto_table:9",
];

#[test]
fn lines_of_people() {
    // OpenFlow 1.5 has no encoding of load, and the earlier ones none of masks in set_field.
    let is_load = |line: &str| line.contains("load:") && !line.contains("learn");
    let (loads, others): (Vec<&str>, Vec<&str>) =
        LINES.iter().copied().partition(|line| is_load(line));
    for (version, lines) in [("OpenFlow13", loads), ("OpenFlow15", others)] {
        let lines: Vec<String> = lines.into_iter().map(str::to_owned).collect();
        for (line, theirs) in lines.iter().zip(reference(version, &lines)) {
            assert_eq!(core(&parse(line)), reference_core(&theirs), "{line}");
        }
    }
}

/// Fields that the reference's encoding keeps as they are.
fn allowed(field: FieldId) -> bool {
    let kept = ![
        // Not in its encodings.
        FieldId::SKB_PRIORITY,
        FieldId::TUN_TTL,
        FieldId::TUN_TOS,
        // Of restricted values or meaning.
        FieldId::RECIRC_ID,
        FieldId::ACTSET_OUTPUT,
        FieldId::PACKET_TYPE,
        FieldId::NSH_MDTYPE,
        FieldId::NSH_TTL,
        // Not always printed there.
        FieldId::CT_TP_SRC,
        FieldId::CT_TP_DST,
        FieldId::NSH_C1,
        FieldId::NSH_C2,
        FieldId::NSH_C3,
        FieldId::NSH_C4,
        FieldId::IN_PORT,
        FieldId::IN_PORT_OXM,
        // Ambiguous without a tag.
        FieldId::VLAN_TCI,
        FieldId::VLAN_VID,
        FieldId::DL_VLAN,
        FieldId::IP_FRAG,
        // Printed there without a mask.
        FieldId::TUN_FLAGS,
        FieldId::TUN_GBP_FLAGS,
        FieldId::ETH_TYPE,
    ]
    .contains(&field);
    kept && field.as_tun_metadata().is_none()
        && !field.name().starts_with("tun_erspan")
        && !field.name().starts_with("tun_gtpu")
}

#[test]
fn random_flows() {
    let mut runner = cases::runner();
    let strategy = flows::plain_flow(allowed);
    let flows: Vec<Flow> = (0..cases::count(2000))
        .map(|_| strategy.new_tree(&mut runner).unwrap().current())
        .collect();
    let lines: Vec<String> = flows.iter().map(Flow::to_string).collect();
    for (line, theirs) in lines.iter().zip(reference("OpenFlow15", &lines)) {
        assert_eq!(*line, reference_core(&theirs));
    }
}
