//! What leaves by ports has the rates that rows of tables QoS and Queue ask for.
//!
//! AORTA_QOS_SECONDS is how long each rate is measured, 2 unless it is set.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::convert::Infallible;
use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aorta_integration::lab::{Load, Netns, Protocol, RateMeter, Wire, rate_within};
use common::{Bed, RIGHT, column, done, eventually, pings, vsctl};
use serde_json::Value;

/// What rates may differ by.
const TOLERANCE: f64 = 0.05;
const MBIT: u64 = 1_000_000;
/// How libvirt writes 1 Mbyte a second on average, 2 at most and 500 kbytes at once.
const LIBVIRT: &str = "other_config:min-rate=8000000 other_config:burst=4096000 \
                       other_config:max-rate=16000000";

fn seconds() -> u32 {
    let set = std::env::var("AORTA_QOS_SECONDS").ok();
    set.and_then(|text| text.parse().ok()).unwrap_or(2)
}

fn tcp(flows: u32) -> Load {
    Load {
        protocol: Protocol::Tcp,
        flows,
        seconds: seconds(),
    }
}

fn udp(flows: u32, offered_bps: u64) -> Load {
    Load {
        protocol: Protocol::Udp {
            offered_bps,
            datagram_bytes: 1400,
        },
        flows,
        seconds: seconds(),
    }
}

/// Measures until the rate is near the wanted one.
fn reaches<E: Display>(
    wanted_bps: u64,
    what: &str,
    measure: impl Fn() -> Result<f64, E>,
) -> Result<(), String> {
    let wanted = wanted_bps as f64;
    let allowed = wanted * (1.0 - TOLERANCE)..=wanted * (1.0 + TOLERANCE);
    rate_within(allowed, what, measure)
}

/// Shapes a port with one rate.
fn limit(bed: &Bed, port: &str, max_rate_bps: u64) {
    let words = format!(
        "set Port {port} qos=@q -- --id=@q create QoS type=linux-htb \
         other_config:max-rate={max_rate_bps}"
    );
    done(&bed.switch, &words);
}

/// Changes the row of table QoS of a port.
fn set_qos(bed: &Bed, port: &str, settings: &str) {
    let row = column(&bed.switch, "Port", port, "qos");
    done(&bed.switch, &format!("set QoS {row} {settings}"));
}

/// Takes a port's shaping away.
fn unlimit(bed: &Bed, port: &str) {
    done(&bed.switch, &format!("clear Port {port} qos"));
    done(&bed.switch, "-- --all destroy QoS -- --all destroy Queue");
}

/// What tc(8) tells of the disciplines or classes of a device.
fn tc(ns: &Netns, what: &str, device: &str) -> String {
    let args = ["tc", "-s", what, "show", "dev", device];
    ns.run(&args).unwrap().ok().unwrap().stdout
}

/// Kind of the discipline at a device's root.
fn root(ns: &Netns, device: &str) -> String {
    let listed = tc(ns, "qdisc", device);
    let root = listed.lines().find(|line| line.contains(" root "));
    let root = root.unwrap_or_else(|| panic!("no root in {listed}"));
    root.split(' ').nth(1).unwrap().to_owned()
}

/// What is told of a class of a device, on one line.
fn class(ns: &Netns, device: &str, number: &str) -> String {
    let listed = tc(ns, "class", device);
    let start = format!("htb {number} ");
    let found = listed
        .split("class ")
        .find(|class| class.starts_with(&start));
    let found = found.unwrap_or_else(|| panic!("no class {number} in {listed}"));
    found.replace('\n', " ")
}

/// Whether a class has these rates, as tc(8) writes them.
fn has_rates(class: &str, rate: &str, ceil: &str) -> bool {
    class.contains(&format!(" rate {rate} ceil {ceil} "))
}

