//! Commands about flow tables, groups and meters: `vsctl` with our daemon beside `ovs-ofctl` with
//! the real ovs-vswitchd on its dummy datapath. Output, exit status and tables must be the same.
//!
//! The lines are in `flow_lines`; `flow_lines/differences.txt` lists those whose results differ,
//! and why.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use aorta_api::FlowTrace;
use aorta_integration::lab::{Netns, Switch};
use common::real_switch::RealSwitch;
use common::{column, done, eventually};

const PORTS: [&str; 3] = ["p1", "p2", "eth-x.3"];

/// What came of a command line.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    status: Option<i32>,
    stdout: Vec<String>,
    /// Whether something was said about a fault.
    says: bool,
    flows: Vec<String>,
    groups: Vec<String>,
}

/// A command line with its standard input.
struct Step {
    line: String,
    input: String,
}

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/flow_lines");
    std::fs::read_to_string(path.join(name)).unwrap()
}

fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in text.lines() {
        match line.strip_prefix('>') {
            Some(input) => {
                let step = steps.last_mut().expect("input belongs to a command");
                step.input
                    .push_str(input.strip_prefix(' ').unwrap_or(input));
                step.input.push('\n');
            }
            None if line.is_empty() || line.starts_with('#') => {}
            None => steps.push(Step {
                line: line.to_owned(),
                input: String::new(),
            }),
        }
    }
    steps
}

/// Which parts of the outcome of which lines differ, with a reason for each.
fn differences() -> BTreeMap<String, Vec<String>> {
    let mut known = BTreeMap::new();
    let mut parts = Vec::new();
    let mut reason = false;
    for line in file("differences.txt").lines() {
        if let Some(told) = line.strip_prefix("# ") {
            reason |= !told.is_empty();
        } else if let Some(told) = line.strip_prefix("differs: ") {
            assert!(reason, "{line}: no reason");
            parts = told.split(' ').map(str::to_owned).collect();
        } else if line.is_empty() {
            reason = false;
        } else {
            known.insert(line.to_owned(), parts.clone());
        }
    }
    known
}

/// What changes from run to run, masked.
fn normalized(text: &str) -> Vec<String> {
    let line = |line: &str| -> String {
        // The heads tell the protocol's version and a number that counts messages.
        if line.contains("reply") && line.contains("(xid=") {
            let (head, rest) = line.split_once("(xid=").unwrap();
            let rest = rest.split_once("):").map_or("", |(_, rest)| rest);
            let kind = head.replace("NXST", "OFPST").replace("(OF1.5) ", "");
            return kind.replace("(OF1.3) ", "") + rest;
        }
        let mut out = line.to_owned();
        // Told by the newest version in every dump, by the first one only where nothing is sorted.
        if let Some((before, rest)) = out.split_once("idle_age=") {
            let rest = rest.split_once(", ").map_or("", |(_, rest)| rest);
            out = format!("{before}{rest}");
        }
        for name in ["duration=", "duration:"] {
            if let Some((before, rest)) = out.split_once(name) {
                let end = rest.find([',', ' ']).unwrap_or(rest.len());
                out = format!("{before}{name}*{}", &rest[end..]);
            }
        }
        out
    };
    text.lines().map(line).collect()
}

/// One tool with its switch.
trait Side {
    fn command(&self) -> Command;

    fn output(&self, words: &[&str], input: &str) -> Output {
        let mut written = tempfile::NamedTempFile::new().unwrap();
        written.write_all(input.as_bytes()).unwrap();
        let stdin = File::open(written.path()).unwrap();
        let mut command = self.command();
        let command = command.arg("--timeout=20").args(words).stdin(stdin);
        command.output().unwrap()
    }

