//! Cards that refuse, forget, vanish or are somebody else's too, and switches that die half-way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod flower_cases;

use std::collections::BTreeMap;

use aorta_flow::table::{FlowId, FlowMod, Modification, Tables};
use aorta_flow::text::{NoNames, parse_flow_line};
use aorta_flow::{IfIndex, OfPort};
use aorta_kernel::offload::flower::fake::{Decided, FakeNic};
use aorta_kernel::offload::flower::{
    CardError, CardMark, Filter, FlowerCard, Key, Lowering, Place, Refusal, Running, Stacks,
};
use aorta_placement::{Capabilities, Device, Rule, Step, Told, place};
use rustix::io::Errno;

use self::flower_cases::end_chains;

const FLOWS: &str = "priority=200,arp actions=output:2,output:3
    priority=100,ip,nw_dst=10.0.0.0/8 actions=set_field:02:00:00:00:00:09->eth_dst,goto_table:1
    priority=90,in_port=3,udp,tp_dst=53 actions=output:1
    priority=10,dl_dst=02:00:00:00:00:01 actions=output:1
    table=1,priority=100,tcp,tp_dst=80 actions=set_field:10.9.8.7->ip_dst,output:2
    table=1,priority=50,udp actions=push_vlan:0x8100,set_field:4103->vlan_vid,output:3";

/// From 02:..:02 to 02:..:01, of no known type.
const FRAME: [u8; 16] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x12, 0x34, 0, 0];

fn device_of(port: u16) -> IfIndex {
    IfIndex::new(100 + u32::from(port)).unwrap()
}

fn lowering() -> Lowering {
    Lowering {
        ports: (1..=3)
            .map(|port| (OfPort(port), device_of(port)))
            .collect(),
        running: Running::InHardware,
        stacks: Stacks::default(),
        meters_of: String::new(),
    }
}

fn nic() -> FakeNic {
    FakeNic::new((1..=3).map(device_of))
}

fn mark() -> CardMark {
    CardMark::new("/run/aorta")
}

fn card(nic: &FakeNic) -> FlowerCard<FakeNic> {
    FlowerCard::new(nic.clone(), lowering(), mark())
}

fn puts(flows: &str) -> Vec<Step> {
    let mut tables = Tables::new();
    for line in flows.lines() {
        let (_, flow) = parse_flow_line(line.trim(), &NoNames).unwrap();
        let flow = flow.into_flow();
        let table = Some(flow.table);
        let add = FlowMod {
            table,
            flow,
            ..FlowMod::default()
        };
        tables.modify(&Modification::Flow(add)).unwrap();
    }
    let device = Device {
        ports: lowering().ports.keys().copied().collect(),
        capabilities: Capabilities::flower(1000),
    };
    let mut rules = place(&tables, &device, &Told::default()).rules;
    end_chains(&mut rules);
    rules.into_iter().rev().map(Step::Put).collect()
}

fn is_guard(filter: &Filter) -> bool {
    filter.place.pref == 1
}

/// What a card has besides guards is what its rules are, and nothing else.
fn assert_account(card: &FlowerCard<FakeNic>, nic: &FakeNic) {
    let mut expected = Vec::new();
    for rule in card.rules() {
        for lowered in lowering().lower(rule).unwrap() {
            let chain = u32::from(rule.table);
            expected.push(format!(
                "{:?}",
                (lowered.device, chain, lowered.keys, lowered.actions)
            ));
        }
    }
    let there = nic.filters().into_iter().filter(|filter| !is_guard(filter));
    let mut there: Vec<String> = there
        .map(|f| format!("{:?}", (f.place.device, f.place.chain, f.keys, f.actions)))
        .collect();
    expected.sort();
    there.sort();
    assert_eq!(there, expected);
}

fn rules(card: &FlowerCard<FakeNic>) -> Vec<Rule> {
    card.rules().cloned().collect()
}

fn no() -> Refusal {
    Refusal::new(
        Errno::OPNOTSUPP.raw_os_error(),
        Some("no such thing here".to_owned()),
    )
}

