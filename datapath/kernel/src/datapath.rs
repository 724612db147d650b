//! The datapath in the kernel: brings it to what a snapshot says, step by step, without a
//! packet lost.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Instant;

use aorta_compiler::abi::{counter, jump, port};
use aorta_compiler::{CompileError, Module, Origin, PortModule, compile};
use aorta_flow::guard::{Policing, StormLimits};
use aorta_flow::{BridgeName, PortName, Snapshot};

use crate::clock::TickClock;
use crate::error::{DatapathError, PortError};
use crate::flow_tables::numbered;
use crate::flows::{Flows, Rules, Taken};
use crate::generation::Generation;
use crate::link;
use crate::loader::{Loaded, Loader};
use crate::marking::Marking;
use crate::pins::PinDir;
use crate::port_program::PortProgram;
use crate::state::State;
use crate::tailored::Tailored;
use crate::xdp::XdpPorts;

/// Where a datapath lives.
#[derive(Clone, Debug)]
pub struct Config {
    /// Pin directory, two levels below the mount point of a BPF file system:
    /// `/sys/fs/bpf/aorta/NAME`. One directory for each switch on the machine.
    pub pin_dir: PathBuf,
}

/// What [`Datapath::apply`] could not do.
#[derive(Debug, Default)]
pub struct Applied {
    /// Ports that are not attached, and why. All others are.
    pub failed: BTreeMap<PortName, PortError>,
}

/// The switch's part of the kernel.
#[derive(Debug)]
pub struct Datapath {
    pub(crate) pins: PinDir,
    pub(crate) loader: Loader,
    pub(crate) clock: TickClock,
    pub(crate) state: State,
    pub(crate) generation: Generation,
    pub(crate) flows: Flows,
    /// Slots of the bridges whose ports lead to their flows.
    pub(crate) flowing: BTreeSet<u32>,
    /// Numbers of rules of bridges whose flows are still to come.
    pub(crate) adopted: BTreeMap<BridgeName, Rules>,
    pub(crate) installed: Module,
    /// Programs of each port slot.
    pub(crate) programs: BTreeMap<u32, PortProgram>,
    /// Device of each port slot that has a link of this daemon.
    pub(crate) attached: BTreeMap<u32, u32>,
    pub(crate) tailored: Tailored,
    pub(crate) xdp: XdpPorts,
    pub(crate) marking: Marking,
    /// Nothing of earlier daemons is left.
    settled: bool,
}

impl Datapath {
    /// Opens the datapath. What an earlier daemon left goes on forwarding until the first
    /// [`Datapath::apply`].
    pub fn open(config: &Config) -> Result<Datapath, DatapathError> {
        let pins = PinDir::open(&config.pin_dir)?;
        let state = State::open(&pins)?;
        let mut loader = Loader::new();
        let clock = TickClock::new(&mut loader)?;
        let generation = Generation::create(&pins, &state, &mut loader)?;
        let flows = Flows::open(&pins)?;
        Ok(Datapath {
            pins,
            loader,
            clock,
            state,
            generation,
            flows,
            flowing: BTreeSet::new(),
            adopted: BTreeMap::new(),
            installed: Module::default(),
            programs: BTreeMap::new(),
            attached: BTreeMap::new(),
            tailored: Tailored::new(),
            xdp: XdpPorts::default(),
            marking: Marking::default(),
            settled: false,
        })
    }

    /// Removes all that a datapath ever left in `config`'s directory; forwarding ends.
    pub fn teardown(config: &Config) -> Result<(), DatapathError> {
        PinDir::remove_all(&config.pin_dir)
    }

