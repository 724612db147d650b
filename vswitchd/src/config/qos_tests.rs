use aorta_ovsdb::Uuid;

use super::*;
use crate::config::{Devices, QueueRow};
use crate::testing::Rows;

fn settings(pairs: Pairs) -> Settings {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

type Pairs<'a> = &'a [(&'a str, &'a str)];

/// What a port with such rows asks for.
fn asked(kind: &str, config: Pairs, queues: &[(i64, Option<i64>, Pairs)]) -> PortQos {
    let mut rows = Rows::default();
    let bridge = rows.bridge("br0");
    let port = rows.simple(bridge, "tap0", "");
    let mut qos = QosRow {
        kind: kind.to_owned(),
        other_config: settings(config),
        ..QosRow::default()
    };
    for (number, dscp, config) in queues {
        let id = rows.id();
        let queue = QueueRow {
            dscp: *dscp,
            other_config: settings(config),
        };
        rows.model.queues.insert(id, queue);
        qos.queues.insert(*number, id);
    }
    let id = Uuid::from_u128(9999);
    rows.model.qos.insert(id, qos);
    rows.model.ports.get_mut(&port).unwrap().qos = Some(id);
    let desired = rows.desired();
    let mut ports = desired.bridges[0].ports.iter();
    let tap = ports.find(|port| port.name.as_str() == "tap0").unwrap();
    assert_eq!(desired.notes, tap.qos.problems);
    tap.qos.clone()
}

#[test]
fn what_libvirt_writes() {
    let config = [
        ("min-rate", "8000000"),
        ("burst", "4096000"),
        ("max-rate", "16000000"),
    ];
    let qos = asked("linux-htb", &config, &[(0, None, &config)]);
    let queue = HtbQueue {
        min_rate_bps: 8_000_000,
        max_rate_bps: Some(16_000_000),
        burst_bits: 4_096_000,
        priority: 0,
    };
    let wanted = Qos::Htb {
        max_rate_bps: Some(16_000_000),
        queues: BTreeMap::from([(0, queue)]),
    };
    assert_eq!((qos.asked, qos.problems), (wanted, vec![]));
}

#[test]
fn the_default_queue_is_always_there() {
    let qos = asked("linux-htb", &[], &[(7, None, &[("priority", "2")])]);
    let Qos::Htb {
        max_rate_bps,
        queues,
    } = qos.asked
    else {
        panic!("{qos:?}");
    };
    assert_eq!(max_rate_bps, None);
    assert_eq!(queues[&0], HtbQueue::default());
    assert_eq!(queues[&7].priority, 2);
}

#[test]
fn queues_of_hfsc() {
    let config: Pairs = &[("min-rate", "1000000"), ("max-rate", "0")];
    let qos = asked(
        "linux-hfsc",
        &[("max-rate", "9000000")],
        &[(3, None, config)],
    );
    let queue = HfscQueue {
        min_rate_bps: 1_000_000,
        max_rate_bps: None,
    };
    let wanted = Qos::Hfsc {
        max_rate_bps: Some(9_000_000),
        queues: BTreeMap::from([(0, HfscQueue::default()), (3, queue)]),
    };
    assert_eq!((qos.asked.queues(), &qos.asked), (vec![0, 3], &wanted));
    assert!(
        qos.problems[0].contains("max-rate of queue 3 is 0"),
        "{qos:?}"
    );
}

#[test]
fn values_that_cannot_be_are_left_out_and_told() {
    let bad: &[(&str, &str)] = &[("max-rate", "0"), ("min-rate", "much")];
    let qos = asked(
        "linux-htb",
        &[("max-rate", "-5")],
        &[(1, Some(12), bad), (61_440, None, &[]), (70_000, None, &[])],
    );
    let Qos::Htb {
        max_rate_bps,
        queues,
    } = &qos.asked
    else {
        panic!("{qos:?}");
    };
    assert_eq!((*max_rate_bps, queues.len()), (None, 2));
    assert_eq!(queues[&1], HtbQueue::default());
    let told = qos.problems.join("\n");
    for part in [
        "tap0: QoS: other_config:max-rate is \"-5\"",
        "max-rate of queue 1 is 0",
        "min-rate of queue 1 is \"much\"",
        "queue 61440 is left out",
        "queue 70000 is left out",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
    assert_eq!(qos.problems.len(), 5);
    assert_eq!(qos.dscp, BTreeMap::from([(1, 12)]));
}

#[test]
fn queues_have_a_dscp_whatever_the_type() {
    let queues: &[(i64, Option<i64>, Pairs)] = &[
        (0, Some(0), &[]),
        (7, Some(46), &[]),
        (8, None, &[]),
        (61_440, Some(1), &[]),
    ];
    for kind in [
        "linux-htb",
        "linux-hfsc",
        "linux-noop",
        "egress-policer",
        "nonsense",
    ] {
        let mut qos = asked(kind, &[], queues);
        assert_eq!(qos.dscp, BTreeMap::from([(0, 0), (7, 46)]), "{kind}");
        assert_eq!(qos.hook("tap0", PortHook::XdpGeneric), PortHook::Tc);
    }
    assert_eq!(asked("", &[], queues).dscp, BTreeMap::new());
}

#[test]
fn types() {
    for kind in Qos::TYPES {
        let qos = asked(kind, &[("cir", "1000")], &[]);
        assert_eq!(qos.asked.name(), Some(kind));
        assert_eq!(qos.problems, Vec::<String>::new());
    }
    assert_eq!(asked("", &[], &[]), PortQos::default());
    for (kind, part) in [
        ("linux-drr", "type \"linux-drr\" is not supported"),
        ("egress-policer", "needs other_config:cir"),
    ] {
        let qos = asked(kind, &[], &[]);
        assert_eq!(qos.asked, Qos::None);
        assert!(qos.problems[0].contains(part), "{qos:?}");
    }
    let queues = asked("linux-sfq", &[], &[(0, None, &[])]);
    assert!(queues.problems[0].contains("has no queues"), "{queues:?}");
}

#[test]
fn a_shaped_port_has_no_xdp() {
    let mut shaped = asked("linux-htb", &[], &[]);
    for hook in [PortHook::Auto, PortHook::Tc] {
        assert_eq!(shaped.hook("tap0", hook), hook);
    }
    assert_eq!(shaped.problems, Vec::<String>::new());
    assert_eq!(shaped.hook("tap0", PortHook::XdpNative), PortHook::Tc);
    assert!(shaped.problems[0].contains("aorta-hook"), "{shaped:?}");
    let mut free = asked("linux-noop", &[], &[]);
    let native = PortHook::XdpNative;
    assert_eq!(
        (free.hook("tap0", native), free.problems.len()),
        (native, 0)
    );
}

#[test]
fn ports_without_a_device_are_told() {
    let mut rows = Rows::default();
    let bridge = rows.bridge("br0");
    let id = rows.id();
    let qos = QosRow {
        kind: "linux-htb".into(),
        ..QosRow::default()
    };
    rows.model.qos.insert(id, qos);
    let mut patch = rows.interface("p", "patch");
    patch.peer = Some("q".into());
    let port = rows.port(bridge, vec![patch]);
    rows.model.ports.get_mut(&port).unwrap().qos = Some(id);
    let notes = rows.desired().notes;
    assert!(notes[0].contains("p: QoS: a patch port"), "{notes:?}");
    rows.model.devices = Devices::Simulated { system: true };
    let port = rows.simple(bridge, "d", "dummy");
    rows.model.ports.get_mut(&port).unwrap().qos = Some(id);
    let notes = rows.desired().notes;
    assert!(
        notes
            .iter()
            .any(|note| note.contains("d: QoS: a simulated"))
    );
}