#[test]
fn whatever_request_is_refused_a_rule_is_there_whole_or_not_at_all() {
    let puts = puts(FLOWS);
    let all = nic();
    let mut full = card(&all);
    full.apply(&[]).unwrap();
    let prepared = all.asked();
    assert!(full.apply(&puts).unwrap().iter().all(Result::is_ok));
    assert_account(&full, &all);
    let mut refused = 0;
    for number in 0..all.asked() - prepared {
        let nic = nic();
        let mut card = card(&nic);
        card.apply(&[]).unwrap();
        nic.refuse_after(number, no());
        let results = card.apply(&puts).unwrap();
        let errors: Vec<&Refusal> = results.iter().filter_map(|r| r.as_ref().err()).collect();
        assert_eq!(errors, [&no()], "request {number}");
        refused += errors.len();
        assert_eq!(rules(&card).len(), puts.len() - 1);
        assert_account(&card, &nic);
        // What was refused is taken when it is asked for once more.
        assert!(card.apply(&puts).unwrap().iter().all(Result::is_ok));
        assert_account(&card, &nic);
        assert_eq!(nic.filters().len(), all.filters().len());
    }
    assert!(refused > 20, "{refused}");
}

#[test]
fn a_rule_that_cannot_be_replaced_stays() {
    let nic = nic();
    let mut card = card(&nic);
    let puts = puts(FLOWS);
    card.apply(&puts).unwrap();
    let before = nic.filters();
    let traps: Vec<Step> = rules(&card)
        .into_iter()
        .filter(|rule| rule.table == 0)
        .map(|rule| {
            Step::Put(Rule {
                verdict: aorta_placement::Verdict::Trap,
                ..rule
            })
        })
        .collect();
    let mut tried = 0;
    for step in &traps {
        for number in 0.. {
            let asked = nic.asked();
            nic.refuse_after(number, no());
            let result = card.apply(std::slice::from_ref(step)).unwrap().remove(0);
            nic.mend();
            if result.is_ok() {
                // All requests were refused once; now it is as before again.
                assert!(nic.asked() - asked <= number);
                break;
            }
            tried += 1;
            assert_account(&card, &nic);
            assert_eq!(nic.filters(), before);
        }
        assert_account(&card, &nic);
        card.apply(&puts).unwrap();
        assert_eq!(nic.filters(), before);
    }
    assert!(tried >= traps.len() * 2, "{tried}");
}

#[test]
fn a_switch_that_dies_anywhere_leaves_nothing_that_the_next_does_not_find() {
    let puts = puts(FLOWS);
    let all = nic();
    card(&all).apply(&puts).unwrap();
    let mut left = 0;
    for number in 0..all.asked() {
        let nic = nic();
        nic.break_after(number);
        let mut first = card(&nic);
        assert!(matches!(first.apply(&puts), Err(CardError::Exchange(_))));
        drop(first);
        nic.mend();
        let mut next = card(&nic);
        let found = next.found().unwrap();
        assert_eq!(found.own.len(), nic.filters().len());
        assert!(found.foreign.is_empty());
        left += found.own.len();
        // Another switch knows them for somebody else's.
        let other = FlowerCard::new(nic.clone(), lowering(), CardMark::new("/run/other"));
        assert_eq!({ other }.found().unwrap().foreign.len(), found.own.len());
        match number % 2 {
            0 => {
                next.clear().unwrap();
                assert!(nic.filters().is_empty());
            }
            // The first rules that it puts come to a clean card, too.
            _ => drop(next.apply(&puts).unwrap()),
        }
        next.apply(&puts).unwrap();
        assert_account(&next, &nic);
        assert_eq!(nic.filters().len(), all.filters().len());
    }
    assert!(left > 100, "{left}");
}

#[test]
fn what_a_card_forgot_is_noticed_and_put_again() {
    let nic = nic();
    let mut card = card(&nic);
    let puts = puts(FLOWS);
    card.apply(&puts).unwrap();
    assert_eq!(card.counters().unwrap().len(), puts.len());
    nic.lose_tables();
    let lost = card.counters().unwrap_err();
    assert!(
        matches!(lost, CardError::Lost { missing, all } if missing == all),
        "{lost}"
    );
    card.clear().unwrap();
    card.apply(&puts).unwrap();
    assert_account(&card, &nic);
    assert_eq!(card.counters().unwrap().len(), puts.len());
}

