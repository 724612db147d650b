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
/// How much longer than reading the counters it is until they are read again, so that this takes a
/// small part of the time however many flows there are.
const READ_PAUSES: u32 = 100;

/// A flow with a timeout.
#[derive(Debug, Clone)]
struct Clocked {
    entry: TableFlow,
    modified: Moment,
    /// Last use or change, as far as known.
    used: Moment,
}

impl Clocked {
    fn hard(&self) -> Moment {
        after(self.modified, self.entry.flow.hard_timeout_s)
    }

    /// When the flow is over if it is used no more, and why.
    fn over(&self) -> (Moment, RemovedReason) {
        let hard = self.hard();
        let idle = after(self.used, self.entry.flow.idle_timeout_s);
        if hard <= idle {
            (hard, RemovedReason::HardTimeout)
        } else {
            (idle, RemovedReason::IdleTimeout)
        }
    }
}

fn after(since: Moment, seconds: u16) -> Moment {
    match seconds {
        0 => Moment(u64::MAX),
        _ => since + Duration::from_secs(seconds.into()),
    }
}

/// All flows with timeouts.
#[derive(Debug, Default)]
pub struct Timed {
    flows: HashMap<FlowId, Clocked>,
    next: Option<Moment>,
    /// Before this, counters aren't read.
    next_read: Moment,
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
        let mut flows = self.flows.values();
        now >= self.next_read
            && flows.any(|clocked| {
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
            let due = self.due(clocked);
            if over <= now && due <= now {
                gone.push((clocked.entry.clone(), reason));
            } else {
                next = Some(next.map_or(due, |next: Moment| next.min(due)));
            }
        }
        gone.sort_by_key(|(entry, _)| entry.id);
        self.next = next.map(|next| next.max(now + PAUSE));
        gone
    }

    /// When to look at a flow: what may have been used meanwhile isn't over before counters are read.
    fn due(&self, clocked: &Clocked) -> Moment {
        match clocked.over() {
            (idle, RemovedReason::IdleTimeout) => idle.max(self.next_read).min(clocked.hard()),
            (hard, _) => hard,
        }
    }

    /// Counters were read just now, and it took so long.
    pub fn read_took(&mut self, now: Moment, took: Duration) {
        self.next_read = now + took * READ_PAUSES;
        let due = self.flows.values().map(|clocked| self.due(clocked)).min();
        self.next = due.map(|due| due.max(now + PAUSE));
    }

    /// Looks again soon, because what was over could not be removed.
    pub fn again(&mut self, now: Moment) {
        let soon = now + PAUSE;
        self.next = Some(self.next.map_or(soon, |next| next.min(soon)));
    }
}
