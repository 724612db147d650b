//! One case, compiled and interpreted.

mod counts;
mod offload;

use std::collections::BTreeMap;
use std::time::Duration;

use aorta_flow::action::Action;
use aorta_flow::table::Misses;
use aorta_flow::translate::learned_flow;
use aorta_flow::{
    Bridge, BridgeName, DropReason, Flow, Interpreter, OfPort, Port, PortName, Restrictions,
    Snapshot, Verdict,
};
use aorta_kernel::{Datapath, FlowsError, Upcalls, chain};
use aorta_packet::{TPID_8021AD, TPID_8021Q, VLAN_TAG_LEN};
use aorta_testing::tables::counts;
use aorta_testing::{Case, Frame};

use crate::lab::{Lab, Tap};

/// Ports of the bridge, numbers from 1.
pub const PORTS: usize = 6;
const MTU_BYTES: u32 = 1500;
/// Differences that are told of.
const MAX_TOLD: usize = 6;

/// What came of a case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Both did the same.
    Same,
    /// They did not; what.
    Differs(String),
    /// The compiler refused the tables; why.
    Refused(String),
    /// The kernel refused the program, or could not take it; why.
    NotLoaded(String),
}

/// A bridge of taps.
pub struct Comparison {
    taps: Vec<Tap>,
    bridge: BridgeName,
    datapath: Datapath,
    upcalls: Option<Upcalls>,
    /// Ports have programs of their own, where they can.
    pub tailored: bool,
    /// What tables do without a flow.
    pub misses: Misses,
    /// Frames that were compared.
    pub pairs: u64,
    /// Flows of the case cut copies.
    cuts: bool,
    /// Bytes of the outer tags of the frames that were sent.
    tag_bytes: u64,
    /// How often each outcome was expected: a comparison means nothing if some never were.
    pub seen: BTreeMap<String, u64>,
    _lab: Lab,
}

/// What was counted: of each port frames sent to it, and of each reason why not.
type Counted = BTreeMap<(PortName, Option<DropReason>), u64>;

impl Comparison {
    pub fn new(name: &str) -> Comparison {
        let lab = Lab::new(name);
        let taps: Vec<Tap> = (1..=PORTS)
            .map(|n| lab.offload_tap(&format!("f{n}"), MTU_BYTES as u16))
            .collect();
        let bridge: BridgeName = "br0".into();
        let mut datapath = lab.datapath();
        let applied = datapath.apply(&snapshot(&bridge, &taps)).unwrap();
        assert!(applied.failed.is_empty());
        Comparison {
            taps,
            bridge,
            datapath,
            upcalls: None,
            tailored: false,
            misses: Misses::default(),
            pairs: 0,
            cuts: false,
            tag_bytes: 0,
            seen: BTreeMap::new(),
            _lab: lab,
        }
    }

