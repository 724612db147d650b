//! A card's port that follows steps, on a tap whose stack does what a card would: what packets meet,
//! what is counted, what is left after an end. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod lab;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use aorta_compiler::offload::CardLimits;
use aorta_flow::action::Action;
use aorta_flow::field::FieldId;
use aorta_flow::table::FlowId;
use aorta_flow::text::{NoNames, parse_flow_line};
use aorta_flow::{Match, OfPort};
use aorta_kernel::offload::ebpf::{CardMode, CardPort, EbpfCard, program_id};
use aorta_placement::{Rule, RuleKey, Step, Verdict};

use lab::{Lab, Tap};

const MTU_BYTES: u16 = 1500;

fn port(tap: &Tap, limits: CardLimits) -> CardPort {
    CardPort {
        ifindex: tap.ifindex.get(),
        mode: CardMode::Stack,
        port: OfPort(1),
        sends: BTreeMap::new(),
        limits,
    }
}

/// The rule of a flow line; `id` is the flow's number.
fn rule(id: u64, line: &str) -> Rule {
    let flow = parse_flow_line(line, &NoNames).unwrap().1.into_flow();
    let actions = flow.instructions.apply.clone();
    let traps = actions.contains(&Action::Output(OfPort::NORMAL));
    Rule {
        table: flow.table,
        priority: flow.priority,
        flow: Some(FlowId(id)),
        matching: flow.matching.clone(),
        verdict: match traps {
            true => Verdict::Trap,
            false => Verdict::Forward {
                actions,
                goto: flow.instructions.goto_table,
            },
        },
        policer: None,
    }
}

/// Sends UDP to a port back if `back`, else drops it.
fn udp_rule(number: u16, back: bool) -> Rule {
    let actions = if back { "in_port" } else { "drop" };
    rule(
        number.into(),
        &format!("priority=10,udp,tp_dst={number} actions={actions}"),
    )
}

fn key(id: u64) -> RuleKey {
    RuleKey {
        table: 0,
        flow: Some(FlowId(id)),
    }
}

/// A frame of 60 bytes from UDP port 1000.
fn udp(to: u16) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    frame.extend([0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0]);
    frame.extend([10, 0, 0, 1, 10, 0, 0, 2, 3, 232]);
    frame.extend(to.to_be_bytes());
    frame.extend([0, 26, 0, 0]);
    frame.resize(60, 0);
    frame
}

/// Whether a frame comes back.
fn comes_back(tap: &Tap, to: u16) -> bool {
    tap.receive_all();
    tap.send(&udp(to)).unwrap();
    match &tap.receive_all()[..] {
        [] => false,
        [frame] => *frame == udp(to),
        several => panic!("{several:?}"),
    }
}

fn put(card: &mut EbpfCard, rules: &[Rule]) {
    let steps: Vec<Step> = rules.iter().cloned().map(Step::Put).collect();
    for done in card.apply(&steps) {
        done.unwrap();
    }
}

fn program(tap: &Tap) -> Option<u32> {
    program_id(tap.ifindex.get(), CardMode::Stack).unwrap()
}

fn counted(card: &mut EbpfCard) -> BTreeMap<RuleKey, (u64, u64)> {
    let ended = card.ended().into_iter();
    let counters = ended.chain(card.counters().unwrap());
    counters
        .map(|(key, c)| (key, (c.packets, c.bytes)))
        .collect()
}

