//! From texts to changes. Pure.

use std::ops::Range;

use aorta_api::{EntryCommand, FlowCommand};
use aorta_flow::table::{FlowMod, GroupMod, MeterMod, Modification};
use aorta_flow::text::{
    Command, FlowText, Form, TextError, parse_flow, parse_flow_line, parse_group, parse_meter,
};
use aorta_flow::{Bucket, Flow, Group, MeterId};

use super::{FlowError, PortNames};

/// The changes that texts ask for, one each.
///
/// # Errors
/// The first text that can't be read.
pub fn flow_mods(
    command: FlowCommand,
    texts: &[String],
    names: &PortNames,
) -> Result<Vec<Modification>, FlowError> {
    let read = |(index, text): (usize, &String)| {
        let (command, flow) = match command {
            FlowCommand::Add => parse_flow_line(text, names),
            other => {
                let command = plain(other);
                parse_flow(text, command.form(), names).map(|flow| (command, flow))
            }
        }
        .map_err(|error| unreadable(index, text, error))?;
        Ok(Modification::Flow(FlowMod::from_text(command, flow)))
    };
    texts.iter().enumerate().map(read).collect()
}

fn plain(command: FlowCommand) -> Command {
    match command {
        FlowCommand::Add => Command::Add,
        FlowCommand::Modify => Command::Modify,
        FlowCommand::ModifyStrict => Command::ModifyStrict,
        FlowCommand::Delete => Command::Delete,
        FlowCommand::DeleteStrict => Command::DeleteStrict,
    }
}

fn unreadable(index: usize, text: &str, error: TextError) -> FlowError {
    FlowError::Text {
        index,
        text: text.to_owned(),
        error,
    }
}

/// The flows that texts tell.
///
/// # Errors
/// The first text that can't be read.
pub fn flows(texts: &[String], names: &PortNames) -> Result<Vec<Flow>, FlowError> {
    let read = |(index, text): (usize, &String)| {
        parse_flow(text, Form::Flow, names)
            .map(FlowText::into_flow)
            .map_err(|error| unreadable(index, text, error))
    };
    texts.iter().enumerate().map(read).collect()
}

/// Which flows a filter asks for; an empty one asks for all.
///
/// # Errors
/// If it can't be read.
pub fn filter(text: &str, names: &PortNames) -> Result<FlowMod, FlowError> {
    let flow = parse_flow(text, Form::Filter, names).map_err(|error| unreadable(0, text, error))?;
    Ok(FlowMod::from_text(Command::Delete, flow))
}

/// The changes of groups that texts ask for, one each.
///
/// # Errors
/// The first text that can't be read.
pub fn group_mods(
    command: EntryCommand,
    texts: &[String],
    names: &PortNames,
) -> Result<Vec<Modification>, FlowError> {
    let read = |(index, text): (usize, &String)| {
        Ok(Modification::Group(group_mod(command, index, text, names)?))
    };
    texts.iter().enumerate().map(read).collect()
}

fn group_mod(
    command: EntryCommand,
    index: usize,
    text: &str,
    names: &PortNames,
) -> Result<GroupMod, FlowError> {
    let group =
        |text: &str| parse_group(text, names).map_err(|error| unreadable(index, text, error));
    Ok(match command {
        EntryCommand::Add => GroupMod::Add(group(text)?),
        EntryCommand::Modify => GroupMod::Modify(group(text)?),
        EntryCommand::MayCreate => GroupMod::AddOrModify(group(text)?),
        EntryCommand::Delete => GroupMod::Delete(number(index, text, "group_id", Group::MAX_ID)?),
        EntryCommand::InsertBuckets => {
            let (place, rest) = command_bucket(index, text)?;
            // Of a group whose buckets alone count, any type does.
            let Group { id, buckets, .. } = group(&format!("type=all,{rest}"))?;
            GroupMod::InsertBuckets {
                group: id,
                after: place.insert_after(),
                buckets,
            }
        }
        EntryCommand::RemoveBuckets => {
            let (place, rest) = command_bucket(index, text)?;
            let group = number(index, &rest, "group_id", Group::MAX_ID)?;
            let missing = || form(index, "name the group: group_id=NUMBER");
            GroupMod::RemoveBuckets {
                group: group.ok_or_else(missing)?,
                bucket: place.removed(),
            }
        }
    })
}

