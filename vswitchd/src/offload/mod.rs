//! Network cards that take over flows, in front of a datapath that does all of them.
//!
//! What decides is [`aorta_placement`]; here it is done, in such an order that each packet obeys the
//! old tables or the new ones, whatever cards refuse. While nothing is to be offloaded, all of it is
//! one question at each change of flows.

mod bridge;
mod datapath;
#[cfg(test)]
pub mod fake;
mod ledger;
mod places;
mod placing;
mod rates;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use aorta_flow::table::{Miss, Tables};
use aorta_flow::{BridgeName, Snapshot};
use tracing::{info, warn};

use crate::clock;
use crate::config::OffloadWanted;
use crate::ofproto::Moment;
use crate::reconcile::{Cards, Datapath};

use bridge::{BridgeCards, candidates};
pub use places::{CardPlaces, NicPlace, Places};
use placing::Since;

/// Least time between two looks at what cards have counted.
const LOOK_MS: u64 = 1000;
/// How much longer than a look it is until the next one, so that they take a small part of the time.
const LOOK_PAUSES: u64 = 100;
/// Looks until the busiest flows are chosen anew.
const CHOOSE_EVERY: u32 = 10;

/// A datapath, with cards in front of it.
pub struct Offloading<D, C: Cards> {
    software: D,
    /// Whether cards are asked at all.
    on: bool,
    /// Whether what an earlier daemon may have left was looked for.
    swept: bool,
    state: Mutex<State<C>>,
}

struct State<C: Cards> {
    cards: C,
    bridges: BTreeMap<BridgeName, BridgeCards<C>>,
    next_look: Option<Moment>,
    looks: u32,
}

impl<D: Datapath, C: Cards> Offloading<D, C> {
    /// A datapath in front of which nothing is yet.
    pub fn new(software: D, cards: C) -> Offloading<D, C> {
        Offloading {
            software,
            on: false,
            swept: false,
            state: Mutex::new(State {
                cards,
                bridges: BTreeMap::new(),
                next_look: None,
                looks: 0,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State<C>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&mut self) -> &mut State<C> {
        self.state.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    fn configure(&mut self, wanted: &OffloadWanted, snapshot: &Snapshot) {
        if self.on && !wanted.on {
            info!("hw-offload is off: all flows are in software");
        }
        self.on = wanted.on;
        if self.on || !self.swept {
            let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
            state.configure(wanted, snapshot, self.swept);
            self.swept = true;
        } else {
            let now = clock::now();
            let state = self.state_mut();
            for mut cards in std::mem::take(&mut state.bridges).into_values() {
                cards.retire(now);
            }
            state.next_look = None;
        }
    }
}

impl<C: Cards> State<C> {
    fn configure(&mut self, wanted: &OffloadWanted, snapshot: &Snapshot, swept: bool) {
        let now = clock::now();
        let names: BTreeSet<&BridgeName> = snapshot.bridges.iter().map(|b| &b.name).collect();
        for (name, cards) in &mut self.bridges {
            if !names.contains(name) {
                cards.retire(now);
            }
        }
        self.bridges.retain(|name, _| names.contains(name));
        let mut used = Vec::new();
        for bridge in snapshot.bridges.iter().filter(|_| wanted.on) {
            let (ports, without) = candidates(bridge, wanted);
            let looked = self.cards.look(&bridge.name, &ports);
            let specs = looked.cards.iter();
            used.extend(specs.flat_map(|spec| spec.ports.values().map(|(_, ifindex)| *ifindex)));
            let asked = wanted
                .bridges
                .get(&bridge.name)
                .cloned()
                .unwrap_or_default();
            let cards = self.bridges.entry(bridge.name.clone()).or_default();
            cards.without = without;
            cards.look(&bridge.name, looked, &asked, now);
        }
        if !swept {
            for left in self.cards.sweep(&used) {
                warn!("{left}");
            }
        }
        self.plan_look(now, 0);
    }

    /// Plans when to look at cards next, after a look that took so long.
    fn plan_look(&mut self, now: Moment, took_ms: u64) {
        let again = |cards: &BridgeCards<C>| {
            let troubles = cards.cards.iter().filter_map(|card| card.trouble.as_ref());
            troubles.map(|trouble| trouble.again).min()
        };
        let retry = self.bridges.values().filter_map(again).min();
        let counts = self.bridges.values().any(BridgeCards::counts);
        let pause = LOOK_MS.max(took_ms.saturating_mul(LOOK_PAUSES));
        let look = counts.then(|| match (took_ms, self.next_look) {
            (0, Some(planned)) if planned > now => planned,
            _ => Moment(now.0.saturating_add(pause)),
        });
        self.next_look = look.into_iter().chain(retry).min();
    }

    /// Looks at cards: what they have counted and whether they are still as they were left.
    fn look(&mut self, software: &impl Datapath) {
        let began = clock::now();
        self.looks = self.looks.wrapping_add(1);
        for (name, cards) in &mut self.bridges {
            let mut counters = match cards.is_full() {
                true => software.flow_counters(name).unwrap_or_default(),
                false => Default::default(),
            };
            cards.count(&mut counters, began);
            if cards.is_full() {
                cards.measure(&counters, began);
                if self.looks.is_multiple_of(CHOOSE_EVERY) {
                    cards.choose();
                }
            }
            cards.dirty |= cards.cards.iter().any(|card| card.is_due(began));
        }
        let now = clock::now();
        self.plan_look(now, now.since_ms(began).max(1));
    }

    fn prepare(&mut self, name: &BridgeName, tables: &Tables, since: Since<'_>) {
        let State { cards, bridges, .. } = self;
        if let Some(bridge) = bridges.get_mut(name) {
            bridge.prepare(cards, name, (tables, since), clock::now());
        }
    }

    fn finish(&mut self, name: &BridgeName, tables: &Tables, since: Since<'_>) {
        let now = clock::now();
        if let Some(bridge) = self.bridges.get_mut(name) {
            bridge.finish(tables, since, now);
        }
        self.plan_look(now, 0);
    }

    fn undo(&mut self, name: &BridgeName) {
        if let Some(bridge) = self.bridges.get_mut(name) {
            bridge.undo(clock::now());
        }
    }
}

/// Tables that do something else than drop with packets that match no flow.
fn misses_not_dropped(tables: &Tables) -> BTreeSet<u8> {
    let misses = tables.misses();
    match misses.are_dropped() {
        true => BTreeSet::new(),
        false => (0..=u8::MAX)
            .filter(|table| misses.of(*table) != Miss::Drop)
            .collect(),
    }
}
