//! Priorities of frames that NORMAL switches: the same tags leave by ports of every VLAN mode of our
//! switch and of the real `ovs-vswitchd --enable-dummy` (needs Open vSwitch installed, no root).

#![allow(clippy::unwrap_used, clippy::panic)]
// The other tests use what this one doesn't.
#![allow(dead_code)]

mod sim;

use sim::{Pair, Switch};

/// Each port's row, as `ovs-vsctl add-port` is told.
const PORTS: [(&str, &str); 15] = [
    ("trunk1", ""),
    ("access1", "tag=10"),
    ("native1", "tag=10 vlan_mode=native-untagged"),
    ("tagged1", "tag=10 vlan_mode=native-tagged"),
    ("trunk2", ""),
    ("trunk3", "other_config:priority-tags=if-nonzero"),
    ("trunk4", "other_config:priority-tags=always"),
    ("access2", "tag=10 other_config:priority-tags=if-nonzero"),
    ("access3", "tag=10 other_config:priority-tags=always"),
    ("access4", "tag=10 other_config:priority-tags=true"),
    (
        "native2",
        "tag=10 vlan_mode=native-untagged other_config:priority-tags=if-nonzero",
    ),
    (
        "native3",
        "tag=10 vlan_mode=native-untagged other_config:priority-tags=always",
    ),
    (
        "tagged2",
        "tag=10 vlan_mode=native-tagged other_config:priority-tags=always",
    ),
    ("few", "trunks=0,10 other_config:priority-tags=always"),
    ("others", "trunks=20 other_config:priority-tags=always"),
];

/// Tags of the frames, in digits: none, of priority 0 and 5, of a VLAN, and of IEEE 802.1ad; also
/// with others behind them.
const TAGS: [&str; 8] = [
    "",
    "81000000",
    "8100a000",
    "8100a00a",
    "88a80000",
    "88a8a000",
    "81000000810000070800",
    "8100a000810000070800",
];

fn left(switch: &Switch, frame: &str) -> Vec<(&'static str, Vec<String>)> {
    let of_port = |(port, _): (&'static str, &str)| {
        let mut captured = switch.captured(&format!("{port}.pcap"));
        captured.retain(|captured| captured.starts_with(&frame[..24]));
        (port, captured)
    };
    PORTS.map(of_port).to_vec()
}

#[test]
fn priorities_leave_alike() {
    let pair = Pair::start();
    let mut line = "add-br br0 -- set bridge br0 datapath_type=dummy".to_owned();
    for (port, row) in PORTS {
        line += &format!(
            " -- add-port br0 {port} {row} -- set interface {port} type=dummy \
             options:tx_pcap={port}.pcap"
        );
    }
    pair.each(|switch| drop(switch.vsctl(&line)));
    let mut frames = 0;
    for (from, _) in &PORTS[..4] {
        for tag in TAGS {
            frames += 1;
            let rest = "88b5000000000000000000000000000000000000000000000000";
            let frame = format!("50540000ffff5054000000{frames:02x}{tag}{rest}");
            pair.each(|switch| {
                switch.appctl("revalidator/purge");
                switch.receive(from, &frame);
            });
            let what = format!("{tag:?} from {from}");
            pair.same(&what, |switch| left(switch, &frame));
        }
    }
    let kept = pair.ours.captured("trunk2.pcap");
    assert!(
        kept.iter()
            .any(|frame| frame[24..].starts_with("8100a00088b5"))
    );
}
