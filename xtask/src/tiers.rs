//! The tests, by tier, counted.

use std::collections::BTreeSet;
use std::ops::AddAssign;

use clap::ValueEnum;

use crate::check::metadata::{self, Metadata};
use crate::error::TaskError;
use crate::proc::{build_programs, cargo, run as run_program, run_seeing, say};
use crate::{bench, check, setup};

/// What can be asked for on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Choice {
    /// Tests beside the code, of every crate.
    Unit,
    /// Unmodified clients against the daemon.
    Protocol,
    /// The whole switch in network namespaces.
    E2e,
    /// The whole switch with virtual machines.
    Vm,
    /// All of them.
    All,
}

/// A kind of tests that runs together. CONTRIBUTING.md tells what belongs where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tier {
    Unit,
    Protocol,
    E2e,
    Vm,
}

/// Every tier, in the order in which they run.
const TIERS: [Tier; 4] = [Tier::Unit, Tier::Protocol, Tier::E2e, Tier::Vm];

/// Crate of the tests of the whole switch.
const INTEGRATION: &str = "aorta-integration";

/// Test programs beside the code of a crate that run clients and servers, in whichever crate.
const PROTOCOL_PROGRAMS: [&str; 8] = [
    "cli",
    "crash",
    "daemon",
    "files",
    "protocol",
    "reference",
    "remotes",
    "tools",
];

/// Examples that guests run, with their packages.
const GUESTS_PROGRAMS: [(&str, &str); 2] = [
    (INTEGRATION, "frame_fuzzer"),
    ("aorta-kernel", "flower_lab"),
];

impl Tier {
    fn name(self) -> &'static str {
        match self {
            Tier::Unit => "unit",
            Tier::Protocol => "protocol",
            Tier::E2e => "e2e",
            Tier::Vm => "vm",
        }
    }

    /// The tier of a test program: in the integration crate by the start of its name, in
    /// others by the name itself, or if that starts with `protocol_`.
    fn of(package: &str, program: &str) -> Tier {
        let starts = |prefix| program.starts_with(prefix);
        if package != INTEGRATION {
            if PROTOCOL_PROGRAMS.contains(&program) || starts("protocol_") {
                Tier::Protocol
            } else {
                Tier::Unit
            }
        } else if starts("protocol") {
            Tier::Protocol
        } else if starts("vm") || starts("lab") {
            Tier::Vm
        } else {
            Tier::E2e
        }
    }
}

impl Choice {
    fn tiers(self) -> Vec<Tier> {
        match self {
            Choice::Unit => vec![Tier::Unit],
            Choice::Protocol => vec![Tier::Protocol],
            Choice::E2e => vec![Tier::E2e],
            Choice::Vm => vec![Tier::Vm],
            Choice::All => TIERS.to_vec(),
        }
    }
}

/// How many test cases ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Count {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Count) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )
    }
}

impl Count {
    /// Reads the line with which a test program ends: `test result: ok. 3 passed; 0 failed; …`.
    fn parse(line: &str) -> Option<Count> {
        let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let number = |what: &str| {
            counts
                .split("; ")
                .find_map(|part| part.strip_suffix(what)?.trim().parse().ok())
        };
        Some(Count {
            passed: number("passed")?,
            failed: number("failed")?,
            skipped: number("ignored")?,
        })
    }
}

/// What came of one tier.
struct TierResult {
    tier: Tier,
    count: Count,
    ended_well: bool,
}

impl TierResult {
    /// What is wrong with it, if anything.
    fn complaint(&self) -> Option<String> {
        let name = self.tier.name();
        if self.count.failed > 0 {
            Some(format!("tier {name}: {} failed", self.count.failed))
        } else if !self.ended_well {
            Some(format!("tier {name}: cargo test failed"))
        } else if self.count.passed == 0 {
            Some(format!("tier {name}: no test ran"))
        } else {
            None
        }
    }
}

/// Set-up, source checks, then the tests; the last line counts them all.
///
/// # Errors
/// When a check or a test fails, or a tier ran no test.
pub fn run(choice: Choice, only_tests: bool) -> Result<(), TaskError> {
    if !only_tests {
        setup::run()?;
        check::sources()?;
    }
    let metadata = metadata::read()?;
    let results = choice
        .tiers()
        .into_iter()
        .map(|tier| run_tier(tier, &metadata))
        .collect::<Result<Vec<_>, _>>()?;
    if choice == Choice::All && !only_tests {
        say("benches, in short");
        bench::short_form()?;
    }
    let mut total = Count::default();
    println!();
    for result in &results {
        println!("{:<9} {}", result.tier.name(), result.count);
        total += result.count;
    }
    let complaints: Vec<String> = results.iter().filter_map(TierResult::complaint).collect();
    for complaint in &complaints {
        println!("{complaint}");
    }
    println!("{total}");
    if complaints.is_empty() {
        Ok(())
    } else {
        Err(TaskError::Tests(complaints))
    }
}

