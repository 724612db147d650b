//! What guards ports on the sim datapath: allowed addresses, storm limits and policing with their drops
//! counted by reason, protected ports beside the real `ovs-vswitchd --enable-dummy` (needs Open vSwitch
//! installed, no root).

#![allow(clippy::unwrap_used, clippy::panic)]
// The other tests use what this one doesn't.
#![allow(dead_code)]

mod sim;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use sim::{Pair, Switch};

const GUEST: &str = "50:54:00:00:00:09";
const OTHER: &str = "50:54:00:00:00:0a";

fn bridge(ports: &[&str]) -> String {
    let mut line = "add-br br0 -- set bridge br0 datapath_type=dummy".to_owned();
    for (at, port) in ports.iter().enumerate() {
        let number = at + 1;
        line += &format!(
            " -- add-port br0 {port} -- set interface {port} type=dummy ofport_request={number} \
             options:tx_pcap={port}.pcap"
        );
    }
    line
}

/// A switch with ports p1 to p3, whose clock stands still.
fn switch() -> Switch {
    let switch = Switch::ours(&[]);
    switch.vsctl(&bridge(&["p1", "p2", "p3"]));
    switch.appctl("time/stop");
    switch
}

fn packet(src: &str, dst: &str, rest: &str) -> String {
    format!("in_port(1),eth(src={src},dst={dst}),{rest}")
}

fn from_guest(rest: &str) -> String {
    packet(GUEST, OTHER, rest)
}

fn ipv4(src: &str, ports: (u16, u16)) -> String {
    let (from, to) = ports;
    format!(
        "eth_type(0x0800),ipv4(src={src},dst=10.0.0.1,proto=17,tos=0,ttl=64,frag=no),\
         udp(src={from},dst={to})"
    )
}

fn icmpv6(src: &str, rest: &str) -> String {
    format!(
        "eth_type(0x86dd),ipv6(src={src},dst=ff02::1,label=0,proto=58,tclass=0,hlimit=255,frag=no),\
         icmpv6({rest}"
    )
}

fn arp(sip: &str, sha: &str) -> String {
    format!("eth_type(0x0806),arp(sip={sip},tip=10.0.0.1,op=1,sha={sha},tha=00:00:00:00:00:00)")
}

/// What the switch tells of itself in numbers.
fn metrics(switch: &Switch) -> String {
    let mut stream = UnixStream::connect(switch.path("aorta.sock")).unwrap();
    let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    page
}

/// Drops of a port by reason, as they are told.
fn drops(switch: &Switch, port: &str) -> BTreeMap<String, u64> {
    let start = format!("aorta_port_drops_total{{bridge=\"br0\",port=\"{port}\",reason=\"");
    let page = metrics(switch);
    let lines = page.lines().filter_map(|line| line.strip_prefix(&start));
    let counts = lines.map(|line| {
        let (reason, count) = line.split_once("\"} ").unwrap();
        (reason.to_owned(), count.parse().unwrap())
    });
    counts.filter(|(_, count)| *count > 0).collect()
}

fn reasons(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
    let owned = pairs
        .iter()
        .map(|(reason, count)| ((*reason).to_owned(), *count));
    owned.collect()
}

#[test]
fn addresses_that_are_not_allowed_are_dropped_and_counted_by_reason() {
    let switch = switch();
    let list = format!("{GUEST},10.0.0.2,fe80::1");
    switch.vsctl(&format!(
        "set interface p1 other_config:aorta-allowed=\"{list}\""
    ));
    let echo = "type=128,code=0)";
    let good = [
        from_guest("eth_type(0x1234)"),
        from_guest(&ipv4("10.0.0.2", (8, 9))),
        from_guest(&ipv4("0.0.0.0", (68, 67)))
            .replace(OTHER, "ff:ff:ff:ff:ff:ff")
            .replace("dst=10.0.0.1", "dst=255.255.255.255"),
        from_guest(&arp("10.0.0.2", GUEST)),
        from_guest(&icmpv6("fe80::1", echo)),
    ];
    for packet in &good {
        switch.receive("p1", packet);
    }
    assert_eq!(drops(&switch, "p1"), reasons(&[]));
    assert_eq!(switch.captured("p2.pcap").len(), good.len());
    let target = "nd(target=fe80::3,sll=00:00:00:00:00:00,tll=00:00:00:00:00:00)";
    // Two tags, in digits.
    let tagged = format!(
        "50540000000a5054000000098100000181000002{}{}",
        "1234",
        "00".repeat(46)
    );
    for (reason, packet) in [
        (
            "spoofed-mac",
            packet("50:54:00:00:00:66", OTHER, "eth_type(0x1234)"),
        ),
        ("spoofed-ipv4", from_guest(&ipv4("10.0.0.3", (8, 9)))),
        ("spoofed-ipv4", from_guest(&ipv4("0.0.0.0", (8, 9)))),
        ("dhcp-server", from_guest(&ipv4("10.0.0.2", (67, 68)))),
        ("spoofed-arp", from_guest(&arp("10.0.0.3", GUEST))),
        ("spoofed-arp", from_guest(&arp("10.0.0.2", OTHER))),
        ("spoofed-ipv6", from_guest(&icmpv6("fe80::2", echo))),
        (
            "router-advertisement",
            from_guest(&icmpv6("fe80::1", "type=134,code=0)")),
        ),
        (
            "spoofed-nd",
            from_guest(&icmpv6("fe80::1", &format!("type=136,code=0),{target}"))),
        ),
        ("nested-tags", tagged),
    ] {
        let before = drops(&switch, "p1").get(reason).copied().unwrap_or(0);
        switch.receive("p1", &packet);
        let after = drops(&switch, "p1").get(reason).copied();
        assert_eq!(after, Some(before + 1), "{packet}");
    }
    let expected = reasons(&[
        ("dhcp-server", 1),
        ("nested-tags", 1),
        ("router-advertisement", 1),
        ("spoofed-arp", 2),
        ("spoofed-ipv4", 2),
        ("spoofed-ipv6", 1),
        ("spoofed-mac", 1),
        ("spoofed-nd", 1),
    ]);
    assert_eq!(drops(&switch, "p1"), expected);
    // Nothing of them left, and nobody is known by an address that wasn't his.
    for file in ["p2.pcap", "p3.pcap"] {
        assert_eq!(switch.captured(file).len(), good.len(), "{file}");
    }
    let known = switch.appctl("fdb/show br0");
    assert!(known.contains(GUEST) && !known.contains("00:66"), "{known}");
    // A list that can't be read lets nothing in, and the row says so.
    switch.vsctl("set interface p1 other_config:aorta-allowed=nonsense");
    switch.receive("p1", &good[0]);
    assert_eq!(drops(&switch, "p1")["spoofed-mac"], 2);
    let error = switch.vsctl("get interface p1 error");
    assert!(error.contains("nothing from p1 is let in"), "{error}");
    switch.vsctl("remove interface p1 other_config aorta-allowed");
    switch.receive("p1", &good[0]);
    assert_eq!(switch.captured("p2.pcap").len(), good.len() + 1);
}

