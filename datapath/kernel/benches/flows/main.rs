//! What flow tables cost: ns a packet of compiled tables against programs written by hand and the
//! kernel's own maps, growth with the number of rules, and changes. Sides are measured in turns.
//! Needs root.
//!
//! Prints tables, or one JSON object with `--json`; `--rounds N` sets how often all sides are
//! measured, `--only NAME` which part is, `--quick` takes small tables only. The kernel takes the
//! time of programs, so for those it doesn't matter how this program is built.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../tests/bare/mod.rs"]
mod bare;
mod batch;
mod floor;
mod generic;
mod growth;
#[path = "../../tests/lab/mod.rs"]
mod lab;
mod lpm_map;
mod pipelines;
mod report;
mod updates;
mod xdp;

use aorta_flow::table::Tables;
use aorta_testing::Case;
use report::Report;

/// What is asked for.
pub struct Options {
    rounds: usize,
    quick: bool,
}

impl Options {
    /// Runs of a program in a round.
    fn runs(&self) -> u32 {
        if self.quick { 100_000 } else { 1_000_000 }
    }
}

type Part = fn(&Options, &mut Report);

const PARTS: [(&str, Part); 11] = [
    ("one-flow", pipelines::one_flow),
    ("one-of-many", pipelines::one_of_many),
    ("five-tables", pipelines::five_tables),
    ("generic", generic::generic),
    ("hash", growth::hash),
    ("prefixes", growth::prefixes),
    ("acl", growth::acl),
    ("attack", growth::attack),
    ("first-packet", growth::first_packet),
    ("updates", updates::updates),
    // Last, because it moves into a network namespace of its own.
    ("xdp", xdp::xdp),
];

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        let at = args.iter().position(|arg| arg == name)?;
        args.get(at + 1)
    };
    let options = Options {
        rounds: value("--rounds").map_or(11, |n| n.parse().unwrap()),
        quick: args.iter().any(|arg| arg == "--quick"),
    };
    let only = value("--only");
    let json = args.iter().any(|arg| arg == "--json");
    let mut all = Report::default();
    for (name, part) in PARTS {
        if only.is_some_and(|only| only != name) {
            continue;
        }
        let mut report = Report::default();
        part(&options, &mut report);
        if !json {
            println!("{name}:");
            report.print();
        }
        let named = |n: String| format!("{name}: {n}");
        all.notes.extend(report.notes.into_iter().map(named));
        all.series.extend(report.series.into_iter().map(|series| {
            let name = format!("{name}: {}", series.name);
            report::Series { name, ..series }
        }));
    }
    if json {
        println!("{}", all.json());
    }
}

/// The tables of flows as lines.
fn tables_of(lines: &[String]) -> Tables {
    let text: String = lines.iter().map(|line| format!("flow {line}\n")).collect();
    let case: Case = text.parse().unwrap();
    case.tables().unwrap()
}
