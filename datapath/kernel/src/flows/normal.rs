//! The one flow of a bridge that does NORMAL alone. Its programs know of no flow: what it has
//! counted is what the bridge's ports have taken, more than when it began. Its rule's record holds
//! the difference, so that counters go on when it is one of many flows again, and over restarts.

use std::collections::HashMap;

use aorta_flow::table::FlowId;

use super::resting::numbers;
use super::rules::Rules;
use super::{FlowCounters, Flows, Kernel, outcome::FlowsError};
use crate::error::DatapathError;

/// Packets and bytes that the ports of a bridge have taken.
#[derive(Clone, Copy, Default, Debug)]
pub struct Taken {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// The flow, and its rule.
#[derive(Clone, Copy, Debug)]
pub struct NormalFlow {
    /// The flow.
    pub flow: FlowId,
    /// Its rule.
    pub rule: u32,
}

impl Flows {
    /// The bridge does NORMAL alone from now on, by this flow, whose number may be among `adopted`.
    pub fn begin_normal(
        &mut self,
        kernel: &mut Kernel<'_>,
        (slot, flow): (u32, FlowId),
        mut adopted: Rules,
        taken: Taken,
    ) -> Result<(), FlowsError> {
        if self.normal.get(&slot).is_some_and(|it| it.flow == flow) {
            return Ok(());
        }
        let of_tables = self.bridges.get_mut(&slot);
        let counting = of_tables.and_then(|flows| flows.rules.remove(flow));
        let known = adopted.remove(flow);
        self.pool.give_back(adopted.numbers());
        self.forget_normal(slot);
        let rule = match (known, counting) {
            (Some(rule), _) => rule,
            (None, Some(rule)) => {
                self.stats.subtract(rule, taken.packets, taken.bytes);
                rule
            }
            (None, None) => {
                self.make_room(kernel, self.pool.end_with(1))?;
                let rule = self.pool.take();
                self.stats.begin(&[rule])?;
                self.stats.subtract(rule, taken.packets, taken.bytes);
                rule
            }
        };
        self.normal.insert(slot, NormalFlow { flow, rule });
        Ok(())
    }

    /// The bridge does no longer NORMAL alone: its flow, whose number is for its tables.
    pub fn end_normal(&mut self, slot: u32, taken: Taken) -> Option<NormalFlow> {
        self.keep_taken(slot, taken);
        self.normal.remove(&slot)
    }

    /// Takes [`Flows::end_normal`] back: the tables can't be had, and the number is free again.
    pub fn go_on_normal(&mut self, slot: u32, it: NormalFlow, taken: Taken) {
        self.pool.take_this(it.rule);
        self.stats.subtract(it.rule, taken.packets, taken.bytes);
        self.normal.insert(slot, it);
    }

    /// A port of the bridge goes, with what it has taken.
    pub fn keep_taken(&mut self, slot: u32, taken: Taken) {
        let (packets, bytes) = (taken.packets.wrapping_neg(), taken.bytes.wrapping_neg());
        if let Some(it) = self.normal.get(&slot) {
            self.stats.subtract(it.rule, packets, bytes);
        }
    }

    /// Forgets the flow of a bridge that does NORMAL alone.
    pub fn forget_normal(&mut self, slot: u32) {
        if let Some(it) = self.normal.remove(&slot) {
            self.resting.put(numbers(vec![it.rule]));
        }
    }

    /// Number of the rule of the flow of a bridge that does NORMAL alone.
    pub fn normal_flow(&self, slot: u32) -> Option<NormalFlow> {
        self.normal.get(&slot).copied()
    }

    /// Counters of the flow of a bridge that does NORMAL alone.
    pub fn normal_counters(
        &self,
        slot: u32,
        taken: Taken,
    ) -> Result<HashMap<FlowId, FlowCounters>, DatapathError> {
        let Some(it) = self.normal.get(&slot) else {
            return Ok(HashMap::new());
        };
        let [packets, bytes, _] = self.stats.read_one(it.rule)?;
        // Counters of ports can have gone to another bridge.
        let sum = |counted: u64, taken| (counted.wrapping_add(taken) as i64).max(0) as u64;
        let counters = FlowCounters {
            packets: sum(packets, taken.packets),
            bytes: sum(bytes, taken.bytes),
            idle: None,
        };
        Ok(HashMap::from([(it.flow, counters)]))
    }
}
