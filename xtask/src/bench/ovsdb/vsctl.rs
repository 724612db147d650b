//! The unmodified `ovs-vsctl add-port` against the whole switch, the real attach included, and
//! against Debian's `ovs-vswitchd` with its userspace datapath.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aorta_integration::lab::{Netns, Switch, SwitchOptions, wait_until};
use tempfile::TempDir;

use super::super::{Report, Series, ports::taps};
use super::server::{OURS, THEIRS};
use super::{in_turns, report};
use crate::error::TaskError;
use crate::proc::{cargo, output, root, run as run_program, say};

/// Ports that the switch has besides the measured one.
const FEW: usize = 10;
const MANY: usize = 200;
/// How often the measured port is added in one sample.
const ADDS: u32 = 5;
/// The measured port's device.
const DEVICE: &str = "tap-bench";
const PATIENCE: Duration = Duration::from_secs(30);

/// Milliseconds of `ovs-vsctl add-port`, from its start to its end.
///
/// # Errors
/// When a switch or the lab fails.
pub fn add_port(rounds: u32) -> Result<Report, TaskError> {
    let build = [
        "build",
        "--release",
        "-p",
        "aorta-vswitchd",
        "-p",
        "aorta-ctl",
    ];
    run_program(&mut cargo(&build))?;
    let beds = [Bed::theirs()?, Bed::ours()?];
    let mut series: Vec<Series> = Vec::new();
    for (from, to, unit) in [
        (0, FEW, "ms, add-port with 10 ports"),
        (FEW, MANY, "ms, add-port with 200 ports"),
    ] {
        for bed in &beds {
            bed.populate(from..to)?;
        }
        series.extend(in_turns(rounds, &[(unit, "ms")], |at| {
            Ok(serde_json::json!({"ms": beds[at].add_port_ms()?}))
        })?);
    }
    for series in series.iter_mut().filter(|series| series.name == THEIRS) {
        "ovs-vswitchd".clone_into(&mut series.name);
    }
    Ok(report(
        "ovsdb-add-port",
        series,
        "limit: ≤ 1 × ovs-vswitchd",
    ))
}

/// A switch with a bridge, in a namespace with taps.
struct Bed {
    socket: String,
    // Switches go before their namespaces.
    _switch: Running,
    _netns: Netns,
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
    fn ours() -> Result<Bed, TaskError> {
        say(&format!("{OURS} with taps"));
        let netns = namespace("ours")?;
        let options = SwitchOptions {
            bin_dir: Some(root().join("target/release")),
            ..Default::default()
        };
        let switch = Switch::start_with(Some(&netns), options)?;
        let bed = Bed {
            socket: format!("unix:{}", switch.rundir().join("db.sock").display()),
            _switch: Running::Ours { _switch: switch },
            _netns: netns,
        };
        bed.vsctl(&["add-br", "br0"])?;
        Ok(bed)
    }

    fn theirs() -> Result<Bed, TaskError> {
        say("ovs-vswitchd with taps");
        let netns = namespace("theirs")?;
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
            THEIRS,
            &[&remote, &database.to_string_lossy()],
        )?;
        wait_until("ovsdb-server answers", PATIENCE, || {
            std::os::unix::net::UnixStream::connect(&socket).is_ok()
        })?;
        let socket = format!("unix:{}", socket.display());
        let switch = start(
            &netns,
            files.path(),
            "ovs-vswitchd",
            &["--disable-system", &socket],
        )?;
        let bed = Bed {
            socket,
            _switch: Running::Theirs {
                _processes: [switch, server],
                _files: files,
            },
            _netns: netns,
        };
        bed.vsctl(&["--no-wait", "init"])?;
        let userspace = ["--", "set", "Bridge", "br0", "datapath_type=netdev"];
        bed.vsctl(&[&["add-br", "br0"], userspace.as_slice()].concat())?;
        Ok(bed)
    }

    /// Adds taps as ports, all at once.
    fn populate(&self, taps: std::ops::Range<usize>) -> Result<(), TaskError> {
        let names: Vec<String> = taps.map(|n| format!("tap{n}")).collect();
        let mut args = Vec::new();
        for name in &names {
            args.extend(["--", "add-port", "br0", name.as_str()]);
        }
        self.vsctl(&args)
    }

    fn add_port_ms(&self) -> Result<f64, TaskError> {
        let mut total = Duration::ZERO;
        for _ in 0..ADDS {
            self.vsctl(&["--if-exists", "del-port", "br0", DEVICE])?;
            let start = Instant::now();
            self.vsctl(&["add-port", "br0", DEVICE])?;
            total += start.elapsed();
        }
        Ok(total.as_secs_f64() * 1e3 / f64::from(ADDS))
    }

    fn vsctl(&self, args: &[&str]) -> Result<(), TaskError> {
        let mut command = Command::new("ovs-vsctl");
        command.args([&format!("--db={}", self.socket), "--timeout=30"]);
        output(command.args(args)).map(drop)
    }
}

fn namespace(label: &str) -> Result<Netns, TaskError> {
    let netns = Netns::new(label)?;
    taps(&netns, MANY)?;
    netns.tap(DEVICE)?;
    Ok(netns)
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
