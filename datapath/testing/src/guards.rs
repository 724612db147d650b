//! Random lists of allowed addresses, and frames that use these addresses and others.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use aorta_flow::guard::check::link_local;
use aorta_flow::guard::{Allowed, IpPrefix};
use aorta_packet::{MacAddr, TPID_8021AD, TPID_8021Q, Tci, Vid, VlanTag};

use crate::Rng;
use crate::packet::{Arp, Extension, Ipv4, Ipv6, Network, Packet, Transport, damaged};

/// Host addresses that lists and frames have: few, so that they meet.
const MACS: u8 = 5;
const ALL_NODES: u128 = 0xff02 << 112 | 1;

fn mac(rng: &mut Rng) -> MacAddr {
    match rng.below(20) {
        0 => MacAddr::BROADCAST,
        1 => MacAddr([0; 6]),
        _ => MacAddr([0x52, 0x54, 0, 0xab, 0, rng.below(MACS.into()) as u8]),
    }
}

fn v4(rng: &mut Rng) -> Ipv4Addr {
    let last = rng.below(8) as u8;
    *rng.pick(&[
        Ipv4Addr::new(10, 0, 0, last),
        Ipv4Addr::new(10, 0, 0, last),
        Ipv4Addr::new(10, 0, 0, last),
        Ipv4Addr::new(10, 0, 1 + last, last),
        Ipv4Addr::new(200, last, 0, 1),
        Ipv4Addr::UNSPECIFIED,
        Ipv4Addr::BROADCAST,
    ])
}

fn v6(rng: &mut Rng) -> Ipv6Addr {
    let last = rng.below(8) as u16;
    let near = MacAddr([0x52, 0x54, 0, 0xab, 0, rng.below(MACS.into()) as u8]);
    *rng.pick(&[
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last),
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last),
        Ipv6Addr::new(0x2001, 0xdb8, 0, last, 0, 0, 0, 1),
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last),
        link_local(near),
        link_local(near),
        Ipv6Addr::UNSPECIFIED,
        Ipv6Addr::LOCALHOST,
    ])
}

fn prefix(rng: &mut Rng) -> IpPrefix {
    let (address, lengths): (IpAddr, &[u8]) = match rng.chance(50) {
        true => (v4(rng).into(), &[32, 32, 32, 24, 29, 31, 8, 1, 0]),
        false => (v6(rng).into(), &[128, 128, 128, 64, 60, 125, 65, 10, 1, 0]),
    };
    IpPrefix::new(address, *rng.pick(lengths))
}

fn prefixes(rng: &mut Rng, most: usize) -> Vec<IpPrefix> {
    (0..rng.below(most + 1)).map(|_| prefix(rng)).collect()
}

/// A list of allowed addresses, as [`guarded_frame`] uses them. `most` is of prefixes at one place.
pub fn allowed(rng: &mut Rng, most: usize) -> Allowed {
    let macs = (!rng.chance(15)).then(|| {
        let hosts = (0..rng.between(1, 4)).map(|_| {
            let own = prefixes(rng, most);
            (mac(rng), own)
        });
        hosts.collect::<BTreeMap<_, _>>()
    });
    Allowed {
        macs,
        shared: if rng.chance(30) {
            prefixes(rng, 3)
        } else {
            Vec::new()
        },
        dhcp_server: rng.chance(20),
        router: rng.chance(20),
    }
}

/// A list of as many addresses as there may be.
pub fn largest_allowed(rng: &mut Rng) -> Allowed {
    use aorta_flow::guard::{MAX_ALLOWED_ADDRESSES, MAX_ALLOWED_MACS};
    let one = |n: usize| MacAddr([0x52, 0x54, 0, 0xab, (n >> 8) as u8, n as u8]);
    let macs = (0..MAX_ALLOWED_MACS).map(|n| (one(n), Vec::new()));
    let mut macs: BTreeMap<MacAddr, Vec<IpPrefix>> = macs.collect();
    for n in 0..MAX_ALLOWED_ADDRESSES {
        let host = one(rng.below(MAX_ALLOWED_MACS));
        let spread = (n as u128) << rng.pick(&[0, 16, 64, 70]);
        let address = match rng.chance(40) {
            true => IpAddr::from(Ipv4Addr::new(10, 0, n as u8, 1)),
            false => IpAddr::from(Ipv6Addr::from(0x2001_0db8 << 96 | spread)),
        };
        macs.entry(host).or_default().push(address.into());
    }
    Allowed {
        macs: Some(macs),
        ..Allowed::default()
    }
}