/// The number after a word.
fn number_after(text: &str, word: &str) -> u64 {
    let (_, rest) = text.split_once(word).unwrap();
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

#[test]
fn libvirts_commands_make_change_and_remove_classes() {
    let bed = Bed::new("qos-libvirt");
    let ids = r#"external-ids:vm-id="u" external-ids:ifname="vb""#;
    let make = format!(
        "--timeout=5 set port vb qos=@qos1 {ids} -- --id=@qos1 create qos type=linux-htb \
         {LIBVIRT} queues:0=@queue0 {ids} -- --id=@queue0 create queue {LIBVIRT} {ids}"
    );
    let ovs = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let output = bed.switch.ovs_vsctl(&words).unwrap().ok().unwrap();
        output.stdout.trim().to_owned()
    };
    ovs(&make);
    assert_eq!(root(&bed.ns, "vb"), "htb");
    let shown = class(&bed.ns, "vb", "1:1");
    assert!(has_rates(&shown, "8Mbit", "16Mbit"), "{shown}");
    let shown = class(&bed.ns, "vb", "1:fffe");
    assert!(has_rates(&shown, "16Mbit", "16Mbit"), "{shown}");
    let find = |table: &str| {
        ovs(&format!(
            "--timeout=5 --no-heading --columns=_uuid find {table} {ids}"
        ))
    };
    let (queue, qos) = (find("queue"), find("qos"));
    let faster = LIBVIRT.replace("16000000", "32000000");
    ovs(&format!("--timeout=5 set queue {queue} {faster}"));
    ovs(&format!("--timeout=5 set qos {qos} {faster}"));
    let shown = class(&bed.ns, "vb", "1:1");
    assert!(has_rates(&shown, "8Mbit", "32Mbit"), "{shown}");
    let shown = class(&bed.ns, "vb", "1:fffe");
    assert!(has_rates(&shown, "32Mbit", "32Mbit"), "{shown}");
    ovs(&format!("--timeout=5 remove port vb qos {qos}"));
    ovs(&format!("--timeout=5 destroy qos {qos}"));
    ovs(&format!("--timeout=5 destroy queue {queue}"));
    assert_eq!(root(&bed.ns, "vb"), "noqueue");
    bed.wait_connected();
}

#[test]
fn ten_megabits_are_ten_megabits() {
    let bed = Bed::new("qos-ten");
    limit(&bed, "vb", 10 * MBIT);
    let meter = RateMeter::start(&bed.right, RIGHT, 7101).unwrap();
    for load in [tcp(1), tcp(16), udp(1, 30 * MBIT), udp(16, 30 * MBIT)] {
        reaches(10 * MBIT, &format!("{load:?}"), || {
            meter.measure(&bed.left, load)
        })
        .unwrap();
    }
}

#[test]
fn a_gigabit_is_a_gigabit() {
    let bed = Bed::new("qos-gigabit");
    let meter = RateMeter::start(&bed.right, RIGHT, 7102).unwrap();
    let large = Load {
        protocol: Protocol::Udp {
            offered_bps: 1500 * MBIT,
            datagram_bytes: 8900,
        },
        ..tcp(2)
    };
    for load in [tcp(1), tcp(8), large] {
        if load == large {
            let devices = [(&bed.ns, "va"), (&bed.ns, "vb")];
            let ends = [(&bed.left, "eth0"), (&bed.right, "eth0")];
            for (ns, device) in devices.into_iter().chain(ends) {
                ns.ip(&["link", "set", "dev", device, "mtu", "9000"])
                    .unwrap();
            }
            bed.wait_connected();
        }
        let mut free = 0.0;
        eventually("a rate without limit", || {
            let measured = meter.measure(&bed.left, load);
            free = *measured.as_ref().unwrap_or(&0.0);
            measured.is_ok()
        });
        if free < 1.3e9 {
            println!(
                "skipped: this machine does {free:.3e} bit/s with {load:?}, of which a limit \
                      of 1e9 would take too little away"
            );
            continue;
        }
        limit(&bed, "vb", 1000 * MBIT);
        let what = format!("{load:?}, {free} without a limit");
        reaches(1000 * MBIT, &what, || meter.measure(&bed.left, load)).unwrap();
        unlimit(&bed, "vb");
    }
}

