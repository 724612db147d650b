//! What is known of flows besides what they say.

use std::collections::{BTreeMap, BTreeSet};

use aorta_flow::Flow;
use aorta_flow::table::FlowId;

use crate::{Step, Verdict};

/// What is known of flows besides what they say.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Told {
    /// Flows that the card refused, and what it said.
    pub refused: BTreeMap<FlowId, String>,
    /// Flows whose traps it refused.
    pub refused_traps: BTreeSet<FlowId>,
    /// Tables whose rule for packets that match no flow it refused.
    pub refused_misses: BTreeSet<u8>,
    /// Packets a second, of flows that have any: which of them are on a card that hasn't room for all.
    pub rates_pps: BTreeMap<FlowId, u64>,
    /// Flows that are on the card now: others must be half as busy again to take their place, and by ten
    /// packets a second more. A flow whose rate changes by less stays where it is.
    pub placed: BTreeSet<FlowId>,
    /// Cookies and masks of flows that come before all others.
    pub pinned: Vec<(u64, u64)>,
    /// Cookies and masks of flows that are kept in software.
    pub excluded: Vec<(u64, u64)>,
    /// Tables that do something else than drop with packets that match no flow.
    pub misses_not_dropped: BTreeSet<u8>,
}

impl Told {
    /// Notes that the card refused a step, and what it said. A removal that is refused tells nothing
    /// of flows.
    pub fn refuse(&mut self, step: &Step, said: &str) {
        let Step::Put(rule) = step else {
            return;
        };
        match (rule.flow, &rule.verdict) {
            (None, _) => drop(self.refused_misses.insert(rule.table)),
            (Some(flow), Verdict::Trap) => drop(self.refused_traps.insert(flow)),
            (Some(flow), Verdict::Forward { .. }) => {
                self.refused.insert(flow, said.to_owned());
            }
        }
    }

    /// Whether packets that match no flow of a later table need software.
    pub(crate) fn needs_software(&self, table: u8) -> bool {
        self.misses_not_dropped.contains(&table) || self.refused_misses.contains(&table)
    }

    /// Whether the operator wants it in software.
    pub(crate) fn excludes(&self, flow: &Flow) -> bool {
        has_cookie(flow, &self.excluded)
    }

    /// Whether it comes before all others.
    pub(crate) fn pins(&self, flow: &Flow) -> bool {
        has_cookie(flow, &self.pinned)
    }
}

fn has_cookie(flow: &Flow, list: &[(u64, u64)]) -> bool {
    list.iter()
        .any(|(cookie, mask)| (flow.cookie ^ cookie) & mask == 0)
}
