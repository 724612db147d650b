//! What packets did to a card's rules.

use std::collections::BTreeMap;

use aorta_flow::table::FlowId;
use aorta_placement::RuleKey;

use super::super::account::{HwCounters, devices};
use super::super::cookie::flow_of;
use super::super::{Filter, FilterCounters, OwnListed, Place, PoliceCounters, Side, TcSocket};
use super::{CardError, FlowerCard};

impl<S: TcSocket> FlowerCard<S> {
    /// What packets did to the card's rules that are there, since each is as it is:
    /// [`FlowerCard::ended`] has what they did before.
    ///
    /// # Errors
    /// [`CardError::Lost`] if not all filters are there.
    pub fn counters(&mut self) -> Result<Vec<(RuleKey, HwCounters)>, CardError> {
        let mut there: BTreeMap<Place, OwnListed> = BTreeMap::new();
        for device in devices(&self.lowering) {
            let listed = self.socket.list(device, Side::Ingress)?;
            let own = listed
                .into_iter()
                .filter_map(|one| Some((one.place, one.own?)));
            there.extend(own);
        }
        let in_hardware = self.lowering.is_in_hardware();
        let is_there = |filter: &&Filter| {
            let listed = there.get(&filter.place);
            listed
                .is_some_and(|own| own.cookie == filter.cookie && (own.in_hardware || !in_hardware))
        };
        let guards = self.guards.iter().flat_map(|guards| &guards.filters);
        let expected: Vec<&Filter> = self.account.filters().chain(guards).collect();
        let all = expected.len();
        let missing = all - expected.into_iter().filter(is_there).count();
        if missing > 0 {
            return Err(CardError::Lost { missing, all });
        }
        let counters: BTreeMap<Place, FilterCounters> = there
            .into_iter()
            .map(|(place, own)| (place, own.counters))
            .collect();
        Ok(self.account.counters(&counters))
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
