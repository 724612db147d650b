//! Ports of cards that run eBPF programs.

use aorta_compiler::offload::CardLimits;
use aorta_flow::{IfIndex, OfPort};
use aorta_kernel::offload::ebpf::{CardMode, CardPort, EbpfCard};
use aorta_placement::{Rule, Step};

use super::flower::counters;
use crate::reconcile::{Adopted, Card, CardError, Counted, Refusal};

/// Such a port.
#[derive(Debug)]
pub struct Ebpf(EbpfCard);

impl Ebpf {
    /// Its number, its device, and what programs for it may be.
    pub fn new(port: OfPort, device: IfIndex, limits: CardLimits) -> Ebpf {
        Ebpf(EbpfCard::new(CardPort {
            ifindex: device.get(),
            mode: CardMode::Hardware,
            port,
            sends: [].into(),
            limits,
        }))
    }
}

impl Card for Ebpf {
    fn adopt(&mut self, _: &[Rule]) -> Result<Adopted, CardError> {
        let found = self.0.found().map_err(|refusal| CardError(refusal.text))?;
        let mut ended = Vec::new();
        if found.own.is_some() {
            ended = self.0.left().map_err(|refusal| CardError(refusal.text))?;
            self.clear()?;
        }
        let ended = ended.into_iter().map(|(flow, hw)| (flow, counters(hw)));
        Ok(Adopted {
            all: false,
            foreign: found.foreign,
            ended: ended.collect(),
        })
    }

    fn apply(&mut self, steps: &[Step]) -> Result<Vec<Result<(), Refusal>>, CardError> {
        let results = self.0.apply(steps).into_iter();
        results
            .map(|result| match result {
                Ok(()) => Ok(Ok(())),
                Err(refusal) if refusal.is_gone() => Err(CardError(refusal.text)),
                Err(refusal) => Ok(Err(Refusal {
                    full: refusal.is_full(),
                    text: refusal.text,
                })),
            })
            .collect()
    }

    fn counters(&mut self) -> Result<Counted, CardError> {
        let counted = self.0.counters();
        let counted = counted.map_err(|refusal| CardError(refusal.text))?;
        let told = counted.into_iter().map(|(key, hw)| (key, counters(hw)));
        Ok(told.collect())
    }

    fn ended(&mut self) -> Counted {
        let ended = self.0.ended().into_iter();
        ended.map(|(key, hw)| (key, counters(hw))).collect()
    }

    fn clear(&mut self) -> Result<(), CardError> {
        self.0.clear().map_err(|refusal| CardError(refusal.text))
    }
}
