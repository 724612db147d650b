//! What can go wrong in a task.

use std::path::PathBuf;

/// Why a task failed.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// A program could not be started.
    #[error("cannot start `{command}`")]
    Start {
        /// The command line.
        command: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A program ended with an error, which it has already told.
    #[error("`{command}` failed ({status})")]
    Failed {
        /// The command line.
        command: String,
        /// How it ended.
        status: std::process::ExitStatus,
    },
    /// A file could not be read or written.
    #[error("{action} {path}")]
    File {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// JSON of cargo's or our own is not as expected.
    #[error("{what}")]
    Json {
        /// Whose JSON.
        what: &'static str,
        /// Why it failed.
        source: serde_json::Error,
    },
    /// The machine lacks something that can't be installed from here.
    #[error("this machine lacks what is needed:\n{}", bullets(.0))]
    Lacking(Vec<String>),
    /// Sources break rules of the project.
    #[error("{} found:\n{}", counted(.0.len(), "violation"), bullets(.0))]
    Violations(Vec<String>),
    /// Tests failed, or a tier had none.
    #[error("{}", .0.join("; "))]
    Tests(Vec<String>),
    /// The laboratory failed.
    #[error("lab")]
    Lab(#[from] aorta_integration::lab::LabError),
    /// An image could not be built.
    #[error("image")]
    Image(#[from] aorta_vm_images::ImageError),
    /// A job in a machine ended badly; what it printed is shown.
    #[error("the job ended with status {status}")]
    Job {
        /// Its status.
        status: i32,
    },
    /// A wire between two ports could not be made.
    #[error("a wire: {0}")]
    Wire(String),
    /// There is no bench of that name.
    #[error("no bench is called {0}; `cargo xtask bench` lists them")]
    NoBench(String),
}

impl TaskError {
    /// What kept a wire from being made, with its causes.
    pub fn wire(reason: impl std::fmt::Display) -> TaskError {
        TaskError::Wire(reason.to_string())
    }

    /// Builds the error of a failed file operation, for `map_err`.
    pub fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> TaskError {
        let path = path.into();
        move |source| TaskError::File {
            action,
            path,
            source,
        }
    }

    /// This error and its causes, one on each line.
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

fn bullets(lines: &[String]) -> String {
    lines
        .iter()
        .map(|line| format!("  - {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
