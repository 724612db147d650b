//! A daemon in a network namespace of its own (needs root), and unmodified clients.
#![allow(dead_code)]

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// A namespace, a rundir, a BPF file system; all gone with the value.
pub struct Host {
    dir: tempfile::TempDir,
    ns: String,
}

/// A running daemon; killed with the value.
pub struct Daemon(Child);

impl Host {
    pub fn new(name: &str) -> Host {
        let ns = format!("aovsd-{name}-{}", std::process::id());
        run(Command::new("ip").args(["netns", "add", &ns]));
        Host {
            dir: tempfile::tempdir().unwrap(),
            ns,
        }
    }

    pub fn ns(&self) -> &str {
        &self.ns
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn rundir(&self) -> PathBuf {
        self.path("run")
    }

    /// `ip` in the namespace.
    pub fn ip(&self, arguments: &str) -> String {
        run(Command::new("ip")
            .args(["-n", &self.ns])
            .args(arguments.split(' ')))
    }

    /// The daemon with this host's options and more.
    pub fn vswitchd(&self, more: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/run/netns/{}", self.ns))
            .arg(env!("CARGO_BIN_EXE_vswitchd"))
            .args([Path::new("--rundir"), &self.rundir()])
            .args([Path::new("--db"), &self.path("etc/conf.db")])
            .args([Path::new("--bpffs"), &self.path("bpf")])
            .args(more);
        command
    }

    /// Starts the daemon in the foreground and waits until it is ready.
    pub fn start(&self) -> Daemon {
        self.start_with(&[])
    }

    /// Starts it with more options.
    pub fn start_with(&self, more: &[&str]) -> Daemon {
        let mut command = self.vswitchd(more);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert!(line.starts_with("vswitchd is ready"), "{line:?}");
        Daemon(child)
    }

    /// A client that must succeed; what it prints.
    pub fn vsctl(&self, arguments: &str) -> String {
        run(&mut self.client("ovs-vsctl", arguments))
    }

    /// `ovs-vsctl` or `ovs-appctl` for this host.
    pub fn client(&self, program: &str, arguments: &str) -> Command {
        let mut command = Command::new(program);
        command.env("OVS_RUNDIR", self.rundir()).arg("--timeout=20");
        command.args(arguments.split(' ').filter(|a| !a.is_empty()));
        command
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.vswitchd(&["--teardown"]).output();
        let _ = Command::new("umount").arg(self.path("bpf")).output();
        let _ = Command::new("ip").args(["netns", "del", &self.ns]).output();
    }
}

impl Daemon {
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Sends SIGTERM and waits for an orderly end.
    pub fn stop(mut self) {
        run(Command::new("kill").arg(self.0.id().to_string()));
        assert!(self.0.wait().unwrap().success());
    }

    /// Waits for the end that something else brings about.
    pub fn wait(mut self) {
        assert!(self.0.wait().unwrap().success());
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let mut rest = String::new();
        if let Some(mut out) = self.0.stdout.take() {
            let _ = out.read_to_string(&mut rest);
        }
        let _ = self.0.wait();
    }
}

/// Runs a command that must succeed; what it prints, trimmed.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", stderr(&output));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Runs a command that must fail; its complaint, trimmed.
pub fn fails(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(!output.status.success(), "{command:?} succeeded");
    stderr(&output)
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}
