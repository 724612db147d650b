//! Developer commands of the project: `cargo xtask help`.
#![forbid(unsafe_code)]

mod bench;
mod check;
mod demo;
mod error;
mod fuzz;
mod package;
mod proc;
mod setup;
mod tiers;
mod vm;

use clap::{Parser, Subcommand};

use error::TaskError;

/// Sets up, builds, tests and shows Aorta.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Check what the machine offers and install the packages that are missing.
    Setup,
    /// Build the guest image, or tell where it is.
    Image,
    /// Work in machines with other kernels.
    #[command(subcommand)]
    Vm(vm::VmTask),
    /// Show the switch at work: two guests on an access and a trunk port.
    Demo,
    /// Check the sources and run the tests.
    Test {
        /// Which tests to run.
        #[arg(long, value_enum, default_value_t = tiers::Choice::All)]
        tier: tiers::Choice,
        /// Leave set-up and source checks out.
        #[arg(long)]
        only_tests: bool,
    },
    /// Measure; without a name, list what can be measured.
    Bench(bench::BenchArgs),
    /// Run the fuzz targets with mutations of their corpora, without a fuzzer.
    Fuzz(fuzz::FuzzArgs),
    /// Build the Debian package of the switch.
    Package(package::PackageArgs),
    /// Check crate levels, purity, the home of unsafe code, and licences.
    DepsCheck,
}

fn main() -> std::process::ExitCode {
    match run(Args::parse().task) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", error.report());
            std::process::ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<(), TaskError> {
    match task {
        Task::Setup => setup::run(),
        Task::Image => setup::image().map(drop),
        Task::Vm(task) => vm::run(task),
        Task::Demo => demo::run(),
        Task::Test { tier, only_tests } => tiers::run(tier, only_tests),
        Task::Bench(args) => bench::run(&args),
        Task::Fuzz(args) => fuzz::run(&args),
        Task::Package(args) => package::run_task(&args),
        Task::DepsCheck => check::dependencies(),
    }
}
