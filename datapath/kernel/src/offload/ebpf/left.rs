//! What an earlier switch has left at a card's port.

use std::os::fd::AsFd;

use aorta_compiler::offload::counters;
use aorta_flow::table::FlowId;
use aya::maps::MapInfo;
use aya::programs::loaded_programs;

use super::card::EbpfCard;
use super::objects::COUNTS_NAME;
use super::{HwCounters, Refusal, refusal_of_map};
use crate::map::Map;

impl EbpfCard {
    /// What packets did to flows by the program that an earlier switch has left. When the last one came
    /// isn't known.
    ///
    /// # Errors
    /// If the device can't be asked.
    pub fn left(&self) -> Result<Vec<(FlowId, HwCounters)>, Refusal> {
        let Some(map) = self.found()?.own.and_then(counts_of) else {
            return Ok(Vec::new());
        };
        let mut flows = Vec::new();
        for number in 1..map.max_entries() {
            let value = map.get(&number.to_ne_bytes());
            let value = value.map_err(|error| refusal_of_map(&error))?;
            let word = |at: usize| {
                let bytes = value.as_deref().and_then(|value| value.get(at..at + 8));
                let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
                bytes.map_or(0, u64::from_ne_bytes)
            };
            let (flow, packets) = (word(counters::FLOW), word(counters::PACKETS));
            if flow > 0 && packets > 0 {
                let counted = HwCounters {
                    packets,
                    bytes: word(counters::BYTES_SEEN),
                    used_ns_ago: None,
                };
                flows.push((FlowId(flow), counted));
            }
        }
        Ok(flows)
    }
}

/// The counters of a program, if they are those of a version that says whose they are.
fn counts_of(program: u32) -> Option<Map> {
    let mut programs = loaded_programs().flatten();
    let program = programs.find(|other| other.id() == program)?;
    let maps = program.map_ids().ok()??.into_iter();
    let mut maps = maps.filter_map(|id| MapInfo::from_id(id).ok());
    let info = maps.find(|map| map.name_as_str() == Some(COUNTS_NAME))?;
    let fd = info.fd().ok()?.as_fd().try_clone_to_owned().ok()?;
    let map = Map::of_fd(fd, COUNTS_NAME).ok()?;
    (map.value_bytes() == counters::BYTES as usize).then_some(map)
}
