//! A packet's way through the switch, for people and programs.

use std::fmt;
use std::time::Duration;

use super::{Interpreter, Journey, Verdict};
use crate::action::{Action, Instructions};
use crate::field::FieldId;
use crate::table::{FlowMod, Modification, Tables};
use crate::translate::{Packet, Trace, TranslateError, describe};
use crate::{BridgeName, DropReason, Flow, FlowKey, OfPort, PortName};

/// What becomes of a packet, told in full.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tracing {
    /// The packet as it came, as a flow's match.
    pub packet: String,
    /// Its way, line by line.
    pub trace: Trace,
    /// The packet as it is at the end of its way through the first bridge, as a flow's match.
    pub last: String,
    /// Copies that leave, in order, then those that go to controllers.
    pub outputs: Vec<TraceOutput>,
    /// What is dropped: the port by which it entered the bridge that drops it, and why.
    pub drops: Vec<(PortName, DropReason)>,
    /// Why the first bridge makes no copy, if so.
    pub drop: Option<DropReason>,
    /// Why it was given up, if it was.
    pub error: Option<TranslateError>,
    /// Which packets take the same way: what the lookups of the first bridge saw of it. A match,
    /// as text, that is never wider than it may be.
    pub megaflow: String,
}

/// A copy that leaves or goes to controllers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TraceOutput {
    /// The port; none for controllers.
    pub port: Option<PortName>,
    /// Its fields as a flow's match.
    pub packet: String,
    /// Its bytes.
    pub frame: Vec<u8>,
}

/// Tables of a learning bridge: one flow.
pub(super) fn normal_tables() -> Tables {
    let mut tables = Tables::new();
    let flow = Flow {
        priority: 0,
        instructions: Instructions::apply(vec![Action::Output(OfPort::NORMAL)]).into(),
        ..Flow::default()
    };
    let add = Modification::Flow(FlowMod {
        flow,
        ..FlowMod::default()
    });
    // Nothing stands in the way of the only flow.
    let _ = tables.modify(&add);
    tables
}

impl Interpreter {
    /// Tells what would become of a packet that comes into a bridge at the port that its `in_port`
    /// names, at the time `now`. Nothing of the switch changes. A packet without bytes gets those
    /// that its fields say. `None` if there is no such bridge.
    pub fn trace(&self, bridge: &BridgeName, packet: Packet, now: Duration) -> Option<Tracing> {
        let b = self.number(bridge)?;
        let packet = match packet.frame() {
            Some(_) => packet,
            None => Packet::from_fields(&packet.key),
        };
        let mut copy = self.clone();
        let journey = Journey {
            now,
            depth: 0,
            traced: true,
            queue: None,
        };
        let tables = copy.tables_at(b, journey)?;
        let in_port = OfPort(packet.key.get(FieldId::IN_PORT) as u16);
        let from = copy.port_number(b, in_port);
        if let Some(reason) = from.and_then(|p| copy.refused(b, p, &packet)) {
            return Some(kept_out(bridge, &packet, reason));
        }
        let from = from.map_or_else(
            || PortName::from(in_port.to_string()),
            |p| copy.bridges[b].ports[p].name.clone(),
        );
        let first = packet.key.clone();
        let mut verdict = Verdict::default();
        let done = copy.translate(&tables, b, from, packet, journey, &mut verdict);
        let mut trace = Trace::begin(bridge.clone());
        trace.within(done.trace);
        Some(Tracing {
            packet: describe(&first),
            trace,
            last: describe(&done.last),
            outputs: outputs(&verdict),
            drops: verdict.drops,
            drop: done.drop,
            error: done.error,
            megaflow: done.seen.describe(&first),
        })
    }
}

/// A packet that the guard of its port keeps out.
fn kept_out(bridge: &BridgeName, packet: &Packet, reason: DropReason) -> Tracing {
    let mut trace = Trace::begin(bridge.clone());
    let why = format!("kept out by the guard of its port: {}", reason.help());
    trace.detail(&why);
    let packet = describe(&packet.key);
    Tracing {
        last: packet.clone(),
        megaflow: packet.clone(),
        packet,
        trace,
        outputs: Vec::new(),
        drops: Vec::new(),
        drop: Some(reason),
        error: None,
    }
}

fn outputs(verdict: &Verdict) -> Vec<TraceOutput> {
    let fields = |frame: &[u8]| {
        let packet = Packet::from_frame(frame, OfPort::ANY);
        let key = packet.map_or_else(|_| FlowKey::new(), |packet| packet.key);
        describe(&key)
    };
    let ports = verdict.outputs.iter().map(|output| TraceOutput {
        port: Some(output.port.clone()),
        packet: fields(&output.frame),
        frame: output.frame.clone(),
    });
    let controllers = verdict.packet_ins.iter().map(|packet_in| TraceOutput {
        port: None,
        packet: describe(&packet_in.fields),
        frame: packet_in.frame.clone(),
    });
    ports.chain(controllers).collect()
}

impl fmt::Display for Tracing {
    /// As `ovs-appctl ofproto/trace` tells it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Flow: {}", self.packet)?;
        write!(f, "{}", self.trace.to_ovs_text())?;
        let last = match self.last == self.packet {
            true => "unchanged",
            false => &self.last,
        };
        writeln!(f, "\nFinal flow: {last}")?;
        writeln!(f, "Megaflow: {}", self.megaflow)?;
        let to = |output: &TraceOutput| match &output.port {
            Some(port) => port.to_string(),
            None => "userspace(controller)".to_owned(),
        };
        let mut actions: Vec<String> = self.outputs.iter().map(to).collect();
        if actions.is_empty() {
            actions.push("drop".to_owned());
        }
        writeln!(f, "Datapath actions: {}", actions.join(","))?;
        match self.error {
            Some(error) => {
                let why = error.summary();
                writeln!(f, "Translation failed ({why}), packet is dropped.")
            }
            None => Ok(()),
        }
    }
}
