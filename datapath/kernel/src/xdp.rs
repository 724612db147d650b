//! Which ports run XDP programs, in front of those at tcx, and why others don't.

use std::collections::{BTreeMap, BTreeSet};

use aorta_compiler::abi::port;
use aorta_compiler::{
    CompileError, PortModule, Refuses, XdpEntryFacts, XdpMode, compile_xdp_entry,
};
use aorta_flow::{PortHook, PortName};

use crate::datapath::{Datapath, is_patch};
use crate::error::{DatapathError, PortError, chain};
use crate::flows::{Holds, Kernel, XdpForm};
use crate::link;

/// Why programs run at tcx.
const TCX: &str = "keeps GSO frames whole and checksums offloaded";
/// What XDP on a veth needs, which can't be seen from this side.
const FAR_END: &str = "the far end of a veth must have tx, tso and txvlan off and gro on";

/// Why a port that asks for XDP has none.
const NOT_RECEIVED: &str = "XDP is configured, but a controller has the port not receive some \
                            frames, which the program at tcx sees to";

/// The XDP programs of ports.
#[derive(Debug, Default)]
pub struct XdpPorts {
    /// Those that run, by slot.
    running: BTreeMap<u32, Running>,
    /// For which tables of the bridge it was tried to give a port a program with them in it, and
    /// whether it has one.
    tailored: BTreeMap<u32, (Holds, bool)>,
    /// Why a port that asks for XDP doesn't have it, by slot.
    refused: BTreeMap<u32, String>,
    /// Nothing of earlier daemons is left.
    settled: bool,
}

/// The XDP program of a port, and the device that it is attached to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Running {
    facts: XdpEntryFacts,
    device: u32,
}

/// Where a port's frames enter the switch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HookInUse {
    /// `tcx`, `xdp-native`, `xdp-generic`, or `patch`.
    pub name: &'static str,
    /// Why there.
    pub reason: String,
}

/// Whether frames that come from the port are asked something before anything else, which XDP doesn't.
fn is_guarded(port: &PortModule) -> bool {
    let facts = port.entry.as_ref();
    facts.is_some_and(|facts| facts.guard.is_some())
}

fn mode_name(mode: XdpMode) -> &'static str {
    match mode {
        XdpMode::Native => "xdp-native",
        XdpMode::Generic => "xdp-generic",
    }
}

/// Whether controllers have the port receive all frames.
fn receives_all(port: &PortModule) -> bool {
    let entry = port.entry.as_ref();
    entry.is_none_or(|facts| facts.refuses == Refuses::None)
}

impl Datapath {
    /// Ends the XDP programs of ports that are to have none or others.
    pub(crate) fn retire_xdp(
        &mut self,
        ports: &BTreeMap<u32, PortModule>,
    ) -> Result<(), DatapathError> {
        let stays = |slot: &u32, running: &Running| {
            let wanted = ports
                .get(slot)
                .and_then(|port| self.wanted_xdp(*slot, port));
            wanted == Some(*running)
        };
        let running = self.xdp.running.iter();
        let retired: Vec<(u32, XdpMode)> = running
            .filter(|(slot, running)| !stays(slot, running))
            .map(|(slot, running)| (*slot, running.facts.mode))
            .collect();
        for (slot, mode) in retired {
            // Others send there no more before it ends.
            if let Some(port) = self.installed.ports.get(&slot) {
                self.generation.set_port(slot, &port.record, None)?;
            }
            link::detach(&self.pins.xdp_link(mode, slot))?;
            self.xdp.running.remove(&slot);
            self.xdp.tailored.remove(&slot);
        }
        Ok(())
    }

    /// Gives one more port an XDP program with its bridge's tables in it; true if there may be more to
    /// do.
    pub(crate) fn tailor_xdp(&mut self) -> Result<bool, PortError> {
        let next = self.xdp.running.iter().find_map(|(slot, running)| {
            let holds = self.flows.would_hold(running.facts.bridge_slot)?;
            let tried = self.xdp.tailored.get(slot);
            let tried = tried.is_some_and(|(tried, _)| *tried == holds);
            (!tried).then_some((*slot, *running, holds))
        });
        let Some((slot, running, holds)) = next else {
            return Ok(false);
        };
        self.xdp.tailored.insert(slot, (holds, false));
        let around = (&self.state, &self.generation);
        let facts = &running.facts;
        let made = self
            .flows
            .xdp_port_program(&mut self.loader, around, facts, holds);
        if let Some(program) = made {
            let path = self.pins.xdp_link(facts.mode, slot);
            link::attach_xdp(&path, running.device, facts.mode, program.fd())?;
            self.xdp.tailored.insert(slot, (holds, true));
        }
        Ok(true)
    }

    /// Whether a port runs an XDP program with its bridge's tables in it.
    pub fn is_xdp_tailored(&self, port: &PortName) -> bool {
        let slot = self.state.slots().ports.get(port);
        let running = slot.and_then(|slot| self.xdp.running.get(slot));
        let (Some(slot), Some(running)) = (slot, running) else {
            return false;
        };
        let bridge = running.facts.bridge_slot;
        let tailored = self.xdp.tailored.get(slot);
        tailored.is_some_and(|(of, made)| *made && self.flows.still_hold(bridge, *of))
    }

    /// Brings the XDP programs of the installed ports to what they ask for. Where that can't be, the
    /// program at tcx does it all.
    pub(crate) fn settle_xdp(&mut self) -> Result<(), DatapathError> {
        let ports = std::mem::take(&mut self.installed.ports);
        let settled = self.settle_ports(&ports);
        self.installed.ports = ports;
        settled
    }

