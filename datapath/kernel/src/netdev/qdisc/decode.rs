//! What the kernel tells about disciplines and classes, as values.

use std::collections::BTreeMap;

use aorta_flow::IfIndex;

use super::super::attributes::{find, u32_at, u64_at};
use super::encode::{
    CODEL_INTERVAL, CODEL_LIMIT, CODEL_TARGET, FQ_CODEL_FLOWS, FQ_CODEL_QUANTUM, HFSC_RSC,
    HFSC_USC, HTB_CEIL64, HTB_INIT, HTB_PARMS, HTB_RATE64, KIND, OPTIONS, ROOT, TBF_PARMS,
    TBF_RATE64, loss_of,
};
use super::exchange::QueueStats;
use super::{
    Burst, CLASSES_MAJOR, Class, Codel, DEFAULT_CLASS, HfscClass, HtbClass, Mark, Qdisc, Root,
    TICK_NS, Tbf,
};

/// Length of struct tcmsg in bytes.
const HEADER: usize = 20;
const STATS2: u16 = 7;
const STATS_BASIC: u16 = 1;
const STATS_QUEUE: u16 = 3;
const STATS_PKT64: u16 = 8;

/// A discipline at the root of a device; none for one that the kernel itself put there, and for
/// those inside another. Classes aren't there yet.
pub fn root(message: &[u8], mark: Mark) -> Option<(IfIndex, Root)> {
    let (device, handle, parent, attributes) = split(message)?;
    if parent != ROOT || handle == 0 {
        return None;
    }
    let kind = kind(attributes)?;
    let options = find(attributes, OPTIONS).unwrap_or_default();
    let own = qdisc(&kind, options, mark).filter(|qdisc| qdisc.handle(mark) == handle);
    let root = own.map_or_else(|| Root::Foreign(kind), Root::Own);
    Some((device, root))
}

/// A class of a discipline of the switch, by number, and what it has counted.
pub fn class(message: &[u8], mark: Mark) -> Option<(u16, Class, QueueStats)> {
    let (_, id, _, attributes) = split(message)?;
    if id >> 16 != u32::from(CLASSES_MAJOR) {
        return None;
    }
    let number = (id & 0xffff) as u16;
    let options = find(attributes, OPTIONS)?;
    let (number, class) = match kind(attributes)?.as_str() {
        "htb" => (number, Class::Htb(htb_class(options)?)),
        "hfsc" if number == mark.hfsc_default() => {
            (DEFAULT_CLASS, Class::Hfsc(hfsc_class(options)?))
        }
        "hfsc" => (number, Class::Hfsc(hfsc_class(options)?)),
        _ => return None,
    };
    Some((number, class, stats(attributes)))
}

fn htb_class(options: &[u8]) -> Option<HtbClass> {
    let parms = find(options, HTB_PARMS)?;
    let wide = |kind, narrow: u32| {
        let wide = find(options, kind).and_then(|value| u64_at(value, 0));
        wide.unwrap_or(narrow.into())
    };
    Some(HtbClass {
        rate_bytes_s: wide(HTB_RATE64, u32_at(parms, 8)?),
        ceil_bytes_s: wide(HTB_CEIL64, u32_at(parms, 20)?),
        burst: burst(u32_at(parms, 24)?),
        ceil_burst: burst(u32_at(parms, 28)?),
        quantum_bytes: u32_at(parms, 32)?,
        priority: u32_at(parms, 40)?,
    })
}

fn hfsc_class(options: &[u8]) -> Option<HfscClass> {
    let rate = |curve| u32_at(find(options, curve)?, 8);
    Some(HfscClass {
        min_rate_bytes_s: rate(HFSC_RSC)?,
        max_rate_bytes_s: rate(HFSC_USC)?,
    })
}

fn burst(ticks: u32) -> Burst {
    Burst { ticks }
}

/// Device, handle, parent and attributes of a message.
fn split(message: &[u8]) -> Option<(IfIndex, u32, u32, &[u8])> {
    let device = IfIndex::new(u32_at(message, 4)?)?;
    let (handle, parent) = (u32_at(message, 8)?, u32_at(message, 12)?);
    Some((device, handle, parent, message.get(HEADER..)?))
}

fn kind(attributes: &[u8]) -> Option<String> {
    let text = find(attributes, KIND)?;
    let text = text.split(|byte| *byte == 0).next()?;
    Some(String::from_utf8_lossy(text).into_owned())
}

fn qdisc(kind: &str, options: &[u8], mark: Mark) -> Option<Qdisc> {
    Some(match kind {
        "htb" => {
            let init = find(options, HTB_INIT)?;
            if u32_at(init, 4)? != mark.0.into() {
                return None;
            }
            Qdisc::Htb(BTreeMap::new())
        }
        "hfsc" => {
            let default = options
                .first_chunk()
                .map(|bytes| u16::from_ne_bytes(*bytes))?;
            if default != mark.hfsc_default() {
                return None;
            }
            Qdisc::Hfsc(BTreeMap::new())
        }
        "tbf" => {
            let parms = find(options, TBF_PARMS)?;
            let wide = find(options, TBF_RATE64).and_then(|value| u64_at(value, 0));
            Qdisc::Tbf(Tbf {
                rate_bytes_s: wide.unwrap_or(u32_at(parms, 8)?.into()),
                limit_bytes: u32_at(parms, 24)?,
                burst: burst(u32_at(parms, 28)?),
            })
        }
        "sfq" => Qdisc::Sfq {
            quantum_bytes: u32_at(options, 0)?,
            perturb_s: u32_at(options, 4)?,
        },
        "codel" => Qdisc::Codel(codel(options)?),
        "fq_codel" => Qdisc::FqCodel {
            codel: codel(options)?,
            flows: number(options, FQ_CODEL_FLOWS)?,
            quantum_bytes: number(options, FQ_CODEL_QUANTUM)?,
        },
        "netem" => {
            let latency_us = u128::from(u32_at(options, 0)?) * TICK_NS / 1000;
            let loss = u32_at(options, 8)?;
            Qdisc::Netem {
                latency_us: u32::try_from(latency_us).ok()?,
                limit_packets: u32_at(options, 4)?,
                loss_percent: (0..=100).find(|percent| loss_of(*percent) == loss)?,
            }
        }
        _ => return None,
    })
}

fn number(options: &[u8], kind: u16) -> Option<u32> {
    u32_at(find(options, kind)?, 0)
}

fn codel(options: &[u8]) -> Option<Codel> {
    Some(Codel {
        target_us: number(options, CODEL_TARGET)?,
        interval_us: number(options, CODEL_INTERVAL)?,
        limit_packets: number(options, CODEL_LIMIT)?,
    })
}

fn stats(attributes: &[u8]) -> QueueStats {
    let all = find(attributes, STATS2).unwrap_or_default();
    let basic = find(all, STATS_BASIC).unwrap_or_default();
    let wide = find(all, STATS_PKT64).and_then(|value| u64_at(value, 0));
    let queue = find(all, STATS_QUEUE).unwrap_or_default();
    QueueStats {
        bytes: u64_at(basic, 0).unwrap_or(0),
        packets: wide.or(u32_at(basic, 8).map(u64::from)).unwrap_or(0),
        dropped: u32_at(queue, 8).unwrap_or(0).into(),
    }
}
