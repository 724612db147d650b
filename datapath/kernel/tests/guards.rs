//! Guards of ports in the kernel against the reference interpreter: random lists of allowed addresses
//! and random frames of hosts that keep to them or don't, before NORMAL, before flows, and in programs
//! of single ports; rates; and the largest lists that there may be. Needs root.
//!
//! `AORTA_DIFF_CASES` sets the number of lists (each gets 60 frames).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod flow_lab;
mod lab;

use std::collections::BTreeMap;
use std::time::Instant;

use aorta_flow::guard::{Policing, StormLimits};
use aorta_flow::{DropReason, Interpreter, Port, PortGuard, PortName, Snapshot};
use aorta_kernel::Datapath;
use aorta_packet::MacAddr;
use aorta_testing::Rng;
use aorta_testing::guards::{allowed, guarded_frame, largest_allowed};
use flow_lab::{Flows, apply, bridge, drops, frame, port, station};
use lab::{Lab, Tap};

const FRAMES: usize = 60;

/// How frames get into the switch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Normal,
    Flows,
    Tailored,
    /// A program of a single port whose tables hold no more.
    Superseded,
}

const FORMS: [Form; 4] = [Form::Normal, Form::Flows, Form::Tailored, Form::Superseded];

/// Three taps, of which the first is guarded.
struct Bench {
    taps: Vec<Tap>,
    datapath: Datapath,
    cases: usize,
    _lab: Lab,
}

impl Bench {
    fn new(test: &str) -> Bench {
        let lab = Lab::new(test);
        let taps = (0..3).map(|n| lab.tap(&format!("{test}{n}"), flow_lab::MTU));
        Bench {
            taps: taps.collect(),
            datapath: lab.datapath(),
            cases: 0,
            _lab: lab,
        }
    }

    fn ports(&self, guard: &PortGuard) -> Vec<Port> {
        let mut ports: Vec<Port> = (1..).zip(&self.taps).map(|(n, tap)| port(tap, n)).collect();
        ports[0].guard = guard.clone();
        ports
    }

    /// A new bridge in that form; the interpreter that does the same.
    fn install(&mut self, form: Form, guard: &PortGuard) -> Interpreter {
        self.cases += 1;
        let name = format!("g{}", self.cases);
        let bridge = bridge(&name, self.ports(guard));
        let mut interpreter = Interpreter::new(&Snapshot {
            bridges: vec![bridge.clone()],
        });
        let datapath = &mut self.datapath;
        apply(datapath, vec![bridge]);
        if form == Form::Normal {
            return interpreter;
        }
        let mut flows = Flows::new(&name);
        flows.change(
            datapath,
            &[
                "in_port=1,ip,actions=output:2",
                "priority=1,actions=output:3",
            ],
        );
        if form != Form::Flows {
            while datapath.tailor_port().unwrap() {}
            assert!(datapath.is_tailored(&self.taps[0].name));
        }
        if form == Form::Superseded {
            flows.change(datapath, &["priority=9,in_port=1,arp,actions=output:2"]);
            assert!(!datapath.is_tailored(&self.taps[0].name));
        }
        interpreter.set_tables(&flows.bridge, flows.tables.clone());
        interpreter
    }

    /// What left, and where.
    fn send(&self, frame: &[u8]) -> Vec<(PortName, Vec<u8>)> {
        self.taps[0].send(frame).unwrap();
        let taps = self.taps.iter();
        let left = taps.flat_map(|tap| {
            let frames = tap.receive_all().into_iter();
            frames.map(|frame| (tap.name.clone(), frame))
        });
        left.collect()
    }

    fn drops(&self) -> BTreeMap<DropReason, u64> {
        let counters = self.datapath.counters().unwrap();
        let own = counters.into_iter().find(|c| c.port == self.taps[0].name);
        own.unwrap().drops
    }
}

