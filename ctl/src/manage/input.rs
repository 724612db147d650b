//! Files and standard input, and telling a person how far it is.

use std::io::{self, IsTerminal, Read, Write};
use std::time::{Duration, Instant};

use super::error::ManageError;
use crate::flows::lines::Lines;

/// What stands for standard input.
pub(super) const STDIN: &str = "-";

/// The lines of a file.
pub(super) fn file(name: &str) -> Result<Lines, ManageError> {
    let text = match name {
        STDIN => {
            let mut text = String::new();
            io::stdin().lock().read_to_string(&mut text).map(|_| text)
        }
        name => std::fs::read_to_string(name),
    };
    match text {
        Ok(text) => Ok(Lines::of_file(name, text)),
        Err(cause) => Err(ManageError::Input {
            name: name.to_owned(),
            cause,
        }),
    }
}

/// The text of an argument, or the lines of standard input.
pub(super) fn argument_or_stdin(argument: &str) -> Result<Lines, ManageError> {
    match argument {
        STDIN => file(STDIN),
        text => Ok(Lines::of_argument(text)),
    }
}

/// Tells on a terminal how far it is, if it takes longer than a person waits gladly.
pub(super) struct Progress {
    start: Instant,
    told: Option<Instant>,
    terminal: bool,
}

/// How long nothing is told.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often the line changes.
const INTERVAL: Duration = Duration::from_millis(100);

impl Progress {
    pub(super) fn start() -> Progress {
        Progress {
            start: Instant::now(),
            told: None,
            terminal: io::stderr().is_terminal(),
        }
    }

    /// Tells that so many of all are `done`, which is a word such as "checked".
    pub(super) fn tell(&mut self, done: &str, count: usize, all: usize) {
        let early = self.start.elapsed() < PATIENCE;
        let recent = self.told.is_some_and(|told| told.elapsed() < INTERVAL);
        if !self.terminal || early || recent {
            return;
        }
        self.told = Some(Instant::now());
        // What a terminal doesn't take is lost; there is nobody else to tell.
        let _ = write!(io::stderr(), "\r\x1b[K{done} {count} of {all}");
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.told.is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
