//! Changes under traffic: after each step from one placement to the next, each packet obeys all of the
//! old tables or all of the new ones, also where the card refuses steps.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use aorta_flow::field::FieldId;
use aorta_flow::table::{FlowId, Tables};
use aorta_flow::translate::{Effect, Packet, translate};
use aorta_placement::{
    Decision, Device, Finds, Rule, RuleKey, Step, Steps, Told, Verdict, place, steps,
};
use aorta_testing::Rng;
use support::{card, cases, decides, fit, last_flow, random_bundle, random_device, random_tables};

/// What becomes of a packet, and the flows that count it.
type Fate = (Vec<Effect>, Vec<FlowId>);

#[derive(Default, Debug)]
struct Sums {
    changes: usize,
    before: usize,
    after: usize,
    batches: usize,
    removed_before: usize,
    refused: usize,
    states: usize,
    packets: usize,
    decided: usize,
    forwarded: usize,
    /// Rules that decided all the time.
    stayed: usize,
}

/// A switch with a card whose tables change.
struct Switch<'r> {
    device: Device,
    told: Told,
    packets: Vec<Packet>,
    /// What software obeys.
    tables: Tables,
    /// What that means to the packets.
    meant: Vec<Fate>,
    there: BTreeMap<RuleKey, Rule>,
    /// Of a hundred steps, how many are refused.
    refused_percent: usize,
    /// What it refuses each time: a rule that decides, or one that traps.
    refuses: BTreeSet<(RuleKey, bool)>,
    rng: &'r mut Rng,
    sums: &'r mut Sums,
    /// What was done, for people.
    log: Vec<String>,
}

fn meaning(tables: &Tables, packets: &[Packet]) -> Vec<Fate> {
    let fate = |packet: &Packet| {
        let mut finds = Finds::default();
        let done = translate(tables, packet.clone(), &mut finds);
        (done.effects, finds.0)
    };
    packets.iter().map(fate).collect()
}

impl Switch<'_> {
    fn rules(&self) -> Vec<Rule> {
        self.there.values().cloned().collect()
    }

    /// Steps to what should be there with other tables.
    fn way(&self, tables: &Tables) -> Steps {
        let new = place(tables, &self.device, &self.told).rules;
        steps(&self.rules(), &new, &self.device.capabilities, &self.told)
    }

    /// Has the card do batches; false if it refuses something.
    fn take(&mut self, batches: &[Vec<Step>]) -> bool {
        for batch in batches {
            self.sums.batches += 1;
            let mut refused = false;
            for step in batch {
                if self.refuses(step) {
                    self.told.refuse(step, "no");
                    self.log.push(format!("refused: {step:?}"));
                    self.sums.refused += 1;
                    refused = true;
                    continue;
                }
                self.log.push(format!("{step:?}"));
                step.note(&mut self.there);
                let (room, held) = (self.device.capabilities.max_rules, self.there.len());
                assert!(held <= room, "{}", self.text());
                self.check(Some(step));
            }
            if refused {
                return false;
            }
        }
        true
    }

    fn refuses(&mut self, step: &Step) -> bool {
        let chance = self.rng.chance(self.refused_percent);
        match step {
            Step::Remove(_) => chance,
            Step::Put(rule) => {
                let what = (rule.key(), rule.verdict == Verdict::Trap);
                self.refuses.contains(&what) || chance && self.refuses.insert(what)
            }
        }
    }

    fn text(&self) -> String {
        let flows: Vec<String> = self.tables.flows().map(|e| format!("{e:?}")).collect();
        let (flows, log) = (flows.join("\n"), self.log.join("\n"));
        format!("{:?}\n{flows}\n{log}\n{:#?}", self.device, self.there)
    }

    /// Checks all packets that a step can make a difference to.
    fn check(&mut self, step: Option<&Step>) {
        let card = card(self.there.values(), self.rng);
        self.sums.states += 1;
        let concerned = |packet: &Packet| match step {
            Some(Step::Put(rule)) if rule.table == 0 => rule.matching.matches(&packet.key),
            _ => true,
        };
        for (packet, meant) in self.packets.iter().zip(&self.meant) {
            if !concerned(packet) {
                continue;
            }
            self.sums.packets += 1;
            if let Some(decided) = decides(&card, packet) {
                assert_eq!(decided, *meant, "{packet:?}\n{step:?}\n{}", self.text());
                self.sums.decided += 1;
                self.sums.forwarded += usize::from(!decided.0.is_empty());
            }
        }
    }

    /// Goes over to other tables.
    fn change(&mut self, tables: Tables) {
        self.log.clear();
        let decided = self.rules();
        for attempt in 0.. {
            assert!(attempt < 200, "{}", self.text());
            let way = self.way(&tables);
            let count = |batches: &[Vec<Step>]| batches.iter().map(Vec::len).sum::<usize>();
            self.sums.before += count(&way.before);
            let removals = way.before.iter().flatten();
            self.sums.removed_before += removals
                .filter(|step| matches!(step, Step::Remove(_)))
                .count();
            if !self.take(&way.before) {
                continue;
            }
            self.log.push("software obeys the new tables".to_owned());
            self.meant = meaning(&tables, &self.packets);
            self.tables = tables.clone();
            self.check(None);
            self.sums.after += count(&way.after);
            let stays = |rule: &&Rule| {
                self.there.get(&rule.key()) == Some(*rule) && rule.verdict != Verdict::Trap
            };
            self.sums.stayed += decided.iter().filter(stays).count();
            if self.take(&way.after) {
                break;
            }
        }
        self.settled();
    }

    /// Nothing is left to do, and what is there is what was planned.
    fn settled(&mut self) {
        let tables = self.tables.clone();
        assert!(self.way(&tables).is_empty(), "{}", self.text());
        let placed = place(&self.tables, &self.device, &self.told).rules;
        assert_eq!(placed.len(), self.there.len());
        assert!(placed.iter().all(|r| self.there.get(&r.key()) == Some(r)));
        self.sums.changes += 1;
    }
}

