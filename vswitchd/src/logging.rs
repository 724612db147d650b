//! The log: to stderr, or to a file that can be opened anew after a rotation.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::info;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Environment variable that says what is logged.
const VARIABLE: &str = "AORTA_LOG";
/// What is logged without it.
const DEFAULT: &str = "info";

/// The log file can't be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the log file {path}")]
pub struct LogError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// The log file, shared by all tasks.
#[derive(Debug, Clone)]
struct LogFile {
    path: PathBuf,
    file: Arc<Mutex<File>>,
}

impl LogFile {
    fn open(path: &Path) -> Result<LogFile, LogError> {
        let file = Arc::new(Mutex::new(append(path)?));
        Ok(LogFile {
            path: path.to_owned(),
            file,
        })
    }

    fn lock(&self) -> MutexGuard<'_, File> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn append(path: &Path) -> Result<File, LogError> {
    let open = || {
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        OpenOptions::new().create(true).append(true).open(path)
    };
    open().map_err(|source| LogError {
        path: path.to_owned(),
        source,
    })
}

/// One line's hold on the log file.
struct Line<'a>(MutexGuard<'a, File>);

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<'a> MakeWriter<'a> for LogFile {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(self.lock())
    }
}

/// What can be done to the log while it is written.
#[derive(Debug, Clone)]
pub struct LogControl(Option<LogFile>);

impl LogControl {
    /// A log that isn't a file.
    #[cfg(test)]
    pub fn none() -> LogControl {
        LogControl(None)
    }

    /// Where the log goes and what says so.
    pub fn describe(&self) -> String {
        let place = match &self.0 {
            Some(log) => log.path.display().to_string(),
            None => "stderr".to_owned(),
        };
        let level = std::env::var(VARIABLE).unwrap_or_else(|_| DEFAULT.to_owned());
        format!("all modules log to {place} at level {level} (environment variable {VARIABLE})")
    }

    /// Opens the file anew, after it was moved away.
    pub fn reopen(&self) -> Result<(), LogError> {
        if let Some(log) = &self.0 {
            let file = append(&log.path)?;
            *log.lock() = file;
        }
        Ok(())
    }

    /// Levels are chosen at the start only; asking is accepted, as scripts do it routinely.
    pub fn set(&self, specifications: &[String]) {
        info!("vlog/set {specifications:?} has no effect; set {VARIABLE} and start again");
    }
}

/// Starts logging.
pub fn start(file: Option<&Path>) -> Result<LogControl, LogError> {
    let filter = EnvFilter::try_from_env(VARIABLE).unwrap_or_else(|_| EnvFilter::new(DEFAULT));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false);
    let Some(path) = file else {
        builder
            .with_ansi(io::stderr().is_terminal())
            .with_writer(io::stderr)
            .init();
        return Ok(LogControl(None));
    };
    let log = LogFile::open(path)?;
    builder.with_ansi(false).with_writer(log.clone()).init();
    Ok(LogControl(Some(log)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotated_file_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub/x.log");
        let log = LogFile::open(&path).unwrap();
        writeln!(log.make_writer(), "one").unwrap();
        std::fs::rename(&path, dir.path().join("old")).unwrap();
        LogControl(Some(log.clone())).reopen().unwrap();
        writeln!(log.make_writer(), "two").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two\n");
    }
}
