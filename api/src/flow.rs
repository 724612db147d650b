//! Flow tables, groups and meters: what is asked, and what is answered.
//!
//! Flows, groups, meters and filters are text as `ovs-ofctl` has it. Nothing is changed by a call
//! that ends with an error, but for [`FlowModParams::atomic`] `false`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Method that changes flows ([`FlowModParams`]) and answers a [`FlowModAnswer`].
pub const METHOD_FLOW_MOD: &str = "flow_mod";
/// Method that answers flows with their counters ([`FlowDumpParams`], [`FlowDump`]).
pub const METHOD_FLOW_DUMP: &str = "flow_dump";
/// Method that makes a bridge's flows the given ones ([`FlowReplaceParams`],
/// [`FlowReplaceAnswer`]).
pub const METHOD_FLOW_REPLACE: &str = "flow_replace";
/// Method that changes groups ([`EntryModParams`]) and answers an [`EntryModAnswer`].
pub const METHOD_GROUP_MOD: &str = "group_mod";
/// Method that answers groups with their counters ([`DumpParams`], [`GroupDump`]).
pub const METHOD_GROUP_DUMP: &str = "group_dump";
/// Method that changes meters ([`EntryModParams`]) and answers an [`EntryModAnswer`].
pub const METHOD_METER_MOD: &str = "meter_mod";
/// Method that answers meters with their counters ([`DumpParams`], [`MeterDump`]).
pub const METHOD_METER_DUMP: &str = "meter_dump";
/// Method that tells a packet's way through the tables ([`FlowTraceParams`], [`FlowTrace`]).
pub const METHOD_FLOW_TRACE: &str = "flow_trace";
/// Method that tells how a bridge's tables are compiled ([`FlowExplainParams`], [`FlowExplain`]).
pub const METHOD_FLOW_EXPLAIN: &str = "flow_explain";

/// JSON-RPC error code of a flow's, group's or meter's text that can't be read. The data is a
/// [`TextFault`].
pub const ERROR_FLOW_TEXT: i32 = 10;
/// JSON-RPC error code of what the tables refuse. The data is a [`TableFault`].
pub const ERROR_FLOW_TABLE: i32 = 11;
/// JSON-RPC error code of what the kernel's side refuses. The data is a [`DatapathFault`].
pub const ERROR_FLOW_DATAPATH: i32 = 12;

fn yes() -> bool {
    true
}

/// What is done with flows (OpenFlow 1.3.5 §A.3.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FlowCommand {
    /// Each flow is added, or replaces the one of the same table, priority and match. A line may
    /// begin with a word that says otherwise: `modify`, `modify_strict`, `delete`,
    /// `delete_strict`.
    Add,
    /// Flows that the match covers get other actions.
    Modify,
    /// The flow of this priority and match gets other actions.
    ModifyStrict,
    /// Flows that the match covers go.
    Delete,
    /// The flow of this priority and match goes.
    DeleteStrict,
}

/// A change of flows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowModParams {
    /// Name of the bridge.
    pub bridge: String,
    /// What is done.
    pub command: FlowCommand,
    /// The flows, one text each.
    pub flows: Vec<String>,
    /// True (the default): all of it or nothing, for packets too: none meets one change and misses
    /// another. False: one after the other up to the first that is refused.
    #[serde(default = "yes")]
    pub atomic: bool,
}

/// What a change of flows did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowModAnswer {
    /// Flows that were added, changed or removed.
    pub changed: u64,
}

/// All flows that a bridge is to have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowReplaceParams {
    /// Name of the bridge.
    pub bridge: String,
    /// The flows, one text each. Those that are there already, with the same cookie, timeouts,
    /// flags and actions, stay with their counters.
    pub flows: Vec<String>,
}

/// What a replacement did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowReplaceAnswer {
    /// Flows that are new.
    pub added: u64,
    /// Flows that are gone.
    pub removed: u64,
    /// Flows that became other ones.
    pub modified: u64,
}

