//! The datapath on real taps: what must hold beyond one frame's way. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod lab;

use aorta_flow::{
    Attachment, Bridge, DropReason, IfIndex, OfPort, Port, PortName, PortVlan, Snapshot,
};
use aorta_kernel::{Config, Datapath, PortError};
use aorta_packet::{MacAddr, TPID_8021Q, Tci, Vid, VlanTag};
use lab::{Lab, Tap};

const TAP_MTU: u16 = 1500;

fn bridge(ports: Vec<Port>) -> Snapshot {
    Snapshot {
        bridges: vec![named_bridge("br0", ports)],
    }
}

fn named_bridge(name: &str, ports: Vec<Port>) -> Bridge {
    Bridge::new(name.into(), ports)
}

fn port(tap: &Tap, ofport: u16) -> Port {
    Port::new(
        tap.name.clone(),
        OfPort(ofport),
        tap.attachment(true, TAP_MTU.into()),
    )
}

fn patch(name: &str, peer: &str, ofport: u16) -> Port {
    Port::new(
        name.into(),
        OfPort(ofport),
        Attachment::Patch { peer: peer.into() },
    )
}

fn station(n: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, n])
}

fn frame(dst: MacAddr, src: MacAddr) -> Vec<u8> {
    let mut frame = [dst.0, src.0].concat();
    frame.extend([0x88, 0xb5]);
    frame.resize(60, 0x55);
    frame
}

fn apply(datapath: &mut Datapath, snapshot: &Snapshot) {
    let applied = datapath.apply(snapshot).unwrap();
    let failed: Vec<_> = applied
        .failed
        .iter()
        .map(|(p, e)| (p, aorta_kernel::chain(e)))
        .collect();
    assert!(failed.is_empty(), "{failed:?}");
}

fn drops(datapath: &Datapath, port: &PortName, reason: DropReason) -> u64 {
    let counters = datapath.counters().unwrap();
    let counters = counters.iter().find(|c| c.port == *port).unwrap();
    counters.drops.get(&reason).copied().unwrap_or(0)
}

fn all_drops(datapath: &Datapath) -> u64 {
    datapath
        .counters()
        .unwrap()
        .iter()
        .flat_map(|c| c.drops.values())
        .sum()
}

#[test]
fn forwarding_outlives_the_daemon_and_its_successor_adopts_it() {
    let lab = Lab::new("restart");
    let (a, b) = (lab.tap("ra", TAP_MTU), lab.tap("rb", TAP_MTU));
    let snapshot = bridge(vec![port(&a, 1), port(&b, 2)]);
    let mut first = lab.datapath();
    apply(&mut first, &snapshot);
    a.send(&frame(MacAddr::BROADCAST, station(1))).unwrap();
    assert_eq!(b.receive_all().len(), 1);
    drop(first);

    b.send(&frame(station(1), station(2))).unwrap();
    assert_eq!(a.receive_all().len(), 1, "no daemon, yet it forwards");

    let mut second = lab.datapath();
    a.send(&frame(station(2), station(1))).unwrap();
    assert_eq!(
        b.receive_all().len(),
        1,
        "a new daemon that hasn't configured anything yet"
    );
    apply(&mut second, &snapshot);
    b.send(&frame(station(1), station(2))).unwrap();
    assert_eq!(a.receive_all().len(), 1);
    let learned = second.fdb(&"br0".into()).unwrap();
    assert_eq!(learned.len(), 2, "learned addresses live on: {learned:?}");
    let counters = second.counters().unwrap();
    assert_eq!(
        counters.iter().map(|c| c.rx_packets).sum::<u64>(),
        4,
        "counters live on"
    );
}

