//! Faults of the command line.

use thiserror::Error;

use crate::log::{MethodError, SpecError};

/// The command line doesn't follow the syntax.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UsageError {
    /// There is no command.
    #[error("missing command name (use --help for help)")]
    NoCommand,
    /// No command has this name.
    #[error("unknown command '{command}'; use --help for help")]
    UnknownCommand {
        /// What was given.
        command: String,
    },
    /// No completion script is for this shell.
    #[error("no completion for '{shell}'; there are bash, zsh and fish")]
    UnknownShell {
        /// What was given.
        shell: String,
    },
    /// The shell is missing.
    #[error("'completion' takes the name of a shell: bash, zsh or fish")]
    NoShell,
    /// No option before the first command has this name.
    #[error("unrecognized option '{option}'")]
    UnknownOption {
        /// What was given.
        option: String,
    },
    /// No one-letter option has this name.
    #[error("invalid option -- '{letter}'")]
    UnknownShortOption {
        /// What was given.
        letter: char,
    },
    /// A shortened option fits several.
    #[error(
        "option '{option}' is ambiguous; possibilities: {}",
        quoted(candidates)
    )]
    AmbiguousOption {
        /// What was given.
        option: String,
        /// What it may mean.
        candidates: Vec<String>,
    },
    /// The option was given before.
    #[error("'{option}' option specified multiple times")]
    OptionTwice {
        /// Its full name.
        option: String,
    },
    /// The option needs a value.
    #[error("option '{option}' requires an argument")]
    ValueMissing {
        /// Its name.
        option: String,
    },
    /// The one-letter option needs a value.
    #[error("option requires an argument -- '{letter}'")]
    ShortValueMissing {
        /// Its name.
        letter: char,
    },
    /// The option of a command needs a value.
    #[error("missing argument to '{option}' option on '{command}' command")]
    CommandValueMissing {
        /// The command.
        command: String,
        /// Its name.
        option: String,
    },
    /// The option of a command has no value.
    #[error("'{option}' option on '{command}' does not accept an argument")]
    CommandValueNotAllowed {
        /// The command.
        command: String,
        /// Its name.
        option: String,
    },
    /// The option has no value.
    #[error("option '{option}' doesn't allow an argument")]
    NoValueAllowed {
        /// Its name.
        option: String,
    },
    /// Not a number of seconds.
    #[error("value {value} on -t or --timeout is invalid")]
    BadTimeout {
        /// What was given.
        value: String,
    },
    /// A `--verbose` argument makes no sense.
    #[error(transparent)]
    Verbose(#[from] SpecError),
    /// A `--syslog-method` is not one.
    #[error(transparent)]
    Syslog(#[from] MethodError),
    /// No output format has this name.
    #[error("unknown {what} format \"{name}\"")]
    UnknownFormat {
        /// Which kind of format.
        what: &'static str,
        /// What was given.
        name: String,
    },
    /// The command doesn't have this option.
    #[error("'{command}' command has no '{option}' option")]
    NoSuchOption {
        /// The command.
        command: String,
        /// What was given.
        option: String,
    },
    /// The command needs more arguments.
    #[error("'{command}' command requires at least {min} arguments")]
    TooFewArguments {
        /// The command.
        command: String,
        /// How many it needs.
        min: usize,
    },
    /// The command takes fewer arguments.
    #[error("'{command}' command takes at most {max} arguments{}", if *misplaced {
        " (note that options must precede command names and follow a \"--\" argument)"
    } else {
        ""
    })]
    TooManyArguments {
        /// The command.
        command: String,
        /// How many it takes.
        max: usize,
        /// Whether one of them looks like an option.
        misplaced: bool,
    },
}

impl UsageError {
    /// Whether Open vSwitch leaves this to getopt_long(3), which begins messages with the whole
    /// name that the program was called by.
    pub fn is_from_getopt(&self) -> bool {
        matches!(
            self,
            UsageError::UnknownOption { .. }
                | UsageError::UnknownShortOption { .. }
                | UsageError::AmbiguousOption { .. }
                | UsageError::ValueMissing { .. }
                | UsageError::ShortValueMissing { .. }
                | UsageError::NoValueAllowed { .. }
        )
    }
}

fn quoted(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    names.join(" ")
}