    /// Sends the frames of a case through both.
    pub fn check(&mut self, case: &Case) -> Outcome {
        let mut tables = match case.tables() {
            Ok(tables) => tables,
            Err(e) => return Outcome::Refused(format!("tables: {e}")),
        };
        tables.set_misses(self.misses.clone());
        let applied = self.datapath.apply_flows(&self.bridge, &tables, None);
        match applied {
            Ok(_) => {}
            Err(FlowsError::Pipeline(e)) => return Outcome::Refused(chain(&e)),
            Err(e) => return Outcome::NotLoaded(chain(&e)),
        }
        if self.tailored {
            while self.datapath.tailor_port().unwrap() {}
            let own = |tap: &&Tap| self.datapath.is_tailored(&tap.name);
            if self.taps.iter().filter(own).count() == PORTS {
                *self.seen.entry("tailored".to_owned()).or_default() += 1;
            }
            let explained = self.datapath.explain_flows(&self.bridge);
            if explained.is_some_and(|explained| explained.fixed) {
                *self.seen.entry("fixed".to_owned()).or_default() += 1;
            }
        }
        self.datapath.flush_fdb(&self.bridge).unwrap();
        let mut interpreter = Interpreter::new(&snapshot(&self.bridge, &self.taps));
        interpreter.set_tables(&self.bridge, tables.clone());
        let (ports, flows) = (self.port_counters(), self.flow_counters());
        let groups = self.group_counters();
        let mut found = Vec::new();
        self.tag_bytes = 0;
        let mut expected = Counted::new();
        let offload = offload::possible(case);
        self.cuts = counts(case, |action| {
            matches!(action, Action::OutputTruncated { .. })
        }) > 0;
        for (n, frame) in case.frames.iter().enumerate() {
            let Some(port) = self.taps.get(usize::from(frame.in_port.0).wrapping_sub(1)) else {
                continue;
            };
            if kernel_refuses(frame) {
                continue;
            }
            let tagged = tag_at(&frame.bytes, 12);
            self.tag_bytes += if tagged { VLAN_TAG_LEN as u64 } else { 0 };
            let now = Duration::from_millis(n as u64);
            let verdict = interpreter.receive_at(&port.name.clone(), &frame.bytes, now);
            self.note(&verdict, &frame.bytes);
            for (port, reason) in &verdict.drops {
                let key = (port.clone(), Some(*reason));
                *expected.entry(key).or_default() += 1;
            }
            for output in &verdict.outputs {
                *expected.entry((output.port.clone(), None)).or_default() += 1;
            }
            let (differs, offloaded) = self.send(n, frame, &verdict, offload);
            found.extend(differs);
            found.extend(self.packets_for_controllers(n, &verdict, offloaded));
            self.pairs += 1;
        }
        found.extend(self.flow_differences(&tables, &interpreter, &flows));
        found.extend(self.group_differences(&tables, &interpreter, &groups));
        found.extend(self.port_differences(&ports, &expected));
        match found.is_empty() {
            true => Outcome::Same,
            false => {
                let more = found.len().saturating_sub(MAX_TOLD);
                found.truncate(MAX_TOLD);
                if more > 0 {
                    found.push(format!("and {more} more differences"));
                }
                Outcome::Differs(found.join("\n"))
            }
        }
    }

    fn note(&mut self, expected: &Verdict, bytes: &[u8]) {
        let mut seen = |what: &str| *self.seen.entry(what.to_owned()).or_default() += 1;
        let reasons = expected.drops.iter().map(|(_, reason)| reason.name());
        reasons.for_each(&mut seen);
        match expected.outputs.len() {
            0 => {}
            1 => seen("one output"),
            _ => seen("many outputs"),
        }
        if !expected.packet_ins.is_empty() {
            seen("to controllers");
        }
        for output in &expected.outputs {
            match output.frame.len() as i64 - bytes.len() as i64 {
                0 if output.frame == bytes => seen("as it came"),
                0 => seen("changed"),
                1.. => seen("longer"),
                _ => seen("shorter"),
            }
        }
    }

    /// Sends one frame, and tells how what leaves differs.
    fn send(
        &mut self,
        n: usize,
        frame: &Frame,
        expected: &Verdict,
        offload: bool,
    ) -> (Option<String>, bool) {
        let from = &self.taps[usize::from(frame.in_port.0) - 1];
        let (written, offloaded) = offload::written(frame, offload);
        from.send(&written).unwrap();
        if offloaded {
            *self.seen.entry("offloaded".to_owned()).or_default() += 1;
        }
        let mut left = Vec::new();
        for tap in &self.taps {
            let frames = tap.receive_all();
            left.extend(
                frames
                    .iter()
                    .map(|f| (tap.name.clone(), offload::completed(f))),
            );
        }
        let outputs = expected.outputs.iter();
        let mut wanted: Vec<_> = outputs.map(|o| (o.port.clone(), o.frame.clone())).collect();
        // Those of each port in their order.
        wanted.sort_by(|a, b| a.0.cmp(&b.0));
        let same = left == wanted || self.cuts && same_but_for_cuts(&left, &wanted);
        let differs = (!same).then(|| {
            let (left, wanted) = (show(&left), show(&wanted));
            format!("frame {n}: left {left}; should have left {wanted}")
        });
        (differs, offloaded)
    }

