//! The `vsctl` program.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut argv = Vec::new();
    for argument in std::env::args_os() {
        match argument.into_string() {
            Ok(argument) => argv.push(argument),
            // The database holds only UTF-8 (RFC 7047 §3.1).
            Err(argument) => {
                eprintln!("vsctl: argument {} is not UTF-8", argument.display());
                return ExitCode::FAILURE;
            }
        }
    }
    let status = aorta_ctl::run::main(&argv);
    ExitCode::from(u8::try_from(status).unwrap_or(u8::MAX))
}
