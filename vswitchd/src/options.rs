//! The command line.

use std::env;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use aorta_ovsdb::Remote;
use clap::{Parser, ValueEnum};

use crate::config::Devices;
use crate::daemon::DaemonError;
use crate::ovs_options::{OvsOptions, normal};
use crate::remotes::{
    ColumnSpec, FileSpec, FileSpecs, RemotesConfig, RemotesError, Spec, anchored, gid,
};

/// Says to --unixctl that there is to be no socket.
const NO_SOCKET: &str = "none";
/// File name of the database's socket within the rundir.
const DB_SOCKET: &str = "db.sock";
/// Where `ovs-vsctl set-manager` puts remotes.
const MANAGERS: &str = "db:Open_vSwitch,Open_vSwitch,manager_options";

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
    /// db.sock in the rundir and the managers that `ovs-vsctl set-manager` names are always there
    #[arg(long, value_name = "METHOD")]
    remote: Vec<String>,

    /// Let the members of this group, too, connect to db.sock [default: only its owner]
    #[arg(long, value_name = "GROUP")]
    db_group: Option<String>,

    /// Serve the management API on TCP, too, for instance 127.0.0.1:6650. It asks nobody for a
    /// password: every local user can change the switch by it then. Port 0 takes any
    #[arg(long, value_name = "IP:PORT")]
    pub api_listen: Option<SocketAddr>,

    /// Let --api-listen take an address that other machines reach. Without a firewall in front,
    /// whoever can send to it owns the switch
    #[arg(long, requires = "api_listen")]
    pub api_allow_remote: bool,

    /// Serve metrics in Prometheus' format there, for instance 127.0.0.1:9475: GET /metrics. Nothing
    /// can be changed by it. Port 0 takes any
    #[arg(long, value_name = "IP:PORT")]
    pub metrics: Option<SocketAddr>,

    /// What switches the frames [default: kernel; with --enable-dummy sim]
    #[arg(long, value_enum)]
    datapath: Option<DatapathKind>,

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

    /// Delete the datapaths that an Open vSwitch left in the kernel when it went, so that their
    /// devices can be ports of this switch, and exit. For when no Open vSwitch runs any more
    #[arg(long, conflicts_with_all = ["detach", "salvage_db", "teardown"])]
    pub release_open_vswitch: bool,

    /// Write the intact part of a damaged database into a new file, and exit
    #[arg(long, value_name = "OUT")]
    pub salvage_db: Option<PathBuf>,

    // Last, as what follows would stand under its heading.
    #[command(flatten)]
    tls: TlsOptions,

    #[command(flatten)]
    pub ovs: OvsOptions,
}

/// Who we are and whom we trust on ssl: and pssl: remotes. Each file may be given as
/// db:DB,TABLE,COLUMN, and is by default what `ovs-vsctl set-ssl` says.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "TLS (by default as `ovs-vsctl set-ssl` says)")]
struct TlsOptions {
    /// Our private key, in PEM
    #[arg(long, short = 'p', value_name = "FILE")]
    private_key: Option<String>,

    /// Our certificate, in PEM
    #[arg(long, short = 'c', value_name = "FILE")]
    certificate: Option<String>,

    /// Certificate of the CA that peers must have theirs from
    #[arg(long, short = 'C', value_name = "FILE")]
    ca_cert: Option<String>,

    /// The same, but if the file isn't there, trust the CA of the first peer we connect to, and
    /// keep its certificate there. Whoever intercepts this first connection is trusted for good
    #[arg(long, value_name = "FILE", conflicts_with = "ca_cert")]
    bootstrap_ca_cert: Option<String>,

    /// A CA certificate to send to peers, for those that bootstrap theirs
    #[arg(long, value_name = "FILE")]
    peer_ca_cert: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  vswitchd --detach                        start; ovs-vsctl and vsctl find it with no option
  vsctl add-br br0 -- add-port br0 tap0    configure it
  vsctl status                             health, ports, drops
  vswitchd --metrics 127.0.0.1:9475        let Prometheus read counters and latencies there
  ovs-vsctl set-manager ptcp:6640:127.0.0.1   let clients connect by TCP
  vswitchd --rundir /tmp/x --db /tmp/x/db  a second switch, apart from the first
  vswitchd --datapath sim --rundir /tmp/x --db /tmp/x/db   a switch in memory, for tests: no root
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
    /// An interpreter in memory with simulated devices: for tests, without privileges.
    Sim,
}

impl Options {
    /// The options that this process was started with; ends it, if they make no sense.
    pub fn of_process() -> Options {
        Options::parse_from(normal(env::args_os())).anchored()
    }

