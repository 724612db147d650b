//! Rules of a card as one XDP program for it: the eBPF form of offloading.
//!
//! Cards take less than the kernel does: a program that calls no other one, hash maps and arrays only,
//! each within limits. So all tables are one program ([`crate::pipeline`]'s generator makes it); small
//! ones are code, larger ones hash maps, one for each mask. A change of what is in maps alone needs no
//! other program: [`CardProgram::put`] and [`CardProgram::remove`] say when.
//!
//! The program takes a packet whole or leaves it to software as it came, without a trace in counters.
//! Besides what a rule says so, it leaves to software what it has no code for: IPv6 extension headers,
//! neighbour discovery where its addresses are asked for, a second copy, a change behind a copy, new
//! ports in SCTP, more tags than two.

mod compile;
mod entries;
mod error;
mod follow;
mod layout;
mod limits;

pub use compile::{CardMap, CardProgram, Target, compile};
pub use entries::{Entries, Entry};
pub use error::CardError;
pub use follow::{EntryChange, Followed};
pub use limits::{CardLimits, MAX_COUNTERS};

/// What programs count of a rule: value of the map [`COUNTERS`], by the rule's number.
pub mod counters {
    /// Offset of the u64 of packets.
    pub const PACKETS: usize = crate::pipeline::card::PACKETS as usize;
    /// Offset of the u64 of their bytes, as they came.
    pub const BYTES_SEEN: usize = crate::pipeline::card::BYTES_SEEN as usize;
    /// Offset of the u64 of the rule's flow, which programs don't look at: who finds the map knows whose
    /// counters they are. 0 if there is none.
    pub const FLOW: usize = 16;
    /// Bytes of a value.
    pub const BYTES: u32 = 24;
}

/// How programs name the counters of rules: an array, by the rule's number.
pub const COUNTERS: aorta_ebpf::MapId = aorta_ebpf::MapId(0x400);

/// How programs name the hash maps of tables: this one and those behind it.
const FIRST_HASH: u32 = 0x401;
