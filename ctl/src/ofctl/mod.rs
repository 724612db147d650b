//! An OpenFlow client: `vsctl` called as `ovs-ofctl`, or `vsctl ofctl` (ovs-ofctl(8)).

mod args;
mod background;
mod bundle;
pub mod capture;
mod client;
mod commands;
mod control;
mod error;
mod flows;
mod follow;
mod formats;
mod groups;
mod help;
mod messages;
mod meters;
mod monitor;
mod names;
mod parse;
mod ports;
mod replies;
mod sets;
mod switch;
mod tables;
mod target;
mod times;
mod tunnel;

use std::cell::{Cell, OnceCell};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use aorta_openflow::text::Style;
use rustix::process::{Signal, getpid, kill_process};

use crate::log::{Level, Log};
use args::{Invocation, Settings};
use error::OfctlError;
use names::SwitchNames;

/// Name that messages begin with.
const PROGRAM: &str = "ovs-ofctl";
const OK: i32 = 0;
const FAILED: i32 = 1;
/// What a shell shows for a program that SIGALRM ended.
const TIMED_OUT: i32 = 142;

/// What commands do comes of this: an exit status, or why there is none.
type Done = Result<i32, OfctlError>;

/// One run of the program.
pub(crate) struct Ofctl {
    settings: Settings,
    rundir: PathBuf,
    log: Log,
    /// The newest transaction's number; each connection's first is that of its HELLO.
    xid: Cell<u32>,
    names: OnceCell<SwitchNames>,
}

/// Runs the program with the words behind its name; answers the exit status. `called` is the name
/// by which it was called, `rundir` where the switch keeps its sockets.
pub fn main(called: &str, words: &[String], rundir: &Path) -> i32 {
    let (settings, words) = match args::parse(words) {
        Ok(Invocation::Run(settings, words)) => (*settings, words),
        Ok(Invocation::Help) => return print_all(help::HELP),
        Ok(Invocation::Version) => {
            return print_all("ovs-ofctl (Open vSwitch) 3.1.0\nOpenFlow versions 0x1:0x6\n");
        }
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
    let log = match Log::named(PROGRAM, true, settings.log.clone()) {
        Ok(log) => log,
        Err((path, cause)) => {
            eprintln!("{PROGRAM}: {path}: {cause}");
            return FAILED;
        }
    };
    let run = Ofctl {
        settings,
        rundir: rundir.to_owned(),
        log,
        xid: Cell::new(0),
        names: OnceCell::new(),
    };
    let done = background::keep_rights(&run).and_then(|()| commands::run(&run, &words));
    match done {
        Ok(status) => status,
        Err(error) => run.fail(&error),
    }
}

fn print_all(text: &str) -> i32 {
    match write_out(text) {
        Ok(()) => OK,
        Err(_) => FAILED,
    }
}

fn write_out(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // The reader has seen enough.
        Err(cause) if cause.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

impl Ofctl {
    /// The next transaction's number.
    fn next_xid(&self) -> u32 {
        let xid = self.xid.get().wrapping_add(1);
        self.xid.set(xid);
        xid
    }

    fn fail(&self, error: &OfctlError) -> i32 {
        match error {
            OfctlError::TimedOut => {
                let text = "terminating with signal 14 (Alarm clock)";
                self.log.message("fatal_signal", Level::Warn, text);
                // If the signal is blocked, the status still tells.
                let _ = kill_process(getpid(), Signal::ALARM);
                return TIMED_OUT;
            }
            // The messages themselves say why.
            OfctlError::Refused(text) => eprint!("{text}"),
            error => {
                let text = error.to_string();
                self.log.fatal("ofctl", &text);
                eprintln!("{PROGRAM}: {text}");
            }
        }
        FAILED
    }

    fn print(&self, text: &str) -> Result<(), OfctlError> {
        write_out(text).map_err(OfctlError::Output)
    }

    /// Whether names stand for numbers in what is printed.
    fn shows_names(&self) -> bool {
        self.settings
            .names
            .unwrap_or_else(|| io::stdout().is_terminal())
    }

    /// How messages of a switch are printed.
    fn style<'a>(&self, names: &'a SwitchNames, more: u8) -> Style<'a> {
        Style {
            names,
            verbosity: self.settings.more.saturating_add(more),
        }
    }
}
