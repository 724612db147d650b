//! The cards of one bridge.

use std::collections::{BTreeMap, HashMap};

use aorta_flow::meter::MeterState;
use aorta_flow::table::{FlowId, Tables};
use aorta_flow::{Attachment, Bridge, BridgeName, MeterId, Port, PortName};

use super::ledger::Ledger;
use super::metered::MeterLedger;
use super::placing::{Placing, Record, Since};
use super::rates::Rates;
use crate::config::{OffloadCookies, OffloadMode, OffloadWanted};
use crate::ofproto::Moment;
use crate::reconcile::{CardPort, CardRule, CardSpec, Cards, FlowCounters, Language, Looked};

/// The cards of one bridge.
pub struct BridgeCards<C: Cards> {
    /// Each card that is there.
    pub cards: Vec<Placing<C::Card>>,
    /// Why ports have no card that takes flows.
    pub without: BTreeMap<PortName, String>,
    /// Whether cards are to be compared with the tables although these haven't changed.
    pub dirty: bool,
    rates: Rates,
    /// What cards had counted that are gone.
    ended: Ledger,
    ended_meters: MeterLedger,
}

impl<C: Cards> Default for BridgeCards<C> {
    fn default() -> Self {
        BridgeCards {
            cards: Vec::new(),
            without: BTreeMap::new(),
            dirty: false,
            rates: Rates::default(),
            ended: Ledger::default(),
            ended_meters: MeterLedger::default(),
        }
    }
}

impl<C: Cards> BridgeCards<C> {
    /// Has the cards that there are now, and no others.
    pub fn look(&mut self, name: &BridgeName, looked: Looked, asked: &OffloadCookies, now: Moment) {
        self.without.extend(looked.without);
        let wanted = looked.cards;
        for mut card in std::mem::take(&mut self.cards) {
            let same = wanted.iter().find(|spec| is_same(spec, &card.spec));
            let stays = match same {
                Some(spec) if spec.ports == card.spec.ports => true,
                Some(spec) => {
                    self.dirty = true;
                    card.take_ports(spec)
                }
                None => false,
            };
            match stays {
                true => self.cards.push(card),
                false => {
                    self.end(card, now);
                    self.dirty = true;
                }
            }
        }
        for spec in &wanted {
            if !self.cards.iter().any(|card| card.spec == *spec) {
                self.cards.push(Placing::new(spec.clone()));
                self.dirty = true;
            }
        }
        for card in &mut self.cards {
            self.dirty |= card.ask(asked);
            // What went wrong may not any more: something about devices has changed.
            card.hurry(now);
            self.dirty |= card.is_due(now);
        }
        let unused = self.cards.iter().filter(|card| card.trouble.is_some());
        for card in unused {
            let ports = card.spec.ports.len();
            tracing::debug!("{name}: {}: {ports} ports, tried again", card.spec.name);
        }
    }

