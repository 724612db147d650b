//! Frames follow the key: the code that writes what actions changed, in the kernel, against headers
//! that are made anew with all their checksums. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod headers;

use aorta_compiler::abi::MapSpec;
use aorta_compiler::pipeline::commit::{Changes, CommitFacts, emit_commit};
use aorta_compiler::pipeline::layout::{self, state, vlan};
use aorta_compiler::pipeline::maps::STATE;
use aorta_ebpf::{Assembler, Cond, Helper, Program, Reg, Size};
use aorta_flow::field::FieldId;
use aorta_kernel::{Loaded, Loader, Map};
use headers::{L3, L4, Packet};
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};

use Reg::{R0, R1, R2, R3, R6, R7, R10};

/// Random pairs of packets before and after; each is run with the tag beside and within the frame.
const CASES: u32 = 3000;

/// All that a commit can write.
const FIELDS: &[FieldId] = &[
    FieldId::ETH_SRC,
    FieldId::ETH_DST,
    FieldId::VLAN_TCI,
    FieldId::IP_SRC,
    FieldId::IP_DST,
    FieldId::NW_TOS,
    FieldId::NW_TTL,
    FieldId::IPV6_SRC,
    FieldId::IPV6_DST,
    FieldId::IPV6_LABEL,
    FieldId::TCP_SRC,
    FieldId::TCP_DST,
    FieldId::UDP_SRC,
    FieldId::UDP_DST,
    FieldId::SCTP_SRC,
    FieldId::SCTP_DST,
    FieldId::ICMP_TYPE,
    FieldId::ICMP_CODE,
    FieldId::ICMPV6_TYPE,
    FieldId::ICMPV6_CODE,
    FieldId::ARP_OP,
    FieldId::ARP_SPA,
    FieldId::ARP_TPA,
    FieldId::ARP_SHA,
    FieldId::ARP_THA,
    FieldId::ND_TARGET,
    FieldId::ND_SLL,
    FieldId::ND_TLL,
    FieldId::MPLS_LABEL,
    FieldId::MPLS_TC,
    FieldId::MPLS_TTL,
];

/// Verdict of a run whose commit failed.
const FAILED: u32 = 1;
/// Offsets in `struct __sk_buff`.
const SKB_VLAN_PRESENT: i16 = 20;
const SKB_VLAN_TCI: i16 = 24;
const SKB_VLAN_PROTO: i16 = 28;

/// A program that is nothing but a commit. It returns the tag that is left beside the frame.
fn program(changes: &Changes, beside: bool) -> Program {
    let mut a = Assembler::new("commit");
    let (done, failed) = (a.label("done"), a.label("failed"));
    let untagged = a.label("untagged");
    a.mov(R6, R1);
    if beside {
        let none = a.label("none");
        a.load(Size::W, R1, R6, 16);
        a.be16(R1);
        let tagged = a.label("tagged");
        a.jump_if(Cond::Eq, R1, 0x8100, tagged);
        a.jump_if(Cond::Eq, R1, 0x88a8, tagged);
        a.jump(none);
        a.bind(tagged);
        // An empty tag on top and off again leaves the frame's own tag beside it.
        a.mov(R1, R6);
        a.mov(R2, 0x81);
        a.mov(R3, 1);
        a.call(Helper::SkbVlanPush);
        a.mov(R1, R6);
        a.call(Helper::SkbVlanPop);
        a.bind(none);
    }
    a.store(Size::W, R10, -4, 0);
    a.mov(R2, R10);
    a.add(R2, -4);
    a.load_map(R1, STATE.id);
    a.call(Helper::MapLookupElem);
    a.jump_if(Cond::Eq, R0, 0, failed);
    a.mov(R7, R0);
    emit_commit(
        &mut a,
        &CommitFacts {
            changes,
            done,
            failed,
        },
    );
    a.bind(done);
    a.mov(R0, 0);
    a.load(Size::W, R1, R6, SKB_VLAN_PRESENT);
    a.jump_if(Cond::Eq, R1, 0, untagged);
    a.load(Size::W, R0, R6, SKB_VLAN_PROTO);
    a.be16(R0);
    a.lsh(R0, 16);
    a.load(Size::W, R1, R6, SKB_VLAN_TCI);
    a.or(R0, R1);
    a.bind(untagged);
    a.exit();
    a.bind(failed);
    a.mov(R0, FAILED as i32);
    a.exit();
    a.finish().unwrap()
}

