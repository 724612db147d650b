//! Open vSwitch's own switch with ports that are no devices.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::server::{Server, need};

const BRIDGE: &str = "br0";
const PORTS: u16 = 3;

/// A running switch with the bridge `br0` and the ports `p1`, `p2` and `p3`.
pub struct RealSwitch {
    /// Where it keeps its sockets.
    pub dir: PathBuf,
    switch: Child,
    database: Server,
}

impl RealSwitch {
    /// Starts one with its files in a directory that doesn't exist yet.
    pub fn start(dir: &Path) -> RealSwitch {
        let database = Server::start(dir);
        let remote = database.remote.clone();
        let vsctl = |words: &[&str]| {
            let done = Command::new(need("ovs-vsctl"))
                .args(["--no-wait", "--no-syslog", "--db", &remote])
                .args(words)
                .status()
                .unwrap();
            assert!(done.success(), "{words:?}");
        };
        vsctl(&["init"]);
        vsctl(&["add-br", BRIDGE]);
        vsctl(&[
            "set",
            "Bridge",
            BRIDGE,
            "datapath_type=dummy",
            "fail_mode=secure",
        ]);
        let address = "other_config:hwaddr=aa:55:aa:55:00:00";
        vsctl(&[
            "set",
            "Bridge",
            BRIDGE,
            address,
            "other_config:datapath-id=fedcba9876543210",
        ]);
        for number in 1..=PORTS {
            let (name, request) = (format!("p{number}"), format!("ofport_request={number}"));
            vsctl(&["add-port", BRIDGE, &name]);
            vsctl(&["set", "Interface", &name, "type=dummy", &request]);
        }
        let switch = Command::new(need("ovs-vswitchd"))
            .env("OVS_RUNDIR", dir)
            .env("OVS_LOGDIR", dir)
            .env("OVS_SYSLOG_METHOD", "null")
            .args([
                "--enable-dummy",
                "--disable-system",
                "--no-chdir",
                "-vconsole:off",
            ])
            .arg(format!("--unixctl={}", dir.join("switch.ctl").display()))
            .arg(&remote)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let switch = RealSwitch {
            dir: dir.to_owned(),
            switch,
            database,
        };
        switch.wait();
        switch
    }

    /// Changes its configuration.
    pub fn configure(&self, words: &[&str]) {
        let done = Command::new(need("ovs-vsctl"))
            .args(["--timeout=60", "--no-syslog", "--db", &self.database.remote])
            .args(words)
            .status()
            .unwrap();
        assert!(done.success(), "{words:?}");
    }

    /// Waits until it listens for OpenFlow and has its ports.
    fn wait(&self) {
        let socket = self.dir.join(format!("{BRIDGE}.mgmt"));
        let deadline = Instant::now() + Duration::from_secs(60);
        let ready = || {
            UnixStream::connect(&socket).is_ok() && {
                let shown = self.run(&need("ovs-ofctl"), &["show", BRIDGE]);
                (1..=PORTS).all(|n| shown.contains(&format!("(p{n})")))
            }
        };
        while !ready() {
            assert!(Instant::now() < deadline, "{} after 60 s", socket.display());
            std::thread::yield_now();
        }
    }

    fn run(&self, program: &Path, words: &[&str]) -> String {
        let output = Command::new(program)
            .env("OVS_RUNDIR", &self.dir)
            .env("OVS_SYSLOG_METHOD", "null")
            .args(words)
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for RealSwitch {
    fn drop(&mut self) {
        let _ = self.switch.kill();
        let _ = self.switch.wait();
    }
}
