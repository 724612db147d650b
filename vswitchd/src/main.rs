//! The `vswitchd` program.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    vswitchd::main()
}
