//! The interpreter's own examples: each rule of NORMAL once, in words and bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use aorta_flow::{
    Attachment, Bridge, DropReason, IfIndex, Interpreter, OfPort, Port, PortVlan, PriorityTags,
    Snapshot, Verdict, VidSet,
};
use aorta_packet::{MacAddr, TPID_8021Q, Tci, Vid, VlanTag};

fn vid(vid: u16) -> Vid {
    Vid::new(vid).unwrap()
}

fn port(name: &str, ofport: u16, vlan: PortVlan) -> Port {
    let ifindex = IfIndex::new(ofport.into()).unwrap();
    let attachment = Attachment::Netdev {
        ifindex,
        up: true,
        mtu_bytes: 1500,
    };
    Port {
        vlan,
        ..Port::new(name.into(), OfPort(ofport), attachment)
    }
}

fn patch(name: &str, peer: &str, ofport: u16, vlan: PortVlan) -> Port {
    let attachment = Attachment::Patch { peer: peer.into() };
    Port {
        vlan,
        ..Port::new(name.into(), OfPort(ofport), attachment)
    }
}

fn bridge(name: &str, ports: Vec<Port>) -> Bridge {
    let (name, forward_bpdu) = (name.into(), false);
    Bridge {
        name,
        mac_aging_s: 300,
        mac_table_size: 100,
        forward_bpdu,
        ports,
    }
}

fn switch(ports: Vec<Port>) -> Interpreter {
    Interpreter::new(&Snapshot {
        bridges: vec![bridge("br0", ports)],
    })
}

fn station(n: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, n])
}

fn frame(dst: MacAddr, src: MacAddr) -> Vec<u8> {
    let mut frame = [dst.0, src.0].concat();
    frame.extend([0x08, 0x00, 1, 2, 3, 4]);
    frame
}

fn tagged(tci: u16, frame: &[u8]) -> Vec<u8> {
    VlanTag {
        tpid: TPID_8021Q,
        tci: Tci(tci),
    }
    .push(frame)
}

fn ports_of(verdict: &Verdict) -> Vec<&str> {
    verdict.outputs.iter().map(|o| o.port.as_str()).collect()
}

fn reasons(verdict: &Verdict) -> Vec<DropReason> {
    verdict.drops.iter().map(|(_, reason)| *reason).collect()
}

#[test]
fn unknown_is_flooded_known_is_not_and_nothing_goes_back() {
    let mut switch = switch(
        ["a", "b", "c"]
            .iter()
            .zip(1..)
            .map(|(n, p)| port(n, p, PortVlan::DEFAULT))
            .collect(),
    );
    let unknown = switch.receive(&"a".into(), &frame(station(2), station(1)), 0);
    assert_eq!(ports_of(&unknown), ["b", "c"]);
    let known = switch.receive(&"b".into(), &frame(station(1), station(2)), 0);
    assert_eq!(ports_of(&known), ["a"]);
    let back = switch.receive(&"a".into(), &frame(station(1), station(3)), 0);
    assert_eq!(
        (ports_of(&back), reasons(&back)),
        (vec![], vec![DropReason::SamePort])
    );
}

#[test]
fn a_station_is_forgotten_after_its_time() {
    let mut switch = switch(
        ["a", "b", "c"]
            .iter()
            .zip(1..)
            .map(|(n, p)| port(n, p, PortVlan::DEFAULT))
            .collect(),
    );
    switch.receive(&"a".into(), &frame(MacAddr::BROADCAST, station(1)), 0);
    let to_1 = frame(station(1), station(2));
    assert_eq!(ports_of(&switch.receive(&"b".into(), &to_1, 300)), ["a"]);
    assert_eq!(
        ports_of(&switch.receive(&"b".into(), &to_1, 301)),
        ["a", "c"]
    );
}

#[test]
fn an_access_port_takes_untagged_frames_and_a_trunk_gets_them_tagged() {
    let trunk = PortVlan::Trunk(VidSet::from_trunks([vid(10), vid(20)]));
    let mut switch = switch(vec![
        port("access", 1, PortVlan::Access(vid(10))),
        port("other", 2, PortVlan::Access(vid(20))),
        port("trunk", 3, trunk),
    ]);
    let plain = frame(MacAddr::BROADCAST, station(1));
    let out = switch.receive(&"access".into(), &plain, 0);
    assert_eq!(ports_of(&out), ["trunk"]);
    assert_eq!(out.outputs[0].frame, tagged(10, &plain));
    let refused = switch.receive(&"access".into(), &tagged(10, &plain), 0);
    assert_eq!(reasons(&refused), [DropReason::IngressVlan]);
    let back = switch.receive(&"trunk".into(), &tagged(0xe00a, &plain), 0);
    assert_eq!(
        (ports_of(&back), &back.outputs[0].frame),
        (vec!["access"], &plain)
    );
    let untagged = switch.receive(&"trunk".into(), &plain, 0);
    assert_eq!(
        reasons(&untagged),
        [DropReason::IngressVlan],
        "VLAN 0 is not in its trunks"
    );
}

