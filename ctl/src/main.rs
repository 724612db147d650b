//! The `vsctl` program.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    let argv: Vec<String> = std::env::args_os()
        .map(|arg| arg.to_string_lossy().into())
        .collect();
    let status = aorta_ctl::run::main(&argv);
    std::process::ExitCode::from(u8::try_from(status).unwrap_or(u8::MAX))
}
