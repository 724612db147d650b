//! What bridges do with their controllers and without them, with real packets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Bed, RIGHT, done, eventually, pings};

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
    assert_eq!(flows(&bed), "", "no flow of the tables does it");
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
