//! A packet's way through the tables.

use serde::{Deserialize, Serialize};

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