    /// How what was sent to the daemon differs. Where the checksum was left to the hardware, it
    /// isn't there yet: then lengths are compared.
    fn packets_for_controllers(
        &mut self,
        n: usize,
        expected: &Verdict,
        offloaded: bool,
    ) -> Option<String> {
        if self.upcalls.is_none() {
            self.upcalls = self.datapath.upcalls().unwrap();
        }
        let (mut came, mut learned) = (Vec::new(), Vec::new());
        while let Some(upcall) = self.upcalls.as_mut().and_then(Upcalls::next_upcall) {
            let asked = self.datapath.asked(&upcall).unwrap();
            match &asked.action {
                Action::Learn(learn) => learned.push(learned_flow(learn, &asked.packet)),
                _ => came.push((upcall.table, upcall.frame)),
            }
        }
        if offloaded {
            came.iter_mut().for_each(|(_, frame)| frame.fill(0));
        }
        let packets = expected.packet_ins.iter();
        let mut wanted: Vec<_> = packets.map(|p| (p.table, p.frame.clone())).collect();
        if offloaded {
            wanted.iter_mut().for_each(|(_, frame)| frame.fill(0));
        }
        came.sort();
        wanted.sort();
        // What was learned a moment ago isn't told of again.
        let known = |flow: &Flow| expected.learned.iter().any(|l| l.flow == *flow);
        if let Some(other) = learned.iter().find(|flow| !known(flow)) {
            return Some(format!("frame {n}: should not have been learned: {other}"));
        }
        if !learned.is_empty() {
            *self.seen.entry("learned".to_owned()).or_default() += 1;
        }
        (came != wanted).then(|| {
            format!(
                "frame {n}: {} packets for controllers: {came:02x?}; should have been {}: \
                 {wanted:02x?}",
                came.len(),
                wanted.len()
            )
        })
    }

    /// A comparison in which something never happened proves nothing about it.
    pub fn assert_everything_was_seen(&self) {
        for what in [
            "one output",
            "many outputs",
            "as it came",
            "changed",
            "longer",
            "shorter",
            "to controllers",
            "learned",
            "offloaded",
            DropReason::TableMiss.name(),
            DropReason::FlowDrop.name(),
            DropReason::PipelineLimit.name(),
        ] {
            assert!(
                self.seen.contains_key(what),
                "never seen: {what}; seen: {:?}",
                self.seen
            );
        }
    }
}

fn snapshot(bridge: &BridgeName, taps: &[Tap]) -> Snapshot {
    let port = |(n, tap): (u16, &Tap)| Port {
        restrictions: Restrictions {
            no_flood: n == 2,
            ..Restrictions::default()
        },
        ..Port::new(tap.name.clone(), OfPort(n), tap.attachment(true, MTU_BYTES))
    };
    Snapshot {
        bridges: vec![Bridge::new(
            bridge.clone(),
            (1..).zip(taps).map(port).collect(),
        )],
    }
}

/// A frame that left, and by which port.
type Sent = (PortName, Vec<u8>);

/// Bytes that the kernel leaves of a frame that is to be cut within its headers, at most.
const LEAST_CUT: usize = 256 + 4;

/// Whether copies differ only in that some are cut less, as far as the kernel does so.
fn same_but_for_cuts(left: &[Sent], wanted: &[Sent]) -> bool {
    let same = |(left, wanted): (&Sent, &Sent)| {
        let less = left.1.starts_with(&wanted.1) && left.1.len() <= LEAST_CUT;
        left.0 == wanted.0 && (left.1 == wanted.1 || less)
    };
    left.len() == wanted.len() && left.iter().zip(wanted).all(same)
}

/// Frames that end within a VLAN tag, or right behind it: the kernel drops those whose outer tag it
/// can't take off, and doesn't take off a tag that such a one would follow.
fn kernel_refuses(frame: &Frame) -> bool {
    let bytes = &frame.bytes;
    let mut type_at = 12;
    while tag_at(bytes, type_at) {
        type_at += 4;
    }
    let tagged = type_at > 12;
    bytes.len() < 14 || tagged && bytes.len() < type_at + 4
}

fn tag_at(bytes: &[u8], at: usize) -> bool {
    let tpid = bytes.get(at..at + 2);
    let tpid = tpid.map(|tpid| u16::from_be_bytes([tpid[0], tpid[1]]));
    tpid == Some(TPID_8021Q) || tpid == Some(TPID_8021AD)
}

fn show(outputs: &[(PortName, Vec<u8>)]) -> String {
    if outputs.is_empty() {
        return "nowhere".to_owned();
    }
    let one = |same: &[(PortName, Vec<u8>)]| {
        let (port, frame) = &same[0];
        let hex: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{} x by {port}: {hex}", same.len())
    };
    let all: Vec<String> = outputs.chunk_by(|a, b| a == b).map(one).collect();
    all.join(", ")
}
