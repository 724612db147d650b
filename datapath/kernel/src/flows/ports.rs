//! The ports of a bridge with flows, as its programs find them by number.

use std::collections::BTreeMap;

use aorta_compiler::pipeline::maps::ports;
use aorta_compiler::pipeline::memory::Memory;
use aorta_flow::OfPort;

use crate::error::DatapathError;
use crate::grace::{Grace, Moment};
use crate::map::Map;
use crate::memory::MappedMemory;

/// Memory with the ports of one bridge.
#[derive(Debug)]
pub struct BridgePorts {
    memory: MappedMemory,
    slots: BTreeMap<OfPort, u32>,
    which: u32,
    /// When the other list was taken out of sight.
    exchanged: Option<Moment>,
}

impl BridgePorts {
    /// Of a bridge without ports.
    pub fn new() -> Result<BridgePorts, DatapathError> {
        Ok(BridgePorts {
            memory: MappedMemory::create("bridge_ports", ports::BYTES)?,
            slots: BTreeMap::new(),
            which: 0,
            exchanged: None,
        })
    }

    /// The map, for programs.
    pub fn map(&self) -> &Map {
        self.memory.map()
    }

    /// The epoch of the bridge, see [`ports::EPOCH`].
    pub fn epoch(&self) -> u32 {
        self.memory.u32_at(ports::EPOCH)
    }

    /// Programs that hold tables for single ports hold them no more: to be called when the bridge's
    /// root is another, before anything that those use is given to another use.
    pub fn next_epoch(&mut self) {
        let next = self.epoch().wrapping_add(1);
        self.memory.set_u32(ports::EPOCH, next);
    }

    /// Sets the ports: slots by number.
    pub fn set(&mut self, slots: BTreeMap<OfPort, u32>, grace: &Grace) {
        if slots == self.slots {
            return;
        }
        if let Some(exchanged) = self.exchanged {
            grace.wait(exchanged);
        }
        for gone in self.slots.keys().filter(|port| !slots.contains_key(port)) {
            self.memory.set_u32(ports::slot_of(gone.0), 0);
        }
        for (port, slot) in &slots {
            self.memory.set_u32(ports::slot_of(port.0), slot + 1);
        }
        let which = 1 - self.which;
        let count = slots.len().min(ports::MAX_LISTED as usize) as u32;
        let listed = slots.values().take(count as usize);
        let list: Vec<u8> = std::iter::once(&count)
            .chain(listed)
            .flat_map(|word| word.to_ne_bytes())
            .collect();
        self.memory
            .fill(ports::LISTS + which * ports::LIST_BYTES, &list);
        self.memory.set_u32(ports::WHICH, which);
        self.which = which;
        self.exchanged = Some(grace.now());
        self.slots = slots;
    }
}
