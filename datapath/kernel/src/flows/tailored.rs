//! Programs of single ports with the tables of their bridge.

use aorta_compiler::{FlowEntryFacts, XdpEntryFacts};

use super::instance::Surroundings;
use super::{Flows, Kernel};
use crate::error::DatapathError;
use crate::generation::Generation;
use crate::loader::{Loaded, Loader};
use crate::state::State;

/// Programs with more instructions stay one for all ports: what the port's facts spare is little
/// then.
const MAX_INSNS: usize = 4096;

/// For which tables of a bridge a program holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Holds {
    /// The epoch of the bridge.
    pub epoch: u32,
    /// The version of the tables, if it holds for no other in that epoch.
    pub version: Option<u32>,
}

/// In which epoch of a bridge it turned out that its tables can't be in programs of single ports.
pub type Untailored = Option<u32>;

impl Flows {
    /// The epoch for which ports can have programs of their own, as far as it is known.
    pub fn tailors(&self, slot: u32) -> Option<u32> {
        let flows = self.bridges.get(&slot).filter(|flows| !flows.spoilt)?;
        let epoch = flows.own.ports.epoch();
        (flows.untailored != Some(epoch)).then_some(epoch)
    }

    /// For what a program would hold that a port of the bridge gets now.
    pub fn would_hold(&self, slot: u32) -> Option<Holds> {
        let epoch = self.tailors(slot)?;
        let flows = self.bridges.get(&slot)?;
        let few = flows.instance.pipeline.has_few();
        let version = few.then_some(flows.version);
        Some(Holds { epoch, version })
    }

    /// Whether a program for these tables does what they say now.
    pub fn still_hold(&self, slot: u32, holds: Holds) -> bool {
        self.bridges.get(&slot).is_some_and(|flows| {
            let same = holds.version.is_none_or(|version| version == flows.version);
            same && holds.epoch == flows.own.ports.epoch()
        })
    }

    /// Loads the program of a port; `None` if the tables of its bridge can't be in one, which is noted.
    pub fn port_program(
        &mut self,
        loader: &mut Loader,
        (state, generation): (&State, &Generation),
        entry: &FlowEntryFacts,
        holds: Holds,
    ) -> Option<Loaded> {
        let (Some(flows), Some(shared)) = (self.bridges.get_mut(&entry.bridge_slot), &self.shared)
        else {
            return None;
        };
        let around = Surroundings {
            generation,
            state,
            shared,
            stats: &self.stats,
            own: &flows.own,
        };
        let pipeline = &flows.instance.pipeline;
        let made = pipeline.port_program(entry, holds.epoch, holds.version);
        let fits = made.ok().flatten().filter(|p| p.len() <= MAX_INSNS);
        // One that the kernel refuses isn't needed: the bridge's root does the same.
        let loaded = fits.and_then(|program| {
            let fd = |id| flows.instance.map_fd(id, &around);
            loader.load(&program, fd).ok()
        });
        if loaded.is_none() {
            flows.untailored = Some(holds.epoch);
        }
        loaded
    }

    /// Gives a bridge's tables as they are a program in the root's place; true if anything was tried.
    ///
    /// # Errors
    /// When it can't be put there.
    pub fn fix(
        &mut self,
        loader: &mut Loader,
        (state, generation): (&State, &Generation),
        slot: u32,
    ) -> Result<bool, DatapathError> {
        let (Some(flows), Some(shared)) = (self.bridges.get_mut(&slot), &self.shared) else {
            return Ok(false);
        };
        if flows.spoilt {
            return Ok(false);
        }
        let around = Surroundings {
            generation,
            state,
            shared,
            stats: &self.stats,
            own: &flows.own,
        };
        flows.instance.fix(flows.version, loader, &around)
    }

    /// The tables of a bridge have changed in memory: a program for the version before leaves its
    /// packets to the root by itself, and with the next change it goes, because that costs time. True
    /// if there may be one again.
    pub(super) fn unfix(&mut self, kernel: &Kernel<'_>, slot: u32) -> Result<bool, DatapathError> {
        let Some(flows) = self.bridges.get_mut(&slot) else {
            return Ok(false);
        };
        let fixed = &flows.instance.fixed;
        let behind = |(version, _): &(u32, Loaded)| flows.version.wrapping_sub(*version);
        if fixed.loaded.as_ref().is_some_and(|it| behind(it) > 1) {
            flows.instance.put(kernel.generation, slot)?;
        }
        Ok(flows.instance.pipeline.has_few())
    }

    /// As [`Flows::port_program`], of a port's XDP program.
    pub fn xdp_port_program(
        &mut self,
        loader: &mut Loader,
        (state, generation): (&State, &Generation),
        entry: &XdpEntryFacts,
        holds: Holds,
    ) -> Option<Loaded> {
        let (Some(flows), Some(shared)) = (self.bridges.get(&entry.bridge_slot), &self.shared)
        else {
            return None;
        };
        let around = Surroundings {
            generation,
            state,
            shared,
            stats: &self.stats,
            own: &flows.own,
        };
        let pipeline = &flows.instance.pipeline;
        let made = pipeline.xdp_port_program(entry, holds.epoch, holds.version);
        let fits = made.ok().flatten().filter(|p| p.len() <= MAX_INSNS)?;
        let fd = |id| flows.instance.map_fd(id, &around);
        loader.load_xdp(&fits, fd).ok()
    }
}
