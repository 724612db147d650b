//! A host in memory with network cards and a datapath that outlives the daemon: packets can be pushed
//! through both at any time, and are after each single thing that is done to either.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use aorta_api::FlowExplain;
use aorta_flow::action::{Action, Instructions};
use aorta_flow::meter::MeterState;
use aorta_flow::table::{Change, FlowId, TableFlow, Tables};
use aorta_flow::translate::{Effect, Env, Packet, translate};
use aorta_flow::{BridgeName, Flow, IfIndex, MeterId, OfPort, Output, PortName, Snapshot};
use aorta_placement::{Capabilities, Rule, RuleKey, Step, Verdict};

use crate::config::OffloadMode;
use crate::ofproto::Moment;
use crate::reconcile::{
    Adopted, Applied, Card, CardError, CardPort, CardSpec, Cards, Counted, Counters, Datapath,
    DatapathError, Fdb, FlowCounters, Language, Looked, Refusal, Upcall,
};

/// When a card is asked for the n-th thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It refuses that.
    Refuses,
    /// It has no room.
    Full,
    /// It is gone, with all that was on it.
    Vanishes,
    /// The daemon is killed before it is done.
    Killed,
    /// The daemon is killed when it is done.
    KilledAfter,
}

/// A card in memory.
#[derive(Debug, Default)]
pub struct Nic {
    pub ports: Vec<IfIndex>,
    pub capabilities: Capabilities,
    pub rules: BTreeMap<RuleKey, (Rule, FlowCounters)>,
    /// What rules that are gone have counted, until it is told.
    pub gone: Vec<(RuleKey, FlowCounters)>,
    /// Rules that were lost.
    pub lost: bool,
    /// Why it can't be used, if it can't.
    pub unusable: Option<String>,
    pub foreign: Vec<String>,
    /// Refuses rules whose text has this in it.
    pub refuses: Option<String>,
}

/// What outlives the daemon.
#[derive(Debug, Default)]
pub struct Host {
    pub nics: BTreeMap<String, Nic>,
    /// What software obeys.
    pub tables: Tables,
    pub counted: HashMap<FlowId, FlowCounters>,
    /// Packets that are pushed through after each thing that is done.
    pub probes: Vec<Packet>,
    /// What went wrong with them.
    pub wrong: Vec<String>,
    /// How often they were, and what cards decided of them.
    pub checks: usize,
    pub decided: usize,
    /// Things that were asked of cards.
    pub asked: usize,
    pub fault: Option<(usize, Fault)>,
    /// Nothing that is done has an effect any more.
    pub dead: bool,
    /// The journal, and what it was at the death.
    pub journal: Option<PathBuf>,
    pub journal_then: Option<Vec<u8>>,
    /// Packets of each flow, whoever decided about them.
    pub meant: HashMap<FlowId, u64>,
    /// How often counters were read.
    pub reads: usize,
    /// What the datapath refuses.
    pub software_refuses: bool,
    pub now: u64,
}

/// The host, from all sides.
#[derive(Debug, Clone, Default)]
pub struct Fake(Arc<Mutex<Host>>);

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

impl Nic {
    /// What it does with a packet and which rules it counts; nothing if it leaves it to software.
    pub fn decides(&self, packet: &Packet) -> Option<(Vec<Effect>, Vec<RuleKey>)> {
        let mut rules: Vec<&Rule> = self.rules.values().map(|(rule, _)| rule).collect();
        rules.sort_by_key(|rule| (rule.flow.is_some(), rule.priority));
        let mut tables = Tables::new();
        for (at, rule) in rules.iter().enumerate() {
            tables.restore_flow(TableFlow {
                id: FlowId(at as u64),
                flow: Arc::new(flow_of(rule, at as u16)),
            });
        }
        let mut finds = Finds::default();
        let done = translate(&tables, packet.clone(), &mut finds);
        let trapped = |effect: &Effect| matches!(effect, Effect::Controller { .. });
        if finds.0.is_empty() || done.effects.iter().any(trapped) {
            return None;
        }
        let found = finds.0.iter().map(|id| rules[id.0 as usize].key());
        Some((done.effects, found.collect()))
    }
}

