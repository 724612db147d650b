//! Random packets of few values, so that packets and tables meet.

use aorta_packet::{MacAddr, TPID_8021AD, TPID_8021Q, Tci, VlanTag};

use super::{Arp, Extension, Ipv4, Ipv6, Network, Packet, Transport};
use crate::Rng;

const V6: u128 = 0x2001_0db8 << 96;
const PORTS: [u16; 8] = [0, 22, 53, 80, 443, 1024, 8080, 0xffff];
const IPV6_LINK_LOCAL: u128 = 0xfe80 << 112;

pub(super) fn packet(rng: &mut Rng) -> Packet {
    let network = network(rng);
    let may_have_labels = matches!(
        network,
        Network::Ipv4(_) | Network::Ipv6(_) | Network::Other(..)
    );
    Packet {
        dst: mac(rng),
        src: MacAddr([2, 0, 0, 0, 0, rng.between(1, 4) as u8]),
        tags: (0..*rng.weighted(&[(60, 0), (25, 1), (13, 2), (2, 3)]))
            .map(|_| tag(rng))
            .collect(),
        labels: match may_have_labels && rng.chance(12) {
            true => labels(rng),
            false => Vec::new(),
        },
        network,
        trailer: vec![0; *rng.weighted(&[(6, 0), (1, 1), (1, 18), (1, 60)])],
    }
}

fn mac(rng: &mut Rng) -> MacAddr {
    match rng.below(12) {
        0 => MacAddr::BROADCAST,
        1 => MacAddr([1, 0, 0x5e, 0, 0, 1]),
        2 => MacAddr([1, 0x80, 0xc2, 0, 0, rng.below(3) as u8]),
        _ => MacAddr([2, 0, 0, 0, 0, rng.between(1, 4) as u8]),
    }
}

fn tag(rng: &mut Rng) -> VlanTag {
    let vid = *rng.pick(&[0u16, 1, 5, 5, 6, 4095]);
    VlanTag {
        tpid: *rng.weighted(&[(4, TPID_8021Q), (1, TPID_8021AD)]),
        tci: Tci((rng.below(16) as u16) << 12 | vid),
    }
}

/// Label, traffic class and time to live; the last label says so.
fn labels(rng: &mut Rng) -> Vec<u32> {
    let n = rng.between(1, 3);
    (0..n)
        .map(|at| {
            let label = *rng.pick(&[0u32, 2, 3, 16, 77, 0xf_ffff]);
            let class = rng.below(8) as u32;
            let ttl = *rng.pick(&[0u32, 1, 2, 64, 255]);
            label << 12 | class << 9 | u32::from(at + 1 == n) << 8 | ttl
        })
        .collect()
}

fn network(rng: &mut Rng) -> Network {
    match rng.below(20) {
        0 => {
            let len = rng.below(60);
            Network::Other(
                *rng.pick(&[0x1234, 0x88b5, 0x8847, 0x894f, 46]),
                rng.bytes(len),
            )
        }
        1 => Network::Snap(*rng.pick(&[0x0800, 0x1234, 0x0806]), rng.bytes(46)),
        2..5 => Network::Arp(arp(rng)),
        5..13 => Network::Ipv4(ipv4(rng)),
        _ => Network::Ipv6(ipv6(rng)),
    }
}

fn arp(rng: &mut Rng) -> Arp {
    Arp {
        reverse: rng.chance(10),
        op: *rng.pick(&[1, 1, 2, 2, 3, 255, 256]),
        sha: mac(rng),
        spa: address(rng),
        tha: mac(rng),
        tpa: address(rng),
    }
}

fn address(rng: &mut Rng) -> u32 {
    let last = rng.between(1, 4) as u32;
    *rng.pick(&[0x0a00_0000, 0x0a00_0100, 0x0a01_0000, 0xc0a8_0100]) | last
}

fn address6(rng: &mut Rng) -> u128 {
    let last = rng.between(1, 4) as u128;
    *rng.pick(&[V6, V6 | 1 << 64, IPV6_LINK_LOCAL]) | last
}

fn tos(rng: &mut Rng) -> u8 {
    *rng.pick(&[0, 0, 0, 1, 3, 0x28, 0xb8, 0xff])
}

fn ttl(rng: &mut Rng) -> u8 {
    *rng.pick(&[0, 1, 2, 64, 64, 64, 255])
}

fn ipv4(rng: &mut Rng) -> Ipv4 {
    let options = *rng.weighted(&[(8, 0), (1, 1), (1, 10)]);
    Ipv4 {
        src: address(rng),
        dst: address(rng),
        tos: tos(rng),
        ttl: ttl(rng),
        // Don't fragment; more fragments; a later fragment; the last; the reserved bit.
        fragment: *rng.weighted(&[
            (10, 0),
            (3, 0x4000),
            (1, 0x2000),
            (1, 0x2010),
            (1, 0x0010),
            (1, 0x8000),
        ]),
        options: (0..options).map(|_| [1; 4]).collect(),
        transport: transport(rng, false),
    }
}

fn ipv6(rng: &mut Rng) -> Ipv6 {
    let extensions = *rng.weighted(&[(12, 0), (3, 1), (2, 2), (1, 5), (1, 6), (1, 7)]);
    Ipv6 {
        src: address6(rng),
        dst: address6(rng),
        tos: tos(rng),
        label: *rng.pick(&[0, 0, 1, 0x12345, 0xf_ffff]),
        ttl: ttl(rng),
        extensions: (0..extensions).map(|_| extension(rng)).collect(),
        transport: transport(rng, true),
    }
}

fn extension(rng: &mut Rng) -> Extension {
    match rng.below(6) {
        0 => Extension::Authentication(*rng.pick(&[1, 2, 4])),
        1 => Extension::Fragment(*rng.weighted(&[(3, 0), (2, 1), (1, 0x81), (1, 0x80)])),
        _ => {
            let units = *rng.weighted(&[(4, 0), (1, 1), (1, 3)]);
            Extension::Options(*rng.pick(&[0, 43, 60]), units)
        }
    }
}

fn transport(rng: &mut Rng, ipv6: bool) -> Transport {
    let (source, destination) = (*rng.pick(&PORTS), *rng.pick(&PORTS));
    match rng.below(12) {
        0..4 => {
            let flags = *rng.pick(&[0x002, 0x012, 0x010, 0x011, 0x004, 0xfff]);
            Transport::Tcp(source, destination, flags)
        }
        4..7 => Transport::Udp(source, destination, ipv6 || rng.chance(70)),
        7 => Transport::Sctp(source, destination),
        8 | 9 if ipv6 => nd(rng),
        8..11 => {
            let kind = *rng.pick(&[0, 3, 8, 128, 129, 135]);
            Transport::Icmp(kind, *rng.pick(&[0, 0, 1, 4]))
        }
        _ => Transport::Other(*rng.pick(&[2, 47, 50, 89, 59, 6, 253])),
    }
}

fn nd(rng: &mut Rng) -> Transport {
    let options = (0..rng.below(6))
        .map(|_| (*rng.pick(&[1, 2, 2, 1, 5]), mac(rng)))
        .collect();
    let code = *rng.weighted(&[(6, 0), (1, 1)]);
    Transport::Nd(*rng.pick(&[135, 136]), code, address6(rng), options)
}
