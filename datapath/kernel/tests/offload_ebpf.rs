//! Programs for cards, run by this kernel: what they decide is what the card's rules mean, with the
//! same bytes and counters; what they leave to software is as it came. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;

use aorta_compiler::offload::{
    COUNTERS, CardError, CardLimits, CardProgram, Followed, Target, compile,
};
use aorta_flow::OfPort;
use aorta_flow::action::Action;
use aorta_flow::field::FieldId;
use aorta_flow::table::{FlowId, FlowMod, Modification, Tables};
use aorta_flow::translate::{Effect, Packet};
use aorta_kernel::offload::ebpf::CardObjects;
use aorta_placement::{Device, Meaning, Rule, RuleKey, Told, Verdict, place};
use aorta_testing::tables::{Profile, random_case};
use aorta_testing::{Case, Frame, Offload, Rng};

const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const XDP_TX: u32 = 3;
const XDP_REDIRECT: u32 = 4;

/// The card's port, and the other one that it has.
const OWN: OfPort = OfPort(1);
const OTHER: OfPort = OfPort(2);

#[derive(Default, Debug)]
struct Sums {
    cases: usize,
    rules: usize,
    hashed: usize,
    frames: usize,
    decided: usize,
    sent: usize,
    changed: usize,
    /// Left to software although the rules decide.
    left: usize,
}

fn target(limits: CardLimits) -> Target {
    Target {
        name: "card".to_owned(),
        port: OWN,
        sends: [(OTHER, 1)].into(),
        limits,
        counters: 4096,
    }
}

fn numbers(rules: &[Rule]) -> BTreeMap<RuleKey, u32> {
    rules.iter().map(Rule::key).zip(1..).collect()
}

/// A program in the kernel.
struct Rig {
    compiled: CardProgram,
    objects: CardObjects,
    numbers: BTreeMap<RuleKey, u32>,
}

impl Rig {
    fn new(rules: &[Rule], limits: CardLimits) -> Rig {
        let numbers = numbers(rules);
        let compiled = compile(rules, &numbers, &target(limits)).unwrap();
        Rig::of(compiled, numbers)
    }

    fn of(compiled: CardProgram, numbers: BTreeMap<RuleKey, u32>) -> Rig {
        let objects = CardObjects::load(&compiled, None, 0)
            .unwrap_or_else(|error| panic!("{error}\n{}", compiled.program()));
        Rig {
            compiled,
            objects,
            numbers,
        }
    }

    fn counted(&self) -> BTreeMap<RuleKey, (u64, u64)> {
        let counters = self.objects.map(COUNTERS).unwrap();
        let counts = self.numbers.iter().map(|(key, number)| {
            let value = counters.get(&number.to_ne_bytes()).unwrap().unwrap();
            let word = |at: usize| u64::from_ne_bytes(value[at..at + 8].try_into().unwrap());
            (*key, (word(0), word(8)))
        });
        counts.collect()
    }

    /// Runs a frame, and compares it with what the rules mean.
    fn check(&self, model: &Meaning, frame: &Frame, sums: &mut Sums) {
        let Ok(packet) = Packet::from_frame(&frame.bytes, OWN) else {
            return;
        };
        let before = self.counted();
        let run = self.objects.test_run(&frame.bytes).unwrap();
        let after = self.counted();
        sums.frames += 1;
        let meant = model.outcome(&packet).ended();
        if run.verdict == XDP_PASS {
            assert_eq!(run.frame, frame.bytes, "left to software, but changed");
            assert_eq!(after, before, "left to software, but counted");
            sums.left += usize::from(meant.is_some());
            return;
        }
        let (effects, keys) = meant.expect("software was to have it");
        sums.decided += 1;
        let outputs: Vec<(&OfPort, &Packet)> = effects
            .iter()
            .map(|effect| match effect {
                Effect::Output { port, packet, .. } => (port, packet),
                other => panic!("{other:?}"),
            })
            .collect();
        let verdict = match outputs[..] {
            [] => XDP_DROP,
            [(&OWN, _)] => XDP_TX,
            [(&OTHER, _)] => XDP_REDIRECT,
            _ => panic!("{outputs:?}"),
        };
        assert_eq!(run.verdict, verdict);
        if let [(_, packet)] = outputs[..] {
            let left = packet.frame().unwrap();
            assert_eq!(run.frame, left, "as it leaves");
            sums.sent += 1;
            sums.changed += usize::from(left != frame.bytes);
        }
        let mut expected = before;
        for key in keys {
            let count = expected.get_mut(&key).unwrap();
            *count = (count.0 + 1, count.1 + frame.bytes.len() as u64);
        }
        assert_eq!(after, expected);
    }
}

