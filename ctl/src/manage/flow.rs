//! Commands about flow tables.

use std::path::Path;
use std::time::{Duration, Instant};

use aorta_api::{
    FlowCommand, FlowDump, FlowDumpParams, FlowModAnswer, FlowModParams, FlowReplaceAnswer,
    FlowReplaceParams, FlowTrace, FlowTraceParams, METHOD_FLOW_DUMP, METHOD_FLOW_MOD,
    METHOD_FLOW_REPLACE, METHOD_FLOW_TRACE,
};
use aorta_flow::text::{Form, Names, NoNames, parse_flow};
use serde_json::{Value, json};

use super::client::{Bridge, Client};
use super::error::ManageError;
use super::input::{Progress, STDIN, argument_or_stdin, file};
use super::{Manner, Told};
use crate::args::Command;
use crate::commands::flow::Verb;
use crate::commands::switch::Colour;
use crate::flows::diff::{self, FlowSet, differences};
use crate::flows::lines::{LineError, Lines};
use crate::flows::{dump, explain, rate, sort, trace};

/// Most bytes of flows in one call: less than the switch takes, as JSON adds to them.
const MAX_BUNDLE_BYTES: usize = 24 << 20;
/// Exit status of a comparison that found a difference.
const DIFFERENT: i32 = 2;

pub(super) fn run(
    client: &Client,
    verb: Verb,
    command: &Command,
    manner: Manner,
) -> Result<Told, ManageError> {
    let bridge = Bridge::new(client, command.arg(0));
    match verb {
        Verb::Add => change(&bridge, command, FlowCommand::Add),
        Verb::Modify if command.has("--strict") => {
            change(&bridge, command, FlowCommand::ModifyStrict)
        }
        Verb::Modify => change(&bridge, command, FlowCommand::Modify),
        Verb::Delete if command.has("--strict") => {
            change(&bridge, command, FlowCommand::DeleteStrict)
        }
        Verb::Delete => change(&bridge, command, FlowCommand::Delete),
        Verb::Replace => replace(&bridge, command),
        Verb::Diff => compare(client, command, manner),
        Verb::Dump if command.has("--rate") => show_rates(&bridge, command, manner),
        Verb::Dump => show(&bridge, command, manner),
        Verb::Aggregate => {
            let dump = ask_flows(&bridge, command.arg(1), false)?;
            let filtered = !command.arg(1).is_empty();
            let sum = |of: fn(&aorta_api::FlowEntry) -> u64| dump.flows.iter().map(of).sum::<u64>();
            let (packets, bytes) = (sum(|flow| flow.packets), sum(|flow| flow.bytes));
            let json = json!({"flows": dump.flows.len(), "packets": packets, "bytes": bytes});
            Ok(Told::new(json, dump::aggregate_text(&dump, filtered)))
        }
        Verb::Tables => {
            let dump = ask_flows(&bridge, "", false)?;
            Ok(Told::new(
                explain::counts_json(&dump),
                explain::counts_text(&dump),
            ))
        }
        Verb::Trace => follow(&bridge, command, manner),
        Verb::Explain => super::explain::run(&bridge, command, manner),
    }
}

fn form(command: FlowCommand) -> Form {
    match command {
        FlowCommand::Add => Form::Flow,
        FlowCommand::Modify | FlowCommand::ModifyStrict => Form::Modify,
        FlowCommand::Delete | FlowCommand::DeleteStrict => Form::Filter,
    }
}

/// Checks with numbers only, and with the bridge's names if that isn't enough.
pub(super) fn check(
    bridge: &Bridge<'_>,
    checked: impl Fn(&dyn Names) -> Result<(), LineError>,
) -> Result<(), ManageError> {
    match checked(&NoNames) {
        Ok(()) => Ok(()),
        Err(_) => Ok(checked(bridge.names()?)?),
    }
}

