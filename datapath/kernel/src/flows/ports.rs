//! The ports of a bridge with flows, as its programs find them by number.

use std::collections::BTreeMap;

use aorta_compiler::pipeline::maps::ports;
use aorta_compiler::pipeline::memory::Memory;
use aorta_flow::OfPort;

use crate::error::DatapathError;
use crate::grace::{Grace, Moment};
use crate::map::Map;
use crate::memory::MappedMemory;

/// A port as programs of its bridge find it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Its slot.
    pub slot: u32,
    /// Whether FLOOD sends to it.
    pub floods: bool,
}

/// The ports of a bridge by their numbers.
pub type Numbered = BTreeMap<OfPort, Place>;

/// Memory with the ports of one bridge.
#[derive(Debug)]
pub struct BridgePorts {
    memory: MappedMemory,
    slots: Numbered,
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

    /// Sets the ports.
    pub fn set(&mut self, slots: Numbered, grace: &Grace) {
        if slots == self.slots {
            return;
        }
        if let Some(exchanged) = self.exchanged {
            grace.wait(exchanged);
        }
        for gone in self.slots.keys().filter(|port| !slots.contains_key(port)) {
            self.memory.set_u32(ports::slot_of(gone.0), 0);
        }
        for (port, place) in &slots {
            self.memory.set_u32(ports::slot_of(port.0), place.slot + 1);
        }
        let which = 1 - self.which;
        let list = list(&slots);
        self.memory
            .fill(ports::LISTS + which * ports::LIST_BYTES, &list);
        self.memory.set_u32(ports::WHICH, which);
        self.which = which;
        self.exchanged = Some(grace.now());
        self.slots = slots;
    }
}

/// The list of all ports: those that FLOOD sends to come first.
fn list(slots: &Numbered) -> Vec<u8> {
    let (flooded, others): (Vec<Place>, Vec<Place>) =
        slots.values().partition(|place| place.floods);
    let most = ports::MAX_LISTED as usize;
    let count = slots.len().min(most) as u32;
    let floods = flooded.len().min(most) as u32;
    let listed = flooded.iter().chain(&others).take(most);
    let words = [count, floods]
        .into_iter()
        .chain(listed.map(|place| place.slot));
    words.flat_map(u32::to_ne_bytes).collect()
}
