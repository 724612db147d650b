//! The switch under test: its daemon and its command-line tools.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::binaries::{binary, own_bin_dir};
use super::exec::{command_line, wait_child};
use super::qemu::tail;
use super::{LabError, Netns, Output, run};

/// Time the daemon may take until it says that it is ready.
const READY_LIMIT: Duration = Duration::from_secs(30);
/// Time the daemon may take to end after SIGTERM.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// Where and how the daemon runs.
#[derive(Debug, Clone, Default)]
pub struct SwitchOptions {
    /// Directory of the programs; none for the one that belongs to this build, or
    /// `AORTA_BIN_DIR`.
    pub bin_dir: Option<PathBuf>,
    /// More arguments for the daemon.
    pub args: Vec<String>,
    /// An existing database to start from; it is copied.
    pub database: Option<PathBuf>,
}

/// A running `vswitchd` with a run directory and database of its own. Dropped, it is ended and
/// told to take everything off the kernel.
pub struct Switch {
    bin_dir: PathBuf,
    args: Vec<String>,
    netns: Option<String>,
    dir: Option<tempfile::TempDir>,
    root: PathBuf,
    child: Option<Child>,
}

impl Switch {
    /// Starts the daemon in a namespace and waits until it is ready.
    ///
    /// # Errors
    /// When it isn't within half a minute; the error shows what it printed.
    pub fn start(netns: &Netns) -> Result<Switch, LabError> {
        Switch::start_with(Some(netns), SwitchOptions::default())
    }

    /// Starts the daemon, in the host's own namespace if none is given.
    ///
    /// # Errors
    /// As [`Switch::start`].
    pub fn start_with(netns: Option<&Netns>, options: SwitchOptions) -> Result<Switch, LabError> {
        let bin_dir = match options.bin_dir {
            Some(dir) => dir,
            None => own_bin_dir()?,
        };
        // A socket's path has room for 107 bytes: keep it short.
        let dir = tempfile::Builder::new()
            .prefix("aorta-sw-")
            .tempdir()
            .map_err(LabError::system("make a directory for the switch"))?;
        let root = dir.path().to_owned();
        let mut switch = Switch {
            bin_dir,
            args: options.args,
            netns: netns.map(|ns| ns.path().display().to_string()),
            dir: Some(dir),
            root,
            child: None,
        };
        if let Some(from) = options.database {
            std::fs::copy(&from, switch.db()).map_err(LabError::file("copy", &from))?;
        }
        switch.launch()?;
        Ok(switch)
    }

    /// Directory of the programs that it runs.
    pub fn bin_dir(&self) -> &Path {
        &self.bin_dir
    }

    /// Its run directory.
    pub fn rundir(&self) -> PathBuf {
        self.root.join("run")
    }

    /// Its database file.
    pub fn db(&self) -> PathBuf {
        self.root.join("conf.db")
    }

