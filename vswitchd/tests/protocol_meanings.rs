//! What controllers ask of ports and tables, as packets feel it: the same to our switch and to the
//! real `ovs-vswitchd --enable-dummy` (needs Open vSwitch installed, no root).

#![allow(clippy::unwrap_used, clippy::panic)]
// The other tests use what this one doesn't.
#![allow(dead_code)]

mod sim;

use sim::{Pair, Switch};

const PORTS: [&str; 4] = ["p1", "p2", "p3", "p4"];
const IP: &str = "eth_type(0x0800),ipv4(src=10.0.0.2,dst=10.0.0.1,tos=0,ttl=64,frag=no,proto=17),\
                  udp(src=8,dst=9)";

/// Both, with a bridge whose ports capture what they get, and no flow.
fn pair() -> Pair {
    let pair = Pair::start();
    let mut line = "add-br br0 -- set bridge br0 datapath_type=dummy fail_mode=secure \
                    other-config:hwaddr=aa:55:aa:55:00:00 other-config:forward-bpdu=true"
        .to_owned();
    for (at, port) in PORTS.iter().enumerate() {
        let number = at + 1;
        line += &format!(
            " -- add-port br0 {port} -- set interface {port} type=dummy ofport_request={number} \
             options:tx_pcap={port}-tx.pcap"
        );
    }
    pair.each(|switch| drop(switch.vsctl(&line)));
    pair
}

/// Has a frame come from p1, of which nothing is remembered: the real switch keeps what it did with
/// another one, even where that depends on the address.
fn receive(pair: &Pair, dst: &str, rest: &str) {
    let packet = format!("in_port(1),eth(src=50:54:00:00:00:09,dst={dst}),{rest}");
    pair.each(|switch| {
        switch.appctl("revalidator/purge");
        switch.receive("p1", &packet);
    });
}

/// Has the same come from p1, digit by digit.
fn receive_frame(pair: &Pair, frame: &str) {
    pair.each(|switch| {
        switch.appctl("revalidator/purge");
        switch.receive("p1", frame);
    });
}

/// Compares what left by all ports so far.
fn same_captures(pair: &Pair, when: &str) {
    for port in PORTS {
        let file = format!("{port}-tx.pcap");
        pair.same(&format!("{file} {when}"), |switch| switch.captured(&file));
    }
}

fn ofctl(pair: &Pair, arguments: &str) {
    pair.each(|switch| drop(switch.succeeds("ovs-ofctl", arguments)));
}

/// How many frames left by each port so far.
fn frames(switch: &Switch) -> [usize; 4] {
    PORTS.map(|port| switch.captured(&format!("{port}-tx.pcap")).len())
}

#[test]
fn what_controllers_ask_of_ports_is_done_to_packets_alike() {
    let pair = pair();
    let to_bridges = "01:80:c2:00:00:00";
    // With a length instead of a type.
    let spanning_tree = "0180c20000005054000000090026424203000000000000000000000000000000";
    let kinds = [
        ("eth_type(0x88b5)", "NORMAL"),
        ("eth_type(0x88b6)", "FLOOD"),
        ("eth_type(0x88b7)", "ALL"),
        ("eth_type(0x88b8)", "2,3"),
    ];
    for (rest, actions) in kinds {
        let kind = rest.replace("eth_type(", "").replace(')', "");
        ofctl(
            &pair,
            &format!("add-flow br0 dl_type={kind},actions={actions}"),
        );
    }
    ofctl(&pair, "add-flow br0 dl_type=0x5ff,actions=4");
    let mut moved = Vec::new();
    for config in [
        "p3 no-flood",
        "p1 no-receive",
        "p1 no-receive-stp",
        "p3 no-forward",
        "p1 no-flood",
    ] {
        ofctl(&pair, &format!("mod-port br0 {config}"));
        for (rest, _) in kinds {
            for dst in ["50:54:00:00:00:0a", to_bridges] {
                receive(&pair, dst, rest);
                same_captures(&pair, &format!("{config}, {rest} to {dst}"));
            }
        }
        receive_frame(&pair, spanning_tree);
        same_captures(&pair, &format!("{config}, spanning tree"));
        let out = "packet-out br0 in_port=p1,packet=5054000000ee50540000000912340102,actions=2";
        ofctl(&pair, out);
        same_captures(&pair, &format!("{config}, packet-out"));
        moved.push(frames(&pair.ours));
        ofctl(
            &pair,
            &format!("mod-port br0 {}", config.replace("no-", "")),
        );
    }
    let ours = moved.last().unwrap();
    assert!(ours.iter().skip(1).all(|frames| *frames > 8), "{moved:?}");
}

/// A controller that listens for packets, and what it was told of them: reasons and tables.
struct Listener {
    pair: Pair,
    children: Vec<std::process::Child>,
}

impl Listener {
    fn start(pair: Pair, arguments: &str) -> Listener {
        let monitor = |switch: &Switch| switch.monitor_with("monitor.txt", arguments);
        let children = vec![monitor(&pair.ours), monitor(&pair.real)];
        Listener { pair, children }
    }

