//! The sim datapath beside the real `ovs-vswitchd --enable-dummy`: the same configuration, the same
//! packets, the same questions by unmodified clients (needs Open vSwitch installed, no root).

#![allow(clippy::unwrap_used, clippy::panic)]

mod sim;

use std::process::Stdio;

use sim::{Pair, Switch};

/// Ports of a bridge that capture what they get.
fn bridge(ports: &[&str]) -> String {
    let mut line = "add-br br0 -- set bridge br0 datapath_type=dummy \
                    other-config:hwaddr=aa:55:aa:55:00:00"
        .to_owned();
    for (at, port) in ports.iter().enumerate() {
        let number = at + 1;
        line += &format!(
            " -- add-port br0 {port} -- set interface {port} type=dummy ofport_request={number} \
             options:tx_pcap={port}-tx.pcap options:rxq_pcap={port}-rx.pcap"
        );
    }
    line
}

const STATIONS: &str = "eth(src=50:54:00:00:00:09,dst=50:54:00:00:00:0a)";
const BACK: &str = "eth(src=50:54:00:00:00:0a,dst=50:54:00:00:00:09)";

fn packet(ethernet: &str, rest: &str) -> String {
    format!("in_port(1),{ethernet},{rest}")
}

/// Packets of every kind, as both are to make them of their fields.
fn packets() -> Vec<String> {
    let ip = "eth_type(0x0800),ipv4(src=10.0.0.2,dst=10.0.0.1,tos=5,ttl=64,frag=no";
    let ipv6 = "eth_type(0x86dd),ipv6(src=fe80::1,dst=fe80::2,label=0,tclass=3,hlimit=128,frag=no";
    let rests = [
        "eth_type(0x1234)".to_owned(),
        "eth_type(0x1234) --len 100".to_owned(),
        "eth_type(0x0806),arp(sip=1.1.1.1,tip=2.2.2.2,op=1,sha=50:54:00:00:00:09,\
         tha=00:00:00:00:00:00)"
            .to_owned(),
        format!("{ip},proto=17),udp(src=8,dst=9)"),
        format!("{ip},proto=6),tcp(src=8,dst=9),tcp_flags(ack)"),
        format!("{ip},proto=6),tcp(src=8,dst=9) --len 70"),
        format!("{ip},proto=1),icmp(type=8,code=0)"),
        format!("{ip},proto=47)"),
        format!("{ipv6},proto=17),udp(src=8,dst=9)"),
        format!("{ipv6},proto=58),icmpv6(type=128,code=0)"),
        format!(
            "{ipv6},proto=58),icmpv6(type=135,code=0),nd(target=fe80::3,\
             sll=50:54:00:00:00:09,tll=00:00:00:00:00:00)"
        ),
        format!("eth_type(0x8100),vlan(vid=9,pcp=3),encap({ip},proto=17),udp(src=8,dst=9))"),
        "eth_type(0x8847),mpls(label=100,tc=7,ttl=64,bos=1)".to_owned(),
    ];
    rests.iter().map(|rest| packet(STATIONS, rest)).collect()
}

#[test]
fn packets_are_made_and_switched_alike() {
    let pair = Pair::start();
    pair.each(|switch| drop(switch.vsctl(&bridge(&["p1", "p2", "p3"]))));
    for packet in packets() {
        pair.each(|switch| switch.receive("p1", &packet));
        pair.same(&packet, |switch| switch.captured("p1-rx.pcap"));
        pair.same(&packet, |switch| switch.captured("p2-tx.pcap"));
    }
    pair.each(|switch| switch.receive("p2", &packet(BACK, "eth_type(0x1234)")));
    for file in ["p1-tx.pcap", "p2-rx.pcap", "p3-tx.pcap"] {
        pair.same(file, |switch| switch.captured(file));
    }
    for statistics in ["p1", "p2", "p3", "br0"] {
        let counts =
            format!("get interface {statistics} statistics:rx_packets statistics:tx_bytes");
        // Both write them every few seconds only; a stopped clock that is put forward is quicker.
        pair.each(|switch| assert_eq!(switch.appctl("time/warp 6000"), "warped\n"));
        pair.same(&counts, |switch| switch.vsctl(&counts));
    }
}

