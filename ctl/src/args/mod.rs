//! The command line: global options, then commands separated by `--`, each with its own options
//! (ovs-vsctl(8), SYNOPSIS).
//!
//! Options of the first command may stand among the global ones. Long options before the first
//! command may be shortened to a unique prefix, as getopt_long(3) allows; those of later commands
//! may not.

mod apply;
mod globals;
mod options;
mod split;

pub use apply::log_dir;
pub use globals::{list_options, long_options, takes_value};

use std::collections::BTreeMap;

use aorta_ovsdb::TlsFiles;

use crate::commands::{self, Syntax};
use crate::complete;
use crate::error::UsageError;
use crate::log;
use crate::table::Style;
use options::Parser;
use split::split_commands;

/// Under which name the program was called, which decides what it accepts and how it exits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// As `vsctl`: with the commands and options that only Aorta has.
    Vsctl,
    /// As `ovs-vsctl`: exactly Open vSwitch's commands, options and exit statuses.
    OvsVsctl,
}

impl Mode {
    /// The mode that belongs to the zeroth argument.
    pub fn of_program(argv0: &str) -> Mode {
        let name = argv0.rsplit('/').next().unwrap_or(argv0);
        if name == "ovs-vsctl" {
            Mode::OvsVsctl
        } else {
            Mode::Vsctl
        }
    }

    /// The name that messages begin with.
    pub fn program(self) -> &'static str {
        match self {
            Mode::Vsctl => "vsctl",
            Mode::OvsVsctl => "ovs-vsctl",
        }
    }
}

/// Options that hold for the whole invocation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Connection method of the database, where not the default.
    pub db: Option<String>,
    /// Don't wait until the switch works as the database says.
    pub no_wait: bool,
    /// Connect again until the server is there.
    pub retry: bool,
    /// Send nothing that changes the database.
    pub dry_run: bool,
    /// One line of output per command.
    pub oneline: bool,
    /// Seconds after which to give up; `None` waits for ever.
    pub timeout: Option<u64>,
    /// Indent JSON.
    pub pretty: bool,
    /// Print tables and lists as JSON.
    pub json: bool,
    /// How tables are printed.
    pub style: Style,
    /// What is logged where.
    pub log: log::Settings,
    /// Keys and certificates for `ssl:` and `pssl:`.
    pub tls: TlsOptions,
}

/// Options of encrypted connections.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// Where keys and certificates are.
    pub files: TlsFiles,
    /// Versions of the protocol to allow, as given.
    pub protocols: Option<String>,
    /// Ciphers to allow, as given.
    pub ciphers: Option<String>,
}

/// One command with its options and arguments, checked against its syntax.
#[derive(Debug, Clone)]
pub struct Command {
    /// What it is.
    pub syntax: &'static Syntax,
    /// Its options by full name, e.g. `--if-exists`.
    pub options: BTreeMap<String, Option<String>>,
    /// Its arguments, without its name.
    pub args: Vec<String>,
}

impl Command {
    /// Whether the option was given.
    pub fn has(&self, option: &str) -> bool {
        self.options.contains_key(option)
    }

    /// Value of an option that takes one.
    pub fn option(&self, option: &str) -> Option<&str> {
        self.options.get(option).and_then(|value| value.as_deref())
    }

    /// Argument number `n`, or the empty string if there are fewer.
    pub fn arg(&self, n: usize) -> &str {
        self.args.get(n).map_or("", String::as_str)
    }

    /// The arguments from number `n` on.
    pub fn rest(&self, n: usize) -> &[String] {
        self.args.get(n..).unwrap_or_default()
    }
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Invocation {
    /// Print the help text; with a command's name, that command's.
    Help(Option<String>),
    /// Print the version.
    Version,
    /// Print the names of all commands.
    ListCommands,
    /// Print all global options.
    ListOptions,
    /// Print the completion script for a shell.
    Completion(&'static str),
    /// Print what may stand at the end of these words.
    Complete(Vec<String>),
    /// Run commands.
    Run(Box<Options>, Vec<Command>),
}

/// Reads a command line, given without the program's name.
pub fn parse(mode: Mode, argv: &[String]) -> Result<Invocation, UsageError> {
    if mode == Mode::Vsctl
        && let Some(asked) = own(argv)?
    {
        return Ok(asked);
    }
    let options = Options::default();
    let mut parser = Parser {
        mode,
        argv,
        at: 0,
        options,
        local: BTreeMap::new(),
    };
    if let Some(asked) = parser.globals()? {
        return Ok(asked);
    }
    let mut words = argv[parser.at..].to_vec();
    if mode == Mode::Vsctl && words.iter().any(|word| word == "--json") {
        // Welcome after a command too: there it can't be anything else.
        words.retain(|word| word != "--json");
        parser.apply("json", None)?;
    }
    let commands = split_commands(mode, &words, parser.local)?;
    Ok(Invocation::Run(Box::new(parser.options), commands))
}

/// What only `vsctl` answers: help and completion.
fn own(argv: &[String]) -> Result<Option<Invocation>, UsageError> {
    let words: Vec<&str> = argv.iter().map(String::as_str).collect();
    Ok(match words.as_slice() {
        [complete::ASK, ..] => Some(Invocation::Complete(argv[1..].to_vec())),
        [complete::COMPLETION, "--help"] | ["help", complete::COMPLETION] => {
            Some(Invocation::Help(Some(complete::COMPLETION.to_owned())))
        }
        [complete::COMPLETION, shell] => match complete::script(shell) {
            Some(script) => Some(Invocation::Completion(script)),
            None => {
                let shell = (*shell).to_owned();
                return Err(UsageError::UnknownShell { shell });
            }
        },
        [complete::COMPLETION, ..] => return Err(UsageError::NoShell),
        ["help"] => Some(Invocation::Help(None)),
        ["help", topic, ..] => return help_about(topic).map(Some),
        [_, rest @ ..] if rest.contains(&"--help") => {
            let topic = words.iter().find(|word| !word.starts_with('-'));
            return topic.map(|topic| help_about(topic)).transpose();
        }
        _ => None,
    })
}

fn help_about(topic: &str) -> Result<Invocation, UsageError> {
    let topic = topic.to_owned();
    match commands::find(Mode::Vsctl, &topic) {
        Some(_) => Ok(Invocation::Help(Some(topic))),
        None => Err(UsageError::UnknownCommand { command: topic }),
    }
}

#[cfg(test)]
mod tests;
