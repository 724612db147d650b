//! The XDP form of tables against a program that does nothing but redirect: live frames, from one
//! device to another whose far end drops them. All of it runs on the processor that makes the frames,
//! so what a frame costs is all that there is.

use std::os::fd::OwnedFd;
use std::process::Command;

use aorta_compiler::XdpMode;
use aorta_compiler::abi::{MAX_BRIDGES, XDP_JUMPS};
use aorta_compiler::pipeline::memory::Memory;
use aorta_ebpf::{Assembler, Cond, Helper, MapId, Program, Reg, Size};
use aorta_flow::table::Tables;
use aorta_kernel::{Loaded, MappedMemory};
use aorta_testing::Rng;
use aorta_testing::packet::Packet;

use crate::bare::Bare;
use crate::growth::{five_tuple, tables};
use crate::lab::Lab;
use crate::pipelines::tcp;
use crate::report::{Report, Series, median};
use crate::{Options, floor, tables_of};

use Reg::{R0, R1, R2, R3, R4, R5, R6};

const PACKETS: MapId = MapId(0x9200);
const NEXT: MapId = MapId(0x9201);
const HEADER_BYTES: usize = 48;
const PLACE_BYTES: usize = 64;
const FRAME_BYTES: usize = 64;
/// Offsets in `struct xdp_md`, and verdicts.
const DATA: i16 = 0;
const DATA_END: i16 = 4;
const DROP: i32 = 1;
const FLOWS: u32 = 100_000;
/// Packets in memory.
const PLACES: u32 = 1 << 18;

/// Two devices whose far ends drop all.
struct Devices {
    from: u32,
    to: u32,
    _sink: OwnedFd,
    _lab: Lab,
}

impl Devices {
    fn new(bare: impl FnOnce(&Program) -> Loaded) -> Devices {
        let lab = Lab::new("bxdp");
        for name in ["bxa", "bxb"] {
            let peer = format!("{name}p");
            ip(&["link", "add", name, "type", "veth", "peer", "name", &peer]);
            ip(&["link", "set", name, "up"]);
            ip(&["link", "set", &peer, "up"]);
        }
        let drop = bare(&verdict(DROP));
        Devices {
            from: ifindex("bxa"),
            to: ifindex("bxb"),
            _sink: drop.attach_xdp(ifindex("bxbp"), true).unwrap(),
            _lab: lab,
        }
    }
}

fn ip(args: &[&str]) {
    let status = Command::new("ip").args(args).status().unwrap();
    assert!(status.success(), "ip {args:?}");
}

fn ifindex(name: &str) -> u32 {
    let socket = rustix::net::socket(
        rustix::net::AddressFamily::UNIX,
        rustix::net::SocketType::DGRAM,
        None,
    );
    rustix::net::netdevice::name_to_index(socket.unwrap(), name).unwrap()
}

fn verdict(number: i32) -> Program {
    let mut a = Assembler::new("verdict");
    a.mov(R0, number);
    a.exit();
    a.finish().unwrap()
}

fn redirect(to: u32) -> Program {
    let mut a = Assembler::new("bare_redirect");
    a.mov(R1, to as i32);
    a.mov(R2, 0);
    a.call(Helper::Redirect);
    a.exit();
    a.finish().unwrap()
}

/// Writes the next packet's headers over the frame, and jumps on.
fn next_packet(places: u32, index: u32) -> Program {
    let mut a = Assembler::new("next_packet");
    let short = a.label("short");
    a.mov(R6, R1);
    a.load_map_value(R1, NEXT, 0);
    a.load(Size::Dw, R2, R1, 0);
    a.mov(R3, R2);
    a.add(R3, 1);
    a.store(Size::Dw, R1, 0, R3);
    a.and(R2, places as i32 - 1);
    a.lsh(R2, PLACE_BYTES.trailing_zeros() as i32);
    a.load_map_value(R1, PACKETS, 0);
    a.add(R1, R2);
    a.load(Size::W, R2, R6, DATA);
    a.load(Size::W, R3, R6, DATA_END);
    a.mov(R4, R2);
    a.add(R4, HEADER_BYTES as i32);
    a.jump_if(Cond::Gt, R4, R3, short);
    for at in (0..HEADER_BYTES as i16).step_by(8) {
        a.load(Size::Dw, R5, R1, at);
        a.store(Size::Dw, R2, at, R5);
    }
    a.mov(R1, R6);
    a.tail_call(XDP_JUMPS.id, index);
    a.bind(short);
    a.mov(R0, DROP);
    a.exit();
    a.finish().unwrap()
}

/// All programs in turns, in nanoseconds a frame; the ratios of frames a second to the first's.
fn compare(
    name: &str,
    sides: &[(&str, &Loaded)],
    frame: &[u8],
    from: u32,
    options: &Options,
    report: &mut Report,
) {
    let frames = options.runs() * 2;
    let mut samples = vec![Vec::new(); sides.len()];
    for round in 0..=options.rounds {
        for ((_, program), samples) in sides.iter().zip(&mut samples) {
            let ns = program.run_live(frame, from, frames).unwrap();
            if round > 0 {
                samples.push(f64::from(ns));
            }
        }
    }
    for ((side, _), of_side) in sides.iter().zip(&samples).skip(1) {
        // What loads the machine loads both sides of a round.
        let ratios = samples[0].iter().zip(of_side).map(|(bare, ns)| bare / ns);
        let ratio = median(&ratios.collect::<Vec<f64>>());
        report.note(format!(
            "{name}, {side}: {ratio:.2} x the frames a second of the bare redirect (limit 0.85)"
        ));
    }
    for ((side, _), samples) in sides.iter().zip(samples) {
        let name = format!("{name}, {side}");
        report.series.push(Series::new(name, "ns/frame", samples));
    }
}

