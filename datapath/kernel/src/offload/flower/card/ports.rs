//! Ports of a card that come and go while others stay.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use aorta_flow::{IfIndex, OfPort};

use super::super::lower::GUARD_PREF;
use super::super::{Filter, Keys, Place, Refusal, Request, TcSocket};
use super::{CardError, FlowerCard, device_of, without_absence};

impl<S: TcSocket> FlowerCard<S> {
    /// Goes on with these ports: rules stay on those that it has already, and what they need on others is
    /// put there. Packets of a port that comes go to software until all of it is there, those of a port
    /// that goes from now on. Rules that name a port that has gone are to be removed afterwards.
    ///
    /// # Errors
    /// When what the card has isn't what it should have.
    pub fn set_ports(&mut self, ports: BTreeMap<OfPort, IfIndex>) -> Result<(), CardError> {
        let old = std::mem::replace(&mut self.lowering.ports, ports.clone());
        if self.guards.is_none() {
            return Ok(());
        }
        let apart = |of: &BTreeMap<OfPort, IfIndex>, other: &BTreeMap<OfPort, IfIndex>| {
            let ports = of
                .iter()
                .filter(|(port, device)| other.get(*port) != Some(*device));
            ports
                .map(|(port, device)| (*port, *device))
                .collect::<Vec<_>>()
        };
        let gone = apart(&old, &ports).into_iter().map(|(_, device)| device);
        self.leave(&gone.collect())?;
        let (ports, devices): (BTreeSet<OfPort>, BTreeSet<IfIndex>) =
            apart(&ports, &old).into_iter().unzip();
        self.come(&ports, &devices)
    }

    fn leave(&mut self, devices: &BTreeSet<IfIndex>) -> Result<(), CardError> {
        let there = self.account.filters_at(devices);
        let counting = there.iter().filter(|(.., counts)| *counts);
        let counting: Vec<_> = counting.map(|(key, place, _)| (*key, *place)).collect();
        let places: Vec<Place> = counting.iter().map(|(_, place)| *place).collect();
        let counters = match places.is_empty() {
            true => Vec::new(),
            false => self.socket.read(&places)?,
        };
        let guards = self.guards.iter().flat_map(|guards| &guards.filters);
        let guards = guards.map(|guard| guard.place);
        let mut all: Vec<Place> = there.iter().map(|(_, place, _)| *place).collect();
        all.extend(guards.filter(|place| devices.contains(&place.device)));
        self.remove(all)?;
        for ((key, _), counters) in counting.into_iter().zip(counters) {
            if let Some(counters) = counters {
                self.account.carry(key, counters);
            }
        }
        self.account.leave_devices(devices);
        if let Some(guards) = &mut self.guards {
            guards
                .filters
                .retain(|guard| !devices.contains(&guard.place.device));
        }
        let made = self.made.intersection(devices).copied().collect();
        self.unmake(made)
    }

    fn come(
        &mut self,
        ports: &BTreeSet<OfPort>,
        devices: &BTreeSet<IfIndex>,
    ) -> Result<(), CardError> {
        self.add_disciplines(devices)?;
        let whole: Vec<Filter> = devices
            .iter()
            .map(|device| self.guard_all(*device))
            .collect();
        self.put_all(&whole)?;
        let missing = self.put_guards(devices)?;
        let known = self.guards.as_ref().map(|guards| guards.missing);
        let missing = known.unwrap_or_default().with(missing);
        let filters = self.account.for_ports(ports, &self.lowering, missing);
        let filters = filters.map_err(|refusal| self.unfit(devices, refusal))?;
        if let Some(guards) = &mut self.guards {
            guards.missing = missing;
        }
        let all: Vec<Filter> = filters.iter().map(|(_, filter)| filter.clone()).collect();
        self.put_all(&all)?;
        self.remove(whole.iter().map(|guard| guard.place).collect())?;
        self.account.join_filters(filters);
        Ok(())
    }

    /// Leaves all packets of a port to software.
    fn guard_all(&mut self, device: IfIndex) -> Filter {
        let place = Place {
            device,
            chain: 0,
            pref: GUARD_PREF,
            handle: 0,
        };
        let actions = vec![self.lowering.trap()];
        let running = self.lowering.running;
        self.account.guard(place, Keys::any(), actions, running)
    }

    /// Puts filters, all of them.
    fn put_all(&mut self, filters: &[Filter]) -> Result<(), CardError> {
        let requests: Vec<Request> = filters.iter().cloned().map(Request::Put).collect();
        let answers = self.socket.ask(&requests)?;
        for (request, answer) in requests.iter().zip(answers) {
            let device = device_of(request);
            answer.map_err(|refusal| CardError::Device { device, refusal })?;
        }
        Ok(())
    }

    fn unfit(&self, devices: &BTreeSet<IfIndex>, refusal: Refusal) -> CardError {
        let device = devices.first().copied();
        let device = device.unwrap_or(IfIndex(NonZeroU32::MIN));
        CardError::Device { device, refusal }
    }

    /// Removes filters: those of the first table from the last to the first, so that no packet meets one
    /// that another was to keep it from; then those that nothing leads to any more. A device that has gone
    /// has none.
    pub(super) fn remove(&mut self, mut places: Vec<Place>) -> Result<(), CardError> {
        places.sort_by_key(|place| {
            let order = u16::MAX - place.pref;
            (place.chain, order, place.device, place.handle)
        });
        let requests: Vec<Request> = places.into_iter().map(Request::Delete).collect();
        let answers = self.socket.ask(&requests)?;
        let answers = requests.iter().zip(answers);
        let failed: Vec<(IfIndex, Refusal)> = answers
            .filter_map(|(request, answer)| {
                let refusal = without_absence(request, answer).err()?;
                Some((device_of(request), refusal))
            })
            .collect();
        match failed.first().cloned() {
            None => Ok(()),
            Some((device, refusal)) => Err(CardError::Left {
                device,
                left: failed.len(),
                refusal,
            }),
        }
    }
}
