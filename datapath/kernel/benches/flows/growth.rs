//! Growth with the number of rules: packets spread over all rules of tables of several sizes.

use aorta_compiler::abi::MapKind;
use aorta_ebpf::{MapId, Program};
use aorta_flow::Flow;
use aorta_flow::table::{FlowMod, Modification, Tables};
use aorta_packet::MacAddr;
use aorta_testing::packet::Packet;
use aorta_testing::{AclRule, Rng, acl_flows, acl_packet, output, prefix_flows};

use crate::bare::Bare;
use crate::batch::{Batch, REDIRECT, nothing};
use crate::pipelines::{map, tcp};
use crate::report::{Report, Series, median};
use crate::{Options, floor, lpm_map, tables_of};

const FIVE_FIELDS: MapId = MapId(0x9003);
/// Packets of a batch at most.
const MAX_PACKETS: usize = 1 << 20;

/// Tables of flows.
pub fn tables(flows: &[Flow]) -> Tables {
    let mut tables = Tables::new();
    for flow in flows {
        let add = Modification::Flow(FlowMod {
            table: Some(flow.table),
            flow: flow.clone(),
            ..FlowMod::default()
        });
        tables.modify(&add).unwrap();
    }
    tables
}

/// What a table of a size was found to cost.
struct Cost {
    n: usize,
    compiled: Vec<f64>,
    /// One for each of [`floor::NAMES`].
    floors: Vec<Vec<f64>>,
    other: Option<Vec<f64>>,
}

/// Measures a table, and a program beside it.
fn cost(
    bare: &mut Bare,
    flows: &[Flow],
    packets: &[Packet],
    beside: Option<&Program>,
    options: &Options,
) -> Cost {
    bare.install(&tables(flows)).unwrap();
    let mut batch = Batch::new(bare, packets);
    let loaded = bare.load(&nothing());
    batch.add(bare, &loaded);
    let entry = bare.entry(1);
    batch.add(bare, &entry);
    floor::add(bare, &mut batch, flows.len() as u32);
    if let Some(program) = beside {
        let loaded = bare.load(program);
        batch.add(bare, &loaded);
    }
    let probes = 500;
    let sent = batch.answers(probes, REDIRECT);
    assert!(
        sent.iter().all(|n| *n == probes),
        "of {probes} packets {sent:?} were sent"
    );
    let runs = options.runs().max(packets.len() as u32);
    let mut samples = batch.measure(options.rounds, runs).into_iter().skip(1);
    Cost {
        n: flows.len(),
        compiled: samples.next().unwrap_or_default(),
        floors: samples.by_ref().take(floor::NAMES.len()).collect(),
        other: samples.next(),
    }
}

/// Adds the series of a growth, and how much it is.
fn tell(costs: Vec<Cost>, report: &mut Report, bare_name: &str) {
    let first = |of: &dyn Fn(&Cost) -> Option<f64>| costs.first().and_then(of);
    let compiled = |cost: &Cost| Some(median(&cost.compiled));
    let other = |cost: &Cost| cost.other.as_deref().map(median);
    for cost in &costs {
        let growth = compiled(cost).zip(first(&compiled)).map(|(a, b)| a / b);
        let theirs = other(cost).zip(first(&other)).map(|(a, b)| a / b);
        let mut note = format!(
            "{} rules: {:.2} x the smallest",
            cost.n,
            growth.unwrap_or(0.0)
        );
        if let Some(theirs) = theirs {
            note.push_str(&format!("; {bare_name} {theirs:.2} x"));
        }
        let floor = cost.floors.last().map_or(f64::NAN, |floor| median(floor));
        let above = compiled(cost).map_or(f64::NAN, |ns| ns / floor);
        note.push_str(&format!("; {above:.2} x the floor of three reads"));
        report.note(note);
    }
    for cost in costs {
        let name = format!("compiled, {}", cost.n);
        report
            .series
            .push(Series::new(name, "ns/packet", cost.compiled));
        for (name, samples) in floor::NAMES.into_iter().zip(cost.floors) {
            let name = format!("{name}, {}", cost.n);
            report.series.push(Series::new(name, "ns/packet", samples));
        }
        if let Some(samples) = cost.other {
            let name = format!("{bare_name}, {}", cost.n);
            report.series.push(Series::new(name, "ns/packet", samples));
        }
    }
}

