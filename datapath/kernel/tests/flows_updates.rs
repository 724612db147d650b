//! A large access list that changes while packets run: each packet obeys the tables before or
//! after a bundle of changes, never a mix.
//!
//! Needs root. `AORTA_ACL_FLOWS` sets the size of the list.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod lab;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use aorta_flow::table::{FlowMod, Modification, Tables};
use aorta_flow::text::{NoNames, parse_flow_line};
use aorta_flow::{Bridge, BridgeName, Flow, OfPort, Port, Snapshot};
use aorta_packet::MacAddr;
use aorta_testing::packet::{Ipv4, Network, Packet, Transport};
use lab::{Lab, Tap};

const FLOWS: u32 = 20_000;
/// Flows that each bundle changes, and that packets are for.
const CHANGED: u32 = 100;
const BUNDLES: u64 = 300;
/// Packets between two looks at what came out: fewer than a tap keeps.
const BURST: u32 = 50;

/// In generation 0, 2, ... packets leave by the first, else by the second.
const OUT: [u16; 2] = [2, 3];
/// Where packets go that meet one table of this generation and one of another.
const MIXED: u16 = 4;

fn flow(line: &str) -> Flow {
    parse_flow_line(line, &NoNames).unwrap().1.into_flow()
}

fn add(flow: Flow) -> Modification {
    Modification::Flow(FlowMod {
        table: Some(flow.table),
        flow,
        ..FlowMod::default()
    })
}

/// One of the list, as it is in a generation: it marks the packet with the generation's parity.
fn listed(at: u32, generation: u64) -> Modification {
    let address = std::net::Ipv4Addr::from(0x0a00_0000 + at);
    add(flow(&format!(
        "priority=10,udp,nw_src={address},nw_dst=10.255.0.1,tp_src={},tp_dst=53 \
         actions=load:{}->NXM_NX_REG0[],resubmit(,1)",
        at % 50_000 + 1,
        generation % 2 + 1
    )))
}

/// The table behind it: marks of this generation lead out, others to where nothing may come.
fn behind(generation: u64) -> [Modification; 2] {
    [0u64, 1].map(|parity| {
        let port = match parity == generation % 2 {
            true => OUT[parity as usize],
            false => MIXED,
        };
        add(flow(&format!(
            "table=1,priority=10,reg0={} actions=output:{port}",
            parity + 1
        )))
    })
}

/// A packet for one of the list.
fn packet(at: u32) -> Vec<u8> {
    Packet {
        dst: MacAddr([2, 0, 0, 0, 0, 2]),
        src: MacAddr([2, 0, 0, 0, 0, 1]),
        tags: Vec::new(),
        labels: Vec::new(),
        network: Network::Ipv4(Ipv4 {
            src: 0x0a00_0000 + at,
            dst: 0x0aff_0001,
            tos: 0,
            ttl: 64,
            fragment: 0,
            options: Vec::new(),
            transport: Transport::Udp((at % 50_000 + 1) as u16, 53, true),
        }),
        trailer: Vec::new(),
    }
    .bytes()
}

fn bridge(name: &BridgeName, taps: &[Tap]) -> Bridge {
    let port =
        |(n, tap): (u16, &Tap)| Port::new(tap.name.clone(), OfPort(n), tap.attachment(true, 1500));
    Bridge::new(name.clone(), (1..).zip(taps).map(port).collect())
}

/// How far changes have come: the newest generation that was begun, and that holds.
#[derive(Default)]
struct Progress {
    begun: AtomicU64,
    holds: AtomicU64,
    over: AtomicBool,
}

/// Sends packets until all is over, and looks where each burst comes out. How many were sent, and
/// in how many bursts it was certain where they must come out.
fn traffic((taps, flows): (&[Tap], u32), progress: &Progress) -> (u64, u64) {
    let changed = CHANGED.min(flows);
    let packets: Vec<Vec<u8>> = (0..changed).map(|n| packet(place(n, flows))).collect();
    let mut packets = packets.iter().cycle();
    let (mut sent, mut certain) = (0, 0);
    while !progress.over.load(Ordering::SeqCst) {
        let held = progress.holds.load(Ordering::SeqCst);
        for packet in packets.by_ref().take(BURST as usize) {
            taps[0].send(packet).unwrap();
        }
        let begun = progress.begun.load(Ordering::SeqCst);
        let count = |port: u16| taps[usize::from(port) - 1].receive_all().len() as u32;
        let (out, mixed) = (OUT.map(count), count(MIXED));
        assert_eq!(mixed, 0, "packets met tables of two generations");
        assert_eq!(
            out[0] + out[1],
            BURST,
            "packets of a burst that came out, between generations {held} and {begun}"
        );
        if held == begun {
            let certainly = out[(held % 2) as usize];
            assert_eq!(
                certainly, BURST,
                "generation {held} held when they were sent"
            );
            certain += 1;
        }
        sent += u64::from(BURST);
    }
    (sent, certain)
}

