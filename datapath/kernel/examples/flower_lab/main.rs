//! Flower in the kernel that it runs on, as a program for a machine of its own:
//!
//! - `flower_lab traffic CASES`: random tables as filters that the kernel runs itself; what becomes of
//!   frames from taps is what a modelled card and the reference interpreter say.
//! - `flower_lab show`: the filters of a pipeline of two tables as tc(8) tells them.
//! - `flower_lab refusal DEVICE`: what a device's driver says to a filter for hardware.
//! - `flower_lab pipeline FILE FRAMES`: the same of the flows in a file, with what `tc -s filter show`
//!   and a placement tell of them side by side.
//! - `flower_lab bench RULES ROUNDS`: how long it takes to put so many rules, beside `tc -batch`, and to
//!   read their counters.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bench;
#[path = "../../tests/flower_cases/mod.rs"]
mod flower_cases;
mod pipeline;

use std::collections::BTreeMap;
use std::io;
use std::process::Command;

use aorta_flow::table::{FlowMod, Modification, Tables};
use aorta_flow::text::{NoNames, parse_flow_line};
use aorta_flow::translate::Packet;
use aorta_flow::{IfIndex, OfPort};
use aorta_kernel::offload::flower::fake::{Decided, FakeNic};
use aorta_kernel::offload::flower::{
    CardMark, FilterCounters, FlowerCard, KernelTc, Listed, Lowering, Place, Refusal, Request,
    Running, Side, Stacks, TcSocket,
};
use aorta_placement::{Capabilities, Device, Step, Told, place};
use aorta_testing::{Case, Rng};
use tun_rs::{DeviceBuilder, Layer, SyncDevice};

use self::flower_cases::{Placed, is_whole, meant, program, random_tables, stacks};

fn main() {
    // The kernel sends nothing of its own.
    for scope in ["all", "default"] {
        let path = format!("/proc/sys/net/ipv6/conf/{scope}/disable_ipv6");
        std::fs::write(path, "1").unwrap();
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["traffic", cases] => traffic(cases.parse().unwrap()),
        ["show"] => show(),
        ["refusal", device] => refusal(device),
        ["pipeline", file, frames] => pipeline::run(file, frames.parse().unwrap()),
        ["bench", rules, rounds] => bench::run(rules.parse().unwrap(), rounds.parse().unwrap()),
        _ => panic!("see the head of the program's text"),
    }
}

/// The kernel and a modelled card, which are asked the same.
struct Both {
    kernel: KernelTc,
    nic: FakeNic,
}

impl TcSocket for Both {
    fn ask(&mut self, requests: &[Request]) -> io::Result<Vec<Result<(), Refusal>>> {
        let here = self.kernel.ask(requests)?;
        let there = self.nic.ask(requests)?;
        Ok(here.into_iter().zip(there).map(|(a, b)| a.and(b)).collect())
    }

    fn list(&mut self, device: IfIndex, side: Side) -> io::Result<Vec<Listed>> {
        self.kernel.list(device, side)
    }

    fn read(&mut self, places: &[Place]) -> io::Result<Vec<Option<FilterCounters>>> {
        self.kernel.read(places)
    }
}

fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {said}{error}");
    said
}

fn tap(number: u16) -> (IfIndex, SyncDevice) {
    let name = format!("tap{number}");
    let device = DeviceBuilder::new().name(&name).layer(Layer::L2).mtu(1500);
    let device = device.build_sync().unwrap();
    device.set_nonblocking(true).unwrap();
    run("ip", &["link", "set", "dev", &name, "up"]);
    (IfIndex::new(device.if_index().unwrap()).unwrap(), device)
}

/// All frames that wait at a tap.
fn received(tap: &SyncDevice) -> Vec<Vec<u8>> {
    let next = || {
        let mut frame = vec![0; 4096];
        let length = tap.recv(&mut frame).ok()?;
        frame.truncate(length);
        Some(frame)
    };
    std::iter::from_fn(next).collect()
}

/// Length of the shortest Ethernet frame, without its checksum.
const MIN_FRAME_BYTES: usize = 60;

#[derive(Default, Debug)]
struct Sums {
    frames: usize,
    decided: usize,
    sent: usize,
    left_to_software: usize,
}

fn traffic(cases: u64) {
    let taps: BTreeMap<OfPort, (IfIndex, SyncDevice)> =
        (1..=6).map(|port| (OfPort(port), tap(port))).collect();
    let (mut sums, mut placed) = (Sums::default(), Placed::default());
    for seed in 0..cases {
        let mut rng = Rng::new(seed);
        let case = random_tables(&mut rng);
        let tables = case.tables().unwrap();
        let lowering = Lowering {
            ports: taps
                .iter()
                .map(|(port, (index, _))| (*port, *index))
                .collect(),
            running: Running::InSoftware,
            stacks: if rng.chance(50) {
                Stacks::default()
            } else {
                stacks(&mut rng)
            },
            meters_of: String::new(),
        };
        let nic = FakeNic::new(lowering.ports.values().copied());
        let both = || Both {
            kernel: KernelTc::open().unwrap(),
            nic: nic.clone(),
        };
        let mut card = program(&tables, both, &lowering, &mut placed);
        compare(&case, &tables, &nic, &taps, &lowering, &mut sums);
        card.counters().unwrap();
        card.clear().unwrap();
        assert!(card.found().unwrap().own.is_empty());
    }
    println!("{placed:#?}\n{sums:#?}");
    assert!(
        sums.decided * 10 > sums.frames && sums.sent * 100 > sums.frames,
        "{sums:?}"
    );
    println!(
        "traffic: {} frames, {} decided alike",
        sums.frames, sums.decided
    );
}

