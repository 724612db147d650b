//! From the command line to the exit status: connects, runs the commands, waits for the switch
//! and prints.

mod called;
mod complete;
mod database;
mod failure;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use aorta_ovsdb::DatabaseSchema;
use rustix::process::{Signal, getpid, kill_process};

use crate::args::{self, Command, Invocation, Mode, Options};
use crate::commands::switch::Colour;
use crate::commands::{Action, listing};
use crate::help;
use crate::log::{Level, Log};
use crate::manage::{self, Manner};
use database::Run;
use failure::Failure;

/// Done.
const OK: i32 = 0;
/// Refused or failed.
const FAILED: i32 = 1;
/// What a shell shows for a program that SIGALRM ended, as Open vSwitch's does.
const TIMED_OUT: i32 = 142;

/// Runs the program with its arguments, the zeroth included; answers the exit status.
pub fn main(argv: &[String]) -> i32 {
    let (program, words) = argv
        .split_first()
        .map_or(("", &[][..]), |(p, w)| (p.as_str(), w));
    if let Some((client, words)) = called::client(program, words) {
        return client(program, words, &rundir());
    }
    let mode = Mode::of_program(program);
    let (options, commands) = match args::parse(mode, words) {
        Ok(Invocation::Run(options, commands)) => (*options, commands),
        Ok(asked) => return status_of(mode, program, answer(mode, &asked)),
        Err(fault) => return status_of(mode, program, Err(fault.into())),
    };
    let settings = log_settings(&options);
    let log = match Log::open(mode, settings) {
        Ok(log) => log,
        Err((path, source)) => match mode {
            // The log has said it.
            Mode::OvsVsctl => return FAILED,
            Mode::Vsctl => return status_of(mode, program, Err(Failure::LogFile { path, source })),
        },
    };
    let remote = database::remote_text(&options);
    let done = run(mode, options, commands, argv, &log);
    if let Err(failure) = &done {
        if failure.timed_out() {
            return time_out(mode, failure, &log);
        }
        let text = failure.told(mode, &remote);
        if let (Mode::OvsVsctl, Failure::Transaction(_)) = (mode, failure) {
            log.message("ovsdb_idl", Level::Warn, &text);
        }
        log.fatal("db_ctl_base", &text);
    }
    match done {
        Ok(status) => status,
        Err(failure) => {
            complain(mode.program(), &failure.told(mode, &remote));
            FAILED
        }
    }
}

fn complain(program: &str, line: &str) {
    eprintln!("{program}: {line}");
}

/// The exit status of what happened before there was a log.
fn status_of(mode: Mode, program: &str, done: Result<i32, Failure>) -> i32 {
    match done {
        Ok(status) => status,
        Err(failure) => {
            let whole = mode == Mode::OvsVsctl
                && matches!(&failure, Failure::Usage(fault) if fault.is_from_getopt());
            let name = if whole { program } else { mode.program() };
            complain(name, &failure.told(mode, ""));
            FAILED
        }
    }
}

/// Ends the program as the alarm clock ends Open vSwitch's tool, whose callers look at the signal;
/// under its own name, the program says what it waited for and exits.
fn time_out(mode: Mode, failure: &Failure, log: &Log) -> i32 {
    match mode {
        Mode::OvsVsctl => {
            let text = "terminating with signal 14 (Alarm clock)";
            log.message("fatal_signal", Level::Warn, text);
            // If the signal is blocked, the status still tells.
            let _ = kill_process(getpid(), Signal::ALARM);
        }
        Mode::Vsctl => {
            let line = failure.to_string();
            log.fatal("db_ctl_base", &line);
            complain(mode.program(), &line);
        }
    }
    TIMED_OUT
}

fn log_settings(options: &Options) -> crate::log::Settings {
    let mut settings = options.log.clone();
    if settings.method.is_none() {
        let method = std::env::var("OVS_SYSLOG_METHOD").ok();
        settings.method = method.and_then(|method| method.parse().ok());
    }
    settings
}

/// What the command line asks for instead of commands.
fn answer(mode: Mode, asked: &Invocation) -> Result<i32, Failure> {
    match asked {
        Invocation::Help(topic) => print(&help::text(mode, topic.as_deref())),
        Invocation::Version => print(&version(mode)),
        Invocation::ListCommands => print(&match mode {
            Mode::OvsVsctl => listing::text(),
            Mode::Vsctl => help::command_list(mode),
        }),
        Invocation::ListOptions => print(&args::list_options()),
        Invocation::Completion(script) => print(script),
        Invocation::Complete(words) => print(&complete::answer(words)),
        Invocation::Run(..) => Ok(OK),
    }
}

fn run(
    mode: Mode,
    options: Options,
    commands: Vec<Command>,
    argv: &[String],
    log: &Log,
) -> Result<i32, Failure> {
    let (program, words) = argv
        .split_first()
        .map_or(("", &[][..]), |(p, w)| (p.as_str(), w));
    let read_only = commands.iter().all(|command| command.syntax.is_read_only());
    let level = if read_only { Level::Dbg } else { Level::Info };
    let line = called::command_line(program, words);
    log.message("vsctl", level, &format!("Called as {line}"));
    if let [command] = commands.as_slice()
        && let Action::Switch(query) = command.syntax.action
    {
        let manner = Manner {
            json: options.json,
            pretty: options.pretty,
            colour: colour(),
            terminal: io::stdout().is_terminal(),
            timeout: options.timeout.map(Duration::from_secs),
        };
        let answer = manage::ask(&rundir(), query, command, manner)?;
        return print(&answer.text).map(|_| answer.status);
    }
    let comment = called::comment(mode.program(), program, words);
    Run::new(mode, options, commands, comment, log)?.go()
}

fn version(mode: Mode) -> String {
    // Scripts look for the product and compare the version: under ovs-vsctl's name both are the
    // ones whose behaviour and schema this tool has.
    let (product, version) = match mode {
        Mode::OvsVsctl => ("Open vSwitch", "3.1.0"),
        Mode::Vsctl => ("Aorta", env!("CARGO_PKG_VERSION")),
    };
    let schema = &DatabaseSchema::vswitch().version;
    format!(
        "{} ({product}) {version}\nDB Schema {schema}\n",
        mode.program()
    )
}

fn colour() -> Colour {
    let plain = std::env::var_os("NO_COLOR").is_some() || !io::stdout().is_terminal();
    if plain {
        Colour::Plain
    } else {
        Colour::Terminal
    }
}

/// Where the switch keeps its sockets.
fn rundir() -> PathBuf {
    let set = std::env::var_os("OVS_RUNDIR").filter(|dir| !dir.is_empty());
    set.map_or_else(|| PathBuf::from("/var/run/openvswitch"), PathBuf::from)
}

fn print(text: &str) -> Result<i32, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(OK),
        // The reader has seen enough.
        Err(cause) if cause.kind() == io::ErrorKind::BrokenPipe => Ok(OK),
        Err(cause) => Err(Failure::Output(cause)),
    }
}
