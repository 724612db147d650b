//! What is seen of the switch's work: `vsctl top` on a terminal and for programs, and metrics.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};

use aorta_integration::lab::{Netns, Switch, SwitchOptions, Wire, binary, run};
use common::{Bed, done, eventually, frame};
use serde_json::Value;

/// To the page of its own, and back, with the cursor.
const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// A shell's line on a terminal of its own.
struct Screen {
    child: Child,
    keys: ChildStdin,
    seen: Arc<Mutex<String>>,
}

impl Screen {
    /// Runs a line in which `$vsctl` is the program.
    fn run(switch: &Switch, line: &str) -> Screen {
        let vsctl = binary(switch.bin_dir(), "vsctl").unwrap();
        let mut script = Command::new("script");
        script
            .args(["--quiet", "--flush", "--command", line, "/dev/null"])
            .env("vsctl", vsctl)
            .env("OVS_RUNDIR", switch.rundir())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = script.spawn().unwrap();
        let seen = Arc::new(Mutex::new(String::new()));
        let (mut out, text) = (child.stdout.take().unwrap(), Arc::clone(&seen));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = out.read(&mut bytes) {
                let part = String::from_utf8_lossy(&bytes[..count]).into_owned();
                text.lock().unwrap().push_str(&part);
            }
        });
        Screen {
            keys: child.stdin.take().unwrap(),
            child,
            seen,
        }
    }

    fn wait_seen(&self, what: &str) {
        eventually(&format!("the terminal shows {what}"), || {
            self.seen.lock().unwrap().contains(what)
        });
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for the end; all that was shown.
    fn end(mut self) -> String {
        drop(self.keys);
        eventually("the program ends", || {
            self.child.try_wait().unwrap().is_some()
        });
        self.seen.lock().unwrap().clone()
    }
}

#[test]
fn a_screen_shows_rates_obeys_keys_and_leaves_the_terminal_as_it_was() {
    let bed = Bed::new("top");
    let probe = bed.probe();
    let line = "stty rows 24 cols 80; \"$vsctl\" top -d 0.2; stty -a";
    let mut screen = Screen::run(&bed.switch, line);
    screen.wait_seen(ENTER);
    screen.wait_seen("all bridges: 3 ports");
    // The stream's thousand packets a second, wherever the looks fall.
    screen.wait_seen("*rx bit/s");
    screen.wait_seen("NORMAL");
    screen.press("s");
    screen.wait_seen("*tx bit/s");
    screen.press("\tb");
    screen.wait_seen("br0: 3 ports");
    screen.press("q");
    let seen = screen.end();
    let (_, after) = seen.split_once(LEAVE).unwrap();
    assert!(!after.contains(ENTER), "{after}");
    for mode in ["icanon", "echo", "isig"] {
        let set = after.split_whitespace().any(|word| word == mode);
        assert!(set, "{mode}: {after}");
    }
    probe.finish().unwrap();
}

#[test]
fn a_signal_ends_it_and_the_terminal_is_as_it_was() {
    let bed = Bed::new("topsig");
    let line = "timeout --foreground --signal=TERM 2 \"$vsctl\" top -d 0.2; stty -a; echo the end";
    let screen = Screen::run(&bed.switch, line);
    screen.wait_seen("all bridges: 3 ports");
    screen.wait_seen("the end");
    let seen = screen.end();
    let (_, after) = seen.split_once(LEAVE).unwrap();
    for mode in ["icanon", "echo", "isig"] {
        let set = after.split_whitespace().any(|word| word == mode);
        assert!(set, "{mode}: {after}");
    }
}

