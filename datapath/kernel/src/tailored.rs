//! Programs that hold a bridge's tables and the facts of one port: what a packet costs there is less
//! than by way of the bridge's root. They are made one by one while nothing else is to be done, and
//! hold until other tables take effect, which asks nothing of them: the bridge's epoch moves on, and
//! each becomes an ordinary entry by itself.

use std::collections::BTreeMap;

use aorta_compiler::{FlowEntryFacts, Origin, Refuses};
use aorta_flow::PortName;

use crate::datapath::Datapath;
use crate::error::PortError;
use crate::port_program::PortProgram;

/// Bridges with more ports have no such programs: they take memory, and time to make.
const MAX_PORTS: usize = 64;

/// Slots of ports with a program of their own, and the epoch of their bridge in which it was made.
pub type Tailored = BTreeMap<u32, u32>;

/// A port that is to have one.
struct Next {
    slot: u32,
    device: u32,
    epoch: u32,
    entry: FlowEntryFacts,
}

impl Datapath {
    /// Gives one more port a program of its own, if its bridge has tables that can be in one; true if
    /// there may be more to do. It takes as long as the kernel takes to check the program.
    ///
    /// # Errors
    /// When the port's program can't be exchanged.
    pub fn tailor_port(&mut self) -> Result<bool, PortError> {
        let Some(next) = self.next_tailored() else {
            return self.tailor_xdp();
        };
        let (state, generation) = (&self.state, &self.generation);
        let around = (state, generation);
        let made = self
            .flows
            .port_program(&mut self.loader, around, &next.entry, next.epoch);
        if let Some(program) = made {
            self.attach(next.slot, next.device, &program)?;
            self.tailored.insert(next.slot, next.epoch);
        }
        Ok(true)
    }

    /// Whether a port runs a program of its own.
    pub fn is_tailored(&self, port: &PortName) -> bool {
        let slot = self.state.slots().ports.get(port);
        let module = slot.and_then(|slot| self.installed.ports.get(slot));
        let (Some(slot), Some(module)) = (slot, module) else {
            return false;
        };
        let epoch = self.flows.epoch(module.bridge_slot);
        epoch.is_some() && self.tailored.get(slot) == epoch.as_ref()
    }

    fn next_tailored(&self) -> Option<Next> {
        let mut bridges = self.flowing.iter();
        bridges.find_map(|bridge| {
            let epoch = self.flows.tailors(*bridge)?;
            let mut ports = self.programs.iter().filter_map(|(slot, program)| {
                let PortProgram::Flows { entry, .. } = program else {
                    return None;
                };
                let device = *self.attached.get(slot)?;
                let plain = entry.origin == Origin::Device && entry.refuses == Refuses::None;
                (entry.bridge_slot == *bridge && plain).then_some(Next {
                    slot: *slot,
                    device,
                    epoch,
                    entry: entry.clone(),
                })
            });
            let all = ports.clone().count();
            let left = ports.find(|next| self.tailored.get(&next.slot) != Some(&epoch));
            left.filter(|_| all <= MAX_PORTS)
        })
    }
}