    fn run(&self, step: &Step) -> Outcome {
        let words: Vec<&str> = step.line.split_whitespace().collect();
        let output = self.output(&words, &step.input);
        let looks = ["dump-", "-stats", "diff-"];
        let changes = !looks.iter().any(|word| step.line.contains(word));
        let sorted = |command: &[&str]| -> Vec<String> {
            if !changes {
                return Vec::new();
            }
            let dump = self.output(command, "");
            assert!(dump.status.success(), "{command:?}: {dump:?}");
            let dump = String::from_utf8(dump.stdout).unwrap();
            let lines = dump.lines().filter(|line| !line.contains("(xid="));
            let mut lines: Vec<String> = lines.map(str::to_owned).collect();
            lines.sort();
            lines
        };
        let mut stdout = normalized(&String::from_utf8(output.stdout).unwrap());
        if !step.line.contains("sort") {
            // The real switch tells entries in the order of a hash.
            stdout.sort();
        }
        Outcome {
            status: output.status.code(),
            stdout,
            says: !output.stderr.is_empty(),
            flows: sorted(&["--no-stats", "dump-flows", "br0"]),
            groups: sorted(&["dump-groups", "br0"]),
        }
    }
}

struct Theirs(RealSwitch);

impl Side for Theirs {
    fn command(&self) -> Command {
        let mut command = self.0.command("ovs-ofctl");
        command.args(["-O", "OpenFlow15"]);
        command
    }
}

struct Ours {
    // Ends before its namespace.
    switch: Switch,
    ns: Netns,
    vsctl: PathBuf,
}

impl Side for Ours {
    fn command(&self) -> Command {
        let mut command = self.ns.command(&self.vsctl);
        command.env("OVS_RUNDIR", self.switch.rundir());
        command.env("OVS_SYSLOG_METHOD", "null");
        command
    }
}

impl Ours {
    fn start() -> Ours {
        let ns = Netns::new("flows").unwrap();
        ns.disable_ipv6().unwrap();
        let switch = Switch::start(&ns).unwrap();
        done(&switch, "add-br br0");
        for (n, port) in PORTS.iter().enumerate() {
            let number = n + 1;
            done(
                &switch,
                &format!(
                    "add-port br0 {port} -- set Interface {port} type=internal \
                     ofport_request={number}"
                ),
            );
            eventually("the port has its number", || {
                column(&switch, "Interface", port, "ofport") == number.to_string()
            });
        }
        // The other one starts without flows.
        done(&switch, "del-flows br0");
        Ours {
            vsctl: switch.bin_dir().join("vsctl"),
            switch,
            ns,
        }
    }
}

/// Which parts differ, and how.
fn difference(theirs: &Outcome, ours: &Outcome) -> BTreeMap<&'static str, String> {
    let mut all = BTreeMap::new();
    let mut compare = |part, a: String, b: String| {
        if a != b {
            all.insert(part, format!("{part}\n  theirs: {a}\n  ours:   {b}"));
        }
    };
    compare(
        "status",
        format!("{:?}", theirs.status),
        format!("{:?}", ours.status),
    );
    compare("stdout", theirs.stdout.join("\n"), ours.stdout.join("\n"));
    compare("stderr", theirs.says.to_string(), ours.says.to_string());
    compare("flows", theirs.flows.join("\n"), ours.flows.join("\n"));
    compare("groups", theirs.groups.join("\n"), ours.groups.join("\n"));
    all
}

fn compare_file(name: &str) {
    let known = differences();
    let (theirs, ours) = (Theirs(RealSwitch::start(&PORTS)), Ours::start());
    let mut faults = Vec::new();
    for step in steps(&file(name)) {
        let (expected, found) = (theirs.run(&step), ours.run(&step));
        let differing = difference(&expected, &found);
        let allowed = known.get(&step.line).map(Vec::as_slice).unwrap_or_default();
        for (part, text) in &differing {
            if !allowed.iter().any(|a| a == part) {
                faults.push(format!("{}\n{text}", step.line));
            }
        }
        let stale = allowed
            .iter()
            .filter(|part| !differing.contains_key(part.as_str()));
        faults.extend(stale.map(|part| format!("{}\n  no longer differs: {part}", step.line)));
    }
    let count = faults.len();
    assert!(
        faults.is_empty(),
        "{count} lines of {name}:\n{}",
        faults.join("\n")
    );
}

