//! Rates with bursts: policing of what comes from a port, and limits of what is flooded.

use std::fmt;

/// Burst of policing in kilobits if none is configured (ovs-vswitchd.conf.db(5),
/// `ingress_policing_burst`).
pub const DEFAULT_POLICING_BURST_KBITS: u64 = 8000;
/// Burst of policing in thousands of packets if none is configured (ovs-vswitchd.conf.db(5),
/// `ingress_policing_kpkts_burst`).
pub const DEFAULT_POLICING_BURST_KPKTS: u64 = 16;

const NS_PER_S: u64 = 1_000_000_000;
const NS_PER_MS: u64 = 1_000_000;
/// Nanoseconds that a byte takes at one kilobit a second.
const NS_PER_BYTE_AT_1_KBPS: u64 = 8 * NS_PER_MS;

/// How much may come from a port's device. What is over the rate is dropped.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Policing {
    /// Kilobits (1000 bits) a second; 0: any number.
    pub rate_kbps: u64,
    /// Kilobits that may come at once; 0: [`DEFAULT_POLICING_BURST_KBITS`].
    pub burst_kbits: u64,
    /// Thousands of packets a second; 0: any number.
    pub rate_kpps: u64,
    /// Thousands of packets that may come at once; 0: [`DEFAULT_POLICING_BURST_KPKTS`].
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
            0 => DEFAULT_POLICING_BURST_KBITS,
            given => given,
        }
    }

    fn burst_kpkts(&self) -> u64 {
        match self.burst_kpkts {
            0 => DEFAULT_POLICING_BURST_KPKTS,
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
        TokenRate::new(unit_ns, burst_ns)
    }

    /// What packets cost. A frame that is to be cut into segments counts as these.
    pub fn packets(&self) -> Option<TokenRate> {
        let burst_ns = (self.burst_kpkts(), self.rate_kpps);
        TokenRate::new((NS_PER_MS, self.rate_kpps), burst_ns)
    }
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
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TokenRate {
    /// Nanoseconds that a byte or packet costs, times 2 to the power of [`TokenRate::SHIFT`].
    pub scaled_ns: u64,
    /// How far ahead the time may be, in nanoseconds.
    pub burst_ns: u64,
}

impl TokenRate {
    /// Binary digits behind the point of [`TokenRate::scaled_ns`].
    pub const SHIFT: u32 = 16;
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
        })
    }

    /// What so many bytes or packets cost, in nanoseconds.
    pub fn cost_ns(&self, units: u64) -> u64 {
        (units * self.scaled_ns) >> Self::SHIFT
    }

    /// The time after so many bytes or packets at `now_ns`, or `None` if they are over the rate.
    pub fn take(&self, full_ns: u64, units: u64, now_ns: u64) -> Option<u64> {
        let next_ns = full_ns.max(now_ns) + self.cost_ns(units);
        (next_ns - now_ns <= self.burst_ns).then_some(next_ns)
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
        let rate = policing.bytes().unwrap();
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