#[test]
fn no_frame_finds_a_gap_while_a_successor_takes_over() {
    let lab = Lab::new("gap");
    let (a, b) = (lab.tap("pa", TAP_MTU), lab.tap("pb", TAP_MTU));
    let near = vec![port(&a, 1), patch("near", "far", 2)];
    let far = vec![port(&b, 1), patch("far", "near", 2)];
    let bridges = vec![named_bridge("left", near), named_bridge("right", far)];
    let snapshot = Snapshot { bridges };
    let mut datapath = lab.datapath();
    apply(&mut datapath, &snapshot);
    b.send(&frame(MacAddr::BROADCAST, station(2))).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    let sent = std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let mut sent = 0u64;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                a.send(&frame(station(2), station(1))).unwrap();
                a.send(&frame(MacAddr::BROADCAST, station(1))).unwrap();
                b.receive_all();
                sent += 2;
            }
            sent
        });
        for _ in 0..20 {
            datapath = lab.datapath();
            apply(&mut datapath, &snapshot);
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        sender.join().unwrap()
    });
    assert_eq!(all_drops(&datapath), 0, "{:?}", datapath.counters());
    let counters = datapath.counters().unwrap();
    let out = counters.iter().find(|c| c.port == b.name).unwrap();
    assert_eq!(out.tx_packets, sent);
}

#[test]
fn a_port_removed_while_the_daemon_was_down_is_let_go() {
    let lab = Lab::new("gone");
    let (a, b, c) = (
        lab.tap("ga", TAP_MTU),
        lab.tap("gb", TAP_MTU),
        lab.tap("gc", TAP_MTU),
    );
    apply(
        &mut lab.datapath(),
        &bridge(vec![port(&a, 1), port(&b, 2), port(&c, 3)]),
    );
    let mut second = lab.datapath();
    apply(&mut second, &bridge(vec![port(&a, 1), port(&c, 3)]));
    a.send(&frame(MacAddr::BROADCAST, station(1))).unwrap();
    assert_eq!((b.receive_all().len(), c.receive_all().len()), (0, 1));
    b.send(&frame(MacAddr::BROADCAST, station(2))).unwrap();
    assert_eq!(a.receive_all().len(), 0, "its program is gone");
}

#[test]
fn teardown_leaves_nothing_behind() {
    let lab = Lab::new("down");
    let (a, b) = (lab.tap("ta", TAP_MTU), lab.tap("tb", TAP_MTU));
    apply(&mut lab.datapath(), &bridge(vec![port(&a, 1), port(&b, 2)]));
    Datapath::teardown(lab.config()).unwrap();
    assert!(!lab.config().pin_dir.exists());
    a.send(&frame(MacAddr::BROADCAST, station(1))).unwrap();
    assert_eq!(b.receive_all().len(), 0);
    Datapath::teardown(lab.config()).expect("a second time is no error");
}

#[test]
fn a_device_that_is_not_there_fails_alone() {
    let lab = Lab::new("fail");
    let (a, b) = (lab.tap("fa", TAP_MTU), lab.tap("fb", TAP_MTU));
    let mut ghost = port(&b, 3);
    ghost.name = "ghost".into();
    let ifindex = IfIndex::new(999_999).unwrap();
    ghost.attachment = Attachment::Netdev {
        ifindex,
        up: true,
        mtu_bytes: 1500,
    };
    let mut datapath = lab.datapath();
    let snapshot = bridge(vec![port(&a, 1), ghost, port(&b, 2)]);
    for _ in 0..2 {
        let applied = datapath.apply(&snapshot).unwrap();
        assert_eq!(applied.failed.len(), 1);
        let error = &applied.failed[&PortName::from("ghost")];
        assert!(
            matches!(
                error,
                PortError::Attach {
                    ifindex: 999_999,
                    ..
                }
            ),
            "{error}"
        );
        a.send(&frame(MacAddr::BROADCAST, station(1))).unwrap();
        assert_eq!(b.receive_all().len(), 1, "the others forward");
    }
}

