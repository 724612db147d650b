//! Packets that controllers send.

use std::collections::HashMap;
use std::time::Duration;

use super::around::Around;
use super::{FlowCount, Interpreter, Journey, Verdict};
use crate::action::Action;
use crate::field::FieldId;
use crate::table::FlowId;
use crate::translate::{Continuation, Packet, execute, resume};
use crate::{BridgeName, DropReason, OfPort, PortName};

/// A packet that a controller sends (OpenFlow 1.3.5 §7.3.7).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PacketOut {
    /// Port that it is said to come from; [`OfPort::CONTROLLER`] and [`OfPort::ANY`] are none.
    pub in_port: OfPort,
    /// Fields that its bytes don't tell: registers, metadata and the like.
    pub fields: Vec<(FieldId, u128)>,
    /// Its bytes.
    pub frame: Vec<u8>,
    /// What is done with it. An output to [`OfPort::TABLE`] looks table 0 up.
    pub actions: Vec<Action>,
}

impl Interpreter {
    /// Does with a frame what a controller says. `None` if there is no such bridge.
    pub fn packet_out(
        &mut self,
        bridge: &BridgeName,
        sent: &PacketOut,
        now: Duration,
    ) -> Option<Verdict> {
        self.sent(bridge, sent, None, now)
    }

    /// Goes on with a frame that waited for its controller; its own actions aren't done. `None` if
    /// there is no such bridge.
    pub fn resume(
        &mut self,
        bridge: &BridgeName,
        sent: &PacketOut,
        left: &Continuation,
        now: Duration,
    ) -> Option<Verdict> {
        self.sent(bridge, sent, Some(left), now)
    }

    fn sent(
        &mut self,
        bridge: &BridgeName,
        sent: &PacketOut,
        left: Option<&Continuation>,
        now: Duration,
    ) -> Option<Verdict> {
        let b = self.number(bridge)?;
        let mut verdict = Verdict::default();
        let from = self.name_of(b, sent.in_port);
        let Ok(mut packet) = Packet::from_frame(&sent.frame, sent.in_port) else {
            verdict.drops.push((from, DropReason::Malformed));
            return Some(verdict);
        };
        let port = self.port_number(b, sent.in_port);
        if port.is_some_and(|p| !self.bridges[b].ports[p].restrictions.takes(&sent.frame)) {
            verdict.drops.push((from, DropReason::NotReceived));
            return Some(verdict);
        }
        for (field, value) in &sent.fields {
            packet.key.set(*field, *value);
        }
        let journey = Journey {
            now,
            depth: 0,
            traced: false,
            queue: None,
        };
        let tables = self.tables_at(
            b,
            Journey {
                traced: true,
                ..journey
            },
        )?;
        let mut around = Around {
            switch: self,
            b,
            from: from.clone(),
            journey,
            verdict: &mut verdict,
            sent_by_controller: true,
            decided: None,
        };
        let done = match left {
            Some(left) => resume(&tables, packet, left, &mut around),
            None => execute(&tables, packet, &sent.actions, &mut around),
        };
        let nothing = left.map_or(sent.actions.is_empty(), Continuation::is_empty);
        let dropped = done.drop.filter(|_| !nothing);
        verdict.drops.extend(dropped.map(|reason| (from, reason)));
        Some(verdict)
    }

    /// What was counted of flows since this was last asked, by bridge.
    pub fn take_flow_counts(&mut self) -> Vec<(BridgeName, HashMap<FlowId, FlowCount>)> {
        let all = self.bridges.iter().zip(&mut self.pipelines);
        let counted = all.filter_map(|(bridge, pipeline)| {
            let flows = std::mem::take(&mut pipeline.as_mut()?.flows);
            (!flows.is_empty()).then(|| (bridge.name.clone(), flows))
        });
        counted.collect()
    }

    /// Forgets what a bridge has learned, to be told anew.
    pub fn clear_stations(&mut self, bridge: &BridgeName) {
        if let Some(b) = self.number(bridge) {
            self.fdb[b].clear();
        }
    }

    fn name_of(&self, b: usize, ofport: OfPort) -> PortName {
        let port = self.port_number(b, ofport);
        port.map_or_else(
            || PortName::from(ofport.to_string()),
            |p| self.bridges[b].ports[p].name.clone(),
        )
    }
}
