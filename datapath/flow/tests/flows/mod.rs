//! Random flows, for property tests and for comparison with other implementations.
// Each test program uses a part of this.
#![allow(dead_code)]

use aorta_flow::action::*;
use aorta_flow::field::{FieldId, Format};
use aorta_flow::{Flow, FlowFlags, Match, OfPort, Subfield};
use proptest::collection::vec;
use proptest::prelude::*;

/// Words to start a match with, so that fields find their prerequisites.
const STARTS: [&[(FieldId, u128)]; 9] = [
    &[],
    &[(FieldId::ETH_TYPE, 0x800)],
    &[(FieldId::ETH_TYPE, 0x800), (FieldId::NW_PROTO, 6)],
    &[(FieldId::ETH_TYPE, 0x86dd), (FieldId::NW_PROTO, 17)],
    &[(FieldId::ETH_TYPE, 0x800), (FieldId::NW_PROTO, 1)],
    &[
        (FieldId::ETH_TYPE, 0x86dd),
        (FieldId::NW_PROTO, 58),
        (FieldId::ICMPV6_TYPE, 135),
    ],
    &[(FieldId::ETH_TYPE, 0x806)],
    &[(FieldId::ETH_TYPE, 0x8847)],
    &[(FieldId::ETH_TYPE, 0x894f)],
];

/// A value and mask for each of a few fields, taken as far as they go together.
pub fn matching(allowed: fn(FieldId) -> bool) -> impl Strategy<Value = Match> {
    let piece = (0..FieldId::COUNT, any::<u128>(), any::<u128>(), 0..4u8);
    (0..STARTS.len(), vec(piece, 0..9)).prop_map(move |(start, pieces)| {
        let mut matching = Match::any();
        for (field, value) in STARTS[start] {
            matching.set(*field, *value).unwrap();
        }
        for (at, value, mask, shape) in pieces {
            let Some(field) = FieldId::all().nth(at).filter(|f| allowed(*f)) else {
                continue;
            };
            let full = field.field().full_mask();
            // A mask that starts with a digit would be read as a prefix length by some.
            let mask = match field.field().format {
                Format::Ipv6 => mask | 0xf << 124,
                _ => mask,
            };
            let mask = match shape {
                0 if field.field().maskable => mask & full,
                1 if field.field().maskable => full & !(full >> (mask % 128) as u32),
                _ => full,
            };
            let mut more = matching.clone();
            let set = more.set_masked(field, value & full & mask, mask);
            if set.is_ok() && more.check().is_ok() {
                matching = more;
            }
        }
        matching.normalise();
        matching
    })
}

pub fn port() -> impl Strategy<Value = OfPort> {
    prop_oneof![
        (1..0xff00u16).prop_map(OfPort),
        Just(OfPort::LOCAL),
        Just(OfPort::IN_PORT),
    ]
}

fn register() -> impl Strategy<Value = FieldId> {
    prop_oneof![
        (0..16u8).prop_map(FieldId::reg),
        (0..8u8).prop_map(FieldId::xreg),
        (0..4u8).prop_map(FieldId::xxreg),
        Just(FieldId::METADATA),
        Just(FieldId::ETH_SRC),
        Just(FieldId::TUN_ID),
    ]
}

fn part() -> impl Strategy<Value = Subfield> {
    (register(), any::<u32>(), any::<u32>()).prop_map(|(field, a, b)| {
        let bits = u32::from(field.field().bits);
        let (a, b) = (a % bits, b % bits);
        Subfield::range(field, a.min(b), a.max(b)).unwrap()
    })
}

/// Parts of two fields with as many bits each.
fn same_width() -> impl Strategy<Value = (Subfield, Subfield)> {
    (part(), register()).prop_filter_map("too wide", |(from, to)| {
        let end = u32::from(from.bits) - 1;
        Subfield::range(to, 0, end).ok().map(|to| (from, to))
    })
}

