//! The XDP form of pipelines against the form at tcx and against the interpreter, in test runs:
//! what it takes, it does as they do; what it leaves to tcx, it leaves without a trace. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bare;
mod lab;
mod xdp_frames;

use std::collections::BTreeMap;

use aorta_compiler::XdpMode;
use aorta_compiler::abi::{counter, port};
use aorta_flow::table::{FlowId, Tables};
use aorta_flow::{Attachment, Bridge, DropReason, Interpreter, OfPort, Port, Snapshot, Verdict};
use aorta_kernel::Loaded;
use aorta_testing::tables::{Kind, Profile, random_case};
use aorta_testing::{Case, Frame, Offload, Rng};

use bare::{Bare, MTU_BYTES};
use lab::{Lab, Tap};
use xdp_frames::{frames_of_all_depths, udp};

const PORTS: u16 = 4;
const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const XDP_REDIRECT: u32 = 4;
const TC_SHOT: u32 = 2;
const TC_REDIRECT: u32 = 7;
const MAX_RULES: u32 = 1024;

/// A bridge in the kernel, in both forms.
struct Rig {
    bare: Bare,
    taps: Vec<Tap>,
    tc: Vec<Loaded>,
    xdp: Vec<Loaded>,
    /// Programs of single ports, where the tables installed last have them.
    own: Vec<Loaded>,
    _lab: Lab,
}

/// All that is counted: words of each port, packets and bytes of each flow.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Counted {
    ports: Vec<Vec<u64>>,
    flows: BTreeMap<FlowId, (u64, u64)>,
}

impl Counted {
    fn since(&self, before: &Counted) -> Counted {
        let less =
            |now: &[u64], before: &[u64]| now.iter().zip(before).map(|(n, b)| n - b).collect();
        let ports = self.ports.iter().zip(&before.ports);
        let flows = self.flows.iter().map(|(flow, now)| {
            let before = before.flows[flow];
            (*flow, (now.0 - before.0, now.1 - before.1))
        });
        Counted {
            ports: ports.map(|(now, before)| less(now, before)).collect(),
            flows: flows.collect(),
        }
    }

    /// Numbers of ports that were sent to.
    fn sent_to(&self) -> Vec<u16> {
        let sent = (1..).zip(&self.ports);
        let sent = sent.filter(|(_, words)| words[counter::TX_PACKETS] > 0);
        sent.map(|(number, _)| number).collect()
    }

    fn dropped(&self, port: u16) -> Vec<DropReason> {
        let words = &self.ports[usize::from(port) - 1][counter::DROPS..];
        let reasons = DropReason::ALL.iter().zip(words);
        reasons.filter(|(_, n)| **n > 0).map(|(r, _)| *r).collect()
    }
}

impl Rig {
    fn new(test: &str) -> Rig {
        let lab = Lab::new(test);
        let taps: Vec<Tap> = (1..=PORTS)
            .map(|n| lab.tap(&format!("{test}{n}"), MTU_BYTES as u16))
            .collect();
        let devices: Vec<(u16, u32)> = (1..).zip(taps.iter().map(|t| t.ifindex.get())).collect();
        let mut bare = Bare::new(&devices, MAX_RULES);
        Rig {
            tc: (1..=PORTS).map(|port| bare.entry(port)).collect(),
            xdp: (1..=PORTS)
                .map(|port| bare.xdp_entry(port, XdpMode::Native))
                .collect(),
            own: Vec::new(),
            bare,
            taps,
            _lab: lab,
        }
    }

    /// Installs tables in all forms.
    fn install(&mut self, tables: &Tables) -> Result<bool, String> {
        self.bare.install(tables)?;
        self.bare.clear_stats();
        let insns = self.bare.install_xdp().unwrap_or_else(|e| panic!("{e}"));
        self.bare.next_epoch();
        let own = (1..=PORTS).map(|port| self.bare.xdp_port_program(port, XdpMode::Native));
        let own = own.map(|program| program.unwrap_or_else(|e| panic!("{e}")));
        self.own = own.flatten().collect();
        Ok(insns != 0)
    }

    fn counted(&self, tables: &Tables) -> Counted {
        let stats = |id| self.bare.stats(self.bare.rule(id).unwrap());
        Counted {
            ports: (1..=PORTS).map(|port| self.bare.counters(port)).collect(),
            flows: tables.flows().map(|f| (f.id, stats(f.id))).collect(),
        }
    }

