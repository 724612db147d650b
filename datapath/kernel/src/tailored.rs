//! Programs that hold a bridge's tables and the facts of one port: what a packet costs there is less
//! than by way of the bridge's root. They are made one by one while nothing else is to be done, and
//! hold until other tables take effect, which asks nothing of them: the bridge's epoch moves on, and
//! each becomes an ordinary entry by itself.

use std::collections::BTreeMap;

use aorta_compiler::{FlowEntryFacts, Origin, Refuses};
use aorta_flow::PortName;

use crate::datapath::Datapath;
use crate::error::PortError;
use crate::flows::Holds;
use crate::port_program::PortProgram;

/// Bridges with more ports have no such programs: they take memory, and time to make.
const MAX_PORTS: usize = 256;

/// With more patch ports, bridges that have some keep their roots: a program in a root's place that
/// doesn't hold any more is one more jump, and packets through many bridges take nearly as many as the
/// kernel allows in a row.
const MAX_PATCHED: usize = 6;

/// Slots of ports with a program of their own, and the tables for which it was made.
pub type Tailored = BTreeMap<u32, Holds>;

/// A port that is to have one.
struct Next {
    slot: u32,
    device: u32,
    holds: Holds,
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
            return Ok(self.tailor_xdp()? || self.fix_root()?);
        };
        let (state, generation) = (&self.state, &self.generation);
        let around = (state, generation);
        let made = self
            .flows
            .port_program(&mut self.loader, around, &next.entry, next.holds);
        if let Some(program) = made {
            self.attach(next.slot, next.device, &program)?;
            self.tailored.insert(next.slot, next.holds);
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
        let holds = self.tailored.get(slot);
        holds.is_some_and(|holds| self.flows.still_hold(module.bridge_slot, *holds))
    }

    /// Gives the tables of one more bridge a program in the root's place, where ports have none of
    /// their own.
    fn fix_root(&mut self) -> Result<bool, PortError> {
        let around = (&self.state, &self.generation);
        let patched = self
            .programs
            .values()
            .filter(|p| p.origin() == Origin::Patch);
        let patched = patched.count();
        for bridge in &self.flowing {
            let own = self.flows.tailors(*bridge).is_some() && self.tailors_all(*bridge);
            let chained = patched > MAX_PATCHED && self.is_patched(*bridge);
            let fixed = match own || chained {
                true => Ok(false),
                false => self.flows.fix(&mut self.loader, around, *bridge),
            };
            if fixed.map_err(|e| PortError::Pin(Box::new(e)))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a bridge has patch ports.
    fn is_patched(&self, bridge: u32) -> bool {
        self.programs.values().any(|program| match program {
            PortProgram::Flows { entry, .. } => {
                entry.bridge_slot == bridge && entry.origin == Origin::Patch
            }
            PortProgram::Normal(_) => false,
        })
    }

    /// Whether the ports of a bridge aren't too many.
    fn tailors_all(&self, bridge: u32) -> bool {
        self.candidates(bridge).count() <= MAX_PORTS
    }

    fn next_tailored(&self) -> Option<Next> {
        let mut bridges = self.flowing.iter();
        bridges.find_map(|bridge| {
            let holds = self.flows.would_hold(*bridge)?;
            let mut candidates = self
                .candidates(*bridge)
                .filter(|_| self.tailors_all(*bridge));
            let left = candidates.find(|(slot, ..)| self.tailored.get(slot) != Some(&holds));
            left.map(|(slot, device, entry)| Next {
                slot,
                device,
                holds,
                entry,
            })
        })
    }

    /// Ports of a bridge that can have a program of their own: slot, device, and entry.
    fn candidates(&self, bridge: u32) -> impl Iterator<Item = (u32, u32, FlowEntryFacts)> {
        self.programs.iter().filter_map(move |(slot, program)| {
            let PortProgram::Flows { entry, .. } = program else {
                return None;
            };
            let device = *self.attached.get(slot)?;
            let plain = entry.origin == Origin::Device && entry.refuses == Refuses::None;
            (entry.bridge_slot == bridge && plain).then(|| (*slot, device, entry.clone()))
        })
    }
}
