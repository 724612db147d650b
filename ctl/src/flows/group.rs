//! Groups and meters as ovs-ofctl prints them.

use std::fmt::Write as _;

use aorta_api::{Counted, GroupDump, MeterDump};

use super::dump::seconds;
use crate::commands::group::Change;

/// What `dump-groups` prints.
pub fn groups_text(dump: &GroupDump) -> String {
    let mut out = String::from("NXST_GROUP_DESC reply (xid=0x2):\n");
    for group in &dump.groups {
        let _ = writeln!(out, " {}", group.text);
    }
    out
}

fn put_counted(out: &mut String, counted: &Counted) {
    let (packets, bytes) = (counted.packets, counted.bytes);
    let _ = write!(out, "packet_count={packets},byte_count={bytes}");
}

/// What `dump-group-stats` prints.
pub fn group_stats_text(dump: &GroupDump) -> String {
    let mut out = String::from("NXST_GROUP reply (xid=0x6):\n");
    for group in &dump.groups {
        let (id, duration, flows) = (group.id, seconds(group.duration_ms), group.flows);
        let _ = write!(
            out,
            " group_id={id},duration={duration}s,ref_count={flows},"
        );
        put_counted(&mut out, &group.counters);
        for (number, bucket) in group.buckets.iter().enumerate() {
            let _ = write!(out, ",bucket{number}:");
            put_counted(&mut out, bucket);
        }
        out.push('\n');
    }
    out
}

/// The end of the line of the meter before, if there is one: an empty line keeps meters apart.
fn apart(n: usize) -> &'static str {
    if n == 0 { "" } else { "\n" }
}

/// What `dump-meters` prints.
pub fn meters_text(dump: &MeterDump) -> String {
    let mut out = String::from("OFPST_METER_CONFIG reply (OF1.3) (xid=0x2):");
    for (n, meter) in dump.meters.iter().enumerate() {
        let _ = write!(out, "{}\n{}", apart(n), meter.text);
    }
    out.push('\n');
    out
}

/// What `meter-stats` prints.
pub fn meter_stats_text(dump: &MeterDump) -> String {
    let mut out = String::from("OFPST_METER reply (OF1.3) (xid=0x2):");
    for (n, meter) in dump.meters.iter().enumerate() {
        let Counted { packets, bytes } = meter.counters;
        let (id, flows, duration) = (&meter.id, meter.flows, seconds(meter.duration_ms));
        let _ = write!(
            out,
            "{}\nmeter:{id} flow_count:{flows} packet_in_count:{packets} byte_in_count:{bytes} \
             duration:{duration}s bands:",
            apart(n)
        );
        for (number, Counted { packets, bytes }) in meter.bands.iter().enumerate() {
            let _ = write!(out, "\n{number}: packet_count:{packets} byte_count:{bytes}");
        }
    }
    out.push('\n');
    out
}

/// What the first word of a group's line may be, and what it means; the flag is whether a group
/// that is to be changed may be a new one.
const WORDS: [(&str, (Change, bool)); 6] = [
    ("add", (Change::Add, false)),
    ("modify", (Change::Modify, false)),
    ("add_or_mod", (Change::Modify, true)),
    ("delete", (Change::Delete, false)),
    ("insert_bucket", (Change::InsertBuckets, false)),
    ("remove_bucket", (Change::RemoveBuckets, false)),
];

/// What a line asks for, and the rest of it.
pub fn command_of(line: &str) -> (Option<(Change, bool)>, &str) {
    let word = line.split_ascii_whitespace().next().unwrap_or_default();
    match WORDS.iter().find(|(name, _)| *name == word) {
        Some((name, command)) => {
            let rest = line.trim_start().get(name.len()..).unwrap_or_default();
            (Some(*command), rest.trim_start())
        }
        None => (None, line),
    }
}