fn cases() -> u64 {
    let asked = std::env::var("AORTA_DIFF_CASES").ok();
    asked.and_then(|n| n.parse().ok()).unwrap_or(120)
}

#[test]
fn guards_do_what_the_interpreter_says() {
    let mut bench = Bench::new("guard");
    let mut seen: BTreeMap<DropReason, u64> = BTreeMap::new();
    let mut passed = 0;
    for seed in 0..cases() {
        let mut rng = Rng::new(seed);
        let form = FORMS[seed as usize % FORMS.len()];
        let most = *rng.pick(&[1, 3, 12]);
        let list = allowed(&mut rng, most);
        let guard = PortGuard {
            allowed: Some(list.clone()),
            ..PortGuard::default()
        };
        let mut interpreter = bench.install(form, &guard);
        for _ in 0..FRAMES {
            let frame = guarded_frame(&list, &mut rng);
            let before = bench.drops();
            let mut left = bench.send(&frame);
            left.sort();
            let what = format!("seed {seed}, {form:?}, {:?}, {frame:02x?}", guard.allowed);
            let verdict = interpreter.receive(&bench.taps[0].name, &frame, 0);
            let mut dropped = before;
            for (_, reason) in &verdict.drops {
                *dropped.entry(*reason).or_default() += 1;
                *seen.entry(*reason).or_default() += 1;
            }
            assert_eq!(bench.drops(), dropped, "{what}");
            let outputs = verdict.outputs.into_iter();
            let mut outputs: Vec<_> = outputs.map(|out| (out.port, out.frame)).collect();
            outputs.sort();
            assert_eq!(left, outputs, "{what}");
            passed += usize::from(!outputs.is_empty());
        }
    }
    for reason in [
        DropReason::SpoofedMac,
        DropReason::SpoofedArp,
        DropReason::SpoofedIpv4,
        DropReason::SpoofedIpv6,
        DropReason::SpoofedNd,
        DropReason::DhcpServer,
        DropReason::RouterAdvertisement,
        DropReason::NestedTags,
    ] {
        assert!(seen.contains_key(&reason), "never {reason}: {seen:?}");
    }
    assert!(passed > FRAMES, "{passed} passed");
    println!("{passed} frames passed, {seen:?}");
}

#[test]
fn the_kernel_takes_the_largest_lists() {
    let mut bench = Bench::new("guardmax");
    for seed in 0..4 {
        let guard = PortGuard {
            allowed: Some(largest_allowed(&mut Rng::new(seed))),
            policing: Policing {
                rate_kbps: 1_000_000,
                rate_kpps: 1000,
                ..Policing::default()
            },
            ..PortGuard::default()
        };
        for form in FORMS {
            let started = Instant::now();
            bench.install(form, &guard);
            println!("seed {seed}, {form:?}: {:?}", started.elapsed());
        }
    }
}

/// Sends frames of 1000 bytes, and counts those that leave.
fn passed(bench: &Bench, frames: usize, to: MacAddr) -> usize {
    let mut bytes = frame(to, station(1));
    bytes.resize(1000, 0);
    (0..frames)
        .filter(|_| !bench.send(&bytes).is_empty())
        .count()
}

/// A rate at which nothing is added while a test lasts, and what comes at once.
fn slow(burst_kbits: u64) -> PortGuard {
    PortGuard {
        policing: Policing {
            rate_kbps: 1,
            burst_kbits,
            ..Policing::default()
        },
        ..PortGuard::default()
    }
}

/// Frames of 1000 bytes that the edge behind a burst has room for.
fn edge_frames(guard: &PortGuard) -> usize {
    let rate = guard.policing.bytes().unwrap();
    (rate.edge_ns / rate.cost_ns(1000)) as usize
}

/// Sends frames until none of the last 100 left: the edge is used up. How many left.
fn used_up(bench: &Bench, to: MacAddr) -> usize {
    let mut all = 0;
    loop {
        match passed(bench, 100, to) {
            0 => return all,
            some => all += some,
        }
    }
}