/// Rules of a random bridge that there are programs for, of which some send packets back to where they
/// came from.
fn random_rules(case: &Case, limits: &CardLimits, rng: &mut Rng) -> Vec<Rule> {
    let device = Device {
        ports: [OWN, OTHER].into(),
        capabilities: limits.capabilities(),
    };
    let tables = case.tables().unwrap();
    let mut told = Told::default();
    let mut rules = loop {
        let rules = place(&tables, &device, &told).rules;
        match compile(&rules, &numbers(&rules), &target(limits.clone())) {
            Ok(_) => break rules,
            Err(CardError::Rule { key, why }) => {
                told.refused.insert(key.flow.unwrap(), why);
            }
            Err(error) => panic!("{error}"),
        }
    };
    for rule in &mut rules {
        if let Verdict::Forward { actions, .. } = &mut rule.verdict {
            for action in actions {
                if matches!(action, Action::Output(_)) && rng.chance(30) {
                    *action = Action::Output(OfPort::IN_PORT);
                }
            }
        }
    }
    rules
}

fn profile() -> Profile {
    Profile {
        ports: 3,
        tables: 4,
        ..Profile::of_cards()
    }
}

/// A change of a packet that cards do, whether packets have the field or not.
fn random_change(rng: &mut Rng) -> Action {
    let fields = [
        FieldId::ETH_SRC,
        FieldId::ETH_DST,
        FieldId::IP_SRC,
        FieldId::IP_DST,
        FieldId::IP_DSCP,
        FieldId::NW_ECN,
        FieldId::NW_TTL,
        FieldId::TCP_SRC,
        FieldId::TCP_DST,
        FieldId::UDP_SRC,
        FieldId::UDP_DST,
        FieldId::DL_VLAN,
        FieldId::VLAN_PCP,
    ];
    match rng.below(12) {
        0 => Action::PushVlan(*rng.pick(&[0x8100, 0x88a8])),
        1 => Action::PopVlan,
        2 => Action::DecTtl(None),
        _ => {
            let field = *rng.pick(&fields);
            let value = rng.bits(field.field().bits);
            let all = field.field().wire_mask();
            let mask = if rng.chance(30) {
                rng.bits(field.field().bits) | 1
            } else {
                all
            };
            let mask = mask & all;
            Action::SetField {
                field,
                value: value & mask,
                mask,
            }
        }
    }
}

/// Whether a rule is one that a switch could have.
fn is_valid(rule: &Rule) -> bool {
    let flow = rule.as_flow(Action::Output(OfPort::NORMAL));
    let add = Modification::Flow(FlowMod {
        table: Some(flow.table),
        flow,
        ..FlowMod::default()
    });
    Tables::new().modify(&add).is_ok()
}

/// Rules that were made for the card: they match what random flows do, as far as it can.
fn rules_for_cards(case: &Case, limits: &CardLimits, rng: &mut Rng) -> Vec<Rule> {
    let keys = limits.capabilities().keys;
    let mut rules: Vec<Rule> = Vec::new();
    for (number, flow) in (0..).zip(&case.flows) {
        let mut matching = flow.matching.without(|field| !keys.contains_key(&field));
        matching.normalise();
        let changes = rng.below(4);
        let mut actions: Vec<Action> = (0..changes).map(|_| random_change(rng)).collect();
        let later = (flow.table < 3 && rng.chance(40)).then(|| flow.table + 1);
        if rng.chance(if later.is_some() { 10 } else { 75 }) {
            let port = *rng.pick(&[OWN, OTHER, OTHER, OfPort::IN_PORT]);
            actions.push(Action::Output(port));
        }
        let rule = |actions: &[Action]| Rule {
            table: flow.table,
            // Rules of one priority don't overlap where that matters.
            priority: 1000 - number,
            flow: Some(FlowId(number.into())),
            matching: matching.clone(),
            verdict: Verdict::Forward {
                actions: actions.to_vec(),
                goto: later,
            },
            policer: None,
        };
        if flow.table == 0 && rng.chance(10) {
            rules.push(Rule {
                verdict: Verdict::Trap,
                ..rule(&[])
            });
            continue;
        }
        // What doesn't fit the match is left out.
        while !is_valid(&rule(&actions)) {
            actions.remove(0);
        }
        rules.push(rule(&actions));
    }
    rules
}