#[test]
fn the_bridges_own_port_is_shaped_towards_the_host() {
    let bed = Bed::new("qos-local");
    bed.ns.address("br0", "192.0.2.10/24").unwrap();
    bed.ns.ip(&["link", "set", "dev", "br0", "up"]).unwrap();
    eventually("left reaches LOCAL", || pings(&bed.left, "192.0.2.10"));
    limit(&bed, "br0", 10 * MBIT);
    let meter = RateMeter::start(&bed.ns, "192.0.2.10", 7103).unwrap();
    reaches(10 * MBIT, "TCP to br0", || meter.measure(&bed.left, tcp(1))).unwrap();
    done(&bed.switch, "del-port va");
    done(&bed.switch, "clear Port br0 qos");
    assert_eq!(root(&bed.ns, "aobr0"), "noqueue");
}

#[test]
fn a_taps_guest_gets_the_rate() {
    let bed = Bed::new("qos-tap");
    let wire = Wire::new(&bed.ns, "t0").unwrap();
    done(&bed.switch, "add-port br0 t0");
    limit(&bed, "t0", 10 * MBIT);
    let neighbour = ["neigh", "add", "192.0.2.3", "lladdr", "02:00:00:00:00:33"];
    bed.left
        .ip(&[&neighbour[..], &["dev", "eth0"]].concat())
        .unwrap();
    wire.send(&common::frame(0xff, 0x33, None)).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let flood = scope.spawn(|| {
            bed.left.enter().unwrap();
            let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
            while !stop.load(Ordering::Relaxed) {
                // Full queues refuse.
                let _ = socket.send_to(&[0; 1400], "192.0.2.3:9");
            }
        });
        let arrived = |time: Duration| -> usize {
            let start = Instant::now();
            let mut bytes = 0;
            while start.elapsed() < time {
                bytes += wire.receive_all().iter().map(Vec::len).sum::<usize>();
            }
            bytes
        };
        arrived(Duration::from_secs(1));
        let time = Duration::from_secs(seconds().into());
        let reached = reaches(10 * MBIT, "a flood to a tap", || {
            Ok::<_, Infallible>(arrived(time) as f64 * 8.0 / time.as_secs_f64())
        });
        stop.store(true, Ordering::Relaxed);
        // The last of them waits until there is room.
        while !flood.is_finished() {
            wire.receive_all();
        }
        reached.unwrap();
    });
}

/// Bytes that a namespace's eth0 has received.
fn received(ns: &Netns) -> u64 {
    let args = ["-s", "-j", "link", "show", "dev", "eth0"];
    let shown: Value = serde_json::from_str(&ns.ip(&args).unwrap().stdout).unwrap();
    shown[0]["stats64"]["rx"]["bytes"].as_u64().unwrap()
}

#[test]
fn a_rate_changes_under_traffic_and_a_restart_changes_nothing() {
    let mut bed = Bed::new("qos-change");
    limit(&bed, "vb", 10 * MBIT);
    RateMeter::start(&bed.right, RIGHT, 7104).unwrap();
    let mut flood = bed.left.command("iperf3");
    flood.args([
        "-u", "-b", "60M", "-l", "1400", "-t", "120", "-p", "7104", "-c", RIGHT,
    ]);
    flood.stdout(std::process::Stdio::null());
    let mut flood = flood.spawn().unwrap();
    let rate = |bed: &Bed| {
        let (start, before) = (Instant::now(), received(&bed.right));
        std::thread::sleep(Duration::from_millis(700));
        let bytes = received(&bed.right) - before;
        bytes as f64 * 8.0 / start.elapsed().as_secs_f64()
    };
    let has = |bed: &Bed, mbit: u64, when: &str| {
        reaches(mbit * MBIT, when, || Ok::<_, Infallible>(rate(bed))).unwrap();
    };
    eventually("the flood flows", || rate(&bed) > 1e6);
    has(&bed, 10, "the first rate");
    set_qos(&bed, "vb", "other_config:max-rate=25000000");
    eventually("more than the first rate", || rate(&bed) > 11e6);
    has(&bed, 25, "the second rate");
    let counted = |bed: &Bed| number_after(&class(&bed.ns, "vb", "1:1"), "Sent ");
    let before = counted(&bed);
    bed.switch.restart().unwrap();
    assert!(
        counted(&bed) > before,
        "the class is another after a restart"
    );
    has(&bed, 25, "the second rate after a restart");
    unlimit(&bed, "vb");
    eventually("all of it", || rate(&bed) > 50e6);
    flood.kill().unwrap();
    flood.wait().unwrap();
}

