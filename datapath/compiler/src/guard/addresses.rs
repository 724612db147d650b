//! The addresses of a port, as programs compare them.

use aorta_ebpf::Label;
use aorta_flow::guard::{Allowed, IpPrefix};
use aorta_packet::MacAddr;

use super::Gate;
use super::search::{find32, find128};
use aorta_ebpf::Reg;

/// The IP addresses that hosts may use, and which hosts use which.
pub struct Sets {
    /// MAC addresses as numbers, first byte lowest, in order, each with its set; `None`: any.
    pub macs: Option<Vec<(u64, i32)>>,
    /// The sets; there is one at least.
    pub sets: Vec<Set>,
}

/// IP addresses: ranges in order, apart. Each is a prefix.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Set {
    /// Whether all addresses may be used.
    pub any: bool,
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl Sets {
    pub fn new(allowed: &Allowed) -> Sets {
        let Some(macs) = &allowed.macs else {
            let sets = vec![Set::new(&allowed.shared)];
            return Sets { macs: None, sets };
        };
        let mut sets: Vec<Set> = Vec::new();
        let mut numbers: Vec<(u64, i32)> = Vec::new();
        for mac in macs.keys() {
            let set = Set::new(&allowed.addresses(*mac).unwrap_or_default());
            let known = sets.iter().position(|other| *other == set);
            let number = known.unwrap_or(sets.len());
            if known.is_none() {
                sets.push(set);
            }
            numbers.push((mac_number(*mac), number as i32));
        }
        numbers.sort_unstable();
        if sets.is_empty() {
            sets.push(Set::new(&[]));
        }
        let macs = Some(numbers);
        Sets { macs, sets }
    }

    /// Whether hosts use different ones, so that the number of theirs is to be kept.
    pub fn differ(&self) -> bool {
        self.sets.len() > 1
    }
}

impl Set {
    fn new(prefixes: &[IpPrefix]) -> Set {
        Set {
            any: prefixes.is_empty(),
            v4: apart(prefixes.iter().filter_map(IpPrefix::v4_range).collect()),
            v6: apart(prefixes.iter().filter_map(IpPrefix::v6_range).collect()),
        }
    }
}

/// Without ranges that are within others: prefixes never overlap otherwise.
fn apart<N: Ord + Copy>(mut ranges: Vec<(N, N)>) -> Vec<(N, N)> {
    ranges.sort_unstable_by_key(|(first, last)| (*first, std::cmp::Reverse(*last)));
    let mut kept: Vec<(N, N)> = Vec::new();
    for range in ranges {
        if kept.last().is_none_or(|before| before.1 < range.0) {
            kept.push(range);
        }
    }
    kept
}

/// As programs have an address: its first byte is the lowest.
fn mac_number(mac: MacAddr) -> u64 {
    let [a, b, c, d, e, f] = mac.0;
    u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
}

impl Gate<'_> {
    /// Goes to `hit` if the IPv4 address in R2 (host order) is one of the host's, else to `miss`. The
    /// number of its set is in R1 where they differ.
    pub fn find_v4(&mut self, sets: &Sets, hit: Label, miss: Label) {
        self.in_set(sets, |gate, set| {
            let ranges = set.v4.iter().map(|(first, last)| (*first, *last, hit));
            let ranges: Vec<(u32, u32, Label)> = ranges.collect();
            match set.any {
                true => gate.a.jump(hit),
                false => find32(gate.a, Reg::R2, &ranges, miss),
            }
        });
    }

    /// As [`Gate::find_v4`] for the IPv6 address whose upper half is in R2, the lower in R3.
    pub fn find_v6(&mut self, sets: &Sets, hit: Label, miss: Label) {
        self.in_set(sets, |gate, set| match set.any {
            true => gate.a.jump(hit),
            false => find128(gate.a, &set.v6, hit, miss),
        });
    }

    /// Goes to the code of the host's set.
    fn in_set(&mut self, sets: &Sets, mut code: impl FnMut(&mut Self, &Set)) {
        let labels: Vec<Label> = sets.sets.iter().map(|_| self.a.label("set")).collect();
        if let [_, .., last] = labels[..] {
            let numbered = (0..).zip(&labels).map(|(n, label)| (n, n, *label));
            let numbered: Vec<(u32, u32, Label)> = numbered.collect();
            find32(self.a, Reg::R1, &numbered, last);
        }
        for (set, label) in sets.sets.iter().zip(labels) {
            self.a.bind(label);
            code(self, set);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_within_another_range_goes() {
        let ranges = vec![(5, 5), (0, 3), (2, 3), (0, 1), (8, 9), (5, 5)];
        assert_eq!(apart(ranges), [(0, 3), (5, 5), (8, 9)]);
    }

    #[test]
    fn hosts_with_the_same_addresses_share_them() {
        let text = "10.0.0.1 02:00:00:00:00:01 02:00:00:00:00:02 10.0.0.2 02:00:00:00:00:03";
        let sets = Sets::new(&text.parse().unwrap());
        let numbers: Vec<i32> = sets.macs.unwrap().iter().map(|(_, set)| *set).collect();
        assert_eq!((sets.sets.len(), numbers), (2, vec![0, 1, 0]));
    }
}
