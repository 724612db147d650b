//! Flow tables, groups and meters: what is asked, and what is answered.
//!
//! Flows, groups, meters and filters are text as `ovs-ofctl` has it. Nothing is changed by a call
//! that ends with an error, but for [`FlowModParams::atomic`] `false`.

mod entries;
mod explain;
mod trace;

pub use entries::*;
pub use explain::*;
pub use trace::*;

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

/// Packets and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Packets.
    pub packets: u64,
    /// Bytes of these.
    pub bytes: u64,
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