#[test]
fn each_packet_obeys_old_or_new_tables_after_each_step() {
    let mut sums = Sums::default();
    for seed in 0..cases(250) {
        let mut rng = Rng::new(1 << 32 | seed);
        let mut case = random_tables(&mut rng);
        let mut device = random_device(&mut rng);
        device.capabilities.traps = rng.chance(70);
        let priorities = *rng.pick(&[4, 20, 20, 60]);
        fit(&mut case, &device, priorities, &mut rng);
        let frames = case.frames.iter();
        let packets = frames.filter_map(|f| Packet::from_frame(&f.bytes, f.in_port).ok());
        let port = |packet: &Packet| packet.key.get(FieldId::IN_PORT) as u16;
        let packets: Vec<Packet> = packets
            .filter(|packet| device.ports.iter().any(|own| own.0 == port(packet)))
            .collect();
        let mut pool = case.flows.clone();
        pool.push(last_flow());
        case.flows.retain(|_| rng.chance(60));
        let refused_percent = *rng.pick(&[0, 0, 3, 15]);
        let mut switch = Switch {
            device,
            told: Told::default(),
            tables: Tables::new(),
            meant: meaning(&Tables::new(), &packets),
            packets,
            there: BTreeMap::new(),
            refused_percent,
            refuses: BTreeSet::new(),
            rng: &mut rng,
            sums: &mut sums,
            log: Vec::new(),
        };
        switch.change(case.tables().expect("tables of a case"));
        for _ in 0..6 {
            let mut next = switch.tables.clone();
            random_bundle(&mut next, &pool, switch.rng);
            if switch.rng.chance(30) {
                // Those that were refused may be tried again, and others are busier now.
                let rates = next.flows().map(|e| (e.id, switch.rng.below(100) as u64));
                switch.refuses.clear();
                switch.told = Told {
                    rates_pps: rates.collect(),
                    ..Told::default()
                };
            }
            if switch.rng.chance(10) {
                let keys = switch.device.capabilities.keys.keys().copied();
                let key = *switch.rng.pick(&keys.collect::<Vec<FieldId>>());
                switch.device.capabilities.keys.remove(&key);
            }
            let placement = place(&switch.tables, &switch.device, &switch.told);
            let placed = placement.decisions.into_iter();
            let placed = placed.filter(|(_, decision)| *decision == Decision::Placed);
            switch.told.placed = placed.map(|(id, _)| id).collect();
            switch.change(next);
        }
    }
    println!("{sums:?}");
    assert!(sums.decided * 20 > sums.packets, "{sums:?}");
    assert!(sums.forwarded * 100 > sums.packets, "{sums:?}");
    assert!(sums.refused > 0 && sums.removed_before > 0, "{sums:?}");
    assert!(sums.stayed > sums.changes, "{sums:?}");
}
