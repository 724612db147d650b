//! `vsctl` as `ovs-ofctl`: the same command lines through both, each with a real switch of its own.
//!
//! The lines are in `lines/ofctl`. `differences.txt` there lists those whose results differ, and
//! why.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::real_switch::RealSwitch;
use super::server::need;
use super::words::split;

fn lines_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/lines/ofctl")
}

fn lines(name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(lines_dir().join(name)).unwrap();
    let told = text.lines().map(str::trim_end);
    let lines = told.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

/// What came of a command line.
type Outcome = BTreeMap<&'static str, String>;

/// A program and its switch.
struct Side {
    program: PathBuf,
    switch: RealSwitch,
}

impl Side {
    fn run(&self, line: &str) -> Outcome {
        let output = Command::new(&self.program)
            .env("OVS_RUNDIR", &self.switch.dir)
            .env("OVS_SYSLOG_METHOD", "null")
            .current_dir(lines_dir())
            .arg("--timeout=60")
            .args(split(line))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let shown = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            let text = text.replace(&*self.program.to_string_lossy(), "PROGRAM");
            normalized(&text.replace(&*self.switch.dir.to_string_lossy(), "DIR"))
        };
        let status = match output.status.signal() {
            Some(signal) => format!("signal {signal}"),
            None => format!("{:?}", output.status.code()),
        };
        BTreeMap::from([
            ("status", status),
            ("stdout", shown(&output.stdout)),
            ("stderr", shown(&output.stderr)),
        ])
    }
}

/// A text without what differs from run to run: times, ages, and the order of groups.
fn normalized(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let words = line.split_inclusive([' ', ',', '(']).map(without_time);
        let line: String = words.collect();
        match line.split_once("Z|") {
            Some((time, rest)) if time.len() == 19 => format!("TIME|{rest}"),
            _ => line,
        }
    });
    let (groups, others): (Vec<String>, Vec<String>) =
        lines.partition(|line| line.starts_with(" group_id="));
    let groups: BTreeSet<String> = groups.into_iter().collect();
    let all = others.into_iter().chain(groups);
    all.map(|line| format!("{line}\n")).collect()
}

/// A word with a number behind these names, and rates, left out.
fn without_time(word: &str) -> String {
    const NAMES: [&str; 6] = [
        "duration=",
        "duration:",
        "duration",
        "idle_age=",
        "hard_age=",
        "time=",
    ];
    let number = |text: &str| {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '?');
        text.split_at(end.unwrap_or(text.len())).1.to_owned()
    };
    match NAMES.iter().find(|name| word.starts_with(**name)) {
        Some(name) => format!("{name}N{}", number(&word[name.len()..])),
        None => word.to_owned(),
    }
}

/// The parts of results that may differ, by command line.
fn known_differences() -> BTreeMap<String, BTreeSet<String>> {
    let entries = lines("differences.txt").into_iter().map(|entry| {
        let (parts, line) = entry.split_once(": ").unwrap();
        (
            line.to_owned(),
            parts.split(',').map(str::to_owned).collect(),
        )
    });
    entries.collect()
}

/// Runs all lines of a file on both sides and tells every unexpected result.
fn compare(name: &str) {
    let dir = TempDir::new().unwrap();
    let program = dir.path().join("ovs-ofctl");
    symlink(env!("CARGO_BIN_EXE_vsctl"), &program).unwrap();
    let start = |name: &str, program: PathBuf| Side {
        program,
        switch: RealSwitch::start(&dir.path().join(name)),
    };
    let reference = start("reference", need("ovs-ofctl"));
    let ours = start("ours", program);
    let (known, mut faults) = (known_differences(), Vec::new());
    for line in lines(name) {
        let (expected, found) = (reference.run(&line), ours.run(&line));
        let allowed = known.get(&line).cloned().unwrap_or_default();
        for (part, expected) in &expected {
            let found = &found[part];
            match (expected == found, allowed.contains(*part)) {
                (false, false) => faults.push(format!("{line}\n- {expected}+ {found}")),
                (true, true) => faults.push(format!("{line}: {part} no longer differs")),
                _ => {}
            }
        }
    }
    let count = faults.len();
    assert!(
        faults.is_empty(),
        "{count} in {name}:\n{}",
        faults.join("\n")
    );
}

impl Side {
    /// What a monitor prints of changes, each up to the first line with the text beside it: what the
    /// real switch tells of one change in its own time doesn't get among what it tells of the next.
    fn monitored(&self, arguments: &str, changes: &[(&str, Option<&str>)]) -> String {
        let mut monitor = Command::new(&self.program)
            .env("OVS_RUNDIR", &self.switch.dir)
            .env("OVS_SYSLOG_METHOD", "null")
            .arg("--timeout=60")
            .args(split(arguments))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The flows that there are come on standard output, what changes on standard error.
        let present = BufReader::new(monitor.stdout.take().unwrap()).lines();
        let mut changed = BufReader::new(monitor.stderr.take().unwrap()).lines();
        let mut text = up_to(present, "table=8");
        for (change, awaited) in changes {
            self.run(change);
            if let Some(awaited) = awaited {
                text.push_str(&up_to(changed.by_ref(), awaited));
            }
        }
        monitor.kill().unwrap();
        monitor.wait().unwrap();
        normalized(&text)
    }
}

/// Lines up to the first with this text.
fn up_to(lines: impl Iterator<Item = std::io::Result<String>>, end: &str) -> String {
    let mut text = String::new();
    for line in lines.map(Result::unwrap) {
        text.push_str(&line);
        text.push('\n');
        if line.contains(end) {
            return text;
        }
    }
    panic!("no {end:?} in {text}");
}

#[test]
fn monitors_tell_the_same() {
    let dir = TempDir::new().unwrap();
    let program = dir.path().join("ovs-ofctl");
    symlink(env!("CARGO_BIN_EXE_vsctl"), &program).unwrap();
    let sides = [("reference", need("ovs-ofctl")), ("ours", program)].map(|(name, program)| {
        let side = Side {
            program,
            switch: RealSwitch::start(&dir.path().join(name)),
        };
        side.run("add-flow br0 table=8,actions=drop");
        side
    });
    let changes = [
        ("mod-port br0 p2 down", None),
        (
            "add-flow br0 table=5,cookie=7,tcp,tp_dst=80,send_flow_rem,actions=output:3",
            None,
        ),
        ("mod-flows br0 table=5,tcp,actions=output:2", None),
        ("del-flows br0 table=5", Some("FLOW_REMOVED")),
        ("mod-port br0 p2 up", None),
        ("add-flow br0 table=9,actions=normal", Some("table=9")),
    ];
    for version in ["OpenFlow10", "OpenFlow13", "OpenFlow14", "OpenFlow15"] {
        let arguments = format!("--no-names -O {version} monitor br0 65535 watch:");
        let [expected, found] = [0, 1].map(|at| {
            let text = sides[at].monitored(&arguments, &changes);
            sides[at].run("del-flows br0 table=9");
            text
        });
        assert_eq!(found, expected, "{version}");
    }
}

#[test]
fn command_lines() {
    compare("usage.txt");
}

#[test]
fn the_switch_and_its_ports() {
    compare("switch.txt");
}

#[test]
fn flows() {
    compare("flows.txt");
}

#[test]
fn groups_and_meters() {
    compare("groups.txt");
}

#[test]
fn later_versions() {
    compare("versions.txt");
}

#[test]
fn numbers_of_errors() {
    compare("errors.txt");
}
