//! The memory in which rules are counted: a row for each processor, which its programs write, and one
//! that the daemon alone writes.

use std::path::Path;
use std::sync::atomic::Ordering;

use aorta_compiler::abi::MapKind;
use aorta_compiler::pipeline::maps::{flow_stats_spec, stats};

use super::stats::{Words, merge};
use crate::error::DatapathError;
use crate::map::{Map, processors};
use crate::sys::Mapping;

/// Words of a record.
const WORDS: usize = stats::BYTES / 8;

/// Counters of rules.
#[derive(Debug)]
pub struct RuleCounters {
    map: Map,
    mapping: Mapping,
    rules: u32,
    rows: usize,
}

impl RuleCounters {
    /// Makes counters of so many rules, all 0.
    pub fn create(rules: u32, name: &str) -> Result<RuleCounters, DatapathError> {
        let cpus = processors().map_err(|source| DatapathError::CreateMap {
            name: name.to_owned(),
            source,
        })?;
        RuleCounters::of(Map::create(&flow_stats_spec(cpus, rules), name)?, name)
    }

    /// Opens those that are pinned at `path`; `None` if nothing is, or nothing that this daemon
    /// understands.
    pub fn open(path: &Path, name: &str) -> Result<Option<RuleCounters>, DatapathError> {
        let map = Map::open(path, name, MapKind::Memory)?;
        let fits = |map: &Map| map.value_bytes() >= stats::BYTES && map.max_entries() > 1;
        map.filter(fits)
            .map(|map| RuleCounters::of(map, name))
            .transpose()
    }

    fn of(map: Map, name: &str) -> Result<RuleCounters, DatapathError> {
        let (bytes, rows) = (map.value_bytes(), map.max_entries() as usize);
        let mapping = Mapping::new(map.fd(), bytes * rows);
        let mapping = mapping.map_err(|source| DatapathError::Map {
            what: "map the memory of",
            name: name.to_owned(),
            source,
        })?;
        Ok(RuleCounters {
            rules: (bytes / stats::BYTES) as u32,
            rows,
            map,
            mapping,
        })
    }

    /// The map, for programs.
    pub fn map(&self) -> &Map {
        &self.map
    }

    /// How many rules there are.
    pub fn rules(&self) -> u32 {
        self.rules
    }

    fn at(&self, row: usize, rule: u32) -> usize {
        row * self.map.value_bytes() + rule as usize * stats::BYTES
    }

    fn row_words(&self, row: usize, rule: u32) -> Words {
        let at = self.at(row, rule);
        std::array::from_fn(|word| self.mapping.double(at + 8 * word).load(Ordering::Relaxed))
    }

    /// What a rule, of those that there are, has counted.
    pub fn words(&self, rule: u32) -> Words {
        let mut sum = [0; WORDS];
        for row in 0..self.rows {
            merge(&mut sum, self.row_words(row, rule));
        }
        sum
    }

    /// What the first `count` rules have counted, as far as there are so many.
    pub fn first(&self, count: u32) -> Vec<Words> {
        let count = count.min(self.rules);
        let mut sums = vec![[0; WORDS]; count as usize];
        for row in 0..self.rows {
            for (rule, sum) in (0..count).zip(&mut sums) {
                merge(sum, self.row_words(row, rule));
            }
        }
        sums
    }

    /// Sets what a rule has counted to 0, while no program counts it. The counters are near the
    /// processor's caches afterwards, for the rule's first packet.
    pub fn clear(&self, rule: u32) {
        for row in 0..self.rows {
            let at = self.at(row, rule);
            for word in (at..at + stats::BYTES).step_by(8) {
                let word = self.mapping.double(word);
                if word.load(Ordering::Relaxed) != 0 {
                    word.store(0, Ordering::Relaxed);
                }
            }
        }
    }

    /// Adds to what a rule has counted, whatever programs count meanwhile.
    pub fn add(&self, rule: u32, more: Words) {
        let (row, mut words) = (self.rows - 1, more);
        merge(&mut words, self.row_words(row, rule));
        let at = self.at(row, rule);
        for (index, word) in words.into_iter().enumerate() {
            let place = self.mapping.double(at + 8 * index);
            place.store(word, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_is_read_and_cleared() {
        let rows = RuleCounters::create(5, "rows_test").unwrap();
        assert_eq!((rows.rules(), rows.first(9)), (5, vec![[0; WORDS]; 5]));
        rows.add(4, [7, 700, 9]);
        rows.add(4, [u64::MAX, 1, 8]);
        rows.add(0, [1, 2, 3]);
        assert_eq!(rows.words(4), [6, 701, 9]);
        assert_eq!(rows.first(1), [[1, 2, 3]]);
        rows.clear(4);
        assert_eq!((rows.words(4), rows.words(3)), ([0; 3], [0; 3]));
        assert_eq!(rows.words(0), [1, 2, 3]);
    }
}