fn flow_of(rule: &Rule, priority: u16) -> Flow {
    let instructions = match &rule.verdict {
        Verdict::Trap => Instructions::apply(vec![Action::Controller(Box::default())]),
        Verdict::Forward { actions, goto } => Instructions {
            goto_table: *goto,
            ..Instructions::apply(actions.clone())
        },
    };
    Flow {
        table: rule.table,
        priority,
        matching: rule.matching.clone(),
        instructions: instructions.into(),
        ..Flow::default()
    }
}

impl Host {
    /// Whether what cards decide of packets is what software would.
    fn check(&mut self) {
        self.checks += 1;
        for packet in &self.probes {
            for nic in self.nics.values() {
                let Some((effects, _)) = nic.decides(packet) else {
                    continue;
                };
                self.decided += 1;
                let meant = translate(&self.tables, packet.clone(), &mut Finds::default());
                if effects != meant.effects && self.wrong.len() < 3 {
                    let rules: Vec<&Rule> = nic.rules.values().map(|(rule, _)| rule).collect();
                    self.wrong.push(format!(
                        "after {}: {packet:?}: {effects:?} for {:?} by {rules:#?}",
                        self.asked, meant.effects
                    ));
                }
            }
        }
    }

    /// Has a packet come in.
    pub fn push(&mut self, packet: &Packet) {
        let used = Some(Moment(self.now));
        let count = |counters: &mut FlowCounters| {
            counters.packets += 1;
            counters.bytes += 100;
            counters.used = used;
        };
        let mut finds = Finds::default();
        translate(&self.tables, packet.clone(), &mut finds);
        for flow in &finds.0 {
            *self.meant.entry(*flow).or_default() += 1;
        }
        for nic in self.nics.values_mut() {
            if let Some((_, found)) = nic.decides(packet) {
                for key in found {
                    if let Some((_, counters)) = nic.rules.get_mut(&key) {
                        count(counters);
                    }
                }
                return;
            }
        }
        for flow in finds.0 {
            count(self.counted.entry(flow).or_default());
        }
    }

    /// The end of a killed daemon: what it wrote after its death, it didn't.
    pub fn rise(&mut self) {
        if let (true, Some(path)) = (self.dead, &self.journal) {
            match &self.journal_then {
                Some(bytes) => std::fs::write(path, bytes).unwrap(),
                None => drop(std::fs::remove_file(path)),
            }
        }
        self.dead = false;
        self.fault = None;
    }

    /// No more faults; whether a card had become unusable.
    pub fn recover(&mut self) -> bool {
        self.fault = None;
        let nics = self.nics.values_mut();
        nics.filter_map(|nic| nic.unusable.take()).count() > 0
    }

    fn die(&mut self) {
        self.dead = true;
        let journal = self.journal.as_ref();
        self.journal_then = journal.and_then(|path| std::fs::read(path).ok());
    }

    /// One step. Nothing has an effect on what is dead.
    fn step(&mut self, name: &str, step: &Step) -> Result<Result<(), Refusal>, CardError> {
        if self.dead {
            return Err(CardError("dead".into()));
        }
        self.asked += 1;
        let refusal = |text: &str, full| {
            let text = text.to_owned();
            Ok(Err(Refusal { text, full }))
        };
        let fault = self.fault.filter(|(at, _)| *at == self.asked);
        match fault.map(|(_, fault)| fault) {
            Some(Fault::Killed) => {
                self.die();
                return Err(CardError("dead".into()));
            }
            // A removal is never refused.
            Some(Fault::Refuses) if matches!(step, Step::Put(_)) => return refusal("no", false),
            Some(Fault::Full) if matches!(step, Step::Put(_)) => return refusal("full", true),
            Some(Fault::Vanishes) => {
                self.nic(name).rules.clear();
                self.nic(name).unusable = Some("no such device".into());
            }
            _ => {}
        }
        let room = self.nic(name).capabilities.max_rules;
        let nic = self.nic(name);
        if let Some(why) = &nic.unusable {
            return Err(CardError(why.clone()));
        }
        match step {
            Step::Put(rule) => {
                let refused = nic.refuses.as_ref();
                if refused.is_some_and(|word| flow_of(rule, 0).to_string().contains(word)) {
                    return refusal("can't do that", false);
                }
                let key = rule.key();
                assert!(
                    nic.rules.len() < room || nic.rules.contains_key(&key),
                    "too many"
                );
                let counted = nic.rules.get(&key).map(|(_, counted)| *counted);
                let counted = counted.unwrap_or_default();
                nic.rules.insert(key, (rule.clone(), counted));
            }
            Step::Remove(key) => {
                assert!(
                    nic.lost || nic.rules.contains_key(key),
                    "{key:?} isn't there"
                );
                let gone = nic.rules.remove(key);
                nic.gone.extend(gone.map(|(_, counted)| (*key, counted)));
            }
        }
        self.check();
        if fault.is_some_and(|(_, fault)| fault == Fault::KilledAfter) {
            self.die();
        }
        Ok(Ok(()))
    }

