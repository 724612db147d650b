//! The command line.

use thiserror::Error;

use crate::error::UsageError;
use crate::getopt::{self, Known, Takes, known};

/// What `--help` prints.
pub const HELP: &str = "\
ovs-appctl: asks a running daemon something, or tells it to do something
usage: ovs-appctl [-t TARGET] [-T SECONDS] COMMAND [ARGUMENT...]

  -t, --target=TARGET    which daemon: ovs-vswitchd (if none is named), ovsdb-server, or
                         the path of its control socket
  -T, --timeout=SECONDS  end with SIGALRM if there is no answer within so many seconds
  -h, --help             print this
  -V, --version          print the version

Commands of every daemon:
  list-commands          which commands it has, with their arguments
  version                its version
  vlog/list              what it logs where
  vlog/set [SPEC]        change that: MODULE:DESTINATION:LEVEL, each of which may be left out;
                         destinations: syslog, console, file; levels: off, emer, err, warn,
                         info, dbg
  vlog/reopen            open the log file anew, after it was renamed

Exit status: 0 done, 1 the daemon could not be asked, 2 the daemon refused.
";

const OPTIONS: [Known; 5] = [
    known("target", Some('t'), Takes::Value),
    known("execute", Some('e'), Takes::Nothing),
    known("help", Some('h'), Takes::Nothing),
    known("version", Some('V'), Takes::Nothing),
    known("timeout", Some('T'), Takes::Value),
];

const DEFAULT_TARGET: &str = "ovs-vswitchd";

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Invocation {
    /// A command is to be run.
    Call(Request),
    /// Explains itself.
    Help,
    /// Tells the version.
    Version,
}

/// A command for a target.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    /// Which daemon.
    pub target: String,
    /// What it is to do.
    pub command: String,
    /// With what.
    pub arguments: Vec<String>,
    /// Seconds to wait at most; none for ever.
    pub timeout_s: Option<u64>,
}

/// What is wrong with the command line.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum Fault {
    #[error(transparent)]
    Option(#[from] UsageError),
    #[error("-t or --target may be specified only once")]
    TargetTwice,
    #[error("value {0} on -T or --timeout is invalid")]
    Timeout(String),
    #[error("at least one non-option argument is required (use --help for help)")]
    NoCommand,
}

impl Fault {
    /// Whether the message begins with the whole name that the program was called by.
    pub fn is_from_getopt(&self) -> bool {
        matches!(self, Fault::Option(fault) if fault.is_from_getopt())
    }
}

/// Reads the words behind the program's name.
pub fn parse(argv: &[String]) -> Result<Invocation, Fault> {
    let line = getopt::read(&OPTIONS, argv, false);
    let (mut target, mut timeout_s) = (None, None);
    for (option, value) in line.options {
        match (option, value) {
            ("target", Some(_)) if target.is_some() => return Err(Fault::TargetTwice),
            ("target", value) => target = value,
            ("timeout", Some(value)) => timeout_s = Some(seconds(value)?),
            ("help", _) => return Ok(Invocation::Help),
            ("version", _) => return Ok(Invocation::Version),
            _ => {}
        }
    }
    if let Some(fault) = line.fault {
        return Err(fault.into());
    }
    let mut words = line.words.into_iter();
    Ok(Invocation::Call(Request {
        target: target.unwrap_or_else(|| DEFAULT_TARGET.to_owned()),
        command: words.next().ok_or(Fault::NoCommand)?,
        arguments: words.collect(),
        timeout_s,
    }))
}

fn seconds(value: String) -> Result<u64, Fault> {
    let seconds = value.parse::<i32>().ok().filter(|seconds| *seconds > 0);
    let seconds = seconds.and_then(|seconds| u64::try_from(seconds).ok());
    seconds.ok_or(Fault::Timeout(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Invocation, Fault> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&words)
    }

    #[test]
    fn options_of_the_command_are_its_own() {
        let request = Request {
            target: "ovsdb-server".to_owned(),
            command: "exit".to_owned(),
            arguments: vec!["--cleanup".to_owned(), "-t".to_owned()],
            timeout_s: Some(7),
        };
        let line = "-T7 --tar=ovsdb-server exit --cleanup -t";
        assert_eq!(read(line), Ok(Invocation::Call(request)));
    }

    #[test]
    fn the_first_option_that_ends_the_program_does() {
        assert_eq!(read("-V --bad"), Ok(Invocation::Version));
        assert_eq!(read("-t a -t b -V"), Err(Fault::TargetTwice));
        assert_eq!(read("-T 0 -h"), Err(Fault::Timeout("0".to_owned())));
        assert_eq!(read("-t a"), Err(Fault::NoCommand));
    }
}
