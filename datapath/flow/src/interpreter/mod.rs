//! A switch in memory: what becomes of each frame.
//!
//! This is the definition: a bridge does what its flow tables say, or, without tables, what a
//! learning bridge does. Compiled programs are compared with it, never the other way round.

mod around;
mod guarding;
mod normal;
mod packet_out;
mod pipeline;
mod stations;
mod tracing;
mod upkeep;

pub use packet_out::PacketOut;
pub use pipeline::{FlowCount, GroupCount, Learned, PacketIn};
pub use stations::{Station, StationCounts};
pub use tracing::{TraceOutput, Tracing};

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aorta_packet::{EthernetHeader, MacAddr, Vid, with_dscp};

use crate::guard::Buckets;
use crate::table::{BundleError, Change, Modification, Tables};
use crate::translate::Trace;
use crate::{Attachment, Bridge, BridgeName, DropReason, OfPort, PortName, Snapshot};
use normal::leave;
use pipeline::Pipeline;
use stations::Stations;

/// How many patch ports a frame may cross.
pub const MAX_PATCH_DEPTH: usize = 8;
/// What a device takes beyond its MTU: Ethernet header and one tag.
pub const LINK_HEADER_BYTES: u32 = 18;

/// A frame as it leaves through a device.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Output {
    /// The port.
    pub port: PortName,
    /// All bytes, tag included.
    pub frame: Vec<u8>,
}

/// A frame's way through patch ports to another bridge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Jump {
    /// By which port it leaves.
    pub from: PortName,
    /// By which it enters.
    pub to: PortName,
    /// Its length.
    pub bytes: u64,
}

/// What became of a frame.
///
/// Each copy that a bridge makes is accounted for: it left, jumped to another bridge, went to
/// controllers, was given to NORMAL, or was dropped for a reason (its port is down, or takes no
/// frames of this size). A frame of which a bridge makes no copy at all is dropped for one reason.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Verdict {
    /// Where it left, in order.
    pub outputs: Vec<Output>,
    /// What was dropped: the port by which the frame entered the bridge that dropped it, and why.
    pub drops: Vec<(PortName, DropReason)>,
    /// Its ways from bridge to bridge, in order.
    pub jumps: Vec<Jump>,
    /// Copies for controllers, in order.
    pub packet_ins: Vec<PacketIn>,
    /// Flows that flows want to be made, in order. [`Interpreter::learn`] makes them.
    pub learned: Vec<Learned>,
    /// Whether what the switch has learned had a say.
    pub asked_normal: bool,
    /// The way through bridges behind patch ports that hasn't been told yet.
    followed: Trace,
}

/// A switch in memory: a [`Snapshot`], the flow tables of its bridges, and what it has learned and
/// counted.
#[derive(Clone, Debug)]
pub struct Interpreter {
    bridges: Vec<Bridge>,
    fdb: Vec<Stations>,
    home: BTreeMap<PortName, (usize, usize)>,
    /// Those of bridges that have flow tables.
    pipelines: Vec<Option<Pipeline>>,
    /// Those of ports with rates from which something came.
    buckets: BTreeMap<PortName, Buckets>,
}

/// A frame's time, and how many patch ports it has crossed.
#[derive(Clone, Copy)]
struct Journey {
    now: Duration,
    depth: usize,
    traced: bool,
    /// The queue that was chosen for it, in this bridge or one before.
    queue: Option<u32>,
}

impl Interpreter {
    /// A switch that has learned nothing, and whose bridges have no flow tables.
    pub fn new(snapshot: &Snapshot) -> Interpreter {
        let bridges = snapshot.bridges.clone();
        Interpreter {
            fdb: vec![Stations::default(); bridges.len()],
            pipelines: vec![None; bridges.len()],
            buckets: BTreeMap::new(),
            home: homes(&bridges),
            bridges,
        }
    }

    /// Gives a bridge flow tables; their counters and meters start anew. False if there is no such
    /// bridge.
    pub fn set_tables(&mut self, bridge: &BridgeName, tables: impl Into<Arc<Tables>>) -> bool {
        let number = self.number(bridge);
        if let Some(b) = number {
            self.pipelines[b] = Some(Pipeline::new(tables.into()));
        }
        number.is_some()
    }