/// Five fields, exactly.
pub fn hash(options: &Options, report: &mut Report) {
    let sizes: &[usize] = match options.quick {
        true => &[10, 1000],
        false => &[10, 1000, 100_000, 1_000_000],
    };
    let program = Program::parse(include_str!("by_hand/lookup.ebpf")).unwrap();
    let costs = sizes.iter().map(|&n| {
        let mut bare = Bare::new(&[(1, 1), (2, 1)], n as u32 + 1);
        let mut rng = Rng::new(n as u64);
        let packets: Vec<(u32, u32, u16)> = (0..n as u32)
            .map(|at| (0x0a00_0000 | at, rng.next_u32(), (at % 60_000) as u16 + 1))
            .collect();
        let five_fields = map("five_fields", MapKind::Hash, 16, 4, n as u32);
        let flows: Vec<Flow> = packets
            .iter()
            .map(|(src, dst, port)| {
                let mut key = [0u8; 16];
                key[..4].copy_from_slice(&src.to_be_bytes());
                key[4..8].copy_from_slice(&dst.to_be_bytes());
                key[8..10].copy_from_slice(&port.to_be_bytes());
                key[10..12].copy_from_slice(&80u16.to_be_bytes());
                key[12] = 6;
                five_fields.set(&key, &1u32.to_ne_bytes()).unwrap();
                five_tuple(*src, *dst, *port)
            })
            .collect();
        bare.share(FIVE_FIELDS, five_fields.raw_fd(), five_fields);
        let mut packets: Vec<Packet> = packets
            .into_iter()
            .map(|(src, dst, port)| tcp(src, dst, (port, 80)))
            .collect();
        shuffle(&mut packets, &mut rng);
        cost(&mut bare, &flows, &packets, Some(&program), options)
    });
    tell(costs.collect(), report, "the kernel's hash map");
    report.note("limit: 1.15 x the growth of the kernel's hash map");
}

/// A flow of five fields.
pub fn five_tuple(src: u32, dst: u32, port: u16) -> Flow {
    use aorta_flow::field::FieldId;
    let mut matching = aorta_flow::Match::any();
    for (field, value) in [
        (FieldId::ETH_TYPE, 0x800),
        (FieldId::NW_PROTO, 6),
        (FieldId::IP_SRC, src.into()),
        (FieldId::IP_DST, dst.into()),
        (FieldId::TCP_SRC, port.into()),
        (FieldId::TCP_DST, 80),
    ] {
        matching.set(field, value).unwrap();
    }
    Flow {
        matching,
        instructions: aorta_flow::action::Instructions::apply(output(2)).into(),
        ..Flow::default()
    }
}

fn shuffle<T>(list: &mut [T], rng: &mut Rng) {
    for at in (1..list.len()).rev() {
        list.swap(at, rng.below(at + 1));
    }
}

/// Routes of the Internet.
pub fn prefixes(options: &Options, report: &mut Report) {
    let sizes: &[usize] = match options.quick {
        true => &[10, 1000],
        false => &[10, 1000, 10_000, 100_000, 500_000],
    };
    let program = Program::parse(include_str!("by_hand/prefix.ebpf")).unwrap();
    let costs = sizes.iter().map(|&n| {
        let mut rng = Rng::new(7);
        let prefixes = aorta_testing::prefixes(n, &mut rng);
        let mut bare = Bare::new(&[(1, 1), (2, 1)], n as u32 + 1);
        lpm_map::share(&mut bare, &prefixes, |_| [1, 0]);
        let flows = prefix_flows(&prefixes, 0, &[output(2)]);
        let many = (n * 4).clamp(4096, MAX_PACKETS);
        let packets: Vec<Packet> = (0..many)
            .map(|_| tcp(1, rng.pick(&prefixes).address(&mut rng), (1000, 80)))
            .collect();
        cost(&mut bare, &flows, &packets, Some(&program), options)
    });
    tell(costs.collect(), report, "the kernel's trie");
    report.note("limits at 500,000: 3 x the smallest, and half of what the kernel's trie takes");
}

/// Access lists of five fields.
pub fn acl(options: &Options, report: &mut Report) {
    let sizes: &[usize] = match options.quick {
        true => &[10, 1000],
        false => &[10, 1000, 10_000, 100_000],
    };
    let costs = sizes.iter().map(|&n| {
        let mut rng = Rng::new(3);
        let rules = aorta_testing::acl(n, &mut rng);
        let flows = acl_flows(&rules, n, 0, &[output(2)]);
        let mut bare = Bare::new(&[(1, 1), (2, 1)], n as u32 + 1);
        // Ranges take several flows, so not all rules have theirs.
        let flows_of = |rule: &AclRule| rule.src_ports.masks().len() * rule.dst_ports.masks().len();
        let mut left = n;
        let fits = |rule: &&AclRule| {
            let rest = left.checked_sub(flows_of(rule));
            left = rest.unwrap_or(0);
            rest.is_some()
        };
        let there = rules.iter().take_while(fits).count();
        let many = (n * 4).clamp(4096, MAX_PACKETS);
        let packets: Vec<Packet> = (0..many)
            .map(|_| acl_packet(&rules[rng.below(there)], &mut rng))
            .collect();
        cost(&mut bare, &flows, &packets, None, options)
    });
    tell(costs.collect(), report, "");
    report.note("limits: 3 x at 1,000, 5 x at 10,000, 8 x at 100,000");
}

