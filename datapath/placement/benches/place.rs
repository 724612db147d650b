//! How long the pass takes over 10,000 rules of an access list, with room for all and for a part: the
//! limit is 50 ms. And how long a planner takes to follow the change of a rule, with the steps that a card
//! is asked to do: the limit is 1 ms. The pass's times are those that the processor worked, so that it
//! matters less what else the machine does; the kernel doesn't tell those of a change so exactly.

use std::hint::black_box;
use std::time::{Duration, Instant};

use aorta_flow::action::Action;
use aorta_flow::table::{FlowMod, Modification, Tables};
use aorta_flow::text::Command;
use aorta_flow::{Flow, OfPort};
use aorta_placement::{Capabilities, Decision, Device, Planner, Rule, Told, place, steps};
use aorta_testing::{Rng, acl, acl_flows};

const RULES: usize = 10_000;
const ROUNDS: usize = 9;
const LIMIT: Duration = Duration::from_millis(50);
const CHANGES: usize = 300;
const CHANGE_LIMIT: Duration = Duration::from_millis(1);

/// How long the processor has worked for this thread (proc_pid_schedstat(5)).
fn worked() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let word = text.split_whitespace().next();
    Duration::from_nanos(word.and_then(|word| word.parse().ok()).unwrap_or(0))
}

fn tables(controller_percent: usize) -> Tables {
    let mut rng = Rng::new(1);
    let rules = acl(RULES, &mut rng);
    let mut actions = vec![vec![Action::Output(OfPort(1))], vec![]];
    if rng.chance(controller_percent) {
        actions.push(vec![Action::Output(OfPort::NORMAL)]);
    }
    let mut tables = Tables::new();
    for flow in acl_flows(&rules, RULES, 0, &actions) {
        let add = Modification::Flow(FlowMod {
            table: Some(0),
            flow,
            ..FlowMod::default()
        });
        // Two rules of the same match are one flow.
        let _ = tables.modify(&add);
    }
    tables
}

fn main() {
    for (name, software, max_rules, traps) in [
        ("all on the card", 0, 100_000, true),
        ("a third in software, trapped", 100, 100_000, true),
        ("a third in software, no traps", 100, 100_000, false),
        ("a third in software, room for 512", 100, 512, true),
    ] {
        let tables = tables(software);
        let mut capabilities = Capabilities::flower(max_rules);
        capabilities.traps = traps;
        let device = Device {
            ports: [OfPort(1), OfPort(2)].into(),
            capabilities,
        };
        let told = Told::default();
        let mut times: Vec<Duration> = (0..ROUNDS)
            .map(|_| {
                let start = worked();
                black_box(place(&tables, &device, &told));
                worked() - start
            })
            .collect();
        times.sort();
        let placement = place(&tables, &device, &told);
        let placed = placement.decisions.values();
        let placed = placed
            .filter(|decision| **decision == Decision::Placed)
            .count();
        println!(
            "{name}: {} flows, {placed} placed, {} rules: {:?} ({:?} to {:?}), limit {LIMIT:?}",
            tables.len(),
            placement.rules.len(),
            times[ROUNDS / 2],
            times[0],
            times[ROUNDS - 1],
        );
        show_steps(&placement.rules, &device, &told);
        follow(tables, device);
    }
}

/// How long it takes to find the steps from nothing to a placement, and those of one rule.
fn show_steps(rules: &[Rule], device: &Device, told: &Told) {
    for (name, old) in [("all", &rules[..0]), ("one rule", &rules[1..])] {
        let start = worked();
        let way = black_box(steps(old, rules, &device.capabilities, told));
        let spent = worked() - start;
        let batches = way.before.len() + way.after.len();
        println!("  steps of {name}: {batches} batches: {spent:?}");
    }
}

/// Deletes flows and adds them again.
fn follow(mut tables: Tables, device: Device) {
    let flows: Vec<Flow> = tables.flows().map(|entry| (*entry.flow).clone()).collect();
    let mut planner = Planner::of(&tables, device, Told::default());
    let mut rng = Rng::new(2);
    let (mut times, mut steps) = (Vec::new(), 0);
    for _ in 0..CHANGES {
        let flow = rng.pick(&flows);
        for command in [Command::DeleteStrict, Command::Add] {
            let change = Modification::Flow(FlowMod {
                command,
                table: Some(0),
                flow: flow.clone(),
                ..FlowMod::default()
            });
            let changes = tables.modify(&change).unwrap_or_default();
            let there = planner.rules().clone();
            let start = Instant::now();
            let difference = planner.change(&changes);
            let way = black_box(planner.steps(&there, &difference));
            times.push(start.elapsed());
            steps += way.before.iter().chain(&way.after).flatten().count();
        }
    }
    times.sort();
    println!(
        "  a change: {steps} steps of {}: {:?} ({:?} to {:?}), limit {CHANGE_LIMIT:?}",
        times.len(),
        times[times.len() / 2],
        times[0],
        times[times.len() - 1],
    );
}
