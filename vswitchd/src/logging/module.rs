//! Modules of the log, by the names that `vlog/set` takes. Pure.

use aorta_api::log::Level;

/// The level of a line that this process logs.
pub fn level_of(level: &tracing::Level) -> Level {
    match *level {
        tracing::Level::ERROR => Level::Err,
        tracing::Level::WARN => Level::Warn,
        tracing::Level::INFO => Level::Info,
        _ => Level::Dbg,
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
