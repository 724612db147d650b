//! Rates with bursts: policing of what comes from a port, and limits of what is flooded.

use std::fmt;

/// Burst of policing in kilobits if none is configured (ovs-vswitchd.conf.db(5),
/// `ingress_policing_burst`), unless the rate asks for more: [`DEFAULT_BURST_MS`].
pub const DEFAULT_POLICING_BURST_KBITS: u64 = 8000;
/// Burst of policing in thousands of packets if none is configured (ovs-vswitchd.conf.db(5),
/// `ingress_policing_kpkts_burst`), unless the rate asks for more: [`DEFAULT_BURST_MS`].
pub const DEFAULT_POLICING_BURST_KPKTS: u64 = 16;
/// What comes in this time at the rate is the burst at least if none is configured, in milliseconds.
/// A connection whose whole window was dropped is silent for 200 ms and more (Linux' least
/// retransmission timeout): what isn't saved up meanwhile is lost to it.
pub const DEFAULT_BURST_MS: u64 = 300;

const NS_PER_S: u64 = 1_000_000_000;
const NS_PER_MS: u64 = 1_000_000;
const MS_PER_S: u64 = 1000;
/// Nanoseconds that a byte takes at one kilobit a second.
const NS_PER_BYTE_AT_1_KBPS: u64 = 8 * NS_PER_MS;
/// How long the edge of policing is at least: long enough for connections to slow down on it, at
/// whatever speed they arrive.
const LEAST_EDGE_NS: u64 = 50 * NS_PER_MS;
/// What the edge of policing has room for at least: two of the largest frames that are to be cut
/// into segments, so that they pass whatever the burst is.
const LEAST_EDGE_BYTES: u64 = 128 << 10;
const LEAST_EDGE_PACKETS: u64 = 128;

/// How much may come from a port's device. What is over the rate is dropped.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Policing {
    /// Kilobits (1000 bits) a second; 0: any number.
    pub rate_kbps: u64,
    /// Kilobits that may come at once; 0: [`DEFAULT_POLICING_BURST_KBITS`], or what comes in
    /// [`DEFAULT_BURST_MS`] if that is more.
    pub burst_kbits: u64,
    /// Thousands of packets a second; 0: any number.
    pub rate_kpps: u64,
    /// Thousands of packets that may come at once; 0: [`DEFAULT_POLICING_BURST_KPKTS`], or what comes
    /// in [`DEFAULT_BURST_MS`] if that is more.
    pub burst_kpkts: u64,
}

impl fmt::Display for Policing {
    /// In words; for one that isn't none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = (self.rate_kbps > 0).then(|| {
            let burst_kbits = self.burst_kbits();
            format!("{} kbit/s ({burst_kbits} kbit at once)", self.rate_kbps)
        });
        let packets = (self.rate_kpps > 0).then(|| {
            let (rate_kpps, burst_kpkts) = (self.rate_kpps, self.burst_kpkts());
            format!("{rate_kpps}000 packets/s ({burst_kpkts}000 at once)")
        });
        let both: Vec<String> = bits.into_iter().chain(packets).collect();
        write!(f, "at most {}", both.join(" and "))
    }
}

impl Policing {
    fn burst_kbits(&self) -> u64 {
        match self.burst_kbits {
            0 => DEFAULT_POLICING_BURST_KBITS.max(in_burst(self.rate_kbps)),
            given => given,
        }
    }

    fn burst_kpkts(&self) -> u64 {
        match self.burst_kpkts {
            0 => DEFAULT_POLICING_BURST_KPKTS.max(in_burst(self.rate_kpps)),
            given => given,
        }
    }

    /// Whether everything may come.
    pub fn is_none(&self) -> bool {
        self.rate_kbps == 0 && self.rate_kpps == 0
    }

    /// What bytes cost. Of a frame that is to be cut into segments, those that these will have count,
    /// with all their headers.
    pub fn bytes(&self) -> Option<TokenRate> {
        let unit_ns = (NS_PER_BYTE_AT_1_KBPS, self.rate_kbps);
        let burst_ns = (self.burst_kbits(), self.rate_kbps);
        TokenRate::new(unit_ns, burst_ns).map(|rate| rate.with_edge(LEAST_EDGE_BYTES))
    }

