//! `monitor` in the background, and the commands that it takes there: `vsctl` as `ovs-ofctl` beside
//! Open vSwitch's own, each with a real switch.

use std::fs::File;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::real_switch::RealSwitch;
use super::server::need;

/// A program and its switch.
struct Side {
    program: PathBuf,
    switch: RealSwitch,
}

fn wait_until(what: &str, met: impl Fn() -> bool) {
    let start = Instant::now();
    while !met() {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "{what}: not within 30 s"
        );
        std::thread::yield_now();
    }
}

impl Side {
    fn path(&self, name: &str) -> PathBuf {
        self.switch.dir.join(name)
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env("OVS_RUNDIR", &self.switch.dir)
            .env("OVS_SYSLOG_METHOD", "null")
            .current_dir(&self.switch.dir)
            .stdin(Stdio::null());
        command
    }

    /// Status and messages of a monitor that is started so; what it prints goes into a file.
    fn start(&self, line: &str) -> (Option<i32>, String) {
        let log = File::create(self.path("log")).unwrap();
        let mut command = self.command(&self.program);
        command
            .args(line.split(' '))
            .stdout(Stdio::null())
            .stderr(log);
        let status = command.status().unwrap();
        (status.code(), self.log("log"))
    }

    fn log(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.path(name)).unwrap_or_default();
        let dir = self.switch.dir.display().to_string();
        text.replace(&dir, "DIR")
    }

    /// Status, output and complaint of `ovs-appctl -t ovs-ofctl`.
    fn order(&self, line: &str) -> (Option<i32>, String, String) {
        let mut command = self.command(&need("ovs-appctl"));
        command.args(["-T", "20", "-t", "ovs-ofctl"]);
        let output = command.args(line.split(' ')).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr),
        )
    }

    fn pid(&self) -> Option<u32> {
        let pid = std::fs::read_to_string(self.path("ovs-ofctl.pid")).ok()?;
        pid.trim().parse().ok()
    }
}

fn sides(dir: &Path) -> [Side; 2] {
    let ours = dir.join("ovs-ofctl");
    symlink(env!("CARGO_BIN_EXE_vsctl"), &ours).unwrap();
    [("reference", need("ovs-ofctl")), ("ours", ours)].map(|(name, program)| Side {
        program,
        switch: RealSwitch::start(&dir.join(name)),
    })
}

/// Transactions' numbers left out, but those that were given.
fn without_numbers(text: &str) -> String {
    let mut told = String::new();
    for (at, part) in text.split("(xid=").enumerate() {
        match part.split_once(')') {
            Some((xid, rest)) if at > 0 && xid != "0x77" => told += &format!("(xid=N){rest}"),
            _ if at > 0 => told += &format!("(xid={part}"),
            _ => told += part,
        }
    }
    told
}

const PACKET: &str = "in_port=1,packet=505400000001505400000002080600010800060400010000000000010101\
                      01010000000000000a000001,actions=controller";

#[test]
fn a_monitor_in_the_background_does_what_it_is_told() {
    let dir = TempDir::new().unwrap();
    let sides = sides(dir.path());
    let told = sides.each_ref().map(|side| {
        let started = side.start("monitor br0 65534 --detach --no-chdir --pidfile");
        assert_eq!(started.0, Some(0), "{}", started.1);
        let pid = side.pid().unwrap();
        let mut told = Vec::new();
        for line in [
            "ofctl/barrier",
            "ofctl/send 0102000800000077",
            "ofctl/send zz 0102000800000077",
            "ofctl/send 01",
            "ofctl/send 0102000900000077",
            "ofctl/barrier",
            &format!("ofctl/packet-out {PACKET}"),
            "ofctl/packet-out in_port=1",
            "ofctl/barrier",
            "ofctl/set-output-file /nonexistent/file",
            "ofctl/set-output-file other",
            "ofctl/block",
            "ofctl/block",
            "ofctl/send 0102000800000077",
            "ofctl/unblock",
            "ofctl/unblock",
            "ofctl/barrier",
            "ofctl/nonsense",
            "ofctl/send",
            "ofctl/barrier 1",
            "version",
        ] {
            told.push((line.to_owned(), side.order(line)));
        }
        // Its file belongs to it.
        let second = {
            let mut command = side.command(&side.program);
            command.args(["monitor", "br0", "--detach", "--pidfile"]);
            command.output().unwrap()
        };
        assert_eq!(second.status.code(), Some(1));
        let complaint = String::from_utf8_lossy(&second.stderr).into_owned();
        assert!(
            complaint.contains(&format!("already running as pid {pid}, aborting")),
            "{complaint}"
        );
        told.push(("exit".to_owned(), side.order("exit")));
        wait_until("the end", || side.pid().is_none());
        wait_until("the process's end", || {
            !Path::new(&format!("/proc/{pid}")).exists()
        });
        let logs = ["log", "other"].map(|name| without_numbers(&side.log(name)));
        (told, logs)
    });
    let [(expected, expected_logs), (found, found_logs)] = told;
    for (expected, found) in expected.iter().zip(&found) {
        assert_eq!(found, expected);
    }
    assert_eq!(found_logs, expected_logs);
}

