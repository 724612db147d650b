//! A card that is programmed by flower.

mod adopt;
mod counting;
mod look;
mod ports;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;

use aorta_flow::IfIndex;
use aorta_placement::{Rule, Step};
use rustix::io::Errno;

use self::look::Seen;
use super::account::{Account, Plan, devices};
use super::cookie::{CardMark, bears};
use super::lower::{GUARD_PREF, Lowering, Needs, UNGUARDED};
use super::{Filter, FilterCounters, Listed, Place, Refusal, Request, Side, TcSocket};

/// A card can't be used, or isn't as the switch left it. [`FlowerCard::clear`] makes an end of it.
#[derive(Debug, thiserror::Error)]
pub enum CardError {
    /// The exchange with the kernel broke.
    #[error("cannot exchange messages about filters with the kernel")]
    Exchange(#[from] io::Error),
    /// A device isn't fit for filters.
    #[error("device {device} takes no filters: {refusal}")]
    Device {
        /// Which.
        device: IfIndex,
        /// What the kernel said.
        refusal: Refusal,
    },
    /// What was begun of a step could neither be ended nor taken back.
    #[error("device {device} neither takes a rule nor gives it back: {refusal}")]
    Stuck {
        /// Which.
        device: IfIndex,
        /// What the kernel said.
        refusal: Refusal,
    },
    /// Filters have gone, by a reset of the card or by somebody else.
    #[error("{missing} of {all} filters are not on the card any more")]
    Lost {
        /// How many.
        missing: usize,
        /// Of so many.
        all: usize,
    },
    /// Filters couldn't be removed.
    #[error("{left} filters could not be removed from device {device}: {refusal}")]
    Left {
        /// From which device.
        device: IfIndex,
        /// How many.
        left: usize,
        /// Why one of them couldn't.
        refusal: Refusal,
    },
}

/// What is on a card's ports.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Found {
    /// Filters that this switch, or an earlier one of the same mark, has put there.
    pub own: Vec<Listed>,
    /// What others have put there. It is left alone; what it does with packets before or behind the
    /// switch's filters isn't known.
    pub foreign: Vec<Listed>,
}

/// A card that is programmed by flower, by one switch.
pub struct FlowerCard<S> {
    socket: S,
    lowering: Lowering,
    mark: CardMark,
    account: Account,
    /// Devices that were given the discipline by this object.
    made: BTreeSet<IfIndex>,
    guards: Option<Guards>,
    /// What filters had counted when they were last looked at.
    seen: HashMap<Place, Seen>,
}

/// Filters in front of all rules.
#[derive(Default)]
struct Guards {
    filters: Vec<Filter>,
    /// What the card refused to guard.
    missing: Needs,
    /// What it said to the first of these.
    said: Option<String>,
}

impl<S: TcSocket> FlowerCard<S> {
    /// A card with these ports. Nothing is done yet.
    pub fn new(socket: S, lowering: Lowering, mark: CardMark) -> FlowerCard<S> {
        FlowerCard {
            socket,
            lowering,
            mark,
            account: Account::new(mark),
            made: BTreeSet::new(),
            guards: None,
            seen: HashMap::new(),
        }
    }

