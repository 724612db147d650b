//! How busy flows are. Pure.

use std::collections::{BTreeMap, HashMap};

use aorta_flow::table::FlowId;

use crate::ofproto::Moment;
use crate::reconcile::FlowCounters;

/// How much of a new measurement counts, one in so many: a short burst is no reason to move a flow.
const SMOOTHING: u64 = 4;

/// Packets a second of flows, smoothed.
#[derive(Debug, Default)]
pub struct Rates {
    /// When counters were last read.
    at: Option<Moment>,
    packets: HashMap<FlowId, u64>,
    /// Thousandths of packets a second.
    rates: HashMap<FlowId, u64>,
}

impl Rates {
    /// Takes all counters of a bridge.
    pub fn look(&mut self, now: Moment, counters: &HashMap<FlowId, FlowCounters>) {
        let elapsed_ms = match self.at {
            Some(at) if now > at => now.since_ms(at),
            Some(_) => return,
            None => 0,
        };
        self.at = Some(now);
        let last = std::mem::take(&mut self.packets);
        let old = std::mem::take(&mut self.rates);
        for (flow, counted) in counters {
            self.packets.insert(*flow, counted.packets);
            let Some(before) = last.get(flow).filter(|_| elapsed_ms > 0) else {
                continue;
            };
            let more = counted.packets.saturating_sub(*before);
            let measured = more.saturating_mul(1_000_000) / elapsed_ms;
            let rate = match old.get(flow) {
                Some(old) => (old * (SMOOTHING - 1)).saturating_add(measured) / SMOOTHING,
                None => measured,
            };
            if rate > 0 {
                self.rates.insert(*flow, rate);
            }
        }
    }

    /// Packets a second, of flows that have any.
    pub fn pps(&self) -> BTreeMap<FlowId, u64> {
        let rates = self.rates.iter();
        rates
            .map(|(flow, rate)| (*flow, rate.div_ceil(1000)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(rates: &mut Rates, at_ms: u64, packets: u64) -> Option<u64> {
        let counted = FlowCounters {
            packets,
            ..FlowCounters::default()
        };
        rates.look(Moment(at_ms), &HashMap::from([(FlowId(1), counted)]));
        rates.pps().get(&FlowId(1)).copied()
    }

    #[test]
    fn rates_follow_slowly() {
        let mut rates = Rates::default();
        assert_eq!(look(&mut rates, 1000, 500), None, "nothing to compare with");
        assert_eq!(look(&mut rates, 2000, 1500), Some(1000));
        assert_eq!(
            look(&mut rates, 2000, 9000),
            Some(1000),
            "no time has gone by"
        );
        assert_eq!(look(&mut rates, 3000, 6500), Some(2000), "a fourth of 5000");
        assert_eq!(look(&mut rates, 5000, 6500), Some(1500));
        assert_eq!(
            look(&mut rates, 6000, 10),
            Some(1125),
            "counters began anew"
        );
    }
}