#[test]
fn addresses_are_learned_aged_and_told_alike() {
    let pair = Pair::start();
    pair.each(|switch| {
        switch.vsctl(&bridge(&["p1", "p2"]));
        switch.vsctl("set bridge br0 other-config:mac-aging-time=60");
        assert_eq!(switch.appctl("time/stop"), "");
        switch.receive("p1", &packet(STATIONS, "eth_type(0x1234)"));
        switch.receive(
            "p1",
            &packet(STATIONS, "eth_type(0x8100),vlan(vid=7,pcp=0)"),
        );
        switch.receive("p2", &packet(BACK, "eth_type(0x1234)"));
    });
    pair.same("learned", |switch| switch.appctl("fdb/show br0"));
    pair.each(|switch| assert_eq!(switch.appctl("time/warp 10000 1000"), "warped\n"));
    pair.same("older", |switch| switch.appctl("fdb/show br0"));
    for line in [
        "fdb/add br0 p1 0 50:54:00:00:00:01",
        "fdb/del br0 0 50:54:00:00:00:02",
        "fdb/add x p1 5 50:54:00:00:00:01",
        "fdb/add br0 p1 5 50:54:00",
        "fdb/show br0",
        "fdb/stats-show br0",
    ] {
        pair.same(line, |switch| switch.appctl(line));
    }
    pair.each(|switch| switch.receive("p1", &packet(BACK, "eth_type(0x1234)")));
    pair.same("moved", |switch| switch.appctl("fdb/show br0"));
    pair.each(|switch| assert_eq!(switch.appctl("time/warp 61000 1000"), "warped\n"));
    for line in [
        "fdb/show br0",
        "fdb/stats-show br0",
        "fdb/stats-clear br0",
        "fdb/stats-show br0",
        "fdb/del br0 0 50:54:00:00:00:01",
        "fdb/show br0",
        "fdb/flush br0",
        "fdb/flush x",
        "fdb/show x",
        "fdb/stats-show x",
        "fdb/stats-clear x",
    ] {
        pair.same(line, |switch| switch.appctl(line));
    }
}

/// What leaves by queues with a DSCP. Numbers of queues are the packet's priority there, which is 0
/// before one is chosen: only other queues than 0 are compared.
#[test]
fn queues_mark_packets_alike() {
    let pair = Pair::start();
    pair.each(|switch| {
        switch.vsctl(&bridge(&["p1", "p2", "p3"]));
        switch.vsctl("set port p3 tag=7");
        for (port, kind, dscp) in [("p2", "linux-htb", 46), ("p3", "linux-noop", 10)] {
            switch.vsctl(&format!(
                "set port {port} qos=@q -- --id=@q create QoS type={kind} queues:1=@a queues:2=@b \
                 -- --id=@a create Queue dscp={dscp} -- --id=@b create Queue dscp=0"
            ));
        }
        switch.vsctl(
            "add-br br1 -- set bridge br1 datapath_type=dummy \
             -- add-port br1 q1 -- set interface q1 type=dummy options:tx_pcap=q1-tx.pcap \
             -- add-port br1 pa -- set interface pa type=patch options:peer=pb \
             -- add-port br0 pb -- set interface pb type=patch options:peer=pa ofport_request=9",
        );
        switch.vsctl(
            "set port q1 qos=@q -- --id=@q create QoS type=nonsense queues:1=@a \
             -- --id=@a create Queue dscp=33",
        );
    });
    for actions in [
        "output:2,output:3",
        "set_queue:1,output:2,output:3,output:9",
        "set_queue:1,NORMAL",
        "set_queue:2,mod_nw_tos:64,output:2,output:3,output:9",
        "enqueue:2:1,output:2,output:3",
        "set_queue:1,output:2,pop_queue,output:2,output:9",
        "set_queue:3,ALL",
        "set_queue:1,push_vlan:0x8100,output:2,push_mpls:0x8847,output:2",
    ] {
        pair.each(|switch| {
            switch.succeeds("ovs-ofctl", "del-flows br0 -OOpenFlow13");
            let flow = format!("add-flow br0 -OOpenFlow13 ip,actions={actions}");
            let flow6 = format!("add-flow br0 -OOpenFlow13 ipv6,actions={actions}");
            for flow in [flow, flow6] {
                switch.succeeds("ovs-ofctl", &flow);
            }
            for packet in packets() {
                switch.receive("p1", &packet);
            }
        });
        for port in ["p2", "p3", "q1"] {
            let file = format!("{port}-tx.pcap");
            pair.same(&format!("{port}: {actions}"), |switch| {
                switch.captured(&file)
            });
        }
    }
}

