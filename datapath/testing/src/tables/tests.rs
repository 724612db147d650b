use std::collections::BTreeSet;

use aorta_flow::FlowKey;
use aorta_flow::action::HashFields;
use aorta_flow::field::FieldId;
use aorta_flow::translate::{self, Env, translate};

use super::*;

struct Around;

impl Env for Around {
    fn ports(&mut self, _: &translate::Packet) -> Vec<(OfPort, bool)> {
        (1..=6).map(|n| (OfPort(n), true)).collect()
    }

    fn hash(&mut self, _: HashFields, basis: u16, _: &translate::Packet) -> u32 {
        basis.into()
    }

    fn group_hash(&mut self, _: &aorta_flow::Group, _: &translate::Packet) -> u32 {
        0
    }
}

fn case(seed: u64) -> Case {
    random_case(&Profile::default(), &mut Rng::new(seed))
}

/// A packet of the fields that a generated packet says it has.
fn key(packet: &Packet) -> FlowKey {
    let mut key = FlowKey::new();
    for (field, value) in packet.fields() {
        key.set(field, value);
    }
    key
}

#[test]
fn tables_are_valid_and_follow_from_the_seed() {
    for seed in 0..200 {
        let case = case(seed);
        assert!(case.tables().is_ok(), "{case}");
        assert_eq!(case, super::tests::case(seed));
        assert!(case.frames.iter().all(|f| f.bytes.len() >= 14));
    }
    assert_ne!(case(1), case(2));
}

#[test]
fn all_kinds_of_actions_and_fields_come_up() {
    let (mut actions, mut fields) = (BTreeSet::new(), BTreeSet::new());
    for seed in 0..1500 {
        for flow in &case(seed).flows {
            let all = flow.instructions.all_actions();
            let name = |a: &&Action| {
                let text = format!("{a:?}");
                text.split([' ', '(', '{']).next().unwrap_or("").to_owned()
            };
            actions.extend(all.iter().map(name));
            fields.extend(flow.matching.parts().map(|part| part.field.name()));
        }
    }
    for name in [
        "Output",
        "OutputTruncated",
        "OutputField",
        "Controller",
        "Enqueue",
        "Group",
        "Meter",
        "SetField",
        "Load",
        "Modify",
        "Move",
        "Push",
        "Pop",
        "SetVlanVid",
        "SetVlanPcp",
        "PushVlan",
        "PopVlan",
        "StripVlan",
        "PushMpls",
        "PopMpls",
        "DecMplsTtl",
        "DecTtl",
        "SetQueue",
        "PopQueue",
        "Resubmit",
        "Learn",
        "Conjunction",
        "Multipath",
        "Bundle",
        "Note",
        "Exit",
        "Clone",
        "CheckPktLarger",
    ] {
        assert!(actions.contains(name), "{name} never came up: {actions:?}");
    }
    for field in [
        FieldId::IN_PORT,
        FieldId::ETH_SRC,
        FieldId::ETH_DST,
        FieldId::ETH_TYPE,
        FieldId::VLAN_TCI,
        FieldId::IP_SRC,
        FieldId::IP_DST,
        FieldId::IPV6_SRC,
        FieldId::IPV6_DST,
        FieldId::IPV6_LABEL,
        FieldId::NW_PROTO,
        FieldId::NW_TOS,
        FieldId::NW_TTL,
        FieldId::IP_FRAG,
        FieldId::TCP_SRC,
        FieldId::TCP_DST,
        FieldId::TCP_FLAGS,
        FieldId::ND_TARGET,
        FieldId::ARP_SHA,
        FieldId::ARP_THA,
        FieldId::MPLS_LABEL,
        FieldId::MPLS_TC,
        FieldId::MPLS_BOS,
        FieldId::MPLS_TTL,
        FieldId::METADATA,
        FieldId::TUN_ID,
        FieldId::PKT_MARK,
        FieldId::CONJ_ID,
        FieldId::reg(0),
        FieldId::reg(15),
    ] {
        let home = field.field().home.name();
        assert!(fields.contains(home), "{field} never came up");
    }
}

#[test]
fn what_is_left_out_does_not_come_up() {
    let profile = Profile {
        without: vec![
            Kind::Vlan,
            Kind::Clone,
            Kind::Group,
            Kind::Select,
            Kind::Failover,
        ],
        ..Profile::default()
    };
    for seed in 0..200 {
        let case = random_case(&profile, &mut Rng::new(seed));
        let unwanted =
            |a: &Action| matches!(a, Action::Clone(_) | Action::PushVlan(_) | Action::Group(_));
        assert_eq!(counts(&case, unwanted), 0);
        assert!(case.groups.is_empty());
    }
}

/// What a comparison proves hangs on packets that meet rules, and on rules that do something.
#[test]
fn packets_meet_rules_and_go_somewhere() {
    let (mut hits, mut sent, mut deep, mut all) = (0, 0, 0, 0);
    for seed in 0..300 {
        let mut rng = Rng::new(seed);
        let case = random_case(&Profile::default(), &mut rng);
        let tables = case.tables().unwrap();
        let anchors = [Packet::random(&mut rng), Packet::random(&mut rng)];
        for _ in 0..10 {
            let flow = rng.pick(&case.flows).clone();
            let mut key = key(&rng.pick(&anchors).bent_to(&flow.matching, &mut rng));
            key.set(FieldId::IN_PORT, rng.between(1, 6) as u128);
            let packet = translate::Packet::new(key, 100);
            let result = translate(&tables, packet, &mut Around);
            let lookups = result.trace.lines.iter();
            let found = lookups
                .filter(|l| matches!(&l.what, translate::TraceWhat::Table { flow: Some(_), .. }))
                .count();
            all += 1;
            hits += usize::from(found > 0);
            deep += usize::from(found > 2);
            sent += usize::from(!result.ports().is_empty());
        }
    }
    assert!(hits * 2 > all, "{hits} of {all} packets find a flow");
    assert!(sent * 4 > all, "{sent} of {all} packets are sent somewhere");
    assert!(
        deep * 20 > all,
        "{deep} of {all} packets go through several tables"
    );
}
