//! Buckets as attributes (linux/pkt_cls.h, struct tc_police), and what they have counted.

use aorta_placement::PolicedRate;

use super::actions::{PIPE, SHOT};
use super::{ACT_OPTIONS, ACT_STATS};
use crate::netdev::attributes::{find, put, put_u32, u32_at, u64_at};
use crate::offload::flower::{Police, PoliceCounters};

/// Attributes of `police` (TCA_POLICE_*).
const PARMS: u16 = 1;
const RATE_TABLE: u16 = 2;
const RESULT: u16 = 5;
const RATE64: u16 = 8;
const PACKET_RATE64: u16 = 10;
const PACKET_BURST64: u16 = 11;

/// Times of packet schedulers are in 64 nanoseconds (PSCHED_SHIFT).
const TICK_NS: u64 = 64;
/// Longest packet that isn't over every rate.
const MTU_BYTES: u32 = 65535;
const BYTES_PER_KILOBIT: u64 = 1000 / 8;
/// Of a table of how long packets take, which kernels before 3.8 looked into: the logarithm of the
/// distance of two lengths, and the length of the table.
const CELL_LOG: u8 = 8;
const RATE_TABLE_BYTES: usize = 1024;
const LINK_LAYER_ETHERNET: u8 = 1;

const STATS_BASIC: u16 = 1;
const STATS_QUEUE: u16 = 3;

/// Appends the options of the action: what is over the rate is dropped, the rest goes on.
pub fn put_police(out: &mut Vec<u8>, police: &Police) {
    let burst_ticks = police.burst_ns / TICK_NS;
    let bytes_a_second = match police.rate {
        PolicedRate::Packets(_) => 0,
        PolicedRate::Kilobits(rate) => u64::from(rate) * BYTES_PER_KILOBIT,
    };
    let burst = match police.rate {
        PolicedRate::Packets(_) => 0,
        PolicedRate::Kilobits(_) => u32::try_from(burst_ticks).unwrap_or(u32::MAX),
    };
    put(out, PARMS, &parms(police.index, burst, bytes_a_second));
    if bytes_a_second > 0 {
        put(out, RATE_TABLE, &[0; RATE_TABLE_BYTES]);
    }
    if bytes_a_second > u32::MAX.into() {
        put(out, RATE64, &bytes_a_second.to_ne_bytes());
    }
    put_u32(out, RESULT, PIPE);
    if let PolicedRate::Packets(rate) = police.rate {
        put(out, PACKET_RATE64, &u64::from(rate).to_ne_bytes());
        put(out, PACKET_BURST64, &burst_ticks.to_ne_bytes());
    }
}

/// struct tc_police: number, what becomes of packets over the rate, limit, burst, longest packet, rate,
/// peak rate, references, bindings, capabilities.
fn parms(index: u32, burst: u32, bytes_a_second: u64) -> Vec<u8> {
    let words = [index, SHOT, 0, burst, MTU_BYTES];
    let mut parms: Vec<u8> = words.into_iter().flat_map(u32::to_ne_bytes).collect();
    // struct tc_ratespec, twice: of the table, link layer, overhead, alignment, least length; rate.
    parms.extend(match bytes_a_second {
        0 => [0; 8],
        _ => [CELL_LOG, LINK_LAYER_ETHERNET, 0, 0, 0xff, 0xff, 0, 0],
    });
    parms.extend(
        u32::try_from(bytes_a_second)
            .unwrap_or(u32::MAX)
            .to_ne_bytes(),
    );
    parms.extend([0; 12 + 12]);
    parms
}

/// The number of a bucket and what it has counted, of the attributes of its action.
pub fn policed(action: &[u8]) -> Option<(u32, PoliceCounters)> {
    let options = find(action, ACT_OPTIONS)?;
    let index = u32_at(find(options, PARMS)?, 0)?;
    let stats = find(action, ACT_STATS).unwrap_or_default();
    let basic = find(stats, STATS_BASIC).unwrap_or_default();
    let queue = find(stats, STATS_QUEUE).unwrap_or_default();
    // struct gnet_stats_basic; struct gnet_stats_queue: length, backlog, drops.
    let counters = PoliceCounters {
        packets: u32_at(basic, 8).unwrap_or(0).into(),
        bytes: u64_at(basic, 0).unwrap_or(0),
        dropped: u32_at(queue, 8).unwrap_or(0).into(),
    };
    Some((index, counters))
}