#[test]
fn vlans_and_patch_ports_alike() {
    let pair = Pair::start();
    pair.each(|switch| {
        switch.vsctl(&bridge(&["p1", "p2", "p3", "p4"]));
        switch.vsctl("set port p2 tag=7 -- set port p3 trunks=7,8 -- set port p4 tag=9");
        switch.vsctl(
            "add-br br1 -- set bridge br1 datapath_type=dummy \
             -- add-port br1 q9 -- set interface q9 type=dummy options:tx_pcap=q9-tx.pcap \
             ofport_request=1 \
             -- add-port br1 pa -- set interface pa type=patch options:peer=pb ofport_request=2 \
             -- add-port br0 pb -- set interface pb type=patch options:peer=pa",
        );
        switch.appctl("time/stop");
        for (vid, pcp) in [(0, 0), (7, 1), (8, 0), (9, 7)] {
            let tag = format!("vlan(vid={vid},pcp={pcp})");
            let tagged = format!("eth_type(0x8100),{tag},encap(eth_type(0x1234))");
            switch.receive("p1", &packet(STATIONS, &tagged));
        }
        switch.receive("p2", &packet(BACK, "eth_type(0x1234)"));
        switch.receive("q9", &packet(BACK, "eth_type(0x1234)"));
    });
    for port in ["p1", "p2", "p3", "p4", "q9"] {
        let file = format!("{port}-tx.pcap");
        pair.same(&file, |switch| switch.captured(&file));
    }
    pair.same("br0", |switch| switch.appctl("fdb/show br0"));
    pair.same("br1", |switch| switch.appctl("fdb/show br1"));
}

#[test]
fn questions_are_answered_alike() {
    let pair = Pair::start();
    pair.each(|switch| {
        switch.vsctl(&bridge(&["p1", "p2"]));
        switch.vsctl("set interface p2 options:ifindex=1010");
        switch.vsctl(
            "add-br br1 -- set bridge br1 datapath_type=dummy \
             -- add-port br1 pa -- set interface pa type=patch options:peer=pb \
             -- add-port br0 pb -- set interface pb type=patch options:peer=pa ofport_request=5",
        );
    });
    for line in [
        "ofproto/list",
        "dpif/show",
        "dpif/dump-dps",
        "dpctl/show",
        "dpctl/show -s",
        "dpctl/show dummy@x",
        "dpctl/dump-flows",
        "dpctl/dump-flows x",
        "dpif/dump-flows br0",
        "dpif/dump-flows x",
        "dpctl/dump-dps",
        "qos/show p1",
        "qos/show x",
        "qos/show-types p1",
        "revalidator/wait",
        "revalidator/purge",
        "netdev-dummy/receive",
        "netdev-dummy/receive x y",
        "netdev-dummy/receive p1 y",
        "netdev-dummy/receive p1 5054000000",
        "netdev-dummy/receive p1 in_port(1),foo(1)",
        "netdev-dummy/receive p1 --qid 5 ffffffffffff5054000000091234",
        "netdev-dummy/receive p1 eth_type(0x1234) --len 10",
        "netdev-dummy/set-admin-state x",
        "netdev-dummy/set-admin-state x up",
        "netdev-dummy/set-admin-state p1 down",
        "netdev-dummy/set-admin-state up",
        "netdev-dummy/conn-state",
        "netdev-dummy/conn-state p1",
        "time/warp x",
        "time/warp",
        "dpif/show-dp-features x",
        "ofproto/trace in_port(99)",
        "ofproto/trace in_port(1),foo(1)",
        "ofproto/trace br9 in_port=1",
    ] {
        pair.same(line, |switch| switch.appctl(line));
    }
    for line in [
        "get interface p2 ifindex mtu admin_state link_state",
        "get interface br1 ifindex mtu admin_state link_state",
        "list-ports br0",
    ] {
        pair.same(line, |switch| switch.vsctl(line));
    }
    pair.each(|switch| {
        assert_eq!(
            switch.appctl("netdev-dummy/set-admin-state p1 down"),
            "OK\n"
        )
    });
    let state = "get interface p1 admin_state";
    pair.same(state, |switch| switch.vsctl(state));
}

