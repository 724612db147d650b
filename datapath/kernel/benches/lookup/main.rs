//! Nanoseconds of lookups alone, by the number of rules, packets spread over all of them, with
//! what planning and writing the tables takes. Needs root; build it optimised, since it also times
//! the daemon's part.
//!
//! `--most N` leaves out larger tables; `--searches` prints each table's searches.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../tests/lookup_lab/mod.rs"]
mod lookup_lab;
mod tables;

use std::time::Instant;

use aorta_compiler::pipeline::record::Rule;
use aorta_compiler::pipeline::template::{Caps, Fit, TableImage};
use aorta_kernel::{Loader, MappedMemory};
use lookup_lab::{Key, Lab};

const ROUNDS: usize = 5;
const REPEAT: u32 = 1_000_000;
/// Packets of which each has its turn.
const KEYS: usize = 1 << 18;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let most = args.iter().position(|arg| arg == "--most");
    let most: usize = most.map_or(1_000_000, |at| args[at + 1].parse().unwrap());
    let searches = args.iter().any(|arg| arg == "--searches");
    let mut loader = Loader::new();
    println!(
        "{:<9} {:>8} {:>6} {:>5} {:>9} {:>6} {:>8} {:>8} {:>7} {:>7} {:>9} {:>8}",
        "table",
        "rules",
        "kind",
        "ns",
        "estimate",
        "growth",
        "plan ms",
        "fill /s",
        "bytes",
        "insns",
        "insert /s",
        "rebuilds"
    );
    for (name, make, sizes) in tables::ALL {
        let mut first = None;
        for size in sizes.iter().copied().filter(|size| *size <= most) {
            let (rules, keys) = make(size, KEYS);
            let ns = measure(&mut loader, name, &rules, &keys, first, searches);
            first.get_or_insert(ns);
        }
    }
}

/// Adds the last fifth of the rules one by one to a table of the others: how many a second, and how
/// often the table had to be planned anew.
fn inserts(rules: &[Rule]) -> (f64, usize) {
    let caps = Caps {
        seed: 99,
        ..Caps::default()
    };
    let first = rules.len() * 4 / 5;
    let (mut rebuilds, mut seconds) = (0, 0.0);
    let made = |rules: &[Rule]| {
        let mut image = TableImage::plan(rules, &caps);
        let mut memory = vec![0u8; image.memory_bytes() as usize];
        assert_eq!(image.fill(rules, 0, &mut memory), Fit::InPlace);
        (image, memory)
    };
    let (mut image, mut memory) = made(&rules[..first]);
    for (index, rule) in rules.iter().enumerate().skip(first) {
        let started = Instant::now();
        let fit = image.insert(rule, 1, &mut memory);
        seconds += started.elapsed().as_secs_f64();
        if fit != Fit::InPlace {
            rebuilds += 1;
            (image, memory) = made(&rules[..=index]);
        }
    }
    ((rules.len() - first) as f64 / seconds, rebuilds)
}

fn measure(
    loader: &mut Loader,
    name: &str,
    rules: &[Rule],
    keys: &[Key],
    first: Option<f64>,
    searches: bool,
) -> f64 {
    let started = Instant::now();
    let mut image = TableImage::plan(
        rules,
        &Caps {
            seed: 99,
            ..Caps::default()
        },
    );
    let planned = started.elapsed();
    let mut memory = MappedMemory::create("table", image.memory_bytes()).unwrap();
    let started = Instant::now();
    assert_eq!(image.fill(rules, 0, &mut memory), Fit::InPlace);
    let filled = started.elapsed();
    let lab = Lab::of(loader, image, memory, keys);
    let (lookup, nothing) = lab.nanoseconds(ROUNDS, REPEAT);
    let report = lab.image.report();
    let ns = f64::from(lookup);
    let (rate, rebuilds) = inserts(rules);
    println!(
        "{name:<9} {:>8} {:>6} {:>5} {:>9.0} {:>6.2} {:>8.1} {:>8.0} {:>7} {:>7} {:>9.0} {:>8}",
        rules.len(),
        report.template.name(),
        i64::from(lookup) - i64::from(nothing),
        report.expected_ns,
        ns / first.unwrap_or(ns),
        planned.as_secs_f64() * 1e3,
        rules.len() as f64 / filled.as_secs_f64(),
        report.bytes_per_rule,
        lab.insns,
        rate,
        rebuilds,
    );
    if searches {
        for search in &report.searches {
            println!("          {search:?}");
        }
    }
    ns
}