#[test]
fn a_signal_ends_it_and_takes_its_files_along() {
    let dir = TempDir::new().unwrap();
    for side in sides(dir.path()) {
        let started = side.start("monitor br0 --detach --pidfile --unixctl=own.ctl");
        assert_eq!(started.0, Some(0), "{}", started.1);
        let pid = side.pid().unwrap();
        assert!(side.path("own.ctl").exists());
        assert_eq!(
            std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap(),
            Path::new("/")
        );
        let end = Command::new("kill").arg(pid.to_string()).status().unwrap();
        assert!(end.success());
        wait_until("its files go", || {
            side.pid().is_none() && !side.path("own.ctl").exists()
        });
    }
}

#[test]
fn what_dies_of_a_fault_is_started_again_if_that_is_asked_for() {
    let dir = TempDir::new().unwrap();
    for side in sides(dir.path()) {
        let started = side.start("monitor br0 --detach --monitor --pidfile");
        assert_eq!(started.0, Some(0), "{}", started.1);
        let first = side.pid().unwrap();
        let kill = |signal: &str, pid: u32| {
            let words = [signal.to_owned(), pid.to_string()];
            assert!(Command::new("kill").args(words).status().unwrap().success());
        };
        kill("-ABRT", first);
        wait_until("it is back", || side.pid().is_some_and(|pid| pid != first));
        let second = side.pid().unwrap();
        wait_until("it answers", || side.order("version").0 == Some(0));
        assert_eq!(side.order("exit").0, Some(0));
        wait_until("the end", || {
            !Path::new(&format!("/proc/{second}")).exists()
        });
    }
}

#[test]
fn what_cannot_connect_says_so_before_it_goes_to_the_background() {
    let dir = TempDir::new().unwrap();
    for side in sides(dir.path()) {
        let (status, told) = side.start("monitor br7 --detach --pidfile");
        assert_eq!(status, Some(1));
        assert_eq!(told, "ovs-ofctl: br7 is not a bridge or a socket\n");
        assert_eq!(side.pid(), None);
    }
}

#[test]
fn other_users_rights_are_kept_only() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can give up rights");
        return;
    }
    let dir = TempDir::new().unwrap();
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(dir.path(), open).unwrap();
    for side in sides(dir.path()) {
        for file in [side.path(""), side.path("br0.mgmt")] {
            std::os::unix::fs::chown(file, Some(65534), Some(65534)).unwrap();
        }
        let started = side.start("monitor br0 --detach --pidfile --user=nobody:nogroup");
        assert_eq!(started.0, Some(0), "{}", started.1);
        let pid = side.pid().unwrap();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        assert!(
            status.contains("Uid:\t65534\t65534\t65534\t65534"),
            "{status}"
        );
        assert!(
            status.contains("Gid:\t65534\t65534\t65534\t65534"),
            "{status}"
        );
        assert_eq!(side.order("exit").0, Some(0));
        wait_until("the end", || !Path::new(&format!("/proc/{pid}")).exists());
        let (status, told) = side.start("monitor br0 --detach --user=nobody-is-so-called");
        assert_eq!(status, Some(1), "{told}");
        assert!(told.contains("nobody-is-so-called"), "{told}");
    }
}
