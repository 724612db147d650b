//! What a card has counted of meters. Pure.

use std::collections::BTreeMap;

use aorta_flow::MeterId;
use aorta_flow::meter::{MeterCount, MeterState};
use aorta_flow::table::Change;

use crate::reconcile::Metered;

/// What a card has counted of meters, by their numbers.
#[derive(Debug, Default)]
pub struct MeterLedger {
    /// What it had counted each time that it was in use before.
    before: BTreeMap<u32, Metered>,
    /// What it has counted since it is in use, when it was last asked.
    now: BTreeMap<u32, Metered>,
    /// How much of that belongs to meters that are no more.
    others: BTreeMap<u32, Metered>,
}

impl MeterLedger {
    /// Takes what the card has counted since it is in use.
    pub fn look(&mut self, now: BTreeMap<u32, Metered>) {
        self.now = now;
    }

    /// It isn't in use any more.
    pub fn end_all(&mut self) {
        let counted: Vec<(u32, Metered)> =
            self.now.keys().map(|id| (*id, self.since(*id))).collect();
        for (id, counted) in counted {
            add(self.before.entry(id).or_default(), counted);
        }
        self.now.clear();
        self.others.clear();
    }

    /// Takes over what another card has counted that isn't in use any more.
    pub fn absorb(&mut self, other: MeterLedger) {
        for (id, counted) in other.before {
            add(self.before.entry(id).or_default(), counted);
        }
    }

    /// What it has counted of a meter since it is in use.
    fn since(&self, id: u32) -> Metered {
        let now = self.now.get(&id).copied().unwrap_or_default();
        let others = self.others.get(&id).copied().unwrap_or_default();
        Metered {
            input: MeterCount {
                packets: now.input.packets.saturating_sub(others.input.packets),
                bytes: now.input.bytes.saturating_sub(others.input.bytes),
            },
            dropped: now.dropped.saturating_sub(others.dropped),
        }
    }

    /// A meter that comes or goes has counted nothing.
    pub fn follow(&mut self, changes: &[Change]) {
        for change in changes {
            if let Change::Meter { id, old, new } = change
                && let MeterId::Number(id) = id
                && (old.is_none() || new.is_none())
            {
                self.before.remove(id);
                let now = self.now.get(id).copied().unwrap_or_default();
                self.others.insert(*id, now);
            }
        }
    }

    /// Adds it to what software has counted. What is over the rate of a card's meter is over that of its
    /// only band; how long such packets were isn't told.
    pub fn add_to(&self, states: &mut BTreeMap<MeterId, MeterState>) {
        let ids = self.before.keys().chain(self.now.keys());
        let mut ids: Vec<u32> = ids.copied().collect();
        ids.sort_unstable();
        ids.dedup();
        for id in ids {
            let mut sum = self.since(id);
            add(&mut sum, self.before.get(&id).copied().unwrap_or_default());
            if sum == Metered::default() {
                continue;
            }
            let state = states.entry(MeterId::Number(id)).or_default();
            state.input.packets += sum.input.packets;
            state.input.bytes += sum.input.bytes;
            if state.bands.is_empty() {
                state.bands.push(MeterCount::default());
            }
            state.bands[0].packets += sum.dropped;
        }
    }
}

fn add(to: &mut Metered, counted: Metered) {
    to.input.packets += counted.input.packets;
    to.input.bytes += counted.input.bytes;
    to.dropped += counted.dropped;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use aorta_flow::text::parse_meter;

    use super::*;

    fn counted(packets: u64, dropped: u64) -> BTreeMap<u32, Metered> {
        let bytes = 100 * packets;
        let input = MeterCount { packets, bytes };
        BTreeMap::from([(7, Metered { input, dropped })])
    }

    /// Packets in and dropped, together with five and two of software's.
    fn told(ledger: &MeterLedger) -> (u64, u64) {
        let software = MeterState {
            input: MeterCount {
                packets: 5,
                bytes: 500,
            },
            bands: vec![MeterCount {
                packets: 2,
                bytes: 200,
            }],
            tat_ns: vec![0],
        };
        let mut states = BTreeMap::from([(MeterId::Number(7), software)]);
        ledger.add_to(&mut states);
        let state = &states[&MeterId::Number(7)];
        assert_eq!(state.input.bytes, 100 * state.input.packets);
        (state.input.packets, state.bands[0].packets)
    }

    #[test]
    fn what_was_counted_stays_when_the_card_goes_and_goes_with_the_meter() {
        let mut ledger = MeterLedger::default();
        assert_eq!(told(&ledger), (5, 2));
        ledger.look(counted(10, 3));
        assert_eq!(told(&ledger), (15, 5));
        ledger.end_all();
        assert_eq!(told(&ledger), (15, 5));
        ledger.look(counted(4, 1));
        assert_eq!(told(&ledger), (19, 6));
        let meter = parse_meter("meter=7,kbps,band=type=drop,rate=9");
        let meter = Arc::new(meter.unwrap());
        let change = |old: bool, new: bool| Change::Meter {
            id: MeterId::Number(7),
            old: old.then(|| Arc::clone(&meter)),
            new: new.then(|| Arc::clone(&meter)),
        };
        ledger.follow(&[change(true, true)]);
        assert_eq!(told(&ledger), (19, 6));
        ledger.follow(&[change(true, false)]);
        assert_eq!(told(&ledger), (5, 2));
        // The card goes on counting from where it was.
        ledger.look(counted(6, 1));
        assert_eq!(told(&ledger), (7, 2));
        ledger.end_all();
        assert_eq!(told(&ledger), (7, 2));
    }
}
