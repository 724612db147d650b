//! One compiled form of a bridge's tables, in the kernel.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use aorta_compiler::abi::jump;
use aorta_compiler::pipeline::maps::{BRIDGE_PORTS, FLOW_STATS, METERS, VERSION, table_of_memory};
use aorta_compiler::pipeline::memory::Memory;
use aorta_compiler::pipeline::{Pipeline, Report};
use aorta_ebpf::MapId;

use super::shared::Shared;
use super::stats::FlowStats;
use super::{BridgeMemory, FlowsError};
use crate::error::{DatapathError, chain};
use crate::generation::Generation;
use crate::loader::{Loaded, Loader};
use crate::memory::MappedMemory;
use crate::state::State;

/// Programs for one version of the tables have so many instructions at most: the kernel takes its time
/// to check them.
const MAX_FIXED_INSNS: usize = 65_536;

/// A pipeline with its memories, and its programs.
#[derive(Debug)]
pub struct Instance {
    /// Tells instances of the same bridge apart.
    pub number: u64,
    /// The compiled tables.
    pub pipeline: Pipeline,
    /// Rules of the tables that are kept in memory.
    pub memories: BTreeMap<u8, MappedMemory>,
    version: MappedMemory,
    /// The bridge's root, once it is loaded.
    root: Option<Loaded>,
    /// In the root's place, for one version of the tables.
    pub fixed: Fixed,
    /// The form in front of the stack.
    xdp: Option<Loaded>,
    /// What became of the tables, for people.
    pub explained: Explained,
}

/// The program of a bridge that holds for one version of its tables.
#[derive(Debug, Default)]
pub struct Fixed {
    /// The newest version for which it was tried to make one.
    pub tried: Option<u32>,
    /// It, and the version, while it is where packets find it.
    pub loaded: Option<(u32, Loaded)>,
}

/// What became of a bridge's tables.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Explained {
    /// The compiler's part.
    pub report: Report,
    /// Instructions of the program.
    pub program_insns: usize,
    /// Time that compiling and filling the memories took.
    pub compile_time: Duration,
    /// Time that the kernel took to check and load the program.
    pub load_time: Duration,
    /// Bytes of the tables' memories in the kernel.
    pub memory_bytes: u64,
    /// The form in front of the stack.
    pub xdp: XdpForm,
    /// Ports that have the tables in a program of their own.
    pub own_programs: usize,
    /// The root's place has a program for the tables as they are and no others.
    pub fixed: bool,
}

/// What became of the XDP form of a bridge's tables.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum XdpForm {
    /// No port runs XDP programs.
    #[default]
    Unwanted,
    /// There is no flow that it could do.
    Nothing,
    /// The kernel refused it: everything goes on to tcx.
    Refused(String),
    /// It runs, and has so many instructions.
    Runs(usize),
}

/// What an instance is loaded with.
pub struct Surroundings<'d> {
    /// Maps of this daemon.
    pub generation: &'d Generation,
    /// Maps that outlive it.
    pub state: &'d State,
    /// Maps of all pipelines.
    pub shared: &'d Shared,
    /// Counters of rules.
    pub stats: &'d FlowStats,
    /// Memory of the bridge that all its instances have in common.
    pub own: &'d BridgeMemory,
}

impl Instance {
    /// Makes the memories of `pipeline`, and loads its programs; `started` is when compiling began.
    /// Memories that it keeps are taken from the instance before, which gets them back if that
    /// fails.
    ///
    /// # Errors
    /// When the kernel has no room or refuses a program.
    pub fn load(
        number: u64,
        (mut pipeline, mut before): (Pipeline, Option<&mut Instance>),
        started: Instant,
        loader: &mut Loader,
        around: &Surroundings<'_>,
    ) -> Result<Instance, FlowsError> {
        let mut memories = BTreeMap::new();
        for table in pipeline.memories().into_iter().filter(|table| !table.kept) {
            let name = format!("table_{}", table.table);
            let mut memory = MappedMemory::create(&name, table.bytes)?;
            pipeline.fill(table.table, &mut memory)?;
            memories.insert(table.table, memory);
        }
        let mut version = MappedMemory::create("version", 8)?;
        version.set_u32(0, pipeline.config().version);
        let wanted = pipeline.memories().into_iter().filter(|table| table.kept);
        let kept: Vec<u8> = wanted.map(|table| table.table).collect();
        if let Some(before) = &mut before {
            let taken = kept.iter().filter_map(|n| before.memories.remove_entry(n));
            memories.extend(taken);
        }
        let mut instance = Instance {
            number,
            pipeline,
            memories,
            version,
            root: None,
            fixed: Fixed::default(),
            xdp: None,
            explained: Explained::default(),
        };
        if let Err(error) = instance.load_programs(loader, around) {
            instance.give_back(before);
            return Err(error);
        }
        instance.explained.compile_time = started
            .elapsed()
            .saturating_sub(instance.explained.load_time);
        Ok(instance)
    }

