//! Queueing disciplines of devices: values, the messages that they are to the kernel, and the
//! exchange of these.
//!
//! The switch marks the disciplines that it makes, so that a later daemon knows them and others
//! are left alone: an HTB by the field `r2q`, which has no effect on classes with a quantum of
//! their own, an HFSC by the number of its default class, others by their handle.

mod decode;
mod encode;
mod exchange;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use exchange::{QueueStats, RootQdiscs};

/// Handle of a discipline with classes: these are `1:N`, as programs that choose queues expect.
pub const CLASSES_MAJOR: u16 = 1;
/// Number of the class by which everything leaves that no queue was chosen for. That of an HFSC has
/// another one in the kernel ([`Mark`]).
pub const DEFAULT_CLASS: u16 = 1;
/// First of the numbers that the default class of an HFSC has, and how many there are: above those of
/// queues, below [`SHARED_CLASS`].
const HFSC_DEFAULTS: (u16, u16) = (0xf001, 0xffd);
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

    /// Number of the default class of an HFSC in the kernel, which takes what is sent to a class that
    /// isn't there, as [`DEFAULT_CLASS`] isn't.
    fn hfsc_default(self) -> u16 {
        let (first, count) = HFSC_DEFAULTS;
        first + self.0 % count
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
    /// Hierarchical fair service curves, by number of their class.
    Hfsc(BTreeMap<u16, HfscClass>),
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
            Qdisc::Hfsc(_) => "hfsc",
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

    /// The same without its classes.
    pub fn without_classes(&self) -> Qdisc {
        match self {
            Qdisc::Htb(_) => Qdisc::Htb(BTreeMap::new()),
            Qdisc::Hfsc(_) => Qdisc::Hfsc(BTreeMap::new()),
            other => other.clone(),
        }
    }

    /// Its classes by number; none of one that can't have any.
    pub fn classes(&self) -> BTreeMap<u16, Class> {
        match self {
            Qdisc::Htb(classes) => classes.iter().map(|(n, c)| (*n, Class::Htb(*c))).collect(),
            Qdisc::Hfsc(classes) => classes.iter().map(|(n, c)| (*n, Class::Hfsc(*c))).collect(),
            _ => BTreeMap::new(),
        }
    }

    /// Adds a class, in the place of one of that number; one of another kind is left out.
    pub fn set_class(&mut self, number: u16, class: Class) {
        match (self, class) {
            (Qdisc::Htb(classes), Class::Htb(class)) => drop(classes.insert(number, class)),
            (Qdisc::Hfsc(classes), Class::Hfsc(class)) => drop(classes.insert(number, class)),
            _ => {}
        }
    }

    /// Removes a class, if there is one of that number.
    pub fn remove_class(&mut self, number: u16) {
        match self {
            Qdisc::Htb(classes) => drop(classes.remove(&number)),
            Qdisc::Hfsc(classes) => drop(classes.remove(&number)),
            _ => {}
        }
    }

    /// The handle of one that bears a mark.
    fn handle(&self, mark: Mark) -> u32 {
        let major = match self {
            Qdisc::Htb(_) | Qdisc::Hfsc(_) => CLASSES_MAJOR,
            _ => mark.0,
        };
        u32::from(major) << 16
    }
}

/// A class of a discipline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Of an HTB.
    Htb(HtbClass),
    /// Of an HFSC.
    Hfsc(HfscClass),
}

impl Class {
    /// Bytes a second that it has in any case.
    pub fn min_rate_bytes_s(&self) -> u64 {
        match self {
            Class::Htb(class) => class.rate_bytes_s,
            Class::Hfsc(class) => class.min_rate_bytes_s.into(),
        }
    }

    /// Bytes a second that it has at most.
    pub fn max_rate_bytes_s(&self) -> u64 {
        match self {
            Class::Htb(class) => class.ceil_bytes_s,
            Class::Hfsc(class) => class.max_rate_bytes_s.into(),
        }
    }
}

/// A class of an HFSC, below [`SHARED_CLASS`] unless it is that. Its curves are straight lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HfscClass {
    /// Bytes a second that it has in any case, and its share of what is left.
    pub min_rate_bytes_s: u32,
    /// Bytes a second that it has at most.
    pub max_rate_bytes_s: u32,
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
