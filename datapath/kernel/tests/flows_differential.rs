//! Compiled flow tables against the reference interpreter: random tables and random frames,
//! through real taps.
//!
//! Needs root. `AORTA_DIFF_CASES` sets the number of tables (each gets 300 frames), and
//! `AORTA_DIFF_SEED` where to begin, `AORTA_DIFF_FAILURES` after how many that differ it ends. What differs is made small and written to `tests/cases`, whose
//! files are tried each time (those named `*.open` are known to differ, and wait for their repair).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod comparison;
mod lab;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use aorta_flow::action::Action;
use aorta_flow::table::{Miss, Misses};
use aorta_testing::tables::{Kind, Profile, random_case};
use aorta_testing::{Case, Rng, shrink};
use comparison::{Comparison, Outcome};

/// Tables in the short form, and frames of each.
const TABLES: u64 = 350;
const FRAMES: usize = 300;
/// How long a case that differs is made smaller.
const SHRINKING: Duration = Duration::from_secs(60);

fn number(variable: &str, otherwise: u64) -> u64 {
    let asked = std::env::var(variable).ok();
    asked.and_then(|n| n.parse().ok()).unwrap_or(otherwise)
}

/// Small tables and large ones, in turns, that do a few things each.
fn profile(seed: u64) -> Profile {
    let (tables, flows) = match seed % 4 {
        0 => (1, 4),
        1 => (3, 8),
        2 => (6, 15),
        _ => (3, 25),
    };
    let mut without = Kind::all_but(6, &mut Rng::new(!seed));
    let often: &[Kind] = match seed % 5 {
        0 => &[Kind::Output, Kind::Mpls, Kind::Clone, Kind::Vlan],
        1 => &[Kind::Output, Kind::Conjunction, Kind::Learn],
        _ => &[Kind::Output],
    };
    without.retain(|kind| !often.contains(kind));
    if !without.contains(&Kind::Normal) {
        // The kernel runs 33 programs in a row: six frames for NORMAL.
        without.push(Kind::Loop);
    }
    Profile {
        tables,
        flows,
        frames: FRAMES,
        ports: comparison::PORTS as u16,
        without,
        ..Profile::default()
    }
}

#[test]
fn programs_do_what_the_interpreter_says() {
    let mut comparison = Comparison::new("fdiff");
    let tables = number("AORTA_DIFF_CASES", TABLES);
    compare(&mut comparison, tables, |seed| {
        random_case(&profile(seed), &mut Rng::new(seed))
    });
    comparison.assert_everything_was_seen();
}

/// What can't be in programs of single ports.
const NOT_STRAIGHT: [Kind; 15] = [
    Kind::Flood,
    Kind::Controller,
    Kind::OutputField,
    Kind::Queue,
    Kind::Clone,
    Kind::Group,
    Kind::Select,
    Kind::Failover,
    Kind::Multipath,
    Kind::Bundle,
    Kind::Learn,
    Kind::Meter,
    Kind::ActionSet,
    Kind::Stack,
    Kind::Exit,
];

/// A case whose flows send once at most, as the last thing that they do.
fn straight_case(seed: u64) -> Case {
    let mut profile = profile(seed);
    profile.without.extend(NOT_STRAIGHT);
    let mut case = random_case(&profile, &mut Rng::new(seed));
    for flow in &mut case.flows {
        let mut actions: Vec<Action> = flow.instructions.apply.to_vec();
        let leads = |action: &Action| {
            matches!(action, Action::Output(_)) || matches!(action, Action::Resubmit { .. })
        };
        let last = actions.iter().rposition(leads);
        let last = last.map(|at| actions.remove(at));
        actions.retain(|action| !leads(action));
        let leads_on = match last {
            Some(Action::Resubmit {
                in_port: Some(_), ..
            })
            | None => true,
            Some(last) => {
                actions.push(last);
                false
            }
        };
        let instructions = std::sync::Arc::make_mut(&mut flow.instructions);
        instructions.apply = actions;
        if !leads_on {
            instructions.goto_table = None;
            instructions.write_metadata = None;
        }
    }
    case
}