/// Packets that a device is given at once.
fn many(packet: &str, count: usize) -> String {
    vec![packet; count].join(" ")
}

#[test]
fn storms_end_and_what_was_too_much_is_counted() {
    let switch = switch();
    switch.vsctl(
        "set port p1 other_config:aorta-storm-broadcast-pps=5 \
         other_config:aorta-storm-unknown-pps=3",
    );
    let broadcast = packet(GUEST, "ff:ff:ff:ff:ff:ff", "eth_type(0x1234)");
    let unknown = packet(GUEST, "50:54:00:00:00:77", "eth_type(0x1234)");
    let group = packet(GUEST, "01:00:5e:00:00:09", "eth_type(0x1234)");
    switch.receive("p1", &many(&broadcast, 20));
    switch.receive("p1", &many(&unknown, 10));
    switch.receive("p1", &many(&group, 10));
    let counted = [("storm-broadcast", 15), ("storm-unknown", 17)];
    assert_eq!(drops(&switch, "p1"), reasons(&counted));
    assert_eq!(switch.captured("p2.pcap").len(), 5 + 3);
    // A second later there is room for as many again.
    switch.appctl("time/warp 1000 1000");
    switch.receive("p1", &many(&broadcast, 20));
    let counted = [("storm-broadcast", 30), ("storm-unknown", 17)];
    assert_eq!(drops(&switch, "p1"), reasons(&counted));
    // Who is known is no storm, and other ports have limits of their own.
    switch.receive("p2", &packet(OTHER, GUEST, "eth_type(0x1234)"));
    let sent = switch.captured("p2.pcap").len();
    switch.receive("p1", &many(&from_guest("eth_type(0x1234)"), 20));
    assert_eq!(switch.captured("p2.pcap").len(), sent + 20);
    switch.receive(
        "p2",
        &many(&packet(OTHER, "ff:ff:ff:ff:ff:ff", "eth_type(0x1234)"), 9),
    );
    assert_eq!(drops(&switch, "p2"), reasons(&[]));
}

#[test]
fn what_is_over_the_rate_is_policed() {
    let switch = switch();
    let set = "set interface p1 ingress_policing_kpkts_rate=1 ingress_policing_kpkts_burst=1";
    switch.vsctl(set);
    let frame = packet(GUEST, OTHER, "eth_type(0x1234)");
    // What comes at once, and the edge behind it: 128 packets.
    let batch = many(&frame, 100);
    for _ in 0..10 {
        switch.receive("p1", &batch);
    }
    assert_eq!(drops(&switch, "p1"), reasons(&[]));
    for _ in 0..10 {
        switch.receive("p1", &batch);
    }
    let dropped = drops(&switch, "p1")["policed"];
    assert!((1000 - 128..=1000).contains(&dropped), "{dropped}");
    assert_eq!(switch.captured("p2.pcap").len() as u64, 2000 - dropped);
    // All that was owed is paid after two seconds.
    switch.appctl("time/warp 2000 1000");
    switch.receive("p1", &batch);
    assert_eq!(drops(&switch, "p1")["policed"], dropped);
}

#[test]
fn protected_ports_do_not_reach_each_other_as_in_open_vswitch() {
    let pair = Pair::start();
    pair.each(|switch| {
        switch.vsctl(&bridge(&["p1", "p2", "p3"]));
        switch.vsctl("set port p1 protected=true -- set port p2 protected=true");
        for (port, src, dst) in [
            ("p1", GUEST, "ff:ff:ff:ff:ff:ff"),
            ("p2", OTHER, GUEST),
            ("p1", GUEST, OTHER),
            ("p3", "50:54:00:00:00:0b", GUEST),
            ("p1", GUEST, "50:54:00:00:00:0b"),
            ("p2", OTHER, "ff:ff:ff:ff:ff:ff"),
        ] {
            switch.receive(port, &packet(src, dst, "eth_type(0x1234)"));
        }
    });
    for port in ["p1", "p2", "p3"] {
        pair.same(port, |switch| switch.captured(&format!("{port}.pcap")));
    }
    assert!(pair.ours.captured("p3.pcap").len() >= 3);
    let counted = drops(&pair.ours, "p1");
    assert!(counted.contains_key("protected"), "{counted:?}");
}
