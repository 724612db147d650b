//! Guests of libvirt on one host: each step's command lines, rows and traffic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeSet;
use std::time::Instant;

use aorta_integration::lab::{Card, Domain, GuestAgent};
use common::libvirt::{
    Host, address, attach_line, detach_line, find_lines, guest_pings, policing_line, reaches, said,
    sends_at_rate, unlimited_lines, vlan_address, vlan_line,
};
use common::{done, eventually};

/// The second guest's address without a tag, in VLAN 42 and in VLAN 123.
const B: [&str; 3] = ["192.0.2.2", "198.51.100.2", "203.0.113.2"];
/// The first guest's, with the length of the prefix.
const A: [&str; 3] = ["192.0.2.1/24", "198.51.100.1/24", "203.0.113.1/24"];

const ACCESS: &str = "<vlan><tag id='42'/></vlan>";
const TRUNK: &str = "<vlan trunk='yes'><tag id='42'/><tag id='123'/></vlan>";
const NATIVE_UNTAGGED: &str =
    "<vlan trunk='yes'><tag id='42'/><tag id='123' nativeMode='untagged'/></vlan>";
const NATIVE_TAGGED: &str =
    "<vlan trunk='yes'><tag id='42'/><tag id='123' nativeMode='tagged'/></vlan>";

/// Two guests on one host.
struct Scene {
    // Dropped first: connections to the guests.
    guest_a: GuestAgent,
    guest_b: GuestAgent,
    host: Host,
    a: Domain,
    b: Domain,
}

/// Something that libvirt does. The guests reach each other before and after.
type Step = fn(&mut Scene);

/// What libvirt does to guests, one step after the other.
const STEPS: [(&str, Step); 8] = [
    ("two guests started", started),
    ("libvirtd starts again", restarted),
    ("VLANs change while running", vlans_change),
    ("cards with VLANs plugged and unplugged", plugged),
    ("a portgroup of a network", portgroup),
    ("bandwidth", bandwidth),
    ("saved and restored", saved),
    ("destroyed and started again", destroyed),
];

#[test]
fn guests_of_libvirt() {
    let host = Host::new("libvirt");
    let (a, b) = (Domain::new("a", "lva", 0x0a), Domain::new("b", "lvb", 0x0b));
    let [guest_a, guest_b] = host.boot(&[&a, &b]).try_into().ok().unwrap();
    let mut scene = Scene {
        guest_a,
        guest_b,
        host,
        a,
        b,
    };
    for (name, step) in STEPS {
        let begin = Instant::now();
        step(&mut scene);
        reaches(&scene.guest_a, B[0]);
        println!("{name}: {:.1} s", begin.elapsed().as_secs_f64());
    }
    powered_off(&mut scene);
}

fn started(scene: &mut Scene) {
    let (a, b) = (&scene.a, &scene.b);
    let lines = [
        attach_line(a, &a.cards[0], ""),
        attach_line(b, &b.cards[0], ""),
    ];
    scene.host.expect_calls(&lines);
    address(&scene.guest_a, "eth0", A[0]);
    address(&scene.guest_b, "eth0", "192.0.2.2/24");
    vlan_address(&scene.guest_b, "eth0", 42, "198.51.100.2/24");
    vlan_address(&scene.guest_b, "eth0", 123, "203.0.113.2/24");
    let get = |what: &str| scene.host.interface("lva", what);
    assert_eq!(get("external_ids:attached-mac"), "\"52:54:00:00:00:0a\"");
    assert_eq!(get("external_ids:vm-id"), format!("\"{}\"", a.uuid));
    assert_eq!(get("external_ids:iface-status"), "active");
    assert_eq!(get("status:aorta-hook"), "tcx");
    assert_eq!(get("error"), "[]");
}

fn restarted(scene: &mut Scene) {
    let Scene {
        host,
        guest_a,
        a,
        b,
        ..
    } = scene;
    std::thread::scope(|scope| {
        let pings = scope.spawn(|| said(guest_a, &format!("ping -c 30 -i 0.2 {}", B[0])));
        host.libvirt.restart().unwrap();
        let pings = pings.join().unwrap();
        assert!(pings.contains(" 0% packet loss"), "{pings}");
    });
    // Each guest has a thread.
    let calls = host.take_calls(2);
    let lines: BTreeSet<String> = calls.iter().map(|call| call.args.join(" ")).collect();
    let expected = [a, b].map(|domain| attach_line(domain, &domain.cards[0], ""));
    assert_eq!(lines, BTreeSet::from(expected));
    assert_eq!(calls.len(), 2);
}