    /// Gives the memories that it keeps back to the instance before.
    pub fn give_back(&mut self, before: Option<&mut Instance>) {
        let kept = self.pipeline.memories().into_iter();
        let kept = kept.filter(|table| table.kept).map(|table| table.table);
        if let Some(before) = before {
            let taken = kept.filter_map(|table| self.memories.remove_entry(&table));
            before.memories.extend(taken);
        }
    }

    /// Loads the programs, anew if they were loaded before.
    ///
    /// # Errors
    /// When the kernel refuses one. Then those from before are kept.
    pub fn load_programs(
        &mut self,
        loader: &mut Loader,
        around: &Surroundings<'_>,
    ) -> Result<(), FlowsError> {
        let program = self.pipeline.program()?;
        let started = Instant::now();
        let fd = |id| self.map_fd(id, around);
        self.root = Some(loader.load(&program, fd)?);
        self.fixed.tried = None;
        self.explained.program_insns = program.len();
        self.explained.load_time = started.elapsed();
        self.load_xdp(loader, around);
        let memories = self.memories.values();
        self.explained.memory_bytes = memories.map(|m| u64::from(Memory::len(m))).sum();
        Ok(())
    }

    /// Loads the form in front of the stack, if a port runs XDP programs. Without it all packets go
    /// on to tcx, so that nothing is lost if the kernel refuses it.
    pub fn load_xdp(&mut self, loader: &mut Loader, around: &Surroundings<'_>) {
        let (form, loaded) = match around.own.xdp {
            false => (XdpForm::Unwanted, None),
            true => match self.try_load_xdp(loader, around) {
                Ok(None) => (XdpForm::Nothing, None),
                Ok(Some((insns, loaded))) => (XdpForm::Runs(insns), Some(loaded)),
                Err(error) => (XdpForm::Refused(chain(&error)), None),
            },
        };
        self.explained.xdp = form;
        self.xdp = loaded;
    }

    fn try_load_xdp(
        &self,
        loader: &mut Loader,
        around: &Surroundings<'_>,
    ) -> Result<Option<(usize, Loaded)>, FlowsError> {
        let Some(program) = self.pipeline.xdp_program()? else {
            return Ok(None);
        };
        let loaded = loader.load_xdp(&program, |id| self.map_fd(id, around))?;
        Ok(Some((program.len(), loaded)))
    }

    /// Puts the form in front of the stack where packets find it, or takes the one that is there
    /// away.
    pub fn put_xdp(&self, generation: &Generation, bridge_slot: u32) -> Result<(), DatapathError> {
        generation.put_xdp_program(bridge_slot, self.xdp.as_ref())
    }

    /// Puts the programs where packets find them: from then on they go by this instance.
    pub fn put(&mut self, generation: &Generation, bridge_slot: u32) -> Result<(), DatapathError> {
        let Some(root) = &self.root else {
            return Ok(());
        };
        self.put_xdp(generation, bridge_slot)?;
        generation.put_program(jump::plain(bridge_slot), root)?;
        generation.put_program(jump::resume(bridge_slot), root)?;
        generation.put_program(jump::bridge(bridge_slot), root)?;
        self.fixed.loaded = None;
        Ok(())
    }

    /// Makes a program for `version` of the tables, and puts it in the root's place, unless it was
    /// tried before or there is none. True if anything was tried. Without it, the root does the same.
    ///
    /// # Errors
    /// When it can't be put there.
    pub fn fix(
        &mut self,
        version: u32,
        loader: &mut Loader,
        around: &Surroundings<'_>,
    ) -> Result<bool, DatapathError> {
        if self.fixed.tried == Some(version) {
            return Ok(false);
        }
        self.fixed.tried = Some(version);
        let made = self.pipeline.fixed_program(version).ok().flatten();
        let fits = made.filter(|program| program.len() <= MAX_FIXED_INSNS);
        let loaded = fits.and_then(|program| {
            let fd = |id| self.map_fd(id, around);
            loader.load_optional(&program, fd).ok()
        });
        let Some(program) = loaded else {
            return Ok(true);
        };
        let bridge_slot = self.pipeline.config().bridge_slot;
        // Packets that leave one of the two come back to it from either.
        let put = |index| around.generation.put_program(index, &program);
        put(jump::resume(bridge_slot))?;
        put(jump::bridge(bridge_slot))?;
        self.fixed.loaded = Some((version, program));
        Ok(true)
    }

    /// Descriptor of a map as its programs name it.
    pub fn map_fd(&self, id: MapId, around: &Surroundings<'_>) -> Option<i32> {
        match id {
            VERSION => Some(self.version.map().raw_fd()),
            BRIDGE_PORTS => Some(around.own.ports.map().raw_fd()),
            FLOW_STATS => Some(around.stats.map().raw_fd()),
            METERS => around
                .own
                .meters
                .as_ref()
                .map(|meters| meters.map().raw_fd()),
            _ => match table_of_memory(id) {
                Some(table) => self
                    .memories
                    .get(&table)
                    .map(|memory| memory.map().raw_fd()),
                None => around
                    .shared
                    .map_fd(id)
                    .or_else(|| around.generation.map_fd(around.state, id)),
            },
        }
    }

    /// Packets that come from now on go by this version of the tables.
    pub fn set_version(&mut self, version: u32) {
        self.version.set_u32(0, version);
    }
}
