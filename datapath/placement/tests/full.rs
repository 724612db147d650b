//! A card that hasn't room for all: which flows it has, and that they stay there.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use aorta_flow::OfPort;
use aorta_flow::table::{FlowId, FlowMod, Modification, Tables};
use aorta_flow::text::{NoNames, parse_flow_line};
use aorta_placement::{Capabilities, Decision, Device, Planner, Reason, Told};
use aorta_testing::Rng;
use support::{cases, fit, random_device, random_tables};

fn placed(planner: &Planner) -> BTreeSet<FlowId> {
    planner.told().placed.clone()
}

/// The planner is told of rates; gives the flows that came to the card or left it.
fn tell(planner: &mut Planner, rates: &BTreeMap<FlowId, u64>) -> Vec<FlowId> {
    let told = Told {
        rates_pps: rates.clone(),
        ..planner.told().clone()
    };
    let before = placed(planner);
    planner.tell(told);
    let after = placed(planner);
    before.symmetric_difference(&after).copied().collect()
}

#[derive(Default, Debug)]
struct Sums {
    planners: usize,
    full: usize,
    rounds: usize,
    moved: usize,
    settling: usize,
    on_the_card: usize,
}

#[test]
fn no_flow_flaps_as_rates_waver() {
    let mut sums = Sums::default();
    for seed in 0..cases(150) {
        let mut rng = Rng::new(3 << 32 | seed);
        let mut case = random_tables(&mut rng);
        let mut device = random_device(&mut rng);
        device.capabilities.max_rules = rng.between(2, 12);
        fit(&mut case, &device, 60, &mut rng);
        let tables = case.tables().expect("tables of a case");
        let mut planner = Planner::of(&tables, device, Told::default());
        // From a few packets a second to many.
        let base: BTreeMap<FlowId, u64> = tables
            .flows()
            .map(|entry| (entry.id, 1 << rng.below(20)))
            .collect();
        sums.planners += 1;
        let mut settling = 0;
        while !tell(&mut planner, &base).is_empty() {
            settling += 1;
            assert!(settling < 20, "seed {seed}: it never comes to rest");
        }
        sums.settling += settling;
        let full = planner.placement().decisions.into_values();
        sums.full += full.filter(is_full).count();
        sums.on_the_card += placed(&planner).len();
        let mut walk = base.clone();
        let mut moved = BTreeSet::new();
        for _ in 0..30 {
            for (flow, rate) in &mut walk {
                let base = base[flow];
                // Each goes its own way, a fifth at most from where it was.
                let (low, high) = (base * 10 / 11, base * 12 / 10);
                let step = 1 + base / 10;
                *rate = match rng.chance(50) {
                    true => (*rate + step).min(high),
                    false => rate.saturating_sub(step).max(low),
                };
            }
            for flow in tell(&mut planner, &walk) {
                // It may just have been at the edge. But none goes back.
                assert!(moved.insert(flow), "seed {seed}: {flow:?} flaps: {walk:?}");
            }
            sums.rounds += 1;
        }
        sums.moved += moved.len();
    }
    println!("{sums:?}");
    assert!(sums.full > 0 && sums.on_the_card > 0, "{sums:?}");
}

fn is_full(decision: &Decision) -> bool {
    let why = Reason::Full { max_rules: 0 };
    let kind = std::mem::discriminant(&why);
    matches!(decision, Decision::Software { why, .. } if std::mem::discriminant(why) == kind)
}

/// Ten flows of single addresses, with cookies from 0, on a card with room for three.
fn ten() -> Planner {
    let mut tables = Tables::new();
    for number in 0..10 {
        let line = format!("cookie={number},ip,nw_dst=10.0.0.{number},actions=output:1");
        let added = parse_flow_line(&line, &NoNames)
            .map(|(command, text)| Modification::Flow(FlowMod::from_text(command, text)))
            .map(|add| tables.modify(&add).is_ok());
        assert_eq!(added, Ok(true));
    }
    let device = Device {
        ports: [OfPort(1), OfPort(2)].into(),
        capabilities: Capabilities::flower(3),
    };
    Planner::of(&tables, device, Told::default())
}

/// The planner is told something; gives the numbers of the flows on the card.
fn after(planner: &mut Planner, change: impl FnOnce(&mut Told)) -> Vec<u64> {
    let mut told = planner.told().clone();
    change(&mut told);
    planner.tell(told);
    // Flows have numbers from 1.
    placed(planner).iter().map(|flow| flow.0 - 1).collect()
}

fn rate(told: &mut Told, flow: u64, rate: u64) {
    told.rates_pps.insert(FlowId(flow + 1), rate);
}

#[test]
fn the_busiest_flows_win_by_half_as_much_again() {
    let mut planner = ten();
    let busy = after(&mut planner, |told| {
        (5..8).for_each(|flow| rate(told, flow, 1000));
    });
    assert_eq!(busy, [5, 6, 7]);
    assert_eq!(after(&mut planner, |told| rate(told, 1, 1400)), [5, 6, 7]);
    assert_eq!(after(&mut planner, |told| rate(told, 1, 1600)), [1, 5, 6]);
    assert_eq!(after(&mut planner, |told| rate(told, 1, 1100)), [1, 5, 6]);
    // Flows that are nearly idle don't move for a packet now and then.
    let idle = after(&mut planner, |told| told.rates_pps.clear());
    assert_eq!(idle, [1, 5, 6]);
    assert_eq!(after(&mut planner, |told| rate(told, 9, 5)), [1, 5, 6]);
    assert_eq!(after(&mut planner, |told| rate(told, 9, 50)), [1, 5, 9]);
}

#[test]
fn pinned_flows_come_first_and_excluded_ones_not_at_all() {
    let mut planner = ten();
    let pinned = after(&mut planner, |told| {
        (5..8).for_each(|flow| rate(told, flow, 1000));
        told.pinned = vec![(2, u64::MAX)];
    });
    assert_eq!(pinned, [2, 5, 6]);
    let excluded = after(&mut planner, |told| told.excluded = vec![(4, 4)]);
    assert!(excluded.contains(&2) && excluded.iter().all(|flow| flow & 4 == 0));
    let why = planner
        .decision(FlowId(6))
        .map(|decision| format!("{decision:?}"));
    assert!(why.is_some_and(|why| why.contains("Excluded")));
    // What is both is kept in software.
    let both = after(&mut planner, |told| told.excluded = vec![(2, u64::MAX)]);
    assert!(!both.contains(&2), "{both:?}");
}
