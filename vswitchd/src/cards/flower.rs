//! Cards that are programmed by TC flower.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use aorta_flow::meter::MeterCount;
use aorta_flow::{IfIndex, OfPort};
use aorta_kernel::offload::flower::{
    self, FlowerCard, HwCounters, Listed, PoliceCounters, TcSocket,
};
use aorta_placement::{Rule, Step};

use crate::clock;
use crate::errors;
use crate::reconcile::{Adopted, Card, CardError, Counted, FlowCounters, Metered, Refusal};

/// Such a card.
pub struct Flower<S>(pub FlowerCard<S>);

impl<S> fmt::Debug for Flower<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flower").finish_non_exhaustive()
    }
}

impl<S: TcSocket + Send> Card for Flower<S> {
    fn adopt(&mut self, rules: &[Rule]) -> Result<Adopted, CardError> {
        let found = self.0.found().map_err(failed)?;
        let all = self.0.adopt(rules).map_err(failed)?;
        let mut ended = Vec::new();
        if !all {
            ended = self.0.left().map_err(failed)?;
            self.0.clear().map_err(failed)?;
        }
        let ended = ended.into_iter().map(|(flow, hw)| (flow, counters(hw)));
        Ok(Adopted {
            all,
            ended: ended.collect(),
            foreign: found.foreign.iter().map(foreign).collect(),
        })
    }

    fn set_ports(&mut self, ports: &BTreeMap<OfPort, IfIndex>) -> Result<bool, CardError> {
        self.0.set_ports(ports.clone()).map_err(failed)?;
        Ok(true)
    }

    fn apply(&mut self, steps: &[Step]) -> Result<Vec<Result<(), Refusal>>, CardError> {
        let results = self.0.apply(steps).map_err(failed)?;
        results.into_iter().map(refused).collect()
    }

    fn counters(&mut self) -> Result<Counted, CardError> {
        let counted = self.0.counters().map_err(failed)?;
        let told = counted.into_iter().map(|(key, hw)| (key, counters(hw)));
        Ok(told.collect())
    }

    fn ended(&mut self) -> Counted {
        let ended = self.0.ended().into_iter();
        ended.map(|(key, hw)| (key, counters(hw))).collect()
    }

    fn meters(&self) -> BTreeMap<u32, Metered> {
        let meters = self.0.meters().into_iter();
        meters
            .map(|(meter, counted)| (meter, metered(counted)))
            .collect()
    }

    fn clear(&mut self) -> Result<(), CardError> {
        self.0.clear().map_err(failed)
    }
}

/// What packets did to a rule.
pub(super) fn counters(counted: HwCounters) -> FlowCounters {
    let used = counted.used_ns_ago.map(Duration::from_nanos);
    FlowCounters {
        packets: counted.packets,
        bytes: counted.bytes,
        used: used.map(|ago| clock::now() - ago),
    }
}

fn metered(counted: PoliceCounters) -> Metered {
    Metered {
        input: MeterCount {
            packets: counted.packets,
            bytes: counted.bytes,
        },
        dropped: counted.dropped,
    }
}

fn failed(error: flower::CardError) -> CardError {
    CardError(errors::line(&error))
}

/// A refusal is nothing to the card but for one that is gone.
fn refused(result: Result<(), flower::Refusal>) -> Result<Result<(), Refusal>, CardError> {
    match result {
        Ok(()) => Ok(Ok(())),
        Err(refusal) if refusal.is_gone() => Err(CardError(refusal.text)),
        Err(refusal) => Ok(Err(Refusal {
            full: refusal.is_full(),
            text: refusal.text,
        })),
    }
}

fn foreign(listed: &Listed) -> String {
    let place = listed.place;
    format!(
        "device {} has a {} filter that isn't this switch's (chain {}, pref {})",
        place.device, listed.kind, place.chain, place.pref
    )
}
