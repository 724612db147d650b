//! Runs a target of `fuzz/` with mutations of its corpus, without libFuzzer: blind, but with
//! nothing besides Rust. `cargo xtask fuzz` calls it for all of them.
#![forbid(unsafe_code)]

mod findings;
mod mutator;
mod run;
mod targets;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

/// Runs a fuzz target with mutations of its corpus, and prints a line of JSON at the end.
#[derive(Debug, Parser)]
#[command(name = "aorta-mutate")]
struct Args {
    /// Which target; all are listed if it is left out.
    target: Option<String>,
    /// For how long.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Which inputs: the same seed makes the same ones.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Root of the sources, where the corpora are.
    #[arg(long, default_value = ".")]
    root: PathBuf,
    /// Folder for inputs that found a fault.
    #[arg(long, default_value = "target/fuzzing")]
    findings: PathBuf,
    /// Run this one input instead, and show the fault.
    #[arg(long)]
    input: Option<PathBuf>,
}

fn main() -> ExitCode {
    match start(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let cause = std::error::Error::source(&error);
            let cause = cause.map_or_else(String::new, |cause| format!(": {cause}"));
            eprintln!("aorta-mutate: {error}{cause}");
            ExitCode::from(2)
        }
    }
}

/// Whether no fault was found.
fn start(args: &Args) -> Result<bool, run::RunError> {
    let Some(name) = &args.target else {
        for target in targets::TARGETS {
            println!("{}", target.name);
        }
        return Ok(true);
    };
    let target = run::find(name)?;
    if let Some(input) = &args.input {
        return run::once(target, input);
    }
    run::limit_memory();
    let plan = run::Plan {
        target,
        root: &args.root,
        findings: &args.findings,
        seed: args.seed,
        time: Duration::from_secs(args.seconds),
    };
    let outcome = run::run(&plan, &run::Faults::of_process())?;
    println!("{}", outcome.to_json(target.name));
    Ok(outcome.findings == 0)
}
