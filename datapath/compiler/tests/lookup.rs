//! Lookups in table memory, run in the interpreter, against a plain search of all rules.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "lookup/model.rs"]
mod model;
#[path = "lookup/run.rs"]
mod run;

use aorta_compiler::pipeline::record::{Clause, MatchWord, Rule, RuleId, rank};
use aorta_compiler::pipeline::template::{Caps, Fit, Kill, TableImage, Template};
use model::{Model, Shape, key_for, rule, tables};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use run::Table;

fn check(
    table: &mut Table,
    model: &Model,
    version: u32,
    keys: &[Vec<(i16, u32)>],
) -> Result<(), TestCaseError> {
    for key in keys {
        let found = table.lookup(key, version);
        prop_assert_eq!(
            found,
            model.lookup(key, version),
            "key {:?} version {}",
            key,
            version
        );
    }
    Ok(())
}

fn caps() -> Caps {
    Caps {
        seed: 0x1234_5678_9abc_def1,
        ..Caps::default()
    }
}

/// As if all tables were larger than the processor's caches, or none.
fn caps_of(far: bool) -> Caps {
    let near_bytes = if far { 0 } else { u32::MAX };
    Caps {
        near_bytes,
        ..caps()
    }
}

/// Random cases, as many as `AORTA_LOOKUP_CASES` says, or `few`.
fn config(few: u32) -> ProptestConfig {
    let cases = std::env::var("AORTA_LOOKUP_CASES").ok();
    let cases = cases.map_or(few, |cases| cases.parse().unwrap());
    ProptestConfig {
        cases,
        // Each try compiles a table.
        max_shrink_iters: 1000,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn finds_what_a_plain_search_finds((shape, rules, picks) in tables(120), far in any::<bool>()) {
        let mut image = TableImage::plan(&rules, &caps_of(far));
        let mut table = Table::new(&image);
        prop_assert_eq!(image.fill(&rules, 0, &mut table.memory), Fit::InPlace);
        table.place();
        let model = Model::of(&rules);
        let keys: Vec<_> = picks.iter().map(|pick| key_for(shape, &rules, pick)).collect();
        check(&mut table, &model, 7, &keys)?;
    }

}

proptest! {
    #![proptest_config(config(60))]

    #[test]
    fn follows_changes_version_by_version(
        (shape, rules, picks) in tables(60),
        more in prop::collection::vec((any::<prop::sample::Index>(), any::<u64>(), 0u8..10), 1..60),
        far in any::<bool>(),
    ) {
        let mut image = TableImage::plan(&rules, &caps_of(far));
        let mut table = Table::new(&image);
        prop_assert_eq!(image.fill(&rules, 0, &mut table.memory), Fit::InPlace);
        table.place();
        let mut model = Model::of(&rules);
        let mut alive: Vec<Rule> = rules.clone();
        let mut version = 1;
        let mut dead: Vec<(Kill, u32)> = Vec::new();
        let mut next_id = 10_000;
        for (index, random, what) in more {
            let memory = &mut table.memory;
            let (before, next) = (version, version + 1);
            let victim = (!alive.is_empty()).then(|| index.index(alive.len()));
            let mut fits = true;
            match (what, victim) {
                (0..=2, Some(victim)) => {
                    let rule = alive.swap_remove(victim);
                    let kill = image.kill(&rule, next, memory);
                    prop_assert!(kill.is_some());
                    model.kill(rule.id, next);
                    dead.push((kill.unwrap(), next));
                }
                (3..=5, Some(victim)) => {
                    let mut rule = alive[victim].clone();
                    let kill = image.kill(&rule, next, memory);
                    rule.shape = random as u32;
                    prop_assert!(kill.is_some());
                    if image.insert(&rule, next, memory) == Fit::InPlace {
                        model.kill(rule.id, next);
                        model.insert(&rule, next);
                        dead.push((kill.unwrap(), next));
                        alive[victim] = rule;
                    } else {
                        fits = false;
                    }
                }
                _ => {
                    next_id += 1;
                    let rule = rule(shape, next_id, random);
                    fits = image.insert(&rule, next, memory) == Fit::InPlace;
                    if fits {
                        model.insert(&rule, next);
                        alive.push(rule);
                    }
                }
            }
            if !fits {
                image.rollback(next, memory);
            } else if random % 5 == 0 {
                // Somebody else's part of the change failed.
                image.rollback(next, memory);
                dead.retain(|(_, died)| *died != next);
                alive = model.rollback(next);
            } else {
                version = next;
            }
            let keys: Vec<_> = picks.iter().take(5).map(|pick| key_for(shape, &alive, pick)).collect();
            // Packets that come meanwhile see nothing of it.
            table.place_slowly(|table| check(table, &model, before, &keys[..2]))?;
            check(&mut table, &model, version, &keys)?;
            // Packets of earlier versions are still under way.
            let earlier = dead.first().map_or(version, |(_, died)| died - 1);
            check(&mut table, &model, earlier, &keys)?;
            while dead.len() as u64 > random % 6 {
                let (kill, _) = dead.remove(0);
                image.reclaim(kill, &mut table.memory);
            }
            let earlier = dead.first().map_or(version, |(_, died)| died - 1);
            table.place_slowly(|table| check(table, &model, earlier, &keys[..2]))?;
            check(&mut table, &model, version, &keys)?;
        }
    }
}

#[test]
fn templates_are_chosen_by_what_the_rules_are() {
    let template = |shape| {
        let rules: Vec<Rule> = (0..200)
            .map(|n| rule(shape, n, u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
            .collect();
        TableImage::plan(&rules, &caps()).template()
    };
    assert_eq!(template(Shape::Exact), Template::Hash);
    assert_eq!(template(Shape::Prefixes), Template::Lpm);
    assert_eq!(template(Shape::Acl), Template::Tuple);
}

/// Clauses of more conjunctions than a window has slots, in several records of one rule.
#[test]
fn conjunctions_behind_the_first_window_are_found() {
    const CONJUNCTIONS: u32 = 700;
    let made = |id: u32, at: i16, value: u32, clauses: Vec<Clause>| Rule {
        id: RuleId(id),
        rank: rank(10, id.into()),
        words: vec![MatchWord {
            at,
            value,
            mask: u32::MAX,
        }],
        shape: id,
        params: vec![id],
        clauses,
    };
    let clause = |conjunction, number| Clause {
        conjunction,
        number,
        of: 2,
    };
    let all = (0..CONJUNCTIONS)
        .map(|conjunction| clause(conjunction, 1))
        .collect();
    let mut rules = vec![made(0, model::WORDS[1], 7, all)];
    for number in 0..CONJUNCTIONS {
        rules.push(made(
            1 + number,
            model::WORDS[2],
            number,
            vec![clause(number, 2)],
        ));
        rules.push(made(1000 + number, model::conj_id(), number, Vec::new()));
    }
    rules
        .iter_mut()
        .for_each(|rule| rule.words.sort_by_key(|word| word.at));
    let mut image = TableImage::plan(&rules, &caps());
    let mut table = Table::new(&image);
    assert_eq!(image.fill(&rules, 0, &mut table.memory), Fit::InPlace);
    table.place();
    for number in (0..CONJUNCTIONS).step_by(23) {
        let key = [(model::WORDS[1], 7), (model::WORDS[2], number)];
        assert_eq!(table.lookup(&key, 1), Some((1000 + number, 1000 + number)));
    }
    assert_eq!(
        table.lookup(&[(model::WORDS[1], 7), (model::WORDS[2], 9999)], 1),
        None
    );
}

/// A packet falls back from a prefix that it may not see while one in between is written.
#[test]
fn a_new_prefix_is_whole_before_longer_ones_lead_to_it() {
    let prefix = |id: u32, len: u32, value: u32| Rule {
        id: RuleId(id),
        rank: rank(len as u16, id.into()),
        words: vec![MatchWord {
            at: model::WORDS[2],
            value,
            mask: u32::MAX << (32 - len),
        }],
        shape: len,
        params: Vec::new(),
        clauses: Vec::new(),
    };
    let mut rules: Vec<Rule> = (0..20)
        .map(|n| prefix(n, 28, 0x0b00_0000 + (n << 4)))
        .collect();
    rules.push(prefix(100, 8, 0x0a00_0000));
    rules.push(prefix(101, 24, 0x0a01_0100));
    let mut image = TableImage::plan(&rules, &caps());
    assert_eq!(image.template(), Template::Lpm);
    let mut table = Table::new(&image);
    assert_eq!(image.fill(&rules, 0, &mut table.memory), Fit::InPlace);
    let longer = rules.last().unwrap();
    assert!(image.kill(longer, 1, &mut table.memory).is_some());
    table.place();
    let between = prefix(102, 16, 0x0a01_0000);
    assert_eq!(image.insert(&between, 2, &mut table.memory), Fit::InPlace);
    let key = [(model::WORDS[2], 0x0a01_0107)];
    let check = |table: &mut Table| match table.lookup(&key, 1) {
        Some((100, 8)) => Ok(()),
        other => Err(other),
    };
    assert_eq!(table.place_slowly(check), Ok(()));
    assert_eq!(table.lookup(&key, 2), Some((102, 16)));
    assert_eq!(table.lookup(&key, 0), Some((101, 24)));
}

#[test]
fn broad_rules_of_low_priority_cost_others_no_probe() {
    let made = |id: u32, priority: u16, len: u32, value: u32| Rule {
        id: RuleId(id),
        rank: rank(priority, id.into()),
        words: vec![
            MatchWord {
                at: model::WORDS[1],
                value,
                mask: u32::MAX << (32 - len),
            },
            MatchWord {
                at: model::WORDS[2],
                value: 7,
                mask: u32::MAX,
            },
        ],
        shape: 0,
        params: Vec::new(),
        clauses: Vec::new(),
    };
    let narrow = |priority: u16| (0..200).map(move |n| made(n, priority, 32, n * 1000));
    let broad = (0..100).map(|n| made(1000 + n, 10, 8, n << 24));
    let report = |rules: Vec<Rule>| {
        let mut image = TableImage::plan(&rules, &caps());
        let mut memory = vec![0; image.memory_bytes() as usize];
        assert_eq!(image.fill(&rules, 0, &mut memory), Fit::InPlace);
        image.report()
    };
    let stops = report(narrow(100).chain(broad.clone()).collect());
    assert_eq!(stops.searches.len(), 2, "{stops:?}");
    // Two thirds of the packets need one.
    assert!(
        (stops.probes_expected - 4.0 / 3.0).abs() < 0.01,
        "{stops:?}"
    );
    let goes_on = report(narrow(5).chain(broad).collect());
    assert!(goes_on.probes_expected > 1.6, "{goes_on:?}");
}
