//! What flow tables need besides changes: room for counters, ports, and back what isn't used any
//! more.

use aorta_compiler::abi::jump;
use aorta_compiler::pipeline::maps::stats;

use super::instance::{Instance, Surroundings};
use super::ports::Numbered;
use super::resting::{Resting, numbers};
use super::rules::Rules;
use super::{Flows, FlowsError, Kernel};
use crate::error::DatapathError;
use crate::generation::Generation;

impl Flows {
    /// Sees to it that rules up to `needed` can be counted.
    pub(super) fn make_room(
        &mut self,
        kernel: &mut Kernel<'_>,
        needed: u32,
    ) -> Result<(), FlowsError> {
        let needed = needed.min(stats::MAX_RULES);
        if needed <= self.stats.capacity() {
            return Ok(());
        }
        if self.stats.is_growing() {
            let grace = self.resting.grace();
            grace.wait(grace.now());
            self.stats.fold()?;
        }
        self.stats.grow(needed)?;
        let Some(shared) = &self.shared else {
            return Ok(self.stats.fold()?);
        };
        for (slot, flows) in &mut self.bridges {
            let around = Surroundings {
                generation: kernel.generation,
                state: kernel.state,
                shared,
                stats: &self.stats,
                own: &flows.own,
            };
            let pipeline = &mut flows.instance.pipeline;
            pipeline.set_counted_rules(self.stats.capacity());
            flows.instance.load_programs(kernel.loader, &around)?;
            flows.instance.put(kernel.generation, *slot)?;
            flows.own.ports.next_epoch();
        }
        self.resting.put([Resting::OldStats]);
        Ok(())
    }

    /// Forgets the flows of a bridge, whose ports don't lead to them any more.
    pub fn remove(&mut self, slot: u32) {
        if let Some(mut flows) = self.bridges.remove(&slot) {
            flows.own.ports.next_epoch();
            // What can't be removed is exchanged when the slot's next bridge has flows.
            let _ = self.group_numbers.keep(slot, &Rules::default());
            let released = flows.rules.numbers().collect();
            let root = Resting::Root { bridge_slot: slot };
            self.resting
                .put(std::iter::once(root).chain(numbers(released)));
        }
    }

    /// Sets the ports of a bridge with flows.
    pub fn set_ports(&mut self, slot: u32, ports: Numbered) {
        if let Some(flows) = self.bridges.get_mut(&slot) {
            flows.own.ports.set(ports, self.resting.grace());
        }
    }

    /// Uses again what no packet can still be using.
    pub fn reclaim(&mut self, generation: &Generation) -> Result<(), DatapathError> {
        while let Some(resting) = self.resting.take() {
            match resting {
                Resting::Records {
                    bridge_slot,
                    instance: number,
                    retired,
                } => {
                    if let Some(flows) = self.bridges.get_mut(&bridge_slot)
                        && flows.instance.number == number
                    {
                        let Instance {
                            pipeline, memories, ..
                        } = &mut flows.instance;
                        pipeline.reclaim(&retired, memories);
                    }
                }
                Resting::Rules(ids) => self.pool.give_back(ids),
                Resting::Root { bridge_slot } if self.has(bridge_slot) => {}
                Resting::Root { bridge_slot } => {
                    generation.clear_program(jump::bridge(bridge_slot))?;
                    generation.clear_program(jump::resume(bridge_slot))?;
                    generation.clear_program(jump::plain(bridge_slot))?;
                    generation.put_xdp_program(bridge_slot, None)?;
                }
                Resting::OldStats => self.stats.fold()?,
            }
        }
        Ok(())
    }

    /// The kernel's tables of a bridge are not those that the next changes lead from.
    pub fn spoil(&mut self, slot: u32) {
        if let Some(flows) = self.bridges.get_mut(&slot) {
            flows.spoilt = true;
        }
    }
}