    fn reference(&self, tables: &Tables) -> Interpreter {
        let ports = (1..).zip(&self.taps).map(|(number, tap)| {
            Port::new(
                tap.name.clone(),
                OfPort(number),
                Attachment::Netdev {
                    ifindex: tap.ifindex,
                    up: true,
                    mtu_bytes: MTU_BYTES,
                },
            )
        });
        let bridge = Bridge::new("br0".into(), ports.collect());
        let mut reference = Interpreter::new(&Snapshot {
            bridges: vec![bridge],
        });
        assert!(reference.set_tables(&"br0".into(), tables.clone()));
        reference
    }

    /// Runs a frame in all three. True if XDP took it.
    fn check(&self, tables: &Tables, reference: &mut Interpreter, frame: &Frame) -> bool {
        let at = usize::from(frame.in_port.0) - 1;
        let first = self.counted(tables);
        let own = self.own.get(at);
        let own = own.map(|own| own.test_run(&frame.bytes, 1).unwrap());
        let before = self.counted(tables);
        let xdp = self.xdp[at].test_run(&frame.bytes, 1).unwrap();
        let between = self.counted(tables);
        if let Some(own) = own {
            assert_eq!(own.verdict, xdp.verdict, "the port's own program");
            assert_eq!(own.frame, xdp.frame, "as the port's own program left it");
            assert_eq!(before.since(&first), between.since(&before));
        }
        let tc = self.tc[at].test_run(&frame.bytes, 1).unwrap();
        let by_tc = self.counted(tables).since(&between);
        let by_xdp = between.since(&before);
        for tap in &self.taps {
            tap.receive_all();
        }
        let flows = |reference: &Interpreter| -> BTreeMap<FlowId, (u64, u64)> {
            let count = |id| reference.flow_count(&"br0".into(), id);
            let flows = tables.flows().map(|f| (f.id, count(f.id)));
            flows.map(|(id, n)| (id, (n.packets, n.bytes))).collect()
        };
        let flows_before = flows(reference);
        let verdict = reference.receive(&self.taps[at].name, &frame.bytes, 0);
        let said = Counted {
            ports: Vec::new(),
            flows: flows(reference),
        };
        let said = said.since(&Counted {
            ports: Vec::new(),
            flows: flows_before,
        });
        if xdp.verdict == XDP_PASS {
            assert_eq!(xdp.frame, frame.bytes, "left to tcx, but changed");
            assert_eq!(before, between, "left to tcx, but counted");
            return false;
        }
        let tc_verdict = match xdp.verdict {
            XDP_REDIRECT => TC_REDIRECT,
            XDP_DROP => TC_SHOT,
            other => panic!("verdict {other}"),
        };
        assert_eq!(tc.verdict, tc_verdict);
        let left = verdict.outputs.first().map(|output| &output.frame);
        let left = left.unwrap_or(&frame.bytes);
        assert_eq!(&xdp.frame, left, "as it leaves");
        assert_eq!(by_xdp, without_tags(by_tc, &frame.bytes, left));
        assert_eq!(by_xdp.flows, said.flows);
        self.check_leaving(&by_xdp, &verdict, frame);
        true
    }

    fn check_leaving(&self, by_xdp: &Counted, verdict: &Verdict, frame: &Frame) {
        let number = |name: &aorta_flow::PortName| {
            1 + self.taps.iter().position(|tap| tap.name == *name).unwrap() as u16
        };
        let expected: Vec<u16> = verdict.outputs.iter().map(|o| number(&o.port)).collect();
        assert_eq!(by_xdp.sent_to(), expected);
        let dropped: Vec<DropReason> = verdict.drops.iter().map(|(_, reason)| *reason).collect();
        assert_eq!(by_xdp.dropped(frame.in_port.0), dropped);
    }
}

/// Test runs keep the tag in the frame, so that the program at tcx counts it at ports, as long as it
/// isn't changed.
fn without_tags(mut counted: Counted, came: &[u8], left: &[u8]) -> Counted {
    let bytes = |frame: &[u8]| {
        let tagged = matches!(frame[12..14], [0x81, 0x00] | [0x88, 0xa8]);
        frame.len() as u64 - if tagged { 4 } else { 0 }
    };
    for words in &mut counted.ports {
        words[counter::RX_BYTES] = bytes(came) * words[counter::RX_PACKETS];
        words[counter::TX_BYTES] = bytes(left) * words[counter::TX_PACKETS];
    }
    counted
}

/// Installs a case and runs its frames: how many there were, and how many XDP took. `None` if the
/// compiler refuses the tables.
fn run(rig: &mut Rig, case: &Case) -> Option<(usize, usize)> {
    let tables = case.tables().unwrap();
    rig.install(&tables).ok()?;
    let mut reference = rig.reference(&tables);
    let mut taken = 0;
    let mut frames = 0;
    for frame in case.frames.iter().filter(|f| f.offload == Offload::None) {
        frames += 1;
        let run = std::panic::AssertUnwindSafe(|| rig.check(&tables, &mut reference, frame));
        match std::panic::catch_unwind(run) {
            Ok(took) => taken += usize::from(took),
            Err(_) => panic!("with the frame {frame} of\n{case}"),
        }
    }
    Some((frames, taken))
}