    /// Before software obeys tables.
    pub fn prepare(
        &mut self,
        all: &mut C,
        name: &BridgeName,
        (tables, since): (&Tables, Since<'_>),
        now: Moment,
    ) {
        for card in &mut self.cards {
            card.open(now, |spec| all.open(name, spec));
            card.prepare(tables, since, now);
        }
    }

    /// When software obeys them.
    pub fn finish(&mut self, tables: &Tables, since: Since<'_>, now: Moment) {
        self.dirty = false;
        for card in &mut self.cards {
            card.finish(tables, since, now);
        }
        if let Since::Changed(changes) = since {
            self.ended.follow(changes);
            self.ended_meters.follow(changes);
        }
    }

    /// When software has refused them.
    pub fn undo(&mut self, now: Moment) {
        for card in &mut self.cards {
            card.undo(now);
        }
        // What was planned is for other tables.
        self.dirty = true;
    }

    /// Has nothing on the cards any more.
    pub fn retire(&mut self, now: Moment) {
        for card in std::mem::take(&mut self.cards) {
            self.end(card, now);
        }
    }

    /// A card isn't the bridge's any more; what it has counted is.
    fn end(&mut self, mut card: Placing<C::Card>, now: Moment) {
        card.retire(now);
        let (mut ledger, meters) = card.remains();
        self.ended.keep(ledger.take_ended());
        self.ended_meters.absorb(meters);
    }

    /// Hands what rules had counted that have gone to software's record.
    pub fn hand_over(&mut self, record: &Record) {
        let ended = self.ended.take_ended();
        if !ended.is_empty() {
            self.ended.keep(record(ended));
        }
        for card in &mut self.cards {
            card.hand_over(record);
        }
    }

    /// Reads counters anew and adds them to those of software.
    pub fn count(&mut self, counters: &mut HashMap<FlowId, FlowCounters>, now: Moment) {
        for card in &mut self.cards {
            if card.counts() {
                card.count(now);
                self.dirty |= card.is_due(now);
            }
            card.add_to(counters);
        }
        self.ended.add_to(counters);
    }

    /// Reads what meters have counted, and adds it to what software has.
    pub fn meter(&mut self, states: &mut BTreeMap<MeterId, MeterState>, now: Moment) {
        for card in &mut self.cards {
            if card.polices() {
                card.count(now);
                self.dirty |= card.is_due(now);
            }
            card.add_meters_to(states);
        }
        self.ended_meters.add_to(states);
    }

    /// What the cards have, and what that has counted by now.
    pub fn rules(&mut self, now: Moment) -> Vec<CardRule> {
        let mut rules = Vec::new();
        for card in &mut self.cards {
            if card.counts() {
                card.count(now);
                self.dirty |= card.is_due(now);
            }
            rules.extend(card.card_rules());
        }
        rules
    }

    /// Whether a port's device is one of a card that software doesn't see: what becomes of its rules is
    /// told by nobody.
    pub fn watches(&self, port: &str) -> bool {
        let mut cards = self.cards.iter();
        cards.any(|card| {
            let mut ports = card.spec.ports.values();
            let is_flower = card.spec.language == Language::Flower;
            is_flower && card.counts() && ports.any(|(name, _)| name.as_str() == port)
        })
    }

    /// Whether cards are to be looked at from time to time.
    pub fn counts(&self) -> bool {
        self.cards.iter().any(Placing::counts)
    }

    /// Whether it matters how busy flows are.
    pub fn is_full(&self) -> bool {
        self.cards.iter().any(Placing::is_full)
    }

    /// Takes counters of all flows, for rates.
    pub fn measure(&mut self, counters: &HashMap<FlowId, FlowCounters>, now: Moment) {
        self.rates.look(now, counters);
    }

    /// Has cards without room for all flows take the busiest ones.
    pub fn choose(&mut self) {
        let rates = self.rates.pps();
        for card in self.cards.iter_mut().filter(|card| card.is_full()) {
            card.hear_rates(rates.clone());
            self.dirty = true;
        }
    }
}

/// Whether it is the same card, with whatever ports.
fn is_same(spec: &CardSpec, other: &CardSpec) -> bool {
    (&spec.name, spec.language, &spec.capabilities)
        == (&other.name, other.language, &other.capabilities)
}

/// Ports whose packets a card may take, and why it may not have those of others.
pub fn candidates(
    bridge: &Bridge,
    wanted: &OffloadWanted,
) -> (Vec<CardPort>, BTreeMap<PortName, String>) {
    let mut ports = Vec::new();
    let mut without = BTreeMap::new();
    for port in &bridge.ports {
        match candidate(port, wanted) {
            Ok(candidate) => ports.push(candidate),
            Err(why) => drop(without.insert(port.name.clone(), why)),
        }
    }
    (ports, without)
}

fn candidate(port: &Port, wanted: &OffloadWanted) -> Result<CardPort, String> {
    let (ifindex, up) = match port.attachment {
        Attachment::Netdev { ifindex, up, .. } => (ifindex, up),
        Attachment::Patch { .. } => return Err("a patch port has no device".to_owned()),
        Attachment::Absent => return Err("it has no device yet".to_owned()),
    };
    let mode = match wanted.ports.get(&port.name) {
        Some(Ok(OffloadMode::Off)) | None => {
            return Err("other_config:aorta-offload is off".to_owned());
        }
        Some(Ok(mode)) => *mode,
        Some(Err(why)) => return Err(why.clone()),
    };
    if !up {
        return Err("its device is down".to_owned());
    }
    if port.guard.allowed.is_some() || !port.guard.policing.is_none() {
        return Err("what comes in is guarded in software (policing, aorta-allowed)".to_owned());
    }
    let taken = port.restrictions;
    if taken.no_receive || taken.no_receive_stp || taken.no_forward {
        return Err("a controller restricts what it takes or sends".to_owned());
    }
    Ok(CardPort {
        name: port.name.clone(),
        ofport: port.ofport,
        ifindex,
        mode,
    })
}
