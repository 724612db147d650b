//! How long it takes to put rules, beside `tc -batch`, and to read what they have counted.

use std::fmt::Write as _;
use std::io;
use std::process::{Command, Stdio};
use std::time::Instant;

use aorta_flow::{IfIndex, OfPort};
use aorta_kernel::offload::flower::{
    CardMark, FilterCounters, FlowerCard, KernelTc, Listed, Lowering, Place, Refusal, Request,
    Running, Side, Stacks, TcSocket,
};
use aorta_placement::{Capabilities, Device, Step, Told, place};

use super::{run as run_program, tables, tap};

/// Answers that all is done, and does nothing.
struct Nobody;

impl TcSocket for Nobody {
    fn ask(&mut self, requests: &[Request]) -> io::Result<Vec<Result<(), Refusal>>> {
        Ok(vec![Ok(()); requests.len()])
    }

    fn list(&mut self, _: IfIndex, _: Side) -> io::Result<Vec<Listed>> {
        Ok(Vec::new())
    }

    fn read(&mut self, places: &[Place]) -> io::Result<Vec<Option<FilterCounters>>> {
        Ok(vec![None; places.len()])
    }
}

/// Rules of an access list, as flows and as tc(8) is told them.
fn access_list(count: u32) -> (String, String) {
    let (mut flows, mut batch) = (String::new(), String::new());
    for number in 0..count {
        let address = format!("10.{}.{}.{}", number >> 16, number >> 8 & 255, number & 255);
        let port = 1024 + number % 5000;
        writeln!(
            flows,
            "priority=100,in_port=1,vlan_tci=0/0x1fff,tcp,nw_dst={address},tp_dst={port} actions=output:2"
        )
        .unwrap();
        writeln!(
            batch,
            "filter add dev tap1 ingress protocol ip pref 65435 handle {:#x} flower skip_hw num_of_vlans 0 \
             ip_proto tcp dst_ip {address} dst_port {port} action mirred egress redirect dev tap2",
            number + 1
        )
        .unwrap();
    }
    (flows, batch)
}

fn seconds<T>(what: impl FnOnce() -> T) -> (f64, T) {
    let start = Instant::now();
    let done = what();
    (start.elapsed().as_secs_f64(), done)
}

/// A card that was given the rules, and how long that took once its ports were fit for them.
fn put<S: TcSocket>(socket: S, lowering: &Lowering, puts: &[Step]) -> (f64, FlowerCard<S>) {
    let mut card = FlowerCard::new(socket, lowering.clone(), CardMark::new("test"));
    card.apply(&[]).unwrap();
    let (took, results) = seconds(|| card.apply(puts).unwrap());
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    (took, card)
}

fn tc_batch() -> f64 {
    run_program("tc", &["qdisc", "add", "dev", "tap1", "clsact"]);
    let mut tc = Command::new("tc");
    tc.args(["-batch", "/run/batch"]).stdin(Stdio::null());
    let (took, status) = seconds(|| tc.status().unwrap());
    assert!(status.success());
    run_program("tc", &["qdisc", "del", "dev", "tap1", "clsact"]);
    took
}

/// Prints for each round the seconds that it took: to put so many rules; to put as many filters by
/// `tc -batch`; what the switch needs for the first without the kernel; for a first look at what rules
/// have counted; for one that follows; what the kernel's list takes of that.
pub fn run(count: u32, rounds: u32) {
    let taps = [1, 2].map(tap);
    let lowering = Lowering {
        ports: (1..)
            .map(OfPort)
            .zip(taps.iter().map(|(index, _)| *index))
            .collect(),
        running: Running::InSoftware,
        stacks: Stacks::default(),
        meters_of: String::new(),
    };
    let (flows, batch) = access_list(count);
    let device = Device {
        ports: lowering.ports.keys().copied().collect(),
        capabilities: Capabilities::flower(usize::MAX),
    };
    let rules = place(&tables(&flows), &device, &Told::default()).rules;
    let puts: Vec<Step> = rules.into_iter().map(Step::Put).collect();
    assert_eq!(puts.len(), count as usize);
    std::fs::write("/run/batch", &batch).unwrap();
    for _ in 0..rounds {
        let (own_s, mut card) = put(KernelTc::open().unwrap(), &lowering, &puts);
        // The first look asks for more than those that follow.
        let (first_s, counted) = seconds(|| card.counters().unwrap());
        assert_eq!(counted.len(), puts.len());
        let (look_s, counted) = seconds(|| card.counters().unwrap());
        assert_eq!(counted.len(), puts.len());
        let mut kernel = KernelTc::open().unwrap();
        let (kernel_s, listed) = seconds(|| kernel.list_counters(taps[0].0).unwrap());
        assert!(listed.len() > puts.len(), "guards and rules");
        card.clear().unwrap();
        let tc_s = tc_batch();
        let (alone_s, _) = put(Nobody, &lowering, &puts);
        println!("round: {own_s:.4} {tc_s:.4} {alone_s:.4} {first_s:.4} {look_s:.4} {kernel_s:.4}");
    }
}
