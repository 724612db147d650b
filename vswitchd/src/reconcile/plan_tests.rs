use std::num::NonZeroU32;

use super::*;
use crate::testing::{FakeHost, Rows, link};

const INSTANCE: &str = "run-test";

fn device(ifindex: u32, name: &str) -> DeviceRef {
    DeviceRef {
        ifindex: IfIndex(NonZeroU32::new(ifindex).unwrap()),
        name: name.into(),
    }
}

fn actual(links: impl IntoIterator<Item = Link>) -> Actual {
    let mut actual = Actual::new(INSTANCE.into());
    actual.replace(links.into_iter().collect());
    actual
}

/// A tap that is up: no physical NIC.
fn tap(ifindex: u32, name: &str) -> Link {
    Link {
        kind: Some("tun".into()),
        ..link(ifindex, name)
    }
}

/// The pair of port `br0` as the switch makes it.
fn pair() -> [Link; 2] {
    let mut host = Link {
        kind: Some("veth".into()),
        ..link(10, "br0")
    };
    let mut hidden = Link {
        kind: Some("veth".into()),
        ..link(11, "aobr0")
    };
    (host.peer, hidden.peer) = (Some(hidden.ifindex), Some(host.ifindex));
    host.mac = Some(stable());
    hidden.alias = Some(hidden_alias("br0", INSTANCE));
    [host, hidden]
}

fn stable() -> MacAddr {
    crate::config::stable_mac(Rows::default().id())
}

/// A bridge br0 with its own port and the system ports given.
fn rows(ports: &[&str]) -> Rows {
    let mut rows = Rows::default();
    let br0 = rows.bridge("br0");
    rows.simple(br0, "br0", "internal");
    for port in ports {
        rows.simple(br0, port, "");
    }
    rows
}

#[test]
fn a_new_bridge_makes_its_device() {
    let plan = plan(&rows(&[]).desired(), &actual([]));
    let wanted = VethPair {
        host: "br0".into(),
        host_mac: Some(stable()),
        hidden: "aobr0".into(),
        hidden_alias: "aorta: switch side of br0 (run-test)".into(),
        mtu: 1500,
    };
    assert_eq!(plan.effects, [Effect::CreatePair(wanted)]);
}

#[test]
fn what_is_as_wanted_is_left_alone() {
    let links = [tap(3, "tap0")].into_iter().chain(pair());
    assert_eq!(plan(&rows(&["tap0"]).desired(), &actual(links)).effects, []);
}

#[test]
fn a_pair_survives_a_restart_also_with_its_host_end_elsewhere() {
    let [_, mut hidden] = pair();
    hidden.peer_netns = Some(1);
    let actual = actual([hidden.clone()]);
    let desired = rows(&[]).desired();
    assert_eq!(plan(&desired, &actual).effects, []);
    let local = &desired.bridges[0].ports[0];
    assert_eq!(
        resolve(local, &actual),
        Resolved::Pair {
            host: None,
            hidden: &hidden
        }
    );
}

#[test]
fn a_pair_that_was_not_marked_yet_is_adopted() {
    let [host, mut hidden] = pair();
    hidden.alias = None;
    let effects = plan(&rows(&[]).desired(), &actual([host, hidden])).effects;
    let alias = hidden_alias("br0", INSTANCE);
    assert_eq!(effects, [Effect::Mark(device(11, "aobr0"), alias)]);
}

#[test]
fn removals_come_first() {
    let mut nic = link(2, "eth0");
    nic.promisc = true;
    let [host, hidden] = pair();
    let mut actual = actual([host, hidden, nic]);
    actual.promisc = ["eth0".to_owned(), "gone0".to_owned()].into();
    let mut rows = Rows::default();
    rows.bridge("br1");
    let effects = plan(&rows.desired(), &actual).effects;
    assert_eq!(
        effects[..3],
        [
            Effect::DeletePair(device(11, "aobr0")),
            Effect::EndPromisc("eth0".into(), Some(device(2, "eth0"))),
            Effect::EndPromisc("gone0".into(), None),
        ]
    );
    assert!(effects[3].creates("br1") && effects.len() == 4);
}

#[test]
fn another_instances_devices_are_not_ours() {
    let [host, mut hidden] = pair();
    hidden.alias = Some(hidden_alias("br0", "run-other"));
    let actual = actual([host, hidden]);
    assert_eq!(plan(&Desired::default(), &actual).effects, []);
    let desired = rows(&["aobr0"]).desired();
    assert_eq!(plan(&desired, &actual).effects, []);
    let nothing = |name: &str| {
        let port = desired.bridges[0]
            .ports
            .iter()
            .find(|p| p.name.as_str() == name)
            .unwrap();
        match resolve(port, &actual) {
            Resolved::Nothing(why) => why,
            other => panic!("{name} is {other:?}"),
        }
    };
    assert!(nothing("br0").starts_with("br0: the device aobr0, which the port needs, exists"));
    assert_eq!(
        nothing("aobr0"),
        "aobr0: belongs to another instance of this switch"
    );
}

