//! Access lists over five fields, with the structure of those that ClassBench describes (Taylor
//! and Turner, 2007): nested prefixes, exact, arbitrary and wildcard ports.

use std::collections::HashSet;

use aorta_flow::action::{Action, Instructions};
use aorta_flow::field::FieldId;
use aorta_flow::{Flow, Match};
use aorta_packet::MacAddr;

use crate::packet::{Ipv4, Network, Packet, Transport};
use crate::{Prefix, Rng};

/// Ports from the first to the last, both included.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PortRange {
    /// First.
    pub first: u16,
    /// Last.
    pub last: u16,
}

impl PortRange {
    /// All ports.
    pub const ANY: PortRange = PortRange {
        first: 0,
        last: u16::MAX,
    };

    /// Values and masks that together are the range, none of them more than needed.
    pub fn masks(self) -> Vec<(u16, u16)> {
        let (mut at, end) = (u32::from(self.first), u32::from(self.last) + 1);
        let mut found = Vec::new();
        while at < end {
            let aligned = if at == 0 {
                1 << 16
            } else {
                1 << at.trailing_zeros()
            };
            let mut size: u32 = aligned;
            while at + size > end {
                size /= 2;
            }
            found.push((at as u16, !(size - 1) as u16));
            at += size;
        }
        found
    }
}

/// A rule of an access list.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct AclRule {
    /// Source.
    pub src: Prefix,
    /// Destination.
    pub dst: Prefix,
    /// Source ports.
    pub src_ports: PortRange,
    /// Destination ports.
    pub dst_ports: PortRange,
    /// Protocol, any if none.
    pub protocol: Option<u8>,
}

/// How often pairs of prefix lengths are: most rules name a host or a small network as
/// destination, sources are wider.
const LENGTHS: [(usize, (u8, u8)); 14] = [
    (24, (0, 32)),
    (16, (32, 32)),
    (10, (24, 32)),
    (8, (16, 32)),
    (6, (0, 24)),
    (6, (24, 24)),
    (6, (32, 24)),
    (5, (28, 30)),
    (4, (16, 24)),
    (4, (27, 32)),
    (4, (32, 0)),
    (3, (21, 27)),
    (2, (8, 16)),
    (2, (32, 16)),
];
const SERVICES: [u16; 16] = [
    20, 21, 22, 23, 25, 53, 80, 110, 123, 143, 161, 389, 443, 1521, 3389, 8080,
];

/// Different rules in order: the first that matches counts.
pub fn acl(n: usize, rng: &mut Rng) -> Vec<AclRule> {
    let networks = Networks::new(n, rng);
    let mut rules = Vec::with_capacity(n);
    let mut known = HashSet::with_capacity(n);
    while rules.len() < n {
        let rule = rule(&networks, rng);
        if known.insert(rule) {
            rules.push(rule);
        }
    }
    rules
}

/// Addresses that lists are about: hosts that share networks.
struct Networks {
    sources: Vec<u32>,
    destinations: Vec<u32>,
}

impl Networks {
    fn new(n: usize, rng: &mut Rng) -> Networks {
        Networks {
            sources: hosts(n / 6 + 4, rng),
            destinations: hosts(n / 3 + 4, rng),
        }
    }
}

fn hosts(n: usize, rng: &mut Rng) -> Vec<u32> {
    let mut hosts: Vec<u32> = Vec::with_capacity(n);
    for _ in 0..n {
        let address = match hosts.is_empty() || rng.chance(15) {
            true => rng.between(0x0100_0000, 0xdfff_ffff) as u32,
            false => {
                let shared = *rng.pick(&[8u32, 16, 20, 24, 24, 28]);
                *rng.pick(&hosts) ^ rng.next_u32() >> shared
            }
        };
        hosts.push(address);
    }
    hosts
}

fn rule(networks: &Networks, rng: &mut Rng) -> AclRule {
    let (src_len, dst_len) = *rng.weighted(&LENGTHS);
    let protocol = *rng.weighted(&[(62, Some(6)), (24, Some(17)), (6, Some(1)), (8, None)]);
    let ported = matches!(protocol, Some(6 | 17));
    let src = Prefix::of(*rng.pick(&networks.sources), src_len);
    let dst = Prefix::of(*rng.pick(&networks.destinations), dst_len);
    let (src_ports, dst_ports) = match ported {
        true => (source_ports(rng), destination_ports(rng)),
        false => (PortRange::ANY, PortRange::ANY),
    };
    AclRule {
        src,
        dst,
        src_ports,
        dst_ports,
        protocol,
    }
}

const HIGH: PortRange = PortRange {
    first: 1024,
    last: u16::MAX,
};

fn source_ports(rng: &mut Rng) -> PortRange {
    *rng.weighted(&[(90, PortRange::ANY), (7, HIGH), (3, exact(53))])
}

