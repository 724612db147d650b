//! Groups.

use aorta_flow::table::GroupMod;
use aorta_flow::text::{Names, parse_group};
use aorta_flow::{Bucket, Group};
use aorta_openflow::message::MultipartRequest;
use aorta_openflow::{Message, Version, Versions};

use super::error::OfctlError;
use super::flows::lines_of;
use super::formats::Formats;
use super::{Done, OK, Ofctl};

/// What a group's text is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Add,
    Modify,
    AddOrModify,
    Delete,
    InsertBuckets,
    RemoveBuckets,
}

/// The value of one of the first parts of a group's text, and the text without it.
fn taken<'a>(text: &'a str, names: &[&str]) -> (Option<&'a str>, String) {
    let head = text.find("bucket=").map_or(text, |at| &text[..at]);
    let mut value = None;
    let mut rest = Vec::new();
    for part in head.split([',', ' ']).filter(|part| !part.is_empty()) {
        match part.split_once(['=', ':']) {
            Some((name, found)) if names.contains(&name) => value = Some(found),
            _ => rest.push(part),
        }
    }
    let mut rest = rest.join(",");
    if head.len() < text.len() {
        rest.push(',');
        rest.push_str(&text[head.len()..]);
    }
    (value, rest)
}

fn group_id(text: Option<&str>) -> Result<Option<u32>, OfctlError> {
    match text {
        None => Err(OfctlError::other("must specify a group_id")),
        Some("all") => Ok(None),
        Some(number) => {
            let bad = || OfctlError::other(format!("invalid group id {number}"));
            let number: u32 = number.parse().map_err(|_| bad())?;
            match number <= Group::MAX_ID {
                true => Ok(Some(number)),
                false => Err(bad()),
            }
        }
    }
}

/// Which group is asked for: a number or `group_id=NUMBER`; all if nothing is said.
fn which(words: &[&str], plain: bool) -> Result<Option<u32>, OfctlError> {
    match words.get(1) {
        None => Ok(None),
        Some(word) => {
            let (id, rest) = taken(word, &["group_id"]);
            match (id, rest.as_str()) {
                (Some(id), "") => group_id(Some(id)),
                (None, word) if plain => group_id(Some(word)),
                (_, rest) => Err(OfctlError::other(format!("unknown keyword {rest}"))),
            }
        }
    }
}

/// What a text asks for.
pub fn read(change: Change, text: &str, names: &dyn Names) -> Result<GroupMod, OfctlError> {
    let group = |text: &str| -> Result<Group, OfctlError> {
        parse_group(text, names).map_err(|error| OfctlError::Text(error.render(text)))
    };
    Ok(match change {
        Change::Add => GroupMod::Add(group(text)?),
        Change::Modify => GroupMod::Modify(group(text)?),
        Change::AddOrModify => GroupMod::AddOrModify(group(text)?),
        Change::Delete => {
            let (id, rest) = taken(text, &["group_id"]);
            if id.is_none() && rest.is_empty() {
                return Ok(GroupMod::Delete(None));
            }
            GroupMod::Delete(group_id(id)?)
        }
        Change::InsertBuckets | Change::RemoveBuckets => bucket_change(change, text, names)?,
    })
}

fn bucket_change(change: Change, text: &str, names: &dyn Names) -> Result<GroupMod, OfctlError> {
    let (place, text) = taken(text, &["command_bucket_id"]);
    let (id, buckets) = taken(&text, &["group_id"]);
    let group_id = group_id(id)?.ok_or_else(|| OfctlError::other("invalid group id"))?;
    let place = place.ok_or_else(|| OfctlError::other("must specify a command bucket id"))?;
    let bad = || OfctlError::other(format!("invalid command bucket id {place}"));
    let number = match place {
        "all" => u32::MAX,
        "first" => Bucket::FIRST,
        "last" => Bucket::LAST,
        number => number.parse().map_err(|_| bad())?,
    };
    if change == Change::RemoveBuckets {
        return Ok(GroupMod::RemoveBuckets {
            group: group_id,
            bucket: (number != u32::MAX).then_some(number),
        });
    }
    let text = format!(
        "group_id={group_id},type=all,{}",
        buckets.trim_start_matches(',')
    );
    let group = parse_group(&text, names);
    let group = group.map_err(|error| OfctlError::Text(error.render(&text)))?;
    Ok(GroupMod::InsertBuckets {
        group: group_id,
        after: (number != Bucket::FIRST).then_some(number),
        buckets: group.buckets,
    })
}

