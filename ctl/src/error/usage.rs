//! Faults of the command line.

use thiserror::Error;

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
    /// No option before the first command has this name.
    #[error("unrecognized option '{option}'; use --help for help")]
    UnknownOption {
        /// What was given.
        option: String,
    },
    /// No one-letter option has this name.
    #[error("invalid option -- '{letter}'; use --help for help")]
    UnknownShortOption {
        /// What was given.
        letter: char,
    },
    /// A shortened option fits several.
    #[error("option '{option}' is ambiguous; possibilities: {}", candidates.join(" "))]
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
    /// The option has no value.
    #[error("option '{option}' doesn't allow an argument")]
    NoValueAllowed {
        /// Its name.
        option: String,
    },
    /// The option's value must be a whole number.
    #[error("{option}: \"{value}\" is not a number")]
    NotANumber {
        /// Its name.
        option: String,
        /// What was given.
        value: String,
    },
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
        " (options go before the command's name, after a \"--\")"
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
