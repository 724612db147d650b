use super::*;
use crate::OfPort;

struct Office;

impl Names for Office {
    fn port(&self, name: &str) -> Option<OfPort> {
        (name == "eth0")
            .then_some(OfPort(7))
            .or((name == "a-b").then_some(OfPort(8)))
    }

    fn port_name(&self, port: OfPort) -> Option<&str> {
        match port.0 {
            7 => Some("eth0"),
            8 => Some("a-b"),
            _ => None,
        }
    }

    fn table(&self, name: &str) -> Option<u8> {
        (name == "acl").then_some(3)
    }

    fn table_name(&self, table: u8) -> Option<&str> {
        (table == 3).then_some("acl")
    }
}

fn refusal(text: &str) -> String {
    match parse_flow(text, Form::Flow, &NoNames) {
        Ok(flow) => panic!("{text} was taken as {}", flow.into_flow()),
        Err(e) => e.render(text),
    }
}

#[test]
fn ports_and_tables_may_have_names() {
    let text = "table=acl,in_port=\"a-b\",actions=eth0,output:\"a-b\",resubmit(eth0,acl),LOCAL";
    let flow = parse_flow(text, Form::Flow, &Office).unwrap().into_flow();
    assert_eq!(
        flow.to_string(),
        "table=3, in_port=8 actions=output:7,output:8,resubmit(7,3),LOCAL"
    );
    assert_eq!(
        show_flow(&flow, Shown::default(), &Office),
        "table=acl, in_port=\"a-b\" actions=output:eth0,output:\"a-b\",resubmit(eth0,acl),LOCAL"
    );
}

#[test]
fn counters_print_as_they_were_dumped() {
    for line in [
        "cookie=0x0, duration=0.013s, table=0, n_packets=0, n_bytes=0, idle_age=0, priority=0 \
         actions=NORMAL",
        "cookie=0x5, duration=12.000000001s, table=1, n_packets=3, n_bytes=4, idle_timeout=5, \
         hard_timeout=9, send_flow_rem importance=3, idle_age=1, hard_age=2, tcp actions=output:1",
    ] {
        let read = parse_flow(line, Form::Flow, &NoNames).unwrap();
        let stats = read.stats;
        let shown = Shown {
            stats: Some(&stats),
        };
        assert_eq!(show_flow(&read.into_flow(), shown, &NoNames), line);
    }
}

#[test]
fn errors_point_at_what_is_wrong_and_tell_what_is_right() {
    for (text, expected) in [
        (
            "tcp,nw_scr=1.2.3.4,actions=drop",
            "column 5: there is no field \"nw_scr\"; did you mean \"nw_src\"?\n  \
             tcp,nw_scr=1.2.3.4,actions=drop\n      ^^^^^^",
        ),
        (
            "tp_dst=80 actions=drop",
            "column 1: tcp_dst needs tcp or tcp6\n  tp_dst=80 actions=drop\n  ^^^^^^^^^",
        ),
        (
            "actions=ouput:1",
            "column 9: there is no action \"ouput\"; did you mean \"output\"?\n  \
             actions=ouput:1\n          ^^^^^",
        ),
        (
            "actions=goto_table:3,1",
            "column 22: the order must be: actions, clear_actions, write_actions, \
             write_metadata, goto_table\n  actions=goto_table:3,1\n                       ^",
        ),
        (
            "actions=load:0x1ff->reg0[0..7]",
            "column 14: \"0x1ff\" is not a value of 8 bits\n  \
             actions=load:0x1ff->reg0[0..7]\n               ^^^^^",
        ),
        (
            "ip,nw_src=1.2.3.4.5,actions=drop",
            "column 11: \"1.2.3.4.5\" is not a value of ip_src: expected an address such as \
             10.0.0.1 or 10.0.0.0/8\n  ip,nw_src=1.2.3.4.5,actions=drop\n            ^^^^^^^^^",
        ),
    ] {
        assert_eq!(refusal(text), expected);
    }
}

#[test]
fn what_may_not_be_is_refused() {
    for (text, reason) in [
        ("tcp", "needs actions="),
        ("table=255,actions=drop", "from 0 to 254"),
        ("priority=65536,actions=drop", "from 0 to 65535"),
        ("cookie=1/1,actions=drop", "can't have a mask"),
        ("out_port=1,actions=drop", "selects flows"),
        ("nw_proto=6/7,ip,actions=drop", "with a mask"),
        ("in_port=nobody,actions=drop", "port's number"),
        ("reg0,actions=drop", "needs a value"),
        ("actions=drop,1", "stand alone"),
        ("actions=resubmit(,)", "port or a table"),
        ("actions=set_field:1->eth_type", "read-only"),
        ("actions=set_field:0/0->reg0", "changes nothing"),
        ("actions=move:reg0->xreg1", "same width"),
        ("actions=load:1->reg0[40]", "no bit 40"),
        ("actions=load:1->reg0[5..3]", "lower one first"),
        ("actions=mod_vlan_vid:4096", "0 to 4095"),
        ("actions=conjunction(1,3/2)", "clause from 1"),
        ("actions=ct(exec(load:1->reg0))", "ct_mark and ct_label"),
        ("actions=ct(nat(src=1.2.3.4,dst=1.2.3.4))", "not both"),
        ("actions=clone(1", "never closed"),
        ("actions=check_pkt_larger(1)->reg0", "FIELD[BIT]"),
        ("actions=learn(NXM_OF_ETH_SRC[]=reg0[])", "same width"),
        ("actions=output(port=1,max_len=1)", "at least 14"),
        ("actions=apply_actions(1)", "without apply_actions"),
        ("actions=write_metadata:1,write_metadata:1", "once only"),
        ("actions=NONE", "no action"),
        (
            "icmp6,icmp_type=135,icmp_code=1,nd_target=::1,actions=drop",
            "icmp_type=135",
        ),
    ] {
        let refusal = refusal(text);
        assert!(refusal.contains(reason), "{text}: {refusal}");
    }
}

