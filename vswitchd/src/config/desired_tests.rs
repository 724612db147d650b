use aorta_packet::Vid;

use super::*;
use crate::testing::Rows;

fn find<'a>(desired: &'a Desired, name: &str) -> &'a DesiredPort {
    let mut ports = desired.bridges.iter().flat_map(|b| &b.ports);
    ports.find(|p| p.name.as_str() == name).unwrap()
}

fn refusal(desired: &Desired, name: &str) -> String {
    let port = find(desired, name);
    assert_eq!(port.ofport, None);
    match &port.wanted {
        Wanted::Refused(why) => why.clone(),
        other => panic!("{name} is {other:?}"),
    }
}

#[test]
fn a_bridge_with_one_port_of_each_type() {
    let mut rows = Rows::default();
    let br0 = rows.bridge("br0");
    for (name, kind) in [
        ("br0", "internal"),
        ("eth0", ""),
        ("tap0", "tap"),
        ("v0", "internal"),
    ] {
        rows.simple(br0, name, kind);
    }
    let mut patch = rows.interface("p0", "patch");
    patch.peer = Some("p1".into());
    rows.port(br0, vec![patch]);
    let desired = rows.desired();
    assert!(desired.notes.is_empty(), "{:?}", desired.notes);
    assert_eq!(find(&desired, "br0").ofport, Some(OfPort::LOCAL));
    assert!(matches!(
        find(&desired, "br0").wanted,
        Wanted::Internal { local: true, .. }
    ));
    assert_eq!(find(&desired, "eth0").wanted, Wanted::System);
    assert_eq!(find(&desired, "tap0").wanted, Wanted::System);
    assert!(matches!(
        find(&desired, "v0").wanted,
        Wanted::Internal { local: false, .. }
    ));
    assert_eq!(
        find(&desired, "p0").wanted,
        Wanted::Patch { peer: "p1".into() }
    );
    let numbers: Vec<_> = desired.bridges[0]
        .ports
        .iter()
        .map(|p| p.ofport.unwrap().0)
        .collect();
    assert_eq!(numbers, [65534, 1, 2, 3, 4], "br0 eth0 p0 tap0 v0");
}

#[test]
fn a_bridge_without_a_row_for_its_own_port_has_the_port() {
    let mut rows = Rows::default();
    rows.bridge("br0");
    let desired = rows.desired();
    let local = find(&desired, "br0");
    assert_eq!((local.row, local.ofport), (None, Some(OfPort::LOCAL)));
}

#[test]
fn the_own_port_is_internal_whatever_its_row_says() {
    let mut rows = Rows::default();
    let br0 = rows.bridge("br0");
    rows.simple(br0, "br0", "patch");
    let desired = rows.desired();
    assert!(matches!(
        find(&desired, "br0").wanted,
        Wanted::Internal { local: true, .. }
    ));
}

#[test]
fn bad_rows_get_one_line_and_disturb_nothing() {
    let mut rows = Rows::default();
    let br0 = rows.bridge("br0");
    rows.simple(br0, "ok", "");
    rows.simple(br0, "a-very-long-device-name", "");
    rows.simple(br0, "vx0", "vxlan");
    rows.simple(br0, "p0", "patch");
    rows.simple(br0, "a/b", "");
    let qinq = rows.simple(br0, "qinq", "");
    rows.model.ports.get_mut(&qinq).unwrap().vlan_mode = Some("dot1q-tunnel".into());
    let mut mac = rows.interface("int0", "internal");
    mac.mac = Some("01:00:00:00:00:00".into());
    rows.port(br0, vec![mac]);
    let desired = rows.desired();
    assert_eq!(find(&desired, "ok").ofport, Some(OfPort(1)));
    assert_eq!(
        refusal(&desired, "a-very-long-device-name"),
        "a-very-long-device-name: the name of a network device has at most 15 bytes, this one has 23"
    );
    assert_eq!(
        refusal(&desired, "vx0"),
        "vx0: interface type \"vxlan\" is not supported"
    );
    assert_eq!(
        refusal(&desired, "p0"),
        "p0: patch port without options:peer"
    );
    assert_eq!(
        refusal(&desired, "a/b"),
        "\"a/b\" can't be the name of a network device"
    );
    assert!(refusal(&desired, "qinq").contains("dot1q-tunnel is not supported"));
    assert!(refusal(&desired, "int0").contains("can't be the address"));
}

#[test]
fn settings_are_read_bounded_and_noted() {
    let mut rows = Rows::default();
    let br0 = rows.bridge("br0");
    let row = rows.model.bridges.get_mut(&br0).unwrap();
    row.hwaddr = Some("02:00:00:00:00:01".into());
    row.datapath_id = Some("1f".into());
    row.mac_aging_time = Some("1".into());
    row.mac_table_size = Some("50000".into());
    row.forward_bpdu = true;
    let desired = rows.desired();
    let bridge = &desired.bridges[0];
    assert_eq!(bridge.hwaddr, Some(MacAddr([2, 0, 0, 0, 0, 1])));
    assert_eq!(bridge.datapath_id.as_deref(), Some("000000000000001f"));
    assert_eq!((bridge.mac_aging_s, bridge.mac_table_size), (15, 50000));
    assert!(bridge.forward_bpdu && desired.notes.is_empty());

    let row = rows.model.bridges.get_mut(&br0).unwrap();
    row.hwaddr = Some("ff:ff:ff:ff:ff:ff".into());
    row.datapath_id = Some("zz".into());
    row.mac_aging_time = Some("soon".into());
    let desired = rows.desired();
    assert_eq!(desired.bridges[0].mac_aging_s, DEFAULT_MAC_AGING_S);
    assert_eq!(desired.bridges[0].hwaddr, None);
    assert_eq!(
        desired.notes,
        [
            "bridge br0: other_config:hwaddr=\"ff:ff:ff:ff:ff:ff\" is ignored: not valid",
            "bridge br0: other_config:datapath-id=\"zz\" is ignored: not valid",
            "bridge br0: other_config:mac-aging-time=\"soon\" is ignored: not valid",
        ]
    );
}

