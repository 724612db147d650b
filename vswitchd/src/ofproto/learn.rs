//! Flows that packets ask for (`learn`). Pure.

use aorta_flow::table::{FlowMod, Modification, TableFlow};
use aorta_flow::text::Command;
use aorta_flow::{Flow, Learned};

use super::{BridgeFlows, FlowError, Moment, Pending};
use crate::control::Atomic;

impl BridgeFlows {
    /// Makes a flow that a packet asks for: adds it, unless there are enough of its table and
    /// cookie; or changes the one of the same priority and match. One that is there as asked for
    /// only has its timeouts start anew.
    ///
    /// # Errors
    /// If the tables can't have it.
    pub fn prepare_learned(
        &mut self,
        learned: &Learned,
        now: Moment,
    ) -> Result<Pending, FlowError> {
        let flow = &learned.flow;
        let table = self.tables.table(flow.table);
        let there = table.and_then(|table| table.exact(flow.priority, &flow.matching));
        match there {
            Some(entry) if same(entry, flow) => {
                let id = entry.id;
                self.refresh(id, now);
                return Ok(Pending::default());
            }
            None if !self.tables.may_learn(flow, learned.limit, 0) => {
                return Ok(Pending::default());
            }
            _ => {}
        }
        let modification = Modification::Flow(FlowMod {
            command: Command::ModifyStrict,
            table: Some(flow.table),
            flow: flow.clone(),
            new_cookie: Some(flow.cookie),
            add_if_absent: true,
            ..FlowMod::default()
        });
        self.prepare(&[modification], Atomic::Yes)
    }
}

/// Whether a flow is what is asked for; a change of it leaves its timeouts and flags as they are.
fn same(entry: &TableFlow, wanted: &Flow) -> bool {
    entry.flow.cookie == wanted.cookie && entry.flow.instructions == wanted.instructions
}