fn destination_ports(rng: &mut Rng) -> PortRange {
    match rng.below(100) {
        0..62 => exact(match rng.chance(70) {
            true => *rng.pick(&SERVICES),
            false => rng.next_u32() as u16,
        }),
        62..82 => PortRange::ANY,
        82..90 => HIGH,
        _ => {
            let first = rng.between(0, 0xfff0) as u16;
            let last = first.saturating_add(rng.between(1, 2000) as u16);
            PortRange { first, last }
        }
    }
}

fn exact(port: u16) -> PortRange {
    PortRange {
        first: port,
        last: port,
    }
}

/// Flows of rules, at most `most`: a range of ports needs several flows. Earlier rules have
/// higher priorities, or equal ones where there are too few, and come first. What is done is chosen
/// in turns from `actions`, which must not be empty.
pub fn acl_flows(rules: &[AclRule], most: usize, table: u8, actions: &[Vec<Action>]) -> Vec<Flow> {
    let mut flows = Vec::with_capacity(most.min(rules.len() * 2));
    for (at, rule) in rules.iter().enumerate() {
        let matches = rule.matches();
        if flows.len() + matches.len() > most {
            break;
        }
        let below = at * 60_000 / rules.len();
        flows.extend(matches.into_iter().map(|matching| Flow {
            table,
            priority: (65_000 - below) as u16,
            matching,
            instructions: Instructions::apply(actions[at % actions.len()].clone()).into(),
            ..Flow::default()
        }));
    }
    flows
}

impl AclRule {
    fn matches(&self) -> Vec<Match> {
        let mut base = Match::any();
        // All these values fit their fields.
        let mut set = |field: FieldId, value: u32, mask: u32| {
            let _ = base.set_masked(field, value.into(), mask.into());
        };
        set(FieldId::ETH_TYPE, 0x800, 0xffff);
        set(FieldId::IP_SRC, self.src.bits, self.src.mask());
        set(FieldId::IP_DST, self.dst.bits, self.dst.mask());
        if let Some(protocol) = self.protocol {
            set(FieldId::NW_PROTO, protocol.into(), 0xff);
        }
        let [src, dst] = match self.protocol {
            Some(17) => [FieldId::UDP_SRC, FieldId::UDP_DST],
            _ => [FieldId::TCP_SRC, FieldId::TCP_DST],
        };
        let mut found = Vec::new();
        for source in self.src_ports.masks() {
            for destination in self.dst_ports.masks() {
                let mut matching = base.clone();
                for (field, (value, mask)) in [(src, source), (dst, destination)] {
                    let _ = matching.set_masked(field, value.into(), mask.into());
                }
                found.push(matching);
            }
        }
        found
    }
}

/// A packet that a rule is for (earlier rules may take it).
pub fn acl_packet(rule: &AclRule, rng: &mut Rng) -> Packet {
    let mut port = |range: PortRange| rng.between(range.first.into(), range.last.into()) as u16;
    let (source, destination) = (port(rule.src_ports), port(rule.dst_ports));
    let transport = match rule.protocol {
        Some(6) | None => Transport::Tcp(source, destination, 0x10),
        Some(17) => Transport::Udp(source, destination, true),
        Some(1) => Transport::Icmp(8, 0),
        Some(other) => Transport::Other(other),
    };
    Packet {
        dst: MacAddr([2, 0, 0, 0, 0, 2]),
        src: MacAddr([2, 0, 0, 0, 0, 1]),
        tags: Vec::new(),
        labels: Vec::new(),
        network: Network::Ipv4(Ipv4 {
            src: rule.src.address(rng),
            dst: rule.dst.address(rng),
            tos: 0,
            ttl: 64,
            fragment: 0x4000,
            options: Vec::new(),
            transport,
        }),
        trailer: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prefixes::output;

    #[test]
    fn ranges_are_as_few_masks_as_can_be() {
        assert_eq!(PortRange::ANY.masks(), [(0, 0)]);
        assert_eq!(exact(80).masks(), [(80, 0xffff)]);
        assert_eq!(HIGH.masks().len(), 6);
        let range = PortRange { first: 5, last: 21 };
        let covered = |port: u16| {
            let masks = range.masks();
            masks.iter().filter(|(v, m)| port & m == *v).count()
        };
        for port in 0..100 {
            assert_eq!(covered(port), usize::from((5..=21).contains(&port)));
        }
    }

    #[test]
    fn packets_of_rules_match_their_flows() {
        let mut rng = Rng::new(1);
        let rules = acl(500, &mut rng);
        let flows = acl_flows(&rules, 5000, 0, &[output(1), output(2)]);
        assert!(
            flows
                .windows(2)
                .all(|pair| pair[0].priority >= pair[1].priority)
        );
        assert!(flows.len() > 700 && flows.len() < 2000, "{}", flows.len());
        for rule in &rules {
            let mut key = aorta_flow::FlowKey::new();
            for (field, value) in acl_packet(rule, &mut rng).fields() {
                key.set(field, value);
            }
            assert!(rule.matches().iter().any(|m| m.matches(&key)), "{rule:?}");
        }
    }
}
