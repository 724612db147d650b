//! What ends the program early.

use std::io;

use aorta_ovsdb::RemoteError;
use serde_json::Value;
use thiserror::Error;

use crate::error;
use crate::manage::ManageError;
use crate::session::SessionError;

/// Anything that ends the program early.
#[derive(Debug, Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Usage(#[from] error::UsageError),
    #[error(transparent)]
    Command(#[from] error::Error),
    #[error("--db: {0}")]
    Remote(#[from] RemoteError),
    #[error(transparent)]
    Session(SessionError),
    #[error(transparent)]
    Manage(#[from] ManageError),
    #[error("transaction error: {0}")]
    Transaction(Value),
    #[error("cannot write the output ({0})")]
    Output(io::Error),
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
}
