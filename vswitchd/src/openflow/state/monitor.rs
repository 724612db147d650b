//! Flow monitors: who wants to know which changes of flows (OpenFlow 1.4.1 §7.3.5.18). Pure.

use std::sync::Arc;

use aorta_flow::Flow;
use aorta_flow::action::{Action, Instructions};
use aorta_flow::table::{Change, FlowMod};
use aorta_flow::{Match, OfPort};
use aorta_openflow::message::{FlowMonitorFlags, FlowMonitorRequest, FlowUpdate, FlowUpdateEvent};

use crate::openflow::ConnId;

/// One monitor.
#[derive(Debug, Clone)]
pub struct Monitor {
    /// What is told.
    pub flags: FlowMonitorFlags,
    table: Option<u8>,
    out_port: Option<OfPort>,
    out_group: Option<u32>,
    matching: Match,
}

/// Who asked for a change, and by which transaction.
pub type Origin = Option<(ConnId, u32)>;

impl Monitor {
    /// As it was asked for.
    pub fn new(request: &FlowMonitorRequest) -> Monitor {
        Monitor {
            flags: request.flags,
            table: request.table,
            out_port: request.out_port,
            out_group: request.out_group,
            matching: request.matching.clone(),
        }
    }

    /// Which flows it is about.
    pub fn selection(&self) -> FlowMod {
        FlowMod {
            command: aorta_flow::text::Command::Delete,
            table: self.table,
            out_port: self.out_port,
            out_group: self.out_group,
            flow: Flow {
                matching: self.matching.clone(),
                ..Flow::default()
            },
            ..FlowMod::default()
        }
    }

    /// Whether it is about a flow.
    fn covers(&self, flow: &Flow) -> bool {
        let any = |wanted: &dyn Fn(&Action) -> bool| {
            flow.instructions
                .find_action(&mut |action| wanted(action).then_some(()))
                .is_some()
        };
        self.table.is_none_or(|table| table == flow.table)
            && self.matching.covers(&flow.matching)
            && self
                .out_port
                .is_none_or(|port| port == OfPort::ANY || any(&|a| a.outputs_to(port)))
            && self
                .out_group
                .is_none_or(|group| any(&|a| *a == Action::Group(group)))
    }
}

/// What happened to a flow, as monitors are told.
fn event(change: &Change) -> Option<(FlowUpdateEvent, FlowMonitorFlags, &Arc<Flow>)> {
    Some(match change {
        Change::FlowAdded(entry) => (FlowUpdateEvent::Added, FlowMonitorFlags::ADD, &entry.flow),
        Change::FlowReplaced {
            new,
            restarted: true,
            ..
        } => (FlowUpdateEvent::Added, FlowMonitorFlags::ADD, &new.flow),
        Change::FlowReplaced { old, new, .. } => {
            let same = old.flow.cookie == new.flow.cookie
                && old.flow.instructions == new.flow.instructions;
            if same {
                return None;
            }
            (
                FlowUpdateEvent::Modified,
                FlowMonitorFlags::MODIFY,
                &new.flow,
            )
        }
        Change::FlowRemoved { entry, reason } => (
            FlowUpdateEvent::Removed(*reason),
            FlowMonitorFlags::REMOVED,
            &entry.flow,
        ),
        Change::Group { .. } | Change::Meter { .. } => return None,
    })
}

/// Flags of those who want what they asked for themselves in full. `ovs-ofctl` asks for it in OpenFlow
/// 1.4 by the flag that has others' changes left out by the standard, and expects these, too.
const OWN_IN_FULL: u16 = FlowMonitorFlags::NO_ABBREV.0 | FlowMonitorFlags::ONLY_OWN.0;

/// What a connection's monitors tell of changes; what the connection itself asked for is told by its
/// transaction, once, unless it wants it in full.
pub fn updates<'a>(
    monitors: impl Iterator<Item = &'a Monitor> + Clone,
    own: ConnId,
    changes: &[Change],
    origin: impl Fn(usize) -> Origin,
) -> Vec<FlowUpdate> {
    let mut told = Vec::new();
    let mut abbreviated = None;
    for (at, change) in changes.iter().enumerate() {
        let Some((event, flag, flow)) = event(change) else {
            continue;
        };
        let by = origin(at).filter(|(conn, _)| *conn == own);
        let mut flags = FlowMonitorFlags::default();
        for monitor in monitors.clone() {
            if monitor.flags.contains(flag) && monitor.covers(flow) {
                flags = flags.with(monitor.flags);
            }
        }
        if flags == FlowMonitorFlags::default() {
            continue;
        }
        match by {
            Some((_, xid)) if flags.0 & OWN_IN_FULL == 0 => {
                if abbreviated != Some(xid) {
                    told.push(FlowUpdate::Abbreviated { xid });
                    abbreviated = Some(xid);
                }
            }
            _ => told.push(full(event, flow, flags)),
        }
    }
    told
}

/// A flow as monitors tell it.
pub fn full(event: FlowUpdateEvent, flow: &Arc<Flow>, flags: FlowMonitorFlags) -> FlowUpdate {
    let flow = match flags.contains(FlowMonitorFlags::INSTRUCTIONS) {
        true => flow.clone(),
        false => Arc::new(Flow {
            instructions: Arc::new(Instructions::default()),
            ..(**flow).clone()
        }),
    };
    FlowUpdate::Full { event, flow }
}
