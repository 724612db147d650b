//! Conjunctions.
//!
//! A flow whose actions are `conjunction(id, k/n)` is one of n clauses. Where a packet matches all
//! clauses of a conjunction at one priority, and no plain rule of that priority or a higher one, the
//! table is searched again with `conj_id` set, for plain rules only; if there is none, lower
//! priorities follow. Of several conjunctions at one priority the lowest number counts.
//!
//! Each pair of a priority and a conjunction has a *slot* in the memory: u64 its order, u64 a bit for
//! each of its clauses. Lower orders come first: the inverted priority, then the number. A clause's
//! record has, in place of parameters, u32 how many entries follow, and for each a u32: slot,
//! shifted left by six, and which bit. A rule with many is several records.
//!
//! A lookup goes through *all* records of the clauses' tuples that match, and clears their bits in
//! accumulators that the CPU keeps, one for each slot of a window. Slots behind the window are noted,
//! and have their turn with another one. So its work grows with the clauses that a packet matches,
//! not with their number, nor with the product of a conjunction's clauses.

use std::collections::HashMap;

use super::super::memory::Memory;
use super::super::record::{Clause, Rule};

/// Bytes of a slot.
pub(super) const SLOT_BYTES: u32 = 16;
/// Entries that a record has at most.
pub(super) const MOST_ENTRIES: usize = 15;

/// The slots of a table.
#[derive(Clone, Debug, Default)]
pub(super) struct Slots {
    /// Offset of the first one.
    pub at: u32,
    pub capacity: u32,
    numbers: HashMap<u64, u32>,
}

/// Where a conjunction comes among all of its table.
fn order(rule: &Rule, clause: &Clause) -> u64 {
    (!rule.rank >> 48) << 32 | u64::from(clause.conjunction)
}

impl Slots {
    /// Slots for the clauses of some rules, and as many more.
    pub fn for_rules<'a>(rules: impl Iterator<Item = &'a Rule>) -> Slots {
        let mut orders: Vec<u64> = rules
            .flat_map(|rule| rule.clauses.iter().map(|clause| order(rule, clause)))
            .collect();
        orders.sort_unstable();
        orders.dedup();
        let capacity = if orders.is_empty() {
            0
        } else {
            2 * orders.len() as u32 + 64
        };
        Slots {
            at: 0,
            capacity,
            numbers: HashMap::new(),
        }
    }

    /// Bytes of all.
    pub fn bytes(&self) -> u32 {
        self.capacity * SLOT_BYTES
    }

    /// Whether each clause of a rule has a slot or gets one.
    pub fn has_room(&self, rule: &Rule) -> bool {
        let missing = rule
            .clauses
            .iter()
            .filter(|c| !self.numbers.contains_key(&order(rule, c)));
        self.numbers.len() + missing.count() <= self.capacity as usize
    }

    /// What records have in place of parameters for these clauses of a rule.
    pub fn entries(
        &mut self,
        rule: &Rule,
        clauses: &[Clause],
        memory: &mut dyn Memory,
    ) -> Vec<u32> {
        let mut words = vec![clauses.len() as u32];
        for clause in clauses {
            let bit = u32::from(clause.number.saturating_sub(1) & 63);
            words.push(self.slot(rule, clause, memory) << 6 | bit);
        }
        words
    }

    fn slot(&mut self, rule: &Rule, clause: &Clause, memory: &mut dyn Memory) -> u32 {
        let order = order(rule, clause);
        let next = self.numbers.len() as u32;
        let slot = *self.numbers.entry(order).or_insert(next);
        if slot == next {
            let all = u64::MAX >> (64 - u32::from(clause.of).clamp(1, 64));
            let bytes: Vec<u8> = [order, all]
                .iter()
                .flat_map(|word| word.to_le_bytes())
                .collect();
            memory.fill(self.at + slot * SLOT_BYTES, &bytes);
        }
        slot
    }
}
