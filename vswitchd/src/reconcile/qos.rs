//! Queueing disciplines: which one each device should have, and what must change for it. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use aorta_flow::IfIndex;
use aorta_kernel::netdev::qdisc::{
    self, Burst, Class, HfscClass, HtbClass, PRIORITIES, Qdisc, Root, RootQdiscs, SHARED_CLASS,
    Tbf, class_of,
};
use aorta_kernel::netdev::{DeviceRef, Link};

use super::{Actual, Effect, Resolved, resolve};
use crate::config::{Codel, Desired, DesiredPort, HfscQueue, HtbQueue, Qos};

/// Bits a second of all queues of a device that doesn't tell how fast it is.
const DEFAULT_MAX_RATE_BPS: u64 = 10_000_000_000;
/// What a frame has in front of what its MTU counts, with room to spare, in bytes.
const FRAME_OVERHEAD: u64 = 64;
/// Least time that a burst lasts. The kernel's timers are late by less than that, and what a class
/// could not save for that time is lost to it.
const LEAST_BURST_US: u64 = 10_000;

/// A change of a device's queueing discipline.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shaping {
    /// Give it the kernel's own back.
    Drop,
    /// Make it, or change one of the same kind; it has no classes at first.
    Set(Qdisc),
    /// Delete a class.
    DropClass(u16),
    /// Make or change a class.
    SetClass(u16, Class),
}

impl fmt::Display for Shaping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shaping::Drop => write!(f, "queueing discipline deleted"),
            Shaping::Set(qdisc) => write!(f, "queueing discipline {} set", qdisc.kind()),
            Shaping::DropClass(class) => write!(f, "class 1:{class:x} deleted"),
            Shaping::SetClass(class, settings) => write!(
                f,
                "class 1:{class:x} set to {} to {} bit/s",
                settings.min_rate_bytes_s().saturating_mul(8),
                settings.max_rate_bytes_s().saturating_mul(8)
            ),
        }
    }
}

impl Shaping {
    /// Notes that it was done.
    pub fn remember(&self, device: IfIndex, qdiscs: &mut RootQdiscs) {
        match (self, qdiscs.get_mut(&device)) {
            (Shaping::Drop, _) => drop(qdiscs.remove(&device)),
            (Shaping::Set(qdisc), _) => {
                qdiscs.insert(device, Root::Own(qdisc.as_read()));
            }
            (Shaping::DropClass(class), Some(Root::Own(qdisc))) => qdisc.remove_class(*class),
            (Shaping::SetClass(class, settings), Some(Root::Own(qdisc))) => {
                qdisc.set_class(*class, *settings);
            }
            (Shaping::DropClass(_) | Shaping::SetClass(..), _) => {}
        }
    }
}

/// The device by which a port's frames leave.
pub fn egress<'a>(port: &DesiredPort, actual: &'a Actual) -> Option<&'a Link> {
    match resolve(port, actual) {
        Resolved::Device(link) | Resolved::Pair { hidden: link, .. } => actual.get(link.ifindex),
        _ => None,
    }
}

/// Whether disciplines have to be looked at.
pub fn concerns(desired: &Desired, actual: &Actual) -> bool {
    let mut ports = desired.bridges.iter().flat_map(|bridge| &bridge.ports);
    let own = |root: &Root| matches!(root, Root::Own(_));
    ports.any(|port| port.qos.asked.shapes()) || actual.qdiscs.values().any(own)
}

/// The discipline that a port's device should have.
pub fn wanted(port: &DesiredPort, actual: &Actual) -> Option<(DeviceRef, Qdisc)> {
    if !port.qos.asked.shapes() {
        return None;
    }
    let link = egress(port, actual)?;
    let speed_bps = actual.speeds_bps.get(&link.ifindex).copied();
    let qdisc = discipline(&port.qos.asked, link.mtu, speed_bps)?;
    Some((link.into(), qdisc))
}

