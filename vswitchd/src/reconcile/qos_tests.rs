use super::*;
use crate::testing::{Rows, link};

use crate::config::{Desired, QosRow, QueueRow};

/// What a device should have.
struct Case {
    desired: Desired,
    actual: Actual,
}

type Settings<'a> = &'a [(&'a str, &'a str)];

fn case(kind: &str, config: Settings, queues: &[(i64, Settings)]) -> Case {
    let owned = |settings: Settings| {
        let pairs = settings.iter();
        pairs
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    };
    let mut rows = Rows::default();
    let bridge = rows.bridge("br0");
    let port = rows.simple(bridge, "tap0", "");
    let mut row = QosRow {
        kind: kind.to_owned(),
        other_config: owned(config),
        ..QosRow::default()
    };
    for (number, config) in queues {
        let id = rows.id();
        let queue = QueueRow {
            other_config: owned(config),
            dscp: None,
        };
        rows.model.queues.insert(id, queue);
        row.queues.insert(*number, id);
    }
    let id = rows.id();
    rows.model.qos.insert(id, row);
    rows.model.ports.get_mut(&port).unwrap().qos = Some(id);
    let mut actual = Actual::default();
    let mut tap = link(7, "tap0");
    tap.kind = Some("tun".to_owned());
    actual.insert(tap);
    Case {
        desired: rows.desired(),
        actual,
    }
}

impl Case {
    /// The next changes, which are noted as done.
    fn round(&mut self) -> Vec<Shaping> {
        let effects = shape(&self.desired, &self.actual);
        let mut done = Vec::new();
        for effect in effects {
            let Effect::Shape(device, shaping) = effect else {
                panic!("{effect}");
            };
            shaping.remember(device.ifindex, &mut self.actual.qdiscs);
            done.push(shaping);
        }
        done
    }

    fn settle(&mut self) {
        for _ in 0..4 {
            if self.round().is_empty() {
                return;
            }
        }
        panic!("does not settle");
    }

    fn classes(&self) -> &BTreeMap<u16, HtbClass> {
        match self.actual.qdiscs.values().next() {
            Some(Root::Own(Qdisc::Htb(classes))) => classes,
            other => panic!("{other:?}"),
        }
    }

    fn root(&mut self, root: Root) {
        let device = IfIndex::new(7).unwrap();
        self.actual.qdiscs.insert(device, root);
    }
}

fn kbps(class: &HtbClass) -> (u64, u64) {
    (class.rate_bytes_s * 8 / 1000, class.ceil_bytes_s * 8 / 1000)
}

#[test]
fn what_libvirt_asks_for() {
    let config = [
        ("min-rate", "8000000"),
        ("burst", "4096000"),
        ("max-rate", "16000000"),
    ];
    let mut case = case("linux-htb", &config, &[(0, &config)]);
    assert_eq!(case.round(), [Shaping::Set(Qdisc::Htb(BTreeMap::new()))]);
    let round = case.round();
    assert!(matches!(round[0], Shaping::SetClass(SHARED_CLASS, _)));
    assert!(matches!(round[1], Shaping::SetClass(1, _)));
    assert_eq!(case.round(), []);
    let classes = case.classes();
    assert_eq!(kbps(&classes[&SHARED_CLASS]), (16_000, 16_000));
    let class = classes[&1];
    assert_eq!(kbps(&class), (8_000, 16_000));
    assert_eq!(class.burst.bytes(class.rate_bytes_s), 512_000);
    assert_eq!(class.ceil_burst.bytes(class.ceil_bytes_s), 512_000);
    assert_eq!((class.priority, class.quantum_bytes), (0, 1500));
}

#[test]
fn rates_stay_between_a_frame_a_second_and_that_of_all() {
    let mut case = case(
        "linux-htb",
        &[("max-rate", "100000000")],
        &[
            (1, &[("max-rate", "1000000")]),
            (2, &[("min-rate", "200000000"), ("priority", "3")]),
            (
                5,
                &[
                    ("min-rate", "10"),
                    ("max-rate", "500000000"),
                    ("burst", "80000"),
                ],
            ),
        ],
    );
    case.settle();
    let classes = case.classes();
    let rates: BTreeMap<u16, _> = classes.iter().map(|(n, c)| (*n, kbps(c))).collect();
    let wanted = BTreeMap::from([
        (1, (12, 100_000)),
        (2, (12, 1_000)),
        (3, (100_000, 100_000)),
        (6, (12, 100_000)),
        (SHARED_CLASS, (100_000, 100_000)),
    ]);
    assert_eq!(rates, wanted);
    assert_eq!(classes[&3].priority, 3);
    assert_eq!(classes[&6].burst.bytes(1500), 10_000);
}

