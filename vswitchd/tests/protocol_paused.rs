//! Packets that wait for a controller and go on when it says so, compared with Debian's real
//! `ovs-vswitchd --enable-dummy`, whose `ovs-ofctl monitor … resume` is the controller of both.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
// The other tests use what this one doesn't.
#![allow(dead_code)]

mod sim;

use sim::{Pair, Switch};

const FRAME: &str = "505400000002505400000001080045000028000100004006f0c90a0000010a000002\
                     00010050000000010000000050020000000000000000";

/// Bridge br0, which is secure, with ports p1 to p4; what leaves by p2 to p4 is captured.
fn bridge(switch: &Switch) {
    let mut line = "add-br br0 -- set Bridge br0 fail_mode=secure datapath_type=dummy".to_owned();
    for port in 1..=4 {
        line += &format!(" -- add-port br0 p{port} -- set Interface p{port} type=dummy");
        line += &format!(" ofport_request={port} options:tx_pcap=p{port}.pcap");
    }
    switch.vsctl(&line);
}

fn captured(switch: &Switch) -> Vec<Vec<String>> {
    let ports = ["p2.pcap", "p3.pcap", "p4.pcap"].into_iter();
    ports.map(|port| switch.captured(port)).collect()
}

/// Whether a packet waits in a way that this many times is gone on from.
struct Case {
    name: &'static str,
    groups: &'static [&'static str],
    flows: &'static [&'static str],
    pauses: usize,
}

const CASES: &[Case] = &[
    Case {
        name: "in its own flow",
        groups: &[],
        flows: &["table=0,ip,actions=controller(pause),dec_ttl,output:2"],
        pauses: 1,
    },
    Case {
        name: "in a table that two tables have led to",
        groups: &[],
        flows: &[
            "table=0,ip,actions=load:1->NXM_NX_REG0[],resubmit(,1),output:2,mod_nw_tos:16,resubmit(,4)",
            "table=1,actions=load:2->NXM_NX_REG1[],resubmit(,2),output:3,load:9->NXM_NX_REG1[]",
            "table=2,actions=controller(pause),mod_dl_src:50:54:00:00:00:77,load:7->NXM_NX_REG2[]",
            "table=4,reg0=1,reg1=9,reg2=7,actions=output:4",
            "table=4,priority=0,ip,actions=mod_nw_tos:32,output:4",
        ],
        pauses: 1,
    },
    Case {
        name: "with values that were pushed",
        groups: &[],
        flows: &[
            "table=0,actions=load:0x55->NXM_NX_REG0[],push:NXM_NX_REG0[],push:NXM_OF_IN_PORT[],\
             resubmit(,1),pop:NXM_NX_REG3[],load:4->NXM_NX_REG0[],resubmit(,2)",
            "table=1,actions=load:0x66->NXM_NX_REG1[],push:NXM_NX_REG1[],controller(pause),\
             pop:NXM_NX_REG4[],pop:NXM_NX_REG5[]",
            "table=2,reg3=0x55,reg4=0x66,reg5=1,actions=output:2",
            "table=2,priority=0,actions=output:3",
        ],
        pauses: 1,
    },
    Case {
        name: "with an action set, and what follows in its flow",
        groups: &[],
        flows: &[
            "table=0,ip,actions=write_actions(set_field:10.9.9.9->ip_dst,output:2),goto_table:1",
            "table=1,actions=controller(pause),output:3,write_metadata:0x77,goto_table:2",
            "table=2,metadata=0x77,ip,actions=output:4,write_actions(set_field:10.8.8.8->ip_src)",
        ],
        pauses: 1,
    },
    Case {
        name: "in a bucket, while the others go on",
        groups: &["group_id=1,type=all,bucket=resubmit(,1),bucket=output:3"],
        flows: &[
            "table=0,actions=group:1,output:2",
            "table=1,actions=controller(pause),output:4",
        ],
        pauses: 1,
    },
    Case {
        name: "twice, and tells its userdata",
        groups: &[],
        flows: &[
            "table=0,actions=resubmit(,1),output:2",
            "table=1,actions=controller(pause,userdata=01.02),resubmit(,2),output:3",
            "table=2,actions=controller(pause,userdata=03),output:4",
        ],
        pauses: 2,
    },
    Case {
        name: "with its table, where it looks up its own once more",
        groups: &[],
        flows: &[
            "table=0,actions=load:1->NXM_NX_REG0[],resubmit(,1)",
            "table=1,reg0=1,actions=resubmit(,2),load:2->NXM_NX_REG0[],resubmit(3,1)",
            "table=1,reg0=2,in_port=3,actions=output:2,in_port",
            "table=2,actions=controller(pause)",
        ],
        pauses: 1,
    },
];

