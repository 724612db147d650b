//! Changes under traffic, also where cards refuse rules: after each single request to a card, each frame
//! that it decides is decided as the old tables say, or as the new ones once software obeys these.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod flower_cases;

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::rc::Rc;

use aorta_flow::table::{FlowMod, Modification, Tables};
use aorta_flow::text::Command;
use aorta_flow::translate::Packet;
use aorta_flow::{Flow, IfIndex, OfPort};
use aorta_kernel::offload::flower::fake::{Decided, FakeNic};
use aorta_kernel::offload::flower::{
    CardMark, FilterCounters, FlowerCard, Keys, Listed, Lowering, Place, Refusal, Request, Running,
    Side, Stacks, TcAction, TcSocket,
};
use aorta_placement::{Capabilities, Device, Rule, Step, Steps, Told, place, steps};
use aorta_testing::Rng;
use rustix::io::Errno;

use self::flower_cases::{end_chains, is_whole, meant, random_tables};

#[derive(Default, Debug)]
struct Sums {
    changes: usize,
    requests: usize,
    refused: usize,
    frames: usize,
    decided: usize,
    sent: usize,
}

/// What comes in while rules change, and what it means now.
struct Traffic {
    frames: Vec<(OfPort, Vec<u8>)>,
    lowering: Lowering,
    meant: Vec<Vec<(Option<IfIndex>, Vec<u8>)>>,
    refused_percent: usize,
    /// What it refuses, and what it doesn't.
    refused: HashMap<(IfIndex, Keys, Vec<TcAction>), bool>,
    rng: Rng,
    sums: Sums,
}

/// A card to whose ports frames come after each request.
#[derive(Clone)]
struct Watched {
    nic: FakeNic,
    traffic: Rc<RefCell<Traffic>>,
}

impl Traffic {
    fn obey(&mut self, tables: &Tables) {
        let meaning = |(port, bytes): &(OfPort, Vec<u8>)| {
            let packet = Packet::from_frame(bytes, *port).unwrap();
            meant(tables, packet, &self.lowering.ports)
        };
        self.meant = self.frames.iter().map(meaning).collect();
    }

    fn check(&mut self, nic: &FakeNic, request: &Request) {
        self.sums.requests += 1;
        for ((port, bytes), meant) in self.frames.iter().zip(&self.meant) {
            self.sums.frames += 1;
            let sent = match nic.receive(self.lowering.ports[port], bytes) {
                Decided::Software => continue,
                Decided::SoftwareMidway => panic!("{port} {bytes:02x?}\n{request:?}"),
                Decided::Sent(sent) => sent,
            };
            let sent: Vec<_> = sent
                .into_iter()
                .map(|(to, frame)| (Some(to), frame))
                .collect();
            assert_eq!(sent, *meant, "{port} {bytes:02x?}\n{request:?}");
            self.sums.decided += 1;
            self.sums.sent += sent.len();
        }
    }

    /// Whether the card refuses a request: it takes guards, what it took before, and removals.
    fn refuses(&mut self, request: &Request) -> bool {
        let Request::Put(filter) = request else {
            return false;
        };
        let what = (
            filter.place.device,
            filter.keys.clone(),
            filter.actions.clone(),
        );
        let (rng, percent) = (&mut self.rng, self.refused_percent);
        let refused = self
            .refused
            .entry(what)
            .or_insert_with(|| rng.chance(percent));
        filter.place.pref > 1 && *refused
    }
}

impl TcSocket for Watched {
    fn ask(&mut self, requests: &[Request]) -> io::Result<Vec<Result<(), Refusal>>> {
        let mut answers = Vec::new();
        for request in requests {
            let mut traffic = self.traffic.borrow_mut();
            if traffic.refuses(request) {
                traffic.sums.refused += 1;
                let errno = Errno::OPNOTSUPP.raw_os_error();
                self.nic
                    .refuse_after(0, Refusal::new(errno, Some("no".to_owned())));
            }
            answers.extend(self.nic.ask(std::slice::from_ref(request))?);
            traffic.check(&self.nic, request);
        }
        Ok(answers)
    }

    fn list(&mut self, device: IfIndex, side: Side) -> io::Result<Vec<Listed>> {
        self.nic.list(device, side)
    }

    fn read(&mut self, places: &[Place]) -> io::Result<Vec<Option<FilterCounters>>> {
        self.nic.read(places)
    }
}

