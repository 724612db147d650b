//! The command line.

use std::env;
use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};

/// Switches frames between virtual machines, containers and NICs with eBPF programs compiled from
/// its configuration. A drop-in for ovs-vswitchd and ovsdb-server in one process.
#[derive(Debug, Clone, Parser)]
#[command(name = "vswitchd", version, after_help = EXAMPLES)]
pub struct Options {
    /// Directory of sockets and pidfiles [default: $OVS_RUNDIR or /var/run/openvswitch]
    #[arg(long, value_name = "DIR")]
    rundir: Option<PathBuf>,

    /// Configuration database; made if it isn't there [default: conf.db in $OVS_DBDIR or
    /// /etc/openvswitch]
    #[arg(long, value_name = "FILE")]
    db: Option<PathBuf>,

    /// One more way to reach the database, for instance ptcp:6640:127.0.0.1 (repeat for more);
    /// db.sock in the rundir is always there
    #[arg(long, value_name = "METHOD")]
    pub remote: Vec<String>,

    /// What switches the frames
    #[arg(long, value_enum, default_value_t = DatapathKind::Kernel)]
    pub datapath: DatapathKind,

    /// Where the BPF file system is, or is to be mounted
    #[arg(long, value_name = "DIR", default_value = "/sys/fs/bpf")]
    bpffs: PathBuf,

    /// Log to a file instead of stderr [default: ovs-vswitchd.log in $OVS_LOGDIR or
    /// /var/log/openvswitch]
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    log_file: Option<Option<PathBuf>>,

    /// Run in the background; returns when the switch is ready. Logs to the log file
    #[arg(long)]
    pub detach: bool,

    /// Accepted for compatibility: the pidfiles are always written
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    pidfile: Option<Option<PathBuf>>,

    /// Remove all that the switch ever attached or made on this machine for this rundir, and exit.
    /// Refused while the switch runs
    #[arg(long, conflicts_with_all = ["detach", "salvage_db"])]
    pub teardown: bool,

    /// Write the intact part of a damaged database into a new file, and exit
    #[arg(long, value_name = "OUT")]
    pub salvage_db: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  vswitchd --detach                        start; ovs-vsctl and vsctl find it with no option
  vsctl add-br br0 -- add-port br0 tap0    configure it
  vsctl status                             health, ports, drops
  vswitchd --rundir /tmp/x --db /tmp/x/db  a second switch, apart from the first
  vswitchd --teardown                      after it was stopped: give all devices back

SIGTERM and SIGINT stop the daemon and leave forwarding as it is; the next start takes over
without losing a packet. `ovs-appctl exit --cleanup` stops forwarding, too.
The environment variable AORTA_LOG sets what is logged at the start (error, warn, info, debug,
trace); `ovs-appctl vlog/set` changes it while the switch runs, `vlog/list` shows it.";

/// What switches the frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DatapathKind {
    /// eBPF programs in the kernel.
    Kernel,
    /// An interpreter in memory, for tests without privileges (not built yet).
    Sim,
}

impl Options {
    /// Directory of sockets and pidfiles.
    pub fn rundir(&self) -> PathBuf {
        place(
            self.rundir.as_deref(),
            "OVS_RUNDIR",
            "/var/run/openvswitch",
            None,
        )
    }

    /// The configuration database.
    pub fn db(&self) -> PathBuf {
        place(
            self.db.as_deref(),
            "OVS_DBDIR",
            "/etc/openvswitch",
            Some("conf.db"),
        )
    }

    /// The log file, if the log goes to a file.
    pub fn log_file(&self) -> Option<PathBuf> {
        let file = match &self.log_file {
            None if !self.detach => return None,
            None => None,
            Some(file) => file.as_deref(),
        };
        Some(place(
            file,
            "OVS_LOGDIR",
            "/var/log/openvswitch",
            Some("ovs-vswitchd.log"),
        ))
    }

    /// Pin directory of the instance of that name.
    pub fn pin_dir(&self, instance: &str) -> PathBuf {
        self.bpffs.join("aorta").join(instance)
    }
}

/// The path given, else `file` in the directory that the environment names, else in the usual
/// one. Always absolute.
fn place(given: Option<&Path>, variable: &str, usual: &str, file: Option<&str>) -> PathBuf {
    let path = given.map_or_else(
        || {
            let dir = env::var_os(variable).filter(|dir| !dir.is_empty());
            let dir = dir.map_or_else(|| PathBuf::from(usual), PathBuf::from);
            file.map_or(dir.clone(), |file| dir.join(file))
        },
        Path::to_owned,
    );
    std::path::absolute(&path).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn log_files() {
        let log = |args: &[&str]| Options::parse_from([&["vswitchd"], args].concat()).log_file();
        assert_eq!(log(&[]), None);
        assert_eq!(log(&["--log-file=/x/y"]), Some("/x/y".into()));
        let usual = log(&["--log-file"]).unwrap();
        assert!(usual.ends_with("ovs-vswitchd.log"), "{usual:?}");
        assert_eq!(log(&["--detach"]), Some(usual));
    }

    #[test]
    fn paths_are_absolute() {
        let options = Options::parse_from(["vswitchd", "--rundir", "r", "--db", "/d/conf.db"]);
        assert!(options.rundir().is_absolute() && options.rundir().ends_with("r"));
        assert_eq!(options.db(), Path::new("/d/conf.db"));
        assert_eq!(
            options.pin_dir("run-x"),
            Path::new("/sys/fs/bpf/aorta/run-x")
        );
    }
}
