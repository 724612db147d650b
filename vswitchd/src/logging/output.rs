//! Where lines end up.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use aorta_api::log::Destination;
use tracing::callsite::Identifier;

use super::LogError;
use super::date::Date;
use super::limit::Bucket;
use super::pattern::Record;

/// Where the machine's log listens (RFC 3164 lines, one in each datagram).
const SYSLOG: &str = "/dev/log";

/// The log file.
#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    /// None while it is closed.
    file: Option<File>,
}

/// Everything that lines are written to.
#[derive(Debug)]
pub struct Outputs {
    file: Option<LogFile>,
    /// Made with the first line.
    syslog: Option<UnixDatagram>,
    lines: u64,
    buckets: HashMap<Identifier, Bucket>,
}

impl Outputs {
    /// With a file or without.
    ///
    /// # Errors
    /// If it can't be opened.
    pub fn open(file: Option<&Path>) -> Result<Outputs, LogError> {
        let open = |path: &Path| {
            let path = path.to_owned();
            append(&path).map(|file| LogFile {
                path,
                file: Some(file),
            })
        };
        Ok(Outputs {
            file: file.map(open).transpose()?,
            syslog: None,
            lines: 0,
            buckets: HashMap::new(),
        })
    }

    /// Opens the file anew.
    ///
    /// # Errors
    /// If it can't be opened, or there is none.
    pub fn reopen(&mut self) -> Result<(), LogError> {
        let log = self.file.as_mut().ok_or(LogError::NoFile)?;
        log.file = Some(append(&log.path)?);
        Ok(())
    }

    /// Closes the file.
    pub fn close(&mut self) {
        if let Some(log) = &mut self.file {
            log.file = None;
        }
    }

    /// Whether there is a file.
    pub fn has_file(&self) -> bool {
        self.file.is_some()
    }

    /// The next line's number.
    pub fn count(&mut self) -> u64 {
        self.lines += 1;
        self.lines
    }

    /// Whether a place in the code may write a line: then how many were left out before.
    pub fn admit(&mut self, place: Identifier, now_ms: u64) -> Option<u64> {
        let bucket = self.buckets.entry(place);
        bucket.or_insert_with(|| Bucket::new(now_ms)).admit(now_ms)
    }

    /// Writes a line. One that can't be written is lost: there is nowhere to complain.
    pub fn write(&mut self, to: Destination, line: &str, record: &Record<'_>) {
        match to {
            Destination::Console => drop(writeln!(io::stderr(), "{line}")),
            Destination::File => {
                if let Some(file) = self.file.as_mut().and_then(|log| log.file.as_mut()) {
                    // In one piece, so that lines of two processes don't mix.
                    drop(file.write_all(format!("{line}\n").as_bytes()));
                }
            }
            Destination::Syslog => self.send_syslog(line, record),
        }
    }

    fn send_syslog(&mut self, line: &str, record: &Record<'_>) {
        if self.syslog.is_none() {
            self.syslog = UnixDatagram::unbound().ok();
        }
        if let Some(socket) = &self.syslog {
            let priority = record.facility.priority(record.level);
            let date = Date::from_ms(record.time_ms).format("%h %e %T");
            let (host, application) = (record.host, record.application);
            let text = format!("<{priority}>{date} {host} {application}: {line}");
            // A log that is full must not stop the switch.
            let _ = socket.set_nonblocking(true);
            let _ = socket.send_to(text.as_bytes(), SYSLOG);
        }
    }
}

fn append(path: &Path) -> Result<File, LogError> {
    let open = || {
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        OpenOptions::new().create(true).append(true).open(path)
    };
    open().map_err(|source| LogError::Write {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use aorta_api::log::Level;

    use super::*;
    use crate::logging::pattern::Facility;

    #[test]
    fn a_rotated_file_is_made_anew_and_a_closed_one_takes_nothing() {
        let record = Record {
            application: "x",
            host: "h",
            module: "m",
            level: Level::Info,
            message: "",
            sequence: 1,
            pid: 1,
            time_ms: 0,
            uptime_ms: 0,
            facility: Facility::DAEMON,
        };
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub/x.log");
        let mut outputs = Outputs::open(Some(&path)).unwrap();
        let write = |outputs: &mut Outputs, line| outputs.write(Destination::File, line, &record);
        write(&mut outputs, "one");
        std::fs::rename(&path, dir.path().join("old")).unwrap();
        outputs.reopen().unwrap();
        write(&mut outputs, "two");
        outputs.close();
        write(&mut outputs, "three");
        outputs.reopen().unwrap();
        write(&mut outputs, "four");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two\nfour\n");
        assert!(matches!(
            Outputs::open(None).unwrap().reopen(),
            Err(LogError::NoFile)
        ));
    }
}
