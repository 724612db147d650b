//! Answers as values.

use std::io;

use aorta_flow::IfIndex;

use super::actions::{GACT_PARMS, OK, TRAP};
use super::police::policed;
use super::{
    ACT_COOKIE, ACT_KIND, ACT_OPTIONS, ACT_STATS, CHAIN, FLOWER_ACT, FLOWER_FLAGS, IN_HW, KIND,
    NEW_FILTER, OPTIONS,
};
use crate::netdev::attributes::{attributes, find, u16_at, u32_at, u64_at};
use crate::offload::flower::{Cookie, FilterCounters, Listed, OwnListed, Place, Refusal};

/// Lengths of struct nlmsghdr and struct tcmsg in bytes.
const MESSAGE: usize = 16;
const HEADER: usize = 20;

/// Types of messages of all families.
const ERROR: u16 = 2;
const DONE: u16 = 3;

/// Flags of errors: the request isn't repeated whole, and attributes follow.
const CAPPED: u16 = 0x100;
const HAS_ATTRIBUTES: u16 = 0x200;
/// Attribute with what went wrong, in words.
const ERROR_TEXT: u16 = 1;

const STATS_BASIC: u16 = 1;
const STATS_PKT64: u16 = 8;
/// Times of the kernel's are in hundredths of a second (USER_HZ).
const TICK_NS: u64 = 10_000_000;

/// Kind of the action that is a bucket.
const POLICE: &str = "police";

/// One message of an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// What became of the request of this number.
    Done {
        /// Its number.
        sequence: u32,
        /// Whether it was done.
        result: Result<(), Refusal>,
    },
    /// The list of this number ends.
    End {
        /// Its number.
        sequence: u32,
        /// Whether it is whole.
        result: Result<(), Refusal>,
    },
    /// A filter that was asked for by a request of this number, alone or in a list.
    Filter {
        /// Its number.
        sequence: u32,
        /// The filter.
        listed: Listed,
    },
}

/// The messages of a datagram, but those about other things.
///
/// # Errors
/// When a message isn't whole.
pub fn answers(mut bytes: &[u8]) -> io::Result<Vec<Answer>> {
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "an answer that isn't whole");
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let length = u32_at(bytes, 0).ok_or_else(damaged)? as usize;
        let payload = bytes.get(MESSAGE..length).ok_or_else(damaged)?;
        found.extend(answer(bytes, payload).ok_or_else(damaged)?);
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(found)
}

/// One message; none if it is too short.
fn answer(message: &[u8], payload: &[u8]) -> Option<Option<Answer>> {
    let (kind, flags) = (u16_at(message, 4)?, u16_at(message, 6)?);
    let sequence = u32_at(message, 8)?;
    Some(match kind {
        ERROR => {
            let request = u32_at(payload, 4)? as usize;
            let skipped = if flags & CAPPED != 0 {
                MESSAGE
            } else {
                request
            };
            let result = result(payload, flags, 4 + skipped.next_multiple_of(4))?;
            Some(Answer::Done { sequence, result })
        }
        DONE => {
            let result = result(payload, flags, 4)?;
            Some(Answer::End { sequence, result })
        }
        NEW_FILTER => listed(payload).map(|listed| Answer::Filter { sequence, listed }),
        _ => None,
    })
}

fn result(payload: &[u8], flags: u16, attributes_at: usize) -> Option<Result<(), Refusal>> {
    let errno = u32_at(payload, 0)?.cast_signed().saturating_neg();
    if errno <= 0 {
        return Some(Ok(()));
    }
    let told = match flags & HAS_ATTRIBUTES {
        0 => None,
        _ => payload
            .get(attributes_at..)
            .and_then(|more| find(more, ERROR_TEXT)),
    };
    Some(Err(Refusal::new(errno, told.map(text))))
}

/// A text up to its end.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(&bytes[..end.unwrap_or(bytes.len())]).into_owned()
}

/// A filter of a device. None for what is no filter but the head of a list of some.
fn listed(message: &[u8]) -> Option<Listed> {
    let device = IfIndex::new(u32_at(message, 4)?)?;
    let (handle, info) = (u32_at(message, 8)?, u32_at(message, 16)?);
    if handle == 0 {
        return None;
    }
    let attributes = message.get(HEADER..)?;
    let kind = text(find(attributes, KIND)?);
    let place = Place {
        device,
        chain: find(attributes, CHAIN).map_or(Some(0), |chain| u32_at(chain, 0))?,
        pref: (info >> 16) as u16,
        handle,
    };
    let options = find(attributes, OPTIONS).unwrap_or_default();
    let own = if kind == "flower" { own(options) } else { None };
    Some(Listed { place, kind, own })
}

fn own(options: &[u8]) -> Option<OwnListed> {
    let actions = find(options, FLOWER_ACT)?;
    let is_shared = |action: &[u8]| find(action, ACT_KIND).is_some_and(|kind| text(kind) == POLICE);
    let all = || attributes(actions).map(|(_, action)| action);
    // What a bucket has counted is that of all filters that share it.
    let first = all().find(|action| !is_shared(action))?;
    let cookie = find(first, ACT_COOKIE)?.try_into().ok()?;
    let flags = find(options, FLOWER_FLAGS).and_then(|flags| u32_at(flags, 0));
    Some(OwnListed {
        cookie: Cookie(cookie),
        counters: FilterCounters {
            policed: all().find(|action| is_shared(action)).and_then(policed),
            ..counters(first)
        },
        decides: !leaves(first),
        in_hardware: flags.unwrap_or(0) & IN_HW != 0,
    })
}

/// Whether an action leaves packets to software.
fn leaves(action: &[u8]) -> bool {
    let options = find(action, ACT_OPTIONS).unwrap_or_default();
    let is_general = find(action, ACT_KIND).is_some_and(|kind| text(kind) == "gact");
    // Number, capabilities, what becomes of the packet.
    let verdict = find(options, GACT_PARMS).and_then(|parms| u32_at(parms, 8));
    is_general && verdict.is_some_and(|verdict| verdict == OK || verdict == TRAP)
}

/// What an action has counted.
fn counters(action: &[u8]) -> FilterCounters {
    let stats = find(action, ACT_STATS).unwrap_or_default();
    let basic = find(stats, STATS_BASIC).unwrap_or_default();
    let wide = find(stats, STATS_PKT64).and_then(|packets| u64_at(packets, 0));
    let options = find(action, ACT_OPTIONS).unwrap_or_default();
    let kind = find(action, ACT_KIND).map(text).unwrap_or_default();
    // Where the kind keeps its times (struct tcf_t).
    let times = match kind.as_str() {
        "csum" => 2,
        _ => 1,
    };
    let used = find(options, times).and_then(|times| u64_at(times, 8));
    FilterCounters {
        packets: wide.or(u32_at(basic, 8).map(u64::from)).unwrap_or(0),
        bytes: u64_at(basic, 0).unwrap_or(0),
        used_ns_ago: used.map(|ticks| ticks.saturating_mul(TICK_NS)),
        policed: None,
    }
}