/// Other tables, of flows like those of a pool.
fn changed(tables: &Tables, pool: &[Flow], rng: &mut Rng) -> Tables {
    let mut changed = tables.clone();
    for _ in 0..*rng.pick(&[1, 1, 2, 4, 12]) {
        let there: Vec<Flow> = changed.flows().map(|entry| (*entry.flow).clone()).collect();
        let mut flow = rng.pick(pool).clone();
        let mut command = Command::Add;
        if !there.is_empty() && rng.chance(60) {
            let instructions = flow.instructions;
            flow = rng.pick(&there).clone();
            command = *rng.pick(&[Command::DeleteStrict, Command::ModifyStrict]);
            if command == Command::ModifyStrict {
                flow.instructions = instructions;
            }
        }
        let change = FlowMod {
            table: Some(flow.table),
            command,
            flow,
            ..FlowMod::default()
        };
        // What can't be isn't done.
        let _ = changed.modify(&Modification::Flow(change));
    }
    changed
}

/// A switch with a card.
struct Switch {
    card: FlowerCard<Watched>,
    device: Device,
    told: Told,
    traffic: Rc<RefCell<Traffic>>,
}

impl Switch {
    fn way(&self, tables: &Tables) -> Steps {
        let old: Vec<Rule> = self.card.rules().cloned().collect();
        let mut new = place(tables, &self.device, &self.told).rules;
        end_chains(&mut new);
        steps(&old, &new, &self.device.capabilities, &self.told)
    }

    /// Has the card do batches; false if it refuses something.
    fn take(&mut self, batches: &[Vec<Step>]) -> bool {
        for batch in batches {
            let results = self.card.apply(batch).unwrap();
            let mut refused = false;
            for (step, result) in batch.iter().zip(results) {
                if let Err(refusal) = result {
                    self.told.refuse(step, &refusal.text);
                    refused = true;
                }
            }
            if refused {
                return false;
            }
        }
        true
    }

    fn change(&mut self, tables: &Tables) {
        for attempt in 0.. {
            assert!(attempt < 200, "it never ends");
            let way = self.way(tables);
            if !self.take(&way.before) {
                continue;
            }
            self.traffic.borrow_mut().obey(tables);
            if self.take(&way.after) {
                break;
            }
        }
        assert!(self.way(tables).is_empty());
        self.traffic.borrow_mut().sums.changes += 1;
    }
}

fn lowering(rng: &mut Rng) -> Lowering {
    let ports = (1..=6).filter(|_| rng.chance(50));
    let device = |port: u16| IfIndex::new(100 + u32::from(port)).unwrap();
    Lowering {
        ports: ports.map(|port| (OfPort(port), device(port))).collect(),
        running: Running::InHardware,
        stacks: Stacks::default(),
        meters_of: String::new(),
    }
}

/// `AORTA_FLOWER_CASES` asks for more.
fn cases() -> u64 {
    let more = std::env::var("AORTA_FLOWER_CASES");
    more.ok().and_then(|n| n.parse().ok()).unwrap_or(100)
}

#[test]
fn no_frame_is_misdirected_while_rules_change() {
    let mut sums = Sums::default();
    for seed in 0..cases() {
        let mut rng = Rng::new(1 << 33 | seed);
        let mut case = random_tables(&mut rng);
        let lowering = lowering(&mut rng);
        let own = |port: &OfPort| lowering.ports.contains_key(port);
        let frames = case
            .frames
            .iter()
            .filter(|f| own(&f.in_port) && is_whole(&f.bytes));
        let frames = frames.map(|frame| (frame.in_port, frame.bytes.clone()));
        let readable = frames.filter(|(port, bytes)| Packet::from_frame(bytes, *port).is_ok());
        let traffic = Traffic {
            frames: readable.collect(),
            lowering: lowering.clone(),
            meant: Vec::new(),
            refused_percent: *rng.pick(&[0, 0, 3, 15]),
            refused: HashMap::new(),
            rng: Rng::new(seed),
            sums,
        };
        let traffic = Rc::new(RefCell::new(traffic));
        traffic.borrow_mut().obey(&Tables::new());
        let nic = FakeNic::new(lowering.ports.values().copied());
        let watched = Watched {
            nic: nic.clone(),
            traffic: Rc::clone(&traffic),
        };
        let ports = lowering.ports.keys().copied().collect();
        let mut switch = Switch {
            card: FlowerCard::new(watched, lowering, CardMark::new("test")),
            device: Device {
                ports,
                capabilities: Capabilities::flower(1000),
            },
            told: Told::default(),
            traffic: Rc::clone(&traffic),
        };
        let pool = case.flows.clone();
        case.flows.retain(|_| rng.chance(60));
        let mut tables = case.tables().unwrap();
        switch.change(&tables);
        for _ in 0..4 {
            tables = changed(&tables, &pool, &mut rng);
            switch.change(&tables);
        }
        // Away with all, from the last to the first.
        switch.card.clear().unwrap();
        assert!(nic.filters().is_empty());
        sums = std::mem::take(&mut traffic.borrow_mut().sums);
    }
    println!("{sums:?}");
    assert!(
        sums.decided * 50 > sums.frames && sums.sent > 100,
        "{sums:?}"
    );
    assert!(sums.refused > 0 && sums.changes > 100, "{sums:?}");
}