#[test]
fn a_missing_device_is_told_alike() {
    let pair = Pair::start();
    pair.each(|switch| {
        switch.vsctl("add-br br0 -- set bridge br0 datapath_type=dummy");
        let output = switch.run("ovs-vsctl", "add-port br0 eth77");
        assert!(output.status.success());
    });
    let error = "get interface eth77 error ofport";
    pair.same(error, |switch| switch.vsctl(error));
    // With a simulated host every device is there.
    for options in [&["--enable-dummy=override"][..], &["--datapath", "sim"]] {
        let switch = Switch::ours(options);
        switch.vsctl("add-br br0 -- add-port br0 eth77");
        assert_eq!(switch.vsctl("get interface eth77 ofport"), "1\n");
        assert_eq!(switch.vsctl("get interface eth77 error"), "[]\n");
    }
}

#[test]
fn it_starts_as_the_real_one_is_started() {
    let real = Switch::real();
    let socket = real.path("db.sock").display().to_string();
    let ours = Switch::ours(&[
        "--enable-dummy",
        "--disable-system",
        "-vconsole:off",
        "-vANY:file:dbg",
        "--pidfile",
        "--no-chdir",
        "--log-file=sw.log",
        "--unixctl=sw.ctl",
        "unix:db.sock",
    ]);
    let control = ours.path("sw.ctl").display().to_string();
    let version = ours.succeeds("ovs-appctl", &format!("-t {control} version"));
    assert!(version.starts_with("vswitchd (Aorta)"), "{version}");
    ours.vsctl("--db=unix:db.sock add-br br0");
    for (database, words) in [
        (
            format!("unix:{socket}"),
            "another database server answers there",
        ),
        ("tcp:127.0.0.1:1".to_owned(), "serves its database itself"),
    ] {
        let other = tempfile::tempdir().unwrap();
        let mut command = real.daemon(&["--enable-dummy", &database]);
        let command = command
            .arg("--rundir")
            .arg(other.path())
            .arg("--db")
            .arg(other.path().join("conf.db"));
        let output = command.stdout(Stdio::null()).output().unwrap();
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert!(
            !output.status.success() && complaint.contains(words),
            "{complaint}"
        );
    }
}

/// What a flow has counted and does, without what depends on the time.
fn flows(switch: &Switch) -> Vec<String> {
    let dump = switch.succeeds("ovs-ofctl", "--no-stats -O OpenFlow13 dump-flows br0");
    let mut lines: Vec<String> = dump.lines().map(|line| line.trim().to_owned()).collect();
    lines.retain(|line| !line.contains("OFPST_FLOW"));
    lines.sort();
    lines
}

