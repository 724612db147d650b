//! The flows of a file as filters, under traffic.

use std::collections::{BTreeMap, HashMap};

use aorta_flow::field::FieldId;
use aorta_flow::table::{FlowId, Tables};
use aorta_flow::text::{NoNames, parse_flow_file};
use aorta_flow::{Flow, IfIndex, OfPort};
use aorta_kernel::offload::flower::fake::FakeNic;
use aorta_kernel::offload::flower::{KernelTc, Lowering, Running, Stacks};
use aorta_placement::{Capabilities, Decision, Device, Told, place};
use aorta_testing::packet::Packet;
use aorta_testing::{Case, Frame, Offload, Rng};
use tun_rs::SyncDevice;

use super::flower_cases::{Placed, program};
use super::{Both, Sums, compare, run as run_program, tap};

/// Ports of the card.
const PORTS: u16 = 3;

/// Puts what a card takes of the flows, sends frames that they are for, and tells what was decided.
pub fn run(file: &str, frames: usize) {
    let text = std::fs::read_to_string(file).unwrap();
    let flows = parse_flow_file(&text, &NoNames).unwrap();
    let mut case = Case {
        flows: flows
            .into_iter()
            .map(|(_, flow)| flow.into_flow())
            .collect(),
        ..Case::default()
    };
    let mut rng = Rng::new(1);
    case.frames = (0..frames).map(|_| frame(&case.flows, &mut rng)).collect();
    let tables = case.tables().unwrap();
    let taps: BTreeMap<OfPort, (IfIndex, SyncDevice)> =
        (1..=PORTS).map(|port| (OfPort(port), tap(port))).collect();
    let ports = taps.iter().map(|(port, (index, _))| (*port, *index));
    let lowering = Lowering {
        ports: ports.collect(),
        running: Running::InSoftware,
        stacks: Stacks::default(),
        meters_of: String::new(),
    };
    let nic = FakeNic::new(lowering.ports.values().copied());
    let both = || Both {
        kernel: KernelTc::open().unwrap(),
        nic: nic.clone(),
    };
    let mut card = program(&tables, both, &lowering, &mut Placed::default());
    let mut sums = Sums::default();
    compare(&case, &tables, &nic, &taps, &lowering, &mut sums);
    assert!(sums.decided > 0 && sums.sent > 0, "{sums:?}");
    let counted = card.counters().unwrap().into_iter();
    let counted = counted.filter_map(|(key, counters)| Some((key.flow?, counters.packets)));
    print_placement(&tables, &lowering, &counted.collect());
    let shown = ["-s", "filter", "show", "dev", "tap1", "ingress"];
    print!("=== tc -s filter show\n{}", run_program("tc", &shown));
    println!(
        "pipeline: {} frames, {} decided alike, {} sent",
        sums.frames, sums.decided, sums.sent
    );
}

/// A frame that a flow of table 0 and one of another table are for.
fn frame(flows: &[Flow], rng: &mut Rng) -> Frame {
    let (first, later): (Vec<&Flow>, Vec<&Flow>) = flows.iter().partition(|flow| flow.table == 0);
    let (first, later) = (&rng.pick(&first).matching, &rng.pick(&later).matching);
    let packet = Packet::random(rng).bent_to(first, rng).bent_to(later, rng);
    let mut any = || rng.between(1, PORTS.into()) as u16;
    let in_port = first.exact(FieldId::IN_PORT).map(|port| port as u16);
    Frame {
        in_port: OfPort(in_port.unwrap_or_else(&mut any)),
        offload: Offload::None,
        bytes: packet.bytes(),
    }
}

/// Each flow, and below it where it runs and what the kernel has counted for it.
fn print_placement(tables: &Tables, lowering: &Lowering, counted: &HashMap<FlowId, u64>) {
    let device = Device {
        ports: lowering.ports.keys().copied().collect(),
        capabilities: Capabilities::flower(1000),
    };
    let decisions = place(tables, &device, &Told::default()).decisions;
    println!("=== placement");
    for entry in tables.flows() {
        let place = match &decisions[&entry.id] {
            Decision::Placed => format!("nic, {} packets", counted[&entry.id]),
            Decision::Software { why, .. } => format!("tc (nic: {why})"),
        };
        println!(" {}\n    {place}", entry.flow);
    }
}