#[test]
fn queues_that_flows_choose_have_their_rates_and_counters() {
    let bed = Bed::new("qos-queues");
    let words = "set Port vb qos=@q -- --id=@q create QoS type=linux-htb \
                 other_config:max-rate=200000000 queues:1=@a queues:2=@b \
                 -- --id=@a create Queue other_config:max-rate=10000000 \
                 -- --id=@b create Queue other_config:max-rate=20000000";
    done(&bed.switch, words);
    let vb = column(&bed.switch, "Interface", "vb", "ofport");
    for flow in [
        "priority=9,udp,tp_dst=7201,actions=set_queue:1,NORMAL".to_owned(),
        format!("priority=9,udp,tp_dst=7202,actions=enqueue:{vb}:2"),
    ] {
        let added = bed.switch.vsctl(&["add-flow", "br0", &flow]);
        added.unwrap().ok().unwrap();
    }
    let meters = [(7201, 10), (7202, 20)].map(|(port, mbit)| {
        let meter = RateMeter::start(&bed.right, RIGHT, port).unwrap();
        (meter, mbit * MBIT)
    });
    std::thread::scope(|scope| {
        let running = meters.each_ref().map(|(meter, wanted)| {
            let left = &bed.left;
            scope.spawn(move || {
                reaches(*wanted, "a queue of its own", || {
                    meter.measure(left, udp(1, 60 * MBIT))
                })
                .unwrap();
            })
        });
        for thread in running {
            thread.join().unwrap();
        }
    });
    let stats = bed
        .switch
        .client("ovs-ofctl", &["-OOpenFlow13", "queue-stats", "br0", "vb"]);
    let stats = stats.unwrap().ok().unwrap().stdout;
    let bytes = |queue: u32| -> u64 {
        let start = format!("port {vb} queue {queue}: bytes=");
        let line = stats
            .lines()
            .find_map(|line| line.trim().strip_prefix(&start));
        let line = line.unwrap_or_else(|| panic!("no queue {queue} in {stats}"));
        line.split(',').next().unwrap().parse().unwrap()
    };
    assert!(bytes(1) > 2_000_000 && bytes(2) > 4_000_000, "{stats}");
    assert!(bytes(0) < 1_000_000, "{stats}");
    let config = bed.switch.client(
        "ovs-ofctl",
        &["-OOpenFlow14", "queue-get-config", "br0", "vb", "2"],
    );
    let config = config.unwrap().ok().unwrap().stdout;
    assert!(
        config.contains("queue 2:") && config.contains("max_rate:10.0%"),
        "{config}"
    );
}

#[test]
fn what_cannot_be_had_is_told_and_the_port_keeps_switching() {
    let bed = Bed::new("qos-bad");
    let problem = || {
        let told = vsctl(&bed.switch, "--if-exists get Interface vb status:aorta-qos");
        told.stdout.trim().to_owned()
    };
    let zero = "type=linux-htb other_config:max-rate=0";
    let huge = "type=linux-htb other_config:max-rate=99999999999999999999";
    let cases = [
        (zero, "max-rate is 0"),
        (huge, "not a number"),
        ("type=nonsense", "not supported"),
        ("type=egress-policer", "needs other_config:cir"),
    ];
    for (settings, part) in cases {
        let words = format!("set Port vb qos=@q -- --id=@q create QoS {settings}");
        done(&bed.switch, &words);
        assert!(problem().contains(part), "{settings}: {}", problem());
        assert_eq!(column(&bed.switch, "Interface", "vb", "error"), "[]");
        assert!(pings(&bed.left, RIGHT), "{settings}");
        unlimit(&bed, "vb");
        assert_eq!(problem(), "", "{settings}");
    }
}

