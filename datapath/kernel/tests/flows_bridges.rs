//! Random flows on three bridges in a row, against the interpreter: what leaves where, byte by byte,
//! what is dropped and why, and that every frame is accounted for. Frames go from pipeline to
//! pipeline and to NORMAL, and come back; queues that they choose have a DSCP at some ports. `AORTA_DIFF_CASES` says how many cases. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod flow_lab;
mod lab;

use std::cell::RefCell;
use std::collections::BTreeMap;

use aorta_flow::{Bridge, DropReason, Interpreter, Port, PortName, Snapshot};
use aorta_kernel::Datapath;
use aorta_packet::MacAddr;
use flow_lab::{Flows, MTU, bridge, frame, patch, port, station};
use lab::{Lab, Tap};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, FileFailurePersistence, TestCaseError, TestRunner};

const NAMES: [&str; 3] = ["fb0", "fb1", "fb2"];

fn bridges(taps: &[Tap]) -> Vec<Bridge> {
    let [a, b, c, d] = taps else { unreachable!() };
    let marking = |tap, ofport, queues: &[(u32, u8)]| Port {
        queue_dscp: queues.iter().copied().collect(),
        ..port(tap, ofport)
    };
    let ports = [
        vec![
            port(a, 1),
            marking(b, 2, &[(1, 46), (2, 0)]),
            patch("fp01", "fp10", 3),
        ],
        vec![
            marking(c, 1, &[(0, 63), (1, 10)]),
            patch("fp10", "fp01", 2),
            patch("fp12", "fp21", 3),
        ],
        vec![port(d, 1), patch("fp21", "fp12", 2)],
    ];
    let pairs = NAMES.into_iter().zip(ports);
    pairs.map(|(name, ports)| bridge(name, ports)).collect()
}

/// Flows of one bridge; `None` for one that does NORMAL alone.
fn tables() -> impl Strategy<Value = Option<Vec<String>>> {
    let flows = prop::collection::vec(flow(), 1..6);
    prop_oneof![1 => Just(None), 6 => flows.prop_map(Some)]
}

fn flow() -> impl Strategy<Value = String> {
    let matching = prop_oneof![
        Just(String::new()),
        (1..4u8).prop_map(|port| format!(",in_port={port}")),
        (1..4u8).prop_map(|n| format!(",dl_src=02:00:00:00:00:0{n}")),
        Just(",vlan_tci=0/0x1000".to_owned()),
        (1..3u8).prop_map(|vid| format!(",dl_vlan={vid}")),
    ];
    let table = select(vec![0, 0, 0, 1]);
    let actions = prop::collection::vec(action(2), 0..5);
    (table, 0..3u8, matching, actions).prop_map(|(table, priority, matching, actions)| {
        let actions = match actions.is_empty() {
            true => "drop".to_owned(),
            // Only table 0 looks up another: no loops, which end at limits of their own.
            false if table > 0 => actions.join(",").replace("resubmit(,1)", "output:1"),
            false => actions.join(","),
        };
        format!("table={table},priority={priority}{matching},actions={actions}")
    })
}

fn action(depth: u32) -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        4 => (1..4u8).prop_map(|port| format!("output:{port}")),
        3 => Just("NORMAL".to_owned()),
        1 => Just("ALL".to_owned()),
        2 => (1..4u8).prop_map(|n| format!("mod_dl_src:02:00:00:00:00:0{n}")),
        2 => (1..4u8).prop_map(|n| format!("mod_dl_dst:02:00:00:00:00:0{n}")),
        2 => (1..3u8).prop_map(|vid| format!("mod_vlan_vid:{vid}")),
        1 => Just("strip_vlan".to_owned()),
        1 => Just("push_vlan:0x8100".to_owned()),
        1 => Just("push:NXM_OF_ETH_SRC[],pop:NXM_OF_ETH_DST[]".to_owned()),
        1 => Just("push:NXM_OF_ETH_DST[],output:3,pop:NXM_OF_ETH_SRC[]".to_owned()),
        2 => Just("resubmit(,1)".to_owned()),
        2 => (0..4u8).prop_map(|queue| format!("set_queue:{queue}")),
        1 => Just("pop_queue".to_owned()),
        1 => (1..4u8, 0..4u8).prop_map(|(port, queue)| format!("enqueue:{port}:{queue}")),
        1 => Just("push_mpls:0x8847".to_owned()),
        1 => Just("push_mpls:0x8847,output:3,set_field:9->mpls_label".to_owned()),
        1 => Just("push_mpls:0x8848,output:2,pop_mpls:0x0806,output:3".to_owned()),
    ];
    if depth == 0 {
        return leaf.boxed();
    }
    let inner = prop::collection::vec(action(depth - 1), 1..4);
    prop_oneof![
        6 => leaf,
        1 => inner.prop_map(|actions| format!("clone({})", actions.join(","))),
    ]
    .boxed()
}

/// Patch ports that a frame can surely cross, there and back.
const MAX_CROSSINGS: u64 = 2;

