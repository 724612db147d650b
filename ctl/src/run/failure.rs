//! What ends the program early.

use std::io;

use aorta_ovsdb::RemoteError;
use serde_json::Value;
use thiserror::Error;

use crate::args::Mode;
use crate::error;
use crate::log::plain;
use crate::manage::ManageError;
use crate::session::SessionError;

/// Anything that ends the program early.
#[derive(Debug, Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Usage(#[from] error::UsageError),
    #[error(transparent)]
    Command(#[from] error::Error),
    #[error("--db={db}: cannot connect there")]
    Remote { db: String, source: RemoteError },
    #[error("--ca-cert=none: a connection without checking the server's certificate is refused")]
    Unchecked,
    #[error("{path}: cannot log there")]
    LogFile { path: String, source: io::Error },
    #[error(transparent)]
    Session(SessionError),
    #[error(transparent)]
    Manage(#[from] ManageError),
    #[error("transaction error: {0}")]
    Transaction(Value),
    #[error("cannot write the output")]
    Output(#[source] io::Error),
    #[error(
        "timed out: the database is written, but vswitchd did not take the change over within \
         {0} seconds"
    )]
    SwitchTimeout(u64),
    #[error("timed out: the database did not answer, or not as waited for, within {0} seconds")]
    DatabaseTimeout(u64),
}

impl From<SessionError> for Failure {
    fn from(cause: SessionError) -> Failure {
        match cause {
            SessionError::TimedOut(secs) => Failure::DatabaseTimeout(secs),
            cause => Failure::Session(cause),
        }
    }
}

impl Failure {
    /// Whether it is the deadline that passed.
    pub(super) fn timed_out(&self) -> bool {
        matches!(
            self,
            Failure::SwitchTimeout(_)
                | Failure::DatabaseTimeout(_)
                | Failure::Manage(ManageError::TimedOut)
        )
    }

    /// The line for the user, without the program's name; `remote` is the database's.
    pub(super) fn told(&self, mode: Mode, remote: &str) -> String {
        let failed = |cause: &str| format!("{remote}: database connection failed ({cause})");
        match (mode, self) {
            (Mode::OvsVsctl, Failure::Session(cause)) => match cause {
                SessionError::Connect { cause, .. } | SessionError::NotRunning { cause, .. } => {
                    failed(&plain(cause))
                }
                SessionError::Lost(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => {
                    failed("End of file")
                }
                SessionError::Lost(cause) => failed(&plain(cause)),
                _ => with_causes(self),
            },
            (Mode::OvsVsctl, Failure::Remote { .. }) => {
                failed("Address family not supported by protocol")
            }
            (Mode::Vsctl, Failure::Usage(cause)) if cause.is_from_getopt() => {
                format!("{cause}; use --help for help")
            }
            _ => with_causes(self),
        }
    }
}

fn with_causes(failure: &Failure) -> String {
    let mut line = failure.to_string();
    let mut source = std::error::Error::source(failure);
    while let Some(cause) = source {
        line.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    line
}
