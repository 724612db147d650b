//! Flow tables in the kernel, on real taps: what must hold beyond one packet's way. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod flow_lab;
mod lab;

use aorta_packet::MacAddr;
use flow_lab::{Flows, MTU, apply, bridge, frame, port, station};
use lab::Lab;

#[test]
fn ports_follow_their_bridge_to_flows_and_back_to_normal() {
    let lab = Lab::new("fkinds");
    let (a, b) = (lab.tap("ka", MTU), lab.tap("kb", MTU));
    let mut datapath = lab.datapath();
    let ports = || vec![port(&a, 1), port(&b, 2)];
    let mut flows = Flows::new("br0");
    flows.change(&mut datapath, &["priority=0,actions=NORMAL"]);
    apply(&mut datapath, vec![bridge("br0", ports())]);
    let broadcast = frame(MacAddr::BROADCAST, station(1));
    a.send(&broadcast).unwrap();
    assert_eq!(b.receive_all(), std::slice::from_ref(&broadcast));

    let applied = flows.change(
        &mut datapath,
        &["delete", "table=0,dl_src=02:00:00:00:00:09,actions=drop"],
    );
    assert!(!applied.in_place);
    a.send(&broadcast).unwrap();
    assert_eq!(b.receive_all().len(), 0);

    flows.change(&mut datapath, &["delete", "priority=0,actions=NORMAL"]);
    a.send(&broadcast).unwrap();
    assert_eq!(b.receive_all(), [broadcast]);
}