#[test]
fn what_is_over_the_burst_is_policed_in_every_form() {
    let mut bench = Bench::new("police");
    for (form, burst) in FORMS.into_iter().zip(10..) {
        let guard = slow(8 * burst);
        bench.install(form, &guard);
        let before = bench
            .drops()
            .get(&DropReason::Policed)
            .copied()
            .unwrap_or(0);
        // The next frame's worth comes after 8 seconds.
        let first = passed(&bench, burst as usize, MacAddr::BROADCAST);
        assert_eq!(first, burst as usize, "{form:?}");
        let dropped = || {
            bench
                .drops()
                .get(&DropReason::Policed)
                .copied()
                .unwrap_or(0)
                - before
        };
        assert_eq!(dropped(), 0, "{form:?}");
        let sent = 1000;
        let more = passed(&bench, sent, MacAddr::BROADCAST);
        let edge = edge_frames(&guard);
        assert!(
            (edge / 2..=edge + 1).contains(&more),
            "{form:?}: {more} of {edge}"
        );
        assert_eq!(dropped() as usize, sent - more, "{form:?}");
        // Another program for the same port goes on where this one is.
        if form == Form::Tailored {
            used_up(&bench, MacAddr::BROADCAST);
            let name = format!("g{}", bench.cases).as_str().into();
            let tables = bench.datapath.apply_flows(&name, &Default::default(), None);
            tables.unwrap();
            assert!(passed(&bench, 10, MacAddr::BROADCAST) < 5);
        }
    }
}

#[test]
fn packets_are_policed_and_buckets_are_full_when_rates_change() {
    let mut bench = Bench::new("pps");
    let mut guard = PortGuard {
        policing: Policing {
            rate_kpps: 1,
            burst_kpkts: 1,
            ..Policing::default()
        },
        ..PortGuard::default()
    };
    let rate = guard.policing.packets().unwrap();
    let edge = (rate.edge_ns / rate.cost_ns(1)) as usize;
    let started = Instant::now();
    bench.install(Form::Normal, &guard);
    let most = |started: Instant| 1000 + edge + started.elapsed().as_millis() as usize + 5;
    let first = passed(&bench, 1500, MacAddr::BROADCAST);
    assert!((1000..=most(started)).contains(&first), "{first}");
    guard = slow(80);
    let mut again = bridge(&format!("g{}", bench.cases), bench.ports(&guard));
    apply(&mut bench.datapath, vec![again.clone()]);
    assert_eq!(passed(&bench, 10, MacAddr::BROADCAST), 10);
    used_up(&bench, MacAddr::BROADCAST);
    // Other settings leave the buckets as they are.
    again.mac_aging_s += 1;
    apply(&mut bench.datapath, vec![again]);
    assert!(passed(&bench, 10, MacAddr::BROADCAST) < 5);
}

#[test]
fn storms_end_after_their_burst() {
    let mut bench = Bench::new("storm");
    let guard = PortGuard {
        storm: StormLimits {
            broadcast_pps: 5,
            unknown_pps: 3,
        },
        ..PortGuard::default()
    };
    bench.install(Form::Normal, &guard);
    let started = Instant::now();
    for (to, pps, reason) in [
        (MacAddr::BROADCAST, 5, DropReason::StormBroadcast),
        (station(9), 3, DropReason::StormUnknown),
    ] {
        let flooded = passed(&bench, 20, to);
        let most = pps + started.elapsed().as_secs() as usize * pps + pps;
        assert!((pps..=most).contains(&flooded), "{flooded} of {pps}");
        let port = &bench.taps[0].name;
        let dropped = drops(&bench.datapath, port, reason);
        assert_eq!(dropped as usize + flooded, 20);
    }
    // A known station's frames are no storm.
    bench.taps[1].send(&frame(station(1), station(9))).unwrap();
    assert_eq!(passed(&bench, 20, station(9)), 20);
}
