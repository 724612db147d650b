//! Levels and destinations of logs, by the names that `vlog/set` and `--verbose` take
//! (ovs-vswitchd(8), ovs-vsctl(8)).

/// How important a line is; also the least important that is still written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing is written.
    Off,
    /// The program can't go on.
    Emer,
    /// Something that was wanted isn't so.
    Err,
    /// Something is odd.
    Warn,
    /// Something has happened.
    Info,
    /// For who looks for a fault.
    Dbg,
}

impl Level {
    const ALL: [Level; 6] = [
        Level::Off,
        Level::Emer,
        Level::Err,
        Level::Warn,
        Level::Info,
        Level::Dbg,
    ];

    /// The level of that name, in whichever case.
    pub fn named(word: &str) -> Option<Level> {
        Level::ALL
            .into_iter()
            .find(|level| level.name().eq_ignore_ascii_case(word))
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Level::Off => "OFF",
            Level::Emer => "EMER",
            Level::Err => "ERR",
            Level::Warn => "WARN",
            Level::Info => "INFO",
            Level::Dbg => "DBG",
        }
    }

    /// The severity of RFC 5424 §6.2.1.
    pub fn severity(self) -> u8 {
        match self {
            Level::Off | Level::Emer => 1,
            Level::Err => 3,
            Level::Warn => 4,
            Level::Info => 6,
            Level::Dbg => 7,
        }
    }
}

/// Where lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Destination {
    /// Standard error.
    Console,
    /// `/dev/log`.
    Syslog,
    /// The log file.
    File,
}

impl Destination {
    /// All of them, in the order of `vlog/list`.
    pub const ALL: [Destination; 3] =
        [Destination::Console, Destination::Syslog, Destination::File];

    /// The destination of that name, in whichever case.
    pub fn named(word: &str) -> Option<Destination> {
        Destination::ALL
            .into_iter()
            .find(|destination| destination.name().eq_ignore_ascii_case(word))
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Destination::Console => "console",
            Destination::Syslog => "syslog",
            Destination::File => "file",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_in_whichever_case() {
        for level in Level::ALL {
            assert_eq!(Level::named(&level.name().to_lowercase()), Some(level));
        }
        for destination in Destination::ALL {
            let name = destination.name().to_uppercase();
            assert_eq!(Destination::named(&name), Some(destination));
        }
        assert_eq!(Level::named("loud"), None);
        assert!(Level::Off < Level::Dbg);
    }
}