#[test]
fn what_is_in_maps_changes_without_another_program() {
    let lab = Lab::new("cm");
    let tap = lab.tap("cm1", MTU_BYTES);
    let mut card = EbpfCard::new(port(&tap, CardLimits::default()));
    let rules: Vec<Rule> = (1..=40).map(|n| udp_rule(n, n % 2 == 0)).collect();
    put(&mut card, &rules);
    let first = program(&tap).unwrap();
    for number in 1..=40 {
        assert_eq!(comes_back(&tap, number), number % 2 == 0, "{number}");
    }
    assert!(!comes_back(&tap, 41));
    // What a rule does, a rule that goes, one that comes.
    let steps = [
        Step::Put(udp_rule(3, true)),
        Step::Remove(key(4)),
        Step::Put(udp_rule(41, true)),
    ];
    assert!(card.apply(&steps).iter().all(Result::is_ok));
    assert_eq!(program(&tap), Some(first));
    for (number, back) in [(3, true), (4, false), (41, true), (2, true), (5, false)] {
        assert_eq!(comes_back(&tap, number), back, "{number}");
    }
    let counts = counted(&mut card);
    assert_eq!(counts[&key(3)], (2, 120));
    // Once more, by a rule that has gone.
    assert_eq!(counts[&key(4)], (1, 60));
    assert_eq!(counts[&key(41)], (1, 60));
    assert!(!counted(&mut card).contains_key(&key(4)));
    // Other bits need another program, which goes on counting.
    put(
        &mut card,
        &[rule(
            100,
            "priority=20,udp,nw_src=10.0.0.0/8,tp_dst=2 actions=drop",
        )],
    );
    assert_ne!(program(&tap), Some(first));
    assert!(!comes_back(&tap, 2) && comes_back(&tap, 3));
    assert_eq!(counted(&mut card)[&key(3)], (3, 180));
    card.clear().unwrap();
    assert_eq!(program(&tap), None);
    assert!(!comes_back(&tap, 3) && card.rules().is_empty());
}

#[test]
fn tables_and_traps_of_small_programs() {
    let lab = Lab::new("ct");
    let tap = lab.tap("ct1", MTU_BYTES);
    let mut card = EbpfCard::new(port(&tap, CardLimits::default()));
    put(
        &mut card,
        &[
            rule(1, "priority=30,udp,tp_dst=7 actions=normal"),
            rule(
                2,
                "priority=20,udp actions=set_field:02:00:00:00:00:09->eth_dst,goto_table:1",
            ),
            rule(3, "table=1,priority=20,udp,tp_dst=8 actions=in_port"),
            Rule {
                flow: None,
                ..rule(0, "table=1,priority=0 actions=drop")
            },
        ],
    );
    tap.send(&udp(8)).unwrap();
    let back = tap.receive_all();
    assert_eq!(back.len(), 1);
    assert_eq!(back[0][..6], [2, 0, 0, 0, 0, 9]);
    assert_eq!(back[0][6..], udp(8)[6..]);
    assert!(!comes_back(&tap, 7) && !comes_back(&tap, 9));
    let counts = counted(&mut card);
    let miss = RuleKey {
        table: 1,
        flow: None,
    };
    let in_table_1 = RuleKey {
        table: 1,
        flow: Some(FlowId(3)),
    };
    assert_eq!(counts[&key(2)].0, 2);
    assert_eq!(counts[&in_table_1].0, 1);
    assert_eq!(counts[&miss].0, 1);
    assert!(!counts.contains_key(&key(1)), "a trap decides nothing");
}

