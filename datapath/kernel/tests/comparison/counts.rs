//! What was counted, and how it differs.

use std::collections::{BTreeMap, HashMap};

use aorta_flow::table::{FlowId, Tables};
use aorta_flow::{DropReason, Interpreter};
use aorta_kernel::{FlowCounters, GroupCounters};

use super::{Comparison, Counted};

impl Comparison {
    pub(super) fn flow_counters(&self) -> HashMap<FlowId, FlowCounters> {
        self.datapath.flow_stats(&self.bridge).unwrap()
    }

    /// How what was counted of flows differs.
    pub(super) fn flow_differences(
        &self,
        tables: &Tables,
        interpreter: &Interpreter,
        before: &HashMap<FlowId, FlowCounters>,
    ) -> Vec<String> {
        let after = self.flow_counters();
        let alone = self.datapath.explain_flows(&self.bridge).is_none();
        let of = |all: &HashMap<FlowId, FlowCounters>, id| {
            let counters = all.get(&id).copied().unwrap_or_default();
            (counters.packets, counters.bytes)
        };
        let mut found = Vec::new();
        for entry in tables.flows() {
            let expected = interpreter.flow_count(&self.bridge, entry.id);
            let (before, after) = (of(before, entry.id), of(&after, entry.id));
            let counted = (after.0 - before.0, after.1 - before.1);
            // A bridge that does NORMAL alone counts at its ports, without tags beside frames.
            let bytes = expected.bytes - if alone { self.tag_bytes } else { 0 };
            if counted != (expected.packets, bytes) {
                found.push(format!(
                    "flow {}: counted {} packets, {} bytes; should have counted {}, {}",
                    entry.flow, counted.0, counted.1, expected.packets, expected.bytes
                ));
            }
        }
        found
    }

    pub(super) fn group_counters(&self) -> BTreeMap<u32, GroupCounters> {
        self.datapath.group_stats(&self.bridge).unwrap()
    }

    /// How what was counted of groups and buckets differs.
    pub(super) fn group_differences(
        &self,
        tables: &Tables,
        interpreter: &Interpreter,
        before: &BTreeMap<u32, GroupCounters>,
    ) -> Vec<String> {
        let after = self.group_counters();
        let of = |all: &BTreeMap<u32, GroupCounters>, group, bucket: Option<usize>| {
            let counters = all.get(&group).cloned().unwrap_or_default();
            let one = match bucket {
                None => counters.all,
                Some(n) => counters.buckets.get(n).copied().unwrap_or_default(),
            };
            (one.packets, one.bytes)
        };
        let mut found = Vec::new();
        for group in tables.groups() {
            let count = interpreter.group_count(&self.bridge, group.id);
            let buckets = group.buckets.iter().enumerate().map(|(n, bucket)| {
                let count = count.buckets.get(&bucket.id).copied().unwrap_or_default();
                (Some(n), count)
            });
            for (n, expected) in [(None, count.all)].into_iter().chain(buckets) {
                let (before, after) = (of(before, group.id, n), of(&after, group.id, n));
                let counted = (after.0 - before.0, after.1 - before.1);
                let expected = (expected.packets, expected.bytes);
                if counted != expected {
                    found.push(format!(
                        "group {}, bucket {n:?}: counted {counted:?}; should have {expected:?}",
                        group.id
                    ));
                }
            }
        }
        found
    }

    pub(super) fn port_counters(&self) -> Counted {
        let mut counted = Counted::new();
        for port in self.datapath.counters().unwrap() {
            for (reason, n) in port.drops {
                counted.insert((port.port.clone(), Some(reason)), n);
            }
            counted.insert((port.port, None), port.tx_packets);
        }
        counted
    }

    /// How what was counted of ports differs.
    pub(super) fn port_differences(&self, before: &Counted, expected: &Counted) -> Vec<String> {
        let after = self.port_counters();
        let of = |all: &Counted, key: &_| all.get(key).copied().unwrap_or(0);
        let keys = after.keys().chain(expected.keys());
        let mut found: Vec<String> = keys
            .filter_map(|key| {
                let (counted, expected) = (of(&after, key) - of(before, key), of(expected, key));
                let what = key.1.map_or("frames sent", DropReason::name);
                let (port, differs) = (&key.0, counted != expected);
                differs.then(|| {
                    format!("port {port}, {what}: counted {counted}; should have been {expected}")
                })
            })
            .collect();
        found.sort();
        found.dedup();
        found
    }
}