#[test]
fn devices_that_are_not_free_are_refused_by_name() {
    let bridge = Link {
        kind: Some("bridge".into()),
        ..link(9, "br9")
    };
    let slave = Link {
        master: Some(bridge.ifindex),
        ..link(2, "eth0")
    };
    let lo = Link {
        loopback: true,
        ..link(1, "lo")
    };
    let taken = Link {
        kind: Some("bridge".into()),
        ..link(5, "br0")
    };
    let desired = rows(&["eth0", "lo", "none"]).desired();
    let actual = actual([bridge, slave, lo, taken]);
    assert_eq!(plan(&desired, &actual).effects, []);
    let why: Vec<_> = desired.bridges[0]
        .ports
        .iter()
        .map(|port| match resolve(port, &actual) {
            Resolved::Nothing(why) => why,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        why,
        [
            "br0: there is a device of that name already (bridge), which is not the switch's; \
             rename or delete it",
            "eth0: already a port of the Linux bridge br9; release it with \
             `ip link set eth0 nomaster`",
            "lo: the loopback device can't be a port",
            "could not open network device none (No such device)",
        ]
    );
}

#[test]
fn devices_of_an_open_vswitch_that_went_name_the_command_that_frees_them() {
    let of_datapath = |index, name| Link {
        kind: Some("openvswitch".into()),
        ..link(index, name)
    };
    let (datapath, local) = (of_datapath(9, "ovs-system"), of_datapath(5, "br0"));
    let port = Link {
        master: Some(datapath.ifindex),
        ..link(2, "tap0")
    };
    let desired = rows(&["tap0"]).desired();
    let actual = actual([datapath, local, port]);
    assert_eq!(plan(&desired, &actual).effects, []);
    for port in &desired.bridges[0].ports {
        let Resolved::Nothing(why) = resolve(port, &actual) else {
            panic!("{} is free", port.name);
        };
        assert!(why.ends_with("`vswitchd --release-open-vswitch`"), "{why}");
    }
}

#[test]
fn only_nics_become_promiscuous_and_give_the_bridge_its_address() {
    let [mut host, hidden] = pair();
    host.mac = Some(MacAddr([2, 0, 0, 0, 0, 2]));
    let links = [
        link(3, "eth1"),
        link(2, "eth0"),
        tap(1, "tap0"),
        host,
        hidden,
    ];
    let desired = rows(&["eth1", "eth0", "tap0"]).desired();
    let actual = actual(links);
    let promisc = |i, name| Effect::BeginPromisc(device(i, name));
    assert_eq!(
        plan(&desired, &actual).effects,
        [promisc(2, "eth0"), promisc(3, "eth1")]
    );
    assert_eq!(
        bridge_mac(&desired.bridges[0], &actual),
        MacAddr([2, 0, 0, 0, 0, 2])
    );
}

#[test]
fn hwaddr_wins_and_reaches_the_device() {
    let mut rows = rows(&["eth0"]);
    let row = rows.model.bridges.values_mut().next().unwrap();
    row.hwaddr = Some("02:aa:00:00:00:01".into());
    let nic = Link {
        promisc: true,
        ..link(2, "eth0")
    };
    let effects = plan(&rows.desired(), &actual([nic].into_iter().chain(pair()))).effects;
    assert_eq!(
        effects,
        [Effect::SetMac(
            device(10, "br0"),
            MacAddr([2, 0xaa, 0, 0, 0, 1])
        )]
    );
}

#[test]
fn the_own_port_follows_the_smallest_mtu_when_that_changes() {
    let small = |mtu| {
        [Link {
            mtu,
            ..tap(3, "tap0")
        }]
        .into_iter()
        .chain(pair())
    };
    let desired = rows(&["tap0"]).desired();
    let mut state = actual(small(1400));
    // First look after a start: nothing says that the device's MTU wasn't chosen by someone.
    let first = plan(&desired, &state);
    assert_eq!(first.effects, []);
    state.followed_mtu = first.followed_mtu;
    assert_eq!(plan(&desired, &state).effects, []);
    state.insert(Link {
        mtu: 1300,
        ..tap(3, "tap0")
    });
    let set = |i, name| Effect::SetMtu(device(i, name), 1300);
    assert_eq!(
        plan(&desired, &state).effects,
        [set(10, "br0"), set(11, "aobr0")]
    );
}

#[test]
fn the_hidden_end_follows_what_the_administrator_sets() {
    let [mut host, hidden] = pair();
    host.mtu = 9000;
    let effects = plan(&rows(&[]).desired(), &actual([host, hidden])).effects;
    assert_eq!(effects, [Effect::SetMtu(device(11, "aobr0"), 9000)]);
}

#[test]
fn requested_mtus_are_set_on_both_kinds_of_ports() {
    let mut rows = rows(&["tap0"]);
    for row in rows.model.interfaces.values_mut() {
        row.mtu_request = Some(1280);
    }
    let links = [tap(3, "tap0")].into_iter().chain(pair());
    let set = |i, name| Effect::SetMtu(device(i, name), 1280);
    let effects = plan(&rows.desired(), &actual(links)).effects;
    assert_eq!(effects, [set(10, "br0"), set(11, "aobr0"), set(3, "tap0")]);
}

#[tokio::test]
async fn a_failure_is_not_repeated_until_the_device_changes() {
    let mut host = FakeHost::default();
    host.broken.insert("eth0".into());
    host.add(link(2, "eth0"));
    host.add(pair()[0].clone());
    host.add(pair()[1].clone());
    let mut actual = actual(host.links.values().cloned());
    let mut rows = rows(&["eth0"]);
    rows.model.bridges.values_mut().next().unwrap().hwaddr = Some(stable().to_string());
    let desired = rows.desired();
    for _ in 0..3 {
        crate::reconcile::settle(&desired, &mut actual, &mut host).await;
    }
    let tried = Effect::BeginPromisc(device(2, "eth0"));
    assert_eq!(host.done, std::slice::from_ref(&tried));
    assert_eq!(actual.failed[&tried], "eth0: cannot: broken");
    host.broken.clear();
    actual.insert(Link {
        carrier: false,
        ..link(2, "eth0")
    });
    crate::reconcile::settle(&desired, &mut actual, &mut host).await;
    assert_eq!(host.done.len(), 2);
    assert!(host.links[&2].promisc && actual.promisc.contains("eth0"));
}