#[test]
fn only_the_first_interface_of_a_bond_is_attached() {
    let mut rows = Rows::default();
    let br0 = rows.bridge("br0");
    let bond = vec![rows.interface("eth1", ""), rows.interface("eth0", "")];
    let port = rows.port(br0, bond);
    rows.model.ports.get_mut(&port).unwrap().name = "bond0".into();
    let desired = rows.desired();
    assert_eq!(find(&desired, "eth0").wanted, Wanted::System);
    assert_eq!(
        refusal(&desired, "eth1"),
        "eth1: bonds are not supported yet, only eth0 of port bond0 is attached"
    );
}

#[test]
fn a_port_in_two_bridges_belongs_to_the_first() {
    let mut rows = Rows::default();
    let (a, b) = (rows.bridge("bra"), rows.bridge("brb"));
    let port = rows.simple(a, "tap0", "");
    rows.model.bridges.get_mut(&b).unwrap().ports.push(port);
    let desired = rows.desired();
    assert_eq!(
        desired.notes,
        ["port tap0: in the bridges bra and brb, attached to bra; remove it from one"]
    );
    assert_eq!(desired.troubles[&"tap0".into()], desired.notes[0]);
    let names = |at: usize| -> Vec<_> {
        desired.bridges[at]
            .ports
            .iter()
            .map(|p| p.name.to_string())
            .collect()
    };
    assert_eq!(
        (names(0), names(1)),
        (vec!["bra".into(), "tap0".into()], vec!["brb".to_owned()])
    );
}

#[test]
fn an_interface_in_two_ports_belongs_to_the_first() {
    let mut rows = Rows::default();
    let (a, b) = (rows.bridge("bra"), rows.bridge("brb"));
    let first = rows.simple(a, "tap0", "");
    let second = rows.simple(b, "unused", "");
    let interfaces = rows.model.ports[&first].interfaces.clone();
    let port = rows.model.ports.get_mut(&second).unwrap();
    (port.name, port.interfaces) = ("other".into(), interfaces);
    let desired = rows.desired();
    let trouble = "interface tap0: in port tap0 of bridge bra and in port other of bridge brb, \
                   attached as the first; remove it from one";
    assert_eq!(desired.notes, [trouble]);
    assert_eq!(desired.troubles[&"tap0".into()], trouble);
    let attached = |at: usize| desired.bridges[at].ports.len() - 1;
    assert_eq!((attached(0), attached(1)), (1, 0));
    assert!(find(&desired, "tap0").ofport.is_some());
}

#[test]
fn vlans_reach_the_port() {
    let mut rows = Rows::default();
    let br0 = rows.bridge("br0");
    let port = rows.simple(br0, "tap0", "");
    let row = rows.model.ports.get_mut(&port).unwrap();
    (row.tag, row.trunks) = (Some(10), vec![20]);
    let desired = rows.desired();
    assert_eq!(
        find(&desired, "tap0").vlan,
        PortVlan::Access(Vid::new(10).unwrap())
    );
    assert_eq!(desired.notes.len(), 1);
}

#[test]
fn a_row_outside_every_bridge_is_nothing() {
    let mut rows = Rows::default();
    let br0 = rows.bridge("br0");
    rows.simple(br0, "tap0", "");
    rows.model.root.as_mut().unwrap().bridges.clear();
    assert_eq!(rows.desired(), Desired::default());
}

#[test]
fn an_unknown_hook_is_told_and_automatic() {
    let mut rows = Rows::default();
    let br0 = rows.bridge("br0");
    for (name, hook) in [
        ("none", None),
        ("auto", Some("auto")),
        ("tc", Some("tc")),
        ("native", Some("xdp-native")),
        ("generic", Some("xdp-generic")),
        ("odd", Some("xdp")),
    ] {
        let mut interface = rows.interface(name, "");
        interface.hook = hook.map(str::to_owned);
        rows.port(br0, vec![interface]);
    }
    let desired = rows.desired();
    let hook = |name| find(&desired, name).hook;
    assert_eq!(hook("none"), PortHook::Auto);
    assert_eq!(hook("auto"), PortHook::Auto);
    assert_eq!(hook("tc"), PortHook::Tc);
    assert_eq!(hook("native"), PortHook::XdpNative);
    assert_eq!(hook("generic"), PortHook::XdpGeneric);
    assert_eq!(hook("odd"), PortHook::Auto);
    let [note] = &desired.notes[..] else {
        panic!("{:?}", desired.notes)
    };
    assert!(
        note.contains("odd") && note.contains("xdp-native"),
        "{note}"
    );
}
