use std::collections::{BTreeMap, BTreeSet};

use aorta_flow::field::FieldId;
use aorta_flow::{Attachment, Bridge, IfIndex, Interpreter, Port, Snapshot};

use super::*;

fn snapshot() -> Snapshot {
    let port = |n: u16| {
        Port::new(
            format!("p{n}").into(),
            OfPort(n),
            Attachment::Netdev {
                ifindex: IfIndex::new(n.into()).unwrap(),
                up: true,
                mtu_bytes: 1500,
            },
        )
    };
    Snapshot {
        bridges: vec![Bridge::new("br0".into(), (1..=6).map(port).collect())],
    }
}

fn case(seed: u64) -> Case {
    random_case(&Profile::default(), &mut Rng::new(seed))
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

/// What a comparison proves hangs on frames that meet rules, and on rules that do something.
#[test]
fn frames_meet_rules_and_go_somewhere() {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut all = 0;
    for seed in 0..300 {
        let case = case(seed);
        let mut switch = Interpreter::new(&snapshot());
        switch.set_tables(&"br0".into(), case.tables().unwrap());
        for frame in &case.frames {
            let port = format!("p{}", frame.in_port).into();
            let verdict = switch.receive(&port, &frame.bytes, 0);
            let mut note = |what: &str| *seen.entry(what.to_owned()).or_default() += 1;
            let reasons = verdict.drops.iter().map(|(_, reason)| reason.name());
            reasons.for_each(&mut note);
            match verdict.outputs.len() {
                0 => {}
                1 => note("one output"),
                2..20 => note("some outputs"),
                _ => note("many outputs"),
            }
            if verdict
                .outputs
                .iter()
                .any(|output| output.frame != frame.bytes)
            {
                note("changed");
            }
            all += 1;
        }
    }
    let share = |what: &str| seen.get(what).copied().unwrap_or(0) * 100 / all;
    println!("of {all}: {seen:?}");
    assert!(share("table-miss") < 60, "{seen:?}");
    assert!(share("one output") + share("some outputs") > 20, "{seen:?}");
    assert!(share("changed") > 5, "{seen:?}");
}
