//! Pipelines in the kernel, one rule each, against the interpreter: what leaves where, byte by byte,
//! what is dropped and why, which flows counted it. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bare;
mod lab;

use aorta_compiler::abi::counter;
use aorta_flow::table::{FlowMod, Modification, Tables};
use aorta_flow::text::{NoNames, parse_flow_line};
use aorta_flow::{Attachment, Bridge, DropReason, Interpreter, OfPort, Port, PortVlan, Snapshot};
use aorta_kernel::Loaded;
use bare::Bare;
use lab::{Lab, Tap};

const TAP_MTU: u16 = 1500;
/// Verdict of a frame that leaves by a redirect.
const REDIRECTED: u32 = 7;

/// A bridge with ports 1 to 4 in the kernel, and the same in the interpreter.
struct Rig {
    lab: Lab,
    taps: Vec<Tap>,
    bare: Bare,
    entry: Loaded,
    reference: Interpreter,
    tables: Tables,
}

fn tables(lines: &str) -> Tables {
    let mut tables = Tables::new();
    for line in lines.lines().map(str::trim).filter(|l| !l.is_empty()) {
        let (command, text) = parse_flow_line(line, &NoNames).unwrap();
        let change = Modification::Flow(FlowMod::from_text(command, text));
        tables
            .modify(&change)
            .unwrap_or_else(|e| panic!("{line}: {e}"));
    }
    tables
}