/// A frame of a host behind a port with such a list, or of one that isn't to be there.
pub fn guarded_frame(allowed: &Allowed, rng: &mut Rng) -> Vec<u8> {
    let hosts: Vec<MacAddr> = allowed.macs.iter().flatten().map(|(mac, _)| *mac).collect();
    let src = match hosts.is_empty() || rng.chance(20) {
        true => mac(rng),
        false => *rng.pick(&hosts),
    };
    let tags = *rng.weighted(&[(16, 0), (4, 1), (1, 2)]);
    let packet = Packet {
        dst: MacAddr([0x52, 0x54, 0, 0xcd, 0, 1]),
        src,
        tags: (0..tags).map(|_| tag(rng)).collect(),
        labels: Vec::new(),
        network: network(rng, src),
        trailer: vec![0; *rng.pick(&[0, 0, 0, 8, 40])],
    };
    let frame = packet.bytes();
    match rng.chance(15) {
        true => damaged(&frame, 20, rng),
        false => frame,
    }
}

fn tag(rng: &mut Rng) -> VlanTag {
    VlanTag {
        tpid: *rng.pick(&[TPID_8021Q, TPID_8021Q, TPID_8021AD]),
        tci: Tci(0).with_vid(Vid::new(7).unwrap_or(Vid::NONE)),
    }
}

fn network(rng: &mut Rng, src: MacAddr) -> Network {
    match rng.below(10) {
        0 => Network::Other(0x88b5, rng.bytes(46)),
        1 | 2 => Network::Arp(Arp {
            reverse: rng.chance(20),
            op: *rng.pick(&[1, 2, 3]),
            sha: if rng.chance(80) { src } else { mac(rng) },
            spa: v4(rng).into(),
            tha: MacAddr([0; 6]),
            tpa: v4(rng).into(),
        }),
        3..6 => Network::Ipv4(Ipv4 {
            src: v4(rng).into(),
            dst: v4(rng).into(),
            tos: 0,
            ttl: 64,
            fragment: *rng.pick(&[0, 0, 0, 0x2000, 1, 0x2001]),
            options: vec![[1; 4]; *rng.pick(&[0, 0, 0, 1, 10])],
            transport: dhcp_or(rng, (67, 68)),
        }),
        _ => Network::Ipv6(ipv6(rng, src)),
    }
}

fn ipv6(rng: &mut Rng, mac_of_source: MacAddr) -> Ipv6 {
    let extensions = *rng.weighted(&[(12, 0), (4, 1), (2, 2), (1, 3), (1, 4), (1, 5)]);
    let src = match rng.chance(30) {
        true => link_local(mac_of_source),
        false => v6(rng),
    };
    Ipv6 {
        src: src.into(),
        dst: ALL_NODES,
        tos: 0,
        label: 0,
        ttl: 255,
        extensions: (0..extensions).map(|_| extension(rng)).collect(),
        transport: match rng.chance(60) {
            true => nd(rng, mac_of_source),
            false => dhcp_or(rng, (547, 546)),
        },
    }
}

fn extension(rng: &mut Rng) -> Extension {
    match rng.below(6) {
        0 => Extension::Authentication(*rng.pick(&[0, 2, 4])),
        1 => Extension::Fragment(*rng.weighted(&[(3, 0), (2, 1), (1, 0x81), (1, 0x80)])),
        _ => Extension::Options(*rng.pick(&[0, 43, 60]), *rng.pick(&[0, 0, 1])),
    }
}

fn dhcp_or(rng: &mut Rng, (server, client): (u16, u16)) -> Transport {
    match rng.below(6) {
        0 => Transport::Udp(server, client, true),
        1 | 2 => Transport::Udp(client, server, true),
        3 => Transport::Udp(5000, *rng.pick(&[server, client, 53]), true),
        4 => Transport::Other(*rng.pick(&[2, 47, 59])),
        _ => Transport::Tcp(5000, 80, 2),
    }
}

fn nd(rng: &mut Rng, mac_of_source: MacAddr) -> Transport {
    let kind = *rng.pick(&[133, 134, 135, 135, 135, 136, 136, 136, 137, 131, 143, 128]);
    let target = match rng.chance(30) {
        true => link_local(mac_of_source),
        false => v6(rng),
    };
    let target = match kind {
        135 | 136 => target.into(),
        // It has no target: two options stand there.
        133 => options(rng, mac_of_source),
        _ => return Transport::Icmp(kind, 0),
    };
    let option = |rng: &mut Rng| {
        let own = rng.chance(85);
        let address = if own { mac_of_source } else { mac(rng) };
        (*rng.pick(&[1, 1, 2, 2, 14]), address)
    };
    let options = (0..*rng.pick(&[0, 1, 1, 2, 3, 4, 5])).map(|_| option(rng));
    Transport::Nd(kind, 0, target, options.collect())
}

/// Two options with link-layer addresses, the second now and then of another's.
fn options(rng: &mut Rng, own: MacAddr) -> u128 {
    let other = if rng.chance(80) { own } else { mac(rng) };
    let bytes = [(1, own), (2, other)].map(|(kind, MacAddr(a))| {
        u64::from_be_bytes([kind, 1, a[0], a[1], a[2], a[3], a[4], a[5]])
    });
    (u128::from(bytes[0]) << 64) | u128::from(bytes[1])
}
