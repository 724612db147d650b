//! A packet's way through a bridge's tables, as the management API tells it. Pure.

use aorta_api::{FlowExplain, FlowTrace, FlowTraceParams, TraceLine, TraceOutput, TracePlace};
use aorta_flow::action::HashFields;
use aorta_flow::field::FieldId;
use aorta_flow::text::{Form, Names, parse_flow};
use aorta_flow::translate::{Effect, Env, Packet, TraceWhat, Translation, translate};
use aorta_flow::{FlowKey, Group, Match, OfPort};

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
    Ok(answer(&translation, text, &flows.names, explained))
}

fn packet(params: &FlowTraceParams, names: &PortNames) -> Result<Packet, FlowError> {
    let form = |why: &str| FlowError::Form {
        index: 0,
        why: why.to_owned(),
    };
    let Some(text) = &params.flow else {
        return Err(form(
            "bytes of frames can't be followed; give the packet's fields",
        ));
    };
    let read = parse_flow(text, Form::Filter, names);
    let read = read.map_err(|error| FlowError::Text {
        index: 0,
        text: text.clone(),
        error,
    })?;
    let mut key = FlowKey::new();
    for part in read.matching.parts() {
        key.set(part.field, part.value);
    }
    if let Some(port) = &params.in_port {
        let port = OfPort::from_text(port).or_else(|| names.port(port));
        let port = port.ok_or_else(|| form("in_port is neither a number nor a port's name"))?;
        key.set(FieldId::IN_PORT, port.0.into());
    }
    Ok(Packet::new(key, LEN_BYTES))
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
    names: &PortNames,
    explained: &FlowExplain,
) -> FlowTrace {
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
                    told.note = flow.clone();
                }
                TraceWhat::Action(action) => told.action = Some(action.clone()),
                TraceWhat::Note(note) => told.note = Some(note.clone()),
            }
            told
        })
        .collect();
    let outputs: Vec<TraceOutput> = translation
        .effects
        .iter()
        .filter_map(|effect| output(effect, names))
        .collect();
    let error = translation.error.as_ref().map(ToString::to_string);
    let nothing = || "no flow sends it anywhere".to_owned();
    let last = outputs.last().map(|output| output.packet.clone());
    FlowTrace {
        text: format!("Flow: {packet}\n\n{}", translation.trace),
        final_packet: last.unwrap_or_else(|| packet.clone()),
        packet,
        drop: outputs.is_empty().then(|| error.unwrap_or_else(nothing)),
        outputs,
        places: places(&trace, explained),
        trace,
    }
}

fn output(effect: &Effect, names: &PortNames) -> Option<TraceOutput> {
    let (port, packet) = match effect {
        Effect::Output { port, packet, .. } => (names.show(*port), packet),
        Effect::Controller { packet, .. } => ("CONTROLLER".to_owned(), packet),
        _ => return None,
    };
    Some(TraceOutput {
        port,
        packet: describe(&packet.key),
        frame: None,
    })
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

    fn hash(&mut self, _fields: HashFields, _basis: u16, _packet: &Packet) -> u32 {
        0
    }

    fn group_hash(&mut self, _group: &Group, _packet: &Packet) -> u32 {
        0
    }
}
