//! Nanoseconds per packet of what guards a port: NORMAL, known unicast, from ports with and without
//! guards, in interleaved rounds. Needs root.
//!
//! `--rounds N` sets how often each is measured. The kernel takes the time of the programs, so it
//! doesn't matter how this program is built.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../tests/lab/mod.rs"]
mod lab;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use aorta_flow::guard::{Policing, StormLimits};
use aorta_flow::{Bridge, OfPort, Port, PortGuard, Snapshot};
use aorta_packet::MacAddr;
use aorta_testing::Rng;
use aorta_testing::guards::largest_allowed;
use aorta_testing::packet::{Ipv4, Ipv6, Network, Packet, Transport};
use lab::Lab;

const ROUNDS: usize = 21;
const RUNS_PER_ROUND: u32 = 1_000_000;
const MTU: u16 = 1500;
const GUEST: MacAddr = MacAddr([0x52, 0x54, 0, 0, 0, 1]);
const OTHER: MacAddr = MacAddr([0x52, 0x54, 0, 0, 0, 2]);
const V4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
/// What a redirect answers.
const REDIRECTED: u32 = 7;

/// A rate that nothing reaches.
const FAST: Policing = Policing {
    rate_kbps: 1_000_000_000,
    burst_kbits: 1_000_000_000,
    rate_kpps: 0,
    burst_kpkts: 0,
};

fn allowed(text: &str) -> PortGuard {
    PortGuard {
        allowed: Some(text.parse().unwrap()),
        ..PortGuard::default()
    }
}

/// The guards, with how much they may cost in nanoseconds.
fn guards() -> Vec<(&'static str, PortGuard, Option<u32>)> {
    let one = format!("{GUEST} {V4} {V6}");
    let mut most = largest_allowed(&mut Rng::new(1));
    let macs = most.macs.get_or_insert_default();
    // One more than there may be: that of the frames.
    macs.insert(
        GUEST,
        vec![IpAddr::from(V4).into(), IpAddr::from(V6).into()],
    );
    let policed = |policing| PortGuard {
        policing,
        ..PortGuard::default()
    };
    let both = PortGuard {
        policing: FAST,
        ..allowed(&one)
    };
    let most = PortGuard {
        allowed: Some(most),
        ..PortGuard::default()
    };
    let packets = Policing {
        rate_kpps: 1_000_000,
        burst_kpkts: 1_000_000,
        ..FAST
    };
    let unknown = PortGuard {
        protected: true,
        storm: StormLimits {
            broadcast_pps: 100,
            unknown_pps: 100,
        },
        ..PortGuard::default()
    };
    vec![
        ("nothing", PortGuard::default(), None),
        ("MAC address", allowed(&GUEST.to_string()), Some(10)),
        ("MAC, IPv4 and IPv6 address", allowed(&one), Some(10)),
        ("64 MAC, 64 IP addresses", most, None),
        ("policing of bits", policed(FAST), Some(15)),
        ("policing of bits and packets", policed(packets), None),
        ("addresses and policing of bits", both, Some(25)),
        ("protected, storm limits", unknown, None),
    ]
}

fn packet(network: Network) -> Vec<u8> {
    let packet = Packet {
        dst: OTHER,
        src: GUEST,
        tags: Vec::new(),
        labels: Vec::new(),
        network,
        trailer: Vec::new(),
    };
    packet.bytes()
}

fn frames() -> [(&'static str, Vec<u8>); 3] {
    let ipv4 = |transport| {
        packet(Network::Ipv4(Ipv4 {
            src: V4.into(),
            dst: 0x0a00_0002,
            tos: 0,
            ttl: 64,
            fragment: 0,
            options: Vec::new(),
            transport,
        }))
    };
    let ipv6 = packet(Network::Ipv6(Ipv6 {
        src: V6.into(),
        dst: u128::from(V6) + 1,
        tos: 0,
        label: 0,
        ttl: 64,
        extensions: Vec::new(),
        transport: Transport::Udp(5000, 53, true),
    }));
    [
        ("TCP", ipv4(Transport::Tcp(5000, 80, 0x10))),
        ("UDP", ipv4(Transport::Udp(5000, 53, true))),
        ("IPv6 UDP", ipv6),
    ]
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let rounds = args.iter().position(|arg| arg == "--rounds");
    let rounds = rounds.map_or(ROUNDS, |at| args[at + 1].parse().unwrap());
    let lab = Lab::new("guards");
    let guards = guards();
    let taps: Vec<_> = (0..=guards.len())
        .map(|n| lab.tap(&format!("bg{n}"), MTU))
        .collect();
    let port = |n: usize| Port {
        guard: guards.get(n).map(|g| g.1.clone()).unwrap_or_default(),
        ..Port::new(
            taps[n].name.clone(),
            OfPort(n as u16 + 1),
            taps[n].attachment(true, MTU.into()),
        )
    };
    let bridge = Bridge::new("bench".into(), (0..taps.len()).map(port).collect());
    let mut datapath = lab.datapath();
    let applied = datapath.apply(&Snapshot {
        bridges: vec![bridge],
    });
    assert!(applied.unwrap().failed.is_empty());
    // Where the frames go to is known.
    let mut announcement = [MacAddr::BROADCAST.0, OTHER.0].concat();
    announcement.extend([0x88, 0xb5]);
    announcement.resize(60, 0);
    taps[guards.len()].send(&announcement).unwrap();
    println!("ns a packet more than without a guard, medians of {rounds} interleaved rounds");
    for (kind, frame) in frames() {
        let mut samples = vec![Vec::new(); guards.len()];
        for round in 0..=rounds {
            for (n, samples) in samples.iter_mut().enumerate() {
                let run = datapath.test_run(&taps[n].name, &frame, RUNS_PER_ROUND);
                let run = run.unwrap();
                assert_eq!(run.verdict, REDIRECTED, "{}", guards[n].0);
                // The first round warms up.
                if round > 0 {
                    samples.push(run.duration_ns);
                }
            }
        }
        let bare = median(&mut samples[0]);
        println!("{kind}: {bare} ns without");
        for ((name, _, limit), samples) in guards.iter().zip(&mut samples).skip(1) {
            let more = i64::from(median(samples)) - i64::from(bare);
            let limit = limit.map(|ns| format!(" (limit {ns})")).unwrap_or_default();
            println!("  {name:<32} {more:>4}{limit}");
        }
    }
}

fn median(samples: &mut [u32]) -> u32 {
    samples.sort_unstable();
    samples[samples.len() / 2]
}