#[test]
fn a_card_that_vanishes_is_told_so() {
    let nic = nic();
    let mut card = card(&nic);
    let puts = puts(FLOWS);
    card.apply(&puts).unwrap();
    nic.vanish();
    assert!(matches!(card.counters(), Err(CardError::Lost { .. })));
    // Nothing is left of what is removed, and nothing can be put.
    let key = |step: &Step| Step::Remove(step.key());
    assert!(card.apply(&[key(&puts[0])]).unwrap()[0].is_ok());
    let put = card.apply(&puts[..1]).unwrap().remove(0).unwrap_err();
    assert!(put.is_gone(), "{put}");
    card.clear().unwrap();
    let error = card.apply(&puts).unwrap_err();
    assert!(matches!(error, CardError::Device { .. }), "{error}");
    assert!(error.to_string().contains("takes no filters"), "{error}");
}

#[test]
fn a_card_in_legacy_mode_takes_nothing() {
    let nic = nic();
    let mut card = card(&nic);
    let puts = puts(FLOWS);
    card.apply(&puts).unwrap();
    nic.change_to_legacy_mode();
    assert!(matches!(card.counters(), Err(CardError::Lost { .. })));
    card.clear().unwrap();
    let results = card.apply(&puts).unwrap();
    let told = |result: &Result<(), Refusal>| result.as_ref().unwrap_err().to_string();
    // Without guards some rules aren't even asked for.
    let texts: Vec<String> = results.iter().map(told).collect();
    assert!(
        texts.iter().any(|text| text.contains("legacy mode")),
        "{texts:?}"
    );
    assert!(nic.filters().is_empty() && card.rules().next().is_none());
}

#[test]
fn filters_of_others_are_left_alone() {
    let nic = nic();
    let place = Place {
        device: device_of(1),
        chain: 0,
        pref: 40000,
        handle: 1,
    };
    nic.put_foreign(place, "u32");
    nic.use_egress(device_of(2));
    let mut card = card(&nic);
    card.apply(&puts(FLOWS)).unwrap();
    assert_account(&card, &nic);
    let found = card.found().unwrap();
    let foreign: Vec<(Place, &str)> = found
        .foreign
        .iter()
        .map(|f| (f.place, f.kind.as_str()))
        .collect();
    assert_eq!(foreign, [(place, "u32")]);
    assert_eq!(found.own.len(), nic.filters().len());
    card.clear().unwrap();
    assert_eq!(card.found().unwrap().foreign, found.foreign);
    // Only the discipline that nobody else needs has gone.
    let there = [1, 2, 3].map(|port| nic.has_clsact(device_of(port)));
    assert_eq!(there, [true, true, false]);
}

#[test]
fn a_card_that_cannot_guard_does_not_get_what_needs_it() {
    let nic = nic();
    nic.lack([Key::Flags]);
    let mut card = card(&nic);
    let puts = puts(FLOWS);
    let results = card.apply(&puts).unwrap();
    let refused = puts
        .iter()
        .zip(&results)
        .filter(|(_, result)| result.is_err());
    let refused: Vec<(u8, String)> = refused
        .map(|(step, result)| (step.key().table, result.as_ref().unwrap_err().to_string()))
        .collect();
    // Those of ports: DNS, and port 80 whose frames are changed.
    let why = "the card can't leave fragments to software: the card lacks the key Flags".to_owned();
    assert_eq!(refused, [(1, why.clone()), (0, why)]);
    assert_account(&card, &nic);
}

#[test]
fn a_full_card_says_so() {
    let nic = nic();
    nic.limit(58);
    let mut card = card(&nic);
    let results = card.apply(&puts(FLOWS)).unwrap();
    let full = results.iter().filter_map(|result| result.as_ref().err());
    assert!(
        full.clone().count() > 0 && full.clone().all(Refusal::is_full),
        "{results:?}"
    );
    assert_account(&card, &nic);
    assert!(nic.filters().len() <= 58);
}

