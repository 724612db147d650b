//! What can go wrong in the lab.

use std::path::PathBuf;
use std::time::Duration;

/// Why the lab could not do what a test asked for.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// A program could not be started.
    #[error("cannot start `{command}`")]
    Start {
        /// The command line.
        command: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A program ended with another status than 0.
    #[error("`{command}` ended with status {status}\nstdout: {stdout}\nstderr: {stderr}")]
    Status {
        /// The command line.
        command: String,
        /// Its exit status, or 128 plus the signal that ended it.
        status: i32,
        /// What it wrote.
        stdout: String,
        /// What it complained about.
        stderr: String,
    },
    /// Something did not happen in time.
    #[error("{what}: not within {limit:?}{detail}")]
    Timeout {
        /// What was waited for.
        what: String,
        /// For how long.
        limit: Duration,
        /// What is known about why, on lines of its own.
        detail: String,
    },
    /// A file or socket failed.
    #[error("{action} {path}")]
    File {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A system call failed.
    #[error("{what}")]
    System {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The guest's image can't be had.
    #[error("guest image")]
    Image(#[from] aorta_vm_images::ImageError),
    /// No image is made for kernels of that series.
    #[error("no image has a kernel {series}; there are {known}")]
    NoSeries {
        /// What was asked for.
        series: String,
        /// What there is.
        known: String,
    },
    /// QEMU ended before the guest was told to.
    #[error("guest {name} is gone{detail}")]
    GuestGone {
        /// The guest.
        name: String,
        /// The end of its console and of QEMU's messages.
        detail: String,
    },
    /// The guest's agent said something that isn't part of its protocol.
    #[error("guest agent: {0}")]
    Agent(String),
    /// A daemon ended before it was ready.
    #[error("{program} ended before it was ready\n{log}")]
    NotReady {
        /// The daemon.
        program: &'static str,
        /// The end of what it printed.
        log: String,
    },
    /// A program of the switch isn't built.
    #[error(
        "{name} is not built: run `cargo build -p aorta-vswitchd -p aorta-ctl` (looked in {looked})"
    )]
    NotBuilt {
        /// The program.
        name: String,
        /// Where it was looked for.
        looked: String,
    },
}

impl LabError {
    /// Builds the error of a failed file operation, for `map_err`.
    pub(crate) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> LabError {
        let path = path.into();
        move |source| LabError::File {
            action,
            path,
            source,
        }
    }

    /// Builds the error of a failed system call, for `map_err`.
    pub fn system<E: Into<std::io::Error>>(what: &str) -> impl FnOnce(E) -> LabError {
        move |source| LabError::System {
            what: what.to_owned(),
            source: source.into(),
        }
    }

    /// This error and its causes on one line each.
    pub fn report(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(&format!("\n  because: {error}"));
            cause = error.source();
        }
        text
    }
}