fn change(bridge: &Bridge<'_>, command: &Command, what: FlowCommand) -> Result<Told, ManageError> {
    let lines = match command.syntax.name {
        "add-flows" => file(command.arg(1))?,
        _ => argument_or_stdin(command.arg(1))?,
    };
    let words = what == FlowCommand::Add;
    let progress = std::cell::RefCell::new(Progress::start());
    let seen = |index| progress.borrow_mut().tell("checked", index, lines.len());
    check(bridge, |names| match what {
        FlowCommand::Delete => lines.check_filters(names),
        _ => lines.check_flows(form(what), words, names, &mut |index| seen(index)),
    })?;
    let pieces = lines.pieces(MAX_BUNDLE_BYTES);
    if pieces.len() > 1 && command.has("--bundle") {
        return Err(ManageError::TooLarge {
            bytes: lines.iter().map(str::len).sum(),
            max: MAX_BUNDLE_BYTES,
        });
    }
    let mut changed = 0;
    for piece in pieces {
        let first = piece.start;
        progress.borrow_mut().tell("sent", first, lines.len());
        let params = FlowModParams {
            bridge: bridge.name.to_owned(),
            command: what,
            flows: piece.map(|index| lines.get(index).to_owned()).collect(),
            atomic: true,
        };
        let answer: Result<FlowModAnswer, _> = bridge.call(METHOD_FLOW_MOD, params);
        match answer.map_err(|cause| cause.in_lines(&lines, first)) {
            Ok(answer) => changed += answer.changed,
            Err(cause) if first > 0 => {
                return Err(ManageError::After {
                    done: first,
                    cause: Box::new(cause),
                });
            }
            Err(cause) => return Err(cause),
        }
    }
    Ok(Told::new(json!({"changed": changed}), String::new()))
}

fn replace(bridge: &Bridge<'_>, command: &Command) -> Result<Told, ManageError> {
    let lines = file(command.arg(1))?;
    check(bridge, |names| {
        lines.check_flows(Form::Flow, false, names, &mut |_| {})
    })?;
    let bytes = lines.iter().map(|text| text.len() + 3).sum();
    if bytes > MAX_BUNDLE_BYTES {
        return Err(ManageError::TooLarge {
            bytes,
            max: MAX_BUNDLE_BYTES,
        });
    }
    let params = FlowReplaceParams {
        bridge: bridge.name.to_owned(),
        flows: lines.iter().map(str::to_owned).collect(),
    };
    let answer: Result<FlowReplaceAnswer, _> = bridge.call(METHOD_FLOW_REPLACE, params);
    let answer = answer.map_err(|cause| cause.in_lines(&lines, 0))?;
    Ok(Told::new(serde_json::to_value(&answer)?, String::new()))
}

pub(super) fn ask_flows(
    bridge: &Bridge<'_>,
    filter: &str,
    names: bool,
) -> Result<FlowDump, ManageError> {
    ask_placed(bridge, filter, names, false)
}

/// Flows, and where they run if that is asked for.
fn ask_placed(
    bridge: &Bridge<'_>,
    filter: &str,
    names: bool,
    placement: bool,
) -> Result<FlowDump, ManageError> {
    let lines = Lines::of_argument(filter);
    check(bridge, |names| lines.check_filters(names))?;
    let params = FlowDumpParams {
        bridge: bridge.name.to_owned(),
        filter: filter.to_owned(),
        names,
        placement,
    };
    let answer: Result<FlowDump, _> = bridge.call(METHOD_FLOW_DUMP, params);
    answer.map_err(|cause| cause.in_lines(&lines, 0))
}

/// Whether ports are shown by name: to people unless they say otherwise.
pub(super) fn by_name(command: &Command, manner: Manner) -> bool {
    match (command.has("--names"), command.has("--no-names")) {
        (true, _) => true,
        (_, true) => false,
        _ => manner.terminal && !manner.json,
    }
}

fn colour(command: &Command, manner: Manner) -> Result<Colour, ManageError> {
    let when = match command.options.get("--color") {
        Some(when) => when.as_deref().unwrap_or("auto"),
        None => "auto",
    };
    match when {
        "always" => Ok(Colour::Terminal),
        "never" => Ok(Colour::Plain),
        "auto" => Ok(manner.colour),
        value => Err(ManageError::Option {
            option: "--color",
            value: value.to_owned(),
            expected: "always, never or auto",
        }),
    }
}

fn show(bridge: &Bridge<'_>, command: &Command, manner: Manner) -> Result<Told, ManageError> {
    let mut keys = Vec::new();
    for (option, descending) in [("--sort", false), ("--rsort", true)] {
        if let Some(names) = command.options.get(option) {
            sort::add_keys(&mut keys, names.as_deref().unwrap_or_default(), descending)?;
        }
    }
    let shown = dump::Manner {
        stats: !command.has("--no-stats"),
        names: by_name(command, manner),
        filtered: !command.arg(1).is_empty(),
        colour: colour(command, manner)?,
        keys,
    };
    let placement = command.has("--placement");
    let mut flows = ask_placed(bridge, command.arg(1), shown.names, placement)?;
    if !shown.keys.is_empty() {
        match shown.names {
            true => dump::sort(&mut flows, &shown.keys, bridge.names()?)?,
            false => dump::sort(&mut flows, &shown.keys, &NoNames)?,
        }
    }
    if manner.json {
        return Ok(Told::new(serde_json::to_value(&flows)?, String::new()));
    }
    Ok(Told::new(Value::Null, dump::text(&flows, &shown)))
}

