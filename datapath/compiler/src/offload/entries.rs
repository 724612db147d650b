//! What is in the hash maps of tables.

use std::collections::BTreeMap;

use aorta_ebpf::MapId;

use crate::pipeline::card::{HashTuple, ORDER};
use crate::pipeline::record::{self, MatchWord, Rule};

/// Entries of a map, by key.
pub type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// The place of a rule in a map.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Entry {
    /// The map.
    pub map: MapId,
    /// The key.
    pub key: Vec<u8>,
}

/// The bits that a rule asks for.
pub fn mask_of(words: &[MatchWord]) -> Vec<(i16, u32)> {
    words.iter().map(|word| (word.at, word.mask)).collect()
}

/// The key of a rule that asks for the bits of a tuple.
pub fn key_bytes(tuple: &HashTuple, words: &[MatchWord]) -> Vec<u8> {
    let bytes = words.iter().flat_map(|word| word.value.to_ne_bytes());
    let mut key: Vec<u8> = bytes.collect();
    key.resize(tuple.key_bytes(), 0);
    key
}

/// The value of a rule: a record, with which of several rules wins in the place of its versions.
pub fn value_bytes(rule: &Rule, order: u32, len: usize) -> Vec<u8> {
    let mut value = vec![0; len];
    let mut put = |at: i16, word: u32| {
        if let Some(place) = value.get_mut(at as usize..at as usize + 4) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
    };
    put(record::RULE, rule.id.0);
    put(record::SHAPE, rule.shape);
    put(ORDER, order);
    for (number, param) in (0..).zip(&rule.params) {
        put(record::PARAMS + 4 * number, *param);
    }
    value
}

/// Bytes of the value of a rule with so many constants.
pub fn value_len(params: usize) -> usize {
    record::PARAMS as usize + 4 * params.next_multiple_of(2)
}
