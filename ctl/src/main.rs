//! The `vsctl` program.
#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut argv = Vec::new();
    for argument in std::env::args_os() {
        match argument.into_string() {
            Ok(argument) => argv.push(argument),
            // The database holds only UTF-8 (RFC 7047 §3.1).
            Err(argument) => {
                let argument = argument.display();
                // Nobody may be reading it.
                let _ = writeln!(io::stderr(), "vsctl: argument {argument} is not UTF-8");
                return ExitCode::FAILURE;
            }
        }
    }
    let status = aorta_ctl::run::main(&argv);
    ExitCode::from(u8::try_from(status).unwrap_or(u8::MAX))
}