/// A frame: tap, source, destination, VLAN if it has a tag, and version of IP if it has an IP header.
type Spec = (usize, u8, u8, Option<u16>, Option<u8>);

fn spec() -> impl Strategy<Value = Spec> {
    (
        0..4usize,
        1..4u8,
        0..4u8,
        prop::option::weighted(0.3, 1..3u16),
        prop::option::weighted(0.7, select(vec![4, 6])),
    )
}

/// A header whose checksum is right, or that has none.
fn ip_header(version: u8) -> Vec<u8> {
    if version == 6 {
        let mut header = vec![0x61, 0x6a, 0xbc, 0xde, 0, 6, 59, 64];
        header.resize(40, 9);
        return header;
    }
    let mut header = vec![
        0x45, 0x15, 0, 46, 0, 1, 0, 0, 64, 253, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
    ];
    let sum = aorta_packet::internet_checksum(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    header
}

fn bytes((_, src, dst, vid, ip): Spec) -> Vec<u8> {
    let dst = match dst {
        0 => MacAddr::BROADCAST,
        n => station(n),
    };
    let mut bytes = frame(dst, station(src));
    if let Some(version) = ip {
        let ethertype: u16 = if version == 6 { 0x86dd } else { 0x0800 };
        let network = [ethertype.to_be_bytes().to_vec(), ip_header(version)].concat();
        bytes.splice(12..12 + network.len(), network);
    }
    if let Some(vid) = vid {
        let [high, low] = vid.to_be_bytes();
        bytes.splice(12..12, [0x81, 0, high, low]);
    }
    bytes
}

/// A frame at a port, short enough to read; all behind the headers is the same in each.
fn shown(port: &PortName, frame: &[u8]) -> String {
    let headers: String = frame[..36].iter().map(|b| format!("{b:02x}")).collect();
    format!("{port} {headers} {}", frame.len())
}

/// How often frames of a port were dropped for a reason.
type Drops = BTreeMap<(PortName, DropReason), u64>;

/// What has been dropped since `before`.
fn less(mut now: Drops, before: &Drops) -> Drops {
    now.retain(|key, n| before.get(key) != Some(n));
    now
}

struct Rig {
    taps: Vec<Tap>,
    datapath: Datapath,
    tables: Vec<Flows>,
    frames: u64,
    many_outputs: u64,
    marked: u64,
    too_far: u64,
}

impl Rig {
    fn check(
        &mut self,
        wanted: &[Option<Vec<String>>],
        specs: &[Spec],
    ) -> Result<(), TestCaseError> {
        // What earlier cases learned is forgotten with the ports.
        self.datapath.apply(&Snapshot::default()).unwrap();
        for (flows, lines) in self.tables.iter_mut().zip(wanted) {
            let normal = vec!["priority=0,actions=NORMAL".to_owned()];
            let lines = lines.as_ref().unwrap_or(&normal);
            *flows = Flows::new(flows.bridge.to_string().as_str());
            flows.add_valid(lines);
            self.datapath
                .apply_flows(&flows.bridge, &flows.tables, None)
                .map_err(|e| TestCaseError::fail(aorta_kernel::chain(&e)))?;
        }
        let bridges = bridges(&self.taps);
        flow_lab::apply(&mut self.datapath, bridges.clone());
        let mut reference = Interpreter::new(&Snapshot { bridges });
        for flows in &self.tables {
            reference.set_tables(&flows.bridge, flows.tables.clone());
        }
        for (n, spec) in specs.iter().enumerate() {
            let name = self.taps[spec.0].name.clone();
            let sent = bytes(*spec);
            let (drops, balance, crossed) = (self.drops(), self.balance(), self.crossed());
            let expected = reference.receive(&name, &sent, 0);
            self.taps[spec.0].send(&sent).unwrap();
            let mut left = Vec::new();
            for tap in &self.taps {
                let frames = tap.receive_all().into_iter();
                left.extend(frames.map(|frame| shown(&tap.name, &frame)));
            }
            left.sort();
            // A frame can go from program to program 33 times, five for each way there and back.
            let failed = |drops: Drops| drops.keys().any(|(_, why)| *why == DropReason::Failed);
            if self.crossed() > crossed + MAX_CROSSINGS || failed(less(self.drops(), &drops)) {
                self.too_far += 1;
                continue;
            }
            let outputs = expected.outputs.iter();
            let mut wanted: Vec<_> = outputs.map(|o| shown(&o.port, &o.frame)).collect();
            wanted.sort();
            prop_assert_eq!(left, wanted, "frame {}: {:?}", n, spec);
            let mut wanted = drops;
            for drop in expected.drops {
                *wanted.entry(drop).or_default() += 1;
            }
            prop_assert_eq!(self.drops(), wanted, "drops of frame {}: {:?}", n, spec);
            prop_assert_eq!(
                self.balance(),
                balance,
                "account of frame {}: {:?}",
                n,
                spec
            );
            self.frames += 1;
            self.many_outputs += u64::from(expected.outputs.len() > 1);
            // Frames come with other classes.
            let is_marked = |frame: &[u8]| {
                [[8, 0, 0x45, 0xb9], [8, 0, 0x45, 0x29]]
                    .iter()
                    .any(|m| frame.windows(4).any(|w| w == m))
            };
            self.marked += u64::from(expected.outputs.iter().any(|o| is_marked(&o.frame)));
        }
        Ok(())
    }

    fn drops(&self) -> Drops {
        let counters = self.datapath.counters().unwrap().into_iter();
        counters
            .flat_map(|port| {
                let name = port.port;
                let drops = port.drops.into_iter();
                drops.map(move |(reason, n)| ((name.clone(), reason), n))
            })
            .collect()
    }

    /// Frames that came out of patch ports.
    fn crossed(&self) -> u64 {
        let counters = self.datapath.counters().unwrap().into_iter();
        let patches = counters.filter(|port| port.port.as_str().starts_with("fp"));
        patches.map(|port| port.rx_packets).sum()
    }

    /// Frames taken, less those that are accounted for.
    fn balance(&self) -> i128 {
        let counters = self.datapath.counters().unwrap();
        let one = |c: &aorta_kernel::PortCounters| {
            let taken = c.rx_packets + c.flood_copies;
            let accounted = c.tx_packets + c.flooded + c.drops.values().sum::<u64>();
            i128::from(taken) - i128::from(accounted)
        };
        counters.iter().map(one).sum()
    }
}

fn rig(test: &str) -> (Lab, Rig) {
    let lab = Lab::new(test);
    let taps = (0..4).map(|n| lab.tap(&format!("{test}{n}"), MTU));
    let rig = Rig {
        taps: taps.collect(),
        datapath: lab.datapath(),
        tables: NAMES.map(Flows::new).into(),
        frames: 0,
        many_outputs: 0,
        marked: 0,
        too_far: 0,
    };
    (lab, rig)
}

#[test]
fn what_a_bridge_sets_aside_is_safe_from_bridges_that_set_less_aside() {
    let (_lab, mut rig) = rig("fbs");
    let small = "table=0,priority=0,actions=mod_dl_src:02:00:00:00:00:01";
    let large = "table=0,priority=0,actions=clone(mod_dl_src:02:00:00:00:00:01,\
                 clone(mod_dl_dst:02:00:00:00:00:01,output:2,NORMAL),output:3),mod_vlan_vid:1";
    let tables = [
        Some(vec![small.to_owned()]),
        Some(vec![large.to_owned()]),
        None,
    ];
    let frame = (2, 1, 0, None, None);
    for _ in 0..3 {
        rig.check(&tables, &[frame]).unwrap();
    }
}

/// Queues with a DSCP, in copies, across bridges, behind tags and labels, and by NORMAL.
#[test]
fn queues_mark_what_leaves_by_them() {
    let (_lab, mut rig) = rig("fbq");
    let first = "table=0,priority=0,actions=output:2,set_queue:1,output:2,output:3,set_queue:2,\
                 output:2,pop_queue,output:2,enqueue:2:1,push_vlan:0x8100,enqueue:2:1,push_vlan:0x8100,\
                 enqueue:2:1,push_mpls:0x8847,enqueue:2:1";
    let normal = "table=0,priority=0,actions=set_queue:1,NORMAL";
    let second = "table=0,priority=0,actions=output:1,set_queue:0,output:1,ALL";
    let frames: Vec<Spec> = [None, Some(1)]
        .into_iter()
        .flat_map(|vid| [None, Some(4), Some(6)].map(|ip| (0, 1, 0, vid, ip)))
        .collect();
    for (a, b) in [(first, second), (normal, second), (first, normal)] {
        let tables = [Some(vec![a.to_owned()]), Some(vec![b.to_owned()]), None];
        let before = rig.marked;
        rig.check(&tables, &frames).unwrap();
        assert!(rig.marked > before, "{a}; {b}");
    }
}

#[test]
fn bridges_in_a_row_do_what_the_interpreter_says() {
    let (_lab, rig) = rig("fbr");
    let rig = RefCell::new(rig);
    let given = std::env::var("AORTA_DIFF_CASES").ok();
    let cases = given.and_then(|n| n.parse().ok()).unwrap_or(40);
    let persistence = FileFailurePersistence::WithSource("regressions");
    let config = Config {
        cases,
        failure_persistence: Some(Box::new(persistence)),
        ..Config::default()
    };
    let case = (
        prop::collection::vec(tables(), 3),
        prop::collection::vec(spec(), 1..8),
    );
    TestRunner::new(config)
        .run(&case, |(tables, specs)| {
            rig.borrow_mut().check(&tables, &specs)
        })
        .unwrap_or_else(|e| panic!("{e}"));
    let rig = rig.borrow();
    println!(
        "{} frames agree, {} of them copied, {} marked; {} went too far",
        rig.frames, rig.many_outputs, rig.marked, rig.too_far
    );
    assert!(rig.many_outputs > 0 && rig.too_far < rig.frames / 3);
}
