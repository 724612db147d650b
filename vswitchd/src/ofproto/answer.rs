//! Flows, groups and meters as the management API tells them. Pure.

use std::sync::Arc;

use aorta_api::{Counted, FlowEntry, FlowPlacement, GroupEntry, MeterEntry};
use aorta_flow::text::{Names, show_group, show_instructions, show_match};
use aorta_flow::{Flow, FlowFlags, Group, Meter};

/// A flow and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowDumped {
    /// The flow.
    pub flow: Arc<Flow>,
    /// What matched it.
    pub counters: Counted,
    /// Milliseconds since it was added.
    pub duration_ms: u64,
    /// Milliseconds since its last packet, or since it was added.
    pub idle_ms: u64,
    /// Milliseconds since it was added or last changed.
    pub hard_age_ms: u64,
    /// Where its table runs.
    pub hook: Arc<str>,
    /// In which form, or why it doesn't run.
    pub reason: Arc<str>,
    /// Where it runs, network cards included, if that was asked for.
    pub placement: Option<FlowPlacement>,
}

/// A group and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupDumped {
    /// The group.
    pub group: Arc<Group>,
    /// Flows that lead to it.
    pub flows: u64,
    /// Milliseconds since it was added.
    pub duration_ms: u64,
    /// What it handled.
    pub counters: Counted,
    /// What each bucket handled.
    pub buckets: Vec<Counted>,
}

/// A meter and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeterDumped {
    /// The meter.
    pub meter: Arc<Meter>,
    /// Flows that use it.
    pub flows: u64,
    /// Milliseconds since it was added.
    pub duration_ms: u64,
    /// What came to it.
    pub counters: Counted,
    /// What each band caught.
    pub bands: Vec<Counted>,
}

/// A flow as it is told.
pub fn flow_entry(dumped: &FlowDumped, names: &dyn Names) -> FlowEntry {
    let flow = &dumped.flow;
    let flags = FlowFlags::ALL.iter();
    let flags = flags.filter(|(_, flag)| flow.flags.contains(*flag));
    FlowEntry {
        table: flow.table,
        priority: flow.priority,
        cookie: format!("{:#x}", flow.cookie),
        matching: show_match(&flow.matching, names),
        actions: show_instructions(&flow.instructions, names),
        idle_timeout_s: flow.idle_timeout_s,
        hard_timeout_s: flow.hard_timeout_s,
        importance: flow.importance,
        flags: flags.map(|(name, _)| (*name).to_owned()).collect(),
        duration_ms: dumped.duration_ms,
        packets: dumped.counters.packets,
        bytes: dumped.counters.bytes,
        idle_ms: dumped.idle_ms,
        hard_age_ms: dumped.hard_age_ms,
        hook: dumped.hook.to_string(),
        reason: dumped.reason.to_string(),
        placement: dumped.placement.clone(),
    }
}

/// A group as it is told.
pub fn group_entry(dumped: &GroupDumped, names: &dyn Names) -> GroupEntry {
    GroupEntry {
        id: dumped.group.id,
        text: show_group(&dumped.group, names),
        flows: dumped.flows,
        duration_ms: dumped.duration_ms,
        counters: dumped.counters,
        buckets: dumped.buckets.clone(),
    }
}

/// A meter as it is told.
pub fn meter_entry(dumped: &MeterDumped) -> MeterEntry {
    MeterEntry {
        id: dumped.meter.id.to_string(),
        text: dumped.meter.to_string(),
        flows: dumped.flows,
        duration_ms: dumped.duration_ms,
        counters: dumped.counters,
        bands: dumped.bands.clone(),
    }
}
