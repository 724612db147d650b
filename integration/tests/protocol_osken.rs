//! Controllers made with os-ken, switching packets between namespaces.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use aorta_integration::lab::python;
use common::{Bed, RIGHT, column, done, eventually, pings, wait_interface};

/// A controller; it ends with the value.
struct Controller(Child);

impl Drop for Controller {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A script. The namespace is the test's own, so that any port is free.
fn script(bed: &Bed, name: &str) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python");
    let mut command = bed.ns.command(python().unwrap());
    command.arg(script.join(name));
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

fn learning_switch(bed: &Bed, version: &str) -> Controller {
    let mut command = script(bed, "osken_switch.py");
    Controller(command.args([version, "6653"]).spawn().unwrap())
}

fn flows(bed: &Bed) -> String {
    let words = ["-O", "OpenFlow13", "dump-flows", "br0"];
    let dumped = bed.switch.client("ovs-ofctl", &words);
    dumped.unwrap().ok().unwrap().stdout
}

fn switches(version: &str, label: &str) {
    let bed = Bed::new(label);
    done(&bed.switch, "set-fail-mode br0 secure");
    done(&bed.switch, "set-controller br0 tcp:127.0.0.1:6653");
    done(&bed.switch, "set Controller br0 max_backoff=1000");
    assert!(!pings(&bed.left, RIGHT), "there is no flow");
    let controller = learning_switch(&bed, version);
    bed.wait_connected();
    eventually("both directions have a flow", || {
        pings(&bed.left, RIGHT) && flows(&bed).matches("priority=1,").count() >= 2
    });
    assert!(flows(&bed).contains("actions=CONTROLLER:65535"));
    drop(controller);
    assert!(pings(&bed.left, RIGHT), "what was added stays");
}

#[test]
fn a_learning_switch_in_openflow_1_3() {
    switches("1.3", "osken13");
}

#[test]
fn a_learning_switch_in_openflow_1_5() {
    switches("1.5", "osken15");
}

/// Sum of a counter of the flows that the learning switch made.
fn learned_packets(bed: &Bed) -> u64 {
    let dumped = flows(bed);
    let own = dumped.lines().filter(|line| line.contains("priority=1,"));
    let packets = own.filter_map(|line| {
        let (_, behind) = line.split_once("n_packets=")?;
        behind.split_once(',')?.0.parse::<u64>().ok()
    });
    packets.sum()
}

fn group_packets(bed: &Bed) -> String {
    let words = ["-O", "OpenFlow13", "dump-group-stats", "br0"];
    let dumped = bed.switch.client("ovs-ofctl", &words);
    let text = dumped.unwrap().ok().unwrap().stdout;
    let line = text.lines().find(|line| line.contains("group_id=7"));
    let (_, behind) = line.unwrap().split_once("packet_count=").unwrap();
    behind.split(',').next().unwrap().to_owned()
}

/// A controller that comes back after the daemon was killed finds its flows, and what they and the
/// groups have counted.
#[test]
fn a_returning_controller_finds_what_it_made() {
    let mut bed = Bed::new("oskenback");
    done(&bed.switch, "set-fail-mode br0 secure");
    done(&bed.switch, "set-controller br0 tcp:127.0.0.1:6653");
    done(&bed.switch, "set Controller br0 max_backoff=1000");
    let _controller = learning_switch(&bed, "1.3");
    let id = done(&bed.switch, "--bare --columns=_uuid list Controller");
    let connected = |bed: &Bed| column(&bed.switch, "Controller", &id, "is_connected") == "true";
    eventually("the controller is connected", || connected(&bed));
    eventually("both directions have a flow", || {
        pings(&bed.left, RIGHT) && flows(&bed).matches("priority=1,").count() >= 2
    });
    for line in [
        "add-group br0 group_id=7,type=all,bucket=output:2",
        "add-flow br0 priority=9,in_port=1,ip,nw_dst=192.0.2.9,actions=group:7",
    ] {
        let words: Vec<&str> = ["-O", "OpenFlow13"]
            .into_iter()
            .chain(line.split(' '))
            .collect();
        bed.switch
            .client("ovs-ofctl", &words)
            .unwrap()
            .ok()
            .unwrap();
    }
    // Nobody answers, but the group has the packets.
    let neighbour = [
        "ip",
        "neigh",
        "add",
        "192.0.2.9",
        "lladdr",
        "02:00:00:00:00:99",
        "dev",
        "eth0",
    ];
    bed.left.run(&neighbour).unwrap().ok().unwrap();
    assert!(!pings(&bed.left, "192.0.2.9"));
    eventually("the group has counted", || group_packets(&bed) != "0");
    assert!(pings(&bed.left, RIGHT));
    for _ in 0..2 {
        let (before, grouped) = (learned_packets(&bed), group_packets(&bed));
        assert!(before > 0);
        bed.switch.kill().unwrap();
        bed.switch.restart().unwrap();
        eventually("the controller is connected again", || connected(&bed));
        assert!(learned_packets(&bed) >= before, "{before}: {}", flows(&bed));
        assert_eq!(group_packets(&bed), grouped);
        assert!(pings(&bed.left, RIGHT));
    }
}

/// What two controllers are told, as Open vSwitch 3.1 tells it.
fn roles(version: &str, label: &str, expected: &str) {
    let bed = Bed::new(label);
    done(&bed.switch, "set-fail-mode br0 secure");
    // Nothing shall come but what the script sends.
    for (station, port) in [(&bed.left, "va"), (&bed.right, "vb")] {
        station.ip(&["link", "set", "eth0", "down"]).unwrap();
        wait_interface(&bed.switch, port, "link_state", "down");
    }
    let mut command = script(&bed, "osken_roles.py");
    command
        .args([version, "6653", "6654"])
        .stdout(Stdio::piped());
    let mut controllers = Controller(command.spawn().unwrap());
    let mut output = BufReader::new(controllers.0.stdout.take().unwrap());
    let mut told = String::new();
    output.read_line(&mut told).unwrap();
    assert_eq!(told, "ready\n");
    let targets = "set-controller br0 tcp:127.0.0.1:6653 tcp:127.0.0.1:6654";
    done(&bed.switch, targets);
    output.read_to_string(&mut told).unwrap();
    assert_eq!(told, expected);
    assert!(controllers.0.wait().unwrap().success());
}

#[test]
fn two_controllers_have_roles_in_openflow_1_3() {
    roles("1.3", "roles13", include_str!("python/osken_roles_1.3.txt"));
}

#[test]
fn two_controllers_have_roles_in_openflow_1_4() {
    roles("1.4", "roles14", include_str!("python/osken_roles_1.4.txt"));
}