    fn nic(&mut self, name: &str) -> &mut Nic {
        self.nics.entry(name.to_owned()).or_default()
    }
}

impl Fake {
    pub fn host(&self) -> MutexGuard<'_, Host> {
        self.0.lock().unwrap()
    }
}

impl Cards for Fake {
    type Card = FakeCard;

    fn look(&mut self, _: &BridgeName, ports: &[CardPort]) -> Looked {
        let host = self.host();
        let mut looked = Looked::default();
        for (name, nic) in &host.nics {
            let own = ports
                .iter()
                .filter(|port| nic.ports.contains(&port.ifindex));
            let own: BTreeMap<OfPort, (PortName, IfIndex)> = own
                .filter(|port| port.mode != OffloadMode::Ebpf)
                .map(|port| (port.ofport, (port.name.clone(), port.ifindex)))
                .collect();
            if !own.is_empty() {
                looked.cards.push(CardSpec {
                    name: name.clone(),
                    language: Language::Flower,
                    ports: own,
                    capabilities: nic.capabilities.clone(),
                });
            }
        }
        for port in ports {
            let of_card = |spec: &CardSpec| spec.ports.contains_key(&port.ofport);
            if !looked.cards.iter().any(of_card) {
                looked.without.insert(port.name.clone(), "no card".into());
            }
        }
        looked
    }

    fn open(&mut self, _: &BridgeName, spec: &CardSpec) -> Result<FakeCard, CardError> {
        let host = self.host();
        if let Some(why) = host
            .nics
            .get(&spec.name)
            .and_then(|nic| nic.unusable.clone())
        {
            return Err(CardError(why));
        }
        Ok(FakeCard {
            name: spec.name.clone(),
            host: self.clone(),
        })
    }

    fn sweep(&mut self, kept: &[IfIndex]) -> Vec<String> {
        let mut host = self.host();
        for nic in host.nics.values_mut() {
            if !nic.ports.iter().any(|port| kept.contains(port)) {
                nic.rules.clear();
            }
        }
        Vec::new()
    }
}

/// A card of it, in use.
#[derive(Debug)]
pub struct FakeCard {
    name: String,
    host: Fake,
}

impl FakeCard {
    fn usable<T>(&self, ask: impl FnOnce(&mut Nic) -> T) -> Result<T, CardError> {
        let mut host = self.host.host();
        if host.dead {
            return Err(CardError("dead".into()));
        }
        let nic = host.nic(&self.name);
        match &nic.unusable {
            Some(why) => Err(CardError(why.clone())),
            None => Ok(ask(nic)),
        }
    }
}

impl Card for FakeCard {
    fn apply(&mut self, steps: &[Step]) -> Result<Vec<Result<(), Refusal>>, CardError> {
        let mut host = self.host.host();
        let step = |step| host.step(&self.name, step);
        steps.iter().map(step).collect()
    }

    fn counters(&mut self) -> Result<Counted, CardError> {
        self.host.host().reads += 1;
        self.usable(|nic| {
            if nic.lost {
                return Err(CardError("rules are gone".into()));
            }
            let rules = nic.rules.iter();
            let there = rules.map(|(key, (_, counters))| (*key, *counters));
            Ok(std::mem::take(&mut nic.gone)
                .into_iter()
                .chain(there)
                .collect())
        })?
    }

