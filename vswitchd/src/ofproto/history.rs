//! What the journal is told about a bridge. Pure.

use aorta_flow::table::{Change, FlowId, TableFlow};

use super::journal::{Event, lines};
use super::{Ages, BridgeFlows};

/// Under which number the datapath counts a flow.
pub type RuleOf<'a> = &'a dyn Fn(FlowId) -> Option<u32>;

/// A bridge's name, and whether it began with no flow.
pub type Known<'a> = (&'a str, bool);

/// The lines about changes of a bridge that are committed.
pub fn changed(
    (name, secure): Known<'_>,
    flows: &BridgeFlows,
    changes: &[Change],
    rule: RuleOf<'_>,
) -> String {
    let bridge = Event::Bridge { name, secure };
    let events = changes.iter().filter_map(|change| match change {
        Change::FlowAdded(entry) | Change::FlowReplaced { new: entry, .. } => {
            // A later change of the same bundle may have removed it.
            flows.flow_event(entry, rule)
        }
        Change::FlowRemoved { entry, .. } => Some(Event::FlowGone(entry.id)),
        Change::Group { id, new, .. } => match (new, flows.groups_since.get(id)) {
            (Some(group), Some(since)) => Some(Event::Group(group, *since)),
            _ => Some(Event::GroupGone(*id)),
        },
        Change::Meter { id, new, .. } => match (new, flows.meters_since.get(id)) {
            (Some(meter), Some(since)) => Some(Event::Meter(meter, *since)),
            _ => Some(Event::MeterGone(*id)),
        },
    });
    lines([bridge].into_iter().chain(events))
}

/// The lines about all that a bridge has.
pub fn everything((name, secure): Known<'_>, flows: &BridgeFlows, rule: RuleOf<'_>) -> String {
    let bridge = Event::Bridge { name, secure };
    let groups = flows.tables.groups().filter_map(|group| {
        let since = flows.groups_since.get(&group.id)?;
        Some(Event::Group(group, *since))
    });
    let meters = flows.tables.meters().filter_map(|meter| {
        let since = flows.meters_since.get(&meter.id)?;
        Some(Event::Meter(meter, *since))
    });
    let entries = flows.tables.flows();
    let entries = entries.filter_map(|entry| flows.flow_event(entry, rule));
    lines(
        [bridge]
            .into_iter()
            .chain(groups)
            .chain(meters)
            .chain(entries),
    )
}

/// The lines about a bridge that is gone.
pub fn gone((name, secure): Known<'_>) -> String {
    lines([Event::Bridge { name, secure }, Event::BridgeGone].into_iter())
}

impl BridgeFlows {
    fn flow_event<'a>(&self, entry: &'a TableFlow, rule: RuleOf<'_>) -> Option<Event<'a>> {
        let ages: Ages = self.ages.get(entry.id)?;
        Some(Event::Flow {
            entry,
            ages,
            rule: rule(entry.id),
        })
    }
}