#[test]
fn a_priority_tag_is_no_vlan_but_its_priority_stays() {
    let mut switch = switch(vec![
        port("access", 1, PortVlan::Access(vid(10))),
        port("trunk", 2, PortVlan::DEFAULT),
    ]);
    let plain = frame(MacAddr::BROADCAST, station(1));
    let out = switch.receive(&"access".into(), &tagged(0xa000, &plain), 0);
    assert_eq!(out.outputs[0].frame, tagged(0xa00a, &plain));
}

/// What leaves for a trunk and for a port that takes VLAN 10 off, each as it should for priorities.
fn leaving_with(priority: PriorityTags, from: u16, tags: &[u8]) -> [Vec<u8>; 2] {
    let mut ports = vec![
        port("access", 1, PortVlan::Access(vid(10))),
        port("trunk", 2, PortVlan::DEFAULT),
        port("other trunk", 3, PortVlan::DEFAULT),
        port("other access", 4, PortVlan::Access(vid(10))),
    ];
    ports[2..]
        .iter_mut()
        .for_each(|port| port.priority_tags = priority);
    let from_name = ports[usize::from(from) - 1].name.clone();
    let mut switch = switch(ports);
    let plain = frame(MacAddr::BROADCAST, station(1));
    let frame = [&plain[..12], tags, &plain[12..]].concat();
    let out = switch.receive(&from_name, &frame, 0).outputs;
    [3, 4].map(|number| {
        let name = ["other trunk", "other access"][number - 3];
        let left = out.iter().find(|output| output.port.as_str() == name);
        left.map_or(vec![0xee], |left| {
            left.frame[12..left.frame.len() - plain[12..].len()].to_vec()
        })
    })
}

#[test]
fn frames_without_a_vlan_don_t_leave_where_there_is_a_native_one() {
    let (native, trunks) = (vid(10), VidSet::All);
    let modes = [
        PortVlan::NativeTagged {
            native,
            trunks: trunks.clone(),
        },
        PortVlan::NativeUntagged {
            native,
            trunks: trunks.clone(),
        },
        PortVlan::NativeUntagged {
            native,
            trunks: VidSet::Only(vec![Vid::NONE, native]),
        },
    ];
    for mode in modes {
        let mut switch = switch(vec![
            port("trunk", 1, PortVlan::DEFAULT),
            port("native", 2, mode.clone()),
        ]);
        let plain = frame(MacAddr::BROADCAST, station(1));
        let out = switch.receive(&"trunk".into(), &plain, 0);
        assert_eq!(out.outputs, [], "{mode:?}");
        let out = switch.receive(&"trunk".into(), &tagged(10, &plain), 0);
        assert_eq!(out.outputs.len(), 1, "{mode:?}");
    }
}

#[test]
fn priorities_without_a_vlan_leave_as_the_port_says() {
    use PriorityTags::{Always, IfNonzero, Never};
    let nothing = vec![];
    let other_vlan = vec![0xee];
    let [tag, of_provider, empty] = [[0x81, 0, 0xa0, 0], [0x88, 0xa8, 0xa0, 0], [0x81, 0, 0, 0]];
    for mode in [Never, IfNonzero, Always] {
        // From a trunk: VLAN 0, of which access ports get nothing.
        for tag in [tag, of_provider] {
            let left = leaving_with(mode, 2, &tag);
            assert_eq!(left, [tag.to_vec(), other_vlan.clone()], "{mode:?}");
        }
        assert_eq!(leaving_with(mode, 2, &[])[0], nothing, "{mode:?}");
        let kept = if mode == Always {
            empty.to_vec()
        } else {
            vec![]
        };
        assert_eq!(leaving_with(mode, 2, &empty)[0], kept, "{mode:?}");
        // Into VLAN 10, and out of it.
        let left = leaving_with(mode, 1, &of_provider);
        let own = if mode == Never { vec![] } else { tag.to_vec() };
        assert_eq!(left, [vec![0x88, 0xa8, 0xa0, 10], own], "{mode:?}");
        let left = leaving_with(mode, 1, &empty);
        assert_eq!(left, [vec![0x81, 0, 0, 10], vec![]], "{mode:?}");
        let left = leaving_with(mode, 1, &[]);
        assert_eq!(left, [vec![0x81, 0, 0, 10], vec![]], "{mode:?}");
    }
}