/// Runs random cases: installed ones, their frames, and how many XDP took.
fn random(test: &str, without: &[Kind], cases: u64) -> (u64, usize, usize) {
    let profile = Profile {
        ports: PORTS,
        without: without.to_vec(),
        // Shorter ones the kernel refuses in test runs at tcx.
        least_bytes: 54,
        ..Profile::default()
    };
    let mut rig = Rig::new(test);
    let mut sums = (0, 0, 0);
    for seed in 0..cases {
        let case = random_case(&profile, &mut Rng::new(seed));
        if let Some((frames, taken)) = run(&mut rig, &case) {
            sums = (sums.0 + 1, sums.1 + frames, sums.2 + taken);
        }
    }
    println!(
        "{test}: {} of {cases} cases, {} frames, {} taken",
        sums.0, sums.1, sums.2
    );
    sums
}

fn cases(usual: u64) -> u64 {
    let asked = std::env::var("AORTA_DIFF_CASES").ok();
    asked.and_then(|n| n.parse().ok()).unwrap_or(usual)
}

/// Meters go by the clock, and what is learned changes the tables.
const NEVER: [Kind; 3] = [Kind::Meter, Kind::Learn, Kind::Truncated];

#[test]
fn whatever_flows_do_xdp_does_it_rightly_or_not_at_all() {
    let n = cases(40);
    let (installed, frames, taken) = random("xa", &NEVER, n);
    assert!(installed >= n / 3, "{installed}");
    assert!(taken > 0 && taken < frames, "{taken} of {frames}");
}

#[test]
fn what_xdp_can_do_it_takes() {
    let mut without = NEVER.to_vec();
    without.extend([
        Kind::Flood,
        Kind::Normal,
        Kind::Controller,
        Kind::OutputField,
        Kind::Queue,
        Kind::Mpls,
        Kind::Loop,
        Kind::Group,
        Kind::Select,
        Kind::Failover,
        Kind::Multipath,
        Kind::Bundle,
        Kind::CheckLength,
        Kind::InPort,
    ]);
    let n = cases(40);
    let (installed, frames, taken) = random("xb", &without, n);
    assert!(installed >= n / 2, "{installed}");
    assert!(taken * 3 > frames, "{taken} of {frames}");
}

#[test]
fn what_the_first_table_decides_at_once_is_what_parsed_packets_get() {
    let mut rig = Rig::new("xe");
    rig.bare.set_xdp(4, port::XDP_GENERIC);
    let all = [
        "priority=9,in_port=1,udp,tp_dst=1 actions=output:2
         priority=8,udp,nw_src=10.0.0.1,tp_dst=2 actions=output:3
         priority=8,udp,vlan_tci=0,tp_dst=3 actions=output:2
         priority=7,udp,dl_vlan=5,tp_dst=3 actions=output:3
         priority=7,udp,tp_dst=4 actions=drop
         priority=6,udp,tp_dst=5 actions=dec_ttl,output:2
         priority=5,udp,tp_dst=6 actions=output:77
         priority=4,udp,tp_dst=7 actions=output:4",
        "priority=9,in_port=1,dl_src=02:00:00:00:00:01 actions=output:2
         priority=8,in_port=2,dl_dst=02:00:00:00:00:02 actions=drop
         priority=7,in_port=3 actions=output:3",
        "priority=9,in_port=1,ip,nw_src=10.0.0.1 actions=output:2
         priority=8,in_port=2,ip,nw_ttl=1 actions=drop
         priority=7,dl_vlan=5 actions=drop
         priority=6,in_port=3 actions=output:1",
        "in_port=1 actions=drop\nin_port=2 actions=output:1",
        "actions=output:2",
    ];
    for lines in all {
        let tables = tables(lines);
        assert!(rig.install(&tables).unwrap());
        assert_eq!(rig.own.len(), usize::from(PORTS));
        let mut reference = rig.reference(&tables);
        let mut taken = 0;
        for frame in frames_of_all_depths(PORTS) {
            taken += usize::from(rig.check(&tables, &mut reference, &frame));
        }
        assert!(taken > 100, "{taken}");
    }
}

fn tables(lines: &str) -> Tables {
    let flows: String = lines
        .lines()
        .map(|line| format!("flow {}\n", line.trim()))
        .collect();
    flows.parse::<Case>().unwrap().tables().unwrap()
}

