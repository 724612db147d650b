//! Why the switch could not be asked, or what it refused.

use std::fmt;
use std::path::{Path, PathBuf};

use aorta_api::{
    DatapathFault, ERROR_FLOW_DATAPATH, ERROR_FLOW_TABLE, ERROR_FLOW_TEXT, ERROR_NO_BRIDGE,
    TableFault, TextFault,
};
use jsonrpsee_core::ClientError;
use jsonrpsee_core::client::Error;
use serde::de::DeserializeOwned;
use thiserror::Error as ThisError;

use crate::flows::lines::{LineError, Lines};
use crate::flows::sort::NoField;
use crate::top::OptionsError;

/// JSON-RPC 2.0's code of a method that isn't there.
const METHOD_NOT_FOUND: i32 = -32601;

/// The switch could not be asked, or has no answer.
#[derive(Debug, ThisError)]
pub enum ManageError {
    /// Nothing listens.
    #[error("{}: cannot ask the switch ({cause}); vswitchd must be running", path.display())]
    Connect {
        /// The socket tried.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// No bridge of that name is running.
    #[error("no bridge named {name}")]
    NoBridge {
        /// The name.
        name: String,
    },
    /// The question failed.
    #[error("{}: {cause}", path.display())]
    Call {
        /// The socket.
        path: PathBuf,
        /// Why.
        cause: ClientError,
    },
    /// The running switch doesn't know the question.
    #[error("the running vswitchd doesn't know {method}: it is of an earlier version than vsctl")]
    NoMethod {
        /// The method.
        method: String,
    },
    /// The answer isn't what it should be.
    #[error("the switch gave an answer that can't be read ({0})")]
    Answer(#[from] serde_json::Error),
    /// A flow that the switch told can't be read.
    #[error("the switch told a flow that can't be read ({0})")]
    Told(#[from] aorta_flow::text::TextError),
    /// Words that make no sense behind `top`.
    #[error(transparent)]
    Top(#[from] OptionsError),
    /// The terminal can't be drawn on.
    #[error("the terminal can't be used ({0}); -b prints lines instead")]
    Terminal(std::io::Error),
    /// There was no answer in time.
    #[error("timed out")]
    TimedOut,
    /// This program could not be set up for asking.
    #[error("cannot start the event loop ({0})")]
    Runtime(std::io::Error),
    /// A file can't be read.
    #[error("{name}: cannot read it ({cause})")]
    Input {
        /// Its name, `-` for standard input.
        name: String,
        /// Why.
        cause: std::io::Error,
    },
    /// A text that is no flow, group or meter; nothing was sent.
    #[error(transparent)]
    Line(#[from] LineError),
    /// A text that the switch can't read, or a change that the tables refuse.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// Tables that the kernel's side refuses.
    #[error("{message}; the tables are as they were")]
    Datapath {
        /// Why.
        message: String,
    },
    /// More than one call may have.
    #[error(
        "{bytes} bytes are more than one bundle may have, {max}; without --bundle they go in \
         several, each of them atomic"
    )]
    TooLarge {
        /// Bytes of the texts.
        bytes: usize,
        /// Most bytes.
        max: usize,
    },
    /// Lines that can't be one bundle.
    #[error("{at}a bundle of groups can't do different things: leave out --bundle")]
    Mixed {
        /// Where the first line is that does something else.
        at: String,
    },
    /// A later part of a file was refused.
    #[error("{cause}\n{done} texts before it have been taken over")]
    After {
        /// How many were taken over.
        done: usize,
        /// Why the others weren't.
        cause: Box<ManageError>,
    },
    /// A field to sort by that isn't there.
    #[error(transparent)]
    Sort(#[from] NoField),
    /// A value that an option can't have.
    #[error("{option}={value} is not {expected}")]
    Option {
        /// The option.
        option: &'static str,
        /// What was given.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
    /// No port of that name or number.
    #[error("bridge {bridge} has no port {port}")]
    NoPort {
        /// The bridge.
        bridge: String,
        /// What was given.
        port: String,
    },
    /// No group or meter of that form.
    #[error("{text:?} is not {expected}")]
    Filter {
        /// What was given.
        text: String,
        /// What would be right.
        expected: &'static str,
    },
}

/// What the switch says against one of the texts that it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Where the text stands, ready for the start of a message.
    pub at: String,
    /// Which of the texts that were sent, from 0.
    pub index: usize,
    /// What is wrong with it.
    pub message: String,
    /// The error that a controller would get, if the tables refused.
    pub openflow: Option<String>,
    /// The text, perhaps with a line that points at the place.
    pub shown: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.at, self.message)?;
        if let Some(openflow) = &self.openflow {
            write!(f, " ({openflow})")?;
        }
        match self.shown.trim_end() {
            "" => Ok(()),
            shown => write!(f, "\n{shown}"),
        }
    }
}

impl std::error::Error for Refusal {}

impl ManageError {
    /// What a failed call of a method means; `bridge` is the one that was named.
    pub(super) fn of_call(path: &Path, method: &str, bridge: &str, cause: Error) -> ManageError {
        let failed = |cause| ManageError::Call {
            path: path.to_owned(),
            cause,
        };
        let Error::Call(refusal) = &cause else {
            return match cause {
                Error::RequestTimeout => ManageError::TimedOut,
                cause => failed(cause),
            };
        };
        let message = refusal.message().to_owned();
        let data = refusal.data().map(|data| data.get());
        match refusal.code() {
            ERROR_NO_BRIDGE => ManageError::NoBridge {
                name: bridge.to_owned(),
            },
            METHOD_NOT_FOUND => ManageError::NoMethod {
                method: method.to_owned(),
            },
            ERROR_FLOW_TEXT => match read::<TextFault>(data) {
                Some(fault) => refused(message, fault.index, None, fault.caret),
                None => failed(cause),
            },
            ERROR_FLOW_TABLE => match read::<TableFault>(data) {
                Some(fault) => refused(message, fault.index, Some(fault.openflow), String::new()),
                None => failed(cause),
            },
            ERROR_FLOW_DATAPATH => ManageError::Datapath {
                message: read::<DatapathFault>(data).map_or(message, |fault| fault.reason),
            },
            _ => failed(cause),
        }
    }

    /// The same error, with the place of the text at fault; `first` is the index of the first that
    /// was sent.
    pub(super) fn in_lines(self, lines: &Lines, first: usize) -> ManageError {
        let ManageError::Refused(mut refusal) = self else {
            return self;
        };
        let index = first.saturating_add(refusal.index);
        refusal.at = lines.at(index);
        if refusal.shown.is_empty() && !lines.get(index).is_empty() {
            refusal.shown = format!("  {}", lines.get(index));
        }
        ManageError::Refused(refusal)
    }
}

fn refused(message: String, index: u64, openflow: Option<String>, shown: String) -> ManageError {
    // Which of the texts it is, is told by its place here.
    let entry = format!("entry {}", index.saturating_add(1));
    let rest = message.strip_prefix(&entry);
    let rest = rest.and_then(|rest| rest.strip_prefix(": ").or(rest.strip_prefix(", ")));
    ManageError::Refused(Box::new(Refusal {
        at: String::new(),
        index: usize::try_from(index).unwrap_or(usize::MAX),
        message: rest.unwrap_or(&message).to_owned(),
        openflow,
        shown,
    }))
}

fn read<T: DeserializeOwned>(data: Option<&str>) -> Option<T> {
    serde_json::from_str(data?).ok()
}
