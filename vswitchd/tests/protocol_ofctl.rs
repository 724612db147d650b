//! Commands of the real `ovs-ofctl`, one after the other, to our switch and to the real
//! `ovs-vswitchd --enable-dummy`: output, complaints and exit status compared. Some versions of
//! OpenFlow are tried; with AORTA_OFCTL_VERSIONS=all each of them.

#![allow(clippy::unwrap_used, clippy::panic)]
// The other tests use what this one doesn't.
#![allow(dead_code)]

mod sim;
#[path = "sim/text.rs"]
mod text;

use sim::{Pair, Switch};

const LINES: &str = include_str!("lines/ofctl.txt");

/// Bridge br0 without flows, with ports p1 to p3.
fn pair() -> Pair {
    let pair = Pair::start();
    let mut line = "add-br br0 -- set bridge br0 datapath_type=dummy fail_mode=secure \
                    other-config:hwaddr=aa:55:aa:55:00:00 \
                    other-config:datapath-id=00000000000000a1"
        .to_owned();
    for n in 1..=3 {
        line +=
            &format!(" -- add-port br0 p{n} -- set interface p{n} type=dummy ofport_request={n}");
    }
    pair.each(|switch| {
        std::fs::write(switch.path("one.flows"), "priority=5,tcp actions=drop\n").unwrap();
        std::fs::write(
            switch.path("two.flows"),
            "priority=6,udp actions=output:2\n",
        )
        .unwrap();
        switch.vsctl(&line);
    });
    pair
}

/// What the tool says of a line, and how it ends.
fn said(switch: &Switch, arguments: &str) -> (Option<i32>, String) {
    let output = switch.run("ovs-ofctl", arguments);
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    let dir = switch.path("").display().to_string();
    // What the tool logs has its own times, and is about itself.
    let logged = |line: &&str| {
        ["|WARN|", "|INFO|"]
            .iter()
            .any(|level| line.contains(level))
    };
    let lines = text.lines().filter(|line| !logged(line));
    let lines =
        lines.map(|line| text::without_times(&line.replace(dir.trim_end_matches('/'), "DIR")));
    let mut lines: Vec<String> = lines.collect();
    if arguments.contains("dump-") || arguments.contains("queue-stats") {
        lines.sort();
    }
    (output.status.code(), lines.join("\n"))
}

/// Whether `docs/controllers.md` says that a line's answers differ in a version.
fn differs(version: u8, line: &str) -> bool {
    match line {
        "dump-tables br0" => true,
        "dump-table-features br0" | "dump-ports br0 ANY" => version >= 14,
        _ => false,
    }
}

fn compare(version: u8) {
    let pair = pair();
    let lines = LINES.lines().map(str::trim);
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let arguments = match line.contains("-O ") {
            true => line.to_owned(),
            false => format!("-O OpenFlow{version} {line}"),
        };
        let (ours, real) = (said(&pair.ours, &arguments), said(&pair.real, &arguments));
        if !differs(version, line) {
            assert_eq!(
                ours, real,
                "{arguments}:\nours:\n{}\nreal:\n{}",
                ours.1, real.1
            );
        }
    }
}

/// Those that are tried only if somebody asks.
fn compare_if_asked(version: u8) {
    match std::env::var("AORTA_OFCTL_VERSIONS") {
        Ok(which) if which == "all" => compare(version),
        _ => eprintln!("skipped: 1.0, 1.3 and 1.5 stand for all; AORTA_OFCTL_VERSIONS=all"),
    }
}

#[test]
fn openflow_1_0() {
    compare(10);
}

#[test]
fn openflow_1_1() {
    compare_if_asked(11);
}

#[test]
fn openflow_1_2() {
    compare_if_asked(12);
}

#[test]
fn openflow_1_3() {
    compare(13);
}

#[test]
fn openflow_1_4() {
    compare_if_asked(14);
}

#[test]
fn openflow_1_5() {
    compare(15);
}
