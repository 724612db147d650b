//! A packet's way through a bridge's tables, as the management API tells it. Pure.

use std::sync::Arc;
use std::time::Duration;

use aorta_api::{
    FlowExplain, FlowTrace, FlowTraceParams, TraceFlow, TraceLine, TraceOutput, TracePlace,
};
use aorta_flow::field::{FieldId, Prereq};
use aorta_flow::text::{Form, Names, parse_flow};
use aorta_flow::translate::{Packet, TraceWhat};
use aorta_flow::{BridgeName, FlowKey, Interpreter, OfPort, Tracing};

use super::{FlowError, PortNames};

/// Length of a packet that is given by its fields, in bytes: the least that Ethernet has.
const LEN_BYTES: u32 = 60;

/// All that is needed to follow a packet, as it was at one moment.
#[derive(Debug)]
pub struct TraceJob {
    /// The switch.
    pub switch: Interpreter,
    /// The packet.
    pub params: FlowTraceParams,
    /// Names of the bridge's ports.
    pub names: Arc<PortNames>,
    /// How the bridge's tables are compiled.
    pub explained: FlowExplain,
    /// The moment, on the clock of the learned addresses.
    pub now: Duration,
}

impl TraceJob {
    /// Follows the packet.
    ///
    /// # Errors
    /// If the packet can't be read, or there is no such bridge.
    pub fn run(&self) -> Result<FlowTrace, FlowError> {
        let bridge = &self.params.bridge;
        let packet = packet(&self.params, &self.names)?;
        let has_bytes = self.params.frame.is_some();
        let name = BridgeName::from(bridge.as_str());
        let tracing = self.switch.trace(&name, packet, self.now);
        let tracing = tracing.ok_or_else(|| FlowError::NoBridge(bridge.clone()))?;
        Ok(answer(&tracing, has_bytes, &self.explained))
    }
}

fn form(why: &str) -> FlowError {
    FlowError::Form {
        index: 0,
        why: why.to_owned(),
    }
}

fn packet(params: &FlowTraceParams, names: &PortNames) -> Result<Packet, FlowError> {
    let text = params.flow.as_deref().unwrap_or_default();
    let read = parse_flow(text, Form::Filter, names).map_err(|error| FlowError::Text {
        index: 0,
        text: text.to_owned(),
        error,
    })?;
    let mut key = FlowKey::new();
    for part in read.matching.parts() {
        key.set(part.field, part.value);
    }
    if let Some(port) = &params.in_port {
        let known = OfPort::from_text(port).or_else(|| names.port(port));
        let port = known.ok_or_else(|| form("in_port is neither a number nor a port's name"))?;
        key.set(FieldId::IN_PORT, port.0.into());
    }
    match &params.frame {
        None => Ok(Packet::new(key, LEN_BYTES)),
        Some(digits) => framed(digits, &key),
    }
}

/// A packet of some bytes, with what `around` says of it that bytes don't.
fn framed(digits: &str, around: &FlowKey) -> Result<Packet, FlowError> {
    let port = around.get(FieldId::IN_PORT);
    if port == 0 {
        return Err(form("say where the frame comes in: in_port"));
    }
    let frame = bytes(digits)
        .ok_or_else(|| form("the frame is not an even number of hexadecimal digits"))?;
    let mut packet = Packet::from_frame(&frame, OfPort(port as u16))
        .map_err(|_| form("the frame is shorter than an Ethernet header"))?;
    let header = [
        FieldId::ETH_SRC,
        FieldId::ETH_DST,
        FieldId::ETH_TYPE,
        FieldId::VLAN_TCI,
    ];
    let homes = FieldId::all().filter(|id| id.field().home == *id);
    for id in homes.filter(|id| id.field().prereq == Prereq::None && !header.contains(id)) {
        packet.key.set(id, around.get(id));
    }
    Ok(packet)
}

/// The bytes of hexadecimal digits; what people put between them is skipped.
fn bytes(digits: &str) -> Option<Vec<u8>> {
    let counts = |c: &char| !matches!(c, ':' | '.' | '-' | '_') && !c.is_whitespace();
    let digits: Vec<u32> = digits
        .chars()
        .filter(counts)
        .map(|c| c.to_digit(16))
        .collect::<Option<_>>()?;
    let pairs = digits.chunks_exact(2);
    let whole = pairs.remainder().is_empty();
    let bytes = pairs.map(|pair| (pair[0] << 4 | pair[1]) as u8).collect();
    whole.then_some(bytes)
}

fn answer(tracing: &Tracing, has_bytes: bool, explained: &FlowExplain) -> FlowTrace {
    let trace: Vec<TraceLine> = tracing.trace.lines.iter().flat_map(lines).collect();
    let outputs: Vec<TraceOutput> = tracing
        .outputs
        .iter()
        .map(|output| TraceOutput {
            port: match &output.port {
                Some(port) => port.to_string(),
                None => "CONTROLLER".to_owned(),
            },
            packet: output.packet.clone(),
            frame: has_bytes.then(|| hexadecimal(&output.frame)),
        })
        .collect();
    let error = tracing.error.as_ref().map(ToString::to_string);
    let dropped = error.or_else(|| tracing.drop.map(|reason| reason.name().to_owned()));
    FlowTrace {
        packet: tracing.packet.clone(),
        places: places(&trace, explained),
        final_packet: tracing.last.clone(),
        drop: dropped.filter(|_| outputs.is_empty()),
        outputs,
        trace,
        text: tracing.to_string(),
    }
}

fn lines(line: &aorta_flow::translate::TraceLine) -> Vec<TraceLine> {
    let told = TraceLine {
        depth: u32::try_from(line.depth).unwrap_or(u32::MAX),
        ..TraceLine::default()
    };
    let note = |note: String| TraceLine {
        note: Some(note),
        ..told.clone()
    };
    match &line.what {
        TraceWhat::Bridge(name) => vec![note(format!("bridge {name}"))],
        TraceWhat::Table { table, flow } => {
            let flow = flow.as_ref().map(|flow| TraceFlow {
                cookie: format!("{:#x}", flow.cookie),
                priority: flow.priority,
                matching: flow.matching.clone(),
            });
            vec![TraceLine {
                table: Some(*table),
                flow,
                ..told
            }]
        }
        TraceWhat::Action { action, changes } => {
            let action = TraceLine {
                action: Some(action.clone()),
                ..told.clone()
            };
            let changes = changes.iter().map(|change| note(change.to_string()));
            [action].into_iter().chain(changes).collect()
        }
        TraceWhat::Note(text) => vec![note(text.clone())],
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where the tables that the packet met run.
fn places(trace: &[TraceLine], explained: &FlowExplain) -> Vec<TracePlace> {
    let mut met: Vec<u8> = trace.iter().filter_map(|line| line.table).collect();
    met.sort_unstable();
    met.dedup();
    let place = |table: u8| {
        let found = explained.tables.iter().find(|other| other.table == table);
        TracePlace {
            table,
            template: found.map_or_else(String::new, |found| found.template.clone()),
            hook: explained.hook.clone(),
            why: found.map_or(&explained.why, |found| &found.why).clone(),
        }
    };
    met.into_iter().map(place).collect()
}
