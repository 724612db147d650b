//! What programs don't find any more, but may still be using.

use std::collections::VecDeque;

use aorta_compiler::pipeline::Retired;

use crate::error::DatapathError;
use crate::grace::{Grace, Moment};

/// Something that is out of sight.
#[derive(Debug)]
pub enum Resting {
    /// Places in memories of this instance of a bridge.
    Records {
        /// The bridge.
        bridge_slot: u32,
        /// Which of its instances.
        instance: u64,
        /// The places.
        retired: Retired,
    },
    /// Numbers of rules.
    Rules(Vec<u32>),
    /// The program of a bridge that has no flows of its own any more.
    Root {
        /// The bridge.
        bridge_slot: u32,
    },
    /// The map in which rules were counted before.
    OldStats,
}

/// What rests until no program uses it.
#[derive(Debug)]
pub struct RestingPlace {
    grace: Grace,
    things: VecDeque<(Moment, Resting)>,
}

impl RestingPlace {
    /// Without anything.
    pub fn new() -> Result<RestingPlace, DatapathError> {
        Ok(RestingPlace {
            grace: Grace::new()?,
            things: VecDeque::new(),
        })
    }

    /// These went out of sight just now.
    pub fn put(&mut self, things: impl IntoIterator<Item = Resting>) {
        let mut things = things.into_iter().peekable();
        if things.peek().is_some() {
            let moment = self.grace.now();
            self.things.extend(things.map(|thing| (moment, thing)));
        }
    }

    /// One that no program uses any more.
    pub fn take(&mut self) -> Option<Resting> {
        let (moment, _) = self.things.front()?;
        if !self.grace.passed(*moment) {
            return None;
        }
        self.things.pop_front().map(|(_, thing)| thing)
    }

    /// Tells when programs have ended.
    pub fn grace(&self) -> &Grace {
        &self.grace
    }
}

/// Places in memories of an instance of a bridge, if there are some.
pub fn records(bridge_slot: u32, instance: u64, retired: Retired) -> Option<Resting> {
    (!retired.records.is_empty()).then_some(Resting::Records {
        bridge_slot,
        instance,
        retired,
    })
}

/// Numbers of rules, if there are some.
pub fn numbers(released: Vec<u32>) -> Option<Resting> {
    (!released.is_empty()).then_some(Resting::Rules(released))
}
