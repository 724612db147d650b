//! What guards ports, from the database to the frames: allowed addresses, policing, protected ports.
//!
//! AORTA_QOS_SECONDS is how long each rate is measured, 2 unless it is set.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use aorta_integration::lab::{Load, Protocol, RateMeter, rate_within};
use common::{Bed, RIGHT, column, done, eventually, pings, port, vsctl, wait_interface};
use serde_json::Value;

/// What rates may differ by.
const TOLERANCE: f64 = 0.05;
const MBIT: u64 = 1_000_000;

fn left_mac(bed: &Bed) -> String {
    let listed = bed.left.ip(&["-j", "link", "show", "eth0"]).unwrap().stdout;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    listed[0]["address"].as_str().unwrap().to_owned()
}

/// Lets these in from the left.
fn allow(bed: &Bed, words: &str) -> i32 {
    let value = format!("other_config:aorta-allowed=\"{words}\"");
    let set = bed.switch.vsctl(&["set", "Interface", "va", &value]);
    set.unwrap().status
}

fn dropped(bed: &Bed, reason: &str) -> u64 {
    let drops = port(&bed.switch, "va").drops;
    drops.get(reason).copied().unwrap_or(0)
}

#[test]
fn a_port_lets_in_what_its_list_allows() {
    let bed = Bed::new("guard-list");
    let mac = left_mac(&bed);
    allow(&bed, &format!("{mac},192.0.2.1"));
    assert!(pings(&bed.left, RIGHT));
    assert_eq!(dropped(&bed, "spoofed-ipv4"), 0);
    let guard = port(&bed.switch, "va").guard;
    assert_eq!(guard, format!("allows {mac} 192.0.2.1"));
    let status = done(&bed.switch, "get Interface va status:aorta-guard");
    assert!(status.contains(&mac), "{status}");
    // Another address of the same host.
    bed.left.address("eth0", "192.0.2.77/24").unwrap();
    let ping = ["ping", "-c", "1", "-W", "1", "-I", "192.0.2.77", RIGHT];
    assert_ne!(bed.left.run(&ping).unwrap().status, 0);
    assert!(dropped(&bed, "spoofed-ipv4") + dropped(&bed, "spoofed-arp") > 0);
    assert!(pings(&bed.left, RIGHT));
    allow(&bed, "52:54:00:00:00:99");
    assert!(!pings(&bed.left, RIGHT));
    assert!(dropped(&bed, "spoofed-mac") > 0);
    done(
        &bed.switch,
        "remove Interface va other_config aorta-allowed",
    );
    bed.wait_connected();
    assert_eq!(port(&bed.switch, "va").guard, "");
}

#[test]
fn a_list_that_cannot_be_read_closes_the_port_and_says_so() {
    let bed = Bed::new("guard-slip");
    allow(&bed, "52:54:00:00:00:99 10.0.0");
    let error = column(&bed.switch, "Interface", "va", "error");
    assert!(error.contains("\\\"10.0.0\\\" is neither"), "{error}");
    assert!(!pings(&bed.left, RIGHT));
    done(
        &bed.switch,
        "remove Interface va other_config aorta-allowed",
    );
    wait_interface(&bed.switch, "va", "error", "[]");
    bed.wait_connected();
}

#[test]
fn protected_ports_do_not_reach_each_other() {
    let bed = Bed::new("guard-protected");
    let protect = |what: &str| done(&bed.switch, &format!("set Port {what}"));
    protect("va protected=true");
    assert!(pings(&bed.left, RIGHT), "one protected port");
    protect("vb protected=true");
    assert!(!pings(&bed.left, RIGHT));
    assert!(dropped(&bed, "protected") + dropped(&bed, "no-member") > 0);
    protect("va protected=false");
    eventually("left reaches right", || pings(&bed.left, RIGHT));
}

/// What connections send comes in large frames, which count as the segments that leave.
#[test]
fn packets_of_connections_are_those_that_leave() {
    let bed = Bed::new("guard-packets");
    let meter = RateMeter::start(&bed.right, RIGHT, 5301).unwrap();
    let set = "set Interface va ingress_policing_kpkts_rate=1 ingress_policing_kpkts_burst=1";
    assert_eq!(vsctl(&bed.switch, set).status, 0);
    let load = Load {
        protocol: Protocol::Tcp,
        flows: 4,
        seconds: 4,
    };
    let frame_bits = 1514 * 8;
    measured(&bed, &meter, load, 1000 * frame_bits, 1000 * frame_bits / 4);
    assert!(dropped(&bed, "policed") > 0);
}

/// Measures until the rate is right. Connections may have `spare_bps` of the burst left when the
/// measurement begins.
fn measured(bed: &Bed, meter: &RateMeter<'_>, load: Load, wanted_bps: u64, spare_bps: u64) {
    let least = wanted_bps as f64 * (1.0 - TOLERANCE);
    let most = wanted_bps as f64 * (1.0 + TOLERANCE) + spare_bps as f64;
    let what = format!("{load:?}");
    rate_within(least..=most, &what, || meter.measure(&bed.left, load)).unwrap();
}

#[test]
fn what_comes_in_keeps_to_the_rate() {
    let bed = Bed::new("guard-rate");
    let meter = RateMeter::start(&bed.right, RIGHT, 5300).unwrap();
    let seconds = std::env::var("AORTA_QOS_SECONDS").ok();
    let seconds = seconds.and_then(|text| text.parse().ok()).unwrap_or(2);
    // Bursts that outlast the pauses in which connections wait for their timers.
    for (wanted_bps, burst_kbits) in [(10 * MBIT, 8000), (40 * MBIT, 16_000)] {
        let kbps = wanted_bps / 1000;
        let set = format!(
            "set Interface va ingress_policing_rate={kbps} ingress_policing_burst={burst_kbits}"
        );
        assert_eq!(vsctl(&bed.switch, &set).status, 0);
        let offered_bps = 3 * wanted_bps;
        let udp = Protocol::Udp {
            offered_bps,
            datagram_bytes: 1400,
        };
        // Datagrams at three times the rate use the burst up in the second that isn't measured.
        let burst_bps = burst_kbits * 1000 / u64::from(seconds);
        for (protocol, flows, spare_bps) in [(udp, 1, 0), (Protocol::Tcp, 4, burst_bps)] {
            let load = Load {
                protocol,
                flows,
                seconds,
            };
            measured(&bed, &meter, load, wanted_bps, spare_bps);
        }
    }
    assert!(dropped(&bed, "policed") > 0);
}