fn run_tier(tier: Tier, metadata: &Metadata) -> Result<TierResult, TaskError> {
    say(&format!("tests: {}", tier.name()));
    let mut result = TierResult {
        tier,
        count: Count::default(),
        ended_well: true,
    };
    let Some(args) = arguments(tier, &programs(metadata, tier)) else {
        return Ok(result);
    };
    if tier == Tier::Vm {
        setup::image()?;
        // What guests run; cargo doesn't build examples for chosen test programs.
        for (package, example) in GUESTS_PROGRAMS {
            run_program(&mut cargo(&["build", "-p", package, "--example", example]))?;
        }
    }
    if tier != Tier::Unit {
        build_programs(&[])?;
    }
    let mut command = cargo(&args.iter().map(String::as_str).collect::<Vec<_>>());
    command.env("PATH", setup::test_path());
    result.ended_well = run_seeing(&mut command, |line| {
        if let Some(count) = Count::parse(line) {
            result.count += count;
        }
    })?;
    Ok(result)
}

/// Arguments for cargo, none if the tier has no test program.
fn arguments(tier: Tier, programs: &BTreeSet<String>) -> Option<Vec<String>> {
    if tier != Tier::Unit && programs.is_empty() {
        return None;
    }
    let mut args = vec!["test", "--no-fail-fast", "--workspace"];
    if tier == Tier::Unit {
        args.extend(["--lib", "--bins"]);
    }
    args.extend(programs.iter().flat_map(|program| ["--test", program]));
    if matches!(tier, Tier::E2e | Tier::Vm) {
        // One at a time: they measure time and share few processors.
        args.extend(["--", "--test-threads=1"]);
    }
    Some(args.into_iter().map(str::to_owned).collect())
}

/// Names of the workspace's test programs that belong to a tier.
fn programs(metadata: &Metadata, tier: Tier) -> BTreeSet<String> {
    metadata
        .members()
        .flat_map(|package| {
            package
                .test_programs()
                .map(move |program| (package, program))
        })
        .filter(|(package, program)| Tier::of(&package.name, program) == tier)
        .map(|(_, program)| program.to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_test_programs() {
        let line = "test result: FAILED. 15 passed; 2 failed; 1 ignored; 0 measured; \
                    0 filtered out; finished in 0.10s";
        let count = Count::parse(line).unwrap();
        assert_eq!(
            count,
            Count {
                passed: 15,
                failed: 2,
                skipped: 1
            }
        );
        assert_eq!(count.to_string(), "15 passed, 2 failed, 1 skipped");
        assert_eq!(Count::parse("test lab::wait ... ok"), None);
    }

    #[test]
    fn a_tier_without_tests_is_a_failure() {
        let result = |passed, failed, ended_well| {
            let count = Count {
                passed,
                failed,
                skipped: 3,
            };
            TierResult {
                tier: Tier::Vm,
                count,
                ended_well,
            }
            .complaint()
        };
        assert_eq!(result(0, 0, true).unwrap(), "tier vm: no test ran");
        assert_eq!(result(5, 0, false).unwrap(), "tier vm: cargo test failed");
        assert_eq!(result(5, 1, false).unwrap(), "tier vm: 1 failed");
        assert_eq!(result(5, 0, true), None);
    }

    #[test]
    fn test_programs_belong_to_tiers_by_name() {
        assert_eq!(Tier::of("aorta-ovsdb", "tools"), Tier::Protocol);
        assert_eq!(Tier::of("aorta-ebpf", "text"), Tier::Unit);
        assert_eq!(Tier::of(INTEGRATION, "protocol_vsctl"), Tier::Protocol);
        assert_eq!(Tier::of("aorta-vswitchd", "protocol_sim"), Tier::Protocol);
        assert_eq!(Tier::of(INTEGRATION, "vm_guests"), Tier::Vm);
        assert_eq!(Tier::of(INTEGRATION, "lab"), Tier::Vm);
        assert_eq!(Tier::of(INTEGRATION, "restart"), Tier::E2e);
    }

    #[test]
    fn every_tier_has_a_call_and_its_programs() {
        let metadata = metadata::read().unwrap();
        let vm = programs(&metadata, Tier::Vm);
        assert!(vm.contains("lab"));
        let args = arguments(Tier::Vm, &vm).unwrap().join(" ");
        assert!(
            args.contains("--test lab") && args.ends_with("-- --test-threads=1"),
            "{args}"
        );
        assert!(!args.contains("--lib"));
        assert_eq!(arguments(Tier::E2e, &BTreeSet::new()), None);
        assert!(
            arguments(Tier::Unit, &BTreeSet::new())
                .unwrap()
                .contains(&"--lib".to_owned())
        );
    }
}
