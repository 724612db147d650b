//! What controllers are told without asking.

use aorta_flow::FlowFlags;
use aorta_flow::table::{Change, FlowId, Modification, RemovedReason, TableFlow};
use aorta_openflow::Message;
use aorta_openflow::message::{FlowRemoved, Form, MultipartReply, RequestForward, TableReason};

use super::*;
use crate::openflow::state::{Origin, Unasked, updates};
use crate::reconcile::FlowCounters;

/// What flows that went have counted, and how long they were there.
pub(in crate::switch) type Gone = HashMap<FlowId, (FlowCounters, Duration)>;

/// Who asked for changes, and by which transactions.
#[derive(Debug, Default)]
pub(in crate::switch) struct Asked {
    by: Option<ConnId>,
    /// Up to which change each transaction goes.
    until: Vec<(usize, u32)>,
}

impl Asked {
    /// By nobody who speaks OpenFlow.
    pub fn otherwise() -> Asked {
        Asked::default()
    }

    pub fn by(conn: ConnId) -> Asked {
        Asked {
            by: Some(conn),
            until: Vec::new(),
        }
    }

    pub fn until(&mut self, change: usize, xid: u32) {
        self.until.push((change, xid));
    }

    /// Of the change at a place; what followed from other changes is nobody's.
    fn origin(&self, at: usize) -> Origin {
        let place = self.until.partition_point(|(until, _)| *until <= at);
        Some((self.by?, self.until.get(place)?.1))
    }
}

impl<E: Effects, D: Datapath> Switch<E, D> {
    /// Remembers changes that were made, and tells who is to know of them.
    pub(in crate::switch) fn follow_changes(
        &mut self,
        bridge: &BridgeName,
        changes: &[Change],
        asked: &Asked,
        gone: &Gone,
    ) {
        self.mirror = None;
        self.remember(bridge, changes);
        if self.openflow.of_bridge(bridge).next().is_none() {
            return;
        }
        self.tell_monitors(bridge, changes, asked);
        for change in changes {
            if let Change::FlowRemoved { entry, reason } = change {
                self.tell_removed(bridge, entry, *reason, gone);
            }
        }
        self.tell_tables(bridge);
    }

    /// What is told of flows that go, and known only before they do.
    pub(in crate::switch) fn of_gone(&self, bridge: &BridgeName, changes: &[Change]) -> Gone {
        let told = |change: &Change| match change {
            Change::FlowRemoved { entry, .. }
                if entry.flow.flags.contains(FlowFlags::SEND_FLOW_REM) =>
            {
                Some(entry.id)
            }
            _ => None,
        };
        let ids: Vec<FlowId> = changes.iter().filter_map(told).collect();
        let nobody = self.openflow.of_bridge(bridge).next().is_none();
        let Some(flows) = self
            .flows
            .get(bridge)
            .filter(|_| !nobody && !ids.is_empty())
        else {
            return Gone::new();
        };
        let counters = self.counters_of(bridge).unwrap_or_else(|error| {
            warn!("{bridge}: what flows counted isn't known: {error}");
            HashMap::new()
        });
        let now = clock::now();
        let gone = |id: FlowId| {
            let counted = counters.get(&id).copied().unwrap_or_default();
            (id, (counted, flows.tables.age(id, now)))
        };
        ids.into_iter().map(gone).collect()
    }

    fn tell_monitors(&self, bridge: &BridgeName, changes: &[Change], asked: &Asked) {
        for connection in self.openflow.of_bridge(bridge) {
            if connection.monitors.is_empty() {
                continue;
            }
            let monitors = connection.monitors.values();
            let updates = updates(monitors, connection.id, changes, |at| asked.origin(at));
            if !updates.is_empty() {
                connection.tell(Message::Reply {
                    reply: MultipartReply::FlowMonitor(updates),
                    more: false,
                });
            }
        }
    }

    fn tell_removed(
        &self,
        bridge: &BridgeName,
        entry: &TableFlow,
        reason: RemovedReason,
        gone: &Gone,
    ) {
        let flow = &entry.flow;
        if !flow.flags.contains(FlowFlags::SEND_FLOW_REM) {
            return;
        }
        let (counted, duration) = gone.get(&entry.id).copied().unwrap_or_default();
        let removed = FlowRemoved {
            form: Form::Standard,
            matching: flow.matching.clone(),
            cookie: flow.cookie,
            priority: flow.priority,
            reason,
            table: Some(flow.table),
            duration,
            idle_timeout_s: flow.idle_timeout_s,
            hard_timeout_s: flow.hard_timeout_s,
            n_packets: Some(counted.packets),
            n_bytes: Some(counted.bytes),
        };
        for connection in self.openflow.of_bridge(bridge) {
            if connection.wants(Unasked::FlowRemoved(number(reason))) {
                connection.tell(Message::FlowRemoved(removed.clone()));
            }
        }
    }

    fn tell_tables(&mut self, bridge: &BridgeName) {
        let Some(flows) = self.flows.get(bridge) else {
            return;
        };
        let Some(state) = self.openflow.bridges.get_mut(bridge) else {
            return;
        };
        for status in state.tables.crossed(flows.tables.tables()) {
            let reason = match status.reason {
                TableReason::VacancyDown => 3,
                TableReason::VacancyUp => 4,
            };
            for connection in self.openflow.of_bridge(bridge) {
                if connection.wants(Unasked::TableStatus(reason)) {
                    connection.tell(Message::TableStatus(status));
                }
            }
        }
    }

    /// Tells others of a change of groups or meters that one asked for.
    pub(super) fn forward_request(
        &self,
        bridge: &BridgeName,
        conn: ConnId,
        xid: u32,
        modification: &Modification,
    ) {
        let (number, forward) = match modification {
            Modification::Flow(_) => return,
            Modification::Group(group_mod) => (
                0,
                RequestForward::Group {
                    xid,
                    group_mod: group_mod.clone(),
                },
            ),
            Modification::Meter(meter_mod) => (
                1,
                RequestForward::Meter {
                    xid,
                    meter_mod: meter_mod.clone(),
                },
            ),
        };
        for connection in self.openflow.of_bridge(bridge) {
            if connection.id != conn && connection.wants(Unasked::RequestForward(number)) {
                connection.tell(Message::RequestForward(forward.clone()));
            }
        }
    }
}

/// The number of a reason on the wire (OpenFlow 1.5.1 §7.4.2).
fn number(reason: RemovedReason) -> u8 {
    match reason {
        RemovedReason::IdleTimeout => 0,
        RemovedReason::HardTimeout => 1,
        RemovedReason::Deleted => 2,
        RemovedReason::GroupDeleted => 3,
        RemovedReason::MeterDeleted => 4,
        RemovedReason::Eviction => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_belong_to_the_transactions_that_made_them() {
        let mut asked = Asked::by(ConnId(7));
        asked.until(2, 100);
        asked.until(2, 101);
        asked.until(3, 102);
        let origins: Vec<_> = (0..4).map(|at| asked.origin(at).map(|o| o.1)).collect();
        assert_eq!(origins, [Some(100), Some(100), Some(102), None]);
        assert_eq!(Asked::otherwise().origin(0), None);
    }
}