    /// What packets cost. A frame that is to be cut into segments counts as these.
    pub fn packets(&self) -> Option<TokenRate> {
        let burst_ns = (self.burst_kpkts(), self.rate_kpps);
        let rate = TokenRate::new((NS_PER_MS, self.rate_kpps), burst_ns);
        rate.map(|rate| rate.with_edge(LEAST_EDGE_PACKETS))
    }
}

/// What comes in [`DEFAULT_BURST_MS`] at a rate a second.
fn in_burst(rate: u64) -> u64 {
    rate.saturating_mul(DEFAULT_BURST_MS) / MS_PER_S
}

/// How many frames from a port NORMAL floods, in frames a second; 0: any number. As many may come
/// at once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct StormLimits {
    /// Frames to ff:ff:ff:ff:ff:ff.
    pub broadcast_pps: u32,
    /// Frames to other addresses that are behind no known port, and to groups.
    pub unknown_pps: u32,
}

impl fmt::Display for StormLimits {
    /// In words; for limits that aren't none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = [
            (self.broadcast_pps, "broadcasts/s"),
            (self.unknown_pps, "other frames/s"),
        ];
        let limits = kinds.iter().filter(|(pps, _)| *pps > 0);
        let limits: Vec<String> = limits.map(|(pps, kind)| format!("{pps} {kind}")).collect();
        write!(f, "floods at most {}", limits.join(" and "))
    }
}

impl StormLimits {
    /// Whether everything may be flooded.
    pub fn is_none(&self) -> bool {
        self.broadcast_pps == 0 && self.unknown_pps == 0
    }

    /// What a broadcast costs.
    pub fn broadcast(&self) -> Option<TokenRate> {
        per_second(self.broadcast_pps)
    }

    /// What another flooded frame costs.
    pub fn unknown(&self) -> Option<TokenRate> {
        per_second(self.unknown_pps)
    }
}

fn per_second(pps: u32) -> Option<TokenRate> {
    let pps = u64::from(pps);
    TokenRate::new((NS_PER_S, pps), (pps, pps))
}

/// A token bucket as numbers. Its state is one time, in nanoseconds: when the bucket will be full
/// again (the theoretical arrival time of ITU-T I.371). Programs do the same arithmetic.
///
/// What is within the burst passes. Behind the burst there may be an *edge*, in which the more is
/// dropped the further a frame is in it: connections that arrive quickly lose few frames at first and
/// slow down, where losing all of them would stop them until their timers run out. What passes there
/// is owed, so that the rate is kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TokenRate {
    /// Nanoseconds that a byte or packet costs, times 2 to the power of [`TokenRate::SHIFT`].
    pub scaled_ns: u64,
    /// How far ahead the time may be, in nanoseconds.
    pub burst_ns: u64,
    /// How much further ahead it may be for some frames, in nanoseconds; at most
    /// [`TokenRate::MAX_EDGE_NS`].
    pub edge_ns: u64,
}

impl TokenRate {
    /// Binary digits behind the point of [`TokenRate::scaled_ns`].
    pub const SHIFT: u32 = 16;
    /// Longest edge.
    pub const MAX_EDGE_NS: u64 = (1 << 47) - 1;
    /// What a time is multiplied by to be without order: 2⁶⁴ by the golden ratio.
    pub const SCATTER: u64 = 0x9e37_79b9_7f4a_7c15;
    /// How far the product is shifted to the right and added to itself, without carry, before it is
    /// multiplied once more: times at regular distances would have an order otherwise.
    pub const FOLD_SHIFT: u32 = 32;
    /// How far the second product is shifted to the right: 16 digits stay.
    pub const SCATTER_SHIFT: u32 = 48;
    /// Longest burst: what is longer never empties.
    const MAX_BURST_NS: u64 = 1 << 60;

