//! How tables are compiled, and where they run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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
