//! VLAN modes of ports, frame by frame. Taps stand for the guests: they show tags as they are,
//! and need no VLAN devices in the kernel.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeMap;

use aorta_integration::lab::{Netns, Switch, Wire};
use common::{done, fdb, frame, frame_to, is_ours, port, vlan_of};

/// Ports and their settings.
const PORTS: [(&str, &str); 6] = [
    ("a10", "tag=10"),
    ("a20", "tag=20"),
    ("trunk", "trunks=10,20"),
    ("nt", "vlan_mode=native-tagged tag=10 trunks=10,20"),
    ("nu", "vlan_mode=native-untagged tag=10 trunks=10,20"),
    ("any", ""),
];

/// What is sent (port, tag) and where it must come out with which tag. Everything else must stay
/// silent.
type Case = (
    &'static str,
    Option<u16>,
    &'static [(&'static str, Option<u16>)],
);

const CASES: [Case; 13] = [
    (
        "a10",
        None,
        &[
            ("trunk", Some(10)),
            ("nt", Some(10)),
            ("nu", None),
            ("any", Some(10)),
        ],
    ),
    (
        "a20",
        None,
        &[
            ("trunk", Some(20)),
            ("nt", Some(20)),
            ("nu", Some(20)),
            ("any", Some(20)),
        ],
    ),
    (
        "trunk",
        Some(10),
        &[
            ("a10", None),
            ("nt", Some(10)),
            ("nu", None),
            ("any", Some(10)),
        ],
    ),
    (
        "trunk",
        Some(20),
        &[
            ("a20", None),
            ("nt", Some(20)),
            ("nu", Some(20)),
            ("any", Some(20)),
        ],
    ),
    ("trunk", Some(30), &[]),
    ("trunk", None, &[]),
    (
        "nt",
        None,
        &[
            ("a10", None),
            ("trunk", Some(10)),
            ("nu", None),
            ("any", Some(10)),
        ],
    ),
    (
        "nt",
        Some(10),
        &[
            ("a10", None),
            ("trunk", Some(10)),
            ("nu", None),
            ("any", Some(10)),
        ],
    ),
    (
        "nu",
        None,
        &[
            ("a10", None),
            ("trunk", Some(10)),
            ("nt", Some(10)),
            ("any", Some(10)),
        ],
    ),
    ("a10", Some(20), &[]),
    (
        "any",
        Some(10),
        &[
            ("a10", None),
            ("trunk", Some(10)),
            ("nt", Some(10)),
            ("nu", None),
        ],
    ),
    ("any", Some(30), &[]),
    ("any", None, &[]),
];

struct Lab {
    switch: Switch,
    wires: BTreeMap<&'static str, Wire>,
    _ns: Netns,
}

