//! What ends the program early.

use std::io;

use aorta_openflow::EncodeError;
use thiserror::Error;

use crate::log::plain;

/// What ends the program early.
#[derive(Debug, Error)]
pub enum OfctlError {
    #[error("missing command name; use --help for help")]
    NoCommand,
    #[error("unknown command '{0}'; use --help for help")]
    UnknownCommand(String),
    #[error("'{command}' command requires at least {min} arguments")]
    TooFew { command: &'static str, min: usize },
    #[error("'{command}' command takes at most {max} arguments")]
    TooMany { command: &'static str, max: usize },
    #[error("'{0}' command does not work in read only mode")]
    ReadOnly(&'static str),
    #[error("{0} is not a bridge or a socket")]
    NoBridge(String),
    #[error("connecting to {target} ({})", plain(cause))]
    Connect { target: String, cause: io::Error },
    #[error("connecting to {target} ({cause})")]
    Negotiation { target: String, cause: String },
    #[error("talking to {target} ({})", plain(cause))]
    Lost { target: String, cause: io::Error },
    /// TLS says so only once something is said.
    #[error(
        "talking to {target}: the switch refuses our certificate ({cause}): is it of a CA that the \
         switch trusts, and is its time not over?"
    )]
    Refusal { target: String, cause: io::Error },
    #[error("talking to {0} (End of file)")]
    Ended(String),
    #[error("talking to {target} (Protocol error)")]
    Protocol { target: String },
    #[error("timed out")]
    TimedOut,
    /// The switch refused; the text of its messages.
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    Encode(#[from] EncodeError),
    #[error("{file}: open failed ({})", plain(cause))]
    Open { file: String, cause: io::Error },
    #[error("{file}: read failed ({})", plain(cause))]
    Read { file: String, cause: io::Error },
    #[error("cannot write the output ({})", plain(.0))]
    Output(io::Error),
    #[error(
        "none of the usable flow formats ({usable}) is among the allowed flow formats ({allowed})"
    )]
    Formats { usable: String, allowed: String },
    /// A text that can't be read.
    #[error("{0}")]
    Text(String),
    /// Another fault, in words that Open vSwitch's tool has for it.
    #[error("{0}")]
    Other(String),
}

impl OfctlError {
    /// A fault in words.
    pub fn other(text: impl Into<String>) -> OfctlError {
        OfctlError::Other(text.into())
    }
}