/// What changes disciplines until they are as wanted. Those of others are left alone where nothing
/// is wanted.
pub fn shape(desired: &Desired, actual: &Actual) -> Vec<Effect> {
    let mut effects = Vec::new();
    if !concerns(desired, actual) {
        return effects;
    }
    let ports = desired.bridges.iter().flat_map(|bridge| &bridge.ports);
    let wanted: Vec<(DeviceRef, Qdisc)> = ports.filter_map(|port| wanted(port, actual)).collect();
    let busy: BTreeSet<IfIndex> = wanted.iter().map(|(device, _)| device.ifindex).collect();
    for (device, root) in &actual.qdiscs {
        if matches!(root, Root::Own(_))
            && !busy.contains(device)
            && let Some(link) = actual.get(*device)
        {
            effects.push(Effect::Shape(link.into(), Shaping::Drop));
        }
    }
    for (device, qdisc) in wanted {
        let changes = changes(actual.qdiscs.get(&device.ifindex), &qdisc);
        let changes = changes.into_iter();
        effects.extend(changes.map(|change| Effect::Shape(device.clone(), change)));
    }
    effects
}

fn changes(now: Option<&Root>, wanted: &Qdisc) -> Vec<Shaping> {
    let set = || Shaping::Set(wanted.without_classes());
    match (now, wanted) {
        (None, _) => vec![set()],
        (Some(Root::Own(now @ Qdisc::Htb(_))), Qdisc::Htb(_))
        | (Some(Root::Own(now @ Qdisc::Hfsc(_))), Qdisc::Hfsc(_)) => {
            classes(&now.classes(), &wanted.classes())
        }
        (Some(Root::Own(now)), _) if *now == wanted.as_read() => Vec::new(),
        (Some(Root::Own(now)), _) if now.kind() == wanted.kind() => vec![set()],
        (Some(_), _) => vec![Shaping::Drop, set()],
    }
}

/// The class that others share comes first: they need it.
fn classes(now: &BTreeMap<u16, Class>, wanted: &BTreeMap<u16, Class>) -> Vec<Shaping> {
    let gone = now.keys().filter(|class| !wanted.contains_key(class));
    let mut changes: Vec<Shaping> = gone.copied().map(Shaping::DropClass).collect();
    let differs = |(class, settings): &(&u16, &Class)| now.get(class) != Some(settings);
    let set = |(class, settings): (&u16, &Class)| Shaping::SetClass(*class, *settings);
    changes.extend(wanted.iter().rev().filter(differs).map(set));
    changes
}

fn discipline(qos: &Qos, mtu_bytes: u32, speed_bps: Option<u64>) -> Option<Qdisc> {
    Some(match qos {
        Qos::None | Qos::Noop => return None,
        Qos::Htb {
            max_rate_bps,
            queues,
        } => Qdisc::Htb(htb(*max_rate_bps, queues, mtu_bytes, speed_bps)),
        Qos::Hfsc {
            max_rate_bps,
            queues,
        } => Qdisc::Hfsc(hfsc(*max_rate_bps, queues, mtu_bytes, speed_bps)),
        Qos::Policer {
            cir_bytes_s,
            cbs_bytes,
        } => {
            let burst = (*cbs_bytes).max(u64::from(mtu_bytes) + FRAME_OVERHEAD);
            Qdisc::Tbf(Tbf {
                rate_bytes_s: *cir_bytes_s,
                burst: Burst::of(burst, *cir_bytes_s),
                limit_bytes: u32::try_from(burst).unwrap_or(u32::MAX),
            })
        }
        Qos::Sfq {
            perturb_s,
            quantum_bytes,
        } => Qdisc::Sfq {
            perturb_s: *perturb_s,
            quantum_bytes: quantum_bytes.unwrap_or(mtu_bytes),
        },
        Qos::Codel(settings) => Qdisc::Codel(codel(settings)),
        Qos::FqCodel {
            codel: settings,
            flows,
            quantum_bytes,
        } => Qdisc::FqCodel {
            codel: codel(settings),
            flows: *flows,
            quantum_bytes: *quantum_bytes,
        },
        Qos::Netem {
            latency_us,
            limit_packets,
            loss_percent,
        } => Qdisc::Netem {
            latency_us: *latency_us,
            limit_packets: *limit_packets,
            loss_percent: *loss_percent,
        },
    })
}

fn codel(settings: &Codel) -> qdisc::Codel {
    qdisc::Codel {
        target_us: settings.target_us,
        interval_us: settings.interval_us,
        limit_packets: settings.limit_packets,
    }
}