fn form(index: usize, why: impl Into<String>) -> FlowError {
    FlowError::Form {
        index,
        why: why.into(),
    }
}

/// A bucket's number, or a reserved one (OpenFlow 1.5.1 §7.3.4.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum BucketPlace {
    First,
    Last,
    All,
    Number(u32),
}

impl BucketPlace {
    /// Numbers from here on are reserved: 0xffffffff is all, 0xfffffffe last, 0xfffffffd first.
    const RESERVED: u32 = 0xffff_ff01;

    fn insert_after(self) -> Option<u32> {
        match self {
            BucketPlace::First => None,
            BucketPlace::Last | BucketPlace::All => Some(Bucket::LAST),
            BucketPlace::Number(number) => Some(number),
        }
    }

    fn removed(self) -> Option<u32> {
        match self {
            BucketPlace::All => None,
            BucketPlace::First => Some(Bucket::FIRST),
            BucketPlace::Last => Some(Bucket::LAST),
            BucketPlace::Number(number) => Some(number),
        }
    }
}

/// Takes `command_bucket_id=…` out of a group's text.
fn command_bucket(index: usize, text: &str) -> Result<(BucketPlace, String), FlowError> {
    const KEY: &str = "command_bucket_id=";
    let wanted = "say which bucket: command_bucket_id=first, last, all or a number";
    let head = text.split("bucket=").next().unwrap_or(text);
    let Some(Range { start, end }) = entry(head, KEY) else {
        return Err(form(index, wanted));
    };
    let place = match text[start + KEY.len()..end].trim() {
        "first" => BucketPlace::First,
        "last" => BucketPlace::Last,
        "all" => BucketPlace::All,
        number => match number.parse() {
            Ok(number) if number < BucketPlace::RESERVED => BucketPlace::Number(number),
            _ => return Err(form(index, wanted)),
        },
    };
    let before = text[..start].trim_end_matches([',', ' ']);
    let after = text[end..].trim_start_matches([',', ' ']);
    let comma = if before.is_empty() || after.is_empty() {
        ""
    } else {
        ","
    };
    Ok((place, format!("{before}{comma}{after}")))
}

/// Where an entry `KEY…` of a list stands.
fn entry(list: &str, key: &str) -> Option<Range<usize>> {
    let start = list.find(key)?;
    let len = list[start..].find([',', ' ']).unwrap_or(list.len() - start);
    Some(start..start + len)
}

/// The changes of meters that texts ask for, one each.
///
/// # Errors
/// The first text that can't be read.
pub fn meter_mods(command: EntryCommand, texts: &[String]) -> Result<Vec<Modification>, FlowError> {
    let read = |(index, text): (usize, &String)| {
        let meter = || parse_meter(text).map_err(|error| unreadable(index, text, error));
        Ok(Modification::Meter(match command {
            EntryCommand::Add => MeterMod::Add(meter()?),
            EntryCommand::Modify => MeterMod::Modify(meter()?),
            EntryCommand::Delete => MeterMod::Delete(meter_id(index, text)?),
            _ => return Err(form(index, "meters are added, modified or deleted")),
        }))
    };
    texts.iter().enumerate().map(read).collect()
}

/// The meter that `meter=…` names; none if all are meant.
///
/// # Errors
/// If it can't be read.
pub fn meter_id(index: usize, text: &str) -> Result<Option<MeterId>, FlowError> {
    match text.trim().trim_start_matches("meter=") {
        "slowpath" => Ok(Some(MeterId::Slowpath)),
        "controller" => Ok(Some(MeterId::Controller)),
        _ => Ok(number(index, text, "meter", 0xffff_0000)?.map(MeterId::Number)),
    }
}

/// The number in `KEY=NUMBER`; none of an empty text and of `KEY=all`.
///
/// # Errors
/// If it is neither.
pub fn number(index: usize, text: &str, key: &str, max: u32) -> Result<Option<u32>, FlowError> {
    let text = text.trim();
    let value = text.strip_prefix(key).and_then(|t| t.strip_prefix('='));
    match value {
        Some("all" | "ALL") => Ok(None),
        None if text.is_empty() => Ok(None),
        _ => value
            .and_then(plain_number)
            .filter(|number| *number <= max)
            .map(Some)
            .ok_or_else(|| form(index, format!("{text:?} is not {key}=NUMBER or {key}=all"))),
    }
}

fn plain_number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}
