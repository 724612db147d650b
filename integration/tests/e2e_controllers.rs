//! What bridges do with their controllers and without them, with real packets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::process::{Child, Command, Stdio};

use aorta_integration::lab::Netns;
use common::{Bed, RIGHT, column, done, eventually, pings};

/// The controller of Open vSwitch's tests; killed with the value.
struct Controller(Child);

impl Controller {
    /// One that switches by the addresses that it sees, with packets and flows.
    fn start(ns: &Netns, options: &[&str]) -> Controller {
        let mut command: Command = ns.command("ovs-testcontroller");
        command.args(["--unixctl=none", "-voff", "ptcp:6653:127.0.0.1"]);
        let command = command.args(options).stdin(Stdio::null());
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Controller(child.unwrap())
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn flows(bed: &Bed) -> String {
    let dumped = bed
        .switch
        .client("ovs-appctl", &["bridge/dump-flows", "br0"]);
    dumped.unwrap().ok().unwrap().stdout
}

/// Names a controller that is tried again every second and may be silent for one.
fn set_controller(bed: &Bed) {
    let row = "inactivity_probe=1000 max_backoff=1000";
    done(
        &bed.switch,
        &format!("set-controller br0 tcp:127.0.0.1:6653 -- set Controller br0 {row}"),
    );
}

#[test]
fn a_bridge_that_may_switches_by_itself_while_its_controller_is_away() {
    let bed = Bed::new("failopen");
    set_controller(&bed);
    assert!(
        !pings(&bed.left, RIGHT),
        "a controller's bridge has no flow"
    );
    bed.wait_connected();
    let shown = flows(&bed);
    assert_eq!(
        shown.lines().count(),
        1,
        "no flow of the tables does it: {shown}"
    );
    assert!(
        shown.contains(", priority=15790320,actions=NORMAL"),
        "{shown}"
    );
    assert!(!shown.contains("n_packets=0,"), "{shown}");
    done(&bed.switch, "set-fail-mode br0 secure");
    eventually("a secure bridge doesn't", || !pings(&bed.left, RIGHT));
    done(&bed.switch, "set-fail-mode br0 standalone");
    bed.wait_connected();
    done(&bed.switch, "del-controller br0");
    bed.wait_connected();
    assert!(flows(&bed).contains("priority=0,actions=NORMAL"));
    done(&bed.switch, "set-fail-mode br0 secure");
    assert!(!pings(&bed.left, RIGHT));
    assert_eq!(flows(&bed), "");
}

#[test]
fn packets_go_as_a_controller_says_by_flows_and_one_by_one() {
    let bed = Bed::new("ofpackets");
    for options in [&[][..], &["--noflow"], &["--hub"], &["-O", "OpenFlow13"]] {
        let controller = Controller::start(&bed.ns, options);
        done(&bed.switch, "set-fail-mode br0 secure");
        set_controller(&bed);
        let id = done(&bed.switch, "--bare --columns=_uuid list Controller");
        eventually("the controller is connected", || {
            column(&bed.switch, "Controller", &id, "is_connected") == "true"
        });
        bed.wait_connected();
        let own = || {
            flows(&bed)
                .lines()
                .filter(|flow| !flow.contains("priority=0,"))
                .count()
        };
        if options.contains(&"--noflow") {
            assert_eq!(own(), 0, "{}", flows(&bed));
        } else {
            eventually("flows are made", || own() > 0);
        }
        drop(controller);
        done(&bed.switch, "del-controller br0");
    }
}
