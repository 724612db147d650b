//! Routing tables.

use std::collections::HashSet;

use aorta_flow::action::{Action, Instructions};
use aorta_flow::field::FieldId;
use aorta_flow::{Flow, Match, OfPort};

use crate::Rng;

/// An IPv4 prefix.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Prefix {
    /// Its bits; those behind its length are 0.
    pub bits: u32,
    /// How many count, 0 to 32.
    pub len: u8,
}

impl Prefix {
    /// The prefix of an address.
    pub fn of(address: u32, len: u8) -> Prefix {
        let bits = address & mask(len);
        Prefix { bits, len }
    }

    /// Which bits count.
    pub fn mask(self) -> u32 {
        mask(self.len)
    }

    /// Whether an address has it.
    pub fn contains(self, address: u32) -> bool {
        address & self.mask() == self.bits
    }

    /// A random address that has it.
    pub fn address(self, rng: &mut Rng) -> u32 {
        self.bits | rng.next_u32() & !self.mask()
    }
}

fn mask(len: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0)
}

/// Of a thousand prefixes in a full table of the Internet, how many have each length.
const LENGTHS: [(usize, u8); 18] = [
    (590, 24),
    (105, 23),
    (112, 22),
    (53, 21),
    (46, 20),
    (26, 19),
    (15, 18),
    (9, 17),
    (14, 16),
    (3, 15),
    (2, 14),
    (1, 13),
    (1, 12),
    (1, 11),
    (1, 10),
    (1, 8),
    (10, 32),
    (10, 28),
];

/// Different prefixes with the lengths of a table of the Internet; many are inside of others.
pub fn prefixes(n: usize, rng: &mut Rng) -> Vec<Prefix> {
    let mut all = Vec::with_capacity(n);
    let mut known = HashSet::with_capacity(n);
    while all.len() < n {
        let mut len = *rng.weighted(&LENGTHS);
        let address = match all.len() {
            // More specific routes and neighbours of those that are there.
            1.. if rng.chance(60) => {
                let near: Prefix = *rng.pick(&all);
                len = len.max(near.len.min(24));
                let kept = if near.len < 24 { near.len } else { 21 };
                near.bits ^ rng.next_u32() >> kept
            }
            _ => rng.between(0x0100_0000, 0xdfff_ffff) as u32,
        };
        let prefix = Prefix::of(address, len);
        if known.insert(prefix) {
            all.push(prefix);
        }
    }
    all
}

/// A table of flows for prefixes: the longer has the higher priority. What is done is chosen in
/// turns from `actions`, which must not be empty.
pub fn prefix_flows(prefixes: &[Prefix], table: u8, actions: &[Vec<Action>]) -> Vec<Flow> {
    let flow = |(at, prefix): (usize, &Prefix)| {
        let mut matching = Match::any();
        // These values fit their fields.
        let _ = matching.set(FieldId::ETH_TYPE, 0x800);
        let (value, mask) = (prefix.bits.into(), prefix.mask().into());
        let _ = matching.set_masked(FieldId::IP_DST, value, mask);
        Flow {
            table,
            priority: u16::from(prefix.len) + 1,
            matching,
            instructions: Instructions::apply(actions[at % actions.len()].clone()).into(),
            ..Flow::default()
        }
    };
    prefixes.iter().enumerate().map(flow).collect()
}

/// What a flow does that only outputs to a port.
pub fn output(port: u16) -> Vec<Action> {
    vec![Action::Output(OfPort(port))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_those_of_the_internet() {
        let all = prefixes(20_000, &mut Rng::new(1));
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), 20_000);
        let of = |len| all.iter().filter(|p| p.len == len).count();
        assert!((10_000..17_000).contains(&of(24)), "{}", of(24));
        assert!((1000..4000).contains(&of(22)), "{}", of(22));
        assert!(all.iter().all(|p| p.bits & !p.mask() == 0));
        let shorter: HashSet<_> = all.iter().filter(|p| p.len < 24).copied().collect();
        let covered =
            |p: &&Prefix| (8..p.len).any(|len| shorter.contains(&Prefix::of(p.bits, len)));
        let nested = all.iter().filter(covered).count();
        assert!(nested > 4000, "{nested}");
    }

    #[test]
    fn longer_prefixes_win() {
        let prefixes = [Prefix::of(0x0a00_0000, 8), Prefix::of(0x0a01_0000, 16)];
        let flows = prefix_flows(&prefixes, 3, &[output(1), output(2)]);
        assert_eq!(
            flows[1].to_string(),
            "table=3, priority=17,ip,nw_dst=10.1.0.0/16 actions=output:2"
        );
        assert!(flows[1].priority > flows[0].priority);
        let mut rng = Rng::new(1);
        assert!(prefixes[1].contains(prefixes[1].address(&mut rng)));
        assert_eq!(Prefix::of(7, 0).mask(), 0);
    }
}
