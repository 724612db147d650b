//! What pipelines ask of the daemon, and what their meters have counted.

use std::collections::BTreeMap;

use aorta_compiler::pipeline::maps::meters;
use aorta_compiler::pipeline::memory::Memory;
use aorta_compiler::pipeline::upcall::Copy;
use aorta_flow::action::Action;
use aorta_flow::meter::{MeterCount, MeterState};
use aorta_flow::table::{Change, FlowId};
use aorta_flow::translate::{Notes, Packet};
use aorta_flow::{BridgeName, MeterId};

use super::shared::Shared;
use super::{BridgeFlows, Flows, Upcall};
use crate::error::DatapathError;

/// What a packet that came to the daemon is there for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asked {
    /// Bridge whose flows sent it.
    pub bridge: BridgeName,
    /// Flow whose actions sent it, if it is still there.
    pub flow: Option<FlowId>,
    /// Table of that flow.
    pub table: u8,
    /// What the daemon is to do: tell controllers ([`Action::Controller`]), make a flow
    /// ([`Action::Learn`]), shorten timeouts ([`Action::FinTimeout`]) or tell collectors
    /// ([`Action::Sample`]).
    pub action: Action,
    /// The packet as it was then.
    pub packet: Packet,
    /// What is known of its way, if it waits for a controller.
    pub noted: Option<Notes>,
}

impl Flows {
    /// What a packet is there for; `None` if the program that sent it has been replaced.
    pub fn asked(&self, upcall: &Upcall) -> Option<(Action, Option<FlowId>, Packet)> {
        let flows = self.bridges.get(&upcall.bridge_slot)?;
        let (action, packet) = flows.instance.pipeline.asked(&copy_of(upcall))?;
        let flow = upcall.rule.and_then(|rule| flows.rules.flow(rule.0));
        Some((action.clone(), flow, packet))
    }

    /// What is known of the way of a packet that waits for a controller. `None` if it doesn't, or a flow
    /// of its way is gone.
    pub fn noted(&self, upcall: &Upcall) -> Option<Notes> {
        let flows = self.bridges.get(&upcall.bridge_slot)?;
        let waiting = flows.instance.pipeline.waiting(&copy_of(upcall))?;
        let flow = |rule: &u32| flows.rules.flow(*rule);
        let callers = waiting.callers.iter();
        let callers = callers.map(|(rule, which)| Some((flow(rule)?, *which)));
        Some(Notes {
            callers: callers.collect::<Option<_>>()?,
            writers: waiting.writers.iter().map(flow).collect::<Option<_>>()?,
            values: waiting.values,
        })
    }

    /// Copies for the daemon that found no room.
    pub fn lost_upcalls(&self) -> Result<u64, DatapathError> {
        self.shared.as_ref().map_or(Ok(0), Shared::lost_upcalls)
    }

    /// What the meters of a bridge have counted.
    pub fn meters(&self, slot: u32) -> BTreeMap<MeterId, MeterState> {
        let Some(flows) = self.bridges.get(&slot) else {
            return BTreeMap::new();
        };
        let Some(memory) = &flows.own.meters else {
            return BTreeMap::new();
        };
        let word = |at: u32| u64::from(memory.u32_at(at)) | u64::from(memory.u32_at(at + 4)) << 32;
        let count = |at: u32| MeterCount {
            packets: word(at),
            bytes: word(at + 8),
        };
        let state = |at: u32| {
            let bands = (0..meters::MAX_BANDS as u32)
                .map(|n| at + meters::BANDS as u32 + n * meters::BAND_BYTES as u32);
            MeterState {
                input: count(at + meters::PACKETS as u32),
                bands: bands
                    .clone()
                    .map(|band| count(band + meters::OVER_PACKETS as u32))
                    .collect(),
                tat_ns: bands.map(|band| word(band + meters::TAT as u32)).collect(),
            }
        };
        let places = flows.instance.pipeline.meters().iter();
        places.map(|(id, at)| (id, state(at))).collect()
    }
}

fn copy_of(upcall: &Upcall) -> Copy<'_> {
    Copy {
        what: upcall.what,
        version: upcall.version,
        in_port: upcall.in_port,
        words: &upcall.words,
        frame: &upcall.frame,
        frame_bytes: upcall.frame_len,
    }
}

/// Meters that are new begin with nothing counted.
pub(super) fn begin_meters(flows: &mut BridgeFlows, changes: &[Change]) {
    for change in changes {
        let Change::Meter { id, old: None, .. } = change else {
            continue;
        };
        let offset = flows.instance.pipeline.meters().offset(*id);
        if let (Some(memory), Some(offset)) = (&mut flows.own.meters, offset) {
            for at in (0..meters::RECORD_BYTES).step_by(8) {
                memory.set_u64(offset + at, 0);
            }
        }
    }
}