/// Seconds between two looks if none are given.
const DEFAULT_INTERVAL_S: f64 = 1.0;

fn show_rates(bridge: &Bridge<'_>, command: &Command, manner: Manner) -> Result<Told, ManageError> {
    let seconds = match command.option("--rate") {
        None => DEFAULT_INTERVAL_S,
        Some(text) => text
            .parse()
            .ok()
            .filter(|seconds| (0.001..=86_400.0).contains(seconds))
            .ok_or_else(|| ManageError::Option {
                option: "--rate",
                value: text.to_owned(),
                expected: "a number of seconds",
            })?,
    };
    let names = by_name(command, manner);
    let before = ask_flows(bridge, command.arg(1), names)?;
    let start = Instant::now();
    bridge.pause(Duration::from_secs_f64(seconds))?;
    let after = ask_flows(bridge, command.arg(1), names)?;
    let rates = rate::rates(&before, &after, start.elapsed().as_secs_f64());
    let text = rate::text(&rates, colour(command, manner)?);
    Ok(Told::new(rate::to_json(&rates)?, text))
}

/// Whether a source of flows is a file, as ovs-ofctl tells them from bridges.
fn is_file(source: &str) -> bool {
    source == STDIN || source.starts_with(['/', '.']) || Path::new(source).is_file()
}

fn compare(client: &Client, command: &Command, manner: Manner) -> Result<Told, ManageError> {
    let sources = [command.arg(0), command.arg(1)];
    let bridge = sources.iter().find(|source| !is_file(source));
    let bridge = bridge.map(|name| Bridge::new(client, name));
    let [old, new] = sources.map(|source| match is_file(source) {
        true => file_flows(source, bridge.as_ref()),
        false => bridge_flows(&Bridge::new(client, source)),
    });
    let differing = differences(&old?, &new?);
    let names: &dyn Names = match &bridge {
        Some(bridge) if by_name(command, manner) => bridge.names()?,
        _ => &NoNames,
    };
    Ok(Told {
        json: diff::to_json(&differing, names),
        text: diff::text(&differing, names),
        status: if differing.is_empty() { 0 } else { DIFFERENT },
    })
}

/// The flows of a file, which may use the names of the bridge that they are compared with.
fn file_flows(name: &str, bridge: Option<&Bridge<'_>>) -> Result<FlowSet, ManageError> {
    let lines = file(name)?;
    let read = |names: &dyn Names| -> Result<FlowSet, LineError> {
        lines.check_flows(Form::Flow, false, names, &mut |_| {})?;
        let flows = lines
            .iter()
            .filter_map(|text| parse_flow(text, Form::Flow, names).ok());
        Ok(flows.map(|flow| flow.into_flow()).collect())
    };
    match (read(&NoNames), bridge) {
        (Ok(flows), _) => Ok(flows),
        (Err(_), Some(bridge)) => Ok(read(bridge.names()?)?),
        (Err(error), None) => Err(error.into()),
    }
}

fn bridge_flows(bridge: &Bridge<'_>) -> Result<FlowSet, ManageError> {
    let dump = ask_flows(bridge, "", false)?;
    let flows = dump
        .flows
        .iter()
        .map(|entry| dump::flow_of(entry, &NoNames));
    Ok(flows.collect::<Result<_, _>>()?)
}

/// Whether a packet is given by its bytes.
fn is_hex(packet: &str) -> bool {
    let between = |c: u8| b":.-_ \t\n".contains(&c);
    packet.bytes().any(|c| c.is_ascii_hexdigit())
        && packet.bytes().all(|c| c.is_ascii_hexdigit() || between(c))
}

fn follow(bridge: &Bridge<'_>, command: &Command, manner: Manner) -> Result<Told, ManageError> {
    let packet = command.arg(1);
    let hex = is_hex(packet);
    let params = FlowTraceParams {
        bridge: bridge.name.to_owned(),
        flow: (!hex).then(|| packet.to_owned()),
        frame: hex.then(|| packet.to_owned()),
        in_port: command.option("--in-port").map(str::to_owned),
    };
    let answer: FlowTrace = bridge.call(METHOD_FLOW_TRACE, params)?;
    let text = trace::text(&answer, manner.colour);
    Ok(Told::new(serde_json::to_value(&answer)?, text))
}