#[test]
fn a_change_of_vlan_forgets_the_stations_behind_the_port() {
    let lab = Lab::new("vlan");
    let (a, b) = (lab.tap("va", TAP_MTU), lab.tap("vb", TAP_MTU));
    let mut snapshot = bridge(vec![port(&a, 1), port(&b, 2)]);
    let mut datapath = lab.datapath();
    apply(&mut datapath, &snapshot);
    a.send(&frame(MacAddr::BROADCAST, station(1))).unwrap();
    b.send(&frame(MacAddr::BROADCAST, station(2))).unwrap();
    assert_eq!(datapath.fdb(&"br0".into()).unwrap().len(), 2);
    snapshot.bridges[0].ports[0].vlan = PortVlan::Access(Vid::new(7).unwrap());
    apply(&mut datapath, &snapshot);
    let left = datapath.fdb(&"br0".into()).unwrap();
    assert_eq!(left.iter().map(|e| e.mac).collect::<Vec<_>>(), [station(2)]);
}

#[test]
fn the_mac_table_keeps_to_its_size_and_survives_a_change_of_it() {
    let lab = Lab::new("size");
    let (a, b) = (lab.tap("sa", TAP_MTU), lab.tap("sb", TAP_MTU));
    let mut snapshot = bridge(vec![port(&a, 1), port(&b, 2)]);
    snapshot.bridges[0].mac_table_size = 10;
    let mut datapath = lab.datapath();
    apply(&mut datapath, &snapshot);
    for n in 0..100 {
        a.send(&frame(MacAddr::BROADCAST, station(n))).unwrap();
    }
    let few = datapath.fdb(&"br0".into()).unwrap();
    assert!((1..=10).contains(&few.len()), "{} of 10 places", few.len());
    snapshot.bridges[0].mac_table_size = 1000;
    apply(&mut datapath, &snapshot);
    assert_eq!(
        datapath.fdb(&"br0".into()).unwrap().len(),
        few.len(),
        "moved to the new table"
    );
    for n in 0..100 {
        a.send(&frame(MacAddr::BROADCAST, station(n))).unwrap();
    }
    assert_eq!(datapath.fdb(&"br0".into()).unwrap().len(), 100);
}

#[test]
fn a_station_that_moves_is_followed_at_once() {
    let lab = Lab::new("move");
    let taps = [
        lab.tap("ma", TAP_MTU),
        lab.tap("mb", TAP_MTU),
        lab.tap("mc", TAP_MTU),
    ];
    let mut datapath = lab.datapath();
    let ports = taps
        .iter()
        .enumerate()
        .map(|(n, tap)| port(tap, n as u16 + 1))
        .collect();
    apply(&mut datapath, &bridge(ports));
    for home in [0, 1, 0, 1] {
        taps[home]
            .send(&frame(MacAddr::BROADCAST, station(1)))
            .unwrap();
        taps.iter().for_each(|tap| drop(tap.receive_all()));
        taps[2].send(&frame(station(1), station(3))).unwrap();
        assert_eq!(taps[home].receive_all().len(), 1, "it is behind {home}");
        assert_eq!(taps[1 - home].receive_all().len(), 0);
    }
}

#[test]
fn a_loop_of_patch_ports_ends_and_is_counted() {
    let lab = Lab::new("loop");
    let (a, b) = (lab.tap("la", TAP_MTU), lab.tap("lb", TAP_MTU));
    // Two ways between two bridges.
    let left = vec![port(&a, 1), patch("l1", "r1", 2), patch("l2", "r2", 3)];
    let right = vec![port(&b, 1), patch("r1", "l1", 2), patch("r2", "l2", 3)];
    let bridges = vec![named_bridge("left", left), named_bridge("right", right)];
    let mut datapath = lab.datapath();
    apply(&mut datapath, &Snapshot { bridges });
    a.send(&frame(MacAddr::BROADCAST, station(1))).unwrap();
    assert!(!b.receive_all().is_empty());
    let looped: u64 = ["l1", "l2", "r1", "r2"]
        .map(|port| drops(&datapath, &port.into(), DropReason::PatchLoop))
        .iter()
        .sum();
    assert!(looped > 0, "{:?}", datapath.counters());
    b.send(&frame(MacAddr::BROADCAST, station(2))).unwrap();
    assert!(!a.receive_all().is_empty(), "the next frame is switched");
}

