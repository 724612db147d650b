//! What packets did to a card's rules.

use std::collections::BTreeMap;

use aorta_flow::table::FlowId;
use aorta_placement::RuleKey;

use super::super::account::HwCounters;
use super::super::cookie::flow_of;
use super::super::{PoliceCounters, TcSocket};
use super::{CardError, FlowerCard};

impl<S: TcSocket> FlowerCard<S> {
    /// What packets did to the card's rules that are there, since each is as it is:
    /// [`FlowerCard::ended`] has what they did before.
    ///
    /// # Errors
    /// [`CardError::Lost`] if not all filters are there.
    pub fn counters(&mut self) -> Result<Vec<(RuleKey, HwCounters)>, CardError> {
        let there = self.look()?;
        Ok(self.account.counters(&there))
    }

    /// What packets did to rules that have gone, or were replaced, since the last call.
    pub fn ended(&mut self) -> Vec<(RuleKey, HwCounters)> {
        self.account.ended()
    }

    /// What packets did to flows by rules that an earlier switch of the same mark has left.
    ///
    /// # Errors
    /// When that can't be read.
    pub fn left(&mut self) -> Result<Vec<(FlowId, HwCounters)>, CardError> {
        let mut flows: BTreeMap<FlowId, HwCounters> = BTreeMap::new();
        let own = self.found()?.own.into_iter().filter_map(|one| one.own);
        for own in own.filter(|own| own.decides) {
            if let Some(flow) = flow_of(own.cookie) {
                flows.entry(flow).or_default().add(own.counters);
            }
        }
        Ok(flows.into_iter().collect())
    }

    /// What meters have counted, by their numbers, when counters were last read.
    pub fn meters(&self) -> BTreeMap<u32, PoliceCounters> {
        self.account.meters()
    }
}
