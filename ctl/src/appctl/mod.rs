//! The control sockets' client: `vsctl` called as `ovs-appctl`, or `vsctl appctl` (ovs-appctl(8)).

mod args;
mod call;
mod error;
mod find;

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};

use crate::log::{Level, Log, Settings};
use args::{Invocation, Request};
use error::AppctlError;

/// Name that messages begin with.
const PROGRAM: &str = "ovs-appctl";
/// The target did what was asked for.
const OK: i32 = 0;
/// The target couldn't be asked.
const FAILED: i32 = 1;
/// The target refused.
const REFUSED: i32 = 2;
/// What a shell shows for a program that SIGALRM ended.
const TIMED_OUT: i32 = 142;

/// Runs the program with the words behind its name; answers the exit status. `called` is the name
/// by which it was called, `rundir` where targets keep their files.
pub fn main(called: &str, words: &[String], rundir: &Path) -> i32 {
    let request = match args::parse(words) {
        Ok(Invocation::Call(request)) => request,
        Ok(Invocation::Help) => return print(args::HELP),
        Ok(Invocation::Version) => return print("ovs-appctl (Open vSwitch) 3.1.0\n"),
        Err(fault) => {
            let name = if fault.is_from_getopt() {
                called
            } else {
                PROGRAM
            };
            eprintln!("{name}: {fault}");
            return FAILED;
        }
    };
    let log = match Log::named(PROGRAM, true, Settings::default()) {
        Ok(log) => log,
        Err((path, cause)) => {
            eprintln!("{PROGRAM}: {path}: {cause}");
            return FAILED;
        }
    };
    match ask(&request, rundir) {
        Ok(Ok(text)) => print(&text),
        Ok(Err(text)) => {
            eprint!("{text}");
            eprintln!("{PROGRAM}: {}: server returned an error", request.target);
            REFUSED
        }
        Err(error) => fail(&log, &error),
    }
}

fn ask(request: &Request, rundir: &Path) -> Result<Result<String, String>, AppctlError> {
    let socket = find::socket(rundir, &request.target)?;
    let limit = request.timeout_s.map(Duration::from_secs);
    call::call(
        &socket,
        &request.target,
        &request.command,
        &request.arguments,
        limit,
    )
}

/// Says why there is no answer; a time that is over ends the program as an alarm does.
fn fail(log: &Log, error: &AppctlError) -> i32 {
    for (module, text) in error.warnings() {
        log.message(module, Level::Warn, &text);
    }
    if matches!(error, AppctlError::TimedOut) {
        // If the signal is blocked, the status still tells.
        let _ = kill_process(getpid(), Signal::ALARM);
        return TIMED_OUT;
    }
    let text = error.to_string();
    log.fatal("appctl", &text);
    eprintln!("{PROGRAM}: {text}");
    FAILED
}

fn print(text: &str) -> i32 {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => OK,
        // The reader has seen enough.
        Err(cause) if cause.kind() == io::ErrorKind::BrokenPipe => OK,
        Err(cause) => {
            eprintln!("{PROGRAM}: cannot write the output: {cause}");
            FAILED
        }
    }
}
