//! What the switch does in numbers, as Prometheus reads them: values are gathered when somebody asks,
//! and written by a pure function.

mod families;
mod render;
mod source;

use std::collections::BTreeMap;

use aorta_api::{BridgeStatus, CardExplain, FlowExplain};
use aorta_ovsdb::Usage;
use aorta_ovsdb::coverage::Reading;
use aorta_ovsdb::histogram::{Distribution, Histogram};

use crate::reconcile::FlowCounters;

pub use render::render;
pub use source::{Source, SourceError};

/// Changes of flows, until packets obey them.
pub static FLOW_CHANGE: Histogram = Histogram::new();
/// Configurations, until devices and datapath are as they say.
pub static RECONCILE: Histogram = Histogram::new();

/// The media type of the text format.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything that is told.
#[derive(Debug, Clone, Default)]
pub struct Values {
    /// What switches the frames.
    pub datapath: &'static str,
    /// What the switch's task knows.
    pub switch: SwitchValues,
    /// What the database holds.
    pub usage: Usage,
    /// Size of its file.
    pub file_bytes: u64,
    /// Counters of the process.
    pub readings: Vec<Reading>,
    /// How long things took.
    pub durations: Durations,
    /// When the daemon started, seconds since 1970.
    pub started_s: f64,
    /// Memory of the process.
    pub resident_bytes: u64,
}

/// What the switch's task knows.
#[derive(Debug, Clone, Default)]
pub struct SwitchValues {
    /// All bridges by name.
    pub bridges: Vec<BridgeStatus>,
    /// What doesn't work as configured.
    pub problems: Vec<String>,
    /// How the tables of bridges with flows are compiled.
    pub explained: Vec<(String, FlowExplain)>,
    /// What their flows have counted, by bridge and table.
    pub matched: BTreeMap<(String, u8), FlowCounters>,
    /// Packets for the daemon that were lost.
    pub lost_upcalls: u64,
    /// Connections of OpenFlow by bridge.
    pub connections: BTreeMap<String, u64>,
    /// Network cards that take over flows, with the bridge.
    pub cards: Vec<(String, CardExplain)>,
}

/// How long things took.
#[derive(Debug, Clone, Default)]
pub struct Durations {
    /// Changes of flows.
    pub flow_change: Distribution,
    /// Configurations.
    pub reconcile: Distribution,
    /// Transactions.
    pub commit: Distribution,
    /// Flushes.
    pub flush: Distribution,
}