/// Which flows are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowDumpParams {
    /// Name of the bridge.
    pub bridge: String,
    /// Only flows that this covers, as `ovs-ofctl dump-flows` takes it: `table=1,tcp`,
    /// `cookie=0x1/-1`, `out_port=2`; empty for all.
    #[serde(default)]
    pub filter: String,
    /// Whether ports are told by name.
    #[serde(default)]
    pub names: bool,
    /// Whether it is told where each flow runs ([`FlowEntry::placement`]).
    #[serde(default)]
    pub placement: bool,
}

/// Flows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowDump {
    /// By table, then from the highest priority, then from the oldest.
    pub flows: Vec<FlowEntry>,
}

/// One flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowEntry {
    /// Its table.
    pub table: u8,
    /// The highest of those that match is taken.
    pub priority: u16,
    /// The controller's number for it, `0x` and hexadecimal digits.
    pub cookie: String,
    /// Which packets, as text; empty for all.
    #[serde(rename = "match")]
    pub matching: String,
    /// What it does, as text.
    pub actions: String,
    /// Seconds without a packet after which it goes, 0 for never.
    pub idle_timeout_s: u16,
    /// Seconds after which it goes, 0 for never.
    pub hard_timeout_s: u16,
    /// What goes first when the table is full; higher stays longer.
    pub importance: u16,
    /// `send_flow_rem`, `check_overlap`, `reset_counts`, `no_packet_counts`, `no_byte_counts`.
    pub flags: Vec<String>,
    /// Milliseconds since it was added.
    pub duration_ms: u64,
    /// Packets that it matched.
    pub packets: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Milliseconds since its last packet, or since it was added if there was none.
    pub idle_ms: u64,
    /// Milliseconds since it was added or last changed.
    pub hard_age_ms: u64,
    /// Where it runs: `tcx`, or `none`.
    pub hook: String,
    /// In which form, or why it doesn't run.
    pub reason: String,
    /// Where it runs, network cards included; only if that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<FlowPlacement>,
}

/// Where a flow runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowPlacement {
    /// From the first that packets come to: `nic(CARD)`, `xdp`, `tc`, `user space`; `sim` in a
    /// simulation, `none` if it doesn't run. More than one if not all of its packets, or not all that it
    /// does, are at the same place.
    pub places: Vec<String>,
    /// Why it isn't further up, for each place where it isn't; empty if there is none.
    pub why: String,
}

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

/// Packets and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Packets.
    pub packets: u64,
    /// Bytes of these.
    pub bytes: u64,
}

/// A packet to follow: either `flow` or `frame`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowTraceParams {
    /// Name of the bridge.
    pub bridge: String,
    /// The packet's fields, as a flow's match: `in_port=1,tcp,nw_dst=10.0.0.1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<String>,
    /// The packet's bytes in hexadecimal digits; colons, dots and blanks are skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<String>,
    /// The port where it comes in, number or name. For `frame`; a `flow` may have its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_port: Option<String>,
}

/// A packet's way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowTrace {
    /// The packet as it came, as text.
    pub packet: String,
    /// Line by line.
    pub trace: Vec<TraceLine>,
    /// The packet as it is at the end, as text.
    #[serde(rename = "final")]
    pub final_packet: String,
    /// The copies that leave, in order.
    pub outputs: Vec<TraceOutput>,
    /// Why nothing leaves, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drop: Option<String>,
    /// Where the packet would run, table by table.
    pub places: Vec<TracePlace>,
    /// All of it for people, in the form of `ovs-appctl ofproto/trace`.
    pub text: String,
}

/// One line of a packet's way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceLine {
    /// How deep in resubmits and copies.
    pub depth: u32,
    /// The table of a lookup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<u8>,
    /// The flow that matched; a lookup without it found none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<TraceFlow>,
    /// An action that is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// What is worth knowing besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A flow that a packet met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceFlow {
    /// Its cookie, `0x` and hexadecimal digits.
    pub cookie: String,
    /// Its priority.
    pub priority: u16,
    /// Its match, as text.
    #[serde(rename = "match")]
    pub matching: String,
}

/// A copy that leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceOutput {
    /// The port's name, or `CONTROLLER`.
    pub port: String,
    /// Its fields, as text.
    pub packet: String,
    /// Its bytes, hexadecimal, if bytes were given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<String>,
}