/// Actions that every version of OpenFlow's encodings keeps as they are.
fn plain_action() -> impl Strategy<Value = Action> {
    prop_oneof![
        port().prop_map(Action::Output),
        part()
            .prop_filter("no encoding", |part| part.bits <= 64)
            .prop_map(Action::OutputField),
        any::<u32>().prop_map(|id| Action::Group(id % 0xffff_ff00)),
        (register(), any::<u128>(), any::<u128>()).prop_map(|(field, value, mask)| {
            let full = field.field().full_mask();
            let mask = match mask & full {
                0 => full,
                mask => mask,
            };
            Action::SetField {
                field,
                value: value & mask,
                mask,
            }
        }),
        same_width().prop_map(|(from, to)| Action::Move { from, to }),
        part().prop_map(Action::Push),
        part().prop_map(Action::Pop),
        Just(Action::CtClear),
        Just(Action::Exit),
        (port(), 14..9999u32).prop_map(|(port, max_len_bytes)| Action::OutputTruncated {
            port,
            max_len_bytes
        }),
        any::<u32>().prop_map(Action::SetQueue),
        Just(Action::PopQueue),
        (port(), 0..255u8).prop_map(|(port, table)| Action::Resubmit {
            in_port: Some(port).filter(|p| *p != OfPort::IN_PORT),
            table: Some(table),
            ct: false,
        }),
        vec(any::<u8>(), 6..=6).prop_map(Action::Note),
        controller().prop_map(|c| Action::Controller(Box::new(c))),
        (register(), 1..0xffffu16).prop_map(|(field, len_bytes)| Action::CheckPktLarger {
            len_bytes,
            to: Subfield::range(field, 3, 3).unwrap(),
        }),
        learn().prop_map(|learn| Action::Learn(Box::new(learn))),
        (any::<u16>(), vec(port(), 1..4)).prop_map(|(basis, members)| {
            let fields = HashFields::SymmetricL4;
            let algorithm = BundleAlgorithm::Hrw;
            Action::Bundle(Box::new(Bundle {
                fields,
                basis,
                algorithm,
                to: None,
                members,
            }))
        }),
    ]
}

fn controller() -> impl Strategy<Value = Controller> {
    (
        any::<u16>(),
        any::<u16>(),
        vec(any::<u8>(), 0..9),
        any::<bool>(),
    )
        .prop_map(|(max_len_bytes, id, userdata, pause)| Controller {
            max_len_bytes,
            id,
            userdata,
            pause,
            ..Controller::default()
        })
}

fn learn() -> impl Strategy<Value = Learn> {
    let spec = prop_oneof![
        (part(), any::<u128>()).prop_map(|(to, value)| LearnSpec::MatchValue {
            to,
            value: value & aorta_flow::field::ones(to.bits)
        }),
        same_width().prop_map(|(from, to)| LearnSpec::MatchField { to, from }),
        (part(), any::<u128>()).prop_map(|(to, value)| LearnSpec::LoadValue {
            to,
            value: value & aorta_flow::field::ones(to.bits)
        }),
        same_width().prop_map(|(from, to)| LearnSpec::LoadField { to, from }),
        part().prop_map(LearnSpec::Output),
    ];
    (
        0..255u8,
        any::<u16>(),
        any::<u64>(),
        any::<bool>(),
        0..5u32,
        vec(spec, 0..4),
    )
        .prop_map(
            |(table, hard_timeout_s, cookie, delete_learned, limit, specs)| Learn {
                table,
                hard_timeout_s,
                cookie,
                delete_learned,
                limit,
                specs,
                ..Learn::default()
            },
        )
}

