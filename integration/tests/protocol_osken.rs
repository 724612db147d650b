//! Controllers made with os-ken, switching packets between namespaces.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::Path;
use std::process::Child;

use aorta_integration::lab::python;
use common::{Bed, RIGHT, done, eventually, pings};

/// A controller; it ends with the value.
struct Controller(Child);

impl Drop for Controller {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn learning_switch(bed: &Bed, version: &str) -> Controller {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/osken_switch.py");
    let mut command = bed.ns.command(python().unwrap());
    // The namespace is the test's own, so that any port is free.
    command.arg(script).args([version, "6653"]);
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    Controller(command.spawn().unwrap())
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
