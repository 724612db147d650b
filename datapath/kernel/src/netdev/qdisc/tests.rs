use std::collections::BTreeMap;

use aorta_flow::IfIndex;

use super::encode::{ROOT, set_class, set_root};
use super::*;

const MARK: Mark = Mark(0x1234);
const OTHER_MARK: Mark = Mark(0x1235);
/// Length of a message's own header in bytes.
const HEADER: usize = 16;

fn device() -> IfIndex {
    IfIndex::new(7).unwrap()
}

fn class(rate_bytes_s: u64) -> HtbClass {
    HtbClass {
        rate_bytes_s,
        ceil_bytes_s: rate_bytes_s * 2,
        burst: Burst::of(1564, rate_bytes_s),
        ceil_burst: Burst::of(3000, rate_bytes_s * 2),
        priority: 3,
        quantum_bytes: 1500,
    }
}

fn curves(min_rate_bytes_s: u32) -> HfscClass {
    HfscClass {
        min_rate_bytes_s,
        max_rate_bytes_s: min_rate_bytes_s.saturating_mul(2),
    }
}

fn all() -> Vec<Qdisc> {
    let codel = Codel {
        target_us: 5000,
        interval_us: 100_000,
        limit_packets: 10_240,
    };
    vec![
        Qdisc::Htb(BTreeMap::new()),
        Qdisc::Hfsc(BTreeMap::new()),
        Qdisc::Tbf(Tbf {
            rate_bytes_s: 1_250_000,
            burst: Burst::of(20_000, 1_250_000),
            limit_bytes: 20_000,
        }),
        Qdisc::Tbf(Tbf {
            rate_bytes_s: 12_500_000_000,
            burst: Burst::of(20_000, 12_500_000_000),
            limit_bytes: 20_000,
        }),
        Qdisc::Sfq {
            perturb_s: 10,
            quantum_bytes: 1500,
        },
        Qdisc::Codel(codel),
        Qdisc::FqCodel {
            codel,
            flows: 1024,
            quantum_bytes: 1514,
        },
        Qdisc::Netem {
            latency_us: 2000,
            limit_packets: 1000,
            loss_percent: 3,
        },
    ]
}

#[test]
fn what_is_asked_for_reads_as_itself() {
    for qdisc in all() {
        let bytes = set_root(device(), &qdisc, MARK);
        let read = decode::root(&bytes[HEADER..], MARK);
        assert_eq!(read, Some((device(), Root::Own(qdisc.clone()))));
        let other = decode::root(&bytes[HEADER..], OTHER_MARK);
        let kind = qdisc.kind().to_owned();
        assert_eq!(other, Some((device(), Root::Foreign(kind))));
    }
    let htb = [1, 1500, 125_000_000, 50_000_000_000].map(|rate| Class::Htb(class(rate)));
    let hfsc = [1, 1500, u32::MAX].map(|rate| Class::Hfsc(curves(rate)));
    for class in htb.into_iter().chain(hfsc) {
        for number in [DEFAULT_CLASS, 9, SHARED_CLASS] {
            let bytes = set_class(device(), number, &class, MARK);
            let (read_number, read, _) = decode::class(&bytes[HEADER..], MARK).unwrap();
            assert_eq!((read_number, read), (number, class));
        }
    }
}

#[test]
fn cut_messages_are_nothing() {
    for qdisc in all() {
        let bytes = set_root(device(), &qdisc, MARK);
        // What an HFSC is told ends in the middle of a word.
        let padding = if qdisc.kind() == "hfsc" { 2 } else { 0 };
        for end in 0..bytes.len() - HEADER - padding {
            let read = decode::root(&bytes[HEADER..HEADER + end], MARK);
            assert_ne!(read, Some((device(), Root::Own(qdisc.clone()))), "{end}");
        }
    }
    for class in [Class::Htb(class(1500)), Class::Hfsc(curves(1500))] {
        let bytes = set_class(device(), 9, &class, MARK);
        for end in 0..bytes.len() - HEADER {
            assert!(decode::class(&bytes[HEADER..HEADER + end], MARK).is_none());
        }
    }
}

#[test]
fn the_kernels_own_disciplines_and_inner_ones_are_no_roots() {
    let bytes = set_root(device(), &Qdisc::Htb(BTreeMap::new()), MARK);
    let mut own = bytes.clone();
    own[HEADER + 8..HEADER + 12].fill(0);
    assert_eq!(decode::root(&own[HEADER..], MARK), None);
    let mut inner = bytes;
    assert_eq!(inner[HEADER + 12..HEADER + 16], ROOT.to_ne_bytes());
    inner[HEADER + 12..HEADER + 16].copy_from_slice(&0x0001_0002u32.to_ne_bytes());
    assert_eq!(decode::root(&inner[HEADER..], MARK), None);
}