#[test]
fn frames_cut_anywhere_are_counted_and_harm_nothing() {
    let lab = Lab::new("cut");
    let (a, b) = (lab.tap("ca", TAP_MTU), lab.tap("cb", TAP_MTU));
    let mut datapath = lab.datapath();
    apply(&mut datapath, &bridge(vec![port(&a, 1), port(&b, 2)]));
    let tag = VlanTag {
        tpid: TPID_8021Q,
        tci: Tci(5),
    };
    let stacked = tag.push(&tag.push(&tag.push(&frame(MacAddr::BROADCAST, station(1)))));
    let short = |datapath: &Datapath| drops(datapath, &a.name, DropReason::Malformed);
    let mut short_tags = 0;
    // Fewer than 14 bytes never get to a program: neither taps nor test runs take them.
    for len in 14..stacked.len() {
        let (before, malformed) = (all_drops(&datapath), short(&datapath));
        let run = datapath.test_run(&a.name, &stacked[..len], 1).unwrap();
        let dropped = all_drops(&datapath) - before;
        assert_eq!(
            dropped,
            u64::from(run.verdict == 2),
            "cut to {len} bytes: {run:?}"
        );
        short_tags += short(&datapath) - malformed;
        let _ = a.send(&stacked[..len]);
    }
    assert_eq!(short_tags, 4, "14 to 17 bytes end inside the outer tag");
    b.receive_all();
    a.send(&stacked).unwrap();
    assert_eq!(b.receive_all(), [stacked]);
}

#[test]
fn jumbo_frames_pass_where_they_fit_and_are_counted_where_not() {
    let lab = Lab::new("jumbo");
    let (a, b) = (lab.tap("ja", 9000), lab.tap("jb", 9000));
    let mut snapshot = bridge(vec![port(&a, 1), port(&b, 2)]);
    for port in &mut snapshot.bridges[0].ports {
        let Attachment::Netdev { mtu_bytes, .. } = &mut port.attachment else {
            unreachable!()
        };
        *mtu_bytes = 9000;
    }
    let mut datapath = lab.datapath();
    apply(&mut datapath, &snapshot);
    b.send(&frame(MacAddr::BROADCAST, station(2))).unwrap();
    let mut jumbo = frame(station(2), station(1));
    jumbo.resize(9014, 1);
    a.send(&jumbo).unwrap();
    assert_eq!(b.receive_all(), [jumbo.clone()]);
    let Attachment::Netdev { mtu_bytes, .. } = &mut snapshot.bridges[0].ports[1].attachment else {
        unreachable!()
    };
    *mtu_bytes = 1500;
    apply(&mut datapath, &snapshot);
    a.send(&jumbo).unwrap();
    assert_eq!(b.receive_all().len(), 0);
    assert_eq!(drops(&datapath, &a.name, DropReason::ExceedsMtu), 1);
}

#[test]
fn a_device_of_another_switch_is_refused_and_taken_when_it_is_free() {
    let lab = Lab::new("taken");
    let (a, b) = (lab.tap("xa", TAP_MTU), lab.tap("xb", TAP_MTU));
    let snapshot = bridge(vec![port(&a, 1), port(&b, 2)]);
    let mut first = lab.datapath();
    apply(&mut first, &bridge(vec![port(&a, 1)]));
    let other = Config {
        pin_dir: lab.config().pin_dir.with_file_name("other-switch"),
    };
    let mut second = Datapath::open(&other).unwrap();
    let applied = second.apply(&snapshot).unwrap();
    let errors: Vec<_> = applied.failed.iter().collect();
    let [(name, PortError::Taken { .. })] = errors[..] else {
        panic!("{errors:?}")
    };
    assert_eq!(*name, a.name);
    apply(&mut first, &bridge(vec![]));
    apply(&mut second, &snapshot);
    Datapath::teardown(&other).unwrap();
}