#[test]
fn native_modes_differ_in_how_the_native_vlan_leaves() {
    let native = |tagged: bool| {
        let (native, trunks) = (vid(7), VidSet::from_trunks([vid(10)]));
        if tagged {
            PortVlan::NativeTagged { native, trunks }
        } else {
            PortVlan::NativeUntagged { native, trunks }
        }
    };
    let mut switch = switch(vec![
        port("in", 1, PortVlan::Access(vid(7))),
        port("tagged", 2, native(true)),
        port("untagged", 3, native(false)),
    ]);
    let plain = frame(MacAddr::BROADCAST, station(1));
    let out = switch.receive(&"in".into(), &plain, 0);
    assert_eq!(ports_of(&out), ["tagged", "untagged"]);
    assert_eq!(out.outputs[0].frame, tagged(7, &plain));
    assert_eq!(out.outputs[1].frame, plain);
    let from_native = switch.receive(&"untagged".into(), &plain, 0);
    assert_eq!(
        ports_of(&from_native),
        ["in", "tagged"],
        "untagged means the native VLAN"
    );
}

#[test]
fn stations_are_known_per_vlan() {
    let mut switch = switch(vec![
        port("a10", 1, PortVlan::Access(vid(10))),
        port("a20", 2, PortVlan::Access(vid(20))),
        port("b10", 3, PortVlan::Access(vid(10))),
        port("c10", 4, PortVlan::Access(vid(10))),
    ]);
    switch.receive(&"a20".into(), &frame(MacAddr::BROADCAST, station(1)), 0);
    let out = switch.receive(&"b10".into(), &frame(station(1), station(2)), 0);
    assert_eq!(ports_of(&out), ["a10", "c10"]);
}

#[test]
fn reserved_addresses_stop_here_unless_told_otherwise() {
    let ports = || {
        vec![
            port("a", 1, PortVlan::DEFAULT),
            port("b", 2, PortVlan::DEFAULT),
        ]
    };
    let bpdu = frame(MacAddr([1, 0x80, 0xc2, 0, 0, 0]), station(1));
    let mut normal = switch(ports());
    assert_eq!(
        reasons(&normal.receive(&"a".into(), &bpdu, 0)),
        [DropReason::Reserved]
    );
    assert!(
        normal.learned(0, 0).is_empty(),
        "nothing is learned from it"
    );
    let mut bridge = bridge("br0", ports());
    bridge.forward_bpdu = true;
    let mut open = Interpreter::new(&Snapshot {
        bridges: vec![bridge],
    });
    assert_eq!(ports_of(&open.receive(&"a".into(), &bpdu, 0)), ["b"]);
}

#[test]
fn a_patch_port_is_a_jump_and_its_vlan_mode_counts() {
    let bridges = vec![
        bridge(
            "one",
            vec![
                port("a", 1, PortVlan::Access(vid(5))),
                patch("p", "q", 2, PortVlan::Access(vid(5))),
            ],
        ),
        bridge(
            "two",
            vec![
                port("b", 1, PortVlan::DEFAULT),
                patch("q", "p", 2, PortVlan::Access(vid(9))),
            ],
        ),
    ];
    let mut switch = Interpreter::new(&Snapshot { bridges });
    let plain = frame(MacAddr::BROADCAST, station(1));
    let out = switch.receive(&"a".into(), &plain, 0);
    assert_eq!(
        (ports_of(&out), &out.outputs[0].frame),
        (vec!["b"], &tagged(9, &plain))
    );
}

#[test]
fn what_cannot_leave_is_dropped_for_a_reason() {
    let mut down = port("down", 2, PortVlan::DEFAULT);
    let mut small = port("small", 3, PortVlan::DEFAULT);
    down.attachment = Attachment::Absent;
    small.attachment = Attachment::Netdev {
        ifindex: IfIndex::new(3).unwrap(),
        up: true,
        mtu_bytes: 100,
    };
    let mut switch = switch(vec![port("a", 1, PortVlan::DEFAULT), down, small]);
    switch.receive(&"small".into(), &frame(MacAddr::BROADCAST, station(3)), 0);
    let mut long = frame(station(3), station(1));
    long.resize(119, 0);
    assert_eq!(
        reasons(&switch.receive(&"a".into(), &long, 0)),
        [DropReason::ExceedsMtu]
    );
    long.truncate(118);
    assert_eq!(ports_of(&switch.receive(&"a".into(), &long, 0)), ["small"]);
    switch.receive(&"down".into(), &frame(MacAddr::BROADCAST, station(2)), 0);
    let to_down = switch.receive(&"a".into(), &frame(station(2), station(1)), 0);
    assert_eq!(reasons(&to_down), [DropReason::PortDown]);
    let short = switch.receive(&"a".into(), &[0; 13], 0);
    assert_eq!(reasons(&short), [DropReason::Malformed]);
}
