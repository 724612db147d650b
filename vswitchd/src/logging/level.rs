//! Levels, destinations and modules of the log, by the names that `vlog/set` takes. Pure.

/// How important a line is; also the least important that is still written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing is written.
    Off,
    /// The daemon can't go on. No line of this one is so.
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
    pub fn severity(self) -> u32 {
        match self {
            Level::Off | Level::Emer => 1,
            Level::Err => 3,
            Level::Warn => 4,
            Level::Info => 6,
            Level::Dbg => 7,
        }
    }
}

impl From<&tracing::Level> for Level {
    fn from(level: &tracing::Level) -> Level {
        match *level {
            tracing::Level::ERROR => Level::Err,
            tracing::Level::WARN => Level::Warn,
            tracing::Level::INFO => Level::Info,
            _ => Level::Dbg,
        }
    }
}

/// Where lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// A part of the daemon that logs: its name, and how the targets of its lines start.
pub type Module = (&'static str, &'static [&'static str]);

/// Modules by name. A name that Open vSwitch has, too, means the same part as there.
pub const MODULES: &[Module] = &[
    ("api", &["vswitchd::mgmt", "jsonrpsee", "hyper"]),
    (
        "bridge",
        &[
            "vswitchd::switch",
            "vswitchd::reconcile",
            "vswitchd::config",
        ],
    ),
    ("connmgr", &["vswitchd::openflow"]),
    ("daemon", &["vswitchd"]),
    (
        "dpif",
        &["aorta_kernel", "vswitchd::kernel", "vswitchd::expedite"],
    ),
    (
        "jsonrpc",
        &["aorta_ovsdb::server", "aorta_ovsdb::client", "aorta_stream"],
    ),
    ("libraries", &[""]),
    ("netdev_linux", &["aorta_kernel::netdev"]),
    ("ovsdb_log", &["aorta_ovsdb::log"]),
    ("ovsdb_server", &["aorta_ovsdb"]),
    ("reconnect", &["aorta_stream::dialer"]),
    ("stream_ssl", &["aorta_stream::tls", "rustls"]),
    ("transaction", &["transaction"]),
    ("unixctl", &["vswitchd::unixctl"]),
    ("vlog", &["vswitchd::logging"]),
];

/// Position in [`MODULES`] of the part that logs with a target.
pub fn module_of(target: &str) -> usize {
    let starts = |(at, (_, starts)): (usize, &Module)| {
        let fitting = starts.iter().filter(|start| target.starts_with(**start));
        fitting.map(|start| (start.len(), at)).max()
    };
    let best = MODULES.iter().enumerate().filter_map(starts).max();
    best.map_or(0, |(_, at)| at)
}

/// Position in [`MODULES`] of the module of that name, in whichever case.
pub fn module_named(word: &str) -> Option<usize> {
    MODULES
        .iter()
        .position(|(name, _)| name.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_the_module_with_the_longest_start() {
        for (target, module) in [
            ("vswitchd", "daemon"),
            ("vswitchd::daemon", "daemon"),
            ("vswitchd::switch::publish", "bridge"),
            ("vswitchd::unixctl::vlog", "unixctl"),
            ("aorta_kernel::datapath", "dpif"),
            ("aorta_kernel::netdev::events", "netdev_linux"),
            ("aorta_ovsdb::engine", "ovsdb_server"),
            ("aorta_ovsdb::log::file", "ovsdb_log"),
            ("aorta_stream::dialer", "reconnect"),
            ("jsonrpsee_server::server", "api"),
            ("mio::poll", "libraries"),
        ] {
            assert_eq!(MODULES[module_of(target)].0, module, "{target}");
        }
        assert!(MODULES.is_sorted_by_key(|(name, _)| name));
    }
}