#[test]
fn every_frame_meets_the_old_rules_or_the_new_ones() {
    let lab = Lab::new("cg");
    let tap = lab.tap("cg1", MTU_BYTES);
    let mut card = EbpfCard::new(port(&tap, CardLimits::default()));
    let kinds = [
        rule(1, "priority=10,udp actions=in_port"),
        rule(
            1,
            "priority=10,udp actions=set_field:02:00:00:00:00:09->eth_dst,in_port",
        ),
    ];
    put(&mut card, &kinds[..1]);
    // Frames that came back, by which of the rules they met.
    let met = [const { AtomicU64::new(0) }; 2];
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                tap.send(&udp(8)).unwrap();
                let back = tap.receive_all();
                assert_eq!(back.len(), 1, "lost after {met:?}");
                met[usize::from(back[0][5] == 9)].fetch_add(1, Ordering::Relaxed);
            }
        });
        for turn in 1..=60 {
            let kind = turn % 2;
            put(&mut card, &kinds[kind..=kind]);
            let before = met[kind].load(Ordering::Relaxed);
            while met[kind].load(Ordering::Relaxed) < before + 2 && !sender.is_finished() {
                std::thread::yield_now();
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    let sums = met.map(AtomicU64::into_inner);
    assert!(sums.iter().all(|n| *n > 0), "{sums:?}");
    assert_eq!(counted(&mut card)[&key(1)].0, sums.iter().sum::<u64>());
    card.clear().unwrap();
}

#[test]
fn what_an_earlier_switch_left_goes_on_until_there_is_another_program() {
    let lab = Lab::new("cl");
    let tap = lab.tap("cl1", MTU_BYTES);
    let mut card = EbpfCard::new(port(&tap, CardLimits::default()));
    put(&mut card, &[udp_rule(1, true)]);
    drop(card);
    assert!(comes_back(&tap, 1));
    let mut card = EbpfCard::new(port(&tap, CardLimits::default()));
    let found = card.found().unwrap();
    assert_eq!(found.own, program(&tap));
    assert!(found.own.is_some() && found.foreign.is_empty());
    // What it has counted can be told, by flows.
    let left = card.left().unwrap();
    let [(flow, counted)] = left[..] else {
        panic!("{left:?}");
    };
    assert_eq!((flow, counted.packets), (FlowId(1), 1));
    assert!(counted.bytes > 0);
    put(&mut card, &[udp_rule(2, true)]);
    assert!(comes_back(&tap, 2) && !comes_back(&tap, 1));
    assert_ne!(program(&tap), found.own);
    drop(card);
    let mut card = EbpfCard::new(port(&tap, CardLimits::default()));
    card.clear().unwrap();
    assert_eq!(program(&tap), None);
}

#[test]
fn what_does_not_fit_is_refused_and_the_rest_is_done() {
    let lab = Lab::new("cf");
    let tap = lab.tap("cf1", MTU_BYTES);
    let limits = CardLimits {
        max_entries: 64,
        ..CardLimits::default()
    };
    let mut card = EbpfCard::new(port(&tap, limits));
    let rules: Vec<Rule> = (1..=100).map(|n| udp_rule(n, true)).collect();
    let steps: Vec<Step> = rules.into_iter().map(Step::Put).collect();
    let results = card.apply(&steps);
    let done = results.iter().filter(|done| done.is_ok()).count();
    assert_eq!(done, 63);
    assert_eq!(card.rules().len(), done);
    let refused = results.into_iter().find_map(Result::err).unwrap();
    assert!(
        refused.is_full() && refused.text.contains("63"),
        "{refused}"
    );
    for (number, step) in (1..=100).zip(&steps) {
        let there = card.rules().contains_key(&step.key());
        assert_eq!(comes_back(&tap, number), there, "{number}");
    }
    // One that no program does is refused alone.
    let odd = rule(500, "priority=5,tcp actions=output:9");
    let steps = [
        Step::Remove(key(1)),
        Step::Put(odd),
        Step::Put(udp_rule(1, false)),
    ];
    let results = card.apply(&steps);
    assert!(results[0].is_ok() && results[2].is_ok());
    let refused = results[1].clone().unwrap_err();
    assert!(refused.text.contains("output to port 9"), "{refused}");
    assert!(!comes_back(&tap, 1) && comes_back(&tap, 2));
    card.clear().unwrap();
}

#[test]
fn rules_of_other_ports_and_packets_without_rules_are_left_alone() {
    let lab = Lab::new("co");
    let tap = lab.tap("co1", MTU_BYTES);
    let mut card = EbpfCard::new(port(&tap, CardLimits::default()));
    let mut elsewhere = udp_rule(1, true);
    elsewhere.matching = Match::any();
    elsewhere.matching.set(FieldId::IN_PORT, 2).unwrap();
    put(&mut card, &[elsewhere, udp_rule(2, true)]);
    assert!(!comes_back(&tap, 1) && comes_back(&tap, 2));
    card.clear().unwrap();
}
