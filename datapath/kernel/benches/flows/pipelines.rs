//! Compiled tables against programs of the same function that were written by hand.

use aorta_compiler::abi::{MapKind, MapSpec};
use aorta_ebpf::{MapId, Program};
use aorta_kernel::Map;
use aorta_packet::MacAddr;
use aorta_testing::packet::{Ipv4, Network, Packet, Transport};
use aorta_testing::{Prefix, Rng};

use crate::bare::Bare;
use crate::batch::{Batch, REDIRECT, nothing};
use crate::lpm_map::{self, ROUTES};
use crate::report::{Report, Series};
use crate::{Options, tables_of};

const STATIONS: MapId = MapId(0x9000);
const NEXT_HOPS: MapId = MapId(0x9002);
const ENTRIES: MapId = MapId(0x9004);

/// A map for programs written by hand.
pub fn map(name: &'static str, kind: MapKind, key: u32, value: u32, n: u32) -> Map {
    let spec = MapSpec {
        id: MapId(0),
        name,
        kind,
        key_bytes: key,
        value_bytes: value,
        max_entries: n,
    };
    Map::create(&spec, name).unwrap()
}

/// TCP between two addresses.
pub fn tcp(src: u32, dst: u32, ports: (u16, u16)) -> Packet {
    Packet {
        dst: MacAddr([2, 0, 0, 0, 0, 0xfe]),
        src: MacAddr([2, 0, 0, 0, 0, 1]),
        tags: Vec::new(),
        labels: Vec::new(),
        network: Network::Ipv4(Ipv4 {
            src,
            dst,
            tos: 0,
            ttl: 64,
            fragment: 0x4000,
            options: Vec::new(),
            transport: Transport::Tcp(ports.0, ports.1, 0x10),
        }),
        trailer: Vec::new(),
    }
}

/// One flow of five fields and a port.
pub fn one_flow(options: &Options, report: &mut Report) {
    let mut bare = Bare::new(&[(1, 1), (2, 1)], 16);
    let flow = "priority=1,in_port=1,tcp,nw_src=10.0.0.1,nw_dst=10.0.0.2,tp_src=1000,tp_dst=80 \
                actions=output:2";
    bare.install(&tables_of(&[flow.to_owned()])).unwrap();
    let packets = [tcp(0x0a00_0001, 0x0a00_0002, (1000, 80))];
    let by_hand = Program::parse(include_str!("by_hand/one_flow.ebpf")).unwrap();
    compare(&mut bare, &packets, &by_hand, options, report);
    report.note("limit: compiled at most 1.3 x by hand");
}

/// The same flow among those of other ports: more than are code anyway.
pub fn one_of_many(options: &Options, report: &mut Report) {
    let mut bare = Bare::new(&[(1, 1), (2, 1)], 64);
    let flow = |port: u16| {
        format!(
            "priority=1,in_port={port},tcp,nw_src=10.0.0.1,nw_dst=10.0.0.2,tp_src=1000,tp_dst=80 \
             actions=output:2"
        )
    };
    let flows: Vec<String> = (1..=30).map(flow).collect();
    bare.install(&tables_of(&flows)).unwrap();
    let packets = [tcp(0x0a00_0001, 0x0a00_0002, (1000, 80))];
    let by_hand = Program::parse(include_str!("by_hand/one_flow.ebpf")).unwrap();
    compare(&mut bare, &packets, &by_hand, options, report);
    report.note("limit: compiled at most 1.3 x by hand");
}

/// The compiled bridge and a program written by hand, on the same packets.
fn compare(
    bare: &mut Bare,
    packets: &[Packet],
    by_hand: &Program,
    options: &Options,
    report: &mut Report,
) {
    let mut batch = Batch::new(bare, packets);
    let programs = [nothing(), by_hand.clone()];
    for program in &programs {
        let loaded = bare.load(program);
        batch.add(bare, &loaded);
    }
    let own = bare.port_program(1).unwrap().unwrap();
    batch.add(bare, &own);
    let entry = bare.entry(1);
    batch.add(bare, &entry);
    let probes = packets.len().min(1000) as u32;
    assert_eq!(
        batch.answers(probes, REDIRECT),
        [probes; 4],
        "packets that nothing, the program by hand, and the compiled ones send"
    );
    let samples = batch.measure(options.rounds, options.runs());
    let [nothing, by_hand, own, shared] = &samples[..] else {
        unreachable!("four programs");
    };
    let all = [
        ("by hand", by_hand),
        ("compiled, for the port alone", own),
        ("compiled, for all ports", shared),
        ("(wrapper, subtracted)", nothing),
    ];
    for (name, samples) in all {
        report
            .series
            .push(Series::new(name, "ns/packet", samples.clone()));
    }
    let [by_hand, own, shared] = [0, 1, 2].map(|n| report.series[n].median());
    let (own, shared) = (own / by_hand, shared / by_hand);
    report.note(format!(
        "compiled for the port alone is {own:.2} x by hand, for all ports {shared:.2} x"
    ));
    report.note(format!("{} instructions in the root", bare.insns));
}