#[test]
fn each_thing_that_xdp_cant_do_is_left_to_tcx() {
    let mut rig = Rig::new("xc");
    let can = [
        "output:2",
        "output:1",
        "in_port",
        "drop",
        "set_field:7->reg0,output:3",
        "push:NXM_OF_ETH_SRC[],pop:NXM_NX_REG1[0..15],output:3",
        "write_actions(output:2)",
        "clone(set_field:7->reg0),output:3",
        "resubmit(,1)",
        "resubmit(,1),output:1",
        "exit,output:2,output:3",
        "set_field:02:00:00:00:00:09->eth_dst,output:2",
        "push_vlan:0x8100,set_field:4101->vlan_vid,output:2",
        "push_vlan:0x88a8,output:2",
        "strip_vlan,output:2",
        "strip_vlan,strip_vlan,output:2",
        "mod_vlan_vid:9,output:2",
        "mod_vlan_pcp:5,output:2",
        "dec_ttl,output:2",
        "mod_nw_tos:32,output:2",
        "mod_nw_src:10.9.9.9,output:2",
        "mod_nw_dst:10.9.9.9,mod_tp_src:7,output:2",
        "mod_tp_dst:4444,dec_ttl,mod_dl_src:02:00:00:00:00:08,strip_vlan,output:2",
        "move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],output:2",
        "dec_ttl,write_actions(mod_nw_dst:10.9.9.9,output:2)",
        "clone(mod_nw_dst:10.9.9.9),output:2",
        "dec_ttl",
    ];
    let cannot = [
        "output:2,output:3",
        "all",
        "normal",
        "controller",
        "output:77",
        "set_queue:1,output:2",
        "output:NXM_NX_REG0[]",
        "output:2,dec_ttl",
        "clone(dec_ttl,output:2)",
        "set_field:0->nw_ttl,dec_ttl,output:2",
        "resubmit(,1),output:3",
        "output:3,write_actions(output:2)",
        "output:4",
    ];
    rig.bare.set_xdp(4, port::XDP_GENERIC);
    let all = can
        .iter()
        .map(|c| (c, true))
        .chain(cannot.iter().map(|c| (c, false)));
    for (actions, takes) in all {
        let lines = format!("udp,tp_dst=1 actions={actions}\ntable=1 actions=output:2");
        let tables = tables(&lines);
        rig.install(&tables).unwrap();
        let mut reference = rig.reference(&tables);
        for tags in [&[][..], &[(0x8100, 5)], &[(0x88a8, 5), (0x8100, 6)]] {
            let frame = udp(tags, 1);
            let took = rig.check(&tables, &mut reference, &frame);
            assert_eq!(took, takes, "{actions} with tags {tags:?}");
        }
        let missed = rig.check(&tables, &mut reference, &udp(&[], 2));
        let compiled = rig.bare.pipeline.as_ref().unwrap().xdp_program().unwrap();
        assert_eq!(missed, compiled.is_some(), "{actions}");
    }
}

#[test]
fn generic_programs_send_to_either_kind_of_port() {
    let mut rig = Rig::new("xd");
    let tables = tables("actions=output:2");
    rig.install(&tables).unwrap();
    let generic = rig.bare.xdp_entry(1, XdpMode::Generic);
    let own_generic = rig.bare.xdp_port_program(1, XdpMode::Generic);
    let own_generic = own_generic.unwrap().unwrap();
    for (says, native_sends, generic_sends) in [
        (port::XDP_NONE, false, false),
        (port::XDP_GENERIC, false, true),
        (port::XDP_NATIVE, true, true),
    ] {
        rig.bare.set_xdp(2, says);
        let frame = udp(&[], 1).bytes;
        let verdict = |program: &Loaded| program.test_run(&frame, 1).unwrap().verdict;
        for native in [&rig.xdp[0], &rig.own[0]] {
            assert_eq!(verdict(native) == XDP_REDIRECT, native_sends);
        }
        for generic in [&generic, &own_generic] {
            assert_eq!(verdict(generic) == XDP_REDIRECT, generic_sends);
        }
    }
}

#[test]
fn a_port_s_own_program_is_an_entry_in_another_epoch() {
    let mut rig = Rig::new("xf");
    rig.install(&tables("actions=output:2")).unwrap();
    let frame = udp(&[], 1).bytes;
    let verdict = |program: &Loaded| program.test_run(&frame, 1).unwrap().verdict;
    assert_eq!(verdict(&rig.own[0]), XDP_REDIRECT);
    rig.bare.install(&tables("actions=drop")).unwrap();
    rig.bare.install_xdp().unwrap();
    assert_eq!(verdict(&rig.own[0]), XDP_REDIRECT);
    rig.bare.next_epoch();
    assert_eq!(verdict(&rig.own[0]), XDP_DROP);
}
