//! A packet's way through a bridge's tables, as the management API tells it. Pure.

use aorta_api::{
    FlowExplain, FlowTrace, FlowTraceParams, TraceFlow, TraceLine, TraceOutput, TracePlace,
};
use aorta_flow::field::{FieldId, Prereq};
use aorta_flow::text::{Form, Names, parse_flow};
use aorta_flow::translate::{Effect, Env, Packet, TraceWhat, Translation, translate};
use aorta_flow::{FlowKey, Match, OfPort};

use super::{BridgeFlows, FlowError, PortNames};

/// Length of a packet that is given by its fields, in bytes: the least that Ethernet has.
const LEN_BYTES: u32 = 60;

/// Follows a packet.
///
/// # Errors
/// If the packet's text can't be read.
pub fn trace(
    flows: &BridgeFlows,
    ports: &[OfPort],
    params: &FlowTraceParams,
    explained: &FlowExplain,
) -> Result<FlowTrace, FlowError> {
    let packet = packet(params, &flows.names)?;
    let text = describe(&packet.key);
    let mut around = Around { ports };
    let translation = translate(flows.tables(), packet, &mut around);
    Ok(answer(
        &translation,
        text,
        &params.bridge,
        &flows.names,
        explained,
    ))
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
    let between = |c: &char| !matches!(c, ':' | '.' | '-' | '_') && !c.is_whitespace();
    let digits: Vec<u32> = digits
        .chars()
        .filter(between)
        .map(|c| c.to_digit(16))
        .collect::<Option<_>>()?;
    let pairs = digits.chunks_exact(2);
    let whole = pairs.remainder().is_empty();
    let bytes = pairs.map(|pair| (pair[0] << 4 | pair[1]) as u8).collect();
    whole.then_some(bytes)
}

/// A packet's fields as a match that only it has.
fn describe(key: &FlowKey) -> String {
    let mut matching = Match::any();
    for id in FieldId::all().filter(|id| id.field().home == *id) {
        let value = key.get(id);
        if value != 0 {
            // A value that came from a match fits its field.
            let _ = matching.set(id, value);
        }
    }
    matching.to_string()
}

fn answer(
    translation: &Translation,
    packet: String,
    bridge: &str,
    names: &PortNames,
    explained: &FlowExplain,
) -> FlowTrace {
    let heading = format!("bridge(\"{bridge}\")");
    let lines = translation.trace.lines.iter();
    let trace: Vec<TraceLine> = lines
        .map(|line| {
            let mut told = TraceLine {
                depth: u32::try_from(line.depth).unwrap_or(u32::MAX),
                ..TraceLine::default()
            };
            match &line.what {
                TraceWhat::Table { table, flow } => {
                    told.table = Some(*table);
                    told.flow = flow.as_ref().map(|flow| TraceFlow {
                        cookie: format!("{:#x}", flow.cookie),
                        priority: flow.priority,
                        matching: flow.matching.clone(),
                    });
                }
                TraceWhat::Action { action, changes } => {
                    told.action = Some(action.clone());
                    let changes: Vec<String> = changes.iter().map(ToString::to_string).collect();
                    told.note = (!changes.is_empty()).then(|| changes.join(", "));
                }
                TraceWhat::Bridge(name) => told.note = Some(format!("enters bridge {name}")),
                TraceWhat::Note(note) => told.note = Some(note.clone()),
            }
            told
        })
        .collect();
    let outputs: Vec<TraceOutput> = translation
        .effects
        .iter()
        .flat_map(|effect| outputs_of(effect, names))
        .collect();
    let error = translation.error.as_ref().map(ToString::to_string);
    let nothing = || "no flow sends it anywhere".to_owned();
    let last = outputs.last().map(|output| output.packet.clone());
    FlowTrace {
        text: format!(
            "Flow: {packet}\n\n{heading}\n{}\n{}\nFinal flow: {}\n",
            "-".repeat(heading.len()),
            translation.trace,
            last.as_ref()
                .filter(|last| **last != packet)
                .map_or("unchanged", String::as_str)
        ),
        final_packet: last.unwrap_or_else(|| packet.clone()),
        packet,
        drop: outputs.is_empty().then(|| error.unwrap_or_else(nothing)),
        outputs,
        places: places(&trace, explained),
        trace,
    }
}

fn outputs_of(effect: &Effect, names: &PortNames) -> Vec<TraceOutput> {
    let (ports, packet) = match effect {
        Effect::Output { port, packet, .. } => (vec![*port], packet),
        Effect::Normal { ports, packet, .. } => (ports.clone(), packet),
        Effect::Controller { packet, .. } => (vec![OfPort::CONTROLLER], packet),
        _ => return Vec::new(),
    };
    let copy = |port| TraceOutput {
        port: names.show(port),
        packet: describe(&packet.key),
        frame: packet.frame().map(|bytes| hexadecimal(&bytes)),
    };
    ports.into_iter().map(copy).collect()
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

/// What is around the tables, as far as it is known without sending anything.
struct Around<'a> {
    ports: &'a [OfPort],
}

impl Env for Around<'_> {
    fn normal(&mut self, packet: &Packet) -> Vec<OfPort> {
        let from = packet.key.get(FieldId::IN_PORT);
        let others = self.ports.iter().filter(|port| u128::from(port.0) != from);
        others.copied().collect()
    }

    fn ports(&mut self, _packet: &Packet) -> Vec<(OfPort, bool)> {
        self.ports.iter().map(|port| (*port, true)).collect()
    }
}
