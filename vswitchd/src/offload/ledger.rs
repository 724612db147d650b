//! What a card has counted of flows. Pure.
//!
//! A rule's counters go with the rule, and are added to those that the flow has without it: software
//! never sees what the card counts, so nothing is counted twice. What rules had counted that are gone is
//! handed to software's own record, which outlives the daemon.

use std::collections::HashMap;

use aorta_flow::table::{Change, FlowId};

use crate::reconcile::{Counted, FlowCounters};

/// What a card has counted.
#[derive(Debug, Default)]
pub struct Ledger {
    /// What rules had counted that are gone, until software's record has it.
    ended: HashMap<FlowId, FlowCounters>,
    /// What the rules that are there have counted, when they were last asked.
    now: HashMap<FlowId, FlowCounters>,
    /// How much of that is not to be told any more.
    less: HashMap<FlowId, FlowCounters>,
}

impl Ledger {
    /// Takes what all rules that are there have counted.
    pub fn look(&mut self, counted: impl IntoIterator<Item = (FlowId, FlowCounters)>) {
        let mut last = std::mem::take(&mut self.now);
        for (flow, counters) in counted {
            // A card that was reset counts from the beginning.
            if let Some(last) = last.remove(&flow)
                && last.packets > counters.packets
            {
                self.end(flow, last);
            }
            self.now.insert(flow, counters);
        }
        for (flow, last) in last {
            self.end(flow, last);
        }
    }

    /// The rule of a flow has gone, or begins anew, and had counted so much.
    pub fn end(&mut self, flow: FlowId, counted: FlowCounters) {
        self.now.remove(&flow);
        let less = self.less.remove(&flow).unwrap_or_default();
        add(self.ended.entry(flow).or_default(), &without(counted, less));
    }

    /// The same of several rules.
    pub fn end_rules(&mut self, ended: Counted) {
        for (key, counted) in ended {
            if let Some(flow) = key.flow {
                self.end(flow, counted);
            }
        }
    }

    /// All rules have gone.
    pub fn end_all(&mut self) {
        for (flow, last) in std::mem::take(&mut self.now) {
            self.end(flow, last);
        }
    }

    /// Flows that are gone have counted nothing, nor have those that count anew.
    pub fn follow(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::FlowRemoved { entry, .. } => {
                    self.ended.remove(&entry.id);
                    self.now.remove(&entry.id);
                    self.less.remove(&entry.id);
                }
                Change::FlowReplaced {
                    new,
                    reset_counts: true,
                    ..
                } => {
                    self.ended.remove(&new.id);
                    self.less
                        .extend(self.now.get(&new.id).map(|now| (new.id, *now)));
                }
                _ => {}
            }
        }
    }

    /// What software's record is to have.
    pub fn take_ended(&mut self) -> Vec<(FlowId, FlowCounters)> {
        let ended = std::mem::take(&mut self.ended).into_iter();
        ended.filter(|(_, counted)| counted.packets > 0).collect()
    }

    /// What software's record hasn't taken.
    pub fn keep(&mut self, counted: Vec<(FlowId, FlowCounters)>) {
        for (flow, counted) in counted {
            add(self.ended.entry(flow).or_default(), &counted);
        }
    }

    /// What the rule of a flow that is there has counted, when it was last asked.
    pub fn now(&self, flow: FlowId) -> FlowCounters {
        self.now.get(&flow).copied().unwrap_or_default()
    }

    /// Adds what the card has counted to what software has.
    pub fn add_to(&self, counters: &mut HashMap<FlowId, FlowCounters>) {
        for (flow, counted) in &self.now {
            let less = self.less.get(flow).copied().unwrap_or_default();
            add(counters.entry(*flow).or_default(), &without(*counted, less));
        }
        for (flow, counted) in &self.ended {
            add(counters.entry(*flow).or_default(), counted);
        }
    }

    /// Forgets flows that aren't there.
    pub fn retain(&mut self, there: impl Fn(FlowId) -> bool) {
        for counts in [&mut self.ended, &mut self.now, &mut self.less] {
            counts.retain(|flow, _| there(*flow));
        }
    }
}

fn without(counted: FlowCounters, less: FlowCounters) -> FlowCounters {
    FlowCounters {
        packets: counted.packets.saturating_sub(less.packets),
        bytes: counted.bytes.saturating_sub(less.bytes),
        used: counted.used,
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
        ledger.look([(FLOW, counted(packets, used))]);
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
        ledger.end(FLOW, counted(9, 75));
        assert_eq!(told(&ledger), counted(1009, 75));
        look(&mut ledger, 3, 80);
        assert_eq!(told(&ledger), counted(1012, 80));
        look(&mut ledger, 1, 90);
        assert_eq!(told(&ledger), counted(1013, 90));
        ledger.end_all();
        assert_eq!(told(&ledger), counted(1013, 90));
        ledger.look([]);
        assert_eq!(told(&ledger), counted(1013, 90));
    }

    #[test]
    fn what_has_gone_is_handed_over_once() {
        let mut ledger = Ledger::default();
        look(&mut ledger, 5, 60);
        assert_eq!(ledger.take_ended(), []);
        ledger.end(FLOW, counted(7, 65));
        let ended = ledger.take_ended();
        assert_eq!(ended, [(FLOW, counted(7, 65))]);
        assert_eq!(told(&ledger).packets, 1000);
        ledger.keep(ended);
        assert_eq!(told(&ledger).packets, 1007);
        // A rule that went between two looks without a word.
        look(&mut ledger, 4, 70);
        ledger.look([]);
        assert_eq!(ledger.take_ended(), [(FLOW, counted(11, 70))]);
    }

    #[test]
    fn flows_that_count_anew_and_flows_that_go() {
        let mut ledger = Ledger::default();
        ledger.end(FLOW, counted(5, 60));
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
        ledger.end(FLOW, counted(10, 85));
        assert_eq!(told(&ledger), counted(1002, 85));
        ledger.follow(&[Change::FlowRemoved {
            entry: entry(),
            reason: RemovedReason::Deleted,
        }]);
        assert_eq!(told(&ledger), counted(1000, 50));
    }
}
