//! Fuzzing without a fuzzer: all targets of `fuzz/` with mutations of their corpora.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use aorta_integration::lab::command_line;
use serde::Deserialize;

use crate::error::TaskError;
use crate::proc::{cargo, output, root, run as run_program, say};

/// What fuzzing is told.
#[derive(Debug, clap::Args)]
pub struct FuzzArgs {
    /// Only these targets; all by default.
    targets: Vec<String>,
    /// For how long in all: the targets share it.
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// Which inputs: the same seed makes the same ones. Another each time by default.
    #[arg(long)]
    seed: Option<u64>,
}

/// What a target's run tells at its end.
#[derive(Debug, Deserialize)]
struct Outcome {
    target: String,
    runs: u64,
    seconds: f64,
    findings: u64,
}

/// Runs the targets one after the other, at the lowest priority.
///
/// # Errors
/// If a target finds a fault; inputs that do are kept.
pub fn run(args: &FuzzArgs) -> Result<(), TaskError> {
    run_program(&mut cargo(&[
        "build",
        "--profile",
        "fuzz",
        "-p",
        "aorta-mutate",
    ]))?;
    let target_dir = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target_dir = target_dir.unwrap_or_else(|| root().join("target"));
    let (program, findings) = (
        target_dir.join("fuzz/aorta-mutate"),
        target_dir.join("fuzzing"),
    );
    let targets = match args.targets.is_empty() {
        false => args.targets.clone(),
        true => {
            let listed = output(&mut Command::new(&program))?;
            let listed = String::from_utf8_lossy(&listed);
            listed.lines().map(str::to_owned).collect()
        }
    };
    let seconds = (args.minutes * 60 / targets.len().max(1) as u64).max(1);
    let seed = args.seed.unwrap_or_else(seed_of_now);
    say(&format!(
        "{} targets, {seconds} s each, seed {seed}",
        targets.len()
    ));
    let mut faulty = Vec::new();
    let mut outcomes = Vec::new();
    for (number, target) in targets.iter().enumerate() {
        println!("{:>3} of {} {target}", number + 1, targets.len());
        match one(&program, &findings, target, (seconds, seed))? {
            Some(outcome) if outcome.findings == 0 => outcomes.push(outcome),
            Some(outcome) => {
                faulty.push(format!("{target}: {} faults", outcome.findings));
                outcomes.push(outcome);
            }
            None => {
                let input = findings.join(target).join("current");
                faulty.push(format!(
                    "{target}: the process died over {}",
                    input.display()
                ));
            }
        }
    }
    print_table(&outcomes);
    match faulty.is_empty() {
        true => Ok(()),
        false => Err(TaskError::Violations(faulty)),
    }
}

/// One target; nothing if its process ended without a word.
fn one(
    program: &Path,
    findings: &Path,
    target: &str,
    (seconds, seed): (u64, u64),
) -> Result<Option<Outcome>, TaskError> {
    let mut command = Command::new("nice");
    command.args(["-n", "19"]).arg(program).arg(target);
    command.args([
        "--seconds",
        &seconds.to_string(),
        "--seed",
        &seed.to_string(),
    ]);
    command
        .arg("--root")
        .arg(root())
        .arg("--findings")
        .arg(findings);
    let line = command_line(&command);
    let ended = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output();
    let ended = ended.map_err(|source| TaskError::Start {
        command: line.clone(),
        source,
    })?;
    let printed = String::from_utf8_lossy(&ended.stdout);
    let (told, last) = match printed.trim_end().rsplit_once('\n') {
        Some((told, last)) => (told, last),
        None => ("", printed.trim_end()),
    };
    let outcome = serde_json::from_str(last).ok();
    // Faults, each with where its input is.
    match &outcome {
        Some(_) if told.is_empty() => {}
        Some(_) => println!("{told}"),
        None => print!("{printed}"),
    }
    const NOTHING_RUN: i32 = 2;
    if ended.status.code() == Some(NOTHING_RUN) {
        return Err(TaskError::Failed {
            command: line,
            status: ended.status,
        });
    }
    Ok(outcome)
}

fn seed_of_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |time| time.as_secs())
}

fn print_table(outcomes: &[Outcome]) {
    println!(
        "{:<24} {:>12} {:>8} {:>10} {:>7}",
        "target", "runs", "seconds", "runs/s", "faults"
    );
    let row = |name: &str, runs: u64, seconds: f64, findings: u64| {
        let rate = runs as f64 / seconds.max(0.001);
        println!("{name:<24} {runs:>12} {seconds:>8.0} {rate:>10.0} {findings:>7}");
    };
    for one in outcomes {
        row(&one.target, one.runs, one.seconds, one.findings);
    }
    let runs = outcomes.iter().map(|one| one.runs).sum();
    let seconds = outcomes.iter().map(|one| one.seconds).sum();
    row(
        "all",
        runs,
        seconds,
        outcomes.iter().map(|one| one.findings).sum(),
    );
}