#[test]
fn programs_of_single_ports_do_the_same() {
    let mut comparison = Comparison::new("fown");
    comparison.tailored = true;
    let tables = number("AORTA_DIFF_CASES", TABLES) / 2;
    compare(&mut comparison, tables, straight_case);
    let own = comparison.seen.get("tailored").copied().unwrap_or(0);
    assert!(
        own * 4 >= tables,
        "{own} of {tables} could be in programs of single ports"
    );
    for what in ["one output", "changed", "longer", "shorter", "table-miss"] {
        assert!(comparison.seen.contains_key(what), "never seen: {what}");
    }
}

#[test]
fn programs_for_one_version_of_the_tables_do_the_same() {
    let mut comparison = Comparison::new("ffix");
    comparison.tailored = true;
    let tables = number("AORTA_DIFF_CASES", TABLES) / 4;
    compare(&mut comparison, tables, |seed| {
        // Few tables with more rules than are code anyway.
        let profile = Profile {
            tables: 1 + (seed % 3) as u8,
            flows: 60,
            ..profile(seed)
        };
        random_case(&profile, &mut Rng::new(seed))
    });
    let fixed = comparison.seen.get("fixed").copied().unwrap_or(0);
    assert!(
        fixed * 3 >= tables,
        "{fixed} of {tables} had programs for one version"
    );
}

/// Compares so many random tables, and fails if any differs.
fn compare(comparison: &mut Comparison, tables: u64, case_of: fn(u64) -> Case) {
    let first = number("AORTA_DIFF_SEED", 0);
    let mut refused: BTreeMap<String, u64> = BTreeMap::new();
    let mut found = Vec::new();
    for seed in first..first.saturating_add(tables) {
        let case = case_of(seed);
        comparison.misses = misses(seed);
        match comparison.check(&case) {
            Outcome::Same => {}
            Outcome::Refused(why) => {
                let why = why
                    .split_once(": ")
                    .map_or(why.clone(), |(_, why)| why.to_owned());
                *refused.entry(why).or_default() += 1;
            }
            Outcome::Differs(_) | Outcome::NotLoaded(_) => {
                let small = differs(comparison, case, seed);
                println!("{small}");
                found.push(small);
                if found.len() as u64 >= number("AORTA_DIFF_FAILURES", 1) {
                    break;
                }
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    println!(
        "{} pairs of tables and frame agree; seen: {:?}",
        comparison.pairs, comparison.seen
    );
    println!("refused: {refused:#?}");
    let refused: u64 = refused.values().sum();
    assert!(
        refused * 10 <= tables,
        "{refused} of {tables} tables were refused"
    );
}

/// What tables do without a flow: mostly nothing, as flow tables since OpenFlow 1.3.
fn misses(seed: u64) -> Misses {
    let tables = [(2, Miss::Drop), (3, Miss::Controller)];
    match seed % 5 {
        0 => Misses {
            tables: tables.into(),
            others: Miss::Continue,
        },
        1 => Misses {
            others: Miss::Controller,
            ..Misses::default()
        },
        _ => Misses::default(),
    }
}

/// Makes the case small, and keeps it as a file.
fn differs(comparison: &mut Comparison, case: Case, seed: u64) -> String {
    let not_loaded = matches!(comparison.check(&case), Outcome::NotLoaded(_));
    let start = Instant::now();
    let mut differs = |case: &Case| {
        start.elapsed() < SHRINKING
            && match comparison.check(case) {
                Outcome::Differs(_) => !not_loaded,
                Outcome::NotLoaded(_) => not_loaded,
                _ => false,
            }
    };
    let mut small = shrink(case, &mut differs);
    let what = match comparison.check(&small) {
        Outcome::Differs(what) | Outcome::NotLoaded(what) => what,
        other => format!("it doesn't any more: {other:?}"),
    };
    small.notes = what.lines().map(str::to_owned).collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let path = path.join(format!("seed-{seed}.case"));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, small.to_string()).unwrap();
    format!("written to {}:\n{small}", path.display())
}

#[test]
fn kept_cases_agree() {
    let mut comparison = Comparison::new("fkept");
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut tried = 0;
    for file in std::fs::read_dir(cases).unwrap() {
        let path = file.unwrap().path();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("case") => {}
            Some("open") => {
                println!("{}: known to differ, left out", path.display());
                continue;
            }
            _ => continue,
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let case: Case = text
            .parse()
            .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let outcome = comparison.check(&case);
        assert_eq!(outcome, Outcome::Same, "{}:\n{case}", path.display());
        tried += 1;
    }
    assert!(tried > 0, "there are no cases");
}
