//! Groups as text.

use std::fmt;
use std::fmt::Write as _;

use super::error::TextError;
use super::names::{Names, NoNames};
use super::print_actions::{put_actions, put_port};
use super::scan::{Item, Items, Token};
use super::{Parser, field, number, number_u16, number_u32, number_u64};
use crate::field::{Format, ones, parse_value, show};
use crate::{Bucket, Group, GroupKind, Selection};

const KINDS: [(&str, GroupKind); 5] = [
    ("all", GroupKind::All),
    ("select", GroupKind::Select),
    ("indirect", GroupKind::Indirect),
    ("ff", GroupKind::FastFailover),
    ("fast_failover", GroupKind::FastFailover),
];

/// Reads a group, as `ovs-ofctl add-group` takes it and `dump-groups` prints it.
///
/// # Errors
/// With the place and what would be right.
pub fn parse_group(text: &str, names: &dyn Names) -> Result<Group, TextError> {
    let parser = Parser { names };
    let text = Token::whole(text);
    let mut buckets = text.text.match_indices("bucket=").filter(|(at, _)| {
        let before = text.text[..*at].chars().next_back();
        before.is_none_or(|c| c == ',' || c.is_ascii_whitespace())
    });
    let starts: Vec<usize> = buckets.by_ref().map(|(at, _)| at).collect();
    let head_end = starts.first().copied().unwrap_or(text.text.len());
    let mut group = parser.group_head(text.slice(0, head_end))?;
    for (n, start) in starts.iter().enumerate() {
        let end = starts.get(n + 1).copied().unwrap_or(text.text.len());
        let at = text.slice(start + "bucket=".len(), end);
        let id = next_id(&group.buckets);
        let bucket = parser.bucket(at, id)?;
        if group.buckets.iter().any(|other| other.id == bucket.id) {
            return Err(TextError::rule(
                at.trim(),
                "another bucket has this bucket_id",
            ));
        }
        group.buckets.push(bucket);
    }
    if group.kind == GroupKind::Indirect && group.buckets.len() != 1 {
        return Err(TextError::rule(
            text,
            "an indirect group needs exactly one bucket",
        ));
    }
    Ok(group)
}

/// The number that a bucket gets if it names none: its position, or the next that is free.
fn next_id(buckets: &[Bucket]) -> u32 {
    (0..)
        .skip(buckets.len())
        .find(|id| buckets.iter().all(|bucket| bucket.id != *id))
        .unwrap_or(0)
}

impl Parser<'_> {
    fn group_head(self, list: Token<'_>) -> Result<Group, TextError> {
        const KEYS: [&str; 6] = [
            "group_id",
            "type",
            "selection_method",
            "selection_method_param",
            "fields",
            "bucket",
        ];
        let (mut id, mut kind) = (None, None);
        let mut selection = Selection::default();
        for entry in super::items(list)? {
            let value = || entry.need("NAME=VALUE");
            match entry.key.text {
                "group_id" => id = Some(number(value()?, Group::MAX_ID.into())? as u32),
                "type" => kind = Some(super::choice(value()?, "type of group", &KINDS)?),
                "selection_method" => selection.method = method(value()?)?,
                "selection_method_param" => selection.parameter = number_u64(value()?)?,
                "fields" => selection_fields(&mut selection, &entry)?,
                _ => {
                    return Err(TextError::unknown(
                        entry.key,
                        "part of a group",
                        KEYS.into_iter(),
                    ));
                }
            }
        }
        let (Some(id), Some(kind)) = (id, kind) else {
            return Err(TextError::rule(
                list,
                "a group needs group_id=NUMBER and type=all, select, indirect or ff",
            ));
        };
        let given = !selection.method.is_empty();
        if given && kind != GroupKind::Select {
            return Err(TextError::rule(
                list,
                "only a select group has a selection_method",
            ));
        }
        if !given && (selection.parameter != 0 || !selection.fields.is_empty()) {
            return Err(TextError::rule(
                list,
                "these need selection_method=hash or dp_hash",
            ));
        }
        Ok(Group {
            id,
            kind,
            buckets: Vec::new(),
            selection: given.then_some(selection),
        })
    }

    fn bucket(self, list: Token<'_>, id: u32) -> Result<Bucket, TextError> {
        let mut bucket = Bucket {
            id,
            weight: None,
            watch_port: None,
            watch_group: None,
            actions: Vec::new(),
        };
        let mut items = Items::new(list);
        loop {
            let rest = items.rest();
            let Some(entry) = items.next()? else { break };
            let value = || entry.need("NAME:VALUE");
            match entry.key.text {
                "bucket_id" => bucket.id = number(value()?, Group::MAX_ID.into())? as u32,
                "weight" => bucket.weight = Some(number_u16(value()?)?),
                "watch_port" => bucket.watch_port = Some(self.port(value()?)?),
                "watch_group" => bucket.watch_group = Some(number_u32(value()?)?),
                "actions" | "action" => {
                    let at = rest.from(rest.text.find('=').map_or(0, |at| at + 1));
                    bucket.actions = self.actions(at, 0)?;
                    break;
                }
                // Without the word, the actions start at the first entry that is none of these.
                _ => {
                    bucket.actions = self.actions(rest, 0)?;
                    break;
                }
            }
        }
        Ok(bucket)
    }
}