impl Lab {
    fn new(label: &str, ports: &[(&'static str, &str)]) -> Lab {
        let ns = Netns::new(label).unwrap();
        ns.disable_ipv6().unwrap();
        let switch = Switch::start(&ns).unwrap();
        let mut command = "add-br br0".to_owned();
        let mut wires = BTreeMap::new();
        for (name, settings) in ports {
            wires.insert(*name, Wire::new(&ns, name).unwrap());
            command += &format!(" -- add-port br0 {name} {settings}");
        }
        done(&switch, &command);
        Lab {
            switch,
            wires,
            _ns: ns,
        }
    }

    /// Where a frame comes out, and its VLAN there.
    fn send(&self, from: &str, frame: &[u8]) -> BTreeMap<&'static str, Option<u16>> {
        for wire in self.wires.values() {
            wire.receive_all();
        }
        self.wires[from].send(frame).unwrap();
        let mut out = BTreeMap::new();
        for (name, wire) in &self.wires {
            let frames: Vec<_> = wire.receive_all();
            for frame in frames.iter().filter(|f| is_ours(f)) {
                assert_eq!(out.insert(*name, vlan_of(frame)), None, "twice at {name}");
            }
        }
        out
    }
}

#[test]
fn frames_come_out_where_their_vlan_is_with_the_tag_of_the_port() {
    let lab = Lab::new("modes", &PORTS);
    for (number, (from, tag, wanted)) in CASES.into_iter().enumerate() {
        let source = u8::try_from(number).unwrap();
        let out = lab.send(from, &frame(0xff, source, tag));
        let wanted: BTreeMap<_, _> = wanted.iter().copied().collect();
        assert_eq!(out, wanted, "from {from} with tag {tag:?}");
    }
    for name in ["trunk", "a10"] {
        let drops = port(&lab.switch, name).drops;
        assert!(drops.values().sum::<u64>() >= 1, "{name}: {drops:?}");
    }
}

#[test]
fn a_station_is_learned_in_its_vlan_and_found_there_only() {
    let lab = Lab::new("learn", &PORTS);
    lab.send("trunk", &frame(0xff, 1, Some(10)));
    let learned = fdb(&lab.switch, "br0");
    let entry = learned.iter().find(|e| e.mac == "02:00:00:00:00:01");
    let entry = entry.unwrap_or_else(|| panic!("{learned:?}"));
    assert_eq!((entry.port.as_str(), entry.vlan), ("trunk", 10));
    // To it from its own VLAN: there alone. From another: flooded, and not to it.
    let out = lab.send("a10", &frame(1, 2, None));
    assert_eq!(out, BTreeMap::from([("trunk", Some(10))]));
    let out = lab.send("a20", &frame(1, 3, None));
    assert!(
        out.len() == 4 && out.get("trunk") == Some(&Some(20)),
        "{out:?}"
    );
    // The station moves.
    lab.send("nu", &frame(0xff, 1, None));
    let out = lab.send("a10", &frame(1, 2, None));
    assert_eq!(out, BTreeMap::from([("nu", None)]));
    // And is never sent back where a frame came from.
    assert!(lab.send("nu", &frame(1, 4, None)).is_empty());
}

#[test]
fn a_changed_vlan_holds_from_the_next_frame_on() {
    let lab = Lab::new(
        "change",
        &[("x", "tag=10"), ("y", "tag=10"), ("z", "tag=20")],
    );
    assert_eq!(lab.send("x", &frame(0xff, 1, None)).keys().count(), 1);
    done(&lab.switch, "set Port y tag=20");
    assert!(lab.send("x", &frame(0xff, 1, None)).is_empty());
    let out = lab.send("y", &frame(0xff, 2, None));
    assert_eq!(out, BTreeMap::from([("z", None)]));
    done(&lab.switch, "clear Port x tag -- set Port x trunks=20");
    let out = lab.send("y", &frame(0xff, 2, None));
    assert_eq!(out, BTreeMap::from([("x", Some(20)), ("z", None)]));
}

#[test]
fn reserved_multicast_passes_only_with_forward_bpdu() {
    let lab = Lab::new("bpdu", &[("x", ""), ("y", "")]);
    let reserved = |last| frame_to([0x01, 0x80, 0xc2, 0, 0, last], 1, None);
    let passes = |last| !lab.send("x", &reserved(last)).is_empty();
    for last in [0x00, 0x02, 0x0e, 0x0f] {
        assert!(!passes(last), "{last:#x}");
    }
    assert!(passes(0x10), "not one of the reserved sixteen");
    let drops = port(&lab.switch, "x").drops;
    assert_eq!(drops.values().sum::<u64>(), 4, "{drops:?}");
    done(&lab.switch, "set Bridge br0 other_config:forward-bpdu=true");
    for last in [0x00, 0x02, 0x0e, 0x0f] {
        assert!(passes(last), "{last:#x}");
    }
    done(&lab.switch, "remove Bridge br0 other_config forward-bpdu");
    assert!(!passes(0x00));
}

#[test]
fn the_mac_table_keeps_to_its_size() {
    let lab = Lab::new("size", &[("x", ""), ("y", "")]);
    let learn = || {
        for station in 1..=60 {
            lab.send("x", &frame(0xff, station, None));
        }
        fdb(&lab.switch, "br0").len()
    };
    done(&lab.switch, "set Bridge br0 other_config:mac-table-size=20");
    let few = learn();
    assert!((1..=20).contains(&few), "{few} of 20 places");
    done(
        &lab.switch,
        "set Bridge br0 other_config:mac-table-size=500",
    );
    assert_eq!(learn(), 60);
}

#[test]
fn a_silent_station_is_forgotten_after_the_ageing_time() {
    let lab = Lab::new("ageing", &[("x", ""), ("y", ""), ("z", "")]);
    // The shortest that is taken, in seconds.
    done(&lab.switch, "set Bridge br0 other_config:mac-aging-time=15");
    let asked = std::time::Instant::now();
    lab.send("x", &frame(0xff, 1, None));
    lab.send("y", &frame(0xff, 2, None));
    let knows = |mac: &str| fdb(&lab.switch, "br0").iter().any(|e| e.mac == mac);
    let known = lab.send("y", &frame(1, 2, None));
    assert_eq!(known, BTreeMap::from([("x", None)]));
    common::eventually("the silent station is forgotten", || {
        lab.send("y", &frame(0xff, 2, None));
        !knows("02:00:00:00:00:01")
    });
    assert!(asked.elapsed().as_secs() >= 14, "{:?}", asked.elapsed());
    assert!(knows("02:00:00:00:00:02"), "the other has gone on talking");
    let flooded = lab.send("y", &frame(1, 2, None));
    assert_eq!(flooded.len(), 2);
}
