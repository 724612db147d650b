//! Two switches in memory, each in a directory of its own: ours and the real one.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Nothing here takes so long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(30);
/// Who has no privileges.
const NOBODY: u32 = 65534;
const SCHEMA: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../ovsdb/schema/vswitch.ovsschema"
);

/// A switch with its clients; it ends with the value.
pub struct Switch {
    pub name: &'static str,
    dir: TempDir,
    children: Vec<Child>,
}

impl Drop for Switch {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Switch {
    fn empty(name: &'static str) -> Switch {
        Switch {
            name,
            dir: tempfile::tempdir().unwrap(),
            children: Vec::new(),
        }
    }

    /// Ours, as `vswitchd --datapath sim` or with options instead of that, without privileges.
    pub fn ours(options: &[&str]) -> Switch {
        let mut switch = Switch::empty("ours");
        let mut command = switch.daemon(options);
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(switch.dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
            command.uid(NOBODY).gid(NOBODY);
        }
        let child = command.stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = child.spawn().unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        switch.children.push(child);
        assert!(line.starts_with("vswitchd is ready"), "{line:?}");
        switch
    }

    /// Our daemon, not started.
    pub fn daemon(&self, options: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vswitchd"));
        let simulated = ["--datapath", "sim"];
        command.args(if options.is_empty() {
            &simulated
        } else {
            options
        });
        self.surround(&mut command);
        command
    }

    /// The real one.
    pub fn real() -> Switch {
        let mut switch = Switch::empty("the real one");
        let db = switch.path("conf.db");
        switch.spawn("ovsdb-tool", &["create", &text(&db), SCHEMA]);
        assert!(switch.children.remove(0).wait().unwrap().success());
        let remote = format!("--remote=punix:{}", text(&switch.path("db.sock")));
        switch.spawn(
            "ovsdb-server",
            &[&text(&db), &remote, "--pidfile", "-vconsole:off"],
        );
        switch.wait_for("ovsdb-server", "db.sock");
        let database = format!("unix:{}", text(&switch.path("db.sock")));
        let options = [
            "--enable-dummy",
            "--disable-system",
            "--pidfile",
            "-vconsole:off",
        ];
        switch.spawn("ovs-vswitchd", &[&options[..], &[&*database]].concat());
        let start = Instant::now();
        while !switch.run("ovs-appctl", "version").status.success() {
            assert!(start.elapsed() < PATIENCE, "ovs-vswitchd doesn't start");
        }
        switch
    }

    fn surround(&self, command: &mut Command) {
        let path = std::env::var("PATH").unwrap_or_default();
        let dirs = ["OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR"];
        command
            .envs(dirs.map(|name| (name, self.dir.path())))
            .env("PATH", format!("{path}:/usr/sbin:/sbin"))
            .current_dir(self.dir.path());
    }

    fn spawn(&mut self, program: &str, arguments: &[&str]) {
        let mut command = Command::new(program);
        self.surround(&mut command);
        let command = command.args(arguments).stdout(Stdio::null());
        let child = command.stderr(Stdio::null()).spawn();
        let child = child.unwrap_or_else(|e| panic!("{program} (of Open vSwitch) must run: {e}"));
        self.children.push(child);
    }

    fn wait_for(&self, program: &str, file: &str) {
        let start = Instant::now();
        while !self.path(file).exists() {
            assert!(start.elapsed() < PATIENCE, "{program} makes no {file}");
            std::thread::yield_now();
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What a client says, and with which status it ends.
    pub fn run(&self, program: &str, arguments: &str) -> Output {
        let mut command = Command::new(program);
        self.surround(&mut command);
        let words = arguments.split(' ').filter(|word| !word.is_empty());
        command.arg("--timeout=20").args(words).output().unwrap()
    }

    /// A controller that writes what it is told into a file; it is connected at the return.
    pub fn monitor(&self, file: &str) -> Child {
        self.monitor_with(file, "monitor br0 65534")
    }

    /// The same with other arguments.
    pub fn monitor_with(&self, file: &str, arguments: &str) -> Child {
        let output = fs::File::create(self.path(file)).unwrap();
        let mut command = Command::new("ovs-ofctl");
        self.surround(&mut command);
        command
            .args(arguments.split(' '))
            .arg("--unixctl=monitor.ctl");
        let child = command
            .stdout(Stdio::null())
            .stderr(output)
            .spawn()
            .unwrap();
        let start = Instant::now();
        // Its barrier is answered when its configuration is in effect.
        let barrier = self.monitored("ofctl/barrier");
        while !self.run("ovs-appctl", &barrier).status.success() {
            assert!(
                start.elapsed() < PATIENCE,
                "{}: the monitor doesn't start",
                self.name
            );
        }
        child
    }

    /// Arguments of `ovs-appctl` for a command of the monitor.
    pub fn monitored(&self, command: &str) -> String {
        format!("-t {} {command}", self.path("monitor.ctl").display())
    }

    pub fn vsctl(&self, arguments: &str) -> String {
        self.succeeds("ovs-vsctl", arguments)
    }

    /// What `ovs-appctl` prints, or what it complains of.
    pub fn appctl(&self, arguments: &str) -> String {
        let output = self.run("ovs-appctl", arguments);
        let complaint = String::from_utf8_lossy(&output.stderr);
        let told = complaint
            .lines()
            .filter(|line| !line.starts_with("ovs-appctl: "));
        let told: Vec<&str> = told.collect();
        format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            told.join("\n")
        )
    }

    pub fn succeeds(&self, program: &str, arguments: &str) -> String {
        let output = self.run(program, arguments);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{}: {program} {arguments}: {complaint}",
            self.name
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Has frames come from a device.
    pub fn receive(&self, device: &str, packet: &str) {
        let told = self.appctl(&format!("netdev-dummy/receive {device} {packet}"));
        assert_eq!(told, "", "{}: {packet}", self.name);
    }

    /// The frames that a capture file has, as hexadecimal digits.
    pub fn captured(&self, file: &str) -> Vec<String> {
        let bytes = fs::read(self.path(file)).unwrap_or_default();
        let mut rest = bytes.get(24..).unwrap_or_default();
        let mut frames = Vec::new();
        while let Some((header, behind)) = rest.split_at_checked(16) {
            let len = u32::from_ne_bytes(header[8..12].try_into().unwrap()) as usize;
            let Some((frame, behind)) = behind.split_at_checked(len) else {
                break;
            };
            frames.push(frame.iter().map(|byte| format!("{byte:02x}")).collect());
            rest = behind;
        }
        frames
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Both, with the same configuration.
pub struct Pair {
    pub ours: Switch,
    pub real: Switch,
}

impl Pair {
    pub fn start() -> Pair {
        Pair {
            ours: Switch::ours(&["--enable-dummy"]),
            real: Switch::real(),
        }
    }

    /// Does it with both.
    pub fn each(&self, act: impl Fn(&Switch)) {
        act(&self.ours);
        act(&self.real);
    }

    /// Compares what both say, as soon as the real one is done: it answers before it has switched
    /// a frame.
    pub fn same<T: PartialEq + std::fmt::Debug>(&self, what: &str, ask: impl Fn(&Switch) -> T) {
        let ours = ask(&self.ours);
        let start = Instant::now();
        loop {
            let real = ask(&self.real);
            if real == ours {
                return;
            }
            assert!(
                start.elapsed() < PATIENCE / 6,
                "{what}:\nours: {ours:#?}\nreal: {real:#?}"
            );
        }
    }
}
