//! What a card has counted of flows. Pure.
//!
//! A rule's counters go with the rule, and are added to those that the flow has without it: software
//! never sees what the card counts, so nothing is counted twice.

use std::collections::{HashMap, HashSet};

use aorta_flow::table::{Change, FlowId};

use crate::reconcile::FlowCounters;

/// What a card has counted.
#[derive(Debug, Default)]
pub struct Ledger {
    /// What rules had counted that are gone, less what is not to be told any more.
    before: HashMap<FlowId, FlowCounters>,
    /// What the rules that are there have counted, when they were last asked.
    now: HashMap<FlowId, FlowCounters>,
    /// Flows that went since rules were last asked: what is told of their rules is nobody's.
    dead: HashSet<FlowId>,
}

impl Ledger {
    /// Takes what all rules have counted: first of those that have gone since the last time, then of
    /// those that are there.
    pub fn look(
        &mut self,
        counted: impl IntoIterator<Item = (FlowId, FlowCounters)>,
        is_there: impl Fn(FlowId) -> bool,
    ) {
        let mut told = HashSet::new();
        for (flow, counters) in counted {
            if self.dead.contains(&flow) {
                continue;
            }
            // One that went and came back was told as it went.
            if !told.insert(flow) {
                self.end(flow);
            }
            let last = self.now.insert(flow, counters);
            // A card that was reset counts from the beginning.
            if let Some(last) = last.filter(|last| last.packets > counters.packets) {
                self.keep(flow, last);
            }
            if !is_there(flow) {
                self.end(flow);
            }
        }
        self.dead.clear();
    }

    /// The rule of a flow has gone.
    fn end(&mut self, flow: FlowId) {
        if let Some(last) = self.now.remove(&flow) {
            self.keep(flow, last);
        }
    }

    /// All rules have gone.
    pub fn end_all(&mut self) {
        for (flow, last) in std::mem::take(&mut self.now) {
            self.keep(flow, last);
        }
    }

    fn keep(&mut self, flow: FlowId, counted: FlowCounters) {
        add(self.before.entry(flow).or_default(), &counted);
    }

    /// Flows that are gone have counted nothing, nor have those that count anew.
    pub fn follow(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::FlowRemoved { entry, .. } => {
                    self.before.remove(&entry.id);
                    self.now.remove(&entry.id);
                    self.dead.insert(entry.id);
                }
                Change::FlowReplaced {
                    new,
                    reset_counts: true,
                    ..
                } => self.reset(new.id),
                _ => {}
            }
        }
    }

    fn reset(&mut self, flow: FlowId) {
        self.before.remove(&flow);
        if let Some(now) = self.now.get(&flow) {
            let less = FlowCounters {
                packets: now.packets.wrapping_neg(),
                bytes: now.bytes.wrapping_neg(),
                used: None,
            };
            self.before.insert(flow, less);
        }
    }

    /// Adds what was counted.
    pub fn add_to(&self, counters: &mut HashMap<FlowId, FlowCounters>) {
        for (flow, counted) in self.before.iter().chain(&self.now) {
            add(counters.entry(*flow).or_default(), counted);
        }
    }

    /// Forgets flows that are not there any more.
    pub fn retain(&mut self, there: impl Fn(FlowId) -> bool) {
        self.before.retain(|flow, _| there(*flow));
        self.now.retain(|flow, _| there(*flow));
    }
}

fn add(to: &mut FlowCounters, counted: &FlowCounters) {
    to.packets = to.packets.wrapping_add(counted.packets);
    to.bytes = to.bytes.wrapping_add(counted.bytes);
    to.used = to.used.max(counted.used);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use aorta_flow::Flow;
    use aorta_flow::table::{RemovedReason, TableFlow};

    use super::*;
    use crate::ofproto::Moment;

    const FLOW: FlowId = FlowId(7);

    fn counted(packets: u64, used: u64) -> FlowCounters {
        FlowCounters {
            packets,
            bytes: 100 * packets,
            used: Some(Moment(used)),
        }
    }

    fn told(ledger: &Ledger) -> FlowCounters {
        let software = FlowCounters {
            packets: 1000,
            bytes: 100_000,
            used: Some(Moment(50)),
        };
        let mut all = HashMap::from([(FLOW, software)]);
        ledger.add_to(&mut all);
        all[&FLOW]
    }

    fn look(ledger: &mut Ledger, packets: u64, used: u64) {
        ledger.look([(FLOW, counted(packets, used))], |_| true);
    }

    fn entry() -> TableFlow {
        TableFlow {
            id: FLOW,
            flow: Arc::new(Flow::default()),
        }
    }

    #[test]
    fn what_rules_counted_stays_when_they_go_or_are_reset() {
        let mut ledger = Ledger::default();
        assert_eq!(told(&ledger), counted(1000, 50));
        look(&mut ledger, 5, 60);
        look(&mut ledger, 8, 70);
        assert_eq!(told(&ledger), counted(1008, 70));
        ledger.end(FLOW);
        ledger.end(FLOW);
        assert_eq!(told(&ledger), counted(1008, 70));
        look(&mut ledger, 3, 80);
        assert_eq!(told(&ledger), counted(1011, 80));
        look(&mut ledger, 1, 90);
        assert_eq!(told(&ledger), counted(1012, 90));
        ledger.end_all();
        assert_eq!(told(&ledger), counted(1012, 90));
    }

    #[test]
    fn flows_that_count_anew_and_flows_that_go() {
        let mut ledger = Ledger::default();
        look(&mut ledger, 5, 60);
        ledger.end(FLOW);
        look(&mut ledger, 8, 70);
        let replaced = |reset_counts| Change::FlowReplaced {
            old: entry(),
            new: entry(),
            reset_counts,
            restarted: true,
        };
        ledger.follow(&[replaced(false)]);
        assert_eq!(told(&ledger).packets, 1013);
        ledger.follow(&[replaced(true)]);
        assert_eq!(told(&ledger).packets, 1000);
        look(&mut ledger, 9, 80);
        assert_eq!(told(&ledger), counted(1001, 80));
        ledger.end(FLOW);
        assert_eq!(told(&ledger), counted(1001, 80));
        ledger.follow(&[Change::FlowRemoved {
            entry: entry(),
            reason: RemovedReason::Deleted,
        }]);
        assert_eq!(told(&ledger), counted(1000, 50));
        look(&mut ledger, 99, 90);
        assert_eq!(
            told(&ledger),
            counted(1000, 50),
            "its rule is told once more"
        );
    }

    #[test]
    fn a_rule_that_goes_and_comes_back_between_two_looks() {
        let mut ledger = Ledger::default();
        look(&mut ledger, 4, 60);
        let both = [(FLOW, counted(7, 70)), (FLOW, counted(2, 80))];
        ledger.look(both, |_| true);
        assert_eq!(told(&ledger), counted(1009, 80));
        look(&mut ledger, 3, 90);
        assert_eq!(told(&ledger), counted(1010, 90));
        ledger.look([(FLOW, counted(5, 95))], |_| false);
        ledger.look([], |_| true);
        assert_eq!(told(&ledger), counted(1012, 95));
    }
}