/// Actions that only some encodings have.
fn other_action() -> impl Strategy<Value = Action> {
    prop_oneof![
        (0..0x1000u16, any::<bool>()).prop_map(|(vid, push)| Action::SetVlanVid { vid, push }),
        (0..8u8, any::<bool>()).prop_map(|(pcp, push)| Action::SetVlanPcp { pcp, push }),
        Just(Action::PushVlan(0x88a8)),
        Just(Action::PopVlan),
        Just(Action::StripVlan),
        (part(), any::<u64>()).prop_map(|(to, value)| Action::Load {
            to,
            value: value & aorta_flow::field::ones(to.bits) as u64
        }),
        any::<u16>().prop_map(|p| Action::Modify {
            field: FieldId::TCP_DST,
            value: p.into()
        }),
        any::<u32>().prop_map(|a| Action::Modify {
            field: FieldId::IP_DST,
            value: a.into()
        }),
        proptest::option::of(vec(any::<u16>(), 0..3)).prop_map(Action::DecTtl),
        any::<u64>().prop_map(|id| Action::SetTunnel {
            id,
            wide: id > u32::MAX.into()
        }),
        (any::<u32>(), 1..=3u8).prop_map(|(id, clause)| Action::Conjunction {
            id,
            clause,
            n_clauses: 3
        }),
        (port(), any::<u32>()).prop_map(|(port, queue)| Action::Enqueue { port, queue }),
        ct().prop_map(|ct| Action::Ct(Box::new(ct))),
        vec(plain_action(), 0..3).prop_map(Action::Clone),
    ]
}

fn ct() -> impl Strategy<Value = Ct> {
    let addresses = (any::<u32>(), any::<bool>()).prop_map(|(a, range)| {
        let address = |bits: u32| std::net::IpAddr::from(std::net::Ipv4Addr::from_bits(bits));
        (address(a & 0xffff), range.then(|| address(0x7f00_0000)))
    });
    let nat = (
        any::<bool>(),
        proptest::option::of(addresses),
        any::<bool>(),
    )
        .prop_map(|(source, addresses, random)| Nat {
            direction: Some(match source {
                true => NatDirection::Source,
                false => NatDirection::Destination,
            }),
            addresses,
            ports: addresses.map(|_| (80, Some(90))),
            random,
            ..Nat::default()
        });
    (
        any::<bool>(),
        proptest::option::of(0..255u8),
        any::<u16>(),
        proptest::option::of(nat),
    )
        .prop_map(|(commit, table, zone, nat)| Ct {
            commit,
            table,
            zone: CtZone::Number(zone),
            nat,
            ..Ct::default()
        })
}

/// Flows whose text every encoding keeps, within the given fields.
pub fn plain_flow(allowed: fn(FieldId) -> bool) -> impl Strategy<Value = Flow> {
    (matching(allowed), any::<u16>(), vec(plain_action(), 0..5)).prop_map(
        |(matching, priority, actions)| Flow {
            priority,
            matching,
            instructions: Instructions::apply(actions).into(),
            ..Flow::default()
        },
    )
}

/// Flows of every kind.
pub fn any_flow() -> impl Strategy<Value = Flow> {
    let numbers = (any::<u8>(), any::<u64>(), any::<[u16; 3]>(), 0..5usize);
    let actions = || vec(prop_oneof![plain_action(), other_action()], 0..4);
    let rest = (
        actions(),
        any::<bool>(),
        actions(),
        proptest::option::of((any::<u64>(), 1..=u64::MAX)),
        proptest::option::of(0..255u8),
    )
        .prop_map(
            |(apply, clear_actions, write_actions, metadata, goto_table)| Instructions {
                apply,
                clear_actions,
                write_actions,
                write_metadata: metadata.map(|(value, mask)| (value & mask, mask)),
                goto_table,
            },
        );
    (plain_flow(|_| true), numbers, rest).prop_map(|(flow, (table, cookie, times, flag), rest)| {
        Flow {
            table: table.min(254),
            cookie,
            idle_timeout_s: times[0],
            hard_timeout_s: times[1],
            importance: times[2],
            flags: FlowFlags::ALL[flag].1,
            instructions: rest.into(),
            ..flow
        }
    })
}