    /// Has a bridge know a station, as if a frame had come from it. False if there is no such
    /// bridge.
    pub fn add_station(
        &mut self,
        bridge: &BridgeName,
        station: (Vid, MacAddr),
        ofport: OfPort,
        seen_s: u64,
    ) -> bool {
        let number = self.number(bridge);
        if let Some(b) = number {
            self.fdb[b].put(station, ofport, seen_s, false);
        }
        number.is_some()
    }

    /// Takes a bridge's flow tables away.
    pub fn clear_tables(&mut self, bridge: &BridgeName) {
        if let Some(b) = self.number(bridge) {
            self.pipelines[b] = None;
        }
    }

    /// A bridge's flow tables, if it has any.
    pub fn tables(&self, bridge: &BridgeName) -> Option<&Tables> {
        Some(self.pipeline(bridge)?.tables())
    }

    /// Changes a bridge's flow tables, all or nothing. A bridge without tables gets some.
    /// Counters of flows that stay go on.
    ///
    /// # Errors
    /// With the first that can't be done. `Ok(None)` if there is no such bridge.
    pub fn modify(
        &mut self,
        bridge: &BridgeName,
        bundle: &[Modification],
    ) -> Result<Option<Vec<Change>>, BundleError> {
        let Some(b) = self.number(bridge) else {
            return Ok(None);
        };
        let pipeline = self.pipelines[b].get_or_insert_with(|| Pipeline::new(Arc::default()));
        pipeline.modify(bundle).map(Some)
    }

    fn number(&self, bridge: &BridgeName) -> Option<usize> {
        self.bridges.iter().position(|b| b.name == *bridge)
    }

    fn pipeline(&self, bridge: &BridgeName) -> Option<&Pipeline> {
        self.pipelines[self.number(bridge)?].as_ref()
    }

    /// Takes `frame` from `port` at the time `now_s` (seconds, any origin).
    pub fn receive(&mut self, port: &PortName, frame: &[u8], now_s: u64) -> Verdict {
        self.receive_at(port, frame, Duration::from_secs(now_s))
    }

    /// Takes `frame` from `port` at the time `now` (any origin).
    pub fn receive_at(&mut self, port: &PortName, frame: &[u8], now: Duration) -> Verdict {
        let mut verdict = Verdict::default();
        if let Some(&(b, p)) = self.home.get(port) {
            let journey = Journey {
                now,
                depth: 0,
                traced: false,
                queue: None,
            };
            match self.let_in(b, p, frame, now) {
                Ok(()) => self.enter(b, p, frame, journey, &mut verdict),
                Err(reason) => verdict.drops.push((port.clone(), reason)),
            }
        }
        verdict
    }

    /// What bridge number `bridge` has learned: VLAN, address, port, sorted.
    pub fn learned(&self, bridge: usize, now_s: u64) -> Vec<(Vid, MacAddr, OfPort)> {
        let all = self.stations(&self.bridges[bridge].name, now_s);
        let all = all.into_iter();
        all.map(|(vid, mac, station)| (vid, mac, station.ofport))
            .collect()
    }

    fn enter(&mut self, b: usize, p: usize, frame: &[u8], journey: Journey, verdict: &mut Verdict) {
        let dropped = if journey.depth > MAX_PATCH_DEPTH {
            Err(DropReason::PatchLoop)
        } else if !self.bridges[b].ports[p].restrictions.takes(frame) {
            Err(DropReason::NotReceived)
        } else if let Some(tables) = self.tables_at(b, journey) {
            self.run(&tables, b, p, frame, journey, verdict)
        } else {
            verdict.asked_normal = true;
            self.enter_normal(b, p, frame, journey, verdict)
        };
        if let Err(reason) = dropped {
            let port = self.bridges[b].ports[p].name.clone();
            verdict.drops.push((port, reason));
        }
    }

