//! Queueing disciplines of devices: values, the messages that they are to the kernel, and the
//! exchange of these.
//!
//! The switch marks the disciplines that it makes, so that a later daemon knows them and others
//! are left alone: an HTB by the field `r2q`, which has no effect on classes with a quantum of
//! their own, others by their handle.

mod decode;
mod encode;
mod exchange;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use exchange::{QueueStats, RootQdiscs};

/// Handle of an HTB: classes are `1:N`, as programs that choose queues expect.
pub const HTB_MAJOR: u16 = 1;
/// Number of the class by which everything leaves that no queue was chosen for.
pub const DEFAULT_CLASS: u16 = 1;
/// Number of the class that all others share.
pub const SHARED_CLASS: u16 = 0xfffe;
/// Queues that a class can be made for are below this number.
pub const MAX_QUEUES: u32 = 0xf000;
/// Priorities of classes are below this number.
pub const PRIORITIES: u32 = 8;
/// The kernel's unit of burst sizes: the time that the bytes take at the class's rate.
const TICK_NS: u128 = 64;

/// Number of the class of a queue.
pub fn class_of(queue: u32) -> Option<u16> {
    let class = queue.checked_add(1).filter(|_| queue < MAX_QUEUES)?;
    u16::try_from(class).ok()
}

/// What the switch knows its own disciplines by: neither a usual handle nor one that the kernel
/// gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(u16);

impl Mark {
    /// One of many, chosen by `hash`.
    pub fn new(hash: u32) -> Mark {
        Mark(0x1000 + (hash % 0x6000) as u16)
    }
}

/// The discipline at the root of a device's egress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// One that the switch made.
    Own(Qdisc),
    /// Somebody else's, of this kind.
    Foreign(String),
}

/// A discipline that the switch makes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Qdisc {
    /// Hierarchical token buckets, by number of their class.
    Htb(BTreeMap<u16, HtbClass>),
    /// A token bucket; what finds no room is dropped.
    Tbf(Tbf),
    /// Stochastic fairness.
    Sfq {
        /// Seconds between two changes of the hash function.
        perturb_s: u32,
        /// Bytes that a flow may send in its turn.
        quantum_bytes: u32,
    },
    /// Controlled delay.
    Codel(Codel),
    /// Controlled delay of flows that share fairly.
    FqCodel {
        /// Delays and limit.
        codel: Codel,
        /// Flows that are told apart.
        flows: u32,
        /// Bytes that a flow may send in its turn.
        quantum_bytes: u32,
    },
    /// Delay and loss.
    Netem {
        /// Delay in microseconds.
        latency_us: u32,
        /// Packets that may wait.
        limit_packets: u32,
        /// Packets of a hundred that are lost.
        loss_percent: u32,
    },
}

impl Qdisc {
    /// The kernel's name of the kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Qdisc::Htb(_) => "htb",
            Qdisc::Tbf(_) => "tbf",
            Qdisc::Sfq { .. } => "sfq",
            Qdisc::Codel(_) => "codel",
            Qdisc::FqCodel { .. } => "fq_codel",
            Qdisc::Netem { .. } => "netem",
        }
    }

    /// What the kernel tells of it: codel counts times in units of 1,024 ns.
    pub fn as_read(&self) -> Qdisc {
        let us = |us: u32| {
            let units = u64::from(us) * 1000 / 1024;
            u32::try_from(units * 1024 / 1000).unwrap_or(u32::MAX)
        };
        let mut read = self.clone();
        if let Qdisc::Codel(codel) | Qdisc::FqCodel { codel, .. } = &mut read {
            (codel.target_us, codel.interval_us) = (us(codel.target_us), us(codel.interval_us));
        }
        read
    }

    /// The handle of one that bears a mark.
    fn handle(&self, mark: Mark) -> u32 {
        let major = match self {
            Qdisc::Htb(_) => HTB_MAJOR,
            _ => mark.0,
        };
        u32::from(major) << 16
    }
}

/// A class of an HTB, which borrows from [`SHARED_CLASS`] unless it is that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HtbClass {
    /// Bytes a second that it has in any case.
    pub rate_bytes_s: u64,
    /// Bytes a second that it has at most.
    pub ceil_bytes_s: u64,
    /// What it may send at once at its own rate.
    pub burst: Burst,
    /// What it may send at once when it borrows.
    pub ceil_burst: Burst,
    /// Of what is left, lower numbers get theirs first; below [`PRIORITIES`].
    pub priority: u32,
    /// Bytes that it may send in its turn among those of its priority.
    pub quantum_bytes: u32,
}

/// A token bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tbf {
    /// Bytes a second.
    pub rate_bytes_s: u64,
    /// What may be sent at once.
    pub burst: Burst,
    /// Bytes that may wait.
    pub limit_bytes: u32,
}

/// Settings of controlled delay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Codel {
    /// Delay that is accepted, in microseconds.
    pub target_us: u32,
    /// Time over which the delay is watched, in microseconds.
    pub interval_us: u32,
    /// Packets that may wait.
    pub limit_packets: u32,
}

/// A number of bytes as the kernel keeps it: the time that they take at a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Burst {
    ticks: u32,
}

impl Burst {
    /// At least so many bytes at a rate in bytes a second.
    pub fn of(bytes: u64, rate_bytes_s: u64) -> Burst {
        let ns = u128::from(bytes) * 1_000_000_000;
        let ticks = ns.div_ceil(u128::from(rate_bytes_s.max(1)) * TICK_NS);
        Burst {
            ticks: u32::try_from(ticks.max(1)).unwrap_or(u32::MAX),
        }
    }

    /// The bytes at a rate in bytes a second.
    pub fn bytes(self, rate_bytes_s: u64) -> u64 {
        let ns = u128::from(self.ticks) * TICK_NS;
        let bytes = ns * u128::from(rate_bytes_s) / 1_000_000_000;
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}