/// The program in the kernel, with its state.
struct Commit {
    state: Map,
    inside: Loaded,
    beside: Loaded,
}

impl Commit {
    fn new(fields: &[FieldId]) -> Commit {
        let mut changes = Changes::default();
        fields.iter().for_each(|field| changes.add(*field));
        let spec: MapSpec = STATE;
        let state = Map::create(&spec, spec.name).unwrap();
        let mut loader = Loader::new();
        let mut load = |beside| {
            let program = program(&changes, beside);
            loader.load(&program, |map| (map == STATE.id).then_some(state.raw_fd()))
        };
        let inside = load(false).unwrap_or_else(|e| panic!("{}", aorta_kernel::chain(&e)));
        let beside = load(true).unwrap();
        Commit {
            state,
            inside,
            beside,
        }
    }

    /// The frame of `before` with the key of `after`, as it comes out.
    fn run(&self, before: &Packet, after: &Packet, beside: bool) -> Vec<u8> {
        let frame = before.encode();
        self.run_frame(&frame, before, after, beside)
    }

    fn run_frame(&self, frame: &[u8], before: &Packet, after: &Packet, beside: bool) -> Vec<u8> {
        let in_frame = before.tags.len() - usize::from(beside && !before.tags.is_empty());
        let mut value = vec![0; state::BYTES];
        let mut put = |at: i16, word: u32| {
            value[at as usize..at as usize + 4].copy_from_slice(&word.to_ne_bytes());
        };
        put(state::DIRTY, u32::MAX);
        put(state::L3, before.l3_offset(in_frame));
        put(state::L4, before.l4_offset(in_frame));
        for (field, number) in after.fields() {
            let home = field.field().home;
            for word in 0..layout::storage_bytes(home) / 4 {
                let at = state::KEY + layout::word(home, word as u8).unwrap();
                put(at, (number >> (32 * word)) as u32);
            }
        }
        let tci = layout::place(FieldId::VLAN_TCI).unwrap();
        for (key, packet) in [(state::KEY, after), (state::BASE, before)] {
            let Some((outer, inner)) = packet.tags.split_first() else {
                continue;
            };
            put(key + tci, u32::from(outer.1 | 0x1000));
            let rest = u32::from(outer.0) << 16 | u32::from(outer.1 & 0x1000);
            put(key + vlan::OUTER, rest);
            put(key + vlan::COUNT, inner.len() as u32);
            for (n, (tpid, tci)) in inner.iter().rev().enumerate() {
                let tag = u32::from(*tpid) << 16 | u32::from(*tci);
                put(key + vlan::INNER + 4 * n as i16, tag);
            }
        }
        self.state.set(&0u32.to_ne_bytes(), &value).unwrap();
        let program = if beside { &self.beside } else { &self.inside };
        let run = program.test_run(frame, 1).unwrap();
        assert_ne!(run.verdict, FAILED, "{before:?} to {after:?}");
        let mut frame = run.frame;
        if run.verdict != 0 {
            let tag = run.verdict.to_be_bytes();
            frame.splice(12..12, tag);
        }
        frame
    }

