//! The program's log: to the system log, to a file, and what is grave to standard error
//! (ovs-vsctl(8), Logging Options).

mod levels;
mod syslog;
pub(crate) mod time;

pub use aorta_api::log::{Destination, Level};
pub use levels::{Levels, SpecError};
pub use syslog::{Method, MethodError};

use std::cell::{Cell, RefCell};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::SystemTime;

use crate::args::Mode;
use syslog::Entry;
use time::Time;

/// What the command line says about logging.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Which messages go where.
    pub levels: Levels,
    /// A file to log to as well.
    pub file: Option<String>,
    /// How to reach the system log; `None` for the usual way.
    pub method: Option<Method>,
    /// Another machine that gets the messages of the system log.
    pub target: Option<SocketAddr>,
}

/// An open log.
#[derive(Debug)]
pub struct Log {
    program: &'static str,
    /// Messages on standard error have a time, a number and a module, as Open vSwitch's have.
    dated: bool,
    settings: Settings,
    file: RefCell<Option<File>>,
    /// Number of the newest message that went anywhere.
    number: Cell<u32>,
}

impl Log {
    /// Opens the log.
    ///
    /// # Errors
    /// If the file can't be opened; then nothing else is to be done.
    pub fn open(mode: Mode, settings: Settings) -> Result<Log, (String, io::Error)> {
        Log::named(mode.program(), mode == Mode::OvsVsctl, settings)
    }

    /// Opens the log of a program of this name; with `dated`, messages on standard error look as
    /// Open vSwitch's do.
    ///
    /// # Errors
    /// As [`Log::open`].
    pub fn named(
        program: &'static str,
        dated: bool,
        settings: Settings,
    ) -> Result<Log, (String, io::Error)> {
        let path = settings.file.clone();
        let log = Log {
            program,
            dated,
            settings,
            file: RefCell::new(None),
            number: Cell::new(0),
        };
        if let Some(path) = path {
            let file = OpenOptions::new().append(true).create(true).open(&path);
            let file = file.map_err(|cause| {
                let text = format!("failed to open {path} for logging: {}", plain(&cause));
                log.message("vlog", Level::Warn, &text);
                (path.clone(), cause)
            })?;
            log.file.replace(Some(file));
            log.message("vlog", Level::Info, &format!("opened log file {path}"));
        }
        Ok(log)
    }

    /// Logs a message of a module.
    pub fn message(&self, module: &str, level: Level, text: &str) {
        let console = self.admits(module, Destination::Console, level);
        self.emit(module, level, text, console);
    }

    /// Logs what ends the program, which is told on standard error anyway.
    pub fn fatal(&self, module: &str, text: &str) {
        self.emit(module, Level::Err, text, false);
    }

    fn admits(&self, module: &str, to: Destination, level: Level) -> bool {
        self.settings.levels.admits(module, to, level)
    }

    fn emit(&self, module: &str, level: Level, text: &str, console: bool) {
        let to_file = self.admits(module, Destination::File, level) && self.file.borrow().is_some();
        let syslog = self.admits(module, Destination::Syslog, level);
        if !(to_file || console || syslog) {
            return;
        }
        self.number.set(self.number.get() + 1);
        let now = Time::of(SystemTime::now());
        let body = format!("{:05}|{module}|{}|{text}", self.number.get(), level.name());
        if console {
            match self.dated {
                true => eprintln!("{}|{body}", now.seconds()),
                false => eprintln!("{}: {text}", self.program),
            }
        }
        if to_file && let Some(file) = &mut *self.file.borrow_mut() {
            // A full disk is no reason not to do what was asked for.
            let _ = writeln!(file, "{}|{body}", now.milliseconds());
        }
        if syslog {
            let (time, text) = (now.syslog(), format!("ovs|{body}"));
            let entry = Entry {
                severity: level.severity(),
                time: &time,
                program: self.program,
                text: &text,
            };
            let method = self.settings.method.as_ref().unwrap_or(&Method::Libc);
            syslog::send(method, self.settings.target.as_ref(), &entry);
        }
    }
}

/// An error of the system in the C library's words, without the number that Rust adds.
pub fn plain(cause: &io::Error) -> String {
    let text = cause.to_string();
    let end = text.find(" (os error").unwrap_or(text.len());
    text[..end].to_owned()
}