/// What `tc class add dev IF parent 1:fffe classid 1:1 htb rate 8mbit ceil 16mbit burst 500kb
/// cburst 500kb` asks for, but for the tables of lengths.
#[test]
fn a_class_is_asked_for_as_tc_does() {
    let class = HtbClass {
        rate_bytes_s: 1_000_000,
        ceil_bytes_s: 2_000_000,
        burst: Burst::of(512_000, 1_000_000),
        ceil_burst: Burst::of(512_000, 2_000_000),
        priority: 0,
        quantum_bytes: 1500,
    };
    let bytes = set_class(device(), 1, &Class::Htb(class), MARK);
    let word = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
    assert_eq!([word(20), word(24), word(28)], [7, 0x1_0001, 0x1_fffe]);
    // The kind takes eight bytes, the headers of options and parameters four each.
    let parms = 36 + 8 + 4 + 4;
    assert_eq!([word(parms + 8), word(parms + 20)], [1_000_000, 2_000_000]);
    assert_eq!([word(parms + 24), word(parms + 28)], [8_000_000, 4_000_000]);
}

/// The attributes of a message.
fn attributes(message: &[u8]) -> &[u8] {
    const TCMSG: usize = 20;
    &message[HEADER + TCMSG..]
}

/// Of the bytes that `tc qdisc add dev IF root handle 1: hfsc default 1` sends, the attributes; the
/// number of the default class is the mark.
#[test]
fn an_hfsc_is_asked_for_as_tc_does() {
    let bytes = set_root(device(), &Qdisc::Hfsc(BTreeMap::new()), MARK);
    let mut sent = b"\x09\x00\x01\x00hfsc\x00\x00\x00\x00\x06\x00\x02\x00\x01\x00\x00\x00".to_vec();
    let default = MARK.hfsc_default();
    assert!(default > 0xf000 && default < SHARED_CLASS, "{default:x}");
    assert_ne!(default, OTHER_MARK.hfsc_default());
    sent[16..18].copy_from_slice(&default.to_ne_bytes());
    assert_eq!(attributes(&bytes), sent);
    let handle_and_parent = [1 << 16, ROOT].map(u32::to_ne_bytes).concat();
    assert_eq!(bytes[HEADER + 8..HEADER + 16], handle_and_parent);
}

/// Of the bytes that `tc class add dev IF parent 1: classid 1:fffe hfsc sc rate 1000000bps ul rate
/// 1000000bps` sends, those from the handle on.
#[test]
fn a_class_of_hfsc_is_asked_for_as_tc_does() {
    let class = HfscClass {
        min_rate_bytes_s: 1_000_000,
        max_rate_bytes_s: 1_000_000,
    };
    let bytes = set_class(device(), SHARED_CLASS, &Class::Hfsc(class), MARK);
    let curve = |kind: u8| [&[0x10, 0, kind, 0][..], &[0; 8], &[0x40, 0x42, 0x0f, 0]].concat();
    let sent = [
        &[0xfe, 0xff, 0x01, 0x00, 0x00, 0x00, 0x01, 0x00, 0, 0, 0, 0][..],
        b"\x09\x00\x01\x00hfsc\x00\x00\x00\x00\x34\x00\x02\x00",
        &[curve(1), curve(2), curve(3)].concat(),
    ];
    assert_eq!(bytes[HEADER + 8..], sent.concat());
}

#[test]
fn bursts_are_times() {
    assert_eq!(Burst::of(1500, 1_000_000).bytes(1_000_000), 1500);
    assert_eq!(Burst::of(0, 1_000_000).bytes(1_000_000), 64 / 1000);
    assert!(Burst::of(1500, 12_500_000_000).bytes(12_500_000_000) >= 1500);
    assert_eq!(Burst::of(u64::MAX, 1).ticks, u32::MAX);
    assert_eq!(Burst::of(1500, 0).ticks, u32::MAX);
}

#[test]
fn queues_have_classes() {
    assert_eq!(class_of(0), Some(DEFAULT_CLASS));
    assert_eq!(class_of(MAX_QUEUES - 1), Some(0xf000));
    assert_eq!(class_of(MAX_QUEUES), None);
    assert_eq!(class_of(u32::MAX), None);
}