/// Random headers against access lists of a few masks: what do other packets notice of it?
pub fn attack(options: &Options, report: &mut Report) {
    for masks in [8usize, 13] {
        let mut rng = Rng::new(5);
        let mut bare = Bare::new(&[(1, 1), (2, 1)], 1024);
        let mut lines = vec!["priority=0 actions=drop".to_owned()];
        let allowed = 0x0a00_0000u32;
        for mask in 0..masks {
            // Each mask has a prefix length and a port of its own.
            let len = 32 - mask;
            let address = std::net::Ipv4Addr::from(allowed + ((mask as u32 + 1) << 16));
            lines.push(format!(
                "priority={},tcp,nw_src={address}/{len},tp_dst={} actions=output:2",
                100 + mask,
                1000 + mask
            ));
        }
        bare.install(&tables_of(&lines)).unwrap();
        let good: Vec<Packet> = (0..4096)
            .map(|_| {
                let mask = rng.below(masks);
                let src = allowed + ((mask as u32 + 1) << 16);
                tcp(src, 1, (1, 1000 + mask as u16))
            })
            .collect();
        let bad: Vec<Packet> = (0..1 << 16)
            .map(|_| Packet {
                src: MacAddr([2, 0, 0, 9, 9, 9]),
                ..tcp(
                    rng.next_u32(),
                    rng.next_u32(),
                    (rng.next_u32() as u16, rng.next_u32() as u16),
                )
            })
            .collect();
        let mut time = |packets: &[Packet]| {
            let mut batch = Batch::new(&mut bare, packets);
            let loaded = bare.load(&nothing());
            batch.add(&mut bare, &loaded);
            let entry = bare.entry(1);
            batch.add(&mut bare, &entry);
            let samples = batch.measure(options.rounds, options.runs());
            samples.into_iter().nth(1).unwrap_or_default()
        };
        // Before, during and after: nothing of the attack may stay.
        let before = time(&good);
        let during = time(&bad);
        let after = time(&good);
        let slower = median(&after) / median(&before);
        report.note(format!(
            "{masks} masks: after the attack, legitimate packets take {slower:.2} x the time \
             before (limit 1.05)"
        ));
        for (name, samples) in [
            ("legitimate before", before),
            ("attacking", during),
            ("legitimate after", after),
        ] {
            let name = format!("{masks} masks, {name}");
            report.series.push(Series::new(name, "ns/packet", samples));
        }
    }
}

/// Passes over many flows, each packet once: the first since they were installed, and later ones. Both
/// find nothing of the flows near the processor.
pub fn first_packet(options: &Options, report: &mut Report) {
    const FLOWS: u32 = 1 << 15;
    const LATER: usize = 3;
    let (mut first, mut later) = (Vec::new(), Vec::new());
    let tuple = |at: u32| {
        (
            0x0a00_0000 + at,
            at.wrapping_mul(0x9e37_79b9),
            at as u16 | 1,
        )
    };
    let (flows, packets): (Vec<Flow>, Vec<Packet>) = (0..FLOWS)
        .map(tuple)
        .map(|(src, dst, port)| (five_tuple(src, dst, port), tcp(src, dst, (port, 80))))
        .unzip();
    let tables = tables(&flows);
    let mut cold = Cold::new();
    for _ in 0..options.rounds {
        let mut bare = Bare::new(&[(1, 1), (2, 1)], FLOWS + 1);
        bare.install(&tables).unwrap();
        let mut batch = Batch::new(&mut bare, &packets);
        let entry = bare.entry(1);
        batch.add(&mut bare, &entry);
        // What isn't of these flows warms the program itself up.
        let mut others = Batch::new(&mut bare, &[tcp(1, 1, (1, 1))]);
        others.add(&mut bare, &entry);
        let mut pass = || {
            cold.begin();
            others.once(1000);
            batch.once(FLOWS)
        };
        first.push(pass());
        let mut passes: Vec<f64> = (0..LATER).map(|_| pass()).collect();
        passes.sort_by(f64::total_cmp);
        later.push(passes[LATER / 2]);
    }
    let ratio = median(&first) / median(&later);
    report.note(format!(
        "the first pass over {FLOWS} flows takes {ratio:.2} x the time of later ones (limit 1.2)"
    ));
    for (name, samples) in [("later passes", later), ("first pass", first)] {
        let name = format!("{name}, with wrapper");
        report.series.push(Series::new(name, "ns/packet", samples));
    }
}

/// Memory that is read to have the processor forget other memory.
struct Cold(Vec<u64>);

impl Cold {
    fn new() -> Cold {
        const BYTES: usize = 128 << 20;
        Cold((0..BYTES as u64 / 8).collect())
    }

    fn begin(&mut self) {
        const WORDS_OF_A_LINE: usize = 8;
        let lines = self.0.iter_mut().step_by(WORDS_OF_A_LINE);
        lines.for_each(|word| *word = word.wrapping_add(1));
    }
}
