//! What a snapshot becomes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use aorta_compiler::abi::{FLOOD_DEFAULT_VLAN, jump, port};
use aorta_compiler::{CompileError, Module, Slots, compile};
use aorta_flow::{Attachment, Bridge, IfIndex, OfPort, Port, PortVlan, Snapshot, VidSet};
use aorta_packet::Vid;

fn vid(vid: u16) -> Vid {
    Vid::new(vid).unwrap()
}

fn device(name: &str, ofport: u16, vlan: PortVlan) -> Port {
    let ifindex = IfIndex::new(u32::from(ofport) + 100).unwrap();
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

fn patch(name: &str, peer: &str, ofport: u16) -> Port {
    let attachment = Attachment::Patch { peer: peer.into() };
    Port::new(name.into(), OfPort(ofport), attachment)
}

fn bridge(name: &str, ports: Vec<Port>) -> Bridge {
    Bridge::new(name.into(), ports)
}

/// Compiles with slots in order of appearance.
fn compiled(bridges: Vec<Bridge>) -> Module {
    let mut slots = Slots::default();
    for (b, bridge) in bridges.iter().enumerate() {
        slots.bridges.insert(bridge.name.clone(), b as u32);
        for port in &bridge.ports {
            let next = slots.ports.len() as u32;
            slots.ports.insert(port.name.clone(), next);
        }
    }
    compile(&Snapshot { bridges }, &slots, 250).unwrap()
}

#[test]
fn flood_lists_hold_the_ports_that_carry_the_vlan() {
    let only = |vids: &[u16]| VidSet::from_trunks(vids.iter().map(|v| vid(*v)));
    let native = |native: u16, vids: &[u16]| PortVlan::NativeTagged {
        native: vid(native),
        trunks: only(vids),
    };
    let module = compiled(vec![bridge(
        "br0",
        vec![
            device("all", 1, PortVlan::DEFAULT),
            device("access", 2, PortVlan::Access(vid(10))),
            device("trunk", 3, PortVlan::Trunk(only(&[10, 20]))),
            device("native", 4, native(20, &[20, 30])),
        ],
    )]);
    let list = |vlan: u32| module.floods.get(&(0, vlan)).cloned();
    assert_eq!(list(10), Some(vec![1, 2, 0]));
    assert_eq!(
        list(20),
        Some(vec![2, 3, 0]),
        "a native VLAN that is listed too is there once"
    );
    assert_eq!(list(30), Some(vec![3, 0]));
    assert_eq!(list(FLOOD_DEFAULT_VLAN), Some(vec![0]));
    assert_eq!(list(40), None, "nobody names it: the default list is used");
}

#[test]
fn a_patch_port_leads_only_to_one_that_leads_back() {
    let module = compiled(vec![
        bridge("a", vec![patch("ab", "ba", 1), patch("lost", "nowhere", 2)]),
        bridge("b", vec![patch("ba", "ab", 1), patch("sly", "ab", 2)]),
    ]);
    let jump_of = |slot: u32| module.ports[&slot].record.jump;
    assert_eq!(
        [jump_of(0), jump_of(1), jump_of(2), jump_of(3)],
        [jump::patch(2), 0, jump::patch(0), 0]
    );
}

#[test]
fn a_port_that_is_down_is_attached_but_sends_nothing() {
    let mut port = device("p", 1, PortVlan::DEFAULT);
    let Attachment::Netdev { up, .. } = &mut port.attachment else {
        unreachable!()
    };
    *up = false;
    let module = compiled(vec![bridge("br0", vec![port])]);
    let port = &module.ports[&0];
    assert_eq!(port.device.map(IfIndex::get), Some(101));
    assert_eq!(port.record.ifindex, 0);
}

#[test]
fn records_say_how_vlans_leave() {
    let trunks = VidSet::from_trunks([vid(5)]);
    let native = PortVlan::NativeUntagged {
        native: vid(7),
        trunks: trunks.clone(),
    };
    let module = compiled(vec![bridge(
        "br0",
        vec![
            device("access", 1, PortVlan::Access(vid(9))),
            device("trunk", 2, PortVlan::Trunk(trunks)),
            device("native", 3, native),
            device("any", 4, PortVlan::DEFAULT),
        ],
    )]);
    let of = |slot: u32| {
        let record = module.ports[&slot].record;
        (record.untagged_vlan, record.tagged)
    };
    assert_eq!(of(0), (9, port::TAGGED_NONE));
    assert_eq!(of(1), (port::NO_VLAN, port::TAGGED_LISTED));
    assert_eq!(of(2), (7, port::TAGGED_LISTED));
    assert_eq!(of(3), (0, port::TAGGED_ALL));
}

#[test]
fn more_flood_places_than_there_are_is_an_error_that_counts_them() {
    let everything = VidSet::from_trunks((0..4096).map(vid));
    let ports = (0..200)
        .map(|n| device(&format!("p{n}"), n + 1, PortVlan::Trunk(everything.clone())))
        .collect();
    let bridges = vec![bridge("br0", ports)];
    let mut slots = Slots::default();
    slots.bridges.insert("br0".into(), 0);
    for (n, port) in bridges[0].ports.iter().enumerate() {
        slots.ports.insert(port.name.clone(), n as u32);
    }
    let error = compile(&Snapshot { bridges }, &slots, 250).unwrap_err();
    assert!(
        matches!(
            error,
            CompileError::FloodTooLarge {
                needed: 819_200,
                ..
            }
        ),
        "{error}"
    );
}