    /// A byte costs 2³⁹ at most and a packet 2⁴⁶, so that a frame's 2²⁰ bytes or 2¹⁶ segments never
    /// overflow. Each unit costs `unit.0 / unit.1` nanoseconds, and the burst is what comes in
    /// `burst.0 / burst.1` seconds. `None` without a rate.
    fn new(unit: (u64, u64), burst: (u64, u64)) -> Option<TokenRate> {
        let scaled_ns = (unit.0 << Self::SHIFT).checked_div(unit.1)?;
        let burst_ns = (u128::from(burst.0) * u128::from(NS_PER_S)).checked_div(burst.1.into())?;
        Some(TokenRate {
            scaled_ns,
            burst_ns: burst_ns.min(Self::MAX_BURST_NS.into()) as u64,
            edge_ns: 0,
        })
    }

    /// With an edge of at least so many bytes or packets.
    fn with_edge(self, least: u64) -> TokenRate {
        let edge_ns = self.cost_ns(least).max(LEAST_EDGE_NS);
        TokenRate {
            edge_ns: edge_ns.min(Self::MAX_EDGE_NS),
            ..self
        }
    }

    /// What so many bytes or packets cost, in nanoseconds.
    pub fn cost_ns(&self, units: u64) -> u64 {
        (units * self.scaled_ns) >> Self::SHIFT
    }

    /// How far ahead the time may be for a frame that comes at `now_ns`, in nanoseconds: at least the
    /// burst, less than burst and edge, and all between equally often, as the nanosecond of its
    /// coming has it.
    pub fn limit_ns(&self, now_ns: u64) -> u64 {
        let scattered = now_ns.wrapping_mul(Self::SCATTER);
        let folded = scattered ^ (scattered >> Self::FOLD_SHIFT);
        let share = folded.wrapping_mul(Self::SCATTER) >> Self::SCATTER_SHIFT;
        self.burst_ns + ((share * self.edge_ns) >> (u64::BITS - Self::SCATTER_SHIFT))
    }

