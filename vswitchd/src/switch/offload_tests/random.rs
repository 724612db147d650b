//! Random tables that change in random ways, while things go wrong: no packet is misdirected, and each is
//! counted once.

use aorta_flow::table::{FlowMod, Modification, TableFlow, Tables};
use aorta_flow::text::Command;
use aorta_placement::Capabilities;
use aorta_testing::tables::{Kind, Profile, random_case};

use super::*;

/// What flows of the kinds that cards do look like, and now and then others.
fn random_tables(rng: &mut Rng) -> Case {
    let mut profile = Profile {
        tables: 3,
        flows: 14,
        frames: 25,
        damaged_percent: 0,
        ..Profile::of_cards()
    };
    if rng.chance(40) {
        let also = *rng.pick(&Kind::ALL);
        profile.without.retain(|kind| *kind != also);
    }
    random_case(&profile, rng)
}

fn random_capabilities(rng: &mut Rng) -> Capabilities {
    let mut capabilities = Capabilities::flower(*rng.pick(&[6, 1000, 1000, 1000]));
    for _ in 0..rng.below(3) {
        let keys: Vec<_> = capabilities.keys.keys().copied().collect();
        capabilities.keys.remove(rng.pick(&keys));
    }
    capabilities.traps = rng.chance(70);
    capabilities
}

/// Changes of several flows: some go, some do something else, some are new.
fn random_changes(there: &Tables, case: &Case, rng: &mut Rng) -> Vec<Modification> {
    let entries: Vec<&TableFlow> = there.flows().collect();
    let one = |rng: &mut Rng| {
        let old = (!entries.is_empty()).then(|| rng.pick(&entries).flow.clone());
        let new = rng.pick(&case.flows).clone();
        let (command, flow) = match (rng.below(3), old) {
            (0, Some(old)) => (Command::DeleteStrict, (*old).clone()),
            (1, Some(old)) => {
                let flow = aorta_flow::Flow {
                    instructions: new.instructions.clone(),
                    ..(*old).clone()
                };
                let later = new.table >= flow.table;
                (
                    Command::ModifyStrict,
                    if later { flow } else { (*old).clone() },
                )
            }
            _ => (Command::Add, new),
        };
        Modification::Flow(FlowMod {
            command,
            table: Some(flow.table),
            flow,
            ..FlowMod::default()
        })
    };
    (0..rng.between(1, 5)).map(|_| one(rng)).collect()
}

/// `AORTA_OFFLOAD_CASES` asks for more.
fn cases() -> u64 {
    let more = std::env::var("AORTA_OFFLOAD_CASES");
    more.ok().and_then(|n| n.parse().ok()).unwrap_or(90)
}

#[tokio::test]
async fn packets_go_where_they_are_to_whatever_goes_wrong() {
    let faults = [
        None,
        Some(Fault::Refuses),
        Some(Fault::Full),
        Some(Fault::Vanishes),
        Some(Fault::Killed),
        Some(Fault::KilledAfter),
    ];
    let (mut decided, mut restarts, mut placed) = (0, 0, 0);
    for seed in 0..cases() {
        let mut rng = Rng::new(seed);
        let lab = Lab::new(random_capabilities(&mut rng));
        let mut switch = lab.start().await;
        let case = random_tables(&mut rng);
        lab.probe(&case);
        let begin = case.modifications().collect();
        modify(&mut switch, begin).unwrap();
        for round in 0..6 {
            let fault = *rng.pick(&faults);
            let what = (seed, round, fault);
            if let Some(fault) = fault {
                lab.set_fault(rng.between(1, 12), fault);
            }
            let there = lab.fake.host().tables.clone();
            let changes = random_changes(&there, &case, &mut rng);
            let refuses = rng.chance(10);
            lab.fake.host().software_refuses = refuses;
            // Modifications of some flows are refused by the tables themselves.
            let _ = modify(&mut switch, changes);
            lab.fake.host().software_refuses = false;
            lab.check(&what);
            if lab.fake.host().dead {
                switch = lab.restart(switch).await;
                restarts += 1;
                lab.check(&(what, "restarted"));
                assert_eq!(lab.rules(), lab.intended(), "{what:?}");
            }
            let vanished = lab.fake.host().recover();
            if vanished {
                assert_eq!(lab.rules(), BTreeMap::new(), "{what:?}");
                switch.devices_changed(LinkBatch::Lost).await;
                assert_eq!(lab.rules(), lab.intended(), "{what:?}");
            }
            lab.check(&(what, "and after it"));
            placed += lab.rules().len();
            // What software has refused is planned anew when there is time.
            if switch.datapath.wants_placing() {
                switch.each_tables(Datapath::place_flows);
            }
            let places = switch.datapath.places(&br0(), true).unwrap();
            assert_eq!(places.flows.len(), lab.fake.host().tables.len(), "{what:?}");
        }
        decided += lab.fake.host().decided;
    }
    println!("{decided} packets decided by the card, {restarts} restarts, {placed} rules");
    assert!(decided > 1000 && restarts > 5 && placed > 200);
}

#[tokio::test]
async fn every_packet_is_counted_once_over_all_changes() {
    let mut by_card = 0;
    for seed in 0..cases() / 4 {
        let mut rng = Rng::new(1000 + seed);
        let lab = Lab::new(random_capabilities(&mut rng));
        let mut switch = lab.start().await;
        let case = random_tables(&mut rng);
        lab.probe(&case);
        modify(&mut switch, case.modifications().collect()).unwrap();
        for _ in 0..8 {
            lab.push_all();
            if rng.chance(50) {
                assert_eq!(packets(&switch), lab.fake.host().meant, "seed {seed}");
            }
            let there = lab.fake.host().tables.clone();
            if rng.chance(20) {
                lab.set_fault(rng.between(1, 5), Fault::Refuses);
            }
            let _ = modify(&mut switch, random_changes(&there, &case, &mut rng));
            lab.push_all();
            assert_eq!(packets(&switch), lab.fake.host().meant, "seed {seed}");
            let host = lab.fake.host();
            let own = host.nics["card0"].rules.values();
            by_card += own.map(|(_, counted)| counted.packets).sum::<u64>();
        }
    }
    assert!(by_card > 1000, "{by_card}");
}