impl Case {
    /// What leaves by the ports.
    fn run(&self, switch: &Switch) -> Vec<Vec<String>> {
        let ofctl = |arguments: &str| {
            switch.succeeds("ovs-ofctl", &format!("-O OpenFlow13 {arguments}"));
        };
        let before: Vec<usize> = captured(switch).iter().map(Vec::len).collect();
        ofctl("del-flows br0");
        ofctl("del-groups br0");
        let add = |command: &str, lines: &[&str]| {
            for line in lines {
                ofctl(&format!("{command} br0 {line}"));
            }
        };
        add("add-group", self.groups);
        add("add-flow", self.flows);
        let mut monitor = switch.monitor_with(
            "monitor.log",
            "-O OpenFlow13 -P nxt_packet_in2 monitor br0 65534 resume",
        );
        switch.receive("p1", FRAME);
        let log = || std::fs::read_to_string(switch.path("monitor.log")).unwrap_or_default();
        let resumed = || log().matches("send: NXT_RESUME").count();
        wait_until(self.name, || resumed() == self.pauses);
        // Its answer comes behind what became of the packet.
        switch.succeeds("ovs-appctl", &switch.monitored("ofctl/barrier"));
        switch.succeeds("ovs-appctl", &switch.monitored("exit"));
        monitor.wait().unwrap();
        assert_eq!(resumed(), self.pauses, "{}: {}", self.name, log());
        let all = captured(switch).into_iter().zip(before);
        all.map(|(frames, before)| frames[before..].to_vec())
            .collect()
    }
}

fn wait_until(what: &str, met: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !met() {
        assert!(start.elapsed().as_secs() < 20, "{what}: not within 20 s");
        std::thread::yield_now();
    }
}

#[test]
fn packets_go_on_where_they_waited() {
    let pair = Pair::start();
    pair.each(bridge);
    for case in CASES {
        let (ours, real) = (case.run(&pair.ours), case.run(&pair.real));
        assert!(
            real.iter().any(|frames| !frames.is_empty()),
            "{}",
            case.name
        );
        assert_eq!(ours, real, "{}", case.name);
    }
}

#[test]
fn a_packet_knows_whether_what_it_teaches_will_be_there() {
    let pair = Pair::start();
    pair.each(bridge);
    let flows = [
        "table=0,actions=learn(table=1,limit=2,cookie=0x5,result_dst=NXM_NX_REG0[0],\
         NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[]),resubmit(,2)",
        "table=2,reg0=1,actions=output:2",
        "table=2,reg0=0,actions=output:3",
    ];
    pair.each(|switch| {
        for flow in flows {
            switch.succeeds("ovs-ofctl", &format!("add-flow br0 {flow}"));
        }
    });
    for source in ["01", "02", "03", "01", "02", "04", "03"] {
        let eth = format!("eth(src=50:54:00:00:00:{source},dst=50:54:00:00:00:ff)");
        let frame = format!("in_port(1),{eth},eth_type(0x1234)");
        pair.each(|switch| switch.receive("p1", &frame));
        pair.same(source, captured);
    }
}