const HOPS: usize = 16;
const ROUTER: &str = "02:00:00:00:00:fe";

/// VLAN of the port, stations that may send, the router's address, routes, next hops.
pub fn five_tables(options: &Options, report: &mut Report) {
    let mut rng = Rng::new(1);
    let stations: Vec<[u8; 6]> = (0..256u32)
        .map(|n| [2, 0, 0, 1, (n >> 8) as u8, n as u8])
        .collect();
    let routes = aorta_testing::prefixes(1000, &mut rng);
    let mut bare = Bare::new(&[(1, 1), (2, 1), (3, 1), (4, 1)], 4096);
    let lines = five_table_lines(&stations, &routes);
    bare.install(&tables_of(&lines)).unwrap();
    share_maps(&mut bare, &stations, &routes);
    let packets: Vec<Packet> = (0..4096)
        .map(|_| {
            let src = MacAddr(*rng.pick(&stations));
            let dst = rng.pick(&routes).address(&mut rng);
            Packet {
                src,
                ..tcp(0x0a00_0001, dst, (1000, 80))
            }
        })
        .collect();
    let by_hand = Program::parse(include_str!("by_hand/five_tables.ebpf")).unwrap();
    compare(&mut bare, &packets, &by_hand, options, report);
    report.note("limit: compiled at most 1.5 x by hand");
}

fn hop_mac(hop: usize) -> [u8; 6] {
    [2, 0, 0, 2, 0, hop as u8]
}

fn colons(mac: &[u8; 6]) -> String {
    MacAddr(*mac).to_string()
}

fn five_table_lines(stations: &[[u8; 6]], routes: &[Prefix]) -> Vec<String> {
    let mut lines = vec![
        "table=0,priority=1,in_port=1,vlan_tci=0 actions=load:10->NXM_NX_REG0[],goto_table:1"
            .to_owned(),
        format!("table=2,priority=1,ip,reg0=10,dl_dst={ROUTER} actions=goto_table:3"),
    ];
    for mac in stations {
        lines.push(format!(
            "table=1,priority=1,reg0=10,in_port=1,dl_src={} actions=goto_table:2",
            colons(mac)
        ));
        lines.push(format!(
            "table=2,priority=1,reg0=10,dl_dst={} actions=output:3",
            colons(mac)
        ));
    }
    for (at, route) in routes.iter().enumerate() {
        let address = std::net::Ipv4Addr::from(route.bits);
        lines.push(format!(
            "table=3,priority={},ip,nw_dst={address}/{} \
             actions=dec_ttl,load:{}->NXM_NX_REG1[],goto_table:4",
            route.len + 1,
            route.len,
            at % HOPS
        ));
    }
    for hop in 0..HOPS {
        lines.push(format!(
            "table=4,priority=1,reg1={hop} actions=mod_dl_src:{ROUTER},mod_dl_dst:{},output:2",
            colons(&hop_mac(hop))
        ));
    }
    lines
}

/// What the program written by hand looks up.
fn share_maps(bare: &mut Bare, stations: &[[u8; 6]], routes: &[Prefix]) {
    let map_of_stations = map("stations", MapKind::Hash, 16, 4, 1024);
    for (at, mac) in stations.iter().enumerate() {
        let mut key = [0u8; 16];
        key[..6].copy_from_slice(mac);
        key[6..8].copy_from_slice(&1u16.to_ne_bytes());
        key[8..].copy_from_slice(&10u64.to_ne_bytes());
        let entry = (2 + at as u32).to_ne_bytes();
        map_of_stations.set(&key, &entry).unwrap();
    }
    bare.share(STATIONS, map_of_stations.raw_fd(), map_of_stations);
    let hops = map("next_hops", MapKind::Array, 4, 24, HOPS as u32);
    for hop in 0..HOPS {
        let mut value = [0u8; 24];
        value[..6].copy_from_slice(&hop_mac(hop));
        value[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 0xfe]);
        value[12..16].copy_from_slice(&2u32.to_ne_bytes());
        value[16..20].copy_from_slice(&(4000 + hop as u32).to_ne_bytes());
        hops.set(&(hop as u32).to_ne_bytes(), &value).unwrap();
    }
    bare.share(NEXT_HOPS, hops.raw_fd(), hops);
    let entries = map("entries", MapKind::PerCpuArray, 4, 24, 4096);
    bare.share(ENTRIES, entries.raw_fd(), entries);
    lpm_map::share(bare, routes, |at| [(at % HOPS) as u32, 1000 + at as u32]);
    debug_assert_eq!(ROUTES, MapId(0x9001));
}
