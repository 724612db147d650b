//! Lookup in tables with many rules: memory that the daemon writes record by record, and code that
//! searches it.
//!
//! A [`TableImage`] is planned for the rules that a table has, with room for more. It consists of
//! *searches*, each for a part of the rules:
//!
//! - a **tuple** is a mask that all of its rules have at least; the masked key leads into a hash
//!   array that all tuples of the table share, to a chain of records by falling rank. Rules whose
//!   masks differ share a tuple where that makes no long chains, as in TupleMerge (Daly et al.,
//!   "TupleMerge: Fast Software Packet Processing for Online Packet Classification", 2019). A tuple
//!   with an empty mask is a list.
//! - an **lpm** search is arrays over 16, 8 and 8 bits of one word, for prefixes.
//!
//! Code visits the searches in a fixed order, and stops as soon as no later one can have a rule of
//! higher rank than the one found; these ranks stand in memory. Conjunctions have tuples of their own
//! (`clauses`).
//!
//! # Which step may follow which
//!
//! 1. [`TableImage::plan`], then memory of [`TableImage::memory_bytes`], zero; [`TableImage::fill`];
//!    the program with [`TableImage::emit`] runs.
//! 2. A change for packets of version V and later, while V-1 holds: [`TableImage::kill`] of the
//!    rules that go, then [`TableImage::insert`] of those that come. A rule that is modified is
//!    killed, then inserted under the same number. If an insert doesn't fit, or the change is given
//!    up, [`TableImage::rollback`] of V.
//! 3. V holds: the version cell is written.
//! 4. When no packet is under way any more that began before that: one [`TableImage::reclaim`] for
//!    each kill that found something, in the order of the kills. It takes records out of their
//!    chains; their places are used again only after another kill, made later, is reclaimed as well,
//!    since packets could be standing on them.

mod ahead;
mod buckets;
mod choose;
mod clauses;
mod cost;
mod emit;
mod emit_clauses;
mod emit_lpm;
mod image;
mod lane;
mod lpm;
mod report;
mod slab;
mod tuple;

pub use cost::Cost;
pub use emit::{Counters, LookupContext};
pub use image::TableImage;
pub use report::{SearchReport, TemplateReport};

/// What a table may take, and what it is seeded with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Caps {
    /// Random number: hashes differ with it, so that nobody can send packets, or ask for rules,
    /// that collide.
    pub seed: u64,
    /// Most bytes of memory; below 2²⁹, which is as far as programs can point.
    pub max_bytes: u32,
    /// Room for that many percent more rules than there are.
    pub spare_percent: u32,
    /// Room for that many more at least.
    pub spare_rules: u32,
    /// A table of so many bytes is near the processor, whatever else it does.
    pub near_bytes: u32,
}

/// Up to so many rules, a table that has outgrown its memory gets twice as much as it needs.
const MAX_DOUBLED: usize = 1 << 18;

impl Caps {
    /// For a table of so many rules that has outgrown its memory: more are to come, and each time
    /// that it is outgrown costs as much as all of them.
    pub fn outgrown(self, rules: usize) -> Caps {
        let doubled = rules <= MAX_DOUBLED;
        Caps {
            spare_percent: if doubled { 100 } else { self.spare_percent },
            spare_rules: 1024,
            ..self
        }
    }

    /// How many more than these are given room.
    fn spare(&self, count: u32) -> u32 {
        let part = u64::from(count) * u64::from(self.spare_percent) / 100;
        (part as u32).saturating_add(self.spare_rules)
    }
}

impl Default for Caps {
    fn default() -> Self {
        Caps {
            seed: 0x6a09_e667_f3bc_c908,
            max_bytes: (1 << 29) - (1 << 20),
            spare_percent: 25,
            spare_rules: 64,
            near_bytes: 1 << 20,
        }
    }
}

/// How a table is searched, by its most important search.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Template {
    /// One mask.
    Hash,
    /// Several masks.
    Tuple,
    /// Prefixes.
    Lpm,
}

impl Template {
    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Template::Hash => "hash",
            Template::Tuple => "tuple",
            Template::Lpm => "lpm",
        }
    }
}

/// Rules that were [killed](TableImage::kill) in an image, until they are reclaimed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kill(u32);

/// Whether a rule went into an image.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fit {
    /// It is there.
    InPlace,
    /// It isn't: the table needs another image, and with it another program.
    Rebuild(Why),
}

/// Why a rule doesn't fit into an image.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Why {
    /// All places are taken.
    #[error("its memory is full")]
    Full,
    /// No search looks at all that the rule asks for, or at as little.
    #[error("it has no search for this mask")]
    Mask,
    /// Wherever the rule could stand, packets would pass too many others.
    #[error("too many rules differ only in what its searches don't look at")]
    Crowded,
    /// The actions have more parameters than records have room for.
    #[error("its records have no room for so many constants")]
    Params,
    /// The rule is part of a conjunction, and there was none.
    #[error("it has no search for conjunctions")]
    Clauses,
}
