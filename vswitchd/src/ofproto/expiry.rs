//! Flows whose time runs out. Pure.
//!
//! One moment is kept at which to look again: the earliest at which a flow could be over, by what
//! is known. A look reads the counters of all flows at once if a flow may have been idle for long
//! enough; that tells of all flows when they were last used, and so puts the next look off.

use std::collections::HashMap;
use std::time::Duration;

use aorta_flow::table::{FlowId, RemovedReason, TableFlow};

use super::Moment;
use crate::reconcile::FlowCounters;

/// Least time between two looks.
const PAUSE: Duration = Duration::from_millis(200);

/// A flow with a timeout.
#[derive(Debug, Clone)]
struct Clocked {
    entry: TableFlow,
    modified: Moment,
    /// Last use or change, as far as known.
    used: Moment,
}

impl Clocked {
    /// When the flow is over if it is used no more, and why.
    fn over(&self) -> (Moment, RemovedReason) {
        let after = |since: Moment, seconds: u16| match seconds {
            0 => Moment(u64::MAX),
            _ => since + Duration::from_secs(seconds.into()),
        };
        let flow = &self.entry.flow;
        let hard = after(self.modified, flow.hard_timeout_s);
        let idle = after(self.used, flow.idle_timeout_s);
        if hard <= idle {
            (hard, RemovedReason::HardTimeout)
        } else {
            (idle, RemovedReason::IdleTimeout)
        }
    }
}

/// All flows with timeouts.
#[derive(Debug, Default)]
pub struct Timed {
    flows: HashMap<FlowId, Clocked>,
    next: Option<Moment>,
}

impl Timed {
    /// Takes a flow as it is now.
    pub fn set(&mut self, entry: &TableFlow, modified: Moment) {
        let flow = &entry.flow;
        if flow.idle_timeout_s == 0 && flow.hard_timeout_s == 0 {
            return self.remove(entry.id);
        }
        let clocked = Clocked {
            entry: entry.clone(),
            modified,
            used: modified,
        };
        let (over, _) = clocked.over();
        self.flows.insert(entry.id, clocked);
        self.next = Some(self.next.map_or(over, |next| next.min(over)));
    }

    /// Takes a flow with other timeouts, which go on from when they began.
    pub fn shorten(&mut self, entry: &TableFlow, modified: Moment) {
        let used = self.flows.get(&entry.id).map(|clocked| clocked.used);
        self.set(entry, modified);
        if let (Some(clocked), Some(used)) = (self.flows.get_mut(&entry.id), used) {
            clocked.used = used;
        }
    }

    /// A flow that has timeouts.
    pub fn entry(&self, id: FlowId) -> Option<&TableFlow> {
        self.flows.get(&id).map(|clocked| &clocked.entry)
    }

    /// Forgets a flow.
    pub fn remove(&mut self, id: FlowId) {
        self.flows.remove(&id);
        if self.flows.is_empty() {
            self.next = None;
        }
    }

    /// Has a flow's timeouts start anew.
    pub fn refresh(&mut self, id: FlowId, now: Moment) {
        if let Some(clocked) = self.flows.get_mut(&id) {
            clocked.modified = now;
            clocked.used = now;
        }
    }

    /// When to look next; never if no flow has a timeout.
    pub fn next(&self) -> Option<Moment> {
        self.next
    }

    /// Whether counters must be read to know what is over.
    pub fn needs_counters(&self, now: Moment) -> bool {
        self.flows.values().any(|clocked| {
            let (over, reason) = clocked.over();
            reason == RemovedReason::IdleTimeout && over <= now
        })
    }

    /// Takes over when flows were last used.
    pub fn take(&mut self, counters: &HashMap<FlowId, FlowCounters>) {
        for (id, clocked) in &mut self.flows {
            if let Some(used) = counters.get(id).and_then(|counted| counted.used) {
                clocked.used = clocked.used.max(used);
            }
        }
    }

    /// The flows that are over, and why; the next look is planned.
    pub fn over(&mut self, now: Moment) -> Vec<(TableFlow, RemovedReason)> {
        let mut gone = Vec::new();
        let mut next = None;
        for clocked in self.flows.values() {
            let (over, reason) = clocked.over();
            if over <= now {
                gone.push((clocked.entry.clone(), reason));
            } else {
                next = Some(next.map_or(over, |next: Moment| next.min(over)));
            }
        }
        gone.sort_by_key(|(entry, _)| entry.id);
        self.next = next.map(|next| next.max(now + PAUSE));
        gone
    }

    /// Looks again soon, because what was over could not be removed.
    pub fn again(&mut self, now: Moment) {
        let soon = now + PAUSE;
        self.next = Some(self.next.map_or(soon, |next| next.min(soon)));
    }
}