    /// A bridge's tables. For a trace, one without tables has the one flow that says what it does.
    fn tables_at(&self, b: usize, journey: Journey) -> Option<Arc<Tables>> {
        let tables = self.pipelines[b].as_ref();
        let tables = tables.map(|pipeline| Arc::clone(&pipeline.tables));
        tables.or_else(|| journey.traced.then(|| Arc::new(tracing::normal_tables())))
    }

    fn enter_normal(
        &mut self,
        b: usize,
        p: usize,
        frame: &[u8],
        journey: Journey,
        verdict: &mut Verdict,
    ) -> Result<(), DropReason> {
        let (classified, egress) = self.normal(b, Some(p), frame, journey)?;
        for e in egress {
            let frame = leave(&self.bridges[b].ports[e], &classified);
            self.send(b, e, frame, journey, verdict);
        }
        Ok(())
    }

    /// Sends a frame by a port that can send.
    fn send(
        &mut self,
        b: usize,
        e: usize,
        frame: Vec<u8>,
        journey: Journey,
        verdict: &mut Verdict,
    ) {
        let port = &self.bridges[b].ports[e];
        match &port.attachment {
            Attachment::Patch { .. } => {
                if let Some((b, p)) = self.peer(b, e) {
                    let jump = Jump {
                        from: port.name.clone(),
                        to: self.bridges[b].ports[p].name.clone(),
                        bytes: frame.len() as u64,
                    };
                    verdict.jumps.push(jump);
                    let depth = journey.depth + 1;
                    self.enter(b, p, &frame, Journey { depth, ..journey }, verdict);
                }
            }
            _ => {
                let dscp = journey.queue.and_then(|queue| port.queue_dscp.get(&queue));
                let frame = match dscp {
                    Some(dscp) => with_dscp(frame, *dscp),
                    None => frame,
                };
                let port = port.name.clone();
                verdict.outputs.push(Output { port, frame });
            }
        }
    }

    fn port_number(&self, b: usize, ofport: OfPort) -> Option<usize> {
        let mut ports = self.bridges[b].ports.iter();
        ports.position(|port| port.ofport == ofport)
    }

    fn can_send(&self, b: usize, e: usize) -> bool {
        let port = &self.bridges[b].ports[e];
        let connected = match &port.attachment {
            Attachment::Netdev { up, .. } => *up,
            Attachment::Patch { .. } => self.peer(b, e).is_some(),
            Attachment::Absent => false,
        };
        connected && !port.restrictions.no_forward
    }

    /// The port that a patch port leads to: one that leads back.
    fn peer(&self, b: usize, e: usize) -> Option<(usize, usize)> {
        let port = &self.bridges[b].ports[e];
        let Attachment::Patch { peer } = &port.attachment else {
            return None;
        };
        let &(pb, pp) = self.home.get(peer)?;
        match &self.bridges[pb].ports[pp].attachment {
            Attachment::Patch { peer: back } if *back == port.name => Some((pb, pp)),
            _ => None,
        }
    }
}

/// In which bridge, and at which place in it, each port is.
fn homes(bridges: &[Bridge]) -> BTreeMap<PortName, (usize, usize)> {
    let mut home = BTreeMap::new();
    for (b, bridge) in bridges.iter().enumerate() {
        for (p, port) in bridge.ports.iter().enumerate() {
            home.insert(port.name.clone(), (b, p));
        }
    }
    home
}

/// Whether the device takes a frame of this length without its outer tag, which the kernel doesn't
/// count either.
fn fits(attachment: &Attachment, untagged_bytes: usize) -> bool {
    match attachment {
        Attachment::Netdev { mtu_bytes, .. } => {
            untagged_bytes as u64 <= u64::from(*mtu_bytes) + u64::from(LINK_HEADER_BYTES)
        }
        _ => true,
    }
}

/// Length of a frame without its outer tag.
fn untagged_bytes(frame: &[u8]) -> usize {
    let tagged = EthernetHeader::parse(frame).is_ok_and(|header| header.tag.is_some());
    frame.len() - if tagged { 4 } else { 0 }
}