    /// The rules that the card has.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.account.rules()
    }

    /// Does steps in order, each whatever became of those before it; one result for each. A step that
    /// is refused leaves what was there. The first call removes what an earlier switch left and makes
    /// the ports fit for filters.
    ///
    /// # Errors
    /// When it isn't known any more what the card has.
    pub fn apply(&mut self, steps: &[Step]) -> Result<Vec<Result<(), Refusal>>, CardError> {
        let missing = self.prepare()?;
        let mut results = Vec::with_capacity(steps.len());
        let mut rest = steps;
        while !rest.is_empty() {
            // What is asked of a rule depends on what is there of it.
            let mut keys = BTreeSet::new();
            let count = rest.iter().take_while(|step| keys.insert(step.key()));
            let (now, later) = rest.split_at(count.count());
            results.extend(self.do_together(now, missing)?);
            rest = later;
        }
        Ok(results)
    }

    fn do_together(
        &mut self,
        steps: &[Step],
        missing: Needs,
    ) -> Result<Vec<Result<(), Refusal>>, CardError> {
        let ending = self.read_ending(steps)?;
        let mut requests = Vec::with_capacity(steps.len());
        let mut plans = Vec::with_capacity(steps.len());
        for step in steps {
            let plan = self.account.plan(step, &self.lowering, missing);
            let plan = plan.map_err(|refusal| self.with_its_words(refusal));
            plans.push(plan.map(|mut plan| {
                let first = requests.len();
                requests.append(&mut plan.requests);
                (plan, first..requests.len())
            }));
        }
        let answers = self.socket.ask(&requests)?;
        let mut results = Vec::with_capacity(steps.len());
        for plan in plans {
            results.push(match plan {
                Err(refusal) => Err(refusal),
                Ok((plan, own)) => {
                    let asked = requests[own.clone()].iter().zip(&answers[own]);
                    self.settle(plan, asked, &ending)?
                }
            });
        }
        self.account.settled();
        Ok(results)
    }

    /// With what the card said to guards, if it is about these.
    fn with_its_words(&self, mut refusal: Refusal) -> Refusal {
        let said = self.guards.as_ref().and_then(|guards| guards.said.as_ref());
        if let Some(said) = said.filter(|_| refusal.text.starts_with(UNGUARDED)) {
            refusal.text = format!("{}: {said}", refusal.text);
        }
        refusal
    }

    /// Notes what came of a plan; if not all of it was done, takes back what was.
    fn settle<'a>(
        &mut self,
        plan: Plan,
        asked: impl Iterator<Item = (&'a Request, &'a Result<(), Refusal>)>,
        ending: &BTreeMap<Place, FilterCounters>,
    ) -> Result<Result<(), Refusal>, CardError> {
        let mut refused = None;
        let mut undo = Vec::new();
        for ((request, answer), back) in asked.zip(&plan.undo) {
            match without_absence(request, answer.clone()) {
                Ok(()) => {
                    undo.push(back);
                    let counted = place_of(request).and_then(|place| ending.get(&place));
                    if let Some(counters) = counted {
                        self.account.carry(plan.key, *counters);
                    }
                }
                Err(refusal) => drop(refused.get_or_insert(refusal)),
            }
        }
        let Some(refusal) = refused else {
            self.account.done(plan);
            return Ok(Ok(()));
        };
        let undo: Vec<Request> = undo.into_iter().rev().cloned().collect();
        let answers = self.socket.ask(&undo)?;
        for (request, answer) in undo.iter().zip(answers) {
            without_absence(request, answer).map_err(|refusal| CardError::Stuck {
                device: device_of(request),
                refusal,
            })?;
        }
        self.account.undone(plan);
        Ok(Err(refusal))
    }

    /// What filters have counted that are about to go.
    fn read_ending(
        &mut self,
        steps: &[Step],
    ) -> Result<BTreeMap<Place, FilterCounters>, CardError> {
        let places = steps.iter().flat_map(|step| self.account.ending(step));
        let places: Vec<Place> = places.collect();
        if places.is_empty() {
            return Ok(BTreeMap::new());
        }
        let counters = self.socket.read(&places)?.into_iter();
        let known = places.into_iter().zip(counters);
        Ok(known
            .filter_map(|(place, counters)| Some((place, counters?)))
            .collect())
    }

    /// Makes the ports fit for rules, once. What can't be guarded.
    fn prepare(&mut self) -> Result<Needs, CardError> {
        if let Some(guards) = &self.guards {
            return Ok(guards.missing);
        }
        self.clear()?;
        let devices = devices(&self.lowering);
        self.add_disciplines(&devices)?;
        self.guards = Some(Guards::default());
        let missing = self.put_guards(&devices)?;
        if let Some(guards) = &mut self.guards {
            guards.missing = missing;
        }
        Ok(missing)
    }

    fn add_disciplines(&mut self, devices: &BTreeSet<IfIndex>) -> Result<(), CardError> {
        let add: Vec<Request> = devices.iter().copied().map(Request::AddClsact).collect();
        for (device, answer) in devices.iter().copied().zip(self.socket.ask(&add)?) {
            match answer {
                Ok(()) => drop(self.made.insert(device)),
                Err(refusal) if refusal.is(Errno::EXIST) => {}
                Err(refusal) => return Err(CardError::Device { device, refusal }),
            }
        }
        Ok(())
    }

    /// Puts the guards of devices. What can't be guarded there.
    fn put_guards(&mut self, devices: &BTreeSet<IfIndex>) -> Result<Needs, CardError> {
        let planned = self.plan_guards(devices);
        let requests: Vec<Request> = planned
            .iter()
            .map(|(f, _)| Request::Put(f.clone()))
            .collect();
        let answers = self.socket.ask(&requests)?;
        let guards = self.guards.get_or_insert_default();
        let mut missing = Needs::default();
        for ((filter, needs), answer) in planned.into_iter().zip(answers) {
            match answer {
                Ok(()) => guards.filters.push(filter),
                Err(refusal) => {
                    guards.said.get_or_insert(refusal.text);
                    missing = missing.with(needs);
                }
            }
        }
        Ok(missing)
    }

    fn plan_guards(&mut self, devices: &BTreeSet<IfIndex>) -> Vec<(Filter, Needs)> {
        let mut planned = Vec::new();
        for device in devices {
            for (keys, needs) in self.lowering.guards() {
                let place = Place {
                    device: *device,
                    chain: 0,
                    pref: GUARD_PREF,
                    handle: 0,
                };
                let actions = vec![self.lowering.trap()];
                let filter = self
                    .account
                    .guard(place, keys, actions, self.lowering.running);
                planned.push((filter, needs));
            }
        }
        planned
    }

    /// What is on the card's ports.
    ///
    /// # Errors
    /// When that can't be read.
    pub fn found(&mut self) -> Result<Found, CardError> {
        let mut found = Found::default();
        for device in devices(&self.lowering) {
            for listed in self.socket.list(device, Side::Ingress)? {
                let own = listed.own.is_some_and(|own| bears(own.cookie, self.mark));
                match own {
                    true => found.own.push(listed),
                    false => found.foreign.push(listed),
                }
            }
        }
        Ok(found)
    }

    /// Removes all filters of this switch and of an earlier one of the same mark: those of the first
    /// table from the last to the first, so that no packet meets one that another was to keep it from;
    /// then those that nothing leads to any more. A device that has gone has none.
    ///
    /// # Errors
    /// When some may still be there.
    pub fn clear(&mut self) -> Result<(), CardError> {
        let places = self.found()?.own.iter().map(|own| own.place).collect();
        self.remove(places)?;
        self.account.forget();
        self.guards = None;
        let made = self.made.clone();
        self.unmake(made)
    }

    /// Takes disciplines away that were made for the switch's filters and that nobody else uses.
    fn unmake(&mut self, devices: BTreeSet<IfIndex>) -> Result<(), CardError> {
        for device in devices {
            self.made.remove(&device);
            let mut used = false;
            for side in [Side::Ingress, Side::Egress] {
                used |= !self.socket.list(device, side)?.is_empty();
            }
            if !used {
                // One that has gone meanwhile needn't be removed.
                self.socket.ask(&[Request::DeleteClsact(device)])?;
            }
        }
        Ok(())
    }
}

/// What isn't there needn't be removed.
fn without_absence(request: &Request, answer: Result<(), Refusal>) -> Result<(), Refusal> {
    let deletes = matches!(request, Request::Delete(_));
    match answer {
        Err(refusal) if deletes && (refusal.is(Errno::NOENT) || refusal.is_gone()) => Ok(()),
        answer => answer,
    }
}

/// Where a request puts or removes a filter.
fn place_of(request: &Request) -> Option<Place> {
    match request {
        Request::Put(filter) => Some(filter.place),
        Request::Delete(place) => Some(*place),
        Request::AddClsact(_) | Request::DeleteClsact(_) => None,
    }
}

fn device_of(request: &Request) -> IfIndex {
    match request {
        Request::AddClsact(device) | Request::DeleteClsact(device) => *device,
        Request::Put(filter) => filter.place.device,
        Request::Delete(place) => place.device,
    }
}