fn compare(
    case: &Case,
    tables: &Tables,
    nic: &FakeNic,
    taps: &BTreeMap<OfPort, (IfIndex, SyncDevice)>,
    lowering: &Lowering,
    sums: &mut Sums,
) {
    for frame in case.frames.iter().filter(|frame| is_whole(&frame.bytes)) {
        // As a wire has it: the kernel drops tagged frames that are too short.
        let mut bytes = frame.bytes.clone();
        bytes.resize(bytes.len().max(MIN_FRAME_BYTES), 0);
        let (Some((from, tap)), Ok(packet)) = (
            taps.get(&frame.in_port),
            Packet::from_frame(&bytes, frame.in_port),
        ) else {
            continue;
        };
        sums.frames += 1;
        // What a frame becomes has left when it is sent.
        tap.send(&bytes).unwrap();
        let mut got: BTreeMap<IfIndex, Vec<Vec<u8>>> = BTreeMap::new();
        for (index, tap) in taps.values() {
            let frames = received(tap);
            if !frames.is_empty() {
                got.insert(*index, frames);
            }
        }
        let mut expected: BTreeMap<IfIndex, Vec<Vec<u8>>> = BTreeMap::new();
        match nic.receive(*from, &bytes) {
            Decided::Software => sums.left_to_software += 1,
            Decided::SoftwareMidway => panic!("{case}\n{frame}"),
            Decided::Sent(_) => {
                sums.decided += 1;
                for (to, frame) in meant(tables, packet, &lowering.ports) {
                    sums.sent += 1;
                    expected.entry(to.unwrap()).or_default().push(frame);
                }
            }
        }
        if got != expected {
            let filters = run(
                "tc",
                &[
                    "filter",
                    "show",
                    "dev",
                    &format!("tap{}", frame.in_port.0),
                    "ingress",
                ],
            );
            panic!("{case}\n{frame}\ngot {got:02x?}\nnot {expected:02x?}\n{filters}");
        }
    }
}

fn tables(flows: &str) -> Tables {
    let mut tables = Tables::new();
    for line in flows.lines().filter(|line| !line.trim().is_empty()) {
        let (_, flow) = parse_flow_line(line.trim(), &NoNames).unwrap();
        let flow = flow.into_flow();
        let add = Modification::Flow(FlowMod {
            table: Some(flow.table),
            flow,
            ..FlowMod::default()
        });
        tables.modify(&add).unwrap();
    }
    tables
}

fn show() {
    let tables = tables(
        "priority=200,arp actions=output:2,output:3
         priority=100,ip,nw_dst=10.0.0.0/8 actions=set_field:02:00:00:00:00:09->eth_dst,goto_table:1
         table=1,priority=100,tcp,tp_dst=80 actions=set_field:10.9.8.7->ip_dst,output:2
         table=1,priority=50,udp actions=push_vlan:0x8100,set_field:4103->vlan_vid,output:3",
    );
    let taps = [1, 2, 3].map(tap);
    let indices = taps.iter().map(|(index, _)| *index);
    let lowering = Lowering {
        ports: (1..).map(OfPort).zip(indices).collect(),
        running: Running::InSoftware,
        stacks: Stacks::default(),
        meters_of: String::new(),
    };
    let _card = program(
        &tables,
        || KernelTc::open().unwrap(),
        &lowering,
        &mut Placed::default(),
    );
    print!(
        "{}",
        run("tc", &["-s", "filter", "show", "dev", "tap1", "ingress"])
    );
}

fn refusal(device: &str) {
    let index = std::fs::read_to_string(format!("/sys/class/net/{device}/ifindex")).unwrap();
    let index = IfIndex::new(index.trim().parse().unwrap()).unwrap();
    let lowering = Lowering {
        ports: BTreeMap::from([(OfPort(1), index)]),
        running: Running::InHardware,
        stacks: Stacks::default(),
        meters_of: String::new(),
    };
    let tables = tables("priority=1,dl_dst=02:00:00:00:00:01 actions=drop");
    let device = Device {
        ports: lowering.ports.keys().copied().collect(),
        capabilities: Capabilities::flower(10),
    };
    let rules = place(&tables, &device, &Told::default()).rules;
    let mut card = FlowerCard::new(KernelTc::open().unwrap(), lowering, CardMark::new("test"));
    let puts: Vec<Step> = rules.into_iter().map(Step::Put).collect();
    for result in card.apply(&puts).unwrap() {
        println!("refusal: {}", result.unwrap_err());
    }
    card.clear().unwrap();
}