/// Refuses changes of single buckets in versions that have none.
fn need_buckets(ofctl: &Ofctl, change: Change) -> Result<(), OfctlError> {
    let all = Formats::of_versions(Versions::only(Version::OpenFlow10).with(Version::OpenFlow15));
    if ofctl.settings.formats.has(all) {
        return Ok(());
    }
    match change {
        Change::InsertBuckets => {
            let text = "insert-bucket needs OpenFlow 1.5 or later ('-O OpenFlow15')";
            Err(OfctlError::other(text))
        }
        Change::RemoveBuckets => Err(OfctlError::Formats {
            usable: all.to_string(),
            allowed: ofctl.settings.formats.to_string(),
        }),
        _ => Ok(()),
    }
}

fn change(ofctl: &Ofctl, change: Change, words: &[&str]) -> Done {
    need_buckets(ofctl, change)?;
    let names = ofctl.names_to_read(words[0])?;
    let text = words.get(1).copied().unwrap_or("");
    let change = read(change, text, names)?;
    send(ofctl, words[0], vec![change])
}

fn send(ofctl: &Ofctl, target: &str, changes: Vec<GroupMod>) -> Done {
    if ofctl.settings.bundle {
        let messages = changes.into_iter().map(Message::GroupMod).collect();
        return super::bundle::run(ofctl, target, messages);
    }
    let mut client = ofctl.open(target)?;
    for change in changes {
        ofctl.command(&mut client, Message::GroupMod(change))?;
    }
    Ok(OK)
}

/// Adds a group.
pub fn add(ofctl: &Ofctl, words: &[&str]) -> Done {
    change(ofctl, Change::Add, words)
}

/// Does what a file says, line by line.
pub fn add_file(ofctl: &Ofctl, words: &[&str]) -> Done {
    let names = ofctl.names_to_read(words[0])?;
    let lines = lines_of(words.get(1).copied().unwrap_or("-"))?;
    let read_line = |line: &String| {
        let (word, rest) = first_word(line);
        read(word, rest, names)
    };
    let changes = lines.iter().map(read_line).collect::<Result<Vec<_>, _>>()?;
    send(ofctl, words[0], changes)
}

/// What a line's first word says is to be done, and the rest; adds if it says nothing.
pub fn first_word(line: &str) -> (Change, &str) {
    const WORDS: [(&str, Change); 7] = [
        ("add", Change::Add),
        ("modify", Change::Modify),
        ("add_or_mod", Change::AddOrModify),
        ("delete", Change::Delete),
        ("insert_bucket", Change::InsertBuckets),
        ("remove_bucket", Change::RemoveBuckets),
        ("mod", Change::Modify),
    ];
    let (word, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let found = WORDS.iter().find(|(name, _)| *name == word);
    found.map_or((Change::Add, line), |(_, change)| {
        (*change, rest.trim_start())
    })
}

/// Changes a group.
pub fn modify(ofctl: &Ofctl, words: &[&str]) -> Done {
    match ofctl.settings.may_create {
        true => change(ofctl, Change::AddOrModify, words),
        false => change(ofctl, Change::Modify, words),
    }
}

/// Deletes a group, or all.
pub fn delete(ofctl: &Ofctl, words: &[&str]) -> Done {
    let id = which(words, false)?;
    ofctl.names_to_read(words[0])?;
    send(ofctl, words[0], vec![GroupMod::Delete(id)])
}

/// Adds buckets to a group.
pub fn insert_buckets(ofctl: &Ofctl, words: &[&str]) -> Done {
    change(ofctl, Change::InsertBuckets, words)
}

/// Removes buckets from a group.
pub fn remove_buckets(ofctl: &Ofctl, words: &[&str]) -> Done {
    change(ofctl, Change::RemoveBuckets, words)
}

/// Prints groups.
pub fn dump(ofctl: &Ofctl, words: &[&str]) -> Done {
    let id = which(words, true)?;
    let mut client = ofctl.open(words[0])?;
    let told = matches!(client.version, Version::OpenFlow10 | Version::OpenFlow15);
    // Other versions tell all groups.
    let id = if told { id } else { None };
    ofctl.dump_from(&mut client, MultipartRequest::GroupDesc(id))
}

/// Prints what groups have counted.
pub fn stats(ofctl: &Ofctl, words: &[&str]) -> Done {
    let id = which(words, false)?;
    ofctl.names_to_read(words[0])?;
    ofctl.dump(words[0], MultipartRequest::Group(id))
}

/// Prints what the switch can do with groups.
pub fn features(ofctl: &Ofctl, words: &[&str]) -> Done {
    ofctl.dump(words[0], MultipartRequest::GroupFeatures)
}