    fn check(&self, before: &Packet, after: &Packet) {
        for beside in [false, true] {
            let frame = self.run(before, after, beside);
            assert_eq!(
                hex(&frame),
                hex(&after.encode()),
                "tag beside: {beside}\n{before:#?}\nto {after:#?}"
            );
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn frames_are_as_headers_made_anew() {
    let commit = Commit::new(FIELDS);
    let config = Config {
        cases: CASES,
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&headers::pair(), |(before, after)| {
            commit.check(&before, &after);
            Ok(())
        })
        .unwrap();
}

#[test]
fn what_cannot_change_is_not_written() {
    let commit = Commit::new(&[FieldId::NW_TTL, FieldId::IPV6_DST, FieldId::ARP_OP]);
    let config = Config {
        cases: CASES / 10,
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&headers::pair(), |(before, mut after)| {
            after.dst = before.dst;
            after.src = before.src;
            after.tags = before.tags.clone();
            after.l3 = match (before.l3.clone(), &after.l3) {
                (L3::V4(ip), L3::V4(new)) => L3::V4(headers::V4 { ttl: new.ttl, ..ip }),
                (L3::V6(ip), L3::V6(new)) => L3::V6(headers::V6 {
                    hop_limit: new.hop_limit,
                    dst: new.dst,
                    ..ip
                }),
                (L3::Arp(arp), L3::Arp(new)) => L3::Arp(headers::Arp { op: new.op, ..arp }),
                (other, _) => other,
            };
            let mut wrong = after.clone();
            wrong.dst = [9; 6];
            for beside in [false, true] {
                let frame = commit.run(&before, &wrong, beside);
                prop_assert_eq!(hex(&frame), hex(&after.encode()));
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_wrong_checksum_stays_as_wrong() {
    let commit = Commit::new(FIELDS);
    let udp = |port, ttl| Packet {
        l3: L3::V4(headers::V4 {
            ttl,
            l4: L4::Udp(5, port, true),
            ..headers::V4::default()
        }),
        ..Packet::default()
    };
    let (before, after) = (udp(53, 64), udp(5353, 63));
    let mut frame = before.encode();
    let mut expected = after.encode();
    const UDP_CHECKSUM: usize = 14 + 20 + 6;
    for (frame, checksum) in [(&mut frame, UDP_CHECKSUM), (&mut expected, UDP_CHECKSUM)] {
        let sum = u16::from_be_bytes([frame[checksum], frame[checksum + 1]]);
        let wrong = headers::add(sum, 0x1234);
        frame[checksum..checksum + 2].copy_from_slice(&wrong.to_be_bytes());
    }
    let out = commit.run_frame(&frame, &before, &after, false);
    assert_eq!(hex(&out), hex(&expected));
}

const ETHERNET_BYTES: usize = 14;
const IPV6_BYTES: usize = 40;

#[test]
fn a_destination_on_the_way_counts_for_no_checksum() {
    let commit = Commit::new(FIELDS);
    let udp = |dst| Packet {
        l3: L3::V6(headers::V6 {
            src: 1,
            dst,
            extensions: 1,
            l4: L4::Udp(5, 6, true),
            ..headers::V6::default()
        }),
        payload: vec![7; 20],
        ..Packet::default()
    };
    let (before, after) = (udp(0x1234), udp(0x9876));
    let (mut frame, mut expected) = (before.encode(), after.encode());
    const ROUTING: u8 = 43;
    const CHECKSUM: usize = ETHERNET_BYTES + IPV6_BYTES + 8 + 6;
    for segments_left in [0, 1] {
        for frame in [&mut frame, &mut expected] {
            frame[ETHERNET_BYTES + 6] = ROUTING;
            frame[ETHERNET_BYTES + IPV6_BYTES + 3] = segments_left;
        }
        if segments_left > 0 {
            expected[CHECKSUM..CHECKSUM + 2].copy_from_slice(&frame[CHECKSUM..CHECKSUM + 2]);
        }
        let out = commit.run_frame(&frame, &before, &after, false);
        assert_eq!(hex(&out), hex(&expected), "segments left: {segments_left}");
    }
}

#[test]
fn neighbour_discovery_that_is_not_well_formed_stays() {
    let commit = Commit::new(&[FieldId::ND_TARGET, FieldId::ND_SLL, FieldId::ND_TLL]);
    let nd = |target, link| Packet {
        l3: L3::V6(headers::V6 {
            l4: L4::Nd(true, target, Some(link)),
            ..headers::V6::default()
        }),
        ..Packet::default()
    };
    let (before, after) = (nd(5, [1; 6]), nd(6, [2; 6]));
    const MESSAGE: usize = ETHERNET_BYTES + IPV6_BYTES;
    const CODE: usize = MESSAGE + 1;
    const LENGTHS: [usize; 2] = [MESSAGE + 24 + 1, MESSAGE + 32 + 1];
    for (at, byte) in [(CODE, 1), (LENGTHS[0], 0), (LENGTHS[1], 0), (LENGTHS[1], 2)] {
        let mut frame = before.encode();
        frame[at] = byte;
        let out = commit.run_frame(&frame, &before, &after, false);
        assert_eq!(hex(&out), hex(&frame), "byte {at}: {byte}");
    }
    // An option of another length is none with an address, and the target is the target.
    let mut frame = before.encode();
    frame[LENGTHS[0]] = 2;
    let out = commit.run_frame(&frame, &before, &after, false);
    assert_ne!(hex(&out), hex(&frame));
    const LINK: usize = MESSAGE + 34;
    assert_eq!(out[LINK..LINK + 6], frame[LINK..LINK + 6]);
}