/// Kinds that the kernel doesn't have are told by the module's name; with others the port is shaped.
#[test]
fn kinds_that_the_kernel_may_lack_are_told() {
    let bed = Bed::new("qos-kinds");
    for kind in ["hfsc", "sfq", "codel", "fq_codel", "netem"] {
        let words = format!("set Port vb qos=@q -- --id=@q create QoS type=linux-{kind}");
        done(&bed.switch, &words);
        let told = vsctl(&bed.switch, "--if-exists get Interface vb status:aorta-qos");
        let told = told.stdout.trim().to_owned();
        if root(&bed.ns, "vb") == kind {
            assert_eq!(told, "", "{kind}");
        } else {
            let why = format!("the kernel has no queueing discipline {kind} (module sch_{kind})");
            assert!(told.contains(&why), "{kind}: {told}");
            assert!(bed.switch.log().contains(&why), "{kind} isn't logged");
        }
        assert_eq!(column(&bed.switch, "Interface", "vb", "error"), "[]");
        assert!(pings(&bed.left, RIGHT), "{kind}");
        unlimit(&bed, "vb");
        assert_ne!(root(&bed.ns, "vb"), kind);
    }
}

#[test]
fn disciplines_of_others_stay_and_ours_go_with_the_port() {
    let bed = Bed::new("qos-others");
    let foreign = [
        "tc", "qdisc", "add", "dev", "va", "root", "handle", "1:", "htb",
    ];
    bed.ns.run(&foreign).unwrap().ok().unwrap();
    limit(&bed, "vb", 10 * MBIT);
    done(
        &bed.switch,
        "set Port va qos=@q -- --id=@q create QoS type=linux-noop",
    );
    assert_eq!(root(&bed.ns, "va"), "htb");
    done(&bed.switch, "del-port vb");
    assert_eq!(root(&bed.ns, "vb"), "noqueue");
    assert_eq!(root(&bed.ns, "va"), "htb");
    set_qos(&bed, "va", "type=linux-htb other_config:max-rate=5000000");
    let shown = class(&bed.ns, "va", "1:fffe");
    assert!(has_rates(&shown, "5Mbit", "5Mbit"), "{shown}");
    done(&bed.switch, "clear Port va qos");
    assert_eq!(root(&bed.ns, "va"), "noqueue");
}

#[test]
fn the_teardown_gives_devices_back() {
    let mut bed = Bed::new("qos-teardown");
    limit(&bed, "vb", 10 * MBIT);
    bed.switch.terminate().unwrap();
    assert_eq!(root(&bed.ns, "vb"), "htb");
    bed.switch.teardown().unwrap();
    assert_eq!(root(&bed.ns, "vb"), "noqueue");
}

#[test]
fn a_policer_drops_what_is_too_much() {
    let bed = Bed::new("qos-policer");
    let words = "set Port vb qos=@q -- --id=@q create QoS type=egress-policer \
                 other_config:cir=1250000 other_config:cbs=20000";
    done(&bed.switch, words);
    assert_eq!(root(&bed.ns, "vb"), "tbf");
    let meter = RateMeter::start(&bed.right, RIGHT, 7105).unwrap();
    reaches(10 * MBIT, "UDP through a policer", || {
        meter.measure(&bed.left, udp(1, 30 * MBIT))
    })
    .unwrap();
    let shown = tc(&bed.ns, "qdisc", "vb");
    assert!(number_after(&shown, "dropped ") > 100, "{shown}");
    bed.wait_connected();
}
