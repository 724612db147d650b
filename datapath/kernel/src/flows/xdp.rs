//! The XDP forms of pipelines: made for bridges of which a port runs XDP programs.

use super::instance::Surroundings;
use super::{Flows, Kernel, XdpForm};
use crate::error::DatapathError;

impl Flows {
    /// Makes the XDP form of a bridge's tables, or takes it away. Nothing happens if it is so already.
    pub fn want_xdp(
        &mut self,
        kernel: &mut Kernel<'_>,
        slot: u32,
        wanted: bool,
    ) -> Result<(), DatapathError> {
        let (Some(flows), Some(shared)) = (self.bridges.get_mut(&slot), &self.shared) else {
            return Ok(());
        };
        if flows.own.xdp == wanted {
            return Ok(());
        }
        flows.own.xdp = wanted;
        let around = Surroundings {
            generation: kernel.generation,
            state: kernel.state,
            shared,
            stats: &self.stats,
            own: &flows.own,
        };
        flows.instance.load_xdp(kernel.loader, &around);
        flows.instance.put_xdp(kernel.generation, slot)
    }

    /// What became of the XDP form of a bridge's tables.
    pub fn xdp_form(&self, slot: u32) -> Option<&XdpForm> {
        self.bridges
            .get(&slot)
            .map(|flows| &flows.instance.explained.xdp)
    }
}
