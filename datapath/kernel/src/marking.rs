//! Programs at the egress of devices whose ports have queues with a DSCP.

use std::collections::{BTreeMap, BTreeSet};

use aorta_compiler::{PortModule, compile_marking};
use aorta_flow::PortName;

use crate::datapath::Datapath;
use crate::error::{DatapathError, PortError};
use crate::link;

/// The marking programs of ports.
#[derive(Debug, Default)]
pub struct Marking {
    /// Those that run, by slot.
    running: BTreeMap<u32, Running>,
    /// Nothing of earlier daemons is left.
    settled: bool,
}

/// The DSCP of each queue, at a device.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Running {
    device: u32,
    queue_dscp: BTreeMap<u32, u8>,
}

impl Running {
    /// What a port needs, if it needs any.
    fn of(port: &PortModule) -> Option<Running> {
        let queue_dscp = port.queue_dscp.clone();
        let device = port.device.filter(|_| !queue_dscp.is_empty())?.get();
        Some(Running { device, queue_dscp })
    }
}

impl Datapath {
    /// Has the devices of ports mark what leaves as these ask for, and no others. Ports for which
    /// that fails, with the reason.
    pub(crate) fn mark_queues(
        &mut self,
        ports: &BTreeMap<u32, PortModule>,
    ) -> Result<BTreeMap<PortName, PortError>, DatapathError> {
        let wanted = ports.iter();
        let wanted: BTreeMap<u32, (&PortModule, Running)> = wanted
            .filter_map(|(slot, port)| Some((*slot, (port, Running::of(port)?))))
            .collect();
        let mut known: BTreeSet<u32> = self.marking.running.keys().copied().collect();
        if !self.marking.settled {
            known.extend(self.pins.marking_links()?);
        }
        for slot in known.into_iter().filter(|slot| !wanted.contains_key(slot)) {
            link::detach(&self.pins.marking_link(slot))?;
            self.marking.running.remove(&slot);
        }
        self.marking.settled = true;
        let mut failed = BTreeMap::new();
        for (slot, (port, running)) in wanted {
            if self.marking.running.get(&slot) == Some(&running) {
                continue;
            }
            match self.mark(slot, &running) {
                Ok(()) => drop(self.marking.running.insert(slot, running)),
                Err(error) => drop(failed.insert(port.name.clone(), error)),
            }
        }
        Ok(failed)
    }

    fn mark(&mut self, slot: u32, wanted: &Running) -> Result<(), PortError> {
        let failed = |error: DatapathError| PortError::Pin(Box::new(error));
        let program = compile_marking(slot, &wanted.queue_dscp);
        let program = program.map_err(|error| failed(error.into()))?;
        let program = self.loader.load(&program, |_| None)?;
        let path = self.pins.marking_link(slot);
        link::attach_egress(&path, wanted.device, program.fd())
    }
}
