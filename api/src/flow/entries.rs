//! Groups and meters.

use serde::{Deserialize, Serialize};

use super::Counted;

/// What is done with groups or meters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryCommand {
    /// Each is added; refused if it is there.
    Add,
    /// Each is changed; refused if it isn't there.
    Modify,
    /// Each is changed, or added if it isn't there. Groups only.
    MayCreate,
    /// Buckets are added to groups: `group_id=1,command_bucket_id=last,bucket=...`. Groups only.
    InsertBuckets,
    /// Buckets are removed from groups: `group_id=1,command_bucket_id=all`. Groups only.
    RemoveBuckets,
    /// Each goes, with the flows that use it; an empty text is all of them.
    Delete,
}

/// A change of groups or meters: all of it or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntryModParams {
    /// Name of the bridge.
    pub bridge: String,
    /// What is done.
    pub command: EntryCommand,
    /// The groups or meters, one text each.
    pub entries: Vec<String>,
}

/// What a change of groups or meters did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryModAnswer {
    /// Groups or meters that were added, changed or removed.
    pub changed: u64,
    /// Flows that went along.
    pub flows_removed: u64,
}

/// Which groups or meters are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DumpParams {
    /// Name of the bridge.
    pub bridge: String,
    /// Only this one: `group_id=1` or `meter=1`; empty for all.
    #[serde(default)]
    pub filter: String,
    /// Whether ports are told by name.
    #[serde(default)]
    pub names: bool,
}

/// Groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupDump {
    /// By number.
    pub groups: Vec<GroupEntry>,
}

/// One group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupEntry {
    /// Its number.
    pub id: u32,
    /// The group as text.
    pub text: String,
    /// Flows that lead to it.
    pub flows: u64,
    /// Milliseconds since it was added.
    pub duration_ms: u64,
    /// What it handled.
    pub counters: Counted,
    /// What each bucket handled, in their order.
    pub buckets: Vec<Counted>,
}

/// Meters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeterDump {
    /// By number.
    pub meters: Vec<MeterEntry>,
}

/// One meter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeterEntry {
    /// Its number, `slowpath` or `controller`.
    pub id: String,
    /// The meter as text.
    pub text: String,
    /// Flows that use it.
    pub flows: u64,
    /// Milliseconds since it was added.
    pub duration_ms: u64,
    /// What came to it.
    pub counters: Counted,
    /// What each band caught, in their order.
    pub bands: Vec<Counted>,
}
