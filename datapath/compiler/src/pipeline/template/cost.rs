//! What lookups cost, in nanoseconds.

use super::image::Search;
use super::{TableImage, Template};

/// A lookup's cost, estimated.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Cost {
    /// Nanoseconds of a lookup on average, packets spread over all rules.
    pub expected_ns: f64,
    /// What a chain of comparisons in code would cost instead.
    pub code_ns: f64,
}

impl Cost {
    /// Whether comparisons in code are quicker than this table in memory.
    pub fn code_is_better(&self) -> bool {
        self.code_ns < self.expected_ns
    }
}

/// Nanoseconds of a hash, its bucket's address and the test of its bits.
const HASH_NS: f64 = 3.0;
/// Nanoseconds of one more part of a hash or comparison.
const PART_NS: f64 = 1.2;
/// Nanoseconds of a comparison in code: a rule that doesn't match costs one load and one jump.
const CODE_RULE_NS: f64 = 0.4;

/// Nanoseconds of a load from somewhere in `bytes` bytes that are all in use.
pub(super) fn load_ns(bytes: u32) -> f64 {
    // Sizes and times between which is interpolated: first cache, second, third, translations.
    const STEPS: [(f64, f64); 5] = [
        (15.0, 1.5),
        (20.0, 4.0),
        (22.0, 12.0),
        (26.0, 35.0),
        (29.0, 75.0),
    ];
    let log = f64::from(bytes.max(1)).log2();
    let above = STEPS.windows(2).find(|pair| log < pair[1].0);
    match above {
        _ if log <= STEPS[0].0 => STEPS[0].1,
        Some(pair) => {
            let ((from, low), (to, high)) = (pair[0], pair[1]);
            low + (high - low) * (log - from) / (to - from)
        }
        None => STEPS[4].1,
    }
}

impl TableImage {
    /// What a lookup costs as the table is now.
    pub fn cost(&self) -> Cost {
        let rules = self.slab.used();
        let record_ns = load_ns(rules * self.layout.stride) + PART_NS;
        let bucket_ns = load_ns(self.buckets.count() * 8);
        let mut total = 0.0;
        for (index, search) in self.searches.iter().enumerate() {
            let share: u32 = self.ranks[index].values().map(|(count, _)| *count).sum();
            if share == 0 {
                continue;
            }
            let found = f64::from(share) / f64::from(rules.max(1));
            total += match search {
                Search::Tuple(tuple) => {
                    let parts = tuple.parts.len() as f64;
                    let compared = found * (record_ns + PART_NS * tuple.items.len() as f64);
                    HASH_NS + PART_NS * parts + bucket_ns + compared
                }
                Search::Lpm(lpm) => 2.5 * load_ns(lpm.bytes()) + found * record_ns,
            };
        }
        Cost {
            expected_ns: total,
            code_ns: 1.0 + CODE_RULE_NS * f64::from(rules) / 2.0,
        }
    }

    /// How it is searched, mainly.
    pub fn template(&self) -> Template {
        let tuples = self.searches.iter().enumerate().filter(|(index, search)| {
            matches!(search, Search::Tuple(tuple) if !tuple.parts.is_empty())
                && !self.ranks[*index].is_empty()
        });
        let lpm = self
            .searches
            .iter()
            .any(|search| matches!(search, Search::Lpm(_)));
        match tuples.count() {
            _ if lpm => Template::Lpm,
            0 | 1 if self.is_one_mask() => Template::Hash,
            _ => Template::Tuple,
        }
    }

    fn is_one_mask(&self) -> bool {
        self.searches.iter().all(|search| match search {
            Search::Tuple(tuple) => {
                tuple.parts.is_empty() || tuple.items.iter().all(|item| item.mask_at.is_none())
            }
            Search::Lpm(_) => false,
        })
    }
}
