//! Why a target couldn't be asked.

use std::io;

use thiserror::Error;

use crate::log::plain;

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum AppctlError {
    /// The target's process number isn't in its file.
    #[error("cannot read pidfile \"{path}\" ({})", plain(cause))]
    Pidfile {
        /// The file.
        path: String,
        /// Why.
        cause: io::Error,
        /// Whether the file itself can't be opened.
        unopened: bool,
    },
    /// Nobody listens.
    #[error("cannot connect to \"{target}\" ({})", plain(cause))]
    Connect {
        /// Who was to be asked.
        target: String,
        /// Its socket.
        socket: String,
        /// Why.
        cause: io::Error,
    },
    /// The connection ended before an answer came, or brought what is none.
    #[error("{target}: transaction error ({reason})")]
    Transaction {
        /// Who was asked.
        target: String,
        /// Its socket.
        socket: String,
        /// Why.
        reason: String,
        /// What was wrong with the answer.
        answer: Option<String>,
    },
    /// The time is over.
    #[error("timed out")]
    TimedOut,
}

impl AppctlError {
    /// What is logged of it, with the part of the program that does.
    pub fn warnings(&self) -> Vec<(&'static str, String)> {
        match self {
            AppctlError::Pidfile {
                path,
                cause,
                unopened: true,
            } => {
                vec![("daemon_unix", format!("{path}: open: {}", plain(cause)))]
            }
            AppctlError::Pidfile { .. } => Vec::new(),
            AppctlError::Connect { socket, .. } => {
                vec![("unixctl", format!("failed to connect to {socket}"))]
            }
            AppctlError::Transaction {
                socket,
                reason,
                answer,
                ..
            } => {
                let bad = answer
                    .iter()
                    .map(|told| ("jsonrpc", format!("unix:{socket}: {told}")));
                let end = format!("error communicating with unix:{socket}: {reason}");
                bad.chain([("unixctl", end)]).collect()
            }
            AppctlError::TimedOut => {
                let text = "terminating with signal 14 (Alarm clock)";
                vec![("fatal_signal", text.to_owned())]
            }
        }
    }
}