/// The places of the flows that change: all over the list of so many.
fn place(n: u32, flows: u32) -> u32 {
    n * (flows / CHANGED.min(flows))
}

fn flows() -> u32 {
    let asked = std::env::var("AORTA_ACL_FLOWS").ok();
    asked.and_then(|n| n.parse().ok()).unwrap_or(FLOWS)
}

#[test]
fn packets_obey_the_tables_before_or_after_a_bundle() {
    let names = ["u1", "u2", "u3", "u4"];
    bundles(("fupd", names), flows(), &[], BUNDLES);
}

#[test]
fn so_do_those_that_programs_made_meanwhile_take() {
    // The one can be in programs of single ports, the other can't.
    let straight = "priority=1,in_port=4 actions=output:2";
    let names = ["v1", "v2", "v3", "v4"];
    bundles(("fupe", names), 30, &[straight], BUNDLES / 4);
    let names = ["x1", "x2", "x3", "x4"];
    bundles(("fupg", names), 300, &[straight], BUNDLES / 4);
    let twice = "priority=1,in_port=4 actions=output:2,output:3";
    let names = ["w1", "w2", "w3", "w4"];
    bundles(("fupf", names), 300, &[twice], BUNDLES / 4);
}

/// Changes flows of a list of so many and those behind it so many times, with `more` flows that don't
/// change. If there are any, ports and bridge get programs for the tables as they are now and then.
fn bundles((test, names): (&str, [&str; 4]), flows: u32, more: &[&str], bundles: u64) {
    let lab = Lab::new(test);
    let changed = CHANGED.min(flows);
    let taps: Vec<Tap> = names.iter().map(|name| lab.tap(name, 1500)).collect();
    let name: BridgeName = "br0".into();
    let mut datapath = lab.datapath();
    let mut tables = Tables::new();
    // Enough that the second table is kept in memory, too.
    let others = (10..74).map(|mark| add(flow(&format!("table=1,reg0={mark} actions=drop"))));
    let others = others.take(if more.is_empty() { 64 } else { 20 });
    let list = (0..flows).map(|at| listed(at, 0));
    let list = list.chain(behind(0)).chain(others);
    let list = list.chain(more.iter().map(|line| add(flow(line))));
    tables.modify_all(&list.collect::<Vec<_>>()).unwrap();
    datapath.apply_flows(&name, &tables, None).unwrap();
    let snapshot = Snapshot {
        bridges: vec![bridge(&name, &taps)],
    };
    assert!(datapath.apply(&snapshot).unwrap().failed.is_empty());

    let progress = Progress::default();
    let mut longest = std::time::Duration::ZERO;
    let mut why_rebuilt: Option<String> = None;
    let mut fixed = 0;
    let (sent, certain) = std::thread::scope(|scope| {
        let running = scope.spawn(|| traffic((&taps, flows), &progress));
        for generation in 1..=bundles {
            if !more.is_empty() && generation % 3 == 0 {
                while datapath.tailor_port().unwrap() {}
                let explained = datapath.explain_flows(&name).unwrap();
                fixed += u64::from(explained.fixed || explained.own_programs > 0);
            }
            let change = (0..changed).map(|n| listed(place(n, flows), generation));
            let bundle: Vec<_> = change.chain(behind(generation)).collect();
            let changes = tables.modify_all(&bundle).unwrap();
            progress.begun.store(generation, Ordering::SeqCst);
            let start = Instant::now();
            let applied = datapath
                .apply_flows(&name, &tables, Some(&changes))
                .unwrap();
            longest = longest.max(start.elapsed());
            progress.holds.store(generation, Ordering::SeqCst);
            // Flows of another program take another way to be exchanged at once. Small lists do when
            // what was retired isn't free again yet.
            why_rebuilt = applied.why_rebuilt.filter(|_| more.is_empty());
            if running.is_finished() || why_rebuilt.is_some() {
                break;
            }
        }
        progress.over.store(true, Ordering::SeqCst);
        running.join().unwrap()
    });
    println!(
        "{sent} packets during {bundles} bundles of {} changes in a list of {flows} flows; the longest \
         bundle took {longest:?}; {certain} bursts between bundles",
        changed + 2,
    );
    assert_eq!(fixed > 0, !more.is_empty());
    assert_eq!(why_rebuilt, None, "there was another program");
    assert!(sent > 10 * u64::from(BURST), "there was no traffic");
    assert!(certain > 0, "no burst was between two bundles");
}
