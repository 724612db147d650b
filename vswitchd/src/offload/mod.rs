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
mod metered;
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
/// The same where something about devices has changed.
const HURRIED_PAUSES: u64 = 10;
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
    /// When the last look ended, and how long it took.
    last_look: Option<(Moment, u64)>,
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
                last_look: None,
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
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if self.on || !self.swept {
            state.configure(wanted, snapshot, self.swept);
            self.swept = true;
        } else {
            let now = clock::now();
            for cards in state.bridges.values_mut() {
                cards.retire(now);
            }
            state.next_look = None;
            state.cards.forget();
        }
        state.hand_over(&self.software);
        if !self.on {
            state.bridges.clear();
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
        self.hurry_look(now);
    }

    /// Has cards be looked at at once: something about devices has changed, and they may have lost
    /// something. But not so often that it takes much of the time.
    fn hurry_look(&mut self, now: Moment) {
        let (ended, took_ms) = self.last_look.unwrap_or((now, 0));
        let pause = took_ms.saturating_mul(HURRIED_PAUSES);
        let soon = Moment(ended.0.saturating_add(pause)).max(now);
        self.next_look = self.next_look.map(|planned| planned.min(soon));
    }

    /// Plans when to look at cards next, after a look that took so long.
    fn plan_look(&mut self, now: Moment, took_ms: u64) {
        let again = |cards: &BridgeCards<C>| {
            let troubles = cards.cards.iter().filter_map(|card| card.trouble.as_ref());
            troubles.map(|trouble| trouble.again).min()
        };
        let retry = self.bridges.values().filter_map(again).min();
        let counts = self.bridges.values().any(BridgeCards::counts);
        let pause = pause_ms(took_ms);
        let look = counts.then(|| match (took_ms, self.next_look) {
            (0, Some(planned)) => planned,
            _ => Moment(now.0.saturating_add(pause)),
        });
        self.next_look = look.into_iter().chain(retry).min();
    }

    /// Hands what rules had counted that have gone to software's record, which outlives the daemon.
    fn hand_over(&mut self, software: &impl Datapath) {
        for (name, cards) in &mut self.bridges {
            cards.hand_over(&|counted| software.add_flow_counters(name, counted));
        }
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
        self.hand_over(software);
        let now = clock::now();
        let took_ms = now.since_ms(began).max(1);
        self.last_look = Some((now, took_ms));
        self.plan_look(now, took_ms);
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

/// Time from the end of a look that took so long to the next one.
fn pause_ms(took_ms: u64) -> u64 {
    LOOK_MS.max(took_ms.saturating_mul(LOOK_PAUSES))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_take_a_hundredth_of_the_time_at_most() {
        for took_ms in [0, 1, 9, 10, 11, 300, 60_000] {
            let pause = pause_ms(took_ms);
            assert!(
                pause >= 1000 && took_ms * 100 <= pause,
                "{took_ms}: {pause}"
            );
        }
        assert_eq!(pause_ms(u64::MAX), u64::MAX);
    }
}
