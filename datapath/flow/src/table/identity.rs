//! Flows by priority and match.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::Arc;

use super::FlowId;
use crate::{Flow, Match};

/// Flows by priority and match, of which each flow of a table has its own.
#[derive(Clone, Default, Debug)]
pub(super) struct Identities {
    numbers: HashMap<Identity, FlowId, Mix>,
}

impl Identities {
    pub fn get(&self, priority: u16, matching: &Match) -> Option<FlowId> {
        let wanted: &dyn Identified = &(priority, matching);
        self.numbers.get(wanted).copied()
    }

    pub fn insert(&mut self, flow: &Arc<Flow>, id: FlowId) {
        self.numbers.insert(Identity(Arc::clone(flow)), id);
    }

    pub fn remove(&mut self, flow: &Flow) {
        let wanted: &dyn Identified = &(flow.priority, &flow.matching);
        self.numbers.remove(wanted);
    }
}

#[derive(Clone, Debug)]
struct Identity(Arc<Flow>);

/// What has a priority and a match: flows are looked up without making one.
trait Identified {
    fn identity(&self) -> (u16, &Match);
}

impl Identified for Identity {
    fn identity(&self) -> (u16, &Match) {
        (self.0.priority, &self.0.matching)
    }
}

impl Identified for (u16, &Match) {
    fn identity(&self) -> (u16, &Match) {
        *self
    }
}

impl<'a> Borrow<dyn Identified + 'a> for Identity {
    fn borrow(&self) -> &(dyn Identified + 'a) {
        self
    }
}

impl PartialEq for dyn Identified + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for dyn Identified + '_ {}

impl Hash for dyn Identified + '_ {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Identity) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for Identity {}

impl Hash for Identity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

/// A quick hash with a secret start: packets may have a say in flows, by `learn`.
#[derive(Clone, Debug)]
struct Mix {
    start: u64,
}

impl Default for Mix {
    fn default() -> Mix {
        let start = RandomState::new().hash_one(0);
        Mix { start }
    }
}

impl BuildHasher for Mix {
    type Hasher = Mix;

    fn build_hasher(&self) -> Mix {
        self.clone()
    }
}

impl Mix {
    fn take(&mut self, word: u64) {
        // The upper half of a product depends on all bits of both.
        let product = u128::from(self.start ^ word) * 0x9e37_79b9_7f4a_7c15;
        self.start = (product >> 64) as u64 ^ product as u64 ^ self.start.rotate_left(23);
    }
}

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        let mut last = self.clone();
        last.take(0x5ca1_ab1e);
        last.start
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.take(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.take(number.into());
    }

    fn write_u16(&mut self, number: u16) {
        self.take(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.take(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.take(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.take(number as u64);
    }
}