#[test]
fn changes_and_filters_have_forms_of_their_own() {
    let (command, text) = parse_flow_line(
        "delete_strict table=3,cookie=0x5/-1,out_port=LOCAL,out_group=3,priority=7,tcp",
        &NoNames,
    )
    .unwrap();
    assert_eq!(command, Command::DeleteStrict);
    assert_eq!(text.cookie, Some((5, u64::MAX)));
    assert_eq!((text.table, text.priority), (Some(3), Some(7)));
    assert_eq!(
        (text.out_port, text.out_group),
        (Some(OfPort::LOCAL), Some(3))
    );
    assert_eq!(text.matching.to_string(), "tcp");
    let (command, text) = parse_flow_line(" modify cookie=1/3 actions=2", &NoNames).unwrap();
    assert_eq!((command, text.cookie), (Command::Modify, Some((1, 3))));
    assert!(parse_flow_line("delete tcp,actions=1", &NoNames).is_err());
    let (command, _) = parse_flow_line("in_port=1 actions=2", &NoNames).unwrap();
    assert_eq!(command, Command::Add);
}

#[test]
fn groups_print_as_they_were_dumped() {
    for (text, printed) in [
        (
            "group_id=5,type=select,bucket=weight:5,actions=output:1,bucket=output:2",
            "group_id=5,type=select,bucket=bucket_id:0,weight:5,actions=output:1,\
             bucket=bucket_id:1,actions=output:2",
        ),
        (
            "group_id=5,type=select,selection_method=hash,fields(ip_src,tcp_dst),\
             selection_method_param=7,bucket=bucket_id:3,weight:5,output:1,output:2",
            "group_id=5,type=select,selection_method=hash,selection_method_param=7,\
             fields(ip_src,tcp_dst),bucket=bucket_id:3,weight:5,actions=output:1,output:2",
        ),
        (
            "group_id=6,type=select,selection_method=hash,\
             fields(eth_dst,ip_src=255.255.0.0,tcp_src),bucket=1",
            "group_id=6,type=select,selection_method=hash,\
             fields(eth_dst,ip_src=255.255.0.0,tcp_src),bucket=bucket_id:0,actions=output:1",
        ),
        (
            "group_id=7,type=fast_failover,bucket=watch_port:1,actions=1",
            "group_id=7,type=ff,bucket=bucket_id:0,watch_port:1,actions=output:1",
        ),
        (
            "group_id=10,type=all,bucket=weight:0,ct(commit),bucket=bucket_id=7,actions=clone(1)",
            "group_id=10,type=all,bucket=bucket_id:0,actions=ct(commit),\
             bucket=bucket_id:7,actions=clone(output:1)",
        ),
        ("group_id=10,type=all", "group_id=10,type=all"),
    ] {
        let group = parse_group(text, &NoNames).unwrap();
        assert_eq!(group.to_string(), printed);
        assert_eq!(parse_group(printed, &NoNames).unwrap().to_string(), printed);
    }
    for bad in [
        "type=all",
        "group_id=1",
        "group_id=1,type=bogus",
        "group_id=0xffffffff,type=all",
        "group_id=1,type=indirect",
        "group_id=1,type=all,bucket=bucket_id:5,1,bucket=bucket_id:5,2",
        "group_id=1,type=all,selection_method=hash",
    ] {
        assert!(parse_group(bad, &NoNames).is_err(), "{bad} was taken");
    }
}

#[test]
fn meters_print_as_they_were_dumped() {
    let text = "meter=1,pktps,burst,stats,bands=type=drop,rate=100,burst_size=5,type=drop,rate=9";
    let printed = "meter=1 pktps burst stats bands=\ntype=drop rate=100 burst_size=5\n\
                   type=drop rate=9";
    assert_eq!(parse_meter(text).unwrap().to_string(), printed);
    assert_eq!(parse_meter(printed), parse_meter(text));
    for bad in [
        "meter=3,band=type=drop,rate=1",
        "meter=3,kbps",
        "meter=3,kbps,band=type=drop",
        "meter=0,kbps,band=type=drop,rate=1",
        "kbps,band=type=drop,rate=1",
        "meter=1,kbps,band=type=dscp_remark,rate=1",
    ] {
        assert!(parse_meter(bad).is_err(), "{bad} was taken");
    }
}
