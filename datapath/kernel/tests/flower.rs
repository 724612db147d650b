//! Rules that become flower filters: a modelled card with them does with frames what the flow tables
//! mean, for random tables and frames.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod flower_cases;

use aorta_flow::table::Tables;
use aorta_flow::translate::Packet;
use aorta_flow::{IfIndex, OfPort};
use aorta_kernel::offload::flower::fake::{Decided, FakeNic};
use aorta_kernel::offload::flower::{Lowering, Running};
use aorta_testing::{Case, Rng};

use self::flower_cases::{Placed, is_whole, meant, ports, program, random_tables, stacks};

#[derive(Default, Debug)]
struct Sums {
    frames: usize,
    decided: usize,
    sent: usize,
}

fn device_of(port: OfPort) -> IfIndex {
    IfIndex::new(100 + u32::from(port.0)).unwrap()
}

fn compare(case: &Case, tables: &Tables, nic: &FakeNic, lowering: &Lowering, sums: &mut Sums) {
    let devices = &lowering.ports;
    for frame in case.frames.iter().filter(|frame| is_whole(&frame.bytes)) {
        let (Some(from), Ok(packet)) = (
            devices.get(&frame.in_port),
            Packet::from_frame(&frame.bytes, frame.in_port),
        ) else {
            continue;
        };
        sums.frames += 1;
        let text = || {
            let filters: Vec<String> = nic.filters().iter().map(|f| format!("{f:?}")).collect();
            let filters = filters[..filters.len().min(20)].join("\n");
            format!("{case}\n{frame}\n{filters}")
        };
        match nic.receive(*from, &frame.bytes) {
            Decided::Software => continue,
            Decided::SoftwareMidway => panic!("begun on the card, and not ended there\n{}", text()),
            Decided::Sent(sent) => {
                sums.decided += 1;
                sums.sent += sent.len();
                let sent: Vec<_> = sent
                    .into_iter()
                    .map(|(to, frame)| (Some(to), frame))
                    .collect();
                assert_eq!(sent, meant(tables, packet, devices), "{}", text());
            }
        }
    }
}

/// `AORTA_FLOWER_CASES` asks for more.
fn cases() -> u64 {
    let more = std::env::var("AORTA_FLOWER_CASES");
    more.ok().and_then(|n| n.parse().ok()).unwrap_or(300)
}

#[test]
fn filters_mean_what_the_tables_mean() {
    let mut sums = Sums::default();
    let mut placed = Placed::default();
    for seed in 0..cases() {
        let mut rng = Rng::new(seed);
        let case = random_tables(&mut rng);
        let tables = case.tables().unwrap();
        let ports = ports(&mut rng);
        let lowering = Lowering {
            ports: ports.iter().map(|port| (*port, device_of(*port))).collect(),
            running: Running::InHardware,
            stacks: stacks(&mut rng),
            meters_of: String::new(),
        };
        let nic = FakeNic::new(lowering.ports.values().copied());
        program(&tables, || nic.clone(), &lowering, &mut placed);
        compare(&case, &tables, &nic, &lowering, &mut sums);
    }
    println!("{placed:#?}\n{sums:#?}");
    assert!(
        sums.decided * 10 > sums.frames && sums.sent * 100 > sums.frames,
        "{sums:?}"
    );
}