fn vlans_change(scene: &mut Scene) {
    let Scene {
        host,
        guest_a,
        guest_b,
        ..
    } = scene;
    address(guest_a, "eth0", A[1]);
    let mut change = |xml: &str, settings: &str| {
        host.device("update", "a", &Card::new("lva", 0x0a).with(xml));
        host.expect_calls(&[vlan_line("lva", settings)]);
        ["tag", "trunks", "vlan_mode"].map(|column| host.port("lva", column))
    };
    assert_eq!(change(ACCESS, " tag=42"), ["42", "[]", "[]"]);
    reaches(guest_a, B[1]);
    assert!(!guest_pings(guest_a, B[0]), "not in VLAN 42");

    assert_eq!(
        change("<vlan><tag id='43'/></vlan>", " tag=43"),
        ["43", "[]", "[]"]
    );
    assert!(!guest_pings(guest_a, B[1]), "not in VLAN 43");

    said(guest_a, &format!("ip addr del {} dev eth0", A[1]));
    vlan_address(guest_a, "eth0", 42, A[1]);
    vlan_address(guest_a, "eth0", 123, A[2]);
    assert_eq!(change(TRUNK, " trunk=42,123"), ["[]", "[42, 123]", "[]"]);
    reaches(guest_a, B[1]);
    reaches(guest_a, B[2]);
    assert_eq!(
        change(
            NATIVE_TAGGED,
            " vlan_mode=native-tagged tag=123 trunk=42,123"
        ),
        ["123", "[42, 123]", "native-tagged"]
    );
    reaches(guest_a, B[1]);
    reaches(guest_a, B[2]);

    said(guest_a, "ip link del eth0.123");
    address(guest_a, "eth0", A[2]);
    assert_eq!(
        change(
            NATIVE_UNTAGGED,
            " vlan_mode=native-untagged tag=123 trunk=42,123"
        ),
        ["123", "[42, 123]", "native-untagged"]
    );
    reaches(guest_a, B[1]);
    reaches(guest_a, B[2]);

    assert_eq!(change("", ""), ["[]", "[]", "[]"]);
    said(
        guest_a,
        &format!("ip link del eth0.42; ip addr del {} dev eth0", A[2]),
    );
    assert!(guest_pings(guest_b, "192.0.2.1"));
}

/// Waits until a guest has found its second card.
fn second_card(guest: &GuestAgent) {
    eventually("the guest has the card", || {
        guest.run("test -e /sys/class/net/eth1").unwrap().status == 0
    });
}

/// Plugs a card into the first guest, tries it, and unplugs it.
fn with_card(scene: &mut Scene, card: &Card, vlan: &str, check: impl FnOnce(&mut Scene)) {
    scene.host.device("attach", "a", card);
    scene
        .host
        .expect_calls(&[attach_line(&scene.a, card, vlan)]);
    second_card(&scene.guest_a);
    check(scene);
    scene.host.device("detach", "a", card);
    eventually("the port is gone", || !scene.host.has_port(&card.tap));
    let mut lines = unlimited_lines(&scene.a, &card.tap);
    lines.push(detach_line(&card.tap));
    scene.host.expect_calls(&lines);
}