    /// Everything that all its daemons printed so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.log_path()).unwrap_or_default()).into_owned()
    }

    /// Process id of the running daemon.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Runs `vsctl` against it; a bad status is the caller's to judge.
    ///
    /// # Errors
    /// When it can't be started or takes over a minute.
    pub fn vsctl(&self, args: &[&str]) -> Result<Output, LabError> {
        run(self.command(&binary(&self.bin_dir, "vsctl")?).args(args))
    }

    /// Runs an installed client of Open vSwitch (`ovs-vsctl`, `ovsdb-client`) against it.
    ///
    /// # Errors
    /// When it isn't installed or takes over a minute.
    pub fn client(&self, program: &str, args: &[&str]) -> Result<Output, LabError> {
        run(self.command(Path::new(program)).args(args))
    }

    /// Runs the installed `ovs-vsctl` against it.
    ///
    /// # Errors
    /// As [`Switch::client`].
    pub fn ovs_vsctl(&self, args: &[&str]) -> Result<Output, LabError> {
        self.client("ovs-vsctl", args)
    }

    /// Ends the daemon by SIGTERM and waits for it. Forwarding goes on.
    ///
    /// # Errors
    /// When it doesn't end in ten seconds (it is killed then).
    pub fn terminate(&mut self) -> Result<(), LabError> {
        self.end(Signal::TERM)
    }

    /// Ends the daemon by SIGKILL, as a crash would.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn kill(&mut self) -> Result<(), LabError> {
        self.end(Signal::KILL)
    }

    /// Starts the daemon again after [`Switch::terminate`] or [`Switch::kill`], and waits until
    /// it is ready.
    ///
    /// # Errors
    /// As [`Switch::start`].
    pub fn restart(&mut self) -> Result<(), LabError> {
        if self.child.is_some() {
            self.terminate()?;
        }
        self.launch()
    }

    /// [`Switch::restart`] with the programs of another build, as an upgrade would.
    ///
    /// # Errors
    /// As [`Switch::start`].
    pub fn restart_from(&mut self, bin_dir: &Path) -> Result<(), LabError> {
        self.bin_dir = bin_dir.to_owned();
        self.restart()
    }

    /// Ends the daemon and has it take everything off the kernel (`vswitchd --teardown`).
    ///
    /// # Errors
    /// When that fails; the error shows why.
    pub fn teardown(&mut self) -> Result<(), LabError> {
        if self.child.is_some() {
            self.terminate()?;
        }
        run(self.daemon()?.arg("--teardown"))?.ok().map(drop)
    }

    fn log_path(&self) -> PathBuf {
        self.root.join("vswitchd.log")
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = match &self.netns {
            // Only the network: mounts, bpffs among them, stay the host's.
            Some(path) => {
                let mut command = Command::new("nsenter");
                command.arg(format!("--net={path}")).arg("--").arg(program);
                command
            }
            None => Command::new(program),
        };
        command
            .env("OVS_RUNDIR", self.rundir())
            .env("OVS_DBDIR", &self.root);
        command
    }

    fn daemon(&self) -> Result<Command, LabError> {
        let mut command = self.command(&binary(&self.bin_dir, "vswitchd")?);
        command
            .arg("--rundir")
            .arg(self.rundir())
            .arg("--db")
            .arg(self.db())
            .args(&self.args);
        Ok(command)
    }

    fn launch(&mut self) -> Result<(), LabError> {
        let path = self.log_path();
        let open = || File::options().create(true).append(true).open(&path);
        let log = open().map_err(LabError::file("open", &path))?;
        let errors = open().map_err(LabError::file("open", &path))?;
        let mut command = self.daemon()?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .map_err(|source| LabError::Start {
                command: command_line(&command),
                source,
            })?;
        let lines = follow(child.stdout.take(), log);
        let ready = lines.recv_timeout(READY_LIMIT);
        self.child = Some(child);
        match ready {
            Ok(()) => Ok(()),
            Err(RecvTimeoutError::Disconnected) => {
                self.reap();
                Err(LabError::NotReady {
                    program: "vswitchd",
                    log: tail(&self.log()),
                })
            }
            Err(RecvTimeoutError::Timeout) => Err(LabError::Timeout {
                what: "vswitchd is ready".to_owned(),
                limit: READY_LIMIT,
                detail: format!("\n{}", tail(&self.log())),
            }),
        }
    }

    fn end(&mut self, signal: Signal) -> Result<(), LabError> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            kill_process(pid, signal).map_err(LabError::system("end vswitchd"))?;
        }
        wait_child(&mut child, "vswitchd ends", STOP_LIMIT).map(drop)
    }

    fn reap(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        if self.child.is_some()
            && let Err(error) = self.terminate()
        {
            eprintln!("lab: {}", error.report());
        }
        if let Err(error) = self.teardown() {
            eprintln!("lab: {}", error.report());
        }
        if std::thread::panicking()
            && let Some(dir) = self.dir.take()
        {
            eprintln!(
                "lab: run directory, database and log kept in {}",
                dir.keep().display()
            );
        }
    }
}

/// Copies what the daemon prints into its log, and tells about the first line. The sender is
/// dropped when the daemon closes its output.
fn follow(stdout: Option<ChildStdout>, mut log: File) -> Receiver<()> {
    let (first, lines) = channel();
    std::thread::spawn(move || {
        for line in stdout
            .into_iter()
            .flat_map(|pipe| BufReader::new(pipe).lines())
        {
            let Ok(line) = line else { return };
            let _ = writeln!(log, "{line}");
            // Nobody listens after the first.
            let _ = first.send(());
        }
    });
    lines
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A directory with stand-ins for the programs.
    fn programs(vswitchd: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, script) in [
            ("vswitchd", vswitchd),
            ("vsctl", "echo $OVS_RUNDIR $*; exit 2"),
        ] {
            let path = dir.path().join(name);
            std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        }
        dir
    }

    fn start(bin: &tempfile::TempDir) -> Result<Switch, LabError> {
        let bin_dir = Some(bin.path().to_owned());
        Switch::start_with(
            None,
            SwitchOptions {
                bin_dir,
                ..Default::default()
            },
        )
    }

    #[test]
    fn ready_tools_restart_and_teardown() {
        let bin = programs(
            "case $* in *--teardown) echo torn >>$2.down; exit;; esac\necho ready; exec sleep 600",
        );
        let mut switch = start(&bin).unwrap();
        let output = switch.vsctl(&["show"]).unwrap();
        assert_eq!(
            output.stdout,
            format!("{} show\n", switch.rundir().display())
        );
        assert_eq!(output.status, 2);
        let first = switch.pid().unwrap();
        switch.kill().unwrap();
        assert_eq!(switch.pid(), None);
        switch.restart().unwrap();
        assert_ne!(switch.pid().unwrap(), first);
        assert_eq!(switch.log(), "ready\nready\n");
        let marker = switch.rundir().with_extension("down");
        switch.teardown().unwrap();
        assert_eq!(std::fs::read_to_string(&marker).unwrap(), "torn\n");
        drop(switch);
        assert!(!marker.exists(), "directory is removed");
    }

    #[test]
    fn daemon_that_gives_up_is_an_error_with_its_words() {
        let bin = programs("echo cannot mount bpffs >&2; exit 1");
        let error = start(&bin).err().unwrap().to_string();
        assert!(error.contains("cannot mount bpffs"), "{error}");
    }
}
