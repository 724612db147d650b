//! Nanoseconds per packet of NORMAL, known unicast between two access ports, against a learning
//! switch written by hand. Rounds are interleaved. Needs root.
//!
//! Prints a table, or one JSON object with `--json`; `--rounds N` sets how often both are measured.
//! The kernel takes the time of the programs, so it doesn't matter how this program is built.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../tests/lab/mod.rs"]
mod lab;
mod steps;

use aorta_compiler::abi::{self, MapKind, MapSpec};
use aorta_compiler::{EntryFacts, Ingress, Origin, Refuses, compile_entry};
use aorta_ebpf::{MapId, Program};
use aorta_flow::guard::StormLimits;
use aorta_flow::{Bridge, OfPort, Port, PortVlan, Snapshot};
use aorta_kernel::{Datapath, Loaded, Loader, Map};
use aorta_packet::{MacAddr, Vid};
use lab::{Lab, Tap};

const ROUNDS: usize = 21;
const RUNS_PER_ROUND: u32 = 2_000_000;
const VLAN: u16 = 10;
const MTU: u16 = 1500;
/// The hand-written program's table of stations.
const STATIONS: MapId = MapId(3);
const A: [u8; 6] = [2, 0, 0, 0, 0, 1];
const B: [u8; 6] = [2, 0, 0, 0, 0, 2];

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let json = args.iter().any(|arg| arg == "--json");
    let rounds = args.iter().position(|arg| arg == "--rounds");
    let rounds = rounds.map_or(ROUNDS, |at| args[at + 1].parse().unwrap());
    let lab = Lab::new("bench");
    let taps = [lab.tap("ba", MTU), lab.tap("bb", MTU)];
    let mut compiled = compiled(&lab, &taps);
    let by_hand = by_hand(&taps);
    let frame = frame(B, A);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        let run = compiled
            .test_run(&taps[0].name, &frame, RUNS_PER_ROUND)
            .unwrap();
        assert_eq!(run.verdict, 7, "the compiled program redirects");
        let hand = by_hand.program.test_run(&frame, RUNS_PER_ROUND).unwrap();
        assert_eq!(hand.verdict, 7, "the program written by hand redirects");
        // The first round warms up.
        if round > 0 {
            ours.push(run.duration_ns);
            theirs.push(hand.duration_ns);
        }
    }
    let entry = compile_entry(&facts()).unwrap();
    let steps = |program: &Program, stations: MapId| {
        let vid = Vid::new(VLAN).unwrap();
        let keys = [A, B].map(|mac| abi::fdb::key(vid, MacAddr(mac)));
        steps::executed(program, stations, keys, &record(1), &frame)
    };
    let executed = [
        steps(&entry, abi::fdb_id(0)),
        steps(&hand_written(), STATIONS),
    ];
    report(
        json,
        Side {
            samples_ns: ours,
            insns: entry.len(),
            executed: executed[0],
        },
        Side {
            samples_ns: theirs,
            insns: by_hand.insns,
            executed: executed[1],
        },
    );
}

struct Side {
    samples_ns: Vec<u32>,
    insns: usize,
    executed: u64,
}

impl Side {
    fn sorted(&self) -> Vec<u32> {
        let mut sorted = self.samples_ns.clone();
        sorted.sort_unstable();
        sorted
    }

    fn median(&self) -> u32 {
        self.sorted()[self.samples_ns.len() / 2]
    }

    fn json(&self) -> String {
        format!(
            r#"{{"samples_ns":{:?},"instructions":{},"executed":{}}}"#,
            self.samples_ns, self.insns, self.executed
        )
    }
}

fn report(json: bool, ours: Side, hand: Side) {
    if json {
        println!(
            r#"{{"compiled":{},"by_hand":{}}}"#,
            ours.json(),
            hand.json()
        );
        return;
    }
    println!(
        "NORMAL, known unicast, access ports: ns a packet, median (min-max) of {} rounds",
        ours.samples_ns.len()
    );
    for (name, side) in [("compiled", &ours), ("by hand", &hand)] {
        let sorted = side.sorted();
        let (min, max) = (sorted[0], sorted[sorted.len() - 1]);
        println!(
            "  {name:<9} {:>4} ({min}-{max})  {} of {} instructions executed",
            side.median(),
            side.executed,
            side.insns
        );
    }
    println!(
        "  ratio     {:.2} (limit 1.2)",
        f64::from(ours.median()) / f64::from(hand.median())
    );
}

