//! What meters say of packets: a leaky bucket for each band, as one time.
//!
//! The time is the *theoretical arrival time* of the generic cell rate algorithm (ITU-T I.371): when
//! the bucket will be empty again. A packet that would have it further ahead than the band's burst
//! lasts is over the rate, and changes nothing. Programs do the same arithmetic, in 64 bits.

use crate::{Band, BandKind, Meter, MeterUnit};

const NS_PER_S: u64 = 1_000_000_000;
/// Nanoseconds that a bit takes at one kilobit a second, times 8 for a byte.
const NS_PER_BYTE_AT_1_KBPS: u64 = 8_000_000;

/// A band as numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// What a packet costs, in nanoseconds: so much for each, ...
    pub ns_per_packet: u64,
    /// ... and for each byte `bytes * ns_per_byte / divisor`.
    pub ns_per_byte: u64,
    /// See above; at least 1.
    pub divisor: u64,
    /// How far ahead the bucket may be, in nanoseconds.
    pub burst_ns: u64,
}

impl Rate {
    /// Of a band. A burst that isn't given is what comes in a second. At a rate of 0 nothing passes.
    pub fn new(meter: &Meter, band: &Band) -> Rate {
        let rate = u64::from(band.rate);
        let burst = if band.burst_size == 0 {
            rate
        } else {
            band.burst_size.into()
        };
        let burst_ns = (burst * NS_PER_S).checked_div(rate).unwrap_or(0);
        let (ns_per_packet, ns_per_byte) = match meter.unit {
            MeterUnit::Pktps => (NS_PER_S.checked_div(rate).unwrap_or(NS_PER_S), 0),
            MeterUnit::Kbps => (0, NS_PER_BYTE_AT_1_KBPS),
        };
        Rate {
            ns_per_packet,
            ns_per_byte,
            divisor: rate.max(1),
            burst_ns,
        }
    }

    /// The time after a packet of this length at `now_ns`, or `None` if it is over the rate.
    pub fn take(&self, tat_ns: u64, len_bytes: u32, now_ns: u64) -> Option<u64> {
        let cost_ns = self.ns_per_packet + u64::from(len_bytes) * self.ns_per_byte / self.divisor;
        let next_ns = tat_ns.max(now_ns) + cost_ns;
        (next_ns - now_ns <= self.burst_ns).then_some(next_ns)
    }
}

/// What a meter says about a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MeterVerdict {
    /// It may pass.
    Pass,
    /// It is dropped.
    Drop,
    /// It passes with its drop precedence raised by this many levels.
    Remark(u8),
}

/// What a meter has counted of something.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct MeterCount {
    /// Packets.
    pub packets: u64,
    /// Bytes of these.
    pub bytes: u64,
}

impl MeterCount {
    fn add(&mut self, len_bytes: u32) {
        self.packets += 1;
        self.bytes += u64::from(len_bytes);
    }
}

/// A meter's buckets and counters.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct MeterState {
    /// What it was asked about.
    pub input: MeterCount,
    /// What was over the rate of each band, and done with as the band says.
    pub bands: Vec<MeterCount>,
    /// The time of each band, in nanoseconds.
    pub tat_ns: Vec<u64>,
}

impl MeterState {
    /// Measures a packet. Each band is a bucket of its own; of those that it is over, the one of
    /// the highest rate decides (OpenFlow 1.3.5 §5.7.1), and of equal rates the first.
    pub fn measure(&mut self, meter: &Meter, len_bytes: u32, now_ns: u64) -> MeterVerdict {
        self.tat_ns.resize(meter.bands.len(), 0);
        self.bands.resize(meter.bands.len(), MeterCount::default());
        self.input.add(len_bytes);
        let mut over: Option<usize> = None;
        for (at, band) in meter.bands.iter().enumerate() {
            match Rate::new(meter, band).take(self.tat_ns[at], len_bytes, now_ns) {
                Some(next_ns) => self.tat_ns[at] = next_ns,
                None if over.is_none_or(|other| meter.bands[other].rate < band.rate) => {
                    over = Some(at);
                }
                None => {}
            }
        }
        let Some(at) = over else {
            return MeterVerdict::Pass;
        };
        self.bands[at].add(len_bytes);
        match meter.bands[at].kind {
            BandKind::Drop => MeterVerdict::Drop,
            BandKind::DscpRemark(levels) => MeterVerdict::Remark(levels),
        }
    }
}

/// A DSCP with its drop precedence raised: within the classes of assured forwarding (RFC 2597 §6)
/// up to the third level; others have none, and stay.
pub fn remarked(dscp: u8, levels: u8) -> u8 {
    let (class, precedence) = (dscp >> 3, dscp >> 1 & 3);
    if !(1..=4).contains(&class) || precedence == 0 || dscp & 1 != 0 {
        return dscp;
    }
    class << 3 | precedence.saturating_add(levels).min(3) << 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::parse_meter;

    const MS: u64 = 1_000_000;

    #[test]
    fn packets_pass_at_the_rate_after_the_burst() {
        let meter =
            parse_meter("meter=1,pktps,burst,band=type=drop,rate=1000,burst_size=5").unwrap();
        let mut state = MeterState::default();
        let mut passed = |now_ns| state.measure(&meter, 100, now_ns) == MeterVerdict::Pass;
        let start = 77 * MS;
        assert_eq!((0..10).filter(|_| passed(start)).count(), 5);
        assert_eq!((0..10).filter(|_| passed(start + 3 * MS)).count(), 3);
        assert_eq!((0..10).filter(|_| passed(start + 3 * MS + 1)).count(), 0);
        assert_eq!((0..10).filter(|_| passed(start + 1000 * MS)).count(), 5);
        assert_eq!(state.input.packets, 40);
        assert_eq!(state.bands[0].packets, 40 - 13);
    }

    #[test]
    fn bits_pass_at_the_rate() {
        let meter = parse_meter("meter=1,kbps,band=type=drop,rate=8").unwrap();
        let mut state = MeterState::default();
        // A second's worth at first: 1000 bytes.
        let mut passed = |len, now_ns| state.measure(&meter, len, now_ns) == MeterVerdict::Pass;
        assert!(passed(600, 0) && !passed(500, 0) && passed(400, 0) && !passed(1, 0));
        assert!(!passed(101, 100 * MS) && passed(100, 100 * MS));
        assert!(!passed(1001, 10_000 * MS), "it never fits");
    }

    #[test]
    fn the_highest_rate_that_is_exceeded_decides() {
        let meter = parse_meter(
            "meter=1,pktps,burst,band=type=drop,rate=2000,burst_size=2,\
             band=type=dscp_remark,rate=1000,burst_size=1,prec_level=1",
        )
        .unwrap();
        let mut state = MeterState::default();
        let verdicts: Vec<MeterVerdict> = (0..3).map(|_| state.measure(&meter, 1, 0)).collect();
        let expected = [
            MeterVerdict::Pass,
            MeterVerdict::Remark(1),
            MeterVerdict::Drop,
        ];
        assert_eq!(verdicts, expected);
    }

    #[test]
    fn drop_precedence_is_that_of_assured_forwarding() {
        // AF11 to AF12 and AF13; expedited forwarding and best effort have none.
        assert_eq!([remarked(10, 1), remarked(10, 9)], [12, 14]);
        assert_eq!(
            [remarked(46, 1), remarked(0, 1), remarked(8, 1)],
            [46, 0, 8]
        );
    }
}