    /// With paths that stay the same when the process goes to another directory.
    fn anchored(mut self) -> Options {
        let log_file = self.log_file.as_mut().and_then(Option::as_mut);
        let unixctl = self
            .ovs
            .unixctl
            .as_mut()
            .filter(|path| **path != *NO_SOCKET);
        let given = [self.rundir.as_mut(), self.db.as_mut(), log_file, unixctl];
        for path in given.into_iter().flatten() {
            if let Ok(absolute) = std::path::absolute(&*path) {
                *path = absolute;
            }
        }
        self
    }

    /// One more path for the switch's control socket.
    pub fn control_socket(&self) -> Option<PathBuf> {
        self.ovs.unixctl.clone().filter(|path| path != NO_SOCKET)
    }

    /// The socket of the database that was named, which this daemon makes.
    ///
    /// # Errors
    /// If the database was named otherwise.
    pub fn database_socket(&self) -> Result<Option<PathBuf>, DaemonError> {
        let Some(text) = &self.ovs.database else {
            return Ok(None);
        };
        let named = text.parse::<Remote>().ok();
        match named.map(|remote| anchored(remote, &self.rundir())) {
            Some(Remote::Unix(path)) => Ok(Some(path)),
            _ => Err(DaemonError::ForeignDatabase(text.clone())),
        }
    }

    /// What switches the frames.
    pub fn datapath(&self) -> DatapathKind {
        self.datapath.unwrap_or(match self.ovs.devices() {
            Some(_) => DatapathKind::Sim,
            None => DatapathKind::Kernel,
        })
    }

    /// Which devices ports are connected to.
    pub fn devices(&self) -> Devices {
        match self.datapath() {
            DatapathKind::Kernel => Devices::Host,
            DatapathKind::Sim => {
                let all = Devices::Simulated { system: true };
                self.ovs.devices().unwrap_or(all)
            }
        }
    }

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

    /// The remotes of the database, and what they need.
    ///
    /// # Errors
    /// If something is not what it should be.
    pub fn remotes(&self) -> Result<RemotesConfig, DaemonError> {
        let rundir = self.rundir();
        let own = Remote::ListenUnix(rundir.join(DB_SOCKET));
        let mut remotes = vec![own.to_string(), MANAGERS.to_owned()];
        let named = self.database_socket()?;
        let named = named.map(|path| Remote::ListenUnix(path).to_string());
        for text in self.remote.iter().chain(&named) {
            // What makes no sense is told before anything is made.
            text.parse::<Spec>().map_err(RemotesError::Spec)?;
            // OVS's scripts name the socket, too.
            if text.parse::<Remote>().ok().map(|r| anchored(r, &rundir)) != Some(own.clone()) {
                remotes.push(text.clone());
            }
        }
        let file = |given: &Option<String>, column: &str| match given {
            Some(text) => text.parse(),
            None => Ok(FileSpec::Column(ColumnSpec::own("SSL", column))),
        };
        let tls = &self.tls;
        let ca_cert = tls.ca_cert.clone().or(tls.bootstrap_ca_cert.clone());
        let peer = tls.peer_ca_cert.as_deref().map(str::parse).transpose();
        let files = FileSpecs {
            private_key: file(&tls.private_key, "private_key").map_err(RemotesError::Spec)?,
            certificate: file(&tls.certificate, "certificate").map_err(RemotesError::Spec)?,
            ca_cert: file(&ca_cert, "ca_cert").map_err(RemotesError::Spec)?,
            peer_ca_cert: peer.map_err(RemotesError::Spec)?,
            bootstrap: tls.bootstrap_ca_cert.is_some(),
        };
        Ok(RemotesConfig {
            remotes,
            files,
            group: self.db_group.as_deref().map(gid).transpose()?,
            rundir,
        })
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
    fn simulation_as_asked_for() {
        let parse = |args: &[&str]| Options::parse_from([&["vswitchd"], args].concat());
        assert_eq!(parse(&[]).devices(), Devices::Host);
        for (args, system) in [
            (&["--datapath", "sim"][..], true),
            (
                &["--enable-dummy", "--disable-system", "unix:db.sock"],
                false,
            ),
            (&["--enable-dummy=override"], true),
            (&["--enable-dummy=system", "--datapath=sim"], true),
        ] {
            let options = parse(args);
            assert_eq!(options.datapath(), DatapathKind::Sim);
            assert_eq!(options.devices(), Devices::Simulated { system }, "{args:?}");
        }
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