/// Times masked, and lines in an order: everything else counts.
fn timeless(output: &Output) -> Vec<String> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let masked = |line: &str| {
        let parts = line.split_inclusive(", ");
        let parts = parts.map(|part| match part.trim_start().split_once('=') {
            Some((name @ ("duration" | "idle_age"), _)) => format!("{name}=*, "),
            _ => part.to_owned(),
        });
        parts.collect::<String>()
    };
    let mut lines: Vec<String> = text.lines().map(masked).collect();
    lines.sort();
    lines
}

#[test]
fn dumps_are_the_same_byte_for_byte_as_without_any_option() {
    let (theirs, ours) = (RealSwitch::start(&PORTS), Ours::start());
    let by_ofctl = |words: &[&str]| {
        let mut command = theirs.command("ovs-ofctl");
        command.args(words).output().unwrap()
    };
    let flows = [
        "cookie=0x2a,priority=10,in_port=1,actions=output:2,LOCAL",
        "table=1,idle_timeout=600,tcp,nw_src=10.0.0.0/8,actions=resubmit(,2)",
        "table=2,actions=drop",
    ];
    for flow in flows {
        assert!(by_ofctl(&["add-flow", "br0", flow]).status.success());
        assert!(ours.output(&["add-flow", "br0", flow], "").status.success());
    }
    let asked: [&[&str]; 8] = [
        &["dump-flows", "br0"],
        &["dump-flows", "br0", "table=1"],
        &["--names", "dump-flows", "br0"],
        &["--sort", "dump-flows", "br0"],
        &["--no-stats", "dump-flows", "br0", "cookie=0x2a/-1"],
        &["dump-aggregate", "br0"],
        &["dump-aggregate", "br0", "table=1"],
        &["dump-groups", "br0"],
    ];
    for words in asked {
        let (theirs, ours) = (by_ofctl(words), ours.output(words, ""));
        assert_eq!(timeless(&ours), timeless(&theirs), "{words:?}");
    }
}

/// What a command of ours prints, which must succeed.
fn told(ours: &Ours, words: &[&str]) -> String {
    let output = ours.output(words, "");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// All that the data path has of them.
#[test]
fn pipelines_of_real_controllers_are_loaded_told_compared_and_traced() {
    let ours = Ours::start();
    for meter in 1..=3 {
        let meter = format!("meter={meter},pktps,bands=type=drop,rate=1000");
        told(&ours, &["add-meter", "br0", &meter]);
    }
    for group in 1..=7 {
        let group = format!("group_id={group},type=select,bucket=output:1,bucket=output:2");
        told(&ours, &["add-group", "br0", &group]);
    }
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../datapath/flow/tests/samples");
    for name in ["neutron-br-tun", "neutron-br-int"] {
        let path = samples.join(format!("{name}.flows"));
        let file = path.to_str().unwrap();
        told(&ours, &["replace-flows", "br0", file]);
        let text = std::fs::read_to_string(&path).unwrap();
        let mut expected: Vec<&str> = text.lines().collect();
        expected.sort_unstable();
        let dump = told(&ours, &["--no-stats", "dump-flows", "br0"]);
        let mut found: Vec<&str> = dump.lines().collect();
        found.sort_unstable();
        assert_eq!(found, expected, "{name}");
        assert_eq!(told(&ours, &["diff-flows", "br0", file]), "", "{name}");
    }
    let packet = "in_port=3,dl_src=fa:16:3e:00:00:01,dl_dst=ff:ff:ff:ff:ff:ff,arp,arp_op=1";
    let trace = told(&ours, &["--json", "trace", "br0", packet]);
    let trace: FlowTrace = serde_json::from_str(&trace).unwrap();
    let tables: Vec<u8> = trace.trace.iter().filter_map(|line| line.table).collect();
    assert_eq!(tables, [0, 24], "{trace:?}");
    let trace = told(&ours, &["trace", "br0", packet]);
    assert!(trace.contains("\n    goto_table:24\ntable 24: "), "{trace}");
    let explained = told(&ours, &["explain", "br0"]);
    assert!(explained.starts_with("Bridge br0 "), "{explained}");
}

#[test]
fn flows_are_changed_and_shown_as_by_ovs_ofctl() {
    compare_file("flows.txt");
}

#[test]
fn groups_and_meters_are_changed_and_shown_as_by_ovs_ofctl() {
    compare_file("groups.txt");
}