    /// Brings the kernel to `snapshot`. A port that fails doesn't stop the others, and is tried
    /// again the next time.
    pub fn apply(&mut self, snapshot: &Snapshot) -> Result<Applied, DatapathError> {
        self.state.allocate(snapshot)?;
        let mut module = compile(snapshot, self.state.slots(), self.clock.hz())?;
        let mut applied = Applied::default();
        self.flows.reclaim(&self.generation)?;
        self.retire_xdp(&module.ports)?;
        self.remove_ports(&module)?;
        let renewed = self.size_fdbs(&module)?;
        let mut changed: Vec<(u32, &PortModule)> = Vec::new();
        for (slot, port) in &module.ports {
            let same = self.installed.ports.get(slot) == Some(port);
            if !same || renewed.contains(&port.bridge_slot) {
                changed.push((*slot, port));
            }
        }
        for (slot, port) in &changed {
            if rates(self.installed.ports.get(slot)) != rates(Some(port)) {
                self.generation.fill_buckets(*slot)?;
            }
        }
        // No frame may find a gap: records and lists come before the programs that read them,
        // patch ports before those from which frames jump to them.
        for (slot, port) in &changed {
            self.generation
                .set_port(*slot, &port.record, port.vlans.as_deref())?;
        }
        self.set_floods(&module)?;
        for slot in &self.flowing {
            self.flows.set_ports(*slot, numbered(&module.ports, *slot));
        }
        changed.sort_by_key(|(_, port)| !is_patch(port));
        for (slot, port) in changed {
            let renewed = renewed.contains(&port.bridge_slot);
            if let Err(error) = self.install_program(slot, port, renewed) {
                self.generation.set_port(slot, &port::Record::FREE, None)?;
                applied.failed.insert(port.name.clone(), error);
            }
        }
        applied.failed.extend(self.mark_queues(&module.ports)?);
        self.remove_floods(&module)?;
        self.remove_bridges(&module)?;
        module
            .ports
            .retain(|_, port| !applied.failed.contains_key(&port.name));
        self.installed = module;
        self.settle_xdp()?;
        // All programs use today's maps now.
        self.state.retire_old_maps()?;
        if !self.settled {
            self.settle()?;
        }
        Ok(applied)
    }

    /// Detaches ports that are not wanted, here or on this device. Their slots are free
    /// afterwards unless the port is only elsewhere now.
    fn remove_ports(&mut self, wanted: &Module) -> Result<(), DatapathError> {
        let known = self.state.slots().ports.values();
        let mut slots: BTreeSet<u32> = known.copied().collect();
        if self.settled {
            let installed = &self.installed.ports;
            slots.retain(|slot| installed.get(slot) != wanted.ports.get(slot));
        } else {
            slots.extend(self.pins.links()?);
        }
        let mut forgotten = BTreeSet::new();
        for &slot in &slots {
            let port = wanted.ports.get(&slot);
            let before = self.installed.ports.get(&slot);
            if port.is_none_or(|port| port.device.is_none()) {
                link::detach(&self.pins.link(slot))?;
                self.attached.remove(&slot);
                self.tailored.remove(&slot);
            }
            if port.is_none() {
                self.generation.set_port(slot, &port::Record::FREE, None)?;
            }
            let was_patch = before.is_some_and(is_patch);
            if was_patch && !port.is_some_and(is_patch) {
                self.generation.clear_program(jump::patch(slot))?;
                self.programs.remove(&slot);
            }
            if port.is_none_or(|port| port.entry.is_none())
                && let Some(PortProgram::Flows { .. }) = self.programs.remove(&slot)
            {
                self.generation.clear_program(jump::normal(slot))?;
            }
            if port.is_none_or(|port| before.is_some_and(|before| stations_differ(before, port))) {
                forgotten.insert(slot);
            }
        }
        if forgotten.is_empty() {
            return Ok(());
        }
        self.state.forget_stations(&forgotten)?;
        self.generation.next_epoch()?;
        for slot in slots.iter().filter(|slot| !wanted.ports.contains_key(slot)) {
            if let Some(before) = self.installed.ports.get(slot) {
                let words = self.state.words(*slot)?;
                let taken = Taken {
                    packets: words[counter::RX_PACKETS],
                    bytes: words[counter::RX_BYTES],
                };
                self.flows.keep_taken(before.bridge_slot, taken);
            }
            self.state.release_port(*slot)?;
        }
        Ok(())
    }

    /// Slots of the bridges whose MAC table is a new one.
    fn size_fdbs(&mut self, module: &Module) -> Result<BTreeSet<u32>, DatapathError> {
        let mut renewed = BTreeSet::new();
        for (slot, bridge) in &module.bridges {
            if self.state.size_fdb(*slot, bridge.mac_table_size)? {
                renewed.insert(*slot);
            }
        }
        Ok(renewed)
    }