/// How many packets each flow of a table has counted, in the order of `ovs-ofctl`.
fn packets_of_flows(switch: &Switch) -> Vec<String> {
    let dump = switch.succeeds("ovs-ofctl", "dump-flows br0");
    let words = dump.split([' ', ',']);
    let counts =
        words.filter(|word| word.starts_with("n_packets=") || word.starts_with("n_bytes="));
    let mut counts: Vec<String> = counts.map(str::to_owned).collect();
    counts.sort();
    counts
}

#[test]
fn flows_do_the_same_to_packets() {
    let pair = Pair::start();
    let ip = "eth_type(0x0800),ipv4(src=10.0.0.2,dst=10.0.0.1,tos=0,ttl=64,frag=no";
    pair.each(|switch| {
        switch.vsctl(&bridge(&["p1", "p2", "p3"]));
        switch.vsctl("set bridge br0 fail-mode=secure");
        switch.appctl("time/stop");
        switch.succeeds("ovs-ofctl", "del-flows br0");
        for group in [
            "group_id=1,type=all,bucket=output:2,bucket=set_field:9->tcp_dst,output:3",
            "group_id=2,type=indirect,bucket=dec_ttl,group:1",
        ] {
            let add = format!("-O OpenFlow13 add-group br0 {group}");
            switch.succeeds("ovs-ofctl", &add);
        }
        for flow in [
            "priority=9,udp,actions=mod_nw_dst:1.2.3.4,mod_vlan_vid:7,output:2",
            "priority=9,tcp,actions=group:2",
            "priority=9,icmp,actions=dec_ttl,load:5->NXM_NX_REG0[],resubmit(,1)",
            "priority=9,arp,actions=drop",
            "table=1,reg0=5,actions=in_port,output:3",
            "priority=1,actions=NORMAL",
            "priority=15,dl_type=0x88b6,actions=learn(table=2,hard_timeout=60,\
             NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[]),output:2",
            "priority=20,dl_type=0x88b5,hard_timeout=30,idle_timeout=10,actions=output:2",
        ] {
            switch.succeeds("ovs-ofctl", &format!("-O OpenFlow13 add-flow br0 {flow}"));
        }
    });
    pair.same("flows", flows);
    for rest in [
        format!("{ip},proto=17),udp(src=8,dst=9)"),
        format!("{ip},proto=6),tcp(src=8,dst=80)"),
        format!("{ip},proto=1),icmp(type=8,code=0)"),
        "eth_type(0x0806),arp(sip=1.1.1.1,tip=2.2.2.2,op=1)".to_owned(),
        "eth_type(0x88b5)".to_owned(),
        "eth_type(0x88b6)".to_owned(),
        "eth_type(0x1234)".to_owned(),
    ] {
        pair.each(|switch| switch.receive("p1", &packet(STATIONS, &rest)));
        for port in ["p1", "p2", "p3"] {
            let file = format!("{port}-tx.pcap");
            pair.same(&format!("{file} after {rest}"), |switch| {
                switch.captured(&file)
            });
        }
    }
    // The real switch writes counters back once a second.
    pair.each(|switch| assert_eq!(switch.appctl("time/warp 5000 500"), "warped\n"));
    pair.same("counts", packets_of_flows);
    pair.each(|switch| assert_eq!(switch.appctl("time/warp 12000 500"), "warped\n"));
    pair.same("after the idle timeout", flows);
    let out = format!("packet-out br0 in_port=1,packet={FRAME},actions=output:3,NORMAL");
    pair.each(|switch| drop(switch.succeeds("ovs-ofctl", &out)));
    for port in ["p1", "p2", "p3"] {
        let file = format!("{port}-tx.pcap");
        pair.same(&format!("{file} after a packet-out"), |switch| {
            switch.captured(&file)
        });
    }
}

/// A frame to a station that nobody has heard of.
const FRAME: &str = "5054000000ee50540000000912340102";

