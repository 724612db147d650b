//! A rule, as the compiler's tables know it, and as it stands in a table's memory.

/// What a rule asks of one 32-bit word of the key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MatchWord {
    /// Byte offset of the word in the key ([`super::layout::word`]).
    pub at: i16,
    /// Bits asked for; none outside of the mask.
    pub value: u32,
    /// Which bits.
    pub mask: u32,
}

/// Number of a rule: the place of its counters. It stays as long as the flow is there, over
/// restarts too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RuleId(pub u32);

/// One part of a conjunction that a flow is, where its actions are `conjunction(...)`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Clause {
    /// Number of the conjunction, which `conj_id` is compared with.
    pub conjunction: u32,
    /// Which clause, from 1.
    pub number: u8,
    /// How many clauses there are, 2 to 64.
    pub of: u8,
}

/// A flow as tables are made of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// Its number.
    pub id: RuleId,
    /// Which rule wins where several match: the highest. See [`rank`].
    pub rank: u64,
    /// What it matches, by ascending place, no mask 0.
    pub words: Vec<MatchWord>,
    /// Which code does its actions.
    pub shape: u32,
    /// What that code does them with.
    pub params: Vec<u32>,
    /// The clauses that it is; where there are any, it has no actions, and shape and parameters
    /// aren't used.
    pub clauses: Vec<Clause>,
}

/// Rank of a flow: by priority, and of equal ones the oldest ([`FlowId`](aorta_flow::table::FlowId)).
pub fn rank(priority: u16, flow: u64) -> u64 {
    u64::from(priority) << 48 | (!flow & 0xffff_ffff_ffff)
}

/// u32: [`RuleId`].
pub const RULE: i16 = 0;
/// u32: shape.
pub const SHAPE: i16 = 4;
/// u32: first version of the tables that has the rule.
pub const BORN: i16 = 8;
/// u32: first version that doesn't have it any more; all ones while there is none.
pub const DIED: i16 = 12;
/// u64: rank.
pub const RANK: i16 = 16;
/// u32: the template's own, usually where the next record is.
pub const NEXT: i16 = 24;
/// The parameters, u32 each; behind them what the template keeps.
pub const PARAMS: i16 = 32;

/// A version that never comes.
pub const NEVER: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_of_equal_priority_wins() {
        assert!(rank(5, 1) > rank(5, 2));
        assert!(rank(6, 9) > rank(5, 1));
    }
}