    /// Compares what has come since the last time, which is so many packets.
    fn same(&self, so_far: usize, what: &str) {
        self.pair
            .ours
            .succeeds("ovs-appctl", &self.pair.ours.monitored("ofctl/barrier"));
        let told = |switch: &Switch| {
            let text = std::fs::read_to_string(switch.path("monitor.txt")).unwrap();
            let lines = text.lines().filter(|line| line.contains("(via "));
            let lines = lines.map(|line| line.replace("(xid=0x0)", ""));
            lines.collect::<Vec<String>>()
        };
        self.pair.same(what, told);
        let ours = told(&self.pair.ours);
        assert_eq!(ours.len(), so_far, "{what}: {ours:#?}");
    }

    fn end(mut self) -> Pair {
        for child in &mut self.children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        self.pair
    }
}

#[test]
fn packets_without_a_flow_come_to_those_who_expect_them_alike() {
    let to = "50:54:00:00:00:0a";
    let new = Listener::start(pair(), "-O OpenFlow13 monitor br0 65534");
    receive(&new.pair, to, IP);
    new.same(0, "OpenFlow 1.3");
    drop(new.end());
    for version in ["OpenFlow10", "OpenFlow11", "OpenFlow12"] {
        let old = Listener::start(pair(), &format!("-O {version} monitor br0 65534"));
        receive(&old.pair, to, IP);
        old.same(1, version);
        let ofctl = |line: &str| ofctl(&old.pair, line);
        ofctl("add-flow br0 actions=controller");
        receive(&old.pair, to, IP);
        old.same(2, "by a flow");
        ofctl("add-flow br0 actions=resubmit(,5)");
        receive(&old.pair, to, IP);
        old.same(2, "behind a resubmit");
        ofctl("-O OpenFlow13 add-flow br0 actions=goto_table:5");
        receive(&old.pair, to, IP);
        old.same(3, "behind a goto");
        ofctl("del-flows br0");
        ofctl("-O OpenFlow11 mod-table br0 0 drop");
        receive(&old.pair, to, IP);
        old.same(3, "table 0 drops");
        ofctl("-O OpenFlow11 mod-table br0 0 continue");
        ofctl("-O OpenFlow11 mod-table br0 1 continue");
        ofctl("-O OpenFlow11 mod-table br0 2 controller");
        receive(&old.pair, to, IP);
        old.same(4, "from table 2");
        ofctl("mod-port br0 p1 no-packet-in");
        receive(&old.pair, to, IP);
        old.same(4, "no-packet-in");
        ofctl("add-flow br0 table=2,actions=controller");
        receive(&old.pair, to, IP);
        old.same(5, "a flow of table 2");
        ofctl("packet-out br0 in_port=p1,packet=5054000000ee50540000000912340102,actions=table");
        old.same(6, "of a packet-out");
        drop(old.end());
    }
}

/// Whether a flow is taken.
fn adds(switch: &Switch, flow: &str) -> bool {
    let added = switch.run("ovs-ofctl", &format!("-O OpenFlow14 add-flow br0 {flow}"));
    added.status.success()
}

fn flows(switch: &Switch) -> Vec<String> {
    let dump = switch.succeeds("ovs-ofctl", "--no-stats -O OpenFlow14 dump-flows br0");
    let mut lines: Vec<String> = dump.lines().map(|line| line.trim().to_owned()).collect();
    lines.retain(|line| !line.contains("OFPST_FLOW"));
    lines.sort();
    lines
}

/// What the first tables are called, and how many flows they say to have room for.
fn tables(switch: &Switch) -> Vec<String> {
    let told = switch.succeeds("ovs-ofctl", "-O OpenFlow13 dump-table-features br0");
    let lines = told.lines().map(|line| line.trim().to_owned());
    let about = |line: &String| line.starts_with("table ") || line.contains("max_entries");
    lines.filter(about).take(8).collect()
}

#[test]
fn rows_name_tables_and_limit_them_alike() {
    let pair = pair();
    let vsctl = |line: &str| pair.each(|switch| drop(switch.vsctl(line)));
    let add = |flow: &str| {
        pair.same(flow, |switch| adds(switch, flow));
        pair.same("flows", flows);
    };
    vsctl(
        "set bridge br0 flow_tables:0=@t0 flow_tables:1=@t1 -- --id=@t0 create Flow_Table \
         name=classify flow_limit=2 prefixes=ip_dst -- --id=@t1 create Flow_Table name=forward",
    );
    pair.same("names and limits", tables);
    assert!(
        tables(&pair.ours)[0].contains("classify"),
        "{:?}",
        tables(&pair.ours)
    );
    add("in_port=1,actions=2");
    add("in_port=2,hard_timeout=900,importance=3,actions=1");
    add("in_port=3,actions=1");
    assert_eq!(flows(&pair.ours).len(), 2);
    add("in_port=1,actions=3");
    vsctl("set Flow_Table classify overflow_policy=evict");
    add("in_port=3,actions=1");
    assert_eq!(flows(&pair.ours).len(), 2, "{:?}", flows(&pair.ours));
    add("in_port=4,actions=1");
    vsctl("clear Flow_Table classify flow_limit");
    for port in 4..=6 {
        add(&format!(
            "in_port={port},idle_timeout=600,importance={port},actions=1"
        ));
    }
    assert_eq!(flows(&pair.ours).len(), 5);
    vsctl("set Flow_Table classify flow_limit=3");
    pair.same("too many have gone", flows);
    assert_eq!(flows(&pair.ours).len(), 3);
    vsctl("clear bridge br0 flow_tables");
    pair.same("neither names nor limits", tables);
    add("in_port=2,actions=1");
    add("in_port=4,actions=1");
}
