//! A bridge with flows on real taps.
#![allow(dead_code)] // not every test file needs all of it

use aorta_flow::table::{Change, FlowMod, GroupMod, MeterMod, Modification, Tables};
use aorta_flow::text::{NoNames, parse_flow_line, parse_group, parse_meter};
use aorta_flow::{Attachment, Bridge, BridgeName, DropReason, OfPort, Port, PortName, Snapshot};
use aorta_kernel::{Datapath, FlowsApplied, FlowsError};
use aorta_packet::MacAddr;

use crate::lab::Tap;

pub const MTU: u16 = 1500;

/// The tables of one bridge, and how they come into the kernel.
pub struct Flows {
    pub bridge: BridgeName,
    pub tables: Tables,
}

impl Flows {
    pub fn new(bridge: &str) -> Flows {
        Flows {
            bridge: bridge.into(),
            tables: Tables::new(),
        }
    }

    /// One bundle: lines as a file of flows has them.
    pub fn change(&mut self, datapath: &mut Datapath, lines: &[&str]) -> FlowsApplied {
        self.try_change(datapath, lines).unwrap()
    }

    /// As [`Flows::change`]; the tables are as before if the kernel refuses.
    pub fn try_change(
        &mut self,
        datapath: &mut Datapath,
        lines: &[&str],
    ) -> Result<FlowsApplied, FlowsError> {
        let changes = self.prepare(lines);
        let applied = datapath.apply_flows(&self.bridge, &self.tables, Some(&changes));
        if applied.is_err() {
            self.tables.revert(&changes);
        }
        applied
    }

    /// Changes the tables alone.
    pub fn prepare(&mut self, lines: &[&str]) -> Vec<Change> {
        let bundle: Vec<Modification> = lines.iter().map(|line| modification(line)).collect();
        self.tables.modify_all(&bundle).unwrap()
    }

    /// Adds a meter to the tables alone.
    pub fn add_meter(&mut self, line: &str) {
        let meter = MeterMod::Add(parse_meter(line).unwrap());
        self.tables.modify(&Modification::Meter(meter)).unwrap();
    }

    /// Adds the flows that the tables take.
    pub fn add_valid(&mut self, lines: &[String]) {
        for line in lines {
            // Nothing is added if they don't.
            let _ = self.tables.modify(&modification(line));
        }
    }

    /// Packets that the flow with this cookie has counted.
    pub fn packets(&self, datapath: &Datapath, cookie: u64) -> u64 {
        let stats = datapath.flow_stats(&self.bridge).unwrap();
        let flows = self.tables.flows();
        let of_cookie = flows.filter(|entry| entry.flow.cookie == cookie);
        of_cookie.map(|entry| stats[&entry.id].packets).sum()
    }
}

fn modification(line: &str) -> Modification {
    if line.starts_with("group_id") {
        let group = parse_group(line, &NoNames).unwrap();
        return Modification::Group(GroupMod::AddOrModify(group));
    }
    let (command, text) = parse_flow_line(line, &NoNames).unwrap();
    Modification::Flow(FlowMod::from_text(command, text))
}

pub fn port(tap: &Tap, ofport: u16) -> Port {
    Port::new(
        tap.name.clone(),
        OfPort(ofport),
        tap.attachment(true, MTU.into()),
    )
}

pub fn patch(name: &str, peer: &str, ofport: u16) -> Port {
    Port::new(
        name.into(),
        OfPort(ofport),
        Attachment::Patch { peer: peer.into() },
    )
}

pub fn bridge(name: &str, ports: Vec<Port>) -> Bridge {
    Bridge::new(name.into(), ports)
}

pub fn apply(datapath: &mut Datapath, bridges: Vec<Bridge>) {
    let applied = datapath.apply(&Snapshot { bridges }).unwrap();
    let failed: Vec<String> = applied
        .failed
        .iter()
        .map(|(port, error)| format!("{port}: {}", aorta_kernel::chain(error)))
        .collect();
    assert!(failed.is_empty(), "{failed:?}");
}

pub fn station(n: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, n])
}

pub fn frame(dst: MacAddr, src: MacAddr) -> Vec<u8> {
    let mut frame = [dst.0, src.0].concat();
    frame.extend([0x88, 0xb5]);
    frame.resize(60, 0x55);
    frame
}

/// Frames of a port that were dropped for a reason.
pub fn drops(datapath: &Datapath, port: &PortName, reason: DropReason) -> u64 {
    let counters = datapath.counters().unwrap();
    let counters = counters.iter().find(|c| c.port == *port).unwrap();
    counters.drops.get(&reason).copied().unwrap_or(0)
}
