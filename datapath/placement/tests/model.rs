//! The card first, then the rest: what a modelled card does with packets is what the flow tables
//! mean, for random tables, packets, abilities and refusals.

mod support;

use std::collections::BTreeSet;

use aorta_flow::action::Action;
use aorta_flow::field::{FieldId, Prereq};
use aorta_flow::table::{FlowId, Tables};
use aorta_flow::translate::{Packet, translate};
use aorta_flow::{Match, OfPort};
use aorta_placement::{Decision, Device, Finds, Placement, Told, Verdict, place};
use aorta_testing::{Case, Rng};
use support::{card, cases, decides, fit, random_device, random_tables};

/// Checks that no rule asks for what the card can't do.
fn check_abilities(placement: &Placement, device: &Device) {
    let capabilities = &device.capabilities;
    assert!(placement.rules.len() <= capabilities.max_rules);
    let tables: BTreeSet<u8> = placement.rules.iter().map(|rule| rule.table).collect();
    assert!(tables.len() <= capabilities.max_tables, "{tables:?}");
    let catches_all = |table: u8| {
        let mut rules = placement.rules.iter();
        rules.any(|rule| rule.table == table && rule.matching == Match::any())
    };
    for rule in &placement.rules {
        if let Some(to) = rule.goto() {
            assert!(
                catches_all(to),
                "{rule:?} leads to where packets may get lost"
            );
        }
        for part in rule.matching.parts() {
            let port = part.field == FieldId::IN_PORT;
            assert!(port || capabilities.matches(&part), "{rule:?}");
        }
        match &rule.verdict {
            Verdict::Trap => assert!(capabilities.traps && rule.table == 0),
            Verdict::Forward { actions, .. } => {
                let outputs = actions.iter().filter(|a| matches!(a, Action::Output(_)));
                assert!(outputs.count() <= capabilities.max_outputs, "{rule:?}");
            }
        }
    }
}

#[derive(Default, Debug)]
struct Sums {
    packets: usize,
    decided: usize,
    forwarded: usize,
    placed: usize,
    flows: usize,
    refused: usize,
    /// Flows on the card that do something less usual.
    loads: usize,
    tags: usize,
    groups: usize,
    written: usize,
    ttls: usize,
    back: usize,
    labels: usize,
    meters: usize,
    arp: usize,
}

impl Sums {
    fn count_kinds(&mut self, tables: &Tables, placed: &[FlowId]) {
        let placed: BTreeSet<&FlowId> = placed.iter().collect();
        for entry in tables.flows().filter(|entry| placed.contains(&entry.id)) {
            let instructions = &entry.flow.instructions;
            let has =
                |wanted: fn(&Action) -> bool| usize::from(instructions.apply.iter().any(wanted));
            self.loads += has(|action| matches!(action, Action::Load { .. }));
            let tags = has(|action| matches!(action, Action::SetVlanVid { .. }));
            self.tags += tags + has(|action| matches!(action, Action::SetVlanPcp { .. }));
            self.groups += has(|action| matches!(action, Action::Group(_)));
            self.written += usize::from(!instructions.write_actions.is_empty());
            self.ttls += has(|action| matches!(action, Action::DecTtl(_)));
            self.back += has(|action| *action == Action::Output(OfPort::IN_PORT));
            let labels = has(|action| matches!(action, Action::PushMpls(_)));
            self.labels += labels + has(|action| matches!(action, Action::PopMpls(_)));
            self.meters += has(|action| matches!(action, Action::Meter(_)));
            self.arp += has(|action| {
                let Action::SetField { field, .. } = action else {
                    return false;
                };
                field.field().prereq == Prereq::Arp
            });
        }
    }
}

/// Compares all packets of a case that come in at ports of the card.
fn compare(
    case: &Case,
    tables: &Tables,
    placement: &Placement,
    device: &Device,
    rng: &mut Rng,
    sums: &mut Sums,
) {
    let card = card(&placement.rules, rng);
    for frame in case
        .frames
        .iter()
        .filter(|frame| device.ports.contains(&frame.in_port))
    {
        let Ok(packet) = Packet::from_frame(&frame.bytes, frame.in_port) else {
            continue;
        };
        sums.packets += 1;
        let Some((effects, flows)) = decides(&card, &packet) else {
            continue;
        };
        let mut finds = Finds::default();
        let meant = translate(tables, packet, &mut finds);
        let text = || format!("{case}\n{frame}\n{device:?}\n{:#?}", placement.rules);
        assert_eq!(effects, meant.effects, "{}", text());
        assert_eq!(flows, finds.0, "{}", text());
        sums.decided += 1;
        sums.forwarded += usize::from(!effects.is_empty());
    }
}

#[test]
fn what_the_card_decides_is_what_the_tables_mean() {
    let mut sums = Sums::default();
    for seed in 0..cases(500) {
        let mut rng = Rng::new(seed);
        let mut case = random_tables(&mut rng);
        let device = random_device(&mut rng);
        if rng.chance(60) {
            fit(&mut case, &device, 40, &mut rng);
        }
        let tables = case.tables().expect("tables of a case");
        let mut told = Told::default();
        for table in 1..4 {
            if rng.chance(10) {
                told.misses_not_dropped.insert(table);
            }
        }
        for _ in 0..3 {
            let placement = place(&tables, &device, &told);
            assert_eq!(placement.decisions.len(), tables.len());
            check_abilities(&placement, &device);
            compare(&case, &tables, &placement, &device, &mut rng, &mut sums);
            let placed = |(id, decision): (&FlowId, &Decision)| {
                (*decision == Decision::Placed).then_some(*id)
            };
            let placed: Vec<FlowId> = placement.decisions.iter().filter_map(placed).collect();
            sums.placed += placed.len();
            sums.flows += tables.len();
            sums.count_kinds(&tables, &placed);
            // The card refuses some of what it got, and flows have rates.
            for id in &placed {
                if !rng.chance(20) {
                    continue;
                }
                told.refused.insert(*id, "no".to_owned());
                sums.refused += 1;
                if rng.chance(30) {
                    told.refused_traps.insert(*id);
                }
            }
            let rated = tables
                .flows()
                .map(|entry| (entry.id, rng.below(100) as u64));
            told.rates_pps = rated.collect();
            told.placed = placed.into_iter().collect();
        }
    }
    println!("{sums:?}");
    assert!(sums.decided * 20 > sums.packets, "{sums:?}");
    assert!(
        sums.forwarded * 100 > sums.packets && sums.refused > 0,
        "{sums:?}"
    );
    let kinds = [
        sums.loads,
        sums.tags,
        sums.groups,
        sums.written,
        sums.ttls,
        sums.back,
        sums.labels,
        sums.meters,
        sums.arp,
    ];
    assert!(!kinds.contains(&0), "{sums:?}");
}
