//! Why rules can't be a program for a card.

use aorta_placement::RuleKey;

use crate::pipeline::PipelineError;

/// Why rules can't be a program for a card.
#[derive(Debug, thiserror::Error)]
pub enum CardError {
    /// One rule asks for what such programs don't do.
    #[error("the card's program can't do a rule of table {}: {why}", key.table)]
    Rule {
        /// Which.
        key: RuleKey,
        /// What.
        why: String,
    },
    /// More rules of one mask than a map holds.
    #[error(
        "table {table} has {needed} rules that match the same bits: the card's maps hold \
         {limit} entries"
    )]
    TableFull {
        /// The table.
        table: u8,
        /// Rules of the mask.
        needed: usize,
        /// Entries of a map.
        limit: u32,
    },
    /// Rules match more bits than a key has.
    #[error(
        "rules of table {table} need keys of {needed} bytes: the card's maps have {limit} at most"
    )]
    KeyTooLong {
        /// The table.
        table: u8,
        /// Bytes.
        needed: usize,
        /// Bytes that a key can have.
        limit: u32,
    },
    /// Rules do more than a value holds.
    #[error(
        "actions of table {table} need values of {needed} bytes: the card's maps have {limit} at most"
    )]
    ValueTooLong {
        /// The table.
        table: u8,
        /// Bytes.
        needed: usize,
        /// Bytes that a value can have.
        limit: u32,
    },
    /// A large table with rules of too many masks.
    #[error(
        "the {rules} rules of table {table} match {masks} different sets of bits: the card takes \
         {limit}, or {as_code} rules"
    )]
    TooManyMasks {
        /// The table.
        table: u8,
        /// Sets of bits.
        masks: usize,
        /// Rules.
        rules: usize,
        /// Most sets of bits.
        limit: usize,
        /// Most rules if there are more sets of bits than that.
        as_code: usize,
    },
    /// Rules of too many masks.
    #[error(
        "the tables need {needed} maps, one for each set of bits that their rules match: the card's \
         programs have {limit} at most"
    )]
    TooManyMaps {
        /// Maps.
        needed: usize,
        /// Most.
        limit: usize,
    },
    /// Too many tables.
    #[error("{needed} tables: the card's programs have {limit} at most")]
    TooManyTables {
        /// Tables.
        needed: usize,
        /// Most.
        limit: usize,
    },
    /// Rules look at and change too many fields.
    #[error(
        "the fields that rules look at and change take {needed} bytes of stack: programs have {limit}"
    )]
    Stack {
        /// Bytes.
        needed: usize,
        /// Most.
        limit: usize,
    },
    /// The program is too long.
    #[error("the program has {needed} instructions: the card takes {limit} at most")]
    TooLong {
        /// Instructions.
        needed: usize,
        /// Most.
        limit: usize,
    },
    /// A rule has no number, or one that there are no counters for.
    #[error("a rule of table {} has no counters: there are {counters}", key.table)]
    NoCounter {
        /// Which.
        key: RuleKey,
        /// Counters, the unused one of number 0 included.
        counters: u32,
    },
    /// The tables can't be compiled.
    #[error("the card's rules can't be compiled")]
    Pipeline(#[from] PipelineError),
}