#[test]
fn packets_for_controllers_are_told_alike() {
    let pair = Pair::start();
    let file = "monitor.txt";
    pair.each(|switch| {
        switch.vsctl(&bridge(&["p1", "p2"]));
        switch.succeeds(
            "ovs-ofctl",
            "add-flow br0 priority=9,cookie=0x7,udp,actions=controller",
        );
    });
    let (mut ours, mut real) = (pair.ours.monitor(file), pair.real.monitor(file));
    let udp = "eth_type(0x0800),ipv4(src=10.0.0.2,dst=10.0.0.1,proto=17,tos=0,ttl=64,frag=no),\
               udp(src=8,dst=9)";
    pair.each(|switch| switch.receive("p1", &packet(STATIONS, udp)));
    // What ours is told has come when its barrier is answered.
    pair.ours
        .succeeds("ovs-appctl", &pair.ours.monitored("ofctl/barrier"));
    let told = |switch: &Switch| {
        let text = std::fs::read_to_string(switch.path(file)).unwrap();
        let lines = text.lines().map(|line| line.trim().to_owned());
        let lines = lines.filter(|line| line.contains("cookie=0x7") || line.starts_with("udp,"));
        lines
            .map(|line| line.replace("(xid=0x0)", ""))
            .collect::<Vec<_>>()
    };
    assert_eq!(told(&pair.ours).len(), 2);
    pair.same("packet-in", told);
    for monitor in [&mut ours, &mut real] {
        monitor.kill().unwrap();
        monitor.wait().unwrap();
    }
}

/// A frame goes through wires: from a device to another of the same switch, to the real one, and
/// back.
#[test]
fn wires_lead_from_switch_to_switch() {
    let pair = Pair::start();
    let option = |port: &str, option: &str| format!(" -- set interface {port} options:{option}");
    let mut line = bridge(&["p1", "p2", "p3", "p4", "p5"]);
    for (port, value) in [
        ("p1", "punix:p1.sock"),
        ("p2", "punix:p2.sock"),
        ("p5", "punix:p5.sock"),
    ] {
        line += &option(port, &format!("pstream={value}"));
    }
    line += &option("p4", "stream=unix:p5.sock");
    pair.ours.vsctl(&line);
    let mut line = bridge(&["p1", "p2"]);
    for port in ["p1", "p2"] {
        let socket = pair.ours.path(&format!("{port}.sock"));
        line += &option(port, &format!("stream=unix:{}", socket.display()));
    }
    pair.real.vsctl(&line);
    let start = std::time::Instant::now();
    let connected = |switch: &Switch, port: &str| {
        let line = format!("netdev-dummy/conn-state {port}");
        while switch.appctl(&line) != format!("{port}: connected\n") {
            assert!(
                start.elapsed().as_secs() < 30,
                "{}: no wire at {port}",
                switch.name
            );
        }
    };
    connected(&pair.ours, "p4");
    connected(&pair.real, "p1");
    connected(&pair.real, "p2");
    assert_eq!(
        pair.ours.appctl("netdev-dummy/conn-state"),
        "p4: connected\n"
    );
    assert_eq!(
        pair.ours.appctl("netdev-dummy/conn-state p1"),
        "p1: unknown\n"
    );
    // With NORMAL it would go around for ever.
    pair.each(|switch| drop(switch.succeeds("ovs-ofctl", "del-flows br0")));
    for (from, to) in [(3, 4), (5, 1), (2, 3)] {
        let flow = format!("add-flow br0 in_port={from},actions={to}");
        pair.ours.succeeds("ovs-ofctl", &flow);
    }
    pair.real
        .succeeds("ovs-ofctl", "add-flow br0 in_port=1,actions=2");
    pair.ours.receive("p3", FRAME);
    while pair.ours.captured("p3-tx.pcap").is_empty() {
        assert!(
            start.elapsed().as_secs() < 60,
            "the frame doesn't come back"
        );
    }
    assert_eq!(pair.ours.captured("p3-tx.pcap"), [FRAME]);
}
