//! Random tables as flower filters, and what they mean for frames.
// Each program that has this uses a part of it.
#![allow(dead_code)]

use std::collections::{BTreeMap, BTreeSet};

use aorta_flow::table::Tables;
use aorta_flow::translate::{Effect, Packet, translate};
use aorta_flow::{IfIndex, Match, OfPort};
use aorta_kernel::offload::flower::{CardMark, FlowerCard, Lowering, Refusal, Stacks, TcSocket};
use aorta_packet::{
    ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_MPLS, ETHERTYPE_MPLS_MULTICAST,
    ETHERTYPE_RARP, Headers, Ip, Network, TransportHeader, internet_checksum, proto,
};
use aorta_placement::{Capabilities, Device, Finds, Rule, Step, Told, Verdict, place};
use aorta_testing::tables::{Profile, random_case};
use aorta_testing::{Case, Rng};

/// The ports of random tables.
pub fn ports(rng: &mut Rng) -> Vec<OfPort> {
    (1..=6).filter(|_| rng.chance(80)).map(OfPort).collect()
}

/// Flows of the kinds that cards do.
pub fn random_tables(rng: &mut Rng) -> Case {
    let profile = Profile {
        tables: 4,
        ..Profile::of_cards()
    };
    random_case(&profile, rng)
}

/// Tags of frames that a card decides.
pub fn stacks(rng: &mut Rng) -> Stacks {
    let choices: [&[&[u16]]; 4] = [
        &[&[0x8100]],
        &[],
        &[&[0x88a8, 0x8100]],
        &[
            &[0x8100, 0x8100],
            &[0x8100, 0x88a8],
            &[0x88a8, 0x8100],
            &[0x88a8, 0x88a8],
        ],
    ];
    Stacks::new(choices[rng.below(choices.len())])
}

/// Whether a frame has the headers that it says it has: what cards make of others is their own affair.
pub fn is_whole(frame: &[u8]) -> bool {
    let Ok(headers) = Headers::parse(frame) else {
        return false;
    };
    match (headers.ethertype, &headers.network) {
        (ETHERTYPE_IPV4 | ETHERTYPE_IPV6 | ETHERTYPE_ARP | ETHERTYPE_RARP, None) => false,
        (ETHERTYPE_MPLS | ETHERTYPE_MPLS_MULTICAST, None) => false,
        (_, Some(Network::Ip(ip))) => {
            let known = [
                proto::TCP,
                proto::UDP,
                proto::SCTP,
                proto::ICMP,
                proto::ICMPV6,
            ];
            let carries = !known.contains(&ip.proto) || ip.transport.is_some();
            carries && !ip.source_routed && sums_up(frame, headers.network_at(), ip)
        }
        _ => true,
    }
}

/// Whether its checksums are right: cards make them anew where the switch changes them by as much as
/// the bytes changed.
fn sums_up(frame: &[u8], at: usize, ip: &Ip) -> bool {
    let header = at + usize::from(frame[at] & 0xf) * 4;
    if !ip.v6 && internet_checksum(&frame[at..header]) != 0 {
        return false;
    }
    let Some(transport) = &ip.transport else {
        return true;
    };
    let body = &frame[transport.at..transport.end];
    match transport.header {
        TransportHeader::Udp { .. } if body[6..8] == [0, 0] => return true,
        TransportHeader::Udp { .. } | TransportHeader::Tcp { .. } => {}
        TransportHeader::Icmpv6 { .. } => {}
        _ => return true,
    }
    let mut pseudo = Vec::new();
    for address in [ip.src.to_be_bytes(), ip.dst.to_be_bytes()] {
        pseudo.extend(if ip.v6 { &address[..] } else { &address[12..] });
    }
    pseudo.extend((body.len() as u32).to_be_bytes());
    pseudo.extend([0, 0, 0, ip.proto]);
    internet_checksum(&[&pseudo, body].concat()) == 0
}

/// What becomes of a frame by the tables: where copies leave and what they are.
pub fn meant(
    tables: &Tables,
    packet: Packet,
    devices: &BTreeMap<OfPort, IfIndex>,
) -> Vec<(Option<IfIndex>, Vec<u8>)> {
    let done = translate(tables, packet, &mut Finds::default());
    let sent = done.effects.iter().filter_map(|effect| match effect {
        Effect::Output { port, packet, .. } => {
            Some((devices.get(port).copied(), packet.frame().unwrap()))
        }
        _ => None,
    });
    sent.collect()
}

/// What was put onto cards.
#[derive(Default, Debug)]
pub struct Placed {
    pub rules: usize,
    pub refused: BTreeMap<String, usize>,
}

/// Tables that rules lead to and that have none drop.
pub fn end_chains(rules: &mut Vec<Rule>) {
    let led_to: BTreeSet<u8> = rules.iter().filter_map(Rule::goto).collect();
    for table in led_to {
        if !rules.iter().any(|rule| rule.table == table) {
            rules.push(Rule {
                table,
                priority: 0,
                flow: None,
                matching: Match::any(),
                verdict: Verdict::Forward {
                    actions: Vec::new(),
                    goto: None,
                },
                policer: None,
            });
        }
    }
}

/// Puts all that a card can do of the tables onto it; what is refused is placed again without.
pub fn program<S: TcSocket>(
    tables: &Tables,
    socket: impl Fn() -> S,
    lowering: &Lowering,
    placed: &mut Placed,
) -> FlowerCard<S> {
    let device = Device {
        ports: lowering.ports.keys().copied().collect(),
        capabilities: Capabilities::flower(1000),
    };
    let mut told = Told::default();
    loop {
        let mut card = FlowerCard::new(socket(), lowering.clone(), CardMark::new("test"));
        let mut rules = place(tables, &device, &told).rules;
        end_chains(&mut rules);
        let puts: Vec<Step> = rules.into_iter().rev().map(Step::Put).collect();
        let results = card.apply(&puts).unwrap();
        let refused: Vec<(&Step, &Refusal)> = puts
            .iter()
            .zip(&results)
            .filter_map(|(step, result)| Some((step, result.as_ref().err()?)))
            .collect();
        if refused.is_empty() {
            placed.rules += puts.len();
            return card;
        }
        for (step, refusal) in refused {
            told.refuse(step, &refusal.text);
            *placed.refused.entry(refusal.text.clone()).or_default() += 1;
        }
        card.clear().unwrap();
    }
}