    /// Sees to it that the port runs the programs of its kind; `renewed` if maps that they use are
    /// others than before.
    pub(crate) fn install_program(
        &mut self,
        slot: u32,
        port: &PortModule,
        renewed: bool,
    ) -> Result<(), PortError> {
        let flows = self.flowing.contains(&port.bridge_slot);
        let Some(wanted) = PortProgram::new(slot, port, flows) else {
            return Ok(());
        };
        let device = port.device.map(|device| device.get());
        let same_program = !renewed && self.programs.get(&slot) == Some(&wanted);
        if same_program && (device.is_none() || self.attached.get(&slot) == device.as_ref()) {
            return Ok(());
        }
        let failed = |e| PortError::Pin(Box::new(e));
        let defect = |e: CompileError| failed(e.into());
        let (state, generation) = (&self.state, &self.generation);
        let fd = |id| {
            self.flows
                .map_fd(id)
                .or_else(|| generation.map_fd(state, id))
        };
        if let Some(normal) = wanted.normal().map_err(defect)? {
            let normal = self.loader.load(&normal, fd)?;
            let index = jump::normal(slot);
            generation.put_program(index, &normal).map_err(failed)?;
        }
        let entry = self.loader.load(&wanted.entry().map_err(defect)?, fd)?;
        match (wanted.origin(), device) {
            (Origin::Device, Some(device)) => self.attach(slot, device, &entry)?,
            (Origin::Device, None) => {}
            (Origin::Patch | Origin::Pipeline, _) => generation
                .put_program(jump::patch(slot), &entry)
                .map_err(failed)?,
        }
        self.programs.insert(slot, wanted);
        self.tailored.remove(&slot);
        Ok(())
    }

    pub(crate) fn attach(
        &mut self,
        slot: u32,
        device: u32,
        program: &Loaded,
    ) -> Result<(), PortError> {
        let path = self.pins.link(slot);
        link::attach(&path, device, program.fd())?;
        self.attached.insert(slot, device);
        Ok(())
    }

    fn set_floods(&mut self, module: &Module) -> Result<(), DatapathError> {
        let now = Instant::now();
        for (key, members) in &module.floods {
            if self.installed.floods.get(key) != Some(members) {
                self.generation.set_flood(*key, members, now)?;
            }
        }
        Ok(())
    }

    fn remove_floods(&mut self, module: &Module) -> Result<(), DatapathError> {
        let now = Instant::now();
        for key in self
            .installed
            .floods
            .keys()
            .filter(|key| !module.floods.contains_key(key))
        {
            self.generation.remove_flood(*key, now)?;
        }
        Ok(())
    }

    fn remove_bridges(&mut self, wanted: &Module) -> Result<(), DatapathError> {
        let slots: Vec<u32> = self.state.slots().bridges.values().copied().collect();
        for slot in slots
            .into_iter()
            .filter(|slot| !wanted.bridges.contains_key(slot))
        {
            self.flowing.remove(&slot);
            self.flows.remove(slot);
            self.flows.forget_normal(slot);
            self.state.release_bridge(slot)?;
        }
        Ok(())
    }

    /// All programs are this daemon's: earlier ones' generations can go.
    fn settle(&mut self) -> Result<(), DatapathError> {
        for number in self.pins.generations()? {
            if number != self.generation.number() {
                self.pins.remove_generation(number)?;
            }
        }
        self.settled = true;
        Ok(())
    }

    /// Runs the entry program of a port on a frame, outside of any traffic: what it returned, the
    /// frame, and how long one of `repeat` runs took. It counts and learns as for a real frame,
    /// and copies that flooding makes are really sent.
    pub fn test_run(
        &mut self,
        port: &PortName,
        frame: &[u8],
        repeat: u32,
    ) -> Result<crate::TestRun, DatapathError> {
        let slot = self.state.slots().ports.get(port);
        let program = slot.and_then(|slot| self.programs.get(slot));
        let failed = |source| DatapathError::Map {
            what: "run the entry program of",
            name: port.to_string(),
            source,
        };
        let program = program.ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))?;
        let (state, generation, flows) = (&self.state, &self.generation, &self.flows);
        let program = self.loader.load(&program.entry()?, |id| {
            flows.map_fd(id).or_else(|| generation.map_fd(state, id))
        })?;
        program.test_run(frame, repeat).map_err(failed)
    }
}

pub(crate) fn is_patch(port: &PortModule) -> bool {
    port.entry
        .as_ref()
        .is_some_and(|facts| facts.origin == Origin::Patch)
}

/// The rates of a port, which its buckets are for.
fn rates(port: Option<&PortModule>) -> (Policing, StormLimits) {
    let facts = port.and_then(|port| port.entry.as_ref());
    let policing = facts.and_then(|facts| facts.guard.as_ref());
    let policing = policing.map(|guard| guard.policing).unwrap_or_default();
    (policing, facts.map(|facts| facts.storm).unwrap_or_default())
}

/// Whether a station that was behind the port may not be there any more: the port is in another
/// bridge, or in other VLANs.
fn stations_differ(before: &PortModule, after: &PortModule) -> bool {
    let ingress = |port: &PortModule| port.entry.as_ref().map(|facts| facts.ingress.clone());
    let egress = |port: &PortModule| (port.record.untagged_vlan, port.record.tagged);
    before.bridge_slot != after.bridge_slot
        || ingress(before) != ingress(after)
        || egress(before) != egress(after)
        || before.vlans != after.vlans
}
