//! Streams through the switch, and what the kernel's own tools see of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use aorta_integration::lab::{Netns, run, run_within};
use common::{Bed, LIMIT, RIGHT, eventually, pings, port, wait_interface};

/// Bytes of a transfer.
const TRANSFER: usize = 64 << 20;
/// Bytes of a full frame without any offload.
const FULL_FRAME: u64 = 1514;

/// What is transferred: no two blocks alike.
fn contents() -> Vec<u8> {
    let mut state = 1u64;
    let words = (0..TRANSFER / 8).flat_map(|_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        state.to_be_bytes()
    });
    words.collect()
}

/// Does something in a namespace, on a thread of its own.
fn within<T: Send>(ns: &Netns, what: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            ns.enter().unwrap();
            what()
        });
        thread.join().unwrap()
    })
}

/// Sends [`contents`] to an address of `to` and returns what arrived.
fn transfer(from: &Netns, to: &Netns, address: SocketAddr) -> Vec<u8> {
    let listener = within(to, || TcpListener::bind(address).unwrap());
    let sender = within(from, || TcpStream::connect(address).unwrap());
    let (mut receiver, _) = listener.accept().unwrap();
    for stream in [&sender, &receiver] {
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.set_write_timeout(Some(LIMIT)).unwrap();
    }
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut sender = sender;
            sender.write_all(&contents()).unwrap();
        });
        let mut arrived = Vec::with_capacity(TRANSFER);
        receiver.read_to_end(&mut arrived).unwrap();
        arrived
    })
}

/// Every offload setting of a device.
fn offloads(ns: &Netns, device: &str) -> String {
    let args = ["ethtool", "-k", device];
    ns.run(&args).unwrap().ok().unwrap().stdout
}

#[test]
fn tcp_keeps_its_contents_and_frames_stay_whole() {
    let ns = Netns::new("offloads").unwrap();
    ns.disable_ipv6().unwrap();
    let probe = common::station(&ns, "va", "192.0.2.1/24");
    let (fresh, fresh_far) = (offloads(&ns, "va"), offloads(&probe, "eth0"));
    drop(probe);

    let bed = Bed::new("tcp");
    assert_eq!(offloads(&bed.ns, "va"), fresh);
    assert_eq!(offloads(&bed.left, "eth0"), fresh_far);
    assert!(fresh.contains("tcp-segmentation-offload: on"), "{fresh}");
    let before = port(&bed.switch, "va");
    let arrived = transfer(
        &bed.left,
        &bed.right,
        format!("{RIGHT}:7001").parse().unwrap(),
    );
    assert!(arrived == contents(), "{} bytes", arrived.len());
    let after = port(&bed.switch, "va");
    let packets = after.rx_packets - before.rx_packets;
    let bytes = after.rx_bytes - before.rx_bytes;
    assert!(bytes >= TRANSFER as u64);
    assert!(
        bytes > 3 * FULL_FRAME * packets,
        "{packets} frames of {bytes} bytes: segmented before the switch"
    );
    assert_eq!(offloads(&bed.ns, "va"), fresh);
}

#[test]
fn tcp_between_a_station_and_the_host_keeps_its_contents() {
    let bed = Bed::new("local");
    bed.ns.address("br0", "192.0.2.10/24").unwrap();
    bed.ns.ip(&["link", "set", "dev", "br0", "up"]).unwrap();
    wait_interface(&bed.switch, "br0", "link_state", "up");
    eventually("left reaches LOCAL", || pings(&bed.left, "192.0.2.10"));
    let wanted = contents();
    let to_host = transfer(&bed.left, &bed.ns, "192.0.2.10:7002".parse().unwrap());
    assert!(to_host == wanted, "{} bytes", to_host.len());
    let from_host = transfer(
        &bed.ns,
        &bed.right,
        format!("{RIGHT}:7003").parse().unwrap(),
    );
    assert!(from_host == wanted, "{} bytes", from_host.len());
}

#[test]
fn receivers_without_offloads_get_valid_segments() {
    let bed = Bed::new("segments");
    let off = [
        "ethtool", "-K", "vb", "tso", "off", "gso", "off", "tx", "off",
    ];
    bed.ns.run(&off).unwrap().ok().unwrap();
    let arrived = transfer(
        &bed.left,
        &bed.right,
        format!("{RIGHT}:7004").parse().unwrap(),
    );
    assert!(arrived == contents(), "{} bytes", arrived.len());
}

#[test]
fn tcpdump_sees_the_traffic_of_a_port() {
    let bed = Bed::new("tcpdump");
    for device in ["va", "vb"] {
        let seen = std::thread::scope(|scope| {
            let mut tcpdump = bed.ns.command("tcpdump");
            tcpdump.args(["-n", "-l", "-i", device, "-c", "4", "icmp"]);
            let dump = scope.spawn(move || run_within(&mut tcpdump, Duration::from_secs(30)));
            while !dump.is_finished() {
                pings(&bed.left, RIGHT);
            }
            dump.join().unwrap().unwrap().ok().unwrap().stdout
        });
        for way in ["192.0.2.1 > 192.0.2.2", "192.0.2.2 > 192.0.2.1"] {
            assert!(seen.contains(way), "{way} at {device}: {seen}");
        }
    }
}

#[test]
fn bpftool_shows_the_programs_of_the_switch_by_name() {
    let listed = || -> Vec<serde_json::Value> {
        let shown = run(Command::new("bpftool").args(["-j", "prog", "show"])).unwrap();
        serde_json::from_str(&shown.ok().unwrap().stdout).unwrap()
    };
    let ids = |programs: &[serde_json::Value]| -> Vec<u64> {
        programs.iter().filter_map(|p| p["id"].as_u64()).collect()
    };
    let before = ids(&listed());
    let bed = Bed::new("bpftool");
    let mut names: Vec<String> = listed()
        .iter()
        .filter(|p| p["id"].as_u64().is_some_and(|id| !before.contains(&id)))
        .filter(|p| p["type"] == "sched_cls")
        .filter_map(|p| p["name"].as_str().map(str::to_owned))
        .collect();
    names.sort();
    let entries = names.iter().filter(|n| n.starts_with("entry_")).count();
    // One for each of va, vb and LOCAL.
    assert!(entries >= 3, "{names:?}");
    for name in ["flood", "finish"] {
        assert!(names.iter().any(|n| n == name), "{name} in {names:?}");
    }
    drop(bed);
}