    /// The time after so many bytes or packets at `now_ns`, or `None` if they are over the rate.
    pub fn take(&self, full_ns: u64, units: u64, now_ns: u64) -> Option<u64> {
        let next_ns = full_ns.max(now_ns) + self.cost_ns(units);
        (next_ns - now_ns <= self.limit_ns(now_ns)).then_some(next_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_pass_at_the_rate_after_the_burst() {
        let policing = Policing {
            rate_kbps: 8000,
            burst_kbits: 80,
            ..Policing::default()
        };
        let with_edge = policing.bytes().unwrap();
        let rate = TokenRate {
            edge_ns: 0,
            ..with_edge
        };
        assert_eq!(
            (rate.cost_ns(1000), rate.burst_ns),
            (NS_PER_MS, 10 * NS_PER_MS)
        );
        let mut full_ns = 0;
        let mut passed = |now_ns| match rate.take(full_ns, 1000, now_ns) {
            Some(next) => {
                full_ns = next;
                true
            }
            None => false,
        };
        let start = NS_PER_S;
        assert_eq!((0..20).filter(|_| passed(start)).count(), 10);
        assert_eq!((0..20).filter(|_| passed(start + 3 * NS_PER_MS)).count(), 3);
        assert_eq!((0..20).filter(|_| passed(start + NS_PER_S)).count(), 10);
        assert_eq!(policing.packets(), None);
    }

    /// What passes of frames of 1000 bytes that come every `gap_ns` for so long, behind the burst.
    fn passed(rate: TokenRate, gap_ns: u64, frames: u64) -> u64 {
        let start = 7 * NS_PER_S;
        let (mut full_ns, mut passed) = (start + rate.burst_ns, 0);
        for n in 0..frames {
            if let Some(next) = rate.take(full_ns, 1000, start + n * gap_ns) {
                full_ns = next;
                passed += 1;
            }
        }
        passed
    }

    #[test]
    fn the_edge_is_owed() {
        let policing = Policing {
            rate_kbps: 1_000_000,
            burst_kbits: 8000,
            ..Policing::default()
        };
        let rate = policing.bytes().unwrap();
        assert_eq!(
            (rate.burst_ns, rate.edge_ns),
            (8 * NS_PER_MS, LEAST_EDGE_NS)
        );
        // 8 µs a frame. At half as much again, a third is dropped in the long run; the edge, which is
        // used to a third then, passes once.
        let (gap_ns, second) = (5333, 187_512);
        let edge = LEAST_EDGE_NS / 8000;
        let first = passed(rate, gap_ns, second);
        assert!((125_000..=125_000 + edge / 2).contains(&first), "{first}");
        let ten = passed(rate, gap_ns, 10 * second);
        assert!((1_250_000..=1_250_000 + edge / 2).contains(&ten), "{ten}");
        // However many come, no more than the edge passes at once.
        let at_once = passed(rate, 1, 1_000_000);
        assert!((edge / 2..=edge + 125).contains(&at_once), "{at_once}");
    }

    #[test]
    fn drops_on_the_edge_are_few_at_first() {
        let policing = Policing {
            rate_kbps: 1_000_000,
            ..Policing::default()
        };
        let rate = policing.bytes().unwrap();
        // 10 Gbit/s: the edge is used to a tenth after 630 frames.
        let passed = passed(rate, 800, 630);
        assert!((580..630).contains(&passed), "{passed}");
    }

    #[test]
    fn frames_larger_than_the_burst_pass() {
        let policing = Policing {
            rate_kbps: 100,
            burst_kbits: 1,
            ..Policing::default()
        };
        let rate = policing.bytes().unwrap();
        let passes = |now: &u64| rate.take(0, 65_549, *now).is_some();
        let passing = (NS_PER_S..NS_PER_S + 1000).filter(passes).count();
        assert!((400..600).contains(&passing), "{passing}");
    }

    #[test]
    fn bursts_that_are_not_given_are_those_of_the_manual() {
        let policing = Policing {
            rate_kbps: 1000,
            rate_kpps: 4,
            ..Policing::default()
        };
        let burst_ns = |rate: Option<TokenRate>| rate.unwrap().burst_ns;
        assert_eq!(burst_ns(policing.bytes()), 8 * NS_PER_S);
        assert_eq!(burst_ns(policing.packets()), 4 * NS_PER_S);
        let fast = Policing {
            rate_kbps: 1_000_000,
            rate_kpps: 1000,
            ..Policing::default()
        };
        assert_eq!(burst_ns(fast.bytes()), DEFAULT_BURST_MS * NS_PER_MS);
        assert_eq!(burst_ns(fast.packets()), DEFAULT_BURST_MS * NS_PER_MS);
        assert_eq!(
            fast.to_string(),
            "at most 1000000 kbit/s (300000 kbit at once) and 1000000 packets/s (300000 at once)"
        );
    }

    #[test]
    fn fractions_of_nanoseconds_are_kept() {
        let policing = Policing {
            rate_kbps: 30_000_000,
            ..Policing::default()
        };
        // 8 / 30 ns a byte.
        assert_eq!(policing.bytes().unwrap().cost_ns(1_000_000), 266_662);
    }

    #[test]
    fn extreme_rates_do_not_overflow() {
        let most = (1 << 20) - 1;
        for number in [1, u64::from(u32::MAX), i64::MAX as u64] {
            let policing = Policing {
                rate_kbps: number,
                burst_kbits: i64::MAX as u64,
                rate_kpps: number,
                burst_kpkts: i64::MAX as u64,
            };
            for rate in [policing.bytes(), policing.packets()] {
                let rate = rate.unwrap();
                assert!(rate.take(NS_PER_S, most, 2 * NS_PER_S).is_some());
            }
        }
        let storm = StormLimits {
            broadcast_pps: 1,
            unknown_pps: u32::MAX,
        };
        assert_eq!(storm.broadcast().unwrap().cost_ns(1 << 16), NS_PER_S << 16);
        assert_eq!(storm.unknown().unwrap().cost_ns(1), 0);
    }
}
