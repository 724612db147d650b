//! Groups.

use std::fmt::Write as _;

use aorta_flow::table::GroupMod;
use aorta_flow::text::{Names, show_group};
use aorta_flow::{Bucket, Group, GroupKind};

use super::Style;
use super::bits::{put_counter, put_duration};
use super::port::put_actions;
use crate::message::{GroupFeatures, GroupStats};
use crate::version::Version;

const KINDS: [&str; 4] = ["all", "select", "indirect", "ff"];

/// Whether buckets have numbers in this version.
fn has_numbers(version: Version) -> bool {
    matches!(version, Version::OpenFlow10 | Version::OpenFlow15)
}

/// A group with the numbers of its buckets only where they are told.
fn put_group(out: &mut String, group: &Group, version: Version, names: &dyn Names) {
    let mut text = show_group(group, names);
    if !has_numbers(version) {
        for bucket in &group.buckets {
            let number = format!("bucket=bucket_id:{},", bucket.id);
            text = text.replacen(&number, "bucket=", 1);
        }
    }
    out.push_str(&text);
}

/// Buckets behind what is said of their group.
fn buckets(group: u32, buckets: &[Bucket], version: Version, names: &dyn Names) -> String {
    let group = Group {
        id: group,
        kind: GroupKind::All,
        buckets: buckets.to_vec(),
        selection: None,
    };
    let mut text = String::new();
    put_group(&mut text, &group, version, names);
    text.replacen(",type=all", "", 1)
}

fn place(bucket: Option<u32>, none: &str) -> String {
    match bucket {
        None => none.to_owned(),
        Some(Bucket::FIRST) => "first".to_owned(),
        Some(Bucket::LAST) => "last".to_owned(),
        Some(id) => id.to_string(),
    }
}

/// A change of groups, on a line of its own.
pub(super) fn put_mod(out: &mut String, change: &GroupMod, version: Version, style: Style<'_>) {
    out.push_str("\n ");
    let names = style.names;
    let (word, group) = match change {
        GroupMod::Add(group) => ("ADD", group),
        GroupMod::Modify(group) => ("MOD", group),
        GroupMod::AddOrModify(group) => ("ADD_OR_MOD", group),
        GroupMod::Delete(id) => {
            // All groups are a number, too.
            let _ = write!(out, "DEL group_id={},type=all", id.unwrap_or(0xffff_fffc));
            return;
        }
        GroupMod::InsertBuckets {
            group,
            after,
            buckets: added,
        } => {
            let (place, text) = (
                place(*after, "first"),
                buckets(*group, added, version, names),
            );
            let _ = write!(out, "INSERT_BUCKET command_bucket_id:{place},{text}");
            return;
        }
        GroupMod::RemoveBuckets { group, bucket } => {
            let place = place(*bucket, "all");
            let _ = write!(
                out,
                "REMOVE_BUCKET command_bucket_id:{place},group_id={group}"
            );
            return;
        }
    };
    let _ = write!(out, "{word} ");
    put_group(out, group, version, names);
}

pub(super) fn put_desc(out: &mut String, groups: &[Group], version: Version, style: Style<'_>) {
    out.push('\n');
    for group in groups {
        out.push(' ');
        put_group(out, group, version, style.names);
        out.push('\n');
    }
}

pub(super) fn put_stats(out: &mut String, groups: &[GroupStats]) {
    out.push('\n');
    for group in groups {
        let _ = write!(out, " group_id={},", group.id);
        if let Some(duration) = group.duration {
            out.push_str("duration=");
            put_duration(out, duration);
            out.push(',');
        }
        let _ = write!(out, "ref_count={},", group.ref_count);
        put_counter(out, "packet_count=", group.n_packets, ",");
        put_counter(out, "byte_count=", group.n_bytes, "");
        for (at, bucket) in group.buckets.iter().enumerate() {
            put_counter(
                out,
                &format!(",bucket{at}:packet_count="),
                bucket.n_packets,
                ",",
            );
            put_counter(out, "byte_count=", bucket.n_bytes, "");
        }
        out.push('\n');
    }
}

pub(super) fn put_features(out: &mut String, features: &GroupFeatures, version: Version) {
    out.push_str("\n Group table:\n");
    let (types, capabilities) = (features.types, features.capabilities);
    let _ = write!(
        out,
        "    Types:  {types:#x}\n    Capabilities:  {capabilities:#x}\n"
    );
    for (at, name) in KINDS.iter().enumerate() {
        if types >> at & 1 == 0 {
            continue;
        }
        let name = if *name == "ff" { "fast failover" } else { name };
        let max = features.max_groups[at];
        let _ = write!(
            out,
            "    {name} group:\n       max_groups={max:#x}\n       actions: "
        );
        put_actions(out, features.actions[at], version);
        out.push('\n');
    }
}