/// `AORTA_DIFF_CASES` asks for more.
fn cases(usual: u64) -> u64 {
    let asked = std::env::var("AORTA_DIFF_CASES").ok();
    asked.and_then(|n| n.parse().ok()).unwrap_or(usual)
}

/// Runs the frames of a case.
fn run(rig: &Rig, case: &Case, rules: &[Rule], (seed, sums): (u64, &mut Sums)) {
    let model = Meaning::new(rules);
    for frame in case.frames.iter().filter(|f| f.offload == Offload::None) {
        let mut run = || rig.check(&model, frame, sums);
        let run = std::panic::AssertUnwindSafe(&mut run);
        if std::panic::catch_unwind(run).is_err() {
            panic!("seed {seed}, with the frame {frame} of\n{case}\n{rules:#?}");
        }
    }
}

type MakeRules = fn(&Case, &CardLimits, &mut Rng) -> Vec<Rule>;

/// Compares programs of so many cases.
fn compare(cases: u64, make: MakeRules) -> Sums {
    let mut sums = Sums::default();
    let profile = profile();
    for seed in 0..cases {
        let mut rng = Rng::new(seed);
        let case = random_case(&profile, &mut rng);
        let limits = CardLimits {
            redirects: true,
            code_rules: *rng.pick(&[0, 3, 100]),
            // As many as the kernel lets a program have.
            maps: 64,
            masks: 64,
            ..CardLimits::default()
        };
        let rules = make(&case, &limits, &mut rng);
        let rig = Rig::new(&rules, limits);
        sums.cases += 1;
        sums.rules += rules.len();
        let entries = rig.compiled.entries().values();
        sums.hashed += entries.map(BTreeMap::len).sum::<usize>();
        run(&rig, &case, &rules, (seed, &mut sums));
    }
    println!("{sums:?}");
    sums
}

#[test]
fn programs_for_cards_do_what_placed_rules_mean() {
    let sums = compare(cases(60), random_rules);
    assert!(sums.decided * 5 > sums.frames, "{sums:?}");
    assert!(sums.left * 3 < sums.decided, "{sums:?}");
    assert!(sums.hashed > 0, "{sums:?}");
}

#[test]
fn programs_for_cards_change_and_send_what_rules_say() {
    let sums = compare(cases(100), rules_for_cards);
    assert!(sums.decided * 5 > sums.frames * 2, "{sums:?}");
    // A second copy, a change behind a copy, SCTP.
    assert!(sums.left * 3 < sums.decided * 2, "{sums:?}");
    assert!(
        sums.hashed > 0 && sums.changed * 15 > sums.frames,
        "{sums:?}"
    );
}

#[test]
fn entries_of_maps_follow_rules() {
    let mut sums = Sums::default();
    let (mut followed, mut others) = (0, 0);
    for seed in 0..cases(60) {
        let mut rng = Rng::new(seed);
        let case = random_case(&profile(), &mut rng);
        let limits = CardLimits {
            redirects: true,
            code_rules: 0,
            maps: 64,
            masks: 64,
            ..CardLimits::default()
        };
        let all = rules_for_cards(&case, &limits, &mut rng);
        let numbers = numbers(&all);
        let target = target(limits);
        let mut there: BTreeMap<RuleKey, Rule> = BTreeMap::new();
        let first = all.iter().filter(|_| rng.chance(60));
        there.extend(first.map(|rule| (rule.key(), rule.clone())));
        let rules: Vec<Rule> = there.values().cloned().collect();
        let mut compiled = compile(&rules, &numbers, &target).unwrap();
        for _ in 0..30 {
            let rule = rng.pick(&all).clone();
            let key = rule.key();
            if rng.chance(40) && there.len() > 1 {
                assert_ne!(compiled.remove(key), Followed::Exchange);
                there.remove(&key);
                followed += 1;
                continue;
            }
            match compiled.put(&rule, numbers[&key], &target) {
                Followed::Exchange => others += 1,
                Followed::AsIs | Followed::Entry(_) => {
                    there.insert(key, rule);
                    followed += 1;
                }
            }
        }
        // As they were added: of one priority and the same bits, the first one wins.
        let rules: Vec<Rule> = there.into_values().collect();
        let rig = Rig::of(compiled, numbers);
        run(&rig, &case, &rules, (seed, &mut sums));
    }
    println!("{followed} followed, {others} would need another program: {sums:?}");
    assert!(followed > others && others > 0);
    assert!(sums.decided * 4 > sums.frames, "{sums:?}");
}
