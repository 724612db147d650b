//! A bridge in the kernel next to the same bridge in the interpreter.
#![allow(dead_code)] // not every test file needs all of it

use aorta_compiler::abi::counter;
use aorta_compiler::pipeline::counted;
use aorta_flow::table::{FlowMod, GroupMod, MeterMod, Modification, Tables};
use aorta_flow::text::{NoNames, parse_flow_line, parse_group, parse_meter};
use aorta_flow::{Attachment, Bridge, DropReason, Interpreter, OfPort, Port, Snapshot};
use aorta_kernel::Loaded;

use crate::bare::Bare;
use crate::lab::{Lab, Tap};

const TAP_MTU: u16 = 1500;
/// Verdict of a frame that leaves by a redirect.
const REDIRECTED: u32 = 7;

/// A bridge with ports 1 to 4 in the kernel, and the same in the interpreter.
pub struct Rig {
    pub lab: Lab,
    pub taps: Vec<Tap>,
    pub bare: Bare,
    entry: Loaded,
    pub reference: Interpreter,
    pub tables: Tables,
}

/// A line that adds a group or a meter, or changes flows.
pub fn modification(line: &str) -> Modification {
    if line.starts_with("group_id") {
        Modification::Group(GroupMod::Add(parse_group(line, &NoNames).unwrap()))
    } else if line.starts_with("meter") {
        Modification::Meter(MeterMod::Add(parse_meter(line).unwrap()))
    } else {
        let (command, text) = parse_flow_line(line, &NoNames).unwrap();
        Modification::Flow(FlowMod::from_text(command, text))
    }
}

/// Tables of lines: flows, groups and meters.
pub fn tables(lines: &str) -> Tables {
    let mut tables = Tables::new();
    for line in lines.lines().map(str::trim).filter(|l| !l.is_empty()) {
        let change = modification(line);
        tables
            .modify(&change)
            .unwrap_or_else(|e| panic!("{line}: {e}"));
    }
    tables
}

impl Rig {
    pub fn new(test: &str, lines: &str) -> Rig {
        let lab = Lab::new(test);
        let taps: Vec<Tap> = (1..=4)
            .map(|n| lab.tap(&format!("{test}{n}"), TAP_MTU))
            .collect();
        let devices: Vec<(u16, u32)> = (1..).zip(taps.iter().map(|t| t.ifindex.get())).collect();
        let mut bare = Bare::new(&devices, 1024);
        let tables = tables(lines);
        bare.install(&tables).unwrap_or_else(|e| panic!("{e}"));
        println!(
            "{} instructions, loaded in {:?}",
            bare.insns, bare.load_time
        );
        let entry = bare.entry(1);
        let ports = (1..).zip(&taps).map(|(number, tap)| {
            Port::new(
                tap.name.clone(),
                OfPort(number),
                Attachment::Netdev {
                    ifindex: tap.ifindex,
                    up: true,
                    mtu_bytes: TAP_MTU.into(),
                },
            )
        });
        let bridge = Bridge::new("br0".into(), ports.collect());
        let mut reference = Interpreter::new(&Snapshot {
            bridges: vec![bridge],
        });
        assert!(reference.set_tables(&"br0".into(), tables.clone()));
        Rig {
            lab,
            taps,
            bare,
            entry,
            reference,
            tables,
        }
    }

    /// What left: the number of the port and the frame, sorted.
    pub fn run(&mut self, frame: &[u8]) -> Vec<(u16, Vec<u8>)> {
        for tap in &self.taps {
            tap.receive_all();
        }
        let before: Vec<u64> = (1..=4).map(|port| self.sent(port)).collect();
        let run = self.entry.test_run(frame, 1).unwrap();
        let mut left: Vec<(u16, Vec<u8>)> = Vec::new();
        for (port, tap) in (1..).zip(&self.taps) {
            let copies = tap.receive_all();
            let sent = self.sent(port) - before[usize::from(port) - 1];
            // The last copy isn't really sent in a test run.
            if run.verdict == REDIRECTED && sent > copies.len() as u64 {
                left.push((port, run.frame.clone()));
            }
            left.extend(copies.into_iter().map(|frame| (port, frame)));
        }
        left.sort();
        left
    }

    fn sent(&self, port: u16) -> u64 {
        self.bare.counters(port)[counter::TX_PACKETS]
    }

    pub fn drops(&self) -> Vec<(DropReason, u64)> {
        let words = self.bare.counters(1);
        let all = DropReason::ALL.iter().zip(&words[counter::DROPS..]);
        all.filter(|(_, n)| **n > 0)
            .map(|(r, n)| (*r, *n))
            .collect()
    }

    /// Compares with the interpreter.
    pub fn check(&mut self, frame: &[u8]) {
        let before = self.drops();
        let left = self.run(frame);
        let verdict = self.reference.receive(&self.taps[0].name, frame, 0);
        let number = |name: &aorta_flow::PortName| {
            1 + self.taps.iter().position(|tap| tap.name == *name).unwrap() as u16
        };
        let mut expected: Vec<(u16, Vec<u8>)> = verdict
            .outputs
            .iter()
            .map(|out| (number(&out.port), out.frame.clone()))
            .collect();
        expected.sort();
        let ports = |left: &[(u16, Vec<u8>)]| left.iter().map(|l| l.0).collect::<Vec<u16>>();
        assert_eq!(ports(&left), ports(&expected), "frame {frame:02x?}");
        assert_eq!(left, expected, "frame {frame:02x?}");
        let mut dropped = std::collections::BTreeMap::from_iter(before);
        for (_, reason) in &verdict.drops {
            *dropped.entry(*reason).or_default() += 1;
        }
        let dropped: Vec<(DropReason, u64)> = dropped.into_iter().collect();
        assert_eq!(self.drops(), dropped, "frame {frame:02x?}");
        for flow in self.tables.flows() {
            let rule = self.bare.rule(flow.id).unwrap();
            let count = self.reference.flow_count(&"br0".into(), flow.id);
            let counted = self.bare.stats(rule);
            assert_eq!(counted, (count.packets, count.bytes), "{}", flow.flow);
        }
        self.check_groups(frame);
    }

    fn check_groups(&self, frame: &[u8]) {
        let counted = |id| {
            let rule = self.bare.rule(id);
            rule.map_or((0, 0), |rule| self.bare.stats(rule))
        };
        for group in self.tables.groups() {
            let id = group.id;
            let count = self.reference.group_count(&"br0".into(), id);
            let (all, buckets) = (count.all, count.buckets);
            let came = counted(counted::group_id(id));
            assert_eq!(came, (all.packets, all.bytes), "group {id}, {frame:02x?}");
            for (n, bucket) in group.buckets.iter().enumerate() {
                let count = buckets.get(&bucket.id).copied().unwrap_or_default();
                let done = counted(counted::bucket_id(id, n));
                let expected = (count.packets, count.bytes);
                assert_eq!(done, expected, "group {id}, bucket {n}, {frame:02x?}");
            }
        }
    }
}

/// A UDP packet of 60 bytes from 10.0.0.1 to 10.0.0.2.
pub fn udp(src: u16, dst: u16) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    frame.extend([0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0]);
    frame.extend([10, 0, 0, 1, 10, 0, 0, 2]);
    let sum = aorta_packet::internet_checksum(&frame[14..34]);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame.extend(src.to_be_bytes());
    frame.extend(dst.to_be_bytes());
    frame.extend([0, 26, 0, 0]);
    frame.resize(60, 0);
    frame
}