/// Where a table's lookup runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TracePlace {
    /// The table.
    pub table: u8,
    /// The form in which it is compiled: `code`, `hash`, `tuple`, `lpm` or `normal`.
    pub template: String,
    /// Where: `tcx`, or `none`.
    pub hook: String,
    /// Why this form, there.
    pub why: String,
}

/// Which bridge's tables are explained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowExplainParams {
    /// Name of the bridge.
    pub bridge: String,
}

/// How a bridge's tables are compiled.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FlowExplain {
    /// Tables with flows, by number.
    pub tables: Vec<TableExplain>,
    /// Instructions of the bridge's program.
    pub program_insns: u64,
    /// Milliseconds that the kernel took to check and load it.
    pub load_ms: f64,
    /// Where it runs: `tcx`, or `none`.
    pub hook: String,
    /// Why there.
    pub why: String,
    /// What is checked before the tables, by name of the port that frames come from.
    #[serde(default)]
    pub guards: BTreeMap<String, String>,
    /// Network cards that take over flows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cards: Vec<CardExplain>,
}

/// What a network card has of a bridge's flows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardExplain {
    /// Its name: that of a device.
    pub name: String,
    /// How it is programmed: `flower` or `ebpf`.
    pub language: String,
    /// Names of its ports.
    pub ports: Vec<String>,
    /// Flows that are on it.
    pub flows: u64,
    /// Rules that are on it.
    pub rules: u64,
    /// Those of them that leave their packets to software.
    pub traps: u64,
    /// Rules that it has refused since it is in use.
    pub refusals: u64,
    /// Why it isn't used; empty if it is.
    pub trouble: String,
    /// What others have put on it, and is left alone.
    pub foreign: Vec<String>,
}

/// How one table is compiled.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TableExplain {
    /// The table.
    pub table: u8,
    /// Its flows.
    pub flows: u64,
    /// Its form: `code`, `hash`, `tuple`, `lpm` or `normal`.
    pub template: String,
    /// Why this form.
    pub why: String,
    /// Different masks among its matches.
    pub masks: u64,
    /// Places that a lookup looks at, on average.
    pub probes_per_packet: f64,
    /// Instructions of its part of the program.
    pub program_insns: u64,
    /// Bytes of kernel memory.
    pub memory_bytes: u64,
    /// What would make it cheaper, a sentence each.
    pub cheaper: Vec<String>,
    /// How many of its flows run at which places, as in [`FlowPlacement::places`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub places: BTreeMap<String, u64>,
}

/// Which text can't be read, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextFault {
    /// Which of the texts, from 0.
    pub index: u64,
    /// Which byte of it, from 0.
    pub position: u64,
    /// The text around the place, and below it what points at the place.
    pub caret: String,
}

/// Which change the tables refuse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableFault {
    /// Which of the texts, from 0.
    pub index: u64,
    /// The error that a controller would get: `OFPBMC_BAD_PREREQ` and the like.
    pub openflow: String,
    /// Flows changed before it, if the call wasn't atomic.
    pub changed: u64,
}

/// Why the kernel's side refuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatapathFault {
    /// The reason, with all its causes.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_left_out_has_its_default() {
        let params = json!({"bridge": "br0", "command": "modify-strict", "flows": ["actions=1"]});
        let params: FlowModParams = serde_json::from_value(params).unwrap();
        assert!(params.atomic);
        assert_eq!(params.command, FlowCommand::ModifyStrict);
        let params: FlowDumpParams = serde_json::from_value(json!({"bridge": "br0"})).unwrap();
        assert_eq!((params.filter.as_str(), params.names), ("", false));
        assert!(serde_json::from_value::<DumpParams>(json!({"bridge": "b", "x": 1})).is_err());
    }

    #[test]
    fn a_trace_has_only_members_that_say_something() {
        let line = TraceLine {
            depth: 1,
            action: Some("output:1".into()),
            ..TraceLine::default()
        };
        let value = serde_json::to_value(&line).unwrap();
        assert_eq!(value, json!({"depth": 1, "action": "output:1"}));
        assert_eq!(serde_json::from_value::<TraceLine>(value).unwrap(), line);
    }
}