impl Rig {
    fn new(test: &str, lines: &str) -> Rig {
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
        let ports = (1..).zip(&taps).map(|(number, tap)| Port {
            name: tap.name.clone(),
            ofport: OfPort(number),
            vlan: PortVlan::DEFAULT,
            attachment: Attachment::Netdev {
                ifindex: tap.ifindex,
                up: true,
                mtu_bytes: TAP_MTU.into(),
            },
        });
        let bridge = Bridge {
            name: "br0".into(),
            mac_aging_s: 300,
            mac_table_size: 100,
            forward_bpdu: false,
            ports: ports.collect(),
        };
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
    fn run(&mut self, frame: &[u8]) -> Vec<(u16, Vec<u8>)> {
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

    fn drops(&self) -> Vec<(DropReason, u64)> {
        let words = self.bare.counters(1);
        let all = DropReason::ALL.iter().zip(&words[counter::DROPS..]);
        all.filter(|(_, n)| **n > 0)
            .map(|(r, n)| (*r, *n))
            .collect()
    }

    /// Compares with the interpreter.
    fn check(&mut self, frame: &[u8]) {
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
    }
}

fn udp(src: u16, dst: u16) -> Vec<u8> {
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

#[test]
fn outputs_leave_where_they_are_told() {
    let mut rig = Rig::new(
        "po",
        "priority=9,udp,tp_dst=1 actions=output:2
         priority=8,udp,tp_dst=2 actions=output:2,output:3
         priority=7,udp,tp_dst=3 actions=all
         priority=6,udp,tp_dst=4 actions=output:1,in_port
         priority=5,udp,tp_dst=5 actions=output:77
         priority=5,udp,tp_dst=6 actions=drop
         priority=5,udp,tp_dst=7 actions=output:77,output:2,output:9",
    );
    for port in 1..=8 {
        rig.check(&udp(1000, port));
    }
    assert!(rig.lab.config().pin_dir.is_absolute());
}

#[test]
fn tables_lead_to_tables() {
    let mut rig = Rig::new(
        "pt",
        "table=0,udp,tp_dst=1 actions=resubmit(,1),output:3
         table=0,udp,tp_dst=2 actions=set_field:5->reg0,goto_table:1
         table=0,udp,tp_dst=3 actions=resubmit(7,1)
         table=0,udp,tp_dst=4 actions=resubmit(,2),resubmit(,2)
         table=0,udp,tp_dst=5 actions=resubmit(,3)
         table=1,reg0=5 actions=output:2
         table=1,in_port=7 actions=output:4,resubmit(,1)
         table=1,priority=1 actions=output:2
         table=2 actions=resubmit(,1)
         table=3 actions=output:2,resubmit(,4)
         table=4 actions=resubmit(,3)",
    );
    for port in 1..=6 {
        rig.check(&udp(1000, port));
    }
}

#[test]
fn copies_are_copies() {
    let mut rig = Rig::new(
        "pc",
        "table=0,udp,tp_dst=1 actions=clone(set_field:1->reg0,resubmit(,1)),resubmit(,1)
         table=0,udp,tp_dst=2 actions=set_field:1->reg0,push:NXM_NX_REG0[],\
            clone(pop:NXM_NX_REG1[],load:2->NXM_NX_REG0[],push:NXM_NX_REG0[]),\
            pop:NXM_NX_REG2[],resubmit(,2)
         table=0,udp,tp_dst=3 actions=clone(set_field:02:00:00:00:00:77->eth_dst,output:2),output:3
         table=0,udp,tp_dst=4 actions=clone(exit),output:3
         table=0,udp,tp_dst=5 actions=clone(resubmit(,3)),output:3
         table=1,reg0=1 actions=output:2
         table=1,reg0=0 actions=output:3
         table=2,reg2=1,reg0=1 actions=output:4
         table=3,ip actions=dec_ttl,output:2,exit",
    );
    for port in 1..=5 {
        rig.check(&udp(1000, port));
    }
}

#[test]
fn fields_are_set_moved_and_kept() {
    let mut rig = Rig::new(
        "pf",
        "table=0,udp,tp_dst=1 actions=set_field:10.9.8.7->ip_dst,set_field:7->udp_src,output:2,\
            set_field:02:02:02:02:02:02->eth_src,output:3
         table=0,udp,tp_dst=2 actions=move:NXM_OF_ETH_SRC[]->NXM_NX_REG0[0..15]
         table=0,udp,tp_dst=3 actions=move:NXM_OF_IP_SRC[0..7]->NXM_NX_XXREG0[60..67],\
            load:0x3->NXM_NX_REG3[4..7],resubmit(,1)
         table=0,udp,tp_dst=4 actions=push_vlan:0x8100,set_field:4101->vlan_vid,output:2,\
            pop_vlan,output:3
         table=0,udp,tp_dst=5 actions=dec_ttl,dec_ttl,output:2
         table=0,udp,tp_dst=6 actions=write_metadata:0x55/0xff,goto_table:2
         table=0,udp,tp_dst=7 actions=load:3->NXM_NX_REG0[],output:NXM_NX_REG0[]
         table=1,reg1=0,reg2=0x10000000/0xf0000000,reg3=0x30 actions=output:2
         table=2,metadata=0x55/0xff actions=output:2"
            .replace("move:NXM_OF_ETH_SRC[]->NXM_NX_REG0[0..15]", "output:4")
            .as_str(),
    );
    for port in 1..=7 {
        rig.check(&udp(1000, port));
    }
}

#[test]
fn action_sets_are_done_at_the_end() {
    let mut rig = Rig::new(
        "pa",
        "table=0,udp,tp_dst=1 actions=write_actions(output:2)
         table=0,udp,tp_dst=2 actions=write_actions(output:2),goto_table:1
         table=0,udp,tp_dst=3 actions=write_actions(output:2),goto_table:2
         table=0,udp,tp_dst=4 actions=write_actions(set_field:10.9.9.9->ip_src,output:2),\
            goto_table:3
         table=0,udp,tp_dst=5 actions=write_actions(set_field:10.9.9.9->ip_src)
         table=0,udp,tp_dst=6 actions=output:4,write_actions(dec_ttl,resubmit(,4)),goto_table:1
         table=1 actions=write_actions(output:3)
         table=2 actions=clear_actions
         table=3,ip actions=output:4,write_actions(set_field:10.8.8.8->ip_src)
         table=4 actions=output:2",
    );
    for port in 1..=6 {
        rig.check(&udp(1000, port));
    }
}

/// Flows of table 1 for the ports from 1 to `count`, each to another port than its neighbours, with
/// another address.
fn many(count: u16) -> String {
    let flow = |port: u16| {
        let out = 2 + port % 3;
        format!(
            "table=1,udp,tp_dst={port} actions=set_field:10.1.{}.{}->ip_dst,output:{out}\n",
            port / 256,
            port % 256
        )
    };
    let flows: String = (1..=count).map(flow).collect();
    format!("table=0,ip actions=resubmit(,1),resubmit(,1),output:4\n{flows}")
}

#[test]
fn flows_in_memory_bring_their_constants() {
    let mut rig = Rig::new("pm", &many(300));
    for port in [1, 2, 3, 255, 256, 300, 301] {
        rig.check(&udp(1000, port));
    }
}

#[test]
fn flows_come_and_go_without_another_program() {
    let mut rig = Rig::new("pu", &many(100));
    let changes = [
        "table=1,udp,tp_dst=500 actions=set_field:10.1.7.7->ip_dst,output:3",
        "delete_strict table=1,priority=32768,udp,tp_dst=5",
        "modify_strict table=1,udp,tp_dst=6 actions=set_field:10.1.9.9->ip_dst,output:2",
        "table=1,priority=40000,udp,tp_dst=7 actions=set_field:10.1.8.8->ip_dst,output:4",
    ];
    for line in changes {
        let (command, text) = parse_flow_line(line, &NoNames).unwrap();
        let change = Modification::Flow(FlowMod::from_text(command, text));
        let bundle = std::slice::from_ref(&change);
        let done = rig.tables.modify(&change).unwrap();
        assert!(rig.bare.change(&done), "{line}");
        rig.reference.modify(&"br0".into(), bundle).unwrap();
        for port in [4, 5, 6, 7, 500] {
            rig.check(&udp(1000, port));
        }
    }
}
