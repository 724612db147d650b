//! This project's switch beside Debian's `ovs-vswitchd`, each with a bridge br0 in a namespace.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use aorta_integration::lab::{Netns, Switch, SwitchOptions, wait_until};
use tempfile::TempDir;

use crate::error::TaskError;
use crate::proc::{build_programs, output, root, say};

/// The reference.
pub const THEIRS: &str = "ovs-vswitchd";
/// This project's.
pub const OURS: &str = "aorta";

const PATIENCE: Duration = Duration::from_secs(30);

/// Builds what is measured.
pub fn build() -> Result<(), TaskError> {
    build_programs(&["--release"])
}

/// A switch with a bridge, in a namespace.
pub struct Bed {
    socket: String,
    rundir: PathBuf,
    pid: u32,
    // Switches go before their namespaces.
    _switch: Running,
    netns: Netns,
}

/// Dropped, it is ended.
enum Running {
    Ours {
        _switch: Switch,
    },
    Theirs {
        _processes: [Process; 2],
        _files: TempDir,
    },
}

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Bed {
    /// This project's, in a namespace.
    pub fn ours(netns: Netns) -> Result<Bed, TaskError> {
        say(&format!("{OURS} starts"));
        let options = SwitchOptions {
            bin_dir: Some(root().join("target/release")),
            ..Default::default()
        };
        let switch = Switch::start_with(Some(&netns), options)?;
        let bed = Bed {
            socket: format!("unix:{}", switch.rundir().join("db.sock").display()),
            rundir: switch.rundir(),
            pid: switch.pid().unwrap_or_default(),
            _switch: Running::Ours { _switch: switch },
            netns,
        };
        bed.vsctl(&["add-br", "br0"])?;
        Ok(bed)
    }

    /// Debian's, with its userspace datapath.
    pub fn theirs(netns: Netns) -> Result<Bed, TaskError> {
        say(&format!("{THEIRS} starts"));
        let files = tempfile::tempdir().map_err(TaskError::file("cannot make", "a directory"))?;
        let (database, socket) = (files.path().join("conf.db"), files.path().join("db.sock"));
        let schema = root().join("ovsdb/schema/vswitch.ovsschema");
        output(
            Command::new("ovsdb-tool")
                .arg("create")
                .arg(&database)
                .arg(schema),
        )?;
        let remote = format!("--remote=punix:{}", socket.display());
        let server = start(
            &netns,
            files.path(),
            "ovsdb-server",
            &[&remote, &database.to_string_lossy()],
        )?;
        wait_until("ovsdb-server answers", PATIENCE, || {
            std::os::unix::net::UnixStream::connect(&socket).is_ok()
        })?;
        let socket = format!("unix:{}", socket.display());
        let switch = start(&netns, files.path(), THEIRS, &["--disable-system", &socket])?;
        let bed = Bed {
            socket,
            rundir: files.path().to_owned(),
            pid: switch.0.id(),
            _switch: Running::Theirs {
                _processes: [switch, server],
                _files: files,
            },
            netns,
        };
        bed.vsctl(&["--no-wait", "init"])?;
        let userspace = ["--", "set", "Bridge", "br0", "datapath_type=netdev"];
        bed.vsctl(&[&["add-br", "br0"], userspace.as_slice()].concat())?;
        Ok(bed)
    }

    /// Where its sockets are.
    pub fn rundir(&self) -> &Path {
        &self.rundir
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Where its ports are.
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// Changes its configuration.
    pub fn vsctl(&self, args: &[&str]) -> Result<(), TaskError> {
        let mut command = Command::new("ovs-vsctl");
        command.args([&format!("--db={}", self.socket), "--timeout=30"]);
        output(command.args(args)).map(drop)
    }
}

/// Starts a daemon of Open vSwitch in a namespace, with its files in a directory.
fn start(netns: &Netns, files: &Path, program: &str, args: &[&str]) -> Result<Process, TaskError> {
    let control = files.join(format!("{program}.ctl"));
    Command::new("nsenter")
        .arg(format!("--net={}", netns.path().display()))
        .args([
            "--",
            program,
            "--no-chdir",
            "--log-file=/dev/null",
            "--verbose=off",
        ])
        .arg(format!("--unixctl={}", control.display()))
        .args(args)
        .env("OVS_RUNDIR", files)
        .env("OVS_DBDIR", files)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map(Process)
        .map_err(|source| TaskError::Start {
            command: program.to_owned(),
            source,
        })
}
