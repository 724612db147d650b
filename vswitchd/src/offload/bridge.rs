//! The cards of one bridge.

use std::collections::{BTreeMap, HashMap};

use aorta_flow::table::{FlowId, Tables};
use aorta_flow::{Attachment, Bridge, BridgeName, Port, PortName};

use super::placing::{Placing, Since};
use super::rates::Rates;
use crate::config::{OffloadCookies, OffloadMode, OffloadWanted};
use crate::ofproto::Moment;
use crate::reconcile::{CardPort, CardSpec, Cards, FlowCounters, Looked};

/// The cards of one bridge.
pub struct BridgeCards<C: Cards> {
    /// Each card that is there.
    pub cards: Vec<Placing<C::Card>>,
    /// Why ports have no card that takes flows.
    pub without: BTreeMap<PortName, String>,
    /// Whether cards are to be compared with the tables although these haven't changed.
    pub dirty: bool,
    rates: Rates,
}

impl<C: Cards> Default for BridgeCards<C> {
    fn default() -> Self {
        BridgeCards {
            cards: Vec::new(),
            without: BTreeMap::new(),
            dirty: false,
            rates: Rates::default(),
        }
    }
}

impl<C: Cards> BridgeCards<C> {
    /// Has the cards that there are now, and no others.
    pub fn look(&mut self, name: &BridgeName, looked: Looked, asked: &OffloadCookies, now: Moment) {
        self.without.extend(looked.without);
        let same = |spec: &CardSpec, card: &Placing<C::Card>| {
            (&spec.name, spec.language, &spec.ports, &spec.capabilities)
                == (
                    &card.spec.name,
                    card.spec.language,
                    &card.spec.ports,
                    &card.spec.capabilities,
                )
        };
        let wanted = looked.cards;
        let stays = |card: &Placing<C::Card>| wanted.iter().any(|spec| same(spec, card));
        let (kept, gone): (Vec<_>, Vec<_>) = self.cards.drain(..).partition(stays);
        self.cards = kept;
        for mut card in gone {
            card.retire(now);
            self.dirty = true;
        }
        for spec in &wanted {
            if !self.cards.iter().any(|card| same(spec, card)) {
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
        for mut card in self.cards.drain(..) {
            card.retire(now);
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