fn method(at: Token<'_>) -> Result<String, TextError> {
    let methods = [("hash", "hash"), ("dp_hash", "dp_hash")];
    Ok(super::choice(at, "selection method", &methods)?.to_owned())
}

/// `fields=FIELD` or `fields(FIELD[=MASK],...)`.
fn selection_fields(selection: &mut Selection, entry: &Item<'_>) -> Result<(), TextError> {
    for part in super::items(entry.need("fields(FIELD,...)")?)? {
        let id = field(part.key)?;
        let mask = match part.value {
            None => id.field().full_mask(),
            Some(at) => {
                parse_value(id, at.text)
                    .map_err(|e| TextError::new(at, e))?
                    .0
            }
        };
        selection.fields.push((id, mask));
    }
    Ok(())
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&show_group(self, &NoNames))
    }
}

/// A group as `ovs-ofctl dump-groups` prints it.
pub fn show_group(group: &Group, names: &dyn Names) -> String {
    let kind = KINDS.iter().find(|(_, kind)| *kind == group.kind);
    let mut out = format!("group_id={},type={}", group.id, kind.map_or("", |k| k.0));
    if let Some(selection) = &group.selection {
        put_selection(&mut out, selection);
    }
    for bucket in &group.buckets {
        let _ = write!(out, ",bucket=bucket_id:{},", bucket.id);
        let weight = bucket.weight.filter(|weight| *weight != 1);
        if let Some(weight) = weight.filter(|_| group.kind == GroupKind::Select) {
            let _ = write!(out, "weight:{weight},");
        }
        if let Some(port) = bucket.watch_port {
            out.push_str("watch_port:");
            put_port(&mut out, port, names);
            out.push(',');
        }
        if let Some(id) = bucket.watch_group {
            let _ = write!(out, "watch_group:{id},");
        }
        out.push_str("actions=");
        put_actions(&mut out, &bucket.actions, names);
    }
    out
}

fn put_selection(out: &mut String, selection: &Selection) {
    let _ = write!(out, ",selection_method={}", selection.method);
    if selection.parameter != 0 {
        let _ = write!(out, ",selection_method_param={}", selection.parameter);
    }
    for (n, (id, mask)) in selection.fields.iter().enumerate() {
        out.push_str(if n == 0 { ",fields(" } else { "," });
        out.push_str(id.name());
        let full = id.field().full_mask();
        if *mask != full {
            out.push('=');
            match id.field().format {
                Format::Ipv4 | Format::Ipv6 | Format::Ethernet => show(out, *id, *mask, full),
                _ => crate::field::hex(out, mask & ones(128)),
            }
        }
    }
    if !selection.fields.is_empty() {
        out.push(')');
    }
}
