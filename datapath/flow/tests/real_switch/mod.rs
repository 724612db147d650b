//! The real switch, without the kernel, in a directory of its own.

use std::io::Write;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const SCHEMA: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../ovsdb/schema/vswitch.ovsschema"
);

/// Nothing here takes so long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A switch with one bridge. It ends with this value.
pub struct RealSwitch {
    directory: TempDir,
    children: Vec<Child>,
}

impl Drop for RealSwitch {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl RealSwitch {
    /// The number by which it names the bridge's own port in a trace.
    pub const LOCAL: u16 = 100;

    /// Starts it, with ports 1 to `ports`.
    pub fn start(ports: u16) -> RealSwitch {
        let mut switch = RealSwitch {
            directory: TempDir::new().unwrap(),
            children: Vec::new(),
        };
        switch.success(
            "ovsdb-tool",
            &["create", &switch.path("conf.db"), SCHEMA],
            "",
        );
        let remote = format!("--remote=punix:{}", switch.path("db.sock"));
        let unixctl = format!("--unixctl={}", switch.path("db.ctl"));
        switch.spawn(
            "ovsdb-server",
            &[&switch.path("conf.db"), &remote, &unixctl],
        );
        switch.wait_for("db.sock");
        let database = format!("unix:{}", switch.path("db.sock"));
        let unixctl = format!("--unixctl={}", switch.path("vs.ctl"));
        let options = [
            &*database,
            "--enable-dummy=override",
            "--disable-system",
            &unixctl,
        ];
        switch.spawn("ovs-vswitchd", &options);
        switch.wait_for("vs.ctl");
        switch.add_bridge(&database, ports);
        switch.wait_for("br0.mgmt");
        switch
    }

    fn add_bridge(&self, database: &str, ports: u16) {
        let mut arguments = vec!["--timeout=30".to_owned(), format!("--db={database}")];
        let mut words = |text: String| arguments.extend(text.split(' ').map(str::to_owned));
        words("add-br br0 -- set bridge br0 datapath_type=dummy fail-mode=secure".to_owned());
        for port in 1..=ports {
            words(format!(
                "-- add-port br0 p{port} -- set interface p{port} type=dummy ofport_request={port}"
            ));
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.success("ovs-vsctl", &arguments, "");
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        let system = std::env::var("PATH").unwrap_or_default();
        command
            .args(arguments)
            .env("PATH", format!("{system}:/usr/sbin:/sbin"))
            .env("OVS_RUNDIR", self.directory.path())
            .env("OVS_LOGDIR", self.directory.path())
            .env("OVS_DBDIR", self.directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn spawn(&mut self, program: &str, arguments: &[&str]) {
        let mut command = self.command(program, arguments);
        let command = command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn();
        let child = child.unwrap_or_else(|e| panic!("{program} (of Open vSwitch) must run: {e}"));
        self.children.push(child);
    }

    fn wait_for(&self, name: &str) {
        let start = Instant::now();
        while !self.directory.path().join(name).exists() {
            assert!(start.elapsed() < PATIENCE, "{name} doesn't appear");
            std::thread::yield_now();
        }
    }

    fn success(&self, program: &str, arguments: &[&str], input: &str) -> String {
        let mut command = self.command(program, arguments);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // A program that refuses a line needn't read the rest; it tells why below.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        let Output {
            status,
            stdout,
            stderr,
        } = child.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&stderr);
        assert!(status.success(), "{program} {arguments:?}: {errors}");
        String::from_utf8(stdout).unwrap()
    }

    /// Adds a group.
    pub fn add_group(&self, group: &str) {
        self.success(
            "ovs-ofctl",
            &["-O", "OpenFlow15", "add-group", "br0", group],
            "",
        );
    }

    /// Adds a meter.
    pub fn add_meter(&self, meter: &str) {
        self.success(
            "ovs-ofctl",
            &["-O", "OpenFlow15", "add-meter", "br0", meter],
            "",
        );
    }

    /// Gives a Geneve option its field.
    pub fn add_tunnel_option(&self, option: &str) {
        self.success("ovs-ofctl", &["add-tlv-map", "br0", option], "");
    }

    /// Puts these flows in the place of all that are there. It must accept each of them.
    pub fn replace_flows(&self, lines: &[String]) {
        self.success("ovs-ofctl", &["-O", "OpenFlow15", "del-flows", "br0"], "");
        let input = lines.join("\n") + "\n";
        self.success(
            "ovs-ofctl",
            &["-O", "OpenFlow15", "add-flows", "br0", "-"],
            &input,
        );
    }

    /// Does the lines of a bundle, or none of them; the reason if none.
    pub fn bundle(&self, lines: &[String]) -> Result<(), String> {
        let file = self.path("bundle");
        std::fs::write(&file, lines.join("\n") + "\n").unwrap();
        let arguments = ["-O", "OpenFlow15", "bundle", "br0", &file];
        let output = self.command("ovs-ofctl", &arguments).output().unwrap();
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    /// All flows, without counters, sorted.
    pub fn flows(&self) -> Vec<String> {
        let arguments = ["-O", "OpenFlow15", "--no-stats", "dump-flows", "br0"];
        let dump = self.success("ovs-ofctl", &arguments, "");
        let lines = dump.lines().filter(|line| line.contains("actions="));
        let mut flows: Vec<String> = lines.map(|line| line.trim().to_owned()).collect();
        flows.sort();
        flows
    }

    /// Where copies of a packet go, in order, and how it tells so. Behind connection tracking, the
    /// packet is of a new connection.
    pub fn trace(&self, fields: &str) -> (Vec<u16>, String) {
        let target = self.path("vs.ctl");
        let trace = self.success(
            "ovs-appctl",
            &["-t", &target, "ofproto/trace", "br0", fields],
            "",
        );
        let passes = trace.split("Datapath actions: ").skip(1);
        let ports = passes.flat_map(|pass| outputs(pass.lines().next().unwrap()));
        (ports.collect(), trace)
    }
}

/// The ports in a list of the datapath's actions, for a small packet.
fn outputs(actions: &str) -> Vec<u16> {
    let mut ports = Vec::new();
    for action in entries(actions) {
        if let Ok(port) = action.parse() {
            ports.push(port);
        } else if let Some(inner) = inside(action, "clone").or_else(|| inside(action, "le")) {
            ports.extend(outputs(inner));
        } else if let Some(inner) = inside(action, "check_pkt_len") {
            ports.extend(outputs(inner));
        } else if action.starts_with("userspace(") {
            ports.push(0xfffd);
        }
    }
    ports
}

fn inside<'a>(action: &'a str, name: &str) -> Option<&'a str> {
    action
        .strip_prefix(name)?
        .strip_prefix('(')?
        .strip_suffix(')')
}

/// The entries of a list, which may have lists in parentheses.
fn entries(list: &str) -> Vec<&str> {
    let mut depth = 0;
    list.split(|c| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    })
    .collect()
}