#[test]
fn curves_of_hfsc_are_rates() {
    let mut case = case(
        "linux-hfsc",
        &[("max-rate", "80000000000")],
        &[(1, &[("min-rate", "8000000"), ("max-rate", "16000000")])],
    );
    assert_eq!(case.round(), [Shaping::Set(Qdisc::Hfsc(BTreeMap::new()))]);
    let changed: Vec<String> = case.round().iter().map(Shaping::to_string).collect();
    // What 32 bits have room for.
    let wanted = [
        "class 1:fffe set to 34359738360 to 34359738360 bit/s",
        "class 1:2 set to 8000000 to 16000000 bit/s",
        "class 1:1 set to 12000 to 34359738360 bit/s",
    ];
    assert_eq!(changed, wanted);
    assert_eq!(case.round(), []);
}

#[test]
fn a_device_without_a_rate_has_its_links_or_ten_gigabits() {
    let mut first = case("linux-htb", &[], &[]);
    first.settle();
    assert_eq!(kbps(&first.classes()[&1]), (12, 10_000_000));
    let mut nic = case("linux-htb", &[], &[]);
    let device = IfIndex::new(7).unwrap();
    nic.actual.speeds_bps.insert(device, 25_000_000_000);
    nic.settle();
    assert_eq!(kbps(&nic.classes()[&1]), (12, 25_000_000));
}

#[test]
fn only_what_differs_changes() {
    let two = [(0, &[("max-rate", "1000000")][..]), (1, &[][..])];
    let mut before = case("linux-htb", &[("max-rate", "8000000")], &two);
    before.settle();
    let mut after = case(
        "linux-htb",
        &[("max-rate", "8000000")],
        &[(0, &[("max-rate", "2000000")]), (2, &[])],
    );
    after.actual.qdiscs = before.actual.qdiscs.clone();
    let changed: Vec<String> = after.round().iter().map(Shaping::to_string).collect();
    let wanted = [
        "class 1:2 deleted",
        "class 1:3 set to 12000 to 8000000 bit/s",
        "class 1:1 set to 12000 to 2000000 bit/s",
    ];
    assert_eq!(changed, wanted);
    assert_eq!(after.round(), []);
}

#[test]
fn what_is_no_longer_asked_for_goes_and_what_others_made_stays() {
    for kind in ["", "linux-noop"] {
        let mut case = case(kind, &[], &[]);
        case.root(Root::Own(Qdisc::Hfsc(BTreeMap::new())));
        assert_eq!(case.round(), [Shaping::Drop], "{kind}");
        case.root(Root::Own(Qdisc::Htb(BTreeMap::new())));
        assert_eq!(case.round(), [Shaping::Drop], "{kind}");
        assert_eq!(case.round(), []);
        case.root(Root::Foreign("htb".to_owned()));
        assert_eq!(case.round(), [], "{kind}");
    }
    let mut gone = case("linux-htb", &[], &[]);
    gone.settle();
    gone.desired = Desired::default();
    assert_eq!(gone.round(), [Shaping::Drop]);
}

#[test]
fn a_discipline_of_another_kind_or_maker_is_replaced() {
    let tbf = |case: &mut Case| match case.round().as_slice() {
        [Shaping::Drop, Shaping::Set(Qdisc::Tbf(tbf))] => *tbf,
        other => panic!("{other:?}"),
    };
    let mut policer = case(
        "egress-policer",
        &[("cir", "1250000"), ("cbs", "20000")],
        &[],
    );
    policer.root(Root::Own(Qdisc::Htb(BTreeMap::new())));
    let first = tbf(&mut policer);
    assert_eq!(first.rate_bytes_s, 1_250_000);
    assert_eq!(first.burst.bytes(1_250_000), 20_000);
    assert_eq!(policer.round(), []);
    policer.root(Root::Foreign("fq".to_owned()));
    assert_eq!(tbf(&mut policer), first);
    let slower = Tbf {
        rate_bytes_s: 1000,
        ..first
    };
    policer.root(Root::Own(Qdisc::Tbf(slower)));
    assert_eq!(policer.round(), [Shaping::Set(Qdisc::Tbf(first))]);
}

#[test]
fn times_that_the_kernel_rounds_are_no_change() {
    for kind in ["linux-codel", "linux-fq_codel", "linux-sfq", "linux-netem"] {
        let mut case = case(kind, &[], &[]);
        assert_eq!(case.round().len(), 1, "{kind}");
        assert_eq!(case.round(), [], "{kind}");
    }
}

#[test]
fn of_priorities_the_order_counts() {
    let written = ["5000000000", "70", "3", "3", "900"].map(|text| [("priority", text)]);
    let queues: Vec<(i64, Settings)> = (1..).zip(written.iter().map(|s| &s[..])).collect();
    let mut case = case("linux-htb", &[], &queues);
    case.settle();
    let priorities: Vec<u32> = (1..=6).map(|n| case.classes()[&n].priority).collect();
    assert_eq!(priorities, [0, 4, 2, 1, 1, 3]);
}

#[test]
fn nothing_is_looked_at_while_nothing_is_shaped() {
    let mut case = case("", &[], &[]);
    assert!(!concerns(&case.desired, &case.actual));
    case.root(Root::Foreign("fq".to_owned()));
    assert!(!concerns(&case.desired, &case.actual));
    case.root(Root::Own(Qdisc::Htb(BTreeMap::new())));
    assert!(concerns(&case.desired, &case.actual));
}
