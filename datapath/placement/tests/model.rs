//! The card first, then the rest: what a modelled card does with packets is what the flow tables
//! mean, for random tables, packets, abilities and refusals.

use std::collections::{BTreeMap, BTreeSet};

use aorta_flow::action::{Action, Instructions};
use aorta_flow::field::FieldId;
use aorta_flow::table::{FlowId, FlowMod, Modification, TableFlow, Tables};
use aorta_flow::translate::{Effect, Env, Packet, translate};
use aorta_flow::{Flow, OfPort};
use aorta_placement::{
    Capabilities, Decision, Device, KeySupport, Placement, Rule, Told, Verdict, place,
};
use aorta_testing::tables::{Kind, Profile, random_case};
use aorta_testing::{Case, Rng};

/// Notes the flows that packets find.
#[derive(Default)]
struct Finds(Vec<FlowId>);

impl Env for Finds {
    fn traces(&self) -> bool {
        false
    }

    fn found(&mut self, flow: &TableFlow, _: &Packet) {
        self.0.push(flow.id);
    }
}

/// A card's rules as tables: their meaning is that of flows.
struct Card {
    tables: Tables,
    /// The switch's flow of each of the card's.
    flows: BTreeMap<FlowId, Option<FlowId>>,
}

fn flow_of(rule: &Rule) -> Flow {
    let instructions = match &rule.verdict {
        Verdict::Trap => Instructions::apply(vec![Action::Controller(Box::default())]),
        Verdict::Forward { actions, goto } => Instructions {
            goto_table: *goto,
            ..Instructions::apply(actions.clone())
        },
    };
    Flow {
        table: rule.table,
        priority: u16::MAX - rule.rank.min(u16::MAX.into()) as u16,
        matching: rule.matching.clone(),
        instructions: instructions.into(),
        ..Flow::default()
    }
}

impl Card {
    fn new(rules: &[Rule]) -> Card {
        let mut card = Card {
            tables: Tables::new(),
            flows: BTreeMap::new(),
        };
        for rule in rules {
            let flow = flow_of(rule);
            let add = Modification::Flow(FlowMod {
                table: Some(flow.table),
                flow: flow.clone(),
                ..FlowMod::default()
            });
            let done = card.tables.modify(&add);
            assert!(done.is_ok(), "{rule:?}: {done:?}");
            let table = card.tables.table(flow.table);
            let entry = table.and_then(|table| table.exact(flow.priority, &flow.matching));
            card.flows.extend(entry.map(|entry| (entry.id, rule.flow)));
        }
        card
    }

    /// What it does with a packet and which flows it counts; nothing if it leaves it to software.
    fn decides(&self, packet: &Packet) -> Option<(Vec<Effect>, Vec<FlowId>)> {
        let mut finds = Finds::default();
        let done = translate(&self.tables, packet.clone(), &mut finds);
        let trapped = |effect: &Effect| matches!(effect, Effect::Controller { .. });
        if finds.0.is_empty() || done.effects.iter().any(trapped) {
            return None;
        }
        let flows = finds.0.iter().filter_map(|id| self.flows[id]).collect();
        Some((done.effects, flows))
    }
}

fn random_device(rng: &mut Rng) -> Device {
    let ports = (1..=6).filter(|_| rng.chance(70)).map(OfPort).collect();
    let mut capabilities = Capabilities::flower(*rng.pick(&[3, 8, 20, 1000, 1000]));
    let few = rng.below(4);
    for _ in 0..few {
        let keys: Vec<FieldId> = capabilities.keys.keys().copied().collect();
        let field = *rng.pick(&keys);
        match rng.chance(50) {
            true => drop(capabilities.keys.remove(&field)),
            false => drop(capabilities.keys.insert(field, KeySupport::Exact)),
        }
    }
    capabilities.traps = rng.chance(60);
    capabilities.vlan_tags = rng.chance(80);
    capabilities.sets_masked = rng.chance(60);
    capabilities.changes_between_outputs = rng.chance(60);
    capabilities.max_outputs = *rng.pick(&[1, 2, 32]);
    capabilities.max_tables = *rng.pick(&[1, 2, 256, 256]);
    Device {
        ports,
        capabilities,
    }
}

/// What flows of the kinds that cards do look like, and now and then others.
fn random_tables(rng: &mut Rng) -> Case {
    let cards = [
        Kind::Output,
        Kind::SetHeader,
        Kind::Vlan,
        Kind::Goto,
        Kind::Exit,
        Kind::Note,
        Kind::Modify,
    ];
    let also = rng.below(3);
    let mut kinds: Vec<Kind> = cards.into();
    kinds.extend((0..also).map(|_| *rng.pick(&Kind::ALL)));
    let without = Kind::ALL.into_iter().filter(|kind| !kinds.contains(kind));
    let profile = Profile {
        tables: 4,
        without: without.collect(),
        ..Profile::default()
    };
    random_case(&profile, rng)
}

/// Checks that no rule asks for what the card can't do.
fn check_abilities(placement: &Placement, device: &Device) {
    let capabilities = &device.capabilities;
    assert!(placement.rules.len() <= capabilities.max_rules);
    let tables: BTreeSet<u8> = placement.rules.iter().map(|rule| rule.table).collect();
    assert!(tables.len() <= capabilities.max_tables, "{tables:?}");
    for rule in &placement.rules {
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
}

/// Compares all packets of a case that come in at ports of the card.
fn compare(case: &Case, tables: &Tables, placement: &Placement, device: &Device, sums: &mut Sums) {
    let card = Card::new(&placement.rules);
    for frame in case
        .frames
        .iter()
        .filter(|frame| device.ports.contains(&frame.in_port))
    {
        let Ok(packet) = Packet::from_frame(&frame.bytes, frame.in_port) else {
            continue;
        };
        sums.packets += 1;
        let Some((effects, flows)) = card.decides(&packet) else {
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

/// `AORTA_PLACEMENT_CASES` asks for more.
fn cases() -> u64 {
    let more = std::env::var("AORTA_PLACEMENT_CASES");
    more.ok().and_then(|n| n.parse().ok()).unwrap_or(500)
}

#[test]
fn what_the_card_decides_is_what_the_tables_mean() {
    let mut sums = Sums::default();
    for seed in 0..cases() {
        let mut rng = Rng::new(seed);
        let case = random_tables(&mut rng);
        let tables = case.tables().expect("tables of a case");
        let device = random_device(&mut rng);
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
            compare(&case, &tables, &placement, &device, &mut sums);
            let placed = |(id, decision): (&FlowId, &Decision)| {
                (*decision == Decision::Placed).then_some(*id)
            };
            let placed: Vec<FlowId> = placement.decisions.iter().filter_map(placed).collect();
            sums.placed += placed.len();
            sums.flows += tables.len();
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
}