fn frame_of(packet: &Packet) -> Vec<u8> {
    let mut frame = packet.bytes();
    frame.resize(frame.len().max(FRAME_BYTES), 0);
    frame
}

/// The XDP programs of port 1 for tables: its own, and its way by the bridge's XDP form.
fn programs(bare: &mut Bare, tables: &Tables) -> [Loaded; 2] {
    bare.install(tables).unwrap();
    assert_ne!(bare.install_xdp().unwrap(), 0);
    bare.next_epoch();
    let own = bare.xdp_port_program(1, XdpMode::Native).unwrap();
    [own.unwrap(), bare.xdp_entry(1, XdpMode::Native)]
}

const SIDES: [&str; 5] = [
    "bare redirect",
    "redirect that looks at headers",
    "floor: bucket, record, counters",
    "of the port",
    "of all ports",
];

/// What all comparisons have in common.
struct Rig {
    bare: Bare,
    devices: Devices,
    by_hand: Loaded,
    frame: Vec<u8>,
}

impl Rig {
    fn new(packet: &Packet) -> Rig {
        let mut first = Bare::new(&[], 16);
        let devices = Devices::new(|program| first.load_xdp(program));
        let mut bare = Bare::new(&[(1, devices.from), (2, devices.to)], FLOWS + 1);
        Rig {
            by_hand: bare.load_xdp(&redirect(devices.to)),
            bare,
            devices,
            frame: frame_of(packet),
        }
    }

    /// Compares all sides for tables of so many rules, each packet with the next headers if they are
    /// `wrapped`.
    fn compare(
        &mut self,
        (name, tables, rules): (&str, &Tables, u32),
        wrapped: bool,
        options: &Options,
        report: &mut Report,
    ) {
        let [headers, floor] = floor::xdp(&mut self.bare, self.devices.to, rules);
        let [own, entry] = programs(&mut self.bare, tables);
        let all = [&self.by_hand, &headers, &floor, &own, &entry];
        let around = wrapped.then(|| wrap(&mut self.bare, &all, &self.frame));
        let all = around.as_ref().map_or(all, |around| around.each_ref());
        let sides: Vec<_> = SIDES.into_iter().zip(all).collect();
        compare(
            name,
            &sides,
            &self.frame,
            self.devices.from,
            options,
            report,
        );
    }
}

/// One flow of five fields, 100,000 through few flows of tables, and through as many.
pub fn xdp(options: &Options, report: &mut Report) {
    let mut rig = Rig::new(&tcp(0x0a00_0001, 0x0a00_0002, (1000, 80)));
    let flow = "priority=1,in_port=1,tcp,nw_src=10.0.0.1,nw_dst=10.0.0.2,tp_src=1000,tp_dst=80 \
                actions=output:2";
    let one = tables_of(&[flow.to_owned()]);
    rig.compare(("one flow", &one, 1), false, options, report);

    let tuple = |at: u32| {
        (
            0x0a00_0000 + at,
            at.wrapping_mul(0x9e37_79b9),
            at as u16 | 1,
        )
    };
    let flows: Vec<_> = (0..FLOWS).map(tuple).collect();
    let few = [
        "priority=9,in_port=1,arp actions=output:2",
        "priority=8,in_port=1,tcp,tp_dst=22 actions=drop",
        "priority=7,in_port=1,udp,tp_dst=53 actions=output:2",
        "priority=6,in_port=1,tcp,tp_dst=80 actions=output:2",
        "priority=5,in_port=2 actions=output:1",
        "priority=1 actions=drop",
    ];
    let few = tables_of(&few.map(str::to_owned));
    let many: Vec<_> = flows.iter().map(|f| five_tuple(f.0, f.1, f.2)).collect();
    share_packets(&mut rig.bare, &flows);
    let name = "100,000 flows through 6 rules";
    rig.compare((name, &few, 6), true, options, report);
    let name = "100,000 flows through 100,000 rules";
    rig.compare((name, &tables(&many), FLOWS), true, options, report);
    let bare = &rig.bare;
    let seen: u64 = bare.counters(1)[aorta_compiler::abi::counter::RX_PACKETS];
    let sent: u64 = bare.counters(2)[aorta_compiler::abi::counter::TX_PACKETS];
    assert!(
        seen > 0 && seen == sent,
        "{sent} of {seen} frames were sent"
    );
}

/// Headers of random ones of these flows, for [`next_packet`].
fn share_packets(bare: &mut Bare, flows: &[(u32, u32, u16)]) {
    let mut memory = MappedMemory::create("packets", PLACES * PLACE_BYTES as u32).unwrap();
    let mut rng = Rng::new(9);
    for place in 0..PLACES {
        let (src, dst, port) = *rng.pick(flows);
        let frame = frame_of(&tcp(src, dst, (port, 80)));
        memory.fill(place * PLACE_BYTES as u32, &frame[..HEADER_BYTES]);
    }
    bare.share_memory(PACKETS, memory);
    bare.share_memory(NEXT, MappedMemory::create("next", 8).unwrap());
}

/// The programs behind one that writes the next packet's headers.
fn wrap(bare: &mut Bare, programs: &[&Loaded; 5], frame: &[u8]) -> [Loaded; 5] {
    let mut at = MAX_BRIDGES;
    let wrapped = programs.map(|program| {
        at -= 1;
        bare.put_xdp(at, program);
        bare.load_xdp(&next_packet(PLACES, at))
    });
    const REDIRECT: u32 = 4;
    for _ in 0..1000 {
        let all = wrapped
            .each_ref()
            .map(|program| program.test_run(frame, 1).unwrap().verdict);
        assert_eq!(all, [REDIRECT; 5], "verdicts of all");
    }
    wrapped
}