fn frame(dst: [u8; 6], src: [u8; 6]) -> Vec<u8> {
    let mut frame = [dst, src].concat();
    frame.extend([0x88, 0xb5]);
    frame.resize(60, 0);
    frame
}

fn facts() -> EntryFacts {
    EntryFacts {
        port_slot: 0,
        bridge_slot: 0,
        ingress: Ingress::Access(Vid::new(VLAN).unwrap()),
        forward_bpdu: false,
        mac_aging_s: 300,
        hz: 250,
        origin: Origin::Device,
        refuses: Refuses::None,
        guard: None,
        protected: false,
        storm: StormLimits::default(),
    }
}

fn compiled(lab: &Lab, taps: &[Tap; 2]) -> Datapath {
    let port = |n: usize| Port {
        vlan: PortVlan::Access(Vid::new(VLAN).unwrap()),
        ..Port::new(
            taps[n].name.clone(),
            OfPort(n as u16 + 1),
            taps[n].attachment(true, MTU.into()),
        )
    };
    let bridge = Bridge {
        name: "br0".into(),
        mac_aging_s: 300,
        mac_table_size: 8192,
        forward_bpdu: false,
        ports: vec![port(0), port(1)],
    };
    let mut datapath = lab.datapath();
    assert!(
        datapath
            .apply(&Snapshot {
                bridges: vec![bridge]
            })
            .unwrap()
            .failed
            .is_empty()
    );
    taps[1].send(&frame(A, B)).unwrap();
    datapath
}

fn hand_written() -> Program {
    Program::parse(include_str!("learning_switch.ebpf")).unwrap()
}

/// Record of an access port.
fn record(ifindex: u32) -> [u8; abi::port::BYTES] {
    let (max_len, untagged_vlan) = (u32::from(MTU) + 18, VLAN);
    abi::port::Record {
        ifindex,
        max_len,
        untagged_vlan,
        ..abi::port::Record::FREE
    }
    .encode()
}

struct ByHand {
    program: Loaded,
    insns: usize,
    _maps: Vec<Map>,
}

fn by_hand(taps: &[Tap; 2]) -> ByHand {
    let program = hand_written();
    let stations = MapSpec {
        id: STATIONS,
        name: "stations",
        kind: MapKind::LruHash,
        key_bytes: 8,
        value_bytes: 16,
        max_entries: 8192,
    };
    let maps = [(1, abi::COUNTERS), (2, abi::PORTS), (3, stations)];
    let maps: Vec<(u32, Map)> = maps
        .iter()
        .map(|(id, spec)| (*id, Map::create(spec, spec.name).unwrap()))
        .collect();
    maps[1]
        .1
        .set(&1u32.to_ne_bytes(), &record(taps[1].ifindex.get()))
        .unwrap();
    let mut key = [0; 8];
    key[..6].copy_from_slice(&B);
    key[6..].copy_from_slice(&VLAN.to_ne_bytes());
    let mut station = [0; 16];
    station[..4].copy_from_slice(&1u32.to_ne_bytes());
    // Seen in the far future: it doesn't age while the bench runs.
    station[8..].copy_from_slice(&(1u64 << 40).to_ne_bytes());
    maps[2].1.set(&key, &station).unwrap();
    let fd = |id: MapId| {
        maps.iter()
            .find(|(n, _)| *n == id.0)
            .map(|(_, map)| map.raw_fd())
    };
    let loaded = Loader::new().load(&program, fd).unwrap();
    let maps = maps.into_iter().map(|(_, map)| map).collect();
    ByHand {
        program: loaded,
        insns: program.len(),
        _maps: maps,
    }
}
