//! The planner that follows changes says what the pass over all flows says.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use aorta_flow::table::{FlowId, Tables};
use aorta_placement::{Decision, Difference, Planner, Reason, Rule, RuleKey, Told, place, steps};
use aorta_testing::Rng;
use support::{cases, fit, last_flow, random_bundle, random_device, random_tables};

#[derive(Default, Debug)]
struct Sums {
    changes: usize,
    put: usize,
    removed: usize,
    decisions: usize,
    steps: usize,
    placed: usize,
    full: usize,
    overtaken: usize,
    ties: usize,
    astray: usize,
}

/// What somebody knows who is told differences only.
#[derive(Default)]
struct Follower {
    rules: BTreeMap<RuleKey, Rule>,
    decisions: BTreeMap<FlowId, Decision>,
}

impl Follower {
    fn follow(&mut self, planner: &Planner, difference: Difference, sums: &mut Sums) {
        let (old, new) = (self.rules.values(), planner.rules().values());
        let (old, new): (Vec<Rule>, Vec<Rule>) = (old.cloned().collect(), new.cloned().collect());
        let way = steps(&old, &new, &planner.device().capabilities, planner.told());
        assert_eq!(planner.steps(&self.rules, &difference), way);
        sums.steps += way
            .before
            .iter()
            .chain(&way.after)
            .map(Vec::len)
            .sum::<usize>();
        sums.put += difference.put.len();
        sums.removed += difference.removed.len();
        sums.decisions += difference.decisions.len();
        for rule in difference.put {
            let old = self.rules.insert(rule.key(), rule.clone());
            assert_ne!(old, Some(rule), "it was there already");
        }
        for key in difference.removed {
            assert!(self.rules.remove(&key).is_some(), "{key:?}");
        }
        for (flow, decision) in difference.decisions {
            match decision {
                Some(decision) => drop(self.decisions.insert(flow, decision)),
                None => drop(self.decisions.remove(&flow)),
            }
        }
    }

    fn check(&self, planner: &Planner, tables: &Tables, told: &Told, sums: &mut Sums) {
        let pass = place(tables, planner.device(), told);
        let text = || {
            let flows: Vec<String> = tables.flows().map(|e| format!("{e:?}")).collect();
            format!("{:?}\n{told:?}\n{}", planner.device(), flows.join("\n"))
        };
        assert_eq!(self.decisions, pass.decisions, "{}", text());
        assert_eq!(planner.placement(), pass, "{}", text());
        let rules: Vec<&Rule> = pass.rules.iter().collect();
        let mut followed: Vec<&Rule> = self.rules.values().collect();
        followed.sort_by_key(|rule| rules.iter().position(|other| other == rule));
        assert_eq!(followed, rules, "{}", text());
        sums.changes += 1;
        for decision in pass.decisions.values() {
            match decision {
                Decision::Placed => sums.placed += 1,
                Decision::Software { why, .. } => match why {
                    Reason::Full { .. } => sums.full += 1,
                    Reason::Overtaken(_) => sums.overtaken += 1,
                    Reason::Tie(_) => sums.ties += 1,
                    Reason::LeadsTo { .. } => sums.astray += 1,
                    _ => {}
                },
            }
        }
    }
}

/// Something else is known of flows.
fn random_told(tables: &Tables, rng: &mut Rng) -> Told {
    let mut told = Told::default();
    for entry in tables.flows() {
        if rng.chance(5) {
            told.refused.insert(entry.id, "no".to_owned());
        }
        if rng.chance(5) {
            told.refused_traps.insert(entry.id);
        }
        told.rates_pps.insert(entry.id, rng.below(50) as u64);
    }
    let tables = |rng: &mut Rng| (1..4).filter(|_| rng.chance(10)).collect::<BTreeSet<u8>>();
    told.misses_not_dropped = tables(rng);
    told.refused_misses = tables(rng);
    if rng.chance(20) {
        told.excluded.push((rng.below(3) as u64, u64::MAX));
    }
    if rng.chance(20) {
        told.pinned.push((rng.below(3) as u64, u64::MAX));
    }
    told
}

#[test]
fn a_planner_says_what_the_pass_says() {
    let mut sums = Sums::default();
    for seed in 0..cases(250) {
        let mut rng = Rng::new(2 << 32 | seed);
        let mut case = random_tables(&mut rng);
        let device = random_device(&mut rng);
        let priorities = *rng.pick(&[4, 20, 60]);
        fit(&mut case, &device, priorities, &mut rng);
        let mut pool = case.flows.clone();
        pool.push(last_flow());
        case.flows.retain(|_| rng.chance(60));
        let mut tables = case.tables().expect("tables of a case");
        let mut planner = Planner::of(&tables, device, random_told(&tables, &mut rng));
        let mut follower = Follower {
            rules: planner.rules().clone(),
            decisions: planner.placement().decisions,
        };
        for _ in 0..10 {
            let told = planner.told().clone();
            let changes = random_bundle(&mut tables, &pool, &mut rng);
            let difference = planner.change(&changes);
            follower.follow(&planner, difference, &mut sums);
            follower.check(&planner, &tables, &told, &mut sums);
            if rng.chance(30) {
                let placed = planner.told().placed.clone();
                let told = random_told(&tables, &mut rng);
                let difference = planner.tell(told.clone());
                follower.follow(&planner, difference, &mut sums);
                let told = Told { placed, ..told };
                follower.check(&planner, &tables, &told, &mut sums);
            }
        }
    }
    println!("{sums:?}");
    let found = [sums.full, sums.overtaken, sums.ties, sums.astray];
    assert!(
        found.iter().all(|number| number * 10 > sums.changes),
        "{sums:?}"
    );
}