/// Packets of flows, by rules that are there and by those that have gone.
#[derive(Default)]
struct Counted(BTreeMap<Option<FlowId>, u64>);

impl Counted {
    fn packets(&mut self, card: &mut FlowerCard<FakeNic>) -> BTreeMap<Option<FlowId>, u64> {
        for (key, counters) in card.ended() {
            *self.0.entry(key.flow).or_default() += counters.packets;
        }
        let mut sums = self.0.clone();
        for (key, counters) in card.counters().unwrap() {
            *sums.entry(key.flow).or_default() += counters.packets;
        }
        sums
    }
}

#[test]
fn what_a_rule_counted_is_kept_while_its_filters_change() {
    let nic = nic();
    let mut told = Counted::default();
    let mut card = card(&nic);
    let puts = puts("priority=10,dl_dst=02:00:00:00:00:01 actions=output:1");
    card.apply(&puts).unwrap();
    let Step::Put(rule) = &puts[0] else {
        panic!("{puts:?}");
    };
    let receive = |port| nic.receive(device_of(port), &FRAME);
    for port in [2, 3, 3] {
        assert_eq!(
            receive(port),
            Decided::Sent(vec![(device_of(1), FRAME.to_vec())])
        );
    }
    assert_eq!(
        receive(1),
        Decided::Sent(vec![]),
        "not back where it came from"
    );
    assert_eq!(told.packets(&mut card), [(rule.flow, 4)].into());
    // What isn't replaced after all goes on counting, once.
    nic.refuse_after(0, no());
    assert!(card.apply(&puts).unwrap()[0].is_err());
    assert_eq!(told.packets(&mut card), [(rule.flow, 4)].into());
    // Replaced, what it counted stays; what is left to software isn't the card's.
    card.apply(&puts).unwrap();
    receive(2);
    assert_eq!(told.packets(&mut card), [(rule.flow, 5)].into());
    let trap = Rule {
        verdict: aorta_placement::Verdict::Trap,
        ..rule.clone()
    };
    card.apply(&[Step::Put(trap)]).unwrap();
    assert_eq!(receive(2), Decided::Software);
    assert_eq!(told.packets(&mut card), [(rule.flow, 5)].into());
    card.apply(&puts).unwrap();
    receive(2);
    // Removed, it stays told.
    card.apply(&[Step::Remove(rule.key())]).unwrap();
    assert_eq!(told.packets(&mut card), [(rule.flow, 6)].into());
    assert_eq!(card.ended(), []);
    assert_eq!(card.counters().unwrap(), []);
    assert!(nic.filters().iter().all(is_guard));
}

#[test]
fn priorities_that_share_a_preference_are_kept_apart() {
    let nic = nic();
    let mut card = card(&nic);
    let flows = "priority=65535,dl_dst=02:00:00:00:00:01 actions=output:1
        priority=65534,dl_src=02:00:00:00:00:02 actions=output:2
        priority=65533,dl_dst=02:00:00:00:00:03 actions=output:3
        priority=65532,dl_dst=02:00:00:00:00:00/ff:ff:ff:ff:ff:00 actions=drop";
    let puts = puts(flows);
    let results = card.apply(&puts).unwrap();
    let priority = |step: &Step| match step {
        Step::Put(rule) => rule.priority,
        Step::Remove(_) => 0,
    };
    let refused = puts
        .iter()
        .zip(&results)
        .filter(|(_, result)| result.is_err());
    // In whichever order they come, one of two that overlap isn't taken.
    let refused: Vec<u16> = refused.map(|(step, _)| priority(step)).collect();
    assert_eq!(refused, [65534]);
    assert_account(&card, &nic);
    // There is room for it when the others have gone.
    let others = puts
        .iter()
        .filter(|step| [65533, 65535].contains(&priority(step)));
    let removals: Vec<Step> = others.map(|step| Step::Remove(step.key())).collect();
    assert!(card.apply(&removals).unwrap().iter().all(Result::is_ok));
    let last: Vec<Step> = puts
        .into_iter()
        .filter(|step| priority(step) == 65534)
        .collect();
    assert!(card.apply(&last).unwrap()[0].is_ok());
    assert_account(&card, &nic);
}