/// Classes of queues, and the one that they share. A class needs a rate of one frame a second at
/// least to send anything, and none has more than all together.
fn htb(
    max_rate_bps: Option<u64>,
    queues: &BTreeMap<u32, HtbQueue>,
    mtu_bytes: u32,
    speed_bps: Option<u64>,
) -> BTreeMap<u16, HtbClass> {
    let least = u64::from(mtu_bytes);
    let shared = shared_bytes_s(max_rate_bps, speed_bps).max(least);
    let priorities = Priorities::of(queues.values());
    let class = |rate: u64, ceil: u64, burst_bytes: u64, priority: u32| {
        let burst = |rate: u64| {
            let lasting = rate.saturating_mul(LEAST_BURST_US) / 1_000_000;
            let bytes = burst_bytes.max(least + FRAME_OVERHEAD).max(lasting);
            Burst::of(bytes, rate)
        };
        HtbClass {
            rate_bytes_s: rate,
            ceil_bytes_s: ceil,
            burst: burst(rate),
            ceil_burst: burst(ceil),
            priority,
            quantum_bytes: mtu_bytes,
        }
    };
    let mut classes = BTreeMap::from([(SHARED_CLASS, class(shared, shared, 0, 0))]);
    for (number, queue) in queues {
        let Some(number) = class_of(*number) else {
            continue;
        };
        let asked = (queue.min_rate_bps, queue.max_rate_bps);
        let (rate, ceil) = rates_bytes_s(asked, (least, shared));
        let priority = priorities.of_class(queue.priority);
        classes.insert(number, class(rate, ceil, queue.burst_bits / 8, priority));
    }
    classes
}

/// Classes of queues, and the one that they share, as [`htb`] has them; the kernel has no rates
/// beyond 32 bits for them.
fn hfsc(
    max_rate_bps: Option<u64>,
    queues: &BTreeMap<u32, HfscQueue>,
    mtu_bytes: u32,
    speed_bps: Option<u64>,
) -> BTreeMap<u16, HfscClass> {
    let least = u64::from(mtu_bytes);
    let shared = shared_bytes_s(max_rate_bps, speed_bps).max(least);
    let class = |(min, max): (u64, u64)| {
        let [min_rate_bytes_s, max_rate_bytes_s] =
            [min, max].map(|rate| u32::try_from(rate).unwrap_or(u32::MAX));
        HfscClass {
            min_rate_bytes_s,
            max_rate_bytes_s,
        }
    };
    let of_queue = |(number, queue): (&u32, &HfscQueue)| {
        let asked = (queue.min_rate_bps, queue.max_rate_bps);
        let rates = rates_bytes_s(asked, (least, shared));
        Some((class_of(*number)?, class(rates)))
    };
    let classes = queues.iter().filter_map(of_queue);
    classes
        .chain([(SHARED_CLASS, class((shared, shared)))])
        .collect()
}

/// Bytes a second of all queues.
fn shared_bytes_s(max_rate_bps: Option<u64>, speed_bps: Option<u64>) -> u64 {
    max_rate_bps.or(speed_bps).unwrap_or(DEFAULT_MAX_RATE_BPS) / 8
}

/// Bytes a second that a queue has in any case and at most, of bits that it asked for, within those
/// that it may have.
fn rates_bytes_s(
    (min_bps, max_bps): (u64, Option<u64>),
    (least, shared): (u64, u64),
) -> (u64, u64) {
    let min = (min_bps / 8).max(least).min(shared);
    let max = max_bps.map_or(shared, |bps| bps / 8);
    (min, max.max(min).min(shared))
}

/// The kernel has a few priorities only: only the order of those that are written counts.
struct Priorities(Vec<u32>);

impl Priorities {
    fn of<'a>(queues: impl Iterator<Item = &'a HtbQueue>) -> Priorities {
        let written: BTreeSet<u32> = queues.map(|queue| queue.priority).collect();
        let fit = written.last().is_none_or(|last| *last < PRIORITIES);
        match fit {
            true => Priorities(Vec::new()),
            false => Priorities(written.into_iter().collect()),
        }
    }

    fn of_class(&self, written: u32) -> u32 {
        let rank = self.0.iter().position(|known| *known == written);
        let rank = rank.and_then(|rank| u32::try_from(rank).ok());
        rank.unwrap_or(written).min(PRIORITIES - 1)
    }
}

#[cfg(test)]
#[path = "qos_tests.rs"]
mod tests;
