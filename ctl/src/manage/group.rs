//! Commands about groups, meters and ports.

use aorta_api::{
    DumpParams, EntryCommand, EntryModAnswer, EntryModParams, GroupDump, METHOD_GROUP_DUMP,
    METHOD_GROUP_MOD, METHOD_METER_DUMP, METHOD_METER_MOD, MeterDump,
};
use aorta_flow::text::{parse_group, parse_meter};
use serde_json::json;

use super::client::{Bridge, Client};
use super::error::ManageError;
use super::flow::{by_name, check};
use super::input::{argument_or_stdin, file};
use super::{Manner, Told};
use crate::args::Command;
use crate::commands::group::{Change, Verb};
use crate::flows::lines::Lines;
use crate::flows::{group, port};

pub(super) fn run(
    client: &Client,
    verb: Verb,
    command: &Command,
    manner: Manner,
) -> Result<Told, ManageError> {
    let bridge = Bridge::new(client, command.arg(0));
    match verb {
        Verb::ChangeGroup(change) => change_groups(&bridge, command, change),
        Verb::ChangeMeter(change) => change_meters(&bridge, command, change),
        Verb::DumpGroups => {
            let dump = ask_groups(&bridge, command, by_name(command, manner))?;
            Ok(Told::new(
                serde_json::to_value(&dump)?,
                group::groups_text(&dump),
            ))
        }
        Verb::GroupStats => {
            let dump = ask_groups(&bridge, command, false)?;
            let text = group::group_stats_text(&dump);
            Ok(Told::new(serde_json::to_value(&dump)?, text))
        }
        Verb::DumpMeters => {
            let dump = ask_meters(&bridge, command)?;
            Ok(Told::new(
                serde_json::to_value(&dump)?,
                group::meters_text(&dump),
            ))
        }
        Verb::MeterStats => {
            let dump = ask_meters(&bridge, command)?;
            let text = group::meter_stats_text(&dump);
            Ok(Told::new(serde_json::to_value(&dump)?, text))
        }
        Verb::DumpPorts => show_ports(&bridge, command),
    }
}

/// The filter for one entry: `NAME=NUMBER`, or the number alone; `all` is no filter.
fn filter(name: &str, given: &str, expected: &'static str) -> Result<String, ManageError> {
    let value = given
        .strip_prefix(name)
        .and_then(|rest| rest.strip_prefix('='))
        .unwrap_or(given);
    let reserved = ["slowpath", "controller"].contains(&value);
    match value {
        "" | "all" | "ALL" => Ok(String::new()),
        value if value.parse::<u32>().is_ok() || reserved => Ok(format!("{name}={value}")),
        _ => Err(ManageError::Filter {
            text: given.to_owned(),
            expected,
        }),
    }
}

fn ask_groups(
    bridge: &Bridge<'_>,
    command: &Command,
    names: bool,
) -> Result<GroupDump, ManageError> {
    let expected = "a group: its number, or all";
    let params = DumpParams {
        bridge: bridge.name.to_owned(),
        filter: filter("group_id", command.arg(1), expected)?,
        names,
    };
    bridge.call(METHOD_GROUP_DUMP, params)
}

fn ask_meters(bridge: &Bridge<'_>, command: &Command) -> Result<MeterDump, ManageError> {
    let expected = "a meter: its number, slowpath, controller, or all";
    let params = DumpParams {
        bridge: bridge.name.to_owned(),
        filter: filter("meter", command.arg(1), expected)?,
        names: false,
    };
    bridge.call(METHOD_METER_DUMP, params)
}

fn entry_command(change: Change, may_create: bool) -> EntryCommand {
    match change {
        Change::Add | Change::Modify if may_create => EntryCommand::MayCreate,
        Change::Add => EntryCommand::Add,
        Change::Modify => EntryCommand::Modify,
        Change::Delete => EntryCommand::Delete,
        Change::InsertBuckets => EntryCommand::InsertBuckets,
        Change::RemoveBuckets => EntryCommand::RemoveBuckets,
    }
}

