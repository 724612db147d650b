//! A host in memory with network cards and a datapath that outlives the daemon: packets can be pushed
//! through both at any time, and are after each single thing that is done to either.

mod card;
mod software;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use aorta_flow::IfIndex;
use aorta_flow::action::Action;
use aorta_flow::table::{FlowId, Tables};
use aorta_flow::translate::{Packet, translate};
use aorta_placement::{Capabilities, Finds, Meaning, Outcome, Rule, RuleKey, Step};

use crate::ofproto::Moment;
use crate::reconcile::{CardError, FlowCounters, Refusal};

pub use software::Software;

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
    /// Whether it goes on with other ports.
    pub changes_ports: bool,
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

impl Nic {
    /// What its rules do with packets.
    fn meaning(&self) -> Meaning {
        // Of several of one priority, the newest comes first.
        Meaning::new(self.rules.values().rev().map(|(rule, _)| rule))
    }
}

/// A rule as a flow's text.
fn text_of(rule: &Rule) -> String {
    rule.as_flow(Action::Controller(Box::default())).to_string()
}

impl Host {
    /// Whether what cards decide of packets is what software would.
    fn check(&mut self) {
        self.checks += 1;
        for nic in self.nics.values() {
            let meaning = nic.meaning();
            for packet in &self.probes {
                let effects = match meaning.outcome(packet) {
                    Outcome::Software => continue,
                    Outcome::Midway => Vec::new(),
                    Outcome::Ended { effects, .. } => effects,
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
            if let Some((_, found)) = nic.meaning().outcome(packet).ended() {
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
                if refused.is_some_and(|word| text_of(rule).contains(word)) {
                    return refusal("can't do that", false);
                }
                let key = rule.key();
                assert!(
                    nic.rules.len() < room || nic.rules.contains_key(&key),
                    "too many"
                );
                let new = (rule.clone(), FlowCounters::default());
                let replaced = nic.rules.insert(key, new);
                nic.gone.extend(replaced.map(|(_, counted)| (key, counted)));
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