#[test]
fn programs_get_as_many_lines_as_they_ask_for() {
    let bed = Bed::new("topjson");
    let probe = bed.probe();
    let vsctl = |words: &[&str]| bed.switch.vsctl(words).unwrap().ok().unwrap().stdout;
    let lines = vsctl(&["--json", "top", "br0", "-n", "2", "-d", "0.5"]);
    let looks: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(looks.len(), 2, "{lines}");
    let ports = looks[1]["ports"].as_array().unwrap();
    let va = ports.iter().find(|port| port["port"] == "va").unwrap();
    let rate = va["rx_packets_per_s"].as_f64().unwrap();
    assert!(rate > 50.0, "{lines}");
    probe.finish().unwrap();
    let text = vsctl(&["top", "-b", "-n", "1", "-d", "0.1", "-s", "name"]);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("all bridges: 3 ports"), "{text}");
    assert!(
        lines[2].starts_with("br0") && lines[3].starts_with("va"),
        "{text}"
    );
    let refused = bed.switch.vsctl(&["top", "nobr", "-b"]).unwrap();
    assert_eq!(refused.status, 1);
    assert!(
        refused.stderr.contains("no bridge named nobr"),
        "{refused:?}"
    );
}

/// A value of the text format.
fn value(text: &str, sample: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(sample));
    let line = line.unwrap_or_else(|| panic!("{sample}: {text}"));
    line.trim().parse().unwrap()
}

#[test]
fn prometheus_reads_what_the_switch_counts() {
    let ns = Netns::new("metrics").unwrap();
    ns.disable_ipv6().unwrap();
    let options = SwitchOptions {
        args: vec!["--metrics".to_owned(), "127.0.0.1:9475".to_owned()],
        ..SwitchOptions::default()
    };
    let wire = Wire::new(&ns, "tq").unwrap();
    let switch = Switch::start_with(Some(&ns), options).unwrap();
    done(&switch, "add-br br0 -- add-port br0 tq");
    done(&switch, "add-flow br0 table=1,priority=9,ip,actions=drop");
    let metrics = || {
        let words = ["curl", "-sS", "--fail", "http://127.0.0.1:9475/metrics"];
        ns.run(&words).unwrap().ok().unwrap().stdout
    };
    let port = |text: &str, name: &str| {
        value(
            text,
            &format!("aorta_port_{name}{{bridge=\"br0\",port=\"tq\"}} "),
        )
    };
    let before = metrics();
    wire.send(&frame(0xff, 0x77, None)).unwrap();
    for _ in 0..5 {
        // To a station behind the port that it comes from.
        wire.send(&frame(0x77, 0x77, None)).unwrap();
    }
    let name = "receive_packets_total";
    eventually("five frames are counted", || {
        port(&metrics(), name) >= port(&before, name) + 5.0
    });
    let after = metrics();
    assert_eq!(port(&after, "attached"), 1.0);
    assert!(port(&after, "receive_bytes_total") >= port(&before, "receive_bytes_total") + 300.0);
    let drops = after
        .lines()
        .filter(|l| l.starts_with("aorta_port_drops_total{"));
    let dropped: f64 = drops
        .map(|l| l.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap())
        .sum();
    assert!(dropped >= 5.0, "{after}");
    assert!(
        after.contains("aorta_table_flows{bridge=\"br0\",table=\"0\""),
        "{after}"
    );
    assert!(value(&after, "aorta_bridge_program_instructions{bridge=\"br0\"} ") > 10.0);
    assert!(value(&after, "aorta_flow_change_seconds_count ") >= 1.0);
    assert!(value(&after, "aorta_reconcile_seconds_count ") >= 1.0);
    assert!(value(&after, "aorta_ovsdb_commit_seconds_count ") >= 1.0);
    assert!(value(&after, "aorta_ovsdb_file_bytes ") > 10_000.0);
    assert_eq!(
        value(&after, "aorta_openflow_connections{bridge=\"br0\"} "),
        0.0
    );
    let socket = switch.rundir().join("aorta.sock");
    let unix = [
        "-sS",
        "--unix-socket",
        socket.to_str().unwrap(),
        "http://localhost/metrics",
    ];
    let same = run(Command::new("curl").args(unix)).unwrap().ok().unwrap();
    assert!(same.stdout.contains("aorta_build_info{"), "{same:?}");
    let post = "curl -s -o /dev/null -w %{http_code} -d {} http://127.0.0.1:9475/";
    let post: Vec<&str> = post.split(' ').collect();
    assert_eq!(ns.run(&post).unwrap().stdout, "404");
}