/// Lines that ask for the same follow each other in one call.
struct Run {
    command: EntryCommand,
    first: usize,
    entries: Vec<String>,
}

fn runs(lines: &Lines, change: Change, may_create: bool) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let (asked, entry) = group::command_of(line);
        let command = match asked {
            Some((change, creates)) => entry_command(change, creates || may_create),
            None => entry_command(change, may_create),
        };
        match runs.last_mut().filter(|run| run.command == command) {
            Some(run) => run.entries.push(entry.to_owned()),
            None => runs.push(Run {
                command,
                first: index,
                entries: vec![entry.to_owned()],
            }),
        }
    }
    runs
}

fn is_whole(command: EntryCommand) -> bool {
    matches!(
        command,
        EntryCommand::Add | EntryCommand::Modify | EntryCommand::MayCreate
    )
}

fn change_groups(
    bridge: &Bridge<'_>,
    command: &Command,
    change: Change,
) -> Result<Told, ManageError> {
    let lines = match command.syntax.name {
        "add-groups" => file(command.arg(1))?,
        _ => argument_or_stdin(command.arg(1))?,
    };
    let may_create = command.has("--may-create");
    check(bridge, |names| {
        lines.check(&mut |_| {}, |line| {
            let (asked, entry) = group::command_of(line);
            let change = asked.map_or(change, |(change, _)| change);
            match is_whole(entry_command(change, false)) {
                true => parse_group(entry, names).map(|_| ()),
                // The switch reads what names a group or a bucket only.
                false => Ok(()),
            }
        })
    })?;
    let runs = runs(&lines, change, may_create);
    if let (true, Some(second)) = (command.has("--bundle"), runs.get(1)) {
        return Err(ManageError::Mixed {
            at: lines.at(second.first),
        });
    }
    let mut all = (0, 0);
    for run in runs {
        let answer = send(bridge, METHOD_GROUP_MOD, &lines, run)?;
        all = (all.0 + answer.changed, all.1 + answer.flows_removed);
    }
    Ok(told(all))
}

fn told((changed, flows_removed): (u64, u64)) -> Told {
    let json = json!({"changed": changed, "flows_removed": flows_removed});
    Told::new(json, String::new())
}

fn send(
    bridge: &Bridge<'_>,
    method: &str,
    lines: &Lines,
    run: Run,
) -> Result<EntryModAnswer, ManageError> {
    let params = EntryModParams {
        bridge: bridge.name.to_owned(),
        command: run.command,
        entries: run.entries,
    };
    let answer: Result<EntryModAnswer, _> = bridge.call(method, params);
    let first = run.first;
    answer.map_err(|cause| match cause.in_lines(lines, first) {
        cause if first > 0 => ManageError::After {
            done: first,
            cause: Box::new(cause),
        },
        cause => cause,
    })
}

fn change_meters(
    bridge: &Bridge<'_>,
    command: &Command,
    change: Change,
) -> Result<Told, ManageError> {
    let lines = match change {
        Change::Delete => {
            let expected = "a meter: its number, slowpath, controller, or all";
            Lines::of_argument(&filter("meter", command.arg(1), expected)?)
        }
        _ => argument_or_stdin(command.arg(1))?,
    };
    if change != Change::Delete {
        lines.check(&mut |_| {}, |line| parse_meter(line).map(|_| ()))?;
    }
    let run = Run {
        command: entry_command(change, false),
        first: 0,
        entries: lines.iter().map(str::to_owned).collect(),
    };
    let answer = send(bridge, METHOD_METER_MOD, &lines, run)?;
    Ok(told((answer.changed, answer.flows_removed)))
}

fn show_ports(bridge: &Bridge<'_>, command: &Command) -> Result<Told, ManageError> {
    let status = bridge.status()?;
    let ports = port::chosen(&status, command.arg(1));
    if ports.is_empty() && !command.arg(1).is_empty() {
        return Err(ManageError::NoPort {
            bridge: bridge.name.to_owned(),
            port: command.arg(1).to_owned(),
        });
    }
    Ok(Told::new(serde_json::to_value(&ports)?, port::text(&ports)))
}