    fn adopt(&mut self, rules: &[Rule]) -> Result<Adopted, CardError> {
        let mut host = self.host.host();
        if host.dead {
            return Err(CardError("dead".into()));
        }
        let nic = host.nic(&self.name);
        if let Some(why) = &nic.unusable {
            return Err(CardError(why.clone()));
        }
        let wanted = rules.iter().map(|rule| (rule.key(), rule));
        let there = nic.rules.iter().map(|(key, (rule, _))| (*key, rule));
        let wanted: BTreeMap<RuleKey, &Rule> = wanted.collect();
        let all = wanted.into_iter().eq(there);
        if !all {
            nic.rules.clear();
            nic.lost = false;
        }
        Ok(Adopted {
            all,
            foreign: nic.foreign.clone(),
        })
    }

    fn clear(&mut self) -> Result<(), CardError> {
        self.usable(|nic| {
            nic.rules.clear();
            nic.lost = false;
        })
    }
}

/// A datapath that obeys tables, whoever looks after it. Before it is told of ports, tables wait.
#[derive(Debug)]
pub struct Software {
    host: Fake,
    waiting: Option<Tables>,
    began: bool,
}

impl Software {
    pub fn new(host: &Fake) -> Software {
        Software {
            host: host.clone(),
            waiting: None,
            began: false,
        }
    }

    fn obey(&self, tables: Tables) {
        let mut host = self.host.host();
        if !host.dead {
            let there = |id: &FlowId| tables.flows().any(|entry| entry.id == *id);
            host.counted.retain(|id, _| there(id));
            host.meant.retain(|id, _| there(id));
            host.tables = tables;
            host.check();
        }
    }
}

impl Datapath for Software {
    fn apply(&mut self, _: &Snapshot) -> Result<Applied, DatapathError> {
        self.began = true;
        if let Some(tables) = self.waiting.take() {
            self.obey(tables);
        }
        Ok(Applied::default())
    }

    fn apply_flows(
        &mut self,
        _: &BridgeName,
        tables: &Tables,
        changes: Option<&[Change]>,
    ) -> Result<(), DatapathError> {
        let mut host = self.host.host();
        if host.software_refuses {
            return Err(DatapathError("no memory".into()));
        }
        for change in changes.unwrap_or_default() {
            if let Change::FlowReplaced {
                new,
                reset_counts: true,
                ..
            } = change
            {
                host.counted.remove(&new.id);
                host.meant.remove(&new.id);
            }
        }
        drop(host);
        match self.began {
            true => self.obey(tables.clone()),
            false => self.waiting = Some(tables.clone()),
        }
        Ok(())
    }

    fn flow_counters(
        &self,
        _: &BridgeName,
    ) -> Result<HashMap<FlowId, FlowCounters>, DatapathError> {
        Ok(self.host.host().counted.clone())
    }

    fn counters(&self) -> Result<BTreeMap<PortName, Counters>, DatapathError> {
        Ok(BTreeMap::new())
    }

    fn fdb(&self, _: &BridgeName) -> Result<Vec<Fdb>, DatapathError> {
        Ok(Vec::new())
    }

    fn flush_fdb(&mut self, _: &BridgeName) -> Result<(), DatapathError> {
        Ok(())
    }

    fn adopt_flows(&mut self, _: &BridgeName, _: HashMap<FlowId, u32>) {}

    fn flow_rule(&self, _: &BridgeName, _: FlowId) -> Option<u32> {
        None
    }

    fn upcalls(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn take_upcalls(&mut self) -> Vec<Upcall> {
        Vec::new()
    }

    fn send(&mut self, _: &[Output]) {}

    fn meter_states(&self, _: &BridgeName) -> BTreeMap<MeterId, MeterState> {
        BTreeMap::new()
    }

    fn explain(&self, _: &BridgeName) -> Result<FlowExplain, DatapathError> {
        Ok(FlowExplain::default())
    }
}