fn plugged(scene: &mut Scene) {
    type Plan = (&'static str, &'static str, &'static [(u16, usize)]);
    // What libvirt is told, what it says, and which network is on which VLAN of the card.
    let plans: [Plan; 4] = [
        (ACCESS, " tag=42", &[(0, 1)]),
        (TRUNK, " trunk=42,123", &[(42, 1), (123, 2)]),
        (
            NATIVE_UNTAGGED,
            " vlan_mode=native-untagged tag=123 trunk=42,123",
            &[(0, 2), (42, 1)],
        ),
        (
            NATIVE_TAGGED,
            " vlan_mode=native-tagged tag=123 trunk=42,123",
            &[(123, 2), (42, 1)],
        ),
    ];
    for (xml, settings, networks) in plans {
        let card = Card::new("lva1", 0x1a).with(xml);
        with_card(scene, &card, settings, |scene| {
            for (vid, network) in networks {
                match vid {
                    0 => address(&scene.guest_a, "eth1", A[*network]),
                    vid => {
                        said(&scene.guest_a, "ip link set eth1 up");
                        vlan_address(&scene.guest_a, "eth1", *vid, A[*network]);
                    }
                }
            }
            for (_, network) in networks {
                reaches(&scene.guest_a, B[*network]);
            }
        });
    }
}

fn portgroup(scene: &mut Scene) {
    let network = "<network><name>tenants</name><forward mode='bridge'/>\
         <bridge name='br-int'/><virtualport type='openvswitch'/>\
         <portgroup name='red'><vlan><tag id='42'/></vlan></portgroup>\
         <portgroup name='blue' default='yes'>\
         <vlan trunk='yes'><tag id='42'/><tag id='123'/></vlan></portgroup></network>";
    let file = scene.host.libvirt.file("tenants.xml", network).unwrap();
    scene.host.virsh(&format!("net-define {file}"));
    scene.host.virsh("net-start tenants");
    let mut card = Card::new("lva1", 0x1a);
    card.network = Some(("tenants".to_owned(), "red".to_owned()));
    card.profile = Some("web".to_owned());
    with_card(scene, &card, " tag=42", |scene| {
        address(&scene.guest_a, "eth1", A[1]);
        reaches(&scene.guest_a, B[1]);
        let profile = scene.host.interface("lva1", "external_ids:port-profile");
        assert_eq!(profile, "web");
    });
    scene.host.virsh("net-destroy tenants");
}

fn bandwidth(scene: &mut Scene) {
    let limits = "<bandwidth><inbound average='1000' peak='2000' burst='500'/>\
                  <outbound average='800' burst='400'/></bandwidth>";
    let card = Card::new("lva1", 0x1a).with(limits);
    let Scene { host, a, .. } = scene;
    host.device("attach", "a", &card);
    let attached = attach_line(a, &card, "");
    let policing = policing_line("lva1", 6400, 3200);
    // Averages and peaks are given in kilobytes a second, bursts in KiB.
    expect_limits(host, a, Some(&attached), 8_000_000, 4_096_000, 16_000_000);
    assert_eq!(host.interface("lva1", "ingress_policing_rate"), "6400");
    assert_eq!(host.interface("lva1", "ingress_policing_burst"), "3200");

    second_card(&scene.guest_a);
    address(&scene.guest_a, "eth1", "10.77.0.9/24");
    address(&scene.guest_b, "eth0", "10.77.0.10/24");
    reaches(&scene.guest_a, "10.77.0.10");
    let to = (&scene.guest_b, "lvb", "10.77.0.10");
    sends_at_rate(&scene.host, &scene.guest_a, to, 6_400_000);
    said(&scene.guest_a, "ip addr flush dev eth1");
    said(&scene.guest_b, "ip addr del 10.77.0.10/24 dev eth0");

    let Scene { host, a, .. } = scene;
    let [qos, queue] = rows_of_limits(host);
    host.virsh("domiftune a lva1 --inbound 1500,3000,600 --live");
    let rates = rates(12_000_000, 4_915_200, 24_000_000);
    let ids = ids(a, "lva1");
    let mut changed = find_lines(a, "lva1");
    changed.extend([
        format!("--timeout=5 set queue {queue} {rates} {ids}"),
        format!("--timeout=5 set qos {qos} {rates} {ids}"),
        policing.clone(),
    ]);
    host.expect_calls(&changed);
    let written = "{burst=\"4915200\", max-rate=\"24000000\", min-rate=\"12000000\"}";
    for (table, row) in [("QoS", &qos), ("Queue", &queue)] {
        let get = format!("get {table} {row} other_config");
        assert_eq!(done(&host.switch, &get), written);
    }

    eventually("the tap has the new rates", || {
        classes(host).contains("rate 12Mbit ceil 24Mbit")
    });

    host.virsh("domiftune a lva1 --inbound 0 --outbound 0 --live");
    host.expect_calls(&unlimiting_lines(a, &qos, &queue));
    assert_eq!(host.port("lva1", "qos"), "[]");
    eventually("the tap has no rates", || !classes(host).contains("htb"));
    assert_eq!(host.interface("lva1", "ingress_policing_rate"), "0");
    for table in ["QoS", "Queue"] {
        assert_eq!(done(&host.switch, &format!("list {table}")), "");
    }

    host.virsh("domiftune a lva1 --inbound 1500,3000,600 --outbound 800,0,400 --live");
    expect_limits(host, a, None, 12_000_000, 4_915_200, 24_000_000);
    let [qos, queue] = rows_of_limits(host);
    host.device("detach", "a", &card);
    let mut lines = unlimiting_lines(a, &qos, &queue);
    lines.push(detach_line("lva1"));
    host.expect_calls(&lines);
    assert!(!host.has_port("lva1"));
    for table in ["QoS", "Queue"] {
        assert_eq!(done(&host.switch, &format!("list {table}")), "");
    }
}

/// The classes that the kernel has for what the card receives.
fn classes(host: &Host) -> String {
    let shown = host.ns.run(&["tc", "class", "show", "dev", "lva1"]);
    shown.unwrap().stdout
}

/// Limits as libvirt writes them.
fn rates(min: u32, burst: u32, max: u32) -> String {
    format!("other_config:min-rate={min} other_config:burst={burst} other_config:max-rate={max}")
}

/// What libvirt finds its rows by.
fn ids(domain: &Domain, tap: &str) -> String {
    let uuid = &domain.uuid;
    format!("external-ids:vm-id=\"{uuid}\" external-ids:ifname=\"{tap}\"")
}

/// Requires the lines with which libvirt gives the card limits that it didn't have.
#[track_caller]
fn expect_limits(
    host: &mut Host,
    domain: &Domain,
    before: Option<&str>,
    min: u32,
    burst: u32,
    max: u32,
) {
    let (rates, ids) = (rates(min, burst, max), ids(domain, "lva1"));
    let mut lines: Vec<String> = before.map(str::to_owned).into_iter().collect();
    lines.extend(find_lines(domain, "lva1"));
    lines.push(format!(
        "--timeout=5 set port lva1 qos=@qos1 {ids} -- --id=@qos1 create qos type=linux-htb {rates} \
         queues:0=@queue0 {ids} -- --id=@queue0 create queue {rates} {ids}"
    ));
    lines.push(policing_line("lva1", 6400, 3200));
    host.expect_calls(&lines);
}

/// The lines with which libvirt takes a card's limits away.
fn unlimiting_lines(domain: &Domain, qos: &str, queue: &str) -> Vec<String> {
    let mut lines = find_lines(domain, "lva1");
    lines.extend([
        "--timeout=5 --no-heading --columns=_uuid --if-exists list port lva1 qos".to_owned(),
        format!("--timeout=5 remove port lva1 qos {qos}"),
        format!("--timeout=5 destroy qos {qos}"),
        format!("--timeout=5 destroy queue {queue}"),
        policing_line("lva1", 0, 0),
    ]);
    lines
}

/// The UUIDs of the card's rows in tables QoS and Queue.
fn rows_of_limits(host: &Host) -> [String; 2] {
    let qos = host.port("lva1", "qos");
    let queue = done(&host.switch, &format!("get QoS {qos} queues:0"));
    [qos, queue]
}

fn saved(scene: &mut Scene) {
    scene.host.virsh("managedsave a");
    scene.host.expect_calls(&[detach_line("lva")]);
    assert!(!scene.host.has_port("lva"));
    scene.host.virsh("start a");
    let line = attach_line(&scene.a, &scene.a.cards[0], "");
    scene.host.expect_calls(&[line]);
    scene.guest_a = scene.host.libvirt.agent("a").unwrap();
}

fn destroyed(scene: &mut Scene) {
    scene.host.virsh("destroy b");
    scene.host.expect_calls(&[detach_line("lvb")]);
    assert!(!scene.host.has_port("lvb"));
    scene.guest_b = scene.host.start(&scene.b);
    scene
        .host
        .expect_calls(&[attach_line(&scene.b, &scene.b.cards[0], "")]);
    scene.guest_b.wait_ready().unwrap();
    address(&scene.guest_b, "eth0", "192.0.2.2/24");
}

/// A guest that ends by itself leaves no port.
fn powered_off(scene: &mut Scene) {
    // Its agent ends with it.
    let _ = scene.guest_b.run("poweroff -f");
    eventually("the port is gone", || !scene.host.has_port("lvb"));
    scene.host.expect_calls(&[detach_line("lvb")]);
}