    fn settle_ports(&mut self, ports: &BTreeMap<u32, PortModule>) -> Result<(), DatapathError> {
        self.retire_xdp(ports)?;
        self.xdp.refused.clear();
        let wanted: BTreeMap<u32, Running> = ports
            .iter()
            .filter_map(|(slot, port)| Some((*slot, self.wanted_xdp(*slot, port)?)))
            .collect();
        if !self.xdp.settled {
            for (mode, slot) in self.pins.xdp_links()? {
                if wanted.get(&slot).is_none_or(|new| new.facts.mode != mode) {
                    link::detach(&self.pins.xdp_link(mode, slot))?;
                }
            }
            self.xdp.settled = true;
        }
        for (slot, new) in wanted {
            if self.xdp.running.contains_key(&slot) {
                continue;
            }
            match self.attach_xdp(&new) {
                Ok(()) => {
                    self.xdp.running.insert(slot, new);
                }
                Err(error) => {
                    self.xdp.refused.insert(slot, chain(&error));
                }
            }
        }
        for (slot, running) in &self.xdp.running {
            if let Some(port) = ports.get(slot) {
                let record = port::Record {
                    xdp: running.facts.mode.record(),
                    ..port.record
                };
                self.generation.set_port(*slot, &record, None)?;
            }
        }
        self.settle_forms()
    }

    /// Bridges of which a port runs XDP programs have the XDP form of their tables.
    fn settle_forms(&mut self) -> Result<(), DatapathError> {
        let running = self.xdp.running.values();
        let bridges: BTreeSet<u32> = running.map(|port| port.facts.bridge_slot).collect();
        let mut kernel = Kernel {
            loader: &mut self.loader,
            generation: &self.generation,
            state: &self.state,
        };
        for slot in &self.flowing {
            let wanted = bridges.contains(slot);
            self.flows.want_xdp(&mut kernel, *slot, wanted)?;
        }
        Ok(())
    }

    /// The XDP program that a port is to have; `None` if none.
    fn wanted_xdp(&self, slot: u32, port: &PortModule) -> Option<Running> {
        let mode = match port.hook {
            PortHook::Auto | PortHook::Tc => return None,
            PortHook::XdpNative => XdpMode::Native,
            PortHook::XdpGeneric => XdpMode::Generic,
        };
        if !receives_all(port) || is_guarded(port) {
            return None;
        }
        let flows = self.flowing.contains(&port.bridge_slot);
        let facts = XdpEntryFacts {
            port_slot: slot,
            ofport: port.ofport,
            bridge_slot: port.bridge_slot,
            mode,
        };
        let device = port.device.filter(|_| flows)?.get();
        Some(Running { facts, device })
    }

    fn attach_xdp(&mut self, new: &Running) -> Result<(), PortError> {
        if let Some(reason) = link::hides_from_xdp(new.device) {
            return Err(PortError::HidesFromXdp { reason });
        }
        let defect = |e: CompileError| PortError::Pin(Box::new(e.into()));
        let program = compile_xdp_entry(&new.facts).map_err(defect)?;
        let (state, generation, flows) = (&self.state, &self.generation, &self.flows);
        let program = self.loader.load_xdp(&program, |id| {
            flows.map_fd(id).or_else(|| generation.map_fd(state, id))
        })?;
        let (mode, slot) = (new.facts.mode, new.facts.port_slot);
        let path = self.pins.xdp_link(mode, slot);
        link::attach_xdp(&path, new.device, mode, program.fd())
    }

    /// Where the frames of a port enter the switch now, and why; `None` if they don't.
    pub fn hook(&self, port: &PortName) -> Option<HookInUse> {
        let slot = self.state.slots().ports.get(port)?;
        let module = self.installed.ports.get(slot)?;
        if is_patch(module) {
            return Some(HookInUse {
                name: "patch",
                reason: "frames jump to its peer, without a device".to_owned(),
            });
        }
        module.device?;
        Some(match self.xdp.running.get(slot) {
            Some(running) => HookInUse {
                name: mode_name(running.facts.mode),
                reason: self.why_xdp(module.bridge_slot),
            },
            None => HookInUse {
                name: "tcx",
                reason: self.why_tcx(*slot, module),
            },
        })
    }

    fn why_xdp(&self, bridge_slot: u32) -> String {
        match self.flows.xdp_form(bridge_slot) {
            Some(XdpForm::Refused(why)) => {
                format!("as configured, but all frames go on to tcx: {why}")
            }
            Some(XdpForm::Nothing) => {
                "as configured, but all frames go on to tcx: no flow can be done in XDP".to_owned()
            }
            _ => format!(
                "as configured: drops, and single outputs to ports with XDP, all else goes on to \
                 tcx; {FAR_END}"
            ),
        }
    }

    fn why_tcx(&self, slot: u32, port: &PortModule) -> String {
        match port.hook {
            PortHook::Auto => TCX.to_owned(),
            PortHook::Tc => "as configured".to_owned(),
            PortHook::XdpNative | PortHook::XdpGeneric if is_guarded(port) => {
                "XDP is configured, but the port has policing or allowed addresses, which programs at \
                 tcx see to"
                    .to_owned()
            }
            PortHook::XdpNative | PortHook::XdpGeneric => match self.xdp.refused.get(&slot) {
                Some(why) => format!("XDP is configured, but: {why}"),
                None if !receives_all(port) => NOT_RECEIVED.to_owned(),
                None => "XDP is configured, but the bridge has no flows but NORMAL, which XDP \
                         doesn't do"
                    .to_owned(),
            },
        }
    }
}
